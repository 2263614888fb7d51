//! The socket of one connection: read, send, and know when it has taken too long.
//!
//! It flushes before it waits and never before that. No timeout is set: what is waited for stands in
//! the connection's [`Seat`], and the sweep wakes who is late. The wire tells apart what the loop must
//! tell apart: the peer was too slow, or the peer is gone.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;

use doorstep_core::http1::{Connection, Inbox, Outbox, Storage, WaitingFor};
use event_listener::Listener;

use doorstep_driver::config::Config;
use doorstep_driver::connections::{ROOM, Registry, Room, Seat};
use doorstep_driver::files;
use doorstep_driver::net;

/// One connection's socket.
pub(crate) struct Wire<'c> {
    seat: Arc<Seat>,
    registry: &'c Registry,
    config: &'c Config,
}

impl<'c> Wire<'c> {
    pub(crate) fn new(seat: Arc<Seat>, registry: &'c Registry, config: &'c Config) -> Self {
        Self { seat, registry, config }
    }

    pub(crate) fn seat(&self) -> &Seat {
        &self.seat
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.seat.peer()
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.seat.stream()
    }

    /// Evicts another connection, if one can be, and waits a moment for its descriptor.
    pub(crate) fn make_room(&self) {
        let left = self.registry.listen();
        if let Room::Made = self.registry.evict(self.config) {
            left.wait_timeout(ROOM);
        }
    }

    /// The socket for another protocol.
    pub(crate) fn hand_over(&self) -> io::Result<TcpStream> {
        self.stream().try_clone()
    }

    /// Reads once: how many bytes, 0 at the end of input. [`ErrorKind::TimedOut`] when the peer
    /// was too slow for `waiting`.
    pub(crate) fn fill<S: Storage>(
        &self,
        inbox: &mut Inbox<S>,
        waiting: WaitingFor,
    ) -> io::Result<usize> {
        self.read(waiting, |stream| inbox.fill(stream))
    }

    /// Reads once straight into `buffer`.
    pub(crate) fn read_into(&self, buffer: &mut [u8], waiting: WaitingFor) -> io::Result<usize> {
        self.read(waiting, |stream| stream.read(buffer))
    }

    fn read(
        &self,
        waiting: WaitingFor,
        mut read: impl FnMut(&mut &TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.seat.waits(waiting);
        let read = loop {
            match read(&mut self.stream()) {
                Ok(0) if self.seat.is_late() => break Err(self.seat.too_late()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.seat.works();
        if matches!(waiting, WaitingFor::Body | WaitingFor::Linger)
            && let Ok(n) = read
        {
            self.seat.moved(n);
        }
        read
    }

    /// Sends everything that is in the outbox; `more` says that a file follows at once.
    pub(crate) fn flush(
        &self,
        connection: &Connection,
        outbox: &mut Outbox,
        more: bool,
    ) -> io::Result<()> {
        self.seat.resets(connection.is_close_delimited());
        if outbox.is_empty() {
            return Ok(());
        }
        // Nearly always all of it goes at once, and then nobody has to say how long to wait.
        match net::send_now(self.stream(), outbox.unsent(), more) {
            Ok(n) => outbox.sent(n),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if outbox.is_empty() {
            return Ok(());
        }
        self.write_all(outbox.len() as u64, |stream, _| {
            let n = net::send(stream, outbox.unsent(), more)?;
            outbox.sent(n);
            Ok(n)
        })
    }

    /// Sends `count` bytes of a file by the shortest way, in fair turns. An early end of the file
    /// is [`ErrorKind::UnexpectedEof`]; one that was changed meanwhile is not sent to its end. `sent` counts what went.
    pub(crate) fn send_file(
        &self,
        file: &File,
        offset: u64,
        count: u64,
        sent: &mut u64,
    ) -> io::Result<()> {
        let watch = files::Watch::over(file, count)?;
        self.write_all(count, |stream, gone| {
            watch.before_turn(file, count - gone)?;
            let n = net::send_file(stream, file, offset + gone, count - gone)?;
            *sent += n as u64;
            if n == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(n) }
        })
    }

    /// Repeats `write`, which is told how much went before, until `count` bytes went.
    fn write_all(
        &self,
        count: u64,
        mut write: impl FnMut(&TcpStream, u64) -> io::Result<usize>,
    ) -> io::Result<()> {
        self.seat.waits(WaitingFor::Writable);
        let mut gone = 0;
        let written = loop {
            match write(self.stream(), gone) {
                Ok(n) => {
                    self.seat.moved(n);
                    gone += n as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) if self.seat.is_late() => break Err(self.seat.too_late()),
                Err(error) => break Err(error),
            }
            if gone >= count {
                break Ok(());
            }
        };
        self.seat.works();
        written
    }

    /// The answer is out and the peer may still be sending: says FIN, then reads and forgets for a
    /// while, so that a reset cannot destroy the answer on its way (B-288, RFC 9112 §9.6).
    #[inline(never)] // its buffer is not to stand on every connection's stack
    pub(crate) fn linger(&self, most: u64) {
        if self.stream().shutdown(Shutdown::Write).is_err() {
            return;
        }
        let mut forgotten = [0; 16 << 10];
        let mut total = 0;
        while total < most {
            match self.read_into(&mut forgotten, WaitingFor::Linger) {
                Ok(0) | Err(_) => return,
                Ok(n) => total += n as u64,
            }
        }
    }
}
