//! The socket of one connection: read, send, and know when it has taken too long.
//!
//! The calls themselves are plain ones on the inner socket; the reactor is asked only when they
//! would wait, and hears of the socket only then. No timer is set: what is waited for stands in the
//! connection's [`ConnectionHandle`], and the sweep wakes who is late.

use std::fs::File;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read};
use std::mem;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use async_io::{Async, Timer};
use doorstep_core::http1::{Connection, Inbox, Outbox, Storage, Waiting};
use doorstep_driver::connections::{ConnectionHandle, EVICTION_WAIT, Eviction};
use doorstep_driver::files;
use doorstep_driver::net;

use crate::connection_guard::{ConnectionGuard, Shared};
use crate::thread_pool::ThreadPool;

/// One connection's socket.
pub(crate) struct Socket<'l> {
    /// The socket as the reactor knows it; dropped before the guard.
    registered: OnceLock<Async<Registered>>,
    guard: ConnectionGuard<'l>,
}

struct Registered(Arc<ConnectionHandle>);

impl AsFd for Registered {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl<'l> Socket<'l> {
    pub(crate) fn new(guard: ConnectionGuard<'l>) -> Self {
        Self { registered: OnceLock::new(), guard }
    }

    pub(crate) fn connection(&self) -> &ConnectionHandle {
        &self.guard.connection
    }

    pub(crate) fn shared_connection(&self) -> Arc<ConnectionHandle> {
        self.guard.connection.clone()
    }

    /// Evicts another connection, if one can be, and waits a moment for its descriptor.
    pub(crate) async fn evict_for_descriptor(&self) {
        let Shared { connections, config, .. } = self.guard.shared;
        let left = connections.listen_unregister();
        if let Eviction::Started = connections.evict_for_descriptor(config) {
            let late = async { _ = Timer::after(EVICTION_WAIT).await };
            smol::future::or(left, late).await;
        }
    }

    /// Where what may wait is done.
    pub(crate) fn pool(&self) -> &'l ThreadPool {
        self.guard.shared.pool
    }

    /// The socket to wait for. A connection that never waits costs the reactor nothing.
    fn registered(&self) -> io::Result<&Async<Registered>> {
        if let Some(watched) = self.registered.get() {
            return Ok(watched);
        }
        let watched = Async::new_nonblocking(Registered(self.guard.connection.clone()))?;
        Ok(self.registered.get_or_init(|| watched))
    }

    /// The socket itself, which never waits.
    pub(crate) fn stream(&self) -> &TcpStream {
        self.connection().stream()
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.connection().peer()
    }

    /// Waits for the next request, or for the end of input, holding nothing.
    pub(crate) fn idle(&self) -> impl Future<Output = io::Result<()>> {
        let mut waits = false;
        poll_fn(move |cx| {
            if !mem::replace(&mut waits, true) {
                self.connection().begin_wait(Waiting::Idle);
            }
            ready!(self.registered()?.poll_readable(cx))?;
            self.connection().end_wait();
            Poll::Ready(Ok(())) // even if it must leave: a request may have come in this moment
        })
    }

    /// Reads what is there; [`ErrorKind::WouldBlock`] when nothing is.
    pub(crate) fn try_fill<S: Storage>(&self, inbox: &mut Inbox<S>) -> io::Result<usize> {
        loop {
            match inbox.fill(&mut self.stream()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                filled => return filled,
            }
        }
    }

    /// Reads once: how many bytes, 0 at the end of input. [`ErrorKind::TimedOut`] when the peer
    /// was too slow.
    pub(crate) async fn fill<S: Storage>(
        &self,
        inbox: &mut Inbox<S>,
        waiting: Waiting,
    ) -> io::Result<usize> {
        let mut read = || inbox.fill(&mut self.stream());
        poll_fn(|cx| self.poll_read(cx, waiting, &mut read)).await
    }

    /// Reads once by `read`, as soon as that does not wait.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        waiting: Waiting,
        read: &mut dyn FnMut() -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match read() {
                Ok(0) if self.connection().has_timed_out() => {
                    return Poll::Ready(Err(self.connection().timeout_error()));
                }
                Ok(n) => {
                    self.connection().end_wait();
                    if matches!(waiting, Waiting::Body | Waiting::Linger) {
                        self.connection().record_bytes(n);
                    }
                    return Poll::Ready(Ok(n));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            self.connection().begin_wait(waiting);
            ready!(self.registered()?.poll_readable(cx))?;
        }
    }

    /// Sends everything that is in the outbox; `more` says that a file follows at once.
    pub(crate) async fn flush(
        &self,
        connection: &Connection,
        outbox: &mut Outbox,
        more: bool,
    ) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx, connection, outbox, more)).await
    }

    /// The same for who polls.
    pub(crate) fn poll_flush(
        &self,
        cx: &mut Context<'_>,
        connection: &Connection,
        outbox: &mut Outbox,
        more: bool,
    ) -> Poll<io::Result<()>> {
        self.connection().set_reset_on_close(connection.ends_by_closing());
        while !outbox.is_empty() {
            let socket = self.stream();
            let mut send = || net::send(socket, outbox.unsent(), more);
            let n = ready!(self.poll_write(cx, &mut send))?;
            outbox.sent(n);
        }
        Poll::Ready(Ok(()))
    }

    /// Sends `count` bytes of a file by the shortest way, one fair share at a time, so that others
    /// have their turn in between. An early end of the file is [`ErrorKind::UnexpectedEof`]. `sent`
    /// counts what went.
    pub(crate) async fn send_file(
        &self,
        file: &File,
        offset: u64,
        count: u64,
        sent: &mut u64,
    ) -> io::Result<()> {
        let socket = self.stream();
        let watch = files::Watch::over(file, count)?;
        loop {
            watch.before_turn(file, count - *sent)?;
            let mut send = || net::send_file(socket, file, offset + *sent, count - *sent);
            let n = poll_fn(|cx| self.poll_write(cx, &mut send)).await?;
            *sent += n as u64;
            match n {
                _ if *sent >= count => return Ok(()),
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                _ => smol::future::yield_now().await,
            }
        }
    }

    /// Writes once by `write`, as soon as that does not wait.
    fn poll_write(
        &self,
        cx: &mut Context<'_>,
        write: &mut dyn FnMut() -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match write() {
                Ok(n) => {
                    self.connection().end_wait();
                    self.connection().record_bytes(n);
                    return Poll::Ready(Ok(n));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) if self.connection().has_timed_out() => {
                    return Poll::Ready(Err(self.connection().timeout_error()));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
            self.connection().begin_wait(Waiting::Peer);
            ready!(self.registered()?.poll_writable(cx))?;
        }
    }

    /// The answer is out and the peer may still be sending: says FIN, then reads and forgets for a
    /// while, so that a reset cannot destroy the answer on its way (B-288, RFC 9112 §9.6).
    pub(crate) async fn linger(&self) {
        let stream = self.stream();
        if stream.shutdown(Shutdown::Write).is_err() {
            return;
        }
        let mut forgotten = vec![0; 16 << 10]; // not in the future, which would hold it all along
        let mut total = 0;
        while total < self.guard.shared.config.max_linger_bytes {
            let mut read = || (&*stream).read(&mut forgotten);
            match poll_fn(|cx| self.poll_read(cx, Waiting::Linger, &mut read)).await {
                Ok(0) | Err(_) => return,
                Ok(n) => total += n as u64,
            }
            smol::future::yield_now().await; // the socket of a fast uploader is always readable
        }
    }

    /// The socket for another protocol.
    pub(crate) fn try_clone(&self) -> io::Result<Async<TcpStream>> {
        Async::new_nonblocking(self.stream().try_clone()?)
    }
}
