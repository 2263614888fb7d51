//! A shortage is logged once for as long as it goes on.
//!
//! ```
//! use doorstep_driver::log_throttle::LogThrottle;
//!
//! let lack = LogThrottle::default();
//! assert!(lack.should_log());
//! assert!(!lack.should_log(), "it is the same one");
//! ```

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Without it for so long, the next one begins a new episode.
const QUIET_TIME: Duration = Duration::from_secs(10);

/// Something that happens in episodes.
#[derive(Debug, Default)]
pub struct LogThrottle(Mutex<Option<Instant>>);

impl LogThrottle {
    /// It happened; whether that begins an episode.
    pub fn should_log(&self) -> bool {
        self.should_log_at(Instant::now())
    }

    fn should_log_at(&self, now: Instant) -> bool {
        let before = self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(now);
        before.is_none_or(|before| now.saturating_duration_since(before) > QUIET_TIME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_episode_lasts_as_long_as_it_goes_on() {
        let (lack, start) = (LogThrottle::default(), Instant::now());
        assert!(lack.should_log_at(start));
        for n in 1..10 {
            assert!(!lack.should_log_at(start + n * QUIET_TIME));
        }
        assert!(lack.should_log_at(start + 11 * QUIET_TIME));
    }
}
