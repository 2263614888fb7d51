//! Everything that can be set about a server: one plain struct, shared by both drivers.
//!
//! ```
//! use doorstep_blocking::Config;
//!
//! let config = Config { max_connections: 64, ..Config::default() };
//! assert_eq!(config.server, "doorstep/0.1");
//! ```

use std::time::Duration;

use doorstep_core::http1::{Connection, Growing, Inbox, Limits, Outbox, Timeouts, Version};

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
    /// Connections at once, a number. When there are as many, the one that has been idle longest
    /// makes room for a new one (B-286). There are fewer where this process may have few descriptors
    /// ([`crate::host::connections`]).
    pub max_connections: usize,
    /// What is still received of a client once its last response is out, in bytes, as long as
    /// [`Timeouts::linger`] and its rate are kept; beyond it the connection is reset, which may cost
    /// the client that response.
    pub linger: u64,
    /// How long a stop takes at most, all in all (B-282): responses under way have this time but for
    /// the last quarter, or 2 s of it if that is less, in which handlers are asked to end and then
    /// connections are cut. [`crate::Shutdown`] has the steps. Less than 100 ms is taken for that.
    pub grace: Duration,
    /// How long a stop waits for one more request on each connection that was kept or has sent none
    /// yet; the response says `Connection: close`. Then idle connections are closed. So a proxy that
    /// sends a request in the moment of the stop loses none. Part of [`Config::grace`].
    pub lame_duck: Duration,
    /// Threads at once of async-smol's pool for work that may wait (listings, digests, starting
    /// scripts, large uploads), a number, at least one. More work waits until one is free.
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
            max_connections: 512,
            linger: 1 << 30,
            grace: Duration::from_secs(8),
            lame_duck: Duration::from_secs(1),
            pool_threads: 64,
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
        Connection::new(self.limits).speaking(self.protocol)
    }

    /// An inbox for one connection; it grows to the largest head that is allowed, and a little.
    #[must_use]
    pub fn inbox(&self) -> Inbox<Growing> {
        let largest = self.limits.head as usize + usize::from(self.limits.trailers) + ROOM;
        Inbox::new(Growing::new(FIRST, largest))
    }

    /// An outbox whose answers begin with this server's fields.
    #[must_use]
    pub fn outbox(&self) -> Outbox {
        let mut outbox = Outbox::new(&self.server);
        for (name, value) in &self.fields {
            let _ = outbox.always(name, value.as_bytes());
        }
        outbox
    }
}
