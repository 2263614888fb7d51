//! Wire transcripts: conversations as Markdown, with what the machine makes of them.
//!
//! `tests/wire/README.md` describes the format; this reads and writes it. A
//! [`Transcript`] is all that a test needs, over a socket or without one: send a round's
//! `request` (and finish, if `eof`), expect its `response`. Malformed files are an error with file
//! and line, never a transcript that tests less than it seems to.

use std::fmt::Write as _;
use std::path::Path;

use doorstep_core::http1::{Limits, Reject, status};
use doorstep_core::page;

/// The second that every Date field in a transcript names.
pub(crate) const CLOCK: u64 = 784_111_777;
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// One conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transcript {
    /// Ids and what is to be seen: the heading.
    pub(crate) title: String,
    /// The line of the heading in its file, from 1.
    pub(crate) line: usize,
    /// What goes to and fro on one connection.
    pub(crate) rounds: Vec<Round>,
}

/// What the peer sends before it waits, and the response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Round {
    pub(crate) request: Vec<u8>,
    /// The peer half-closes behind the request.
    pub(crate) eof: bool,
    /// The events, intermediate need-datas left out and body parts merged.
    pub(crate) events: Vec<Vec<u8>>,
    pub(crate) response: Vec<u8>,
}

/// How a transcript ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The connection stays.
    Open,
    /// It is closed at once: the peer has closed its sending half. If it sends more, it may get a reset.
    Closed,
    /// The server lingers before it closes.
    Lingering,
}

impl Transcript {
    /// What a player sees after the last round.
    #[allow(dead_code, reason = "used by the tests over sockets")]
    pub(crate) fn end(&self) -> End {
        match self.rounds.last().and_then(|round| round.events.last()).map(Vec::as_slice) {
            Some(b"closed") => End::Closed,
            Some(b"closed lingering") => End::Lingering,
            _ => End::Open,
        }
    }
}

/// Every transcript in the text of one file.
///
/// # Errors
/// What is malformed, and in which line.
pub(crate) fn parse(text: &str) -> Result<Vec<Transcript>, String> {
    let mut transcripts: Vec<Transcript> = Vec::new();
    let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    let mut expected = "request";
    while let Some((at, line)) = lines.next() {
        if let Some(title) = line.strip_prefix("## ") {
            if expected != "request" {
                return Err(format!("{at}: the {expected} is missing before this heading"));
            }
            transcripts.push(Transcript { title: title.into(), line: at, rounds: Vec::new() });
        }
        let Some(kind) = line.strip_prefix("```") else { continue };
        if transcripts.is_empty() || kind != expected {
            return Err(format!("{at}: a block of {kind:?} where {expected:?} was expected"));
        }
        let block: Vec<_> = lines.by_ref().take_while(|(_, line)| *line != "```").collect();
        let block: Vec<&str> = block.into_iter().map(|(_, line)| line).collect();
        let rounds = &mut transcripts.last_mut().expect("one was begun").rounds;
        expected = read_block(kind, &block, rounds).map_err(|wrong| format!("{at}: {wrong}"))?;
    }
    match transcripts.iter().find(|transcript| transcript.rounds.is_empty()) {
        _ if expected != "request" => Err(format!("the last {expected} is missing")),
        Some(empty) => Err(format!("{}: no block under this heading", empty.line)),
        None => Ok(transcripts),
    }
}

/// Reads one block into the round it belongs to: which kind comes next.
fn read_block(kind: &str, block: &[&str], rounds: &mut Vec<Round>) -> Result<&'static str, String> {
    if kind == "request" {
        let eof = block.last() == Some(&"{eof}");
        let lines = &block[..block.len() - usize::from(eof)];
        rounds.push(Round { request: bytes(lines, None)?, eof, ..Round::default() });
        return Ok("events");
    }
    let round = rounds.last_mut().expect("a request came first");
    if kind == "events" {
        round.events = block
            .iter()
            .map(|line| bytes(&[&format!("{line}\\")], None))
            .collect::<Result<_, _>>()?;
        return Ok("response");
    }
    round.response = bytes(block, fault(&round.events))?;
    Ok("request")
}

/// The bytes that a block stands for; `fault` is what its last `{page}` is about.
fn bytes(block: &[&str], fault: Option<Reject>) -> Result<Vec<u8>, String> {
    let text: String = block
        .iter()
        .map(|line| match line.len() - line.trim_end_matches('\\').len() {
            odd if odd % 2 == 1 => line[..line.len() - 1].to_owned(), // the line goes on
            _ => format!("{line}\\r\\n"),
        })
        .collect();
    let last_page = text.rfind("{page").or(text.rfind("{length}")).unwrap_or(0);
    let (mut out, mut rest, mut length_at) = (Vec::new(), text.as_str(), None);
    while let Some(next) = rest.chars().next() {
        let at = text.len() - rest.len();
        rest = match next {
            '\\' => escape(rest, &mut out)?,
            '{' => {
                let (word, after) = rest[1..].split_once('}').ok_or("a { without its }")?;
                let fault = fault.filter(|_| at >= last_page);
                match word.split_once(' ').unwrap_or((word, "")) {
                    ("date", "") => out.extend_from_slice(DATE.as_bytes()),
                    ("length", "") => length_at = Some(out.len()),
                    ("page", code) => {
                        let page = error_page(&out, code, fault)?;
                        if let Some(at) = length_at.take() {
                            out.splice(at..at, page.len().to_string().into_bytes());
                        }
                        out.extend_from_slice(&page);
                    }
                    ("repeat", what) => {
                        let (times, part) = what.split_once(' ').ok_or("{repeat N TEXT}")?;
                        let times = times.parse().map_err(|_| "{repeat N TEXT}")?;
                        let mut unit = Vec::new();
                        let mut rest = part;
                        while !rest.is_empty() {
                            rest = literal(rest, &mut unit)?;
                        }
                        out.extend(unit.repeat(times));
                    }
                    _ => return Err(format!("no such directive: {{{word}}}; a brace is \\x7b")),
                }
                after
            }
            _ => literal(rest, &mut out)?,
        };
    }
    if let Some(at) = length_at {
        let page = error_page(&out, "", fault)?; // of a response to HEAD
        out.splice(at..at, page.len().to_string().into_bytes());
    }
    Ok(out)
}

/// One character, or one escape.
fn literal<'t>(text: &'t str, out: &mut Vec<u8>) -> Result<&'t str, String> {
    match text.as_bytes() {
        [b'\\', ..] => escape(text, out),
        [byte, ..] if byte.is_ascii() => {
            out.push(*byte);
            Ok(&text[1..])
        }
        _ => Err(format!("bytes beyond ASCII are written \\xNN: {text:?}")),
    }
}

fn escape<'t>(text: &'t str, out: &mut Vec<u8>) -> Result<&'t str, String> {
    let (byte, size) = match text.as_bytes() {
        [b'\\', b'n', ..] => (b'\n', 2),
        [b'\\', b'r', ..] => (b'\r', 2),
        [b'\\', b't', ..] => (b'\t', 2),
        [b'\\', b'0', ..] => (0, 2),
        [b'\\', b'\\', ..] => (b'\\', 2),
        [b'\\', b'x', _, _, ..] => {
            let byte = text.get(2..4).and_then(|hex| u8::from_str_radix(hex, 16).ok());
            (byte.ok_or_else(|| format!("no such byte: {text:.4}"))?, 4)
        }
        _ => return Err(format!("no such escape: {:?}", text.get(..2))),
    };
    out.push(byte);
    Ok(&text[size..])
}

/// The error page that belongs behind `head`, or the one of `code` when there is no head.
fn error_page(head: &[u8], code: &str, fault: Option<Reject>) -> Result<Vec<u8>, String> {
    let text = String::from_utf8_lossy(head);
    let line = text.lines().rev().find_map(|line| line.find("HTTP/1.").map(|at| &line[at..]));
    let mut words = line.unwrap_or_default().splitn(3, ' ').skip(1);
    let code = if code.is_empty() { words.next().unwrap_or_default() } else { code };
    let code: u16 = code.parse().map_err(|_| "no status line before {page} or {length}")?;
    let reason = words.next().unwrap_or(status::reason(code));
    let mut out = Vec::new();
    let mut explain = fault.map_or(status::explain(code), Reject::explain).to_owned();
    if fault == Some(Reject::BodyTooLarge) {
        let sentence = explain.trim_end_matches('.');
        explain = format!("{sentence}: at most {} bytes.", Limits::default().body);
    }
    page::error(&mut out, code, reason.as_bytes(), &explain);
    Ok(out)
}

/// The fault in a round's events.
fn fault(events: &[Vec<u8>]) -> Option<Reject> {
    let text = events.iter().filter_map(|event| str::from_utf8(event).ok());
    let mut names = text.filter_map(|event| event.strip_prefix("reject ")?.split(' ').nth(1));
    let name = names.next()?;
    REJECTS.into_iter().find(|reject| format!("{reject:?}") == name)
}

/// A file's text with each round's events and response replaced by what `rounds` holds, in order.
pub(crate) fn rewrite(text: &str, rounds: &[Round]) -> String {
    let mut out = String::new();
    let mut rounds = rounds.iter();
    let mut round = None;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        let Some(kind @ ("request" | "events" | "response")) = line.strip_prefix("```") else {
            continue;
        };
        let block: String = lines
            .by_ref()
            .take_while(|line| *line != "```")
            .map(|line| format!("{line}\n"))
            .collect();
        if kind == "request" {
            round = rounds.next();
        }
        match (kind, round) {
            ("events", Some(round)) => {
                for event in &round.events {
                    out.push_str(&show(event, false));
                    out.push('\n');
                }
            }
            ("response", Some(round)) => out.push_str(&show_response(&round.response)),
            _ => out.push_str(&block),
        }
        out.push_str("```\n");
    }
    out
}

/// An response as the block that stands for it.
pub(crate) fn show_response(response: &[u8]) -> String {
    const OPEN: &[u8] = b"<!DOCTYPE html>";
    const CLOSE: &[u8] = b"</html>\n";
    const LENGTH: &str = "Content-Length: ";
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|w| w == what);
    let (mut out, mut rest) = (String::new(), response);
    while !rest.is_empty() {
        if rest.starts_with(OPEN)
            && let Some(end) = find(rest, CLOSE)
        {
            let code = || {
                String::from_utf8_lossy(&rest[..end])
                    .split("<title>")
                    .nth(1)?
                    .get(..3)
                    .map(str::to_owned)
            };
            let code = code().filter(|_| !out.contains("HTTP/1.")).map(|code| format!(" {code}"));
            let _ = writeln!(out, "{{page{}}}\\", code.unwrap_or_default());
            rest = &rest[end + CLOSE.len()..];
            continue;
        }
        let end = find(rest, b"\r\n").map_or(rest.len(), |at| at + 2);
        let end = find(&rest[..end], b"HTTP/1.")
            .filter(|&at| at > 0 && !rest.starts_with(b"HTTP/1."))
            .unwrap_or(end);
        let end = find(&rest[..end], OPEN).filter(|&at| at > 0).unwrap_or(end);
        let line = show(&rest[..end], true);
        let of_page = out.ends_with(&format!("Content-Type: {}\n", page::CONTENT_TYPE));
        match line.strip_prefix(LENGTH) {
            Some(_) if of_page => out.push_str("Content-Length: {length}\n"),
            _ => {
                let _ = writeln!(out, "{}", line.replace(DATE, "{date}"));
            }
        }
        rest = &rest[end..];
    }
    out
}

/// One line as a block shows it; `ends` when it is one of those that end in CR LF unless told
/// otherwise.
pub(crate) fn show(line: &[u8], ends: bool) -> String {
    let (mut rest, whole) = match line.strip_suffix(b"\r\n") {
        Some(text) if ends => (text, true),
        _ => (line, false),
    };
    let mut out = String::new();
    while let Some(&byte) = rest.first() {
        let (unit, times) = run(rest);
        if times > 1 {
            let unit: String = rest[..unit].iter().map(|&byte| character(byte)).collect();
            let _ = write!(out, "{{repeat {times} {unit}}}");
        } else {
            out.push_str(&character(byte));
        }
        rest = &rest[unit * times..];
    }
    if out.ends_with(' ') {
        out.replace_range(out.len() - 1.., "\\x20"); // or an editor would strip it
    }
    if ends && !whole {
        out.push('\\');
    }
    out
}

/// What `bytes` begin with: a unit and how often it stands there, if that makes a long run.
fn run(bytes: &[u8]) -> (usize, usize) {
    const LONG: usize = 200; // bytes
    let times = |unit: usize| bytes.chunks(unit).take_while(|part| *part == &bytes[..unit]).count();
    let units = 1..=16.min(bytes.len());
    units
        .map(|unit| (unit, times(unit)))
        .find(|(unit, times)| unit * times >= LONG)
        .unwrap_or((1, 1))
}

fn character(byte: u8) -> String {
    match byte {
        b'\n' => "\\n".into(),
        b'\r' => "\\r".into(),
        b'\t' => "\\t".into(),
        b'\\' => "\\\\".into(),
        b'{' | b'}' => format!("\\x{byte:02x}"),
        b' '..=b'~' => char::from(byte).into(),
        _ => format!("\\x{byte:02x}"),
    }
}

/// Every Markdown file of transcripts in `dir`, by name.
pub(crate) fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).expect("the transcripts are there");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.retain(|file| {
        file.extension().is_some_and(|ext| ext == "md") && !file.ends_with("README.md")
    });
    files.sort();
    files
}

const REJECTS: [Reject; 28] = [
    Reject::BadSyntax,
    Reject::BadVersion,
    Reject::UnsupportedVersion,
    Reject::BadSimpleRequest,
    Reject::BadMethod,
    Reject::BadTarget,
    Reject::UriTooLong,
    Reject::HeaderLineTooLong,
    Reject::HeadTooLarge,
    Reject::TooManyHeaders,
    Reject::BadHeader,
    Reject::BadHost,
    Reject::BadContentLength,
    Reject::BadTransferEncoding,
    Reject::UnsupportedTransferCoding,
    Reject::LengthAndTransferEncoding,
    Reject::TransferEncodingBefore11,
    Reject::BadExpectation,
    Reject::BadForwarded,
    Reject::BodyTooLarge,
    Reject::BadChunk,
    Reject::ChunkOverhead,
    Reject::BadTrailer,
    Reject::TrailersTooLarge,
    Reject::Truncated,
    Reject::RequestTimeout,
    Reject::PlainHttpOnTls,
    Reject::TooManyEmptyLines,
];
