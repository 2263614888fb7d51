//! The socket of one connection: read, send, and know when it has taken too long.
//!
//! The calls themselves are plain ones on the inner socket; the reactor is asked only when they
//! would wait, and hears of the socket only then. No timer is set: what is waited for, and until when, stands in the connection's
//! [`Seat`], and one sweeper for all wakes who is late.

use std::fs::File;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read};
use std::mem;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use async_io::{Async, Timer};
use doorstep_blocking::host;
use doorstep_blocking::pace::Pace;
use doorstep_blocking::registry::{ROOM, Seat};
use doorstep_core::http1::{Connection, Inbox, Outbox, Storage, Timeouts, Waiting};

use crate::guest::Guest;
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

    /// Asks a connection that is idle to leave, and waits a moment until one has.
    pub(crate) async fn make_room(&self) {
        let registry = self.guest.home.registry;
        let left = registry.listen();
        if registry.make_room() {
            let late = async { _ = Timer::after(ROOM).await };
            smol::future::or(left, late).await;
        }
    }

    /// Where what may wait is done.
    pub(crate) fn pool(&self) -> &'l ThreadPool {
        self.guest.home.pool
    }

    fn timeouts(&self) -> &Timeouts {
        self.guest.home.timeouts
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

    /// Waits for the next request, or for the end of input, holding nothing; `false` when it took too
    /// long.
    pub(crate) fn idle(&self) -> impl Future<Output = io::Result<bool>> {
        let mut waits = false;
        poll_fn(move |cx| {
            if !mem::replace(&mut waits, true) {
                self.seat().waits(Waiting::Idle, Some(self.timeouts().idle));
            }
            ready!(self.watched()?.poll_readable(cx))?;
            self.seat().works();
            Poll::Ready(Ok(!self.seat().is_late()))
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
    /// was too slow. `pace` is `None` before the first wait.
    pub(crate) async fn fill<S: Storage>(
        &self,
        inbox: &mut Inbox<S>,
        waiting: Waiting,
        pace: &mut Option<Pace>,
    ) -> io::Result<usize> {
        let mut read = || inbox.fill(&mut self.stream());
        poll_fn(|cx| self.poll_read(cx, waiting, pace, &mut read)).await
    }

    /// Reads once by `read`, as soon as that does not wait.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        waiting: Waiting,
        pace: &mut Option<Pace>,
        read: &mut dyn FnMut() -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match read() {
                Ok(0) if self.seat().is_late() => {
                    return Poll::Ready(Err(ErrorKind::TimedOut.into()));
                }
                Ok(n) => {
                    self.moved(n, pace);
                    return Poll::Ready(Ok(n));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            self.waits(waiting, pace);
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
        let mut pace = None;
        poll_fn(|cx| self.poll_flush(cx, connection, outbox, more, &mut pace)).await
    }

    /// The same for who polls; `pace` is `None` before the first call.
    pub(crate) fn poll_flush(
        &self,
        cx: &mut Context<'_>,
        connection: &Connection,
        outbox: &mut Outbox,
        more: bool,
        pace: &mut Option<Pace>,
    ) -> Poll<io::Result<()>> {
        self.seat().resets(connection.ends_by_closing());
        while !outbox.is_empty() {
            let socket = self.stream();
            let mut send = || host::send(socket, outbox.unsent(), more);
            let n = ready!(self.poll_write(cx, pace, &mut send))?;
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
        let (socket, mut pace) = (self.stream(), None);
        let watch = host::Watch::over(file, count)?;
        loop {
            watch.before_turn(file, count - *sent)?;
            let mut send = || host::send_file(socket, file, offset + *sent, count - *sent);
            let n = poll_fn(|cx| self.poll_write(cx, &mut pace, &mut send)).await?;
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
        pace: &mut Option<Pace>,
        write: &mut dyn FnMut() -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match write() {
                Ok(n) => {
                    self.moved(n, pace);
                    return Poll::Ready(Ok(n));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) if self.seat().is_late() => {
                    return Poll::Ready(Err(ErrorKind::TimedOut.into()));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
            self.waits(Waiting::Peer, pace);
            ready!(self.watched()?.poll_writable(cx))?;
        }
    }

    /// Only who did not finish at once is watched: the clock is not asked before.
    fn waits(&self, waiting: Waiting, pace: &mut Option<Pace>) {
        let now = Instant::now();
        let pace = pace.get_or_insert(Pace::new(now));
        self.seat().waits(waiting, pace.left(waiting, self.timeouts(), now));
    }

    fn moved(&self, n: usize, pace: &mut Option<Pace>) {
        if let Some(pace) = pace {
            self.seat().works();
            pace.moved(n, Instant::now());
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
        let (mut total, mut pace) = (0, None);
        while total < self.guest.home.linger {
            let mut read = || (&*stream).read(&mut forgotten);
            match poll_fn(|cx| self.poll_read(cx, Waiting::Linger, &mut pace, &mut read)).await {
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
