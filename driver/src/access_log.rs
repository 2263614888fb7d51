//! The log of a server, as an [`Observer`]: a line for each request, and errors.
//!
//! The lines are those of `http.server`, in local time, unless another [`Format`] is chosen. Requests
//! and errors go to one log or to two. Writing never delays a response ([`Log`]).
//!
//! ```
//! use doorstep_driver::os::Log;
//! use doorstep_driver::{AccessLog, Format, Observer};
//! # let directory = tempfile::tempdir()?;
//! # let path = |name: &str| directory.path().join(name);
//!
//! // The same as `doorstep --access-log access.log --error-log error.log --log-format json`.
//! let access_log = AccessLog::new(Log::file(path("access.log"))?)
//!     .with_error_log(Log::file(path("error.log"))?)
//!     .with_format(Format::Json);
//! access_log.on_error([127, 0, 0, 1].into(), "/a: the handler sent no response");
//! # drop(access_log);
//! # assert!(std::fs::read_to_string(path("error.log"))?.contains(r#""message":"/a: "#));
//! # Ok::<(), std::io::Error>(())
//! ```

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use doorstep_core::log::{self, Format, Level, Record};

use crate::observer::{Observer, ShutdownReport};
use crate::os::{self, Clock, Log};

/// Writes what it observes to a [`Log`], or to one for requests and another for errors, as the command
/// does. `Handler::with_observer` of a front end gives it to a handler.
#[derive(Debug)]
pub struct AccessLog {
    log: Arc<Log>,
    error_log: Arc<Log>,
    clock: Clock,
    format: Format,
    is_colored: bool,
    logs_requests: bool,
}

impl AccessLog {
    /// Writes to `log`: a [`Log`] or an `Arc` of one, which the caller can
    /// [flush](Log::flush) before the program exits, and [open again](Log::reopen) at a signal.
    #[must_use]
    pub fn new(log: impl Into<Arc<Log>>) -> Self {
        let log = log.into();
        Self {
            error_log: log.clone(),
            log,
            clock: Clock::new(),
            format: Format::default(),
            is_colored: false,
            logs_requests: true,
        }
    }

    /// Writes to stderr.
    ///
    /// # Errors
    /// Returns an error if there is no descriptor or no thread left for it.
    pub fn stderr() -> io::Result<Self> {
        Log::stderr().map(Self::new)
    }

    /// Writes errors to `log`. Default: the log of requests.
    #[must_use]
    pub fn with_error_log(mut self, log: impl Into<Arc<Log>>) -> Self {
        self.error_log = log.into();
        self.error_log.set_format(self.format);
        self
    }

    /// Sets the format of the lines about requests and of messages, those of the [`Log`]s as well.
    /// [`Format::Json`] has the duration and an id of each request, which cost three readings of clocks
    /// for each. Default: [`Format::Python`].
    #[must_use]
    pub fn with_format(mut self, format: Format) -> Self {
        self.format = format;
        self.log.set_format(format);
        self.error_log.set_format(format);
        self
    }

    /// Whether the lines of [`Format::Python`] have colours: the status by its class (B-109). For a log
    /// that is a terminal. Default: false.
    #[must_use]
    pub fn with_colors(mut self, is_colored: bool) -> Self {
        self.is_colored = is_colored;
        self
    }

    /// Omits the lines of requests. Errors are logged all the same.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.logs_requests = false;
        self
    }
}

impl Observer for AccessLog {
    fn log(&self, record: &Record<'_>) {
        if !self.logs_requests {
            return;
        }
        let mut line = Vec::with_capacity(128);
        match self.format {
            Format::Python => {
                let end = record.timing.map(|timing| timing.end().as_secs().cast_signed());
                let at = self.clock.civil(end.unwrap_or_else(os::now));
                let write = if self.is_colored { log::write_colored } else { log::write };
                write(&mut line, record, &at);
            }
            format => {
                line.reserve(512);
                let end = record.timing.map_or_else(os::since_epoch, |timing| timing.end());
                format.write(&mut line, record, &self.clock.local_time(end));
            }
        }
        self.log.write(&line);
    }
    fn wants_timing(&self) -> bool {
        self.logs_requests && self.format.has_timing()
    }
    fn wants_request_ids(&self) -> bool {
        self.logs_requests && self.format.has_request_id()
    }
    fn on_error(&self, peer: IpAddr, message: &str) {
        self.error_log.log_message(peer, message);
    }
    fn on_stopped(&self, report: &ShutdownReport) {
        let message = match report.aborted {
            0 => return,
            1 => "graceful shutdown timed out: 1 connection aborted".into(),
            aborted => format!("graceful shutdown timed out: {aborted} connections aborted"),
        };
        self.error_log.log_server_message(Level::Warning, &message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorstep_core::log::Timing;
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

    /// What the format needs, and the lines about a request and an error.
    fn lines(access_log: impl FnOnce(AccessLog) -> AccessLog) -> (bool, bool, Vec<String>) {
        let [requests, errors] = [Written::default(), Written::default()];
        let logs = [&requests, &errors].map(|to| Arc::new(Log::from_writer(to.clone()).unwrap()));
        let access_log =
            access_log(AccessLog::new(logs[0].clone()).with_error_log(logs[1].clone()));
        let mut record = Record::new(([127, 0, 0, 1], 1).into(), b"GET / HTTP/1.1", 404);
        record.timing = Some(Timing::new(Duration::from_millis(1500), Duration::from_millis(250)));
        access_log.log(&record);
        access_log.on_error([127, 0, 0, 1].into(), "an error");
        access_log.on_stopped(&ShutdownReport { aborted: 1, time_left: Duration::ZERO });
        let text = [(&requests, &logs[0]), (&errors, &logs[1])].map(|(written, log)| {
            assert!(log.flush(Duration::from_secs(10)));
            String::from_utf8(written.0.lock().unwrap().clone()).unwrap()
        });
        let lines = text.iter().flat_map(|text| text.lines()).map(str::to_owned).collect();
        (access_log.wants_timing(), access_log.wants_request_ids(), lines)
    }

    #[test]
    fn both_logs_have_the_format() {
        let (timing, ids, json) = lines(|log| log.with_format(Format::Json));
        assert!(timing && ids);
        assert!(json[0].starts_with(r#"{"time":"1970-01-01T00:00:01.750Z","client":"127.0.0.1","#));
        assert!(json[0].contains(r#""duration_ms":250.000,"ending":"complete","#));
        assert!(json[1].ends_with(r#""level":"error","client":"127.0.0.1","message":"an error"}"#));
        assert!(json[2].contains(r#""level":"warn","client":null,"message":"graceful shutdown"#));

        let (timing, ids, combined) = lines(|log| log.with_format(Format::Combined));
        assert!(!timing && !ids, "they cost nothing");
        assert!(combined[0].ends_with(r#""GET / HTTP/1.1" 404 - "-" "-""#), "{combined:?}");
        assert!(combined[1].ends_with("] [error] [client 127.0.0.1] an error"), "{combined:?}");
        assert!(combined[2].contains("] [warn] graceful shutdown"), "{combined:?}");

        let (timing, ids, quiet) = lines(|log| log.with_format(Format::Json).quiet());
        assert!(!timing && !ids && quiet.len() == 2);
    }

    #[test]
    fn b_109_colours_are_those_of_the_format_of_http_server() {
        let (timing, ids, colored) = lines(|log| log.with_colors(true));
        assert!(!timing && !ids);
        assert!(colored[0].ends_with("\"GET / HTTP/1.1\" \x1b[33m404\x1b[0m -"), "{colored:?}");
        for format in [Format::Combined, Format::Json] {
            let (.., lines) = lines(|log| log.with_colors(true).with_format(format));
            assert!(lines.iter().all(|line| !line.contains('\x1b')), "{lines:?}");
        }
    }
}
