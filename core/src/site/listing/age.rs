//! The age of an entry in words: `3 days ago`.

use crate::bytes::push_decimal;
use crate::http1::date::DAY_SECS;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = DAY_SECS as u64;
/// The mean year of the Gregorian calendar, and a twelfth of it.
const YEAR: u64 = 31_556_952;
const MONTH: u64 = YEAR / 12;

/// Appends how long before `now` something was, in the largest unit of which there is at least one
/// (of months and years: two), rounded down. Both are in seconds since 1970.
#[inline]
pub(super) fn push_age(out: &mut Vec<u8>, now: i64, then: i64) {
    if then > now {
        return push_later(out, then.abs_diff(now));
    }
    let seconds = now.abs_diff(then);
    let (count, one, several): (u64, &[u8], &[u8]) = match seconds {
        0..MINUTE => return out.extend_from_slice(b"less than a minute ago"),
        MINUTE..HOUR => (seconds / MINUTE, b" minute ago", b" minutes ago"),
        HOUR..DAY => (seconds / HOUR, b" hour ago", b" hours ago"),
        _ if seconds < 2 * MONTH => (seconds / DAY, b" day ago", b" days ago"),
        _ if seconds < 2 * YEAR => (seconds / MONTH, b"", b" months ago"),
        _ => (seconds / YEAR, b"", b" years ago"),
    };
    push_decimal(out, count);
    out.extend_from_slice(if count == 1 { one } else { several });
}

/// Appends the same for what is later, which is rare.
#[cold]
fn push_later(out: &mut Vec<u8>, seconds: u64) {
    let (count, unit): (u64, &[u8]) = match seconds {
        0..HOUR => (seconds.div_ceil(MINUTE), b" minute"),
        HOUR..DAY => (seconds / HOUR, b" hour"),
        _ => (seconds / DAY, b" day"),
    };
    out.extend_from_slice(b"in ");
    push_decimal(out, count);
    out.extend_from_slice(unit);
    out.extend_from_slice(if count == 1 { b"" } else { b"s" });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_in_the_largest_unit_rounded_down() {
        const NOW: i64 = 1_800_000_000;
        let age = |now, then| {
            let mut out = Vec::new();
            push_age(&mut out, now, then);
            String::from_utf8(out).unwrap()
        };
        for (seconds, expected) in [
            (0, "less than a minute ago"),
            (59, "less than a minute ago"),
            (60, "1 minute ago"),
            (3_599, "59 minutes ago"),
            (3_600, "1 hour ago"),
            (86_399, "23 hours ago"),
            (86_400, "1 day ago"),
            (2 * 86_400 - 1, "1 day ago"),
            (60 * 86_400, "60 days ago"),
            (61 * 86_400, "2 months ago"),
            (700 * 86_400, "22 months ago"),
            (731 * 86_400, "2 years ago"),
            (NOW, "57 years ago"),
            (-1, "in 1 minute"),
            (-61, "in 2 minutes"),
            (-3_600, "in 1 hour"),
            (-86_400 * 3, "in 3 days"),
        ] {
            assert_eq!(age(NOW, NOW - seconds), expected, "{seconds}");
        }
        assert_eq!(age(i64::MAX, i64::MIN), "584554049253 years ago");
        assert_eq!(age(i64::MIN, i64::MAX), "in 213503982334601 days");
    }
}
