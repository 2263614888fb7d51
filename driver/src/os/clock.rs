//! The current time, and local time for the log.
//!
//! The time zone is that of the system at start. Its offset is computed at most once a minute,
//! since offsets change on whole minutes. A [`Clock`] can be used by many threads at once.
//!
//! ```
//! use doorstep_driver::os::{Clock, now};
//!
//! let clock = Clock::new();
//! let civil = clock.civil(now());
//! assert!(civil.year >= 2026);
//! ```

use std::env;
use std::fs;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use doorstep_core::http1::date::Civil;
use doorstep_core::log::LocalTime;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Local time, with a cache of the offset from UTC.
#[derive(Debug)]
pub struct Clock {
    zone: TimeZone,
    /// A minute since 1970 and the offset in it, in one word: `minute << 20 | offset +
    /// OFFSET_BIAS`.
    cache: AtomicI64,
}

/// The time in seconds since 1970 UTC, negative before that. Usually no system call.
#[must_use]
pub fn now() -> i64 {
    let seconds = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => seconds(since.as_secs()),
        Err(before) => -seconds(before.duration().as_secs()),
    }
}

/// The time since 1970 UTC; zero before that. Usually no system call.
#[must_use]
pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The time zone of the system, as jiff finds it.
///
/// jiff looks for the name of the zone that `/etc/localtime` has, and reads all directories of
/// `/usr/share/zoneinfo` for that: more than a hundred system calls at the start. Nothing needs the
/// name, so the file is read first, unless `TZ` is set.
fn system_zone() -> TimeZone {
    let file = || TimeZone::tzif("", &fs::read("/etc/localtime").ok()?).ok();
    let is_default = env::var_os("TZ").is_none();
    is_default.then(file).flatten().unwrap_or_else(TimeZone::system)
}

impl Clock {
    /// A clock in the system's time zone; in UTC when that is unknown.
    #[must_use]
    pub fn new() -> Self {
        /// Read once: it may not be readable later ([`Sandbox`](super::Sandbox)).
        static SYSTEM: OnceLock<TimeZone> = OnceLock::new();

        Self::in_zone(SYSTEM.get_or_init(system_zone).clone())
    }

    fn in_zone(zone: TimeZone) -> Self {
        Self { zone, cache: AtomicI64::new(i64::MAX) }
    }

    /// The local date and time at `unix`, in seconds since 1970.
    #[must_use]
    pub fn civil(&self, unix: i64) -> Civil {
        Civil::utc(unix.saturating_add(self.offset(unix)))
    }

    /// The moment `since_epoch` after 1970-01-01 00:00 UTC, with the offset of local time.
    #[must_use]
    pub fn local_time(&self, since_epoch: Duration) -> LocalTime {
        let unix = i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX);
        let millisecond = since_epoch.subsec_millis() as u16;
        LocalTime::new(unix, self.offset(unix) as i32).with_millisecond(millisecond)
    }

    /// Local time minus UTC at `unix`, in seconds.
    fn offset(&self, unix: i64) -> i64 {
        let minute = unix.div_euclid(60);
        let cached = self.cache.load(Ordering::Relaxed);
        if cached >> 20 == minute {
            return (cached & (2 * OFFSET_BIAS - 1)) - OFFSET_BIAS;
        }
        // Outside of the years -9999 to 9999 there are no offsets.
        let Ok(at) = Timestamp::from_second(unix) else {
            return 0;
        };
        let offset = i64::from(self.zone.to_offset(at).seconds());
        self.cache.store(minute << 20 | (offset + OFFSET_BIAS), Ordering::Relaxed);
        offset
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes every offset positive: all are less than six days.
const OFFSET_BIAS: i64 = 1 << 19;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b_100_local_time_is_correct_across_the_change_to_daylight_saving_time() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let clock = Clock::in_zone(zone);
        let change = 1_774_746_000; // 29 March 2026, 01:00 UTC: 02:00 becomes 03:00
        for (unix, hour, minute, second) in [
            (change - 1, 1, 59, 59),
            (change, 3, 0, 0),
            (change - 1, 1, 59, 59),
            (change + 59, 3, 0, 59),
        ] {
            for _ in 0..2 {
                let at = clock.civil(unix);
                assert_eq!((at.year, at.month, at.day), (2026, 3, 29));
                assert_eq!((at.hour, at.minute, at.second), (hour, minute, second));
                let local = clock.local_time(Duration::from_millis(unix as u64 * 1000 + 7));
                assert_eq!((local.civil(), local.millisecond), (at, 7));
            }
        }
    }

    #[test]
    fn the_zone_of_the_system_is_the_one_that_jiff_finds() {
        let (ours, jiffs) = (Clock::in_zone(system_zone()), Clock::in_zone(TimeZone::system()));
        for month in 0..120 {
            let unix = 1_774_746_000 + month * 30 * 24 * 3600;
            assert_eq!(ours.offset(unix), jiffs.offset(unix));
        }
    }

    #[test]
    fn any_second_and_any_offset_has_a_date() {
        for zone in ["AAA24:59:59", "BBB-24:59:59", "UTC0"] {
            let clock = Clock::in_zone(TimeZone::posix(zone).unwrap());
            let offset = clock.offset(0);
            for unix in [i64::MIN, -1, 0, 59, 60, 253_402_300_799, i64::MAX] {
                assert_eq!(clock.civil(unix), clock.civil(unix));
            }
            assert_eq!(clock.offset(0), offset);
            assert_eq!(clock.civil(-1), Civil::utc(-1 + offset));
        }
    }

    #[test]
    fn now_is_after_this_was_written() {
        assert!(now() > 1_790_000_000);
    }
}
