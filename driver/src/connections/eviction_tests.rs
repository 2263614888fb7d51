//! Who is evicted, in which order, on connections whose clients have addresses of their own.

use std::net::{TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;

use super::*;
use crate::connections::Registration;

/// A table of connections, with both ends of each.
struct Full {
    /// Leaked, so that it can be borrowed from here.
    connections: &'static Connections,
    registered: Vec<Registration<'static>>,
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
        let connections = Box::leak(Box::default());
        Self { connections, registered: Vec::new(), config, listener, clients: Vec::new() }
    }

    /// A connection of `client` that was served before, and waits.
    fn served(&mut self, client: &str, waiting: WaitingFor) -> Arc<ConnectionHandle> {
        let connection = self.fresh(client, waiting);
        connection.exchange_done();
        connection.begin_wait(waiting);
        connection
    }

    /// One that was never served, and waits.
    fn fresh(&mut self, client: &str, waiting: WaitingFor) -> Arc<ConnectionHandle> {
        self.clients.push(TcpStream::connect(self.listener.local_addr().unwrap()).unwrap());
        let (stream, _) = self.listener.accept().unwrap();
        let address = client.parse::<IpAddr>().unwrap();
        self.registered.push(self.connections.register(stream, (address, 1).into()));
        let connection = self.registered.last().unwrap();
        connection.begin_wait(waiting);
        Arc::clone(connection)
    }

    /// Removes a connection from the table.
    fn unregister(&mut self, connection: &Arc<ConnectionHandle>) {
        self.registered.retain(|registration| !Arc::ptr_eq(registration, connection));
    }

    /// Who is evicted for the next newcomer, by their places in `connections`.
    fn evicts(&self, connections: &[Arc<ConnectionHandle>]) -> Option<usize> {
        let gone =
            |connection: &ConnectionHandle| connection.is_closing() || connection.has_timed_out();
        let before: Vec<_> = connections.iter().map(|connection| gone(connection)).collect();
        match self.connections.evict_for_connection(&self.config, connections.len()) {
            Eviction::Started => {
                (0..connections.len()).find(|&n| gone(&connections[n]) && !before[n])
            }
            Eviction::RetryAfter(_) => None,
        }
    }
}

/// Each has waited longer than those behind it.
fn in_order(table: &Connections, config: &Config, connections: &[Arc<ConnectionHandle>]) {
    table.sweep(config);
    for (n, connection) in connections.iter().rev().enumerate() {
        connection.waited.store(1000 * (n as u32 + 1), Ordering::Relaxed);
    }
}

const A: &str = "192.0.2.1";
const B: &str = "192.0.2.2";

#[test]
fn b_286_slow_peers_go_first_and_who_behaved_last() {
    let mut full = Full::new();
    let connections = [
        full.served(A, WaitingFor::Request),
        full.fresh(A, WaitingFor::Request),
        full.fresh(A, WaitingFor::Head),
        full.served(A, WaitingFor::Writable),
        full.served(A, WaitingFor::Drain),
    ];
    in_order(full.connections, &full.config, &connections);
    let order: Vec<_> = (0..6).map(|_| full.evicts(&connections)).collect();
    assert_eq!(order, [Some(4), Some(2), Some(3), Some(1), Some(0), None]);
    assert!(
        connections[2].is_evicted() && connections[3].is_evicted() && !connections[0].is_evicted()
    );
}

#[test]
fn b_286_one_that_has_work_is_no_candidate_any_more() {
    let mut full = Full::new();
    let connections = [full.served(A, WaitingFor::Request), full.served(A, WaitingFor::Request)];
    in_order(full.connections, &full.config, &connections);
    connections[0].end_wait();
    assert_eq!(full.evicts(&connections), Some(1));
    assert_eq!(full.evicts(&connections), None);
}

#[test]
fn b_286_those_who_leave_do_not_change_who_is_next() {
    let mut full = Full::new();
    let polite = full.served(A, WaitingFor::Request);
    let slow = [(); 3].map(|()| full.fresh(A, WaitingFor::Head));
    in_order(full.connections, &full.config, &[std::slice::from_ref(&polite), &slow[..]].concat());
    for n in 0..3 {
        assert_eq!(full.evicts(&slow), Some(n));
        full.unregister(&slow[n]);
        full.served(B, WaitingFor::Request); // a newcomer takes the place
    }
    assert!(!polite.is_closing());
}

#[test]
fn b_286_an_address_that_holds_most_connections_loses_them_first() {
    let mut full = Full::new();
    let mut connections = vec![full.served(B, WaitingFor::Request)];
    connections.extend([(); 3].map(|()| full.served(A, WaitingFor::Request)));
    in_order(full.connections, &full.config, &connections);
    let order: Vec<_> = (0..4).map(|_| full.evicts(&connections)).collect();
    assert_eq!(order, [1, 2, 3, 0].map(Some));

    let mut full = Full::new(); // one customer's network
    let mut connections = vec![full.served("2001:db8:0:1::1", WaitingFor::Request)];
    let of = |last: &str| format!("2001:db8::{last}");
    connections.extend(["1", "2", "3"].map(|last| full.served(&of(last), WaitingFor::Request)));
    in_order(full.connections, &full.config, &connections);
    assert_eq!(full.evicts(&connections), Some(1));

    let mut full = Full::new(); // a proxy in front: all are the same
    let connections = [(); 4].map(|()| full.served(A, WaitingFor::Request));
    in_order(full.connections, &full.config, &connections);
    let order: Vec<_> = (0..4).map(|_| full.evicts(&connections)).collect();
    assert_eq!(order, [0, 1, 2, 3].map(Some));
}

#[test]
fn b_286_within_the_grace_nobody_is_evicted_and_those_served_are_asked_to_end() {
    let mut full = Full::new();
    full.config.eviction_grace = Duration::from_secs(600);
    full.config.first_request_grace = Duration::from_secs(600);
    full.config.rotation_interval = Duration::from_millis(1); // all at once
    let connections = [
        full.served(A, WaitingFor::Request),
        full.fresh(A, WaitingFor::Request),
        full.served(A, WaitingFor::Head),
        full.served(A, WaitingFor::Writable),
    ];
    assert_eq!(full.evicts(&connections), None);
    let last: Vec<_> = connections.iter().map(|connection| connection.should_close()).collect();
    assert_eq!(last, [true, false, true, true]);
    assert!(
        connections
            .iter()
            .all(|connection| !connection.is_closing() && !connection.has_timed_out())
    );
}

#[test]
fn b_282_who_is_slow_makes_room_for_the_backlog_of_a_stop() {
    let mut full = Full::new();
    full.config.lame_duck = Duration::MAX; // or the sweep would end one of them by itself
    let connections = [
        full.served(A, WaitingFor::Linger),
        full.fresh(A, WaitingFor::Head),
        full.served(A, WaitingFor::Request),
    ];
    full.connections.begin_shutdown();
    full.connections.close_idle();
    in_order(full.connections, &full.config, &connections);
    let rooms: Vec<_> = (0..3)
        .map(|_| full.connections.evict_for_connection(&full.config, 3) == Eviction::Started)
        .collect();
    assert_eq!(rooms, [true, true, false]);
    assert_eq!([0, 1, 2].map(|n| connections[n].has_timed_out()), [true, true, false]);
}

#[test]
fn b_286_a_flood_of_slow_newcomers_does_not_cost_the_others_their_connections() {
    let mut full = Full::new();
    full.config.eviction_grace = Duration::from_secs(600);
    full.config.rotation_interval = Duration::from_millis(1);
    let served = full.served(A, WaitingFor::Request);
    let slow = [(); 2].map(|()| full.fresh(B, WaitingFor::Head));
    assert_eq!(full.evicts(&slow), None);
    assert!(!served.should_close());
}

#[test]
fn b_286_those_that_were_asked_and_are_busy_do_not_keep_others_from_being_asked() {
    let mut full = Full::new();
    full.config.eviction_grace = Duration::from_secs(600);
    full.config.rotation_interval = Duration::from_millis(2); // half of them at each look
    let connections = [(); 4].map(|()| full.served(A, WaitingFor::Request));
    let asked = || connections.iter().filter(|connection| connection.should_close()).count();
    assert_eq!((full.evicts(&connections), asked()), (None, 2));
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!((full.evicts(&connections), asked()), (None, 2), "these are waited for");
    connections
        .iter()
        .filter(|connection| connection.should_close())
        .for_each(|connection| connection.begin_wait(WaitingFor::Writable));
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!((full.evicts(&connections), asked()), (None, 4));
}

#[test]
fn b_286_the_more_connections_the_less_often_all_are_looked_at() {
    let config = Config { rotation_interval: Duration::from_millis(100), ..Config::default() };
    let pauses = [12, 1_000, 10_000, usize::MAX].map(|n| scan_interval(&config, n).as_millis());
    assert_eq!(pauses, [10, 20, 100, 100]);
    for (millis, least) in [(5, 5), (0, 1)] {
        let eviction_scan_interval = Duration::from_millis(millis);
        let config = Config { eviction_scan_interval, ..Config::default() };
        assert_eq!(scan_interval(&config, 1_000).as_millis(), least);
    }
}
