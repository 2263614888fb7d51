//! Accepting connections from several listeners on many threads, until a stop.
//!
//! With one listener on Linux, a connection costs one system call; several listeners, and those of
//! other systems, are polled first. [`Acceptor::stop`] wakes all threads at once and resets no
//! connection: those in the backlog are accepted first, and returned after the stop. A connection
//! that was lost before it was accepted is skipped. Running out of descriptors (`EMFILE`) or memory
//! is an error, so that the caller can pause instead of spinning.
//!
//! While many connections arrive, Linux is asked for those alone whose first bytes have arrived, too
//! (`deferral.rs`).

use std::collections::VecDeque;
use std::io::{self, PipeReader, PipeWriter};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::deferral::{self, Deferral};
use super::{Listener, ListenerAddr, Stream, reuse_port};
use crate::os::LINUX;

/// How long [`Acceptor::stop`] waits for TCP handshakes that have begun, while no further one can
/// begin. It is enough within a data centre; the longer it is, the more clients have to repeat
/// their SYN, a second later.
const HANDSHAKE_WAIT: Duration = Duration::from_millis(1);
/// The same on a port that another process listens on, too ([`BindOptions::reuse_port`]): handshakes
/// begin there meanwhile, so that nobody has to wait, and it is enough for nearly every network.
///
/// [`BindOptions::reuse_port`]: super::BindOptions::reuse_port
const SHARED_HANDSHAKE_WAIT: Duration = Duration::from_millis(250);
/// How often at least [`Acceptor::stop`] looks for connections that were deferred, and takes the time.
const MAX_DEFERRED_POLL: Duration = Duration::from_millis(20);

/// Listeners to accept from.
///
/// ```
/// use doorstep_driver::net::{self, Acceptor};
///
/// let acceptor = Acceptor::new(net::bind(Some("127.0.0.1"), 0)?)?;
/// let client = std::net::TcpStream::connect(acceptor.addresses()[0])?;
/// let stream = acceptor.accept()?.expect("it was not stopped");
/// assert_eq!(stream.peer_addr(), client.local_addr()?);
///
/// acceptor.stop();
/// assert!(acceptor.accept()?.is_none());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Acceptor {
    listeners: Vec<Listener>,
    addresses: Vec<SocketAddr>,
    /// Whether `accept` itself waits; otherwise `poll` does.
    blocking: bool,
    stopping: AtomicBool,
    stopped: AtomicBool,
    /// The connections that were in the listeners' backlogs at the stop: accepted, and not returned
    /// yet.
    backlog: Mutex<VecDeque<Stream>>,
    /// Becomes readable when `writer` is dropped, which wakes every `poll`.
    reader: PipeReader,
    writer: Mutex<Option<PipeWriter>>,
    /// The listener that is tried first, so that a busy one does not starve another.
    next_listener: AtomicUsize,
    deferral: Deferral,
    /// The longest time of each wait in [`Acceptor::stop`], in milliseconds.
    max_stop_wait: AtomicU64,
}

impl Acceptor {
    /// Accepts from all of `listeners`.
    ///
    /// # Errors
    /// Returns an error if `listeners` is empty, or the error of the system.
    pub fn new<L: Into<Listener>>(listeners: Vec<L>) -> io::Result<Self> {
        Self::from_listeners(listeners, LINUX)
    }

    /// Accepts from all of `listeners` for a caller that waits by other means until one of
    /// [`Acceptor::sources`] is readable, and then calls [`Acceptor::try_accept`].
    ///
    /// # Errors
    /// Returns an error if `listeners` is empty, or the error of the system.
    pub fn nonblocking<L: Into<Listener>>(listeners: Vec<L>) -> io::Result<Self> {
        Self::from_listeners(listeners, false)
    }

    fn from_listeners<L: Into<Listener>>(
        listeners: Vec<L>,
        woken_by_shutdown: bool,
    ) -> io::Result<Self> {
        let listeners: Vec<Listener> = listeners.into_iter().map(Into::into).collect();
        if listeners.is_empty() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let blocking =
            woken_by_shutdown && listeners.len() == 1 && listeners[0].is_woken_by_shut_down();
        let addresses = listeners.iter().filter_map(|listener| match listener.addr() {
            ListenerAddr::Tcp(address) => Some(address),
            ListenerAddr::Unix(_) | ListenerAddr::UnixAbstract(_) => None,
        });
        let addresses = addresses.collect();
        for listener in &listeners {
            listener.set_nonblocking(!blocking)?;
        }
        let (reader, writer) = io::pipe()?;
        Ok(Self {
            listeners,
            addresses,
            blocking,
            stopping: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            backlog: Mutex::default(),
            reader,
            writer: Mutex::new(Some(writer)),
            next_listener: AtomicUsize::new(0),
            deferral: Deferral::default(),
            max_stop_wait: AtomicU64::new(deferral::MAX_DEFERRAL.as_millis() as u64),
        })
    }

    /// Bounds each of the two waits of [`Acceptor::stop`], for connections on a shared port and for those
    /// that have sent nothing. Connections that are waited for no more are reset. The front ends set it to
    /// an eighth of [`Config::shutdown_grace`](crate::Config::shutdown_grace).
    pub fn set_max_stop_wait(&self, max: Duration) {
        let max = u64::try_from(max.as_millis()).unwrap_or(u64::MAX);
        self.max_stop_wait.store(max, Ordering::Relaxed);
    }

    /// The addresses of the TCP listeners, in their order, with the ports that were chosen for port
    /// 0.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The listeners.
    #[must_use]
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// Waits for the next connection. After [`Acceptor::stop`], returns those of the backlog and
    /// then `None`. Any number of threads may wait.
    ///
    /// # Errors
    /// Returns an error if descriptors or memory are used up: the connection stays in the backlog,
    /// and accepting it can be tried again later.
    pub fn accept(&self) -> io::Result<Option<Stream>> {
        while !self.is_stopped() {
            if !self.blocking || self.stopping.load(Ordering::SeqCst) {
                self.poll(None)?;
            }
            if let Some(connection) = self.accept_any(false)? {
                return Ok(Some(connection));
            }
        }
        Ok(self.backlog().pop_front())
    }

    /// Descriptors that become readable when there is a connection to accept, and after
    /// [`Acceptor::stop`].
    pub fn sources(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.listeners.iter().map(Listener::as_fd).chain([self.reader.as_fd()])
    }

    /// Accepts a connection without waiting; `None` if there is none now. Its socket is
    /// non-blocking.
    ///
    /// # Errors
    /// Returns the same errors as [`Acceptor::accept`].
    pub fn try_accept(&self) -> io::Result<Option<Stream>> {
        if !self.is_stopped() {
            return self.accept_any(true);
        }
        let connection = self.backlog().pop_front();
        if let Some(stream) = &connection {
            stream.set_nonblocking(true)?;
        }
        Ok(connection)
    }

    /// Waits until there is a connection to accept, at most for `timeout`. Returns whether there is
    /// one, which another thread may accept first; false after a stop.
    ///
    /// # Errors
    /// Returns the error of `poll`.
    pub fn wait_readable(&self, timeout: Duration) -> io::Result<bool> {
        Ok(self.poll(Some(timeout))? && !self.is_stopped())
    }

    /// Accepts the connections in the backlog, closes the listeners by `shutdown`(2), and wakes all threads that
    /// wait in [`Acceptor::accept`], which return the connections of the backlog first. Takes about
    /// a millisecond. If more than 256 connections arrived in a second, those that have sent nothing are
    /// not in the backlog: if there are any, they are waited for, for about a second, on a busy system for three
    /// ([`Acceptor::set_max_stop_wait`]).
    ///
    /// Closing a listener resets the connections in its backlog, including those that arrive
    /// between the last accept and the close. So, where the system supports it, no TCP handshake
    /// can begin in that time: a client that tries repeats its SYN a second later, and is refused
    /// or reaches the server that was started next. The descriptors of the listeners stay open as long as
    /// the `Acceptor` exists. The files of Unix sockets are removed.
    ///
    /// If the port is shared ([`BindOptions::reuse_port`](super::BindOptions::reuse_port)), new
    /// connections go to the process that has begun to listen after this one, and those that began
    /// here are still accepted for a quarter of a second before all that.
    ///
    /// Listeners that another process shares ([`Listener::with_shared`]) are left as they are, with
    /// their backlogs.
    pub fn stop(&self) {
        self.stop_with(&|_| {});
    }

    /// [`Acceptor::stop`], which calls `tick` at least every 20 ms while it waits, with whether new
    /// connections are refused already.
    pub(crate) fn stop_with(&self, tick: &dyn Fn(bool)) {
        if !self.stopping.load(Ordering::SeqCst) {
            self.drain_shared_ports(tick);
        }
        if self.stopping.swap(true, Ordering::SeqCst) {
            return;
        }
        let has_deferred = self.deferral.end(&self.listeners);
        let mut refused = self.own_listeners().next().is_some();
        for listener in self.own_listeners() {
            let _ = listener.set_nonblocking(true); // from now on every thread polls
            refused &= listener.refuse_new();
        }
        self.drain_backlog();
        if refused {
            thread::sleep(HANDSHAKE_WAIT);
            self.drain_backlog();
        }
        if has_deferred && refused {
            self.wait_for_deferred(tick);
        }
        self.stopped.store(true, Ordering::SeqCst);
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.on_shared_ports().for_each(reuse_port::restore);
        for listener in self.own_listeners() {
            // Wakes a blocked accept on Linux. On other systems, the pipe wakes the threads.
            listener.shut_down();
        }
    }

    /// Accepts the connections that were not accepted because they have sent nothing.
    fn wait_for_deferred(&self, tick: &dyn Fn(bool)) {
        let is_left = |listener: &Listener| listener.has_handshakes().unwrap_or(false);
        let started = Instant::now();
        let (max, mut wait) = (self.stop_wait(deferral::MAX_DEFERRAL), HANDSHAKE_WAIT);
        while self.own_listeners().any(is_left) {
            let left = max.saturating_sub(started.elapsed());
            if left.is_zero() {
                break;
            }
            tick(true);
            thread::sleep(wait.min(left));
            self.drain_backlog();
            wait = (2 * wait).min(MAX_DEFERRED_POLL);
        }
        tick(true);
    }

    /// On ports that are shared: lets the connections that have begun arrive and be accepted.
    fn drain_shared_ports(&self, tick: &dyn Fn(bool)) {
        if self.on_shared_ports().count() == 0 {
            return;
        }
        self.on_shared_ports().for_each(reuse_port::redirect);
        let (started, max) = (Instant::now(), self.stop_wait(SHARED_HANDSHAKE_WAIT));
        loop {
            tick(false);
            match max.saturating_sub(started.elapsed()) {
                Duration::ZERO => return,
                left => thread::sleep(left.min(MAX_DEFERRED_POLL)),
            }
        }
    }

    /// Defers connections from now on.
    #[cfg(all(test, target_os = "linux", not(feature = "portable")))]
    pub(crate) fn force_deferral(&self) {
        assert!(self.deferral.force(&self.listeners));
    }

    fn stop_wait(&self, wait: Duration) -> Duration {
        wait.min(Duration::from_millis(self.max_stop_wait.load(Ordering::Relaxed)))
    }

    fn on_shared_ports(&self) -> impl Iterator<Item = &Listener> {
        self.own_listeners().filter(|listener| reuse_port::is_shared(*listener))
    }

    /// Whether [`Acceptor::stop`] was called, so that only connections of the backlog are returned.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// The number of connections of the backlog that were not returned yet.
    #[must_use]
    pub fn backlog_len(&self) -> usize {
        self.backlog().len()
    }

    /// Closes them, and returns their number. The kernel resets those whose request was not read.
    pub fn abort_backlog(&self) -> usize {
        self.backlog().drain(..).count()
    }

    /// Accepts all connections in the backlogs, as far as there are descriptors.
    fn drain_backlog(&self) {
        for listener in self.own_listeners() {
            loop {
                match listener.accept(false) {
                    Ok(connection) => self.backlog().push_back(connection),
                    Err(error) if is_would_block(&error) || !is_connection_error(&error) => break,
                    Err(_) => {}
                }
            }
        }
    }

    /// The listeners that no other process has.
    fn own_listeners(&self) -> impl Iterator<Item = &Listener> {
        self.listeners.iter().filter(|listener| !listener.is_shared())
    }

    fn backlog(&self) -> MutexGuard<'_, VecDeque<Stream>> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the listeners and for the stop, and returns whether one of them is ready.
    fn poll(&self, timeout: Option<Duration>) -> io::Result<bool> {
        let mut sources: Vec<_> =
            self.listeners.iter().map(|listener| PollFd::new(listener, PollFlags::IN)).collect();
        sources.push(PollFd::new(&self.reader, PollFlags::IN));
        // A time that is too long for the system is as good as none.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut sources, timeout.as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Accepts from the first listener that has a connection; `None` if none has.
    fn accept_any(&self, nonblocking: bool) -> io::Result<Option<Stream>> {
        for listener in self.round_robin() {
            match listener.accept(nonblocking) {
                Ok(connection) => {
                    self.deferral.accepted(&self.listeners);
                    return Ok(Some(connection));
                }
                Err(_) if self.stopping.load(Ordering::SeqCst) => break,
                Err(error) if is_connection_error(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn round_robin(&self) -> impl Iterator<Item = &Listener> {
        let count = self.listeners.len();
        let first = self.next_listener.fetch_add(1, Ordering::Relaxed) % count;
        self.listeners.iter().cycle().skip(first).take(count)
    }
}

/// Whether an error concerns one connection, so that the next accept may succeed: accept(2) passes
/// on pending network errors of the connection, and another thread may have been faster.
fn is_connection_error(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::AGAIN
                | Errno::INTR
                | Errno::CONNABORTED
                | Errno::CONNRESET
                | Errno::PROTO
                | Errno::PERM
                | Errno::NOPROTOOPT
                | Errno::OPNOTSUPP
                | Errno::NETDOWN
                | Errno::NETUNREACH
                | Errno::HOSTDOWN
                | Errno::HOSTUNREACH
                | Errno::TIMEDOUT
        )
    ) || is_nonet(error)
}

fn is_would_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

#[cfg(target_os = "linux")]
fn is_nonet(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::NONET)
}

#[cfg(not(target_os = "linux"))]
fn is_nonet(_: &io::Error) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::bind;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::sync::Barrier;

    /// Acceptors with one listener and with two, and with each way of waiting.
    fn acceptors() -> Vec<Acceptor> {
        let one = || bind(Some("127.0.0.1"), 0).unwrap();
        let two = || one().into_iter().chain(one()).collect();
        vec![
            Acceptor::from_listeners(one(), LINUX).unwrap(),
            Acceptor::from_listeners(one(), false).unwrap(),
            Acceptor::from_listeners(two(), LINUX).unwrap(),
        ]
    }

    #[test]
    fn stop_ends_every_waiting_accept_and_all_later_ones() {
        for acceptor in acceptors() {
            let started = Barrier::new(9);
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        started.wait();
                        assert!(acceptor.accept().unwrap().is_none());
                    });
                }
                started.wait();
                thread::sleep(Duration::from_millis(50)); // most likely all of them wait now
                acceptor.stop();
            });
            acceptor.stop();
            assert!(acceptor.is_stopped());
            assert!(acceptor.accept().unwrap().is_none());
            assert!(!acceptor.wait_readable(Duration::from_secs(60)).unwrap());
            assert!(TcpStream::connect(acceptor.addresses()[0]).is_err());
        }
    }

    #[test]
    fn b_282_a_stop_returns_the_connections_in_the_backlog() {
        for acceptor in acceptors() {
            let addresses = acceptor.addresses();
            let connect = |n: usize| TcpStream::connect(addresses[n % addresses.len()]);
            let mut clients: Vec<_> = (0..20).map(|n| connect(n).unwrap()).collect();
            acceptor.stop();
            assert!(connect(0).is_err() && connect(1).is_err());
            assert_eq!(acceptor.backlog_len(), 20);
            for n in 0..20 {
                let taken = if n % 2 == 0 { acceptor.accept() } else { acceptor.try_accept() };
                let stream = taken.unwrap().unwrap();
                let peer = stream.peer_addr();
                let index = clients.iter().position(|client| client.local_addr().unwrap() == peer);
                stream.send(b"x", false).unwrap();
                clients.swap_remove(index.unwrap()).read_exact(&mut [0]).unwrap();
            }
            assert!(acceptor.accept().unwrap().is_none());
            assert!(acceptor.try_accept().unwrap().is_none());
        }
    }

    #[test]
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    fn b_282_a_stop_returns_the_connections_that_were_deferred() {
        for acceptor in acceptors() {
            acceptor.force_deferral();
            let connect =
                |n: usize| TcpStream::connect(acceptor.addresses[n % acceptor.addresses.len()]);
            let mut clients: Vec<_> = (0..20).map(|n| connect(n).unwrap()).collect();
            assert!(!acceptor.wait_readable(Duration::ZERO).unwrap(), "they have sent nothing");
            acceptor.stop();
            assert_eq!(acceptor.backlog_len(), 20);
            while let Some(stream) = acceptor.accept().unwrap() {
                stream.send(b"x", false).unwrap();
            }
            for client in &mut clients {
                client.read_exact(&mut [0]).unwrap();
            }
        }
    }

    #[test]
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    fn b_282_the_wait_for_deferred_connections_has_a_bound_and_takes_the_time() {
        for (max, accepted) in [(Duration::MAX, 1), (Duration::ZERO, 0)] {
            for acceptor in acceptors() {
                acceptor.force_deferral();
                acceptor.set_max_stop_wait(max);
                let _silent = TcpStream::connect(acceptor.addresses[0]).unwrap();
                let ticks = AtomicUsize::new(0);
                acceptor.stop_with(&|refuses_new| {
                    assert!(refuses_new);
                    ticks.fetch_add(1, Ordering::Relaxed);
                });
                assert_eq!(acceptor.backlog_len(), accepted);
                assert_eq!(ticks.into_inner() > 1, accepted == 1);
            }
        }
    }

    #[test]
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    fn b_282_a_stop_resets_no_connection() {
        for acceptor in acceptors() {
            let addresses = acceptor.addresses();
            let ends = thread::scope(|scope| {
                // Each connects until it is refused. Every connection has to be returned.
                let clients: Vec<_> = (0..4)
                    .map(|n| {
                        scope.spawn(move || -> Vec<TcpStream> {
                            let connect = || TcpStream::connect(addresses[n % addresses.len()]);
                            (0..1000).map_while(|_| connect().ok()).collect()
                        })
                    })
                    .collect();
                assert!(acceptor.accept().unwrap().is_some());
                acceptor.stop();
                while acceptor.accept().unwrap().is_some() {}
                clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<Vec<_>>()
            });
            for mut end in ends {
                assert_eq!(end.read(&mut [0]).unwrap(), 0, "FIN, no reset");
            }
        }
    }

    #[test]
    fn every_connection_is_accepted_exactly_once() {
        for acceptor in acceptors() {
            let clients: Vec<_> = (0..40)
                .map(|n| acceptor.addresses()[n % acceptor.addresses().len()])
                .map(|address| TcpStream::connect(address).unwrap())
                .collect();
            let mut peers: Vec<_> = thread::scope(|scope| {
                let accept = || acceptor.accept().unwrap().unwrap().peer_addr();
                let threads: Vec<_> = (0..4)
                    .map(|_| scope.spawn(move || (0..10).map(|_| accept()).collect::<Vec<_>>()))
                    .collect();
                threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
            });
            peers.sort();
            let mut expected: Vec<_> =
                clients.iter().map(|client| client.local_addr().unwrap()).collect();
            expected.sort();
            assert_eq!(peers, expected);
        }
    }

    #[test]
    fn wait_readable_finds_a_connection_and_accepts_none() {
        for acceptor in acceptors() {
            assert!(!acceptor.wait_readable(Duration::ZERO).unwrap());
            let _client = TcpStream::connect(acceptor.addresses()[0]).unwrap();
            assert!(acceptor.wait_readable(Duration::from_secs(60)).unwrap());
            assert!(acceptor.accept().unwrap().is_some());
            assert!(!acceptor.wait_readable(Duration::ZERO).unwrap());
        }
    }

    #[test]
    fn emfile_is_returned_and_not_retried() {
        let error = |errno: Errno| io::Error::from(errno);
        assert!(is_connection_error(&error(Errno::CONNABORTED)));
        for lack in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::INVAL] {
            assert!(!is_connection_error(&error(lack)));
        }
    }

    #[test]
    fn no_listeners_are_an_error() {
        assert!(Acceptor::new(Vec::<TcpListener>::new()).is_err());
    }
}
