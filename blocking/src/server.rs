//! The server: listeners, a bounded pool of threads, and a graceful shutdown.
//!
//! Each connection has a thread while it is open. Threads accept for themselves and are reused; one
//! more is started when the last idle one has accepted a connection, up to
//! [`Config::max_connections`]. When all of them serve, a slow or idle connection is evicted for each
//! new one, so that slow clients do not keep others out. While none can be evicted, new connections
//! wait in the listener's backlog.
//!
//! ```
//! use doorstep_blocking::{Exchange, Server};
//!
//! let server = Server::bind("127.0.0.1:0")?;
//! let (address, shutdown) = (server.addresses()[0], server.shutdown_handle());
//! let thread = std::thread::spawn(|| server.serve(|exchange: &mut Exchange<'_>| exchange.respond(200).body("hi")));
//!
//! use std::io::{Read, Write};
//! let mut client = std::net::TcpStream::connect(address)?;
//! client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
//! let mut response = String::new();
//! client.read_to_string(&mut response)?;
//! assert!(response.starts_with("HTTP/1.1 200 OK\r\n") && response.ends_with("\r\n\r\nhi"));
//!
//! shutdown.stop();
//! thread.join().expect("the server does not panic")?;
//! # Ok::<(), std::io::Error>(())
//! ```

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::num::NonZeroUsize;
use std::sync::Arc;

use doorstep_driver::exchange::is_disconnect;
use doorstep_driver::net::{self, Acceptor, Listener};
use doorstep_driver::{BufferPool, Config, ShutdownHandle, os};

use crate::handler::Handler;
use crate::serve;
use crate::socket::Socket;
use crate::sweeper::Sweeper;
use crate::thread_pool::{DEFAULT_MAX_CONNECTIONS, ThreadPool};

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
        let acceptor = Arc::new(Acceptor::new(listeners)?);
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
    /// # use doorstep_blocking::{Files, Server};
    /// # use std::io::{self, BufRead};
    /// let server = Server::bind("127.0.0.1:8000")?;
    /// let shutdown = server.shutdown_handle();
    /// std::thread::spawn(move || {
    ///     let _ = io::stdin().lock().read_line(&mut String::new()); // or a signal
    ///     shutdown.stop();
    /// });
    /// server.serve(Files::new(".")?)
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

    /// Serves until it is stopped. The shutdown takes at most [`Config::shutdown_grace`]. A handler
    /// that does not return keeps its thread.
    ///
    /// To keep a handler that is served, pass an `Arc` of it, which is a handler, too. (For that
    /// reason the parameter is not an `impl Into<Arc<H>>`: it could be either of two handlers.)
    ///
    /// # Errors
    /// Returns an error if the system has no thread, or not enough descriptors for one connection,
    /// or [`io::ErrorKind::InvalidInput`] if the configuration is invalid ([`Config::check`]).
    pub fn serve(self, handler: impl Handler) -> io::Result<()> {
        self.config.check()?;
        let _sweeper = Sweeper::start(self.shutdown.connections.clone(), &self.config)?;
        let stop = self.shutdown.clone();
        let pool = ThreadPool::new(handler, self.config, self.shutdown);
        let served = pool.run();
        if served.is_err() {
            stop.stop(); // the threads that have started already
        }
        pool.shut_down();
        served
    }

    /// Waits for one connection, serves one request on it, and closes it (B-307).
    ///
    /// # Errors
    /// Returns an error if the system cannot accept connections, the handler's, or that of an invalid
    /// configuration ([`Config::check`]). A client that disconnects early is not an error.
    pub fn serve_one(&self, handler: &impl Handler) -> io::Result<()> {
        self.config.check()?;
        let Some(stream) = self.shutdown.acceptor.accept()? else { return Ok(()) };
        let connections = &self.shutdown.connections;
        let _sweeper = Sweeper::start(connections.clone(), &self.config)?;
        let socket = Socket::new(connections.register_stream(stream), &self.config);
        match serve::connection(handler, &self.config, &socket, &BufferPool::default(), true) {
            Err(error) if !is_disconnect(&error) => Err(error),
            _ => Ok(()),
        }
    }
}
