//! Whether a server still makes progress, for a watchdog.
//!
//! Each loop of a front end on which others depend has a [`Heartbeat`]: in async-smol each worker,
//! whose tasks are all of its connections; in blocking the thread that enforces the deadlines of all
//! connections. A probe ([`ShutdownHandle::is_alive`](crate::ShutdownHandle::is_alive)) asks all of
//! them, and each reports at its next turn. Between two probes they do nothing.
//!
//! What it proves: no worker is blocked or spins in one task, and no lock of the table of connections
//! is held for ever. A handler that never returns on the blocking front end costs its thread, and no
//! probe fails.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event_listener::{Event, EventListener, Listener};

/// The loops of a server.
#[derive(Debug, Default)]
pub(crate) struct Heartbeats {
    state: Mutex<State>,
    probed: Event,
    reported: Event,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the latest probe.
    latest_probe: u64,
    next_id: u64,
    /// The probe that each loop has reported to.
    loops: BTreeMap<u64, u64>,
}

/// A loop that a server needs in order to make progress, until it is dropped.
#[derive(Debug)]
pub struct Heartbeat {
    heartbeats: Arc<Heartbeats>,
    id: u64,
}

impl Heartbeats {
    pub(crate) fn register(self: &Arc<Self>) -> Heartbeat {
        let mut state = self.state();
        let id = state.next_id;
        state.next_id += 1;
        let probe = state.latest_probe;
        state.loops.insert(id, probe);
        Heartbeat { heartbeats: self.clone(), id }
    }

    /// Asks every loop to report: a probe. Returns its number.
    pub(crate) fn probe(&self) -> u64 {
        let mut state = self.state();
        state.latest_probe += 1;
        let probe = state.latest_probe;
        drop(state);
        self.wake();
        probe
    }

    /// Wakes the loops without asking them.
    pub(crate) fn wake(&self) {
        self.probed.notify(usize::MAX);
    }

    /// Blocks the thread until every loop has reported to this probe, at most for `timeout`. Returns
    /// whether they all have; false at once if there is no loop.
    pub(crate) fn wait(&self, probe: u64, timeout: Duration) -> bool {
        let since = Instant::now();
        loop {
            let reported = self.reported.listen(); // before looking
            if let Some(alive) = self.result(probe) {
                return alive;
            }
            let left = timeout.saturating_sub(since.elapsed());
            if left.is_zero() || reported.wait_timeout(left).is_none() {
                return self.result(probe) == Some(true);
            }
        }
    }

    /// The result of a probe, if there is one yet.
    fn result(&self, probe: u64) -> Option<bool> {
        let state = self.state();
        if state.loops.is_empty() {
            return Some(false);
        }
        state.loops.values().all(|reported| *reported >= probe).then_some(true)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heartbeat {
    /// What is notified at the next probe: a task awaits it, a thread waits by
    /// `event_listener::Listener`. To be called before [`Heartbeat::report`], so that no probe is
    /// missed.
    #[must_use]
    pub fn listen(&self) -> EventListener {
        self.heartbeats.probed.listen()
    }

    /// Reports to the latest probe that the loop runs.
    pub fn report(&self) {
        let mut state = self.heartbeats.state();
        let probe = state.latest_probe;
        state.loops.insert(self.id, probe);
        drop(state);
        self.heartbeats.reported.notify(usize::MAX);
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.heartbeats.state().loops.remove(&self.id);
        self.heartbeats.reported.notify(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_probe_succeeds_if_every_loop_reports_and_not_if_one_does_not() {
        let heartbeats = Arc::new(Heartbeats::default());
        assert!(!heartbeats.wait(heartbeats.probe(), Duration::MAX), "nothing serves");
        let (one, other) = (heartbeats.register(), heartbeats.register());
        let probed = one.listen();
        let probe = heartbeats.probe();
        probed.wait();
        one.report();
        assert!(!heartbeats.wait(probe, Duration::from_millis(20)), "the other is blocked");
        thread::scope(|scope| {
            let waits = scope.spawn(|| heartbeats.wait(probe, Duration::from_secs(60)));
            other.report();
            assert!(waits.join().unwrap());
        });
        let probe = heartbeats.probe();
        one.report();
        drop(other); // it has ended
        assert!(heartbeats.wait(probe, Duration::from_secs(60)));
    }
}
