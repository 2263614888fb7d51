//! The limit of concurrent scripts (a semaphore with a bounded queue, B-256), and their end when
//! the server shuts down (B-282).

use std::sync::Arc;
use std::time::Duration;

use crate::connections::ConnectionHandle;
use crate::os::{ProcessGroups, ProcessPermit};
use crate::permit_wait::{NoPermit, PermitPoll, PermitTimeouts, PermitWait};
use crate::semaphore::Semaphore;

/// A limit of concurrent processes, with a queue. Clones are the same limit.
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

    /// Acquires the permit to start a process, if one is free and no request waits for it.
    #[must_use]
    pub fn try_acquire(&self) -> Option<ProcessPermit> {
        let group = self.groups.reserve(); // first, so that `kill` waits for it
        self.permits.try_acquire().map(|permit| ProcessPermit::new(group, permit))
    }

    /// Waits for a permit by [`ProcessLimit::poll`].
    pub(crate) fn queue(&self, timeouts: PermitTimeouts) -> PermitWait {
        PermitWait::new(&self.permits, timeouts)
    }

    /// Polls `wait`, as [`PermitWait::poll`] does.
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

    /// Starts no process from now on, and kills every process group, including those that are being
    /// started: waits until these are, at most for `timeout`
    /// ([`Config::kill_wait`](crate::Config::kill_wait)). For a program that exits at once: the
    /// processes are not reaped.
    pub fn kill(&self, timeout: Duration) {
        self.kill_all();
        self.groups.wait_started(timeout);
    }

    /// Does the same without waiting: processes that are being started are killed once they are.
    pub fn kill_all(&self) {
        self.close();
        self.groups.kill_all();
    }

    /// Starts no process from now on, and waits until none is running, at most for `timeout`. Those
    /// that are running then are killed, and are waited for at most for `kill_wait`
    /// ([`Config::kill_wait`](crate::Config::kill_wait)).
    pub fn drain(&self, timeout: Duration, kill_wait: Duration) {
        self.close();
        if !self.wait_idle(timeout) {
            self.kill_all();
            self.wait_idle(kill_wait);
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

    const KILL_WAIT: Duration = Duration::from_millis(500);

    #[test]
    fn b_282_a_process_that_is_being_started_when_all_are_killed_is_killed_too() {
        let limit = ProcessLimit::new(1, 1);
        let permit = limit.try_acquire().unwrap();
        let killer = thread::spawn({
            let limit = limit.clone();
            move || limit.kill(KILL_WAIT)
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
    fn b_282_a_kill_waits_only_for_processes_that_are_being_started() {
        let limit = ProcessLimit::new(2, 0);
        let starting = limit.try_acquire().unwrap();
        let begin = Instant::now();
        limit.kill(KILL_WAIT);
        assert!(begin.elapsed() >= KILL_WAIT);
        assert!(limit.try_acquire().is_none(), "no further process is started");
        drop(starting); // it was not started
        let begin = Instant::now();
        limit.kill(KILL_WAIT);
        assert!(begin.elapsed() < KILL_WAIT && limit.wait_idle(Duration::ZERO));
    }
}
