//! Exact lines of the combined format and of JSON, for each ending and for hostile text.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Ending, Format, Level, LocalTime, Record, RequestId, Timing, UNIX_PEER};
use crate::http1::{Connection, Event, Limits};

/// 2 January 2026, 03:04:05.678 in a time zone of 1 h 30 min.
const AT: LocalTime = LocalTime { unix: 1_767_317_645, millisecond: 678, offset: 5400 };

/// The line about a request with this head.
fn line(format: Format, head: &str, change: impl FnOnce(&mut Record<'_>)) -> String {
    line_of_bytes(format, head.as_bytes(), change)
}

fn line_of_bytes(format: Format, head: &[u8], change: impl FnOnce(&mut Record<'_>)) -> String {
    let mut connection = Connection::new(Limits::default());
    let Ok((_, Event::Request(head))) = connection.advance(head) else { panic!("a valid head") };
    let peer = ([192, 0, 2, 7], 50123).into();
    let mut record = Record::new(peer, head.request_line(), 200);
    record.body_bytes_sent = Some(512);
    record.head = Some(&head);
    change(&mut record);
    let mut out = Vec::new();
    format.write(&mut out, &record, &AT);
    String::from_utf8(out).unwrap()
}

const BROWSER: &str = "GET /a?b=c HTTP/1.1\r\nHost: example.org:8000\r\nReferer: http://example.org/\r\n\
                       User-Agent: Mozilla/5.0 (X11)\r\n\r\n";

#[test]
fn a_combined_line_has_user_offset_referer_and_user_agent() {
    assert_eq!(
        line(Format::Combined, BROWSER, |record| record.user = Some(b"ann")),
        "192.0.2.7 - ann [02/Jan/2026:03:04:05 +0130] \"GET /a?b=c HTTP/1.1\" 200 512 \
         \"http://example.org/\" \"Mozilla/5.0 (X11)\"\n"
    );
}

#[test]
fn a_combined_line_has_the_same_form_whatever_the_ending_and_the_client() {
    let expected = |client: &str, size: &str, line: &str| {
        format!("{client} - - [02/Jan/2026:03:04:05 +0130] {line} 200 {size} \"-\" \"-\"\n")
    };
    let plain = "GET / HTTP/1.1\r\nHost: a\r\nReferer:\r\n\r\n";
    let request = "\"GET / HTTP/1.1\"";
    for ending in [Ending::Complete, Ending::Aborted, Ending::ClientDisconnected, Ending::TimedOut]
    {
        let text = line(Format::Combined, plain, |record| record.ending = ending);
        assert_eq!(text, expected("192.0.2.7", "512", request));
    }
    let text = line(Format::Combined, plain, |record| record.body_bytes_sent = None);
    assert_eq!(text, expected("192.0.2.7", "-", request));
    let text = line(Format::Combined, plain, |record| {
        record.remote_addr = (UNIX_PEER, 0).into();
        (record.request_line, record.head) = (b"", None);
        record.error_message = Some(b"too long");
    });
    assert_eq!(text, expected("unix:", "512", "\"-\""));
}

#[test]
fn no_quote_backslash_or_control_character_leaves_its_field_in_a_combined_line() {
    let head = b"GET /a\"b\\c HTTP/1.1\r\nHost: a\r\nReferer: \xe2\x80\xaex\xff\r\n\
                 User-Agent: a\" \"b\\\r\n\r\n";
    let text = line_of_bytes(Format::Combined, head, |record| {
        record.user = Some(b"a b\"\n] \x1b");
    });
    assert_eq!(
        text,
        "192.0.2.7 - a\\x20b\\x22\\x0a]\\x20\\x1b [02/Jan/2026:03:04:05 +0130] \
         \"GET /a\\x22b\\x5cc HTTP/1.1\" 200 512 \"\\xe2\\x80\\xaex\\xff\" \"a\\x22 \\x22b\\x5c\"\n"
    );
}

#[test]
fn offsets_of_a_combined_line() {
    for (offset, shown) in [
        (0, "01:34:05 +0000"),
        (-18_000, "20:34:05 -0500"),
        (-1_800, "01:04:05 -0030"),
        (20_700, "07:19:05 +0545"),
        (1_172, "01:53:05 +0019"), // Amsterdam before 1937: 19 min 32 s
        (-59, "01:34:05 +0000"),
    ] {
        let record = Record::new(([192, 0, 2, 7], 1).into(), b"", 200);
        let mut out = Vec::new();
        Format::Combined.write(&mut out, &record, &LocalTime { offset, ..AT });
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(&format!(":{shown}] ")), "{shown}: {text}");
    }
}

#[test]
fn the_target_of_a_json_line_has_the_prefix_that_was_taken_off() {
    let mut connection = Connection::new(Limits::default());
    let request = b"GET /docs/a?b HTTP/1.1\r\nHost: a\r\n\r\n";
    let Ok((_, Event::Request(head))) = connection.advance(request) else { panic!("a head") };
    let below = head.without_prefix(b"/docs").unwrap();
    assert_eq!(below.path(), b"/a");
    let mut record = Record::new(([192, 0, 2, 7], 1).into(), head.request_line(), 200);
    record.head = Some(&below);
    let mut out = Vec::new();
    Format::Json.write(&mut out, &record, &AT);
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains(r#","target":"/docs/a?b","#), "{text}");
}

#[test]
fn a_json_line_has_every_member() {
    let text = line(Format::Json, BROWSER, |record| {
        record.user = Some(b"ann");
        record.timing = Some(Timing::new(Duration::ZERO, Duration::from_micros(12_034)));
        record.tls_version = Some("TLSv1.3");
        record.request_id = Some(RequestId::new(0xab, 9));
    });
    assert_eq!(
        text,
        r#"{"time":"2026-01-02T01:34:05.678Z","client":"192.0.2.7","port":50123,"user":"ann","method":"GET","target":"/a?b=c","protocol":"HTTP/1.1","request_line":null,"status":200,"bytes":512,"duration_ms":12.034,"ending":"complete","error":null,"host":"example.org:8000","referer":"http://example.org/","user_agent":"Mozilla/5.0 (X11)","tls":"TLSv1.3","request_id":"00000000000000ab-9"}
"#
    );
}

#[test]
fn a_json_line_about_what_is_no_request_has_the_same_members() {
    for ending in [Ending::Complete, Ending::Aborted, Ending::ClientDisconnected, Ending::TimedOut]
    {
        let mut record = Record::new((UNIX_PEER, 0).into(), b"\x16\x03\"\\", 400);
        record.ending = ending;
        record.error_message = Some(br#"Bad request syntax ('\x16\x03"\\')"#);
        let mut out = Vec::new();
        Format::Json.write(&mut out, &record, &AT);
        let expected = [
            r#"{"time":"2026-01-02T01:34:05.678Z","client":"unix:","port":null,"user":null,"#,
            r#""method":null,"target":null,"protocol":null,"request_line":"\\x16\\x03\"\\\\","#,
            r#""status":400,"bytes":0,"duration_ms":null,"ending":""#,
            ending.as_str(),
            r#"","error":"Bad request syntax ('\\x16\\x03\"\\\\')","host":null,"referer":null,"#,
            r#""user_agent":null,"tls":null,"request_id":null}"#,
        ];
        assert_eq!(String::from_utf8(out).unwrap(), expected.concat() + "\n");
    }
}

/// What docs/logs.md says about reading a string: JSON first, then `\xNN` and `\\`.
fn restore(json: &str) -> Vec<u8> {
    let (mut text, mut chars) = (String::new(), json.chars());
    while let Some(c) = chars.next() {
        text.push(if c == '\\' { chars.next().unwrap() } else { c });
    }
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, others @ ..] = rest {
        rest = others;
        match (*first, rest) {
            (b'\\', [b'\\', after @ ..]) => (bytes.push(b'\\'), rest = after).0,
            (b'\\', [b'x', digits @ ..]) => {
                let (number, after) = digits.split_at(2);
                let number = core::str::from_utf8(number).unwrap();
                bytes.push(u8::from_str_radix(number, 16).unwrap());
                rest = after;
            }
            (byte, _) => bytes.push(byte),
        }
    }
    bytes
}

#[test]
fn any_bytes_in_a_json_string_can_be_restored() {
    let every_byte: Vec<u8> = (0..=255).collect();
    for text in [
        &every_byte[..],
        br#"\"\\ \x41 \u0041 "#,
        "é😀\u{202e}\u{2028}".as_bytes(),
        b"\xe2\x80 \xf0\x9f\x98",
        b"\\x1b\x1b",
    ] {
        check_restored(text);
    }
}

proptest! {
    #[test]
    fn whatever_the_bytes_a_json_line_is_one_line_and_restores_them(
        text in vec(prop_oneof![any::<u8>(), Just(b'\\'), Just(b'"'), Just(b'x')], 0..48),
    ) {
        check_restored(&text);
    }

    #[test]
    fn whatever_the_bytes_a_combined_line_has_six_quotes_and_nine_spaces_outside_of_them(
        text in vec(prop_oneof![any::<u8>(), Just(b'\\'), Just(b'"'), Just(b' ')], 0..48),
    ) {
        let mut record = Record::new(([192, 0, 2, 7], 1).into(), &text, 400);
        record.user = Some(&text);
        let mut out = Vec::new();
        Format::Combined.write(&mut out, &record, &AT);
        let line = String::from_utf8(out).unwrap();
        assert_eq!((line.lines().count(), line.matches('"').count()), (1, 6));
        let outside: String = line.split('"').step_by(2).collect();
        assert_eq!(outside.matches(' ').count(), 9);
    }
}

fn check_restored(text: &[u8]) {
    let mut record = Record::new(([192, 0, 2, 7], 1).into(), text, 400);
    record.user = Some(text);
    let mut out = Vec::new();
    Format::Json.write(&mut out, &record, &AT);
    let line = String::from_utf8(out).unwrap();
    let line = line.strip_suffix('\n').unwrap();
    assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}' || c == '\u{2028}'));
    let (_, value) = line.split_once("\"request_line\":\"").unwrap();
    let (value, _) = value.split_once("\",\"status\"").unwrap();
    assert_eq!(restore(value), text);
}

#[test]
fn messages_of_each_format() {
    let client = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    for (format, client, level, expected) in [
        (Format::Python, client, Level::Error, r#"127.0.0.1 - - [02/Jan/2026 03:04:05] a"\\b\x1b"#),
        (Format::Python, None, Level::Warning, r#"- - - [02/Jan/2026 03:04:05] a"\\b\x1b"#),
        (
            Format::Combined,
            client,
            Level::Error,
            r#"[Fri Jan 02 03:04:05 2026] [error] [client 127.0.0.1] a"\\b\x1b"#,
        ),
        (Format::Combined, None, Level::Warning, r#"[Fri Jan 02 03:04:05 2026] [warn] a"\\b\x1b"#),
        (
            Format::Json,
            client,
            Level::Error,
            r#"{"time":"2026-01-02T01:34:05.678Z","level":"error","client":"127.0.0.1","message":"a\"\\\\b\\x1b"}"#,
        ),
        (
            Format::Json,
            None,
            Level::Info,
            r#"{"time":"2026-01-02T01:34:05.678Z","level":"info","client":null,"message":"a\"\\\\b\\x1b"}"#,
        ),
    ] {
        let mut out = Vec::new();
        format.write_message(&mut out, client, level, &AT, b"a\"\\\\b\x1b");
        assert_eq!(String::from_utf8(out).unwrap(), format!("{expected}\n"));
    }
}
