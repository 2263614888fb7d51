//! The reports of a server to its application: finished responses, errors, start and shutdown.

use std::net::IpAddr;
use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use doorstep_core::log::Record;

use crate::process_limit::ProcessLimit;

/// Receives what a server reports. Every method does nothing unless it is overridden, and none may
/// wait: they are called on the threads that serve. The methods are called by many threads at once.
/// A panic in one of them ends there: the response and the connection go on ([`notify_observer`]).
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
///         // Of a request that is not valid, and gets a 400, there may be no method and no path.
///         let method = record.method().unwrap_or(b"-").escape_ascii();
///         let path = record.path().unwrap_or(b"-").escape_ascii();
///         let duration = record.timing.map(|timing| timing.duration).unwrap_or_default();
///         let (status, ending) = (record.status, record.ending.as_str());
///         let line = format!("{method} {path} {status} {ending} {duration:?}\n");
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
///
/// An observer that wraps another one returns it by [`Observer::inner`], and overrides what it adds:
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use doorstep_driver::{Observer, Record};
///
/// /// Counts the responses.
/// struct Counting<O> {
///     observer: O,
///     responses: AtomicU64,
/// }
///
/// impl<O: Observer> Observer for Counting<O> {
///     fn inner(&self) -> &dyn Observer {
///         &self.observer
///     }
///     fn log(&self, record: &Record<'_>) {
///         self.responses.fetch_add(1, Ordering::Relaxed);
///         self.observer.log(record);
///     }
/// }
/// ```
pub trait Observer: Send + Sync {
    /// The observer that this one wraps: it receives what is not overridden here. By default it
    /// is `()`, which ignores everything. It must not be this observer itself.
    fn inner(&self) -> &dyn Observer {
        &()
    }

    /// A response has ended: one line of the access log (B-110). It is called when the response was
    /// sent, or could not be sent.
    fn log(&self, record: &Record<'_>) {
        self.inner().log(record);
    }

    /// Whether [`Record::timing`] is to be measured. Costs two readings of clocks for each request and
    /// one for each write of responses. Default: true; it is not taken from [`Observer::inner`].
    fn wants_timing(&self) -> bool {
        true
    }

    /// Whether each request is to have an id ([`Record::request_id`]), which handlers and scripts get as
    /// well. Default: false; it is not taken from [`Observer::inner`].
    fn wants_request_ids(&self) -> bool {
        false
    }

    /// An error that the access log does not show: why a file was refused, a script or a handler
    /// failed, or a connection was lost; or that a handler has forgotten to respond, or to end its
    /// response; also a failed authentication, with the name of the user. Other faults of a client are not
    /// reported here, since the response shows them: a body that is cut, malformed (400) or too large
    /// (413). Errors of a request begin with its path. `peer` is the client's address, or the server's own
    /// if no client is concerned.
    fn on_error(&self, peer: IpAddr, message: &str) {
        self.inner().on_error(peer, message);
    }

    /// The server has the threads and descriptors that it needs, and begins to accept. It is not
    /// called if these are not available: then serving returns an error.
    fn on_start(&self) {
        self.inner().on_start();
    }

    /// A graceful shutdown begins: [`ShutdownHandle::stop`] was called, or serving has failed. No
    /// connection was closed yet. Handlers whose responses have no end of their own, such as
    /// event streams, should end them now; they can also wait for it themselves
    /// ([`ShutdownHandle::stopping`], which is ready a little earlier). It is called once.
    ///
    /// [`ShutdownHandle::stop`]: crate::ShutdownHandle::stop
    /// [`ShutdownHandle::stopping`]: crate::ShutdownHandle::stopping
    fn on_shutdown(&self) {
        self.inner().on_shutdown();
    }

    /// A graceful shutdown is about to abort the remaining connections ([`ShutdownSchedule`]).
    /// Handlers that wait for something other than their client should end their responses now.
    ///
    /// [`ShutdownSchedule`]: crate::ShutdownSchedule
    fn on_grace_expired(&self) {
        self.inner().on_grace_expired();
    }

    /// The server has stopped, and no connection is left.
    fn on_stopped(&self, report: &ShutdownReport) {
        self.inner().on_stopped(report);
    }

    /// The processes that the handler runs, if it runs any. When the server stops, they are waited
    /// for until [`ShutdownReport::time_left`] is over, and then killed.
    fn processes(&self) -> Option<&ProcessLimit> {
        self.inner().processes()
    }
}

/// How a shutdown went, for [`Observer::on_stopped`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// The number of connections that were aborted before their last response was sent, because the
    /// grace was over; those that were never served are among them.
    pub aborted: usize,
    /// What is left of [`Config::shutdown_grace`](crate::Config::shutdown_grace): how long the observer may take to end its own
    /// work.
    pub time_left: Duration,
}

impl ShutdownReport {
    /// A report, for a front end, and for tests of an observer.
    #[must_use]
    pub fn new(aborted: usize, time_left: Duration) -> Self {
        Self { aborted, time_left }
    }
}

/// Calls a method of an [`Observer`]. If it panics, that ends here, and the result is the default:
/// what is served does not depend on a log. The panic hook has reported it. For front ends, which
/// call [`Observer::on_start`] and [`Observer::processes`]; this crate makes all other calls so.
///
/// ```
/// use doorstep_driver::{Observer, notify_observer};
///
/// struct Panics;
/// impl Observer for Panics {
///     fn on_start(&self) {
///         panic!("a bug");
///     }
/// }
/// notify_observer(|| Panics.on_start());
/// ```
pub fn notify_observer<T: Default>(call: impl FnOnce() -> T) -> T {
    panic::catch_unwind(AssertUnwindSafe(call)).unwrap_or_default()
}

/// Ignores everything. It overrides every method: those of the trait would call each other for ever.
impl Observer for () {
    fn wants_timing(&self) -> bool {
        false
    }
    fn log(&self, _: &Record<'_>) {}
    fn on_error(&self, _: IpAddr, _: &str) {}
    fn on_start(&self) {}
    fn on_shutdown(&self) {}
    fn on_grace_expired(&self) {}
    fn on_stopped(&self, _: &ShutdownReport) {}
    fn processes(&self) -> Option<&ProcessLimit> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::sync::Mutex;

    /// Records the names of the methods that are called.
    struct Recorder(Mutex<Vec<&'static str>>, ProcessLimit);

    impl Recorder {
        fn called(&self, method: &'static str) {
            self.0.lock().unwrap().push(method);
        }
    }

    impl Observer for Recorder {
        fn log(&self, _: &Record<'_>) {
            self.called("log");
        }
        fn on_error(&self, _: IpAddr, _: &str) {
            self.called("on_error");
        }
        fn on_start(&self) {
            self.called("on_start");
        }
        fn on_shutdown(&self) {
            self.called("on_shutdown");
        }
        fn on_grace_expired(&self) {
            self.called("on_grace_expired");
        }
        fn on_stopped(&self, _: &ShutdownReport) {
            self.called("on_stopped");
        }
        fn processes(&self) -> Option<&ProcessLimit> {
            self.called("processes");
            Some(&self.1)
        }
    }

    /// Overrides nothing.
    struct Wrapper<O>(O);

    impl<O: Observer> Observer for Wrapper<O> {
        fn inner(&self) -> &dyn Observer {
            &self.0
        }
    }

    /// Calls every method but `inner`, `wants_timing` and `wants_request_ids`, which are not forwarded.
    fn call_all(observer: &dyn Observer) {
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        observer.log(&Record::new((peer, 80).into(), b"GET / HTTP/1.1", 200));
        observer.on_error(peer, "");
        observer.on_start();
        observer.on_shutdown();
        observer.on_grace_expired();
        observer.on_stopped(&ShutdownReport::new(0, Duration::ZERO));
        observer.processes();
    }

    #[test]
    fn a_wrapper_that_overrides_nothing_forwards_every_method() {
        let source = include_str!("observer.rs");
        let (_, definition) = source.split_once("\npub trait Observer").unwrap();
        let (definition, _) = definition.split_once("\n}\n").unwrap();
        let methods = definition.lines().filter_map(|line| line.strip_prefix("    fn "));
        let names = methods.map(|method| method.split('(').next().unwrap());
        let all: Vec<_> = names
            .filter(|name| !["inner", "wants_timing", "wants_request_ids"].contains(name))
            .collect();

        let wrapper = Wrapper(Wrapper(Recorder(Mutex::default(), ProcessLimit::new(1, 0))));
        call_all(&wrapper);
        assert_eq!(*wrapper.0.0.0.lock().unwrap(), all);
        assert!(wrapper.processes().is_some());
    }

    #[test]
    fn nothing_and_an_observer_that_wraps_nothing_ignore_everything() {
        /// Overrides nothing, and wraps nothing.
        struct Default;
        impl Observer for Default {}
        call_all(&());
        call_all(&Default);
        assert!(Default.processes().is_none());
    }
}
