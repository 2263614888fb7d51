//! The steps of RFC 9110 §13.2.2: every header alone, malformed, and together with the others.

use super::{Evaluation, Validators, allow_write, evaluate};
use crate::http1::{Connection, Event, Limits};
use crate::site::Stat;

/// Sun, 06 Nov 1994 08:49:37 GMT.
const AT: i64 = 784_111_777;
const NOW: i64 = 1_700_000_000;
const PROCEED: Evaluation = Evaluation::Proceed { range: false };
const RANGE: Evaluation = Evaluation::Proceed { range: true };

fn file(modified: i64) -> Stat {
    Stat { size: 9, modified, inode: 7, changed: (modified, 0), ..Stat::default() }
}

/// The evaluation of `headers` for a file of this date. `TAG` is its strong tag; `BEFORE`, `SAME` and
/// `AFTER` are dates around [`AT`].
fn evaluate_request(method: &str, fields: &str, modified: i64, now: i64) -> Evaluation {
    let settled = Validators::from_stat(&file(modified), modified + 3).etag;
    let fields = fields
        .replace("TAG", &String::from_utf8_lossy(settled.as_ref()))
        .replace("BEFORE", "Sun, 06 Nov 1994 08:49:36 GMT")
        .replace("SAME", "Sun, 06 Nov 1994 08:49:37 GMT")
        .replace("AFTER", "Sun, 06 Nov 1994 08:49:38 GMT");
    let lines: String =
        fields.split('|').filter(|f| !f.is_empty()).map(|f| format!("{f}\r\n")).collect();
    let bytes = format!("{method} / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    let mut connection = Connection::new(Limits::default());
    let Ok((_, Event::Request(head))) = connection.advance(bytes.as_bytes()) else {
        unreachable!("{fields} makes no request")
    };
    evaluate(&head, &Validators::from_stat(&file(modified), now), now)
}

/// Each row is headers, separated by `|`, and the evaluation for a file of [`AT`], by GET.
fn table(rows: &[(&str, Evaluation)]) {
    for (fields, verdict) in rows {
        assert_eq!(evaluate_request("GET", fields, AT, NOW), *verdict, "{fields}");
    }
}

#[test]
fn rfc_9110_13_2_2_step_1_if_match() {
    table(&[
        ("", PROCEED),
        ("If-Match: TAG", PROCEED),
        ("If-Match: *", PROCEED),
        ("If-Match: \"a\", TAG", PROCEED),
        ("If-Match: \"a\"|If-Match: TAG", PROCEED),
        ("If-Match: \"a\"", Evaluation::PreconditionFailed),
        ("If-Match: W/TAG", Evaluation::PreconditionFailed),
        ("If-Match: rubbish", PROCEED),
        ("If-Match:", PROCEED),
    ]);
    assert_eq!(
        evaluate_request("GET", "If-Match: TAG", AT, AT + 1),
        Evaluation::PreconditionFailed,
        "weak for now"
    );
    assert_eq!(
        evaluate_request("HEAD", "If-Match: \"a\"", AT, NOW),
        Evaluation::PreconditionFailed
    );
}

#[test]
fn rfc_9110_13_2_2_step_2_if_unmodified_since() {
    table(&[
        ("If-Unmodified-Since: BEFORE", Evaluation::PreconditionFailed),
        ("If-Unmodified-Since: SAME", PROCEED),
        ("If-Unmodified-Since: AFTER", PROCEED),
        ("If-Unmodified-Since: yesterday", PROCEED),
        ("If-Match: TAG|If-Unmodified-Since: BEFORE", PROCEED),
        ("If-Match: rubbish|If-Unmodified-Since: BEFORE", Evaluation::PreconditionFailed),
    ]);
}

#[test]
fn rfc_9110_13_2_2_step_3_if_none_match() {
    table(&[
        ("If-None-Match: TAG", Evaluation::NotModified),
        ("If-None-Match: W/TAG", Evaluation::NotModified),
        ("If-None-Match: *", Evaluation::NotModified),
        ("If-None-Match: \"a,b\", W/TAG", Evaluation::NotModified),
        ("If-None-Match: \"a\"|If-None-Match: TAG", Evaluation::NotModified),
        ("If-None-Match: \"a\"", PROCEED),
        ("If-Match: TAG|If-None-Match: TAG", Evaluation::NotModified),
        ("If-Match: \"a\"|If-None-Match: TAG", Evaluation::PreconditionFailed),
        ("If-Unmodified-Since: BEFORE|If-None-Match: TAG", Evaluation::PreconditionFailed),
        ("If-None-Match: TAG|Range: bytes=0-1", Evaluation::NotModified),
        ("If-None-Match: \"a\"|Range: bytes=0-1", RANGE),
    ]);
    assert_eq!(evaluate_request("HEAD", "If-None-Match: TAG", AT, NOW), Evaluation::NotModified);
    assert_eq!(
        evaluate_request("GET", "If-None-Match: TAG", AT, AT + 1),
        Evaluation::NotModified,
        "weak"
    );
}

#[test]
fn b_176_any_if_none_match_disables_if_modified_since() {
    table(&[
        ("If-None-Match: \"a\"|If-Modified-Since: SAME", PROCEED),
        ("If-None-Match:|If-Modified-Since: SAME", PROCEED),
        ("If-None-Match: rubbish|If-Modified-Since: SAME", PROCEED),
        ("If-None-Match: TAG|If-Modified-Since: BEFORE", Evaluation::NotModified),
    ]);
}

#[test]
fn b_177_not_modified_up_to_the_same_second() {
    table(&[
        ("If-Modified-Since: BEFORE", PROCEED),
        ("If-Modified-Since: SAME", Evaluation::NotModified),
        ("If-Modified-Since: AFTER", Evaluation::NotModified),
        ("If-Modified-Since: SAME|Range: bytes=0-1", Evaluation::NotModified),
    ]);
    assert_eq!(
        evaluate_request("HEAD", "If-Modified-Since: SAME", -1, NOW),
        Evaluation::NotModified,
        "1969"
    );
}

#[test]
fn b_178_the_three_forms_count_and_no_other_zone() {
    table(&[
        ("If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT", Evaluation::NotModified),
        ("If-Modified-Since: Sun Nov  6 08:49:37 1994", Evaluation::NotModified),
        ("If-Modified-Since: Sun, 06 Nov 1994 09:49:37 +0100", PROCEED),
    ]);
}

#[test]
fn b_179_an_ill_formed_date_is_ignored() {
    for date in ["", "never", "0", "Sun, 99 Nov 1994 08:49:37 GMT"] {
        assert_eq!(
            evaluate_request("GET", &format!("If-Modified-Since: {date}"), 0, NOW),
            PROCEED,
            "{date}"
        );
    }
}

#[test]
fn b_180_a_date_in_the_future_counts() {
    table(&[("If-Modified-Since: Fri, 31 Dec 9999 23:59:59 GMT", Evaluation::NotModified)]);
}

#[test]
fn rfc_9110_13_2_2_step_5_if_range() {
    table(&[
        ("Range: bytes=0-1", RANGE),
        ("Range: bytes=0-1|If-Range: TAG", RANGE),
        ("Range: bytes=0-1|If-Range: \"a\"", PROCEED),
        ("Range: bytes=0-1|If-Range: W/TAG", PROCEED),
        ("Range: bytes=0-1|If-Range: TAG, \"a\"", PROCEED),
        ("Range: bytes=0-1|If-Range: SAME", RANGE),
        ("Range: bytes=0-1|If-Range: BEFORE", PROCEED),
        ("Range: bytes=0-1|If-Range: AFTER", PROCEED),
        ("Range: bytes=0-1|If-Range: rubbish", PROCEED),
        ("Range: bytes=0-1|If-Range:", PROCEED),
        ("If-Range: TAG", PROCEED),
        ("If-Match: \"a\"|Range: bytes=0-1|If-Range: TAG", Evaluation::PreconditionFailed),
    ]);
    for validator in ["TAG", "W/TAG", "SAME"] {
        let fields = format!("Range: bytes=0-1|If-Range: {validator}");
        assert_eq!(
            evaluate_request("GET", &fields, AT, AT + 2),
            PROCEED,
            "{validator}: too young to be sure"
        );
    }
    assert_eq!(
        evaluate_request("HEAD", "Range: bytes=0-1", AT, NOW),
        PROCEED,
        "defined for GET only"
    );
}

#[test]
fn r_9_several_lines_of_a_date_are_ignored() {
    table(&[
        ("If-Modified-Since: SAME|If-Modified-Since: BEFORE", PROCEED),
        ("If-Modified-Since: BEFORE|If-Modified-Since: SAME", PROCEED),
        ("If-Modified-Since: SAME|If-Modified-Since: SAME", PROCEED),
        ("If-Modified-Since: SAME|if-modified-since:", PROCEED),
        ("If-Modified-Since: SAME, SAME", PROCEED),
        ("If-Unmodified-Since: BEFORE|If-Unmodified-Since: BEFORE", PROCEED),
        ("If-Unmodified-Since: BEFORE, BEFORE", PROCEED),
        (
            "If-None-Match: TAG|If-Modified-Since: SAME|If-Modified-Since: SAME",
            Evaluation::NotModified,
        ),
        ("If-Match: TAG|If-Unmodified-Since: BEFORE|If-Unmodified-Since: SAME", PROCEED),
    ]);
}

#[test]
fn r_9_several_lines_of_if_range_match_nothing() {
    table(&[
        ("Range: bytes=0-1|If-Range: TAG|If-Range: TAG", PROCEED),
        ("Range: bytes=0-1|If-Range: SAME|If-Range: SAME", PROCEED),
        ("Range: bytes=0-1|If-Range: TAG, TAG", PROCEED),
    ]);
}

#[test]
fn r_9_lists_extend_over_all_their_lines() {
    table(&[
        ("If-Match: \"a\"|If-Match: \"b\"|If-Match: TAG", PROCEED),
        ("If-Match: \"a\"|If-Match: \"b\"", Evaluation::PreconditionFailed),
        ("If-Match: TAG|If-Match: *", PROCEED), // `*` must be alone, so the header is ignored
        (
            "If-Match: TAG|If-Match: rubbish|If-Unmodified-Since: BEFORE",
            Evaluation::PreconditionFailed,
        ),
        ("If-None-Match: \"a\"|If-None-Match:|If-None-Match: W/TAG", Evaluation::NotModified),
        ("If-None-Match: \"a\"|If-None-Match: \"b\"", PROCEED),
    ]);
}

#[test]
fn r_5_r_6_dates_before_1970_count() {
    const OLD: i64 = -166_000_000; // in 1964
    let since = |field, date| evaluate_request("GET", &format!("{field}: {date}"), OLD, NOW);
    for (date, not_modified) in [
        ("Sat, 27 Sep 1964 16:53:19 GMT", false),
        ("Sat, 27 Sep 1964 16:53:20 GMT", true),
        ("Wed, 01 Jan 1930 00:00:00 GMT", false),
    ] {
        let verdict = if not_modified { Evaluation::NotModified } else { PROCEED };
        assert_eq!(since("If-Modified-Since", date), verdict, "{date}");
        let verdict = if not_modified { PROCEED } else { Evaluation::PreconditionFailed };
        assert_eq!(since("If-Unmodified-Since", date), verdict, "{date}");
    }
    table(&[(
        "If-Unmodified-Since: Wed, 01 Jan 1930 00:00:00 GMT",
        Evaluation::PreconditionFailed,
    )]);
}

#[test]
fn r_7_two_digits_count_from_now() {
    let date = "If-Modified-Since: Wednesday, 01-Jan-76 00:00:00 GMT";
    assert_eq!(
        evaluate_request("GET", date, AT, 1_795_694_400),
        Evaluation::NotModified,
        "2076, in 2026"
    );
    assert_eq!(evaluate_request("GET", date, AT, NOW), PROCEED, "1976, in 2023");
}

#[test]
fn r_8_a_wrong_day_of_the_week_is_still_a_date() {
    table(&[
        ("If-Modified-Since: Sun, 01 Jan 2027 00:00:02 GMT", Evaluation::NotModified),
        ("If-Unmodified-Since: Mon, 06 Nov 1994 08:49:36 GMT", Evaluation::PreconditionFailed),
        ("Range: bytes=0-1|If-Range: Mon, 06 Nov 1994 08:49:37 GMT", RANGE),
    ]);
}

#[test]
fn rfc_9110_13_a_file_is_stored_if_it_is_in_the_state_that_is_required() {
    let current = Validators::from_stat(&file(AT), NOW);
    let tag = String::from_utf8_lossy(current.etag.as_ref()).into_owned();
    for (fields, new, existing) in [
        ("", true, true),
        ("If-None-Match: *", true, false),
        ("If-None-Match: TAG", true, false),
        ("If-None-Match: W/TAG", true, false),
        ("If-None-Match: \"x\"", true, true),
        ("If-None-Match: rubbish", true, false),
        ("If-Match: *", false, true),
        ("If-Match: TAG", false, true),
        ("If-Match: \"x\", TAG", false, true),
        ("If-Match: W/TAG", false, false),
        ("If-Match: \"x\"", false, false),
        ("If-Match: rubbish", false, false),
        ("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT", true, false),
        ("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT", true, true),
        ("If-Unmodified-Since: rubbish", true, true),
        ("If-Match: TAG|If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT", false, true),
        ("If-Match: TAG|If-None-Match: *", false, false),
    ] {
        let lines = fields.replace("TAG", &tag).replace('|', "\r\n");
        let bytes = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n{lines}\r\n\r\n");
        let bytes = bytes.replace("\r\n\r\n\r\n", "\r\n\r\n");
        let mut connection = Connection::new(Limits::default());
        let Ok((_, Event::Request(head))) = connection.advance(bytes.as_bytes()) else {
            unreachable!("{fields}")
        };
        assert_eq!(allow_write(&head, None, NOW), new, "new: {fields}");
        assert_eq!(allow_write(&head, Some(&current), NOW), existing, "existing: {fields}");
    }
}
