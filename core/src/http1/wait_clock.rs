//! The clock of one connection: since when it waits for what, and how many bytes it has transferred
//! since.
//!
//! It has no clock inside. The caller passes the time as a [`Duration`] since any origin that it
//! likes: the start of the program, 1970, or zero in a simulation. Times that go backwards are
//! harmless; the wait takes longer by as much. Origins more than 584 years ago are not supported:
//! the times are kept in 64 bits of nanoseconds.

use core::time::Duration;

use super::connection::Connection;
use super::limits::{Timeouts, WaitingFor};
use super::outbox::Outbox;

/// What [`Timeouts::remaining`] needs, kept for one connection in 64 bytes.
///
/// Call [`WaitClock::observe`] before each wait, [`WaitClock::moved`] after each transfer, and
/// [`WaitClock::remaining`] for the time to wait. A wait that is observed again goes on, however
/// often the caller wakes up in between. It restarts when the connection waits for something else,
/// or for the same part of another request.
///
/// While a body is received and a response sent at the same time, there are two waits:
/// [`WaitingFor::Body`] and [`WaitingFor::BodyOrResponse`] are one, [`WaitingFor::Writable`] is the
/// other. Within an exchange each of them goes on where it was, so a client that sends a byte for each
/// byte that it receives does not restart them.
///
/// A client that sends nothing because it waits for the response is not too slow, however rarely the
/// application sends a part: after bytes were sent ([`Outbox::total_sent`]), the time until bytes of
/// the body come does not count for [`Timeouts::min_rate`], and the wait restarts when further bytes
/// are sent before that.
///
/// ```
/// use doorstep_core::http1::{Connection, Limits, Outbox, Timeouts, WaitClock, WaitingFor};
/// use std::time::Duration;
///
/// let (mut connection, outbox) = (Connection::new(Limits::default()), Outbox::new(""));
/// let (timeouts, at) = (Timeouts::default(), Duration::from_secs);
/// let mut clock = WaitClock::new(at(100));
/// assert_eq!(clock.observe(&connection, &outbox, at(100)), WaitingFor::Request);
/// assert_eq!(clock.remaining(&timeouts, at(101)), Some(at(59)));
///
/// connection.advance(b"GET / HT")?;
/// clock.moved(8, at(130));
/// assert_eq!(clock.observe(&connection, &outbox, at(130)), WaitingFor::Head);
/// assert_eq!(clock.remaining(&timeouts, at(131)), Some(at(29)));
/// assert_eq!(clock.remaining(&timeouts, at(160)), Some(Duration::ZERO), "refuse: 408");
/// # Ok::<(), doorstep_core::http1::Reject>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitClock {
    /// When the wait began, in nanoseconds since the origin.
    began: u64,
    /// When the last byte was transferred, or the wait began.
    last: u64,
    /// The number of bytes transferred since the wait began.
    moved: u64,
    /// Of the wait for a body or for the peer to receive, whichever is not the present one: how long
    /// it has lasted in this exchange, in nanoseconds, and its bytes.
    paused: (u64, u64),
    /// [`Outbox::total_sent`] at the last observation.
    total_sent: u64,
    /// Bytes transferred since the last observation, in either direction.
    unobserved: u64,
    exchange: u16,
    waiting: WaitingFor,
    /// Whether bytes were received since the last ones were sent.
    received: bool,
}

impl WaitClock {
    /// The clock of a new connection, which waits for a request.
    #[must_use]
    pub fn new(now: Duration) -> Self {
        let now = nanos(now);
        Self {
            began: now,
            last: now,
            moved: 0,
            paused: (0, 0),
            total_sent: 0,
            unobserved: 0,
            exchange: 0,
            waiting: WaitingFor::Request,
            received: false,
        }
    }

    /// Records what the connection waits for, and returns it: [`Connection::waiting_for`].
    pub fn observe(
        &mut self,
        connection: &Connection,
        outbox: &Outbox,
        now: Duration,
    ) -> WaitingFor {
        let waiting = connection.waiting_for(outbox);
        self.observe_wait(waiting, connection.exchange, outbox.total_sent(), now);
        waiting
    }

    fn observe_wait(&mut self, next: WaitingFor, exchange: u16, total_sent: u64, now: Duration) {
        let sent = total_sent.saturating_sub(self.total_sent);
        self.received |= self.unobserved > sent;
        let is_unprompted = sent > 0 && !self.received;
        self.received &= sent == 0;
        let is_same_exchange = exchange == self.exchange;
        let before = self.waiting;
        if is_same_exchange && is_transfer(before) && is_transfer(next) {
            if is_body(before) != is_body(next) {
                let waited = nanos(now).saturating_sub(self.began);
                let (other_waited, other_moved) =
                    core::mem::replace(&mut self.paused, (waited, self.moved));
                self.last = nanos(now);
                self.began = self.last.saturating_sub(other_waited);
                self.moved = other_moved;
            }
            match is_unprompted {
                true if is_body(next) => {
                    (self.began, self.last, self.moved) = (nanos(now), nanos(now), 0);
                }
                true => self.paused = (0, 0),
                false => {}
            }
        } else if next == WaitingFor::Writable && before == WaitingFor::Writable {
            // A peer that sends requests and receives no responses must not prolong the wait.
            self.paused = (0, 0);
        } else if !is_same_exchange || next != before {
            *self = Self::new(now);
        }
        (self.exchange, self.waiting) = (exchange, next);
        (self.total_sent, self.unobserved) = (total_sent, 0);
    }

    /// Records that `n` bytes were received or sent, through the buffers or past them.
    pub fn moved(&mut self, n: usize, now: Duration) {
        if n > 0 {
            self.last = nanos(now);
            self.moved = self.moved.saturating_add(n as u64);
            self.unobserved = self.unobserved.saturating_add(n as u64);
        }
    }

    /// What was observed last.
    #[must_use]
    pub fn waiting_for(&self) -> WaitingFor {
        self.waiting
    }

    /// The time left to wait: [`Timeouts::remaining`]. Zero means that the deadline has passed,
    /// `None` that there is none.
    #[must_use]
    pub fn remaining(&self, timeouts: &Timeouts, now: Duration) -> Option<Duration> {
        let since = |then| Duration::from_nanos(nanos(now).saturating_sub(then));
        let remaining = |waited, quiet| timeouts.remaining(self.waiting, waited, quiet, self.moved);
        let (waited, quiet) = (since(self.began), since(self.last));
        if !is_body(self.waiting) || self.received {
            return remaining(waited, quiet);
        }
        // The last bytes were sent: the time after them is the application's as much as the peer's.
        let before = Duration::from_nanos(self.last.saturating_sub(self.began));
        let is_too_slow = remaining(before, Duration::ZERO) == Some(Duration::ZERO);
        if is_too_slow { Some(Duration::ZERO) } else { remaining(quiet, quiet) }
    }

    /// When the time is over, since the origin, for a queue of timers; `None` if never. It may have
    /// passed. A transfer and another wait change it.
    #[must_use]
    pub fn deadline(&self, timeouts: &Timeouts) -> Option<Duration> {
        let last = Duration::from_nanos(self.last);
        Some(last.saturating_add(self.remaining(timeouts, last)?))
    }
}

/// Whether it is a wait for the rest of a body, with or without the rest of a response.
fn is_body(waiting: WaitingFor) -> bool {
    matches!(waiting, WaitingFor::Body | WaitingFor::BodyOrResponse)
}

/// Whether it is one of the two waits that may alternate within an exchange.
fn is_transfer(waiting: WaitingFor) -> bool {
    is_body(waiting) || waiting == WaitingFor::Writable
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    const ALL: [WaitingFor; 9] = [
        WaitingFor::Request,
        WaitingFor::Head,
        WaitingFor::Body,
        WaitingFor::BodyOrResponse,
        WaitingFor::Response,
        WaitingFor::Writable,
        WaitingFor::Drain,
        WaitingFor::Linger,
        WaitingFor::Nothing,
    ];

    #[test]
    fn it_is_small() {
        assert!(size_of::<WaitClock>() <= 64);
    }

    proptest! {
        #[test]
        fn it_is_what_an_embedder_would_keep_by_hand(
            origin in 0..2_000_000_000_000_000_000_u64,
            steps in vec((0..40_000_000_000_u64, 0..30_000_usize, select(ALL.to_vec()), 0..4_u16), 1..20),
            min_rate in select(vec![0, 1, 250]),
        ) {
            let timeouts = Timeouts { min_rate, ..Timeouts::default() };
            let mut now = Duration::from_nanos(origin);
            let mut clock = WaitClock::new(now);
            let mut waiting = WaitingFor::Request;
            // Of each wait: how long, how long without a byte, and the bytes.
            let mut waits = [(Duration::ZERO, Duration::ZERO, 0); 2];
            let (mut exchange, mut total_sent, mut received) = (0_u16, 0, false);
            for (passed, n, next, another) in steps {
                let passed = Duration::from_nanos(passed);
                now += passed;
                clock.moved(n, now);
                let here = usize::from(is_body(waiting));
                waits[here].0 += passed;
                waits[here].1 = if n > 0 { Duration::ZERO } else { waits[here].1 + passed };
                waits[here].2 += n as u64;
                let sent = if another == 2 { n as u64 } else { 0 }; // else it was received
                total_sent += sent;
                received |= sent < n as u64;
                let next = if another == 0 { waiting } else { next };
                let is_another = another == 1;
                exchange = exchange.wrapping_add(u16::from(is_another));
                clock.observe_wait(next, exchange, total_sent, now);
                let restarts = match (waiting, next) {
                    (WaitingFor::Writable, WaitingFor::Writable) => false,
                    _ if is_transfer(waiting) && is_transfer(next) => is_another,
                    _ => is_another || waiting != next,
                };
                if sent > 0 && !received || is_another {
                    waits[1] = Default::default();
                }
                received &= sent == 0;
                if restarts {
                    (waits, received) = Default::default();
                } else if is_body(waiting) != is_body(next) {
                    waits[usize::from(is_body(next))].1 = Duration::ZERO;
                }
                waiting = next;
                let (waited, quiet, moved) = waits[usize::from(is_body(next))];
                prop_assert_eq!(clock.waiting_for(), waiting);
                for later in [0, 1, 4_999_999_999, 5_000_000_000, 60_000_000_000] {
                    let then = now + Duration::from_nanos(later);
                    let later = Duration::from_nanos(later);
                    let left = |waited, quiet| timeouts.remaining(next, waited, quiet, moved);
                    let left = match is_body(next) && !received {
                        true if left(waited - quiet, Duration::ZERO) == Some(Duration::ZERO) => {
                            Some(Duration::ZERO)
                        }
                        true => left(quiet + later, quiet + later),
                        false => left(waited + later, quiet + later),
                    };
                    prop_assert_eq!(clock.remaining(&timeouts, then), left);
                    // The deadline is the first moment without time left, unless it has passed.
                    let passed = clock.deadline(&timeouts).is_some_and(|deadline| deadline <= then);
                    prop_assert_eq!(passed, left == Some(Duration::ZERO));
                }
            }
        }
    }

    #[test]
    fn times_that_go_backwards_and_times_too_large_are_harmless() {
        let timeouts = Timeouts::default();
        for origin in [Duration::from_secs(1 << 30), Duration::MAX] {
            let mut clock = WaitClock::new(origin);
            clock.moved(usize::MAX, Duration::ZERO);
            clock.moved(usize::MAX, Duration::MAX);
            assert_eq!(clock.remaining(&timeouts, Duration::ZERO), Some(timeouts.idle));
            assert!(clock.deadline(&timeouts).is_some());
        }
    }
}
