//! New connections for many threads at once, until it is stopped.
//!
//! One listener on Linux costs one system call for each connection. Several listeners, or another
//! system, are polled first. [`Acceptor::stop`] wakes all threads at once, and no connection is
//! reset: what waits in the backlog is taken first, and handed out after that. A connection that
//! died before it was accepted is skipped; running out of descriptors is told, so that the caller
//! can pause instead of spinning.

use std::collections::VecDeque;
use std::io::{self, PipeReader, PipeWriter};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown};

use crate::os::LINUX;

/// How long a stop waits for the end of handshakes that have begun, where no more can begin: enough
/// within a data centre. Longer would have more clients repeat their SYN, a second later.
const HANDSHAKE_WAIT: Duration = Duration::from_millis(1);

/// A connection, and the client's address.
type Accepted = (TcpStream, SocketAddr);

/// Listeners to accept from.
///
/// ```
/// use doorstep_driver::net::{self, Acceptor};
///
/// let acceptor = Acceptor::new(net::bind(Some("127.0.0.1"), 0)?)?;
/// let client = std::net::TcpStream::connect(acceptor.addresses()[0])?;
/// let (_, peer) = acceptor.accept()?.expect("it was not stopped");
/// assert_eq!(peer, client.local_addr()?);
///
/// acceptor.stop();
/// assert!(acceptor.accept()?.is_none());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Acceptor {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    /// Whether `accept` itself waits; otherwise `poll` does.
    blocking: bool,
    stopping: AtomicBool,
    stopped: AtomicBool,
    /// What was in the listeners' backlogs when they were stopped; accepted, and not handed out
    /// yet.
    backlog: Mutex<VecDeque<Accepted>>,
    /// Hangs up when `writer` is dropped, which every `poll` sees.
    reader: PipeReader,
    writer: Mutex<Option<PipeWriter>>,
    /// Which listener is asked first, so that a busy one does not starve another.
    next_listener: AtomicUsize,
}

impl Acceptor {
    /// Accepts from all of `listeners`.
    ///
    /// # Errors
    /// When they cannot be set up, or there is none.
    pub fn new(listeners: Vec<TcpListener>) -> io::Result<Self> {
        Self::from_listeners(listeners, LINUX)
    }

    /// The same for a caller that waits for [`Acceptor::sources`] by other means and then calls
    /// [`Acceptor::try_accept`].
    ///
    /// # Errors
    /// As of [`Acceptor::new`].
    pub fn nonblocking(listeners: Vec<TcpListener>) -> io::Result<Self> {
        Self::from_listeners(listeners, false)
    }

    fn from_listeners(listeners: Vec<TcpListener>, woken_by_shutdown: bool) -> io::Result<Self> {
        if listeners.is_empty() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let blocking = woken_by_shutdown && listeners.len() == 1;
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
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
        })
    }

    /// What we listen on, in the order given; with the ports that were found for 0.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Waits for the next connection; `None` once stopped, and the backlog is handed out. Any
    /// number of threads may wait.
    ///
    /// # Errors
    /// When descriptors or memory are used up: the connection still waits, try again later.
    pub fn accept(&self) -> io::Result<Option<Accepted>> {
        while !self.is_stopped() {
            if !self.blocking || self.stopping.load(Ordering::SeqCst) {
                self.poll(None)?;
            }
            for listener in self.round_robin() {
                match accept(listener, false) {
                    Ok(connection) => return Ok(Some(connection)),
                    Err(_) if self.is_stopped() => break,
                    Err(error) if is_connection_error(&error) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(self.backlog().pop_front())
    }

    /// What becomes readable when there is something to accept, and after [`Acceptor::stop`].
    pub fn sources(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.listeners.iter().map(TcpListener::as_fd).chain([self.reader.as_fd()])
    }

    /// Accepts a connection that is here, without waiting; its socket never waits either.
    ///
    /// # Errors
    /// As of [`Acceptor::accept`].
    pub fn try_accept(&self) -> io::Result<Option<Accepted>> {
        for listener in self.round_robin() {
            match accept(listener, true) {
                Ok(connection) => return Ok(Some(connection)),
                Err(_) if self.is_stopped() => break,
                Err(error) if is_connection_error(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let connection = self.is_stopped().then(|| self.backlog().pop_front()).flatten();
        if let Some((stream, _)) = &connection {
            stream.set_nonblocking(true)?;
        }
        Ok(connection)
    }

    /// Waits until a connection can be accepted, at most `timeout`. Says whether one can; another
    /// thread may be faster. False as well once stopped.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn wait_readable(&self, timeout: Duration) -> io::Result<bool> {
        Ok(self.poll(Some(timeout))? && !self.is_stopped())
    }

    /// Takes what is in the backlog, closes the listeners, and wakes all that wait in
    /// [`Acceptor::accept`]; what was taken is handed out first. Takes about a millisecond.
    ///
    /// To close a listener resets what is in its backlog, and so what comes between a last look and
    /// that. Where the system can do it, no handshake begins during that time: a client that tries
    /// repeats its SYN a second later, and is refused or finds our successor.
    pub fn stop(&self) {
        if self.stopping.swap(true, Ordering::SeqCst) {
            return;
        }
        let mut refused = true;
        for listener in &self.listeners {
            let _ = listener.set_nonblocking(true); // from here on everybody polls
            refused &= refuse_handshakes(listener);
        }
        self.drain_backlog();
        if refused {
            thread::sleep(HANDSHAKE_WAIT);
            self.drain_backlog();
        }
        self.stopped.store(true, Ordering::SeqCst);
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        for listener in &self.listeners {
            // Wakes a blocked accept on Linux; other systems may refuse, and are ready by the pipe.
            let _ = shutdown(listener, Shutdown::Both);
        }
    }

    /// Whether [`Acceptor::stop`] was called, and nothing but the backlog is handed out.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// How many connections were in the backlog and are still to be handed out.
    #[must_use]
    pub fn backlog_len(&self) -> usize {
        self.backlog().len()
    }

    /// Closes those; how many there were. (The kernel resets one whose request was not read.)
    pub fn abort_backlog(&self) -> usize {
        self.backlog().drain(..).count()
    }

    /// Accepts what is here, as far as the descriptors go.
    fn drain_backlog(&self) {
        for listener in &self.listeners {
            loop {
                match accept(listener, false) {
                    Ok(connection) => self.backlog().push_back(connection),
                    Err(error) if is_would_block(&error) || !is_connection_error(&error) => break,
                    Err(_) => {}
                }
            }
        }
    }

    fn backlog(&self) -> MutexGuard<'_, VecDeque<Accepted>> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything happened within `timeout`.
    fn poll(&self, timeout: Option<Duration>) -> io::Result<bool> {
        let mut sources: Vec<_> =
            self.listeners.iter().map(|listener| PollFd::new(listener, PollFlags::IN)).collect();
        sources.push(PollFd::new(&self.reader, PollFlags::IN));
        // A time too long to be told is as good as none.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut sources, timeout.as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn round_robin(&self) -> impl Iterator<Item = &TcpListener> {
        let count = self.listeners.len();
        let first = self.next_listener.fetch_add(1, Ordering::Relaxed) % count;
        self.listeners.iter().cycle().skip(first).take(count)
    }
}

/// Lets no handshake begin from now on, and those end that have: whether the system can do that. It
/// drops every segment that has the SYN flag before it looks at it.
#[cfg(target_os = "linux")]
fn refuse_handshakes(listener: &TcpListener) -> bool {
    use socket2::{SockFilter, SockRef};

    /// In the byte of a TCP header that holds the flags (RFC 9293 §3.1).
    const FLAGS: u32 = 13;
    const SYN: u32 = 2;
    /// Classic BPF: load that byte, jump when a flag is set, drop or pass.
    const PROGRAM: [SockFilter; 4] = [
        SockFilter::new(0x30, 0, 0, FLAGS),
        SockFilter::new(0x45, 0, 1, SYN),
        SockFilter::new(0x06, 0, 0, 0),
        SockFilter::new(0x06, 0, 0, u32::MAX),
    ];
    LINUX && SockRef::from(listener).attach_filter(&PROGRAM).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn refuse_handshakes(_: &TcpListener) -> bool {
    false
}

/// One call where the system has one for it.
#[cfg(target_os = "linux")]
fn accept(listener: &TcpListener, nonblocking: bool) -> io::Result<Accepted> {
    use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};
    use rustix::net::{SocketFlags, acceptfrom, acceptfrom_with};

    let mut flags = SocketFlags::CLOEXEC;
    flags.set(SocketFlags::NONBLOCK, nonblocking);
    let (socket, peer) = match acceptfrom_with(listener, flags) {
        // Not every sandbox knows the call; a firewall's refusal, which looks the same, is over.
        Err(Errno::NOSYS | Errno::PERM) => {
            let (socket, peer) = acceptfrom(listener)?;
            fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
            ioctl_fionbio(&socket, nonblocking)?;
            (socket, peer)
        }
        accepted => accepted?,
    };
    let peer = peer.and_then(|peer| peer.try_into().ok()).ok_or(io::ErrorKind::InvalidData)?;
    Ok((TcpStream::from(socket), peer))
}

#[cfg(not(target_os = "linux"))]
fn accept(listener: &TcpListener, nonblocking: bool) -> io::Result<Accepted> {
    let (stream, peer) = listener.accept()?;
    stream.set_nonblocking(nonblocking)?; // only Linux does not let it inherit this
    Ok((stream, peer))
}

/// Whether the next accept may well succeed: accept(2) passes on what befell a connection while it
/// was waiting, and with several threads another one may have been faster.
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
    use std::io::{Read, Write};
    use std::sync::Barrier;

    /// One listener and two, by each way of waiting.
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
    fn stop_ends_every_accept_that_waits_and_all_later_ones() {
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
    fn a_stop_hands_out_what_is_in_the_backlog() {
        for acceptor in acceptors() {
            let addresses = acceptor.addresses();
            let connect = |n: usize| TcpStream::connect(addresses[n % addresses.len()]);
            let mut clients: Vec<_> = (0..20).map(|n| connect(n).unwrap()).collect();
            acceptor.stop();
            assert!(connect(0).is_err() && connect(1).is_err());
            assert_eq!(acceptor.backlog_len(), 20);
            for n in 0..20 {
                let taken = if n % 2 == 0 { acceptor.accept() } else { acceptor.try_accept() };
                let (mut stream, peer) = taken.unwrap().unwrap();
                let at = clients.iter().position(|client| client.local_addr().unwrap() == peer);
                stream.write_all(b"x").unwrap();
                clients.swap_remove(at.unwrap()).read_exact(&mut [0]).unwrap();
            }
            assert!(acceptor.accept().unwrap().is_none());
            assert!(acceptor.try_accept().unwrap().is_none());
        }
    }

    #[test]
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    fn a_stop_under_way_resets_no_connection() {
        for acceptor in acceptors() {
            let addresses = acceptor.addresses();
            let ends = thread::scope(|scope| {
                // Each connects until it is refused; whoever came in has to be handed out.
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
    fn every_connection_is_accepted_once_by_someone() {
        for acceptor in acceptors() {
            let clients: Vec<_> = (0..40)
                .map(|n| acceptor.addresses()[n % acceptor.addresses().len()])
                .map(|address| TcpStream::connect(address).unwrap())
                .collect();
            let mut peers: Vec<_> = thread::scope(|scope| {
                let accept = || acceptor.accept().unwrap().unwrap().1;
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
    fn wait_readable_sees_a_connection_and_takes_none() {
        for acceptor in acceptors() {
            assert!(!acceptor.wait_readable(Duration::ZERO).unwrap());
            let _client = TcpStream::connect(acceptor.addresses()[0]).unwrap();
            assert!(acceptor.wait_readable(Duration::from_secs(60)).unwrap());
            assert!(acceptor.accept().unwrap().is_some());
            assert!(!acceptor.wait_readable(Duration::ZERO).unwrap());
        }
    }

    #[test]
    fn a_lack_of_descriptors_is_not_passed_over() {
        let error = |errno: Errno| io::Error::from(errno);
        assert!(is_connection_error(&error(Errno::CONNABORTED)));
        for lack in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::INVAL] {
            assert!(!is_connection_error(&error(lack)));
        }
    }

    #[test]
    fn no_listeners_are_an_error() {
        assert!(Acceptor::new(Vec::new()).is_err());
    }
}
