//! One request and its answer, as a handler sees them.
//!
//! The head is a view of bytes that stay where they are; the body is read behind them. An answer
//! begins with [`Turn::respond`]; what it promises is sent with [`Exchange::send`] and
//! [`Exchange::send_file`] and ended with [`Turn::end`]. Nothing goes out before the loop has to
//! wait, or 64 KiB have gathered. What does not wait is in [`Turn`], which both drivers share.

use std::fs::File;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};

use doorstep_core::http1::{Head, WaitingFor};

use crate::wire::Wire;
use doorstep_driver::connections::Seat;
use doorstep_driver::exchange::{Reading, Turn};

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

    /// Evicts another connection, if one can be, and waits a moment for its descriptor.
    pub(crate) fn make_room(&self) {
        self.wire.make_room();
    }

    /// The parts that can be used apart from each other.
    pub(crate) fn parts(&mut self) -> (&mut Turn<'a>, &Seat) {
        (&mut self.turn, self.wire.seat())
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
    pub fn inform(&mut self, status: u16, fields: &[(&str, &[u8])]) -> io::Result<()> {
        self.turn.connection.send_interim(status, fields, self.turn.outbox)?;
        self.flush()
    }

    /// Sends a part of the answer's body. To a HEAD request nothing is sent, and that is no error.
    ///
    /// # Errors
    /// [`doorstep_core::http1::Misuse`], and those of the socket.
    pub fn send(&mut self, data: &[u8]) -> io::Result<()> {
        if self.turn.append(data)? { self.flush() } else { Ok(()) }
    }

    /// Sends what has gathered; for a body whose next part takes its time.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn flush(&mut self) -> io::Result<()> {
        let flushed = self.wire.flush(self.turn.connection, self.turn.outbox, false);
        self.turn.flushed(flushed)
    }

    /// Sends `count` bytes of `file` from `offset`, all or part of what `sized` promised. A small
    /// part leaves in one write with its head; a large one goes by without being copied.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file has become shorter; those of file and socket. What is still
    /// owed then shows the client that the answer was cut.
    pub fn send_file(&mut self, file: &File, offset: u64, count: u64) -> io::Result<()> {
        if !self.turn.begin_file(file, offset, count)? {
            return if self.turn.has_gathered() { self.flush() } else { Ok(()) };
        }
        let flushed = self.wire.flush(self.turn.connection, self.turn.outbox, true);
        self.turn.flushed(flushed)?;
        let mut sent = 0;
        let all = self.wire.send_file(file, offset, count, &mut sent);
        self.turn.passed(sent)?;
        self.turn.flushed(all)
    }

    /// After [`crate::Response::upgrade`] or `tunnel`: sends the answer, and gives the socket and
    /// the first bytes of the new protocol to whoever speaks it.
    ///
    /// # Errors
    /// `InvalidInput` when nothing was handed over; those of the socket.
    pub fn hand_over(&mut self) -> io::Result<(TcpStream, Vec<u8>)> {
        let first = self.turn.first_words()?;
        self.flush()?;
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

impl Read for Body<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Exchange { turn, wire } = self.x;
        loop {
            let wanted = match turn.read(buffer)? {
                Reading::Read(n) => return Ok(n),
                wanted => wanted,
            };
            let flushed = wire.flush(turn.connection, turn.outbox, false);
            turn.flushed(flushed)?;
            if let Reading::Receive(most) = wanted {
                return turn.received(wire.read_into(&mut buffer[..most], WaitingFor::Body));
            }
            let filled = wire.fill(&mut turn.inbox, WaitingFor::Body);
            turn.filled(filled)?;
        }
    }
}
