//! The reports of a server to its application: finished responses, errors, start and shutdown.

use std::net::IpAddr;
use std::time::Duration;

use doorstep_core::log::Record;

use crate::process_limit::ProcessLimit;

/// Receives what a server reports. Every method does nothing unless it is overridden, and none may
/// wait: they are called on the threads that serve. The methods are called by many threads at once.
///
/// A handler returns its observer by `Handler::observer`.
///
/// ```
/// use std::io;
/// use std::net::IpAddr;
/// use doorstep_driver::core::log;
/// use doorstep_driver::os::{self, Clock, Log};
/// use doorstep_driver::{Observer, Record};
///
/// /// The access log and the errors of the command, on stderr.
/// struct AccessLog {
///     log: Log,
///     clock: Clock,
/// }
///
/// impl Observer for AccessLog {
///     fn log(&self, record: &Record<'_>) {
///         let mut line = Vec::new();
///         log::write(&mut line, record, &self.clock.civil(os::now()));
///         self.log.write(&line); // does not wait for the reader of stderr
///     }
///
///     fn on_error(&self, peer: IpAddr, message: &str) {
///         self.log.log_message(peer, message);
///     }
/// }
///
/// let observer = AccessLog { log: Log::stderr()?, clock: Clock::new() };
/// # let _: &dyn Observer = &observer;
/// # Ok::<(), io::Error>(())
/// ```
pub trait Observer: Send + Sync {
    /// A response has ended: one line of the access log (B-110). It is called when the response was
    /// sent, or could not be sent.
    fn log(&self, record: &Record<'_>) {
        let _ = record;
    }

    /// Whether [`Record::timing`] is to be measured. Costs two readings of clocks for each request and
    /// one for each write of responses.
    fn wants_timing(&self) -> bool {
        true
    }

    /// An error that the access log does not show: why a file was refused, a script failed, or a
    /// connection was lost. `peer` is the client's address, or the server's own if no client is
    /// concerned.
    fn on_error(&self, peer: IpAddr, message: &str) {
        let _ = (peer, message);
    }

    /// The server has the threads and descriptors that it needs, and begins to accept. It is not
    /// called if these are not available: then serving returns an error.
    fn on_start(&self) {}

    /// A graceful shutdown is about to abort the remaining connections ([`ShutdownSchedule`]).
    /// Handlers that wait for something other than their client should end their responses now.
    ///
    /// [`ShutdownSchedule`]: crate::ShutdownSchedule
    fn on_grace_expired(&self) {}

    /// The server has stopped, and no connection is left.
    fn on_stopped(&self, report: &ShutdownReport) {
        let _ = report;
    }

    /// The processes that the handler runs, if it runs any. When the server stops, they are waited
    /// for until [`ShutdownReport::time_left`] is over, and then killed.
    fn processes(&self) -> Option<&ProcessLimit> {
        None
    }
}

/// How a shutdown went, for [`Observer::on_stopped`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownReport {
    /// The number of connections that were aborted before their last response was sent, because the
    /// grace was over; those that were never served are among them.
    pub aborted: usize,
    /// What is left of [`Config::shutdown_grace`](crate::Config::shutdown_grace): how long the observer may take to end its own
    /// work.
    pub time_left: Duration,
}

/// Ignores everything.
impl Observer for () {
    fn wants_timing(&self) -> bool {
        false
    }
}
