//! Detecting that a client has disconnected, while nothing is read from it or sent to it.
//!
//! A client that has closed its half of the connection (half-close: it sends FIN) may still wait
//! for the response, or have disconnected, which looks the same. [`DisconnectDetector`] gives it a
//! time.

use std::fmt;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::os::Stopwatch;

/// The state of the peer's half of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerState {
    /// It is open, as far as this system knows.
    Open,
    /// The peer has sent FIN: it sends nothing more. It may wait for the response, or have closed
    /// the connection.
    HalfClosed,
    /// The connection was closed or reset.
    Closed,
}

impl PeerState {
    /// The state of the peer of `socket`. Costs one system call. Bytes that were received and not
    /// read do not hide it. On systems without `POLLRDHUP`, a half-close is not detected.
    #[must_use]
    pub fn of(socket: impl AsFd) -> Self {
        let mut fds = [PollFd::new(&socket, RDHUP)];
        if poll(&mut fds, Some(&Timespec::default())).is_err() {
            return Self::Open; // unknown
        }
        match fds[0].revents() {
            seen if seen.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) => {
                Self::Closed
            }
            seen if seen.intersects(RDHUP) => Self::HalfClosed,
            _ => Self::Open,
        }
    }
}

/// A half-close.
#[cfg(target_os = "linux")]
const RDHUP: PollFlags = PollFlags::RDHUP;
#[cfg(not(target_os = "linux"))]
const RDHUP: PollFlags = PollFlags::empty();

/// Decides whether a client that waits for something has disconnected, by its [`PeerState`] at
/// regular checks.
///
/// ```
/// use doorstep_driver::net::{PeerState, DisconnectDetector};
/// use std::net::{TcpListener, TcpStream};
/// use std::time::Duration;
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let client = TcpStream::connect(listener.local_addr()?)?;
/// let mut detector = DisconnectDetector::new(Duration::from_secs(5), Duration::from_secs(1));
/// assert!(detector.update(PeerState::of(&client)).is_none());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct DisconnectDetector {
    /// The time since the half-close.
    half_closed: Stopwatch,
    half_close_timeout: Duration,
    check_interval: Duration,
}

/// How a client has disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disconnect {
    /// The connection was closed or reset.
    Closed,
    /// The client has closed its half of the connection, and the timeout after that is over.
    HalfCloseTimeout,
}

impl DisconnectDetector {
    /// A detector that is updated every `check_interval`. A client that has closed its half of the
    /// connection counts as disconnected after `half_close_timeout`.
    #[must_use]
    pub fn new(half_close_timeout: Duration, check_interval: Duration) -> Self {
        Self { half_closed: Stopwatch::default(), half_close_timeout, check_interval }
    }

    /// Records the state at a check, and returns how the client has disconnected, if it has.
    pub fn update(&mut self, state: PeerState) -> Option<Disconnect> {
        match state {
            PeerState::Open => None,
            PeerState::Closed => Some(Disconnect::Closed),
            PeerState::HalfClosed => {
                let half_closed = self.half_closed.tick(Instant::now(), self.check_interval);
                (half_closed >= self.half_close_timeout).then_some(Disconnect::HalfCloseTimeout)
            }
        }
    }
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "client disconnected",
            Self::HalfCloseTimeout => "client seems to have disconnected (half-closed)",
        })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{Shutdown, TcpListener, TcpStream};

    #[test]
    fn b_250_a_half_closed_connection_is_not_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        client.write_all(b"sent ahead").unwrap();
        assert_eq!(PeerState::of(&server), PeerState::Open);
        client.shutdown(Shutdown::Write).unwrap();
        let seen = |what| {
            (0..1000).any(|_| {
                std::thread::sleep(Duration::from_millis(1));
                PeerState::of(&server) == what
            })
        };
        assert!(seen(PeerState::HalfClosed));
        drop(client); // bytes that are sent now cause a reset
        (&server).write_all(b"response").unwrap();
        assert!(seen(PeerState::Closed));
    }
}
