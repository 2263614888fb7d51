//! Header lines: the same verdicts and values as httparse, for heads and for trailers, on lines that are
//! nearly right. `fuzz/fuzz_targets/fields.rs` compares them on any bytes.

use doorstep_core::http1::{Connection, Event, Limits, Reject};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

mod compare;

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rfc_9112_5_header_lines_are_read_as_by_httparse(section in section()) {
        compare::head(&section);
        compare::trailers(&section);
    }
}

#[test]
fn each_byte_at_each_offset_of_a_line_is_judged_as_by_httparse() {
    for line in [&b"X-Name-Of-Letters: a value of 32 bytes, or more\r\n\r\n"[..], b"A:\r\n\r\n"] {
        for at in 0..line.len() {
            for byte in 0..=255 {
                let mut section = line.to_vec();
                section[at] = byte;
                compare::head(&section);
                compare::trailers(&section);
                section.insert(at, byte);
                compare::head(&section);
            }
        }
    }
}

#[test]
fn b_031_more_headers_than_allowed_are_refused() {
    let mut limits = Limits::default();
    limits.header_count = 3;
    for (count, verdict) in [(3, Ok(())), (4, Err(Reject::TooManyHeaders))] {
        let request = format!("GET / HTTP/1.0\r\n{}\r\n", "a: b\r\n".repeat(count));
        let found = Connection::new(limits).advance(request.as_bytes()).map(|(_, event)| {
            assert!(matches!(event, Event::Request(head) if head.headers().count() == count));
        });
        assert_eq!(found, verdict);
    }
}

const NAMES: &[&[u8]] =
    &[b"Host", b"x", b"Sec-Fetch-Mode", b"if-modified-since", b"a b", b"9_~", b""];
const COLONS: &[&[u8]] = &[b": ", b": ", b":", b":\t ", b" :", b""];
const VALUES: &[&[u8]] = &[b"v", b"", b"a\tb", b"\0", b"\x7f", b"\x80\xff", b"a\rb", LONG];
const LONG: &[u8] = b"a long value that takes more than thirty-two bytes";
const ENDS: &[&[u8]] = &[b"\r\n", b"\r\n", b"\r\n", b" \t\r\n", b"\n", b"\r", b"\r\n "];

/// Lines put together from parts that matter to the grammar.
fn section() -> impl Strategy<Value = Vec<u8>> {
    let parts = (select(NAMES), select(COLONS), select(VALUES), select(ENDS));
    let line = parts.prop_map(|(name, colon, value, end)| [name, colon, value, end].concat());
    (vec(line, 0..6), vec(any::<u8>(), 0..3))
        .prop_map(|(lines, last)| [&lines.concat()[..], b"\r\n", &last].concat())
}
