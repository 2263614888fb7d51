//! doorstep-driver: the part of a server that every front end needs and that does not wait.
//!
//! It makes every decision that is not HTTP's: about files beneath a root, scripts, connections,
//! their deadlines, and shutdown. It starts no executor and does not wait: it returns what has to be
//! waited for to the front end.
//!
//! - [`Config`] has the bounds and deadlines of connections.
//! - [`Admission`] decides about new connections, [`connections::Connections`] has those that are
//!   open, and [`exchange::Session`] decides about one of them.
//! - [`ShutdownHandle`] stops a server, and [`GracefulShutdown`] takes the steps of that.
//! - [`Observer`] receives what a server reports.

pub mod admission;
pub mod cgi;
pub mod config;
pub mod connections;
pub mod exchange;
pub mod files;
pub mod job;
pub mod log_throttle;
pub mod net;
mod observer;
pub mod os;
pub mod permit_wait;
mod process_limit;
pub mod semaphore;
pub mod shutdown;
pub mod shutdown_handle;

pub use admission::Admission;
pub use cgi::Cgi;
pub use config::{Config, FLUSH_THRESHOLD};
pub use doorstep_core as core;
pub use doorstep_core::log::Record;
pub use exchange::response::Response;
pub use files::Files;
pub use job::{Job, JobStep};
pub use observer::{Observer, ShutdownReport};
pub use shutdown::{GracefulShutdown, ShutdownSchedule};
pub use shutdown_handle::ShutdownHandle;
