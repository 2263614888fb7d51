//! Waits in a task until a process has written something or has exited.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_io::{Async, Timer};
use doorstep_driver::os::{Pipe, Process, Readiness};
use smol::future::Future;

/// How often to check for the exit where the system cannot notify of it.
const EXIT_POLL: Duration = Duration::from_millis(10);

/// A process's descriptors, registered with the reactor.
pub(crate) struct ProcessIo {
    stdout: Option<Async<Pipe>>,
    stderr: Option<Async<Pipe>>,
    /// Registered when there is nothing else to wait for.
    exit: Option<Async<OwnedFd>>,
}

impl ProcessIo {
    pub(crate) fn new(process: &Process) -> io::Result<Self> {
        let watch = |pipe: &Option<Pipe>| pipe.clone().map(Async::new_nonblocking).transpose();
        Ok(Self { stdout: watch(&process.stdout)?, stderr: watch(&process.stderr)?, exit: None })
    }

    /// Waits until there is something to read or, once stdout has ended, until the process exits; at
    /// most for `timeout`. The same as [`Process::wait_ready`] on a thread.
    pub(crate) async fn wait(
        &mut self,
        process: &mut Process,
        timeout: Duration,
    ) -> io::Result<Readiness> {
        self.stdout.take_if(|_| process.stdout.is_none());
        self.stderr.take_if(|_| process.stderr.is_none());
        if self.stdout.is_none() && self.exit.is_none() {
            let Some(exit) = process.exit_fd() else {
                Timer::after(timeout.min(EXIT_POLL)).await;
                return Ok(Readiness { exit: process.has_exited(), ..Readiness::default() });
            };
            self.exit = Some(Async::new_nonblocking(exit.try_clone_to_owned()?)?);
        }
        let mut timer = Timer::after(timeout);
        Ok(poll_fn(|cx| match self.poll_ready(cx) {
            ready if ready != Readiness::default() => Poll::Ready(ready),
            nothing => Pin::new(&mut timer).poll(cx).map(|_| nothing),
        })
        .await)
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Readiness {
        Readiness {
            stdout: is_ready(self.stdout.as_ref(), cx),
            stderr: is_ready(self.stderr.as_ref(), cx),
            exit: is_ready(self.exit.as_ref(), cx),
        }
    }
}

/// Whether it is readable. An error counts: reading then returns it.
fn is_ready<T: AsFd>(source: Option<&Async<T>>, cx: &mut Context<'_>) -> bool {
    source.is_some_and(|source| source.poll_readable(cx).is_ready())
}
