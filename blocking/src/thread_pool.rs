//! The thread pool: the worker threads that serve connections.
//!
//! Each thread accepts a connection, serves it until it ends, and accepts the next one. One more
//! thread is started when the last idle one has accepted a connection, up to
//! [`Config::max_connections`]. When all of them serve, the thread that called [`ThreadPool::run`]
//! watches the listeners, and evicts a connection for each new one.

use std::io;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use doorstep_driver::admission::Admission;
use doorstep_driver::exchange::log_connection_error;
use doorstep_driver::net::Stream;
use doorstep_driver::{BufferPool, Config, GracefulShutdown, ShutdownHandle, notify_observer, os};

use crate::handler::Handler;
use crate::serve;
use crate::socket::Socket;

/// The default of [`Config::max_connections`].
pub(crate) const DEFAULT_MAX_CONNECTIONS: NonZeroUsize =
    NonZeroUsize::new(1024).expect("it is not 0");
/// How many descriptors are needed to wait for two connections and to read a file on each.
const MIN_DESCRIPTORS: usize = 4;
/// The number of pools of buffers: a request takes a lock that few other threads take.
const BUFFER_POOLS: usize = 8;
/// How often the thread that watches the listeners checks whether the server stops.
const STOP_POLL: Duration = Duration::from_millis(250);

/// What all threads share.
pub(crate) struct ThreadPool<H> {
    handler: H,
    config: Config,
    shutdown: ShutdownHandle,
    admission: Admission,
    /// Threads take turns in choosing one when they start.
    buffers: [AlignedPool; BUFFER_POOLS],
    threads_started: AtomicUsize,
    /// The number of idle threads that are kept. Linux reserves a descriptor for each that waits in
    /// accept, so there are fewer where descriptors are scarce.
    max_idle: usize,
    /// Locked until the start was reported: no thread accepts before that.
    starting: Mutex<()>,
    state: Mutex<PoolState>,
    changed: Condvar,
}

/// A pool on cache lines of its own.
#[repr(align(128))]
struct AlignedPool(BufferPool);

#[derive(Default)]
struct PoolState {
    threads: usize,
    /// Threads that wait for a connection, or are about to.
    idle: usize,
    /// The system has refused another thread.
    spawn_failed: bool,
    /// The number of connections accepted so far.
    accepted: u64,
    /// [`ThreadPool::run`] waits until the next one is accepted.
    watcher_waits: bool,
}

impl<H: Handler> ThreadPool<H> {
    pub(crate) fn new(handler: H, config: Config, shutdown: ShutdownHandle) -> Arc<Self> {
        Arc::new(Self {
            admission: Admission::new(&shutdown, &config, DEFAULT_MAX_CONNECTIONS),
            buffers: std::array::from_fn(|_| AlignedPool(BufferPool::one_of(BUFFER_POOLS))),
            threads_started: AtomicUsize::new(0),
            max_idle: config.max_idle_threads.min(os::descriptor_limit() / 8).max(1),
            handler,
            config,
            shutdown,
            starting: Mutex::default(),
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// Starts the first thread, and watches the listeners until the server stops.
    pub(crate) fn run(self: &Arc<Self>) -> io::Result<()> {
        os::can_open_descriptors(MIN_DESCRIPTORS)?;
        let starting = self.starting.lock();
        self.spawn_worker()?;
        let observer = self.handler.observer();
        notify_observer(|| observer.on_start());
        drop(starting);
        loop {
            let state = self.state();
            // With the lock: the last thread that ends because of the stop notifies with it, too.
            if self.shutdown.is_stopping() {
                return Ok(());
            }
            if !self.cannot_accept(&state) {
                // A thread is accepting, and notifies when that ends.
                drop(self.changed.wait(state).unwrap_or_else(PoisonError::into_inner));
                continue;
            }
            let accepted = state.accepted;
            drop(state);
            if self.shutdown.acceptor.wait_readable(STOP_POLL)? && self.state().idle == 0 {
                if self.needs_thread() && self.spawn_worker().is_ok() {
                    continue; // the system has threads again
                }
                let timeout = self.admission.evict();
                self.wait_accepted(accepted, timeout);
            }
        }
    }

    /// Ends all connections and processes, once the server stops.
    pub(crate) fn shut_down(&self) {
        let observer = self.handler.observer();
        let mut shutdown = GracefulShutdown::new(&self.shutdown, &self.config);
        let mut all_closed = false;
        while let Some(until) = shutdown.step(observer, all_closed) {
            all_closed = self.wait_closed(until);
        }
        let mut idle = false;
        while let Some(timeout) = shutdown.step_processes(observer, idle) {
            idle = notify_observer(|| observer.processes())
                .is_none_or(|processes| processes.wait_idle(timeout));
        }
        shutdown.finish(observer);
    }

    /// Waits until no thread is left, at most until that time of the shutdown. Returns whether none
    /// is left. Connections in the backlog are served meanwhile: idle ones are evicted for them.
    fn wait_closed(&self, until: Duration) -> bool {
        loop {
            // A connection of the backlog may take the last thread at any moment.
            if self.shutdown.acceptor.backlog_len() > 0 && self.cannot_accept(&self.state()) {
                let _ = self.admission.evict();
            }
            let left = self.shutdown.next_wait(until);
            let serves = |state: &mut PoolState| state.threads > 0;
            let timeout = left.unwrap_or(Duration::ZERO);
            let waited = self.changed.wait_timeout_while(self.state(), timeout, serves);
            let all_closed = waited.unwrap_or_else(PoisonError::into_inner).0.threads == 0;
            if all_closed || left.is_none() {
                return all_closed;
            }
        }
    }

    /// Whether no thread accepts, and none will until one has ended its connection.
    fn cannot_accept(&self, state: &PoolState) -> bool {
        state.idle == 0 && (state.threads >= self.admission.max_connections() || state.spawn_failed)
    }

    /// Whether there are too few threads only because the system has refused one.
    fn needs_thread(&self) -> bool {
        let state = self.state();
        state.spawn_failed && state.threads < self.admission.max_connections()
    }

    fn spawn_worker(self: &Arc<Self>) -> io::Result<()> {
        {
            let mut state = self.state();
            state.threads += 1;
            state.idle += 1; // now, so that it is not taken for a busy one
            state.spawn_failed = false; // not later: the new thread may have set it again by then
        }
        let pool = self.clone();
        let spawned =
            thread::Builder::new().name("doorstep".into()).spawn(move || pool.run_worker());
        if spawned.is_err() {
            let mut state = self.state();
            state.spawn_failed = true;
            state.threads -= 1;
            state.idle -= 1;
            self.changed.notify_all();
        }
        spawned.map(drop)
    }

    /// A thread: connection after connection.
    fn run_worker(self: Arc<Self>) {
        drop(self.starting.lock());
        let started = self.threads_started.fetch_add(1, Ordering::Relaxed);
        let AlignedPool(buffers) = &self.buffers[started % BUFFER_POOLS];
        while let Some(stream) = self.accept() {
            // `Handler::observer` may panic: that costs the connection, not the thread's place.
            let _ = catch_unwind(AssertUnwindSafe(|| self.serve(stream, buffers)));
            if !self.keep_worker() {
                return;
            }
        }
    }

    /// Serves a connection until it ends.
    fn serve(&self, stream: Stream, buffers: &BufferPool) {
        let registration = self.shutdown.connections.register_stream(stream);
        let socket = Socket::new(registration, &self.config);
        let (handler, config) = (&self.handler, &self.config);
        let served = serve::connection(handler, config, &socket, buffers, false);
        if let Err(error) = served {
            log_connection_error(self.handler.observer(), socket.connection(), &error);
        }
    }

    /// Whether a thread that has served is kept for the next connection.
    fn keep_worker(&self) -> bool {
        let mut state = self.state();
        let keep = state.idle < self.max_idle;
        if keep {
            state.idle += 1;
        } else {
            state.threads -= 1;
        }
        keep
    }

    /// The next connection; `None` if the thread is to end.
    #[inline(never)] // what it needs on the stack is not needed below a connection
    fn accept(self: &Arc<Self>) -> Option<Stream> {
        loop {
            match self.shutdown.acceptor.accept() {
                Ok(Some(stream)) => {
                    let is_last = {
                        let mut state = self.state();
                        state.idle -= 1;
                        state.accepted += 1;
                        if state.watcher_waits || self.cannot_accept(&state) {
                            self.changed.notify_all(); // a system call, even if nothing waits
                        }
                        state.idle == 0 && state.threads < self.admission.max_connections()
                    };
                    if is_last && let Err(error) = self.spawn_worker() {
                        let peer = stream.peer_addr().ip();
                        self.admission.spawn_failed(self.handler.observer(), peer, &error);
                    }
                    return Some(stream);
                }
                Ok(None) => {
                    let mut state = self.state();
                    state.idle -= 1;
                    state.threads -= 1;
                    self.changed.notify_all();
                    return None;
                }
                Err(error) => {
                    let observer = self.handler.observer();
                    thread::sleep(self.admission.accept_failed(observer, &error));
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a connection is accepted, which may have happened already.
    fn wait_accepted(&self, before: u64, timeout: Duration) {
        let mut state = self.state();
        state.watcher_waits = true;
        let wait = |state: &mut PoolState| state.accepted == before;
        let waited = self.changed.wait_timeout_while(state, timeout, wait);
        waited.unwrap_or_else(PoisonError::into_inner).0.watcher_waits = false;
    }
}
