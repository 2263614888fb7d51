//! The rules of RFC 9110 §14, and many ranges compared with a simple model.

use super::{ByteRange, Selection};
use proptest::prelude::*;

fn select(field: &[u8], size: u64) -> Selection {
    super::select([field], size, 512)
}

fn one(first: u64, last: u64) -> Selection {
    Selection::One(ByteRange { first, last })
}

fn several(ranges: &[(u64, u64)]) -> Selection {
    Selection::Several(ranges.iter().map(|&(first, last)| ByteRange { first, last }).collect())
}

#[test]
fn b_181_one_range() {
    let cases = [
        ("bytes=0-499", one(0, 499)),
        ("bytes=500-999", one(500, 999)),
        ("bytes=-500", one(9_500, 9_999)),
        ("bytes=9500-", one(9_500, 9_999)),
        ("bytes=0-0", one(0, 0)),
        ("bytes=0-", one(0, 9_999)),
        ("bytes=-1", one(9_999, 9_999)),
        ("bytes=9999-9999", one(9_999, 9_999)),
        ("bytes=5-20000", one(5, 9_999)),
        ("bytes=-20000", one(0, 9_999)),
        ("BYTES=1-2", one(1, 2)),
        ("bytes=0001-02", one(1, 2)),
        ("bytes= 1-2", one(1, 2)),
        ("bytes=,, 1-2\t,", one(1, 2)),
        ("bytes=1-99999999999999999999999999", one(1, 9_999)),
        ("bytes=-99999999999999999999999999", one(0, 9_999)),
    ];
    for (field, expected) in cases {
        assert_eq!(select(field.as_bytes(), 10_000), expected, "{field}");
    }
}

#[test]
fn b_181_several_ranges_overlapping_and_adjacent_ones_as_one() {
    let cases = [
        ("bytes=0-0,-1", several(&[(0, 0), (9_999, 9_999)])),
        ("bytes=500-600,601-999", one(500, 999)),
        ("bytes=500-700,601-999", one(500, 999)),
        ("bytes=500-600,602-999", several(&[(500, 600), (602, 999)])),
        ("bytes=10-20,0-5", several(&[(10, 20), (0, 5)])),
        ("bytes=10-20,0-5,6-9", one(0, 20)),
        ("bytes=0-1,4-5,2-3", one(0, 5)),
        ("bytes=8-9,0-1,4-5,1-4", several(&[(8, 9), (0, 5)])),
        ("bytes=1-2,1-2,1-2", one(1, 2)),
        ("bytes=0-1,20000-", one(0, 1)),
        ("bytes=20000-,-0,3-4,1-1", several(&[(3, 4), (1, 1)])),
        ("bytes=0-,5-6", one(0, 9_999)),
    ];
    for (field, expected) in cases {
        assert_eq!(select(field.as_bytes(), 10_000), expected, "{field}");
    }
}

#[test]
fn b_181_ranges_beyond_the_end_are_unsatisfiable() {
    for field in ["bytes=10000-", "bytes=10000-10001", "bytes=-0", "bytes=20000-,-0", "bytes=-00"] {
        assert_eq!(select(field.as_bytes(), 10_000), Selection::Unsatisfiable, "{field}");
    }
    assert_eq!(select(b"bytes=99999999999999999999999999-", u64::MAX), Selection::Unsatisfiable);
}

#[test]
fn b_181_an_empty_file_has_no_ranges() {
    assert_eq!(select(b"bytes=0-", 0), Selection::Unsatisfiable);
    assert_eq!(select(b"bytes=0-0", 0), Selection::Unsatisfiable);
    assert_eq!(select(b"bytes=-5", 0), Selection::Whole, "satisfiable by §14.1.1");
    assert_eq!(select(b"bytes=-0", 0), Selection::Unsatisfiable);
}

#[test]
fn b_181_malformed_ranges_are_ignored() {
    for field in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes =0-1",
        "bytes:0-1",
        "items=0-1",
        "none=0-1",
        "bytes=-",
        "bytes=1",
        "bytes=a-b",
        "bytes=1-b",
        "bytes=2-1",
        "bytes=1-2-3",
        "bytes=--1",
        "bytes=+1-2",
        "bytes=1 -2",
        "bytes=1- 2",
        "bytes=0-1;2-3",
        "bytes=0-1,2-1",
        "bytes=0-1,x",
        "bytes=0x1-2",
        "bytes=\u{661}-2",
    ] {
        assert_eq!(select(field.as_bytes(), 10_000), Selection::Whole, "{field}");
    }
}

#[test]
fn r_17_more_ranges_than_the_limit_yield_the_whole_file() {
    let apart = |count: usize| {
        let ranges: Vec<_> = (0..count).map(|n| format!("{}-{}", 3 * n, 3 * n)).collect();
        select(format!("bytes={}", ranges.join(",")).as_bytes(), 10_000)
    };
    for count in [2, 17, 20, 60, 88, 256, 512] {
        assert!(matches!(apart(count), Selection::Several(ranges) if ranges.len() == count));
    }
    assert_eq!(apart(513), Selection::Whole);
    assert_eq!(apart(3_000), Selection::Whole);
    let same = |count| select(format!("bytes={}", "0-,".repeat(count)).as_bytes(), 10_000);
    assert_eq!(same(512), one(0, 9_999));
    assert_eq!(same(513), Selection::Whole, "the attack that made servers send a file 1,300 times");
}

#[test]
fn r_10_several_lines_are_one_list() {
    let lines = |lines: &[&str]| super::select(lines.iter().map(|line| line.as_bytes()), 10_000, 3);
    for (split, joined) in [
        (&["bytes=0-3", "5-6"][..], "bytes=0-3, 5-6"),
        (&["bytes=0-3", "bytes=5-6"], "bytes=0-3, bytes=5-6"),
        (&["bytes=0-3", "bytes=0-3"], "bytes=0-3, bytes=0-3"),
        (&["bytes=", "5-6", ""], "bytes=, 5-6, "),
        (&["", "bytes=5-6"], ", bytes=5-6"),
        (&["bytes=0-3", "x"], "bytes=0-3, x"),
        (&["bytes=1-1", "3-3", "5-5, 7-7"], "bytes=1-1, 3-3, 5-5, 7-7"),
    ] {
        assert_eq!(lines(split), lines(&[joined]), "{joined}");
    }
    assert_eq!(lines(&["bytes=0-3", "5-6"]), several(&[(0, 3), (5, 6)]));
    assert_eq!(lines(&["bytes=0-3", "bytes=5-6"]), Selection::Whole);
    assert_eq!(lines(&[]), Selection::Whole);
}

#[test]
fn b_181_content_range() {
    let mut out = Vec::new();
    ByteRange { first: 42, last: 1_233 }.write_content_range(1_234, &mut out);
    assert_eq!(out, b"bytes 42-1233/1234");
    assert_eq!(ByteRange { first: 42, last: 42 }.len(), 1);
}

proptest! {
    /// Exactly the requested bytes are selected, each once.
    #[test]
    fn b_181_exactly_the_requested_bytes_are_selected(specs in prop::collection::vec((0_u64..400, 0_u64..9), 1..100)) {
        let text: Vec<_> = specs.iter().map(|(at, n)| format!("{at}-{}", at + n)).collect();
        let mut asked = [false; 300];
        for (at, n) in &specs {
            (*at..=at + n).filter(|&n| n < 300).for_each(|n| asked[n as usize] = true);
        }
        let ranges = match select(format!("bytes={}", text.join(", ")).as_bytes(), 300) {
            Selection::One(range) => vec![range],
            Selection::Several(ranges) => ranges,
            Selection::Unsatisfiable => vec![],
            Selection::Whole => return Err(TestCaseError::fail("they fit")),
        };
        let mut sent = [false; 300];
        for range in ranges {
            for n in range.first..=range.last {
                prop_assert!(!sent[n as usize], "twice");
                sent[n as usize] = true;
            }
        }
        prop_assert_eq!(asked, sent);
    }
}
