//! The access log's lines, as `http.server` writes them.
//!
//! A [`Record`] is one finished answer; [`write()`] appends its line when the answer has *ended*, so
//! the size is what was really sent and a cut answer is marked (B-107). What a peer wrote is
//! escaped: no request can move a terminal's cursor or forge a line (B-103). Time comes in as
//! [`Civil`], in the zone of whoever reads the log.
//!
//! ```
//! use doorstep_core::http1::date::Civil;
//! use doorstep_core::log::{self, Record};
//!
//! let at = Civil { year: 2026, month: 11, day: 3, hour: 9, minute: 5, second: 7 };
//! let record = Record {
//!     peer: [127, 0, 0, 1].into(),
//!     line: b"GET / HTTP/1.1",
//!     status: 200,
//!     bytes: Some(512),
//!     cut: false,
//!     error: None,
//! };
//! let mut out = Vec::new();
//! log::write(&mut out, &record, &at);
//! assert_eq!(out, b"127.0.0.1 - - [03/Nov/2026 09:05:07] \"GET / HTTP/1.1\" 200 512\n");
//! ```

use crate::http1::date::{Civil, four, two};
use crate::page::number;
use std::io::Write as _;
use std::net::IpAddr;

/// One answer that has ended. A plain 1xx is none (B-106).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The client's address; an IPv4 address mapped into IPv6 is shown as IPv4 (B-105).
    pub peer: IpAddr,
    /// The request line as it came, without its line end (B-102); empty if there was none (B-004).
    pub line: &'a [u8],
    /// The status that was sent.
    pub status: u16,
    /// How many bytes of body were sent; `None` when the answer has no body (B-101).
    pub bytes: Option<u64>,
    /// Whether the answer broke off before its end (B-107).
    pub cut: bool,
    /// The message of an error answer: it has a line of its own, above (B-081).
    pub error: Option<&'a [u8]>,
}

/// Appends the line for `record` (B-100): `IP - - [DD/Mon/YYYY HH:MM:SS] "LINE" STATUS BYTES`,
/// with ` cut` at the end of an answer that broke off; above it, for an error answer, the line
/// `… code 404, message File not found` (B-081).
pub fn write(out: &mut Vec<u8>, record: &Record<'_>, at: &Civil) {
    if let Some(message) = record.error {
        prefix(out, record.peer, at);
        out.extend_from_slice(b"code ");
        number(out, record.status.into());
        out.extend_from_slice(b", message ");
        escape(out, message);
        out.push(b'\n');
    }
    prefix(out, record.peer, at);
    out.push(b'"');
    escape(out, record.line);
    out.extend_from_slice(b"\" ");
    number(out, record.status.into());
    out.push(b' ');
    match record.bytes {
        Some(bytes) => number(out, bytes),
        None => out.push(b'-'),
    }
    out.extend_from_slice(if record.cut { b" cut\n" } else { b"\n" });
}

/// Appends a line of the server's own about `peer`: why something was refused or broke off.
pub fn note(out: &mut Vec<u8>, peer: IpAddr, at: &Civil, message: &[u8]) {
    prefix(out, peer, at);
    escape(out, message);
    out.push(b'\n');
}

/// The same about no client in particular.
pub fn notice(out: &mut Vec<u8>, at: &Civil, message: &[u8]) {
    out.push(b'-');
    date(out, at);
    escape(out, message);
    out.push(b'\n');
}

/// Appends `text` so that it is safe to look at: control bytes, C1 controls and what is not UTF-8
/// become `\xNN`, a backslash is doubled, all else stays (B-103).
pub fn escape(out: &mut Vec<u8>, text: &[u8]) {
    for piece in text.utf8_chunks() {
        let mut utf8 = [0; 4];
        for c in piece.valid().chars() {
            let bytes = c.encode_utf8(&mut utf8).as_bytes();
            match c {
                '\\' => out.extend_from_slice(b"\\\\"),
                c if c.is_control() => hex(out, bytes),
                _ => out.extend_from_slice(bytes),
            }
        }
        hex(out, piece.invalid());
    }
}

fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        let (high, low) = (DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]);
        out.extend_from_slice(&[b'\\', b'x', high, low]);
    }
}

fn prefix(out: &mut Vec<u8>, peer: IpAddr, at: &Civil) {
    write!(out, "{}", peer.to_canonical()).expect("a Vec takes all that is written to it");
    date(out, at);
}

fn date(out: &mut Vec<u8>, at: &Civil) {
    out.extend_from_slice(b" - - [");
    out.extend_from_slice(&two(at.day));
    out.push(b'/');
    out.extend_from_slice(at.month_name());
    out.push(b'/');
    out.extend_from_slice(&four(at.year));
    for (mark, n) in [(b' ', at.hour), (b':', at.minute), (b':', at.second)] {
        out.push(mark);
        out.extend_from_slice(&two(n));
    }
    out.extend_from_slice(b"] ");
}

#[cfg(test)]
mod tests {
    use super::{Civil, Record, note, write};
    use std::net::IpAddr;

    const AT: Civil = Civil { year: 2026, month: 1, day: 2, hour: 3, minute: 4, second: 5 };
    const ROOT: Record<'_> = Record {
        peer: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        line: b"GET / HTTP/1.1",
        status: 200,
        bytes: None,
        cut: false,
        error: None,
    };

    fn line(record: Record<'_>) -> String {
        let mut out = Vec::new();
        write(&mut out, &record, &AT);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn b_100_the_line_is_that_of_http_server() {
        assert_eq!(line(ROOT), "127.0.0.1 - - [02/Jan/2026 03:04:05] \"GET / HTTP/1.1\" 200 -\n");
    }

    #[test]
    fn b_101_the_size_is_what_was_sent() {
        assert!(line(Record { bytes: Some(0), ..ROOT }).ends_with("\" 200 0\n"));
        assert!(
            line(Record { bytes: Some(u64::MAX), ..ROOT }).ends_with(" 18446744073709551615\n")
        );
    }

    #[test]
    fn b_004_b_102_the_request_line_is_raw_and_may_be_empty() {
        let spaced = line(Record { line: b"  GET   /a.txt   HTTP/1.0  ", ..ROOT });
        assert!(spaced.contains("] \"  GET   /a.txt   HTTP/1.0  \" 200"));
        assert!(line(Record { line: b"", status: 414, ..ROOT }).ends_with("] \"\" 414 -\n"));
    }

    #[test]
    fn b_103_no_control_byte_reaches_the_terminal() {
        let hostile = line(Record { line: b"a\x1b[2J\r\n\x7f\\\xc2\x85\xff\"\x00", ..ROOT });
        assert!(hostile.contains(r#""a\x1b[2J\x0d\x0a\x7f\\\xc2\x85\xff"\x00" 200"#), "{hostile}");
        assert!(
            line(Record { line: "GET /é😀\u{a0}".as_bytes(), ..ROOT }).contains("/é😀\u{a0}\"")
        );
    }

    #[test]
    fn b_105_the_client_is_an_address_and_mapped_ones_are_unmapped() {
        for (peer, shown) in
            [("::ffff:10.1.2.3", "10.1.2.3"), ("::1", "::1"), ("fe80::2", "fe80::2")]
        {
            let text = line(Record { peer: peer.parse().unwrap(), ..ROOT });
            assert!(text.starts_with(&format!("{shown} - - [")), "{text}");
        }
    }

    #[test]
    fn b_107_a_cut_answer_is_marked() {
        assert!(line(Record { bytes: Some(7), cut: true, ..ROOT }).ends_with("\" 200 7 cut\n"));
    }

    #[test]
    fn b_081_b_104_an_error_has_a_line_of_its_own_escaped_once() {
        let mut out = Vec::new();
        let message = b"Unsupported method ('\x16')";
        write(&mut out, &Record { status: 501, error: Some(message), ..ROOT }, &AT);
        note(&mut out, ROOT.peer, &AT, b"left");
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "127.0.0.1 - - [02/Jan/2026 03:04:05] code 501, message Unsupported method ('\\x16')\n\
             127.0.0.1 - - [02/Jan/2026 03:04:05] \"GET / HTTP/1.1\" 501 -\n\
             127.0.0.1 - - [02/Jan/2026 03:04:05] left\n"
        );
    }
}
