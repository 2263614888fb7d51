//! One executor's share of a server: its connections, and the buffers that the busy ones use.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_io::{Async, Timer};
use doorstep_core::http1::Inbox;
use doorstep_driver::connections::{Connections, Eviction};
use doorstep_driver::exchange::is_disconnect;
use doorstep_driver::log_throttle::LogThrottle;
use doorstep_driver::os::STEP;
use doorstep_driver::{Config, FLUSH_THRESHOLD, ShutdownHandle, ShutdownSchedule};
use smol::Executor;
use smol::future;

use crate::connection_guard::{ConnectionGuard, Shared};
use crate::eager_read::EagerRead;
use crate::handler::Handler;
use crate::serve::{self, Buffers, Outcome};
use crate::socket::Socket;
use crate::thread_pool::ThreadPool;

/// [`Config::max_connections`] unless it says otherwise.
pub(crate) const MAX_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not 0");
/// Pairs of buffers that are kept for the next busy connections.
const MAX_SPARE_BUFFERS: usize = 64;
/// How long to hold back when there is no room or there are no descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// How long an evicted connection has to end before another one is evicted in its stead.
const EVICTION_TIME: Duration = Duration::from_secs(1);

/// A server at work on one executor.
pub(crate) struct Worker<'h, H> {
    handler: &'h H,
    config: &'h Config,
    shutdown: &'h ShutdownHandle,
    shared: Shared<'h>,
    spare: Mutex<Vec<Buffers>>,
    /// Whether newcomers have something to say, and those who were answered once more.
    first_reads: EagerRead,
    next_reads: EagerRead,
    /// There was no descriptor for one more connection.
    no_descriptor: LogThrottle,
}

impl<'h, H: Handler> Worker<'h, H> {
    pub(crate) fn new(
        handler: &'h H,
        config: &'h Config,
        shutdown: &'h ShutdownHandle,
        pool: &'h ThreadPool,
    ) -> Self {
        let (arrivals, returns) = (EagerRead::default(), EagerRead::default());
        let shared = Shared { connections: &shutdown.connections, config, pool };
        let (spare, no_descriptor) = (Mutex::default(), LogThrottle::default());
        Self {
            handler,
            config,
            shutdown,
            shared,
            spare,
            first_reads: arrivals,
            next_reads: returns,
            no_descriptor,
        }
    }

    /// Accepts until the server stops, then waits for its connections to end.
    pub(crate) async fn run<'l>(&'l self, executor: &Executor<'l>) -> io::Result<()> {
        executor.spawn(self.sweep()).detach();
        let sources = self.sources()?;
        while !self.shutdown.is_stopping() {
            if self.is_full() {
                poll_fn(|cx| poll_any(&sources, cx)).await?; // nobody gives way to nobody
                self.wait_for_eviction().await;
                continue;
            }
            match self.shutdown.acceptor.try_accept() {
                Ok(Some((stream, peer))) => {
                    executor.spawn(self.serve_connection(stream, peer, false)).detach();
                }
                Ok(None) => {
                    poll_fn(|cx| poll_any(&sources, cx)).await?;
                }
                // Out of descriptors or memory: hold back, and let somebody idle go.
                Err(error) => {
                    if self.no_descriptor.should_log() {
                        let here = self.shutdown.acceptor.addresses()[0].ip();
                        self.handler.on_error(here, &format!("cannot accept connections: {error}"));
                    }
                    self.evict();
                    Timer::after(ACCEPT_BACKOFF).await;
                }
            }
        }
        future::or(self.shut_down(), self.drain_backlog(executor)).await;
        Ok(())
    }

    /// Serves those who were in the backlog when the server stopped, as soon as there is room.
    async fn drain_backlog<'l>(&'l self, executor: &Executor<'l>) {
        while self.shutdown.acceptor.waiting() > 0 {
            if self.is_full() {
                self.wait_for_eviction().await;
            } else if let Ok(Some((stream, peer))) = self.shutdown.acceptor.try_accept() {
                executor.spawn(self.serve_connection(stream, peer, false)).detach();
            }
        }
        future::pending::<()>().await;
    }

    /// Waits until nobody is left, and sees to it that the time suffices.
    async fn shut_down(&self) {
        let connections = &self.shutdown.connections;
        let at = ShutdownSchedule::new(self.config);
        if self.wait_closed(at.close_idle).await {
            return;
        }
        connections.close_idle();
        if self.wait_closed(at.grace_expired).await {
            return;
        }
        self.handler.on_grace_expired();
        if self.wait_closed(at.abort).await {
            return;
        }
        connections.abort_all();
        self.wait_closed(at.end).await;
    }

    /// Waits until nobody is left, until that time of the shutdown at most; whether everybody went in time.
    async fn wait_closed(&self, until: Duration) -> bool {
        let ShutdownHandle { acceptor, connections } = self.shutdown;
        let gone = async {
            loop {
                let left = connections.listen_unregister();
                if connections.is_empty() && acceptor.waiting() == 0 {
                    return true;
                }
                left.await;
            }
        };
        let late = async {
            loop {
                match until.saturating_sub(connections.shutdown_elapsed()) {
                    Duration::ZERO => return false,
                    left => _ = Timer::after(left.min(STEP)).await,
                }
            }
        };
        future::or(gone, late).await
    }

    fn is_full(&self) -> bool {
        self.shutdown.connections.len() >= self.max_connections()
    }

    fn max_connections(&self) -> usize {
        self.config.max_connections.unwrap_or(MAX_CONNECTIONS).get()
    }

    /// Evicts somebody if that can be done now, and waits a moment until somebody has left.
    async fn wait_for_eviction(&self) {
        let left = self.shutdown.connections.listen_unregister();
        if self.is_full() {
            let most = self.evict();
            let late = async { _ = Timer::after(most).await };
            future::or(left, late).await;
        }
    }

    /// Evicts somebody if that can be done now; how long that may take, or when to try again.
    fn evict(&self) -> Duration {
        match self.shutdown.connections.evict_for_connection(self.config, self.max_connections()) {
            Eviction::Started => EVICTION_TIME,
            Eviction::RetryAfter(most) => most,
        }
    }

    /// Descriptors of its own for what is to be watched: the reactor takes each but once.
    fn sources(&self) -> io::Result<Vec<Async<OwnedFd>>> {
        let own = |source: BorrowedFd<'_>| Async::new_nonblocking(source.try_clone_to_owned()?);
        self.shutdown.acceptor.sources().map(own).collect()
    }

    /// Waits for one connection and serves one request on it.
    pub(crate) async fn serve_one(&self) -> io::Result<()> {
        let sources = self.sources()?;
        while !self.shutdown.is_stopping() {
            if let Some((stream, peer)) = self.shutdown.acceptor.try_accept()? {
                future::or(self.serve_connection(stream, peer, true), self.sweep()).await;
                break;
            }
            poll_fn(|cx| poll_any(&sources, cx)).await?;
        }
        Ok(())
    }

    /// A newcomer's life: idle and busy in turn. What it holds while idle is all that an idle
    /// connection costs: no machine either, since an idle one is as good as new, and no argument or
    /// error, which an `async fn` would hold twice.
    fn serve_connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        once: bool,
    ) -> impl Future<Output = ()> {
        let connections = &self.shutdown.connections;
        let socket = Socket::new(ConnectionGuard {
            shared: &self.shared,
            connection: connections.register(stream, peer),
        });
        let (mut guess, mut is_new) = (self.first_reads.should_try(), true);
        async move {
            loop {
                if !guess && let Err(error) = socket.idle().await {
                    return self.log_connection_error(socket.peer(), &error);
                }
                // On the heap, so that idle connections do not hold the room for it.
                let stay = Box::pin(self.serve_ready(&socket, once)).await;
                let stay = stay.map_err(|error| self.log_connection_error(socket.peer(), &error));
                if guess {
                    let haste = if is_new { &self.first_reads } else { &self.next_reads };
                    haste.record(stay != Ok(Outcome::NoData));
                }
                is_new = false;
                guess = match stay {
                    Ok(Outcome::Idle) => self.next_reads.should_try(),
                    Ok(Outcome::NoData) => false,
                    Ok(Outcome::Closed) | Err(()) => return,
                };
                if guess {
                    future::yield_now().await; // everybody else has their turn first
                }
            }
        }
    }

    fn log_connection_error(&self, peer: SocketAddr, error: &io::Error) {
        let word = if is_disconnect(error) { "connection lost" } else { "connection broke" };
        self.handler.on_error(peer.ip(), &format!("{word}: {error}"));
    }

    /// Serves what has arrived, with buffers that it gives back.
    async fn serve_ready(&self, socket: &Socket<'_>, once: bool) -> io::Result<Outcome> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut buffers = spare.unwrap_or_else(|| Buffers {
            inbox: self.config.inbox(),
            outbox: self.config.outbox(),
        });
        let mut machine = self.config.connection();
        let stay =
            serve::connection(self.handler, &mut machine, &mut buffers, socket, once).await?;
        if stay != Outcome::Closed
            && let Some(storage) = buffers.inbox.into_storage()
        {
            buffers.outbox.shrink(2 * FLUSH_THRESHOLD);
            let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
            if spare.len() < MAX_SPARE_BUFFERS {
                spare.push(Buffers { inbox: Inbox::new(storage), outbox: buffers.outbox });
            }
        }
        Ok(stay)
    }

    /// Wakes who waited too long, for as long as the worker lives. Sleeps while there is no connection.
    async fn sweep(&self) {
        let connections = &self.shutdown.connections;
        let interval = Connections::interval(self.config);
        loop {
            let came = connections.listen_register();
            if connections.is_empty() {
                came.await;
            }
            Timer::after(interval).await;
            connections.sweep(self.config);
        }
    }
}

/// Whether any of them is readable.
fn poll_any(sources: &[Async<OwnedFd>], cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    let ready = sources.iter().map(|source| source.poll_readable(cx));
    ready.fold(Poll::Pending, |any, this| if any.is_ready() { any } else { this })
}
