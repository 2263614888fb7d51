//! The table of open connections: by it, connections time out, are evicted when the server is full,
//! and are closed by a graceful shutdown.
//!
//! A connection records what it waits for (`wait.rs`). How long it has done so is counted by the
//! sweep (`deadlines.rs`), for all of them: no socket and no request has a timer. `eviction.rs`
//! decides which connection is evicted. A connection is in the table as long as its
//! [`Registration`] (`registration.rs`).
//!
//! To close an idle keep-alive connection, only the reading half of its socket is shut down: the
//! thread or task that waits for it wakes up and finds the end of input, but a request that arrived
//! at the same moment is still read and responded to.
//!
//! A shutdown has steps: after [`Connections::begin_shutdown`] each connection closes with its next
//! response, [`Connections::close_idle`] closes those that wait for a request, and
//! [`Connections::abort_all`] ends all others. [`GracefulShutdown`](crate::GracefulShutdown) takes
//! them in time.
//!
//! ```
//! use doorstep_driver::connections::Connections;
//! use doorstep_driver::core::http1::WaitingFor;
//! # use std::net::{TcpListener, TcpStream};
//! # let listener = TcpListener::bind("127.0.0.1:0")?;
//! # let client = TcpStream::connect(listener.local_addr()?)?;
//!
//! let connections = Connections::default();
//! let (stream, peer) = listener.accept()?;
//! let connection = connections.register(stream, peer);
//! connection.begin_wait(WaitingFor::Request);
//! connections.close_idle();
//! assert!(connection.should_close());
//! # Ok::<(), std::io::Error>(())
//! ```

mod deadlines;
mod eviction;
mod pollable;
mod registration;
mod wait;

use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use doorstep_core::http1::{Outbox, WaitingFor};
use event_listener::{Event, EventListener};

use self::deadlines::{Entry, SweepClock};
use self::eviction::Candidates;
pub use self::eviction::Eviction;
pub use self::pollable::Pollable;
pub use self::registration::{Registered, Registration, SharedRegistration};
use self::wait::Wait;
use crate::heartbeat::{Heartbeat, Heartbeats};
use crate::net::{PeerState, Stream};
use crate::os::{self, Stopwatch};
use crate::stop_signal::{StopSignal, Stopping};

/// All open connections.
#[derive(Debug, Default)]
pub struct Connections {
    table: Mutex<Table>,
    /// A connection was added.
    registered: Event,
    /// A connection was removed.
    unregistered: Event,
    /// The time since the start of the shutdown.
    shutdown: Mutex<Stopwatch>,
    /// The flags that new connections get: those that a shutdown has set.
    flags: Flags,
    /// How many open connections [`Connections::abort_all`] has aborted.
    aborted: OnceLock<usize>,
    /// How many were aborted that had not been registered.
    aborted_waiting: AtomicUsize,
    /// Whether [`Connections::expire_grace`] was called.
    grace_expired: AtomicBool,
    /// The announcement of the shutdown.
    stop: StopSignal,
    heartbeats: Arc<Heartbeats>,
}

/// The data that the lock protects.
#[derive(Debug, Default)]
struct Table {
    entries: Vec<Entry>,
    clock: SweepClock,
    candidates: Candidates,
}

/// An open connection: its stream and its state. It is small, since every idle connection has one.
/// The stream is closed when the last reference is dropped.
#[derive(Debug)]
pub struct ConnectionHandle {
    stream: Stream,
    /// Written under the lock of the table only.
    table_index: AtomicU32,
    /// What it waits for; set only by the thread that serves it.
    wait: Wait,
    /// How long it has waited, in milliseconds; set only by the sweep.
    waited: AtomicU32,
    /// Bytes of a body that were received, or of a response that were sent, since the last sweep.
    bytes: AtomicU32,
    flags: Flags,
}

/// A set of [`Flag`]s, in two bytes.
#[derive(Debug, Default)]
struct Flags(AtomicU16);

#[derive(Debug, Clone, Copy)]
#[repr(u16)]
enum Flag {
    /// It has not finished a response yet.
    NoResponseYet = 1,
    /// Its next response is to be its last.
    LastResponse = 2,
    /// It was woken because its deadline had passed, or because it is evicted.
    TimedOut = 4,
    /// It closes as soon as it is idle.
    Closing = 8,
    /// The reading half was shut down by the server.
    ReadShutdown = 16,
    /// It is closed by a reset.
    ResetOnClose = 32,
    /// It was ended because it was slow while the server was full.
    Evicted = 64,
    /// A shutdown has aborted it.
    Aborted = 128,
    /// The server is shutting down.
    Stopping = 256,
}

/// Calls [`ConnectionHandle::pause_wait`] when it is dropped.
#[derive(Debug)]
#[must_use = "the wait is paused when it is dropped"]
pub struct WaitGuard<'c>(&'c ConnectionHandle);

impl Drop for WaitGuard<'_> {
    fn drop(&mut self) {
        self.0.pause_wait();
    }
}

const _: () =
    assert!(size_of::<ConnectionHandle>() <= 40, "an idle connection costs hardly more than this");

impl Connections {
    /// Adds a connection to the table.
    fn insert(&self, stream: Stream) -> Arc<ConnectionHandle> {
        let mut table = self.table();
        let connection = Arc::new(ConnectionHandle {
            stream,
            table_index: AtomicU32::new(table.entries.len() as u32),
            wait: Wait::default(),
            waited: AtomicU32::new(0),
            bytes: AtomicU32::new(0),
            flags: Flags(AtomicU16::new(
                Flag::NoResponseYet as u16 | self.flags.0.load(Ordering::SeqCst),
            )),
        });
        table.entries.push(Entry::new(connection.clone()));
        drop(table);
        self.registered.notify(usize::MAX); // nearly free without listeners
        connection
    }

    /// Removes a connection from the table; to be called exactly once for each, by its
    /// [`Registration`].
    fn remove(&self, connection: &ConnectionHandle) {
        let mut table = self.table();
        let index = connection.table_index.load(Ordering::Relaxed) as usize;
        table.entries.swap_remove(index);
        if let Some(moved) = table.entries.get(index) {
            moved.connection.table_index.store(index as u32, Ordering::Relaxed);
        }
    }

    /// A listener that is notified when a connection was removed; its socket is closed by then, if
    /// only its [`Registration`] held it. To miss none, listen before looking.
    #[must_use]
    pub fn listen_unregister(&self) -> EventListener {
        self.unregistered.listen()
    }

    /// A listener that is notified when a connection was added. To miss none, listen before
    /// looking.
    #[must_use]
    pub fn listen_register(&self) -> EventListener {
        self.registered.listen()
    }

    /// The heartbeat of a loop that begins, on which all connections or those of a worker depend.
    #[must_use]
    pub fn heartbeat(&self) -> Heartbeat {
        self.heartbeats.register()
    }

    pub(crate) fn heartbeats(&self) -> &Heartbeats {
        &self.heartbeats
    }

    /// Notifies the listeners of [`Connections::listen_register`], though no connection was added,
    /// and those of every [`Heartbeat`].
    pub fn wake_sweeper(&self) {
        self.heartbeats.wake();
        self.registered.notify(usize::MAX);
    }

    /// The number of open connections.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table().entries.len()
    }

    /// Whether no connection is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets every connection close with its next response, and announces that
    /// ([`Connections::stopping`]). A client that keeps its connection alive, or has not sent a
    /// request yet, can send one more.
    pub fn begin_shutdown(&self) {
        self.shutdown_elapsed();
        self.stop.announce();
        let table = self.table(); // held while the flag is set, so that no connection is missed
        for flag in [Flag::Stopping, Flag::LastResponse] {
            self.flags.set(flag, true);
            for entry in &table.entries {
                entry.connection.flags.set(flag, true);
            }
        }
    }

    /// Whether [`Connections::begin_shutdown`] was called.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.is_announced()
    }

    /// A future that is ready once [`Connections::begin_shutdown`] was called.
    pub fn stopping(&self) -> Stopping {
        self.stop.listen()
    }

    /// Calls `report` unless a thread has called one before. It has returned when this returns.
    pub(crate) fn report_stop(&self, report: impl FnOnce()) {
        self.stop.report(report);
    }

    /// The time since the start of the shutdown, which is now unless it was before. To be called at
    /// least every [`os::POLL_INTERVAL`] until the shutdown is over: of a longer time, only twice
    /// as much counts.
    pub fn shutdown_elapsed(&self) -> Duration {
        let mut time = self.shutdown.lock().unwrap_or_else(PoisonError::into_inner);
        time.tick(Instant::now(), os::POLL_INTERVAL)
    }

    /// Closes the connections that wait for a request, and from now on each one that begins to.
    pub fn close_idle(&self) {
        let table = self.table();
        self.flags.set(Flag::Closing, true);
        for entry in &table.entries {
            entry.connection.request_close();
        }
    }

    /// Aborts all connections: threads and tasks that wait for one wake up, and can neither read
    /// nor send. Calling it again aborts those that were added since then.
    pub fn abort_all(&self) {
        let table = self.table();
        let has_response = |entry: &&Entry| entry.connection.wait.is(WaitingFor::Linger);
        let unfinished = || table.entries.iter().filter(|entry| !has_response(entry)).count();
        self.aborted.get_or_init(unfinished);
        for Entry { connection, .. } in &table.entries {
            connection.flags.set(Flag::Aborted, true);
            let resets = connection.flags.has(Flag::ResetOnClose);
            if !resets || connection.stream.reset().is_err() {
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

impl ConnectionHandle {
    /// The connection's stream.
    #[must_use]
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The client's address and port.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.stream.peer_addr()
    }

    /// Records that `waiting` is about to be waited for. The wait begins, or goes on if it was paused.
    /// An idle connection that is to close finds what has arrived already, and then the end of input.
    /// Its PROXY protocol header has the deadline of a head.
    pub fn begin_wait(&self, waiting: WaitingFor) {
        self.wait.begin(match waiting {
            WaitingFor::Request if self.stream.awaits_proxy_header() => WaitingFor::Head,
            _ => waiting,
        });
        // Read after the store: `request_close` does both in the other order.
        if waiting == WaitingFor::Request && self.is_closing() {
            self.shutdown_read();
        }
    }

    /// Records that the server works now. The wait is paused: it goes on when
    /// [`ConnectionHandle::begin_wait`] is called for the same thing again, and the time between them
    /// does not count. [`ConnectionHandle::exchange_done`] ends it.
    pub fn pause_wait(&self) {
        self.wait.pause();
    }

    /// Pauses the wait, if there is one, when the guard is dropped: for futures, which may be dropped
    /// while they wait.
    pub fn wait_guard(&self) -> WaitGuard<'_> {
        WaitGuard(self)
    }

    /// Records that `n` bytes were received or sent during the wait.
    fn record_bytes(&self, n: usize) {
        self.bytes.fetch_add(u32::try_from(n).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// Reads by `read`, which is repeated if a signal interrupts it. `waiting` is what the bytes
    /// are for.
    ///
    /// # Errors
    /// Returns [`ErrorKind::TimedOut`] if the peer was too slow, or the error of `read`.
    pub fn read(
        &self,
        waiting: WaitingFor,
        mut read: impl FnMut(&mut &Stream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let n = loop {
            match read(&mut &self.stream) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    // The PROXY protocol header may have arrived: the wait is another one now.
                    if waiting == WaitingFor::Request && self.wait.is(WaitingFor::Head) {
                        self.begin_wait(waiting);
                    }
                }
                Ok(0) if self.has_timed_out() => return Err(self.timeout_error()),
                Err(error)
                    if self.has_timed_out()
                        && (self.stream.is_handshaking()
                            || error.kind() == ErrorKind::UnexpectedEof) =>
                {
                    return Err(self.timeout_error());
                }
                result => break result?,
            }
        };
        if matches!(waiting, WaitingFor::Body | WaitingFor::BodyOrResponse | WaitingFor::Linger) {
            self.record_bytes(n);
        }
        Ok(n)
    }

    /// Sends by `send`, which is repeated if a signal interrupts it.
    ///
    /// # Errors
    /// Returns [`ErrorKind::TimedOut`] if the peer was too slow, or the error of `send`.
    pub fn send(&self, mut send: impl FnMut(&Stream) -> io::Result<usize>) -> io::Result<usize> {
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

    /// Sends everything that is in the outbox, and removes from it what was sent. With `more`, a
    /// file follows at once ([`Stream::send`]).
    ///
    /// # Errors
    /// Returns [`ErrorKind::WouldBlock`] if a non-blocking socket takes no more now: call it again
    /// when it is writable. Otherwise the errors of [`ConnectionHandle::send`].
    pub fn flush(&self, outbox: &mut Outbox, more: bool) -> io::Result<()> {
        while !outbox.is_empty() {
            let n = self.send(|stream| stream.send(outbox.unsent(), more))?;
            outbox.sent(n);
        }
        Ok(())
    }

    /// Records the end of an exchange: the wait for the next request is another one.
    pub fn exchange_done(&self) {
        self.wait.end();
        if self.flags.has(Flag::NoResponseYet) {
            self.flags.set(Flag::NoResponseYet, false);
        }
    }

    /// Sets whether the connection is closed by a reset (RST) or by a FIN, however it is closed. A
    /// reset is for a response that is incomplete and would look complete otherwise. To be called
    /// only by the thread that serves the connection.
    pub fn set_reset_on_close(&self, yes: bool) {
        if self.flags.has(Flag::ResetOnClose) != yes {
            self.flags.set(Flag::ResetOnClose, yes);
            let _ = self.stream.set_reset_on_close(yes);
        }
    }

    /// Ends the response for the client while the handler goes on working: by a reset if it is
    /// incomplete.
    pub fn close_response(&self, is_incomplete: bool) {
        self.set_reset_on_close(is_incomplete);
        let _ = match is_incomplete {
            true => self.stream.reset(),
            false => self.stream.shutdown(Shutdown::Write),
        };
    }

    /// Whether the client still has its end of the connection open. Costs one system call.
    #[must_use]
    pub fn peer_state(&self) -> PeerState {
        match self.stream.peer_state() {
            // The server has shut it down itself; a request that arrived then is still served.
            PeerState::HalfClosed if self.flags.has(Flag::ReadShutdown) => PeerState::Open,
            seen => seen,
        }
    }

    fn is_closing(&self) -> bool {
        self.flags.has(Flag::Closing)
    }

    /// Whether its next response is to be its last one, because the server stops or is full.
    #[must_use]
    pub fn should_close(&self) -> bool {
        self.flags.has(Flag::LastResponse) || self.is_closing()
    }

    /// Whether it was woken because its deadline had passed, or because it is evicted.
    #[must_use]
    fn has_timed_out(&self) -> bool {
        self.flags.has(Flag::TimedOut)
    }

    /// Whether it was ended because it was slow while the server was full.
    #[must_use]
    pub fn is_evicted(&self) -> bool {
        self.flags.has(Flag::Evicted)
    }

    /// Whether a shutdown has aborted it.
    pub(crate) fn is_aborted(&self) -> bool {
        self.flags.has(Flag::Aborted)
    }

    /// Whether the server is shutting down.
    pub(crate) fn is_stopping(&self) -> bool {
        self.flags.has(Flag::Stopping)
    }

    /// The error of reading or sending after [`ConnectionHandle::has_timed_out`].
    #[must_use]
    fn timeout_error(&self) -> io::Error {
        if self.is_evicted() {
            io::Error::new(ErrorKind::TimedOut, "too slow while the server was full")
        } else if self.stream.is_handshaking() {
            io::Error::new(ErrorKind::TimedOut, "TLS handshake")
        } else {
            ErrorKind::TimedOut.into()
        }
    }

    /// How long it has waited, as counted by the sweep.
    fn waited(&self) -> Duration {
        Duration::from_millis(self.waited.load(Ordering::Relaxed).into())
    }

    fn request_close(&self) {
        self.flags.set(Flag::Closing, true);
        let awaits_header = || self.wait.is(WaitingFor::Head) && self.stream.awaits_proxy_header();
        if self.wait.is(WaitingFor::Request) || awaits_header() {
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
        self.0.load(Ordering::SeqCst) & flag as u16 != 0
    }

    /// Sets or clears a flag, and returns whether it was set before.
    fn set(&self, flag: Flag, yes: bool) -> bool {
        let before = match yes {
            true => self.0.fetch_or(flag as u16, Ordering::SeqCst),
            false => self.0.fetch_and(!(flag as u16), Ordering::SeqCst),
        };
        before & flag as u16 != 0
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    #[test]
    fn b_286_a_client_whose_idle_connection_is_closed_has_not_disconnected() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, peer) = listener.accept().unwrap();
        let connections = Connections::default();
        let connection = connections.register(stream, peer);
        connection.begin_wait(WaitingFor::Request);
        connections.close_idle();
        connection.pause_wait(); // a request was read nevertheless
        assert_eq!(connection.stream().peer_state(), PeerState::HalfClosed);
        assert_eq!(connection.peer_state(), PeerState::Open);
        drop(client);
        connection.stream().send(b"response", false).unwrap();
        assert!((0..1000).any(|_| {
            thread::sleep(Duration::from_millis(1));
            connection.peer_state() == PeerState::Closed
        }));
    }
}
