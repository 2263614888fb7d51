//! The threads that serve, and the doorman who makes room when all of them are taken.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::handler::Handler;
use crate::serve;
use crate::socket::Socket;
use doorstep_driver::config::Config;
use doorstep_driver::connections::Eviction;
use doorstep_driver::exchange::is_disconnect;
use doorstep_driver::log_throttle::LogThrottle;
use doorstep_driver::os;
use doorstep_driver::shutdown_handle::ShutdownHandle;

/// [`Config::max_connections`] unless it says otherwise.
pub(crate) const MAX_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(1024).expect("it is not 0");
/// Free threads that are kept for the next connections; more than these go home. Fewer where
/// descriptors are scarce: Linux reserves one for whoever waits in accept.
const MAX_IDLE_THREADS: usize = 32;
/// How long to hold back when the system has no descriptors or threads left.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// What is opened to wait for two connections and to read a file on each.
const MIN_DESCRIPTORS: usize = 4;
/// How long an evicted connection has to end before another one is evicted in its stead.
const EVICTION_TIME: Duration = Duration::from_secs(1);
/// How often the doorman looks up to see whether the server stops.
const STOP_POLL: Duration = Duration::from_millis(250);

/// Everything the threads share.
pub(crate) struct ThreadPool<H> {
    handler: H,
    config: Config,
    shutdown: ShutdownHandle,
    max_idle: usize,
    state: Mutex<PoolState>,
    changed: Condvar,
    /// There was no thread for one more connection; or no descriptor.
    no_thread: LogThrottle,
    no_descriptor: LogThrottle,
}

/// How many threads there are.
#[derive(Default)]
struct PoolState {
    threads: usize,
    /// Waiting for a connection, or about to.
    idle: usize,
    /// The system refused to make another one.
    spawn_failed: bool,
    /// Connections that were accepted, ever.
    accepted: u64,
    /// The doorman waits for one more to be.
    acceptor_waits: bool,
}

impl<H: Handler> ThreadPool<H> {
    pub(crate) fn new(handler: H, config: Config, shutdown: ShutdownHandle) -> Arc<Self> {
        Arc::new(Self {
            handler,
            config,
            shutdown,
            max_idle: MAX_IDLE_THREADS.min(os::descriptors() / 8).max(1),
            state: Mutex::default(),
            changed: Condvar::new(),
            no_thread: LogThrottle::default(),
            no_descriptor: LogThrottle::default(),
        })
    }

    /// Starts the first thread and stays at the door until the server stops.
    pub(crate) fn run(self: &Arc<Self>) -> io::Result<()> {
        os::can_open(MIN_DESCRIPTORS)?;
        self.spawn_worker()?;
        self.handler.on_start();
        while !self.shutdown.is_stopping() {
            let state = self.state();
            if !self.is_full(&state) {
                // Somebody is accepting, and will say when that ends.
                drop(self.changed.wait(state).unwrap_or_else(PoisonError::into_inner));
            } else {
                let before = state.accepted;
                drop(state);
                if self.shutdown.acceptor.wait_readable(STOP_POLL)? && self.state().idle == 0 {
                    if self.needs_thread() && self.spawn_worker().is_ok() {
                        continue; // the system has threads again
                    }
                    let most = self.evict();
                    self.wait_accepted(before, most);
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
            let some_wait = self.shutdown.acceptor.waiting() > 0;
            if some_wait && self.is_full(&self.state()) {
                self.evict();
            }
            let left = until.saturating_sub(self.shutdown.connections.shutdown_elapsed());
            let some = |state: &mut PoolState| state.threads > 0;
            let waited = self.changed.wait_timeout_while(self.state(), left.min(os::STEP), some);
            let over = waited.unwrap_or_else(PoisonError::into_inner).0.threads == 0;
            if over || left.is_zero() {
                return over;
            }
        }
    }

    pub(crate) fn handler(&self) -> &H {
        &self.handler
    }

    /// Whether nobody is accepting, nor will be.
    fn is_full(&self, state: &PoolState) -> bool {
        state.idle == 0 && (state.threads >= self.max_connections() || state.spawn_failed)
    }

    /// Whether it is only the system that has no more threads.
    fn needs_thread(&self) -> bool {
        let state = self.state();
        state.spawn_failed && state.threads < self.max_connections()
    }

    fn max_connections(&self) -> usize {
        self.config.max_connections.unwrap_or(MAX_CONNECTIONS).get()
    }

    /// Evicts somebody if that can be done now; how long that may take, or when to try again.
    fn evict(&self) -> Duration {
        match self.shutdown.connections.evict_for_connection(&self.config, self.max_connections()) {
            Eviction::Started => EVICTION_TIME,
            Eviction::RetryAfter(most) => most,
        }
    }

    /// One more thread.
    fn spawn_worker(self: &Arc<Self>) -> io::Result<()> {
        {
            let mut state = self.state();
            state.threads += 1;
            state.idle += 1; // at once: the doorman must not take it for busy
            state.spawn_failed = false; // not later: the new thread may have found another lack by then
        }
        let pool = self.clone();
        let hired = thread::Builder::new().name("doorstep".into()).spawn(move || pool.run_worker());
        if hired.is_err() {
            let mut state = self.state();
            state.spawn_failed = true;
            state.threads -= 1;
            state.idle -= 1;
            self.changed.notify_all();
        }
        hired.map(drop)
    }

    /// A thread's life: connection after connection.
    fn run_worker(self: Arc<Self>) {
        let mut outbox = self.config.outbox();
        while let Some((stream, peer)) = self.accept() {
            let connections = &self.shutdown.connections;
            let connection = connections.register(stream, peer);
            let socket = Socket::new(connection.clone(), connections, &self.config);
            let served =
                serve::connection(&self.handler, &self.config, &socket, &mut outbox, false);
            connections.unregister(connection);
            if let Err(error) = served {
                let word =
                    if is_disconnect(&error) { "connection lost" } else { "connection broke" };
                self.handler.on_error(peer.ip(), &format!("{word}: {error}"));
            }
            outbox.clear();
            outbox.shrink(2 * doorstep_driver::config::FLUSH_THRESHOLD);
            if !self.keep_worker() {
                return;
            }
        }
    }

    /// Whether a thread that has served is kept for the next connection.
    fn keep_worker(&self) -> bool {
        let mut state = self.state();
        let stays = state.idle < self.max_idle;
        if stays {
            state.idle += 1;
        } else {
            state.threads -= 1;
        }
        stays
    }

    /// The next connection; `None` when the thread is to go home.
    fn accept(self: &Arc<Self>) -> Option<(TcpStream, SocketAddr)> {
        loop {
            match self.shutdown.acceptor.accept() {
                Ok(Some(connection)) => {
                    let wanted = {
                        let mut state = self.state();
                        state.idle -= 1;
                        state.accepted += 1;
                        if state.acceptor_waits || self.is_full(&state) {
                            self.changed.notify_all(); // a system call, also when nobody listens
                        }
                        state.idle == 0 && state.threads < self.max_connections()
                    };
                    if wanted
                        && let Err(error) = self.spawn_worker()
                        && self.no_thread.should_log()
                    {
                        let note = format!("no thread for more connections: {error}");
                        self.handler.on_error(connection.1.ip(), &note);
                    }
                    return Some(connection);
                }
                Ok(None) => {
                    let mut state = self.state();
                    state.idle -= 1;
                    state.threads -= 1;
                    self.changed.notify_all();
                    return None;
                }
                // Out of descriptors or memory: hold back, and let somebody idle go.
                Err(error) => {
                    if self.no_descriptor.should_log() {
                        let here = self.shutdown.acceptor.addresses()[0].ip();
                        self.handler.on_error(here, &format!("cannot accept connections: {error}"));
                    }
                    self.evict();
                    thread::sleep(ACCEPT_BACKOFF);
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until somebody took a newcomer in, however soon that was; for `most` at most.
    fn wait_accepted(&self, before: u64, most: Duration) {
        let mut state = self.state();
        state.acceptor_waits = true;
        let wait = |state: &mut PoolState| state.accepted == before;
        let waited = self.changed.wait_timeout_while(state, most, wait);
        waited.unwrap_or_else(PoisonError::into_inner).0.acceptor_waits = false;
    }
}
