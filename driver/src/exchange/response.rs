//! An answer in the making, as a handler sees it: the core's builder with `io::Result` endings,
//! and the note of what was answered that the access log wants. Shared by both drivers: nothing
//! here waits, an answer goes to the outbox.

use std::io;

use doorstep_core::{http1, page};

/// What was answered, for the access log.
#[derive(Debug, Clone, Default)]
pub struct ResponseRecord {
    /// The status; 0 before there is an answer.
    pub status: u16,
    /// Bytes of body, as far as they went.
    pub bytes: u64,
    /// The reason phrase of an error page.
    pub error: Option<Vec<u8>>,
    /// The client has left: reading its request or sending the response failed.
    pub disconnected: bool,
    /// It was given up before it was whole.
    pub aborted: bool,
}

/// An answer in the making; one of its endings sends it.
#[must_use = "an answer is sent by its ending: body, sized, stream, page, upgrade or tunnel"]
pub struct Response<'a> {
    core: http1::Response<'a>,
    record: &'a mut ResponseRecord,
    status: u16,
    reason: Option<&'a [u8]>,
    sends_body: bool,
}

impl<'a> Response<'a> {
    /// Over the core's builder for `status`; `record` is filled in by the ending. To a HEAD request
    /// no body is sent, and none is counted.
    pub fn new(
        core: http1::Response<'a>,
        status: u16,
        sends_body: bool,
        record: &'a mut ResponseRecord,
    ) -> Self {
        Self { core, record, status, reason: None, sends_body }
    }

    /// Another reason phrase than the registered one; call it before any field.
    pub fn reason(mut self, phrase: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.reason = Some(phrase.as_ref());
        self.core = self.core.reason(phrase.as_ref());
        self
    }

    /// Adds a field. `Connection: close` closes after this answer; framing is the machine's.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.core = self.core.header(name, value);
        self
    }

    /// Marks an error whose page is not [`Response::error_page`]'s, for the log.
    pub fn log_as_error(self) -> Self {
        let registered = http1::status::reason(self.status).as_bytes();
        self.record.error = Some(self.reason.unwrap_or(registered).to_vec());
        self
    }

    /// Writes Content-Length at this place among the fields; the ending must agree.
    pub fn content_length(mut self, n: u64) -> Self {
        self.core = self.core.content_length(n);
        self
    }

    /// Ends the answer with this body.
    ///
    /// # Errors
    /// [`http1::Misuse`] inside an [`io::Error`]; nothing is sent then. So for every ending.
    pub fn body(self, body: impl AsRef<[u8]>) -> io::Result<()> {
        self.core.body(body.as_ref())?;
        self.record.status = self.status;
        self.record.bytes = if self.sends_body { body.as_ref().len() as u64 } else { 0 };
        Ok(())
    }

    /// Ends the head with a promise of `n` bytes, which the exchange then sends.
    ///
    /// # Errors
    /// As of [`Response::body`].
    pub fn sized_body(self, n: u64) -> io::Result<()> {
        self.core.sized_body(n)?;
        self.record.status = self.status;
        Ok(())
    }

    /// Ends the head of an answer of unknown length, which the exchange then sends and ends.
    ///
    /// # Errors
    /// As of [`Response::body`].
    pub fn streamed_body(self) -> io::Result<()> {
        self.core.streamed_body()?;
        self.record.status = self.status;
        Ok(())
    }

    /// Ends the answer with the page for its status. `explain` is a sentence for people; empty for
    /// the status table's own.
    ///
    /// # Errors
    /// As of [`Response::body`].
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

    /// Ends a 101: the connection is `protocol`'s from here on.
    ///
    /// # Errors
    /// As of [`Response::body`].
    pub fn upgrade(self, protocol: &str) -> io::Result<()> {
        self.core.upgrade(protocol)?;
        self.record.status = self.status;
        Ok(())
    }

    /// Ends a 2xx to CONNECT: the connection is a tunnel from here on.
    ///
    /// # Errors
    /// As of [`Response::body`].
    pub fn tunnel(self) -> io::Result<()> {
        self.core.tunnel()?;
        self.record.status = self.status;
        Ok(())
    }
}
