//! One request and its answer, as a handler sees them.
//!
//! The same as the blocking driver's but for the waiting: what does not wait is in [`ExchangeState`], which
//! both share; what does is async here. The body is an [`AsyncRead`].

use std::fs::File;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_io::Async;
use doorstep_core::http1::{Head, Waiting};
use doorstep_driver::connections::ConnectionHandle;
use doorstep_driver::exchange::{BodyRead, ExchangeState};
use smol::io::AsyncRead;

use crate::socket::Socket;

/// One request, and the place for its answer: a [`ExchangeState`], and the socket it is on.
pub struct Exchange<'a> {
    state: ExchangeState<'a>,
    socket: &'a Socket<'a>,
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(state: ExchangeState<'a>, socket: &'a Socket<'a>) -> Self {
        Self { state, socket }
    }

    pub(crate) fn into_state(self) -> ExchangeState<'a> {
        self.state
    }

    /// The address and port the client has connected to.
    ///
    /// # Errors
    /// Those of asking the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.stream().local_addr()
    }

    /// The same exchange as if `head` had been asked for, with no body; afterwards, what was
    /// [`ExchangeState::record`] must be taken over.
    pub(crate) fn internal_redirect<'exchange>(
        &'exchange mut self,
        head: Head<'exchange>,
    ) -> Exchange<'exchange> {
        Exchange { state: self.state.internal_redirect(head), socket: self.socket }
    }

    /// The connection's connection, for what goes on elsewhere.
    pub(crate) fn shared_connection(&self) -> Arc<ConnectionHandle> {
        self.socket.shared_connection()
    }

    /// Evicts another connection, if one can be, and waits a moment for its descriptor.
    pub(crate) async fn evict_for_descriptor(&self) {
        self.socket.evict_for_descriptor().await;
    }

    /// The parts that can be used apart from each other.
    pub(crate) fn parts(&mut self) -> (&mut ExchangeState<'a>, &ConnectionHandle) {
        (&mut self.state, self.socket.connection())
    }

    /// Does `work`, which may wait for a disk or a process, on a thread of the server's pool
    /// ([`doorstep_driver::Config::pool_threads`]), where it waits for nobody else's request.
    /// Unlike `smol::unblock` it works where the system has no threads left.
    pub async fn unblock<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.socket.pool().run(work).await
    }

    /// The body, to read. The first read sends 100 Continue when the client waits for it.
    ///
    /// Its errors: [`io::ErrorKind::InvalidData`] with a [`doorstep_core::http1::Reject`] inside
    /// when the client breaks a rule, `UnexpectedEof` when it left, `TimedOut` when it is too slow.
    pub fn body(&mut self) -> Body<'_, 'a> {
        Body { exchange: self }
    }

    /// Sends an interim answer: 103 with `Link` fields, say.
    ///
    /// # Errors
    /// [`doorstep_core::http1::Misuse`], and those of the socket.
    pub async fn send_interim(&mut self, status: u16, fields: &[(&str, &[u8])]) -> io::Result<()> {
        self.state.machine.inform(status, fields, self.state.outbox)?;
        self.flush().await
    }

    /// Sends a part of the answer's body. To a HEAD request nothing is sent, and that is no error.
    ///
    /// # Errors
    /// [`doorstep_core::http1::Misuse`], and those of the socket.
    pub async fn send(&mut self, data: &[u8]) -> io::Result<()> {
        if self.state.append_body(data)? { self.flush().await } else { Ok(()) }
    }

    /// Sends what has gathered; for a body whose next part takes its time.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn flush(&mut self) -> io::Result<()> {
        let flushed = self.socket.flush(self.state.machine, self.state.outbox, false).await;
        self.state.record_flush(flushed)
    }

    /// Sends `count` bytes of `file` from `offset`, all or part of what `sized` promised. A small
    /// part leaves in one write with its head; a large one goes by without being copied.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file has become shorter; those of file and socket. What is still
    /// owed then shows the client that the answer was cut.
    pub async fn send_file(&mut self, file: &File, offset: u64, count: u64) -> io::Result<()> {
        if !self.state.begin_file(file, offset, count)? {
            return if self.state.should_flush() { self.flush().await } else { Ok(()) };
        }
        let flushed = self.socket.flush(self.state.machine, self.state.outbox, true).await;
        self.state.record_flush(flushed)?;
        let mut sent = 0;
        let all = self.socket.send_file(file, offset, count, &mut sent).await;
        self.state.body_sent(sent)?;
        self.state.record_flush(all)
    }

    /// After [`crate::Response::upgrade`] or `tunnel`: sends the answer, and gives the socket and
    /// the first bytes of the new protocol to whoever speaks it.
    ///
    /// # Errors
    /// `InvalidInput` when nothing was handed over; those of the socket.
    pub async fn upgraded(&mut self) -> io::Result<(Async<TcpStream>, Vec<u8>)> {
        let first = self.state.take_unread()?;
        self.flush().await?;
        Ok((self.socket.try_clone()?, first))
    }
}

impl<'a> Deref for Exchange<'a> {
    type Target = ExchangeState<'a>;

    fn deref(&self) -> &ExchangeState<'a> {
        &self.state
    }
}

impl<'a> DerefMut for Exchange<'a> {
    fn deref_mut(&mut self) -> &mut ExchangeState<'a> {
        &mut self.state
    }
}

/// A request's body.
pub struct Body<'exchange, 'a> {
    exchange: &'exchange mut Exchange<'a>,
}

impl AsyncRead for Body<'_, '_> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Self { exchange } = self.get_mut();
        let Exchange { state, socket } = &mut **exchange;
        loop {
            let wanted = match state.read(buffer)? {
                BodyRead::Read(n) => return Poll::Ready(Ok(n)),
                wanted => wanted,
            };
            let flush = socket.poll_flush(cx, state.machine, state.outbox, false);
            state.record_flush(ready!(flush))?;
            if let BodyRead::Receive(most) = wanted {
                let mut read = || socket.stream().read(&mut buffer[..most]);
                let n = ready!(socket.poll_read(cx, Waiting::Body, &mut read));
                return Poll::Ready(state.received(n));
            }
            let mut fill = || state.inbox.fill(&mut socket.stream());
            let filled = ready!(socket.poll_read(cx, Waiting::Body, &mut fill));
            state.filled(filled)?;
        }
    }
}
