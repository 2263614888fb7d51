//! One executor's share of a server: its connections.

use std::future::poll_fn;
use std::io;
use std::num::NonZeroUsize;
use std::task::{Context, Poll};
use std::time::Duration;

use async_io::Timer;
use doorstep_driver::admission::Admission;
use doorstep_driver::connections::{Connections, Registration};
use doorstep_driver::exchange::log_connection_error;
use doorstep_driver::{Buffers, Config, GracefulShutdown, ShutdownHandle, os};
use smol::Executor;
use smol::future;

use crate::balance::Balance;
use crate::blocking_pool::BlockingPool;
use crate::eager_read::EagerRead;
use crate::handler::Handler;
use crate::poller::{Poller, Source};
use crate::reactor;
use crate::reusable_future::{FuturePool, ServeResult};
use crate::serve::{self, ServeOutcome};
use crate::socket::{Shared, Socket};

/// The default of [`Config::max_connections`].
pub(crate) const DEFAULT_MAX_CONNECTIONS: NonZeroUsize =
    NonZeroUsize::new(10_000).expect("it is not 0");

/// Descriptors that are needed to serve one connection and to read one file.
const MIN_DESCRIPTORS: usize = 4;

/// How many connections are accepted at most before those that are open have their turn.
const ACCEPT_BATCH: usize = 32;

/// What all workers of a server share.
pub(crate) struct Resources<'s> {
    pool: BlockingPool,
    admission: Admission,
    balance: Balance<'s>,
    /// One for each worker.
    pub(crate) pollers: Vec<Poller>,
}

impl<'s> Resources<'s> {
    /// Takes, or probes for, what serving needs, and checks the configuration, before the server reports that it has started.
    pub(crate) fn new(
        config: &Config,
        shutdown: &'s ShutdownHandle,
        workers: usize,
    ) -> io::Result<Self> {
        config.check()?;
        reactor::start()?;
        let pollers: Vec<_> = (0..workers).map(|_| Poller::new()).collect::<Result<_, _>>()?;
        os::can_open_descriptors(MIN_DESCRIPTORS + workers)?; // each waits by one more
        Ok(Self {
            pollers,
            pool: BlockingPool::start(config)?,
            admission: Admission::new(shutdown, config, DEFAULT_MAX_CONNECTIONS),
            balance: Balance::new(workers),
        })
    }
}

/// A server at work on one executor.
pub(crate) struct Worker<'h, 's, H> {
    handler: &'h H,
    config: &'h Config,
    shutdown: &'s ShutdownHandle,
    admission: &'h Admission,
    balance: &'h Balance<'s>,
    /// Which of the workers it is.
    index: usize,
    poller: &'h Poller,
    shared: Shared<'h>,
    /// Whether it pays to read before polling, on new connections and after a response.
    first_reads: EagerRead,
    next_reads: EagerRead,
}

impl<'h, 's, H: Handler> Worker<'h, 's, H> {
    pub(crate) fn new(
        handler: &'h H,
        config: &'h Config,
        shutdown: &'s ShutdownHandle,
        resources: &'h Resources<'s>,
        index: usize,
    ) -> Self {
        let poller = &resources.pollers[index];
        Self {
            handler,
            config,
            shutdown,
            admission: &resources.admission,
            balance: &resources.balance,
            index,
            poller,
            shared: Shared { config, pool: &resources.pool, poller: Some(poller) },
            first_reads: EagerRead::default(),
            next_reads: EagerRead::default(),
        }
    }

    /// Accepts until the server stops, then waits until its connections are closed.
    pub(crate) async fn run<'t, 'w: 't>(
        &'w self,
        futures: &'t FuturePool<'w>,
        executor: &Executor<'t>,
    ) -> io::Result<()> {
        executor.spawn(self.sweep()).detach();
        let spawn = |connection| {
            executor.spawn(self.serve_connection(futures, connection, false)).detach();
        };
        executor.spawn(self.report_heartbeats()).detach();
        future::or(self.accept(&spawn), self.serve_assigned(&spawn)).await
    }

    async fn accept<'w>(&'w self, spawn: &impl Fn(Registration<'w>)) -> io::Result<()> {
        let sources = self.sources()?;
        let mut accepted = 0_usize;
        while !self.shutdown.is_stopping() {
            if self.admission.is_full() {
                if self.wait_for_backlog(&sources).await? {
                    self.wait_for_eviction().await;
                }
                continue;
            }
            match self.shutdown.acceptor.try_accept() {
                Ok(Some(stream)) => {
                    let connection = self.shutdown.connections.register_stream(stream);
                    if let Some(connection) = self.balance.assign(connection, self.index) {
                        spawn(connection);
                    }
                    accepted += 1;
                    if accepted.is_multiple_of(ACCEPT_BATCH) {
                        future::yield_now().await;
                    }
                }
                Ok(None) => {
                    sources.iter().for_each(|source| source.drained(true));
                    poll_fn(|cx| poll_any(&sources, cx)).await?;
                }
                Err(error) => {
                    let backoff = self.admission.accept_failed(self.handler.observer(), &error);
                    Timer::after(backoff).await;
                }
            }
        }
        future::or(self.shut_down(), self.drain_backlog(spawn)).await;
        Ok(())
    }

    /// Waits for one connection and serves one request on it.
    pub(crate) async fn serve_one(&self) -> io::Result<()> {
        let sources = self.sources()?;
        while !self.shutdown.is_stopping() {
            if let Some(stream) = self.shutdown.acceptor.try_accept()? {
                let connection = self.shutdown.connections.register_stream(stream);
                let futures = FuturePool::default();
                let serving = self.serve_connection(&futures, connection, true);
                future::or(serving, self.sweep()).await;
                break;
            }
            sources.iter().for_each(|source| source.drained(true));
            poll_fn(|cx| poll_any(&sources, cx)).await?;
        }
        Ok(())
    }

    /// Serves the connections that other workers have accepted and assigned to this one, for ever.
    async fn serve_assigned<'w, T>(&'w self, spawn: &impl Fn(Registration<'w>)) -> T {
        loop {
            let assigned = self.balance.listen(self.index);
            for connection in self.balance.take_assigned(self.index) {
                spawn(connection);
            }
            assigned.await;
        }
    }

    /// Serves the connections that were in the backlog when the server stopped.
    async fn drain_backlog<'w>(&'w self, spawn: &impl Fn(Registration<'w>)) {
        while self.shutdown.acceptor.backlog_len() > 0 {
            if self.admission.is_full() {
                self.wait_for_eviction().await;
            } else if let Ok(Some(stream)) = self.shutdown.acceptor.try_accept() {
                spawn(self.shutdown.connections.register_stream(stream));
            }
        }
        future::pending::<()>().await;
    }

    async fn shut_down(&self) {
        let mut shutdown = GracefulShutdown::new(self.shutdown, self.config);
        let mut all_closed = false;
        while let Some(until) = shutdown.step(self.handler.observer(), all_closed) {
            all_closed = future::or(self.wait_closed(), self.wait_until(until)).await;
        }
    }

    /// Waits until no connection is left, and returns true.
    async fn wait_closed(&self) -> bool {
        self.shutdown.closed().await;
        true
    }

    /// Waits until that time of the shutdown, and returns false.
    async fn wait_until(&self, until: Duration) -> bool {
        while let Some(wait) = self.shutdown.next_wait(until) {
            Timer::after(wait).await;
        }
        false
    }

    /// Evicts a connection if one can be evicted, and waits a moment until one is closed.
    async fn wait_for_eviction(&self) {
        let closed = self.shutdown.connections.listen_unregister();
        if self.admission.is_full() {
            let timeout = self.admission.evict();
            let late = async { _ = Timer::after(timeout).await };
            future::or(closed, late).await;
        }
    }

    /// The listeners, and what becomes readable when the server stops.
    fn sources(&self) -> io::Result<Vec<Source>> {
        let acceptor = &self.shutdown.acceptor;
        acceptor.sources().map(|source| self.poller.listener(source)).collect()
    }

    /// Waits until a connection is in the backlog of a listener: only for that may another one be
    /// evicted. Returns false if the server stops.
    async fn wait_for_backlog(&self, sources: &[Source]) -> io::Result<bool> {
        while !self.shutdown.is_stopping() {
            sources.iter().for_each(|source| source.drained(true)); // then look, then wait
            if self.shutdown.acceptor.wait_readable(Duration::ZERO)? {
                return Ok(true);
            }
            poll_fn(|cx| poll_any(sources, cx)).await?;
        }
        Ok(false)
    }

    /// A connection, idle and busy in turn. What this future holds while the connection is idle is all
    /// that an idle connection costs: no state of the protocol, since that of an idle connection is the
    /// initial one, and no argument or error, which an `async fn` would hold twice.
    fn serve_connection<'t, 'w: 't>(
        &'w self,
        futures: &'t FuturePool<'w>,
        connection: Registration<'w>,
        once: bool,
    ) -> impl Future<Output = ()> + use<'t, 'w, 'h, 's, H> {
        let mut socket = Socket::new(connection, &self.shared);
        let open = self.balance.opened(self.index);
        let (mut read_eagerly, mut is_new) = (self.first_reads.should_try(), true);
        async move {
            let _open = open; // also if the observer panics
            loop {
                if !read_eagerly && let Err(error) = socket.idle().await {
                    break self.log_error(&socket, &error);
                }
                let serve = |socket, once, buffers| self.serve_ready(socket, once, buffers);
                let mut serving = futures.take(serve);
                let outcome;
                (outcome, socket) = serving.serve(socket, once).await;
                match &outcome {
                    Ok(_) => futures.put(serving, self.config.max_spare_buffers),
                    Err(error) => self.log_error(&socket, error),
                }
                if read_eagerly {
                    let eager_read = if is_new { &self.first_reads } else { &self.next_reads };
                    eager_read.record(!matches!(outcome, Ok(ServeOutcome::NoData)));
                }
                is_new = false;
                read_eagerly = match outcome {
                    Ok(ServeOutcome::Idle) => self.next_reads.should_try(),
                    Ok(ServeOutcome::NoData) => false,
                    Ok(ServeOutcome::Closed) | Err(_) => break,
                };
                if read_eagerly {
                    future::yield_now().await; // after all other connections
                }
            }
        }
    }

    /// The future in a [`ReusableFuture`](crate::reusable_future::ReusableFuture). It is given buffers
    /// that are empty.
    async fn serve_ready<'w>(
        &'w self,
        socket: Socket<'w>,
        once: bool,
        buffers: Option<Box<Buffers>>,
    ) -> ServeResult<'w> {
        let mut buffers = buffers.unwrap_or_else(|| Box::new(Buffers::new(self.config)));
        let served = serve::connection(self.handler, self.config, &mut buffers, &socket, once);
        let outcome = served.await;
        (outcome, socket, buffers.emptied(self.config))
    }

    fn log_error(&self, socket: &Socket<'_>, error: &io::Error) {
        log_connection_error(self.handler.observer(), socket.connection(), error);
    }

    /// Reports to every probe of a watchdog that this worker takes up tasks.
    async fn report_heartbeats(&self) {
        let heartbeat = self.shutdown.connections.heartbeat();
        loop {
            let probed = heartbeat.listen();
            heartbeat.report();
            probed.await;
        }
    }

    /// Wakes the connections whose deadline has passed. Sleeps while there is no connection.
    async fn sweep(&self) {
        sweep(&self.shutdown.connections, self.config).await;
    }
}

/// Wakes the connections whose deadline has passed, for ever.
pub(crate) async fn sweep(connections: &Connections, config: &Config) {
    let interval = Connections::interval(config);
    loop {
        let registered = connections.listen_register();
        if connections.is_empty() {
            registered.await;
        }
        Timer::after(interval).await;
        connections.sweep(config);
    }
}

/// Whether any of them is readable.
fn poll_any(sources: &[Source], cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    let ready = sources.iter().map(|source| source.poll_readable(cx));
    ready.fold(Poll::Pending, |any, this| if any.is_ready() { any } else { this })
}
