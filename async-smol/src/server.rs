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
//!     let (address, shutdown) = (server.addresses()[0], server.shutdown());
//!     let serving = smol::spawn(server.serve(|exchange: &mut Exchange<'_>| exchange.respond(200).body("hi")));
//!
//!     let mut client = smol::net::TcpStream::connect(address).await?;
//!     client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await?;
//!     let mut answer = String::new();
//!     client.read_to_string(&mut answer).await?;
//!     assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhi"));
//!
//!     shutdown.stop();
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
use doorstep_driver::{Config, ShutdownHandle, ShutdownReport, ShutdownSchedule};
use smol::{Executor, future};

use crate::handler::Handler;
use crate::reactor;
use crate::thread_pool::ThreadPool;
use crate::worker::{MAX_CONNECTIONS, Worker};

/// What is opened to listen on a single worker, to serve one connection and to read one file.
const MIN_DESCRIPTORS: usize = 5;

/// A server that is bound and not yet serving.
#[derive(Debug)]
pub struct Server {
    config: Config,
    shutdown: ShutdownHandle,
}

impl Server {
    /// Listens on every address that `address` stands for.
    ///
    /// # Errors
    /// Those of resolving and binding.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        let listeners: io::Result<Vec<_>> =
            address.to_socket_addrs()?.map(TcpListener::bind).collect();
        Self::from_listeners(listeners?)
    }

    /// Serves listeners that exist: from [`doorstep_driver::net::bind`], or inherited.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] when there are none; those of preparing them.
    pub fn from_listeners(listeners: Vec<TcpListener>) -> io::Result<Self> {
        let acceptor = Arc::new(Acceptor::nonblocking(listeners)?);
        let shutdown = ShutdownHandle { acceptor, connections: Arc::default() };
        Ok(Self { config: Config::default(), shutdown })
    }

    /// Serves as `config` says.
    #[must_use]
    pub fn with_config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// The addresses it listens on, with the ports that were found for 0; there is at least one.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        self.shutdown.acceptor.addresses()
    }

    /// What stops it.
    #[must_use]
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.shutdown.clone()
    }

    /// Raises this process's soft limit of descriptors as far as [`Config::max_connections`] needs and
    /// the hard limit allows ([`doorstep_driver::os::raise_descriptors`]). It is the whole process's, so this is not
    /// done without being asked for. To be called before [`Server::serve`] or [`Server::run`].
    pub fn raise_descriptor_limit(&self) {
        os::raise_descriptors(self.config.max_connections.unwrap_or(MAX_CONNECTIONS));
    }

    /// Serves until it is stopped; the shutdown takes [`Config::shutdown_grace`] at most, and the handler's
    /// [`Handler::on_stopped`]. Dropping the future stops at once.
    ///
    /// # Errors
    /// Those of watching the listeners; when the system has no threads or descriptors for what
    /// serving cannot do without. (`block_on` itself then panics at its end, as it wants a thread
    /// too; [`Server::run`] does not.)
    pub async fn serve(mut self, handler: impl Handler) -> io::Result<()> {
        let pool = self.prepare()?;
        handler.on_start();
        let worked = self.run_worker(&handler, &pool).await;
        self.finish_shutdown(&handler).await;
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
                let worker = || block_on(self.run_worker(&handler, &pool));
                let started =
                    thread::Builder::new().name("worker".into()).spawn_scoped(scope, worker);
                if let Err(error) = started {
                    self.shutdown.stop(); // the threads that have started already
                    return Err(error);
                }
            }
            handler.on_start();
            block_on(self.run_worker(&handler, &pool))
        });
        block_on(self.finish_shutdown(&handler));
        worked
    }

    /// Waits for one connection, serves one request on it, and closes it (B-307).
    ///
    /// # Errors
    /// Those of accepting; as for [`Server::serve`].
    pub async fn serve_one(&self, handler: &impl Handler) -> io::Result<()> {
        let pool = prepare(&self.config)?;
        Worker::new(handler, &self.config, &self.shutdown, &pool).serve_one().await
    }

    /// As [`prepare`], and bounds connections by the descriptors of this process.
    fn prepare(&mut self) -> io::Result<ThreadPool> {
        let most = self.config.max_connections.unwrap_or(MAX_CONNECTIONS);
        self.config.max_connections = Some(os::connections(most));
        prepare(&self.config)
    }

    async fn run_worker<H: Handler>(&self, handler: &H, pool: &ThreadPool) -> io::Result<()> {
        let worker = Worker::new(handler, &self.config, &self.shutdown, pool);
        let executor = Executor::new();
        future::or(worker.run(&executor), take_turns(&executor)).await
        // Here the connections that are left are dropped.
    }

    /// After the last connection.
    async fn finish_shutdown<H: Handler>(&self, handler: &H) {
        let ShutdownHandle { acceptor, connections } = &self.shutdown;
        let left =
            ShutdownSchedule::new(&self.config).end.saturating_sub(connections.shutdown_elapsed());
        let cut = connections.aborted() + acceptor.abort_waiting();
        handler.on_stopped(&ShutdownReport { aborted: cut, time_left: left }).await;
    }
}

/// Takes or probes what serving cannot do without, before the server says that it serves.
fn prepare(config: &Config) -> io::Result<ThreadPool> {
    reactor::start()?;
    os::can_open(MIN_DESCRIPTORS)?;
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
