//! A handler together with one more observer.
//!
//! [`WithObserver`] is the result of `Handler::with_observer` of every front end, which implements
//! its `Handler` for it. The handler's own observer still receives every report, after the other
//! one, even if that panics: so a service keeps its own log, and [`Cgi`](crate::Cgi) its part in a
//! shutdown.
//!
//! ```
//! use doorstep_driver::{AccessLog, Files, Observer, WithObserver};
//!
//! let files = WithObserver::new(Files::new(".")?, |files| files, AccessLog::stderr()?);
//! files.on_error([127, 0, 0, 1].into(), "is logged");
//! # Ok::<(), std::io::Error>(())
//! ```

use std::net::IpAddr;
use std::ops::Deref;

use doorstep_core::log::Record;

use crate::observer::{Observer, ShutdownReport, notify_observer};
use crate::process_limit::ProcessLimit;

/// A handler whose reports `observer` receives too. It dereferences to the handler.
#[derive(Debug)]
pub struct WithObserver<H, O> {
    handler: H,
    handlers_observer: fn(&H) -> &dyn Observer,
    observer: O,
}

impl<H, O> WithObserver<H, O> {
    /// `handlers_observer` returns the observer that `handler` has already. For front ends: others
    /// call `Handler::with_observer`.
    #[must_use]
    pub fn new(handler: H, handlers_observer: fn(&H) -> &dyn Observer, observer: O) -> Self {
        Self { handler, handlers_observer, observer }
    }

    fn inner(&self) -> &dyn Observer {
        (self.handlers_observer)(&self.handler)
    }
}

impl<H, O> Deref for WithObserver<H, O> {
    type Target = H;

    fn deref(&self) -> &H {
        &self.handler
    }
}

impl<H: Send + Sync, O: Observer> Observer for WithObserver<H, O> {
    fn log(&self, record: &Record<'_>) {
        notify_observer(|| self.observer.log(record));
        self.inner().log(record);
    }
    fn wants_timing(&self) -> bool {
        notify_observer(|| self.observer.wants_timing()) || self.inner().wants_timing()
    }
    fn wants_request_ids(&self) -> bool {
        notify_observer(|| self.observer.wants_request_ids()) || self.inner().wants_request_ids()
    }
    fn on_error(&self, peer: IpAddr, message: &str) {
        notify_observer(|| self.observer.on_error(peer, message));
        self.inner().on_error(peer, message);
    }
    fn on_start(&self) {
        notify_observer(|| self.observer.on_start());
        self.inner().on_start();
    }
    fn on_shutdown(&self) {
        notify_observer(|| self.observer.on_shutdown());
        self.inner().on_shutdown();
    }
    fn on_grace_expired(&self) {
        notify_observer(|| self.observer.on_grace_expired());
        self.inner().on_grace_expired();
    }
    fn on_stopped(&self, report: &ShutdownReport) {
        notify_observer(|| self.observer.on_stopped(report));
        self.inner().on_stopped(report);
    }
    fn processes(&self) -> Option<&ProcessLimit> {
        notify_observer(|| self.observer.processes()).or_else(|| self.inner().processes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::time::Duration;

    #[derive(Default)]
    struct Calls(Mutex<Vec<&'static str>>);

    impl Calls {
        fn push(&self, call: &'static str) {
            self.0.lock().unwrap().push(call);
        }
    }

    impl Observer for Calls {
        fn log(&self, _: &Record<'_>) {
            self.push("log");
        }
        fn wants_timing(&self) -> bool {
            self.push("wants_timing");
            false
        }
        fn wants_request_ids(&self) -> bool {
            self.push("wants_request_ids");
            false
        }
        fn on_error(&self, _: IpAddr, _: &str) {
            self.push("on_error");
        }
        fn on_start(&self) {
            self.push("on_start");
        }
        fn on_shutdown(&self) {
            self.push("on_shutdown");
        }
        fn on_grace_expired(&self) {
            self.push("on_grace_expired");
        }
        fn on_stopped(&self, _: &ShutdownReport) {
            self.push("on_stopped");
        }
        fn processes(&self) -> Option<&ProcessLimit> {
            self.push("processes");
            None
        }
    }

    #[test]
    fn both_observers_receive_every_call() {
        let both = WithObserver::new(Calls::default(), |calls| calls, Calls::default());
        both.log(&Record::new(([127, 0, 0, 1], 1).into(), b"", 200));
        assert!(!both.wants_timing() && both.processes().is_none());
        assert!(!both.wants_request_ids());
        both.on_error([127, 0, 0, 1].into(), "");
        both.on_start();
        both.on_shutdown();
        both.on_grace_expired();
        both.on_stopped(&ShutdownReport { aborted: 0, time_left: Duration::ZERO });
        let [outer, inner] = [&both.observer, &both.handler].map(|calls| calls.0.lock().unwrap());
        assert_eq!(*outer, *inner);
        assert_eq!(outer.len(), 9);
    }
}
