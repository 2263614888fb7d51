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
//! let mut time = Stopwatch::started(start);
//! assert_eq!(time.count(start + second, second), second);
//! assert_eq!(time.count(start + 60 * second, second), 3 * second);
//! ```

use std::time::{Duration, Instant};

/// How often those look who wait for nothing but a deadline and an event.
pub const STEP: Duration = Duration::from_millis(100);

/// Time, counted from one look to the next.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stopwatch {
    counted: Duration,
    /// `None` while it does not run.
    last: Option<Instant>,
}

impl Stopwatch {
    /// One that runs since `now`.
    #[must_use]
    pub fn started(now: Instant) -> Self {
        Self { counted: Duration::ZERO, last: Some(now) }
    }

    /// Counts up to `now`, and runs on, or starts: the time that has passed in all. It was to be looked
    /// at again within `planned`.
    pub fn count(&mut self, now: Instant, planned: Duration) -> Duration {
        let last = self.last.replace(now).unwrap_or(now);
        let step = now.saturating_duration_since(last).min(planned.saturating_mul(2));
        self.counted = self.counted.saturating_add(step);
        self.counted
    }

    /// Counts up to `now`, and no further until [`Stopwatch::count`] starts it again.
    pub fn pause(&mut self, now: Instant, planned: Duration) {
        self.count(now, planned);
        self.last = None;
    }

    /// Counts up to now, for one who looks every [`STEP`]: how long to wait for the next look when
    /// `most` may pass in all; `None` when it has.
    pub fn next_step(&mut self, most: Duration) -> Option<Duration> {
        let left = most.saturating_sub(self.count(Instant::now(), STEP));
        (!left.is_zero()).then(|| left.min(STEP))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b_049_a_standstill_counts_as_two_steps_and_a_pause_as_nothing() {
        let (start, planned) = (Instant::now(), Duration::from_millis(250));
        let at = |millis| start + Duration::from_millis(millis);
        let mut time = Stopwatch::started(start);
        for (millis, counted) in [(0, 0), (250, 250), (700, 700), (60_700, 1200), (60_900, 1400)] {
            assert_eq!(time.count(at(millis), planned).as_millis(), counted, "{millis}");
        }
        time.pause(at(61_000), planned);
        assert_eq!(time.count(at(61_400), planned).as_millis(), 1500);
        assert_eq!(time.count(at(61_500), planned).as_millis(), 1600);
        assert_eq!(time.count(start, planned).as_millis(), 1600, "no clock goes back");
    }

    #[test]
    fn steps_end_with_the_deadline() {
        let mut time = Stopwatch::default();
        assert_eq!(time.next_step(Duration::MAX), Some(STEP));
        assert!(time.next_step(STEP / 2).is_some_and(|step| step <= STEP / 2));
        assert_eq!(time.next_step(Duration::ZERO), None);
    }
}
