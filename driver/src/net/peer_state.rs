//! Whether the client is still there, asked while nothing is read from it or sent to it.

use std::fmt;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::os::Stopwatch;

/// What can be seen of a client from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerState {
    /// It is there, or seems to be.
    Open,
    /// It will send nothing any more. It may wait for its answer, or be gone: that looks the same.
    HalfClosed,
    /// The connection is no more.
    Closed,
}

impl PeerState {
    /// That of the peer of `socket`. Costs one system call; what was sent ahead does not hide it.
    #[must_use]
    pub fn of(socket: impl AsFd) -> Self {
        #[cfg(target_os = "linux")]
        const RDHUP: PollFlags = PollFlags::RDHUP;
        #[cfg(not(target_os = "linux"))]
        const RDHUP: PollFlags = PollFlags::empty();
        let mut fds = [PollFd::new(&socket, RDHUP)];
        if poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_err() {
            return Self::Open; // nothing was learned
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

/// A look now and then at a client that waits for something: has it left?
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
    /// How long it has been quiet.
    half_closed: Stopwatch,
    half_close_timeout: Duration,
    check_interval: Duration,
}

/// How a client has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disconnect {
    /// The connection is no more.
    Closed,
    /// It sends nothing more, and has not for as long as patience goes.
    HalfCloseTimeout,
}

impl DisconnectDetector {
    /// A detector that is updated every `check_interval`. A client that has closed its half of the
    /// connection counts as disconnected after `half_close_timeout`.
    #[must_use]
    pub fn new(half_close_timeout: Duration, check_interval: Duration) -> Self {
        Self { half_closed: Stopwatch::default(), half_close_timeout, check_interval }
    }

    /// Whether a client that is seen like this has left.
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
            Self::Closed => "the client has left",
            Self::HalfCloseTimeout => "the client seems to have left",
        })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{Shutdown, TcpListener, TcpStream};

    #[test]
    fn b_250_a_client_that_finished_sending_is_not_one_that_is_gone() {
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
        drop(client); // unread bytes or not, what is sent now is refused
        (&server).write_all(b"answer").unwrap();
        assert!(seen(PeerState::Closed));
    }
}
