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

/// What [`Timeouts::remaining`] needs, kept for one connection in 32 bytes.
///
/// Call [`WaitClock::observe`] before each wait, [`WaitClock::moved`] after each transfer, and
/// [`WaitClock::remaining`] for the time to wait. A wait that is observed again goes on, however
/// often the caller wakes up in between. It restarts when the connection waits for something else,
/// or for the same part of another request.
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
    exchange: u16,
    waiting: WaitingFor,
}

impl WaitClock {
    /// The clock of a new connection, which waits for a request.
    #[must_use]
    pub fn new(now: Duration) -> Self {
        let now = nanos(now);
        Self { began: now, last: now, moved: 0, exchange: 0, waiting: WaitingFor::Request }
    }

    /// Records what the connection waits for, and returns it: [`Connection::waiting_for`].
    pub fn observe(
        &mut self,
        connection: &Connection,
        outbox: &Outbox,
        now: Duration,
    ) -> WaitingFor {
        self.observe_wait(connection.waiting_for(outbox), connection.exchange, now);
        self.waiting
    }

    /// The wait restarts unless it is the same. A wait for the peer to receive is the same across
    /// requests: a peer that sends requests and receives no responses must not prolong it.
    fn observe_wait(&mut self, waiting: WaitingFor, exchange: u16, now: Duration) {
        let goes_on = waiting == self.waiting
            && (exchange == self.exchange || waiting == WaitingFor::Writable);
        if !goes_on {
            *self = Self { exchange, waiting, ..Self::new(now) };
        }
        self.exchange = exchange;
    }

    /// Records that `n` bytes were received or sent, through the buffers or past them.
    pub fn moved(&mut self, n: usize, now: Duration) {
        if n > 0 {
            self.last = nanos(now);
            self.moved = self.moved.saturating_add(n as u64);
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
        timeouts.remaining(self.waiting, since(self.began), since(self.last), self.moved)
    }

    /// When the time is over, since the origin, for a queue of timers; `None` if never. It may have
    /// passed. A transfer and another wait change it.
    #[must_use]
    pub fn deadline(&self, timeouts: &Timeouts) -> Option<Duration> {
        let last = Duration::from_nanos(self.last);
        Some(last.saturating_add(self.remaining(timeouts, last)?))
    }
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
        assert!(size_of::<WaitClock>() <= 32);
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
            let (mut waiting, mut began, mut last) = (WaitingFor::Request, now, now);
            let (mut moved, mut exchange) = (0, 0_u16);
            for (passed, n, next, another) in steps {
                now += Duration::from_nanos(passed);
                clock.moved(n, now);
                if n > 0 {
                    (last, moved) = (now, moved + n as u64);
                }
                let next = if another == 0 { waiting } else { next };
                let is_another = another == 1;
                exchange = exchange.wrapping_add(u16::from(is_another));
                clock.observe_wait(next, exchange, now);
                if next != waiting || is_another && next != WaitingFor::Writable {
                    (waiting, began, last, moved) = (next, now, now, 0);
                }
                prop_assert_eq!(clock.waiting_for(), waiting);
                for later in [0, 1, 4_999_999_999, 5_000_000_000, 60_000_000_000] {
                    let then = now + Duration::from_nanos(later);
                    let left = timeouts.remaining(waiting, then - began, then - last, moved);
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
