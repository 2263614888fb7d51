//! Everything that can be set about a server: one plain struct, shared by both drivers.
//!
//! ```
//! use doorstep_driver::Config;
//! use std::num::NonZeroUsize;
//!
//! let config = Config { max_connections: NonZeroUsize::new(64), ..Config::default() };
//! assert_eq!(config.server, "doorstep/0.1");
//! ```

use std::num::NonZeroUsize;
use std::time::Duration;

use doorstep_core::http1::{Connection, GrowableBuffer, Inbox, Limits, Outbox, Timeouts, Version};

/// How a server serves. The defaults are fit for the open network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What one peer can make us hold or read; each field names its status.
    pub limits: Limits,
    /// How long we wait for whom.
    pub timeouts: Timeouts,
    /// The version of our answers: HTTP/1.0 closes after each (B-042).
    pub protocol: Version,
    /// The Server field's value; empty for none (B-063).
    pub server: String,
    /// Fields of every final answer, name and value (B-293). What cannot be a field is left out.
    pub fields: Vec<(String, String)>,
    /// Bytes that are still received and discarded after the last response, while
    /// [`Timeouts::linger`] and its rate are kept; beyond it the connection is reset, which may
    /// cost the client that response. 1 GiB.
    pub linger: u64,
    /// Concurrent connections, a number; `None` is the front end's default: 1,024 on threads,
    /// 10,000 on smol. When there are as many, one that is slow or idle is evicted for a new one;
    /// while nobody can be, new ones wait in the listener's backlog (B-286). There are fewer where
    /// this process may have few descriptors ([`crate::os::connections`]): with the usual soft
    /// limit of 1,024 there are 659, unless that is raised, as
    /// [`crate::Server::raise_descriptor_limit`] does.
    pub max_connections: Option<NonZeroUsize>,
    /// How long a connection may be idle, or in the middle of a head, or of a body or a response
    /// below [`Config::eviction_rate`], before it can be evicted. A second. Matters only when the
    /// server is full: then an idle connection is closed without a word, a slow request gets a 408
    /// and a slow receiver a reset.
    pub eviction_grace: Duration,
    /// The same for a connection that has not asked for anything yet. 2 s.
    pub first_request_grace: Duration,
    /// While the server is full and nobody can be evicted: how long it takes until every connection
    /// was asked to end with its next response (`Connection: close`), so that all clients get their
    /// turn. 100 ms.
    pub turn: Duration,
    /// Bytes per second at which a body or a response is not slow, and cannot be evicted. 4096.
    pub eviction_rate: u32,
    /// How long a stop takes at most, all in all (B-282): responses under way have this time but
    /// for the last quarter, or 2 s of it if that is less, in which handlers are asked to end and
    /// then connections are cut. 8 s. [`crate::Shutdown`] has the steps. The minimum is 100 ms.
    pub grace: Duration,
    /// How long a stop waits for one more request on each connection that was kept or has sent none
    /// yet; the response says `Connection: close`. Then idle connections are closed. So a proxy
    /// that sends a request in the moment of the stop loses none. Part of [`Config::grace`]. 1 s.
    pub lame_duck: Duration,
    /// Threads at once of async-smol's pool for work that may wait (listings, digests, starting
    /// scripts, large uploads), a number, at least one. More work waits until one is free. 64.
    pub pool_threads: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            protocol: Version::Http11,
            server: concat!(
                "doorstep/",
                env!("CARGO_PKG_VERSION_MAJOR"),
                ".",
                env!("CARGO_PKG_VERSION_MINOR")
            )
            .into(),
            fields: Vec::new(),
            linger: 1 << 30,
            grace: Duration::from_secs(8),
            lame_duck: Duration::from_secs(1),
            pool_threads: 64,
            max_connections: None,
            eviction_grace: Duration::from_secs(1),
            first_request_grace: Duration::from_secs(2),
            turn: Duration::from_millis(100),
            eviction_rate: 4096,
        }
    }
}

/// What an inbox begins with, in bytes: more than nearly every head.
const FIRST: usize = 2 << 10;
/// What a body finds behind the largest head, in bytes.
const ROOM: usize = 16 << 10;
/// What an outbox may gather before it is flushed, in bytes, and keeps between connections.
pub const GATHER: usize = 64 << 10;

impl Config {
    /// A machine for one connection.
    #[must_use]
    pub fn connection(&self) -> Connection {
        Connection::new(self.limits).with_version(self.protocol)
    }

    /// An inbox for one connection; it grows to the largest head that is allowed, and a little.
    #[must_use]
    pub fn inbox(&self) -> Inbox<GrowableBuffer> {
        let largest = self.limits.head as usize + usize::from(self.limits.trailers) + ROOM;
        Inbox::new(GrowableBuffer::new(FIRST, largest))
    }

    /// An outbox whose answers begin with this server's fields.
    #[must_use]
    pub fn outbox(&self) -> Outbox {
        let mut outbox = Outbox::new(&self.server);
        for (name, value) in &self.fields {
            let _ = outbox.add_default_header(name, value.as_bytes());
        }
        outbox
    }
}
