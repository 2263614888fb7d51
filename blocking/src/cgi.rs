//! Scripts as a handler: CGI/1.1 (RFC 3875) below a directory.
//!
//! Alone it answers 404 to all that is no script; around [`Files`] it is `http.server`'s
//! CGIHTTPRequestHandler. In a handler of one's own, [`Cgi::serve`] says whether a request was its.
//!
//! ```no_run
//! use doorstep_driver::cgi::Settings;
//! use doorstep_blocking::{Cgi, Files, Server};
//!
//! let scripts = Cgi::new(".", Settings::default())?.with_fallback(Files::new(".")?);
//! Server::bind("127.0.0.1:8000")?.serve(scripts)
//! # ;Ok::<(), std::io::Error>(())
//! ```

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use doorstep_core::cgi::again;
use doorstep_core::cgi::route::Script;
use event_listener::Listener;

use crate::exchange::Exchange;
use crate::files::Files;
use crate::handler::Handler;
use doorstep_driver::cgi::{
    CgiSettings, JobStep, MAX_LOCAL_REDIRECTS, PermitPoll, RequestBody, Resolution,
    ScriptDirectory, ScriptOutcome, is_script_method, parse_head, respond_not_cgi,
    respond_redirect_loop, respond_unavailable,
};
use doorstep_driver::os::Woken;
use doorstep_driver::semaphore::{Permit, Semaphore};
use doorstep_driver::shutdown::ShutdownReport;

/// Runs the scripts below a directory.
#[derive(Debug)]
pub struct Cgi {
    scripts: ScriptDirectory,
    files: Option<Files>,
}

impl Cgi {
    /// Runs the scripts below `root` as `settings` say.
    ///
    /// # Errors
    /// When there is no directory `root` now; `NotFound` and `PermissionDenied` when the user that
    /// the settings name cannot be had.
    pub fn new(root: impl AsRef<Path>, settings: CgiSettings) -> io::Result<Self> {
        Ok(Self { scripts: ScriptDirectory::new(root.as_ref(), settings)?, files: None })
    }

    /// Serves `files` where no scripts are; their listings do not lead to the scripts. A POST there
    /// is 501 (B-232).
    #[must_use]
    pub fn with_fallback(mut self, files: Files) -> Self {
        self.files = Some(files.beside(&mut self.scripts));
        self
    }

    /// Who is running: for a program that wants to end without waiting for them.
    #[must_use]
    pub fn process_limit(&self) -> Arc<Semaphore> {
        self.scripts.process_limit().clone()
    }

    /// Answers a request for a script; whether it was one.
    ///
    /// # Errors
    /// As of any handler.
    pub fn serve(&self, exchange: &mut Exchange<'_>) -> io::Result<bool> {
        let mut head = match self.run(exchange)? {
            ScriptOutcome::NotScript => return Ok(false),
            ScriptOutcome::Responded => return Ok(true),
            ScriptOutcome::LocalRedirect(head) => head,
        };
        for _ in 0..MAX_LOCAL_REDIRECTS {
            let Some(offsets) = parse_head(&head) else { break };
            let mut instead = exchange.internal_redirect(offsets.view(&head));
            let came = self.run(&mut instead).and_then(|came| match came {
                ScriptOutcome::NotScript => {
                    self.elsewhere(&mut instead).map(|()| ScriptOutcome::Responded)
                }
                came => Ok(came),
            });
            exchange.record = instead.into_state().record;
            match came? {
                ScriptOutcome::LocalRedirect(next) => head = next,
                _ => return Ok(true),
            }
        }
        respond_redirect_loop(exchange).map(|()| true)
    }

    fn answer(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        if self.serve(exchange)? { Ok(()) } else { self.elsewhere(exchange) }
    }

    /// Answers what is for no script.
    fn elsewhere(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        match &self.files {
            Some(files) if !is_script_method(exchange) => files.handle(exchange),
            _ => respond_not_cgi(exchange),
        }
    }

    /// One request: the script it is for, from its body to its end.
    fn run(&self, exchange: &mut Exchange<'_>) -> io::Result<ScriptOutcome> {
        let script = match self.scripts.resolve(exchange)? {
            Resolution::NotScript => return Ok(ScriptOutcome::NotScript),
            Resolution::Responded => return Ok(ScriptOutcome::Responded),
            Resolution::Script(script) => script,
        };
        let body = self.receive(exchange)?;
        let Some(permit) = self.enter(exchange, &script)? else {
            return Ok(ScriptOutcome::Responded);
        };
        let started = self
            .scripts
            .prepare_script(exchange, &script, exchange.local_addr()?, body)
            .start(permit);
        let Some(mut run) = self.scripts.started(exchange, &script, started)? else {
            return Ok(ScriptOutcome::Responded);
        };
        let mut woken = Woken::default();
        loop {
            let (turn, connection) = exchange.parts();
            match run.step(turn, woken, connection)? {
                JobStep::Flush => exchange.flush()?,
                JobStep::Wait(most) => {
                    let client = turn.machine.owed().map(|_| connection.as_fd());
                    woken = run.process.wait(client, most)?;
                }
                JobStep::LocalRedirect(target) => {
                    return Ok(ScriptOutcome::LocalRedirect(again::request(
                        &exchange.head(),
                        &target,
                    )));
                }
                JobStep::Done => return Ok(ScriptOutcome::Responded),
            }
        }
    }

    /// The request's whole body.
    fn receive(&self, exchange: &mut Exchange<'_>) -> io::Result<Option<RequestBody>> {
        let Some(mut body) =
            RequestBody::for_request(&exchange.head(), self.scripts.settings().body_buffer)
        else {
            return Ok(None);
        };
        loop {
            match exchange.body().read(body.space())? {
                0 => return Ok(Some(body)),
                n if body.filled(n) => {
                    body = body.spill();
                    if body.has_failed() {
                        return Ok(Some(body));
                    }
                }
                _ => {}
            }
        }
    }

    /// A permit among the running scripts, waited for if need be; `None` when there is none and that
    /// was answered.
    fn enter(&self, exchange: &mut Exchange<'_>, script: &Script) -> io::Result<Option<Permit>> {
        if let Some(permit) = self.scripts.process_limit().try_acquire() {
            return Ok(Some(permit));
        }
        exchange.flush()?; // earlier answers do not wait with it
        let why = match self.scripts.queue() {
            Err(full) => full,
            Ok(mut queue) => loop {
                let turn = queue.listen();
                match queue.poll(exchange.parts().1) {
                    Ok(PermitPoll::Granted(permit)) => return Ok(Some(permit)),
                    Ok(PermitPoll::Wait(most)) => drop(turn.wait_timeout(most)),
                    Err(why) => break why,
                }
            },
        };
        respond_unavailable(exchange, script, why).map(|()| None)
    }
}

impl Handler for Cgi {
    fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(exchange)
    }
    fn post(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(exchange)
    }
    fn put(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(exchange)
    }
    fn delete(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(exchange)
    }
    fn options(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(exchange)
    }
    fn patch(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(exchange)
    }
    fn fallback(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(exchange)
    }
    fn on_grace_expired(&self) {
        self.scripts.process_limit().close();
    }
    fn on_stopped(&self, how: &ShutdownReport) {
        self.scripts.process_limit().drain(how.time_left);
    }
}
