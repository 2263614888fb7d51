//! The order of eviction, for connections of clients with given addresses.

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

    /// A connection that was never served, and waits.
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

    /// The index in `connections` of the one that is evicted for the next new connection.
    fn evicts(&self, connections: &[Arc<ConnectionHandle>]) -> Option<usize> {
        let is_evicted =
            |connection: &ConnectionHandle| connection.is_closing() || connection.has_timed_out();
        let before: Vec<_> = connections.iter().map(|connection| is_evicted(connection)).collect();
        match self.connections.evict_for_connection(&self.config, connections.len()) {
            Eviction::Started => {
                (0..connections.len()).find(|&n| is_evicted(&connections[n]) && !before[n])
            }
            Eviction::RetryAfter(_) => None,
        }
    }
}

/// Makes each of `connections` have waited longer than those after it.
fn in_order(table: &Connections, config: &Config, connections: &[Arc<ConnectionHandle>]) {
    table.sweep(config);
    for (n, connection) in connections.iter().rev().enumerate() {
        connection.waited.store(1000 * (n as u32 + 1), Ordering::Relaxed);
    }
}

const A: &str = "192.0.2.1";
const B: &str = "192.0.2.2";

#[test]
fn b_286_slow_peers_are_evicted_first_and_idle_connections_last() {
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
fn b_286_a_connection_that_is_busy_again_is_not_evicted() {
    let mut full = Full::new();
    let connections = [full.served(A, WaitingFor::Request), full.served(A, WaitingFor::Request)];
    in_order(full.connections, &full.config, &connections);
    connections[0].pause_wait();
    assert_eq!(full.evicts(&connections), Some(1));
    assert_eq!(full.evicts(&connections), None);
}

#[test]
fn b_286_connections_that_close_do_not_change_the_order() {
    let mut full = Full::new();
    let idle = full.served(A, WaitingFor::Request);
    let slow = [(); 3].map(|()| full.fresh(A, WaitingFor::Head));
    in_order(full.connections, &full.config, &[std::slice::from_ref(&idle), &slow[..]].concat());
    for n in 0..3 {
        assert_eq!(full.evicts(&slow), Some(n));
        full.unregister(&slow[n]);
        full.served(B, WaitingFor::Request); // a new connection
    }
    assert!(!idle.is_closing());
}

#[test]
fn b_286_an_address_that_holds_most_connections_loses_them_first() {
    let mut full = Full::new();
    let mut connections = vec![full.served(B, WaitingFor::Request)];
    connections.extend([(); 3].map(|()| full.served(A, WaitingFor::Request)));
    in_order(full.connections, &full.config, &connections);
    let order: Vec<_> = (0..4).map(|_| full.evicts(&connections)).collect();
    assert_eq!(order, [1, 2, 3, 0].map(Some));

    let mut full = Full::new(); // one IPv6 network of 64 bits
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
fn b_286_within_the_grace_none_is_evicted_and_served_ones_are_asked_to_close() {
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
fn b_282_slow_connections_are_evicted_for_the_backlog_of_a_shutdown() {
    let mut full = Full::new();
    full.config.lame_duck = Duration::MAX; // or the sweep would end one of them
    let connections = [
        full.served(A, WaitingFor::Linger),
        full.fresh(A, WaitingFor::Head),
        full.served(A, WaitingFor::Request),
    ];
    full.connections.begin_shutdown();
    full.connections.close_idle();
    in_order(full.connections, &full.config, &connections);
    let evicted: Vec<_> = (0..3)
        .map(|_| full.connections.evict_for_connection(&full.config, 3) == Eviction::Started)
        .collect();
    assert_eq!(evicted, [true, true, false]);
    assert_eq!([0, 1, 2].map(|n| connections[n].has_timed_out()), [true, true, false]);
}

#[test]
fn b_286_a_flood_of_slow_new_connections_does_not_close_the_others() {
    let mut full = Full::new();
    full.config.eviction_grace = Duration::from_secs(600);
    full.config.rotation_interval = Duration::from_millis(1);
    let served = full.served(A, WaitingFor::Request);
    let slow = [(); 2].map(|()| full.fresh(B, WaitingFor::Head));
    assert_eq!(full.evicts(&slow), None);
    assert!(!served.should_close());
}

#[test]
fn b_286_busy_connections_that_were_asked_to_close_do_not_count() {
    let mut full = Full::new();
    full.config.eviction_grace = Duration::from_secs(600);
    full.config.rotation_interval = Duration::from_millis(2); // half of them at each scan
    let connections = [(); 4].map(|()| full.served(A, WaitingFor::Request));
    let asked = || connections.iter().filter(|connection| connection.should_close()).count();
    assert_eq!((full.evicts(&connections), asked()), (None, 2));
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!((full.evicts(&connections), asked()), (None, 2), "the server waits for these");
    connections
        .iter()
        .filter(|connection| connection.should_close())
        .for_each(|connection| connection.begin_wait(WaitingFor::Writable));
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!((full.evicts(&connections), asked()), (None, 4));
}

#[test]
fn b_286_the_more_connections_the_rarer_are_scans() {
    let config = Config { rotation_interval: Duration::from_millis(100), ..Config::default() };
    let pauses = [12, 1_000, 10_000, usize::MAX].map(|n| scan_interval(&config, n).as_millis());
    assert_eq!(pauses, [10, 20, 100, 100]);
    for (millis, least) in [(5, 5), (0, 1)] {
        let eviction_scan_interval = Duration::from_millis(millis);
        let config = Config { eviction_scan_interval, ..Config::default() };
        assert_eq!(scan_interval(&config, 1_000).as_millis(), least);
    }
}

#[test]
fn b_286_a_trusted_proxy_is_not_a_network_that_holds_most_connections() {
    for (trusted, expected) in [("192.0.2.9", Some(1)), (A, Some(0))] {
        let mut full = Full::new();
        full.config.trusted_proxies = trusted.parse().unwrap();
        let connections = [
            full.served(B, WaitingFor::Request),
            full.served(A, WaitingFor::Request),
            full.served(A, WaitingFor::Request),
        ];
        in_order(full.connections, &full.config, &connections);
        assert_eq!(full.evicts(&connections), expected, "{trusted}");
    }
}
