//! Throttling of log messages about shortages, such as `EMFILE`: each is logged once, when it
//! begins.
//!
//! ```
//! use std::time::Duration;
//! use doorstep_driver::log_throttle::LogThrottle;
//!
//! let no_descriptors = LogThrottle::new(Duration::from_secs(10));
//! assert!(no_descriptors.should_log());
//! assert!(!no_descriptors.should_log(), "the same shortage");
//! ```

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Decides whether an event that comes in series is logged: the first one of each series is.
#[derive(Debug)]
pub struct LogThrottle {
    quiet_time: Duration,
    last: Mutex<Option<Instant>>,
}

impl LogThrottle {
    /// A series has ended after `quiet_time` without an event. A server's is
    /// [`Config::log_quiet_time`](crate::Config::log_quiet_time).
    #[must_use]
    pub fn new(quiet_time: Duration) -> Self {
        Self { quiet_time, last: Mutex::default() }
    }

    /// Records an event, and returns whether to log it.
    pub fn should_log(&self) -> bool {
        self.should_log_at(Instant::now())
    }

    fn should_log_at(&self, now: Instant) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).replace(now);
        last.is_none_or(|last| now.saturating_duration_since(last) > self.quiet_time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_logged_once_however_long_it_is() {
        let (quiet_time, start) = (Duration::from_secs(10), Instant::now());
        let throttle = LogThrottle::new(quiet_time);
        assert!(throttle.should_log_at(start));
        for n in 1..10 {
            assert!(!throttle.should_log_at(start + n * quiet_time));
        }
        assert!(throttle.should_log_at(start + 11 * quiet_time));
    }
}
