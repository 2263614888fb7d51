//! The answer builder: status, fields, and exactly one ending.
//!
//! The caller says what it wants to tell; what a connection needs said is the machine's: framing
//! fields, `Connection`, and the rules of HEAD, 204, 304, HTTP/1.0 and HTTP/0.9. The builder writes
//! straight into the outbox. It promises that an answer leaves whole or not at all: dropped without
//! an ending, or ended in a [`Misuse`], it takes everything back.
//!
//! ```
//! use doorstep_core::http1::{Connection, Limits, Misuse, Outbox};
//!
//! let mut connection = Connection::new(Limits::default());
//! let mut outbox = Outbox::new("");
//! connection.advance(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
//!
//! let split = connection.respond(200, &mut outbox).header("X", "a\r\nSet-Cookie: b").body(b"");
//! assert_eq!(split, Err(Misuse::BadField));
//! assert!(outbox.is_empty());
//!
//! connection.respond(200, &mut outbox).header("X", "a").body(b"").unwrap();
//! assert_eq!(outbox.unsent(), b"HTTP/1.1 200 OK\r\nX: a\r\nContent-Length: 0\r\n\r\n");
//! ```

use super::connection::{Connection, Outgoing};
use super::error::Misuse;
use super::field::{check_field, is_text, push_field};
use super::head::{Version, members};
use super::outbox::Outbox;
use super::state::{Said, Send};
use super::status;
use crate::page;

/// An answer in the making. [`Connection::respond`] begins one.
#[must_use = "an answer is sent by its ending: body, sized, stream, page, upgrade or tunnel"]
pub struct Response<'a> {
    connection: &'a mut Connection,
    outbox: &'a mut Outbox,
    status: u16,
    /// Where the outbox ended before this answer.
    start: usize,
    reason: Option<&'a [u8]>,
    begun: bool,
    ended: bool,
    closing: bool,
    /// `Connection: close` was written.
    told: bool,
    length: Option<u64>,
    misuse: Option<Misuse>,
}

impl Connection {
    /// Begins the answer that is owed. `status` is a final one, or 101 before an
    /// [`Response::upgrade`].
    pub fn respond<'a>(&'a mut self, status: u16, outbox: &'a mut Outbox) -> Response<'a> {
        let misuse = match self.states.send {
            _ if !(101..=999).contains(&status) => Some(Misuse::BadStatus),
            Send::Owed => None,
            _ => Some(Misuse::NotOwed),
        };
        let (start, closing) = (outbox.bytes_mut().len(), !self.may_keep());
        Response {
            connection: self,
            outbox,
            status,
            start,
            reason: None,
            begun: false,
            ended: false,
            closing,
            told: false,
            length: None,
            misuse,
        }
    }
}

impl<'a> Response<'a> {
    /// Another reason phrase than the registered one (B-061, B-080). Call it before any field.
    pub fn reason(mut self, phrase: &'a [u8]) -> Self {
        if self.begun || !is_text(phrase) {
            self.misuse.get_or_insert(Misuse::BadField);
        }
        self.reason = Some(phrase);
        self
    }

    /// Adds a field. `Connection: close` closes after this answer (B-066); fields of framing are
    /// the machine's.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.add(name, value.as_ref());
        self
    }

    /// Writes Content-Length at this place among the fields instead of behind them (B-068). The
    /// ending must agree.
    pub fn length(mut self, n: u64) -> Self {
        if self.length.is_some() || self.forbids_length(n) {
            self.misuse.get_or_insert(Misuse::ReservedField);
        }
        self.begin();
        self.push_length(n);
        self
    }

    /// Ends the answer with this body. Head and body leave in one write.
    ///
    /// # Errors
    /// The first [`Misuse`] of this answer; nothing is sent then.
    pub fn body(mut self, body: &[u8]) -> Result<(), Misuse> {
        let silent = self.has_no_body();
        if silent && !body.is_empty() && !self.connection.request.is_head {
            self.misuse.get_or_insert(Misuse::NoBodyAllowed);
        }
        // A 304's length would be the representation's, which is not known here (RFC 9110 §8.6).
        let keeps_fields = !silent || self.connection.request.is_head && self.status != 304;
        self.frame_length(body.len() as u64, keeps_fields);
        if self.misuse.is_none() && !silent {
            self.finish_head(false)?;
            self.outbox.bytes_mut().extend_from_slice(body);
            return self.end(Said::Answer);
        }
        self.finish_head(false)?;
        self.end(Said::Answer)
    }

    /// Ends the head with a promise of `n` bytes: [`Connection::send`] them, or send them by other
    /// means and say [`Connection::passed`]. [`Connection::owed`] tells whether any are owed: to a
    /// HEAD request, none are.
    ///
    /// # Errors
    /// The first [`Misuse`] of this answer; nothing is sent then.
    pub fn sized(mut self, n: u64) -> Result<(), Misuse> {
        self.frame_length(n, true);
        let silent = self.has_no_body() || n == 0;
        self.finish_head(false)?;
        self.connection.left = n;
        self.connection.outgoing = Outgoing::Length;
        self.end(if silent { Said::Answer } else { Said::AnswerWithBody })
    }

    /// Ends the head; the length is not known. [`Connection::send`] the body, then
    /// [`Connection::end`]. It is chunked where the peer can read that, else it ends with the
    /// connection.
    ///
    /// # Errors
    /// The first [`Misuse`] of this answer; nothing is sent then.
    pub fn stream(mut self) -> Result<(), Misuse> {
        let silent = self.has_no_body();
        let chunked = self.connection.request.version == Version::Http11;
        if silent && !self.connection.request.is_head {
            self.misuse.get_or_insert(Misuse::NoBodyAllowed);
        }
        if self.length.is_some() {
            self.misuse.get_or_insert(Misuse::ReservedField);
        }
        self.closing |= !chunked && !silent;
        self.begin();
        if chunked && !self.status_has_no_body() {
            self.push("Transfer-Encoding", b"chunked");
        }
        self.finish_head(false)?;
        self.connection.outgoing = match silent {
            true => Outgoing::Length,
            _ if chunked => Outgoing::Chunked,
            _ => Outgoing::UntilClose,
        };
        self.end(if silent { Said::Answer } else { Said::AnswerWithBody })
    }

    /// Ends the answer with the page for its status, which `explain` adds a sentence to (B-082,
    /// B-083); without one, the status table's.
    ///
    /// # Errors
    /// The first [`Misuse`] of this answer; nothing is sent then.
    pub fn page(self, explain: &str) -> Result<(), Misuse> {
        if self.status_has_no_body() {
            return self.body(b""); // B-085
        }
        let explain = if explain.is_empty() { status::explain(self.status) } else { explain };
        let reason = self.reason.unwrap_or(status::reason(self.status).as_bytes());
        let mut page = Vec::new();
        page::error(&mut page, self.status, reason, explain);
        self.header("Content-Type", page::CONTENT_TYPE).body(&page)
    }

    /// Ends a 101: the connection is `protocol`'s from here on. The peer must have asked for an
    /// upgrade, and its request's body must have been read.
    ///
    /// # Errors
    /// The first [`Misuse`] of this answer; nothing is sent then.
    pub fn upgrade(mut self, protocol: &str) -> Result<(), Misuse> {
        if self.status != 101 {
            self.misuse.get_or_insert(Misuse::BadStatus);
        } else if !self.connection.request.upgrade || !self.connection.request_is_read() {
            self.misuse.get_or_insert(Misuse::NotAsked);
        } else if !is_text(protocol.as_bytes()) {
            self.misuse.get_or_insert(Misuse::BadField);
        }
        self.closing = false;
        self.begin();
        self.push("Connection", b"upgrade");
        self.push("Upgrade", protocol.as_bytes());
        self.finish_head(true)?;
        self.end(Said::Switch)
    }

    /// Ends a 2xx to CONNECT: the connection is a tunnel from here on (RFC 9110 §9.3.6).
    ///
    /// # Errors
    /// The first [`Misuse`] of this answer; nothing is sent then.
    pub fn tunnel(mut self) -> Result<(), Misuse> {
        if !self.connection.request.is_connect || !self.connection.request_is_read() {
            self.misuse.get_or_insert(Misuse::NotAsked);
        } else if !(200..300).contains(&self.status) || self.length.is_some() {
            self.misuse.get_or_insert(Misuse::BadStatus);
        }
        self.closing = false;
        self.begin();
        self.finish_head(true)?;
        self.end(Said::Switch)
    }

    fn add(&mut self, name: &str, value: &[u8]) {
        if name.eq_ignore_ascii_case("connection") {
            if members(value).all(|option| option.eq_ignore_ascii_case(b"close")) {
                self.closing = true;
            } else if !value.eq_ignore_ascii_case(b"keep-alive") {
                self.misuse.get_or_insert(Misuse::ReservedField);
            }
            return;
        }
        // RFC 9110 §15.5.22: a 426 must say to what; the only Upgrade that is not a hand-over's.
        let offers = self.status == 426 && name.eq_ignore_ascii_case("upgrade") && is_text(value);
        match check_field(name, value) {
            Err(misuse) if !offers => _ = self.misuse.get_or_insert(misuse),
            _ => {}
        }
        self.begin();
        self.push(name, value);
        if offers {
            self.push("Connection", b"upgrade");
        }
    }

    /// Writes what every answer begins with, once.
    fn begin(&mut self) {
        if self.begun || self.misuse.is_some() {
            return;
        }
        self.begun = true;
        if self.is_simple() {
            return; // B-017, B-070: the body is the answer
        }
        let reason = self.reason.unwrap_or(status::reason(self.status).as_bytes());
        let hundreds = b'0' + (self.status / 100) as u8;
        let (tens, ones) = (b'0' + (self.status / 10 % 10) as u8, b'0' + (self.status % 10) as u8);
        let version = if self.connection.protocol == Version::Http11 { b'1' } else { b'0' };
        let (out, prelude) = self.outbox.parts();
        out.extend_from_slice(b"HTTP/1.");
        out.extend_from_slice(&[version, b' ', hundreds, tens, ones, b' ']);
        out.extend_from_slice(reason);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(prelude);
        if self.closing {
            self.tell_close();
        }
    }

    /// `Connection: close`, to those who would otherwise stay, and on errors as ever (B-069, B-082).
    fn tell_close(&mut self) {
        let Connection { request, protocol, .. } = &self.connection;
        // HTTP/1.1 in our status line means to stay, also to an HTTP/1.0 client that asked for
        // that: a proxy, say (RFC 9112 §9.3).
        let would_stay = *protocol == Version::Http11 && !request.is_last;
        if request.version == Version::Http11 || would_stay || self.status >= 400 {
            self.push("Connection", b"close");
        }
        self.told = true;
    }

    fn frame_length(&mut self, n: u64, keeps_fields: bool) {
        if self.connection.request.is_connect && (200..300).contains(&self.status) {
            self.misuse.get_or_insert(Misuse::BadStatus); // a 2xx to CONNECT is a tunnel
        }
        if self.length.is_some_and(|length| length != n) {
            self.misuse.get_or_insert(if self.length < Some(n) {
                Misuse::TooMuch
            } else {
                Misuse::TooLittle
            });
        }
        self.begin();
        if self.length.is_some() || !keeps_fields && self.status != 205 {
            return;
        }
        if self.forbids_length(n) {
            if n > 0 {
                self.misuse.get_or_insert(Misuse::NoBodyAllowed);
            }
            return;
        }
        self.push_length(n);
    }

    /// Writes the last fields and the empty line; `switching` answers say nothing of closing.
    fn finish_head(&mut self, switching: bool) -> Result<(), Misuse> {
        if self.status < 200 && !switching {
            self.misuse.get_or_insert(Misuse::BadStatus);
        }
        if let Some(misuse) = self.misuse {
            return Err(misuse); // and the drop takes everything back
        }
        if switching || self.is_simple() {
        } else if self.closing && !self.told {
            self.tell_close();
        } else if !self.closing && self.connection.request.version == Version::Http10 {
            self.push("Connection", b"keep-alive"); // B-044
        }
        if !self.is_simple() {
            self.outbox.bytes_mut().extend_from_slice(b"\r\n");
        }
        self.connection.request.keep_alive &= !self.closing;
        Ok(())
    }

    fn end(mut self, said: Said) -> Result<(), Misuse> {
        self.ended = true;
        self.connection.say(said);
        Ok(())
    }

    fn push_length(&mut self, n: u64) {
        self.length = Some(n);
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = n;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.push("Content-Length", &digits[at..]);
    }

    fn push(&mut self, name: &str, value: &[u8]) {
        if self.begun && self.misuse.is_none() && !self.is_simple() {
            push_field(name, value, self.outbox.bytes_mut());
        }
    }

    fn is_simple(&self) -> bool {
        self.connection.request.version == Version::Http09
    }

    /// HEAD, 204, 205 and 304: the answer ends with its head (RFC 9110 §6.4.1).
    fn has_no_body(&self) -> bool {
        self.connection.request.is_head || self.status_has_no_body()
    }

    fn status_has_no_body(&self) -> bool {
        matches!(self.status, 100..=199 | 204 | 205 | 304)
    }

    /// RFC 9110 §8.6: none on 1xx and 204; a 205 says that it is empty.
    fn forbids_length(&self, n: u64) -> bool {
        matches!(self.status, 100..=199 | 204) || self.status == 205 && n > 0
    }
}

impl Drop for Response<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.outbox.bytes_mut().truncate(self.start);
        }
    }
}
