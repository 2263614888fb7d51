//! Every bound of the state machine, and every deadline.
//!
//! [`Limits`] bounds what one peer can make the server read or hold; each field names the status
//! that exceeding it yields. [`Timeouts`] holds the deadlines. The state machine has no clock: it
//! reports what it is waiting for ([`WaitingFor`]), and the caller applies the deadline.
//!
//! ```
//! use doorstep_core::http1::{Limits, Timeouts, WaitingFor};
//! use std::time::Duration;
//!
//! let mut limits = Limits::default();
//! limits.body = 10 << 20;
//! assert_eq!(limits.header_count, 100);
//!
//! let timeouts = Timeouts::default();
//! let waited = Duration::from_secs(61);
//! assert_eq!(timeouts.remaining(WaitingFor::Request, waited, waited, 0), Some(Duration::ZERO));
//! ```

use core::time::Duration;

/// Bounds for one connection, in bytes unless stated otherwise.
///
/// ```
/// use doorstep_core::http1::{Connection, Limits, Reject};
///
/// let mut limits = Limits::default();
/// limits.request_line = 16;
/// let long = Connection::new(limits).advance(b"GET /a/long/path HTTP/1.1\r\n").map(drop);
/// assert_eq!(long, Err(Reject::UriTooLong));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// A request line, its line end included. Exceeding it yields 414 (B-003). Default: 64 KiB.
    pub request_line: u32,
    /// One header line, its line end included. Exceeding it yields 431 (B-030). Default: 64 KiB.
    pub header_line: u32,
    /// The whole head. Exceeding it yields 431 (B-030). Default: 128 KiB.
    pub head: u32,
    /// Number of headers in a head. Exceeding it yields 431 (B-031). Default: 100, which is the
    /// maximum, [`Limits::MAX_HEADERS`].
    pub header_count: u8,
    /// Number of empty lines before a request line. Exceeding it yields 400 (B-007). Default: 4.
    pub empty_lines: u8,
    /// A request body. Exceeding it yields 413. Default: 64 MiB.
    pub body: u64,
    /// The rest of a request body that the application did not read and that is discarded to keep
    /// the connection. Exceeding it closes the connection (B-046). Default: 256 KiB.
    pub drain: u32,
    /// By how many bytes the framing of a chunked body may exceed four times its payload. Exceeding
    /// it yields 400. Default: 64 KiB.
    pub chunk_overhead: u32,
    /// The trailer section of a chunked body. Exceeding it yields 431. Default: 8 KiB.
    pub trailers: u16,
}

impl Limits {
    /// The maximum of [`Limits::header_count`], a number. The parser's table of headers is on the
    /// stack.
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

/// What a connection is waiting for. When it changes, the deadline starts anew; also when the
/// connection waits for the same part of another request. A [`WaitClock`](super::WaitClock) names the
/// exception: a body and its response at the same time.
///
/// ```
/// use doorstep_core::http1::{Connection, Limits, Outbox, WaitingFor};
///
/// let (mut connection, outbox) = (Connection::new(Limits::default()), Outbox::new(""));
/// assert_eq!(connection.waiting_for(&outbox), WaitingFor::Request);
/// connection.advance(b"GET / HT").unwrap();
/// assert_eq!(connection.waiting_for(&outbox), WaitingFor::Head);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitingFor {
    /// The next request; no byte of it has arrived.
    Request,
    /// The rest of a head.
    Head,
    /// The rest of a request body that the application reads; no response has begun.
    Body,
    /// The rest of a request body, and the rest of a response that has begun: the peer may send more
    /// of the one, and the application more of the other. Which part of the response is due is
    /// returned by [`response_due`](crate::http1::Connection::response_due). A peer may wait for the
    /// response before it sends the body, so an application that has a part of the response sends
    /// it, and receives only while it has none.
    BodyOrResponse,
    /// The application's response, or the rest of it. The whole request was read.
    Response,
    /// The peer, to receive what is in the outbox.
    Writable,
    /// The rest of a request body that is discarded.
    Drain,
    /// The peer, to close the connection (lingering close): the last response was sent, and
    /// everything that arrives is discarded. Shut down the sending half, then receive until this
    /// becomes [`WaitingFor::Nothing`], at the end of input.
    Linger,
    /// Nothing: the connection is over, or its bytes belong to another protocol.
    Nothing,
}

/// How long to wait, for each [`WaitingFor`]. Zero means not at all.
///
/// The command has an option for some of them: `--timeout-keep-alive` is `idle`, `--timeout-header`
/// is `head`, `--timeout-body` is `body`, `--timeout-send` is `send`, and `--timeout-linger` is
/// `linger`.
///
/// ```
/// use doorstep_core::http1::{Timeouts, WaitingFor};
/// use std::time::Duration;
///
/// let mut timeouts = Timeouts::default();
/// timeouts.idle = Duration::from_secs(5);
/// let waited = Duration::from_secs(3);
/// let left = timeouts.remaining(WaitingFor::Request, waited, waited, 0);
/// assert_eq!(left, Some(Duration::from_secs(2)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// [`WaitingFor::Request`] (keep-alive): then the connection is closed without a response.
    /// Default: 60 s.
    pub idle: Duration,
    /// [`WaitingFor::Head`], from the first byte of the head: then 408. An empty line before the head
    /// counts as that byte. For a head that was pipelined it counts from the end of the response
    /// before it. Default: 30 s.
    pub head: Duration,
    /// [`WaitingFor::Body`] and [`WaitingFor::BodyOrResponse`]: the longest pause between two bytes
    /// in either direction, and the time before the rate applies; then 408, or the connection is
    /// aborted if a response has begun. The wait may take `body` plus one second for each `min_rate`
    /// bytes moved. Default: 30 s.
    pub body: Duration,
    /// [`WaitingFor::Writable`]: the longest pause between two bytes, and the time before the rate
    /// applies; then the connection is aborted. The wait may take `send` plus one second for each
    /// `min_rate` bytes moved. Default: 60 s.
    pub send: Duration,
    /// [`WaitingFor::Drain`], from its start: then the connection is closed. Default: 5 s.
    pub drain: Duration,
    /// [`WaitingFor::Linger`]: the longest pause between two bytes, and the time before its rate
    /// applies; then the connection is closed, so that what the peer sends after that is answered by a
    /// reset. Default: 5 s.
    pub linger: Duration,
    /// The average rate in bytes per second that [`WaitingFor::Body`],
    /// [`WaitingFor::BodyOrResponse`] and [`WaitingFor::Writable`] require. Zero means none.
    /// Default: 250 B/s.
    pub min_rate: u32,
    /// The same for [`WaitingFor::Linger`]. A client that keeps this rate while it uploads a
    /// refused body receives the refusal; the connection of a slower one is closed, as above.
    /// Default: 64 KiB/s.
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
    /// The average rate in bytes per second that `waiting` requires; `None` if its bytes are not
    /// counted.
    #[must_use]
    pub fn min_rate_of(&self, waiting: WaitingFor) -> Option<u32> {
        match waiting {
            WaitingFor::Body | WaitingFor::BodyOrResponse | WaitingFor::Writable => {
                Some(self.min_rate)
            }
            WaitingFor::Linger => Some(self.min_linger_rate),
            _ => None,
        }
    }

    /// The time left to wait. Zero means that the deadline has passed, `None` that there is none:
    /// an application may take any time to respond.
    ///
    /// `since` is the time since the connection began to wait for `waiting`, `quiet` the time since
    /// the last byte was transferred, and `moved` the number of bytes transferred since the
    /// beginning. A [`WaitClock`](super::WaitClock) keeps them. Where a rate is required, the wait may
    /// take its time-out, such as `body`, plus one second for each `min_rate` bytes moved.
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
            WaitingFor::Body | WaitingFor::BodyOrResponse => Some(paced(self.body, self.min_rate)),
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
    fn b_049_the_deadlines_of_head_and_drain_do_not_restart() {
        let timeouts = Timeouts::default();
        let left = timeouts.remaining(WaitingFor::Head, 29 * SECOND, Duration::ZERO, 1 << 20);
        assert_eq!(left, Some(SECOND));
        let left = timeouts.remaining(WaitingFor::Drain, 6 * SECOND, Duration::ZERO, 1 << 20);
        assert_eq!(left, Some(Duration::ZERO));
    }

    #[test]
    fn b_049_a_body_needs_its_rate_and_no_long_pause() {
        let timeouts = Timeouts::default();
        let steady = timeouts.remaining(WaitingFor::Body, 100 * SECOND, SECOND, 250 * 100);
        assert_eq!(steady, Some(29 * SECOND), "only its silence counts");
        let trickle = timeouts.remaining(WaitingFor::Body, 100 * SECOND, SECOND, 100);
        assert_eq!(trickle, Some(Duration::ZERO));
        let silent = timeouts.remaining(WaitingFor::Body, 31 * SECOND, 31 * SECOND, u64::MAX);
        assert_eq!(silent, Some(Duration::ZERO));
    }

    #[test]
    fn a_response_that_has_begun_does_not_change_the_deadline_of_the_body() {
        let timeouts = Timeouts::default();
        let waits = [WaitingFor::Body, WaitingFor::BodyOrResponse];
        for (since, quiet, moved) in [(0, 0, 0), (10, 10, 0), (100, 1, 250 * 100), (100, 1, 100)] {
            let [body, both] =
                waits.map(|wait| timeouts.remaining(wait, since * SECOND, quiet * SECOND, moved));
            assert_eq!(body, both);
        }
        assert_eq!(waits.map(|wait| timeouts.min_rate_of(wait)), [Some(250); 2]);
    }

    #[test]
    fn r_18_lingering_waits_for_an_upload_but_not_for_a_trickle() {
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
