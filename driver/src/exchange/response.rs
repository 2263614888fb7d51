//! A response in the making, as a handler sees it: the core's builder, whose misuse is an
//! [`io::Error`] here. Nothing waits: a response is written to the outbox.

use std::io::{self, ErrorKind};

use doorstep_core::http1;

/// A response in the making; one of its endings writes it. Dropped before that, it writes nothing.
///
/// To a HEAD request, and with the statuses 204, 205 and 304, no body is sent (RFC 9110 §6.4.1).
#[must_use = "an ending writes the response: body, sized_body, streamed_body, error_page, upgrade or tunnel"]
pub struct Response<'a> {
    core: http1::Response<'a>,
    /// Whether the connection is encrypted: there is no socket for another protocol.
    is_encrypted: bool,
}

impl<'a> Response<'a> {
    pub(super) fn new(core: http1::Response<'a>, is_encrypted: bool) -> Self {
        Self { core, is_encrypted }
    }

    /// The core's builder.
    pub(crate) fn into_core(self) -> http1::Response<'a> {
        self.core
    }

    /// Sets a reason phrase other than the registered one. Must come before any header.
    pub fn reason(mut self, phrase: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.core = self.core.reason(phrase.as_ref());
        self
    }

    /// Leaves out a `Content-Security-Policy` of [`Config::headers`](crate::Config::headers), for a page that
    /// has one of its own: browsers apply all that they get. Must come before any header.
    pub fn without_default_policy(mut self) -> Self {
        self.core = self.core.without_default_policy();
        self
    }

    /// Adds a header. `Connection: close` closes the connection after this response. Other headers of
    /// framing (`Content-Length`, `Transfer-Encoding`, `Upgrade`) are refused: the endings write them.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.core = self.core.header(name, value);
        self
    }

    /// Adds headers that were validated before: a server that sends the same ones often saves checking
    /// and writing each of them. If the block has a Content-Length, the ending must have the same.
    pub fn header_block(mut self, block: &http1::HeaderBlock) -> Self {
        self.core = self.core.header_block(block);
        self
    }

    /// Marks the response as an error, for the log, if its page is not that of
    /// [`Response::error_page`].
    pub fn log_as_error(mut self) -> Self {
        self.core = self.core.mark_error();
        self
    }

    /// Writes Content-Length, in bytes, at this place among the headers. The ending must agree.
    pub fn content_length(mut self, n: u64) -> Self {
        self.core = self.core.content_length(n);
        self
    }

    /// Ends the response with this body.
    ///
    /// # Errors
    /// Returns an [`io::Error`] with an [`http1::Misuse`] inside if no response is due, or if a header
    /// or the length is not valid. Nothing is sent then. The same is true for every ending.
    pub fn body(self, body: impl AsRef<[u8]>) -> io::Result<()> {
        Ok(self.core.body(body.as_ref())?)
    }

    /// Ends the head with the promise of a body of `n` bytes, which the exchange then sends.
    ///
    /// # Errors
    /// As for [`Response::body`].
    pub fn sized_body(self, n: u64) -> io::Result<()> {
        Ok(self.core.sized_body(n)?)
    }

    /// Ends the head of a response whose length is not known. The exchange then sends the body and
    /// ends it. It is chunked for HTTP/1.1, and ends with the connection for HTTP/1.0.
    ///
    /// # Errors
    /// As for [`Response::body`].
    pub fn streamed_body(self) -> io::Result<()> {
        Ok(self.core.streamed_body()?)
    }

    /// Ends the response with the error page of its status. `explain` is a sentence for people; if it
    /// is empty, the page has the one of the status.
    ///
    /// # Errors
    /// As for [`Response::body`].
    pub fn error_page(self, explain: &str) -> io::Result<()> {
        Ok(self.core.error_page(explain)?)
    }

    /// As [`Response::error_page`], with a page that was rendered before. If it is that of another
    /// status or reason, or if [`Config::error_pages`](crate::Config::error_pages) has others, the page
    /// is rendered now.
    ///
    /// # Errors
    /// As for [`Response::body`].
    pub fn prepared_error_page(self, page: &http1::PreparedErrorPage) -> io::Result<()> {
        Ok(self.core.prepared_error_page(page)?)
    }

    /// Ends a 101: the connection speaks `protocol` from here on (RFC 9110 §7.8).
    ///
    /// # Errors
    /// As for [`Response::body`]. On an encrypted connection, which has no socket for another protocol,
    /// returns [`ErrorKind::Unsupported`], and nothing is sent.
    pub fn upgrade(self, protocol: &str) -> io::Result<()> {
        self.check_socket()?;
        Ok(self.core.upgrade(protocol)?)
    }

    /// Ends a 2xx to CONNECT: the connection is a tunnel from here on (RFC 9110 §9.3.6).
    ///
    /// # Errors
    /// As for [`Response::upgrade`].
    pub fn tunnel(self) -> io::Result<()> {
        self.check_socket()?;
        Ok(self.core.tunnel()?)
    }

    fn check_socket(&self) -> io::Result<()> {
        match self.is_encrypted {
            true => Err(io::Error::new(
                ErrorKind::Unsupported,
                "the connection is encrypted: it has no socket for another protocol",
            )),
            false => Ok(()),
        }
    }
}
