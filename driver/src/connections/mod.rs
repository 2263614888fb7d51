//! Who is being served: so that a connection that waits too long can be woken, one can be evicted when
//! the server is full, and a shutdown can reach everybody. Shared by both drivers.
//!
//! A connection says what it waits for. How long it has done so is counted by the sweep (`sweep.rs`),
//! for all of them; no socket and no request has a timer. Who is evicted is decided in `eviction.rs`.
//!
//! Asking a connection to leave closes the reading half of its socket only: whoever waits on it wakes
//! up and finds the end of input, but a request that arrived in the same moment is still read and
//! answered.
//!
//! A shutdown has steps: after [`Registry::begin_shutdown`] every connection closes with its next
//! response, after [`Registry::close_idle`] those close that have nothing to respond to, and
//! [`Registry::cut`] ends who is left.

mod deadlines;
mod eviction;
mod wait;

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use doorstep_core::http1::WaitingFor;
use event_listener::{Event, EventListener};

use self::deadlines::{Slot, Steps};
use self::eviction::Candidates;
pub use self::eviction::Room;
use self::wait::Wait;
use crate::net::{self, Presence};
use crate::os::{self, Stopwatch};

/// How long a request waits until a connection that was asked to leave has given its descriptor back.
pub const ROOM: Duration = Duration::from_millis(100);

/// Everybody who is being served.
#[derive(Debug, Default)]
pub struct Registry {
    table: Mutex<Table>,
    /// Somebody has come.
    arrivals: Event,
    /// Somebody has left.
    left: Event,
    /// How long the server has been stopping.
    shutdown: Mutex<Stopwatch>,
    /// What new seats begin with, for the server stops.
    flags: Flags,
    /// How many connections were cut.
    cut: OnceLock<usize>,
}

/// All connections, and what is known of them together.
#[derive(Debug, Default)]
struct Table {
    slots: Vec<Slot>,
    steps: Steps,
    candidates: Candidates,
}

/// One connection's place; small, since every idle connection has one.
#[derive(Debug)]
pub struct Seat {
    stream: TcpStream,
    peer: (IpAddr, u16),
    /// Where in the registry it is.
    at: AtomicU32,
    /// What is waited for; only whoever serves it says so.
    wait: Wait,
    /// For how long, in milliseconds; only the sweep counts it.
    waited: AtomicU32,
    /// Bytes of a body that came, or of a response that went, since the sweep last looked.
    moved: AtomicU32,
    flags: Flags,
}

/// In one byte, for there are many.
#[derive(Debug, Default)]
struct Flags(AtomicU8);

#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Flag {
    /// It has not finished a response yet.
    Fresh = 1,
    /// Its next response is to be its last.
    Last = 2,
    /// It was woken since its deadline had passed, or to be evicted.
    Late = 4,
    /// It was asked to leave.
    Leave = 8,
    /// The reading half was closed from here.
    Deaf = 16,
    /// Its end is a reset.
    Resets = 32,
    /// It was slow while the server was full.
    Evicted = 64,
}

const _: () = assert!(size_of::<Seat>() <= 40, "an idle connection costs hardly more than this");

impl Registry {
    /// Takes a seat; it is given back by [`Registry::leave`].
    pub fn enter(&self, stream: TcpStream, peer: SocketAddr) -> Arc<Seat> {
        let mut table = self.table();
        let seat = Arc::new(Seat {
            stream,
            peer: (peer.ip(), peer.port()),
            at: AtomicU32::new(table.slots.len() as u32),
            wait: Wait::default(),
            waited: AtomicU32::new(0),
            moved: AtomicU32::new(0),
            flags: Flags(AtomicU8::new(Flag::Fresh as u8 | self.flags.0.load(Ordering::SeqCst))),
        });
        table.slots.push(Slot::new(seat.clone()));
        drop(table);
        self.arrivals.notify(usize::MAX); // nearly free when nobody listens
        seat
    }

    /// Gives a seat back. Its socket is closed before anybody hears of it, if nobody else has it.
    pub fn leave(&self, seat: Arc<Seat>) {
        let mut table = self.table();
        let at = seat.at.load(Ordering::Relaxed) as usize; // moved under the lock only
        table.slots.swap_remove(at);
        if let Some(moved) = table.slots.get(at) {
            moved.seat.at.store(at as u32, Ordering::Relaxed);
        }
        drop(table);
        drop(seat);
        self.left.notify(usize::MAX);
    }

    /// Wakes up when the next one has left. Listen first, then look: else a moment is missed.
    #[must_use]
    pub fn listen(&self) -> EventListener {
        self.left.listen()
    }

    /// Wakes up when the next one has come. Listen first, then look: else a moment is missed.
    #[must_use]
    pub fn arrival(&self) -> EventListener {
        self.arrivals.listen()
    }

    /// Wakes whoever waits for [`Registry::arrival`], though nobody has come.
    pub fn wake_sweeper(&self) {
        self.arrivals.notify(usize::MAX);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table().slots.len()
    }

    /// Whether nobody is served.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Has every connection close with its next response. A client that was promised to be kept has
    /// its chance to send one more request; so has one that has sent none yet.
    pub fn begin_shutdown(&self) {
        self.shutdown_time();
        let table = self.table(); // held while the flag is set: nobody slips through
        self.flags.set(Flag::Last, true);
        for slot in &table.slots {
            slot.seat.flags.set(Flag::Last, true);
        }
    }

    /// How long the server has been stopping: it begins now, unless it did before. To be called every
    /// [`os::STEP`] until it is over.
    pub fn shutdown_time(&self) -> Duration {
        let mut time = self.shutdown.lock().unwrap_or_else(PoisonError::into_inner);
        time.count(Instant::now(), os::STEP)
    }

    /// Closes connections that wait for a request, now and from now on.
    pub fn close_idle(&self) {
        let table = self.table();
        self.flags.set(Flag::Leave, true);
        for slot in &table.slots {
            slot.seat.ask_to_leave();
        }
    }

    /// Cuts off who is left.
    pub fn cut(&self) {
        let table = self.table();
        let has_response = |slot: &&Slot| slot.seat.wait.is(WaitingFor::Linger);
        let unfinished = || table.slots.iter().filter(|slot| !has_response(slot)).count();
        self.cut.get_or_init(unfinished);
        for Slot { seat, .. } in &table.slots {
            let resets = seat.flags.has(Flag::Resets);
            if !resets || net::reset(&seat.stream).is_err() {
                let _ = seat.stream.shutdown(Shutdown::Both);
            }
        }
    }

    /// How many connections [`Registry::cut`] found whose last response was not sent, when it was
    /// first called.
    #[must_use]
    pub fn cut_off(&self) -> usize {
        self.cut.get().copied().unwrap_or(0)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Is about to wait. One that is idle and must leave will find what has come already, and then the
    /// end of input.
    pub fn waits(&self, waiting: WaitingFor) {
        self.wait.begin(waiting);
        // Looked at after the store: `ask_to_leave` does it the other way round.
        if waiting == WaitingFor::Request && self.must_leave() {
            self.stop_hearing();
        }
    }

    /// Has something to do again.
    pub fn works(&self) {
        self.wait.pause();
    }

    /// `n` bytes of what is waited for were received or sent.
    pub fn moved(&self, n: usize) {
        self.moved.fetch_add(u32::try_from(n).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// An exchange ended: waiting for the next one begins anew.
    pub fn rest(&self) {
        self.wait.end();
        if self.flags.has(Flag::Fresh) {
            self.flags.set(Flag::Fresh, false);
        }
    }

    /// From now on the connection's end is a reset, however it comes, or a plain one again. For
    /// answers that look whole when it is plain. Said by whoever serves it, and nobody else.
    pub fn resets(&self, yes: bool) {
        if self.flags.has(Flag::Resets) != yes {
            self.flags.set(Flag::Resets, yes);
            let _ = net::close_by_reset(self, yes);
        }
    }

    /// All is sent that will be, while somebody works on: the client hears the end now, and that its
    /// answer was `cut` if so.
    pub fn finish(&self, cut: bool) {
        self.resets(cut);
        let _ = if cut { net::reset(self) } else { net::finish(self) };
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

    fn must_leave(&self) -> bool {
        self.flags.has(Flag::Leave)
    }

    /// Whether its next response is to be its last: the server stops, or others are to get their turn.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.flags.has(Flag::Last) || self.must_leave()
    }

    /// Whether it was woken because its deadline had passed, or to be evicted.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.flags.has(Flag::Late)
    }

    /// Whether it was ended to make room.
    #[must_use]
    pub fn is_evicted(&self) -> bool {
        self.flags.has(Flag::Evicted)
    }

    /// What reading or sending comes to on one that [`Seat::is_late`].
    #[must_use]
    pub fn too_late(&self) -> io::Error {
        match self.is_evicted() {
            true => io::Error::new(ErrorKind::TimedOut, "too slow while the server was full"),
            false => ErrorKind::TimedOut.into(),
        }
    }

    /// For how long it has waited, as far as the sweep has counted.
    fn waited(&self) -> Duration {
        Duration::from_millis(self.waited.load(Ordering::Relaxed).into())
    }

    fn ask_to_leave(&self) {
        self.flags.set(Flag::Leave, true);
        if self.wait.is(WaitingFor::Request) {
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
        seat.waits(WaitingFor::Request);
        registry.close_idle();
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
