//! A health check: a path at which a load balancer asks whether the server takes requests.
//!
//! `GET` and `HEAD` of the path are responded with 200 and `ok`, from memory, without a look at the
//! file system, and with 503 and `stopping` once a shutdown has begun, so that no further requests
//! are sent here. Other requests go to the handler. Each front end implements its `Handler` for it.
//!
//! It says that connections are accepted and requests are parsed, and nothing about the files.
//!
//! ```
//! use doorstep_driver::{Files, Health};
//!
//! let files = Health::new("/healthz", Files::new(".")?);
//! assert_eq!(files.path(), "/healthz");
//! # Ok::<(), std::io::Error>(())
//! ```

use std::io;
use std::ops::Deref;

use doorstep_core::http1::Head;

use crate::exchange::response::Response;

/// A handler with a health check in front of it. It dereferences to the handler.
#[derive(Debug)]
pub struct Health<H> {
    path: String,
    handler: H,
}

/// What a health check responds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthStatus {
    /// The server takes requests: 200.
    Ok,
    /// It stops: 503.
    Stopping,
}

impl<H> Health<H> {
    /// Responds at `path`, which is compared as it is sent, without a query. No path is equal to an
    /// empty one.
    #[must_use]
    pub fn new(path: impl Into<String>, handler: H) -> Self {
        Self { path: path.into(), handler }
    }

    /// The path of the health check.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// For front ends: what to respond to the request `head`; `None` if the handler responds.
    #[must_use]
    pub fn check(&self, head: Head<'_>, is_stopping: bool) -> Option<HealthStatus> {
        let asked =
            head.path() == self.path.as_bytes() && matches!(head.method(), b"GET" | b"HEAD");
        asked.then_some(if is_stopping { HealthStatus::Stopping } else { HealthStatus::Ok })
    }
}

impl HealthStatus {
    /// The status of the response.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::Stopping => 503,
        }
    }

    /// For front ends: completes the response with this status.
    ///
    /// # Errors
    /// Returns [`Misuse`](doorstep_core::http1::Misuse) if a response had begun before.
    pub fn send(self, response: Response<'_>) -> io::Result<()> {
        let response = response.header("Content-Type", "text/plain");
        response.header("Cache-Control", "no-store").body(match self {
            Self::Ok => "ok\n",
            Self::Stopping => "stopping\n",
        })
    }
}

impl<H> Deref for Health<H> {
    type Target = H;

    fn deref(&self) -> &H {
        &self.handler
    }
}
