//! What a thread waits for besides its socket: the stop of the server, and a client that disconnects.
//!
//! The driver crate has what is waited for, and never waits: a thread that needs both the time and the
//! event waits here.
//!
//! ```
//! use doorstep_blocking::{Server, wait_stopping};
//! use std::time::Duration;
//!
//! let server = Server::bind("127.0.0.1:0")?;
//! let shutdown = server.shutdown_handle();
//! let saves = std::thread::spawn(move || {
//!     while !wait_stopping(&shutdown, Duration::from_secs(60)) {
//!         // Save what has changed in the last minute.
//!     }
//! });
//!
//! server.shutdown_handle().stop();
//! saves.join().expect("it does not panic");
//! # Ok::<(), std::io::Error>(())
//! ```

use std::thread;
use std::time::Duration;

use doorstep_driver::ShutdownHandle;
use doorstep_driver::connections::{ConnectionHandle, Connections};
use doorstep_driver::event_listener::Listener;
use doorstep_driver::net::PeerState;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A half-close. Other systems do not report it.
#[cfg(target_os = "linux")]
const HALF_CLOSE: PollFlags = PollFlags::RDHUP;
#[cfg(not(target_os = "linux"))]
const HALF_CLOSE: PollFlags = PollFlags::empty();

/// The longest time that is passed to the system: every system takes it.
const MAX_TIMEOUT: Duration = Duration::from_secs(1 << 30);

/// Blocks the thread until [`ShutdownHandle::stop`] is called, at most for `timeout`. Returns whether
/// it was called. In a handler, [`Exchange::wait_stopping`](crate::Exchange::wait_stopping) is the
/// same; in a task, [`ShutdownHandle::stopping`].
///
/// ```
/// use doorstep_blocking::{Server, wait_stopping};
/// use std::time::Duration;
///
/// let shutdown = Server::bind("127.0.0.1:0")?.shutdown_handle();
/// assert!(!wait_stopping(&shutdown, Duration::ZERO));
/// shutdown.stop();
/// assert!(wait_stopping(&shutdown, Duration::MAX));
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use]
pub fn wait_stopping(shutdown: &ShutdownHandle, timeout: Duration) -> bool {
    stopping(&shutdown.connections, timeout)
}

/// Waits until the server of these connections begins to stop, at most for `timeout`. Returns whether
/// it is stopping.
pub(crate) fn stopping(connections: &Connections, timeout: Duration) -> bool {
    match connections.stopping().into_listener() {
        Some(listener) => listener.wait_timeout(timeout).is_some() || connections.is_stopping(),
        None => true,
    }
}

/// Waits until the state of the peer is another one than `before`, at most for `timeout`, and returns
/// it. Bytes that arrive do not end the wait. The state of a peer in memory does not change
/// meanwhile.
pub(crate) fn peer_change(
    connection: &ConnectionHandle,
    before: PeerState,
    timeout: Duration,
) -> PeerState {
    let Some(socket) = connection.stream().fd() else {
        thread::sleep(timeout); // or a loop would be busy
        return connection.peer_state();
    };
    let mut events = HALF_CLOSE;
    if connection.stream().peer_state() != PeerState::Open {
        let now = connection.peer_state();
        if now != before {
            return now;
        }
        // A half-close, the client's or the server's, is there for ever: it would end the wait at once.
        events = PollFlags::empty();
    }
    let timeout = Timespec::try_from(timeout.min(MAX_TIMEOUT)).ok();
    // An error, such as an interruption by a signal, ends the wait like a change.
    let _ = poll(&mut [PollFd::new(&socket, events)], timeout.as_ref());
    connection.peer_state()
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorstep_driver::core::http1::WaitingFor;
    use doorstep_driver::net::MemoryStream;
    use std::io::Write;
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::time::Instant;

    #[test]
    fn a_stop_wakes_all_that_wait_and_what_comes_later_does_not_wait() {
        let connections = Connections::default();
        assert!(!stopping(&connections, Duration::ZERO));
        thread::scope(|scope| {
            let waits = [(); 2].map(|()| scope.spawn(|| stopping(&connections, Duration::MAX)));
            connections.begin_shutdown();
            assert!(waits.into_iter().all(|waits| waits.join().unwrap()));
        });
        assert!(stopping(&connections, Duration::MAX) && stopping(&connections, Duration::ZERO));
        assert!(!stopping(&Connections::default(), Duration::ZERO), "of another server");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_wait_ends_with_a_change_and_not_with_bytes_or_an_old_half_close() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, peer) = listener.accept().unwrap();
        let connections = Connections::default();
        let connection = connections.register(stream, peer);
        let wait = |before, millis| peer_change(&connection, before, Duration::from_millis(millis));
        client.write_all(b"sent ahead").unwrap();
        assert_eq!(wait(PeerState::Open, 30), PeerState::Open);
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(wait(PeerState::Open, u64::MAX), PeerState::HalfClosed);
        assert_eq!(wait(PeerState::Open, u64::MAX), PeerState::HalfClosed, "it has changed before");
        let before = Instant::now();
        assert_eq!(wait(PeerState::HalfClosed, 30), PeerState::HalfClosed);
        assert!(before.elapsed() >= Duration::from_millis(30), "else a loop would be busy");
        drop(client);
        connection.stream().send(b"response", false).unwrap();
        assert_eq!(wait(PeerState::HalfClosed, u64::MAX), PeerState::Closed);
        assert_eq!(wait(PeerState::Closed, 0), PeerState::Closed);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn b_286_a_half_close_by_the_server_does_not_end_the_wait() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, peer) = listener.accept().unwrap();
        let connections = Connections::default();
        let connection = connections.register(stream, peer);
        connection.begin_wait(WaitingFor::Request);
        connections.close_idle();
        connection.pause_wait(); // a request was read nevertheless
        let (before, timeout) = (Instant::now(), Duration::from_millis(30));
        assert_eq!(peer_change(&connection, PeerState::Open, timeout), PeerState::Open);
        assert!(before.elapsed() >= timeout, "else a loop would be busy");
        drop(client);
        connection.stream().send(b"response", false).unwrap();
        assert_eq!(peer_change(&connection, PeerState::Open, Duration::MAX), PeerState::Closed);
    }

    #[test]
    fn waiting_for_a_client_in_memory_takes_its_time() {
        let connections = Connections::default();
        let connection = connections.register_stream(MemoryStream::new("").into());
        let (before, timeout) = (Instant::now(), Duration::from_millis(30));
        let state = peer_change(&connection, PeerState::HalfClosed, timeout);
        assert_eq!(state, PeerState::HalfClosed);
        assert!(before.elapsed() >= timeout, "else a loop would be busy");
    }
}
