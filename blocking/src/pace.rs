//! Deadlines on a real clock: since when a connection waits for the same peer, and how it does.
//!
//! The core says whom a connection waits for, [`Timeouts`] how long that may take; this keeps the
//! three numbers between them. Shared by both drivers; it takes the time as an argument, so tests
//! need no waiting.

use std::time::{Duration, Instant};

use doorstep_core::http1::{Timeouts, Waiting};

/// How one wait is going.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    waiting: Waiting,
    since: Instant,
    last: Instant,
    moved: u64,
}

impl Pace {
    /// Waiting for the first request since `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { waiting: Waiting::Idle, since: now, last: now, moved: 0 }
    }

    /// How much longer to wait for `waiting`; a new word starts a new clock. Zero: too long.
    pub fn left(
        &mut self,
        waiting: Waiting,
        timeouts: &Timeouts,
        now: Instant,
    ) -> Option<Duration> {
        if waiting != self.waiting {
            *self = Self { waiting, ..Self::new(now) };
        }
        timeouts.left(waiting, now - self.since, now - self.last, self.moved)
    }

    /// `n` bytes moved.
    pub fn moved(&mut self, n: usize, now: Instant) {
        self.moved += n as u64;
        self.last = now;
    }

    /// The next wait begins now, even when it is for the same as the last one.
    pub fn restart(&mut self, now: Instant) {
        *self = Self { waiting: self.waiting, ..Self::new(now) };
    }

    /// Since when.
    #[must_use]
    pub fn since(&self) -> Instant {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b_049_a_new_word_starts_a_new_clock() {
        let (timeouts, start) = (Timeouts::default(), Instant::now());
        let mut pace = Pace::new(start);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(pace.left(Waiting::Idle, &timeouts, at(59)), Some(Duration::from_secs(1)));
        assert_eq!(pace.left(Waiting::Head, &timeouts, at(59)), Some(timeouts.head));
        pace.moved(1, at(80));
        assert_eq!(pace.left(Waiting::Head, &timeouts, at(89)), Some(Duration::ZERO));
    }
}
