//! A shortage is logged once for as long as it goes on.
//!
//! ```
//! use doorstep_driver::episode::Episode;
//!
//! let lack = Episode::default();
//! assert!(lack.begins());
//! assert!(!lack.begins(), "it is the same one");
//! ```

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Without it for so long, the next one begins a new episode.
const APART: Duration = Duration::from_secs(10);

/// Something that happens in episodes.
#[derive(Debug, Default)]
pub struct Episode(Mutex<Option<Instant>>);

impl Episode {
    /// It happened; whether that begins an episode.
    pub fn begins(&self) -> bool {
        self.begins_at(Instant::now())
    }

    fn begins_at(&self, now: Instant) -> bool {
        let before = self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(now);
        before.is_none_or(|before| now.saturating_duration_since(before) > APART)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_episode_lasts_as_long_as_it_goes_on() {
        let (lack, start) = (Episode::default(), Instant::now());
        assert!(lack.begins_at(start));
        for n in 1..10 {
            assert!(!lack.begins_at(start + n * APART));
        }
        assert!(lack.begins_at(start + 11 * APART));
    }
}
