//! A moment, with the time zone of a log.

use crate::http1::date::Civil;

/// A moment, and the offset of the time zone in which a log shows it.
///
/// ```
/// use doorstep_core::log::LocalTime;
///
/// let at = LocalTime::new(1_784_000_000, 2 * 3600).with_millisecond(250);
/// assert_eq!((at.civil().day, at.civil().hour, at.civil().minute), (14, 5, 33));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LocalTime {
    /// Seconds since 1970-01-01 00:00 UTC.
    pub unix: i64,
    /// 0 to 999.
    pub millisecond: u16,
    /// Local time minus UTC, in seconds.
    pub offset: i32,
}

impl LocalTime {
    /// The second `unix` since 1970-01-01 00:00 UTC, in a time zone that is `offset` seconds ahead of
    /// UTC.
    #[must_use]
    pub const fn new(unix: i64, offset: i32) -> Self {
        Self { unix, millisecond: 0, offset }
    }

    /// Sets the millisecond within the second, 0 to 999.
    #[must_use]
    pub const fn with_millisecond(mut self, millisecond: u16) -> Self {
        self.millisecond = millisecond;
        self
    }

    /// Date and time in the time zone of the log.
    #[must_use]
    pub fn civil(&self) -> Civil {
        Civil::utc(self.unix.saturating_add(self.offset.into()))
    }

    /// Date and time in UTC.
    #[must_use]
    pub fn utc(&self) -> Civil {
        Civil::utc(self.unix)
    }
}
