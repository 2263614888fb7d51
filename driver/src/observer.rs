//! The reports of a server to its application: finished responses, errors, start and shutdown.

use std::net::IpAddr;
use std::time::Duration;

use doorstep_core::log::Record;

use crate::process_limit::ProcessLimit;

/// Receives what a server reports. Every method does nothing unless it is overridden, and none may
/// wait: they are called on the threads that serve. The methods are called by many threads at once.
///
/// A handler returns its observer by `Handler::observer`, and gets one more by
/// `Handler::with_observer`.
///
/// ```
/// use std::io;
/// use std::net::IpAddr;
/// use doorstep_driver::os::Log;
/// use doorstep_driver::{Observer, Record};
///
/// /// Logs method, path, status and duration. The log of the command is `AccessLog`.
/// struct Durations(Log);
///
/// impl Observer for Durations {
///     fn log(&self, record: &Record<'_>) {
///         let (Some(method), Some(path), Some(timing)) =
///             (record.method(), record.path(), record.timing)
///         else {
///             return; // the request was not valid
///         };
///         let (method, path) = (method.escape_ascii(), path.escape_ascii());
///         let line = format!("{method} {path} {} {:?}\n", record.status, timing.duration);
///         self.0.write(line.as_bytes()); // does not wait for the reader of stderr
///     }
///
///     fn on_error(&self, peer: IpAddr, message: &str) {
///         self.0.log_message(peer, message);
///     }
/// }
///
/// let observer = Durations(Log::stderr()?);
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

    /// An error that the access log does not show: why a file was refused, a script or a handler
    /// failed, or a connection was lost; or that a handler has forgotten to respond, or to end its
    /// response. Errors of a request begin with its path. `peer` is the client's address, or the server's own if no client is
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
