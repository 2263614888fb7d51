//! The age of an entry in words: `3 days ago`.

use crate::bytes::push_decimal;
use crate::http1::date::DAY_SECS;

/// Appends how long before `now` something was, or how long after it, in the largest unit of which
/// there are at least one (of months: two), rounded down. Both are in seconds since 1970.
pub(super) fn push_age(out: &mut Vec<u8>, now: i64, then: i64) {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = DAY_SECS as u64;
    const MONTH: u64 = 2_629_746; // a twelfth of a year
    const YEAR: u64 = 31_556_952; // the mean of the Gregorian calendar
    let seconds = now.abs_diff(then);
    let (count, unit): (u64, &[u8]) = match seconds {
        0..MINUTE => return out.extend_from_slice(b"less than a minute ago"),
        MINUTE..HOUR => (seconds / MINUTE, b" minute"),
        HOUR..DAY => (seconds / HOUR, b" hour"),
        DAY.. if seconds < 2 * MONTH => (seconds / DAY, b" day"),
        _ if seconds < 2 * YEAR => (seconds / MONTH, b" month"),
        _ => (seconds / YEAR, b" year"),
    };
    let is_past = then <= now;
    out.extend_from_slice(if is_past { b"" } else { b"in " });
    push_decimal(out, count);
    out.extend_from_slice(unit);
    out.extend_from_slice(if count == 1 { b"" } else { b"s" });
    out.extend_from_slice(if is_past { b" ago" } else { b"" });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_in_the_largest_unit_rounded_down() {
        const NOW: i64 = 1_800_000_000;
        for (seconds, expected) in [
            (0, "less than a minute ago"),
            (59, "less than a minute ago"),
            (-59, "less than a minute ago"),
            (60, "1 minute ago"),
            (3_599, "59 minutes ago"),
            (3_600, "1 hour ago"),
            (86_399, "23 hours ago"),
            (86_400, "1 day ago"),
            (60 * 86_400, "60 days ago"),
            (61 * 86_400, "2 months ago"),
            (700 * 86_400, "22 months ago"),
            (731 * 86_400, "2 years ago"),
            (NOW, "57 years ago"),
            (-3_600, "in 1 hour"),
            (-86_400 * 3, "in 3 days"),
        ] {
            let mut out = Vec::new();
            push_age(&mut out, NOW, NOW - seconds);
            assert_eq!(out, expected.as_bytes(), "{seconds}");
        }
        for extreme in [i64::MIN, i64::MAX] {
            push_age(&mut Vec::new(), NOW, extreme);
        }
        push_age(&mut Vec::new(), i64::MIN, i64::MAX);
    }
}
