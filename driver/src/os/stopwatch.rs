//! Time that passes while this process runs, for deadlines.
//!
//! A deadline that compares two readings of the clock also counts time in which the whole process
//! stood still: SIGSTOP, a container that is paused, a machine that is suspended. A [`Stopwatch`]
//! counts in steps, from one look to the next, and no step is longer than twice what was planned. So
//! a standstill counts as two planned steps at most. Looks that come later than planned, since the
//! machine is busy, lose nothing until they come twice as late.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use doorstep_driver::os::Stopwatch;
//!
//! let (start, second) = (Instant::now(), Duration::from_secs(1));
//! let mut time = Stopwatch::started_at(start);
//! assert_eq!(time.tick(start + second, second), second);
//! assert_eq!(time.tick(start + 60 * second, second), 3 * second);
//! ```

use std::time::{Duration, Instant};

/// How often those look who wait for nothing but a deadline and an event.
pub const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Time, counted from one look to the next.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stopwatch {
    elapsed: Duration,
    /// `None` while it does not run.
    last_tick: Option<Instant>,
}

impl Stopwatch {
    /// One that runs since `now`.
    #[must_use]
    pub fn started_at(now: Instant) -> Self {
        Self { elapsed: Duration::ZERO, last_tick: Some(now) }
    }

    /// Counts up to `now`, and runs on, or starts: the time that has passed in all. It was to be looked
    /// at again within `planned`.
    pub fn tick(&mut self, now: Instant, planned: Duration) -> Duration {
        let last = self.last_tick.replace(now).unwrap_or(now);
        let step = now.saturating_duration_since(last).min(planned.saturating_mul(2));
        self.elapsed = self.elapsed.saturating_add(step);
        self.elapsed
    }

    /// Counts up to `now`, and no further until [`Stopwatch::tick`] starts it again.
    pub fn pause(&mut self, now: Instant, planned: Duration) {
        self.tick(now, planned);
        self.last_tick = None;
    }

    /// Counts up to now, for one who looks every [`POLL_INTERVAL`]: how long to wait for the next look when
    /// `limit` may pass in all; `None` when it has.
    pub fn next_wait(&mut self, limit: Duration) -> Option<Duration> {
        let left = limit.saturating_sub(self.tick(Instant::now(), POLL_INTERVAL));
        (!left.is_zero()).then(|| left.min(POLL_INTERVAL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b_049_a_standstill_counts_as_two_steps_and_a_pause_as_nothing() {
        let (start, planned) = (Instant::now(), Duration::from_millis(250));
        let at = |millis| start + Duration::from_millis(millis);
        let mut time = Stopwatch::started_at(start);
        for (millis, counted) in [(0, 0), (250, 250), (700, 700), (60_700, 1200), (60_900, 1400)] {
            assert_eq!(time.tick(at(millis), planned).as_millis(), counted, "{millis}");
        }
        time.pause(at(61_000), planned);
        assert_eq!(time.tick(at(61_400), planned).as_millis(), 1500);
        assert_eq!(time.tick(at(61_500), planned).as_millis(), 1600);
        assert_eq!(time.tick(start, planned).as_millis(), 1600, "no clock goes back");
    }

    #[test]
    fn steps_end_with_the_deadline() {
        let mut time = Stopwatch::default();
        assert_eq!(time.next_wait(Duration::MAX), Some(POLL_INTERVAL));
        assert!(time.next_wait(POLL_INTERVAL / 2).is_some_and(|step| step <= POLL_INTERVAL / 2));
        assert_eq!(time.next_wait(Duration::ZERO), None);
    }
}
