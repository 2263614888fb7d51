//! The access log of the command, as an [`Observer`]: a line for each request, and errors.
//!
//! The lines are those of `http.server`, in local time. Writing them never delays a response
//! ([`Log`]).
//!
//! ```
//! use std::io;
//! use doorstep_driver::os::Log;
//! use doorstep_driver::{AccessLog, Observer};
//!
//! let log = Log::from_writer(io::sink())?; // or `AccessLog::stderr()`
//! let access_log = AccessLog::new(log);
//! access_log.on_error([127, 0, 0, 1].into(), "/a: the handler sent no response");
//! # Ok::<(), io::Error>(())
//! ```

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use doorstep_core::http1::date::Civil;
use doorstep_core::log::{self, Record};

use crate::observer::{Observer, ShutdownReport};
use crate::os::{self, Clock, Log};

/// Writes what it observes to a [`Log`], as the command does. `Handler::with_observer` of a front
/// end gives it to a handler.
#[derive(Debug)]
pub struct AccessLog {
    log: Arc<Log>,
    clock: Clock,
    logs_requests: bool,
}

impl AccessLog {
    /// Writes to `log`: a [`Log`] or an `Arc` of one, which the caller can
    /// [flush](Log::flush) before the program exits.
    #[must_use]
    pub fn new(log: impl Into<Arc<Log>>) -> Self {
        Self { log: log.into(), clock: Clock::new(), logs_requests: true }
    }

    /// Writes to stderr.
    ///
    /// # Errors
    /// Returns an error if there is no descriptor or no thread left for it.
    pub fn stderr() -> io::Result<Self> {
        Log::stderr().map(Self::new)
    }

    /// Omits the lines of requests. Errors are logged all the same.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.logs_requests = false;
        self
    }

    /// Writes the line that `format` appends, given the local time at `unix`.
    fn write_line(&self, unix: i64, format: impl FnOnce(&mut Vec<u8>, &Civil)) {
        let mut line = Vec::with_capacity(128);
        format(&mut line, &self.clock.civil(unix));
        self.log.write(&line);
    }
}

impl Observer for AccessLog {
    fn log(&self, record: &Record<'_>) {
        if self.logs_requests {
            let end = record.timing.map(|timing| timing.end().as_secs().cast_signed());
            let end = end.unwrap_or_else(os::now);
            self.write_line(end, |out, at| log::write(out, record, at));
        }
    }
    fn wants_timing(&self) -> bool {
        false // the second in which it logs is enough
    }
    fn on_error(&self, peer: IpAddr, message: &str) {
        self.log.log_message(peer, message);
    }
    fn on_stopped(&self, report: &ShutdownReport) {
        let message = match report.aborted {
            0 => return,
            1 => "graceful shutdown timed out: 1 connection aborted".into(),
            aborted => format!("graceful shutdown timed out: {aborted} connections aborted"),
        };
        let line = |out: &mut _, at: &_| log::write_server_message(out, at, message.as_bytes());
        self.write_line(os::now(), line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::Mutex;
    use std::time::Duration;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged of a request, an error and a shutdown, without addresses and times.
    fn messages(quiet: bool) -> Vec<String> {
        let written = Written::default();
        let log = Arc::new(Log::from_writer(written.clone()).unwrap());
        let access_log = AccessLog::new(log.clone());
        let access_log = if quiet { access_log.quiet() } else { access_log };
        access_log.log(&Record::new(([127, 0, 0, 1], 1).into(), b"GET / HTTP/1.1", 204));
        access_log.on_error([127, 0, 0, 1].into(), "an error");
        for aborted in [0, 2] {
            access_log.on_stopped(&ShutdownReport { aborted, time_left: Duration::ZERO });
        }
        assert!(log.flush(Duration::from_secs(10)));
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| line.split_once("] ").unwrap().1.to_owned()).collect()
    }

    #[test]
    fn b_100_requests_errors_and_aborted_connections_are_logged() {
        let expected = [
            "\"GET / HTTP/1.1\" 204 -",
            "an error",
            "graceful shutdown timed out: 2 connections aborted",
        ];
        assert_eq!(messages(false), expected);
        assert_eq!(messages(true), expected[1..]);
    }
}
