//! New connections for many threads at once, until it is stopped.
//!
//! One listener on Linux costs one system call for each connection. Several listeners, or another
//! system, are polled first. [`Acceptor::stop`] wakes everyone at once. A connection that died
//! before it was accepted is skipped; running out of descriptors is told, so that the caller can
//! pause instead of spinning.

use std::io::{self, PipeReader, PipeWriter};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown};

use super::LINUX;

/// Listeners to accept from.
///
/// ```
/// use doorstep_blocking::host::{self, Acceptor};
///
/// let acceptor = Acceptor::new(host::bind(Some("127.0.0.1"), 0)?)?;
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
    stopped: AtomicBool,
    /// Hangs up when `writer` is dropped, which every `poll` sees.
    reader: PipeReader,
    writer: Mutex<Option<PipeWriter>>,
    /// Which listener is asked first, so that a busy one does not starve another.
    turn: AtomicUsize,
}

impl Acceptor {
    /// Accepts from all of `listeners`.
    ///
    /// # Errors
    /// When they cannot be set up, or there is none.
    pub fn new(listeners: Vec<TcpListener>) -> io::Result<Self> {
        Self::with(listeners, LINUX)
    }

    /// The same for who waits by other means, for [`Acceptor::sources`], and then asks
    /// [`Acceptor::try_accept`].
    ///
    /// # Errors
    /// As of [`Acceptor::new`].
    pub fn nonblocking(listeners: Vec<TcpListener>) -> io::Result<Self> {
        Self::with(listeners, false)
    }

    fn with(listeners: Vec<TcpListener>, woken_by_shutdown: bool) -> io::Result<Self> {
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
            stopped: AtomicBool::new(false),
            reader,
            writer: Mutex::new(Some(writer)),
            turn: AtomicUsize::new(0),
        })
    }

    /// What we listen on, in the order given; with the ports that were found for 0.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Waits for the next connection; `None` once stopped. Any number of threads may wait.
    ///
    /// # Errors
    /// When descriptors or memory are used up: the connection still waits, try again later.
    pub fn accept(&self) -> io::Result<Option<(TcpStream, SocketAddr)>> {
        while !self.is_stopped() {
            if !self.blocking {
                self.poll(None)?;
            }
            for listener in self.in_turn() {
                match accept(listener, false) {
                    Ok(connection) => return Ok(Some(connection)),
                    Err(_) if self.is_stopped() => return Ok(None),
                    Err(error) if concerns_one_connection(&error) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(None)
    }

    /// What becomes readable when there is something to accept, and after [`Acceptor::stop`].
    pub fn sources(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.listeners.iter().map(TcpListener::as_fd).chain([self.reader.as_fd()])
    }

    /// Accepts a connection that is here, without waiting; its socket never waits either.
    ///
    /// # Errors
    /// As of [`Acceptor::accept`].
    pub fn try_accept(&self) -> io::Result<Option<(TcpStream, SocketAddr)>> {
        for listener in self.in_turn() {
            match accept(listener, true) {
                Ok(connection) => return Ok(Some(connection)),
                Err(_) if self.is_stopped() => return Ok(None),
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Waits until a connection can be accepted, at most `timeout`. Says whether one can; another
    /// thread may be faster. False as well once stopped.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn wait_readable(&self, timeout: Duration) -> io::Result<bool> {
        Ok(self.poll(Some(timeout))? && !self.is_stopped())
    }

    /// Accepts nothing from now on, and lets everyone know who waits. Connections that nobody
    /// accepted are reset; those that were are not touched.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        for listener in &self.listeners {
            // Wakes a blocked accept on Linux; other systems may refuse, and are woken by the pipe.
            let _ = shutdown(listener, Shutdown::Both);
        }
    }

    /// Whether [`Acceptor::stop`] was called.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
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

    fn in_turn(&self) -> impl Iterator<Item = &TcpListener> {
        let count = self.listeners.len();
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % count;
        self.listeners.iter().cycle().skip(first).take(count)
    }
}

/// One call where the system has one for it.
#[cfg(target_os = "linux")]
fn accept(listener: &TcpListener, nonblocking: bool) -> io::Result<(TcpStream, SocketAddr)> {
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
fn accept(listener: &TcpListener, nonblocking: bool) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = listener.accept()?;
    stream.set_nonblocking(nonblocking)?; // only Linux does not let it inherit this
    Ok((stream, peer))
}

/// Whether the next accept may well succeed: accept(2) passes on what befell a connection while it
/// was waiting, and with several threads another one may have been faster.
fn concerns_one_connection(error: &io::Error) -> bool {
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
    use crate::host::bind;
    use std::sync::Barrier;
    use std::thread;

    /// One listener and two, by each way of waiting.
    fn acceptors() -> Vec<Acceptor> {
        let one = || bind(Some("127.0.0.1"), 0).unwrap();
        let two = || one().into_iter().chain(one()).collect();
        vec![
            Acceptor::with(one(), LINUX).unwrap(),
            Acceptor::with(one(), false).unwrap(),
            Acceptor::with(two(), LINUX).unwrap(),
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
        assert!(concerns_one_connection(&error(Errno::CONNABORTED)));
        for lack in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::INVAL] {
            assert!(!concerns_one_connection(&error(lack)));
        }
    }

    #[test]
    fn no_listeners_are_an_error() {
        assert!(Acceptor::new(Vec::new()).is_err());
    }
}
