//! Graceful shutdown: its steps, and their times within [`Config::shutdown_grace`] (B-282).
//!
//! ```text
//! stop              lame_duck                                    step  step
//!  |--------------------|-------------------------------|---------|-----|
//!  each connection      idle connections      handlers are   connections  end
//!  closes with its      are closed            asked to end   are aborted
//!  next response;
//!  on_shutdown                                on_grace_expired            on_stopped
//! ```
//!
//! It ends as soon as no connection is open. Time in which the whole process is stopped does not
//! count ([`Stopwatch`](crate::os::Stopwatch)). Then it waits for the processes that the handler
//! runs until the end of that time, and kills those that are left.
//!
//! [`GracefulShutdown`] takes these steps. It never waits: it returns how long the front end has to
//! wait.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use doorstep_driver::{Config, GracefulShutdown, ShutdownHandle, net};
//!
//! # let wait_until_closed = |_: &ShutdownHandle, _: Duration| true;
//! # let wait_until_idle = |_: Duration| true;
//! let acceptor = Arc::new(net::Acceptor::new(net::bind(Some("127.0.0.1"), 0)?)?);
//! let handle = ShutdownHandle::new(acceptor);
//! handle.stop();
//!
//! let observer = (); // a server's handler is one
//! let mut shutdown = GracefulShutdown::new(&handle, &Config::default());
//! let mut all_closed = false;
//! while let Some(until) = shutdown.step(&observer, all_closed) {
//!     all_closed = wait_until_closed(&handle, until);
//! }
//! let mut idle = false;
//! while let Some(timeout) = shutdown.step_processes(&observer, idle) {
//!     idle = wait_until_idle(timeout);
//! }
//! let report = shutdown.finish(&observer);
//! assert_eq!(report.aborted, 0);
//! # Ok::<(), std::io::Error>(())
//! ```

use std::time::Duration;

use crate::config::Config;
use crate::observer::{Observer, ShutdownReport, notify_observer};
use crate::shutdown_handle::ShutdownHandle;

/// The shortest time of each of the last two steps: they take effect within it.
const MIN_STEP: Duration = Duration::from_millis(100);
/// Longer times are treated as this one, so that adding it to an instant cannot overflow.
const MAX_GRACE: Duration = Duration::from_secs(1 << 32);

/// The time of each step of a shutdown, since [`ShutdownHandle::stop`]. If the grace is short, the
/// steps come closer together, and connections may still be idle when handlers are asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownSchedule {
    /// Connections that wait for a request are closed.
    pub close_idle: Duration,
    /// Handlers are asked to end.
    pub grace_expired: Duration,
    /// Connections are aborted.
    pub abort: Duration,
    /// The wait for connections ends, and processes are killed.
    pub end: Duration,
    /// Processes that were killed are not waited for any more: it is [`Config::kill_wait`] after
    /// `end`, or a sixteenth of the grace if that is less, but at least 100 ms.
    pub killed: Duration,
}

impl ShutdownSchedule {
    /// The schedule of a server with this configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let grace = config.shutdown_grace.min(MAX_GRACE);
        let step = (grace / 8).min(config.shutdown_step).max(MIN_STEP);
        let abort = grace.saturating_sub(step);
        let end = abort + step;
        Self {
            close_idle: config.lame_duck.min(abort),
            grace_expired: abort.saturating_sub(step),
            abort,
            end,
            killed: end.saturating_add((grace / 16).min(config.kill_wait).max(MIN_STEP)),
        }
    }
}

/// The steps of a shutdown, in their order. Several threads or tasks may each have one of the same
/// server, and take the steps at the same time: each step takes effect once.
#[derive(Debug)]
pub struct GracefulShutdown<'s> {
    handle: &'s ShutdownHandle,
    schedule: ShutdownSchedule,
    next_step: ConnectionStep,
    next_process_step: ProcessStep,
}

/// What the next call of [`GracefulShutdown::step`] does.
#[derive(Debug, Clone, Copy)]
enum ConnectionStep {
    WaitForLastRequests,
    CloseIdle,
    ExpireGrace,
    Abort,
    Nothing,
}

/// What the next call of [`GracefulShutdown::step_processes`] does.
#[derive(Debug, Clone, Copy)]
enum ProcessStep {
    Close,
    Kill,
    Nothing,
}

impl<'s> GracefulShutdown<'s> {
    /// The shutdown that [`ShutdownHandle::stop`] has begun.
    #[must_use]
    pub fn new(handle: &'s ShutdownHandle, config: &Config) -> Self {
        Self {
            handle,
            schedule: ShutdownSchedule::new(config),
            next_step: ConnectionStep::WaitForLastRequests,
            next_process_step: ProcessStep::Close,
        }
    }

    /// Takes the next step, unless `all_closed`: no connection is open. The first step calls
    /// [`Observer::on_shutdown`] and closes nothing. Returns until when to wait for `all_closed`, as
    /// the time since the start of the shutdown ([`ShutdownHandle::next_wait`]), or `None` if the wait
    /// for connections has ended.
    pub fn step(&mut self, observer: &dyn Observer, all_closed: bool) -> Option<Duration> {
        let ShutdownHandle { acceptor, connections } = self.handle;
        connections.report_stop(|| notify_observer(|| observer.on_shutdown()));
        if all_closed {
            self.next_step = ConnectionStep::Nothing;
        }
        let (next, until) = match self.next_step {
            ConnectionStep::WaitForLastRequests => {
                (ConnectionStep::CloseIdle, self.schedule.close_idle)
            }
            ConnectionStep::CloseIdle => {
                connections.close_idle();
                (ConnectionStep::ExpireGrace, self.schedule.grace_expired)
            }
            ConnectionStep::ExpireGrace => {
                if connections.expire_grace() {
                    notify_observer(|| observer.on_grace_expired());
                }
                (ConnectionStep::Abort, self.schedule.abort)
            }
            ConnectionStep::Abort => {
                connections.abort_all();
                connections.add_aborted(acceptor.abort_backlog());
                (ConnectionStep::Nothing, self.schedule.end)
            }
            ConnectionStep::Nothing => return None,
        };
        self.next_step = next;
        Some(until)
    }

    /// After [`GracefulShutdown::step`]: takes the next step for [`Observer::processes`], where
    /// `idle` is whether none was left at the end of the last wait. The first call lets no more
    /// processes start; the second kills those that are left. Returns how long to wait until none
    /// is left, or `None` if there is nothing more to wait for.
    pub fn step_processes(&mut self, observer: &dyn Observer, idle: bool) -> Option<Duration> {
        self.handle.connections.report_stop(|| notify_observer(|| observer.on_shutdown()));
        let processes = notify_observer(|| observer.processes())?;
        let (next, timeout) = match self.next_process_step {
            ProcessStep::Close => {
                processes.close();
                (ProcessStep::Kill, self.time_left())
            }
            ProcessStep::Kill if !idle => {
                processes.kill_all();
                (ProcessStep::Nothing, self.schedule.killed.saturating_sub(self.schedule.end))
            }
            ProcessStep::Kill | ProcessStep::Nothing => return None,
        };
        self.next_process_step = next;
        Some(timeout)
    }

    /// Ends the shutdown: calls [`Observer::on_stopped`] with the report that it returns.
    /// Connections that were in the listeners' backlogs and were never served are aborted, if any
    /// is left.
    pub fn finish(self, observer: &dyn Observer) -> ShutdownReport {
        let ShutdownHandle { acceptor, connections } = self.handle;
        connections.report_stop(|| notify_observer(|| observer.on_shutdown())); // serving may have ended by an error
        connections.add_aborted(acceptor.abort_backlog());
        let report = ShutdownReport { aborted: connections.aborted(), time_left: self.time_left() };
        notify_observer(|| observer.on_stopped(&report));
        report
    }

    /// The rest of the grace.
    fn time_left(&self) -> Duration {
        self.schedule.end.saturating_sub(self.handle.connections.shutdown_elapsed())
    }
}

#[cfg(test)]
#[path = "shutdown_tests.rs"]
mod tests;
