//! What a script writes, as a response (RFC 3875 §6).
//!
//! [`OutputParser`] is fed the bytes of the script's standard output until the header block is whole, and
//! then says what to do: send a [`Document`], or response the request that a local redirect stands
//! for ([`super::local_redirect`]). What it lets through can be sent as it is: names are tokens, values are
//! free of control bytes, and what belongs to the connection, framing above all, is taken out. It
//! remembers the header block alone, which is bounded; the body never passes through it, but for
//! the bytes that came along with the header's last.
//!
//! It refuses what is no header block, with a [`OutputError`] that says in one line what to mend: that is
//! a 502 and a line in the log. A script named `nph-…` writes a whole response, status line first;
//! it is read in the same way, and the server frames it as any other.
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
//! assert_eq!(error.to_string(), "a line of its header is no field ('Hello, world!')");
//! ```

use core::fmt;
use core::mem;

use crate::bytes::{is_token, parse_decimal, trim_ows};
use crate::http1::quote;

/// The most headers that a header block may have.
const MAX_HEADERS: usize = 200;

/// The header block of a script's output, as far as it has come.
#[derive(Debug)]
pub struct OutputParser {
    nph: bool,
    max_header: usize,
    bytes: Vec<u8>,
    /// Where the line that is being read began.
    line_start: usize,
    /// Where the search for its end goes on.
    scan_start: usize,
    header: ParsedHeader,
}

/// What a script wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Send this.
    Document(Document),
    /// Answer as if this had been asked for (RFC 3875 §6.2.2): path and query in origin-form,
    /// printable ASCII. The rest of the output is of no use.
    LocalRedirect(Vec<u8>),
}

/// A response's head as a script wants it, and how its body begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Document {
    /// 200 to 599.
    pub status: u16,
    /// The reason phrase, when there is one that can be sent: printable ASCII.
    pub reason: Option<Vec<u8>>,
    /// The headers to send, in their order, with names as the script spelt them.
    pub headers: Vec<(String, Vec<u8>)>,
    /// What Content-Length said, in bytes. It is in no other place.
    pub content_length: Option<u64>,
    /// The bytes of the body that came with the end of the header block. A 204, 205 or 304 has no
    /// body all the same.
    pub body: Vec<u8>,
    /// The names of headers that are not the script's to set.
    pub dropped_headers: Vec<String>,
}

/// Why an output is no response: 502. Lines and values are as the script wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputError {
    /// The output ended before it began.
    Empty,
    /// The output ended before the empty line that ends a header block; the line it was in.
    UnexpectedEnd(Vec<u8>),
    /// The header block is longer than this, in bytes.
    HeaderTooLong(usize),
    /// The header block has more than 200 headers.
    TooManyHeaders,
    /// A line is no `name: value`, continues another, or has a control byte in it.
    InvalidLine(Vec<u8>),
    /// A header that can be there once only is there again.
    DuplicateHeader(&'static str),
    /// Neither Content-Type nor Location nor Status is there (RFC 3875 §6.2).
    MissingHeader,
    /// Status is not a number from 200 to 599, with or without a phrase.
    InvalidStatus(Vec<u8>),
    /// Location is empty, or a local one that no request line could hold.
    InvalidLocation(Vec<u8>),
    /// Content-Length is no number of bytes.
    InvalidContentLength(Vec<u8>),
    /// Transfer-Encoding says that the body is coded, which is the server's to do: sent on as it is,
    /// it would be another body.
    UnsupportedTransferEncoding(Vec<u8>),
    /// The first line of an `nph-` script is no status line of HTTP/1.0 or 1.1.
    InvalidStatusLine(Vec<u8>),
}

impl OutputParser {
    /// Of a script that writes its response itself when `nph`. `max_header` bounds the header block, its
    /// empty line included, in bytes.
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

    /// Takes what the script wrote next. `None` until the header block is whole; with the reply, or
    /// a fault, it is done.
    ///
    /// # Errors
    /// When this is no header block: as soon as a line shows it.
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

    /// The output has ended, and [`Self::feed`] has given no reply yet.
    #[must_use]
    pub fn end(self) -> OutputError {
        match self.bytes.get(self.line_start..) {
            _ if self.bytes.is_empty() => OutputError::Empty,
            line => OutputError::UnexpectedEnd(line.unwrap_or_default().to_vec()),
        }
    }
}

/// What the lines so far have said.
#[derive(Debug, Default)]
struct ParsedHeader {
    status: Option<(u16, Option<Vec<u8>>)>,
    location: Option<Vec<u8>>,
    /// Whether Content-Type was there.
    has_content_type: bool,
    content_length: Option<u64>,
    headers: Vec<(String, Vec<u8>)>,
    dropped_headers: Vec<String>,
    /// How many headers there were, of all kinds.
    count: usize,
}

impl ParsedHeader {
    fn add_line(&mut self, nph: bool, line: &[u8]) -> Result<(), OutputError> {
        /// What Python's `cgitb` writes before its own header, in case there was one already.
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
            // It stands in the status line there.
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
            "date" => {} // of every response; frameworks say it too
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

/// Headers of the connection (RFC 9110 §7.6.1), and of the server.
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

/// Whether a header says more than where to go: a cookie, say, which would be lost if the server went
/// there itself, since RFC 3875 §6.2.2 allows nothing beside a local Location.
fn is_other_header((name, _): &(String, Vec<u8>)) -> bool {
    !["content-type", "location"].iter().any(|said| name.eq_ignore_ascii_case(said))
}

/// A local redirect's target; a fragment is the client's business, and nobody's here.
fn local_redirect(location: &[u8]) -> Result<Reply, OutputError> {
    let target = location.split(|&b| b == b'#').next().unwrap_or_default();
    match location.iter().all(u8::is_ascii_graphic) {
        true => Ok(Reply::LocalRedirect(target.to_vec())),
        false => Err(OutputError::InvalidLocation(location.to_vec())),
    }
}

/// A header line's name and trimmed value.
fn parse_header_line(line: &[u8]) -> Option<(String, &[u8])> {
    let (name, value) = line.split_at(line.iter().position(|&b| b == b':')?);
    let text = |&b: &u8| b == b'\t' || !b.is_ascii_control();
    let fits = is_token(name) && value.iter().all(text);
    fits.then(|| (name.iter().copied().map(char::from).collect(), trim_ows(&value[1..])))
}

/// `HTTP/1.1 200 OK`, the phrase being optional.
fn parse_status_line(line: &[u8]) -> Result<(u16, Option<Vec<u8>>), OutputError> {
    let rest = line.strip_prefix(b"HTTP/1.1 ").or_else(|| line.strip_prefix(b"HTTP/1.0 "));
    rest.and_then(parse_status).ok_or_else(|| OutputError::InvalidStatusLine(line.to_vec()))
}

/// `200 OK`, the phrase being optional; one that cannot be sent is none.
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
            Self::Empty => f.write_str("it wrote nothing"),
            Self::UnexpectedEnd(line) if line.is_empty() => {
                f.write_str("no empty line ends its header")
            }
            Self::UnexpectedEnd(line) => write_quoted(f, "it ended inside its header", line),
            Self::HeaderTooLong(most) => write!(f, "its header is longer than {most} bytes"),
            Self::TooManyHeaders => write!(f, "its header has more than {MAX_HEADERS} fields"),
            Self::InvalidLine(line) => write_quoted(f, "a line of its header is no field", line),
            Self::DuplicateHeader(name) => write!(f, "its header has {name} twice"),
            Self::MissingHeader => {
                f.write_str("its header has no Content-Type, Location or Status")
            }
            Self::InvalidStatus(value) => write_quoted(f, "its Status is none", value),
            Self::InvalidLocation(value) => write_quoted(f, "its Location is none", value),
            Self::InvalidContentLength(value) => {
                write_quoted(f, "its Content-Length is none", value)
            }
            Self::UnsupportedTransferEncoding(value) => {
                write_quoted(f, "its Transfer-Encoding says that its body is coded", value)
            }
            Self::InvalidStatusLine(line) => {
                write_quoted(f, "its first line is no status line", line)
            }
        }
    }
}

/// Writes `what ('text')` in one line, hostile bytes escaped and a long text cut.
fn write_quoted(f: &mut fmt::Formatter<'_>, what: &str, text: &[u8]) -> fmt::Result {
    let mut quoted = Vec::new();
    quote(text, &mut quoted);
    write!(f, "{what}{}", String::from_utf8_lossy(&quoted))
}

impl std::error::Error for OutputError {}

#[cfg(test)]
#[path = "output_tests.rs"]
mod tests;
