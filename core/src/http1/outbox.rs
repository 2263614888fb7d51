//! The outbox: bytes that are to be sent, in the caller's memory.
//!
//! Answers are appended; the caller sends from the front and says how much went. It also holds the
//! prelude, the fields that every final answer begins with (`Server`, `Date` and what the
//! embedder adds), rendered once and not once per answer. The caller says the time.
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

use super::error::Misuse;
use super::{chunked, date};

/// Bytes to send, and the fields every answer begins with.
#[derive(Clone, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
    default_headers: Vec<u8>,
    date_at: usize,
    date_unix: Option<u64>,
}

impl Outbox {
    /// An empty outbox. `server` is the Server field's value, without CR, LF and NUL; with an
    /// empty one, or an unfit one, there is no such field (B-063).
    #[must_use]
    pub fn new(server: &str) -> Self {
        let mut outbox = Self::default();
        if !server.is_empty() {
            let _ = outbox.add_default_header("Server", server.as_bytes());
        }
        outbox.date_at = outbox.default_headers.len();
        outbox
    }

    /// Adds a field to every final answer from here on, after Server and Date (B-293).
    ///
    /// # Errors
    /// [`Misuse::BadHeader`] and [`Misuse::ReservedHeader`], as for a field of one answer.
    pub fn add_default_header(&mut self, name: &str, value: &[u8]) -> Result<(), Misuse> {
        super::header::check_header(name, value)?;
        super::header::push_header(name, value, &mut self.default_headers);
        Ok(())
    }

    /// Whether every final answer has this field already.
    #[must_use]
    pub fn has_default_header(&self, name: &str) -> bool {
        let lines = self.default_headers.split(|&b| b == b'\n');
        let mut names = lines.filter_map(|line| line.split(|&b| b == b':').next());
        names.any(|other| other.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// Says the time, in seconds since 1970, for the Date field (RFC 9110 §6.6.1). An outbox that
    /// was never told has no such field. Costs nothing within one second.
    pub fn set_date(&mut self, unix: u64) {
        const NAME: &[u8] = b"Date: ";
        const LINE: usize = NAME.len() + 29 + 2;
        if self.date_unix == Some(unix) {
            return;
        }
        let mut line = [0; LINE];
        line[..NAME.len()].copy_from_slice(NAME);
        line[NAME.len()..LINE - 2].copy_from_slice(&date::format(unix.cast_signed()));
        line[LINE - 2..].copy_from_slice(b"\r\n");
        let old = if self.date_unix.is_some() { LINE } else { 0 };
        self.default_headers.splice(self.date_at..self.date_at + old, line);
        self.date_unix = Some(unix);
    }

    /// What is to be sent.
    #[must_use]
    pub fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// `n` bytes of [`Outbox::unsent`] went out.
    pub fn sent(&mut self, n: usize) {
        self.sent = self.sent.saturating_add(n).min(self.bytes.len());
        if self.is_empty() {
            self.clear();
        }
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// How many bytes there are to send.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Forgets what is to be sent; the memory is kept.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.sent = 0;
    }

    /// Gives memory back that is above `keep` bytes. For when a connection goes idle.
    pub fn shrink_to(&mut self, keep: usize) {
        if self.is_empty() {
            self.clear();
            self.bytes.shrink_to(keep);
        }
    }

    /// Room for `n` bytes of a body that the caller puts behind its head by itself, as a file's
    /// bytes are. How many it kept is what `fill` returns; say [`crate::http1::Connection::body_sent`]
    /// as many.
    ///
    /// # Errors
    /// Those of `fill`; the outbox is then as it was.
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

    /// Where to write, and what every answer begins with.
    pub(super) fn parts(&mut self) -> (&mut Vec<u8>, &[u8]) {
        (&mut self.bytes, &self.default_headers)
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

impl core::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Outbox").field("unsent", &self.len()).finish_non_exhaustive()
    }
}
