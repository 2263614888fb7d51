//! A request that waits for its permit, among the running scripts or the large listings: for a while,
//! and for as long as its client does.
//!
//! As a [`super::Job`], a [`PermitWait`] never waits itself: it is listened to, then looked at, and says
//! how long the wait may be.

use std::fmt;
use std::time::{Duration, Instant};

use event_listener::EventListener;

use crate::connections::ConnectionHandle;
use crate::net::{Departure, Vigil};
use crate::os::Stopwatch;
use crate::semaphore::{Permit, Waiter};

/// The longest wait before the client is looked for.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// A permit in the queue.
#[derive(Debug)]
pub struct PermitWait {
    waiter: Waiter,
    /// How long it may wait, and has.
    wait: Duration,
    waited: Stopwatch,
    vigil: Vigil,
}

/// How things stand with one that waits.
#[derive(Debug)]
pub enum PermitPoll {
    /// It has a permit.
    Granted(Permit),
    /// It has none yet: to be looked at again when told to, or after so long.
    Wait(Duration),
}

/// Why a request gets no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPermit {
    /// Too many run, and too many wait.
    Full,
    /// It has waited for too long.
    TimedOut,
    /// The server has stopped.
    ShuttingDown,
    /// There is nobody left to answer.
    Disconnected(Departure),
}

impl PermitWait {
    /// One that waits for `wait`, and so long with a client that sends nothing more.
    pub(crate) fn new(waiter: Waiter, wait: Duration, patience: Duration) -> Self {
        let waited = Stopwatch::started(Instant::now());
        Self { waiter, wait, waited, vigil: Vigil::new(patience) }
    }

    /// Is told when a look is worth it. Listen first, then look: else a moment is missed.
    #[must_use]
    pub fn listen(&self) -> EventListener {
        self.waiter.listen()
    }

    /// How things stand, with the client on that connection too.
    ///
    /// # Errors
    /// Why there is nothing to wait for.
    pub fn poll(&mut self, connection: &ConnectionHandle) -> Result<PermitPoll, NoPermit> {
        if let Some(departure) = self.vigil.look(connection.presence()) {
            return Err(NoPermit::Disconnected(departure));
        }
        if let Some(permit) = self.waiter.try_acquire() {
            return Ok(PermitPoll::Granted(permit));
        }
        if self.waiter.is_closed() {
            return Err(NoPermit::ShuttingDown);
        }
        match self.wait.saturating_sub(self.waited.count(Instant::now(), CHECK_INTERVAL)) {
            Duration::ZERO => Err(NoPermit::TimedOut),
            left => Ok(PermitPoll::Wait(left.min(CHECK_INTERVAL))),
        }
    }
}

impl fmt::Display for NoPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("not run: too many scripts are running"),
            Self::TimedOut => f.write_str("not run: too many scripts were running for too long"),
            Self::ShuttingDown => f.write_str("not run, since the server stops"),
            Self::Disconnected(departure) => write!(f, "not run, since {departure}"),
        }
    }
}
