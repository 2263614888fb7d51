//! What a service author writes: one method for each method of HTTP.
//!
//! ```no_run
//! use std::io;
//! use doorstep_async_smol::{Exchange, Handler, Server};
//!
//! struct Hello;
//!
//! impl Handler for Hello {
//!     async fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
//!         exchange.respond(200).header("Content-Type", "text/plain").body("hello\n")
//!     }
//! }
//!
//! smol::block_on(Server::bind("127.0.0.1:8000")?.serve(Hello))
//! # as std::io::Result<()>
//! # ;Ok::<(), io::Error>(())
//! ```
//!
//! A closure that does not wait is a handler too, for every method; the same one serves the blocking
//! driver's exchanges but for its argument's type.

use std::io;

use doorstep_core::log::Record;
use doorstep_driver::ShutdownReport;

use crate::exchange::Exchange;

/// Answers requests, many at once. Each method defaults to 501, but for `head`, which
/// does what `get` does: the machine sends no body.
///
/// An error before anything was answered becomes a 500; after that, it ends the connection, so
/// that the peer can see the answer was cut. Neither reaches other connections; nor does a panic.
pub trait Handler: Send + Sync + 'static {
    /// GET.
    ///
    /// # Errors
    /// What the handler makes of it, as for all of these.
    fn get(&self, exchange: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
        async { exchange.unsupported() }
    }
    /// HEAD.
    ///
    /// # Errors
    /// As of `get`.
    fn head(&self, exchange: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
        self.get(exchange)
    }
    /// POST.
    ///
    /// # Errors
    /// As of `get`.
    fn post(&self, exchange: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
        async { exchange.unsupported() }
    }
    /// PUT.
    ///
    /// # Errors
    /// As of `get`.
    fn put(&self, exchange: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
        async { exchange.unsupported() }
    }
    /// DELETE.
    ///
    /// # Errors
    /// As of `get`.
    fn delete(&self, exchange: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
        async { exchange.unsupported() }
    }
    /// OPTIONS.
    ///
    /// # Errors
    /// As of `get`.
    fn options(&self, exchange: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
        async { exchange.unsupported() }
    }
    /// PATCH.
    ///
    /// # Errors
    /// As of `get`.
    fn patch(&self, exchange: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
        async { exchange.unsupported() }
    }
    /// Any other method (B-302): CONNECT, TRACE, and what others invent.
    ///
    /// # Errors
    /// As of `get`.
    fn fallback(&self, exchange: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
        async { exchange.unsupported() }
    }

    /// The peer waits for 100 Continue before it sends the body. An answer given here refuses it
    /// (417, say) and the method is not called (B-053); by itself 100 goes out when the body is
    /// first read (B-050).
    ///
    /// # Errors
    /// As of `get`.
    fn expect(&self, exchange: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
        async {
            let _ = exchange;
            Ok(())
        }
    }

    /// An answer ended (B-110). Not to wait in.
    fn log(&self, record: &Record<'_>) {
        let _ = record;
    }

    /// Something went wrong that the access log does not show: why a file was refused, why a
    /// connection broke. Not to wait in.
    fn on_error(&self, peer: std::net::IpAddr, message: &str) {
        let _ = (peer, message);
    }

    /// The server has the threads and descriptors that it needs, and begins to accept. Not called
    /// when these cannot be had: then serving ends with an error.
    fn on_start(&self) {}

    /// A graceful shutdown is about to cut the connections that are left ([`ShutdownSchedule`]). For
    /// handlers that wait for something else than their client: they end their responses now. May
    /// be called more than once.
    ///
    /// [`ShutdownSchedule`]: doorstep_driver::ShutdownSchedule
    fn on_grace_expired(&self) {}

    /// The server has stopped, and no connection is left. For what is still to be ended within the
    /// time that is left, and to report how many connections were cut. Not called when the future
    /// of [`Server::serve`] is dropped.
    ///
    /// [`Server::serve`]: crate::Server::serve
    fn on_stopped(&self, how: &ShutdownReport) -> impl Future<Output = ()> + Send {
        let _ = how;
        async {}
    }

    /// Calls the method's method. Override it to see every request before that.
    ///
    /// # Errors
    /// As of `get`.
    fn handle(&self, exchange: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
        async {
            match exchange.head().method() {
                b"GET" => self.get(exchange).await,
                b"HEAD" => self.head(exchange).await,
                b"POST" => self.post(exchange).await,
                b"PUT" => self.put(exchange).await,
                b"DELETE" => self.delete(exchange).await,
                b"OPTIONS" => self.options(exchange).await,
                b"PATCH" => self.patch(exchange).await,
                _ => self.fallback(exchange).await,
            }
        }
    }
}

impl<F> Handler for F
where
    F: Fn(&mut Exchange<'_>) -> io::Result<()> + Send + Sync + 'static,
{
    async fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self(exchange)
    }
}
