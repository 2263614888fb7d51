//! One request and its answer, as a handler sees them.
//!
//! The same as the blocking driver's but for the waiting: what does not wait is in [`Turn`], which
//! both share; what does is async here. The body is an [`AsyncRead`].

use std::fs::File;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_io::Async;
use doorstep_core::http1::{Head, WaitingFor};
use doorstep_driver::connections::Seat;
use doorstep_driver::exchange::{Reading, Turn};
use smol::io::AsyncRead;

use crate::wire::Wire;

/// One request, and the place for its answer: a [`Turn`], and the socket it is on.
pub struct Exchange<'a> {
    turn: Turn<'a>,
    wire: &'a Wire<'a>,
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(turn: Turn<'a>, wire: &'a Wire<'a>) -> Self {
        Self { turn, wire }
    }

    pub(crate) fn into_turn(self) -> Turn<'a> {
        self.turn
    }

    /// The address and port the client has connected to.
    ///
    /// # Errors
    /// Those of asking the system.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.wire.stream().local_addr()
    }

    /// The same exchange as if `head` had been asked for, with no body; afterwards, what was
    /// [`Turn::told`] must be taken over.
    pub(crate) fn instead<'x>(&'x mut self, head: Head<'x>) -> Exchange<'x> {
        Exchange { turn: self.turn.instead(head), wire: self.wire }
    }

    /// The connection's seat, for what goes on elsewhere.
    pub(crate) fn seat(&self) -> Arc<Seat> {
        self.wire.shared_seat()
    }

    /// Evicts another connection, if one can be, and waits a moment for its descriptor.
    pub(crate) async fn make_room(&self) {
        self.wire.make_room().await;
    }

    /// The parts that can be used apart from each other.
    pub(crate) fn parts(&mut self) -> (&mut Turn<'a>, &Seat) {
        (&mut self.turn, self.wire.seat())
    }

    /// Does `work`, which may wait for a disk or a process, on a thread of the server's pool
    /// ([`doorstep_driver::Config::pool_threads`]), where it waits for nobody else's request.
    /// Unlike `smol::unblock` it works where the system has no threads left.
    pub async fn unblock<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.wire.pool().run(work).await
    }

    /// The body, to read. The first read sends 100 Continue when the client waits for it.
    ///
    /// Its errors: [`io::ErrorKind::InvalidData`] with a [`doorstep_core::http1::Reject`] inside
    /// when the client breaks a rule, `UnexpectedEof` when it left, `TimedOut` when it is too slow.
    pub fn body(&mut self) -> Body<'_, 'a> {
        Body { x: self }
    }

    /// Sends an interim answer: 103 with `Link` fields, say.
    ///
    /// # Errors
    /// [`doorstep_core::http1::Misuse`], and those of the socket.
    pub async fn inform(&mut self, status: u16, fields: &[(&str, &[u8])]) -> io::Result<()> {
        self.turn.connection.send_interim(status, fields, self.turn.outbox)?;
        self.flush().await
    }

    /// Sends a part of the answer's body. To a HEAD request nothing is sent, and that is no error.
    ///
    /// # Errors
    /// [`doorstep_core::http1::Misuse`], and those of the socket.
    pub async fn send(&mut self, data: &[u8]) -> io::Result<()> {
        if self.turn.append(data)? { self.flush().await } else { Ok(()) }
    }

    /// Sends what has gathered; for a body whose next part takes its time.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn flush(&mut self) -> io::Result<()> {
        let flushed = self.wire.flush(self.turn.connection, self.turn.outbox, false).await;
        self.turn.flushed(flushed)
    }

    /// Sends `count` bytes of `file` from `offset`, all or part of what `sized` promised. A small
    /// part leaves in one write with its head; a large one goes by without being copied.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file has become shorter; those of file and socket. What is still
    /// owed then shows the client that the answer was cut.
    pub async fn send_file(&mut self, file: &File, offset: u64, count: u64) -> io::Result<()> {
        if !self.turn.begin_file(file, offset, count)? {
            return if self.turn.has_gathered() { self.flush().await } else { Ok(()) };
        }
        let flushed = self.wire.flush(self.turn.connection, self.turn.outbox, true).await;
        self.turn.flushed(flushed)?;
        let mut sent = 0;
        let all = self.wire.send_file(file, offset, count, &mut sent).await;
        self.turn.passed(sent)?;
        self.turn.flushed(all)
    }

    /// After [`crate::Response::upgrade`] or `tunnel`: sends the answer, and gives the socket and
    /// the first bytes of the new protocol to whoever speaks it.
    ///
    /// # Errors
    /// `InvalidInput` when nothing was handed over; those of the socket.
    pub async fn hand_over(&mut self) -> io::Result<(Async<TcpStream>, Vec<u8>)> {
        let first = self.turn.first_words()?;
        self.flush().await?;
        Ok((self.wire.hand_over()?, first))
    }
}

impl<'a> Deref for Exchange<'a> {
    type Target = Turn<'a>;

    fn deref(&self) -> &Turn<'a> {
        &self.turn
    }
}

impl<'a> DerefMut for Exchange<'a> {
    fn deref_mut(&mut self) -> &mut Turn<'a> {
        &mut self.turn
    }
}

/// A request's body.
pub struct Body<'x, 'a> {
    x: &'x mut Exchange<'a>,
}

impl AsyncRead for Body<'_, '_> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Self { x } = self.get_mut();
        let Exchange { turn, wire } = &mut **x;
        loop {
            let wanted = match turn.read(buffer)? {
                Reading::Read(n) => return Poll::Ready(Ok(n)),
                wanted => wanted,
            };
            let flush = wire.poll_flush(cx, turn.connection, turn.outbox, false);
            turn.flushed(ready!(flush))?;
            if let Reading::Receive(most) = wanted {
                let mut read = || wire.stream().read(&mut buffer[..most]);
                let n = ready!(wire.poll_read(cx, WaitingFor::Body, &mut read));
                return Poll::Ready(turn.received(n));
            }
            let mut fill = || turn.inbox.fill(&mut wire.stream());
            let filled = ready!(wire.poll_read(cx, WaitingFor::Body, &mut fill));
            turn.filled(filled)?;
        }
    }
}
