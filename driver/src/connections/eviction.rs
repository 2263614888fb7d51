//! Who is evicted when the server is full, and when.
//!
//! No connection is evicted before its grace is over; until then a new one waits in the listener's
//! backlog. First go those that linger after their last response; then those that are slow in the
//! middle of a request or a response, oldest first; then those that never asked for anything; then
//! those that have been idle longest. Of each kind, the clients of an address that holds most of the
//! connections go first.
//!
//! While nobody can be evicted, a share of the connections that were served is asked to end with their
//! next response (`Connection: close`), so that more clients than there are places take turns. Not so
//! when most places are held by those who never were: they will be evicted, or served, in a moment.
//!
//! All connections are looked at once for many newcomers, and so rarely that this takes a small part of
//! the time: what one newcomer costs does not depend on how many there are.

use std::cmp::Reverse;
use std::net::{IpAddr, Shutdown};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use doorstep_core::http1::Waiting;

use super::{ConnectionHandle, Connections, Flag, Table};
use crate::config::Config;
use crate::net;

/// What came of asking for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eviction {
    /// A connection ends now.
    Started,
    /// Nobody can be evicted now: to be asked again after so long, or when somebody has left.
    RetryAfter(Duration),
}

/// Who can be evicted, as of the last look at all connections.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    /// The first one to go is the last one here.
    found: Vec<Weak<ConnectionHandle>>,
    scanned: Option<Instant>,
    /// Where to go on asking for a last response.
    next_to_ask: usize,
}

/// In which order they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum EvictionClass {
    /// It has its response, and was to close.
    Responded,
    Slow,
    NoRequest,
    Idle,
}

impl Connections {
    /// Evicts a connection for the sake of its descriptor, if that can be done now.
    pub fn evict_for_descriptor(&self, config: &Config) -> Eviction {
        self.evict_for_connection(config, 0)
    }

    /// Makes room for a newcomer, if that can be done now; there may be `most` connections. Costs a look
    /// at one connection, now and then at all.
    pub fn evict_for_connection(&self, config: &Config, most: usize) -> Eviction {
        let mut table = self.table();
        let now = Instant::now();
        let since = table.candidates.scanned.map(|looked| now.saturating_duration_since(looked));
        let pause = scan_interval(config, table.entries.len());
        // After that long others may have become better candidates.
        if since.is_some_and(|since| since < config.eviction_grace.max(pause))
            && let Some(room) = table.evict(config)
        {
            return room;
        }
        match since.and_then(|since| pause.checked_sub(since)) {
            Some(left) if !left.is_zero() => return Eviction::RetryAfter(left),
            _ => table.candidates.scanned = Some(now),
        }
        table.sweep(config);
        let crowding = table.majority();
        table.find_candidates(config, crowding);
        if let Some(room) = table.evict(config) {
            return room;
        }
        let share = pause.as_secs_f64() / config.rotation_interval.as_secs_f64().max(0.001);
        table.request_last_responses((most as f64 * share).ceil() as usize, crowding);
        Eviction::RetryAfter(pause)
    }
}

/// About how long the scan of one connection takes, several times over: so scans take a small part
/// of the time.
const SCAN_COST: Duration = Duration::from_micros(20);
/// The shortest time between two scans.
const MIN_SCAN_INTERVAL: Duration = Duration::from_millis(1);

/// The time between two scans of so many connections, at most [`Config::eviction_scan_interval`].
fn scan_interval(config: &Config, connections: usize) -> Duration {
    let rest = SCAN_COST.saturating_mul(u32::try_from(connections).unwrap_or(u32::MAX));
    let rest = rest.max(config.rotation_interval / 10).min(config.eviction_scan_interval);
    rest.max(MIN_SCAN_INTERVAL)
}

impl Table {
    /// Evicts the next candidate that still is one.
    fn evict(&mut self, config: &Config) -> Option<Eviction> {
        while let Some(candidate) = self.candidates.found.pop() {
            let Some(connection) = candidate.upgrade() else { continue };
            match eviction_class(&connection, config) {
                None => continue,
                Some(EvictionClass::NoRequest | EvictionClass::Idle) => connection.request_close(),
                Some(EvictionClass::Responded | EvictionClass::Slow) => connection.evict(),
            }
            return Some(Eviction::Started);
        }
        None
    }

    fn find_candidates(&mut self, config: &Config, crowding: Option<IpAddr>) {
        let connections = self.entries.iter().map(|slot| &slot.connection).enumerate();
        let mut found: Vec<_> = connections
            .filter_map(|(at, connection)| {
                let spread = Some(network(connection)) != crowding;
                Some((
                    eviction_class(connection, config)?,
                    spread,
                    Reverse(connection.waited()),
                    at as u32,
                ))
            })
            .collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        let connection = |at: u32| Arc::downgrade(&self.entries[at as usize].connection);
        self.candidates.found = found.into_iter().map(|(.., at)| connection(at)).collect();
    }

    /// The network that holds more than half of all connections, but not all of them.
    fn majority(&self) -> Option<IpAddr> {
        let all = || self.entries.iter().map(|slot| network(&slot.connection));
        let (mut likely, mut ahead) = (None, 0_usize); // Boyer and Moore's majority vote
        for network in all() {
            match ahead {
                0 => (likely, ahead) = (Some(network), 1),
                _ if likely == Some(network) => ahead += 1,
                _ => ahead -= 1,
            }
        }
        let count = all().filter(|network| likely == Some(*network)).count();
        likely.filter(|_| 2 * count > self.entries.len() && count < self.entries.len())
    }

    /// Sees to it that `most` connections end with their next response, unless most of the places are
    /// held by others than those who are served: these can be evicted soon.
    fn request_last_responses(&mut self, most: usize, crowding: Option<IpAddr>) {
        let is_served = |connection: &ConnectionHandle| !connection.flags.has(Flag::NoResponseYet);
        let served = self.entries.iter().filter(|slot| is_served(&slot.connection)).count();
        if 2 * served < self.entries.len() {
            return;
        }
        // One that is busy may be so for long.
        let ends_soon = |connection: &ConnectionHandle| {
            connection.should_close() && connection.wait.is(Waiting::Idle)
        };
        let asked = self.entries.iter().filter(|slot| ends_soon(&slot.connection)).count();
        let mut wanted = most.saturating_sub(asked);
        for only_crowding in [true, false] {
            for _ in 0..self.entries.len() {
                if wanted == 0 {
                    return;
                }
                self.candidates.next_to_ask =
                    (self.candidates.next_to_ask + 1) % self.entries.len();
                let connection = &self.entries[self.candidates.next_to_ask].connection;
                let fits = !only_crowding || Some(network(connection)) == crowding;
                if fits && !connection.should_close() && is_served(connection) {
                    connection.flags.set(Flag::LastResponse, true);
                    wanted -= 1;
                }
            }
        }
    }
}

impl ConnectionHandle {
    /// Ends what a connection is in the middle of: it finds that it is late.
    fn evict(&self) {
        self.flags.set(Flag::Evicted, true);
        self.flags.set(Flag::TimedOut, true);
        let receives = self.wait.is(Waiting::Peer);
        if receives {
            // What the client does not take is not kept for it any longer.
            let _ = net::close_by_reset(self, true);
        }
        self.wake(receives);
    }

    /// Wakes whoever waits on it: to receive, or until the client `receives`.
    pub(super) fn wake(&self, receives: bool) {
        if receives {
            // A sender wakes up only when nothing can be sent any more. A plain end may look as if that
            // was all; but no thread that is sending can be woken by a reset.
            if !self.flags.has(Flag::ResetOnClose) || net::reset(self).is_err() {
                let _ = self.stream.shutdown(Shutdown::Both);
            }
        } else {
            self.shutdown_read();
        }
    }
}

/// What it would be evicted as, if its grace is over.
fn eviction_class(connection: &ConnectionHandle, config: &Config) -> Option<EvictionClass> {
    if connection.has_timed_out() {
        return None;
    }
    let (class, grace) = match connection.wait.observed()? {
        // It goes already. After a stop all are asked to, and who is slow must still make room.
        Waiting::Idle if connection.is_closing() => return None,
        Waiting::Idle if connection.flags.has(Flag::NoResponseYet) => {
            (EvictionClass::NoRequest, config.first_request_grace)
        }
        Waiting::Idle => (EvictionClass::Idle, config.eviction_grace),
        Waiting::Drain | Waiting::Linger => (EvictionClass::Responded, config.eviction_grace),
        // Its time is counted anew whenever it keeps the useful pace.
        _ => (EvictionClass::Slow, config.eviction_grace),
    };
    (connection.waited() >= grace).then_some(class)
}

/// Whose address it is: of IPv6, the network is one customer's.
fn network(connection: &ConnectionHandle) -> IpAddr {
    match connection.peer().ip().to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address => address,
    }
}

#[cfg(test)]
#[path = "eviction_tests.rs"]
mod tests;
