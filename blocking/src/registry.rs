//! Who is being served: so that the connection that has been idle longest can give way, one that
//! waits too long can be woken, and a shutdown can reach everybody. Shared by both drivers.
//!
//! A connection says when it waits and until when; anybody may then ask it to leave. Asking closes
//! the reading half of its socket only: whoever waits on it wakes up and finds the end of input, but
//! a request that arrived in the same moment is still read and answered.
//!
//! A shutdown has steps: after [`Registry::begin_shutdown`] every connection closes with its next
//! response, after [`Registry::close_idle`] those close that have nothing to respond to, and
//! [`Registry::cut`] ends who is left.

use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use doorstep_core::http1::Waiting;
use event_listener::{Event, EventListener};

use crate::host::{self, Presence};

/// How long a request waits until a connection that was asked to leave has given its descriptor back.
pub const ROOM: Duration = Duration::from_millis(100);

/// When time began, for every registry.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// In milliseconds since then, plus one.
fn now() -> u64 {
    START.elapsed().as_millis() as u64 + 1
}

/// Everybody who is being served.
#[derive(Debug, Default)]
pub struct Registry {
    seats: Mutex<Vec<Arc<Seat>>>,
    /// Somebody has left.
    left: Event,
    /// Since when the server stops.
    shutdown: OnceLock<Instant>,
    /// What new seats begin with, for the server stops.
    flags: Flags,
    /// How many connections were cut.
    cut: OnceLock<usize>,
}

/// One connection's place; small, since every idle connection has one. Times are as of `now`; 0: none.
#[derive(Debug)]
pub struct Seat {
    stream: TcpStream,
    peer: (IpAddr, u16),
    /// Where in the registry it is.
    at: AtomicU32,
    /// Until when it may wait; 0 while it works. Of two that are idle, the earlier has been so longer.
    deadline: AtomicU64,
    flags: Flags,
}

/// In one byte, for there are many.
#[derive(Debug, Default)]
struct Flags(AtomicU8);

#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Flag {
    /// It waits for the next request.
    Idle = 1,
    /// It waits until more can be sent.
    Sends = 2,
    /// It was woken since its deadline had passed.
    Late = 4,
    /// It was asked to leave.
    Leave = 8,
    /// The reading half was closed from here.
    Deaf = 16,
    /// Its end is a reset.
    Resets = 32,
    /// Its next response is its last one.
    Last = 64,
}

const _: () = assert!(size_of::<Seat>() <= 40, "an idle connection costs hardly more than this");

impl Registry {
    /// Takes a seat; it is given back by [`Registry::leave`].
    pub fn enter(&self, stream: TcpStream, peer: SocketAddr) -> Arc<Seat> {
        let mut seats = self.seats();
        let seat = Arc::new(Seat {
            stream,
            peer: (peer.ip(), peer.port()),
            at: AtomicU32::new(seats.len() as u32),
            deadline: AtomicU64::new(0),
            flags: Flags(AtomicU8::new(self.flags.0.load(Ordering::SeqCst))),
        });
        seats.push(seat.clone());
        seat
    }

    /// Gives a seat back.
    pub fn leave(&self, seat: &Seat) {
        let mut seats = self.seats();
        let at = seat.at.load(Ordering::Relaxed) as usize; // moved under the lock only
        seats.swap_remove(at);
        if let Some(moved) = seats.get(at) {
            moved.at.store(at as u32, Ordering::Relaxed);
        }
        drop(seats);
        self.left.notify(usize::MAX);
    }

    /// Wakes up when the next one has left. Listen first, then look: else a moment is missed.
    #[must_use]
    pub fn listen(&self) -> EventListener {
        self.left.listen()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seats().len()
    }

    /// Whether nobody is served.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Asks the connection that has been idle longest to leave; whether there was one.
    pub fn make_room(&self) -> bool {
        let seats = self.seats();
        let longest = seats
            .iter()
            .filter(|seat| seat.flags.has(Flag::Idle) && !seat.must_leave())
            .min_by_key(|seat| seat.deadline.load(Ordering::SeqCst));
        if let Some(seat) = longest {
            seat.ask_to_leave();
        }
        longest.is_some()
    }

    /// Wakes everybody whose deadline has passed: they find the end of input, and that they are
    /// [`Seat::is_late`].
    pub fn sweep(&self) {
        let now = now();
        for seat in self.seats().iter() {
            let deadline = seat.deadline.load(Ordering::SeqCst);
            if deadline != 0 && deadline <= now && !seat.flags.set(Flag::Late, true) {
                // Who waits to send wakes up only when nothing can be sent any more.
                let sends = seat.flags.has(Flag::Sends);
                if sends {
                    let _ = seat.stream.shutdown(Shutdown::Both);
                } else {
                    seat.stop_hearing();
                }
            }
        }
    }

    /// Has every connection close with its next response. A client that was promised to be kept has
    /// its chance to send one more request; so has one that has sent none yet.
    pub fn begin_shutdown(&self) {
        self.shutdown.get_or_init(Instant::now);
        let seats = self.seats(); // held while the flag is set: nobody slips through
        self.flags.set(Flag::Last, true);
        for seat in seats.iter() {
            seat.flags.set(Flag::Last, true);
        }
    }

    /// Since when the server stops: now, unless it was said before.
    pub fn shutdown_began(&self) -> Instant {
        *self.shutdown.get_or_init(Instant::now)
    }

    /// Closes connections that wait for a request, now and from now on.
    pub fn close_idle(&self) {
        let seats = self.seats();
        self.flags.set(Flag::Leave, true);
        for seat in seats.iter() {
            seat.ask_to_leave();
        }
    }

    /// Cuts off who is left.
    pub fn cut(&self) {
        let seats = self.seats();
        self.cut.get_or_init(|| seats.len());
        for seat in seats.iter() {
            let resets = seat.flags.has(Flag::Resets);
            if !resets || host::reset(&seat.stream).is_err() {
                let _ = seat.stream.shutdown(Shutdown::Both);
            }
        }
    }

    /// How many connections [`Registry::cut`] found when it was first said.
    #[must_use]
    pub fn cut_off(&self) -> usize {
        self.cut.get().copied().unwrap_or(0)
    }

    fn seats(&self) -> MutexGuard<'_, Vec<Arc<Seat>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Seat {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Seat {
    /// The connection's socket.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The client's address and port.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer.into()
    }

    /// Is about to wait, for `left` at most. One that is idle and must leave will find what has come
    /// already, and then the end of input.
    pub fn waits(&self, waiting: Waiting, left: Option<Duration>) {
        /// Who may wait for ever waits so long: the order of the idle ones must stay.
        const EVER: u64 = 1 << 48;
        let most = |left: Duration| left.as_millis().min(u128::from(EVER)) as u64;
        let until = left.map_or(0, |left| now() + most(left));
        self.flags.set(Flag::Sends, waiting == Waiting::Peer);
        self.deadline.store(until, Ordering::SeqCst);
        self.flags.set(Flag::Idle, waiting == Waiting::Idle);
        // Looked at after the store: `ask_to_leave` does it the other way round.
        if waiting == Waiting::Idle && self.must_leave() {
            self.stop_hearing();
        }
    }

    /// Has something to do again.
    pub fn works(&self) {
        self.flags.set(Flag::Idle, false);
        self.deadline.store(0, Ordering::SeqCst);
    }

    /// From now on the connection's end is a reset, however it comes, or a plain one again. For
    /// answers that look whole when it is plain. Said by whoever serves it, and nobody else.
    pub fn resets(&self, yes: bool) {
        if self.flags.has(Flag::Resets) != yes {
            self.flags.set(Flag::Resets, yes);
            let _ = host::close_by_reset(self, yes);
        }
    }

    /// All is sent that will be, while somebody works on: the client hears the end now, and that its
    /// answer was `cut` if so.
    pub fn finish(&self, cut: bool) {
        self.resets(cut);
        let _ = if cut { host::reset(self) } else { host::finish(self) };
    }

    /// Whether the client is still there. Costs one system call.
    #[must_use]
    pub fn presence(&self) -> Presence {
        match Presence::of(self) {
            // Our own doing looks the same: a request that came in the same moment is still answered.
            Presence::Quiet if self.flags.has(Flag::Deaf) => Presence::Here,
            seen => seen,
        }
    }

    /// Whether its next response is to be its last one.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.flags.has(Flag::Last) || self.must_leave()
    }

    fn must_leave(&self) -> bool {
        self.flags.has(Flag::Leave)
    }

    /// Whether it was woken because its deadline had passed.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.flags.has(Flag::Late)
    }

    fn ask_to_leave(&self) {
        self.flags.set(Flag::Leave, true);
        if self.flags.has(Flag::Idle) {
            self.stop_hearing();
        }
    }

    fn stop_hearing(&self) {
        self.flags.set(Flag::Deaf, true);
        let _ = self.stream.shutdown(Shutdown::Read);
    }
}

impl Flags {
    fn has(&self, flag: Flag) -> bool {
        self.0.load(Ordering::SeqCst) & flag as u8 != 0
    }

    /// Whether it was set before.
    fn set(&self, flag: Flag, yes: bool) -> bool {
        let before = match yes {
            true => self.0.fetch_or(flag as u8, Ordering::SeqCst),
            false => self.0.fetch_and(!(flag as u8), Ordering::SeqCst),
        };
        before & flag as u8 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;

    #[test]
    #[cfg(target_os = "linux")]
    fn b_286_a_client_that_was_asked_to_leave_has_not_left() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, peer) = listener.accept().unwrap();
        let registry = Registry::default();
        let seat = registry.enter(stream, peer);
        seat.waits(Waiting::Idle, None);
        assert!(registry.make_room());
        seat.works(); // a request was read all the same
        assert_eq!(Presence::of(&*seat), Presence::Quiet);
        assert_eq!(seat.presence(), Presence::Here);
        drop(client);
        seat.stream().write_all(b"answer").unwrap();
        assert!((0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(1));
            seat.presence() == Presence::Gone
        }));
    }
}
