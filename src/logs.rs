//! The logs of the command: files or stderr, in colour on a terminal.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use doorstep_driver::core::log::Level;
use doorstep_driver::os::{self, Log};
use doorstep_driver::{AccessLog, Observer, Record, net};
use rustix::fs::Access;

use crate::banner::stderr_has_colors;
use crate::config::{CommandConfig, directories_of, is_beneath};
use crate::failure::Failure;
use crate::sharing::Sharing;
use crate::signals::Reload;
use crate::terminal::{StopNotice, Tally, Terminal};

/// The log of requests and errors, which also counts responses, and says that the server stops. It is one observer: a second one would
/// cost every request a call.
pub(crate) struct CountedLog {
    log: AccessLog,
    tally: Option<Tally>,
    stop: StopNotice,
}

impl Observer for CountedLog {
    fn inner(&self) -> &dyn Observer {
        &self.log
    }
    fn log(&self, record: &Record<'_>) {
        if let Some(tally) = &self.tally {
            tally.log(record);
        }
        self.log.log(record);
    }
    fn on_shutdown(&self) {
        self.stop.print();
        self.log.on_shutdown();
    }
    fn wants_timing(&self) -> bool {
        self.log.wants_timing()
    }
    fn wants_request_ids(&self) -> bool {
        self.log.wants_request_ids()
    }
}

/// The open logs. The access log and the error log may be the same.
pub(crate) struct Logs {
    access: Arc<Log>,
    error: Arc<Log>,
    is_colored: bool,
}

impl Logs {
    /// Opens them. Those on stderr share `terminal`.
    pub(crate) fn open(config: &CommandConfig, terminal: &Terminal) -> Result<Self, Failure> {
        let open = |path: Option<&Path>, option| open(path, option, config, terminal);
        let targets = &config.logs;
        let (access_path, error_path) = (targets.access.as_deref(), targets.error.as_deref());
        let error = open(error_path, "--error-log")?;
        error.set_format(targets.format);
        let access = match access_path {
            path if path == error_path => error.clone(),
            path => open(path, "--access-log")?,
        };
        access.set_format(targets.format);
        for path in [access_path, error_path].into_iter().flatten() {
            if is_beneath(config.served.as_path(), path) {
                let text = format!(
                    "clients can read the log file {path:?}: it is in the served directory"
                );
                error.log_server_message(Level::Warning, &text);
            }
        }
        Ok(Self { access, error, is_colored: access_path.is_none() && stderr_has_colors() })
    }

    /// The observer that writes them, and counts responses for the last line of `terminal`.
    pub(crate) fn observer(
        &self,
        config: &CommandConfig,
        terminal: &Terminal,
        sharing: Option<Sharing>,
    ) -> CountedLog {
        let log = AccessLog::new(self.access.clone())
            .with_error_log(self.error.clone())
            .with_format(config.logs.format)
            .with_colors(self.is_colored);
        let log = if config.access_log { log } else { log.quiet() };
        let stop = terminal.stop_notice(config.grace, sharing);
        CountedLog { log, tally: terminal.tally(), stop }
    }

    /// Writes a line to the error log.
    pub(crate) fn warn(&self, text: &str) {
        self.error.log_server_message(Level::Warning, text);
    }

    /// Writes a line to the error log, as long as it is open: for threads that do not keep it alive.
    pub(crate) fn reporter(&self) -> impl Fn(Level, &str) + Send + Sync + use<> {
        let error = Arc::downgrade(&self.error);
        move |level, text| {
            error.upgrade().iter().for_each(|log| log.log_server_message(level, text));
        }
    }

    /// Writes a line about an error, as [`Logs::reporter`] does.
    pub(crate) fn error_reporter(&self) -> impl Fn(&str) + Send + Sync + use<> {
        let report = self.reporter();
        move |text| report(Level::Error, text)
    }

    /// What opens the files again at SIGHUP; nothing if there are no files.
    pub(crate) fn reload(&self, config: &CommandConfig) -> Vec<Reload> {
        if config.logs.access.is_none() && config.logs.error.is_none() {
            return Vec::new();
        }
        // The thread of the signals does not keep a log alive, which is flushed when it is dropped.
        let logs = [&self.access, &self.error].map(Arc::downgrade);
        let reopen = |log: &Weak<Log>| log.upgrade().iter().for_each(|log| log.reopen());
        vec![Box::new(move || logs.iter().for_each(reopen))]
    }

    /// Waits until everything is written, at most for `timeout` in all, and not again when the logs
    /// are dropped. Returns whether it is.
    pub(crate) fn close(&self, timeout: Duration) -> bool {
        let begin = Instant::now();
        let is_flushed = self.access.close(timeout);
        if Arc::ptr_eq(&self.access, &self.error) {
            return is_flushed;
        }
        self.error.close(timeout.saturating_sub(begin.elapsed())) && is_flushed
    }
}

/// Whether this user has the permission to write the file, or to make it. A sandbox that refuses it
/// is not a matter of permissions.
fn is_permitted(path: &Path) -> bool {
    let directory = directories_of(path).pop();
    let made_in = directory.as_deref().filter(|_| !path.exists());
    rustix::fs::access(made_in.unwrap_or(path), Access::WRITE_OK).is_ok()
}

fn open(
    path: Option<&Path>,
    option: &'static str,
    config: &CommandConfig,
    terminal: &Terminal,
) -> Result<Arc<Log>, Failure> {
    let opened = match path {
        // With inetd, stderr may be the client's.
        None if config.inetd && net::stderr_is_connection() => {
            Log::from_writer(io::sink()).map_err(Failure::Serve)
        }
        None => match terminal.log_writer().map_err(Failure::Serve)? {
            Some(writer) => Log::from_writer(writer).map_err(Failure::Serve),
            None => Log::stderr().map_err(Failure::Serve),
        },
        Some(path) => Log::file(path).map_err(|error| match error.kind() {
            _ if os::is_exhausted(&error) => Failure::Serve(error),
            ErrorKind::PermissionDenied
                if config.containment.has_sandbox() && is_permitted(path) =>
            {
                Failure::LogFileSandbox(path.to_owned(), option)
            }
            _ => Failure::LogFile { path: path.to_owned(), option, error },
        }),
    };
    opened.map(Arc::new)
}
