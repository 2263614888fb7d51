//! The server: listeners, a bounded crew of threads, and a graceful shutdown.
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
//! let (address, stop) = (server.addresses()[0], server.stopper());
//! let thread = std::thread::spawn(|| server.serve(|x: &mut Exchange<'_>| x.respond(200).body("hi")));
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

use crate::crew::{Crew, MAX_CONNECTIONS};
use crate::handler::Handler;
use crate::serve;
use crate::sweeper::Sweeper;
use crate::wire::Wire;
use doorstep_driver::config::Config;
use doorstep_driver::connections::Registry;
use doorstep_driver::exchange::is_departure;
use doorstep_driver::net::Acceptor;
use doorstep_driver::os;
use doorstep_driver::shutdown::{Shutdown, Stopped};
use doorstep_driver::shutdown_handle::Stopper;

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
        let stopper = Stopper {
            acceptor: Arc::new(Acceptor::new(listeners)?),
            registry: Arc::new(Registry::default()),
        };
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
    /// done without being asked for. To be called before [`Server::serve`].
    pub fn raise_descriptor_limit(&self) {
        os::raise_descriptors(self.config.max_connections.unwrap_or(MAX_CONNECTIONS));
    }

    /// Serves until it is stopped; the shutdown takes [`Config::grace`] at most, and the handler's
    /// [`Handler::stopped`]. A handler that does not end keeps its thread.
    ///
    /// # Errors
    /// When not even one thread or the descriptors for one connection can be had.
    pub fn serve(mut self, handler: impl Handler) -> io::Result<()> {
        let most = self.config.max_connections.unwrap_or(MAX_CONNECTIONS);
        self.config.max_connections = Some(os::connections(most));
        let (stopper, config) = (self.stopper.clone(), self.config.clone());
        let registry = &stopper.registry;
        let _sweeper = Sweeper::start(registry.clone(), &self.config)?;
        let crew = Crew::new(handler, self.config, self.stopper);
        crew.work()?;
        let at = Shutdown::new(&config);
        let mut cut = 0;
        if !crew.wait_ended(at.idle) {
            registry.close_idle();
            if !crew.wait_ended(at.hurry) {
                crew.handler().hurry();
                if !crew.wait_ended(at.cut) {
                    registry.cut();
                    cut = registry.cut_off() + stopper.acceptor.abort_waiting();
                    crew.wait_ended(at.end);
                }
            }
        }
        let left = at.end.saturating_sub(registry.shutdown_time());
        crew.handler().stopped(&Stopped { cut, left });
        Ok(())
    }

    /// Waits for one connection, serves one request on it, and closes it (B-307).
    ///
    /// # Errors
    /// Those of accepting. A peer that leaves early is no error.
    pub fn serve_one(&self, handler: &impl Handler) -> io::Result<()> {
        let Some((stream, peer)) = self.stopper.acceptor.accept()? else { return Ok(()) };
        let registry = &self.stopper.registry;
        let _sweeper = Sweeper::start(registry.clone(), &self.config)?;
        let seat = registry.enter(stream, peer);
        let wire = Wire::new(seat.clone(), registry, &self.config);
        let served =
            serve::connection(handler, &self.config, &wire, &mut self.config.outbox(), true);
        registry.leave(seat);
        match served {
            Err(error) if !is_departure(&error) => Err(error),
            _ => Ok(()),
        }
    }
}
