//! Scripts as a handler: CGI/1.1 (RFC 3875) below a directory.
//!
//! The same as the blocking driver's but for the waiting. What may take the system long is done on
//! the server's thread pool: starting a process, and writing a large body to disk.
//!
//! ```no_run
//! use doorstep_async_smol::scripts::Settings;
//! use doorstep_async_smol::{Cgi, Files, Server};
//!
//! let scripts = Cgi::new(".", Settings::default())?.with_fallback(Files::new(".")?);
//! smol::block_on(Server::bind("127.0.0.1:8000")?.serve(scripts))
//! # ;Ok::<(), std::io::Error>(())
//! ```

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_io::Timer;
use doorstep_core::cgi::again;
use doorstep_core::cgi::route::Script;
use doorstep_driver::ShutdownReport;
use doorstep_driver::cgi::{
    CgiSettings, JobStep, MAX_LOCAL_REDIRECTS, PermitPoll, RequestBody, Resolution,
    ScriptDirectory, ScriptOutcome, is_script_method, parse_head, respond_not_cgi,
    respond_redirect_loop, respond_unavailable,
};
use doorstep_driver::os::{Stopwatch, Woken};
use doorstep_driver::semaphore::{Permit, Semaphore};
use smol::future;
use smol::io::AsyncReadExt;

use crate::exchange::Exchange;
use crate::files::Files;
use crate::handler::Handler;
use crate::process_io::ProcessIo;

/// How long the end of scripts that were killed is waited for.
const KILL_WAIT: Duration = Duration::from_millis(500);

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
    pub async fn serve(&self, exchange: &mut Exchange<'_>) -> io::Result<bool> {
        let mut head = match self.run(exchange).await? {
            ScriptOutcome::NotScript => return Ok(false),
            ScriptOutcome::Responded => return Ok(true),
            ScriptOutcome::LocalRedirect(head) => head,
        };
        for _ in 0..MAX_LOCAL_REDIRECTS {
            let Some(offsets) = parse_head(&head) else { break };
            let mut instead = exchange.internal_redirect(offsets.view(&head));
            let came = match self.run(&mut instead).await {
                Ok(ScriptOutcome::NotScript) => {
                    self.elsewhere(&mut instead).await.map(|()| ScriptOutcome::Responded)
                }
                came => came,
            };
            exchange.record = instead.into_state().record;
            match came? {
                ScriptOutcome::LocalRedirect(next) => head = next,
                _ => return Ok(true),
            }
        }
        respond_redirect_loop(exchange).map(|()| true)
    }

    async fn answer(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        if self.serve(exchange).await? { Ok(()) } else { self.elsewhere(exchange).await }
    }

    /// Answers what is for no script.
    async fn elsewhere(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        match &self.files {
            Some(files) if !is_script_method(exchange) => files.handle(exchange).await,
            _ => respond_not_cgi(exchange),
        }
    }

    /// One request: the script it is for, from its body to its end.
    async fn run(&self, exchange: &mut Exchange<'_>) -> io::Result<ScriptOutcome> {
        let script = match self.scripts.resolve(exchange)? {
            Resolution::NotScript => return Ok(ScriptOutcome::NotScript),
            Resolution::Responded => return Ok(ScriptOutcome::Responded),
            Resolution::Script(script) => script,
        };
        let body = self.receive(exchange).await?;
        let Some(permit) = self.enter(exchange, &script).await? else {
            return Ok(ScriptOutcome::Responded);
        };
        let launch = self.scripts.prepare_script(exchange, &script, exchange.local_addr()?, body);
        let started = exchange.unblock(move || launch.start(permit)).await;
        let Some(mut run) = self.scripts.started(exchange, &script, started)? else {
            return Ok(ScriptOutcome::Responded);
        };
        let mut watch = ProcessIo::new(&run.process)?;
        let mut woken = Woken::default();
        loop {
            let (turn, connection) = exchange.parts();
            match run.step(turn, woken, connection)? {
                JobStep::Flush => exchange.flush().await?,
                JobStep::Wait(most) => woken = watch.wait(&mut run.process, most).await?,
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
    async fn receive(&self, exchange: &mut Exchange<'_>) -> io::Result<Option<RequestBody>> {
        let Some(mut body) =
            RequestBody::for_request(&exchange.head(), self.scripts.settings().body_buffer)
        else {
            return Ok(None);
        };
        loop {
            match exchange.body().read(body.space()).await? {
                0 => return Ok(Some(body)),
                n if body.filled(n) => {
                    body = exchange.unblock(move || body.spill()).await;
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
    async fn enter(
        &self,
        exchange: &mut Exchange<'_>,
        script: &Script,
    ) -> io::Result<Option<Permit>> {
        if let Some(permit) = self.scripts.process_limit().try_acquire() {
            return Ok(Some(permit));
        }
        exchange.flush().await?; // earlier answers do not wait with it
        let why = match self.scripts.queue() {
            Err(full) => full,
            Ok(mut queue) => loop {
                let turn = queue.listen();
                match queue.poll(exchange.parts().1) {
                    Ok(PermitPoll::Granted(permit)) => return Ok(Some(permit)),
                    Ok(PermitPoll::Wait(most)) => {
                        let late = async { _ = Timer::after(most).await };
                        future::or(turn, late).await;
                    }
                    Err(why) => break why,
                }
            },
        };
        respond_unavailable(exchange, script, why).map(|()| None)
    }
}

impl Handler for Cgi {
    async fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(exchange).await
    }
    async fn post(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(exchange).await
    }
    async fn put(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(exchange).await
    }
    async fn delete(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(exchange).await
    }
    async fn options(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(exchange).await
    }
    async fn patch(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(exchange).await
    }
    async fn fallback(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.answer(exchange).await
    }
    fn on_grace_expired(&self) {
        self.scripts.process_limit().close();
    }
    async fn on_stopped(&self, how: &ShutdownReport) {
        let places = self.scripts.process_limit();
        places.close();
        future::or(places.idle(), running_time(how.time_left)).await;
        places.kill_all(); // whoever is left
        future::or(places.idle(), running_time(KILL_WAIT)).await;
    }
}

/// Waits for so long, without time in which the process stands still.
async fn running_time(most: Duration) {
    let mut waited = Stopwatch::default();
    while let Some(step) = waited.next_step(most) {
        Timer::after(step).await;
    }
}
