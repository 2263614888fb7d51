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
    asked: Event,
    reported: Event,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the latest probe.
    round: u64,
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
    pub(crate) fn join(self: &Arc<Self>) -> Heartbeat {
        let mut state = self.state();
        let id = state.next_id;
        state.next_id += 1;
        let round = state.round;
        state.loops.insert(id, round);
        Heartbeat { heartbeats: self.clone(), id }
    }

    /// Asks every loop to report. Returns the number of this probe.
    pub(crate) fn ask(&self) -> u64 {
        let mut state = self.state();
        state.round += 1;
        let round = state.round;
        drop(state);
        self.wake();
        round
    }

    /// Wakes the loops without asking them.
    pub(crate) fn wake(&self) {
        self.asked.notify(usize::MAX);
    }

    /// Blocks the thread until every loop has reported to this probe, at most for `timeout`. Returns
    /// whether they all have; false at once if there is no loop.
    pub(crate) fn wait(&self, round: u64, timeout: Duration) -> bool {
        let since = Instant::now();
        loop {
            let reported = self.reported.listen(); // before looking
            if let Some(alive) = self.result(round) {
                return alive;
            }
            let left = timeout.saturating_sub(since.elapsed());
            if left.is_zero() || reported.wait_timeout(left).is_none() {
                return self.result(round) == Some(true);
            }
        }
    }

    /// The result of a probe, if there is one yet.
    fn result(&self, round: u64) -> Option<bool> {
        let state = self.state();
        if state.loops.is_empty() {
            return Some(false);
        }
        state.loops.values().all(|reported| *reported >= round).then_some(true)
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
        self.heartbeats.asked.listen()
    }

    /// Reports to the latest probe that the loop runs.
    pub fn report(&self) {
        let mut state = self.heartbeats.state();
        let round = state.round;
        state.loops.insert(self.id, round);
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
        assert!(!heartbeats.wait(heartbeats.ask(), Duration::MAX), "nothing serves");
        let (one, other) = (heartbeats.join(), heartbeats.join());
        let asked = one.listen();
        let round = heartbeats.ask();
        asked.wait();
        one.report();
        assert!(!heartbeats.wait(round, Duration::from_millis(20)), "the other is blocked");
        thread::scope(|scope| {
            let waits = scope.spawn(|| heartbeats.wait(round, Duration::from_secs(60)));
            other.report();
            assert!(waits.join().unwrap());
        });
        let round = heartbeats.ask();
        one.report();
        drop(other); // it has ended
        assert!(heartbeats.wait(round, Duration::from_secs(60)));
    }
}
