//! The response of one script, from the request's body to the script's exit, step by step.

use std::io;
use std::mem;

use doorstep_core::cgi::local_redirect;
use doorstep_core::cgi::route::Script;

use super::ScriptDirectory;
use super::refuse::respond_unavailable;
use super::request_body::RequestBody;
use super::run::{RunStep, ScriptRun};
use crate::exchange::ExchangeState;
use crate::job::{JobStep, Pending};
use crate::os::{Process, ProcessPermit, Readiness, SpawnError};
use crate::permit_wait::{PermitPoll, PermitWait};

/// The response of a script to one request.
pub(super) struct ScriptJob {
    script: Script,
    state: State,
}

/// What is to be done next.
pub(super) enum ScriptStep {
    Job(JobStep),
    /// The script has ended, and this is the head of the request to respond to instead.
    LocalRedirect(Vec<u8>),
}

enum State {
    /// The request's body is being received.
    Receive(RequestBody, Received),
    /// Part of it is being written to a file.
    Spill(Pending<RequestBody>),
    /// A permit is to be acquired.
    Acquire(Option<RequestBody>),
    /// Waiting for a permit.
    Queue(Option<RequestBody>, PermitWait),
    /// The script is being started.
    Start(Pending<Result<Process, SpawnError>>),
    /// It is running; and the result of the last wait.
    Run(Box<ScriptRun>, Readiness),
    /// The response is complete.
    Done,
}

/// How much of a body was received.
enum Received {
    /// More is to come.
    Part,
    /// As much as is held in memory.
    Block,
    /// All of it.
    All,
}

impl ScriptJob {
    pub(super) fn new(
        scripts: &ScriptDirectory,
        exchange: &ExchangeState<'_>,
        script: Script,
    ) -> Self {
        let body = RequestBody::for_request(&exchange.head(), scripts.settings().body_buffer);
        let state = match body {
            Some(body) => State::Receive(body, Received::Part),
            None => State::Acquire(None),
        };
        Self { script, state }
    }

    pub(super) fn step(
        &mut self,
        scripts: &ScriptDirectory,
        exchange: &mut ExchangeState<'_>,
    ) -> io::Result<ScriptStep> {
        loop {
            let step = match mem::replace(&mut self.state, State::Done) {
                State::Receive(body, Received::Part) => {
                    self.state = State::Receive(body, Received::Part);
                    JobStep::ReadBody
                }
                State::Receive(body, Received::Block) => {
                    let (pending, step) = Pending::block(move || body.spill());
                    self.state = State::Spill(pending);
                    step
                }
                State::Receive(body, Received::All) => {
                    self.state = State::Acquire(Some(body));
                    continue;
                }
                State::Spill(pending) => {
                    let body = pending.take()?;
                    self.state = match body.has_failed() {
                        true => State::Acquire(Some(body)), // the rest need not be received
                        false => State::Receive(body, Received::Part),
                    };
                    continue;
                }
                State::Acquire(body) => match scripts.process_limit().try_acquire() {
                    Some(permit) => self.start(scripts, exchange, body, permit)?,
                    None => {
                        self.state = State::Queue(body, scripts.queue(exchange.config()));
                        JobStep::Flush // earlier responses need not wait
                    }
                },
                State::Queue(body, mut wait) => {
                    match scripts.process_limit().poll(&mut wait, exchange.connection()) {
                        Ok(PermitPoll::Granted(permit)) => {
                            self.start(scripts, exchange, body, permit)?
                        }
                        Ok(PermitPoll::Wait(notified, timeout)) => {
                            self.state = State::Queue(body, wait);
                            JobStep::Wait(notified, timeout)
                        }
                        Err(why) => {
                            respond_unavailable(exchange, &self.script, why)?;
                            JobStep::Done
                        }
                    }
                }
                State::Start(pending) => {
                    if let Some(run) = scripts.started(exchange, &self.script, pending.take()?)? {
                        self.state = State::Run(Box::new(run), Readiness::default());
                    }
                    continue;
                }
                State::Run(mut run, ready) => {
                    let step = match run.step(exchange, ready)? {
                        RunStep::Flush => JobStep::Flush,
                        RunStep::Wait(timeout) => JobStep::WaitProcess(timeout),
                        RunStep::LocalRedirect(target) => {
                            let head = local_redirect::request_head(&exchange.head(), &target);
                            return Ok(ScriptStep::LocalRedirect(head));
                        }
                        RunStep::Done => return Ok(ScriptStep::Job(JobStep::Done)),
                    };
                    self.state = State::Run(run, ready);
                    step
                }
                State::Done => JobStep::Done,
            };
            return Ok(ScriptStep::Job(step));
        }
    }

    fn start(
        &mut self,
        scripts: &ScriptDirectory,
        exchange: &ExchangeState<'_>,
        body: Option<RequestBody>,
        permit: ProcessPermit,
    ) -> io::Result<JobStep> {
        let local = exchange.local_addr()?;
        let prepared = scripts.prepare_script(exchange, &self.script, local, body);
        let (pending, step) = Pending::block(move || prepared.start(permit));
        self.state = State::Start(pending);
        Ok(step)
    }

    pub(super) fn body_space(&mut self) -> &mut [u8] {
        match &mut self.state {
            State::Receive(body, _) => body.space(),
            _ => &mut [],
        }
    }

    pub(super) fn body_read(&mut self, n: usize) {
        if let State::Receive(body, received) = &mut self.state {
            *received = match n {
                0 => Received::All,
                n if body.filled(n) => Received::Block,
                _ => Received::Part,
            };
        }
    }

    pub(super) fn process(&mut self) -> Option<&mut Process> {
        match &mut self.state {
            State::Run(run, _) => Some(&mut run.process),
            _ => None,
        }
    }

    pub(super) fn process_ready(&mut self, ready: Readiness) {
        if let State::Run(_, last) = &mut self.state {
            *last = ready;
        }
    }
}
