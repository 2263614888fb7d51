//! The format of `http.server`: `IP - - [DD/Mon/YYYY HH:MM:SS] "LINE" STATUS BYTES` (B-100), for
//! messages as well, and for responses with colours (B-109).

use alloc::vec::Vec;
use core::net::IpAddr;

use super::escape::{escape, escape_controls, push_peer};
use super::{Ending, Record};
use crate::bytes::push_decimal;
use crate::http1::date::{Civil, four_digits, two_digits};

/// Appends the line for `record` (B-100): `IP - - [DD/Mon/YYYY HH:MM:SS] "LINE" STATUS BYTES`, with
/// ` cut` at the end of an aborted response, or ` cut on purpose`. An error response has the line `… code 404, message
/// File not found` before it (B-081).
pub fn write(out: &mut Vec<u8>, record: &Record<'_>, at: &Civil) {
    write_painted(out, record, at, |out, _, text| text(out));
}

/// As [`write()`], with colours for a terminal: the status by its class, and the mark of an aborted
/// response (B-109).
pub fn write_colored(out: &mut Vec<u8>, record: &Record<'_>, at: &Civil) {
    write_painted(out, record, at, |out, color, text| {
        out.extend_from_slice(color);
        text(out);
        out.extend_from_slice(RESET);
    });
}

/// Writes the lines; the coloured parts by `paint`.
fn write_painted(
    out: &mut Vec<u8>,
    record: &Record<'_>,
    at: &Civil,
    paint: impl Fn(&mut Vec<u8>, &[u8], &dyn Fn(&mut Vec<u8>)),
) {
    let color = status_color(record.status);
    if let Some(message) = record.error_message {
        prefix(out, record.remote_addr.ip(), at);
        paint(out, color, &|out| {
            out.extend_from_slice(b"code ");
            push_decimal(out, record.status.into());
        });
        out.extend_from_slice(b", message ");
        escape_controls(out, message);
        out.push(b'\n');
    }
    prefix(out, record.remote_addr.ip(), at);
    out.push(b'"');
    escape(out, record.request_line);
    out.extend_from_slice(b"\" ");
    paint(out, color, &|out| push_decimal(out, record.status.into()));
    out.push(b' ');
    push_size(out, record);
    if record.is_aborted() {
        out.push(b' ');
        let mark: &[u8] = match record.ending {
            Ending::CutOnPurpose => b"cut on purpose",
            _ => b"cut",
        };
        paint(out, ABORTED, &|out| out.extend_from_slice(mark));
    }
    out.push(b'\n');
}

/// Appends the number of body bytes that were sent; `-` if it is 0 (B-101).
pub(super) fn push_size(out: &mut Vec<u8>, record: &Record<'_>) {
    match record.body_bytes_sent {
        Some(bytes) => push_decimal(out, bytes),
        None => out.push(b'-'),
    }
}

/// The colours (SGR sequences of ECMA-48).
const RESET: &[u8] = b"\x1b[0m";
/// Bold and red.
const ABORTED: &[u8] = b"\x1b[1;31m";

/// The colour of a status: success is green, redirection cyan, the client's error yellow, the
/// server's error red.
const fn status_color(status: u16) -> &'static [u8] {
    match status {
        0..200 => b"\x1b[34m", // 101, the only one that is logged
        200..300 => b"\x1b[32m",
        300..400 => b"\x1b[36m",
        400..500 => b"\x1b[33m",
        500.. => b"\x1b[31m",
    }
}

/// Appends a message of the server about the client `peer`: why something was refused or aborted.
pub fn write_client_message(out: &mut Vec<u8>, peer: IpAddr, at: &Civil, message: &[u8]) {
    prefix(out, peer, at);
    escape_controls(out, message);
    out.push(b'\n');
}

/// Appends a message of the server that concerns no client.
pub fn write_server_message(out: &mut Vec<u8>, at: &Civil, message: &[u8]) {
    out.push(b'-');
    date(out, at);
    escape_controls(out, message);
    out.push(b'\n');
}

fn prefix(out: &mut Vec<u8>, peer: IpAddr, at: &Civil) {
    push_peer(out, peer);
    date(out, at);
}

fn date(out: &mut Vec<u8>, at: &Civil) {
    out.extend_from_slice(b" - - [");
    out.extend_from_slice(&two_digits(at.day));
    out.push(b'/');
    out.extend_from_slice(at.month_name());
    out.push(b'/');
    out.extend_from_slice(&four_digits(at.year));
    for (mark, n) in [(b' ', at.hour), (b':', at.minute), (b':', at.second)] {
        out.push(mark);
        out.extend_from_slice(&two_digits(n));
    }
    out.extend_from_slice(b"] ");
}

#[cfg(test)]
mod tests {
    use super::{Civil, Ending, Record, write, write_client_message, write_colored};
    use crate::http1::Reject;
    use std::net::{Ipv4Addr, SocketAddr};

    const AT: Civil = Civil { year: 2026, month: 1, day: 2, hour: 3, minute: 4, second: 5 };
    fn root() -> Record<'static> {
        Record::new(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 50123), b"GET / HTTP/1.1", 200)
    }

    fn line(record: Record<'_>) -> String {
        let mut out = Vec::new();
        write(&mut out, &record, &AT);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn b_100_the_line_is_that_of_http_server() {
        assert_eq!(line(root()), "127.0.0.1 - - [02/Jan/2026 03:04:05] \"GET / HTTP/1.1\" 200 -\n");
    }

    #[test]
    fn b_101_the_size_is_the_number_of_bytes_sent() {
        assert!(line(Record { body_bytes_sent: Some(0), ..root() }).ends_with("\" 200 0\n"));
        assert!(
            line(Record { body_bytes_sent: Some(u64::MAX), ..root() })
                .ends_with(" 18446744073709551615\n")
        );
    }

    #[test]
    fn b_004_b_102_the_request_line_is_raw_and_may_be_empty() {
        let spaced = line(Record { request_line: b"  GET   /a.txt   HTTP/1.0  ", ..root() });
        assert!(spaced.contains("] \"  GET   /a.txt   HTTP/1.0  \" 200"));
        assert!(
            line(Record { request_line: b"", status: 414, ..root() }).ends_with("] \"\" 414 -\n")
        );
    }

    #[test]
    fn b_103_no_control_byte_reaches_the_terminal() {
        let hostile =
            line(Record { request_line: b"a\x1b[2J\r\n\x7f\\\xc2\x85\xff\"\x00", ..root() });
        assert!(hostile.contains(r#""a\x1b[2J\x0d\x0a\x7f\\\xc2\x85\xff"\x00" 200"#), "{hostile}");
        assert!(
            line(Record { request_line: "GET /é😀\u{a0}".as_bytes(), ..root() })
                .contains("/é😀\u{a0}\"")
        );
    }

    #[test]
    fn r_14_nothing_that_reorders_or_hides_text_reaches_the_terminal() {
        for (c, shown) in [
            ('\u{202e}', r"\xe2\x80\xae"), // right-to-left override
            ('\u{2066}', r"\xe2\x81\xa6"),
            ('\u{2028}', r"\xe2\x80\xa8"),
            ('\u{9b}', r"\xc2\x9b"),
            ('\u{ad}', r"\xc2\xad"),
            ('\u{feff}', r"\xef\xbb\xbf"),
            ('\u{e0041}', r"\xf3\xa0\x81\x81"),
        ] {
            let hostile = format!("GET /a{c}gpj.exe HTTP/1.1");
            let expected = format!("a{shown}gpj.exe");
            assert!(
                line(Record { request_line: hostile.as_bytes(), ..root() }).contains(&expected)
            );
            let failed = Record { error_message: Some(hostile.as_bytes()), ..root() };
            assert!(line(failed).contains(&expected));
            let mut out = Vec::new();
            write_client_message(&mut out, root().remote_addr.ip(), &AT, hostile.as_bytes());
            assert!(String::from_utf8(out).unwrap().contains(&expected));
        }
        let harmless = "/Åland/e\u{301}/שלום/日本/\u{1f980}\u{fe0f}";
        assert!(line(Record { request_line: harmless.as_bytes(), ..root() }).contains(harmless));
    }

    #[test]
    fn b_105_the_client_is_an_address_and_mapped_ones_are_unmapped() {
        for (peer, shown) in [
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("::1", "::1"),
            ("fe80::2", "fe80::2"),
            ("100::", "unix:"),
        ] {
            let remote_addr = SocketAddr::new(peer.parse().unwrap(), 1);
            let text = line(Record { remote_addr, ..root() });
            assert!(text.starts_with(&format!("{shown} - - [")), "{text}");
        }
    }

    #[test]
    fn b_109_with_colours_the_line_is_the_same_but_for_them() {
        for (status, color) in
            [(101, "34"), (200, "32"), (206, "32"), (304, "36"), (404, "33"), (599, "31")]
        {
            let message = (status >= 400).then_some(&b"why\x1b[31m"[..]);
            let (body_bytes_sent, ending) = (Some(7), Ending::TimedOut);
            let record =
                Record { status, error_message: message, body_bytes_sent, ending, ..root() };
            let mut out = Vec::new();
            write_colored(&mut out, &record, &AT);
            let text = String::from_utf8(out).unwrap();
            let expected = format!("\" \x1b[{color}m{status}\x1b[0m 7 \x1b[1;31mcut\x1b[0m\n");
            assert!(text.ends_with(&expected), "{text:?}");
            let mut plain = text.replace("\x1b[1;31m", "").replace("\x1b[0m", "");
            plain = plain.replace(&format!("\x1b[{color}m"), "");
            assert_eq!(plain, line(record));
            assert!(!plain.contains('\x1b'));
        }
    }

    #[test]
    fn b_107_an_aborted_response_is_marked() {
        for ending in [Ending::Aborted, Ending::ClientDisconnected, Ending::TimedOut] {
            let text = line(Record { body_bytes_sent: Some(7), ending, ..root() });
            assert!(text.ends_with("\" 200 7 cut\n"));
        }
        let text = line(Record { ending: Ending::CutOnPurpose, ..root() });
        assert!(text.ends_with("\" 200 - cut on purpose\n"), "{text}");
    }

    #[test]
    fn b_081_b_104_an_error_has_a_line_of_its_own_escaped_once() {
        let mut out = Vec::new();
        let mut message = Vec::new();
        Reject::BadSyntax.write_reason(b"\x16\x03\\", &mut message);
        write(&mut out, &Record { status: 400, error_message: Some(&message), ..root() }, &AT);
        write_client_message(&mut out, root().remote_addr.ip(), &AT, b"left\x1b\\d");
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "127.0.0.1 - - [02/Jan/2026 03:04:05] code 400, message Bad request syntax ('\\x16\\x03\\\\')\n\
             127.0.0.1 - - [02/Jan/2026 03:04:05] \"GET / HTTP/1.1\" 400 -\n\
             127.0.0.1 - - [02/Jan/2026 03:04:05] left\\x1b\\d\n"
        );
    }
}
