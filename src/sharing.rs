//! Shares that end: after a number of transfers, after a time, or after a time without requests
//! (docs/sharing.md).
//!
//! The count stops the server where a response ends. A thread waits for the times; between requests it
//! looks at the clock now and then, and while the server is busy it waits for the end of the last one.

use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use doorstep_driver::event_listener::Listener;
use doorstep_driver::os::Stopwatch;
use doorstep_driver::stop_conditions::poll_interval;
use doorstep_driver::{IdleStep, IdleTimer, ShutdownHandle, StopConditions};

use crate::arguments::SharingOptions;
use crate::failure::Failure;

/// What ends the server by itself. Clones are the same.
#[derive(Clone)]
pub(crate) struct Sharing {
    conditions: StopConditions,
    lifetime: Option<Duration>,
    idle_exit: Option<Duration>,
    /// Why the server ends, if it is one of the times.
    cause: Arc<OnceLock<Cause>>,
}

#[derive(Debug, Clone, Copy)]
enum Cause {
    Lifetime,
    Idle,
}

impl Sharing {
    /// What the options ask for; `None` if nothing. `takes_uploads`: clients can upload files, or send
    /// bodies to scripts.
    pub(crate) fn new(
        options: &SharingOptions,
        takes_uploads: bool,
        shutdown: ShutdownHandle,
    ) -> Option<Self> {
        if !options.is_any() {
            return None;
        }
        let mut conditions = StopConditions::new(shutdown);
        if !takes_uploads {
            conditions = conditions.without_uploads();
        }
        if let Some(count) = options.count {
            conditions = conditions.with_count(count);
        }
        let (lifetime, idle_exit) = (options.lifetime(), options.idle_exit());
        Some(Self { conditions, lifetime, idle_exit, cause: Arc::default() })
    }

    pub(crate) fn conditions(&self) -> &StopConditions {
        &self.conditions
    }

    /// Whether every transfer was completed, to be asked at the end.
    pub(crate) fn result(&self) -> Result<(), Failure> {
        let report = self.conditions.report();
        match report.is_complete() {
            true => Ok(()),
            false => Err(Failure::Incomplete(report)),
        }
    }

    /// Starts the thread that stops the server. It calls `on_stop` when it begins to stop, unless something
    /// else has stopped it.
    pub(crate) fn start(
        &self,
        shutdown: ShutdownHandle,
        on_stop: impl FnOnce() + Send + 'static,
    ) -> Result<(), Failure> {
        let sharing = self.clone();
        let run = move || {
            sharing.wait(&shutdown);
            on_stop();
            shutdown.stop();
            if sharing.conditions.report().is_count_reached() {
                shutdown.close_idle(); // another request would be refused
            }
        };
        let thread = thread::Builder::new().name("sharing".into()).spawn(run);
        thread.map(drop).map_err(Failure::Serve)
    }

    /// Waits until the server is to end, or stops already.
    fn wait(&self, shutdown: &ShutdownHandle) {
        let mut time = Stopwatch::started_at(Instant::now());
        let mut idle = self.idle_exit.map(IdleTimer::new);
        loop {
            let changed = self.conditions.listen(); // before looking
            if shutdown.is_stopping() {
                return;
            }
            let now = Instant::now();
            let mut timeout = None;
            if let Some(limit) = self.lifetime {
                let interval = poll_interval(limit);
                match limit.saturating_sub(time.tick(now, interval)) {
                    Duration::ZERO => return self.set_cause(Cause::Lifetime),
                    left => timeout = Some(left.min(interval)),
                }
            }
            match idle.as_mut().map(|idle| idle.step(&self.conditions, now)) {
                Some(IdleStep::Idle) => return self.set_cause(Cause::Idle),
                Some(IdleStep::Wait(left)) => {
                    timeout = Some(timeout.map_or(left, |other| other.min(left)));
                }
                Some(IdleStep::Busy(_)) | None => {}
            }
            match timeout {
                Some(timeout) => _ = changed.wait_timeout(timeout),
                None => changed.wait(),
            }
        }
    }

    fn set_cause(&self, cause: Cause) {
        let _ = self.cause.set(cause);
    }

    /// The line at the end; `None` if a signal has ended the server.
    pub(crate) fn message(&self) -> Option<String> {
        let report = self.conditions.report();
        match self.cause.get() {
            _ if report.is_count_reached() => {
                let s = if report.completed == 1 { "" } else { "s" };
                Some(format!("{} transfer{s} completed, exiting.\n", report.completed))
            }
            Some(Cause::Lifetime) => Some("The time of --for is over, exiting.\n".into()),
            Some(Cause::Idle) => Some("No request for the time of --idle-exit, exiting.\n".into()),
            None => None,
        }
    }
}
