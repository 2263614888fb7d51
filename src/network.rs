//! A slow or broken network on purpose, to test clients: `--rate`, `--latency`, `--cut`.
//!
//! Every accepted connection is relayed by one thread, which waits where the network would: between the
//! client's socket and a socket pair, whose other end the server serves, whatever its runtime. What is
//! to be waited for is decided by [`NetworkSettings`]. Below TLS, so that handshakes are slow, too.
//! Responses are cut by the server, which knows where their bodies are ([`Cuts`]).
//!
//! docs/network.md says what is simulated.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use doorstep_driver::event_listener::Event;
use doorstep_driver::net::{
    self, Cuts, DelayQueue, End, Line, Listener, NetworkSettings, PeerState, Relay, RelayEnd,
    RelayEnding, Stream,
};
use smol::channel::{self, Receiver, Sender};
use smol::{Async, LocalExecutor, Timer, future};

use crate::arguments::NetworkOptions;
use crate::failure::Failure;
use crate::logs::Logs;

/// How long a client that takes nothing keeps what it has not received, when the server has closed
/// the connection.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// How often it is looked whether the server has closed its end, after its last byte was sent. The
/// client then has as much time to close its own.
const CLOSE_INTERVAL: Duration = Duration::from_secs(1);

/// The network of the options.
#[derive(Debug)]
pub(crate) struct Network {
    settings: NetworkSettings,
    cuts: Option<Arc<Cuts>>,
    relay: Relay,
    connections: Receiver<RelayEnd>,
}

impl Network {
    /// `None` if the options ask for nothing.
    pub(crate) fn from_options(options: &NetworkOptions) -> Option<Self> {
        let (settings, cut) = (options.settings(), options.cut());
        if settings.is_none() && cut.is_none() {
            return None;
        }
        let random_seed = || RandomState::new().hash_one(()) & u64::from(u32::MAX); // short to type
        let cuts = cut.and_then(|(percent, seed)| {
            Cuts::new(percent, seed.unwrap_or_else(random_seed)).map(Arc::new)
        });
        let (sender, connections) = channel::unbounded();
        let relay = Relay::new(move |end| {
            let _ = sender.try_send(end); // once the thread has ended, the connection is reset
        });
        Some(Self { settings: settings.unwrap_or_default(), cuts, relay, connections })
    }

    /// The listener behind this network.
    pub(crate) fn listener(&self, listener: Listener) -> Listener {
        let listener = listener.with_relay(self.relay.clone());
        match &self.cuts {
            Some(cuts) => listener.with_cuts(cuts.clone()),
            None => listener,
        }
    }

    /// The connection behind this network.
    pub(crate) fn stream(&self, stream: Stream) -> io::Result<Stream> {
        let stream = self.relay.relay(stream)?;
        Ok(match &self.cuts {
            Some(cuts) => Stream::with_cuts(stream, cuts.clone()),
            None => stream,
        })
    }

    /// Starts the thread that relays, and says so in the log.
    pub(crate) fn start(&self, logs: &Logs) -> Result<RelayThread, Failure> {
        logs.warn(&self.to_string());
        let (stop, stopping) = channel::bounded(1);
        let (settings, connections) = (self.settings, self.connections.clone());
        let run = move || smol::block_on(relay_all(settings, connections, stopping));
        let thread = thread::Builder::new().name("network".into()).spawn(run);
        Ok(RelayThread { stop, thread: thread.map_err(Failure::Serve)? })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(rate) = self.settings.rate() {
            let rate = match rate {
                rate if rate % (1 << 20) == 0 => format!("{}M", rate >> 20),
                rate if rate % (1 << 10) == 0 => format!("{}K", rate >> 10),
                rate => rate.to_string(),
            };
            parts.push(format!("{rate} bytes/s in each direction for all clients together"));
        }
        if !self.settings.latency().is_zero() {
            let latency = humantime::format_duration(self.settings.latency());
            parts.push(format!("{latency} added to each round trip"));
        }
        if let Some(cuts) = &self.cuts {
            let (percent, seed) = (cuts.percent(), cuts.seed());
            parts.push(format!("{percent}% of responses cut, the same ones with --seed {seed}"));
        }
        write!(f, "the network is slow or broken on purpose: {}", parts.join("; "))
    }
}

/// The thread at work.
pub(crate) struct RelayThread {
    stop: Sender<Instant>,
    thread: JoinHandle<()>,
}

impl RelayThread {
    /// After the server: sends what is on its way, at most for `timeout`, and ends the thread. What is
    /// not sent then is lost, and its connection reset.
    pub(crate) fn finish(self, timeout: Duration) {
        let now = Instant::now();
        let _ = self.stop.try_send(now.checked_add(timeout).unwrap_or(now));
        let _ = self.thread.join();
    }
}

/// What all connections share.
struct Shared {
    settings: NetworkSettings,
    to_client: RefCell<Line>,
    to_server: RefCell<Line>,
    /// How many connections have something to send to their clients, or may have.
    open: Cell<usize>,
    /// One of them has not any more.
    closed: Event,
}

/// A connection that may have something to send to its client.
struct Open(Rc<Shared>);

impl Open {
    fn new(shared: &Rc<Shared>) -> Self {
        shared.open.set(shared.open.get() + 1);
        Self(shared.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.closed.notify(usize::MAX);
    }
}

/// Relays `connections` until `stopping` says until when to go on.
async fn relay_all(
    settings: NetworkSettings,
    connections: Receiver<RelayEnd>,
    stopping: Receiver<Instant>,
) {
    let shared = Rc::new(Shared {
        settings,
        to_client: RefCell::new(settings.line()),
        to_server: RefCell::new(settings.line()),
        open: Cell::new(0),
        closed: Event::new(),
    });
    let executor = LocalExecutor::new();
    let spawn = |end| {
        let connection = Connection::new(end, &shared);
        executor.spawn(async move { connection?.relay().await }).detach();
    };
    let accept = async {
        while let Ok(end) = connections.recv().await {
            spawn(end);
        }
        future::pending().await
    };
    let stop = async {
        let until = stopping.recv().await.unwrap_or_else(|_| Instant::now());
        while let Ok(end) = connections.try_recv() {
            spawn(end);
        }
        let late = async { _ = Timer::at(until).await };
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
    to_client: Direction,
    to_server: Direction,
    open: Open,
}

/// One direction of it.
struct Direction {
    queue: RefCell<DelayQueue>,
    changed: Event,
    /// How long a receiver may take nothing, after the end of the sender.
    timeout: Duration,
}

impl Connection {
    fn new(end: RelayEnd, shared: &Rc<Shared>) -> io::Result<Self> {
        let (now, settings) = (Instant::now(), shared.settings);
        let RelayEnd { client, server, ending, .. } = end;
        Ok(Self {
            client: Async::new_nonblocking(client)?,
            server: Async::new_nonblocking(server)?,
            ending,
            to_client: Direction::new(settings.delay_queue(now), SEND_TIMEOUT),
            // Its SYN takes a round trip before the client can send anything.
            to_server: Direction::new(
                settings.delay_queue(now + settings.latency()),
                Duration::MAX, // the server has timeouts of its own
            ),
            open: Open::new(shared),
        })
    }

    /// Relays both directions until they have ended, or one of them has failed: closing both sockets
    /// then resets the client's connection.
    async fn relay(self) -> io::Result<()> {
        let Self { client, server, ending, to_client, to_server, open } = self;
        let shared = open.0.clone();
        let down = async {
            let end = || if ending.is_reset() { End::Reset } else { End::Fin };
            let reading = async {
                if to_client.fill(&server, &shared.to_client, end).await.is_err() {
                    to_client.update(|queue| queue.finish(End::Reset, Instant::now()));
                }
                future::pending().await
            };
            match future::or(to_client.deliver(&client), reading).await? {
                End::Reset => return Err(ErrorKind::ConnectionReset.into()),
                End::Fin => net::set_reset_on_close(&client, false)?,
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
            let reading = to_server.fill(&client, &shared.to_server, || End::Fin);
            future::try_zip(reading, writing).await?;
            future::pending().await
        };
        future::or(down, up).await
    }
}

impl Direction {
    fn new(queue: DelayQueue, timeout: Duration) -> Self {
        Self { queue: RefCell::new(queue), changed: Event::new(), timeout }
    }

    fn update(&self, change: impl FnOnce(&mut DelayQueue)) {
        change(&mut self.queue.borrow_mut());
        self.changed.notify(usize::MAX);
    }

    /// Reads from `source` to its end, no faster than `line` transmits.
    async fn fill<S>(
        &self,
        source: &Async<S>,
        line: &RefCell<Line>,
        end: impl Fn() -> End,
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
            let mut bytes = vec![0; line.borrow().packet().min(room)];
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
            let transmitted = line.borrow_mut().transmit(now, n);
            self.update(|queue| queue.push(bytes, transmitted));
            if transmitted > now {
                Timer::at(transmitted).await;
            }
        }
    }

    /// Writes what arrives to `target`, up to the end, which is returned.
    async fn deliver<S>(&self, target: &Async<S>) -> io::Result<End>
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
                        Ok(n) => self.update(|queue| queue.take(n)),
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
