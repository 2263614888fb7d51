//! The sweep: the only clock of all connections. It counts how long each one waits, and wakes those
//! whose deadline has passed.
//!
//! Waiting time is counted in steps, from one sweep to the next, by a [`Stopwatch`]: time in which the
//! whole process stood still counts for nobody. Nor does a wait that the sweep has not seen: what it counts is never more than
//! what has passed.
//!
//! Before the clock is asked, the socket is: a receiver is judged by what its side has acknowledged,
//! not by when there was room to send more. A connection that keeps a useful pace starts afresh.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use doorstep_core::http1::WaitingFor;

use super::{Flag, Registry, Seat};
use crate::config::Config;
use crate::os::{self, Stopwatch};

/// A connection in the table.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) seat: Arc<Seat>,
    /// While a body comes or a response goes.
    flow: Option<Box<Flow>>,
}

/// Bytes that move during a wait.
#[derive(Debug, Default)]
struct Flow {
    /// Since the wait began, or since the pace was last a useful one.
    moved: u64,
    /// How long nothing has.
    quiet: Duration,
    /// What the peer had acknowledged in all, when it was last asked.
    acknowledged: Option<u64>,
}

/// How much waiting time passes from one sweep to the next.
#[derive(Debug, Default)]
pub(super) struct Steps {
    time: Stopwatch,
    /// What of it was in the steps so far.
    told: Duration,
}

impl Steps {
    /// The time since the last one, in whole milliseconds, and the rest next time; of a standstill,
    /// hardly more than what was planned.
    pub(super) fn next(&mut self, now: Instant, planned: Duration) -> Duration {
        let passed = self.time.count(now, planned).saturating_sub(self.told);
        let step = passed - Duration::from_nanos((passed.as_nanos() % 1_000_000) as u64);
        self.told += step;
        step
    }
}

impl Registry {
    /// How long to wait between two sweeps: a quarter of the shortest deadline.
    #[must_use]
    pub fn interval(config: &Config) -> Duration {
        let times = &config.timeouts;
        let all = [times.idle, times.head, times.body, times.send, times.drain, times.linger];
        let all = all.into_iter().chain([config.eviction_grace, config.first_request_grace]);
        let shortest = all.min().unwrap_or_default();
        (shortest / 4).clamp(Duration::from_millis(20), Duration::from_secs(1))
    }

    /// Counts on, and wakes everybody whose deadline has passed: they find the end of input, or that
    /// nothing can be sent, and that they are [`Seat::is_late`] or, when idle, must leave. To be called every
    /// [`Registry::interval`].
    pub fn sweep(&self, config: &Config) {
        self.table().sweep(config);
    }
}

impl super::Table {
    pub(super) fn sweep(&mut self, config: &Config) {
        let step = self.steps.next(Instant::now(), Registry::interval(config));
        for slot in &mut self.slots {
            slot.sweep(step, config);
        }
    }
}

impl Slot {
    pub(super) fn new(seat: Arc<Seat>) -> Self {
        Self { seat, flow: None }
    }

    fn sweep(&mut self, step: Duration, config: &Config) {
        let Some((waiting, is_new)) = self.seat.wait.look() else { return };
        let mut waited = self.seat.waited();
        if is_new {
            (waited, self.flow) = (Duration::ZERO, None);
        } else {
            waited = waited.saturating_add(step);
        }
        let (mut quiet, mut moved) = (waited, 0);
        if let Some(rate) = config.timeouts.min_rate_of(waiting) {
            let flow = self.flow.get_or_insert_default();
            flow.count(&self.seat, waiting, if is_new { Duration::ZERO } else { step });
            let useful = u64::from(config.eviction_rate.max(rate));
            if flow.moved > 0
                && u128::from(flow.moved) * 1000 >= u128::from(useful) * waited.as_millis()
            {
                (waited, flow.moved) = (Duration::ZERO, 0);
            }
            (quiet, moved) = (flow.quiet, flow.moved);
        }
        self.seat.waited.store(saturated_millis(waited), Ordering::Relaxed);
        // A shutdown waits no longer for a client that has its last response than for a request.
        let is_over =
            waiting == WaitingFor::Linger && self.seat.must_leave() && waited >= config.lame_duck;
        let left = config.timeouts.remaining(waiting, waited, quiet, moved);
        if !is_over && left != Some(Duration::ZERO) {
            return;
        }
        if waiting == WaitingFor::Request {
            self.seat.ask_to_leave();
        } else if !self.seat.flags.set(Flag::Late, true) {
            self.seat.wake(waiting == WaitingFor::Writable);
        }
    }
}

impl Flow {
    /// What has moved since the last look.
    fn count(&mut self, seat: &Seat, waiting: WaitingFor, step: Duration) {
        let mut moved = u64::from(seat.moved.swap(0, Ordering::Relaxed));
        if waiting == WaitingFor::Writable
            && let Some(now) = os::acknowledged(seat)
        {
            moved = now - self.acknowledged.replace(now).unwrap_or(now).min(now);
        }
        self.moved += moved;
        self.quiet = if moved > 0 { Duration::ZERO } else { self.quiet.saturating_add(step) };
    }
}

/// 49 days are for ever.
fn saturated_millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b_049_time_that_stands_still_does_not_count() {
        let (start, planned) = (Instant::now(), Duration::from_secs(1));
        let mut steps = Steps::default();
        let mut at = |millis| steps.next(start + Duration::from_millis(millis), planned);
        assert_eq!(at(0), Duration::ZERO);
        assert_eq!(at(1_100), Duration::from_millis(1_100));
        assert_eq!(at(71_100), Duration::from_secs(2));
        assert_eq!(at(72_100), Duration::from_secs(1));
    }

    #[test]
    fn short_steps_lose_nothing() {
        let (start, planned) = (Instant::now(), Duration::from_secs(1));
        let mut steps = Steps::default();
        let at = |n: u32| start + n * Duration::from_micros(1_700);
        let all: Duration = (0..=100).map(|n| steps.next(at(n), planned)).sum();
        assert_eq!(all, Duration::from_millis(170));
    }
}
