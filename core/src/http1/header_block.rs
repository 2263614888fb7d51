//! A block of response headers that is validated once and appended many times.
//!
//! A server that sends the same file again and again would check and write the same headers each
//! time. A [`HeaderBlock`] holds their lines. Each was checked when it was added, by the rules of
//! [`Response::header`](super::Response::header): no name or value can split the response, and only
//! the state machine writes headers for framing. The one exception is `Content-Length`: the block
//! knows its value, and the ending of the response must have the same length. So a block cannot
//! break the framing, and [`Response::header_block`](super::Response::header_block) appends it with
//! one copy.
//!
//! ```
//! use doorstep_core::http1::{Connection, HeaderBlock, Limits, Misuse, Outbox};
//!
//! let block = HeaderBlock::new().header("Content-Type", "text/plain")?.content_length(2)?;
//! assert_eq!(block.clone().header("X", "a\r\nSet-Cookie: b"), Err(Misuse::BadHeader));
//!
//! let (mut connection, mut outbox) = (Connection::new(Limits::default()), Outbox::new(""));
//! connection.advance(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
//! let wrong = connection.respond(200, &mut outbox).header_block(&block).body(b"longer");
//! assert_eq!(wrong, Err(Misuse::BodyTooLong));
//! connection.respond(200, &mut outbox).header_block(&block).body(b"hi")?;
//! let sent = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi";
//! assert_eq!(outbox.unsent(), sent);
//! # Ok::<(), Misuse>(())
//! ```

use alloc::vec::Vec;
use core::ops::Range;

use super::error::Misuse;
use super::header::{check_header, push_header};
use crate::bytes::Decimal;

/// Response headers that were validated; see the [module](crate::http1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderBlock {
    lines: Vec<u8>,
    content_length: Option<ContentLength>,
}

/// The `Content-Length` of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ContentLength {
    value: u64,
    /// Where its line is.
    line: Range<usize>,
}

impl HeaderBlock {
    /// A block without headers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a header.
    ///
    /// # Errors
    /// Returns [`Misuse::BadHeader`] if name or value are malformed, and [`Misuse::ReservedHeader`]
    /// if only the state machine may write this header, such as `Connection`.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, Misuse> {
        check_header(name, value.as_ref())?;
        push_header(name, value.as_ref(), &mut self.lines);
        Ok(self)
    }

    /// Adds `Content-Length` at this place.
    ///
    /// # Errors
    /// Returns [`Misuse::ReservedHeader`] if the block has one already.
    pub fn content_length(mut self, n: u64) -> Result<Self, Misuse> {
        if self.content_length.is_some() {
            return Err(Misuse::ReservedHeader);
        }
        let start = self.lines.len();
        push_header("Content-Length", Decimal::new(n).as_bytes(), &mut self.lines);
        self.content_length = Some(ContentLength { value: n, line: start..self.lines.len() });
        Ok(self)
    }

    /// Frees the memory that further headers would take.
    #[must_use]
    pub fn shrink_to_fit(mut self) -> Self {
        self.lines.shrink_to_fit();
        self
    }

    /// The header lines, each with its line end.
    #[must_use]
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// The value of `Content-Length`, if the block has one.
    pub(super) fn length(&self) -> Option<u64> {
        self.content_length.as_ref().map(|length| length.value)
    }

    /// The lines before and after `Content-Length`; all of them are before it if there is none.
    pub(super) fn around_length(&self) -> (&[u8], &[u8]) {
        let end = self.lines.len();
        let line = self.content_length.as_ref().map_or(end..end, |length| length.line.clone());
        (&self.lines[..line.start], &self.lines[line.end..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::{Connection, Limits, Outbox, Response};

    fn block() -> HeaderBlock {
        let block = HeaderBlock::new().header("A", "1").unwrap();
        block.content_length(3).unwrap().header("B", "2").unwrap().shrink_to_fit()
    }

    /// What is sent in response to `request`, or the misuse, after which nothing is sent.
    fn sent(
        request: &str,
        status: u16,
        respond: impl FnOnce(Response<'_>) -> Result<(), Misuse>,
    ) -> Result<String, Misuse> {
        let (mut connection, mut outbox) = (Connection::new(Limits::default()), Outbox::new(""));
        connection.advance(request.as_bytes()).unwrap();
        let result = respond(connection.respond(status, &mut outbox));
        let text = String::from_utf8(outbox.unsent().to_vec()).unwrap();
        assert_eq!(result.is_err(), text.is_empty(), "{text}");
        result.map(|()| text)
    }

    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    #[test]
    fn a_block_is_what_the_same_headers_one_by_one_are() {
        for request in [
            GET,
            "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
            "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "GET /\r\n",
        ] {
            for status in [200, 206, 404] {
                let one_by_one = sent(request, status, |response| {
                    response.header("A", "1").content_length(3).header("B", "2").body(b"abc")
                });
                let block =
                    sent(request, status, |response| response.header_block(&block()).body(b"abc"));
                assert_eq!(block, one_by_one, "{request}");
            }
        }
        let headers = "A: 1\r\nContent-Length: 3\r\nB: 2\r\n";
        assert_eq!(block().lines(), headers.as_bytes());
    }

    #[test]
    fn rfc_9112_6_the_length_of_a_block_is_that_of_the_body() {
        let misuse = |status, respond: fn(Response<'_>, &HeaderBlock) -> Result<(), Misuse>| {
            sent(GET, status, |response| respond(response, &block())).err()
        };
        assert_eq!(misuse(200, |r, b| r.header_block(b).sized_body(4)), Some(Misuse::BodyTooLong));
        assert_eq!(misuse(200, |r, b| r.header_block(b).body(b"")), Some(Misuse::BodyTooShort));
        let reserved = Some(Misuse::ReservedHeader);
        assert_eq!(misuse(200, |r, b| r.header_block(b).streamed_body()), reserved);
        assert_eq!(misuse(200, |r, b| r.header_block(b).header_block(b).body(b"abc")), reserved);
        assert_eq!(misuse(200, |r, b| r.content_length(3).header_block(b).body(b"abc")), reserved);
        assert_eq!(misuse(200, |r, b| r.header_block(b).content_length(3).body(b"abc")), reserved);
        assert_eq!(misuse(204, |r, b| r.header_block(b).body(b"")), reserved);
        assert_eq!(misuse(205, |r, b| r.header_block(b).body(b"")), reserved);
        assert_eq!(misuse(200, |r, b| r.header_block(b).body(b"abc")), None);
        assert_eq!(block().content_length(3), Err(Misuse::ReservedHeader));
    }

    #[test]
    fn b_065_what_a_response_refuses_a_block_refuses() {
        for (name, value, misuse) in [
            ("X", "a\r\nB: c", Misuse::BadHeader),
            ("X", "a\nb", Misuse::BadHeader),
            ("X", "\0", Misuse::BadHeader),
            ("X Y", "a", Misuse::BadHeader),
            ("", "a", Misuse::BadHeader),
            ("content-length", "1", Misuse::ReservedHeader),
            ("Transfer-Encoding", "chunked", Misuse::ReservedHeader),
            ("Connection", "close", Misuse::ReservedHeader),
            ("Upgrade", "x", Misuse::ReservedHeader),
            ("Trailer", "x", Misuse::ReservedHeader),
        ] {
            assert_eq!(HeaderBlock::new().header(name, value), Err(misuse), "{name}");
        }
    }

    #[test]
    fn a_part_has_the_same_headers_and_its_own_length() {
        let part = sent(GET, 206, |response| response.header_block_sized(&block(), 1).body(b"a"));
        let expected = "HTTP/1.1 206 Partial Content\r\nA: 1\r\nContent-Length: 1\r\nB: 2\r\n\r\na";
        assert_eq!(part.as_deref(), Ok(expected));
        let long = sent(GET, 206, |response| response.header_block_sized(&block(), 1).body(b"ab"));
        assert_eq!(long, Err(Misuse::BodyTooLong));
    }
}
