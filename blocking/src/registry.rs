//! Who is being served: so that the connection that has been idle longest can give way, and a stop
//! can tell everybody.
//!
//! A connection's thread says when it waits for a next request; anybody may then ask it to leave.
//! Asking closes the reading half of the socket only: the thread wakes up and finds the end of
//! input, but a request that arrived in the same moment is still read and answered.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use doorstep_core::http1::Waiting;

/// Everybody who is being served.
#[derive(Debug)]
pub(crate) struct Registry {
    start: Instant,
    seats: Mutex<Vec<Arc<Seat>>>,
    left: Condvar,
}

/// One connection's place.
#[derive(Debug)]
pub(crate) struct Seat {
    stream: Arc<TcpStream>,
    peer: SocketAddr,
    start: Instant,
    /// Since when it is idle, in milliseconds since `start`, plus one; 0 while it works.
    idle: AtomicU64,
    leave: AtomicBool,
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), seats: Mutex::default(), left: Condvar::new() }
    }

    /// Takes a seat; it is given back by [`Registry::leave`].
    pub(crate) fn enter(&self, stream: TcpStream, peer: SocketAddr) -> Arc<Seat> {
        let seat = Arc::new(Seat {
            stream: Arc::new(stream),
            peer,
            start: self.start,
            idle: AtomicU64::new(0),
            leave: AtomicBool::new(false),
        });
        self.seats().push(seat.clone());
        seat
    }

    /// Gives a seat back.
    pub(crate) fn leave(&self, seat: &Arc<Seat>) {
        let mut seats = self.seats();
        if let Some(at) = seats.iter().position(|other| Arc::ptr_eq(other, seat)) {
            seats.swap_remove(at);
        }
        self.left.notify_all();
    }

    /// Asks the connection that has been idle longest to leave; whether there was one.
    pub(crate) fn make_room(&self) -> bool {
        let seats = self.seats();
        let idle = |seat: &&Arc<Seat>| match seat.idle.load(Ordering::SeqCst) {
            0 => None,
            _ if seat.must_leave() => None,
            since => Some(since),
        };
        let longest = seats.iter().filter(|seat| idle(seat).is_some()).min_by_key(|s| idle(s));
        if let Some(seat) = longest {
            seat.ask_to_leave();
        }
        longest.is_some()
    }

    /// Asks everybody to leave after the answer that is under way.
    pub(crate) fn close_up(&self) {
        for seat in self.seats().iter() {
            seat.ask_to_leave();
        }
    }

    /// Waits until nobody is left, for `grace` at most; whether everybody went in time.
    pub(crate) fn wait_empty(&self, grace: Duration) -> bool {
        let seats = self.seats();
        let (seats, _) = self
            .left
            .wait_timeout_while(seats, grace, |seats| !seats.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        seats.is_empty()
    }

    /// Cuts off who is left.
    pub(crate) fn cut(&self) {
        for seat in self.seats().iter() {
            let _ = seat.stream.shutdown(Shutdown::Both);
        }
    }

    fn seats(&self) -> MutexGuard<'_, Vec<Arc<Seat>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    pub(crate) fn stream(&self) -> Arc<TcpStream> {
        self.stream.clone()
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Is about to wait; whether it must leave instead, which only an idle one must.
    pub(crate) fn waits(&self, waiting: Waiting) -> bool {
        if waiting != Waiting::Idle {
            return false;
        }
        let now = self.start.elapsed().as_millis() as u64 + 1;
        self.idle.store(now, Ordering::SeqCst);
        self.must_leave() // looked at after the store: `ask_to_leave` does it the other way round
    }

    /// Has something to do again.
    pub(crate) fn works(&self) {
        self.idle.store(0, Ordering::SeqCst);
    }

    pub(crate) fn must_leave(&self) -> bool {
        self.leave.load(Ordering::SeqCst)
    }

    fn ask_to_leave(&self) {
        self.leave.store(true, Ordering::SeqCst);
        if self.idle.load(Ordering::SeqCst) != 0 {
            let _ = self.stream.shutdown(Shutdown::Read);
        }
    }
}
