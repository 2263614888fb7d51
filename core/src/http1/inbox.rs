//! The inbox: bytes that were read and not yet consumed, in the caller's memory.
//!
//! It works over any [`Storage`]: a boxed slice, an array, a slice of a pooled buffer, or a
//! [`GrowableBuffer`]. It copies bytes only to make room at the end of a full buffer, and it gives
//! its storage back when no bytes are unread, so that an idle keep-alive connection needs none.
//! For I/O by completions, the memory stays where it is ([`Inbox::space`]), or the storage is taken
//! out while it is filled ([`Inbox::into_parts`]).
//!
//! ```
//! use doorstep_core::http1::Inbox;
//!
//! let mut inbox = Inbox::new([0u8; 16]);
//! inbox.space()[..3].copy_from_slice(b"GET");
//! inbox.filled(3);
//! assert_eq!(inbox.unread(), b"GET");
//! ```

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
#[cfg(feature = "std")]
use std::io::{self, Read};

/// Memory for an [`Inbox`].
///
/// ```
/// use doorstep_core::http1::{Inbox, Storage};
///
/// struct Pooled(Box<[u8]>);
///
/// impl Storage for Pooled {
///     fn bytes(&self) -> &[u8] {
///         &self.0
///     }
///     fn bytes_mut(&mut self) -> &mut [u8] {
///         &mut self.0
///     }
/// }
///
/// let mut inbox = Inbox::new(Pooled(Box::new([0; 64])));
/// assert_eq!(inbox.space().len(), 64);
/// ```
pub trait Storage {
    /// The whole memory.
    fn bytes(&self) -> &[u8];
    /// The whole memory, for writing.
    fn bytes_mut(&mut self) -> &mut [u8];
    /// Makes it larger and keeps its contents. Returns `false` if it has its maximum size.
    fn grow(&mut self) -> bool {
        false
    }
}

impl Storage for Box<[u8]> {
    fn bytes(&self) -> &[u8] {
        self
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
}

/// The memory is that of its elements; its spare capacity is not used.
impl Storage for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl<const N: usize> Storage for [u8; N] {
    fn bytes(&self) -> &[u8] {
        self
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl Storage for &mut [u8] {
    fn bytes(&self) -> &[u8] {
        self
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
}

/// Storage that doubles when it is full, up to a maximum.
///
/// ```
/// use doorstep_core::http1::{GrowableBuffer, Inbox};
///
/// let mut inbox = Inbox::new(GrowableBuffer::new(64, 1024));
/// inbox.fill(&mut &[b'x'; 64][..])?;
/// assert_eq!(inbox.space().len(), 64, "it has grown to 128 bytes");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrowableBuffer {
    bytes: Vec<u8>,
    max: usize,
}

impl GrowableBuffer {
    /// Starts with `initial` bytes and grows up to `max` bytes.
    #[must_use]
    pub fn new(initial: usize, max: usize) -> Self {
        Self { bytes: vec![0; initial.min(max)], max }
    }
}

impl Storage for GrowableBuffer {
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
    fn grow(&mut self) -> bool {
        let larger = (self.bytes.len() * 2).max(64).min(self.max);
        let grows = larger > self.bytes.len();
        if grows {
            self.bytes.reserve_exact(larger - self.bytes.len()); // not more than `max`
            self.bytes.resize(larger, 0);
        }
        grows
    }
}

/// Unread bytes, and space for more.
///
/// ```
/// use doorstep_core::http1::Inbox;
///
/// let mut inbox = Inbox::new([0; 16]);
/// inbox.fill(&mut &b"one two"[..])?;
/// inbox.consume(4);
/// assert_eq!(inbox.unread(), b"two");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Inbox<S> {
    storage: S,
    start: usize,
    end: usize,
    eof: bool,
}

impl<S: Storage> Inbox<S> {
    /// An empty inbox over `storage`.
    pub const fn new(storage: S) -> Self {
        Self { storage, start: 0, end: 0, eof: false }
    }

    /// The space to read into. It is empty only if the storage is full of unread bytes and cannot
    /// grow; [`crate::http1::Connection::next`] has refused the request by then.
    ///
    /// It stays where it is until [`Inbox::filled`], so the kernel may write to it meanwhile
    /// (completion-based I/O such as io_uring). In between, [`Inbox::unread`], [`Inbox::consume`],
    /// [`Inbox::is_eof`], [`Inbox::position`] and [`crate::http1::Connection::next`] neither move
    /// bytes nor touch the space; every other call may, [`Inbox::space`] itself included. It lies
    /// in the storage: a box, a [`Vec`] and a [`GrowableBuffer`] keep it in place if the inbox is
    /// moved, and an array moves with it. An operation that failed or was cancelled is not reported
    /// to [`Inbox::filled`].
    pub fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.end == self.storage.bytes().len() {
            if self.start > 0 {
                self.storage.bytes_mut().copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            } else {
                self.storage.grow();
            }
        }
        &mut self.storage.bytes_mut()[self.end..]
    }

    /// Reports that `n` bytes were read into [`Inbox::space`]. 0 means the end of input.
    pub fn filled(&mut self, n: usize) {
        self.eof |= n == 0;
        self.end = self.end.saturating_add(n).min(self.storage.bytes().len());
    }

    /// Reads once from `source` into the space. Returns the number of bytes; 0 means the end of
    /// input. Only with the feature `std`.
    ///
    /// # Errors
    /// Returns the error of `source`, or [`io::ErrorKind::StorageFull`] if there is no space.
    #[cfg(feature = "std")]
    pub fn fill(&mut self, source: &mut impl Read) -> io::Result<usize> {
        let space = self.space();
        if space.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let n = source.read(space)?;
        self.filled(n);
        Ok(n)
    }

    /// The bytes that were read and not yet consumed.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        &self.storage.bytes()[self.start..self.end]
    }

    /// The bytes that the storage still holds: those that were consumed, and then the unread ones.
    /// An offset in them is valid until the next call of [`Inbox::space`] or [`Inbox::fill`]: so a
    /// head can be read again with its [`HeadOffsets`](crate::http1::HeadOffsets).
    ///
    /// ```
    /// use doorstep_core::http1::Inbox;
    ///
    /// let mut inbox = Inbox::new([0; 16]);
    /// inbox.fill(&mut &b"one two"[..])?;
    /// inbox.consume(4);
    /// assert_eq!((inbox.buffered(), inbox.unread()), (&b"one two"[..], &b"two"[..]));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn buffered(&self) -> &[u8] {
        &self.storage.bytes()[..self.end]
    }

    /// Consumes `n` unread bytes.
    pub fn consume(&mut self, n: usize) {
        self.start = self.start.saturating_add(n).min(self.end);
    }

    /// Whether the end of input was read: no more bytes will arrive.
    #[must_use]
    pub fn is_eof(&self) -> bool {
        self.eof
    }

    /// Whether no more bytes fit, even after growing.
    pub(super) fn is_full(&mut self) -> bool {
        let full = self.end - self.start == self.storage.bytes().len();
        full && !self.storage.grow()
    }

    /// Grows the storage, if it can, until `room` bytes are free behind the unread ones. Returns
    /// whether the unread bytes and what follows them have `room` bytes in all. If not,
    /// [`Inbox::split`] moves bytes that were consumed, so that offsets in [`Inbox::buffered`] change.
    pub fn reserve(&mut self, room: usize) -> bool {
        while self.storage.bytes().len() - self.end < room && self.storage.grow() {}
        self.storage.bytes().len() - self.start >= room
    }

    /// Pins the last `n` bytes that were consumed, which are the head just read, and lends what
    /// follows as an inbox of its own, for the body. Call [`Inbox::rejoin`] afterwards. `room` is
    /// what the body needs: [`crate::http1::Connection::body_buffer_hint`]. The storage grows first,
    /// if it can, so that as many bytes are free. If there is too little room all the same, the
    /// pinned and the unread bytes move to the beginning of the storage.
    pub fn split(&mut self, n: usize, room: usize) -> (&[u8], Inbox<&mut [u8]>) {
        let pinned = n.min(self.start);
        if !self.reserve(room) {
            let first = self.start - pinned;
            self.storage.bytes_mut().copy_within(first..self.end, 0);
            (self.start, self.end) = (pinned, self.end - first);
        }
        let Self { storage, start, end, eof: finished } = self;
        let (front, rest) = storage.bytes_mut().split_at_mut(*start);
        let (start, end) = (0, *end - *start);
        (&front[front.len() - pinned..], Inbox { storage: rest, start, end, eof: *finished })
    }

    /// Continues where the inbox of [`Inbox::split`] stopped: its [`Inbox::position`].
    pub fn rejoin(&mut self, position: Position) {
        let capacity = self.storage.bytes().len();
        self.end = (self.start + position.end).min(capacity);
        self.start = (self.start + position.start).min(self.end);
        self.eof |= position.eof;
    }

    /// The position of this inbox in its storage.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { start: self.start, end: self.end, eof: self.eof }
    }

    /// Returns the storage; `None` if bytes are unread or the end of input was read.
    #[must_use]
    pub fn into_storage(self) -> Option<S> {
        (self.start == self.end && !self.eof).then_some(self.storage)
    }

    /// Takes the storage out, unread bytes included, for as long as something else needs to own it:
    /// a completion-based read, or a pool. [`Inbox::from_parts`] continues. Call [`Inbox::space`]
    /// before, so that there is some; it is the part behind [`Position::unread`].
    ///
    /// ```
    /// use doorstep_core::http1::Inbox;
    ///
    /// let mut inbox = Inbox::new(vec![0; 64]);
    /// inbox.fill(&mut &b"GET / HT"[..])?;
    /// inbox.space();
    /// let (mut buffer, position) = inbox.into_parts();
    /// let end = position.unread().end;
    /// buffer[end..end + 4].copy_from_slice(b"TP/1"); // by the kernel, which owns the buffer
    /// let mut inbox = Inbox::from_parts(buffer, position);
    /// inbox.filled(4);
    /// assert_eq!(inbox.unread(), b"GET / HTTP/1");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn into_parts(self) -> (S, Position) {
        let position = self.position();
        (self.storage, position)
    }

    /// An inbox whose unread bytes are those at `position` in `storage`: the reverse of
    /// [`Inbox::into_parts`]. A position outside of the storage, such as one of another inbox,
    /// is clamped.
    #[must_use]
    pub fn from_parts(storage: S, position: Position) -> Self {
        let end = position.end.min(storage.bytes().len());
        Self { start: position.start.min(end), end, eof: position.eof, storage }
    }

    /// What [`crate::http1::Connection::next`] needs at once: the unread bytes, and the offset to
    /// advance when some of them are consumed.
    pub(super) fn parts(&mut self) -> (&[u8], &mut usize) {
        (&self.storage.bytes()[self.start..self.end], &mut self.start)
    }
}

/// Where the unread bytes are in their storage, and whether the end of input follows: for
/// [`Inbox::rejoin`] and [`Inbox::from_parts`].
///
/// ```
/// use doorstep_core::http1::Inbox;
///
/// let mut inbox = Inbox::new([0; 16]);
/// inbox.fill(&mut &b"head body"[..])?;
/// inbox.consume(5);
/// let (head, mut body) = inbox.split(5, 0);
/// assert_eq!((head, body.unread()), (&b"head "[..], &b"body"[..]));
/// body.consume(2);
/// let position = body.position();
/// inbox.rejoin(position);
/// assert_eq!(inbox.unread(), b"dy");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    start: usize,
    end: usize,
    eof: bool,
}

impl Position {
    /// The unread bytes, in the storage. What is behind them is the space to read into.
    #[must_use]
    pub fn unread(&self) -> core::ops::Range<usize> {
        self.start..self.end
    }
}

impl<S: Storage> core::fmt::Debug for Inbox<S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let unread = self.end - self.start; // a number: the bytes may be credentials
        f.debug_struct("Inbox").field("unread", &unread).field("eof", &self.eof).finish()
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    #[test]
    fn a_growable_buffer_stops_at_its_maximum() {
        let mut inbox = Inbox::new(GrowableBuffer::new(4, 10));
        let mut endless = io::repeat(b'x');
        while !inbox.space().is_empty() {
            inbox.fill(&mut endless).unwrap();
        }
        assert_eq!(inbox.unread(), b"xxxxxxxxxx");
        assert!(inbox.fill(&mut endless).is_err());
        inbox.consume(4);
        assert_eq!(inbox.space().len(), 4, "consumed bytes make room");
    }

    #[test]
    fn a_pinned_head_stays_while_the_body_moves() {
        let mut inbox = Inbox::new([0u8; 16]);
        inbox.fill(&mut &b"HEAD|body"[..]).unwrap();
        inbox.consume(5);
        let (head, mut rest) = inbox.split(5, 0);
        assert_eq!(head, b"HEAD|");
        rest.consume(4);
        assert_eq!(rest.space().len(), 11);
        rest.fill(&mut &b"NEXT"[..]).unwrap();
        assert_eq!(head, b"HEAD|");
        let position = rest.position();
        inbox.rejoin(position);
        assert_eq!(inbox.unread(), b"NEXT");
    }
}
