//! One request and its answer, as a handler sees them.
//!
//! The head is a view of bytes that stay where they are; the body is read behind them. An answer
//! begins with [`ExchangeState::respond`]; what it promises is sent with [`Exchange::send`] and
//! [`Exchange::send_file`] and ended with [`ExchangeState::end`]. Nothing goes out before the loop has to
//! wait, or 64 KiB have gathered. What does not wait is in [`ExchangeState`], which both drivers share.

use std::fs::File;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};

use doorstep_core::http1::{Head, Waiting};

use crate::socket::Socket;
use doorstep_driver::connections::ConnectionHandle;
use doorstep_driver::exchange::{BodyRead, ExchangeState};

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

    /// Evicts another connection, if one can be, and waits a moment for its descriptor.
    pub(crate) fn evict_for_descriptor(&self) {
        self.socket.evict_for_descriptor();
    }

    /// The parts that can be used apart from each other.
    pub(crate) fn parts(&mut self) -> (&mut ExchangeState<'a>, &ConnectionHandle) {
        (&mut self.state, self.socket.connection())
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
    pub fn send_interim(&mut self, status: u16, fields: &[(&str, &[u8])]) -> io::Result<()> {
        self.state.machine.inform(status, fields, self.state.outbox)?;
        self.flush()
    }

    /// Sends a part of the answer's body. To a HEAD request nothing is sent, and that is no error.
    ///
    /// # Errors
    /// [`doorstep_core::http1::Misuse`], and those of the socket.
    pub fn send(&mut self, data: &[u8]) -> io::Result<()> {
        if self.state.append_body(data)? { self.flush() } else { Ok(()) }
    }

    /// Sends what has gathered; for a body whose next part takes its time.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn flush(&mut self) -> io::Result<()> {
        let flushed = self.socket.flush(self.state.machine, self.state.outbox, false);
        self.state.record_flush(flushed)
    }

    /// Sends `count` bytes of `file` from `offset`, all or part of what `sized` promised. A small
    /// part leaves in one write with its head; a large one goes by without being copied.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file has become shorter; those of file and socket. What is still
    /// owed then shows the client that the answer was cut.
    pub fn send_file(&mut self, file: &File, offset: u64, count: u64) -> io::Result<()> {
        if !self.state.begin_file(file, offset, count)? {
            return if self.state.should_flush() { self.flush() } else { Ok(()) };
        }
        let flushed = self.socket.flush(self.state.machine, self.state.outbox, true);
        self.state.record_flush(flushed)?;
        let mut sent = 0;
        let all = self.socket.send_file(file, offset, count, &mut sent);
        self.state.body_sent(sent)?;
        self.state.record_flush(all)
    }

    /// After [`crate::Response::upgrade`] or `tunnel`: sends the answer, and gives the socket and
    /// the first bytes of the new protocol to whoever speaks it.
    ///
    /// # Errors
    /// `InvalidInput` when nothing was handed over; those of the socket.
    pub fn upgraded(&mut self) -> io::Result<(TcpStream, Vec<u8>)> {
        let first = self.state.take_unread()?;
        self.flush()?;
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

impl Read for Body<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Exchange { state, socket } = self.exchange;
        loop {
            let wanted = match state.read(buffer)? {
                BodyRead::Read(n) => return Ok(n),
                wanted => wanted,
            };
            let flushed = socket.flush(state.machine, state.outbox, false);
            state.record_flush(flushed)?;
            if let BodyRead::Receive(most) = wanted {
                return state.received(socket.read_into(&mut buffer[..most], Waiting::Body));
            }
            let filled = socket.fill(&mut state.inbox, Waiting::Body);
            state.filled(filled)?;
        }
    }
}
