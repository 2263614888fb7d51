//! Forms with files: `multipart/form-data` (RFC 7578, RFC 2046 §5.1), part by part.
//!
//! [`FormData`] is a pure state machine. The caller owns the bytes: [`FormData::advance`] returns what
//! comes next in them and how many of them it is done with; the others are to be passed again, with
//! more behind them. It holds back at most what may be the beginning of a boundary, and a part's
//! headers until they are complete ([`FormData::max_held`]). However the body is split, the result is
//! the same.
//!
//! It refuses what two readers could understand differently: a line that begins with the boundary and
//! goes on, a part without a name, a part with a `Content-Transfer-Encoding` (RFC 7578 §4.7). It
//! ignores `filename*` (RFC 7578 §4.2), the preamble, and everything behind the last boundary. Names
//! are as they were sent: see [`crate::site::upload::name`] before a file gets one.
//!
//! ```
//! use doorstep_core::form_data::{Event, FormData, FormLimits};
//!
//! let body = b"--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\r\nhello\r\n--x--\r\n";
//! let mut form = FormData::new(b"multipart/form-data; boundary=x", FormLimits::default())?;
//! let (mut rest, mut events) = (&body[..], Vec::new());
//! loop {
//!     let (used, event) = form.advance(rest)?;
//!     match event {
//!         Event::Part(part) => events.push(String::from_utf8_lossy(&part.filename.unwrap()).into_owned()),
//!         Event::Data(data) => events.push(String::from_utf8_lossy(data).into_owned()),
//!         Event::PartEnd => events.push("end".into()),
//!         Event::NeedData | Event::End => break,
//!     }
//!     rest = &rest[used..];
//! }
//! form.finish()?; // the last boundary was there
//! assert_eq!(events, ["a.txt", "hello", "end"]);
//! # Ok::<(), doorstep_core::form_data::FormError>(())
//! ```

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::bytes::{is_token, trim_ows};

/// The longest boundary in bytes (RFC 2046 §5.1.1).
const MAX_BOUNDARY: usize = 70;

/// The bounds of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FormLimits {
    /// Maximum size of the headers of one part, of the preamble, and of the spaces behind a boundary,
    /// in bytes. Default: 8 KiB.
    pub header: usize,
    /// Maximum number of parts. Default: 1,000.
    pub parts: u32,
}

impl Default for FormLimits {
    fn default() -> Self {
        Self { header: 8 << 10, parts: 1_000 }
    }
}

/// What comes next in a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'b> {
    /// More data is needed; the bytes that were not used are to be passed again.
    NeedData,
    /// A part begins.
    Part(PartHead),
    /// Bytes of the part. They come in any number of pieces, none of which is empty.
    Data(&'b [u8]),
    /// The part is complete.
    PartEnd,
    /// The form is complete. Whatever follows is ignored.
    End,
}

/// The headers of a part, as far as they matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartHead {
    /// The name of the form's field.
    pub name: Vec<u8>,
    /// The name of the file, as the client sent it: it may be empty, or a path, and any bytes. `None`
    /// for a field that is not a file.
    pub filename: Option<Vec<u8>>,
}

/// Why a form is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormError {
    /// The `Content-Type` is not `multipart/form-data`: 415.
    NotAForm,
    /// It has no boundary, or one that is not valid: 400.
    BadBoundary,
    /// There are too many bytes before a boundary, behind it, or in the headers of a part: 400.
    TooLong,
    /// The headers of a part are malformed, or have no name: 400.
    BadPart,
    /// A part has a `Content-Transfer-Encoding`, which forms do not have: 400.
    TransferEncoding,
    /// There are too many parts: 413.
    TooManyParts,
    /// A line begins with the boundary and goes on: 400.
    BadDelimiter,
    /// The form ends before its last boundary: 400.
    Truncated,
}

impl FormError {
    /// 400, 413 or 415.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::NotAForm => 415,
            Self::TooManyParts => 413,
            _ => 400,
        }
    }
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAForm => "the request is not a form with files (multipart/form-data)",
            Self::BadBoundary => "the form has no boundary, or one that is not valid",
            Self::TooLong => "the headers of a part of the form are too long",
            Self::BadPart => "the headers of a part of the form are malformed",
            Self::TransferEncoding => "a part of the form has a Content-Transfer-Encoding",
            Self::TooManyParts => "the form has too many parts",
            Self::BadDelimiter => "a line of the form begins with its boundary and goes on",
            Self::Truncated => "the form ends before its last boundary",
        })
    }
}

impl core::error::Error for FormError {}

/// The state of reading one form.
#[derive(Debug, Clone)]
pub struct FormData {
    /// CR LF, two hyphens, and the boundary.
    delimiter: Box<[u8]>,
    /// How far to go on if a window ends in this byte and is not the delimiter.
    skips: Box<[u8; 256]>,
    limits: FormLimits,
    state: State,
    parts: u32,
    /// The bytes of the preamble that were skipped.
    skipped: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was read.
    Start,
    /// Before the first boundary.
    Preamble,
    /// Behind a boundary, in its line.
    Delimiter,
    Headers,
    Body,
    End,
}

impl FormData {
    /// A form whose request has this `Content-Type`.
    ///
    /// # Errors
    /// Returns [`FormError::NotAForm`] or [`FormError::BadBoundary`].
    pub fn new(content_type: &[u8], limits: FormLimits) -> Result<Self, FormError> {
        let mut parts = content_type.splitn(2, |&b| b == b';');
        let essence = trim_ows(parts.next().unwrap_or_default());
        if !essence.eq_ignore_ascii_case(b"multipart/form-data") {
            return Err(FormError::NotAForm);
        }
        let mut boundary = None;
        parameters(parts.next().unwrap_or_default(), |name, value| {
            if name.eq_ignore_ascii_case(b"boundary") && boundary.replace(value).is_some() {
                return Err(FormError::BadBoundary);
            }
            Ok(())
        })
        .map_err(|_| FormError::BadBoundary)?;
        let boundary = boundary.filter(|text| is_boundary(text)).ok_or(FormError::BadBoundary)?;
        let delimiter = [b"\r\n--", &boundary[..]].concat().into_boxed_slice();
        let mut skips = Box::new([delimiter.len() as u8; 256]);
        for (at, &byte) in delimiter[..delimiter.len() - 1].iter().enumerate() {
            skips[usize::from(byte)] = (delimiter.len() - 1 - at) as u8;
        }
        Ok(Self { delimiter, skips, limits, state: State::Start, parts: 0, skipped: 0 })
    }

    /// The most bytes that are not used before there are more: a buffer must be larger.
    #[must_use]
    pub fn max_held(&self) -> usize {
        self.limits.header.saturating_add(MAX_BOUNDARY + 8)
    }

    /// The next event in `input`, and the number of bytes of `input` that were used for it.
    ///
    /// # Errors
    /// Returns the reason if the form is malformed or exceeds a limit. Further calls are meaningless.
    pub fn advance<'b>(&mut self, input: &'b [u8]) -> Result<(usize, Event<'b>), FormError> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            let step = match self.state {
                State::Start => self.start(rest),
                State::Preamble => self.preamble(rest)?,
                State::Delimiter => self.delimiter_line(rest)?,
                State::Headers => {
                    let (n, event) = self.headers(rest)?;
                    return Ok((used + n, event));
                }
                State::Body => {
                    let (n, event) = self.body(rest);
                    return Ok((used + n, event));
                }
                State::End => return Ok((input.len(), Event::End)),
            };
            match step {
                Some(n) => used += n,
                None => return Ok((used + self.take_skipped(&input[used..]), Event::NeedData)),
            }
        }
    }

    /// To be called at the end of the body.
    ///
    /// # Errors
    /// Returns [`FormError::Truncated`] if the last boundary has not come.
    pub fn finish(&self) -> Result<(), FormError> {
        if self.state == State::End { Ok(()) } else { Err(FormError::Truncated) }
    }

    /// The first boundary may be the first line, with no line end before it.
    fn start(&mut self, input: &[u8]) -> Option<usize> {
        let first = &self.delimiter[2..];
        let n = first.len().min(input.len());
        if input[..n] != first[..n] {
            self.state = State::Preamble;
            return Some(0);
        }
        if n < first.len() {
            return None;
        }
        self.state = State::Delimiter;
        Some(n)
    }

    fn preamble(&mut self, input: &[u8]) -> Result<Option<usize>, FormError> {
        let found = self.find(input);
        let before = found.unwrap_or_else(|| input.len() - self.held(input));
        if self.skipped.saturating_add(before) > self.limits.header {
            return Err(FormError::TooLong);
        }
        Ok(found.map(|at| {
            self.state = State::Delimiter;
            at + self.delimiter.len()
        }))
    }

    /// The bytes of the preamble that cannot be part of a boundary.
    fn take_skipped(&mut self, input: &[u8]) -> usize {
        if self.state != State::Preamble {
            return 0;
        }
        let n = input.len() - self.held(input);
        self.skipped += n;
        n
    }

    /// The rest of the line behind a boundary: two hyphens for the end, or spaces and a line end.
    fn delimiter_line(&mut self, input: &[u8]) -> Result<Option<usize>, FormError> {
        if let [b'-', rest @ ..] = input {
            return match rest.first() {
                None => Ok(None),
                Some(b'-') => {
                    self.state = State::End;
                    Ok(Some(2))
                }
                Some(_) => Err(FormError::BadDelimiter),
            };
        }
        let spaces = input.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        if spaces > self.limits.header {
            return Err(FormError::TooLong);
        }
        match &input[spaces..] {
            [] | [b'\r'] => Ok(None),
            [b'\r', b'\n', ..] => {
                self.state = State::Headers;
                Ok(Some(spaces + 2))
            }
            _ => Err(FormError::BadDelimiter),
        }
    }

    fn headers<'b>(&mut self, input: &[u8]) -> Result<(usize, Event<'b>), FormError> {
        let head = input.get(..self.limits.header.saturating_add(4)).unwrap_or(input);
        let end = match head.starts_with(b"\r\n") {
            true => Some(0),
            false => head.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 2),
        };
        let Some(end) = end else {
            return match input.len() >= self.limits.header.saturating_add(2) {
                true => Err(FormError::TooLong),
                false => Ok((0, Event::NeedData)),
            };
        };
        if end > self.limits.header {
            return Err(FormError::TooLong);
        }
        self.parts += 1;
        if self.parts > self.limits.parts {
            return Err(FormError::TooManyParts);
        }
        let part = part_head(&head[..end])?;
        self.state = State::Body;
        Ok((end + 2, Event::Part(part)))
    }

    fn body<'b>(&mut self, input: &'b [u8]) -> (usize, Event<'b>) {
        match self.find(input) {
            Some(0) => {
                self.state = State::Delimiter;
                (self.delimiter.len(), Event::PartEnd)
            }
            Some(at) => (at, Event::Data(&input[..at])),
            None => match input.len() - self.held(input) {
                0 => (0, Event::NeedData),
                n => (n, Event::Data(&input[..n])),
            },
        }
    }

    /// The position of the first delimiter (Horspool's search).
    fn find(&self, input: &[u8]) -> Option<usize> {
        let (delimiter, mut at) = (&*self.delimiter, 0);
        while let Some(window) = input.get(at..at + delimiter.len()) {
            if window == delimiter {
                return Some(at);
            }
            at += usize::from(self.skips[usize::from(window[window.len() - 1])]);
        }
        None
    }

    /// The number of bytes at the end of `input` that may be the beginning of a delimiter.
    fn held(&self, input: &[u8]) -> usize {
        let most = (self.delimiter.len() - 1).min(input.len());
        (1..=most).rev().find(|&n| input.ends_with(&self.delimiter[..n])).unwrap_or(0)
    }
}

/// Whether `text` can be a boundary (RFC 2046 §5.1.1).
fn is_boundary(text: &[u8]) -> bool {
    (1..=MAX_BOUNDARY).contains(&text.len())
        && text.last() != Some(&b' ')
        && text.iter().all(|b| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(b))
}

/// Parses the headers of a part, each of which ends in CR LF.
fn part_head(head: &[u8]) -> Result<PartHead, FormError> {
    let mut disposition = None;
    let mut rest = head;
    while !rest.is_empty() {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").ok_or(FormError::BadPart)?;
        let (line, after) = (&rest[..end], &rest[end + 2..]);
        rest = after;
        let colon = line.iter().position(|&b| b == b':').ok_or(FormError::BadPart)?;
        let (name, value) = (&line[..colon], trim_ows(&line[colon + 1..]));
        if !is_token(name) || value.iter().any(|b| matches!(b, 0 | b'\r' | b'\n')) {
            return Err(FormError::BadPart);
        }
        if name.eq_ignore_ascii_case(b"content-disposition") {
            if disposition.replace(value).is_some() {
                return Err(FormError::BadPart);
            }
        } else if name.eq_ignore_ascii_case(b"content-transfer-encoding") {
            let is_plain = [&b"binary"[..], b"8bit", b"7bit"];
            if !is_plain.iter().any(|plain| value.eq_ignore_ascii_case(plain)) {
                return Err(FormError::TransferEncoding);
            }
        }
    }
    let disposition = disposition.ok_or(FormError::BadPart)?;
    let mut parts = disposition.splitn(2, |&b| b == b';');
    if !trim_ows(parts.next().unwrap_or_default()).eq_ignore_ascii_case(b"form-data") {
        return Err(FormError::BadPart);
    }
    let (mut name, mut filename) = (None, None);
    parameters(parts.next().unwrap_or_default(), |parameter, value| {
        let slot = match parameter {
            _ if parameter.eq_ignore_ascii_case(b"name") => &mut name,
            _ if parameter.eq_ignore_ascii_case(b"filename") => &mut filename,
            _ => return Ok(()),
        };
        match slot.replace(value) {
            None => Ok(()),
            Some(_) => Err(FormError::BadPart),
        }
    })?;
    let decode = |value: Vec<u8>| undo_browser_escapes(&value);
    let name = name.map(decode).ok_or(FormError::BadPart)?;
    Ok(PartHead { name, filename: filename.map(decode) })
}

/// Calls `visit` with each parameter of a header: its name, and its value without quotes. In quotes, a
/// backslash escapes a quote and a backslash, and stands for itself before anything else: old browsers
/// send the paths of Windows.
fn parameters(
    text: &[u8],
    mut visit: impl FnMut(&[u8], Vec<u8>) -> Result<(), FormError>,
) -> Result<(), FormError> {
    let mut rest = trim_ows(text);
    while !rest.is_empty() {
        if let [b';', after @ ..] = rest {
            rest = trim_ows(after); // an empty parameter
            continue;
        }
        let equals = rest.iter().position(|&b| b == b'=').ok_or(FormError::BadPart)?;
        let name = trim_ows(&rest[..equals]);
        if !is_token(name) {
            return Err(FormError::BadPart);
        }
        rest = trim_ows(&rest[equals + 1..]);
        let mut value = Vec::new();
        if let [b'"', quoted @ ..] = rest {
            let mut at = 0;
            loop {
                match &quoted[at..] {
                    [] => return Err(FormError::BadPart),
                    [b'"', ..] => break,
                    [b'\\', escaped @ (b'"' | b'\\'), ..] => {
                        value.push(*escaped);
                        at += 2;
                    }
                    [byte, ..] => {
                        value.push(*byte);
                        at += 1;
                    }
                }
            }
            rest = trim_ows(&quoted[at + 1..]);
        } else {
            let end = rest.iter().position(|&b| b == b';').unwrap_or(rest.len());
            value.extend_from_slice(trim_ows(&rest[..end]));
            rest = &rest[end..];
        }
        visit(name, value)?;
        match rest {
            [] => {}
            [b';', after @ ..] => rest = trim_ows(after),
            _ => return Err(FormError::BadPart),
        }
    }
    Ok(())
}

/// Browsers write a quote, CR and LF in a name as `%22`, `%0D` and `%0A`, and nothing else so (HTML
/// standard, "multipart/form-data encoding algorithm").
fn undo_browser_escapes(value: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [first, after @ ..] = rest {
        let (byte, after) = match rest {
            [b'%', b'2', b'2', after @ ..] => (b'"', after),
            [b'%', b'0', b'D' | b'd', after @ ..] => (b'\r', after),
            [b'%', b'0', b'A' | b'a', after @ ..] => (b'\n', after),
            _ => (*first, after),
        };
        plain.push(byte);
        rest = after;
    }
    plain
}

#[cfg(test)]
#[path = "form_data_tests.rs"]
mod tests;
