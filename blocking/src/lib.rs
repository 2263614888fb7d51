//! doorstep-blocking: an HTTP/1.1 server on std threads.
//!
//! A thin driver around [`doorstep_core`]: it owns sockets, files and threads, and decides nothing
//! about HTTP. A service is a [`Handler`], or a closure; [`Files`] is a directory as one:
//!
//! ```no_run
//! use std::io;
//! use doorstep_blocking::{Exchange, Files, Handler, Server};
//!
//! struct Hello(Files);
//!
//! impl Handler for Hello {
//!     fn get(&self, x: &mut Exchange<'_>) -> io::Result<()> {
//!         match x.head().path() {
//!             b"/hello" => x.respond(200).header("Content-Type", "text/plain").body("hello\n"),
//!             _ => self.0.get(x),
//!         }
//!     }
//! }
//!
//! Server::bind("127.0.0.1:8000")?.serve(Hello(Files::new(".")?))
//! # ;Ok::<(), io::Error>(())
//! ```
//!
//! Deadlines and limits are on by default ([`Config`]). The number of threads is bounded; slow and
//! idle connections are evicted for new ones. [`host`] holds what the operating system is asked
//! for, and what does not wait here ([`Config`], [`turn`], [`directory`], [`scripts`], [`episode`])
//! serves the other driver too.

mod cgi;
mod config;
mod crew;
pub mod directory;
pub mod episode;
mod exchange;
mod files;
mod handler;
pub mod host;
mod listings;
pub mod registry;
mod response;
pub mod scripts;
mod serve;
mod server;
mod shutdown;
mod stopper;
pub mod turn;
mod undigested;
mod wire;

pub use cgi::Cgi;
pub use config::{Config, GATHER};
pub use doorstep_core as core;
pub use doorstep_core::log::Record;
pub use exchange::{Body, Exchange};
pub use files::Files;
pub use handler::Handler;
pub use response::{Response, Told};
pub use server::Server;
pub use shutdown::{Shutdown, Stopped};
pub use stopper::Stopper;
