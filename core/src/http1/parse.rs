//! From bytes to a head: the request line ourselves, the fields by httparse.
//!
//! The order of judgement is that of `http.server` (B-028): length, words, version, the rule of
//! HTTP/0.9, target, fields. A request line is judged as soon as it is whole, so a mistake is
//! answered without waiting for the rest. The search for the end resumes where it stopped and the
//! fields are parsed once, on a whole head: a peer that sends a byte at a time costs linear work.
//!
//! Why httparse does not see more than the fields: it knows two versions only, wants UTF-8 in
//! targets, and starts over when the head is not whole.

use super::error::Reject;
use super::head::{Head, Known, Span, Spans, Version, members};
use super::limits::Limits;
use super::scan::{find_lf, has_bare_lf, head_end};
use super::target;

/// Where the search for the end of the head stopped. Offsets from the head's first byte.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// The LF of the request line; 0 while there is none.
    line: u32,
    /// Where the line that is being read began.
    start: u32,
    /// Where to go on.
    at: u32,
}

impl Scan {
    /// Whether a part of a head is here.
    pub(super) fn has_begun(&self) -> bool {
        self.at > 0
    }
}

/// A whole head, and what its fields say about the connection.
pub(super) struct Parsed<'b> {
    pub(super) head: Head<'b>,
    /// Written in a way the grammar grants but nobody else uses: served, then closed (B-001, B-006).
    pub(super) unusual: bool,
    pub(super) repeated_length: bool,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
}

/// How many bytes of empty lines precede a request line, and how many lines that is (B-007).
pub(super) fn empty_lines(input: &[u8]) -> (usize, u8) {
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

/// The first request line in `input`, without its line end: what a log and an error page show of a
/// request that was refused. Empty when the line was too long (B-004) or there was none, and a byte
/// long when that cannot begin a request: never does it depend on how much has arrived.
#[must_use]
pub fn refused_line(reject: Reject, input: &[u8]) -> &[u8] {
    if matches!(reject, Reject::UriTooLong | Reject::EmptyLines) {
        return b"";
    }
    let (used, _) = empty_lines(input);
    let rest = &input[used..];
    if rest.first().is_some_and(|&first| !may_begin(first)) {
        return &rest[..1];
    }
    trim_line(&rest[..find_lf(rest).unwrap_or(rest.len())])
}

/// Looks for a whole head at the start of `input`, which has no empty lines before it.
pub(super) fn head<'b>(
    scan: &mut Scan,
    input: &'b [u8],
    limits: &Limits,
) -> Result<Option<Parsed<'b>>, Reject> {
    let Some(&first) = input.first() else { return Ok(None) };
    if !may_begin(first) {
        return Err(Reject::BadSyntax); // a TLS hello, say: no need to wait for its line end
    }
    let mut judged = None;
    if scan.line == 0 {
        let Some(end) = line_end(scan, input, limits)? else { return Ok(None) };
        let line = RequestLine::parse(&input[..end])?;
        if line.spans.version == Version::Http09 {
            return Ok(Some(line.alone(&input[..=end])));
        }
        *scan = Scan { line: end as u32, start: end as u32 + 1, at: end as u32 };
        judged = Some(line);
    }
    let Some(whole) = whole_head(scan, input, limits)? else { return Ok(None) };
    let line = match judged {
        Some(line) => line,
        None => RequestLine::parse(&input[..scan.line as usize])?,
    };
    with_fields(line, scan.line as usize + 1, whole, limits).map(Some)
}

fn may_begin(first: u8) -> bool {
    is_token(first) || matches!(first, b' ' | b'\t' | b'\r')
}

/// The LF of the request line, when it is here.
fn line_end(scan: &mut Scan, input: &[u8], limits: &Limits) -> Result<Option<usize>, Reject> {
    let from = (scan.at as usize).min(input.len());
    let end = find_lf(&input[from..]).map(|offset| from + offset);
    if end.map_or(input.len(), |end| end + 1) > limits.request_line as usize {
        return Err(Reject::UriTooLong);
    }
    scan.at = input.len() as u32;
    Ok(end)
}

/// The bytes that hold the whole head, when it is here; they may hold more behind it.
fn whole_head<'b>(
    scan: &mut Scan,
    input: &'b [u8],
    limits: &Limits,
) -> Result<Option<&'b [u8]>, Reject> {
    let small = input.len() <= limits.field_line.min(limits.head) as usize;
    if small && input.ends_with(b"\r\n\r\n") {
        return Ok(Some(input)); // an end is certain, and no limit is near
    }
    let most = limits.head as usize;
    let window = &input[..input.len().min(most + 1)];
    match head_end(window, scan.at as usize) {
        Some(end) if end <= most => {
            if end > limits.field_line as usize {
                scan.measure(&window[..end], limits)?;
            }
            Ok(Some(&input[..end]))
        }
        _ => {
            scan.measure(window, limits)?;
            if window.len() > most { Err(Reject::HeadTooLarge) } else { Ok(None) }
        }
    }
}

impl Scan {
    /// Walks the lines that are new in `window`, so that none passes its limit unseen.
    fn measure(&mut self, window: &[u8], limits: &Limits) -> Result<(), Reject> {
        let most = limits.field_line as usize;
        let mut start = self.start as usize;
        let mut at = start.max(self.at as usize);
        while let Some(lf) = window.get(at..).and_then(find_lf) {
            at += lf + 1;
            if at - start > most {
                return Err(Reject::LineTooLong);
            }
            start = at;
        }
        if window.len().saturating_sub(start) > most {
            return Err(Reject::LineTooLong);
        }
        // Two bytes back: the empty line may have begun there.
        self.at = window.len().saturating_sub(2).max(self.line as usize) as u32;
        self.start = start as u32;
        Ok(())
    }
}

/// A request line, taken apart.
struct RequestLine {
    spans: Spans,
    unusual: bool,
}

impl RequestLine {
    /// `line` reaches up to its LF, which is not in it.
    fn parse(line: &[u8]) -> Result<Self, Reject> {
        let text = trim_line(line);
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
        let [(_, method), (target_at, target), ..] = words;
        let version = match count {
            0 | 1 => return Err(Reject::BadSyntax),
            2 if method == b"GET" => Version::Http09,
            2 => return Err(Reject::BadSimpleRequest),
            _ => version(words[count.min(4) - 1].1)?,
        };
        if count > 3 {
            return Err(Reject::BadSyntax);
        }
        if !method.iter().all(|&b| is_token(b)) {
            return Err(Reject::BadMethod);
        }
        let found = target::parse(method, target, target_at)?;
        let mut spans = Spans {
            line: text.len() as u32,
            method: method.len() as u32,
            version,
            path: found.path,
            suffix: found.suffix,
            authority: found.authority,
            ..Spans::default()
        };
        spans.size = line.len() as u32 + 1;
        let plain = words[0].1.len() + target.len() + words[2].1.len() + 2;
        let one_cr = line.len() - text.len() <= 1;
        Ok(Self { spans, unusual: text.len() != plain || text.contains(&b'\t') || !one_cr })
    }

    /// HTTP/0.9: the line is the whole request (B-020).
    fn alone(self, bytes: &[u8]) -> Parsed<'_> {
        Parsed {
            head: self.spans.view(bytes),
            unusual: self.unusual,
            repeated_length: false,
            close: true,
            keep_alive: false,
            upgrade: false,
        }
    }
}

/// B-009, B-010, B-011, B-018: exactly `HTTP/`, a digit, a dot and a digit.
fn version(word: &[u8]) -> Result<Version, Reject> {
    match word {
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', major @ b'0'..=b'9', b'.', b'0'..=b'9'] => match major {
            b'1' => Ok(Version::Http11),
            _ => Err(Reject::UnsupportedVersion),
        },
        _ => Err(Reject::BadVersion),
    }
}

/// Parses the fields, which begin at `at` in `bytes`, and remembers the places of the known ones.
fn with_fields<'b>(
    mut line: RequestLine,
    at: usize,
    bytes: &'b [u8],
    limits: &Limits,
) -> Result<Parsed<'b>, Reject> {
    const FEW: usize = 32; // nearly every head; the larger table costs more to set up
    let block = &bytes[at..];
    let mut few = [httparse::EMPTY_HEADER; FEW];
    let mut many;
    let (size, fields) = match httparse::parse_headers(block, &mut few) {
        Ok(httparse::Status::Complete(parsed)) => parsed,
        Err(httparse::Error::TooManyHeaders) if usize::from(limits.fields) > FEW => {
            many = [httparse::EMPTY_HEADER; Limits::MOST_FIELDS as usize];
            match httparse::parse_headers(block, &mut many) {
                Ok(httparse::Status::Complete(parsed)) => parsed,
                Err(httparse::Error::TooManyHeaders) => return Err(Reject::TooManyFields),
                _ => return Err(Reject::BadField),
            }
        }
        Err(httparse::Error::TooManyHeaders) => return Err(Reject::TooManyFields),
        _ => return Err(Reject::BadField),
    };
    if fields.len() > usize::from(limits.fields) {
        return Err(Reject::TooManyFields);
    }
    line.spans.size = (at + size) as u32;
    line.spans.fields = Span { at: at as u32, len: size as u32 };
    let unusual = line.unusual || has_bare_lf(&bytes[..at + size]);
    let mut parsed = Parsed { unusual, ..line.alone(bytes) };
    parsed.close = false;

    let mut spans = parsed.head.spans();
    let mut hosts = 0;
    for field in fields {
        let Some(known) = Known::named(field.name.as_bytes()) else { continue };
        let place = &mut spans.known[known as usize];
        let repeated = place.is_present();
        if !repeated {
            *place = span_in(bytes, field.value).ok_or(Reject::BadField)?;
        }
        match known {
            Known::Host if repeated || !target::is_host(field.value) => {
                return Err(Reject::BadHost);
            }
            Known::Host => hosts += 1,
            Known::ContentLength => parsed.repeated_length |= repeated,
            Known::Connection => parsed.connection_options(field.value),
            _ => {}
        }
    }
    if hosts == 0 && spans.version == Version::Http11 {
        return Err(Reject::BadHost);
    }
    parsed.head = spans.view(&bytes[..at + size]);
    Ok(parsed)
}

impl Parsed<'_> {
    /// B-041: the options of every Connection field count, in any case of letters.
    fn connection_options(&mut self, value: &[u8]) {
        for option in members(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            self.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }
}

/// Where `part` lies in `bytes`. A parser may return a slice from elsewhere: then there is none.
/// An empty value lies nowhere in particular, but behind the request line.
fn span_in(bytes: &[u8], part: &[u8]) -> Option<Span> {
    if part.is_empty() {
        return Some(Span { at: 1, len: 0 });
    }
    let at = (part.as_ptr() as usize).checked_sub(bytes.as_ptr() as usize)?;
    (at + part.len() <= bytes.len()).then_some(Span { at: at as u32, len: part.len() as u32 })
}

/// RFC 9110 §5.6.2.
pub(super) const fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || matches!(
            b,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

fn trim_line(mut line: &[u8]) -> &[u8] {
    while let [rest @ .., b'\r'] = line {
        line = rest;
    }
    line
}
