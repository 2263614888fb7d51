//! The socket of one connection: read, send, and wait for either.
//!
//! The calls are plain ones on the socket. The poller is asked only when they would wait, and a
//! connection that never waits is never registered with it. No timer is set: what is waited for
//! stands in the table of connections, and the sweep wakes those that wait for too long.

use std::future::poll_fn;
use std::io::{self, ErrorKind, Read};
use std::mem;
use std::net::TcpStream;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_io::{Async, Timer};
use doorstep_core::http1::{Inbox, Outbox, Storage, WaitingFor};
use doorstep_driver::Config;
use doorstep_driver::connections::{ConnectionHandle, Connections, Eviction, Registration};
use doorstep_driver::files::FileTransfer;
use doorstep_driver::net::{PeerState, Stream};
use smol::future;

use crate::blocking_pool::BlockingPool;
use crate::poller::{Poller, Source};

/// What all connections of a worker share. Each has one reference to it, since an idle connection is
/// to be small.
pub(crate) struct Shared<'w> {
    pub(crate) config: &'w Config,
    pub(crate) pool: &'w BlockingPool,
    /// `None` if all connections are in memory.
    pub(crate) poller: Option<&'w Poller>,
}

/// One connection's socket. Dropping it closes the connection.
pub(crate) struct Socket<'w> {
    /// The socket as the poller knows it. Dropped before the connection is unregistered.
    source: OnceLock<Source>,
    connection: Registration<'w>,
    shared: &'w Shared<'w>,
}

impl<'w> Socket<'w> {
    pub(crate) fn new(connection: Registration<'w>, shared: &'w Shared<'w>) -> Self {
        Self { source: OnceLock::new(), connection, shared }
    }

    pub(crate) fn connection(&self) -> &Arc<ConnectionHandle> {
        &self.connection
    }

    /// The table of all connections.
    pub(crate) fn connections(&self) -> &'w Connections {
        self.connection.connections()
    }

    /// The threads for work that may wait.
    pub(crate) fn pool(&self) -> &'w BlockingPool {
        self.shared.pool
    }

    /// A second handle of the socket, for another protocol. A connection in memory has none.
    pub(crate) fn try_clone(&self) -> io::Result<Async<TcpStream>> {
        let clone = self.connection.stream().try_clone_socket()?;
        if let Some(source) = self.source()? {
            source.set_duplicated();
        }
        Async::new_nonblocking(clone)
    }

    /// Evicts another connection, if one can be evicted, and waits a moment for its descriptor.
    pub(crate) async fn evict_for_descriptor(&self) {
        let (connections, config) = (self.connection.connections(), self.shared.config);
        let closed = connections.listen_unregister();
        if let Eviction::Started = connections.evict_for_descriptor(config) {
            let late = async { _ = Timer::after(config.descriptor_wait).await };
            future::or(closed, late).await;
        }
    }

    /// Waits for the next request or the end of input, without a buffer.
    pub(crate) fn idle(&self) -> impl Future<Output = io::Result<()>> {
        let mut waits = false;
        poll_fn(move |cx| {
            if !mem::replace(&mut waits, true) {
                self.connection.begin_wait(WaitingFor::Request);
            }
            if let Some(source) = self.source()? {
                ready!(self.poll_input(source, cx))?;
            }
            self.connection.pause_wait();
            Poll::Ready(Ok(())) // even if it must close: a request may have come in this moment
        })
    }

    /// Reads what has arrived; [`ErrorKind::WouldBlock`] if nothing has.
    pub(crate) fn try_fill<S: Storage>(&self, inbox: &mut Inbox<S>) -> io::Result<usize> {
        self.read(WaitingFor::Request, |stream| inbox.fill(stream))
    }

    /// Reads once into the inbox. Returns the number of bytes, 0 at the end of input.
    pub(crate) async fn fill<S: Storage>(
        &self,
        inbox: &mut Inbox<S>,
        waiting: WaitingFor,
    ) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx, waiting, |stream| inbox.fill(stream))).await
    }

    /// Reads once and forgets what was read.
    pub(crate) async fn discard(&self) -> io::Result<usize> {
        future::yield_now().await; // the socket of a fast sender is always readable
        poll_fn(|cx| {
            let mut buffer = [0; 16 << 10]; // on the stack: not in the future
            self.poll_read(cx, WaitingFor::Linger, |stream| stream.read(&mut buffer))
        })
        .await
    }

    /// Reads once by `read`.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        waiting: WaitingFor,
        mut read: impl FnMut(&mut Reader<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.read(waiting, &mut read) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => {
                    self.connection.pause_wait();
                    return Poll::Ready(result);
                }
            }
            self.connection.begin_wait(waiting);
            if let Some(source) = self.source()? {
                ready!(self.poll_input(source, cx))?;
            }
        }
    }

    /// Whether it is worth reading. An encrypted stream may have decrypted something already, or wait
    /// to send a part of the handshake before the client sends anything.
    fn poll_input(&self, source: &Source, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.connection.stream();
        if stream.has_more() {
            return Poll::Ready(Ok(()));
        }
        if stream.wants_write()
            && let Some(fd) = stream.fd()
        {
            let writable = source.poll_writable(fd, cx)?;
            if writable.is_ready() {
                return Poll::Ready(Ok(()));
            }
        }
        source.poll_readable(cx)
    }

    /// Reads once by `read`, and tells the poller if that was all.
    fn read(
        &self,
        waiting: WaitingFor,
        mut read: impl FnMut(&mut Reader<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut drained = false;
        let result = self.connection.read(waiting, |stream| {
            let mut reader = Reader { stream, drained: false };
            let result = read(&mut reader);
            drained = reader.drained;
            result
        });
        if drained && let Some(source) = self.source.get() {
            source.drained(result.is_err());
            if self.connection.stream().wants_write() {
                source.filled();
            }
        }
        result
    }

    /// Sends everything that is in the outbox; `more` says that a file follows at once.
    pub(crate) async fn flush(&self, outbox: &mut Outbox, more: bool) -> io::Result<()> {
        let _wait = self.connection.wait_guard();
        poll_fn(|cx| self.poll_flush(cx, outbox, more)).await
    }

    pub(crate) fn poll_flush(
        &self,
        cx: &mut Context<'_>,
        outbox: &mut Outbox,
        more: bool,
    ) -> Poll<io::Result<()>> {
        while !outbox.is_empty() {
            let send = |stream: &Stream| stream.send(outbox.unsent(), more);
            let n = ready!(self.poll_send(cx, send))?;
            outbox.sent(n);
        }
        Poll::Ready(Ok(()))
    }

    /// Sends one part of a file. If this is dropped before it is done, nothing was sent.
    pub(crate) async fn send_part(&self, transfer: &mut FileTransfer<'_>) -> io::Result<()> {
        let _wait = self.connection.wait_guard();
        poll_fn(|cx| self.poll_send(cx, |stream| transfer.send(stream))).await.map(drop)
    }

    /// Sends once by `send`.
    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        mut send: impl FnMut(&Stream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.connection.send(&mut send) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => {
                    self.connection.pause_wait();
                    return Poll::Ready(result);
                }
            }
            self.connection.begin_wait(WaitingFor::Writable);
            if let (Some(source), Some(fd)) = (self.source()?, self.connection.stream().fd()) {
                source.filled();
                ready!(source.poll_writable(fd, cx))?;
            }
        }
    }

    /// Waits until the peer's state is another one than `before`, or may be; after a half-close at
    /// most for `interval`. Nothing is read.
    pub(crate) async fn peer_change(&self, before: PeerState, interval: Duration) {
        let timeout = async { _ = Timer::after(interval).await };
        let Ok(Some(source)) = self.source() else { return timeout.await };
        let changed = source.changed(interval);
        if self.connection.peer_state() == before {
            match before {
                PeerState::Open => changed.await,
                PeerState::HalfClosed | PeerState::Closed => future::or(changed, timeout).await,
            }
        }
    }

    /// The socket, registered with the poller now at the latest; `None` for a stream that never has
    /// to be waited for.
    fn source(&self) -> io::Result<Option<&Source>> {
        if let Some(source) = self.source.get() {
            return Ok(Some(source));
        }
        let Some(poller) = self.shared.poller else { return Ok(None) };
        let source = poller.connection(&self.connection)?;
        Ok(source.map(|source| self.source.get_or_init(|| source)))
    }
}

impl Drop for Socket<'_> {
    fn drop(&mut self) {
        if let (Some(source), Some(fd)) = (self.source.get(), self.connection.stream().fd()) {
            source.close(fd);
        }
    }
}

/// A stream, and whether everything was read from it.
pub(crate) struct Reader<'s> {
    stream: &'s Stream,
    /// The system has had less than was asked for.
    drained: bool,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.stream.read(buffer);
        self.drained = match &result {
            Ok(n) => *n < buffer.len() && !self.stream.has_more(),
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        };
        result
    }
}
