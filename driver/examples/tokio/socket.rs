//! The socket of one connection: the driver's calls, which never wait, and tokio's readiness.

use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, ready};
use std::{future::poll_fn, io};

use doorstep_driver::{connections::SharedRegistration, core::http1::WaitingFor};
use tokio::io::{Interest, unix::AsyncFd};

/// One connection's socket.
pub struct Socket<'s> {
    pub connection: &'s SharedRegistration,
    watched: AsyncFd<BorrowedFd<'s>>,
}

impl<'s> Socket<'s> {
    pub fn new(connection: &'s SharedRegistration) -> io::Result<Self> {
        let watched = watch(connection.as_fd(), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { connection, watched })
    }

    /// Repeats `call`, which never waits, until it has a result. Meanwhile the table of connections
    /// has what is waited for, so that the sweep can end a wait that takes too long.
    pub fn poll_wait<T>(
        &self,
        cx: &mut Context<'_>,
        waiting: WaitingFor,
        mut call: impl FnMut() -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        self.connection.begin_wait(waiting);
        loop {
            // Takes from the task's budget: a client that is always ready lets others have a turn.
            let mut guard = ready!(match waiting {
                WaitingFor::Writable => self.watched.poll_write_ready(cx),
                _ => self.watched.poll_read_ready(cx),
            })?;
            if let Ok(result) = guard.try_io(|_| call()) {
                self.connection.end_wait();
                return Poll::Ready(result);
            }
        }
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
