//! The builder of a response, as handlers use it: that of the core with `io::Result`, and the
//! record for the access log. Nothing here waits: a response is appended to the outbox.

use std::io;

use doorstep_core::{http1, page};

/// The properties of a response that the access log shows.
#[derive(Debug, Clone, Default)]
pub struct ResponseRecord {
    /// The status; 0 before the response has begun.
    pub status: u16,
    /// The number of bytes of the body that were appended or sent.
    pub bytes: u64,
    /// The reason phrase of an error page.
    pub error: Option<Vec<u8>>,
    /// Whether the client has disconnected: reading its request or sending the response has failed.
    pub disconnected: bool,
    /// Whether it was aborted before it was complete.
    pub aborted: bool,
}

/// The builder of a response. Its last method appends the response to the outbox: one of
/// [`body`](Response::body), [`sized_body`](Response::sized_body),
/// [`streamed_body`](Response::streamed_body), [`error_page`](Response::error_page),
/// [`upgrade`](Response::upgrade) and [`tunnel`](Response::tunnel).
#[must_use = "a response is sent by its last method, such as body or error_page"]
pub struct Response<'a> {
    core: http1::Response<'a>,
    record: &'a mut ResponseRecord,
    status: u16,
    reason: Option<&'a [u8]>,
    sends_body: bool,
}

impl<'a> Response<'a> {
    /// A builder on that of the core for `status`. The last method fills in `record`; bytes of the
    /// body are counted only if `sends_body`, which is false for the response to a HEAD request.
    pub fn new(
        core: http1::Response<'a>,
        status: u16,
        sends_body: bool,
        record: &'a mut ResponseRecord,
    ) -> Self {
        Self { core, record, status, reason: None, sends_body }
    }

    /// Sets a reason phrase other than the registered one. To be called before any header.
    pub fn reason(mut self, phrase: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.reason = Some(phrase.as_ref());
        self.core = self.core.reason(phrase.as_ref());
        self
    }

    /// Adds a header. `Connection: close` closes the connection after this response. Headers of the
    /// framing are errors ([`http1::Misuse`]), which the last method returns.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.core = self.core.header(name, value);
        self
    }

    /// Has the access log show the reason phrase, as for [`Response::error_page`], for an error
    /// with another page.
    pub fn log_as_error(self) -> Self {
        let registered = http1::status::reason(self.status).as_bytes();
        self.record.error = Some(self.reason.unwrap_or(registered).to_vec());
        self
    }

    /// Writes Content-Length at this position among the headers. The body must have this length.
    pub fn content_length(mut self, n: u64) -> Self {
        self.core = self.core.content_length(n);
        self
    }

    /// Completes the response with this body.
    ///
    /// # Errors
    /// Returns [`http1::Misuse`] inside an [`io::Error`] if a header is invalid, the body has not
    /// the announced length, or a response was sent already. Then nothing is sent.
    pub fn body(self, body: impl AsRef<[u8]>) -> io::Result<()> {
        self.core.body(body.as_ref())?;
        self.record.status = self.status;
        self.record.bytes = if self.sends_body { body.as_ref().len() as u64 } else { 0 };
        Ok(())
    }

    /// Ends the head of a response with a body of `n` bytes, which is to be sent by the exchange.
    ///
    /// # Errors
    /// Returns the same errors as [`Response::body`].
    pub fn sized_body(self, n: u64) -> io::Result<()> {
        self.core.sized_body(n)?;
        self.record.status = self.status;
        Ok(())
    }

    /// Ends the head of a response with a body of unknown length, which is to be sent and ended by
    /// the exchange: chunked, or until the connection closes (RFC 9112 §6.3).
    ///
    /// # Errors
    /// Returns the same errors as [`Response::body`].
    pub fn streamed_body(self) -> io::Result<()> {
        self.core.streamed_body()?;
        self.record.status = self.status;
        Ok(())
    }

    /// Completes the response with the error page of its status. `explain` is a sentence for the
    /// page; if it is empty, that of the status is used.
    ///
    /// # Errors
    /// Returns the same errors as [`Response::body`].
    pub fn error_page(mut self, explain: &str) -> io::Result<()> {
        if matches!(self.status, 100..=199 | 204 | 205 | 304) {
            return self.body(b""); // B-085
        }
        let registered = http1::status::reason(self.status).as_bytes();
        let explain =
            if explain.is_empty() { http1::status::explain(self.status) } else { explain };
        let reason = self.reason.unwrap_or(registered);
        let mut page = Vec::new();
        page::error(&mut page, self.status, reason, explain);
        self.record.error = Some(reason.to_vec());
        self = self.header("Content-Type", page::CONTENT_TYPE);
        self.body(page)
    }

    /// Completes a 101 (RFC 9110 §7.8): from now on the connection uses `protocol`.
    ///
    /// # Errors
    /// Returns the same errors as [`Response::body`].
    pub fn upgrade(self, protocol: &str) -> io::Result<()> {
        self.core.upgrade(protocol)?;
        self.record.status = self.status;
        Ok(())
    }

    /// Completes a 2xx to CONNECT (RFC 9110 §9.3.6): from now on the connection is a tunnel.
    ///
    /// # Errors
    /// Returns the same errors as [`Response::body`].
    pub fn tunnel(self) -> io::Result<()> {
        self.core.tunnel()?;
        self.record.status = self.status;
        Ok(())
    }
}
