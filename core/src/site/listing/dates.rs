//! The dates of rows. Most rows share few days, so the texts of the last days are kept.

use crate::http1::date::{Civil, DAY_SECS, MAX_UNIX, MIN_UNIX, four_digits, two_digits};

/// The texts of the last days.
#[derive(Debug)]
pub(super) struct Dates {
    /// Each day has one place, which it shares with others.
    days: [Day; DAYS],
}

#[derive(Debug, Clone, Copy)]
struct Day {
    /// In days since 1970.
    number: i64,
    text: [u8; 10],
}

/// The number of days whose texts are kept: a power of two.
const DAYS: usize = 32;

/// A moment of a day in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// `YYYY-MM-DD`
    pub(super) date: [u8; 10],
    /// `HH`, `MM` and `SS`
    pub(super) time: [[u8; 2]; 3],
}

impl Dates {
    pub(super) fn new() -> Self {
        Self { days: [Day { number: 0, text: *b"1970-01-01" }; DAYS] }
    }

    /// `unix` is in seconds since 1970, and clamped as by [`Civil::utc`].
    pub(super) fn moment(&mut self, unix: i64) -> Moment {
        let unix = unix.clamp(MIN_UNIX, MAX_UNIX);
        let (number, seconds) = (unix.div_euclid(DAY_SECS), unix.rem_euclid(DAY_SECS) as u32);
        let kept = &mut self.days[number as usize % DAYS];
        if kept.number != number {
            let Civil { year, month, day, .. } = Civil::utc(unix);
            kept.text[..4].copy_from_slice(&four_digits(year));
            kept.text[5..7].copy_from_slice(&two_digits(month));
            kept.text[8..].copy_from_slice(&two_digits(day));
            kept.number = number;
        }
        let time = [seconds / 3600, seconds / 60 % 60, seconds % 60];
        Moment { date: kept.text, time: time.map(|n| two_digits(n as u8)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_moment_is_its_own_whatever_was_before() {
        let mut dates = Dates::new();
        let edges = [i64::MIN, MIN_UNIX, -DAY_SECS, -1, 0, 1, DAY_SECS - 1, DAY_SECS];
        let later = [
            DAY_SECS * DAYS as i64,
            951_782_400,
            951_868_799,
            784_111_777,
            MAX_UNIX,
            MAX_UNIX + 1,
            i64::MAX,
        ];
        for unix in edges.into_iter().chain(later).chain(edges) {
            let Moment { date, time } = dates.moment(unix);
            let at = Civil::utc(unix);
            let expected = format!("{:04}-{:02}-{:02}", at.year, at.month, at.day);
            assert_eq!(date, expected.as_bytes(), "{unix}");
            assert_eq!(time, [at.hour, at.minute, at.second].map(two_digits), "{unix}");
        }
    }
}
