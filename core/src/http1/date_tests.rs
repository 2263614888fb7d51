//! Formatting and parsing, compared with httpdate for the years it supports, and with each other.

use super::{Civil, DAY_SECS, MAX_UNIX, MIN_UNIX, WEEKDAYS, format, parse};
use proptest::prelude::*;
use std::time::{Duration, UNIX_EPOCH};

/// Thu, 26 Nov 2026 12:00:00 GMT.
const NOW: i64 = 1_795_694_400;

fn read(text: &str) -> Option<i64> {
    parse(text.as_bytes(), NOW)
}

/// The IMF-fixdate of what was read.
fn reread(text: &str, now: i64) -> Option<String> {
    let unix = parse(text.as_bytes(), now)?;
    Some(String::from_utf8(format(unix).to_vec()).unwrap())
}

#[test]
fn b_064_the_three_forms_name_one_moment() {
    for form in [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun Nov 06 08:49:37 1994",
    ] {
        assert_eq!(read(form), Some(784_111_777), "{form}");
    }
}

#[test]
fn b_179_malformed_dates() {
    for text in [
        "",
        "0",
        "784111777",
        "Sun, 06 Nov 1994 08:49:37 +0100",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 gmt",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun,  6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 06 Nov 1994 08:49 GMT",
        "Sun, +6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:3\u{664} GMT",
        "Son, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06 Nov 1994 08:49:37 GMT",
        ", 06 Nov 1994 08:49:37 GMT",
        "06 Nov 1994 08:49:37 GMT",
        "32 Nov 1994",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 94",
        "Sun Nov  6 08:49:37 1994 GMT",
        "\u{e9}",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
    assert_eq!(parse(b"\xff", NOW), None);
}

#[test]
fn b_179_dates_that_are_not_in_the_calendar() {
    for text in [
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 32 Jan 1994 08:49:37 GMT",
        "Sun, 29 Feb 1994 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 30 Feb 2000 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sunday, 29-Feb-94 08:49:37 GMT",
        "Sun Feb 29 08:49:37 1994",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
    assert_eq!(read("Tue, 29 Feb 2000 00:00:00 GMT"), Some(951_782_400));
    assert_eq!(read("Tue, 29 Feb 0000 00:00:00 GMT"), Some(MIN_UNIX + 59 * DAY_SECS));
}

#[test]
fn r_5_r_6_dates_before_1970_are_dates() {
    for (text, unix) in [
        ("Wed, 31 Dec 1969 23:59:59 GMT", -1),
        ("Wed, 01 Jan 1930 00:00:00 GMT", -1_262_304_000),
        ("Wednesday, 31-Dec-69 23:59:59 GMT", 3_155_759_999), // 2069: less than 50 years ahead
        ("Thursday, 31-Dec-76 23:59:59 GMT", 220_924_799),
        ("Wed Dec 31 23:59:59 1969", -1),
        ("Sat, 01 Jan 0000 00:00:00 GMT", MIN_UNIX),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_UNIX),
    ] {
        assert_eq!(read(text), Some(unix), "{text}");
    }
}

#[test]
fn r_7_two_digit_years_are_at_most_50_years_ahead() {
    let at = |year, month, day| {
        Civil { year, month, day, hour: 12, minute: 0, second: 0 }.to_unix().unwrap()
    };
    let now = at(2026, 11, 26);
    for (text, expected) in [
        ("Wednesday, 01-Jan-76 00:00:00 GMT", "Wed, 01 Jan 2076 00:00:00 GMT"),
        ("Thursday, 26-Nov-76 12:00:00 GMT", "Thu, 26 Nov 2076 12:00:00 GMT"),
        ("Friday, 26-Nov-76 12:00:01 GMT", "Fri, 26 Nov 1976 12:00:01 GMT"),
        ("Monday, 27-Nov-76 00:00:00 GMT", "Sat, 27 Nov 1976 00:00:00 GMT"),
        ("Saturday, 01-Jan-77 00:00:00 GMT", "Sat, 01 Jan 1977 00:00:00 GMT"),
        ("Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("Saturday, 01-Jan-00 00:00:00 GMT", "Sat, 01 Jan 2000 00:00:00 GMT"),
        ("Thursday, 26-Nov-26 12:00:00 GMT", "Thu, 26 Nov 2026 12:00:00 GMT"),
        ("Tuesday, 29-Feb-72 00:00:00 GMT", "Mon, 29 Feb 2072 00:00:00 GMT"),
    ] {
        assert_eq!(reread(text, now).as_deref(), Some(expected), "{text}");
    }
    let new_year = "Saturday, 01-Jan-00 00:00:00 GMT";
    for (now, expected) in [
        (at(1949, 12, 31), "Mon, 01 Jan 1900 00:00:00 GMT"),
        (at(1950, 1, 1), "Sat, 01 Jan 2000 00:00:00 GMT"),
        (at(2049, 12, 31), "Sat, 01 Jan 2000 00:00:00 GMT"),
        (at(2095, 6, 1), "Fri, 01 Jan 2100 00:00:00 GMT"),
    ] {
        assert_eq!(reread(new_year, now).as_deref(), Some(expected), "{now}");
    }
    for now in [i64::MIN, i64::MAX] {
        let _ = parse(new_year.as_bytes(), now); // years that cannot be written yield `None`
    }
}

#[test]
fn r_8_the_day_of_the_week_is_not_compared() {
    let right = read("Fri, 01 Jan 2027 00:00:02 GMT");
    assert_eq!(right, Some(1_798_761_602));
    for weekday in ["Sun", "Mon", "Tue", "Wed", "Thu", "Sat"] {
        assert_eq!(read(&format!("{weekday}, 01 Jan 2027 00:00:02 GMT")), right, "{weekday}");
        assert_eq!(read(&format!("{weekday} Jan  1 00:00:02 2027")), right, "{weekday}");
    }
    assert_eq!(read("Wednesday, 01-Jan-27 00:00:02 GMT"), right);
}

#[test]
fn b_178_second_60_is_the_first_of_the_next_minute() {
    for (leap, next) in [
        ("Sat, 31 Dec 2016 23:59:60 GMT", "Sun, 01 Jan 2017 00:00:00 GMT"),
        ("Tue, 30 Jun 2015 23:59:60 GMT", "Wed, 01 Jul 2015 00:00:00 GMT"),
        ("Saturday, 31-Dec-16 23:59:60 GMT", "Sun, 01 Jan 2017 00:00:00 GMT"),
        ("Sat Dec 31 23:59:60 2016", "Sun, 01 Jan 2017 00:00:00 GMT"),
    ] {
        assert_eq!(reread(leap, NOW).as_deref(), Some(next), "{leap}");
    }
}

#[test]
fn b_064_times_outside_four_digit_years_are_clamped() {
    assert_eq!(&format(i64::MIN), b"Sat, 01 Jan 0000 00:00:00 GMT");
    assert_eq!(&format(i64::MAX), b"Fri, 31 Dec 9999 23:59:59 GMT");
    assert_eq!(format(MIN_UNIX), format(i64::MIN));
    assert_eq!(format(MAX_UNIX), format(i64::MAX));
    assert_eq!(&format(-1), b"Wed, 31 Dec 1969 23:59:59 GMT");
    assert_eq!(&format(146_097 * DAY_SECS), b"Thu, 01 Jan 2370 00:00:00 GMT"); // 400 years
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
    fn b_064_the_same_text_as_httpdate(unix in 0..=MAX_UNIX) {
        let theirs = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(unix as u64));
        let text = format(unix);
        prop_assert_eq!(str::from_utf8(&text).unwrap(), &theirs);
    }

    #[test]
    fn b_178_parsing_reverses_formatting(unix in MIN_UNIX..=MAX_UNIX) {
        prop_assert_eq!(parse(&format(unix), NOW), Some(unix));
        prop_assert_eq!(Civil::utc(unix).to_unix(), Some(unix));
    }

    /// All three forms; the one with a two-digit year for each `now` that is near enough.
    #[test]
    fn b_178_all_three_forms_are_parsed(unix in MIN_UNIX..=MAX_UNIX, ahead in -49 * 365..50 * 365_i64) {
        let text = String::from_utf8(format(unix).to_vec()).unwrap();
        let (day, month) = (&text[5..7], &text[8..11]);
        let (year, time) = (&text[12..16], &text[17..25]);
        let asctime = format!("{} {month} {:>2} {time} {year}",
            &text[..3], day.trim_start_matches('0'));
        prop_assert_eq!(parse(asctime.as_bytes(), NOW), Some(unix), "{}", asctime);
        let name = WEEKDAYS.into_iter().find(|name| name.starts_with(&text.as_bytes()[..3]));
        let name = str::from_utf8(name.unwrap()).unwrap();
        let rfc850 = format!("{name}, {day}-{month}-{} {time} GMT", &year[2..]);
        prop_assert_eq!(parse(rfc850.as_bytes(), unix - ahead * DAY_SECS), Some(unix), "{}", rfc850);
    }

    /// What httpdate parses is parsed here as the same moment, apart from the century of two-digit years.
    #[test]
    fn b_178_the_same_moment_as_httpdate(unix in 0..MAX_UNIX, change in 0..40_usize, to: u8) {
        let mut text = format(unix);
        if let Some(byte) = text.get_mut(change) {
            *byte = to;
        }
        let theirs = str::from_utf8(&text).ok().and_then(|text| httpdate::parse_http_date(text).ok());
        if let Some(theirs) = theirs {
            let theirs = theirs.duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
            prop_assert_eq!(parse(&text, NOW), Some(theirs));
        }
    }

    #[test]
    fn nothing_panics(text in prop::collection::vec(any::<u8>(), 0..40), now: i64) {
        let _ = parse(&text, now);
    }
}
