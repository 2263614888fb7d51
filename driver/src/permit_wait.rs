//! The wait of a request for a permit of a semaphore: for a script, or for a large directory
//! listing.
//!
//! A [`PermitWait`] never blocks. It is polled, and either gets the permit or returns what to wait
//! for until it is polled again. It ends after a timeout, and when the client has disconnected.

use std::sync::Arc;
use std::time::{Duration, Instant};

use event_listener::EventListener;

use crate::connections::ConnectionHandle;
use crate::net::{Disconnect, DisconnectDetector};
use crate::os::Stopwatch;
use crate::semaphore::{Permit, Semaphore, Waiter};

/// The wait for a permit.
#[derive(Debug)]
pub struct PermitWait {
    semaphore: Arc<Semaphore>,
    /// `None` before the first poll.
    waiter: Option<Waiter>,
    timeouts: PermitTimeouts,
    waited: Stopwatch,
    disconnect_detector: DisconnectDetector,
}

/// How long to wait for a permit.
///
/// ```
/// use doorstep_driver::permit_wait::PermitTimeouts;
/// use std::time::Duration;
///
/// let mut timeouts = PermitTimeouts::default();
/// timeouts.timeout = Duration::from_secs(5);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PermitTimeouts {
    /// The longest wait. Default: 60 s.
    pub timeout: Duration,
    /// The longest wait after the client has closed its half of the connection. Default: 5 s.
    pub half_close_timeout: Duration,
    /// The longest time between two checks whether the client is still connected:
    /// [`Config::disconnect_check_interval`](crate::Config::disconnect_check_interval). Default: 1 s.
    pub check_interval: Duration,
}

impl Default for PermitTimeouts {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            half_close_timeout: Duration::from_secs(5),
            check_interval: Duration::from_secs(1),
        }
    }
}

/// The result of polling a wait.
#[derive(Debug)]
pub enum PermitPoll<P = Permit> {
    /// There is a permit.
    Granted(P),
    /// There is none yet. Poll again when the listener is notified, or after this time.
    Wait(EventListener, Duration),
}

/// Why a request gets no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoPermit {
    /// All permits are held, and the queue is full.
    Full,
    /// The timeout is over.
    TimedOut,
    /// The semaphore was closed, since the server is shutting down.
    ShuttingDown,
    /// The client has disconnected.
    Disconnected(Disconnect),
}

impl PermitWait {
    /// Waits for a permit of `semaphore`. It enters the queue when it is first polled, and the time
    /// counts from then.
    #[must_use]
    pub fn new(semaphore: &Arc<Semaphore>, timeouts: PermitTimeouts) -> Self {
        let PermitTimeouts { half_close_timeout, check_interval, .. } = timeouts;
        Self {
            semaphore: semaphore.clone(),
            waiter: None,
            timeouts,
            waited: Stopwatch::default(),
            disconnect_detector: DisconnectDetector::new(half_close_timeout, check_interval),
        }
    }

    /// Acquires the permit, if there is one for this request now. `connection` is that of the
    /// client.
    ///
    /// # Errors
    /// Returns the reason if there is nothing to wait for any more.
    pub fn poll(&mut self, connection: &ConnectionHandle) -> Result<PermitPoll, NoPermit> {
        let waiter = match &mut self.waiter {
            Some(waiter) => waiter,
            empty => empty.insert(self.semaphore.enqueue().ok_or(NoPermit::Full)?),
        };
        let notified = waiter.listen(); // before `try_acquire`, so that no notification is missed
        if let Some(disconnect) = self.disconnect_detector.update(connection.peer_state()) {
            return Err(NoPermit::Disconnected(disconnect));
        }
        if let Some(permit) = waiter.try_acquire() {
            return Ok(PermitPoll::Granted(permit));
        }
        if waiter.is_closed() {
            return Err(NoPermit::ShuttingDown);
        }
        let PermitTimeouts { timeout, check_interval, .. } = self.timeouts;
        match timeout.saturating_sub(self.waited.tick(Instant::now(), check_interval)) {
            Duration::ZERO => Err(NoPermit::TimedOut),
            left => Ok(PermitPoll::Wait(notified, left.min(check_interval))),
        }
    }
}
