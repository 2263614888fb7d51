//! A moment in seconds since 1970, from whatever a caller's clock returns.

use core::time::Duration;

/// A moment in whole seconds since 1970 (UTC, without leap seconds): the time for
/// [`Outbox::set_date`](crate::http1::Outbox::set_date).
///
/// It is made from seconds, from a [`Duration`] since 1970, and from a `SystemTime`. Parts of a
/// second are rounded down. A moment before 1970 is negative, and valid: a machine without a battery
/// may begin there. Numbers that do not fit are clamped.
///
/// ```
/// use doorstep_core::http1::date::{UnixTime, format};
/// use std::time::{Duration, UNIX_EPOCH};
///
/// assert_eq!(UnixTime::from(784_111_777_u64), UnixTime::from(Duration::from_millis(784_111_777_900)));
/// let before = UnixTime::from(UNIX_EPOCH - Duration::from_millis(1));
/// assert_eq!(before.seconds(), -1);
/// assert_eq!(&format(before.seconds()), b"Wed, 31 Dec 1969 23:59:59 GMT");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(i64);

impl UnixTime {
    /// The seconds since 1970.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0
    }
}

impl From<i64> for UnixTime {
    fn from(seconds: i64) -> Self {
        Self(seconds)
    }
}

impl From<u64> for UnixTime {
    fn from(seconds: u64) -> Self {
        Self(i64::try_from(seconds).unwrap_or(i64::MAX))
    }
}

// A number without a type is an i32 if several types are possible.
impl From<i32> for UnixTime {
    fn from(seconds: i32) -> Self {
        Self(seconds.into())
    }
}

impl From<u32> for UnixTime {
    fn from(seconds: u32) -> Self {
        Self(seconds.into())
    }
}

impl From<Duration> for UnixTime {
    fn from(since_1970: Duration) -> Self {
        since_1970.as_secs().into()
    }
}

// The only code here that needs std. It reads no clock: it converts a value.
#[cfg(feature = "std")]
#[allow(clippy::disallowed_types, reason = "a conversion reads no clock")]
impl From<std::time::SystemTime> for UnixTime {
    fn from(time: std::time::SystemTime) -> Self {
        match time.duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => since.into(),
            Err(before) => {
                let before = before.duration();
                let seconds = before.as_secs().saturating_add(u64::from(before.subsec_nanos() > 0));
                Self(0_i64.saturating_sub_unsigned(seconds))
            }
        }
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_moment_is_rounded_down_and_clamped() {
        let (second, nano) = (Duration::from_secs(1), Duration::from_nanos(1));
        for (moment, seconds) in [
            (UnixTime::from(u64::MAX), i64::MAX),
            (UnixTime::from(i64::MIN), i64::MIN),
            (UnixTime::from(-1), -1),
            (UnixTime::from(u32::MAX), 0xffff_ffff),
            (UnixTime::from(Duration::MAX), i64::MAX),
            (UnixTime::from(second - nano), 0),
            (UnixTime::from(UNIX_EPOCH), 0),
            (UnixTime::from(UNIX_EPOCH + second - nano), 0),
            (UnixTime::from(UNIX_EPOCH - nano), -1),
            (UnixTime::from(UNIX_EPOCH - second), -1),
            (UnixTime::from(UNIX_EPOCH - second - nano), -2),
        ] {
            assert_eq!(moment.seconds(), seconds);
        }
    }
}
