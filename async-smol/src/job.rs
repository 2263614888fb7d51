//! Carries out what a job of the driver crate waits for: files, listings, scripts, authentication.

use std::io;

use async_io::Timer;
use doorstep_driver::Observer;
#[cfg(feature = "auth")]
use doorstep_driver::auth::WithAuth;
use doorstep_driver::cgi::Cgi;
use doorstep_driver::files::Files;
use doorstep_driver::job::{Job, JobStep};
use smol::future;
use smol::io::AsyncReadExt;

use crate::exchange::Exchange;
use crate::handler::Handler;
use crate::process_io::ProcessIo;

impl Exchange<'_> {
    /// Runs the script that the request is for. Returns whether there is one; if not, nothing was
    /// responded.
    ///
    /// # Errors
    /// Returns the error of the socket or of the script.
    ///
    /// # Cancel safety
    /// If the future is dropped, the script gets SIGTERM and, a second later
    /// ([`CgiSettings::kill_delay`](crate::CgiSettings::kill_delay)), SIGKILL. If a response has begun,
    /// it is incomplete.
    pub async fn run_script(&mut self, scripts: &Cgi) -> io::Result<bool> {
        run(self, &mut scripts.job().only_scripts()).await
    }
}

/// Runs a job to its end. Returns whether it has responded.
async fn run(exchange: &mut Exchange<'_>, job: &mut impl Job) -> io::Result<bool> {
    loop {
        match job.step(exchange.state())? {
            JobStep::Done => return Ok(true),
            JobStep::Declined => return Ok(false),
            JobStep::SendFile(file, offset, count) => {
                exchange.send_file(&file, offset, count).await?;
            }
            // On the heap: most requests are for files, and do not need the room for it.
            step => return Box::pin(run_from(exchange, job, step)).await,
        }
    }
}

async fn run_from(
    exchange: &mut Exchange<'_>,
    job: &mut impl Job,
    mut step: JobStep,
) -> io::Result<bool> {
    let mut process_io = None;
    loop {
        match step {
            JobStep::Flush => exchange.flush().await?,
            JobStep::SendFile(file, offset, count) => {
                exchange.send_file(&file, offset, count).await?;
            }
            JobStep::Evict => exchange.socket().evict_for_descriptor().await,
            JobStep::Block(work) => {
                process_io = None; // it may start another process
                exchange.unblock(work).await;
            }
            JobStep::ReadBody => match exchange.body().read(job.body_space()).await {
                Ok(n) => job.body_read(n),
                Err(error) => job.body_failed(error)?,
            },
            JobStep::Wait(listener, timeout) => {
                process_io = None; // the process before a local redirect has ended
                let late = async { _ = Timer::after(timeout).await };
                future::or(listener, late).await;
            }
            JobStep::WaitProcess(timeout) => {
                if let Some(process) = job.process() {
                    let io = process_io.take().map_or_else(|| ProcessIo::new(process), Ok)?;
                    let io = process_io.insert(io);
                    let ready = io.wait(process, timeout).await?;
                    job.process_ready(ready);
                }
            }
            JobStep::Declined => return Ok(false),
            JobStep::Done => return Ok(true),
        }
        step = job.step(exchange.state())?;
    }
}

impl Handler for Files {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        run(exchange, &mut self.job()).await.map(drop)
    }
    async fn fallback(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.handle(exchange).await
    }
}

impl Handler for Cgi {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        run(exchange, &mut self.job()).await.map(drop)
    }
    async fn fallback(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.handle(exchange).await
    }
    fn observer(&self) -> &dyn Observer {
        self
    }
}

/// The result of [`Handler::with_auth`].
#[cfg(feature = "auth")]
impl<H: Handler> Handler for WithAuth<H> {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        match run(exchange, &mut self.auth().job()).await? {
            true => Ok(()), // refused
            false => self.handler().handle(exchange).await,
        }
    }
    async fn fallback(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.handle(exchange).await
    }
    fn observer(&self) -> &dyn Observer {
        self.handler().observer()
    }
}
