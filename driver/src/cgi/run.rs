//! One run of a script: its output becomes the response, and it is ended when it has to be.
//!
//! A [`ScriptRun`] never waits. [`ScriptRun::step`] reads the available output, responds with it,
//! and returns what to do next ([`RunStep`]). It bounds the time and the output. It checks now and
//! then, however much output there is, whether the script has exited while another process holds
//! its stdout open, and whether the client is still connected.
//!
//! Every run ends with a response or, if that has begun, with a visible abort: a response that is
//! incomplete when the handler returns is aborted by [`ExchangeState::finish`]. Dropping a run ends
//! the process group of the script.

use std::io::{self, ErrorKind, Read};
use std::mem;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use doorstep_core::cgi::route::Script;
use doorstep_core::http1::ResponseDue;
use doorstep_core::http1::state::States;

use super::{CgiSettings, response::ScriptResponse, stderr::StderrLines};
use crate::config::Config;
use crate::exchange::ExchangeState;
use crate::net::{Disconnect, DisconnectDetector};
use crate::os::{self, Process, Readiness, Stopwatch};

/// The number of bytes that are read at once.
const READ_SIZE: usize = 16 << 10;
/// The number of reads of one step: more than the largest pipe holds (1 MiB). Then other
/// connections are served.
const MAX_READS: usize = 65;
/// The first time between two checks. Each further one is twice as long, up to
/// [`CgiSettings::check_interval`].
const FIRST_CHECK_INTERVAL: Duration = Duration::from_millis(20);
/// The least [`CgiSettings::check_interval`]: bounds the processor time that checks take.
const MIN_CHECK_INTERVAL: Duration = Duration::from_millis(1);

/// A running script.
#[derive(Debug)]
pub(super) struct ScriptRun {
    /// The process, to be waited for.
    pub(super) process: Process,
    response: ScriptResponse,
    stderr: StderrLines,
    buffer: Vec<u8>,
    /// The number of bytes of stdout so far, and [`CgiSettings::max_output`].
    output: (u64, u64),
    /// The time that it has run, without the time of flushes.
    clock: Stopwatch,
    /// How long it may run.
    timeout: Duration,
    /// [`CgiSettings::exit_timeout`].
    exit_timeout: Duration,
    /// Whether the last step was to wait.
    waited: bool,
    checked: Instant,
    check_interval: Duration,
    max_check_interval: Duration,
    disconnect_detector: DisconnectDetector,
    /// Whether the connection's sending half was closed.
    closed: bool,
}

/// What the front end has to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RunStep {
    /// Flush, then step again.
    Flush,
    /// Wait for [`ScriptRun::process`], at most for this time, then step again.
    Wait(Duration),
    /// The script has ended, and the request for this path and query is to be responded to instead.
    LocalRedirect(Vec<u8>),
    /// The script has ended.
    Done,
}

impl ScriptRun {
    pub(super) fn new(
        process: Process,
        script: &Script,
        settings: &CgiSettings,
        config: &Config,
    ) -> Self {
        let max_check_interval = settings.check_interval.max(MIN_CHECK_INTERVAL);
        Self {
            process,
            response: ScriptResponse::new(script, settings.max_header),
            stderr: StderrLines::new(settings),
            buffer: vec![0; READ_SIZE],
            output: (0, settings.max_output),
            clock: Stopwatch::started_at(Instant::now()),
            timeout: settings.timeout,
            exit_timeout: settings.exit_timeout,
            waited: false,
            checked: Instant::now(),
            check_interval: FIRST_CHECK_INTERVAL.min(max_check_interval),
            max_check_interval,
            disconnect_detector: DisconnectDetector::new(
                settings.half_close_timeout,
                config.disconnect_check_interval,
            ),
            closed: false,
        }
    }

    /// Does what can be done now. `ready` is the result of the last wait.
    ///
    /// # Errors
    /// Returns the error of responding.
    pub(super) fn step(
        &mut self,
        exchange: &mut ExchangeState<'_>,
        ready: Readiness,
    ) -> io::Result<RunStep> {
        let elapsed = self.clock.tick(Instant::now(), self.max_check_interval);
        let left = self.timeout.saturating_sub(elapsed);
        if left.is_zero() {
            return self.fail(exchange, 504, &format!("ended: timed out after {:?}", self.timeout));
        }
        if self.process.should_terminate() {
            return self.fail(exchange, 503, "ended: the server is shutting down");
        }
        let idle = mem::take(&mut self.waited) && ready == Readiness::default();
        if ready.stderr {
            self.read_stderr(exchange);
        }
        if ready.stdout
            && let Some(next) = self.read(exchange)?
        {
            return Ok(next);
        }
        if self.response.held_for() == Some(Duration::ZERO) {
            self.response.begin(exchange, false)?;
        } else if (idle && self.response.held_for().is_none()
            || self.checked.elapsed() >= self.check_interval)
            && let Some(next) = self.check(exchange)?
        {
            return Ok(next);
        }
        if self.response.is_invalid() {
            self.timeout = self.timeout.min(elapsed.saturating_add(self.exit_timeout));
        }
        let held_for = self.response.held_for();
        if held_for.is_none() && !exchange.outbox.is_empty() {
            return Ok(self.flush());
        }
        if self.response.has_ended() && self.process.has_exited() {
            self.report_exit(exchange);
            return Ok(self
                .response
                .take_local_redirect()
                .map_or(RunStep::Done, RunStep::LocalRedirect));
        }
        if !self.closed && held_for.is_none() && exchange.machine.states() == States::CLOSED {
            exchange.connection().close_response(exchange.machine.should_reset());
            self.closed = true;
        }
        self.waited = true;
        let wait = held_for.unwrap_or(self.check_interval.min(left));
        Ok(RunStep::Wait(self.process.bound_wait(wait)))
    }

    /// Reads the available stdout, at most [`MAX_READS`] times. `None` if there is no more now.
    fn read(&mut self, exchange: &mut ExchangeState<'_>) -> io::Result<Option<RunStep>> {
        for _ in 0..MAX_READS {
            let Some(stdout) = &mut self.process.stdout else { break };
            let n = match stdout.read(&mut self.buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    let error = os::describe_error(&error);
                    let why = format!("ended: its output cannot be read: {error}");
                    return self.fail(exchange, 502, &why).map(Some);
                }
                Ok(0) => {
                    self.process.stdout = None;
                    self.response.end(exchange)?;
                    break;
                }
                Ok(n) => n,
            };
            self.output.0 += n as u64;
            if self.output.0 > self.output.1 {
                let why = format!("ended: output exceeds {} bytes", self.output.1);
                return self.fail(exchange, 502, &why).map(Some);
            }
            self.response.feed(exchange, &self.buffer[..n])?;
            if self.response.has_ended() {
                self.process.stdout = None; // invalid: further output is not read
            }
            if exchange.should_flush() {
                return Ok(Some(self.flush()));
            }
            if n < READ_SIZE {
                break; // a further read would find nothing
            }
        }
        Ok(None)
    }

    /// Checks for events that wake nothing: the exit of the script while its stdout is open, and
    /// the disconnect of the client.
    fn check(&mut self, exchange: &mut ExchangeState<'_>) -> io::Result<Option<RunStep>> {
        self.checked = Instant::now();
        self.check_interval = self.check_interval.saturating_mul(2).min(self.max_check_interval);
        let is_due = exchange.owes_response();
        if self.response.has_ended() && !is_due {
            return Ok(None); // the client has the whole response
        }
        if self.process.has_exited() {
            // A process that it has started holds stdout open. The output is what was written.
            self.process.kill();
            let next = self.read(exchange)?;
            if next.is_none() && self.process.stdout.take().is_some() {
                self.response.end(exchange)?;
            }
            return Ok(next);
        }
        match self.disconnect_detector.update(exchange.connection().peer_state()) {
            // The access log shows it.
            Some(Disconnect::Closed) if is_due && exchange.has_responded() => {
                self.finish_stderr(exchange);
                Ok(Some(RunStep::Done))
            }
            Some(disconnect) if is_due => {
                self.fail(exchange, 504, &format!("ended: {disconnect}")).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Has the front end flush, which does not count as the script's time.
    fn flush(&mut self) -> RunStep {
        self.clock.pause(Instant::now(), self.max_check_interval);
        RunStep::Flush
    }

    /// Ends the run: with this status, unless the response has begun.
    fn fail(
        &mut self,
        exchange: &mut ExchangeState<'_>,
        status: u16,
        why: &str,
    ) -> io::Result<RunStep> {
        self.finish_stderr(exchange);
        self.response.log_error(exchange, why);
        if exchange.machine.response_due() == Some(ResponseDue::Head) {
            exchange.respond(status).error_page("")?;
        } else if exchange.owes_response() {
            exchange.abort();
        }
        Ok(RunStep::Done)
    }

    /// Logs the rest of stderr, and the exit code if it is not 0.
    fn report_exit(&mut self, exchange: &ExchangeState<'_>) {
        self.finish_stderr(exchange);
        if let Ok(status) = self.process.reap()
            && !status.success()
            && !(self.response.is_invalid() && status.signal() == Some(os::SIGPIPE))
        {
            self.response
                .log_error(exchange, &format!("CGI script exit code {}", exit_code(status)));
        }
    }

    /// Reads the available stderr, and takes its end for the end of a line.
    fn finish_stderr(&mut self, exchange: &ExchangeState<'_>) {
        self.read_stderr(exchange);
        self.stderr.end(&mut |line| self.response.log_error(exchange, line));
    }

    /// Reads the available stderr.
    fn read_stderr(&mut self, exchange: &ExchangeState<'_>) {
        let mut emit = |line: &str| self.response.log_error(exchange, line);
        for _ in 0..MAX_READS {
            let Some(stderr) = &mut self.process.stderr else { return };
            match stderr.read(&mut self.buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => {
                    self.process.stderr = None;
                    emit(&format!("its stderr cannot be read: {}", os::describe_error(&error)));
                }
                Ok(0) => self.process.stderr = None,
                Ok(n) => self.stderr.feed(&self.buffer[..n], &mut emit),
            }
        }
    }
}

/// The exit code, or the number of the signal that has ended it, negative as in Python (B-251).
fn exit_code(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|signal| -signal)).unwrap_or_default()
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
