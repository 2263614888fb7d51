//! The response builder: status, headers, and exactly one ending.
//!
//! The caller sets the status and the headers of its choice. The builder writes what the connection
//! requires: framing, `Connection`, and the rules of HEAD, 204, 304, HTTP/1.0 and HTTP/0.9. It
//! writes directly into the outbox. A response is sent as a whole or not at all: if the builder is
//! dropped without an ending, or ends in a [`Misuse`], the outbox is restored.
//!
//! ```
//! use doorstep_core::http1::{Connection, Limits, Misuse, Outbox};
//!
//! let mut connection = Connection::new(Limits::default());
//! let mut outbox = Outbox::new("");
//! connection.advance(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
//!
//! let split = connection.respond(200, &mut outbox).header("X", "a\r\nSet-Cookie: b").body(b"");
//! assert_eq!(split, Err(Misuse::BadHeader));
//! assert!(outbox.is_empty());
//!
//! connection.respond(200, &mut outbox).header("X", "a").body(b"").unwrap();
//! assert_eq!(outbox.unsent(), b"HTTP/1.1 200 OK\r\nX: a\r\nContent-Length: 0\r\n\r\n");
//! ```

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::connection::{Connection, LastResponse, ResponseFraming};
use super::error::{Misuse, Reject};
use super::error_pages::{ErrorPage, PreparedErrorPage};
use super::head::Version;
use super::header::{
    check_header, is_header_value, push_content_length, push_header, push_status_line,
};
use super::header_block::HeaderBlock;
use super::outbox::Outbox;
use super::state::{SendEvent, SendState};
use super::status;
use crate::bytes::{is_name, list_members};

/// A response being built; see the [module](crate::http1). [`Connection::respond`] begins one, and
/// one of its endings sends it.
///
/// ```
/// use doorstep_core::http1::{Connection, Limits, Misuse, Outbox};
///
/// let (mut connection, mut outbox) = (Connection::new(Limits::default()), Outbox::new(""));
/// connection.advance(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
/// connection.respond(200, &mut outbox).header("Content-Type", "text/plain").streamed_body()?;
/// connection.send(b"hi", &mut outbox)?;
/// connection.end(&mut outbox)?;
/// assert!(outbox.unsent().ends_with(b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"));
/// # Ok::<(), Misuse>(())
/// ```
#[must_use = "a response is sent by its ending: body, sized_body, streamed_body, error_page, upgrade or tunnel"]
pub struct Response<'a> {
    connection: &'a mut Connection,
    outbox: &'a mut Outbox,
    status: u16,
    /// Where the outbox ended before this response.
    start: usize,
    reason: Option<&'a [u8]>,
    /// The same phrase, if the record need not copy it.
    static_reason: Option<&'static str>,
    head_begun: bool,
    ended: bool,
    close: bool,
    /// `Connection: close` was written.
    close_written: bool,
    length: Option<u64>,
    misuse: Option<Misuse>,
    is_error: bool,
    record: Option<&'a mut SentResponse>,
}

/// What a response sent, for an access log. The ending of a [`Response`] fills it in after
/// [`Response::record`]; before that, everything is zero or empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SentResponse {
    /// The status; 0 if no response was sent.
    pub status: u16,
    /// Bytes of the body in the outbox. Add what [`Connection::send`] and [`Connection::body_sent`]
    /// send afterwards.
    pub body_bytes: u64,
    /// The reason phrase of an error: after [`Response::error_page`] or [`Response::mark_error`].
    pub error_reason: Option<Cow<'static, [u8]>>,
}

impl SentResponse {
    /// The record of a refusal. `line` is the request line, as far as it is known
    /// ([`rejected_request_line`](super::rejected_request_line)); `body_bytes` is the result of
    /// [`Connection::refuse`].
    #[must_use]
    pub fn refused(reject: Reject, line: &[u8], body_bytes: usize) -> Self {
        let mut reason = Vec::new();
        reject.write_reason(line, &mut reason);
        let (status, body_bytes) = (reject.status(), body_bytes as u64);
        Self { status, body_bytes, error_reason: Some(reason.into()) }
    }
}

impl Connection {
    /// Begins the response that is due. `status` is a final one, or 101 before
    /// [`Response::upgrade`].
    pub fn respond<'a>(&'a mut self, status: u16, outbox: &'a mut Outbox) -> Response<'a> {
        let misuse = match self.states.send {
            _ if !(101..=999).contains(&status) => Some(Misuse::BadStatus(status)),
            SendState::ResponseDue => None,
            _ => Some(self.not_due()),
        };
        let (start, closing) = (outbox.bytes_mut().len(), !self.may_keep_alive());
        outbox.set_without_policy(false);
        Response {
            connection: self,
            outbox,
            status,
            start,
            reason: None,
            static_reason: None,
            head_begun: false,
            ended: false,
            close: closing,
            close_written: false,
            length: None,
            misuse,
            is_error: false,
            record: None,
        }
    }
}

impl<'a> Response<'a> {
    /// Sets a reason phrase other than the registered one (B-061, B-080). Must come before any
    /// header.
    pub fn reason(mut self, phrase: &'a [u8]) -> Self {
        if self.head_begun || !is_header_value(phrase) {
            self.misuse.get_or_insert(Misuse::BadHeader);
        }
        self.reason = Some(phrase);
        self
    }

    /// Leaves out the default header `Content-Security-Policy` ([`Outbox::add_default_header`]), for a page
    /// that has one of its own: browsers apply all that they get. Those of [`Outbox::add_header`] are sent.
    /// Must come before any header.
    ///
    /// ```
    /// use doorstep_core::http1::{Connection, Limits, Misuse, Outbox};
    ///
    /// let (mut connection, mut outbox) = (Connection::new(Limits::default()), Outbox::new(""));
    /// outbox.add_default_header("Content-Security-Policy", b"sandbox")?;
    /// connection.advance(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    /// connection.respond(204, &mut outbox).without_default_policy().body(b"")?;
    /// assert_eq!(outbox.unsent(), b"HTTP/1.1 204 No Content\r\n\r\n");
    /// # Ok::<(), Misuse>(())
    /// ```
    pub fn without_default_policy(mut self) -> Self {
        if self.head_begun {
            self.misuse.get_or_insert(Misuse::BadHeader);
        }
        self.outbox.set_without_policy(true);
        self
    }

    /// Adds a header. `Connection: close` closes the connection after this response (B-066);
    /// headers for framing are refused.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.add_header(name, value.as_ref());
        self
    }

    /// Writes Content-Length here, among the headers, and not after them (B-068). The ending must
    /// have the same length.
    pub fn content_length(mut self, n: u64) -> Self {
        if self.length.is_some() || self.forbids_content_length(n) {
            self.misuse.get_or_insert(Misuse::ReservedHeader);
        }
        self.begin_head();
        self.push_content_length(n);
        self
    }

    /// Adds headers that were validated before: as [`Response::header`] for each of them, by one copy.
    /// If the block has a Content-Length, the ending must have the same length.
    pub fn header_block(mut self, block: &HeaderBlock) -> Self {
        if let Some(n) = block.length() {
            if self.length.is_some() || self.forbids_content_length(n) {
                self.misuse.get_or_insert(Misuse::ReservedHeader);
            }
            self.length = Some(n);
        }
        self.push_lines(block.lines());
        self
    }

    /// As [`Response::header_block`], with `n` as Content-Length in the place of that of the block:
    /// for a part of what the block describes.
    pub fn header_block_sized(mut self, block: &HeaderBlock, n: u64) -> Self {
        let (before, after) = block.around_length();
        self.push_lines(before);
        self = self.content_length(n);
        self.push_lines(after);
        self
    }

    /// Fills in `sent` when the response ends without a [`Misuse`]; otherwise `sent` is unchanged.
    ///
    /// ```
    /// use doorstep_core::http1::{Connection, Limits, Outbox, SentResponse};
    ///
    /// let mut connection = Connection::new(Limits::default());
    /// let mut outbox = Outbox::new("");
    /// connection.advance(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    ///
    /// let mut sent = SentResponse::default();
    /// connection.respond(404, &mut outbox).record(&mut sent).error_page("").unwrap();
    /// assert_eq!((sent.status, sent.error_reason.as_deref()), (404, Some(&b"Not Found"[..])));
    /// assert!(sent.body_bytes > 0);
    /// ```
    pub fn record(mut self, sent: &'a mut SentResponse) -> Self {
        self.record = Some(sent);
        self
    }

    /// Marks an error that does not end in [`Response::error_page`], for
    /// [`SentResponse::error_reason`].
    pub fn mark_error(mut self) -> Self {
        self.is_error = true;
        self
    }

    /// Ends the response with this body. Head and body leave in one write.
    ///
    /// # Errors
    /// Returns the first [`Misuse`] of this response; nothing is sent then.
    pub fn body(mut self, body: &[u8]) -> Result<(), Misuse> {
        let no_body = self.has_no_body();
        if no_body && !body.is_empty() && !self.connection.request.is_head {
            self.misuse.get_or_insert(Misuse::NoBodyAllowed);
        }
        // The length of a 304 would be that of the representation, which is not known here (RFC
        // 9110 §8.6).
        let keeps_headers = !no_body || self.connection.request.is_head && self.status != 304;
        self.frame_by_length(body.len() as u64, keeps_headers);
        self.finish_head(false)?;
        let body = if no_body { b"" } else { body };
        self.outbox.bytes_mut().extend_from_slice(body);
        self.connection.response_framing = ResponseFraming::Length; // not that of a response before
        self.end(SendEvent::Response, body.len() as u64)
    }

    /// Ends the head and announces a body of `n` bytes. Pass them to [`Connection::send`], or send
    /// them by other means and report them to [`Connection::body_sent`].
    /// [`Connection::response_due`] is `None` if no bytes are due, as after a HEAD request; passing
    /// them is not an error there.
    ///
    /// # Errors
    /// Returns the first [`Misuse`] of this response; nothing is sent then.
    pub fn sized_body(mut self, n: u64) -> Result<(), Misuse> {
        self.frame_by_length(n, true);
        self.finish_head(false)?;
        self.connection.body_remaining = n;
        self.connection.response_framing = ResponseFraming::Length;
        self.end_before_body(n == 0)
    }

    /// Ends the head of a response of unknown length. Pass the body to [`Connection::send`], then
    /// call [`Connection::end`]. It is chunked for HTTP/1.1 peers; for others, the end of the
    /// connection ends it.
    ///
    /// # Errors
    /// Returns the first [`Misuse`] of this response; nothing is sent then.
    pub fn streamed_body(mut self) -> Result<(), Misuse> {
        let no_body = self.has_no_body();
        let chunked = self.connection.request.version == Version::Http11;
        if no_body && !self.connection.request.is_head {
            self.misuse.get_or_insert(Misuse::NoBodyAllowed);
        }
        if self.length.is_some() {
            self.misuse.get_or_insert(Misuse::ReservedHeader);
        }
        self.close |= !chunked && !no_body;
        self.begin_head();
        if chunked && !self.status_has_no_body() {
            self.push("Transfer-Encoding", b"chunked");
        }
        self.finish_head(false)?;
        self.connection.response_framing = match chunked {
            _ if self.status_has_no_body() => ResponseFraming::Length,
            true => ResponseFraming::Chunked,
            false => ResponseFraming::UntilClose,
        };
        self.end_before_body(false)
    }

    /// Ends the response with the error page for its status (B-082, B-083), or that of
    /// [`Outbox::set_error_pages`]. `explain` is one
    /// sentence; if it is empty, the page has that of [`status::explain`].
    ///
    /// # Errors
    /// Returns the first [`Misuse`] of this response; nothing is sent then.
    pub fn error_page(self, explain: &str) -> Result<(), Misuse> {
        if self.status_has_no_body() {
            return self.body(b""); // B-085
        }
        let explain = if explain.is_empty() { status::explain(self.status) } else { explain };
        let reason = self.reason_phrase();
        let page = ErrorPage { status: self.status, reason, explain };
        let (content_type, page) = self.outbox.error_page(&page);
        self.mark_error().header("Content-Type", content_type.as_bytes()).body(&page)
    }

    /// As [`Response::error_page`] without a sentence of its own, with a page that was rendered before, and
    /// its headers. If it is that of another status or reason, or if [`Outbox::set_error_pages`] has set
    /// others, the page is rendered now.
    ///
    /// # Errors
    /// Returns the first [`Misuse`] of this response; nothing is sent then.
    pub fn prepared_error_page(self, page: &PreparedErrorPage) -> Result<(), Misuse> {
        let is_this = page.is_for(self.status, self.reason_phrase());
        if !is_this || self.outbox.error_pages.is_some() || self.status_has_no_body() {
            return self.header_block(&page.added).error_page("");
        }
        let mut response = self.mark_error().header_block(&page.headers);
        response.static_reason = Some(page.reason);
        response.body(&page.page)
    }

    /// Ends a 101: from here on the connection belongs to `protocol`. The peer must have asked for
    /// an upgrade, and the request's body must have been read.
    ///
    /// # Errors
    /// Returns the first [`Misuse`] of this response; nothing is sent then.
    pub fn upgrade(mut self, protocol: &str) -> Result<(), Misuse> {
        if self.status != 101 {
            self.misuse.get_or_insert(Misuse::BadStatus(self.status));
        } else if !self.connection.request.wants_upgrade || !self.connection.request_is_read() {
            self.misuse.get_or_insert(Misuse::NotRequested);
        } else if !is_header_value(protocol.as_bytes()) {
            self.misuse.get_or_insert(Misuse::BadHeader);
        }
        self.close = false;
        self.begin_head();
        self.push("Connection", b"upgrade");
        self.push("Upgrade", protocol.as_bytes());
        self.finish_head(true)?;
        self.end(SendEvent::SwitchProtocol, 0)
    }

    /// Ends a 2xx to CONNECT: from here on the connection is a tunnel (RFC 9110 §9.3.6). Every other
    /// ending of a 2xx to CONNECT is [`Misuse::TunnelExpected`].
    ///
    /// # Errors
    /// Returns the first [`Misuse`] of this response; nothing is sent then.
    pub fn tunnel(mut self) -> Result<(), Misuse> {
        if !self.connection.request.is_connect || !self.connection.request_is_read() {
            self.misuse.get_or_insert(Misuse::NotRequested);
        } else if !(200..300).contains(&self.status) || self.length.is_some() {
            self.misuse.get_or_insert(Misuse::BadStatus(self.status));
        }
        self.close = false;
        self.begin_head();
        self.finish_head(true)?;
        self.end(SendEvent::SwitchProtocol, 0)
    }

    fn add_header(&mut self, name: &str, value: &[u8]) {
        if is_name(name.as_bytes(), b"connection") {
            if list_members(value).all(|option| option.eq_ignore_ascii_case(b"close")) {
                self.close = true;
            } else if !value.eq_ignore_ascii_case(b"keep-alive") {
                self.misuse.get_or_insert(Misuse::ReservedHeader);
            }
            return;
        }
        // RFC 9110 §15.5.22: a 426 names the protocols in Upgrade. Any other Upgrade belongs to a
        // 101.
        let offers_upgrade =
            self.status == 426 && name.eq_ignore_ascii_case("upgrade") && is_header_value(value);
        match check_header(name, value) {
            Err(misuse) if !offers_upgrade => _ = self.misuse.get_or_insert(misuse),
            _ => {}
        }
        self.begin_head();
        self.push(name, value);
        if offers_upgrade {
            self.push("Connection", b"upgrade");
        }
    }

    /// Writes the status line and the default headers, once.
    fn begin_head(&mut self) {
        if self.head_begun || self.misuse.is_some() {
            return;
        }
        self.head_begun = true;
        if self.is_http09() {
            return; // B-017, B-070: HTTP/0.9 responses have no head
        }
        let minor = if self.connection.our_version == Version::Http11 { b'1' } else { b'0' };
        push_status_line(minor, self.status, self.reason, self.outbox.bytes_mut());
        self.outbox.push_default_headers();
        if self.close {
            self.push_close();
        }
    }

    /// `Connection: close`: for peers that would otherwise keep the connection, and on errors as in
    /// `http.server` (B-069, B-082).
    fn push_close(&mut self) {
        let Connection { request, our_version: protocol, .. } = &self.connection;
        // HTTP/1.1 in the status line means keep-alive, also for an HTTP/1.0 client that asked for
        // it, such as a proxy (RFC 9112 §9.3).
        let would_keep_alive = *protocol == Version::Http11 && !request.is_last;
        if request.version == Version::Http11 || would_keep_alive || self.status >= 400 {
            self.push("Connection", b"close");
        }
        self.close_written = true;
    }

    fn frame_by_length(&mut self, n: u64, keeps_headers: bool) {
        if self.length.is_some_and(|length| length != n) {
            self.misuse.get_or_insert(if self.length < Some(n) {
                Misuse::BodyTooLong
            } else {
                Misuse::BodyTooShort
            });
        }
        self.begin_head();
        if self.length.is_some() || !keeps_headers && self.status != 205 {
            return;
        }
        if self.forbids_content_length(n) {
            if n > 0 {
                self.misuse.get_or_insert(Misuse::NoBodyAllowed);
            }
            return;
        }
        self.push_content_length(n);
    }

    /// Writes the last headers and the empty line. Responses that switch protocols have no
    /// `Connection: close`.
    fn finish_head(&mut self, switching: bool) -> Result<(), Misuse> {
        if self.status < 200 && !switching {
            self.misuse.get_or_insert(Misuse::BadStatus(self.status));
        }
        // RFC 9110 §9.3.6: what follows a 2xx to CONNECT is the tunnel's, so no framing may be sent.
        if self.connection.request.is_connect && (200..300).contains(&self.status) && !switching {
            self.misuse.get_or_insert(Misuse::TunnelExpected);
        }
        if let Some(misuse) = self.misuse {
            return Err(misuse); // the drop restores the outbox
        }
        if switching || self.is_http09() {
        } else if self.close && !self.close_written {
            self.push_close();
        } else if !self.close && self.connection.request.version == Version::Http10 {
            self.push("Connection", b"keep-alive"); // B-044
        }
        if !self.is_http09() {
            self.outbox.bytes_mut().extend_from_slice(b"\r\n");
        }
        self.connection.request.keep_alive &= !self.close;
        Ok(())
    }

    /// The whole response, or its head, is in the outbox: records it.
    fn end(mut self, event: SendEvent, body_bytes: u64) -> Result<(), Misuse> {
        self.ended = true;
        self.outbox.clear_headers(); // they are in this response
        let error_reason = self.is_error.then(|| match (self.static_reason, self.reason) {
            (None, Some(phrase)) => Cow::Owned(phrase.to_vec()),
            (phrase, _) => Cow::Borrowed(phrase.unwrap_or(status::reason(self.status)).as_bytes()),
        });
        if let Some(record) = &mut self.record {
            **record = SentResponse { status: self.status, body_bytes, error_reason };
        }
        self.connection.on_send(event);
        Ok(())
    }

    /// Ends a response whose body follows, unless it is empty or is not sent.
    fn end_before_body(self, is_empty: bool) -> Result<(), Misuse> {
        if is_empty || self.status_has_no_body() {
            return self.end(SendEvent::Response, 0);
        }
        if self.connection.request.is_head {
            self.connection.last_response = LastResponse::BodyOmitted;
            return self.end(SendEvent::Response, 0);
        }
        self.end(SendEvent::ResponseWithBody, 0)
    }

    fn reason_phrase(&self) -> &'a [u8] {
        self.reason.unwrap_or(status::reason(self.status).as_bytes())
    }

    fn push_content_length(&mut self, n: u64) {
        self.length = Some(n);
        if self.writes_headers() {
            push_content_length(n, self.outbox.bytes_mut());
        }
    }

    fn push(&mut self, name: &str, value: &[u8]) {
        if self.writes_headers() {
            push_header(name, value, self.outbox.bytes_mut());
        }
    }

    /// Appends header lines that were checked.
    fn push_lines(&mut self, lines: &[u8]) {
        self.begin_head();
        if self.writes_headers() {
            self.outbox.bytes_mut().extend_from_slice(lines);
        }
    }

    fn writes_headers(&self) -> bool {
        self.head_begun && self.misuse.is_none() && !self.is_http09()
    }

    fn is_http09(&self) -> bool {
        self.connection.request.version == Version::Http09
    }

    /// HEAD, 204, 205 and 304: the response has no body (RFC 9110 §6.4.1).
    fn has_no_body(&self) -> bool {
        self.connection.request.is_head || self.status_has_no_body()
    }

    fn status_has_no_body(&self) -> bool {
        matches!(self.status, 100..=199 | 204 | 205 | 304)
    }

    /// RFC 9110 §8.6: no Content-Length on 1xx and 204; a 205 has an empty body.
    fn forbids_content_length(&self, n: u64) -> bool {
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
