//! doorstep-driver: what every front end needs and none should write again.
//!
//! It holds every decision of a server that is not HTTP's: files beneath a root, scripts,
//! connections, deadlines, the shutdown. It never waits and starts no executor: what has to be
//! waited for is returned to the front end.

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
pub mod semaphore;
pub mod shutdown;
pub mod shutdown_handle;

pub use cgi::Cgi;
pub use config::{Config, FLUSH_THRESHOLD};
pub use doorstep_core as core;
pub use doorstep_core::log::Record;
pub use exchange::response::{Response, ResponseRecord};
pub use files::Files;
pub use job::{Job, JobStep};
pub use observer::Observer;
pub use shutdown::{GracefulShutdown, ShutdownReport, ShutdownSchedule};
pub use shutdown_handle::ShutdownHandle;
