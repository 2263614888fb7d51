//! The socket of one connection: the driver's calls, which never wait, and tokio's readiness.

use std::os::fd::BorrowedFd;
use std::{future::poll_fn, io, task::Poll};

use doorstep_driver::connections::SharedRegistration;
use doorstep_driver::core::http1::{Outbox, WaitingFor};
use tokio::io::{Interest, unix::AsyncFd};
use tokio::task::consume_budget;

/// One connection's socket.
pub struct Socket<'s> {
    pub connection: &'s SharedRegistration,
    /// `None` in memory, where nothing has to be waited for.
    watched: Option<AsyncFd<BorrowedFd<'s>>>,
}

impl<'s> Socket<'s> {
    pub fn new(connection: &'s SharedRegistration) -> io::Result<Self> {
        let watch = |fd| watch(fd, Interest::READABLE | Interest::WRITABLE);
        let watched = connection.stream().fd().map(watch).transpose()?;
        Ok(Self { connection, watched })
    }

    /// Repeats `call`, which never waits, until it has a result. Meanwhile the table of connections
    /// has what is waited for, so that the sweep can end a wait that takes too long.
    pub async fn wait<T>(
        &self,
        waiting: WaitingFor,
        mut call: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        let _wait = self.connection.wait_guard(); // it pauses as well if this future is dropped
        self.connection.begin_wait(waiting);
        loop {
            consume_budget().await; // a client that is always ready lets others have a turn
            let Some(watched) = &self.watched else { return call() };
            let mut ready = match waiting {
                WaitingFor::Writable => watched.writable().await?,
                _ => watched.readable().await?,
            };
            if let Ok(result) = ready.try_io(|_| call()) {
                return result;
            }
        }
    }

    pub async fn flush(&self, outbox: &mut Outbox, more: bool) -> io::Result<()> {
        self.wait(WaitingFor::Writable, || self.connection.flush(outbox, more)).await
    }
}

#[allow(deprecated, reason = "safe code has no other call; what is borrowed stays open")]
fn watch(source: BorrowedFd<'_>, interest: Interest) -> io::Result<AsyncFd<BorrowedFd<'_>>> {
    AsyncFd::with_interest(source, interest)
}

/// Waits until one of `sources` is readable. They are watched anew each time: tokio would remember
/// that they were readable before.
pub async fn readable(sources: impl Iterator<Item = BorrowedFd<'_>>) -> io::Result<()> {
    let watched = sources.map(|source| watch(source, Interest::READABLE));
    let watched = watched.collect::<io::Result<Vec<_>>>()?;
    poll_fn(|cx| match watched.iter().any(|source| source.poll_read_ready(cx).is_ready()) {
        true => Poll::Ready(Ok(())),
        false => Poll::Pending,
    })
    .await
}
