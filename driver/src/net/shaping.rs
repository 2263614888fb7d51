//! A slow network, as decisions without waiting: how long bytes take, and when they arrive.
//!
//! A [`RateLimiter`] has a rate, which all connections share, once for each direction. A [`DelayQueue`]
//! is one direction of one connection: the bytes on their way. A relay reads at most
//! [`RateLimiter::packet`] bytes, gives the limiter their number, waits until they were transmitted,
//! and puts them in the queue; and it sends the bytes that have arrived. So each connection has at most
//! one packet waiting for the limiter, and large transfers do not keep small ones out.
//!
//! There is no clock here: each call gets the time. Nothing is lost, reordered or repeated: that
//! happens below TCP, and what an application sees of it is time.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use doorstep_driver::net::{DelayQueue, NetworkSettings, RateLimiter};
//!
//! let settings = NetworkSettings::new(Some(1000), Duration::from_millis(300))
//!     .expect("it is possible");
//! let (mut limiter, now) = (settings.rate_limiter(), Instant::now());
//! let transmitted = limiter.transmit(now, 500);
//! assert_eq!(transmitted - now, Duration::from_millis(500));
//!
//! let mut queue = settings.delay_queue(now);
//! queue.push(vec![b'x'; 500], transmitted);
//! let arrival = queue.next_arrival().expect("there is something on its way");
//! assert_eq!(arrival - transmitted, Duration::from_millis(150)); // half of a round trip
//! assert!(queue.arrived(transmitted).is_empty());
//! assert_eq!(queue.arrived(arrival).len(), 500);
//! ```

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// How long a limiter may have been idle, at most, for the bytes of that time to pass later at once: it
/// makes up for a caller that wakes up late.
const MAX_BURST: Duration = Duration::from_millis(20);
/// The size of the largest packet in bytes.
const MAX_PACKET: usize = 64 << 10;
/// The parts of a second that a packet takes, unless it would be larger than the largest one.
const PACKETS_PER_SECOND: u64 = 50;
/// The least capacity of a [`DelayQueue`] in bytes.
const MIN_CAPACITY: usize = 64 << 10;

/// The rate and the latency of a network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NetworkSettings {
    rate: Option<NonZeroU64>,
    latency: Duration,
}

impl NetworkSettings {
    /// The longest latency: 10 s.
    pub const MAX_LATENCY: Duration = Duration::from_secs(10);
    /// The most bytes on their way in one direction of a connection: 4 MiB. With a latency and no rate, a
    /// connection is limited to so many in half a round trip.
    pub const MAX_IN_FLIGHT: usize = 4 << 20;

    /// A network with this `rate`, in bytes per second in each direction for all connections
    /// together, `None` for no limit; and this `latency`, which is that of a round trip. Returns `None`
    /// if the rate is 0, or the latency longer than [`NetworkSettings::MAX_LATENCY`].
    #[must_use]
    pub fn new(rate: Option<u64>, latency: Duration) -> Option<Self> {
        let rate = match rate {
            Some(rate) => Some(NonZeroU64::new(rate)?),
            None => None,
        };
        (latency <= Self::MAX_LATENCY).then_some(Self { rate, latency })
    }

    /// The rate in bytes per second.
    #[must_use]
    pub fn rate(&self) -> Option<u64> {
        self.rate.map(NonZeroU64::get)
    }

    /// The latency of a round trip.
    #[must_use]
    pub fn latency(&self) -> Duration {
        self.latency
    }

    /// The limiter of one direction.
    #[must_use]
    pub fn rate_limiter(&self) -> RateLimiter {
        RateLimiter { rate: self.rate, free_at: None }
    }

    /// One direction of a connection that begins to carry bytes at `begin`, and not before.
    ///
    /// The server's end of a new connection begins at once. A client can send its first byte one round
    /// trip after its SYN: for its direction, `begin` is the time of the accept plus
    /// [`NetworkSettings::latency`].
    #[must_use]
    pub fn delay_queue(&self, begin: Instant) -> DelayQueue {
        let one_way = self.latency / 2;
        let capacity = match self.rate {
            Some(rate) => {
                let in_flight = u128::from(rate.get()) * one_way.as_nanos() / 1_000_000_000;
                usize::try_from(in_flight).unwrap_or(usize::MAX)
            }
            None => Self::MAX_IN_FLIGHT,
        };
        DelayQueue {
            one_way,
            begin,
            capacity: capacity.clamp(MIN_CAPACITY, Self::MAX_IN_FLIGHT),
            segments: VecDeque::new(),
            queued: 0,
            end: None,
            is_closed: false,
        }
    }
}

/// The rate of one direction, which all connections share.
#[derive(Debug, Clone)]
pub struct RateLimiter {
    rate: Option<NonZeroU64>,
    /// When everything was transmitted that it has taken.
    free_at: Option<Instant>,
}

impl RateLimiter {
    /// The most bytes to give to the limiter at once: a fiftieth of a second, at most 64 KiB.
    #[must_use]
    pub fn packet(&self) -> usize {
        let rate = self.rate.map_or(u64::MAX, NonZeroU64::get);
        let size = usize::try_from(rate / PACKETS_PER_SECOND).unwrap_or(MAX_PACKET);
        size.clamp(1, MAX_PACKET)
    }

    /// Takes `n` bytes behind those that it has taken, and returns when they are transmitted, which is
    /// not before `now`.
    pub fn transmit(&mut self, now: Instant, n: usize) -> Instant {
        let Some(rate) = self.rate else { return now };
        let earliest = now.checked_sub(MAX_BURST).unwrap_or(now);
        let begin = self.free_at.map_or(now, |free_at| free_at.max(earliest));
        let nanos = (n as u128 * 1_000_000_000).div_ceil(u128::from(rate.get()));
        let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let end = begin.checked_add(takes).unwrap_or(begin);
        self.free_at = Some(end);
        end.max(now)
    }
}

/// How one direction of a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosedBy {
    /// The end of input (FIN).
    Fin,
    /// A reset (RST).
    Reset,
}

/// One direction of a connection: the bytes that are on their way, and its end behind them.
#[derive(Debug)]
pub struct DelayQueue {
    one_way: Duration,
    begin: Instant,
    capacity: usize,
    segments: VecDeque<Segment>,
    queued: usize,
    end: Option<(Instant, ClosedBy)>,
    is_closed: bool,
}

#[derive(Debug)]
struct Segment {
    arrival: Instant,
    bytes: Vec<u8>,
    /// How much of `bytes` was taken.
    taken: usize,
}

impl DelayQueue {
    /// How many bytes may be added now. While it is 0, nothing is to be read for the queue: that slows
    /// the sender down.
    #[must_use]
    pub fn room(&self) -> usize {
        self.capacity.saturating_sub(self.queued)
    }

    /// Adds bytes that were transmitted at `sent`. After [`DelayQueue::close`] they are dropped.
    pub fn push(&mut self, bytes: Vec<u8>, sent: Instant) {
        if self.is_closed || bytes.is_empty() {
            return;
        }
        self.queued += bytes.len();
        let arrival = self.arrival(sent);
        self.segments.push_back(Segment { arrival, bytes, taken: 0 });
    }

    /// Adds the end, which is sent at `sent`.
    pub fn finish(&mut self, end: ClosedBy, sent: Instant) {
        let arrival = self.arrival(sent);
        self.end.get_or_insert((arrival, end));
    }

    /// Whether [`DelayQueue::finish`] was called.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.end.is_some()
    }

    /// The receiver takes nothing more: what is on its way, and what is added, is dropped.
    pub fn close(&mut self) {
        self.segments.clear();
        (self.queued, self.is_closed) = (0, true);
    }

    /// The first bytes that have arrived; empty if there are none.
    #[must_use]
    pub fn arrived(&self, now: Instant) -> &[u8] {
        match self.segments.front() {
            Some(first) if first.arrival <= now => {
                first.bytes.get(first.taken..).unwrap_or_default()
            }
            _ => &[],
        }
    }

    /// Removes the first `n` bytes of those that [`DelayQueue::arrived`] returns.
    pub fn take(&mut self, n: usize) {
        let Some(first) = self.segments.front_mut() else { return };
        let n = n.min(first.bytes.len() - first.taken);
        first.taken += n;
        self.queued -= n;
        if first.taken == first.bytes.len() {
            self.segments.pop_front();
        }
    }

    /// The end, if it has arrived and everything before it was taken.
    #[must_use]
    pub fn end(&self, now: Instant) -> Option<ClosedBy> {
        let (arrival, end) = self.end?;
        (self.segments.is_empty() && arrival <= now).then_some(end)
    }

    /// When the next thing arrives, bytes or the end; `None` if nothing is on its way.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Instant> {
        match self.segments.front() {
            Some(first) => Some(first.arrival),
            None => self.end.map(|(arrival, _)| arrival),
        }
    }

    fn arrival(&self, sent: Instant) -> Instant {
        sent.max(self.begin) + self.one_way
    }
}

#[cfg(test)]
#[path = "shaping_tests.rs"]
mod tests;
