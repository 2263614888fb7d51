//! Eviction: which connection is closed for a new one when the server is full, and when (B-286).
//!
//! No connection is evicted before its grace is over; until then a new one waits in the listener's
//! backlog. Evicted first are those that linger after their last response; then those that are slow
//! in the middle of a request or a response; then those that have sent no request; then idle ones.
//! Within each class, the connections of a network that holds more than half of all connections
//! come first. Otherwise those that have waited longest come first. The connections of trusted
//! proxies ([`Config::trusted_proxies`]) belong to no network: they are those of many clients.
//!
//! While none can be evicted, some of the connections that were served are asked to close with the
//! next response (`Connection: close`). So more clients can be served than there may be
//! connections. None is asked while most connections have not had a response yet: these are served
//! or evicted soon.
//!
//! One scan of all connections finds candidates for many new ones, and scans are so rare that they
//! take a small part of the time: the cost of a new connection does not depend on how many are
//! open.

use std::cmp::Reverse;
use std::net::{IpAddr, Shutdown};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use doorstep_core::http1::WaitingFor;

use super::{ConnectionHandle, Connections, Flag, Table};
use crate::config::Config;

/// The result of an attempt to evict a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eviction {
    /// A connection was evicted. It closes soon, and then [`Connections::listen_unregister`] is
    /// notified.
    Started,
    /// No connection can be evicted now. Try again after this time, or when one has closed.
    RetryAfter(Duration),
}

/// The connections that could be evicted at the last scan.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    /// In reverse order: the next one is the last.
    found: Vec<Weak<ConnectionHandle>>,
    /// When the last scan began.
    scanned: Option<Instant>,
    /// The index of the connection that was last asked to close with its next response.
    next_to_ask: usize,
}

/// The classes of connections that can be evicted, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum EvictionClass {
    /// Its last response was sent, and what the client still sends is discarded.
    Responded,
    Slow,
    NoRequest,
    Idle,
}

impl Connections {
    /// Evicts a connection because a request needs a descriptor, if one can be evicted now. The
    /// request then waits for [`Connections::listen_unregister`], for at most
    /// [`Config::descriptor_wait`].
    pub fn evict_for_descriptor(&self, config: &Config) -> Eviction {
        // With a maximum of 0, no connection is asked to close with its next response.
        self.evict_for_connection(config, 0)
    }

    /// Evicts a connection for a new one, if one can be evicted now. Most calls examine one
    /// connection; now and then all are scanned.
    ///
    /// If none can be evicted, some connections are asked to close with their next response: over
    /// [`Config::rotation_interval`], `max_connections` of them. With 0 none is asked.
    pub fn evict_for_connection(&self, config: &Config, max_connections: usize) -> Eviction {
        let mut table = self.table();
        let now = Instant::now();
        let since = table.candidates.scanned.map(|scanned| now.saturating_duration_since(scanned));
        let pause = scan_interval(config, table.entries.len());
        // After a grace others may have become better candidates.
        if since.is_some_and(|since| since < config.eviction_grace.max(pause))
            && let Some(eviction) = table.evict(config)
        {
            return eviction;
        }
        match since.and_then(|since| pause.checked_sub(since)) {
            Some(left) if !left.is_zero() => return Eviction::RetryAfter(left),
            _ => table.candidates.scanned = Some(now),
        }
        table.sweep(config);
        let majority = table.majority(config);
        table.find_candidates(config, majority);
        if let Some(eviction) = table.evict(config) {
            return eviction;
        }
        // An interval of less than 1 ms counts as 1 ms: it may be zero, and is a divisor.
        let share = pause.as_secs_f64() / config.rotation_interval.as_secs_f64().max(0.001);
        let last_responses = (max_connections as f64 * share).ceil() as usize;
        table.request_last_responses(config, last_responses, majority);
        Eviction::RetryAfter(pause)
    }
}

/// Several times the time that the scan of one connection takes, so that scans take a small part of
/// the time.
const SCAN_COST: Duration = Duration::from_micros(20);
/// The shortest time between two scans.
const MIN_SCAN_INTERVAL: Duration = Duration::from_millis(1);

/// The time between two scans of this number of connections, at most
/// [`Config::eviction_scan_interval`].
fn scan_interval(config: &Config, connections: usize) -> Duration {
    let interval = SCAN_COST.saturating_mul(u32::try_from(connections).unwrap_or(u32::MAX));
    let interval = interval.max(config.rotation_interval / 10).min(config.eviction_scan_interval);
    interval.max(MIN_SCAN_INTERVAL)
}

impl Table {
    /// Evicts the next candidate that still can be evicted.
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

    fn find_candidates(&mut self, config: &Config, majority: Option<IpAddr>) {
        let connections = self.entries.iter().map(|entry| &entry.connection).enumerate();
        let mut found: Vec<_> = connections
            .filter_map(|(index, connection)| {
                let is_minority = majority.is_none() || network(connection, config) != majority;
                Some((
                    eviction_class(connection, config)?,
                    is_minority,
                    Reverse(connection.waited()),
                    index as u32,
                ))
            })
            .collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        let connection = |index: u32| Arc::downgrade(&self.entries[index as usize].connection);
        self.candidates.found = found.into_iter().map(|(.., index)| connection(index)).collect();
    }

    /// The network that holds more than half of all connections, but not all of them.
    fn majority(&self, config: &Config) -> Option<IpAddr> {
        let all = || self.entries.iter().filter_map(|entry| network(&entry.connection, config));
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

    /// Asks connections to close with their next response, until `wanted` of them soon will. Asks
    /// none if most connections have not had a response yet.
    fn request_last_responses(&mut self, config: &Config, wanted: usize, majority: Option<IpAddr>) {
        let is_served = |connection: &ConnectionHandle| !connection.flags.has(Flag::NoResponseYet);
        let served = self.entries.iter().filter(|entry| is_served(&entry.connection)).count();
        if 2 * served < self.entries.len() {
            return;
        }
        // A busy one may stay busy for long.
        let ends_soon = |connection: &ConnectionHandle| {
            connection.should_close() && connection.wait.is(WaitingFor::Request)
        };
        let asked = self.entries.iter().filter(|entry| ends_soon(&entry.connection)).count();
        let mut wanted = wanted.saturating_sub(asked);
        for only_majority in [true, false] {
            for _ in 0..self.entries.len() {
                if wanted == 0 {
                    return;
                }
                self.candidates.next_to_ask =
                    (self.candidates.next_to_ask + 1) % self.entries.len();
                let connection = &self.entries[self.candidates.next_to_ask].connection;
                let is_majority = || majority.is_some() && network(connection, config) == majority;
                let fits = !only_majority || is_majority();
                if fits && !connection.should_close() && is_served(connection) {
                    connection.flags.set(Flag::LastResponse, true);
                    wanted -= 1;
                }
            }
        }
    }
}

impl ConnectionHandle {
    /// Ends the request or response that is in progress, as if its deadline had passed.
    fn evict(&self) {
        self.flags.set(Flag::Evicted, true);
        self.flags.set(Flag::TimedOut, true);
        let receives = self.wait.is(WaitingFor::Writable);
        if receives {
            // The system discards the bytes that the client has not received.
            let _ = self.stream.set_reset_on_close(true);
        }
        self.wake(receives);
    }

    /// Wakes the thread or task that waits for input, or for room to send if the client `receives`.
    pub(super) fn wake(&self, receives: bool) {
        if receives {
            // A sender wakes up only when nothing can be sent any more. After a FIN the response
            // may look complete; but a thread that is sending cannot be woken by a reset.
            if !self.flags.has(Flag::ResetOnClose) || self.stream.reset().is_err() {
                let _ = self.stream.shutdown(Shutdown::Both);
            }
        } else {
            self.shutdown_read();
        }
    }
}

/// The class in which a connection can be evicted; `None` before its grace is over.
fn eviction_class(connection: &ConnectionHandle, config: &Config) -> Option<EvictionClass> {
    if connection.has_timed_out() {
        return None;
    }
    let (class, grace) = match connection.wait.seen()? {
        // It closes already. During a shutdown all are asked to close, and slow ones can still be
        // evicted.
        WaitingFor::Request if connection.is_closing() => return None,
        WaitingFor::Request if connection.flags.has(Flag::NoResponseYet) => {
            (EvictionClass::NoRequest, config.first_request_grace)
        }
        WaitingFor::Request => (EvictionClass::Idle, config.eviction_grace),
        WaitingFor::Drain | WaitingFor::Linger => (EvictionClass::Responded, config.eviction_grace),
        // Its waiting time begins anew whenever it keeps `eviction_rate`.
        _ => (EvictionClass::Slow, config.eviction_grace),
    };
    (connection.waited() >= grace).then_some(class)
}

/// The client's network: its IPv4 address, or the first 64 bits of its IPv6 address, which belong
/// to one site. `None` for a trusted proxy.
fn network(connection: &ConnectionHandle, config: &Config) -> Option<IpAddr> {
    match connection.peer().ip().to_canonical() {
        address if config.trusted_proxies.contains(address) => None,
        IpAddr::V6(address) => Some(IpAddr::V6((address.to_bits() >> 64 << 64).into())),
        address => Some(address),
    }
}

#[cfg(test)]
#[path = "eviction_tests.rs"]
mod tests;
