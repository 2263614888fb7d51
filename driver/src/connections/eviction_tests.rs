//! Who is evicted, in which order, on connections whose clients have addresses of their own.

use std::net::{TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;

use super::*;

/// A registry, and what keeps its sockets open.
struct Full {
    registry: Registry,
    config: Config,
    listener: TcpListener,
    clients: Vec<TcpStream>,
}

impl Full {
    /// With graces that are over at once.
    fn new() -> Self {
        let config = Config {
            max_connections: NonZeroUsize::MIN.into(),
            eviction_grace: Duration::ZERO,
            first_request_grace: Duration::ZERO,
            ..Config::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { registry: Registry::default(), config, listener, clients: Vec::new() }
    }

    /// A connection of `client` that was served before, and waits.
    fn served(&mut self, client: &str, waiting: WaitingFor) -> Arc<Seat> {
        let seat = self.fresh(client, waiting);
        seat.rest();
        seat.waits(waiting);
        seat
    }

    /// One that was never served, and waits.
    fn fresh(&mut self, client: &str, waiting: WaitingFor) -> Arc<Seat> {
        self.clients.push(TcpStream::connect(self.listener.local_addr().unwrap()).unwrap());
        let (stream, _) = self.listener.accept().unwrap();
        let seat = self.registry.enter(stream, (client.parse::<IpAddr>().unwrap(), 1).into());
        seat.waits(waiting);
        seat
    }

    /// Who is evicted for the next newcomer, by their places in `seats`.
    fn evicts(&self, seats: &[Arc<Seat>]) -> Option<usize> {
        let gone = |seat: &Seat| seat.must_leave() || seat.is_late();
        let before: Vec<_> = seats.iter().map(|seat| gone(seat)).collect();
        match self.registry.make_room(&self.config, seats.len()) {
            Room::Made => (0..seats.len()).find(|&n| gone(&seats[n]) && !before[n]),
            Room::None(_) => None,
        }
    }
}

/// Each has waited longer than those behind it.
fn in_order(registry: &Registry, config: &Config, seats: &[Arc<Seat>]) {
    registry.sweep(config);
    for (n, seat) in seats.iter().rev().enumerate() {
        seat.waited.store(1000 * (n as u32 + 1), Ordering::Relaxed);
    }
}

const A: &str = "192.0.2.1";
const B: &str = "192.0.2.2";

#[test]
fn b_286_slow_peers_go_first_and_who_behaved_last() {
    let mut full = Full::new();
    let seats = [
        full.served(A, WaitingFor::Request),
        full.fresh(A, WaitingFor::Request),
        full.fresh(A, WaitingFor::Head),
        full.served(A, WaitingFor::Writable),
        full.served(A, WaitingFor::Drain),
    ];
    in_order(&full.registry, &full.config, &seats);
    let order: Vec<_> = (0..6).map(|_| full.evicts(&seats)).collect();
    assert_eq!(order, [Some(4), Some(2), Some(3), Some(1), Some(0), None]);
    assert!(seats[2].is_evicted() && seats[3].is_evicted() && !seats[0].is_evicted());
}

#[test]
fn b_286_one_that_has_work_is_no_candidate_any_more() {
    let mut full = Full::new();
    let seats = [full.served(A, WaitingFor::Request), full.served(A, WaitingFor::Request)];
    in_order(&full.registry, &full.config, &seats);
    seats[0].works();
    assert_eq!(full.evicts(&seats), Some(1));
    assert_eq!(full.evicts(&seats), None);
}

#[test]
fn b_286_those_who_leave_do_not_change_who_is_next() {
    let mut full = Full::new();
    let polite = full.served(A, WaitingFor::Request);
    let slow = [(); 3].map(|()| full.fresh(A, WaitingFor::Head));
    in_order(&full.registry, &full.config, &[std::slice::from_ref(&polite), &slow[..]].concat());
    for n in 0..3 {
        assert_eq!(full.evicts(&slow), Some(n));
        full.registry.leave(slow[n].clone());
        full.served(B, WaitingFor::Request); // a newcomer takes the place
    }
    assert!(!polite.must_leave());
}

#[test]
fn b_286_an_address_that_holds_most_connections_loses_them_first() {
    let mut full = Full::new();
    let mut seats = vec![full.served(B, WaitingFor::Request)];
    seats.extend([(); 3].map(|()| full.served(A, WaitingFor::Request)));
    in_order(&full.registry, &full.config, &seats);
    let order: Vec<_> = (0..4).map(|_| full.evicts(&seats)).collect();
    assert_eq!(order, [1, 2, 3, 0].map(Some));

    let mut full = Full::new(); // one customer's network
    let mut seats = vec![full.served("2001:db8:0:1::1", WaitingFor::Request)];
    let of = |last: &str| format!("2001:db8::{last}");
    seats.extend(["1", "2", "3"].map(|last| full.served(&of(last), WaitingFor::Request)));
    in_order(&full.registry, &full.config, &seats);
    assert_eq!(full.evicts(&seats), Some(1));

    let mut full = Full::new(); // a proxy in front: all are the same
    let seats = [(); 4].map(|()| full.served(A, WaitingFor::Request));
    in_order(&full.registry, &full.config, &seats);
    let order: Vec<_> = (0..4).map(|_| full.evicts(&seats)).collect();
    assert_eq!(order, [0, 1, 2, 3].map(Some));
}

#[test]
fn b_286_within_the_grace_nobody_is_evicted_and_those_served_are_asked_to_end() {
    let mut full = Full::new();
    full.config.eviction_grace = Duration::from_secs(600);
    full.config.first_request_grace = Duration::from_secs(600);
    full.config.turn = Duration::from_millis(1); // all at once
    let seats = [
        full.served(A, WaitingFor::Request),
        full.fresh(A, WaitingFor::Request),
        full.served(A, WaitingFor::Head),
        full.served(A, WaitingFor::Writable),
    ];
    assert_eq!(full.evicts(&seats), None);
    let last: Vec<_> = seats.iter().map(|seat| seat.is_last()).collect();
    assert_eq!(last, [true, false, true, true]);
    assert!(seats.iter().all(|seat| !seat.must_leave() && !seat.is_late()));
}

#[test]
fn b_282_who_is_slow_makes_room_for_the_backlog_of_a_stop() {
    let mut full = Full::new();
    full.config.lame_duck = Duration::MAX; // or the sweep would end one of them by itself
    let seats = [
        full.served(A, WaitingFor::Linger),
        full.fresh(A, WaitingFor::Head),
        full.served(A, WaitingFor::Request),
    ];
    full.registry.begin_shutdown();
    full.registry.close_idle();
    in_order(&full.registry, &full.config, &seats);
    let rooms: Vec<_> =
        (0..3).map(|_| full.registry.make_room(&full.config, 3) == Room::Made).collect();
    assert_eq!(rooms, [true, true, false]);
    assert_eq!([0, 1, 2].map(|n| seats[n].is_late()), [true, true, false]);
}

#[test]
fn b_286_a_flood_of_slow_newcomers_does_not_cost_the_others_their_connections() {
    let mut full = Full::new();
    full.config.eviction_grace = Duration::from_secs(600);
    full.config.turn = Duration::from_millis(1);
    let served = full.served(A, WaitingFor::Request);
    let slow = [(); 2].map(|()| full.fresh(B, WaitingFor::Head));
    assert_eq!(full.evicts(&slow), None);
    assert!(!served.is_last());
}

#[test]
fn b_286_those_that_were_asked_and_are_busy_do_not_keep_others_from_being_asked() {
    let mut full = Full::new();
    full.config.eviction_grace = Duration::from_secs(600);
    full.config.turn = Duration::from_millis(2); // half of them at each look
    let seats = [(); 4].map(|()| full.served(A, WaitingFor::Request));
    let asked = || seats.iter().filter(|seat| seat.is_last()).count();
    assert_eq!((full.evicts(&seats), asked()), (None, 2));
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!((full.evicts(&seats), asked()), (None, 2), "these are waited for");
    seats.iter().filter(|seat| seat.is_last()).for_each(|seat| seat.waits(WaitingFor::Writable));
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!((full.evicts(&seats), asked()), (None, 4));
}

#[test]
fn b_286_the_more_connections_the_less_often_all_are_looked_at() {
    let config = Config { turn: Duration::from_millis(100), ..Config::default() };
    let pauses = [12, 1_000, 10_000, usize::MAX].map(|n| pause(&config, n).as_millis());
    assert_eq!(pauses, [10, 20, 100, 100]);
}
