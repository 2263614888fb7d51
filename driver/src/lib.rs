//! doorstep-driver: the part of a server that all front ends share, and that never waits.
//!
//! It makes every decision that is not about the HTTP protocol itself: files beneath a root, CGI
//! scripts, connections and their deadlines, eviction, graceful shutdown. It starts no executor and
//! never waits: it returns to the front end what has to be waited for. doorstep-blocking (a thread
//! pool) and doorstep-async-smol (workers with an executor each) are such front ends.
//!
//! - [`Config`] has the bounds and deadlines of connections, with their defaults.
//! - [`Admission`] decides about new connections, [`connections::Connections`] has those that are
//!   open, and [`exchange::Session`] decides about one of them.
//! - [`Files`] and [`Cgi`] respond to requests for files, directory listings and scripts by
//!   [`Job`]s.
//! - [`ShutdownHandle`] stops a server, and [`GracefulShutdown`] takes the steps of that.
//!   [`StopConditions`] stop it after a number of transfers, or a time without requests.
//! - [`Observer`] receives the reports of a server; [`AccessLog`] is one.
//!
//! ```
//! use doorstep_driver::core::http1::WaitingFor;
//! use doorstep_driver::exchange::{Session, Step};
//! use doorstep_driver::{Config, connections::Connections};
//! # use std::net::{TcpListener, TcpStream};
//! # let listener = TcpListener::bind("127.0.0.1:0")?;
//! # let client = TcpStream::connect(listener.local_addr()?)?;
//!
//! let (config, connections) = (Config::default(), Connections::default());
//! let (stream, peer) = listener.accept()?;
//! let connection = connections.register(stream, peer);
//! let (mut inbox, mut outbox) = (config.inbox(), config.outbox());
//! let mut session = Session::new(&config, &connection, &(), false);
//! // A front end carries out these steps, with or without `.await`.
//! let step = session.step(&mut inbox, &mut outbox);
//! assert!(matches!(step, Step::Fill(WaitingFor::Request)));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Unix only: Linux is the system for production, macOS and FreeBSD compile and are not tested, Windows
//! is not supported. The protocol is HTTP/1.1, with the feature `tls` also over TLS: for HTTP/2 and HTTP/3
//! put a reverse proxy in front. docs/stability.md in the repository has what may change between releases,
//! Rust versions, panics, threads.
//!
//! Numbers such as B-301 name rows of the project's specification. docs/differences.md lists them,
//! and describes where the behaviour differs from that of `http.server`.

mod access_log;
pub mod admission;
#[cfg(feature = "auth")]
pub mod auth;
pub mod bounds;
mod buffer_pool;
pub mod cgi;
pub mod config;
pub mod connections;
pub mod exchange;
pub mod files;
mod health;
mod heartbeat;
pub mod job;
pub mod log_throttle;
pub mod net;
mod observer;
pub mod os;
pub mod permit_wait;
mod process_limit;
mod request_number;
pub mod semaphore;
pub mod shutdown;
pub mod shutdown_handle;
pub mod stop_conditions;
mod stop_signal;
pub mod transfers;
pub mod upload;
mod with_observer;

pub use access_log::AccessLog;
pub use admission::Admission;
pub use buffer_pool::{BufferPool, Buffers};
pub use cgi::Cgi;
pub use config::{Config, FLUSH_THRESHOLD};
pub use doorstep_core as core;
pub use doorstep_core::log::{Ending, Format, Record, RequestId, Timing};
/// What a front end waits for is an `EventListener` of this crate: a thread waits by its `Listener`
/// trait, and a task awaits it.
pub use event_listener;
pub use exchange::response::Response;
pub use files::Files;
pub use health::{Health, HealthStatus};
pub use heartbeat::Heartbeat;
pub use job::{Job, JobStep};
pub use observer::{Observer, ShutdownReport, notify_observer};
pub use shutdown::{GracefulShutdown, ShutdownSchedule};
pub use shutdown_handle::ShutdownHandle;
pub use stop_conditions::{
    IdleStep, IdleTimer, StopConditions, TransferReport, TransferStart, WithStopConditions,
};
pub use stop_signal::Stopping;
pub use transfers::{Direction, Transfer, Transfers};
pub use with_observer::WithObserver;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
