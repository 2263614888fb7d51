//! The server: listeners, and one future that is all of it.
//!
//! [`Server::serve`] runs on whatever executor polls it: its connections are tasks of an executor
//! inside the future, so dropping the future leaves nothing behind, except that a [`ShutdownHandle`]
//! keeps the listeners open. [`Server::run`] polls several such
//! workers over the same listeners, each on a thread of its own. A graceful shutdown is awaited like
//! everything else, and does not block the executor.
//!
//! ```
//! use doorstep_async_smol::{Exchange, Server};
//! use smol::io::{AsyncReadExt, AsyncWriteExt};
//!
//! smol::block_on(async {
//!     let server = Server::bind("127.0.0.1:0")?;
//!     let (address, shutdown) = (server.addresses()[0], server.shutdown_handle());
//!     let serving = smol::spawn(server.serve(|exchange: &mut Exchange<'_>| exchange.respond(200).body("hi")));
//!
//!     let mut client = smol::net::TcpStream::connect(address).await?;
//!     client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await?;
//!     let mut response = String::new();
//!     client.read_to_string(&mut response).await?;
//!     assert!(response.starts_with("HTTP/1.1 200 OK\r\n") && response.ends_with("\r\n\r\nhi"));
//!
//!     shutdown.stop();
//!     serving.await
//! })
//! # as std::io::Result<()>
//! # ;Ok::<(), std::io::Error>(())
//! ```

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use async_io::{Timer, block_on};
use doorstep_driver::net::{self, Acceptor, Listener};
use doorstep_driver::os::Stopwatch;
use doorstep_driver::{Config, GracefulShutdown, ShutdownHandle, notify_observer, os};
use smol::{Executor, future};

use crate::handler::Handler;
use crate::poller;
use crate::reusable_future::FuturePool;
use crate::worker::{DEFAULT_MAX_CONNECTIONS, Resources, Worker};

/// A server that is bound and not yet serving.
#[derive(Debug)]
pub struct Server {
    config: Config,
    shutdown: ShutdownHandle,
}

impl Server {
    /// The number of connections, if [`Config::max_connections`] is `None`.
    pub const DEFAULT_MAX_CONNECTIONS: NonZeroUsize = DEFAULT_MAX_CONNECTIONS;

    /// Listens on every address that `address` stands for, such as `"localhost:8000"`
    /// ([`net::bind_addresses`]). Addresses that this machine does not have are left out, unless all are.
    ///
    /// # Errors
    /// Returns an error if the name cannot be resolved, or an address cannot be bound.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Self::from_listeners(net::bind_addresses(address)?)
    }

    /// Serves listeners that exist: from [`net::bind`], or inherited; TCP, or Unix
    /// sockets.
    ///
    /// # Errors
    /// Returns [`io::ErrorKind::InvalidInput`] if there are none, or an error if one cannot be
    /// prepared.
    pub fn from_listeners<L: Into<Listener>>(listeners: Vec<L>) -> io::Result<Self> {
        let acceptor = Arc::new(Acceptor::nonblocking(listeners)?);
        let shutdown = ShutdownHandle::new(acceptor);
        Ok(Self { config: Config::default(), shutdown })
    }

    /// Serves with this configuration.
    #[must_use]
    pub fn with_config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// The TCP addresses that it listens on, at least one unless all listeners are Unix sockets.
    /// Port 0 is replaced by the one that was chosen.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        self.shutdown.acceptor.addresses()
    }

    /// A handle that stops the server from anywhere. Responses in progress are completed, as far as
    /// [`Config::shutdown_grace`] allows; then serving returns.
    ///
    /// ```no_run
    /// # use doorstep_async_smol::{Files, Server};
    /// # use std::io::{self, BufRead};
    /// let server = Server::bind("127.0.0.1:8000")?;
    /// let shutdown = server.shutdown_handle();
    /// std::thread::spawn(move || {
    ///     let _ = io::stdin().lock().read_line(&mut String::new()); // or a signal
    ///     shutdown.stop();
    /// });
    /// smol::block_on(server.serve(Files::new(".")?))
    /// # ;Ok::<(), io::Error>(())
    /// ```
    ///
    /// Handlers that wait see the stop ([`Exchange::is_stopping`](crate::Exchange::is_stopping)), and
    /// so does [`Observer::on_shutdown`](crate::Observer::on_shutdown).
    #[must_use]
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.shutdown.clone()
    }

    /// Raises the soft limit of descriptors of this process as far as [`Config::max_connections`]
    /// needs and the hard limit allows ([`os::raise_descriptor_limit`]). This affects the whole process, so
    /// it is not done unless it is asked for. To be called before the server serves.
    pub fn raise_descriptor_limit(&self) {
        os::raise_descriptor_limit(self.config.max_connections.unwrap_or(DEFAULT_MAX_CONNECTIONS));
    }

    /// Serves until it is stopped. The shutdown takes at most [`Config::shutdown_grace`]. Dropping the
    /// future stops at once.
    ///
    /// To keep a handler that is served, pass an `Arc` of it, which is a handler, too. (For that
    /// reason the parameter is not an `impl Into<Arc<H>>`: it could be either of two handlers.)
    ///
    /// # Errors
    /// Returns an error if the listeners cannot be watched, if the system has no thread or not
    /// enough descriptors, or [`io::ErrorKind::InvalidInput`] if the configuration is invalid
    /// ([`Config::check`]). (`block_on` itself then panics at its end, since it needs a thread too;
    /// [`Server::run`] does not.)
    pub async fn serve(self, handler: impl Handler) -> io::Result<()> {
        let resources = Resources::new(&self.config, &self.shutdown, 1)?;
        let observer = handler.observer();
        notify_observer(|| observer.on_start());
        let work = self.work(&handler, &resources, 0);
        let served = future::or(work, resources.pollers[0].drive()).await;
        self.finish_shutdown(&handler).await;
        served
    }

    /// Serves on `threads` threads, the calling one among them, until it is stopped. Connections are
    /// spread over them.
    ///
    /// Each thread waits for its connections itself, which takes fewer system calls than
    /// [`Server::serve`] on another executor. Timers and sockets of handlers are watched by async-io's
    /// thread.
    ///
    /// A handler that blocks its thread holds up all connections of that thread, and a shutdown until it
    /// returns: blocking work goes through `Exchange::unblock`.
    ///
    /// # Errors
    /// As for [`Server::serve`].
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a server owns what it serves, as in `serve`"
    )]
    pub fn run(self, handler: impl Handler, threads: NonZeroUsize) -> io::Result<()> {
        let resources = Resources::new(&self.config, &self.shutdown, threads.get())?;
        let work = |index| {
            let work = self.work(&handler, &resources, index);
            let worked =
                poller::block_on(&resources.pollers[index], work).and_then(|worked| worked);
            if worked.is_err() {
                self.shutdown.stop(); // the other threads
            }
            worked
        };
        let start = Mutex::new(()); // locked until the start was reported
        let served = thread::scope(|scope| {
            let starting = start.lock();
            let mut others = Vec::new();
            for index in 1..threads.get() {
                let thread = thread::Builder::new().name("worker".into());
                let (start, work) = (&start, &work);
                let work_once_started = move || {
                    drop(start.lock());
                    work(index)
                };
                match thread.spawn_scoped(scope, work_once_started) {
                    Ok(thread) => others.push(thread),
                    Err(error) => {
                        self.shutdown.stop(); // the threads that have started already
                        return Err(error);
                    }
                }
            }
            let observer = handler.observer();
            notify_observer(|| observer.on_start());
            drop(starting);
            let first = work(0);
            let rest = others.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            rest.fold(first, Result::and)
        });
        block_on(self.finish_shutdown(&handler));
        served
    }

    /// Waits for one connection, serves one request on it, and closes it (B-307).
    ///
    /// # Errors
    /// Returns an error if the system cannot accept connections; as for [`Server::serve`].
    ///
    /// # Cancel safety
    /// If the future is dropped, the connection that was accepted is closed: call this again.
    pub async fn serve_one(&self, handler: &impl Handler) -> io::Result<()> {
        let resources = Resources::new(&self.config, &self.shutdown, 1)?;
        let worker = Worker::new(handler, &self.config, &self.shutdown, &resources, 0);
        future::or(worker.serve_one(), resources.pollers[0].drive()).await
    }

    async fn work<'s, H: Handler>(
        &'s self,
        handler: &H,
        resources: &Resources<'s>,
        index: usize,
    ) -> io::Result<()> {
        let worker = Worker::new(handler, &self.config, &self.shutdown, resources, index);
        let futures = FuturePool::default();
        let executor = Executor::new();
        future::or(worker.run(&futures, &executor), run_tasks(&executor)).await
        // Here the connections that are left are dropped.
    }

    /// After the last connection: ends the processes of the handler.
    async fn finish_shutdown<H: Handler>(&self, handler: &H) {
        let observer = handler.observer();
        let mut shutdown = GracefulShutdown::new(&self.shutdown, &self.config);
        let mut idle = false;
        while let Some(timeout) = shutdown.step_processes(observer, idle) {
            if let Some(processes) = notify_observer(|| observer.processes()) {
                let all_ended = async {
                    processes.idle().await;
                    true
                };
                let late = async {
                    wait_running(timeout).await;
                    false
                };
                idle = future::or(all_ended, late).await;
            }
        }
        shutdown.finish(observer);
    }
}

/// Waits for this time, not counting the time in which the whole process is stopped.
async fn wait_running(timeout: Duration) {
    let mut waited = Stopwatch::default();
    while let Some(step) = waited.next_wait(timeout) {
        Timer::after(step).await;
    }
}

/// Runs tasks forever. After each `TASKS` of them the reactor is polled, so that connections that
/// never wait for it do not starve the others.
async fn run_tasks<T>(executor: &Executor<'_>) -> T {
    const TASKS: usize = 128;
    loop {
        for _ in 0..TASKS {
            executor.tick().await;
        }
        future::yield_now().await;
    }
}
