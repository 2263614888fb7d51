//! Carries out what a job of the driver crate waits for: files, listings, scripts.

use std::{io, panic, time::Duration};

use super::{Exchange, Handler, socket::readable};
use doorstep_driver::connections::Eviction;
use doorstep_driver::{Cgi, Files, Job, JobStep, Observer};
use tokio::{io::AsyncReadExt, task, time::timeout};

/// Runs a job to its end.
async fn run(x: &mut Exchange<'_>, mut job: impl Job) -> io::Result<()> {
    loop {
        match job.step(&mut x.state)? {
            JobStep::Flush => x.flush().await?,
            JobStep::SendFile(file, offset, count) => x.send_file(&file, offset, count).await?,
            JobStep::Evict => {
                let (connections, config) = (x.socket.connection.connections(), x.state.config());
                let closed = connections.listen_unregister();
                if let Eviction::Started = connections.evict_for_descriptor(config) {
                    let _ = timeout(config.descriptor_wait, closed).await;
                }
            }
            JobStep::Block(work) => match task::spawn_blocking(work).await {
                Err(error) if error.is_panic() => panic::resume_unwind(error.into_panic()),
                done => done?,
            },
            JobStep::ReadBody => {
                let n = x.body().read(job.body_space()).await?;
                job.body_read(n);
            }
            JobStep::Wait(notified, limit) => drop(timeout(limit, notified).await),
            JobStep::WaitProcess(limit) => {
                if let Some(process) = job.process() {
                    let readable = readable(process.sources().into_iter());
                    timeout(limit, readable).await.unwrap_or(Ok(()))?;
                    let ready = process.wait_ready(None, Duration::ZERO)?;
                    job.process_ready(ready);
                }
            }
            JobStep::Declined | JobStep::Done => return Ok(()),
        }
    }
}

// All other methods lead there.
impl Handler for Files {
    async fn fallback(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        run(x, self.job()).await
    }
}

impl Handler for Cgi {
    async fn fallback(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        run(x, self.job()).await
    }
    fn observer(&self) -> &dyn Observer {
        self
    }
}
