//! The response to one request that may be for a script, step by step ([`Job`]).
//!
//! A local redirect of a script (RFC 3875 §6.2.2) begins another request on the same exchange. A
//! request that is not for a script is passed to the files, if there are any.

use std::io;
use std::mem;

use doorstep_core::http1::HeadOffsets;

use super::handler::Service;
use super::refuse::{is_script_method, respond_not_cgi, respond_redirect_loop};
use super::script_job::{ScriptJob, ScriptStep};
use super::{Resolution, parse_head};
use crate::exchange::ExchangeState;
use crate::files::FilesJob;
use crate::job::{Job, JobStep};
use crate::os::{Process, Readiness};

/// The response to one request from [`Cgi`](crate::Cgi).
pub struct CgiJob<'c> {
    service: &'c Service,
    only_scripts: bool,
    /// The target of the local redirect that was followed last.
    redirect: Option<Box<LocalRedirect>>,
    /// The number of local redirects that were followed.
    redirects: usize,
    state: State<'c>,
}

/// The target of a local redirect.
struct LocalRedirect {
    head: Vec<u8>,
    offsets: HeadOffsets,
}

enum State<'c> {
    /// The request is to be resolved.
    Resolve,
    Script(Box<ScriptJob>),
    Files(FilesJob<'c>),
    Done,
}

impl<'c> CgiJob<'c> {
    pub(super) fn new(service: &'c Service) -> Self {
        let state = State::Resolve;
        Self { service, only_scripts: false, redirect: None, redirects: 0, state }
    }

    /// Responds to requests for scripts only: the job ends with [`JobStep::Declined`] if the
    /// request is not for one. The target of a local redirect is still responded to.
    #[must_use]
    pub fn only_scripts(mut self) -> Self {
        self.only_scripts = true;
        self
    }

    /// Begins to respond to the request `head` instead.
    fn follow(&mut self, exchange: &mut ExchangeState<'_>, head: Vec<u8>) -> io::Result<()> {
        let max = self.service.scripts.settings().max_local_redirects;
        let prefix = &exchange.config().prefix;
        let offsets = if self.redirects < max { parse_head(&head, prefix) } else { None };
        let Some(offsets) = offsets else { return respond_redirect_loop(exchange) };
        self.redirects += 1;
        self.redirect = Some(Box::new(LocalRedirect { head, offsets }));
        self.state = State::Resolve;
        Ok(())
    }
}

impl<'c> State<'c> {
    /// Takes one step on the current request.
    fn step(
        &mut self,
        service: &'c Service,
        only_scripts: bool,
        exchange: &mut ExchangeState<'_>,
    ) -> io::Result<ScriptStep> {
        loop {
            let step = match self {
                Self::Resolve => {
                    *self = Self::Done;
                    match service.scripts.resolve(exchange)? {
                        Resolution::Script(script) => {
                            *self = Self::Script(Box::new(ScriptJob::new(
                                &service.scripts,
                                exchange,
                                script,
                            )));
                            continue;
                        }
                        Resolution::NotScript if only_scripts => JobStep::Declined,
                        Resolution::NotScript => match &service.files {
                            Some(files)
                                if !is_script_method(exchange)
                                    || files.takes_form(exchange.head_ref()) =>
                            {
                                *self = Self::Files(files.job());
                                continue;
                            }
                            _ => {
                                respond_not_cgi(exchange)?;
                                JobStep::Done
                            }
                        },
                        Resolution::Responded => JobStep::Done,
                    }
                }
                Self::Script(script) => return script.step(&service.scripts, exchange),
                Self::Files(files) => files.step(exchange)?,
                Self::Done => JobStep::Done,
            };
            return Ok(ScriptStep::Job(step));
        }
    }
}

impl Job for CgiJob<'_> {
    fn step(&mut self, exchange: &mut ExchangeState<'_>) -> io::Result<JobStep> {
        loop {
            let (state, service) = (&mut self.state, self.service);
            let step = match &self.redirect {
                None => state.step(service, self.only_scripts, exchange)?,
                Some(to) => exchange.redirected(to.offsets.view(&to.head), |exchange| {
                    state.step(service, false, exchange)
                })?,
            };
            match step {
                ScriptStep::Job(step) => return Ok(step),
                ScriptStep::LocalRedirect(head) => {
                    drop(mem::replace(&mut self.state, State::Done)); // the script has ended
                    self.follow(exchange, head)?;
                }
            }
        }
    }

    fn body_space(&mut self) -> &mut [u8] {
        match &mut self.state {
            State::Script(script) => script.body_space(),
            State::Files(files) => files.body_space(),
            _ => &mut [],
        }
    }

    fn body_read(&mut self, n: usize) {
        match &mut self.state {
            State::Script(script) => script.body_read(n),
            State::Files(files) => files.body_read(n),
            _ => {}
        }
    }

    fn body_failed(&mut self, error: io::Error) -> io::Result<()> {
        match &mut self.state {
            State::Files(files) => files.body_failed(error),
            _ => Err(error),
        }
    }

    fn process(&mut self) -> Option<&mut Process> {
        match &mut self.state {
            State::Script(script) => script.process(),
            _ => None,
        }
    }

    fn process_ready(&mut self, ready: Readiness) {
        if let State::Script(script) = &mut self.state {
            script.process_ready(ready);
        }
    }
}

#[cfg(test)]
#[path = "job_tests.rs"]
mod tests;
