//! The parser of a script's output (RFC 3875 §6).
//!
//! [`OutputParser`] is fed the bytes of the script's standard output until the header block is
//! complete. The result is a [`Document`] to send, or the target of a [local
//! redirect](super::local_redirect). Both are safe to use: names are tokens, values are free of
//! control characters, and headers of the connection, including framing, are removed. Only the
//! header block is kept, which is bounded; the body does not pass through the parser, except for
//! the bytes that arrived together with the end of the header block.
//!
//! Anything that is not a header block is refused with an [`OutputError`], whose one-line message
//! says what is wrong: that is a 502 and a line in the log. A script named `nph-…` (non-parsed
//! header) writes a complete response, status line first. It is parsed in the same way, and the
//! server frames it like any other.
//!
//! ```
//! use doorstep_core::cgi::output::{OutputError, OutputParser, Reply};
//!
//! let mut output = OutputParser::new(false, 8192);
//! assert_eq!(output.feed(b"Status: 404 Gone fishing\nContent-Ty"), Ok(None));
//! let Ok(Some(Reply::Document(document))) = output.feed(b"pe: text/plain\n\nBack at") else { panic!() };
//! assert_eq!((document.status, document.reason.as_deref()), (404, Some(&b"Gone fishing"[..])));
//! assert_eq!(document.headers, [("Content-Type".to_string(), b"text/plain".to_vec())]);
//! assert_eq!(document.body, b"Back at");
//!
//! let error = OutputParser::new(false, 8192).feed(b"Hello, world!\n").unwrap_err();
//! assert_eq!(error, OutputError::InvalidLine(b"Hello, world!".to_vec()));
//! assert_eq!(error.to_string(), "malformed header line ('Hello, world!')");
//! ```

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::mem;

use crate::bytes::{is_token, parse_decimal, trim_ows};
use crate::http1::quote;

/// The maximum number of headers in a header block.
const MAX_HEADERS: usize = 200;

/// The header block of a script's output, as far as it has arrived.
#[derive(Debug)]
pub struct OutputParser {
    nph: bool,
    max_header: usize,
    bytes: Vec<u8>,
    /// The start of the current line.
    line_start: usize,
    /// Where the search for the end of the line continues.
    scan_start: usize,
    header: ParsedHeader,
}

/// The response that a script asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Send this document.
    Document(Document),
    /// Respond as if this target had been requested (local redirect, RFC 3875 §6.2.2): path and
    /// query in origin-form, printable ASCII. The rest of the output is discarded.
    LocalRedirect(Vec<u8>),
}

/// The head of a response as the script wrote it, and the beginning of its body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Document {
    /// 200 to 599.
    pub status: u16,
    /// The reason phrase, if there is one that can be sent: printable ASCII.
    pub reason: Option<Vec<u8>>,
    /// The headers to send, in order, with names spelled as the script wrote them.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The value of Content-Length, in bytes. It is not in `headers`.
    pub content_length: Option<u64>,
    /// The bytes of the body that arrived with the end of the header block. Discard them for a 204,
    /// 205 or 304.
    pub body: Vec<u8>,
    /// The names of headers that were removed because a script may not set them.
    pub dropped_headers: Vec<String>,
}

/// The reason why an output is not a response: 502. Lines and values are as the script wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputError {
    /// The output is empty.
    Empty,
    /// The output ended before the empty line that ends the header block, in this line.
    UnexpectedEnd(Vec<u8>),
    /// The header block is longer than this number of bytes.
    HeaderTooLong(usize),
    /// The header block has more than 200 headers.
    TooManyHeaders,
    /// A line is not `name: value`, or is a continuation line (obs-fold), or holds a control
    /// character.
    InvalidLine(Vec<u8>),
    /// A header that may occur only once is repeated.
    DuplicateHeader(&'static str),
    /// There is neither Content-Type nor Location nor Status (RFC 3875 §6.2).
    MissingHeader,
    /// Status is not a number from 200 to 599, optionally with a reason phrase.
    InvalidStatus(Vec<u8>),
    /// Location is empty, or is local and cannot be a request target.
    InvalidLocation(Vec<u8>),
    /// Content-Length is not a number of bytes.
    InvalidContentLength(Vec<u8>),
    /// Transfer-Encoding names a transfer coding, which only the server may apply: the client would
    /// receive another body.
    UnsupportedTransferEncoding(Vec<u8>),
    /// The first line of an `nph-` script is not a status line of HTTP/1.0 or 1.1.
    InvalidStatusLine(Vec<u8>),
}

impl OutputParser {
    /// A parser for one script. `nph` means that the script writes a complete response.
    /// `max_header` is the maximum length of the header block in bytes, its empty line included.
    #[must_use]
    pub fn new(nph: bool, max_header: usize) -> Self {
        Self {
            nph,
            max_header,
            bytes: Vec::new(),
            line_start: 0,
            scan_start: 0,
            header: ParsedHeader::default(),
        }
    }

    /// Takes the next bytes of the output. Returns `None` until the header block is complete. After
    /// a reply or an error, the parser must not be used again.
    ///
    /// # Errors
    /// Returns an error as soon as a line shows that this is not a header block.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<Reply>, OutputError> {
        self.bytes.extend_from_slice(bytes);
        loop {
            let window = &self.bytes[..self.bytes.len().min(self.max_header)];
            let Some(end) = window[self.scan_start..].iter().position(|&b| b == b'\n') else {
                self.scan_start = window.len();
                let room = self.bytes.len() <= self.max_header;
                return if room {
                    Ok(None)
                } else {
                    Err(OutputError::HeaderTooLong(self.max_header))
                };
            };
            let next = self.scan_start + end + 1;
            let line = &window[self.line_start..next - 1];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if self.nph && self.header.status.is_none() {
                self.header.status = Some(parse_status_line(line)?);
            } else if line.is_empty() {
                let body = self.bytes.split_off(next);
                return mem::take(&mut self.header).into_reply(self.nph, body).map(Some);
            } else {
                self.header.add_line(self.nph, line)?;
            }
            (self.line_start, self.scan_start) = (next, next);
        }
    }

    /// The error for an output that ended before [`Self::feed`] returned a reply.
    #[must_use]
    pub fn end(self) -> OutputError {
        match self.bytes.get(self.line_start..) {
            _ if self.bytes.is_empty() => OutputError::Empty,
            line => OutputError::UnexpectedEnd(line.unwrap_or_default().to_vec()),
        }
    }
}

/// The header lines so far.
#[derive(Debug, Default)]
struct ParsedHeader {
    status: Option<(u16, Option<Vec<u8>>)>,
    location: Option<Vec<u8>>,
    /// Whether there was a Content-Type.
    has_content_type: bool,
    content_length: Option<u64>,
    headers: Vec<(String, Vec<u8>)>,
    dropped_headers: Vec<String>,
    /// The number of headers of all kinds.
    count: usize,
}

impl ParsedHeader {
    fn add_line(&mut self, nph: bool, line: &[u8]) -> Result<(), OutputError> {
        /// What Python's `cgitb` writes before its own header block, in case there already was one.
        const CGITB: &[u8] = b"<!--: spam";
        if line == CGITB {
            return Ok(());
        }
        let (name, value) =
            parse_header_line(line).ok_or_else(|| OutputError::InvalidLine(line.to_vec()))?;
        self.count += 1;
        if self.count > MAX_HEADERS {
            return Err(OutputError::TooManyHeaders);
        }
        match name.to_ascii_lowercase().as_str() {
            // The status line has the status.
            "status" if nph => self.dropped_headers.push(name),
            "status" => {
                let status = parse_status(value)
                    .ok_or_else(|| OutputError::InvalidStatus(value.to_vec()))?;
                ensure_first("Status", self.status.replace(status).is_none())?;
            }
            "content-length" => {
                let length = parse_decimal(value)
                    .ok_or_else(|| OutputError::InvalidContentLength(value.to_vec()))?;
                ensure_first("Content-Length", self.content_length.replace(length).is_none())?;
            }
            "transfer-encoding" if !value.eq_ignore_ascii_case(b"identity") => {
                return Err(OutputError::UnsupportedTransferEncoding(value.to_vec()));
            }
            "content-type" => {
                ensure_first("Content-Type", !mem::replace(&mut self.has_content_type, true))?;
                self.headers.push((name, value.to_vec()));
            }
            "location" => {
                ensure_first("Location", self.location.replace(value.to_vec()).is_none())?;
                self.headers.push((name, value.to_vec()));
            }
            "date" => {} // the server sends it; some frameworks do, too
            lower if CONNECTION_HEADERS.contains(&lower) => self.dropped_headers.push(name),
            _ => self.headers.push((name, value.to_vec())),
        }
        Ok(())
    }

    fn into_reply(self, nph: bool, body: Vec<u8>) -> Result<Reply, OutputError> {
        let Self {
            status,
            location,
            has_content_type,
            headers,
            content_length,
            dropped_headers,
            ..
        } = self;
        if !nph && !has_content_type && location.is_none() && status.is_none() {
            return Err(OutputError::MissingHeader);
        }
        let local = !nph
            && matches!(status, None | Some((200, _)))
            && location.as_ref().is_some_and(|location| location.starts_with(b"/"));
        let (status, reason) = match (status, location) {
            (_, Some(location)) if location.is_empty() => {
                return Err(OutputError::InvalidLocation(location));
            }
            (_, Some(location)) if local && !headers.iter().any(is_other_header) => {
                return local_redirect(&location);
            }
            (None, Some(_)) => (302, None),
            (Some(_), Some(_)) if local => (302, None),
            (status, _) => status.unwrap_or((200, None)),
        };
        Ok(Reply::Document(Document {
            status,
            reason,
            headers,
            content_length,
            body,
            dropped_headers,
        }))
    }
}

/// Headers of the connection (RFC 9110 §7.6.1), and `Server`.
const CONNECTION_HEADERS: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn ensure_first(name: &'static str, first: bool) -> Result<(), OutputError> {
    if first { Ok(()) } else { Err(OutputError::DuplicateHeader(name)) }
}

/// Whether there is more than a redirect, such as a cookie: it would be lost in a local redirect,
/// since RFC 3875 §6.2.2 allows nothing beside a local Location.
fn is_other_header((name, _): &(String, Vec<u8>)) -> bool {
    !["content-type", "location"].iter().any(|said| name.eq_ignore_ascii_case(said))
}

/// The target of a local redirect, without a fragment: that concerns clients only.
fn local_redirect(location: &[u8]) -> Result<Reply, OutputError> {
    let target = location.split(|&b| b == b'#').next().unwrap_or_default();
    match location.iter().all(u8::is_ascii_graphic) {
        true => Ok(Reply::LocalRedirect(target.to_vec())),
        false => Err(OutputError::InvalidLocation(location.to_vec())),
    }
}

/// Name and trimmed value of a header line.
fn parse_header_line(line: &[u8]) -> Option<(String, &[u8])> {
    let (name, value) = line.split_at(line.iter().position(|&b| b == b':')?);
    let text = |&b: &u8| b == b'\t' || !b.is_ascii_control();
    let fits = is_token(name) && value.iter().all(text);
    fits.then(|| (name.iter().copied().map(char::from).collect(), trim_ows(&value[1..])))
}

/// `HTTP/1.1 200 OK`, with an optional phrase.
fn parse_status_line(line: &[u8]) -> Result<(u16, Option<Vec<u8>>), OutputError> {
    let rest = line.strip_prefix(b"HTTP/1.1 ").or_else(|| line.strip_prefix(b"HTTP/1.0 "));
    rest.and_then(parse_status).ok_or_else(|| OutputError::InvalidStatusLine(line.to_vec()))
}

/// `200 OK`, with an optional phrase. A phrase that cannot be sent is left out.
fn parse_status(value: &[u8]) -> Option<(u16, Option<Vec<u8>>)> {
    let (code, phrase) = value.split_at_checked(3)?;
    let code = u16::try_from(parse_decimal(code)?).ok().filter(|code| (200..600).contains(code))?;
    if !phrase.is_empty() && !phrase.starts_with(b" ") {
        return None;
    }
    let phrase = trim_ows(phrase);
    let fits = !phrase.is_empty() && phrase.iter().all(|b| matches!(b, b' '..=b'~'));
    Some((code, fits.then(|| phrase.to_vec())))
}

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no output"),
            Self::UnexpectedEnd(line) if line.is_empty() => {
                f.write_str("no empty line after the header block")
            }
            Self::UnexpectedEnd(line) => {
                write_quoted(f, "the output ends within the header block", line)
            }
            Self::HeaderTooLong(most) => write!(f, "the header block is longer than {most} bytes"),
            Self::TooManyHeaders => write!(f, "more than {MAX_HEADERS} headers"),
            Self::InvalidLine(line) => write_quoted(f, "malformed header line", line),
            Self::DuplicateHeader(name) => write!(f, "more than one {name} header"),
            Self::MissingHeader => f.write_str("no Content-Type, Location or Status header"),
            Self::InvalidStatus(value) => write_quoted(f, "invalid Status", value),
            Self::InvalidLocation(value) => write_quoted(f, "invalid Location", value),
            Self::InvalidContentLength(value) => write_quoted(f, "invalid Content-Length", value),
            Self::UnsupportedTransferEncoding(value) => {
                write_quoted(f, "unsupported Transfer-Encoding", value)
            }
            Self::InvalidStatusLine(line) => write_quoted(f, "invalid status line", line),
        }
    }
}

/// Writes `what ('text')` in one line, with control characters escaped and a long text truncated.
fn write_quoted(f: &mut fmt::Formatter<'_>, what: &str, text: &[u8]) -> fmt::Result {
    let mut quoted = Vec::new();
    quote(text, &mut quoted);
    write!(f, "{what}{}", String::from_utf8_lossy(&quoted))
}

impl core::error::Error for OutputError {}

#[cfg(test)]
#[path = "output_tests.rs"]
mod tests;
