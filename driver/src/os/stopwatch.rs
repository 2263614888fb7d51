//! Time for deadlines: only that in which this process runs.
//!
//! A deadline that compares two readings of the clock also counts time in which the whole process
//! was stopped: by SIGSTOP, by a container that is paused, or by a machine that is suspended. A
//! [`Stopwatch`] counts in steps, from one reading to the next, and no step counts more than twice
//! the planned interval. So a stop counts as two intervals at most. Readings that are late because
//! the machine is busy lose nothing until they are twice as late as planned.
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

/// The interval of readings during a wait for an event with a deadline.
pub const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Time, counted from one reading to the next.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stopwatch {
    elapsed: Duration,
    /// `None` while it does not run.
    last_tick: Option<Instant>,
}

impl Stopwatch {
    /// A stopwatch that runs since `now`.
    #[must_use]
    pub fn started_at(now: Instant) -> Self {
        Self { elapsed: Duration::ZERO, last_tick: Some(now) }
    }

    /// Counts up to `now`, or starts, and returns the time that was counted in all. `planned` is
    /// the interval of readings.
    pub fn tick(&mut self, now: Instant, planned: Duration) -> Duration {
        let last = self.last_tick.replace(now).unwrap_or(now);
        let step = now.saturating_duration_since(last).min(planned.saturating_mul(2));
        self.elapsed = self.elapsed.saturating_add(step);
        self.elapsed
    }

    /// Counts up to `now`, and stops until [`Stopwatch::tick`] starts it again.
    pub fn pause(&mut self, now: Instant, planned: Duration) {
        self.tick(now, planned);
        self.last_tick = None;
    }

    /// Counts up to now, for readings every [`POLL_INTERVAL`]. Returns how long to wait until the
    /// next one, or `None` if `limit` has passed.
    pub fn next_wait(&mut self, limit: Duration) -> Option<Duration> {
        let left = limit.saturating_sub(self.tick(Instant::now(), POLL_INTERVAL));
        (!left.is_zero()).then(|| left.min(POLL_INTERVAL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b_049_a_stopped_process_counts_two_steps_and_a_pause_counts_nothing() {
        let (start, planned) = (Instant::now(), Duration::from_millis(250));
        let at = |millis| start + Duration::from_millis(millis);
        let mut time = Stopwatch::started_at(start);
        for (millis, counted) in [(0, 0), (250, 250), (700, 700), (60_700, 1200), (60_900, 1400)] {
            assert_eq!(time.tick(at(millis), planned).as_millis(), counted, "{millis}");
        }
        time.pause(at(61_000), planned);
        assert_eq!(time.tick(at(61_400), planned).as_millis(), 1500);
        assert_eq!(time.tick(at(61_500), planned).as_millis(), 1600);
        assert_eq!(time.tick(start, planned).as_millis(), 1600, "a clock that goes back");
    }

    #[test]
    fn steps_end_with_the_deadline() {
        let mut time = Stopwatch::default();
        assert_eq!(time.next_wait(Duration::MAX), Some(POLL_INTERVAL));
        assert!(time.next_wait(POLL_INTERVAL / 2).is_some_and(|step| step <= POLL_INTERVAL / 2));
        assert_eq!(time.next_wait(Duration::ZERO), None);
    }
}
