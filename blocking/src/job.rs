//! Carries out what a job of the driver crate waits for: files, listings, scripts, authentication.

use std::io::{self, Read};

use doorstep_driver::Observer;
#[cfg(feature = "auth")]
use doorstep_driver::auth::WithAuth;
use doorstep_driver::cgi::Cgi;
use doorstep_driver::event_listener::Listener;
use doorstep_driver::files::Files;
use doorstep_driver::job::{Job, JobStep};

use crate::exchange::Exchange;
use crate::handler::Handler;

impl Exchange<'_> {
    /// Runs the script that the request is for. Returns whether there is one; if not, nothing was
    /// responded.
    ///
    /// # Errors
    /// Returns the error of the socket or of the script.
    pub fn run_script(&mut self, scripts: &Cgi) -> io::Result<bool> {
        run(self, &mut scripts.job().only_scripts())
    }
}

/// Runs a job to its end. Returns whether it has responded.
fn run(exchange: &mut Exchange<'_>, job: &mut impl Job) -> io::Result<bool> {
    loop {
        match job.step(exchange.state())? {
            JobStep::Flush => exchange.flush()?,
            JobStep::SendFile(file, offset, count) => exchange.send_file(&file, offset, count)?,
            JobStep::Evict => exchange.socket().evict_for_descriptor(),
            JobStep::Block(work) => work(),
            JobStep::ReadBody => match exchange.body().read(job.body_space()) {
                Ok(n) => job.body_read(n),
                Err(error) => job.body_failed(error)?,
            },
            JobStep::Wait(listener, timeout) => drop(listener.wait_timeout(timeout)),
            JobStep::WaitProcess(timeout) => {
                let owes_response = exchange.state().owes_response();
                let stream = exchange.socket().connection().stream();
                let client = stream.fd().filter(|_| owes_response);
                if let Some(process) = job.process() {
                    let ready = process.wait_ready(client, timeout)?;
                    job.process_ready(ready);
                }
            }
            JobStep::Declined => return Ok(false),
            JobStep::Done => return Ok(true),
        }
    }
}

impl Handler for Files {
    fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        run(exchange, &mut self.job()).map(drop)
    }
    fn fallback(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.handle(exchange)
    }
}

impl Handler for Cgi {
    fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        run(exchange, &mut self.job()).map(drop)
    }
    fn fallback(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.handle(exchange)
    }
    fn observer(&self) -> &dyn Observer {
        self
    }
}

/// The result of [`Handler::with_auth`].
#[cfg(feature = "auth")]
impl<H: Handler> Handler for WithAuth<H> {
    fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        match run(exchange, &mut self.auth().job())? {
            true => Ok(()), // refused
            false => self.handler().handle(exchange),
        }
    }
    fn fallback(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.handle(exchange)
    }
    fn observer(&self) -> &dyn Observer {
        self.handler().observer()
    }
}
