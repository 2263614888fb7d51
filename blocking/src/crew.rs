//! The threads that serve, and the doorman who makes room when all of them are taken.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::handler::Handler;
use crate::serve;
use crate::wire::Wire;
use doorstep_driver::config::Config;
use doorstep_driver::connections::Room;
use doorstep_driver::episode::Episode;
use doorstep_driver::exchange::is_departure;
use doorstep_driver::os;
use doorstep_driver::shutdown_handle::Stopper;

/// [`Config::max_connections`] unless it says otherwise.
pub(crate) const MAX_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(1024).expect("it is not 0");
/// Free threads that are kept for the next connections; more than these go home. Fewer where
/// descriptors are scarce: Linux reserves one for whoever waits in accept.
const SPARE: usize = 32;
/// How long to hold back when the system has no descriptors or threads left.
const PAUSE: Duration = Duration::from_millis(100);
/// What is opened to wait for two connections and to read a file on each.
const DESCRIPTORS: usize = 4;
/// How long an evicted connection has to end before another one is evicted in its stead.
const LEAVING: Duration = Duration::from_secs(1);
/// How often the doorman looks up to see whether the server stops.
const GLANCE: Duration = Duration::from_millis(250);

/// Everything the threads share.
pub(crate) struct Crew<H> {
    handler: H,
    config: Config,
    stopper: Stopper,
    spare: usize,
    hands: Mutex<Hands>,
    changed: Condvar,
    /// There was no thread for one more connection; or no descriptor.
    no_thread: Episode,
    no_descriptor: Episode,
}

/// How many threads there are.
#[derive(Default)]
struct Hands {
    all: usize,
    /// Waiting for a connection, or about to.
    free: usize,
    /// The system refused to make another one.
    short: bool,
    /// Connections that were accepted, ever.
    taken: u64,
    /// The doorman waits for one more to be.
    watched: bool,
}

impl<H: Handler> Crew<H> {
    pub(crate) fn new(handler: H, config: Config, stopper: Stopper) -> Arc<Self> {
        Arc::new(Self {
            handler,
            config,
            stopper,
            spare: SPARE.min(os::descriptors() / 8).max(1),
            hands: Mutex::default(),
            changed: Condvar::new(),
            no_thread: Episode::default(),
            no_descriptor: Episode::default(),
        })
    }

    /// Starts the first thread and stays at the door until the server stops.
    pub(crate) fn work(self: &Arc<Self>) -> io::Result<()> {
        os::can_open(DESCRIPTORS)?;
        self.hire()?;
        self.handler.started();
        while !self.stopper.is_stopping() {
            let hands = self.hands();
            if !self.is_full(&hands) {
                // Somebody is accepting, and will say when that ends.
                drop(self.changed.wait(hands).unwrap_or_else(PoisonError::into_inner));
            } else {
                let before = hands.taken;
                drop(hands);
                if self.stopper.acceptor.wait_readable(GLANCE)? && self.hands().free == 0 {
                    if self.wants_more() && self.hire().is_ok() {
                        continue; // the system has threads again
                    }
                    let most = self.evict();
                    self.wait_until_taken(before, most);
                }
            }
        }
        Ok(())
    }

    /// After a stop: waits until no thread is left, until that time of the shutdown at most; whether that
    /// is so. Who was in the backlog is served meanwhile: idle connections make room.
    pub(crate) fn wait_ended(&self, until: Duration) -> bool {
        loop {
            // Whether all threads are taken may change at any moment, until none of these is left.
            let some_wait = self.stopper.acceptor.waiting() > 0;
            if some_wait && self.is_full(&self.hands()) {
                self.evict();
            }
            let left = until.saturating_sub(self.stopper.registry.shutdown_time());
            let some = |hands: &mut Hands| hands.all > 0;
            let waited = self.changed.wait_timeout_while(self.hands(), left.min(os::STEP), some);
            let over = waited.unwrap_or_else(PoisonError::into_inner).0.all == 0;
            if over || left.is_zero() {
                return over;
            }
        }
    }

    pub(crate) fn handler(&self) -> &H {
        &self.handler
    }

    /// Whether nobody is accepting, nor will be.
    fn is_full(&self, hands: &Hands) -> bool {
        hands.free == 0 && (hands.all >= self.most() || hands.short)
    }

    /// Whether it is only the system that has no more threads.
    fn wants_more(&self) -> bool {
        let hands = self.hands();
        hands.short && hands.all < self.most()
    }

    fn most(&self) -> usize {
        self.config.max_connections.unwrap_or(MAX_CONNECTIONS).get()
    }

    /// Evicts somebody if that can be done now; how long that may take, or when to try again.
    fn evict(&self) -> Duration {
        match self.stopper.registry.make_room(&self.config, self.most()) {
            Room::Made => LEAVING,
            Room::None(most) => most,
        }
    }

    /// One more thread.
    fn hire(self: &Arc<Self>) -> io::Result<()> {
        {
            let mut hands = self.hands();
            hands.all += 1;
            hands.free += 1; // at once: the doorman must not take it for busy
            hands.short = false; // not later: the new thread may have found another lack by then
        }
        let crew = self.clone();
        let hired = thread::Builder::new().name("doorstep".into()).spawn(move || crew.serve());
        if hired.is_err() {
            let mut hands = self.hands();
            hands.short = true;
            hands.all -= 1;
            hands.free -= 1;
            self.changed.notify_all();
        }
        hired.map(drop)
    }

    /// A thread's life: connection after connection.
    fn serve(self: Arc<Self>) {
        let mut outbox = self.config.outbox();
        while let Some((stream, peer)) = self.next() {
            let registry = &self.stopper.registry;
            let seat = registry.enter(stream, peer);
            let wire = Wire::new(seat.clone(), registry, &self.config);
            let served = serve::connection(&self.handler, &self.config, &wire, &mut outbox, false);
            registry.leave(seat);
            if let Err(error) = served {
                let word =
                    if is_departure(&error) { "connection lost" } else { "connection broke" };
                self.handler.note(peer.ip(), &format!("{word}: {error}"));
            }
            outbox.clear();
            outbox.shrink_to(2 * doorstep_driver::config::GATHER);
            if !self.stays() {
                return;
            }
        }
    }

    /// Whether a thread that has served is kept for the next connection.
    fn stays(&self) -> bool {
        let mut hands = self.hands();
        let stays = hands.free < self.spare;
        if stays {
            hands.free += 1;
        } else {
            hands.all -= 1;
        }
        stays
    }

    /// The next connection; `None` when the thread is to go home.
    fn next(self: &Arc<Self>) -> Option<(TcpStream, SocketAddr)> {
        loop {
            match self.stopper.acceptor.accept() {
                Ok(Some(connection)) => {
                    let wanted = {
                        let mut hands = self.hands();
                        hands.free -= 1;
                        hands.taken += 1;
                        if hands.watched || self.is_full(&hands) {
                            self.changed.notify_all(); // a system call, also when nobody listens
                        }
                        hands.free == 0 && hands.all < self.most()
                    };
                    if wanted
                        && let Err(error) = self.hire()
                        && self.no_thread.begins()
                    {
                        let note = format!("no thread for more connections: {error}");
                        self.handler.note(connection.1.ip(), &note);
                    }
                    return Some(connection);
                }
                Ok(None) => {
                    let mut hands = self.hands();
                    hands.free -= 1;
                    hands.all -= 1;
                    self.changed.notify_all();
                    return None;
                }
                // Out of descriptors or memory: hold back, and let somebody idle go.
                Err(error) => {
                    if self.no_descriptor.begins() {
                        let here = self.stopper.acceptor.addresses()[0].ip();
                        self.handler.note(here, &format!("cannot accept connections: {error}"));
                    }
                    self.evict();
                    thread::sleep(PAUSE);
                }
            }
        }
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until somebody took a newcomer in, however soon that was; for `most` at most.
    fn wait_until_taken(&self, before: u64, most: Duration) {
        let mut hands = self.hands();
        hands.watched = true;
        let wait = |hands: &mut Hands| hands.taken == before;
        let waited = self.changed.wait_timeout_while(hands, most, wait);
        waited.unwrap_or_else(PoisonError::into_inner).0.watched = false;
    }
}
