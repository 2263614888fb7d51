//! Who is being served: so that a connection that waits too long can be woken, one can be evicted when
//! the server is full, and a shutdown can reach everybody. Shared by both drivers.
//!
//! A connection says what it waits for. How long it has done so is counted by the sweep (`sweep.rs`),
//! for all of them; no socket and no request has a timer. Who is evicted is decided in `eviction.rs`.
//!
//! Asking a connection to leave closes the reading half of its socket only: whoever waits on it wakes
//! up and finds the end of input, but a request that arrived in the same moment is still read and
//! answered.
//!
//! A shutdown has steps: after [`Connections::begin_shutdown`] every connection closes with its next
//! response, after [`Connections::close_idle`] those close that have nothing to respond to, and
//! [`Connections::abort_all`] ends who is left.

mod deadlines;
mod eviction;
mod registration;
mod wait;

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use doorstep_core::http1::Waiting;
use event_listener::{Event, EventListener};

use self::deadlines::{Entry, Steps};
use self::eviction::Candidates;
pub use self::eviction::Eviction;
pub use self::registration::Registration;
use self::wait::Wait;
use crate::net::{self, Presence};
use crate::os::{self, Stopwatch};

/// Everybody who is being served.
#[derive(Debug, Default)]
pub struct Connections {
    table: Mutex<Table>,
    /// Somebody has come.
    registered: Event,
    /// Somebody has left.
    unregistered: Event,
    /// How long the server has been stopping.
    shutdown: Mutex<Stopwatch>,
    /// What new connections begin with, for the server stops.
    flags: Flags,
    /// How many open connections [`Connections::abort_all`] has aborted.
    aborted: OnceLock<usize>,
    /// How many were aborted that had not been registered.
    aborted_waiting: AtomicUsize,
    /// Whether [`Connections::expire_grace`] was called.
    grace_expired: AtomicBool,
}

/// All connections, and what is known of them together.
#[derive(Debug, Default)]
struct Table {
    entries: Vec<Entry>,
    steps: Steps,
    candidates: Candidates,
}

/// One connection's place; small, since every idle connection has one.
#[derive(Debug)]
pub struct ConnectionHandle {
    stream: TcpStream,
    peer: (IpAddr, u16),
    /// Where in the connections it is.
    at: AtomicU32,
    /// What is waited for; only whoever serves it says so.
    wait: Wait,
    /// For how long, in milliseconds; only the sweep counts it.
    waited: AtomicU32,
    /// Bytes of a body that came, or of a response that went, since the sweep last looked.
    bytes: AtomicU32,
    flags: Flags,
}

/// In one byte, for there are many.
#[derive(Debug, Default)]
struct Flags(AtomicU8);

#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Flag {
    /// It has not finished a response yet.
    NoResponseYet = 1,
    /// Its next response is to be its last.
    LastResponse = 2,
    /// It was woken since its deadline had passed, or to be evicted.
    TimedOut = 4,
    /// It was asked to leave.
    Closing = 8,
    /// The reading half was closed from here.
    ReadShutdown = 16,
    /// Its end is a reset.
    ResetOnClose = 32,
    /// It was slow while the server was full.
    Evicted = 64,
}

const _: () =
    assert!(size_of::<ConnectionHandle>() <= 40, "an idle connection costs hardly more than this");

impl Connections {
    /// Adds a connection to the table.
    fn insert(&self, stream: TcpStream, peer: SocketAddr) -> Arc<ConnectionHandle> {
        let mut table = self.table();
        let connection = Arc::new(ConnectionHandle {
            stream,
            peer: (peer.ip(), peer.port()),
            at: AtomicU32::new(table.entries.len() as u32),
            wait: Wait::default(),
            waited: AtomicU32::new(0),
            bytes: AtomicU32::new(0),
            flags: Flags(AtomicU8::new(
                Flag::NoResponseYet as u8 | self.flags.0.load(Ordering::SeqCst),
            )),
        });
        table.entries.push(Entry::new(connection.clone()));
        drop(table);
        self.registered.notify(usize::MAX); // nearly free when nobody listens
        connection
    }

    /// Removes a connection from the table; to be called exactly once for each, by its
    /// [`Registration`].
    fn remove(&self, connection: &ConnectionHandle) {
        let mut table = self.table();
        let at = connection.at.load(Ordering::Relaxed) as usize; // changes under the lock only
        table.entries.swap_remove(at);
        if let Some(moved) = table.entries.get(at) {
            moved.connection.at.store(at as u32, Ordering::Relaxed);
        }
    }

    /// Wakes up when the next one has left. Listen first, then look: else a moment is missed.
    #[must_use]
    pub fn listen_unregister(&self) -> EventListener {
        self.unregistered.listen()
    }

    /// Wakes up when the next one has come. Listen first, then look: else a moment is missed.
    #[must_use]
    pub fn listen_register(&self) -> EventListener {
        self.registered.listen()
    }

    /// Wakes whoever waits for [`Connections::listen_register`], though nobody has come.
    pub fn wake_sweeper(&self) {
        self.registered.notify(usize::MAX);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table().entries.len()
    }

    /// Whether nobody is served.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Has every connection close with its next response. A client that was promised to be kept has
    /// its chance to send one more request; so has one that has sent none yet.
    pub fn begin_shutdown(&self) {
        self.shutdown_elapsed();
        let table = self.table(); // held while the flag is set: nobody slips through
        self.flags.set(Flag::LastResponse, true);
        for slot in &table.entries {
            slot.connection.flags.set(Flag::LastResponse, true);
        }
    }

    /// How long the server has been stopping: it begins now, unless it did before. To be called every
    /// [`os::STEP`] until it is over.
    pub fn shutdown_elapsed(&self) -> Duration {
        let mut time = self.shutdown.lock().unwrap_or_else(PoisonError::into_inner);
        time.count(Instant::now(), os::STEP)
    }

    /// Closes connections that wait for a request, now and from now on.
    pub fn close_idle(&self) {
        let table = self.table();
        self.flags.set(Flag::Closing, true);
        for slot in &table.entries {
            slot.connection.request_close();
        }
    }

    /// Cuts off who is left.
    pub fn abort_all(&self) {
        let table = self.table();
        let has_response = |slot: &&Entry| slot.connection.wait.is(Waiting::Linger);
        let unfinished = || table.entries.iter().filter(|slot| !has_response(slot)).count();
        self.aborted.get_or_init(unfinished);
        for Entry { connection, .. } in &table.entries {
            let resets = connection.flags.has(Flag::ResetOnClose);
            if !resets || net::reset(&connection.stream).is_err() {
                let _ = connection.stream.shutdown(Shutdown::Both);
            }
        }
    }

    /// Counts `n` connections as aborted that were never registered.
    pub(crate) fn add_aborted(&self, n: usize) {
        self.aborted_waiting.fetch_add(n, Ordering::SeqCst);
    }

    /// How many connections a shutdown has aborted before their last response was sent.
    #[must_use]
    pub fn aborted(&self) -> usize {
        self.aborted.get().copied().unwrap_or(0) + self.aborted_waiting.load(Ordering::SeqCst)
    }

    /// Whether this is the first call.
    pub(crate) fn expire_grace(&self) -> bool {
        !self.grace_expired.swap(true, Ordering::SeqCst)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for ConnectionHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl ConnectionHandle {
    /// The connection's socket.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The client's address and port.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer.into()
    }

    /// Is about to wait. One that is idle and must leave will find what has come already, and then the
    /// end of input.
    pub fn begin_wait(&self, waiting: Waiting) {
        self.wait.begin(waiting);
        // Looked at after the store: `ask_to_leave` does it the other way round.
        if waiting == Waiting::Idle && self.is_closing() {
            self.shutdown_read();
        }
    }

    /// Has something to do again.
    pub fn end_wait(&self) {
        self.wait.pause();
    }

    /// `n` bytes of what is waited for were received or sent.
    fn record_bytes(&self, n: usize) {
        self.bytes.fetch_add(u32::try_from(n).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// Reads by `read`, which is repeated if a signal interrupts it; `waiting` is what for.
    ///
    /// # Errors
    /// Returns [`ErrorKind::TimedOut`] if the peer was too slow, or the error of `read`.
    pub fn read(
        &self,
        waiting: Waiting,
        mut read: impl FnMut(&mut &TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let n = loop {
            match read(&mut &self.stream) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) if self.has_timed_out() => return Err(self.timeout_error()),
                result => break result?,
            }
        };
        if matches!(waiting, Waiting::Body | Waiting::Linger) {
            self.record_bytes(n);
        }
        Ok(n)
    }

    /// Sends by `send`, which is repeated if a signal interrupts it.
    ///
    /// # Errors
    /// Returns [`ErrorKind::TimedOut`] if the peer was too slow, or the error of `send`.
    pub fn send(&self, mut send: impl FnMut(&TcpStream) -> io::Result<usize>) -> io::Result<usize> {
        loop {
            match send(&self.stream) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(error),
                Err(_) if self.has_timed_out() => return Err(self.timeout_error()),
                result => {
                    let n = result?;
                    self.record_bytes(n);
                    return Ok(n);
                }
            }
        }
    }

    /// An exchange ended: waiting for the next one begins anew.
    pub fn exchange_done(&self) {
        self.wait.end();
        if self.flags.has(Flag::NoResponseYet) {
            self.flags.set(Flag::NoResponseYet, false);
        }
    }

    /// From now on the connection's end is a reset, however it comes, or a plain one again. For
    /// answers that look whole when it is plain. Said by whoever serves it, and nobody else.
    pub fn set_reset_on_close(&self, yes: bool) {
        if self.flags.has(Flag::ResetOnClose) != yes {
            self.flags.set(Flag::ResetOnClose, yes);
            let _ = net::close_by_reset(self, yes);
        }
    }

    /// All is sent that will be, while somebody works on: the client hears the end now, and that its
    /// answer was `cut` if so.
    pub fn close_response(&self, cut: bool) {
        self.set_reset_on_close(cut);
        let _ = if cut { net::reset(self) } else { net::finish(self) };
    }

    /// Whether the client is still there. Costs one system call.
    #[must_use]
    pub fn presence(&self) -> Presence {
        match Presence::of(self) {
            // Our own doing looks the same: a request that came in the same moment is still answered.
            Presence::Quiet if self.flags.has(Flag::ReadShutdown) => Presence::Here,
            seen => seen,
        }
    }

    fn is_closing(&self) -> bool {
        self.flags.has(Flag::Closing)
    }

    /// Whether its next response is to be its last: the server stops, or others are to get their exchange.
    #[must_use]
    pub fn should_close(&self) -> bool {
        self.flags.has(Flag::LastResponse) || self.is_closing()
    }

    /// Whether it was woken because its deadline had passed, or to be evicted.
    #[must_use]
    fn has_timed_out(&self) -> bool {
        self.flags.has(Flag::TimedOut)
    }

    /// Whether it was ended to make room.
    #[must_use]
    pub fn is_evicted(&self) -> bool {
        self.flags.has(Flag::Evicted)
    }

    /// What reading or sending comes to on one that [`ConnectionHandle::has_timed_out`].
    #[must_use]
    fn timeout_error(&self) -> io::Error {
        match self.is_evicted() {
            true => io::Error::new(ErrorKind::TimedOut, "too slow while the server was full"),
            false => ErrorKind::TimedOut.into(),
        }
    }

    /// For how long it has waited, as far as the sweep has counted.
    fn waited(&self) -> Duration {
        Duration::from_millis(self.waited.load(Ordering::Relaxed).into())
    }

    fn request_close(&self) {
        self.flags.set(Flag::Closing, true);
        if self.wait.is(Waiting::Idle) {
            self.shutdown_read();
        }
    }

    fn shutdown_read(&self) {
        self.flags.set(Flag::ReadShutdown, true);
        let _ = self.stream.shutdown(Shutdown::Read);
    }
}

impl Flags {
    fn has(&self, flag: Flag) -> bool {
        self.0.load(Ordering::SeqCst) & flag as u8 != 0
    }

    /// Whether it was set before.
    fn set(&self, flag: Flag, yes: bool) -> bool {
        let before = match yes {
            true => self.0.fetch_or(flag as u8, Ordering::SeqCst),
            false => self.0.fetch_and(!(flag as u8), Ordering::SeqCst),
        };
        before & flag as u8 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;

    #[test]
    #[cfg(target_os = "linux")]
    fn b_286_a_client_that_was_asked_to_leave_has_not_left() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, peer) = listener.accept().unwrap();
        let connections = Connections::default();
        let connection = connections.register(stream, peer);
        connection.begin_wait(Waiting::Idle);
        connections.close_idle();
        connection.end_wait(); // a request was read all the same
        assert_eq!(Presence::of(&*connection), Presence::Quiet);
        assert_eq!(connection.presence(), Presence::Here);
        drop(client);
        connection.stream().write_all(b"answer").unwrap();
        assert!((0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(1));
            connection.presence() == Presence::Gone
        }));
    }
}
