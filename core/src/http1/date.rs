//! Dates: seconds since 1970 to the text of HTTP, and back.
//!
//! Written is always IMF-fixdate (B-064), without an allocation; read are the three forms of
//! RFC 9110 §5.6.7 (B-178), by httpdate. Nothing here knows what time it is: the caller says.
//! [`Civil`] is the same moment in the numbers of a calendar, for logs and listings.
//!
//! ```
//! use doorstep_core::http1::date;
//!
//! assert_eq!(&date::format(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
//! assert_eq!(date::parse(b"Sunday, 06-Nov-94 08:49:37 GMT"), Some(784_111_777));
//! assert_eq!(date::parse(b"yesterday"), None);
//! ```

use std::time::UNIX_EPOCH;

/// A moment in the numbers of the Gregorian calendar; in which time zone is its maker's to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// 0 to 9999.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59, or 60 in a leap second.
    pub second: u8,
}

impl Civil {
    /// The UTC time of `unix`, in seconds since 1970. Years outside 0 to 9999 are cut to the first
    /// or last second of that span.
    #[must_use]
    pub fn utc(unix: i64) -> Self {
        let unix = unix.clamp(FIRST, LAST);
        let (days, seconds) = (unix.div_euclid(DAY), unix.rem_euclid(DAY));

        // Counted from 1 March of year 0, leap days come last in their year and in each 400 years.
        let days = days + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153; // 0 is March
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = era * 400 + year_of_era + i64::from(month <= 2);

        Self {
            year: year as u16,
            month: month as u8,
            day: (day_of_year - (153 * shifted + 2) / 5 + 1) as u8,
            hour: (seconds / 3600) as u8,
            minute: (seconds / 60 % 60) as u8,
            second: (seconds % 60) as u8,
        }
    }

    /// The month's English name in three letters; `???` when there is no such month.
    pub(crate) fn month_name(&self) -> &'static [u8; 3] {
        MONTHS.get(usize::from(self.month).wrapping_sub(1)).copied().unwrap_or(b"???")
    }
}

/// The IMF-fixdate of `unix`, in seconds since 1970 (RFC 9110 §5.6.7, B-064).
#[must_use]
pub fn format(unix: i64) -> [u8; 29] {
    let at = Civil::utc(unix);
    let days = unix.clamp(FIRST, LAST).div_euclid(DAY);
    let weekday = WEEKDAYS[(days + 4).rem_euclid(7) as usize]; // 1970 began on a Thursday

    let mut text = *b"Sun, 00 Jan 0000 00:00:00 GMT";
    text[0..3].copy_from_slice(weekday);
    text[5..7].copy_from_slice(&two(at.day));
    text[8..11].copy_from_slice(at.month_name());
    text[12..16].copy_from_slice(&four(at.year));
    text[17..19].copy_from_slice(&two(at.hour));
    text[20..22].copy_from_slice(&two(at.minute));
    text[23..25].copy_from_slice(&two(at.second));
    text
}

/// The moment that an HTTP date names, in seconds since 1970; `None` when it is no HTTP date.
#[must_use]
pub fn parse(text: &[u8]) -> Option<i64> {
    let text = str::from_utf8(text).ok()?;
    let moment = httpdate::parse_http_date(text).ok()?; // httpdate's currency, changed at once
    i64::try_from(moment.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

/// `n` in two decimal digits.
pub(crate) fn two(n: u8) -> [u8; 2] {
    [b'0' + n / 10 % 10, b'0' + n % 10]
}

/// `n` in four decimal digits.
pub(crate) fn four(n: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (two((n / 100 % 100) as u8), two((n % 100) as u8));
    [a, b, c, d]
}

const DAY: i64 = 86_400;
const FIRST: i64 = -62_167_219_200; // 0000-01-01 00:00:00
const LAST: i64 = 253_402_300_799; // 9999-12-31 23:59:59

const WEEKDAYS: [&[u8; 3]; 7] = [b"Sun", b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat"];
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

#[cfg(test)]
mod tests {
    use super::{Civil, FIRST, LAST, UNIX_EPOCH, format, parse};
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn b_064_the_three_forms_name_one_moment() {
        for form in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(form.as_bytes()), Some(784_111_777), "{form}");
        }
    }

    #[test]
    fn b_179_what_is_no_date_is_none() {
        for text in ["", "0", "Sun, 06 Nov 1994 08:49:37 +0100", "32 Nov 1994", "\u{e9}"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse(b"\xff"), None);
    }

    #[test]
    fn b_064_times_outside_four_digit_years_are_cut() {
        assert_eq!(&format(i64::MIN), b"Sat, 01 Jan 0000 00:00:00 GMT");
        assert_eq!(&format(i64::MAX), b"Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(format(FIRST), format(i64::MIN));
        assert_eq!(format(LAST), format(i64::MAX));
        assert_eq!(&format(-1), b"Wed, 31 Dec 1969 23:59:59 GMT");
    }

    #[test]
    fn a_leap_day_is_the_29th_of_february() {
        let at = Civil { year: 2024, month: 2, day: 29, hour: 23, minute: 59, second: 59 };
        assert_eq!(Civil::utc(1_709_251_199), at);
        assert_eq!(
            Civil::utc(1_709_251_200),
            Civil { month: 3, day: 1, hour: 0, minute: 0, second: 0, ..at }
        );
    }

    proptest! {
        #[test]
        fn b_064_it_is_what_httpdate_writes_and_reads_back(unix in 0..=LAST) {
            let text = format(unix);
            let theirs = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(unix as u64));
            prop_assert_eq!(str::from_utf8(&text).unwrap(), &theirs);
            prop_assert_eq!(parse(&text), Some(unix));
        }
    }
}
