//! A slow network in front of a server, to test clients: a rate and a latency.
//!
//! One thread relays the bytes of every accepted connection, between the client's socket and a socket
//! pair, whose other end is the server's, on whatever front end. It waits where the network would;
//! [`NetworkSettings`] decides about that. What passes is unchanged: half-closes, resets, pipelined
//! requests; and the server sees the client's address. It is below TLS, so that handshakes are slow, too.
//!
//! A client that takes no bytes slows the server down, and the other way round: on their way are at most
//! the bytes of half a round trip at the rate, at least 64 KiB, and what the systems' buffers hold.
//!
//! Each connection takes three descriptors instead of one.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use async_io::{Async, Timer};
use doorstep_driver::event_listener::Event;
use doorstep_driver::net::{
    self, ClosedBy, DelayQueue, NetworkSettings, PeerState, RateLimiter, Relay, RelayEnding,
    RelaySockets,
};
use doorstep_driver::os;
use smol::channel::{self, Receiver, Sender};
use smol::{LocalExecutor, future};

/// How long a client that takes nothing keeps what it has not received, when the server has closed
/// the connection.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a reset waits at most for the client to receive what was sent before it, and how often it
/// is looked whether it has. A reset discards what was not received.
const RESET_TIMEOUT: Duration = Duration::from_secs(1);
const RESET_INTERVAL: Duration = Duration::from_millis(10);
/// How often it is looked whether the server has closed its end, after its last byte was sent. The
/// client then has as much time to close its own.
const CLOSE_INTERVAL: Duration = Duration::from_secs(1);
/// The receive buffer of the client's socket, in bytes, if there is a rate: a client is to notice that
/// an upload is slow. The system doubles it.
const RECEIVE_BUFFER: usize = 32 << 10;

/// A slow network, whose thread was not started yet.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::{TcpListener, TcpStream};
/// use std::time::{Duration, Instant};
///
/// use doorstep_async_smol::driver::net::{Listener, NetworkSettings};
/// use doorstep_async_smol::{Exchange, Server, SlowNetwork};
///
/// // 20,000 bytes per second, and a round trip of 100 ms.
/// let settings = NetworkSettings::new(Some(20_000), Duration::from_millis(100));
/// let network = SlowNetwork::new(settings.expect("it is possible"));
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let address = listener.local_addr()?;
/// let listener = Listener::from(listener).with_relay(network.relay());
/// let relaying = network.start()?;
/// assert!(network.start().is_err(), "it has one rate");
///
/// let server = Server::from_listeners(vec![listener])?;
/// let shutdown = server.shutdown_handle();
/// let thread = std::thread::spawn(move || {
///     smol::block_on(server.serve(|exchange: &mut Exchange<'_>| exchange.respond(200).body("x".repeat(2000))))
/// });
///
/// let begin = Instant::now();
/// let mut client = TcpStream::connect(address)?;
/// client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
/// client.read_to_end(&mut Vec::new())?;
/// assert!(begin.elapsed() >= Duration::from_millis(300)); // two round trips, and 2,000 bytes
///
/// shutdown.stop();
/// thread.join().expect("it does not panic")?;
/// relaying.finish(Duration::from_secs(1));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct SlowNetwork {
    is_started: AtomicBool,
    settings: NetworkSettings,
    relay: Relay,
    connections: Receiver<RelaySockets>,
}

/// A [`SlowNetwork`] at work, on a thread. Dropping it leaves the thread at work, as long as this
/// process runs.
#[derive(Debug)]
#[must_use = "what is on its way is lost if the process ends: see `finish`"]
pub struct Relaying {
    /// Until when to go on; `None` is no limit.
    stop: Sender<Option<Instant>>,
    thread: JoinHandle<()>,
}

impl SlowNetwork {
    /// A network of this kind.
    #[must_use]
    pub fn new(settings: NetworkSettings) -> Self {
        let (sender, connections) = channel::unbounded(); // at most as many as the server accepts
        let relay = Relay::new(move |sockets| {
            let _ = sender.try_send(sockets); // once the thread has ended, the connection is reset
        });
        Self { is_started: AtomicBool::new(false), settings, relay, connections }
    }

    /// What a listener needs: [`Listener::with_relay`](net::Listener::with_relay). All listeners with it
    /// share the rate.
    #[must_use]
    pub fn relay(&self) -> Relay {
        self.relay.clone()
    }

    /// Starts the thread. What is accepted before waits for it: without a start, clients wait until
    /// their own timeouts.
    ///
    /// # Errors
    /// Returns an error if the system has no thread, or [`ErrorKind::AlreadyExists`] if it was started
    /// before: two threads would be two networks, each with the whole rate.
    pub fn start(&self) -> io::Result<Relaying> {
        if self.is_started.swap(true, Ordering::Relaxed) {
            return Err(io::Error::new(ErrorKind::AlreadyExists, "the network was started before"));
        }
        self.spawn().inspect_err(|_| self.is_started.store(false, Ordering::Relaxed))
    }

    fn spawn(&self) -> io::Result<Relaying> {
        let (stop, stopping) = channel::bounded(1);
        let (settings, connections) = (self.settings, self.connections.clone());
        let run = move || async_io::block_on(relay_all(settings, connections, stopping));
        let thread = thread::Builder::new().name("network".into()).spawn(run)?;
        Ok(Relaying { stop, thread })
    }
}

impl Relaying {
    /// When the server has ended: sends what is on its way, at most for `timeout`, and ends the thread.
    /// What is not sent then is lost, and its connection reset. Connections that are relayed afterwards
    /// are reset.
    pub fn finish(self, timeout: Duration) {
        let _ = self.stop.try_send(Instant::now().checked_add(timeout));
        let _ = self.thread.join();
    }
}

/// What all connections share.
struct Shared {
    settings: NetworkSettings,
    to_client: RefCell<RateLimiter>,
    to_server: RefCell<RateLimiter>,
    /// How many connections have something to send to their clients, or may have.
    open: Cell<usize>,
    /// One of them has not any more.
    closed: Event,
}

/// A connection that may have something to send to its client.
struct OpenCount(Rc<Shared>);

impl OpenCount {
    fn new(shared: &Rc<Shared>) -> Self {
        shared.open.set(shared.open.get() + 1);
        Self(shared.clone())
    }
}

impl Drop for OpenCount {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.closed.notify(usize::MAX);
    }
}

/// Relays `connections` until `stopping` says until when to go on.
async fn relay_all(
    settings: NetworkSettings,
    connections: Receiver<RelaySockets>,
    stopping: Receiver<Option<Instant>>,
) {
    let shared = Rc::new(Shared {
        settings,
        to_client: RefCell::new(settings.rate_limiter()),
        to_server: RefCell::new(settings.rate_limiter()),
        open: Cell::new(0),
        closed: Event::new(),
    });
    let executor = LocalExecutor::new();
    let spawn = |sockets| {
        let connection = Connection::new(sockets, &shared);
        executor.spawn(async move { connection?.relay().await }).detach();
    };
    let accept = async {
        while let Ok(sockets) = connections.recv().await {
            spawn(sockets);
        }
        future::pending::<()>().await;
    };
    let stop = async {
        let Ok(until) = stopping.recv().await else {
            return future::pending().await; // it goes on without a handle
        };
        connections.close();
        while let Ok(sockets) = connections.try_recv() {
            spawn(sockets);
        }
        let late = async {
            match until {
                Some(until) => _ = Timer::at(until).await,
                None => future::pending().await,
            }
        };
        let done = async {
            loop {
                let closed = shared.closed.listen();
                if shared.open.get() == 0 {
                    break;
                }
                closed.await;
            }
        };
        future::or(done, late).await;
    };
    executor.run(future::or(stop, accept)).await;
}

/// One relayed connection.
struct Connection {
    client: Async<TcpStream>,
    server: Async<UnixStream>,
    ending: RelayEnding,
    /// How many bytes the client had acknowledged before any were sent, as the system counts.
    acked_before: Option<u64>,
    to_client: RelayDirection,
    to_server: RelayDirection,
    open: OpenCount,
}

/// One direction of it.
struct RelayDirection {
    queue: RefCell<DelayQueue>,
    changed: Event,
    /// How many bytes were written.
    written: Cell<u64>,
    /// How long a receiver may take nothing, after the end of the sender.
    timeout: Duration,
}

impl Connection {
    fn new(sockets: RelaySockets, shared: &Rc<Shared>) -> io::Result<Self> {
        let (now, settings) = (Instant::now(), shared.settings);
        if settings.rate().is_some() {
            sockets.set_receive_buffer(RECEIVE_BUFFER);
        }
        let RelaySockets { client, server, ending, .. } = sockets;
        Ok(Self {
            acked_before: os::bytes_acked(&client),
            client: Async::new_nonblocking(client)?,
            server: Async::new_nonblocking(server)?,
            ending,
            to_client: RelayDirection::new(settings.delay_queue(now), SEND_TIMEOUT),
            // Its SYN takes a round trip before the client can send anything.
            to_server: RelayDirection::new(
                settings.delay_queue(now + settings.latency()),
                Duration::MAX, // the server has timeouts of its own
            ),
            open: OpenCount::new(shared),
        })
    }

    /// Relays both directions until they have ended, or one of them has failed: closing both sockets
    /// then resets the client's connection.
    async fn relay(self) -> io::Result<()> {
        let Self { client, server, ending, acked_before, to_client, to_server, open } = self;
        let shared = open.0.clone();
        let down = async {
            let end = || if ending.is_reset() { ClosedBy::Reset } else { ClosedBy::Fin };
            let reading = async {
                if to_client.fill(&server, &shared.to_client, end).await.is_err() {
                    to_client.update(|queue| queue.finish(ClosedBy::Reset, Instant::now()));
                }
                future::pending().await
            };
            match future::or(to_client.deliver(&client), reading).await? {
                ClosedBy::Reset => {
                    let all =
                        acked_before.map(|before| before.saturating_add(to_client.written.get()));
                    let received = || os::bytes_acked(&client) >= all; // `None` if it is not known
                    let begin = Instant::now();
                    while !received() && begin.elapsed() < RESET_TIMEOUT {
                        Timer::after(RESET_INTERVAL).await;
                    }
                    return Err(ErrorKind::ConnectionReset.into());
                }
                ClosedBy::Fin => net::set_reset_on_close(&client, false)?,
            }
            client.get_ref().shutdown(Shutdown::Write)?;
            drop(open);
            loop {
                Timer::after(CLOSE_INTERVAL).await;
                if PeerState::of(&server) == PeerState::Closed {
                    Timer::after(CLOSE_INTERVAL).await;
                    return Ok(());
                }
            }
        };
        let up = async {
            let writing = async {
                match to_server.deliver(&server).await {
                    Ok(_) => _ = server.get_ref().shutdown(Shutdown::Write),
                    // The server reads nothing more. The client may go on sending.
                    Err(_) => to_server.update(DelayQueue::close),
                }
                Ok::<(), io::Error>(())
            };
            let reading = to_server.fill(&client, &shared.to_server, || ClosedBy::Fin);
            future::try_zip(reading, writing).await?;
            future::pending().await
        };
        future::or(down, up).await
    }
}

impl RelayDirection {
    fn new(queue: DelayQueue, timeout: Duration) -> Self {
        Self { queue: RefCell::new(queue), changed: Event::new(), written: Cell::new(0), timeout }
    }

    fn update(&self, change: impl FnOnce(&mut DelayQueue)) {
        change(&mut self.queue.borrow_mut());
        self.changed.notify(usize::MAX);
    }

    /// Reads from `source` to its end, no faster than `limiter` transmits.
    async fn fill<S>(
        &self,
        source: &Async<S>,
        limiter: &RefCell<RateLimiter>,
        end: impl Fn() -> ClosedBy,
    ) -> io::Result<()>
    where
        for<'s> &'s S: Read,
    {
        loop {
            let changed = self.changed.listen();
            let room = self.queue.borrow().room();
            if room == 0 {
                changed.await;
                continue;
            }
            drop(changed);
            source.readable().await?;
            let mut bytes = vec![0; limiter.borrow().packet().min(room)];
            let n = match source.get_ref().read(&mut bytes) {
                Err(error) if is_temporary(&error) => continue,
                result => result?,
            };
            let now = Instant::now();
            if n == 0 {
                self.update(|queue| queue.finish(end(), now));
                return Ok(());
            }
            bytes.truncate(n);
            let transmitted = limiter.borrow_mut().transmit(now, n);
            self.update(|queue| queue.push(bytes, transmitted));
            if transmitted > now {
                Timer::at(transmitted).await;
            }
        }
    }

    /// Writes what arrives to `target`, up to the end, which is returned.
    async fn deliver<S>(&self, target: &Async<S>) -> io::Result<ClosedBy>
    where
        for<'s> &'s S: Write,
    {
        loop {
            let changed = self.changed.listen();
            let (now, next) = (Instant::now(), self.queue.borrow().next_arrival());
            match next {
                None => changed.await,
                Some(arrival) if arrival > now => {
                    future::or(changed, async { _ = Timer::at(arrival).await }).await;
                }
                Some(_) => {
                    drop(changed);
                    if let Some(end) = self.queue.borrow().end(now) {
                        return Ok(end);
                    }
                    let written = target.get_ref().write(self.queue.borrow().arrived(now));
                    match written {
                        Ok(n) => {
                            self.written.set(self.written.get() + n as u64);
                            self.update(|queue| queue.take(n));
                        }
                        Err(error) if is_temporary(&error) => self.wait_writable(target).await?,
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }

    /// Waits until `target` takes something, at most for the timeout once the end is known.
    async fn wait_writable<S>(&self, target: &Async<S>) -> io::Result<()> {
        let late = async {
            Timer::after(self.timeout).await;
            match self.queue.borrow().is_finished() {
                true => Err(ErrorKind::TimedOut.into()),
                false => Ok(()),
            }
        };
        future::or(target.writable(), late).await
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_started_once() {
        let network = SlowNetwork::new(NetworkSettings::default());
        let relaying = network.start().unwrap();
        assert_eq!(network.start().unwrap_err().kind(), ErrorKind::AlreadyExists);
        relaying.finish(Duration::ZERO);
    }
}
