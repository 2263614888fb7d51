//! The socket of one connection: read, send, and know when it has taken too long.
//!
//! The calls themselves are plain ones on the inner socket; the reactor is asked only when they
//! would wait, and hears of the socket only then. No timer is set: what is waited for stands in the
//! connection's [`Seat`], and the sweep wakes who is late.

use std::fs::File;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read};
use std::mem;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use async_io::{Async, Timer};
use doorstep_core::http1::{Connection, Inbox, Outbox, Storage, WaitingFor};
use doorstep_driver::connections::{ROOM, Room, Seat};
use doorstep_driver::files;
use doorstep_driver::net;

use crate::guest::{Guest, Home};
use crate::thread_pool::ThreadPool;

/// One connection's socket.
pub(crate) struct Wire<'l> {
    /// The socket as the reactor knows it; dropped before the guest.
    watched: OnceLock<Async<Watched>>,
    guest: Guest<'l>,
}

struct Watched(Arc<Seat>);

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl<'l> Wire<'l> {
    pub(crate) fn new(guest: Guest<'l>) -> Self {
        Self { watched: OnceLock::new(), guest }
    }

    pub(crate) fn seat(&self) -> &Seat {
        &self.guest.seat
    }

    pub(crate) fn shared_seat(&self) -> Arc<Seat> {
        self.guest.seat.clone()
    }

    /// Evicts another connection, if one can be, and waits a moment for its descriptor.
    pub(crate) async fn make_room(&self) {
        let Home { registry, config, .. } = self.guest.home;
        let left = registry.listen();
        if let Room::Made = registry.evict(config) {
            let late = async { _ = Timer::after(ROOM).await };
            smol::future::or(left, late).await;
        }
    }

    /// Where what may wait is done.
    pub(crate) fn pool(&self) -> &'l ThreadPool {
        self.guest.home.pool
    }

    /// The socket to wait for. A connection that never waits costs the reactor nothing.
    fn watched(&self) -> io::Result<&Async<Watched>> {
        if let Some(watched) = self.watched.get() {
            return Ok(watched);
        }
        let watched = Async::new_nonblocking(Watched(self.guest.seat.clone()))?;
        Ok(self.watched.get_or_init(|| watched))
    }

    /// The socket itself, which never waits.
    pub(crate) fn stream(&self) -> &TcpStream {
        self.seat().stream()
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.seat().peer()
    }

    /// Waits for the next request, or for the end of input, holding nothing.
    pub(crate) fn idle(&self) -> impl Future<Output = io::Result<()>> {
        let mut waits = false;
        poll_fn(move |cx| {
            if !mem::replace(&mut waits, true) {
                self.seat().waits(WaitingFor::Request);
            }
            ready!(self.watched()?.poll_readable(cx))?;
            self.seat().works();
            Poll::Ready(Ok(())) // even if it must leave: a request may have come in this moment
        })
    }

    /// Reads what is there; [`ErrorKind::WouldBlock`] when nothing is.
    pub(crate) fn glance<S: Storage>(&self, inbox: &mut Inbox<S>) -> io::Result<usize> {
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
        waiting: WaitingFor,
    ) -> io::Result<usize> {
        let mut read = || inbox.fill(&mut self.stream());
        poll_fn(|cx| self.poll_read(cx, waiting, &mut read)).await
    }

    /// Reads once by `read`, as soon as that does not wait.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        waiting: WaitingFor,
        read: &mut dyn FnMut() -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match read() {
                Ok(0) if self.seat().is_late() => {
                    return Poll::Ready(Err(self.seat().too_late()));
                }
                Ok(n) => {
                    self.seat().works();
                    if matches!(waiting, WaitingFor::Body | WaitingFor::Linger) {
                        self.seat().moved(n);
                    }
                    return Poll::Ready(Ok(n));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            self.seat().waits(waiting);
            ready!(self.watched()?.poll_readable(cx))?;
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
        self.seat().resets(connection.is_close_delimited());
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
                    self.seat().works();
                    self.seat().moved(n);
                    return Poll::Ready(Ok(n));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) if self.seat().is_late() => {
                    return Poll::Ready(Err(self.seat().too_late()));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
            self.seat().waits(WaitingFor::Writable);
            ready!(self.watched()?.poll_writable(cx))?;
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
        while total < self.guest.home.config.linger {
            let mut read = || (&*stream).read(&mut forgotten);
            match poll_fn(|cx| self.poll_read(cx, WaitingFor::Linger, &mut read)).await {
                Ok(0) | Err(_) => return,
                Ok(n) => total += n as u64,
            }
            smol::future::yield_now().await; // the socket of a fast uploader is always readable
        }
    }

    /// The socket for another protocol.
    pub(crate) fn hand_over(&self) -> io::Result<Async<TcpStream>> {
        Async::new_nonblocking(self.stream().try_clone()?)
    }
}
