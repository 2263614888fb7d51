//! The server: listeners, and one future that is all of it.
//!
//! [`Server::serve`] runs everything on whatever executor polls it: its connections are tasks of an
//! executor inside the future, so when it is dropped nothing is left. [`Server::run`] polls several
//! such lanes, each on a thread of its own, over the same listeners. A graceful shutdown is awaited
//! like everything else: it keeps no executor from other work.
//!
//! ```
//! use doorstep_async_smol::{Exchange, Server};
//! use smol::io::{AsyncReadExt, AsyncWriteExt};
//!
//! smol::block_on(async {
//!     let server = Server::bind("127.0.0.1:0")?;
//!     let (address, stopper) = (server.addresses()[0], server.stopper());
//!     let serving = smol::spawn(server.serve(|x: &mut Exchange<'_>| x.respond(200).body("hi")));
//!
//!     let mut client = smol::net::TcpStream::connect(address).await?;
//!     client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await?;
//!     let mut answer = String::new();
//!     client.read_to_string(&mut answer).await?;
//!     assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhi"));
//!
//!     stopper.stop();
//!     serving.await
//! })
//! # as std::io::Result<()>
//! # ;Ok::<(), std::io::Error>(())
//! ```

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use async_io::block_on;
use doorstep_driver::net::Acceptor;
use doorstep_driver::os;
use doorstep_driver::{Config, Shutdown, Stopped, Stopper};
use smol::{Executor, future};

use crate::handler::Handler;
use crate::lane::{Lane, MAX_CONNECTIONS};
use crate::reactor;
use crate::thread_pool::ThreadPool;

/// What is opened to listen on a single lane, to serve one connection and to read one file.
const DESCRIPTORS: usize = 5;

/// A server that is bound and not yet serving.
#[derive(Debug)]
pub struct Server {
    config: Config,
    stopper: Stopper,
}

impl Server {
    /// Listens on every address that `address` stands for.
    ///
    /// # Errors
    /// Those of resolving and binding.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        let listeners: io::Result<Vec<_>> =
            address.to_socket_addrs()?.map(TcpListener::bind).collect();
        Self::on(listeners?)
    }

    /// Serves listeners that exist: from [`doorstep_driver::net::bind`], or inherited.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] when there are none; those of preparing them.
    pub fn on(listeners: Vec<TcpListener>) -> io::Result<Self> {
        let acceptor = Arc::new(Acceptor::nonblocking(listeners)?);
        let stopper = Stopper { acceptor, registry: Arc::default() };
        Ok(Self { config: Config::default(), stopper })
    }

    /// Serves as `config` says.
    #[must_use]
    pub fn with(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// The addresses it listens on, with the ports that were found for 0; there is at least one.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        self.stopper.acceptor.addresses()
    }

    /// What stops it.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Raises this process's soft limit of descriptors as far as [`Config::max_connections`] needs and
    /// the hard limit allows ([`doorstep_driver::os::raise_descriptors`]). It is the whole process's, so this is not
    /// done without being asked for. To be called before [`Server::serve`] or [`Server::run`].
    pub fn raise_descriptor_limit(&self) {
        os::raise_descriptors(self.config.max_connections.unwrap_or(MAX_CONNECTIONS));
    }

    /// Serves until it is stopped; the shutdown takes [`Config::grace`] at most, and the handler's
    /// [`Handler::stopped`]. Dropping the future stops at once.
    ///
    /// # Errors
    /// Those of watching the listeners; when the system has no threads or descriptors for what
    /// serving cannot do without. (`block_on` itself then panics at its end, as it wants a thread
    /// too; [`Server::run`] does not.)
    pub async fn serve(mut self, handler: impl Handler) -> io::Result<()> {
        let pool = self.prepare()?;
        handler.started();
        let worked = self.lane(&handler, &pool).await;
        self.end(&handler).await;
        worked
    }

    /// Serves on `threads` threads, this one among them, until it is stopped.
    ///
    /// # Errors
    /// As of [`Server::serve`].
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a server owns what it serves, as in `serve`"
    )]
    pub fn run(mut self, handler: impl Handler, threads: NonZeroUsize) -> io::Result<()> {
        let pool = self.prepare()?;
        let worked = thread::scope(|scope| {
            for _ in 1..threads.get() {
                let lane = || block_on(self.lane(&handler, &pool));
                let started = thread::Builder::new().name("lane".into()).spawn_scoped(scope, lane);
                if let Err(error) = started {
                    self.stopper.stop(); // the threads that have started already
                    return Err(error);
                }
            }
            handler.started();
            block_on(self.lane(&handler, &pool))
        });
        block_on(self.end(&handler));
        worked
    }

    /// Waits for one connection, serves one request on it, and closes it (B-307).
    ///
    /// # Errors
    /// Those of accepting; as for [`Server::serve`].
    pub async fn serve_one(&self, handler: &impl Handler) -> io::Result<()> {
        let pool = prepare(&self.config)?;
        Lane::new(handler, &self.config, &self.stopper, &pool).serve_one().await
    }

    /// As [`prepare`], and bounds connections by the descriptors of this process.
    fn prepare(&mut self) -> io::Result<ThreadPool> {
        let most = self.config.max_connections.unwrap_or(MAX_CONNECTIONS);
        self.config.max_connections = Some(os::connections(most));
        prepare(&self.config)
    }

    async fn lane<H: Handler>(&self, handler: &H, pool: &ThreadPool) -> io::Result<()> {
        let lane = Lane::new(handler, &self.config, &self.stopper, pool);
        let executor = Executor::new();
        future::or(lane.work(&executor), take_turns(&executor)).await
        // Here the connections that are left are dropped.
    }

    /// After the last connection.
    async fn end<H: Handler>(&self, handler: &H) {
        let Stopper { acceptor, registry } = &self.stopper;
        let left = Shutdown::new(&self.config).end.saturating_sub(registry.shutdown_time());
        let cut = registry.cut_off() + acceptor.abort_waiting();
        handler.stopped(&Stopped { cut, left }).await;
    }
}

/// Takes or probes what serving cannot do without, before the server says that it serves.
fn prepare(config: &Config) -> io::Result<ThreadPool> {
    reactor::start()?;
    os::can_open(DESCRIPTORS)?;
    ThreadPool::start(config.pool_threads)
}

/// Runs tasks for ever. After so many the reactor is polled, so that connections that never wait
/// for it do not starve the others.
async fn take_turns<T>(executor: &Executor<'_>) -> T {
    const TASKS: usize = 128;
    loop {
        for _ in 0..TASKS {
            executor.tick().await;
        }
        future::yield_now().await;
    }
}
