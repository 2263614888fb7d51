//! What an application implements; and the driver crate's handlers, whose jobs run here.

use std::{io, panic, time::Duration};

use super::{Exchange, socket::readable};
use doorstep_driver::connections::Eviction;
use doorstep_driver::{Cgi, Files, Job, JobStep, Observer};
use tokio::{task, time::timeout};

macro_rules! methods {
    ($($name:literal: $method:ident calls $other:ident,)*) => {
        $(fn $method(&self, x: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
            self.$other(x)
        })*
        /// Calls `expect` if the client waits for `100 Continue`, and the method, unless it responds.
        fn dispatch(&self, x: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
            async {
                if x.expects_continue() {
                    self.expect(x).await?;
                    if x.has_responded() {
                        return Ok(());
                    }
                }
                match x.head().method() {
                    $($name => self.$method(x).await,)*
                    _ => self.fallback(x).await,
                }
            }
        }
    };
}

/// Responds to requests, many of them at once.
pub trait Handler: Send + Sync + 'static {
    methods! {
        b"GET": get calls fallback, b"HEAD": head calls get, b"POST": post calls fallback,
        b"PUT": put calls fallback, b"DELETE": delete calls fallback,
        b"OPTIONS": options calls fallback, b"PATCH": patch calls fallback,
    }
    /// Every other request.
    fn fallback(&self, x: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
        async { x.unsupported() }
    }
    /// The client waits for `100 Continue`: a response that is given here refuses the request.
    fn expect(&self, _: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
        async { Ok(()) }
    }
    /// Every request: this and `observer` is what the server calls, and what a wrapper forwards.
    fn handle(&self, x: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
        self.dispatch(x)
    }
    fn observer(&self) -> &dyn Observer {
        &()
    }
}

impl<F: Fn(&mut Exchange<'_>) -> io::Result<()> + Send + Sync + 'static> Handler for F {
    async fn handle(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        self(x)
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
            JobStep::ReadBody => match x.body().read(job.body_space()).await {
                Ok(n) => job.body_read(n),
                Err(error) => job.body_failed(error)?,
            },
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
