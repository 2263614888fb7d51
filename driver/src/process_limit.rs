//! The limit of running scripts, and their end when the server stops.

use std::sync::Arc;
use std::time::Duration;

use crate::connections::ConnectionHandle;
use crate::os::{ProcessGroups, ProcessPermit};
use crate::permit_wait::{NoPermit, PermitPoll, PermitWait};
use crate::semaphore::Semaphore;

/// How long to wait for processes that are being started when all are killed, and for the end of
/// those that were killed.
pub const KILL_WAIT: Duration = Duration::from_millis(500);

/// A limit of running processes, with a queue. Clones are the same limit.
///
/// ```
/// use doorstep_driver::cgi::ProcessLimit;
///
/// let limit = ProcessLimit::new(1, 0);
/// let permit = limit.try_acquire().expect("it is free");
/// assert!(limit.try_acquire().is_none());
/// # drop(permit);
/// ```
#[derive(Debug, Clone)]
pub struct ProcessLimit {
    permits: Arc<Semaphore>,
    groups: Arc<ProcessGroups>,
}

impl ProcessLimit {
    /// At most `max_processes` run, at least one; at most `max_queued` requests wait for one of
    /// them to end.
    #[must_use]
    pub fn new(max_processes: usize, max_queued: usize) -> Self {
        let permits = Semaphore::new(max_processes, max_queued);
        Self { permits, groups: Arc::default() }
    }

    /// The permit to start a process, if one is free and nobody waits for it.
    #[must_use]
    pub fn try_acquire(&self) -> Option<ProcessPermit> {
        let group = self.groups.reserve(); // first: `kill` waits for it
        self.permits.try_acquire().map(|permit| ProcessPermit::new(group, permit))
    }

    /// Waits for a permit by [`ProcessLimit::poll`].
    pub(crate) fn queue(&self, timeout: Duration, half_close_timeout: Duration) -> PermitWait {
        PermitWait::new(&self.permits, timeout, half_close_timeout)
    }

    /// Takes the permit that `wait` waits for, as [`PermitWait::poll`] does.
    pub(crate) fn poll(
        &self,
        wait: &mut PermitWait,
        connection: &ConnectionHandle,
    ) -> Result<PermitPoll<ProcessPermit>, NoPermit> {
        let group = self.groups.reserve(); // first, as above
        Ok(match wait.poll(connection)? {
            PermitPoll::Granted(permit) => PermitPoll::Granted(ProcessPermit::new(group, permit)),
            PermitPoll::Wait(notified, timeout) => PermitPoll::Wait(notified, timeout),
        })
    }

    /// Whether a request for another process would be refused.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.permits.is_full()
    }

    /// Starts no process from now on. Running ones are asked to end
    /// ([`Process::should_terminate`](crate::os::Process::should_terminate)).
    pub fn close(&self) {
        self.permits.close();
    }

    /// Starts no process from now on, and kills every process group, those that are being started as
    /// well. Returns when these were started, after at most half a second. For a program that exits
    /// at once: the processes are not reaped.
    pub fn kill(&self) {
        self.kill_all();
        self.groups.wait_started(KILL_WAIT);
    }

    /// Does the same without waiting: processes that are being started are killed once they are.
    pub fn kill_all(&self) {
        self.close();
        self.groups.kill_all();
    }

    /// Starts no process from now on, and waits until none is running; those that still are after
    /// `timeout` are killed, and waited for for half a second.
    pub fn drain(&self, timeout: Duration) {
        self.close();
        if !self.wait_idle(timeout) {
            self.kill_all();
            self.wait_idle(KILL_WAIT);
        }
    }

    /// Waits in a task until no process is running.
    pub async fn idle(&self) {
        self.permits.idle().await;
    }

    /// Waits until no process is running, at most for `timeout`. Returns whether that is so.
    pub fn wait_idle(&self, timeout: Duration) -> bool {
        self.permits.wait_idle(timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::Command;
    use std::fs::File;
    use std::os::unix::process::ExitStatusExt;
    use std::path::Path;
    use std::thread;
    use std::time::Instant;

    #[test]
    fn b_282_a_process_that_is_being_started_when_all_are_killed_is_killed_too() {
        let limit = ProcessLimit::new(1, 1);
        let permit = limit.try_acquire().unwrap();
        let killer = thread::spawn({
            let limit = limit.clone();
            move || limit.kill()
        });
        while limit.permits.enqueue().is_some() {
            thread::yield_now();
        }
        let mut start = Command::new(Path::new("/bin/sleep")).unwrap();
        start.arg(b"1000").unwrap();
        let mut process = start.spawn(&File::open("/dev/null").unwrap(), permit).unwrap();
        assert_eq!(process.wait().unwrap().signal(), Some(9));
        killer.join().unwrap();
    }

    #[test]
    fn b_282_a_kill_waits_for_starts_and_for_nothing_else() {
        let limit = ProcessLimit::new(2, 0);
        let starting = limit.try_acquire().unwrap();
        let begin = Instant::now();
        limit.kill();
        assert!(begin.elapsed() >= KILL_WAIT);
        assert!(limit.try_acquire().is_none(), "and nothing is started any more");
        drop(starting); // it was not started after all
        let begin = Instant::now();
        limit.kill();
        assert!(begin.elapsed() < KILL_WAIT && limit.wait_idle(Duration::ZERO));
    }
}
