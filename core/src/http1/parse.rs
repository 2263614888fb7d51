//! The parser of a head: its request line, and what its headers mean for the connection.
//!
//! Checks come in the order of `http.server` (B-028): length, words, version, the rule of HTTP/0.9,
//! target, headers. A request line is checked as soon as it is complete, so that an error response
//! does not wait for the rest. The search for the end of the head is resumed where it stopped, and
//! the headers are parsed once, when the head is complete: a peer that sends one byte at a time
//! causes linear work.
//!
//! The syntax of a header line is in `fields.rs`. The loop here accepts usual lines alone; a head with
//! any other line is given to httparse as a whole, whose verdict counts.

use super::error::Reject;
use super::fields::{self, Line, Refusal};
use super::head::{Head, HeadOffsets, KnownHeader, Version, name_bit};
use super::limits::Limits;
use super::scan::{find_head_end, find_lf};
use super::target::{self, Target};
use crate::bytes::{is_name, is_tchar, is_token, list_members};

/// The state of the search for the end of the head. Offsets from the first byte of the head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct HeadScan {
    /// The LF of the request line; 0 if it was not found yet.
    request_line_end: u32,
    /// The start of the current line.
    line_start: u32,
    /// Where the search continues.
    resume_at: u32,
}

impl HeadScan {
    /// Whether a part of a head has arrived.
    pub(super) fn has_begun(&self) -> bool {
        self.resume_at > 0
    }
}

/// The properties of a head that concern the connection.
#[derive(Default)]
pub(super) struct ConnectionOptions {
    /// Written in a way that the grammar tolerates but no client in use needs: the request is
    /// served, then the connection closes (B-001, B-006).
    pub(super) lenient: bool,
    /// The options of all Connection headers (B-041).
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
}

/// The empty lines before a request line (B-007): their bytes, and their number.
pub(super) fn count_empty_lines(input: &[u8]) -> (usize, u8) {
    let (mut used, mut lines) = (0, 0u8);
    loop {
        used += match input[used..] {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => return (used, lines),
        };
        lines = lines.saturating_add(1);
    }
}

/// The first request line in `input`, without its line end, for the log and the error page of a
/// refused request. Empty if the line was too long (B-004) or absent; one byte if that cannot begin
/// a request. The result does not depend on how much of the input has arrived.
#[must_use]
pub fn rejected_request_line(reject: Reject, input: &[u8]) -> &[u8] {
    if matches!(reject, Reject::UriTooLong | Reject::TooManyEmptyLines) {
        return b"";
    }
    let (used, _) = count_empty_lines(input);
    let rest = &input[used..];
    if rest.first().is_some_and(|&first| !can_begin_request(first)) {
        return &rest[..1];
    }
    trim_line(&rest[..find_lf(rest).unwrap_or(rest.len())])
}

/// Searches for a complete head at the start of `input`, which has no empty lines before it.
/// Returns its request line, and bytes that hold the whole head and perhaps more. Pass them to
/// [`parse_headers`].
pub(super) fn find_head<'b>(
    scan: &mut HeadScan,
    input: &'b [u8],
    limits: &Limits,
) -> Result<Option<(RequestLine, &'b [u8])>, Reject> {
    let Some(&first) = input.first() else {
        return Ok(None);
    };
    if !can_begin_request(first) {
        return Err(Reject::BadSyntax); // such as a TLS handshake: no need to wait for a line end
    }
    let fresh = scan.request_line_end == 0;
    if fresh {
        let Some(end) = find_request_line_end(scan, input, limits)? else {
            return Ok(None);
        };
        *scan = HeadScan {
            request_line_end: end as u32,
            line_start: end as u32 + 1,
            resume_at: end as u32,
        };
    }
    let end = scan.request_line_end as usize;
    let whole = find_whole_head(scan, input, limits);
    if !fresh && !matches!(whole, Ok(Some(_))) {
        return whole.map(|_| None); // the request line was checked before
    }
    let line = RequestLine::parse(&input[..end])?; // its faults take precedence over those of the headers
    if line.version == Version::Http09 {
        return Ok(Some((line, &input[..=end]))); // the request line is the whole request (B-020)
    }
    Ok(whole?.map(|whole| (line, whole)))
}

fn can_begin_request(first: u8) -> bool {
    is_tchar(first) || matches!(first, b' ' | b'\t' | b'\r')
}

/// The LF of the request line, if it has arrived.
fn find_request_line_end(
    scan: &mut HeadScan,
    input: &[u8],
    limits: &Limits,
) -> Result<Option<usize>, Reject> {
    let from = (scan.resume_at as usize).min(input.len());
    let end = find_lf(&input[from..]).map(|offset| from + offset);
    if end.map_or(input.len(), |end| end + 1) > limits.request_line as usize {
        return Err(Reject::UriTooLong);
    }
    scan.resume_at = input.len() as u32;
    Ok(end)
}

/// Bytes that hold the whole head, if it has arrived; they may hold more behind it.
fn find_whole_head<'b>(
    scan: &mut HeadScan,
    input: &'b [u8],
    limits: &Limits,
) -> Result<Option<&'b [u8]>, Reject> {
    let small = input.len() <= limits.header_line.min(limits.head) as usize;
    if small && input.ends_with(b"\r\n\r\n") {
        return Ok(Some(input)); // it certainly holds an end, and no limit is near
    }
    let max = limits.head as usize;
    let window = &input[..input.len().min(max + 1)];
    match find_head_end(window, scan.resume_at as usize) {
        Some(end) if end <= max => {
            if end > limits.header_line as usize {
                scan.check_line_lengths(&window[..end], limits)?;
            }
            Ok(Some(&input[..end]))
        }
        _ => {
            scan.check_line_lengths(window, limits)?;
            if window.len() > max { Err(Reject::HeadTooLarge) } else { Ok(None) }
        }
    }
}

impl HeadScan {
    /// Checks the lengths of the lines that are new in `window`.
    fn check_line_lengths(&mut self, window: &[u8], limits: &Limits) -> Result<(), Reject> {
        let max = limits.header_line as usize;
        let mut start = self.line_start as usize;
        let mut at = start.max(self.resume_at as usize);
        while let Some(lf) = window.get(at..).and_then(find_lf) {
            at += lf + 1;
            if at - start > max {
                return Err(Reject::HeaderLineTooLong);
            }
            start = at;
        }
        if window.len().saturating_sub(start) > max {
            return Err(Reject::HeaderLineTooLong);
        }
        // Minus two bytes: the empty line may have begun there.
        self.resume_at = window.len().saturating_sub(2).max(self.request_line_end as usize) as u32;
        self.line_start = start as u32;
        Ok(())
    }
}

/// A parsed request line.
pub(super) struct RequestLine {
    /// Its length without and with its line end.
    len: u32,
    len_with_eol: u32,
    method_len: u32,
    version: Version,
    target: Target,
    lenient: bool,
}

impl RequestLine {
    /// `line` ends before its LF.
    fn parse(line: &[u8]) -> Result<Self, Reject> {
        let text = trim_line(line);
        let usual = Words::parse_common(text).and_then(|words| Some((words.target().ok()?, words)));
        let (target, words) = match usual {
            Some(usual) => usual,
            None => {
                let words = Words::parse_lenient(text)?;
                (words.target()?, words)
            }
        };
        Ok(Self {
            len: text.len() as u32,
            len_with_eol: line.len() as u32 + 1,
            method_len: words.method.len() as u32,
            version: words.version,
            target,
            lenient: words.lenient || line.len() != text.len() + 1, // other than one CR before the LF
        })
    }

    /// Whether it is written in a way that no client in use needs.
    pub(super) fn lenient(&self) -> bool {
        self.lenient
    }

    /// Writes the head that begins with this line, without headers so far.
    pub(super) fn write_to(&self, offsets: &mut HeadOffsets) {
        offsets.size = self.len_with_eol;
        offsets.request_line_len = self.len;
        offsets.method_len = self.method_len;
        offsets.version = self.version;
        offsets.path = self.target.path;
        offsets.query_and_fragment_len = self.target.query_and_fragment_len;
        offsets.authority = self.target.authority.unwrap_or_default();
    }
}

/// The words of a request line.
struct Words<'l> {
    method: &'l [u8],
    target: &'l [u8],
    target_at: usize,
    version: Version,
    /// Whether these are not exactly three words separated by single spaces.
    lenient: bool,
}

impl<'l> Words<'l> {
    fn target(&self) -> Result<Target, Reject> {
        target::parse(self.method, self.target, self.target_at)
    }

    /// The words of a line in the usual form: a fast path. The target may hold any bytes.
    fn parse_common(text: &'l [u8]) -> Option<Self> {
        let (rest, version) = text.split_last_chunk::<9>()?;
        // Not `match`, which compares byte by byte.
        let version = if version == b" HTTP/1.1" {
            Version::Http11
        } else if version == b" HTTP/1.0" {
            Version::Http10
        } else {
            return None;
        };
        let space = match rest {
            [b'G', b'E', b'T', b' ', ..] => 3,
            _ => rest.iter().position(|&b| !is_tchar(b))?,
        };
        let (method, target) = rest.split_at(space);
        let target = target.strip_prefix(b" ")?;
        let fits = !method.is_empty() && !target.is_empty();
        fits.then_some(Self { method, target, target_at: space + 1, version, lenient: false })
    }

    /// The words of a line in any form (B-006, B-014, B-016).
    fn parse_lenient(text: &'l [u8]) -> Result<Self, Reject> {
        let mut words = [(0, &b""[..]); 4];
        let mut count = 0;
        let mut at = 0;
        for word in text.split(|&b| b == b' ' || b == b'\t') {
            if !word.is_empty() {
                words[count.min(3)] = (at, word);
                count += 1;
            }
            at += word.len() + 1;
        }
        let [(_, method), (target_at, target), (_, third), _] = words;
        let version = match count {
            0 | 1 => return Err(Reject::BadSyntax),
            2 if method == b"GET" => Version::Http09,
            2 => return Err(Reject::BadSimpleRequest),
            _ => parse_version(words[count.min(4) - 1].1)?,
        };
        if count > 3 {
            return Err(Reject::BadSyntax);
        }
        if !is_token(method) {
            return Err(Reject::BadMethod);
        }
        let plain = method.len() + target.len() + third.len() + 2;
        let lenient = text.len() != plain || text.contains(&b'\t');
        Ok(Self { method, target, target_at, version, lenient })
    }
}

/// Exactly `HTTP/`, a digit, a dot and a digit (B-009, B-010, B-011, B-018).
fn parse_version(word: &[u8]) -> Result<Version, Reject> {
    match word {
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', major @ b'0'..=b'9', b'.', b'0'..=b'9'] => match major {
            b'1' => Ok(Version::Http11),
            _ => Err(Reject::UnsupportedVersion),
        },
        _ => Err(Reject::BadVersion),
    }
}

/// Parses the headers of `head`, whose request line was parsed, and remembers where the known ones
/// are. `lenient` is that of the request line.
#[inline(never)] // a loop with many variables: it has the registers to itself
pub(super) fn parse_headers(
    head: &mut Head<'_>,
    lenient: bool,
    limits: &Limits,
) -> Result<ConnectionOptions, Reject> {
    let Head { bytes, offsets } = head;
    let mut options = ConnectionOptions { lenient, ..ConnectionOptions::default() };
    if offsets.version == Version::Http09 {
        return Ok(ConnectionOptions { close: true, ..options });
    }
    let max = usize::from(limits.header_count.min(Limits::MAX_HEADERS));
    let mut host = None;
    let mut count = 0;
    let mut rest = bytes.get(offsets.size as usize..).unwrap_or_default();
    loop {
        let at = bytes.len() - rest.len();
        let parsed = fields::parse_line(rest);
        let Some((line, end)) = parsed.filter(|(line, _)| count < max || matches!(line, Line::End))
        else {
            (rest, host) = parse_unusual_headers(bytes, offsets, max, &mut options)?;
            break;
        };
        options.lenient |= end.is_bare_lf;
        rest = end.rest;
        let Line::Field { name, value } = line else { break };
        count += 1;
        record(name, value, at, offsets, &mut options, &mut host);
    }
    *bytes = &bytes[..bytes.len() - rest.len()];
    offsets.size = bytes.len() as u32;
    let is_required = offsets.version == Version::Http11;
    let is_repeated = offsets.repeated & KnownHeader::Host.bit() != 0;
    if is_repeated || !host.map_or(!is_required, target::is_host) {
        return Err(Reject::BadHost);
    }
    Ok(options)
}

/// Records a header that begins at `at`.
#[inline(always)] // into the loop
fn record<'b>(
    name: &'b [u8],
    value: &'b [u8],
    at: usize,
    offsets: &mut HeadOffsets,
    options: &mut ConnectionOptions,
    host: &mut Option<&'b [u8]>,
) {
    offsets.names |= name_bit(name);
    let Some(known) = KnownHeader::from_name(name) else { return };
    let place = &mut offsets.known[known as usize];
    match *place {
        0 => *place = at as u32,
        _ => offsets.repeated |= known.bit(),
    }
    match known {
        KnownHeader::Host => *host = Some(value),
        KnownHeader::Connection => options.read_options(value),
        _ => {}
    }
}

/// Parses the headers by httparse, from the first one on: what was recorded of them is replaced.
/// Returns what follows the head, and the value of Host.
#[cold]
#[inline(never)]
fn parse_unusual_headers<'b>(
    bytes: &'b [u8],
    offsets: &mut HeadOffsets,
    max: usize,
    options: &mut ConnectionOptions,
) -> Result<(&'b [u8], Option<&'b [u8]>), Reject> {
    let section = bytes.get(offsets.size as usize..).unwrap_or_default();
    (offsets.names, offsets.repeated, offsets.known) = (0, 0, [0; KnownHeader::COUNT]);
    *options = ConnectionOptions { lenient: options.lenient, ..ConnectionOptions::default() };
    let mut host = None;
    let mut is_elsewhere = false;
    let size = fields::parse_section(section, max, |name, value| match offset_in(bytes, name) {
        Some(at) => record(name, value, at, offsets, options, &mut host),
        None => is_elsewhere = true,
    })
    .map_err(|refusal| match refusal {
        Refusal::TooManyFields => Reject::TooManyHeaders,
        Refusal::Malformed => Reject::BadHeader,
    })?;
    let (section, rest) = section.split_at_checked(size).ok_or(Reject::BadHeader)?;
    if is_elsewhere {
        return Err(Reject::BadHeader);
    }
    let mut lines = section.split_inclusive(|&byte| byte == b'\n');
    options.lenient |= lines.any(|line| !line.ends_with(b"\r\n")); // a bare LF
    Ok((rest, host))
}

/// The offset of `part` in `bytes`. `None` if it is not in them: a parser may return another slice.
fn offset_in(bytes: &[u8], part: &[u8]) -> Option<usize> {
    let at = part.as_ptr().addr().checked_sub(bytes.as_ptr().addr())?;
    (at + part.len() <= bytes.len()).then_some(at)
}

impl ConnectionOptions {
    /// Reads the options of a Connection header, in any letter case.
    fn read_options(&mut self, value: &[u8]) {
        if is_name(value, b"keep-alive") {
            self.keep_alive = true; // what browsers send, without splitting a list
            return;
        }
        for option in list_members(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            self.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }
}

fn trim_line(mut line: &[u8]) -> &[u8] {
    while let [rest @ .., b'\r'] = line {
        line = rest;
    }
    line
}
