//! The outbox: bytes to be sent, in the caller's memory.
//!
//! Responses are appended, so a batch of pipelined responses leaves in one write. The caller sends
//! from the front and reports how many bytes were sent; for I/O by completions, it takes the bytes out
//! in a buffer ([`Outbox::begin_send`]). The outbox also holds the default headers,
//! which every final response begins with (`Server`, `Date` and those that the embedder adds). They
//! are rendered once, not once per response. The caller sets the time. Behind them are the headers of
//! the next response alone ([`Outbox::add_header`]).
//!
//! ```
//! use doorstep_core::http1::{Connection, Limits, Outbox};
//!
//! let mut connection = Connection::new(Limits::default());
//! let mut outbox = Outbox::new("doorstep");
//! outbox.set_date(784_111_777);
//! connection.advance(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
//! connection.respond(200, &mut outbox).body(b"hi").unwrap();
//! let sent = b"HTTP/1.1 200 OK\r\nServer: doorstep\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
//!     Content-Length: 2\r\n\r\nhi";
//! assert_eq!(outbox.unsent(), sent);
//! ```

use alloc::vec::Vec;
#[cfg(feature = "std")]
use std::io::{self, Write};

use super::chunked;
use super::date::{self, UnixTime};
use super::error::Misuse;
use super::error_pages::ErrorPages;

/// Bytes to be sent, and the headers of every final response.
///
/// ```
/// use doorstep_core::http1::{Misuse, Outbox};
///
/// let mut outbox = Outbox::new("doorstep");
/// outbox.add_default_header("X-Content-Type-Options", b"nosniff")?;
/// assert!(outbox.has_default_header("server") && outbox.is_empty());
/// assert_eq!(outbox.add_default_header("Content-Length", b"1"), Err(Misuse::ReservedHeader));
/// # Ok::<(), Misuse>(())
/// ```
#[derive(Clone, Default)]
pub struct Outbox {
    /// `None` for those of [`crate::page`].
    pub(super) error_pages: Option<ErrorPages>,
    bytes: Vec<u8>,
    sent: usize,
    /// Address and size of the buffer of [`Outbox::begin_send`].
    in_flight: Option<(usize, usize)>,
    /// What is not sent of that buffer is discarded.
    discards_in_flight: bool,
    /// Whether the next response is without the default header `Content-Security-Policy`.
    without_policy: bool,
    /// Memory for the next buffer.
    spare: Vec<u8>,
    total_sent: u64,
    /// The default headers, and behind them those of the next response alone.
    default_headers: Vec<u8>,
    /// The size of the latter.
    next_headers: usize,
    date_at: usize,
    date: Option<UnixTime>,
}

impl Outbox {
    /// An empty outbox. `server` is the value of the `Server` header; if it is empty, or holds CR,
    /// LF or NUL, there is no such header (B-063).
    #[must_use]
    pub fn new(server: &str) -> Self {
        let mut outbox = Self::default();
        if !server.is_empty() {
            let _ = outbox.add_default_header("Server", server.as_bytes());
        }
        outbox.date_at = outbox.default_headers.len();
        outbox
    }

    /// Adds a header to every final response from now on, after `Server` and `Date` (B-293).
    ///
    /// # Errors
    /// Returns [`Misuse::BadHeader`] if name or value are malformed, and [`Misuse::ReservedHeader`]
    /// if only the state machine may write this header.
    pub fn add_default_header(&mut self, name: &str, value: &[u8]) -> Result<(), Misuse> {
        let next = self.default_headers.split_off(self.next_headers_at());
        let added = self.push_default(name, value);
        self.default_headers.extend_from_slice(&next);
        added.map(drop)
    }

    /// Adds a header to the next final response, whatever it is: one of the application, an error page
    /// or a refusal. It comes after the default headers. Once a response with it is in the outbox, it is
    /// gone; [`Outbox::clear_headers`] removes it before that.
    ///
    /// ```
    /// use doorstep_core::http1::{Connection, Limits, Misuse, Outbox};
    ///
    /// let (mut connection, mut outbox) = (Connection::new(Limits::default()), Outbox::new(""));
    /// connection.advance(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    /// outbox.add_header("X-Request-Id", b"7")?;
    /// connection.respond(204, &mut outbox).body(b"")?;
    /// assert_eq!(outbox.unsent(), b"HTTP/1.1 204 No Content\r\nX-Request-Id: 7\r\n\r\n");
    /// # Ok::<(), Misuse>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Outbox::add_default_header`].
    pub fn add_header(&mut self, name: &str, value: &[u8]) -> Result<(), Misuse> {
        self.next_headers += self.push_default(name, value)?;
        Ok(())
    }

    /// Removes the headers of the next response: for a request that gets no response after all.
    pub fn clear_headers(&mut self) {
        self.default_headers.truncate(self.next_headers_at());
        self.next_headers = 0;
    }

    /// Appends a header, and returns its size.
    fn push_default(&mut self, name: &str, value: &[u8]) -> Result<usize, Misuse> {
        super::header::check_header(name, value)?;
        let before = self.default_headers.len();
        super::header::push_header(name, value, &mut self.default_headers);
        Ok(self.default_headers.len() - before)
    }

    /// Where the headers of the next response begin.
    fn next_headers_at(&self) -> usize {
        self.default_headers.len().saturating_sub(self.next_headers)
    }

    /// Whether the next response has this header without its builder: whether it is one of the default
    /// headers, or was added by [`Outbox::add_header`].
    #[must_use]
    pub fn has_default_header(&self, name: &str) -> bool {
        self.default_headers.split(|&b| b == b'\n').any(|line| is_header_line(line, name))
    }

    /// Sets the time for the `Date` header (RFC 9110 §6.6.1): a `SystemTime`, a `Duration` since
    /// 1970, or seconds since then. Without a call there is no such header. Calling it again within
    /// the same second costs nothing.
    pub fn set_date(&mut self, time: impl Into<UnixTime>) {
        let time = time.into();
        const NAME: &[u8] = b"Date: ";
        const LINE: usize = NAME.len() + 29 + 2;
        if self.date == Some(time) {
            return;
        }
        let mut line = [0; LINE];
        line[..NAME.len()].copy_from_slice(NAME);
        line[NAME.len()..LINE - 2].copy_from_slice(&date::format(time.seconds()));
        line[LINE - 2..].copy_from_slice(b"\r\n");
        let old = if self.date.is_some() { LINE } else { 0 };
        self.default_headers.splice(self.date_at..self.date_at + old, line);
        self.date = Some(time);
    }

    /// The bytes to be sent, without those in flight ([`Outbox::begin_send`]).
    #[must_use]
    pub fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Reports that `n` bytes of [`Outbox::unsent`] were sent.
    pub fn sent(&mut self, n: usize) {
        let n = n.min(self.unsent().len());
        self.sent += n;
        self.total_sent += n as u64;
        if self.sent == self.bytes.len() {
            self.clear();
        }
    }

    /// Writes [`Outbox::unsent`] once to `sink`, and removes as much as it takes. Returns the number of
    /// bytes; 0 if nothing is to be sent.
    ///
    /// ```
    /// use doorstep_core::http1::{Connection, Limits, Outbox};
    ///
    /// let (mut connection, mut outbox) = (Connection::new(Limits::default()), Outbox::new(""));
    /// connection.advance(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    /// connection.respond(204, &mut outbox).body(b"").unwrap();
    /// let mut stream = Vec::new();
    /// assert_eq!(outbox.write_to(&mut stream)?, stream.len());
    /// assert!(outbox.is_empty());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns the error of `sink`, or [`io::ErrorKind::WriteZero`] if it takes nothing; the outbox
    /// is unchanged then.
    #[cfg(feature = "std")]
    pub fn write_to(&mut self, sink: &mut impl Write) -> io::Result<usize> {
        match self.unsent() {
            [] => Ok(0),
            unsent => match sink.write(unsent)? {
                0 => Err(io::ErrorKind::WriteZero.into()),
                n => {
                    self.sent(n);
                    Ok(n)
                }
            },
        }
    }

    /// Takes all bytes to be sent out, in a buffer that stays where it is until it is returned: for
    /// I/O by completions, such as io_uring, where the kernel reads the memory for as long as the
    /// operation takes. Returns `None` if there is nothing to be sent, or if a buffer is in flight
    /// already: then call it again after [`Outbox::end_send`].
    ///
    /// Until then, the bytes in flight are counted by [`Outbox::len`], [`Outbox::is_empty`] and
    /// [`Connection::waiting_for`](crate::http1::Connection::waiting_for), and responses may be
    /// appended; they are sent by the next buffer. Two buffers alternate, so that no memory is
    /// allocated in the long run.
    ///
    /// ```
    /// use doorstep_core::http1::{Connection, Limits, Misuse, Outbox};
    ///
    /// let (mut connection, mut outbox) = (Connection::new(Limits::default()), Outbox::new(""));
    /// connection.advance(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    /// connection.respond(200, &mut outbox).sized_body(4)?;
    /// let buffer = outbox.begin_send().unwrap_or_default(); // submit it
    /// connection.send(b"body", &mut outbox)?; // meanwhile
    /// assert!(outbox.begin_send().is_none(), "one at a time, or the order would be lost");
    ///
    /// let n = buffer.len() - 2; // the completion
    /// outbox.end_send(buffer, n)?;
    /// assert_eq!(outbox.begin_send().unwrap_or_default(), b"\r\nbody");
    /// # Ok::<(), Misuse>(())
    /// ```
    #[must_use = "the buffer has the bytes to be sent, and goes back by `end_send`"]
    pub fn begin_send(&mut self) -> Option<Vec<u8>> {
        if self.in_flight.is_some() || self.is_empty() {
            return None;
        }
        self.bytes.drain(..self.sent);
        self.sent = 0;
        let buffer = core::mem::replace(&mut self.bytes, core::mem::take(&mut self.spare));
        self.in_flight = Some((buffer.as_ptr().addr(), buffer.len()));
        self.discards_in_flight = false;
        Some(buffer)
    }

    /// Returns the buffer of [`Outbox::begin_send`], unchanged, of which `n` bytes were sent. The
    /// others are to be sent before everything that was appended meanwhile; the memory is used
    /// again. After [`Outbox::clear`] the others are discarded. After an error, `n` is 0: then
    /// [`abort`](crate::http1::Connection::abort) the connection.
    ///
    /// # Errors
    /// Returns [`Misuse::NotInFlight`] if it is not the buffer that is in flight: none is, it is
    /// another one, or its size has changed. It is dropped, and the outbox is unchanged.
    pub fn end_send(&mut self, mut buffer: Vec<u8>, n: usize) -> Result<(), Misuse> {
        if self.in_flight != Some((buffer.as_ptr().addr(), buffer.len())) {
            return Err(Misuse::NotInFlight);
        }
        self.in_flight = None;
        self.total_sent += n.min(buffer.len()) as u64;
        if n < buffer.len() && !self.discards_in_flight {
            buffer.extend_from_slice(self.unsent());
            core::mem::swap(&mut self.bytes, &mut buffer);
            self.sent = n;
        } else if self.bytes.is_empty() {
            core::mem::swap(&mut self.bytes, &mut buffer);
            self.clear();
        }
        buffer.clear();
        self.spare = buffer;
        Ok(())
    }

    /// The number of bytes that were sent so far ([`Outbox::sent`]). With the length of the outbox it
    /// is the position at which the next byte is appended, which [`Outbox::clear`] sets back.
    #[must_use]
    pub fn total_sent(&self) -> u64 {
        self.total_sent
    }

    /// Whether there is nothing to be sent, and nothing in flight.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of bytes to be sent, with those in flight.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.sent + self.in_flight.map_or(0, |(_, len)| len)
    }

    /// Whether a buffer of [`Outbox::begin_send`] was not returned yet.
    pub(super) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Discards the bytes to be sent. The memory is kept. Those in flight are counted until
    /// [`Outbox::end_send`], which then discards what was not sent of them. A response that is cut
    /// short in this way must be the last one: [`abort`](crate::http1::Connection::abort).
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.sent = 0;
        self.discards_in_flight = self.in_flight.is_some();
    }

    /// Frees memory above `keep` bytes if nothing is to be sent. For connections that become idle.
    pub fn shrink_to(&mut self, keep: usize) {
        if self.is_empty() {
            self.clear();
            self.bytes.shrink_to(keep);
            self.spare = Vec::new();
        }
    }

    /// Appends up to `n` bytes of a body, such as a part of a file behind its head: `fill` writes
    /// them and returns how many there are. Then report as many to
    /// [`crate::http1::Connection::body_sent`].
    ///
    /// # Errors
    /// Returns the error of `fill`; the outbox is unchanged then.
    pub fn append_with<E>(
        &mut self,
        n: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let start = self.bytes.len();
        self.bytes.resize(start + n, 0);
        let kept = fill(&mut self.bytes[start..]);
        self.bytes.truncate(start + kept.as_ref().map_or(0, |kept| (*kept).min(n)));
        kept
    }

    /// Sets whether the next response is without the default header `Content-Security-Policy`.
    pub(super) fn set_without_policy(&mut self, without_policy: bool) {
        self.without_policy = without_policy;
    }

    /// Appends the default headers, and those of the next response.
    pub(super) fn push_default_headers(&mut self) {
        if !self.without_policy {
            return self.bytes.extend_from_slice(&self.default_headers);
        }
        let (default, next) = self.default_headers.split_at(self.next_headers_at());
        let lines = default.split_inclusive(|&b| b == b'\n');
        for line in lines.filter(|line| !is_header_line(line, "Content-Security-Policy")) {
            self.bytes.extend_from_slice(line);
        }
        self.bytes.extend_from_slice(next);
    }

    pub(super) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub(super) fn push_chunk(&mut self, data: &[u8]) {
        chunked::push_size_line(data.len(), &mut self.bytes);
        self.bytes.extend_from_slice(data);
        self.bytes.extend_from_slice(b"\r\n");
    }
}

/// Whether a header line has this name.
fn is_header_line(line: &[u8], name: &str) -> bool {
    let other = line.split(|&b| b == b':').next().unwrap_or_default();
    other.eq_ignore_ascii_case(name.as_bytes())
}

impl core::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Outbox").field("unsent", &self.len()).finish_non_exhaustive()
    }
}
