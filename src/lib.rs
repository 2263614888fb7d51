//! A directory, or a small service, on the network: HTTP/1.1 as a pure state machine, with thin
//! drivers around it.
//!
//! The package `doorstep` is the command of that name; this library only gathers the crates it
//! stands on, so that one dependency brings them all:
//!
//! - [`core`] is the machine: bytes in, events out; answers in, bytes out. For those who have an
//!   event loop already.
//! - [`blocking`] is a server on std threads, with handlers and a file handler. For those who want
//!   neither a framework nor a runtime.
//! - [`smol`] is the same on smol and async-io. For those who have very many connections, or an
//!   executor.
//!
//! It promises nothing of its own and adds nothing to either.
//!
//! ```
//! assert_eq!(doorstep::core::http1::status::reason(404), "Not Found");
//! ```

#![forbid(unsafe_code)]

pub use doorstep_async_smol as smol;
pub use doorstep_blocking as blocking;
pub use doorstep_core as core;
pub use doorstep_driver as driver;

#[cfg(doctest)]
#[doc = include_str!("../docs/cgi.md")]
struct ItsProgramsCompile;
