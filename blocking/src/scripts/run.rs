//! One run of a script: what it writes becomes the answer, and it ends when it has to.
//!
//! A [`Run`] never waits. [`Run::step`] reads what there is, answers with it, and says what to do
//! next: flush, wait, or be done. It bounds the time, the output and the header block, and looks up
//! now and then: has the script exited while somebody else holds its stdout, is the client still there?
//!
//! An answer that is over within a moment of its head leaves whole, with its length; else it is streamed.
//! Every way out is an answer or, when that has begun, a visible abort: what is still owed when the
//! handler returns is cut off by [`Turn::conclude`]. A run that is dropped takes its processes along.

use std::io::{self, ErrorKind, Read};
use std::mem;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use doorstep_core::cgi::output::{Document, Fault, Output, Reply};
use doorstep_core::cgi::route::Script;
use doorstep_core::http1::Owed;

use super::{Settings, complaints::Complaints, name};
use crate::config::GATHER;
use crate::host::{Presence, Process, Woken};
use crate::turn::Turn;

/// What is read at once, in bytes.
const BUFFER: usize = 16 << 10;
/// How long a body's begin waits for its end.
const MOMENT: Duration = Duration::from_millis(2);
/// The first and the longest pause between two looks around.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// How long a client may be quiet that will send nothing more; it may be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// A script at work.
#[derive(Debug)]
pub struct Run {
    /// To be waited for.
    pub process: Process,
    name: String,
    stage: Stage,
    complaints: Complaints,
    buffer: Vec<u8>,
    /// Bytes of stdout so far, and how many may be.
    output: (u64, u64),
    /// How long it was waited for, and how long that may be.
    waited: (Duration, Duration),
    waits_since: Option<Instant>,
    pause: Duration,
    quiet_since: Option<Instant>,
}

/// How far the answer is.
#[derive(Debug)]
enum Stage {
    /// The header block is being read.
    Head(Output),
    /// The body may be over at once: since when it is held back.
    Held(Document, Instant),
    /// It is being sent.
    Body,
    /// What comes is of no use: HEAD, 204, more than Content-Length.
    Unread,
    /// Stdout has ended, and the answer with it.
    Ended,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Flush, then step again.
    Flush,
    /// Wait for [`Run::process`], so long at most, then step again.
    Wait(Duration),
    /// Answer the request for this path and query instead.
    Again(Vec<u8>),
    /// It is over.
    Over,
}

impl Run {
    pub(super) fn new(process: Process, script: &Script, settings: &Settings) -> Self {
        Self {
            process,
            name: name(script),
            stage: Stage::Head(Output::new(script.is_nph(), settings.head)),
            complaints: Complaints::default(),
            buffer: vec![0; BUFFER],
            output: (0, settings.output),
            waited: (Duration::ZERO, settings.time),
            waits_since: None,
            pause: PAUSES.0,
            quiet_since: None,
        }
    }

    /// Does what can be done now. `woken` is what came of the last wait, `socket` the client's.
    ///
    /// # Errors
    /// Those of answering.
    pub fn step(
        &mut self,
        turn: &mut Turn<'_>,
        woken: Woken,
        socket: impl AsFd,
    ) -> io::Result<Next> {
        let waited = self.waits_since.take().map(|since| since.elapsed());
        self.waited.0 += waited.unwrap_or_default();
        if woken.stderr {
            self.hear(turn);
        }
        if woken.stdout
            && let Some(next) = self.read(turn)?
        {
            return Ok(next);
        }
        let idle = waited.is_some() && woken == Woken::default();
        if idle && let Some(next) = self.look_around(turn, socket)? {
            return Ok(next);
        }
        if !turn.outbox.is_empty() && !matches!(self.stage, Stage::Held(..)) {
            return Ok(Next::Flush);
        }
        if matches!(self.stage, Stage::Ended) && self.process.has_exited() {
            self.leave(turn);
            return Ok(Next::Over);
        }
        let left = self.waited.1.saturating_sub(self.waited.0);
        if left.is_zero() {
            return self.too_late(turn);
        }
        self.waits_since = Some(Instant::now());
        Ok(Next::Wait(match &self.stage {
            Stage::Held(_, since) => MOMENT.saturating_sub(since.elapsed()),
            _ => self.pause.min(left),
        }))
    }

    /// Reads stdout as far as it goes. `None`: there is no more for now.
    fn read(&mut self, turn: &mut Turn<'_>) -> io::Result<Option<Next>> {
        while let Some(stdout) = &mut self.process.stdout {
            let n = match stdout.read(&mut self.buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Ok(0) | Err(_) => {
                    self.process.stdout = None;
                    self.ended(turn)?;
                    return Ok(None);
                }
                Ok(n) => n,
            };
            self.output.0 += n as u64;
            if self.output.0 > self.output.1 {
                return self.fail(turn, 502, &format!("wrote more than {} bytes", self.output.1));
            }
            let bytes = mem::take(&mut self.buffer);
            let next = self.heard(turn, &bytes[..n]);
            self.buffer = bytes;
            if let Some(next) = next? {
                return Ok(Some(next));
            }
            if turn.has_gathered() {
                return Ok(Some(Next::Flush));
            }
            if n < BUFFER {
                return Ok(None); // that was all: a further read would only be told so
            }
        }
        Ok(None)
    }

    /// `bytes` came from stdout.
    fn heard(&mut self, turn: &mut Turn<'_>, bytes: &[u8]) -> io::Result<Option<Next>> {
        match &mut self.stage {
            Stage::Head(output) => match output.feed(bytes) {
                Ok(None) => {}
                Ok(Some(Reply::Again(target))) => return Ok(Some(Next::Again(target))),
                Ok(Some(Reply::Document(document))) => {
                    if !document.dropped.is_empty() {
                        let names = document.dropped.join(", ");
                        self.note(turn, &format!("not a script's to say: {names}"));
                    }
                    self.stage = Stage::Held(document, Instant::now());
                }
                Err(fault) => return self.refuse(turn, &fault).map(Some),
            },
            Stage::Held(document, _) => {
                document.body.extend_from_slice(bytes);
                if document.body.len() > GATHER {
                    self.begin(turn, false)?;
                }
            }
            Stage::Body => self.send(turn, bytes)?,
            Stage::Unread | Stage::Ended => {}
        }
        Ok(None)
    }

    /// Answers with the document that is held; all of it is there when it is `whole`.
    fn begin(&mut self, turn: &mut Turn<'_>, whole: bool) -> io::Result<()> {
        let Stage::Held(document, _) = mem::replace(&mut self.stage, Stage::Body) else {
            return Ok(());
        };
        let is_head = turn.head().is_head();
        let mut response = turn.respond(document.status);
        if let Some(reason) = &document.reason {
            response = response.reason(reason);
        }
        for (name, value) in &document.fields {
            response = response.header(name, value);
        }
        match document.length {
            _ if matches!(document.status, 204 | 205 | 304) => response.body("")?,
            Some(length) => response.sized(length)?,
            // What HEAD leaves out is not known to be empty.
            None if whole && !is_head => return response.body(&document.body),
            None => response.stream()?,
        }
        self.send(turn, &document.body)
    }

    /// Sends a part of the body, as far as it was promised.
    fn send(&mut self, turn: &mut Turn<'_>, bytes: &[u8]) -> io::Result<()> {
        match turn.connection.owed() {
            Some(Owed::Stream) => turn.append(bytes).map(drop),
            Some(Owed::Bytes(left)) if bytes.len() as u64 <= left => turn.append(bytes).map(drop),
            Some(Owed::Bytes(left)) => {
                self.note(turn, "wrote more than its Content-Length, which is left out");
                self.stage = Stage::Unread;
                turn.append(&bytes[..left as usize]).map(drop)
            }
            Some(Owed::Answer) | None => {
                self.stage = Stage::Unread;
                Ok(())
            }
        }
    }

    /// Stdout has ended, and so the answer ends.
    fn ended(&mut self, turn: &mut Turn<'_>) -> io::Result<()> {
        match mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Head(output) => _ = self.refuse(turn, &output.end())?,
            held @ Stage::Held(..) => {
                self.stage = held;
                self.begin(turn, true)?;
            }
            Stage::Body | Stage::Unread | Stage::Ended => {}
        }
        self.stage = Stage::Ended;
        match turn.connection.owed() {
            Some(Owed::Stream) => turn.end(),
            Some(Owed::Bytes(left)) => {
                self.note(turn, &format!("ended {left} bytes short of its Content-Length"));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Nothing has happened for a while.
    fn look_around(&mut self, turn: &mut Turn<'_>, socket: impl AsFd) -> io::Result<Option<Next>> {
        if matches!(self.stage, Stage::Held(..)) {
            self.begin(turn, false)?;
            return Ok(None);
        }
        self.pause = (2 * self.pause).min(PAUSES.1);
        if matches!(self.stage, Stage::Ended) {
            return Ok(None); // it has its answer; what the script does now is no client's business
        }
        if self.process.has_exited() {
            // Somebody it started holds on to stdout. What was written is all there is.
            self.process.kill();
            let next = self.read(turn)?;
            if next.is_none() && self.process.stdout.take().is_some() {
                self.ended(turn)?;
            }
            return Ok(next);
        }
        match Presence::of(socket) {
            Presence::Here => Ok(None),
            Presence::Quiet => {
                let since = *self.quiet_since.get_or_insert_with(Instant::now);
                if since.elapsed() < PATIENCE {
                    return Ok(None);
                }
                self.fail(turn, 504, "ended, since the client seems to have left")
            }
            Presence::Gone => self.fail(turn, 504, "ended, since the client has left"),
        }
    }

    fn too_late(&mut self, turn: &mut Turn<'_>) -> io::Result<Next> {
        let words = format!("ended after {} s", self.waited.1.as_secs_f32());
        self.fail(turn, 504, &words).map(|next| next.unwrap_or(Next::Over))
    }

    /// No header block: 502, and why in the log. How the script exits is of interest yet.
    fn refuse(&mut self, turn: &mut Turn<'_>, fault: &Fault) -> io::Result<Next> {
        self.note(turn, &fault.to_string());
        self.stage = Stage::Unread;
        turn.respond(502).page("")?;
        Ok(Next::Flush)
    }

    /// Ends the run: with this status, unless the answer has begun.
    fn fail(&mut self, turn: &mut Turn<'_>, status: u16, why: &str) -> io::Result<Option<Next>> {
        self.hear(turn);
        self.note(turn, why);
        if turn.connection.owed() == Some(Owed::Answer) {
            turn.respond(status).page("")?;
        }
        Ok(Some(Next::Over))
    }

    /// It has exited: the last complaints, and how it did.
    fn leave(&mut self, turn: &mut Turn<'_>) {
        self.hear(turn);
        let name = &self.name;
        self.complaints.end(&mut |line| turn.note(format!("{name}: {line}")));
        if let Ok(status) = self.process.reap()
            && !status.success()
        {
            self.note(turn, &format!("CGI script exit code {}", code(status)));
        }
    }

    /// Reads stderr as far as it goes.
    fn hear(&mut self, turn: &Turn<'_>) {
        let name = &self.name;
        let mut tell = |line: &str| turn.note(format!("{name}: {line}"));
        while let Some(stderr) = &mut self.process.stderr {
            match stderr.read(&mut self.buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Ok(0) | Err(_) => self.process.stderr = None,
                Ok(n) => self.complaints.hear(&self.buffer[..n], &mut tell),
            }
        }
    }

    fn note(&self, turn: &Turn<'_>, words: &str) {
        turn.note(format!("{}: {words}", self.name));
    }
}

/// As Python counts: a signal is a negative number (B-251).
fn code(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|signal| -signal)).unwrap_or_default()
}
