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
use doorstep_driver::connections::{Registry, Room};
use doorstep_driver::episode::Episode;
use doorstep_driver::exchange::is_departure;
use doorstep_driver::os::STEP;
use doorstep_driver::{Config, GATHER, Shutdown, Stopper};
use smol::Executor;
use smol::future;

use crate::guest::{Guest, Home};
use crate::handler::Handler;
use crate::haste::Haste;
use crate::serve::{self, Buffers, Stay};
use crate::thread_pool::ThreadPool;
use crate::wire::Wire;

/// [`Config::max_connections`] unless it says otherwise.
pub(crate) const MAX_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not 0");
/// Pairs of buffers that are kept for the next busy connections.
const SPARE: usize = 64;
/// How long to hold back when there is no room or there are no descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// How long an evicted connection has to end before another one is evicted in its stead.
const LEAVING: Duration = Duration::from_secs(1);

/// A server at work on one executor.
pub(crate) struct Lane<'h, H> {
    handler: &'h H,
    config: &'h Config,
    stopper: &'h Stopper,
    home: Home<'h>,
    spare: Mutex<Vec<Buffers>>,
    /// Whether newcomers have something to say, and those who were answered once more.
    arrivals: Haste,
    returns: Haste,
    /// There was no descriptor for one more connection.
    no_descriptor: Episode,
}

impl<'h, H: Handler> Lane<'h, H> {
    pub(crate) fn new(
        handler: &'h H,
        config: &'h Config,
        stopper: &'h Stopper,
        pool: &'h ThreadPool,
    ) -> Self {
        let (arrivals, returns) = (Haste::default(), Haste::default());
        let home = Home { registry: &stopper.registry, config, pool };
        let (spare, no_descriptor) = (Mutex::default(), Episode::default());
        Self { handler, config, stopper, home, spare, arrivals, returns, no_descriptor }
    }

    /// Accepts until the server stops, then waits for its connections to end.
    pub(crate) async fn work<'l>(&'l self, executor: &Executor<'l>) -> io::Result<()> {
        executor.spawn(self.sweep()).detach();
        let sources = self.sources()?;
        while !self.stopper.is_stopping() {
            if self.is_full() {
                poll_fn(|cx| any(&sources, cx)).await?; // nobody gives way to nobody
                self.make_room().await;
                continue;
            }
            match self.stopper.acceptor.try_accept() {
                Ok(Some((stream, peer))) => {
                    executor.spawn(self.seat(stream, peer, false)).detach();
                }
                Ok(None) => {
                    poll_fn(|cx| any(&sources, cx)).await?;
                }
                // Out of descriptors or memory: hold back, and let somebody idle go.
                Err(error) => {
                    if self.no_descriptor.begins() {
                        let here = self.stopper.acceptor.addresses()[0].ip();
                        self.handler.note(here, &format!("cannot accept connections: {error}"));
                    }
                    self.evict();
                    Timer::after(PAUSE).await;
                }
            }
        }
        future::or(self.shut_down(), self.empty_backlog(executor)).await;
        Ok(())
    }

    /// Serves those who were in the backlog when the server stopped, as soon as there is room.
    async fn empty_backlog<'l>(&'l self, executor: &Executor<'l>) {
        while self.stopper.acceptor.waiting() > 0 {
            if self.is_full() {
                self.make_room().await;
            } else if let Ok(Some((stream, peer))) = self.stopper.acceptor.try_accept() {
                executor.spawn(self.seat(stream, peer, false)).detach();
            }
        }
        future::pending::<()>().await;
    }

    /// Waits until nobody is left, and sees to it that the time suffices.
    async fn shut_down(&self) {
        let registry = &self.stopper.registry;
        let at = Shutdown::new(self.config);
        if self.are_gone(at.idle).await {
            return;
        }
        registry.close_idle();
        if self.are_gone(at.hurry).await {
            return;
        }
        self.handler.hurry();
        if self.are_gone(at.cut).await {
            return;
        }
        registry.cut();
        self.are_gone(at.end).await;
    }

    /// Waits until nobody is left, until that time of the shutdown at most; whether everybody went in time.
    async fn are_gone(&self, until: Duration) -> bool {
        let Stopper { acceptor, registry } = self.stopper;
        let gone = async {
            loop {
                let left = registry.listen();
                if registry.is_empty() && acceptor.waiting() == 0 {
                    return true;
                }
                left.await;
            }
        };
        let late = async {
            loop {
                match until.saturating_sub(registry.shutdown_time()) {
                    Duration::ZERO => return false,
                    left => _ = Timer::after(left.min(STEP)).await,
                }
            }
        };
        future::or(gone, late).await
    }

    fn is_full(&self) -> bool {
        self.stopper.registry.len() >= self.most()
    }

    fn most(&self) -> usize {
        self.config.max_connections.unwrap_or(MAX_CONNECTIONS).get()
    }

    /// Evicts somebody if that can be done now, and waits a moment until somebody has left.
    async fn make_room(&self) {
        let left = self.stopper.registry.listen();
        if self.is_full() {
            let most = self.evict();
            let late = async { _ = Timer::after(most).await };
            future::or(left, late).await;
        }
    }

    /// Evicts somebody if that can be done now; how long that may take, or when to try again.
    fn evict(&self) -> Duration {
        match self.stopper.registry.make_room(self.config, self.most()) {
            Room::Made => LEAVING,
            Room::None(most) => most,
        }
    }

    /// Descriptors of its own for what is to be watched: the reactor takes each but once.
    fn sources(&self) -> io::Result<Vec<Async<OwnedFd>>> {
        let own = |source: BorrowedFd<'_>| Async::new_nonblocking(source.try_clone_to_owned()?);
        self.stopper.acceptor.sources().map(own).collect()
    }

    /// Waits for one connection and serves one request on it.
    pub(crate) async fn serve_one(&self) -> io::Result<()> {
        let sources = self.sources()?;
        while !self.stopper.is_stopping() {
            if let Some((stream, peer)) = self.stopper.acceptor.try_accept()? {
                future::or(self.seat(stream, peer, true), self.sweep()).await;
                break;
            }
            poll_fn(|cx| any(&sources, cx)).await?;
        }
        Ok(())
    }

    /// A newcomer's life: idle and busy in turn. What it holds while idle is all that an idle
    /// connection costs: no machine either, since an idle one is as good as new, and no argument or
    /// error, which an `async fn` would hold twice.
    fn seat(&self, stream: TcpStream, peer: SocketAddr, once: bool) -> impl Future<Output = ()> {
        let registry = &self.stopper.registry;
        let wire = Wire::new(Guest { home: &self.home, seat: registry.enter(stream, peer) });
        let (mut guess, mut is_new) = (self.arrivals.pays(), true);
        async move {
            loop {
                if !guess && let Err(error) = wire.idle().await {
                    return self.remark(wire.peer(), &error);
                }
                // On the heap, so that idle connections do not hold the room for it.
                let stay = Box::pin(self.busy(&wire, once)).await;
                let stay = stay.map_err(|error| self.remark(wire.peer(), &error));
                if guess {
                    let haste = if is_new { &self.arrivals } else { &self.returns };
                    haste.learn(stay != Ok(Stay::Quiet));
                }
                is_new = false;
                guess = match stay {
                    Ok(Stay::Served) => self.returns.pays(),
                    Ok(Stay::Quiet) => false,
                    Ok(Stay::Over) | Err(()) => return,
                };
                if guess {
                    future::yield_now().await; // everybody else has their turn first
                }
            }
        }
    }

    fn remark(&self, peer: SocketAddr, error: &io::Error) {
        let word = if is_departure(error) { "connection lost" } else { "connection broke" };
        self.handler.note(peer.ip(), &format!("{word}: {error}"));
    }

    /// Serves what has arrived, with buffers that it gives back.
    async fn busy(&self, wire: &Wire<'_>, once: bool) -> io::Result<Stay> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut buffers = spare.unwrap_or_else(|| Buffers {
            inbox: self.config.inbox(),
            outbox: self.config.outbox(),
        });
        let mut machine = self.config.connection();
        let stay = serve::connection(self.handler, &mut machine, &mut buffers, wire, once).await?;
        if stay != Stay::Over
            && let Some(storage) = buffers.inbox.into_storage()
        {
            buffers.outbox.shrink_to(2 * GATHER);
            let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
            if spare.len() < SPARE {
                spare.push(Buffers { inbox: Inbox::new(storage), outbox: buffers.outbox });
            }
        }
        Ok(stay)
    }

    /// Wakes who waited too long, for as long as the lane lives. Sleeps while there is no connection.
    async fn sweep(&self) {
        let registry = &self.stopper.registry;
        let interval = Registry::interval(self.config);
        loop {
            let came = registry.arrival();
            if registry.is_empty() {
                came.await;
            }
            Timer::after(interval).await;
            registry.sweep(self.config);
        }
    }
}

/// Whether any of them is readable.
fn any(sources: &[Async<OwnedFd>], cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    let ready = sources.iter().map(|source| source.poll_readable(cx));
    ready.fold(Poll::Pending, |any, this| if any.is_ready() { any } else { this })
}
