//! A request that waits for its place, among the running scripts or the large listings: for a while,
//! and for as long as its client does.
//!
//! As a [`super::Run`], a [`Queue`] never waits itself: it is listened to, then looked at, and says
//! how long the wait may be.

use std::fmt;
use std::time::{Duration, Instant};

use event_listener::EventListener;

use crate::connections::Seat;
use crate::net::{Departure, Vigil};
use crate::os::Stopwatch;
use crate::semaphore::{Place, Ticket};

/// The longest wait before the client is looked for.
const PAUSE: Duration = Duration::from_secs(1);

/// A place in the queue.
#[derive(Debug)]
pub struct Queue {
    ticket: Ticket,
    /// How long it may wait, and has.
    wait: Duration,
    waited: Stopwatch,
    vigil: Vigil,
}

/// How things stand with one that waits.
#[derive(Debug)]
pub enum Admission {
    /// It has a place.
    In(Place),
    /// It has none yet: to be looked at again when told to, or after so long.
    Wait(Duration),
}

/// Why a request gets no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dismissal {
    /// Too many run, and too many wait.
    Full,
    /// It has waited for too long.
    Late,
    /// The server has stopped.
    Stopped,
    /// There is nobody left to answer.
    Left(Departure),
}

impl Queue {
    /// One that waits for `wait`, and so long with a client that sends nothing more.
    pub(crate) fn new(ticket: Ticket, wait: Duration, patience: Duration) -> Self {
        let waited = Stopwatch::started(Instant::now());
        Self { ticket, wait, waited, vigil: Vigil::new(patience) }
    }

    /// Is told when a look is worth it. Listen first, then look: else a moment is missed.
    #[must_use]
    pub fn listen(&self) -> EventListener {
        self.ticket.listen()
    }

    /// How things stand, with the client on that seat too.
    ///
    /// # Errors
    /// Why there is nothing to wait for.
    pub fn look(&mut self, seat: &Seat) -> Result<Admission, Dismissal> {
        if let Some(departure) = self.vigil.look(seat.presence()) {
            return Err(Dismissal::Left(departure));
        }
        if let Some(place) = self.ticket.take() {
            return Ok(Admission::In(place));
        }
        if self.ticket.is_void() {
            return Err(Dismissal::Stopped);
        }
        match self.wait.saturating_sub(self.waited.count(Instant::now(), PAUSE)) {
            Duration::ZERO => Err(Dismissal::Late),
            left => Ok(Admission::Wait(left.min(PAUSE))),
        }
    }
}

impl fmt::Display for Dismissal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("not run: too many scripts are running"),
            Self::Late => f.write_str("not run: too many scripts were running for too long"),
            Self::Stopped => f.write_str("not run, since the server stops"),
            Self::Left(departure) => write!(f, "not run, since {departure}"),
        }
    }
}
