//! The table of process groups, running and being started, so that all can be killed at once.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_listener::{Event, Listener};
use rustix::process::{Pid, Signal};

use super::{Stopwatch, signal_group};
use crate::semaphore::Permit;

/// A table of process groups.
#[derive(Debug, Default)]
pub struct ProcessGroups {
    state: Mutex<State>,
    /// A group that was being started was added, or will not be started.
    start_ended: Event,
}

#[derive(Debug, Default)]
struct State {
    /// The groups whose leader is not reaped.
    groups: Vec<Pid>,
    /// The number of groups that are being started.
    starting: usize,
    /// Whether a group that is added is killed at once.
    killed: bool,
}

/// The entry of one process group, from before its start until it is reaped.
#[derive(Debug)]
pub struct ProcessGroup {
    table: Arc<ProcessGroups>,
    state: GroupState,
}

#[derive(Debug, Clone, Copy)]
enum GroupState {
    Starting,
    Running(Pid),
    Reaped,
}

/// The permit to start one process. It is released when the process is reaped.
#[derive(Debug)]
pub struct ProcessPermit {
    /// Dropped first, so that the group is removed when the permit is acquired again.
    group: ProcessGroup,
    permit: Permit,
}

impl ProcessGroups {
    /// An entry for a group that is about to be started.
    #[must_use]
    pub fn reserve(self: &Arc<Self>) -> ProcessGroup {
        self.state().starting += 1;
        ProcessGroup { table: self.clone(), state: GroupState::Starting }
    }

    /// Kills every group, and from now on every group that is started.
    pub fn kill_all(&self) {
        let mut state = self.state();
        state.killed = true;
        for &group in &state.groups {
            signal_group(group, Signal::KILL);
        }
    }

    /// Waits until no group is being started, at most for `timeout`. Returns whether that is so.
    pub fn wait_started(&self, timeout: Duration) -> bool {
        let mut waited = Stopwatch::default();
        loop {
            let start_ended = self.start_ended.listen();
            if self.state().starting == 0 {
                return true;
            }
            let Some(step) = waited.next_wait(timeout) else { return false };
            let _ = start_ended.wait_timeout(step);
        }
    }

    /// To be called after the state of an entry has changed from `before`.
    fn end_start(&self, mut state: MutexGuard<'_, State>, before: GroupState) {
        if matches!(before, GroupState::Starting) {
            state.starting -= 1;
            drop(state);
            self.start_ended.notify(usize::MAX);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProcessGroup {
    /// The group was started.
    fn started(&mut self, group: Pid) {
        let before = self.set(GroupState::Running(group));
        let mut state = self.table.state();
        state.groups.push(group);
        if state.killed {
            signal_group(group, Signal::KILL);
        }
        self.table.end_start(state, before);
    }

    /// The group is about to be reaped: then another group may get its id.
    fn reaped(&mut self) {
        let before = self.set(GroupState::Reaped);
        let mut state = self.table.state();
        if let GroupState::Running(group) = before {
            state.groups.retain(|other| *other != group);
        }
        self.table.end_start(state, before);
    }

    fn set(&mut self, state: GroupState) -> GroupState {
        mem::replace(&mut self.state, state)
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.reaped();
    }
}

impl ProcessPermit {
    /// Joins a permit and an entry, which was reserved before the permit was acquired: so
    /// [`ProcessGroups::wait_started`] waits for every process that is started.
    #[must_use]
    pub fn new(group: ProcessGroup, permit: Permit) -> Self {
        Self { group, permit }
    }

    /// The process was started.
    pub(super) fn started(&mut self, group: Pid) {
        self.group.started(group);
    }

    /// The process is about to be reaped.
    pub(super) fn reaped(&mut self) {
        self.group.reaped();
    }

    /// Whether no more processes are to run.
    pub(super) fn is_closed(&self) -> bool {
        self.permit.is_closed()
    }
}
