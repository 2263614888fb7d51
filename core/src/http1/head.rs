//! The head of a request: a view of bytes that stay where they were read.
//!
//! [`HeadOffsets`] are the positions that the parser found; they are `Copy` and borrow nothing, so
//! they can be kept while the bytes move. [`Head`] is offsets and bytes together: the view for
//! applications. Values are bytes, trimmed and free of control characters. `Debug` shows names, and
//! never the values of credentials.
//!
//! ```
//! use doorstep_core::http1::{Connection, Event, Limits};
//!
//! let mut connection = Connection::new(Limits::default());
//! let bytes = b"GET //a%20b?x=1 HTTP/1.1\r\nHost: here\r\nX-One: 1\r\n\r\n";
//! let Ok((_, Event::Request(head))) = connection.advance(bytes) else { panic!() };
//! assert_eq!(head.method(), b"GET");
//! assert_eq!(head.path(), b"/a%20b", "a leading // is collapsed (B-024)");
//! assert_eq!(head.query(), Some(&b"x=1"[..]));
//! assert_eq!(head.header("x-one"), Some(&b"1"[..]));
//! ```

use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt;

use super::fields;
use crate::bytes::{is_name, list_members};

/// A part of a head: offset and length in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub(super) at: u32,
    pub(super) len: u32,
}

impl Span {
    pub(super) fn slice_of(self, bytes: &[u8]) -> &[u8] {
        let at = self.at as usize;
        bytes.get(at..at + self.len as usize).unwrap_or_default()
    }
}

/// The protocol version of a request. HTTP/1.2 to 1.9 are treated as HTTP/1.1 (B-013).
///
/// ```
/// use doorstep_core::http1::Version;
///
/// assert!(Version::Http09 < Version::Http10 && Version::Http10 < Version::Http11);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Version {
    /// HTTP/0.9: a request line of two words (B-016).
    Http09,
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1 or a higher 1.x.
    #[default]
    Http11,
}

/// Request headers that are looked up for most requests: the parser remembers where they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KnownHeader {
    Host,
    Connection,
    Accept,
    AcceptEncoding,
    IfNoneMatch,
    IfModifiedSince,
    Range,
    Expect,
    ContentLength,
    TransferEncoding,
    ContentType,
    Upgrade,
    IfMatch,
    IfUnmodifiedSince,
    IfRange,
    Cookie,
    Authorization,
}

/// The names of the known headers in lower case, in the order of [`KnownHeader`].
const KNOWN_NAMES: [(KnownHeader, &[u8]); KnownHeader::COUNT] = [
    (KnownHeader::Host, b"host"),
    (KnownHeader::Connection, b"connection"),
    (KnownHeader::Accept, b"accept"),
    (KnownHeader::AcceptEncoding, b"accept-encoding"),
    (KnownHeader::IfNoneMatch, b"if-none-match"),
    (KnownHeader::IfModifiedSince, b"if-modified-since"),
    (KnownHeader::Range, b"range"),
    (KnownHeader::Expect, b"expect"),
    (KnownHeader::ContentLength, b"content-length"),
    (KnownHeader::TransferEncoding, b"transfer-encoding"),
    (KnownHeader::ContentType, b"content-type"),
    (KnownHeader::Upgrade, b"upgrade"),
    (KnownHeader::IfMatch, b"if-match"),
    (KnownHeader::IfUnmodifiedSince, b"if-unmodified-since"),
    (KnownHeader::IfRange, b"if-range"),
    (KnownHeader::Cookie, b"cookie"),
    (KnownHeader::Authorization, b"authorization"),
];

const _: () = {
    let mut i = 0;
    while i < KNOWN_NAMES.len() {
        assert!(KNOWN_NAMES[i].0 as usize == i, "each stands at its own index");
        i += 1;
    }
};

impl KnownHeader {
    pub(super) const COUNT: usize = Self::Authorization as usize + 1;

    /// The known header of this name, in any letter case.
    #[inline(never)] // the constants of its comparisons are not set up in each caller
    pub(super) fn from_name(name: &[u8]) -> Option<Self> {
        // The length leaves few candidates, so most names are compared with one or none.
        Some(match name.len() {
            4 if is_name(name, b"host") => Self::Host,
            5 if is_name(name, b"range") => Self::Range,
            6 if is_name(name, b"accept") => Self::Accept,
            6 if is_name(name, b"cookie") => Self::Cookie,
            6 if is_name(name, b"expect") => Self::Expect,
            7 if is_name(name, b"upgrade") => Self::Upgrade,
            8 if is_name(name, b"if-match") => Self::IfMatch,
            8 if is_name(name, b"if-range") => Self::IfRange,
            10 if is_name(name, b"connection") => Self::Connection,
            12 if is_name(name, b"content-type") => Self::ContentType,
            13 if is_name(name, b"if-none-match") => Self::IfNoneMatch,
            13 if is_name(name, b"authorization") => Self::Authorization,
            14 if is_name(name, b"content-length") => Self::ContentLength,
            15 if is_name(name, b"accept-encoding") => Self::AcceptEncoding,
            17 if is_name(name, b"if-modified-since") => Self::IfModifiedSince,
            17 if is_name(name, b"transfer-encoding") => Self::TransferEncoding,
            19 if is_name(name, b"if-unmodified-since") => Self::IfUnmodifiedSince,
            _ => return None,
        })
    }

    /// Its bit in [`HeadOffsets::repeated`].
    pub(super) fn bit(self) -> u32 {
        const { assert!(Self::COUNT <= u32::BITS as usize) };
        1 << self as u32
    }

    /// The length of its name, in bytes.
    fn name_len(self) -> usize {
        KNOWN_NAMES[self as usize].1.len()
    }
}

/// The position of everything in a head. Small, `Copy`, and independent of where the bytes are.
///
/// ```
/// use doorstep_core::http1::{Connection, Event, Limits};
///
/// let bytes = *b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
/// let mut connection = Connection::new(Limits::default());
/// let Ok((_, Event::Request(head))) = connection.advance(&bytes) else { panic!() };
/// let offsets = head.offsets();
/// let moved = bytes.to_vec();
/// assert_eq!(offsets.view(&moved).path(), b"/a");
/// ```
#[derive(Clone, Copy, Default)]
pub struct HeadOffsets {
    pub(super) size: u32,
    pub(super) request_line_len: u32,
    pub(super) method_len: u32,
    pub(super) version: Version,
    pub(super) path: Span,
    /// The length of what stands before the path and was taken off it ([`Head::without_prefix`]).
    pub(super) prefix_len: u16,
    /// Query and fragment follow the path.
    pub(super) query_and_fragment_len: u32,
    /// Empty if the target has none.
    pub(super) authority: Span,
    /// The names of the headers, as their [`name_bit`]s.
    pub(super) names: u32,
    /// The offset of the name of each known header; 0 if the header is absent.
    pub(super) known: [u32; KnownHeader::COUNT],
    /// The known headers that occur more than once, as bits.
    pub(super) repeated: u32,
}

/// A bit for a name in any letter case. A header is absent from a head if its bit is not among those of
/// the head's names: most lookups of headers that are not known need no search.
pub(super) fn name_bit(name: &[u8]) -> u32 {
    let first = name.first().map_or(0, |byte| byte | 0x20); // in lower case, if it is a letter
    1 << ((name.len() * 7 + usize::from(first)) % 32)
}

impl HeadOffsets {
    /// The size of the head in bytes, its final empty line included.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size as usize
    }

    /// The view of `bytes`, which must be the head that these offsets were found in. With other
    /// bytes the result is meaningless, but there is no panic.
    #[must_use]
    pub fn view<'b>(&self, bytes: &'b [u8]) -> Head<'b> {
        Head { bytes, offsets: *self }
    }
}

/// The head of a request, in the inbox.
///
/// ```
/// use doorstep_core::http1::{Connection, Event, Limits, Version};
///
/// let mut connection = Connection::new(Limits::default());
/// let bytes = b"GET /a?b HTTP/1.1\r\nHost: here:80\r\nAccept: x, y\r\naccept: z\r\n\r\n";
/// let Ok((_, Event::Request(head))) = connection.advance(bytes) else { panic!() };
/// assert_eq!((head.path(), head.query()), (&b"/a"[..], Some(&b"b"[..])));
/// assert_eq!((head.version(), head.host()), (Version::Http11, Some(&b"here:80"[..])));
/// assert!(head.header_list("Accept").eq([b"x", b"y", b"z"]));
/// ```
#[derive(Clone, Copy)]
pub struct Head<'b> {
    pub(super) bytes: &'b [u8],
    pub(super) offsets: HeadOffsets,
}

// It is returned by value: up to this size, it is copied without a call.
const _: () = assert!(size_of::<Head<'_>>() <= 128);

impl<'b> Head<'b> {
    /// A head without bytes, for the parser to fill in.
    pub(super) fn empty() -> Self {
        Self { bytes: b"", offsets: HeadOffsets::default() }
    }

    /// The size of the head in bytes, for [`crate::http1::Inbox::split`].
    #[must_use]
    pub fn size(&self) -> usize {
        self.offsets.size()
    }

    /// The offsets, which can be kept while the bytes are borrowed elsewhere.
    #[must_use]
    pub fn offsets(&self) -> HeadOffsets {
        self.offsets
    }

    /// The request line as it was received, without its line end (B-102).
    #[must_use]
    pub fn request_line(&self) -> &'b [u8] {
        Span { at: 0, len: self.offsets.request_line_len }.slice_of(self.bytes)
    }

    /// The method: a token, case-sensitive (B-021).
    #[must_use]
    pub fn method(&self) -> &'b [u8] {
        let line = self.request_line();
        let start = line.iter().position(|&b| b != b' ' && b != b'\t').unwrap_or(0);
        line.get(start..start + self.offsets.method_len as usize).unwrap_or_default()
    }

    /// Whether this is a HEAD request, whose response has no body.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.method() == b"HEAD"
    }

    /// The protocol version of the request.
    #[must_use]
    pub fn version(&self) -> Version {
        self.offsets.version
    }

    /// The path, undecoded, without query and fragment. It starts with one `/` (B-024), except for
    /// `OPTIONS *` and for CONNECT, whose target is an authority.
    #[must_use]
    pub fn path(&self) -> &'b [u8] {
        match self.offsets.path.slice_of(self.bytes) {
            b"" => b"/", // absolute-form without a path
            path => path,
        }
    }

    /// What [`Head::without_prefix`] has taken off the path; empty if nothing was. With [`Head::path`]
    /// behind it, it is the path as it was received.
    #[must_use]
    pub fn prefix(&self) -> &'b [u8] {
        let len = u32::from(self.offsets.prefix_len);
        Span { at: self.offsets.path.at.saturating_sub(len), len }.slice_of(self.bytes)
    }

    /// The same request without `prefix`, a path without a slash at its end, at the beginning of its
    /// path: for a server below a path of its proxy. `None` if the path is not below it; the prefix
    /// alone, without a slash behind it, is not. They are compared as bytes, undecoded.
    ///
    /// ```
    /// use doorstep_core::http1::{Connection, Event, Limits};
    ///
    /// let mut connection = Connection::new(Limits::default());
    /// let bytes = b"GET /docs/a?b HTTP/1.1\r\nHost: here\r\n\r\n";
    /// let Ok((_, Event::Request(head))) = connection.advance(bytes) else { panic!() };
    /// let below = head.without_prefix(b"/docs").expect("it is below");
    /// assert_eq!((below.prefix(), below.path()), (&b"/docs"[..], &b"/a"[..]));
    /// assert_eq!(below.query(), Some(&b"b"[..]));
    /// assert!(head.without_prefix(b"/doc").is_none());
    /// ```
    #[must_use]
    pub fn without_prefix(mut self, prefix: &[u8]) -> Option<Self> {
        let rest = self.path().strip_prefix(prefix)?;
        let slashes = rest.iter().take_while(|&&b| b == b'/').count();
        // Further slashes are taken off as well: a path begins with one (B-024).
        let taken = u16::try_from(prefix.len() + slashes.checked_sub(1)?).ok()?;
        let offsets = &mut self.offsets;
        offsets.prefix_len = offsets.prefix_len.checked_add(taken)?;
        offsets.path.at += u32::from(taken);
        offsets.path.len = offsets.path.len.checked_sub(u32::from(taken))?;
        Some(self)
    }

    /// What follows the path in the target: query and fragment with their `?` and `#`, as received.
    #[must_use]
    pub fn query_and_fragment(&self) -> &'b [u8] {
        let HeadOffsets { path, query_and_fragment_len: len, .. } = self.offsets;
        Span { at: path.at + path.len, len }.slice_of(self.bytes)
    }

    /// The query: what follows the first `?`, without a fragment; `None` if there is no `?`.
    #[must_use]
    pub fn query(&self) -> Option<&'b [u8]> {
        let query = self.query_and_fragment().strip_prefix(b"?")?;
        query.split(|&b| b == b'#').next()
    }

    /// The pairs of the query, as forms send them (`application/x-www-form-urlencoded`): names and
    /// values with `+` and percent-encoding decoded, in order. A part without `=` has an empty value;
    /// an empty part is left out. They may be any bytes.
    ///
    /// ```
    /// use doorstep_core::http1::{Connection, Event, Limits};
    ///
    /// let mut connection = Connection::new(Limits::default());
    /// let bytes = b"GET /?name=J%C3%BCrgen+S.&debug HTTP/1.1\r\nHost: a\r\n\r\n";
    /// let Ok((_, Event::Request(head))) = connection.advance(bytes) else { panic!() };
    /// let pairs: Vec<_> = head.query_pairs().collect();
    /// assert_eq!(pairs[0], (b"name".to_vec(), "Jürgen S.".as_bytes().to_vec()));
    /// assert_eq!(pairs[1], (b"debug".to_vec(), vec![]));
    /// ```
    pub fn query_pairs(&self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        fn decode(part: &[u8]) -> Vec<u8> {
            let spaces: Vec<u8> = part.iter().map(|&b| if b == b'+' { b' ' } else { b }).collect();
            percent_encoding::percent_decode(&spaces).collect()
        }
        let parts = self.query().unwrap_or_default().split(|&b| b == b'&');
        parts.filter(|part| !part.is_empty()).map(|part| {
            let mut sides = part.splitn(2, |&b| b == b'=');
            let name = sides.next().unwrap_or_default();
            (decode(name), decode(sides.next().unwrap_or_default()))
        })
    }

    /// Whether the head announces a body: it has `Content-Length` or `Transfer-Encoding`
    /// (RFC 9112 §6). The body may be empty; if `Content-Length` is 0, no [`Event`] follows for it.
    ///
    /// [`Event`]: crate::http1::Event
    #[must_use]
    pub fn has_body(&self) -> bool {
        self.has(KnownHeader::ContentLength) || self.has(KnownHeader::TransferEncoding)
    }

    /// Path and query as received, undecoded (origin-form).
    #[must_use]
    pub fn origin_form(&self) -> (&'b [u8], &'b [u8]) {
        (self.path(), self.query_and_fragment())
    }

    /// The host and port of the request: from an absolute-form target, otherwise from Host (B-026).
    #[must_use]
    pub fn host(&self) -> Option<&'b [u8]> {
        match self.offsets.authority.slice_of(self.bytes) {
            b"" => self.known_header(KnownHeader::Host),
            authority => Some(authority),
        }
    }

    /// The first value of the header of this name, in any letter case (B-039, B-040).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'b [u8]> {
        match KnownHeader::from_name(name.as_bytes()) {
            Some(known) => self.known_header(known),
            None => self.header_values(name).next(),
        }
    }

    /// The value of a header that must not be a list. `None` if it is absent, and also if there are
    /// several lines of it: they would form a list (RFC 9110 §5.3).
    #[must_use]
    pub fn single_header(&self, name: &str) -> Option<&'b [u8]> {
        match KnownHeader::from_name(name.as_bytes()) {
            Some(known) if self.is_repeated(known) => None,
            Some(known) => self.known_header(known),
            None => {
                let mut lines = self.header_values(name);
                lines.next().filter(|_| lines.next().is_none())
            }
        }
    }

    /// Every value of the header of this name, in order.
    pub fn header_values(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        let name = name.as_bytes();
        let (lines, count) = match KnownHeader::from_name(name) {
            Some(known) => self.lines_of(known),
            None if self.offsets.names & name_bit(name) == 0 => (Headers { rest: b"" }, 0),
            None => (self.headers(), usize::MAX),
        };
        lines.values_of(name).take(count)
    }

    /// The lines from the first one of a known header, and how many there are of it at most. The
    /// parser has found the first one: no line before it is looked at, nor one after it if it is not
    /// repeated.
    fn lines_of(&self, known: KnownHeader) -> (Headers<'b>, usize) {
        let lines = |at: u32| self.bytes.get(at as usize..self.size()).unwrap_or_default();
        match self.offsets.known[known as usize] {
            0 => (Headers { rest: b"" }, 0),
            at if self.is_repeated(known) => (Headers { rest: lines(at) }, usize::MAX),
            at => (Headers { rest: lines(at) }, 1),
        }
    }

    /// Every member of a list-valued header, over all its lines (RFC 9110 §5.6.1): split at commas,
    /// trimmed, without empty members. Not for headers whose members may be quoted strings.
    pub fn header_list(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.header_values(name).flat_map(list_members)
    }

    /// Every header in order: name and trimmed value.
    #[must_use]
    pub fn headers(&self) -> Headers<'b> {
        let lines = self.bytes.get(self.offsets.request_line_len as usize..self.size());
        let lines = lines.unwrap_or_default();
        let start = super::scan::find_lf(lines).map_or(lines.len(), |lf| lf + 1);
        Headers { rest: &lines[start..] }
    }

    /// Whether there is more than one line of this header.
    pub(super) fn is_repeated(&self, known: KnownHeader) -> bool {
        self.offsets.repeated & known.bit() != 0
    }

    /// Whether there is a line of this header.
    pub(super) fn has(&self, known: KnownHeader) -> bool {
        self.offsets.known[known as usize] != 0
    }

    pub(crate) fn known_header(&self, known: KnownHeader) -> Option<&'b [u8]> {
        let at = self.offsets.known[known as usize] as usize;
        if at == 0 {
            return None;
        }
        let value = self.bytes.get(at + known.name_len() + 1..)?;
        Some(value[..super::scan::find_lf(value)?].trim_ascii()) // OWS and the CR
    }
}

/// Known headers by their slots, without a look at their names.
#[cfg(feature = "site")]
impl<'b> Head<'b> {
    /// Whether the request has any of these headers.
    pub(crate) fn has_any(&self, headers: &[KnownHeader]) -> bool {
        headers.iter().any(|&known| self.has(known))
    }

    /// Every value of a known header, in order.
    pub(crate) fn known_values(&self, known: KnownHeader) -> impl Iterator<Item = &'b [u8]> {
        let (lines, count) = self.lines_of(known);
        lines.values_of(KNOWN_NAMES[known as usize].1).take(count)
    }

    /// The value of a known header that must not be a list, as [`Head::single_header`].
    pub(crate) fn known_single(&self, known: KnownHeader) -> Option<&'b [u8]> {
        if self.is_repeated(known) { None } else { self.known_header(known) }
    }
}

impl fmt::Debug for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Head");
        out.field("method", &self.method().escape_ascii().to_string());
        out.field("path", &self.path().escape_ascii().to_string());
        out.field("version", &self.version());
        out.field("headers", &self.headers()).finish_non_exhaustive()
    }
}

/// Every header line in order: name and trimmed value. The lines have been validated.
///
/// ```
/// use doorstep_core::http1::{Connection, Event, Limits};
///
/// let mut connection = Connection::new(Limits::default());
/// let Ok((_, Event::Request(head))) = connection.advance(b"GET / HTTP/1.1\r\nHost:  a \r\n\r\n")
/// else { panic!() };
/// assert_eq!(head.headers().next(), Some((&b"Host"[..], &b"a"[..])));
/// ```
#[derive(Clone, Copy)]
pub struct Headers<'b> {
    pub(super) rest: &'b [u8],
}

impl<'b> Headers<'b> {
    /// The values of the lines of this name, in any letter case.
    fn values_of<'n>(self, name: &'n [u8]) -> impl Iterator<Item = &'b [u8]> + use<'b, 'n> {
        self.filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl<'b> Iterator for Headers<'b> {
    type Item = (&'b [u8], &'b [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.rest.split_at(fields::name_len(self.rest));
        let value = value.strip_prefix(b":")?; // the final empty line has none
        let (value, rest) = value.split_at(fields::value_len(value)); // the rest begins with the line end
        self.rest = rest.get(rest.iter().position(|&b| b == b'\n')? + 1..)?;
        Some((name, value.trim_ascii()))
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SECRET: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];
        f.debug_map()
            .entries(self.map(|(name, value)| {
                let secret = SECRET.iter().any(|s| name.eq_ignore_ascii_case(s.as_bytes()));
                let value = if secret { "…".into() } else { value.escape_ascii().to_string() };
                (name.escape_ascii().to_string(), value)
            }))
            .finish()
    }
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
