//! Deadlines: a regular sweep counts how long each connection has waited, and wakes those whose
//! deadline has passed. It is the only timer of all connections.
//!
//! Waiting time is counted in steps, from one sweep to the next, by a [`Stopwatch`]: time in which
//! the whole process stood still does not count. A wait counts from the first sweep that finds it,
//! so never more is counted than has passed. The waits for a body and for the peer to receive may
//! alternate within an exchange: each of them goes on where it was, so a client that makes the server
//! wait in both directions by turns does not restart them.
//!
//! The progress of a client that receives is measured by the bytes that it has acknowledged, or has read
//! from a Unix socket, not by when there was room to send more. The waiting time of a connection that keeps
//! [`Config::eviction_rate`] begins anew.

use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use doorstep_core::http1::WaitingFor;

use super::{ConnectionHandle, Connections, Flag};
use crate::config::Config;
use crate::net::Received;
use crate::os::Stopwatch;

/// A connection in the table.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) connection: Arc<ConnectionHandle>,
    /// While a body is received or a response is sent.
    transfer: Option<Box<TransferProgress>>,
}

/// The bytes that are received or sent during a wait.
#[derive(Debug)]
struct TransferProgress {
    /// What is waited for.
    waiting: WaitingFor,
    /// Their number since the wait began, or since it last kept [`Config::eviction_rate`].
    bytes: u64,
    /// The time since the last of them.
    quiet: Duration,
    /// Of the wait that alternates with this one, once a sweep has found it: how long it has lasted,
    /// and its bytes.
    paused: Option<(Duration, u64)>,
    /// How much the peer had received at the last sweep.
    received: Option<Received>,
}

/// Measures the waiting time from one sweep to the next.
#[derive(Debug, Default)]
pub(super) struct SweepClock {
    time: Stopwatch,
    /// The part of it that was returned by the steps so far.
    counted: Duration,
}

impl SweepClock {
    /// The time since the last step, in whole milliseconds; the rest is part of the next one. If
    /// the process stood still, it is at most twice what was `planned`.
    pub(super) fn next(&mut self, now: Instant, planned: Duration) -> Duration {
        let passed = self.time.tick(now, planned).saturating_sub(self.counted);
        let step = passed - Duration::from_nanos((passed.as_nanos() % 1_000_000) as u64);
        self.counted += step;
        step
    }
}

impl Connections {
    /// The time between two sweeps: a quarter of the shortest deadline, at most
    /// [`Config::sweep_interval`], and at least 20 ms.
    #[must_use]
    pub fn interval(config: &Config) -> Duration {
        let times = &config.timeouts;
        let all = [times.idle, times.head, times.body, times.send, times.drain, times.linger];
        let graces = [config.eviction_grace, config.first_request_grace];
        let all = all.into_iter().chain(graces).chain([config.handshake_timeout]);
        let shortest = all.min().unwrap_or_default();
        (shortest / 4).min(config.sweep_interval).max(MIN_INTERVAL)
    }

    /// Counts the time that each connection has waited, and wakes those whose deadline has passed.
    /// The wait of such a connection ends: reading returns the end of input, and sending an
    /// error, which [`ConnectionHandle::read`] and [`ConnectionHandle::send`] report as a timeout.
    /// An idle connection is closed without one. To be called every [`Connections::interval`].
    pub fn sweep(&self, config: &Config) {
        self.table().sweep(config);
    }
}

/// The shortest time between two sweeps: bounds the processor time that they take.
const MIN_INTERVAL: Duration = Duration::from_millis(20);

impl super::Table {
    pub(super) fn sweep(&mut self, config: &Config) {
        let step = self.clock.next(Instant::now(), Connections::interval(config));
        for entry in &mut self.entries {
            entry.sweep(step, config);
        }
    }
}

impl Entry {
    pub(super) fn new(connection: Arc<ConnectionHandle>) -> Self {
        Self { connection, transfer: None }
    }

    fn sweep(&mut self, step: Duration, config: &Config) {
        let Some((waiting, is_new)) = self.connection.wait.observe_for_sweep() else { return };
        let mut waited = Some(self.connection.waited());
        if is_new {
            (waited, self.transfer) = (None, None);
        }
        let mut quiet_step = if is_new { Duration::ZERO } else { step };
        if let Some(transfer) = &mut self.transfer
            && transfer.waiting != waiting
        {
            waited = transfer.alternate(waiting, waited.unwrap_or_default());
            quiet_step = Duration::ZERO;
        }
        // A wait counts from the first sweep that finds it.
        let mut waited = waited.map_or(Duration::ZERO, |waited| waited.saturating_add(step));
        let (mut quiet, mut bytes) = (waited, 0);
        if let Some(rate) = config.timeouts.min_rate_of(waiting) {
            let transfer =
                self.transfer.get_or_insert_with(|| Box::new(TransferProgress::new(waiting)));
            transfer.count(&self.connection, quiet_step);
            let useful = u64::from(config.eviction_rate.max(rate));
            if transfer.bytes > 0
                && u128::from(transfer.bytes) * 1000 >= u128::from(useful) * waited.as_millis()
            {
                (waited, transfer.bytes) = (Duration::ZERO, 0);
            }
            (quiet, bytes) = (transfer.quiet, transfer.bytes);
        }
        self.connection.waited.store(saturated_millis(waited), Ordering::Relaxed);
        // During a shutdown a lingering close takes at most `lame_duck`, as long as the wait for
        // one more request does.
        let is_over = waiting == WaitingFor::Linger
            && self.connection.is_closing()
            && waited >= config.lame_duck;
        let is_handshaking =
            waiting == WaitingFor::Request && self.connection.stream.is_handshaking();
        let left = match is_handshaking {
            true => Some(config.handshake_timeout.saturating_sub(waited)),
            false => config.timeouts.remaining(waiting, waited, quiet, bytes),
        };
        if !is_over && left != Some(Duration::ZERO) {
            return;
        }
        if is_handshaking {
            // It may be receiving or sending.
            self.connection.flags.set(Flag::TimedOut, true);
            let _ = self.connection.stream.shutdown(Shutdown::Both);
        } else if waiting == WaitingFor::Request {
            self.connection.request_close();
        } else if !self.connection.flags.set(Flag::TimedOut, true) {
            self.connection.wake(waiting == WaitingFor::Writable);
        }
    }
}

impl TransferProgress {
    fn new(waiting: WaitingFor) -> Self {
        Self { waiting, bytes: 0, quiet: Duration::ZERO, paused: None, received: None }
    }

    /// Goes on with the wait for `waiting`, while that for the other direction, which has lasted for
    /// `waited`, is paused. Returns how long it has lasted already; `None` if no sweep has found it
    /// before.
    fn alternate(&mut self, waiting: WaitingFor, waited: Duration) -> Option<Duration> {
        let resumed = self.paused.replace((waited, self.bytes));
        (self.waiting, self.quiet) = (waiting, Duration::ZERO);
        self.bytes = resumed.map_or(0, |(_, bytes)| bytes);
        resumed.map(|(waited, _)| waited)
    }

    /// Counts the bytes since the last sweep, which may be those of either direction: also for the
    /// wait that is paused.
    fn count(&mut self, connection: &ConnectionHandle, step: Duration) {
        let recorded = u64::from(connection.bytes.swap(0, Ordering::Relaxed));
        let is_sending = self.waiting == WaitingFor::Writable;
        let mut received = recorded;
        if (is_sending || self.paused.is_some())
            && let Some(now) = connection.stream.received_by_peer()
        {
            received = now.since(self.received.replace(now).unwrap_or(now), recorded);
        }
        let (moved, others) = if is_sending { (received, recorded) } else { (recorded, received) };
        self.bytes += moved;
        if let Some((_, bytes)) = &mut self.paused {
            *bytes += others;
        }
        self.quiet = if moved > 0 { Duration::ZERO } else { self.quiet.saturating_add(step) };
    }
}

/// At most 49 days, which is longer than any wait.
fn saturated_millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::MemoryStream;

    #[test]
    fn b_049_time_that_stands_still_does_not_count() {
        let (start, planned) = (Instant::now(), Duration::from_secs(1));
        let mut clock = SweepClock::default();
        let mut at = |millis| clock.next(start + Duration::from_millis(millis), planned);
        assert_eq!(at(0), Duration::ZERO);
        assert_eq!(at(1_100), Duration::from_millis(1_100));
        assert_eq!(at(71_100), Duration::from_secs(2));
        assert_eq!(at(72_100), Duration::from_secs(1));
    }

    #[test]
    fn short_steps_lose_nothing() {
        let (start, planned) = (Instant::now(), Duration::from_secs(1));
        let mut clock = SweepClock::default();
        let at = |n: u32| start + n * Duration::from_micros(1_700);
        let all: Duration = (0..=100).map(|n| clock.next(at(n), planned)).sum();
        assert_eq!(all, Duration::from_millis(170));
    }

    #[test]
    fn a_sweep_comes_four_times_in_the_shortest_deadline_within_bounds() {
        let interval = |grace, sweep_interval| {
            let (eviction_grace, most) = [grace, sweep_interval].map(Duration::from_millis).into();
            Connections::interval(&Config {
                eviction_grace,
                first_request_grace: eviction_grace,
                sweep_interval: most,
                ..Config::default()
            })
        };
        let all = [(400, 1_000), (60_000, 1_000), (60_000, 0), (0, 1_000), (60_000, 60_000)];
        let all = all.map(|(grace, most)| interval(grace, most).as_millis());
        assert_eq!(all, [100, 1_000, 20, 20, 1_250], "the last is a quarter of 5 s");
    }

    const STEP: Duration = Duration::from_millis(250);

    /// Sweeps a connection that waits in both directions by turns, `sweeps` times for each, while so
    /// many bytes are received, and sent, from one sweep to the next. Returns when its deadline has
    /// passed, within an hour.
    fn alternate(sweeps: u32, bytes: [usize; 2], is_one_exchange: bool) -> Option<Duration> {
        let (connections, config) = (Connections::default(), Config::default());
        let connection = connections.register_stream(MemoryStream::new("").into());
        let mut entry = Entry::new(Arc::clone(&connection));
        for n in 0..4 * 60 * 60 {
            if n % sweeps == 0 && !is_one_exchange {
                connection.exchange_done();
            }
            let direction = (n / sweeps % 2) as usize;
            connection.begin_wait([WaitingFor::Body, WaitingFor::Writable][direction]);
            connection.record_bytes(bytes[direction]);
            entry.sweep(STEP, &config);
            if connection.has_timed_out() {
                return Some(n * STEP);
            }
            connection.pause_wait();
        }
        None
    }

    #[test]
    fn waits_that_alternate_within_an_exchange_do_not_restart() {
        let timeouts = Config::default().timeouts;
        let fast = 2 * timeouts.min_rate as usize / 4 + 1;
        for sweeps in [1, 2, 7, 40] {
            let end = alternate(sweeps, [1, 1], true).unwrap();
            // Half of the time is that of the body, whose time is over first.
            let turn = sweeps * STEP;
            assert!(end + 2 * turn >= 2 * timeouts.body, "{sweeps}: {end:?}");
            assert!(end <= 2 * timeouts.body + 3 * turn, "{sweeps}: {end:?}");
            assert_eq!(alternate(sweeps, [1, 1], false), None, "the waits of other exchanges");
            assert_eq!(alternate(sweeps, [fast, fast], true), None, "it is fast enough");
            for bytes in [[fast, 0], [0, fast]] {
                assert_eq!(alternate(sweeps, bytes, true), None, "bytes of either direction count");
            }
        }
    }
}
