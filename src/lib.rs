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
//! It has no items of its own. With `default-features = false`, that is without the feature `cli`, it
//! does not build the dependencies of the command.
//!
//! Linux is the system for production; macOS and FreeBSD compile and are not tested, and Windows is not
//! supported. It is HTTP/1.1, with the feature `tls` also over TLS: for HTTP/2 and HTTP/3 put a reverse
//! proxy in front. docs/stability.md has what may change, Rust versions, panics, and what dropping a future does;
//! docs/deploy.md has proxies and services.
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

/// The Rust examples of the README and of the guides, which are tests. tests/documents.rs checks that
/// every document with one is here.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/architecture.md")]
    struct Architecture;
    #[doc = include_str!("../docs/authentication.md")]
    struct Authentication;
    #[doc = include_str!("../docs/cgi.md")]
    struct Cgi;
    #[doc = include_str!("../docs/choosing.md")]
    struct Choosing;
    #[doc = include_str!("../docs/cookbook.md")]
    struct Cookbook;
    #[doc = include_str!("../docs/deploy.md")]
    struct Deploy;
    #[doc = include_str!("../docs/differences.md")]
    struct Differences;
    #[doc = include_str!("../docs/drivers.md")]
    struct Drivers;
    #[doc = include_str!("../docs/embedding.md")]
    struct Embedding;
    #[doc = include_str!("../docs/files.md")]
    struct Files;
    #[doc = include_str!("../docs/logs.md")]
    struct Logs;
    #[doc = include_str!("../docs/network.md")]
    struct Network;
    #[doc = include_str!("../docs/performance.md")]
    struct Performance;
    #[doc = include_str!("../docs/sharing.md")]
    struct Sharing;
    #[doc = include_str!("../docs/sockets.md")]
    struct Sockets;
    // It uses the driver crate's feature `sandbox`.
    #[cfg(feature = "cli")]
    #[doc = include_str!("../docs/security.md")]
    struct Security;
    #[doc = include_str!("../docs/proxies.md")]
    struct Proxies;
    #[doc = include_str!("../docs/stability.md")]
    struct Stability;
    #[doc = include_str!("../docs/terminal.md")]
    struct Terminal;
    #[doc = include_str!("../docs/testing.md")]
    struct Testing;
    #[doc = include_str!("../docs/tls.md")]
    struct Tls;
    #[doc = include_str!("../docs/uploads.md")]
    struct Uploads;
}
