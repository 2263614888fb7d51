//! Two kinds of error: [`Reject`] for faults of the peer, [`Misuse`] for faults of the caller.
//!
//! A `Reject` names the rule that the peer broke and has the status to respond with. It is `Copy`
//! and holds no text, so it costs nothing and can be compared. A `Misuse` names the rule that the
//! caller broke while sending a response; no peer can cause one.
//!
//! ```
//! use doorstep_core::http1::Reject;
//!
//! assert_eq!(Reject::LengthAndTransferEncoding.status(), 400);
//! assert_eq!(Reject::UriTooLong.status(), 414);
//! ```

use alloc::vec::Vec;
use core::fmt;

use crate::bytes::push_hex;

/// A rule that the peer broke. The connection closes after [`crate::http1::Connection::refuse`].
///
/// [`Connection::advance`] and [`Connection::next`] return it, for the head of a request and then
/// for its body. What a limit or a rule of a head yields comes instead of [`Event::Request`]:
/// [`BadSyntax`] to [`BadExpectation`], and [`BodyTooLarge`] for a Content-Length. Instead of
/// [`Event::Body`] or [`Event::End`] come [`BodyTooLarge`] for chunks and [`BadChunk`] to
/// [`Truncated`]. `next` also returns [`HeadTooLarge`] or [`TrailersTooLarge`] if the inbox is full.
/// No call returns [`RequestTimeout`] and [`PlainHttpOnTls`]: they are the caller's to pass to
/// `refuse`.
///
/// [`Connection::advance`]: crate::http1::Connection::advance
/// [`Connection::next`]: crate::http1::Connection::next
/// [`Event::Request`]: crate::http1::Event::Request
/// [`Event::Body`]: crate::http1::Event::Body
/// [`Event::End`]: crate::http1::Event::End
/// [`BadSyntax`]: Reject::BadSyntax
/// [`BadExpectation`]: Reject::BadExpectation
/// [`BodyTooLarge`]: Reject::BodyTooLarge
/// [`BadChunk`]: Reject::BadChunk
/// [`Truncated`]: Reject::Truncated
/// [`HeadTooLarge`]: Reject::HeadTooLarge
/// [`TrailersTooLarge`]: Reject::TrailersTooLarge
/// [`RequestTimeout`]: Reject::RequestTimeout
/// [`PlainHttpOnTls`]: Reject::PlainHttpOnTls
///
/// ```
/// use doorstep_core::http1::{Connection, Limits, Outbox, Reject};
///
/// let (mut connection, mut outbox) = (Connection::new(Limits::default()), Outbox::new(""));
/// let input = b"GET / HTTP/1.1\r\n\r\n";
/// let reject = connection.advance(input).map(drop).unwrap_err();
/// assert_eq!((reject, reject.status()), (Reject::BadHost, 400));
/// connection.refuse(reject, input, &mut outbox);
/// assert!(outbox.unsent().starts_with(b"HTTP/1.1 400 Bad Request\r\n"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reject {
    /// The request line has the wrong number of words, or a byte that is not allowed (B-014): 400.
    BadSyntax,
    /// Too many empty lines before a request line (B-007): 400.
    TooManyEmptyLines,
    /// The last word of the request line is not an HTTP version (B-009): 400.
    BadVersion,
    /// The HTTP version is not supported (B-011, B-018): 505.
    UnsupportedVersion,
    /// A request line without a version is not a GET (B-016): 400.
    BadSimpleRequest,
    /// The method is not a token (B-023): 400.
    BadMethod,
    /// The target has none of the four forms, or not the form that its method requires (B-025):
    /// 400.
    BadTarget,
    /// The request line is too long (B-003): 414.
    UriTooLong,
    /// A header line is too long (B-030): 431.
    HeaderLineTooLong,
    /// The head is too long (B-030): 431.
    HeadTooLarge,
    /// The head has too many headers (B-031): 431.
    TooManyHeaders,
    /// A header line is malformed: no colon, white space before it, line folding (obs-fold), or a
    /// control character (B-035 to B-038): 400.
    BadHeader,
    /// An HTTP/1.1 request has no Host, or a request has several or a malformed one (B-027): 400.
    BadHost,
    /// Content-Length is repeated, a list, signed, empty or greater than 64 bits: 400.
    BadContentLength,
    /// Transfer-Encoding is malformed, repeats `chunked` or does not end in it: 400.
    BadTransferEncoding,
    /// Transfer-Encoding names a transfer coding that is not supported: 501.
    UnsupportedTransferCoding,
    /// Both Content-Length and Transfer-Encoding, as in request smuggling: 400.
    LengthAndTransferEncoding,
    /// Transfer-Encoding on a request older than HTTP/1.1: 400.
    TransferEncodingBefore11,
    /// An expectation other than 100-continue (B-052): 417.
    BadExpectation,
    /// What trusted proxies report about the client is malformed or contradictory
    /// ([`forwarded`](crate::forwarded)): 400. Only callers use it.
    BadForwarded,
    /// The body is too large: 413.
    BodyTooLarge,
    /// The framing of a chunk is malformed: 400.
    BadChunk,
    /// A chunked body has too much framing for its payload: 400.
    ChunkOverhead,
    /// The trailer section is malformed: 400.
    BadTrailer,
    /// The trailer section is too long: 431.
    TrailersTooLarge,
    /// The input ended inside a body: 400.
    Truncated,
    /// The peer was too slow: 408. Only callers use it, as the state machine has no clock.
    RequestTimeout,
    /// A request that is not encrypted was sent to a port of HTTPS: 400. Only callers use it, as the
    /// state machine receives plaintext in any case.
    PlainHttpOnTls,
}

impl Reject {
    /// The status to respond with.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::UnsupportedVersion => 505,
            Self::UriTooLong => 414,
            Self::HeaderLineTooLong
            | Self::HeadTooLarge
            | Self::TooManyHeaders
            | Self::TrailersTooLarge => 431,
            Self::UnsupportedTransferCoding => 501,
            Self::BadExpectation => 417,
            Self::BodyTooLarge => 413,
            Self::RequestTimeout => 408,
            _ => 400,
        }
    }

    /// One sentence for the error page.
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Self::BadSyntax => "The request line could not be understood.",
            Self::TooManyEmptyLines => "There are too many empty lines before the request line.",
            Self::BadVersion => "The request line does not end in an HTTP version.",
            Self::UnsupportedVersion => "This server supports HTTP/1.1 and HTTP/1.0.",
            Self::BadSimpleRequest => "A request without an HTTP version must be a GET.",
            Self::BadMethod => "The method is not a token.",
            Self::BadTarget => "The request target does not have a form that the method allows.",
            Self::UriTooLong => "The request line is longer than this server reads.",
            Self::HeaderLineTooLong => "A header line is longer than this server reads.",
            Self::HeadTooLarge => "The header section is longer than this server reads.",
            Self::TooManyHeaders => "There are more headers than this server reads.",
            Self::BadHeader => "A header line is malformed.",
            Self::BadHost => "There must be exactly one valid Host header.",
            Self::BadContentLength => "Content-Length must be one decimal number.",
            Self::BadTransferEncoding => "Transfer-Encoding must be exactly chunked.",
            Self::UnsupportedTransferCoding => "This transfer coding is not supported.",
            Self::LengthAndTransferEncoding => {
                "Content-Length and Transfer-Encoding exclude each other."
            }
            Self::TransferEncodingBefore11 => "Transfer-Encoding requires HTTP/1.1.",
            Self::BadExpectation => "The only supported expectation is 100-continue.",
            Self::BadForwarded => "A proxy has reported the client in a form that is not valid.",
            Self::BodyTooLarge => "The request body is larger than this server accepts.",
            Self::BadChunk => "A chunk of the request body is malformed.",
            Self::ChunkOverhead => "The request body is mostly chunk framing.",
            Self::BadTrailer => "A trailer line is malformed.",
            Self::TrailersTooLarge => "The trailer section is longer than this server reads.",
            Self::Truncated => "The request ended before the end of its body.",
            Self::RequestTimeout => "The request took too long to arrive.",
            Self::PlainHttpOnTls => {
                "This port speaks HTTPS, and the request was plain HTTP: the URL must begin with https://."
            }
        }
    }

    /// Appends the reason phrase: the phrase of `http.server`, quoting `line` where that does
    /// (B-009, B-011, B-014, B-016), or the registered one.
    pub fn write_reason(self, line: &[u8], out: &mut Vec<u8>) {
        let (phrase, quoted) = match self {
            Self::BadSyntax => ("Bad request syntax", Some(line)),
            Self::BadVersion => ("Bad request version", Some(last_word(line))),
            Self::BadSimpleRequest => ("Bad HTTP/0.9 request type", Some(first_word(line))),
            Self::HeaderLineTooLong => ("Line too long", None),
            Self::TooManyHeaders => ("Too many headers", None),
            Self::PlainHttpOnTls => ("Plain HTTP request sent to HTTPS port", None),
            Self::BadForwarded => ("Malformed client address from a proxy", None),
            Self::UnsupportedVersion => {
                let version = last_word(line);
                out.extend_from_slice(b"Invalid HTTP version (");
                push_escaped(version.strip_prefix(b"HTTP/").unwrap_or(version), out);
                out.push(b')');
                return;
            }
            _ => (super::status::reason(self.status()), None),
        };
        out.extend_from_slice(phrase.as_bytes());
        if let Some(text) = quoted {
            quote(text, out);
        }
    }
}

/// Appends ` ('text')` for a reason phrase, with control characters and non-ASCII bytes escaped and
/// a long text truncated.
pub(crate) fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b" ('");
    push_escaped(text, out);
    out.extend_from_slice(b"')");
}

fn push_escaped(text: &[u8], out: &mut Vec<u8>) {
    const MAX_QUOTED: usize = 200; // bytes: a request line may have 64 KiB
    for &byte in text.iter().take(MAX_QUOTED) {
        match byte {
            b'\'' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            _ => {
                out.extend_from_slice(b"\\x");
                push_hex(out, byte);
            }
        }
    }
    if text.len() > MAX_QUOTED {
        out.extend_from_slice(b"...");
    }
}

fn words(line: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    line.split(|&b| b == b' ' || b == b'\t').filter(|word| !word.is_empty())
}

fn first_word(line: &[u8]) -> &[u8] {
    words(line).next().unwrap_or_default()
}

fn last_word(line: &[u8]) -> &[u8] {
    words(line).next_back().unwrap_or_default()
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.explain())
    }
}

impl core::error::Error for Reject {}

/// A rule that the caller broke while sending a response. The outbox is as it was before the call.
///
/// | call | what it returns |
/// |---|---|
/// | [`Connection::respond`], at the ending | [`ResponseBegun`], [`ResponseComplete`], [`NoResponseDue`]; [`BadStatus`] |
/// | [`Response::reason`], at the ending | [`BadHeader`] |
/// | [`Response::header`], at the ending | [`BadHeader`], [`ReservedHeader`] |
/// | [`Response::content_length`], at the ending | [`ReservedHeader`] for a second one or a status without one |
/// | [`Response::body`], [`Response::sized_body`], [`Response::error_page`] | [`BadStatus`]; [`NoBodyAllowed`]; [`TunnelExpected`]; [`BodyTooLong`] or [`BodyTooShort`] if the length differs from `content_length` |
/// | [`Response::streamed_body`] | [`BadStatus`], [`NoBodyAllowed`], [`TunnelExpected`], [`ReservedHeader`] after `content_length` |
/// | [`Response::upgrade`] | [`BadStatus`], [`NotRequested`], [`BadHeader`] |
/// | [`Response::tunnel`] | [`BadStatus`], [`NotRequested`] |
/// | [`Connection::send`] | [`ResponseNotBegun`], [`ResponseComplete`], [`NoResponseDue`]; [`BodyTooLong`] |
/// | [`Connection::body_sent`] | [`ResponseNotBegun`], [`ResponseComplete`], [`NoResponseDue`]; [`BodyTooLong`], [`WrongFraming`] |
/// | [`Connection::end`] | [`ResponseNotBegun`], [`NoResponseDue`]; [`BodyTooShort`] |
/// | [`Connection::end_with_trailers`] | [`ResponseNotBegun`], [`NoResponseDue`]; [`BodyTooShort`], [`BadHeader`], [`ReservedHeader`] |
/// | [`Connection::send_interim`] | [`ResponseBegun`], [`ResponseComplete`], [`NoResponseDue`]; [`BadStatus`], [`BadHeader`], [`ReservedHeader`] |
/// | [`Outbox::add_default_header`], [`Outbox::add_header`] | [`BadHeader`], [`ReservedHeader`] |
/// | [`Outbox::end_send`] | [`NotInFlight`] |
///
/// A response returns the first misuse of its calls, at its ending.
///
/// [`Connection::respond`]: crate::http1::Connection::respond
/// [`Connection::send`]: crate::http1::Connection::send
/// [`Connection::body_sent`]: crate::http1::Connection::body_sent
/// [`Connection::end`]: crate::http1::Connection::end
/// [`Connection::end_with_trailers`]: crate::http1::Connection::end_with_trailers
/// [`Connection::send_interim`]: crate::http1::Connection::send_interim
/// [`Outbox::add_default_header`]: crate::http1::Outbox::add_default_header
/// [`Outbox::add_header`]: crate::http1::Outbox::add_header
/// [`Outbox::end_send`]: crate::http1::Outbox::end_send
/// [`Response::reason`]: crate::http1::Response::reason
/// [`Response::header`]: crate::http1::Response::header
/// [`Response::content_length`]: crate::http1::Response::content_length
/// [`Response::body`]: crate::http1::Response::body
/// [`Response::sized_body`]: crate::http1::Response::sized_body
/// [`Response::error_page`]: crate::http1::Response::error_page
/// [`Response::streamed_body`]: crate::http1::Response::streamed_body
/// [`Response::upgrade`]: crate::http1::Response::upgrade
/// [`Response::tunnel`]: crate::http1::Response::tunnel
/// [`NoResponseDue`]: Misuse::NoResponseDue
/// [`ResponseNotBegun`]: Misuse::ResponseNotBegun
/// [`ResponseBegun`]: Misuse::ResponseBegun
/// [`ResponseComplete`]: Misuse::ResponseComplete
/// [`BadStatus`]: Misuse::BadStatus
/// [`BadHeader`]: Misuse::BadHeader
/// [`ReservedHeader`]: Misuse::ReservedHeader
/// [`BodyTooLong`]: Misuse::BodyTooLong
/// [`BodyTooShort`]: Misuse::BodyTooShort
/// [`NoBodyAllowed`]: Misuse::NoBodyAllowed
/// [`WrongFraming`]: Misuse::WrongFraming
/// [`NotRequested`]: Misuse::NotRequested
/// [`NotInFlight`]: Misuse::NotInFlight
/// [`TunnelExpected`]: Misuse::TunnelExpected
///
/// ```
/// use doorstep_core::http1::{Connection, Limits, Misuse, Outbox};
///
/// let (mut connection, mut outbox) = (Connection::new(Limits::default()), Outbox::new(""));
/// let early = connection.respond(200, &mut outbox).body(b"");
/// assert_eq!(early, Err(Misuse::NoResponseDue));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Misuse {
    /// No request waits for a response: none was read, or the connection has ended.
    NoResponseDue,
    /// A part of a body before its response: [`Connection::respond`](crate::http1::Connection::respond)
    /// comes first.
    ResponseNotBegun,
    /// A second response, while the body of the first one is being sent.
    ResponseBegun,
    /// A second response, or more of a body, after the response was complete.
    ResponseComplete,
    /// A status outside 100..=999, a 1xx as a final response, or a final one as interim. It is
    /// this one.
    BadStatus(u16),
    /// CR, LF or NUL in a reason phrase, header name or value, or a name that is not a token.
    BadHeader,
    /// A header that only the state machine writes: Content-Length, Transfer-Encoding, Upgrade,
    /// Trailer, or a Connection other than close or keep-alive.
    ReservedHeader,
    /// More bytes than were announced.
    BodyTooLong,
    /// The end before all announced bytes were sent, or a length that differs from that of the
    /// body.
    BodyTooShort,
    /// A body with a status that allows none.
    NoBodyAllowed,
    /// Bytes that bypass the outbox, in a chunked response.
    WrongFraming,
    /// A switch of protocols that the peer did not ask for, or before the request's body was read.
    NotRequested,
    /// A buffer that is not in flight.
    NotInFlight,
    /// A 2xx response to CONNECT that ends otherwise than in a tunnel (RFC 9110 §9.3.6).
    TunnelExpected,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoResponseDue => "no request waits for a response",
            Self::ResponseNotBegun => "no response has begun: call `respond` first",
            Self::ResponseBegun => "a response has begun already",
            Self::ResponseComplete => "the response is complete",
            Self::BadStatus(status) => {
                return write!(f, "the status {status} is not allowed here");
            }
            Self::BadHeader => "a header name, header value or reason phrase is malformed",
            Self::ReservedHeader => "this header is reserved: only the server writes it",
            Self::BodyTooLong => "the body is longer than its Content-Length",
            Self::BodyTooShort => "the body is shorter than its Content-Length",
            Self::NoBodyAllowed => "a response with this status has no body",
            Self::WrongFraming => "the framing of the response does not allow this",
            Self::NotRequested => {
                "the client did not ask for another protocol, or its request was not read"
            }
            Self::TunnelExpected => "a 2xx response to CONNECT ends in `tunnel`",
            Self::NotInFlight => "this buffer is not the one that is being sent",
        })
    }
}

impl core::error::Error for Misuse {}

#[cfg(feature = "std")]
impl From<Misuse> for std::io::Error {
    fn from(misuse: Misuse) -> Self {
        Self::new(std::io::ErrorKind::InvalidInput, misuse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phrase(reject: Reject, line: &[u8]) -> String {
        let mut out = Vec::new();
        reject.write_reason(line, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn b_014_syntax_is_quoted() {
        assert_eq!(phrase(Reject::BadSyntax, b"GET"), "Bad request syntax ('GET')");
    }

    #[test]
    fn b_009_b_011_version_is_quoted() {
        assert_eq!(phrase(Reject::BadVersion, b"GET / XTTP"), "Bad request version ('XTTP')");
        let unsupported = phrase(Reject::UnsupportedVersion, b"PRI * HTTP/2.0");
        assert_eq!(unsupported, "Invalid HTTP version (2.0)");
    }

    #[test]
    fn hostile_bytes_cannot_leave_the_quotes() {
        assert_eq!(
            phrase(Reject::BadSyntax, b"\x16\x03'\r"),
            r"Bad request syntax ('\x16\x03\'\x0d')"
        );
        assert!(phrase(Reject::BadSyntax, &[b'a'; 9000]).len() < 300);
    }
}
