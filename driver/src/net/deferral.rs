//! Accepting connections when their first bytes have arrived (`TCP_DEFER_ACCEPT`), while many arrive.
//!
//! A connection that is accepted before its request has arrived costs a wake-up to accept it, a read in
//! vain, a registration with the poller and a second wake-up; on threads, a sleep. Deferred, it costs
//! five system calls: accept, read, look at the path, send, close.
//!
//! What is deferred is the connections that have sent nothing, for a second at most: then the system
//! repeats its SYN-ACK, the client acknowledges it once more, and the connection can be accepted. A closed
//! one is not deferred. With few connections nothing is gained, and a client that connects in advance
//! would be seen later for nothing, so it is done while more than 256 connections arrive in a second.
//!
//! The system forgets deferred connections when the listener is closed, and resets them when they send
//! their request. So a stop ends the deferral first, and then waits as long as there are any
//! ([`has_handshakes`]). Nothing is deferred where the system does not report that (`sock_diag`(7)).

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Listener;

/// How long a connection can be deferred: a second, and what timers add on a system that is busy.
pub(super) const MAX_DEFERRAL: Duration = Duration::from_secs(3);
/// The rate is computed after this number of connections.
const WINDOW_CONNECTIONS: u32 = 64;
/// The deferral begins with a window that is shorter: more than 256 connections in a second.
const BEGIN_BELOW: Duration = Duration::from_millis(250);
/// It ends with one that is longer: fewer than 128.
const END_ABOVE: Duration = Duration::from_millis(500);

/// Whether the connections of an acceptor are deferred.
#[derive(Debug, Default)]
pub(super) struct Deferral {
    accepted: AtomicU32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    /// The time of the last connection of the window before.
    window: Option<Instant>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It has not begun yet.
    #[default]
    Never,
    On,
    /// Off since then.
    Off(Instant),
    /// Not supported, or the acceptor stops.
    Ended,
}

impl Deferral {
    /// Counts a connection that was accepted from one of `listeners`, and begins or ends the deferral.
    pub(super) fn accepted(&self, listeners: &[Listener]) {
        let count = self.accepted.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if !count.is_multiple_of(WINDOW_CONNECTIONS) {
            return;
        }
        let (mut state, now) = (self.state(), Instant::now());
        if let Some(before) = state.window.replace(now) {
            state.window_ended(now.saturating_duration_since(before), listeners);
        }
    }

    /// Ends the deferral for good. Returns whether there may be connections that are still deferred.
    pub(super) fn end(&self, listeners: &[Listener]) -> bool {
        let mut state = self.state();
        let phase = std::mem::replace(&mut state.phase, Phase::Ended);
        if phase == Phase::On {
            set(listeners, false);
        }
        match phase {
            Phase::On => true,
            Phase::Off(since) => since.elapsed() < MAX_DEFERRAL,
            Phase::Never | Phase::Ended => false,
        }
    }

    /// Begins, whatever the rate is.
    #[cfg(all(test, target_os = "linux", not(feature = "portable")))]
    pub(super) fn force(&self, listeners: &[Listener]) -> bool {
        self.state().phase = begin(listeners, true);
        self.state().phase == Phase::On
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    #[inline(never)] // it is called rarely, and what it needs on the stack is not needed to accept
    fn window_ended(&mut self, length: Duration, listeners: &[Listener]) {
        match self.phase {
            Phase::Never if length < BEGIN_BELOW => self.phase = begin(listeners, true),
            Phase::Off(_) if length < BEGIN_BELOW => self.phase = begin(listeners, false),
            Phase::On if length > END_ABOVE => {
                set(listeners, false);
                self.phase = Phase::Off(Instant::now());
            }
            _ => {}
        }
    }
}

/// Begins the deferral where that is possible; with `probe`, only if the system reports the
/// connections that are deferred.
fn begin(listeners: &[Listener], probe: bool) -> Phase {
    let is_reported = || listeners.iter().all(|listener| listener.has_handshakes().is_ok());
    if (!probe || is_reported()) && set(listeners, true) { Phase::On } else { Phase::Ended }
}

/// Sets it on the listeners where that is possible, and returns whether there are any.
fn set(listeners: &[Listener], deferred: bool) -> bool {
    listeners.iter().filter(|listener| listener.set_deferred(deferred)).count() > 0
}

/// Whether there are connections to the port of `local` that are not in the backlog yet. Costs four
/// system calls; the time that they take grows with the number of all TCP connections of the system.
///
/// # Errors
/// Returns an error if the system does not report that.
#[cfg(target_os = "linux")]
pub(super) fn has_handshakes(local: SocketAddr) -> io::Result<bool> {
    use rustix::net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send,
        socket_with,
    };

    /// The types of a request for sockets and of the sockets in the response, and of its end
    /// (linux/sock_diag.h, linux/netlink.h).
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const NLMSG_DONE: u16 = 3;
    /// NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH: all that match.
    const NLM_F_REQUEST_DUMP: u16 = 0x301;
    const IPPROTO_TCP: u8 = 6;
    /// The states that match: SYN_RECV alone.
    const STATES: u32 = 1 << 3;

    let family = if local.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let mut request = [0; 72];
    let size = request.len() as u32;
    // struct nlmsghdr, 16 bytes
    request[..4].copy_from_slice(&size.to_ne_bytes());
    request[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request[6..8].copy_from_slice(&NLM_F_REQUEST_DUMP.to_ne_bytes());
    // struct inet_diag_req_v2, 56 bytes
    request[16] = family.as_raw() as u8;
    request[17] = IPPROTO_TCP;
    request[20..24].copy_from_slice(&STATES.to_ne_bytes());
    request[24..26].copy_from_slice(&local.port().to_be_bytes());

    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let protocol = Some(netlink::SOCK_DIAG);
    let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, protocol)?;
    send(&socket, &request, SendFlags::empty())?;
    let mut header = [0; 16];
    let (received, _) = recv(&socket, &mut header, RecvFlags::empty())?;
    match u16::from_ne_bytes([header[4], header[5]]) {
        SOCK_DIAG_BY_FAMILY if received == header.len() => Ok(true),
        NLMSG_DONE if received == header.len() => Ok(false),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn has_handshakes(_: SocketAddr) -> io::Result<bool> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux", not(feature = "portable")))]
mod tests {
    use super::*;
    use crate::net::{ListenerAddr, bind};
    use std::io::Write;
    use std::net::{Ipv4Addr, TcpStream};

    fn listeners(host: Option<&str>) -> Vec<Listener> {
        bind(host, 0).expect("a port is free").into_iter().map(Listener::from).collect()
    }

    fn connect(listener: &Listener) -> TcpStream {
        let address = match listener.addr() {
            ListenerAddr::Tcp(address) => Some((Ipv4Addr::LOCALHOST, address.port())),
            _ => None,
        };
        TcpStream::connect(address.expect("it is TCP")).expect("it listens")
    }

    #[test]
    fn a_deferred_connection_is_reported_until_it_sends_something() {
        for host in [Some("127.0.0.1"), None] {
            let (listeners, deferral) = (listeners(host), Deferral::default());
            let [listener] = &listeners[..] else { panic!("{listeners:?}") };
            listener.set_nonblocking(true).unwrap();
            assert!(!listener.has_handshakes().unwrap());
            assert!(deferral.force(&listeners));
            let mut client = connect(listener);
            assert!(listener.has_handshakes().unwrap());
            assert_eq!(listener.accept(true).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            client.write_all(b"x").unwrap();
            assert!(listener.accept(true).is_ok());
            assert!(!listener.has_handshakes().unwrap());
        }
    }

    #[test]
    fn a_silent_connection_is_accepted_later_and_a_closed_one_at_once() {
        let (listeners, deferral) = (listeners(Some("127.0.0.1")), Deferral::default());
        assert!(deferral.force(&listeners));
        let silent = connect(&listeners[0]);
        let closed = connect(&listeners[0]).local_addr().unwrap();
        let order = [(); 2].map(|()| listeners[0].accept(false).unwrap().peer_addr());
        assert_eq!(order, [closed, silent.local_addr().unwrap()]);
    }

    #[test]
    fn it_begins_and_ends_with_the_rate_and_not_after_a_stop() {
        let (listeners, deferral) = (listeners(Some("127.0.0.1")), Deferral::default());
        let window = |length| {
            let mut state = deferral.state();
            state.window_ended(length, &listeners);
            state.phase == Phase::On
        };
        assert!(!window(END_ABOVE) && !window(BEGIN_BELOW));
        assert!(window(BEGIN_BELOW / 2) && window(BEGIN_BELOW) && window(END_ABOVE));
        assert!(!window(END_ABOVE * 2) && !window(BEGIN_BELOW));
        assert!(window(BEGIN_BELOW / 2));
        assert!(deferral.end(&listeners));
        assert!(!window(BEGIN_BELOW / 2));
        assert!(!deferral.end(&listeners));
    }

    #[test]
    fn what_cannot_be_deferred_is_left_as_it_is() {
        let listeners: Vec<_> =
            listeners(Some("127.0.0.1")).into_iter().map(|tcp| tcp.with_shared(true)).collect();
        let deferral = Deferral::default();
        assert!(!deferral.force(&listeners));
        assert!(!deferral.end(&listeners));
    }
}
