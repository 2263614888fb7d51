//! A worker's poller on systems other than Linux: async-io's reactor, which all workers share.
//!
//! `poller.rs` has the same interface, and says what it is for. What is reported to a [`Source`] there
//! need not be here: async-io looks again for each wait.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_io::{Async, Timer};
use doorstep_driver::connections::{ConnectionHandle, Pollable};
use doorstep_driver::net::PeerState;
use smol::future;

/// Nothing of its own.
#[derive(Debug)]
pub(crate) struct Poller;

/// A descriptor that is registered with async-io.
#[derive(Debug)]
pub(crate) struct Source(Async<Watched>);

#[derive(Debug)]
enum Watched {
    Connection(Pollable),
    /// A descriptor of its own: async-io takes each only once.
    Listener(OwnedFd),
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Connection(connection) => connection.as_fd(),
            Self::Listener(listener) => listener.as_fd(),
        }
    }
}

impl Poller {
    #[expect(clippy::unnecessary_wraps, reason = "it is fallible on Linux")]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) fn connection(
        &self,
        connection: &Arc<ConnectionHandle>,
    ) -> io::Result<Option<Source>> {
        let Some(pollable) = connection.pollable() else { return Ok(None) };
        Async::new_nonblocking(Watched::Connection(pollable)).map(|watched| Some(Source(watched)))
    }

    pub(crate) fn listener(&self, listener: BorrowedFd<'_>) -> io::Result<Source> {
        let listener = Watched::Listener(listener.try_clone_to_owned()?);
        Async::new_nonblocking(listener).map(Source)
    }

    pub(crate) async fn drive<T>(&self) -> io::Result<T> {
        future::pending().await
    }
}

impl Source {
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_readable(cx)
    }

    pub(crate) fn poll_writable(
        &self,
        _fd: BorrowedFd<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.poll_writable(cx)
    }

    pub(crate) fn drained(&self, _would_block: bool) {}

    pub(crate) fn filled(&self) {}

    /// Waits until the peer's state has changed, at least for `interval` if there is something to
    /// read. Not by [`Source::poll_readable`], which knows one task only: another may be reading the
    /// body.
    pub(crate) async fn changed(&self, interval: Duration) {
        let _ = self.0.readable().await;
        if PeerState::of(self.0.get_ref()) == PeerState::Open {
            Timer::after(interval).await;
        }
    }

    pub(crate) fn set_duplicated(&self) {}

    pub(crate) fn close(&self, _fd: BorrowedFd<'_>) {}
}

#[expect(clippy::unnecessary_wraps, reason = "it is fallible on Linux")]
pub(crate) fn block_on<T>(_poller: &Poller, future: impl Future<Output = T>) -> io::Result<T> {
    Ok(async_io::block_on(future))
}
