//! Every bound of the machine, and every deadline, as numbers that somebody can read.
//!
//! [`Limits`] bounds what one peer can make us hold or read; each field names the status that
//! crossing it yields. [`Timeouts`] bounds how long we wait for whom; the machine itself has no
//! clock, it only says whom it waits for ([`WaitingFor`]).
//!
//! ```
//! use doorstep_core::http1::{Limits, Timeouts, WaitingFor};
//! use std::time::Duration;
//!
//! let limits = Limits { body: 10 << 20, ..Limits::default() };
//! assert_eq!(limits.header_count, 100);
//!
//! let timeouts = Timeouts::default();
//! let waited = Duration::from_secs(61);
//! assert_eq!(timeouts.remaining(WaitingFor::Request, waited, waited, 0), Some(Duration::ZERO));
//! ```

use core::time::Duration;

/// What one connection may cost, in bytes unless said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A request line, its line end included; beyond it 414 (B-003).
    pub request_line: u32,
    /// One field line, its line end included; beyond it 431 (B-030).
    pub header_line: u32,
    /// The whole head; beyond it 431 (B-030).
    pub head: u32,
    /// Fields in a head, a number; beyond it 431 (B-031). At most [`Limits::MAX_HEADERS`].
    pub header_count: u8,
    /// Empty lines before a request line, a number; beyond it 400 (B-007).
    pub empty_lines: u8,
    /// A request body; beyond it 413.
    pub body: u64,
    /// What is left of a body nobody wanted and is still swallowed, so that the connection can be
    /// kept; beyond it the connection closes (B-046).
    pub drain: u32,
    /// By how much the framing bytes of a chunked body may exceed four times its payload; beyond
    /// it 400.
    pub chunk_overhead: u32,
    /// The trailer section of a chunked body; beyond it 431.
    pub trailers: u16,
}

impl Limits {
    /// The most fields that can be asked for: the parser's table lives on the stack.
    pub const MAX_HEADERS: u8 = 100;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_line: 64 << 10,
            header_line: 64 << 10,
            head: 128 << 10,
            header_count: Self::MAX_HEADERS,
            empty_lines: 4,
            body: 64 << 20,
            drain: 256 << 10,
            chunk_overhead: 64 << 10,
            trailers: 8 << 10,
        }
    }
}

/// Whom a connection waits for. When the word changes, the clock restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitingFor {
    /// For the peer's next request; not a byte of it is here.
    Request,
    /// For the rest of a head.
    Head,
    /// For the rest of a request body that somebody reads.
    Body,
    /// For the application's answer.
    Response,
    /// For the peer to take what is in the outbox.
    Writable,
    /// For the rest of a request body that nobody wants.
    Drain,
    /// For the peer to close: its last response is out, and what it still sends is discarded.
    Linger,
    /// For nobody: it is over, or the bytes belong to another protocol.
    Nothing,
}

/// How long to wait for whom. Zero means at once; the drivers' defaults are these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// [`WaitingFor::Request`]: then the connection is closed without a word.
    pub idle: Duration,
    /// [`WaitingFor::Head`], from the head's first byte: then 408.
    pub head: Duration,
    /// [`WaitingFor::Body`]: the longest silence, and the grace before the rate counts; then 408.
    pub body: Duration,
    /// [`WaitingFor::Writable`]: the longest silence, and the grace before the rate counts; then an abort.
    pub send: Duration,
    /// [`WaitingFor::Drain`], from its start: then the connection is closed.
    pub drain: Duration,
    /// [`WaitingFor::Linger`]: the longest silence, and the grace before its rate counts; then the
    /// connection is reset.
    pub linger: Duration,
    /// Bytes per second that [`WaitingFor::Body`] and [`WaitingFor::Writable`] must keep on average; zero
    /// asks for none.
    pub min_rate: u32,
    /// The same for [`WaitingFor::Linger`]: a client that is still uploading a refused body keeps this
    /// rate and gets to read the refusal; one that sends a byte now and then is not waited for.
    pub min_linger_rate: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(60),
            head: Duration::from_secs(30),
            body: Duration::from_secs(30),
            send: Duration::from_secs(60),
            drain: Duration::from_secs(5),
            linger: Duration::from_secs(5),
            min_rate: 250,
            min_linger_rate: 64 << 10,
        }
    }
}

impl Timeouts {
    /// The bytes per second that `waiting` must keep on average; `None` when its bytes are not
    /// counted.
    #[must_use]
    pub fn min_rate_of(&self, waiting: WaitingFor) -> Option<u32> {
        match waiting {
            WaitingFor::Body | WaitingFor::Writable => Some(self.min_rate),
            WaitingFor::Linger => Some(self.min_linger_rate),
            _ => None,
        }
    }

    /// How much longer to wait; zero when it has been too long, `None` when there is no limit
    /// (the application takes the time it takes).
    ///
    /// `since` is the time since the word became `waiting`, `quiet` the time since a byte last
    /// moved, `moved` the bytes that moved since the word changed.
    #[must_use]
    pub fn remaining(
        &self,
        waiting: WaitingFor,
        since: Duration,
        quiet: Duration,
        moved: u64,
    ) -> Option<Duration> {
        let paced = |grace: Duration, rate: u32| {
            let earned = match rate {
                0 => Duration::MAX,
                rate => Duration::from_secs(moved / u64::from(rate)),
            };
            let pace = grace.saturating_add(earned).saturating_sub(since);
            pace.min(grace.saturating_sub(quiet))
        };
        match waiting {
            WaitingFor::Request => Some(self.idle.saturating_sub(since)),
            WaitingFor::Head => Some(self.head.saturating_sub(since)),
            WaitingFor::Body => Some(paced(self.body, self.min_rate)),
            WaitingFor::Writable => Some(paced(self.send, self.min_rate)),
            WaitingFor::Drain => Some(self.drain.saturating_sub(since)),
            WaitingFor::Linger => Some(paced(self.linger, self.min_linger_rate)),
            WaitingFor::Response | WaitingFor::Nothing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn b_049_head_and_drain_run_from_their_start_whatever_arrives() {
        let timeouts = Timeouts::default();
        let left = timeouts.remaining(WaitingFor::Head, 29 * SECOND, Duration::ZERO, 1 << 20);
        assert_eq!(left, Some(SECOND));
        let left = timeouts.remaining(WaitingFor::Drain, 6 * SECOND, Duration::ZERO, 1 << 20);
        assert_eq!(left, Some(Duration::ZERO));
    }

    #[test]
    fn b_049_a_body_must_keep_its_rate_and_never_fall_silent() {
        let timeouts = Timeouts::default();
        let steady = timeouts.remaining(WaitingFor::Body, 100 * SECOND, SECOND, 250 * 100);
        assert_eq!(steady, Some(29 * SECOND), "only its silence counts");
        let trickle = timeouts.remaining(WaitingFor::Body, 100 * SECOND, SECOND, 100);
        assert_eq!(trickle, Some(Duration::ZERO));
        let silent = timeouts.remaining(WaitingFor::Body, 31 * SECOND, 31 * SECOND, u64::MAX);
        assert_eq!(silent, Some(Duration::ZERO));
    }

    #[test]
    fn r_18_a_client_that_uploads_is_waited_for_and_one_that_trickles_is_not() {
        let timeouts = Timeouts::default();
        let left =
            |since, quiet, moved| timeouts.remaining(WaitingFor::Linger, since, quiet, moved);
        assert_eq!(left(20 * SECOND, Duration::ZERO, 60 << 20), Some(5 * SECOND));
        assert_eq!(left(20 * SECOND, 5 * SECOND, 60 << 20), Some(Duration::ZERO), "silent");
        assert_eq!(left(20 * SECOND, Duration::ZERO, 500_000), Some(Duration::ZERO), "too slow");
        assert_eq!(left(4 * SECOND, Duration::ZERO, 1), Some(SECOND));
    }

    #[test]
    fn the_application_has_no_deadline() {
        assert_eq!(
            Timeouts::default().remaining(WaitingFor::Response, Duration::MAX, SECOND, 0),
            None
        );
    }
}
