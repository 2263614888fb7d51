//! The server: listeners, a bounded pool of threads, and a graceful shutdown.
//!
//! Threads accept for themselves and are reused; one more is made when the last free one took a
//! connection, up to [`Config::max_connections`]. When all are taken a doorman watches the
//! listeners: for each newcomer a connection is evicted that is slow or idle, so such peers never
//! keep anybody out. While nobody can be evicted, newcomers wait in the listener's backlog.
//!
//! ```
//! use doorstep_blocking::{Exchange, Server};
//!
//! let server = Server::bind("127.0.0.1:0")?;
//! let (address, stop) = (server.addresses()[0], server.shutdown());
//! let thread = std::thread::spawn(|| server.serve(|exchange: &mut Exchange<'_>| exchange.respond(200).body("hi")));
//!
//! use std::io::{Read, Write};
//! let mut client = std::net::TcpStream::connect(address)?;
//! client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer)?;
//! assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhi"));
//!
//! stop.stop();
//! thread.join().expect("the server does not panic")?;
//! # Ok::<(), std::io::Error>(())
//! ```

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;

use crate::handler::Handler;
use crate::serve;
use crate::socket::Socket;
use crate::sweeper::Sweeper;
use crate::thread_pool::{MAX_CONNECTIONS, ThreadPool};
use doorstep_driver::config::Config;
use doorstep_driver::connections::Connections;
use doorstep_driver::exchange::is_disconnect;
use doorstep_driver::net::Acceptor;
use doorstep_driver::os;
use doorstep_driver::shutdown::{ShutdownReport, ShutdownSchedule};
use doorstep_driver::shutdown_handle::ShutdownHandle;

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
        let shutdown = ShutdownHandle {
            acceptor: Arc::new(Acceptor::new(listeners)?),
            connections: Arc::new(Connections::default()),
        };
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
    /// done without being asked for. To be called before [`Server::serve`].
    pub fn raise_descriptor_limit(&self) {
        os::raise_descriptors(self.config.max_connections.unwrap_or(MAX_CONNECTIONS));
    }

    /// Serves until it is stopped; the shutdown takes [`Config::shutdown_grace`] at most, and the handler's
    /// [`Handler::on_stopped`]. A handler that does not end keeps its thread.
    ///
    /// # Errors
    /// When not even one thread or the descriptors for one connection can be had.
    pub fn serve(mut self, handler: impl Handler) -> io::Result<()> {
        let most = self.config.max_connections.unwrap_or(MAX_CONNECTIONS);
        self.config.max_connections = Some(os::connections(most));
        let (shutdown, config) = (self.shutdown.clone(), self.config.clone());
        let connections = &shutdown.connections;
        let _sweeper = Sweeper::start(connections.clone(), &self.config)?;
        let pool = ThreadPool::new(handler, self.config, self.shutdown);
        pool.run()?;
        let at = ShutdownSchedule::new(&config);
        let mut cut = 0;
        if !pool.wait_ended(at.close_idle) {
            connections.close_idle();
            if !pool.wait_ended(at.grace_expired) {
                pool.handler().on_grace_expired();
                if !pool.wait_ended(at.abort) {
                    connections.abort_all();
                    cut = connections.aborted() + shutdown.acceptor.abort_waiting();
                    pool.wait_ended(at.end);
                }
            }
        }
        let left = at.end.saturating_sub(connections.shutdown_elapsed());
        pool.handler().on_stopped(&ShutdownReport { aborted: cut, time_left: left });
        Ok(())
    }

    /// Waits for one connection, serves one request on it, and closes it (B-307).
    ///
    /// # Errors
    /// Those of accepting. A peer that leaves early is no error.
    pub fn serve_one(&self, handler: &impl Handler) -> io::Result<()> {
        let Some((stream, peer)) = self.shutdown.acceptor.accept()? else { return Ok(()) };
        let connections = &self.shutdown.connections;
        let _sweeper = Sweeper::start(connections.clone(), &self.config)?;
        let connection = connections.register(stream, peer);
        let socket = Socket::new(connection.clone(), connections, &self.config);
        let served =
            serve::connection(handler, &self.config, &socket, &mut self.config.outbox(), true);
        connections.unregister(connection);
        match served {
            Err(error) if !is_disconnect(&error) => Err(error),
            _ => Ok(()),
        }
    }
}
