//! HTTP dates: from seconds since 1970 to text, and back.
//!
//! Written dates are always IMF-fixdate (B-064), formatted by httpdate with the feature `site`;
//! httpdate needs std, so without that feature they are put together here. The parser accepts the
//! three forms of RFC 9110 §5.6.7 (B-178) for the years 0 to 9999; httpdate's own parser accepts no
//! year before 1970 and no leap second, and reads two-digit years as 1970 to 2069. Nothing allocates,
//! and there is no clock here: the caller passes the time, which also decides the century of a
//! two-digit year. [`Civil`] is a moment in calendar numbers, for logs and listings.
//!
//! ```
//! use doorstep_core::http1::date;
//!
//! assert_eq!(&date::format(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
//! let now = 1_700_000_000;
//! assert_eq!(date::parse(b"Sunday, 06-Nov-94 08:49:37 GMT", now), Some(784_111_777));
//! assert_eq!(date::parse(b"yesterday", now), None);
//! ```

pub use super::unix_time::UnixTime;
use crate::bytes::parse_decimal;

/// A moment in the numbers of the Gregorian calendar. The time zone is that of the code which made
/// it.
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
    /// The UTC time of `unix`, in seconds since 1970. Years outside 0 to 9999 are clamped to the
    /// first or last second of that range.
    #[must_use]
    pub fn utc(unix: i64) -> Self {
        let unix = unix.clamp(MIN_UNIX, MAX_UNIX);
        let (days, seconds) = (unix.div_euclid(DAY_SECS), unix.rem_euclid(DAY_SECS));

        // Counted from 1 March of year 0, leap days are the last of their year and of each 400
        // years.
        // The 400 years before are counted, too: numbers without a sign are divided faster.
        let days = (days + DAYS_TO_1970 + 146_097) as u32;
        let seconds = seconds as u32;
        let era = days / 146_097;
        let day_of_era = days % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153; // 0 is March
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = era * 400 + year_of_era + u32::from(month <= 2) - 400;

        Self {
            year: year as u16,
            month: month as u8,
            day: (day_of_year - (153 * shifted + 2) / 5 + 1) as u8,
            hour: (seconds / 3600) as u8,
            minute: (seconds / 60 % 60) as u8,
            second: (seconds % 60) as u8,
        }
    }

    /// This moment as UTC, in seconds since 1970; `None` if there is no such moment. Second 60 is
    /// the first of the next minute, as for a clock without leap seconds.
    fn to_unix(self) -> Option<i64> {
        let Self { year, month, day, hour, minute, second } = self;
        let year = i64::from(year);
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = match month {
            2 => 28 + u8::from(is_leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        if !(1..=length).contains(&day) || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        // As in `utc`: the year begins in March, so that the leap day is its last.
        let (march, shifted) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let (era, year_of_era) = (march.div_euclid(400), march.rem_euclid(400));
        let days = era * 146_097 + 365 * year_of_era + year_of_era / 4 - year_of_era / 100
            + (153 * i64::from(shifted) + 2) / 5
            + i64::from(day - 1)
            - DAYS_TO_1970;
        let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
        Some(days * DAY_SECS + seconds)
    }

    /// The English name of the month in three letters; `???` if there is no such month.
    pub(crate) fn month_name(&self) -> &'static [u8; 3] {
        MONTHS.get(usize::from(self.month).wrapping_sub(1)).copied().unwrap_or(b"???")
    }
}

/// The IMF-fixdate of `unix`, in seconds since 1970 (RFC 9110 §5.6.7, B-064). Years outside 0 to
/// 9999 are clamped as by [`Civil::utc`].
#[must_use]
pub fn format(unix: i64) -> [u8; 29] {
    imf_fixdate(unix.clamp(MIN_UNIX, MAX_UNIX))
}

/// Parses an HTTP date into seconds since 1970; `None` if it is malformed. The day of the week must
/// be one, and is not compared with the date.
///
/// `now`, in seconds since 1970, decides the century of a two-digit year: the last one in which the
/// date is at most 50 years ahead.
#[must_use]
pub fn parse(text: &[u8], now: i64) -> Option<i64> {
    parse_imf_fixdate(text)
        .or_else(|| parse_asctime(text))
        .or_else(|| parse_rfc850(text, now))?
        .to_unix()
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn parse_imf_fixdate(mut text: &[u8]) -> Option<Civil> {
    let text = &mut text;
    take_one_of(text, WEEKDAYS.map(|name| &name[..3]))?;
    take_literal(text, b", ")?;
    let day = take_digits(text, 2)? as u8;
    take_literal(text, b" ")?;
    let month = take_one_of(text, MONTHS.map(|name| &name[..]))? as u8 + 1;
    take_literal(text, b" ")?;
    let year = take_digits(text, 4)?;
    take_literal(text, b" ")?;
    let [hour, minute, second] = take_time(text)?;
    take_literal(text, b" GMT")?;
    text.is_empty().then_some(Civil { year, month, day, hour, minute, second })
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn parse_rfc850(mut text: &[u8], now: i64) -> Option<Civil> {
    let text = &mut text;
    take_one_of(text, WEEKDAYS)?;
    take_literal(text, b", ")?;
    let day = take_digits(text, 2)? as u8;
    take_literal(text, b"-")?;
    let month = take_one_of(text, MONTHS.map(|name| &name[..]))? as u8 + 1;
    take_literal(text, b"-")?;
    let year = take_digits(text, 2)?;
    take_literal(text, b" ")?;
    let [hour, minute, second] = take_time(text)?;
    take_literal(text, b" GMT")?;
    let at = Civil { year, month, day, hour, minute, second };
    if text.is_empty() { resolve_century(at, now) } else { None }
}

/// `Sun Nov  6 08:49:37 1994`
fn parse_asctime(mut text: &[u8]) -> Option<Civil> {
    let text = &mut text;
    take_one_of(text, WEEKDAYS.map(|name| &name[..3]))?;
    take_literal(text, b" ")?;
    let month = take_one_of(text, MONTHS.map(|name| &name[..]))? as u8 + 1;
    take_literal(text, b" ")?;
    let day = match take_literal(text, b" ") {
        Some(()) => take_digits(text, 1)?,
        None => take_digits(text, 2)?,
    } as u8;
    take_literal(text, b" ")?;
    let [hour, minute, second] = take_time(text)?;
    take_literal(text, b" ")?;
    let year = take_digits(text, 4)?;
    text.is_empty().then_some(Civil { year, month, day, hour, minute, second })
}

/// `at`, whose year has two digits, in the last century in which it is at most 50 years after
/// `now`.
fn resolve_century(at: Civil, now: i64) -> Option<Civil> {
    let now = Civil::utc(now);
    let within = |at: Civil| (at.month, at.day, at.hour, at.minute, at.second);
    let last = i32::from(now.year) + 50 - i32::from(within(at) > within(now));
    let year = last - (last - i32::from(at.year)).rem_euclid(100);
    let year = u16::try_from(year).ok().filter(|&year| year <= 9999)?;
    Some(Civil { year, ..at })
}

/// `08:49:37`
fn take_time(text: &mut &[u8]) -> Option<[u8; 3]> {
    let hour = take_digits(text, 2)?;
    take_literal(text, b":")?;
    let minute = take_digits(text, 2)?;
    take_literal(text, b":")?;
    let second = take_digits(text, 2)?;
    Some([hour, minute, second].map(|n| n as u8))
}

/// Takes exactly `count` digits, at most 4, off the front and returns their number.
fn take_digits(text: &mut &[u8], count: usize) -> Option<u16> {
    let (digits, rest) = text.split_at_checked(count)?;
    *text = rest;
    parse_decimal(digits).map(|n| n as u16)
}

fn take_literal(text: &mut &[u8], literal: &[u8]) -> Option<()> {
    *text = text.strip_prefix(literal)?;
    Some(())
}

/// Takes one of `names` off the front and returns its index.
fn take_one_of<const N: usize>(text: &mut &[u8], names: [&[u8]; N]) -> Option<usize> {
    let place = names.iter().position(|name| text.starts_with(name))?;
    *text = &text[names[place].len()..];
    Some(place)
}

/// `n` in two decimal digits.
pub(crate) fn two_digits(n: u8) -> [u8; 2] {
    [b'0' + n / 10 % 10, b'0' + n % 10]
}

/// `n` in four decimal digits.
pub(crate) fn four_digits(n: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (two_digits((n / 100 % 100) as u8), two_digits((n % 100) as u8));
    [a, b, c, d]
}

/// The calendar repeats every 400 years, days of the week included. httpdate begins at 1970, so it
/// formats the same moment of its own 400 years, and the year is replaced.
#[cfg(feature = "site")]
fn imf_fixdate(unix: i64) -> [u8; 29] {
    use std::io::Write;
    use std::time::{Duration, UNIX_EPOCH};

    const CYCLE_SECS: i64 = 146_097 * DAY_SECS;
    let like = unix.rem_euclid(CYCLE_SECS);
    let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    let moment = UNIX_EPOCH + Duration::from_secs(like.cast_unsigned());
    let _ = write!(&mut text[..], "{}", httpdate::HttpDate::from(moment)); // 29 bytes
    if like != unix {
        text[12..16].copy_from_slice(&four_digits(Civil::utc(unix).year));
    }
    text
}

#[cfg(not(feature = "site"))]
fn imf_fixdate(unix: i64) -> [u8; 29] {
    let at = Civil::utc(unix);
    let weekday = (unix.div_euclid(DAY_SECS) + 4).rem_euclid(7); // 1970 began on a Thursday
    let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    text[..3].copy_from_slice(&WEEKDAYS[weekday as usize][..3]);
    text[5..7].copy_from_slice(&two_digits(at.day));
    text[8..11].copy_from_slice(at.month_name());
    text[12..16].copy_from_slice(&four_digits(at.year));
    text[17..19].copy_from_slice(&two_digits(at.hour));
    text[20..22].copy_from_slice(&two_digits(at.minute));
    text[23..25].copy_from_slice(&two_digits(at.second));
    text
}

pub(crate) const DAY_SECS: i64 = 86_400;
/// The first and the last moment that can be written, in seconds since 1970.
pub(crate) const MIN_UNIX: i64 = -62_167_219_200; // 0000-01-01 00:00:00
pub(crate) const MAX_UNIX: i64 = 253_402_300_799; // 9999-12-31 23:59:59
/// Days from 1 March of year 0 to 1 January 1970.
const DAYS_TO_1970: i64 = 719_468;

const WEEKDAYS: [&[u8]; 7] =
    [b"Sunday", b"Monday", b"Tuesday", b"Wednesday", b"Thursday", b"Friday", b"Saturday"];
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

#[cfg(test)]
#[path = "date_tests.rs"]
mod tests;
