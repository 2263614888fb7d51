//! The socket of one connection: read, send, and know when it has taken too long.
//!
//! It flushes before it waits and never before that, sets a socket timeout only when it changes,
//! and tells apart what the loop must tell apart: the peer was too slow, or the peer is gone.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use doorstep_core::http1::{Connection, Inbox, Outbox, Storage, Timeouts, Waiting};
use event_listener::Listener;

use crate::host;
use crate::pace::Pace;
use crate::registry::{ROOM, Registry, Seat};

/// One connection's socket.
pub(crate) struct Wire {
    seat: Arc<Seat>,
    registry: Arc<Registry>,
    timeouts: Timeouts,
    reading: Pace,
    /// What the socket's own timeouts are set to.
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

impl Wire {
    pub(crate) fn new(seat: Arc<Seat>, registry: Arc<Registry>, timeouts: Timeouts) -> Self {
        let reading = Pace::new(Instant::now());
        Self { seat, registry, timeouts, reading, read_timeout: None, write_timeout: None }
    }

    pub(crate) fn seat(&self) -> &Seat {
        &self.seat
    }

    pub(crate) fn shared_seat(&self) -> Arc<Seat> {
        self.seat.clone()
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.seat.peer()
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.seat.stream()
    }

    /// Asks a connection that is idle to leave, and waits a moment until one has.
    pub(crate) fn make_room(&self) {
        let left = self.registry.listen();
        if self.registry.make_room() {
            left.wait_timeout(ROOM);
        }
    }

    /// The socket for another protocol, without our timeouts.
    pub(crate) fn hand_over(&self) -> io::Result<TcpStream> {
        self.stream().set_read_timeout(None)?;
        self.stream().set_write_timeout(None)?;
        self.stream().try_clone()
    }

    /// Reads once: how many bytes, 0 at the end of input. [`ErrorKind::TimedOut`] when the peer
    /// was too slow for `waiting`.
    pub(crate) fn fill<S: Storage>(
        &mut self,
        inbox: &mut Inbox<S>,
        waiting: Waiting,
    ) -> io::Result<usize> {
        self.read(waiting, |stream| inbox.fill(stream))
    }

    /// Reads once straight into `buffer`.
    pub(crate) fn read_into(&mut self, buffer: &mut [u8], waiting: Waiting) -> io::Result<usize> {
        self.read(waiting, |stream| stream.read(buffer))
    }

    fn read(
        &mut self,
        waiting: Waiting,
        mut read: impl FnMut(&mut &TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            let left = self.reading.left(waiting, &self.timeouts, Instant::now());
            let left = left.map(whole_seconds);
            if left == Some(Duration::ZERO) {
                return Err(ErrorKind::TimedOut.into());
            }
            if self.read_timeout != left {
                self.stream().set_read_timeout(left)?;
                self.read_timeout = left;
            }
            match read(&mut self.stream()) {
                Ok(n) => {
                    self.reading.moved(n, Instant::now());
                    return Ok(n);
                }
                // The socket's timeout: the loop finds out whether that was all the time there was.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// An exchange ended: waiting for the next one begins now.
    pub(crate) fn rest(&mut self) {
        self.reading.restart(Instant::now());
    }

    /// Sends everything that is in the outbox; `more` says that a file follows at once.
    pub(crate) fn flush(
        &mut self,
        connection: &Connection,
        outbox: &mut Outbox,
        more: bool,
    ) -> io::Result<()> {
        self.seat.resets(connection.ends_by_closing());
        if outbox.is_empty() {
            return Ok(());
        }
        // Nearly always all of it goes at once, and then nobody has to say how long to wait.
        match host::send_now(self.stream(), outbox.unsent(), more) {
            Ok(n) => outbox.sent(n),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if outbox.is_empty() {
            return Ok(());
        }
        self.write_all(outbox.len() as u64, |stream, _| {
            let n = host::send(stream, outbox.unsent(), more)?;
            outbox.sent(n);
            Ok(n)
        })
    }

    /// Sends `count` bytes of a file by the shortest way, in fair turns. An early end of the file
    /// is [`ErrorKind::UnexpectedEof`]; one that was changed meanwhile is not sent to its end. `sent` counts what went.
    pub(crate) fn send_file(
        &mut self,
        file: &File,
        offset: u64,
        count: u64,
        sent: &mut u64,
    ) -> io::Result<()> {
        let watch = host::Watch::over(file, count)?;
        self.write_all(count, |stream, gone| {
            watch.before_turn(file, count - gone)?;
            let n = host::send_file(stream, file, offset + gone, count - gone)?;
            *sent += n as u64;
            if n == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(n) }
        })
    }

    /// Repeats `write`, which is told how much went before, until `count` bytes went.
    fn write_all(
        &mut self,
        count: u64,
        mut write: impl FnMut(&TcpStream, u64) -> io::Result<usize>,
    ) -> io::Result<()> {
        if self.write_timeout.is_none() {
            self.write_timeout = Some(self.timeouts.peer.max(Duration::from_millis(1)));
            self.stream().set_write_timeout(self.write_timeout)?;
        }
        let mut gone = 0;
        let mut pace: Option<Pace> = None; // only who did not finish at once is watched
        loop {
            match write(self.stream(), gone) {
                Ok(n) => gone += n as u64,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Err(ErrorKind::TimedOut.into());
                }
                Err(error) => return Err(error),
            }
            if gone >= count {
                return Ok(());
            }
            let now = Instant::now();
            let pace = pace.get_or_insert(Pace::new(now));
            let left = pace.left(Waiting::Peer, &self.timeouts, now);
            pace.moved(usize::try_from(gone).unwrap_or(usize::MAX), now);
            if left == Some(Duration::ZERO) {
                return Err(ErrorKind::TimedOut.into());
            }
        }
    }

    /// The answer is out and the peer may still be sending: says FIN, then reads and forgets for a
    /// while, so that a reset cannot destroy the answer on its way (B-288, RFC 9112 §9.6).
    #[inline(never)] // its buffer is not to stand on every connection's stack
    pub(crate) fn linger(&mut self, most: u64) {
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

/// Rounded up, so that a steady wait asks for the same timeout each time; zero stays zero.
fn whole_seconds(left: Duration) -> Duration {
    match (left.as_secs(), left.subsec_nanos()) {
        _ if left < Duration::from_secs(1) => left,
        (seconds, 0) => Duration::from_secs(seconds),
        (seconds, _) => Duration::from_secs(seconds.saturating_add(1)),
    }
}
