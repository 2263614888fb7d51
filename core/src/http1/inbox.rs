//! The inbox: bytes that were read and are not yet done with, in the caller's memory.
//!
//! It keeps the books over any [`Storage`]: a boxed slice, an array, a slice of a pool buffer, or
//! [`GrowableBuffer`], which starts small and never passes its bound. It promises never to copy what it
//! does not have to, and to give its storage back when nothing is unread.
//!
//! ```
//! use doorstep_core::http1::Inbox;
//!
//! let mut inbox = Inbox::new([0u8; 16]);
//! inbox.space()[..3].copy_from_slice(b"GET");
//! inbox.filled(3);
//! assert_eq!(inbox.unread(), b"GET");
//! ```

use std::io::{self, Read};

/// Memory that an [`Inbox`] may use.
pub trait Storage {
    /// All of it.
    fn bytes(&self) -> &[u8];
    /// All of it, to write into.
    fn bytes_mut(&mut self) -> &mut [u8];
    /// Makes it larger, keeping what is in it; `false` when it is as large as it may be.
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

/// Storage that doubles when it is full, up to a bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrowableBuffer {
    bytes: Vec<u8>,
    max: usize,
}

impl GrowableBuffer {
    /// Begins with `initial` bytes and never holds more than `max`.
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
            self.bytes.resize(larger, 0);
        }
        grows
    }
}

/// Unread bytes, and room for more.
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

    /// Room to read into. Empty only when the storage is full of unread bytes and cannot grow;
    /// [`crate::http1::Connection::next`] has then refused the request already.
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

    /// `n` bytes were read into [`Inbox::space`]; 0 says that the peer has finished.
    pub fn filled(&mut self, n: usize) {
        self.eof |= n == 0;
        self.end = self.end.saturating_add(n).min(self.storage.bytes().len());
    }

    /// Reads once from `source` into the space: how many bytes, 0 at the end of input.
    ///
    /// # Errors
    /// Those of `source`; [`io::ErrorKind::StorageFull`] when there is no space.
    pub fn fill(&mut self, source: &mut impl Read) -> io::Result<usize> {
        let space = self.space();
        if space.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let n = source.read(space)?;
        self.filled(n);
        Ok(n)
    }

    /// What was read and is not yet done with.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        &self.storage.bytes()[self.start..self.end]
    }

    /// `n` unread bytes are done with.
    pub fn consume(&mut self, n: usize) {
        self.start = self.start.saturating_add(n).min(self.end);
    }

    /// Whether the peer has finished: no more bytes will come.
    #[must_use]
    pub fn is_eof(&self) -> bool {
        self.eof
    }

    /// Whether no byte more fits, now or after growing.
    pub(super) fn is_full(&mut self) -> bool {
        let full = self.end - self.start == self.storage.bytes().len();
        full && !self.storage.grow()
    }

    /// Pins the last `n` bytes that were done with, which are the head just read, and lends what
    /// lies behind them as an inbox of its own, for the body; [`Inbox::rejoin`] afterwards. It grows
    /// first, if it can, to leave `room` bytes free: [`crate::http1::Connection::body_buffer_hint`].
    pub fn split(&mut self, n: usize, room: usize) -> (&[u8], Inbox<&mut [u8]>) {
        while self.storage.bytes().len() - self.end < room && self.storage.grow() {}
        let Self { storage, start, end, eof: finished } = self;
        let (front, rest) = storage.bytes_mut().split_at_mut(*start);
        let pinned = &front[front.len().saturating_sub(n)..];
        let (start, end) = (0, *end - *start);
        (pinned, Inbox { storage: rest, start, end, eof: *finished })
    }

    /// Takes over where the inbox of [`Inbox::split`] stopped: its [`Inbox::position`].
    pub fn rejoin(&mut self, position: Position) {
        let capacity = self.storage.bytes().len();
        self.end = (self.start + position.end).min(capacity);
        self.start = (self.start + position.start).min(self.end);
        self.eof |= position.eof;
    }

    /// Where this inbox is.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { start: self.start, end: self.end, eof: self.eof }
    }

    /// Gives the storage back; `None` while bytes are unread or the peer has finished.
    #[must_use]
    pub fn into_storage(self) -> Option<S> {
        (self.start == self.end && !self.eof).then_some(self.storage)
    }

    /// The parts that [`crate::http1::Connection::next`] needs at once: the unread bytes, and the
    /// count to move when some of them are done with.
    pub(super) fn parts(&mut self) -> (&[u8], &mut usize) {
        (&self.storage.bytes()[self.start..self.end], &mut self.start)
    }
}

/// Where a split inbox stopped, for [`Inbox::rejoin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    start: usize,
    end: usize,
    eof: bool,
}

impl<S: Storage> core::fmt::Debug for Inbox<S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let unread = self.end - self.start; // a number: bytes may be credentials
        f.debug_struct("Inbox").field("unread", &unread).field("eof", &self.eof).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growing_stops_at_its_bound() {
        let mut inbox = Inbox::new(GrowableBuffer::new(4, 10));
        let mut endless = io::repeat(b'x');
        while !inbox.space().is_empty() {
            inbox.fill(&mut endless).unwrap();
        }
        assert_eq!(inbox.unread(), b"xxxxxxxxxx");
        assert!(inbox.fill(&mut endless).is_err());
        inbox.consume(4);
        assert_eq!(inbox.space().len(), 4, "what is done with makes room");
    }

    #[test]
    fn a_head_stays_while_the_body_moves_behind_it() {
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
