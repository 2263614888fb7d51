//! Whether the client is still there, asked while nothing is read from it or sent to it.

use std::fmt;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::os::Stopwatch;

/// The longest time from one look at a client that waits to the next.
const LOOKS: Duration = Duration::from_secs(1);

/// What can be seen of a client from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is there, or seems to be.
    Here,
    /// It will send nothing any more. It may wait for its answer, or be gone: that looks the same.
    Quiet,
    /// The connection is no more.
    Gone,
}

impl Presence {
    /// That of the peer of `socket`. Costs one system call; what was sent ahead does not hide it.
    #[must_use]
    pub fn of(socket: impl AsFd) -> Self {
        #[cfg(target_os = "linux")]
        const QUIET: PollFlags = PollFlags::RDHUP;
        #[cfg(not(target_os = "linux"))]
        const QUIET: PollFlags = PollFlags::empty();
        let mut fds = [PollFd::new(&socket, QUIET)];
        if poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_err() {
            return Self::Here; // nothing was learned
        }
        match fds[0].revents() {
            seen if seen.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) => {
                Self::Gone
            }
            seen if seen.intersects(QUIET) => Self::Quiet,
            _ => Self::Here,
        }
    }
}

/// A look now and then at a client that waits for something: has it left?
///
/// ```
/// use doorstep_driver::net::{Presence, Vigil};
/// use std::net::{TcpListener, TcpStream};
/// use std::time::Duration;
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let client = TcpStream::connect(listener.local_addr()?)?;
/// assert!(Vigil::new(Duration::ZERO).look(Presence::of(&client)).is_none());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Vigil {
    /// How long it has been quiet.
    quiet: Stopwatch,
    patience: Duration,
}

/// How a client has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// The connection is no more.
    Certain,
    /// It sends nothing more, and has not for as long as patience goes.
    Likely,
}

impl Vigil {
    /// One that waits for so long with a client that sends nothing more.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        Self { quiet: Stopwatch::default(), patience }
    }

    /// Whether a client that is seen like this has left.
    pub fn look(&mut self, presence: Presence) -> Option<Departure> {
        match presence {
            Presence::Here => None,
            Presence::Gone => Some(Departure::Certain),
            Presence::Quiet => {
                let quiet = self.quiet.count(Instant::now(), LOOKS);
                (quiet >= self.patience).then_some(Departure::Likely)
            }
        }
    }
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certain => "the client has left",
            Self::Likely => "the client seems to have left",
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
        assert_eq!(Presence::of(&server), Presence::Here);
        client.shutdown(Shutdown::Write).unwrap();
        let seen = |what| {
            (0..1000).any(|_| {
                std::thread::sleep(Duration::from_millis(1));
                Presence::of(&server) == what
            })
        };
        assert!(seen(Presence::Quiet));
        drop(client); // unread bytes or not, what is sent now is refused
        (&server).write_all(b"answer").unwrap();
        assert!(seen(Presence::Gone));
    }
}
