//! doorstep-async-smol: an HTTP/1.1 server on smol and async-io.
//!
//! A thin front end over [`doorstep_driver`], which makes the decisions: here is what waits. An
//! application implements [`Handler`], whose methods are async, or passes an async function
//! ([`handler_fn`]); [`Files`] serves a directory and [`Cgi`] runs CGI scripts. The names are those of
//! `doorstep_blocking`.
//!
//! ```no_run
//! use std::io;
//! use doorstep_async_smol::{AccessLog, Exchange, Files, Handler, Server};
//!
//! struct Hello(Files);
//!
//! impl Handler for Hello {
//!     async fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
//!         match exchange.head().path() {
//!             b"/hello" => exchange.respond(200).header("Content-Type", "text/plain").body("hello\n"),
//!             _ => self.0.handle(exchange).await,
//!         }
//!     }
//! }
//!
//! let service = Hello(Files::new(".")?).with_observer(AccessLog::stderr()?);
//! smol::block_on(Server::bind("127.0.0.1:8000")?.serve(service))
//! # ;Ok::<(), io::Error>(())
//! ```
//!
//! Without an observer nothing is logged, not even that a handler has failed: [`AccessLog`] is the log of
//! the command, with a line for each request and each error.
//!
//! [`Server::serve`] is one future, for any executor: everything it starts lives inside it, so
//! dropping it leaves no task and no descriptor behind. [`Server::run`] serves on several threads. An
//! idle connection holds its socket and a small task, but no buffer, and no request sets a timer. Work
//! that blocks (listings, digests, starting scripts) is done on a few threads that belong to the server
//! and end with it; handlers can use them, too ([`Exchange::unblock`]).
//!
//! Unix only: Linux is the system for production, macOS and FreeBSD compile and are not tested, Windows
//! is not supported. The protocol is HTTP/1.1, with the feature `tls` also over TLS: for HTTP/2 and HTTP/3
//! put a reverse proxy in front. docs/stability.md in the repository has what may change between releases,
//! Rust versions, panics, threads.
//!
//! Numbers such as B-301 name rows of the project's specification. docs/differences.md lists them,
//! and describes where the behaviour differs from that of `http.server`.

#![forbid(unsafe_code)]

mod balance;
mod blocking_pool;
mod eager_read;
mod exchange;
mod handler;
mod handler_fn;
mod job;
#[cfg_attr(not(target_os = "linux"), path = "poller_portable.rs")]
mod poller;
mod process_io;
mod reactor;
mod reusable_future;
mod serve;
mod server;
mod slow_network;
mod socket;
pub mod test;
mod worker;

/// Its `Async` is the socket that [`Exchange::upgraded`] returns.
pub use async_io;
pub use doorstep_core as core;
pub use doorstep_core::http1::{ErrorPage, ErrorPages};
pub use doorstep_core::site::Site;
/// The driver crate, for what is not exported here: sockets, system calls, the parts of front ends.
pub use doorstep_driver as driver;
#[cfg(feature = "auth")]
pub use doorstep_driver::auth::{Auth, AuthError, AuthSettings, WithAuth};
pub use doorstep_driver::cgi::{Cgi, CgiSettings, ProcessLimit};
pub use doorstep_driver::exchange::ExchangeView;
pub use doorstep_driver::files::{CacheLimits, Files};
pub use doorstep_driver::net::{
    Cuts, Listener, MemoryStream, NetworkSettings, PeerState, Stream, TrustedProxies,
};
#[cfg(feature = "tls")]
pub use doorstep_driver::net::{TlsError, TlsSettings};
pub use doorstep_driver::os::{Log, Symlinks};
pub use doorstep_driver::upload::UploadSettings;
pub use doorstep_driver::{
    AccessLog, Config, Direction, Ending, Format, Health, IdleStep, IdleTimer, Observer, Record,
    Response, ShutdownHandle, ShutdownReport, ShutdownSchedule, StopConditions, Stopping, Timing,
    Transfer, TransferReport, TransferStart, Transfers, WithObserver, WithStopConditions,
};
pub use exchange::{Body, Exchange};
pub use handler::Handler;
pub use handler_fn::{handler_fn, handler_fn_with};
pub use serve::{run_stream, serve_stream};
pub use server::Server;
pub use slow_network::{Relaying, SlowNetwork};
/// Its `io::AsyncReadExt` has the methods to read a [`Body`].
pub use smol;

#[cfg(doctest)]
#[doc = include_str!("../tests/misuse.md")]
struct MisuseDoesNotCompile;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
