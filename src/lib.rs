//! Serve a directory, or a small service, over HTTP/1.1: a pure state machine with thin front ends
//! that do the I/O.
//!
//! The package `doorstep` is the command of that name. This library re-exports the crates that the
//! command is built on, so that one dependency provides them all:
//!
//! - [`core`] is the state machine: bytes in, events out; responses in, bytes out. For programs that
//!   have an event loop already.
//! - [`driver`] has everything a runtime needs that does not wait. For front ends on other runtimes.
//! - [`blocking`] is a server on std threads, with handlers and a handler for files. For programs
//!   that use neither a framework nor an async runtime.
//! - [`smol`] is the same on smol and async-io. For very many connections, or for programs that have
//!   an executor.
//!
//! It has no items of its own.
//!
//! ```
//! assert_eq!(doorstep::core::http1::status::reason(404), "Not Found");
//! ```
//!
//! Numbers such as B-301 name rows of the project's specification. docs/differences.md lists them,
//! and describes where the behaviour differs from that of `http.server`.

#![forbid(unsafe_code)]

pub use doorstep_async_smol as smol;
pub use doorstep_blocking as blocking;
pub use doorstep_core as core;
pub use doorstep_driver as driver;

/// The Rust examples of the README and of the guides, which are tests.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/cgi.md")]
    struct Cgi;
    #[doc = include_str!("../docs/choosing.md")]
    struct Choosing;
    #[doc = include_str!("../docs/drivers.md")]
    struct Drivers;
    #[doc = include_str!("../docs/embedding.md")]
    struct Embedding;
    #[doc = include_str!("../docs/files.md")]
    struct Files;
}
