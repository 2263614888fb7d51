//! doorstep-driver: what every front end needs and none should write again.
//!
//! It holds every decision of a server that is not HTTP's: files beneath a root, scripts,
//! connections, deadlines, the shutdown. It never waits and starts no executor: what has to be
//! waited for is returned to the front end.

pub mod config;
pub mod directory;
pub mod episode;
pub mod host;
mod listings;
pub mod registry;
pub mod response;
pub mod scripts;
pub mod shutdown;
pub mod stopper;
pub mod turn;
mod undigested;

pub use config::{Config, GATHER};
pub use doorstep_core as core;
pub use doorstep_core::log::Record;
pub use response::{Response, Told};
pub use shutdown::{Shutdown, Stopped};
pub use stopper::Stopper;
