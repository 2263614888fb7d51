//! The socket of one connection: read, send, and know when it has taken too long.
//!
//! It flushes before it waits and never before that. No timeout is set: what is waited for stands in
//! the connection's [`ConnectionHandle`], and the sweep wakes who is late. The socket tells apart what the loop must
//! tell apart: the peer was too slow, or the peer is gone.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;

use doorstep_core::http1::{Connection, Inbox, Outbox, Storage, Waiting};
use event_listener::Listener;

use doorstep_driver::config::Config;
use doorstep_driver::connections::{ConnectionHandle, Connections, EVICTION_WAIT, Eviction};
use doorstep_driver::files;
use doorstep_driver::net;

/// One connection's socket.
pub(crate) struct Socket<'c> {
    connection: Arc<ConnectionHandle>,
    connections: &'c Connections,
    config: &'c Config,
}

impl<'c> Socket<'c> {
    pub(crate) fn new(
        connection: Arc<ConnectionHandle>,
        connections: &'c Connections,
        config: &'c Config,
    ) -> Self {
        Self { connection, connections, config }
    }

    pub(crate) fn connection(&self) -> &ConnectionHandle {
        &self.connection
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.connection.peer()
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.connection.stream()
    }

    /// Evicts another connection, if one can be, and waits a moment for its descriptor.
    pub(crate) fn evict_for_descriptor(&self) {
        let left = self.connections.listen_unregister();
        if let Eviction::Started = self.connections.evict_for_descriptor(self.config) {
            left.wait_timeout(EVICTION_WAIT);
        }
    }

    /// The socket for another protocol.
    pub(crate) fn try_clone(&self) -> io::Result<TcpStream> {
        self.stream().try_clone()
    }

    /// Reads once: how many bytes, 0 at the end of input. [`ErrorKind::TimedOut`] when the peer
    /// was too slow for `waiting`.
    pub(crate) fn fill<S: Storage>(
        &self,
        inbox: &mut Inbox<S>,
        waiting: Waiting,
    ) -> io::Result<usize> {
        self.read(waiting, |stream| inbox.fill(stream))
    }

    /// Reads once straight into `buffer`.
    pub(crate) fn read_into(&self, buffer: &mut [u8], waiting: Waiting) -> io::Result<usize> {
        self.read(waiting, |stream| stream.read(buffer))
    }

    fn read(
        &self,
        waiting: Waiting,
        mut read: impl FnMut(&mut &TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.connection.begin_wait(waiting);
        let read = loop {
            match read(&mut self.stream()) {
                Ok(0) if self.connection.has_timed_out() => {
                    break Err(self.connection.timeout_error());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.connection.end_wait();
        if matches!(waiting, Waiting::Body | Waiting::Linger)
            && let Ok(n) = read
        {
            self.connection.record_bytes(n);
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
        self.connection.set_reset_on_close(connection.ends_by_closing());
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
        self.connection.begin_wait(Waiting::Peer);
        let mut gone = 0;
        let written = loop {
            match write(self.stream(), gone) {
                Ok(n) => {
                    self.connection.record_bytes(n);
                    gone += n as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) if self.connection.has_timed_out() => {
                    break Err(self.connection.timeout_error());
                }
                Err(error) => break Err(error),
            }
            if gone >= count {
                break Ok(());
            }
        };
        self.connection.end_wait();
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
            match self.read_into(&mut forgotten, Waiting::Linger) {
                Ok(0) | Err(_) => return,
                Ok(n) => total += n as u64,
            }
        }
    }
}
