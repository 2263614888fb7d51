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

use doorstep_core::http1::WaitingFor;

use super::{Flag, Registry, Seat, Table};
use crate::config::Config;
use crate::net;

/// What came of asking for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// A connection ends now.
    Made,
    /// Nobody can be evicted now: to be asked again after so long, or when somebody has left.
    None(Duration),
}

/// Who can be evicted, as of the last look at all connections.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    /// The first one to go is the last one here.
    found: Vec<Weak<Seat>>,
    looked: Option<Instant>,
    /// Where to go on asking for a last response.
    asking: usize,
}

/// In which order they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// It has its response, and was to close.
    Answered,
    Slow,
    NeverAsked,
    Idle,
}

impl Registry {
    /// Evicts a connection for the sake of its descriptor, if that can be done now.
    pub fn evict(&self, config: &Config) -> Room {
        self.make_room(config, 0)
    }

    /// Makes room for a newcomer, if that can be done now; there may be `most` connections. Costs a look
    /// at one connection, now and then at all.
    pub fn make_room(&self, config: &Config, most: usize) -> Room {
        let mut table = self.table();
        let now = Instant::now();
        let since = table.candidates.looked.map(|looked| now.saturating_duration_since(looked));
        let pause = pause(config, table.slots.len());
        // After that long others may have become better candidates.
        if since.is_some_and(|since| since < config.eviction_grace.max(pause))
            && let Some(room) = table.evict(config)
        {
            return room;
        }
        match since.and_then(|since| pause.checked_sub(since)) {
            Some(left) if !left.is_zero() => return Room::None(left),
            _ => table.candidates.looked = Some(now),
        }
        table.sweep(config);
        let crowding = table.majority();
        table.look_for_candidates(config, crowding);
        if let Some(room) = table.evict(config) {
            return room;
        }
        let share = pause.as_secs_f64() / config.turn.as_secs_f64().max(0.001);
        table.ask_for_last_responses((most as f64 * share).ceil() as usize, crowding);
        Room::None(pause)
    }
}

/// How long to rest after a look at so many connections: most of the time.
fn pause(config: &Config, connections: usize) -> Duration {
    const LOOK: Duration = Duration::from_micros(20); // several times what one takes
    let most = Duration::from_millis(100);
    let rest = LOOK.saturating_mul(u32::try_from(connections).unwrap_or(u32::MAX));
    rest.max(config.turn / 10).clamp(Duration::from_millis(1), most)
}

impl Table {
    /// Evicts the next candidate that still is one.
    fn evict(&mut self, config: &Config) -> Option<Room> {
        while let Some(candidate) = self.candidates.found.pop() {
            let Some(seat) = candidate.upgrade() else { continue };
            match class(&seat, config) {
                None => continue,
                Some(Class::NeverAsked | Class::Idle) => seat.ask_to_leave(),
                Some(Class::Answered | Class::Slow) => seat.evict(),
            }
            return Some(Room::Made);
        }
        None
    }

    fn look_for_candidates(&mut self, config: &Config, crowding: Option<IpAddr>) {
        let seats = self.slots.iter().map(|slot| &slot.seat).enumerate();
        let mut found: Vec<_> = seats
            .filter_map(|(at, seat)| {
                let spread = Some(network(seat)) != crowding;
                Some((class(seat, config)?, spread, Reverse(seat.waited()), at as u32))
            })
            .collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        let seat = |at: u32| Arc::downgrade(&self.slots[at as usize].seat);
        self.candidates.found = found.into_iter().map(|(.., at)| seat(at)).collect();
    }

    /// The network that holds more than half of all connections, but not all of them.
    fn majority(&self) -> Option<IpAddr> {
        let all = || self.slots.iter().map(|slot| network(&slot.seat));
        let (mut likely, mut ahead) = (None, 0_usize); // Boyer and Moore's majority vote
        for network in all() {
            match ahead {
                0 => (likely, ahead) = (Some(network), 1),
                _ if likely == Some(network) => ahead += 1,
                _ => ahead -= 1,
            }
        }
        let count = all().filter(|network| likely == Some(*network)).count();
        likely.filter(|_| 2 * count > self.slots.len() && count < self.slots.len())
    }

    /// Sees to it that `most` connections end with their next response, unless most of the places are
    /// held by others than those who are served: these can be evicted soon.
    fn ask_for_last_responses(&mut self, most: usize, crowding: Option<IpAddr>) {
        let is_served = |seat: &Seat| !seat.flags.has(Flag::Fresh);
        let served = self.slots.iter().filter(|slot| is_served(&slot.seat)).count();
        if 2 * served < self.slots.len() {
            return;
        }
        // One that is busy may be so for long.
        let ends_soon = |seat: &Seat| seat.is_last() && seat.wait.is(WaitingFor::Request);
        let asked = self.slots.iter().filter(|slot| ends_soon(&slot.seat)).count();
        let mut wanted = most.saturating_sub(asked);
        for only_crowding in [true, false] {
            for _ in 0..self.slots.len() {
                if wanted == 0 {
                    return;
                }
                self.candidates.asking = (self.candidates.asking + 1) % self.slots.len();
                let seat = &self.slots[self.candidates.asking].seat;
                let fits = !only_crowding || Some(network(seat)) == crowding;
                if fits && !seat.is_last() && is_served(seat) {
                    seat.flags.set(Flag::Last, true);
                    wanted -= 1;
                }
            }
        }
    }
}

impl Seat {
    /// Ends what a connection is in the middle of: it finds that it is late.
    fn evict(&self) {
        self.flags.set(Flag::Evicted, true);
        self.flags.set(Flag::Late, true);
        let receives = self.wait.is(WaitingFor::Writable);
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
            if !self.flags.has(Flag::Resets) || net::reset(self).is_err() {
                let _ = self.stream.shutdown(Shutdown::Both);
            }
        } else {
            self.stop_hearing();
        }
    }
}

/// What it would be evicted as, if its grace is over.
fn class(seat: &Seat, config: &Config) -> Option<Class> {
    if seat.is_late() {
        return None;
    }
    let (class, grace) = match seat.wait.seen()? {
        // It goes already. After a stop all are asked to, and who is slow must still make room.
        WaitingFor::Request if seat.must_leave() => return None,
        WaitingFor::Request if seat.flags.has(Flag::Fresh) => {
            (Class::NeverAsked, config.first_request_grace)
        }
        WaitingFor::Request => (Class::Idle, config.eviction_grace),
        WaitingFor::Drain | WaitingFor::Linger => (Class::Answered, config.eviction_grace),
        // Its time is counted anew whenever it keeps the useful pace.
        _ => (Class::Slow, config.eviction_grace),
    };
    (seat.waited() >= grace).then_some(class)
}

/// Whose address it is: of IPv6, the network is one customer's.
fn network(seat: &Seat) -> IpAddr {
    match seat.peer().ip().to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address => address,
    }
}

#[cfg(test)]
#[path = "eviction_tests.rs"]
mod tests;
