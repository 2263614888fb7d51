//! One run of a script: listened to while it works, and ended when it has to.
//!
//! A [`Run`] never waits. [`Run::step`] reads what there is, answers with it, and says what to do
//! next: flush, wait, or be done. It bounds the time and the output, and looks around now and then,
//! however much is said meanwhile: has the script exited while somebody else holds on to its stdout,
//! is the client that waits still there?
//!
//! Every way out is an answer or, when that has begun, a visible abort: what is still owed when the
//! handler returns is cut off by [`Turn::conclude`]. A run that is dropped takes its processes along.

use std::io::{self, ErrorKind, Read};
use std::mem;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use doorstep_core::cgi::route::Script;
use doorstep_core::http1::ResponseDue;
use doorstep_core::http1::state::States;

use super::{Settings, response::Answer, stderr::Complaints};
use crate::connections::Seat;
use crate::exchange::Turn;
use crate::net::{Departure, Vigil};
use crate::os::{self, Process, Stopwatch, Woken};

/// What is read at once, in bytes.
const BUFFER: usize = 16 << 10;
/// Reads of one step, a number: more than the largest pipe holds, and others have their turn.
const READS: usize = 65;
/// The first and the longest pause between two looks around.
/// A stop is noticed within the latter.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));
/// What a script has left whose output is no answer.
const LAST: Duration = Duration::from_secs(1);

/// A script at work.
#[derive(Debug)]
pub struct Run {
    /// To be waited for.
    pub process: Process,
    answer: Answer,
    complaints: Complaints,
    buffer: Vec<u8>,
    /// Bytes of stdout so far, and how many may be.
    output: (u64, u64),
    /// The time it takes, without what its client takes.
    clock: Stopwatch,
    /// How long it may take.
    time: Duration,
    /// What was said last was to wait.
    waited: bool,
    looked: Instant,
    pause: Duration,
    vigil: Vigil,
    /// The client was told that nothing follows.
    closed: bool,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Flush, then step again.
    Flush,
    /// Wait for [`Run::process`], so long at most, then step again.
    Wait(Duration),
    /// It is over, and the request for this path and query is to be answered instead.
    Again(Vec<u8>),
    /// It is over.
    Over,
}

impl Run {
    pub(super) fn new(process: Process, script: &Script, settings: &Settings) -> Self {
        Self {
            process,
            answer: Answer::new(script, settings.head),
            complaints: Complaints::default(),
            buffer: vec![0; BUFFER],
            output: (0, settings.output),
            clock: Stopwatch::started(Instant::now()),
            time: settings.time,
            waited: false,
            looked: Instant::now(),
            pause: PAUSES.0,
            vigil: Vigil::new(settings.patience),
            closed: false,
        }
    }

    /// Does what can be done now. `woken` is what came of the last wait, and the client is on `seat`.
    ///
    /// # Errors
    /// Those of answering.
    pub fn step(&mut self, turn: &mut Turn<'_>, woken: Woken, seat: &Seat) -> io::Result<Next> {
        let taken = self.clock.count(Instant::now(), PAUSES.1);
        let left = self.time.saturating_sub(taken);
        if left.is_zero() {
            return self.fail(turn, 504, &format!("ended after {:?}", self.time));
        }
        if self.process.should_end() {
            return self.fail(turn, 503, "ended, since the server stops");
        }
        let idle = mem::take(&mut self.waited) && woken == Woken::default();
        if woken.stderr {
            self.hear_complaints(turn);
        }
        if woken.stdout
            && let Some(next) = self.read(turn)?
        {
            return Ok(next);
        }
        if self.answer.held_for() == Some(Duration::ZERO) {
            self.answer.begin(turn, false)?;
        } else if (idle && self.answer.held_for().is_none() || self.looked.elapsed() >= self.pause)
            && let Some(next) = self.look_around(turn, seat)?
        {
            return Ok(next);
        }
        if self.answer.is_refused() {
            self.time = self.time.min(taken + LAST);
        }
        let held_for = self.answer.held_for();
        if held_for.is_none() && !turn.outbox.is_empty() {
            return Ok(self.flush());
        }
        if self.answer.has_ended() && self.process.has_exited() {
            self.leave(turn);
            return Ok(self.answer.take_again().map_or(Next::Over, Next::Again));
        }
        if !self.closed && held_for.is_none() && turn.connection.states() == States::CLOSED {
            seat.finish(turn.connection.should_reset());
            self.closed = true;
        }
        self.waited = true;
        Ok(Next::Wait(held_for.unwrap_or(self.pause.min(left))))
    }

    /// Reads stdout as far as it goes, but not for ever. `None`: there is no more for now.
    fn read(&mut self, turn: &mut Turn<'_>) -> io::Result<Option<Next>> {
        for _ in 0..READS {
            let Some(stdout) = &mut self.process.stdout else { break };
            let n = match stdout.read(&mut self.buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    let why = format!("ended, since its output cannot be read: {error}");
                    return self.fail(turn, 502, &why).map(Some);
                }
                Ok(0) => {
                    self.process.stdout = None;
                    self.answer.end(turn)?;
                    break;
                }
                Ok(n) => n,
            };
            self.output.0 += n as u64;
            if self.output.0 > self.output.1 {
                let words = format!("wrote more than {} bytes", self.output.1);
                return self.fail(turn, 502, &words).map(Some);
            }
            self.answer.hear(turn, &self.buffer[..n])?;
            if self.answer.has_ended() {
                self.process.stdout = None; // it was no answer, and nobody reads on
            }
            if turn.has_gathered() {
                return Ok(Some(self.flush()));
            }
            if n < BUFFER {
                break; // that was all: a further read would only say so
            }
        }
        Ok(None)
    }

    /// What nobody says.
    fn look_around(&mut self, turn: &mut Turn<'_>, seat: &Seat) -> io::Result<Option<Next>> {
        self.looked = Instant::now();
        self.pause = (2 * self.pause).min(PAUSES.1);
        let waits = turn.connection.response_due().is_some();
        if self.answer.has_ended() && !waits {
            return Ok(None); // what it does now is no client's business
        }
        if self.process.has_exited() {
            // Somebody it started holds on to stdout. What was written is all there is.
            self.process.kill();
            let next = self.read(turn)?;
            if next.is_none() && self.process.stdout.take().is_some() {
                self.answer.end(turn)?;
            }
            return Ok(next);
        }
        match self.vigil.look(seat.presence()) {
            // The mark on the line of its request says that.
            Some(Departure::Certain) if waits && turn.is_answered() => {
                self.hear_last_complaints(turn);
                Ok(Some(Next::Over))
            }
            Some(departure) if waits => {
                self.fail(turn, 504, &format!("ended, since {departure}")).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The client's turn, which is not the script's time.
    fn flush(&mut self) -> Next {
        self.clock.pause(Instant::now(), PAUSES.1);
        Next::Flush
    }

    /// Ends the run: with this status, unless the answer has begun.
    fn fail(&mut self, turn: &mut Turn<'_>, status: u16, why: &str) -> io::Result<Next> {
        self.hear_last_complaints(turn);
        self.answer.note(turn, why);
        if turn.connection.response_due() == Some(ResponseDue::Head) {
            turn.respond(status).page("")?;
        }
        Ok(Next::Over)
    }

    /// It has exited: the last complaints, and how it did.
    fn leave(&mut self, turn: &Turn<'_>) {
        self.hear_last_complaints(turn);
        if let Ok(status) = self.process.reap()
            && !status.success()
            && !(self.answer.is_refused() && status.signal() == Some(os::UNHEARD))
        {
            self.answer.note(turn, &format!("CGI script exit code {}", code(status)));
        }
    }

    /// Reads stderr as far as it goes, and takes what it ends in for a line.
    fn hear_last_complaints(&mut self, turn: &Turn<'_>) {
        self.hear_complaints(turn);
        self.complaints.end(&mut |line| self.answer.note(turn, line));
    }

    /// Reads stderr as far as it goes.
    fn hear_complaints(&mut self, turn: &Turn<'_>) {
        let mut tell = |line: &str| self.answer.note(turn, line);
        for _ in 0..READS {
            let Some(stderr) = &mut self.process.stderr else { return };
            match stderr.read(&mut self.buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => {
                    self.process.stderr = None;
                    tell(&format!("its stderr cannot be read: {error}"));
                }
                Ok(0) => self.process.stderr = None,
                Ok(n) => self.complaints.hear(&self.buffer[..n], &mut tell),
            }
        }
    }
}

/// As Python counts: a signal is a negative number (B-251).
fn code(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|signal| -signal)).unwrap_or_default()
}

#[cfg(test)]
#[path = "job_tests.rs"]
mod tests;
