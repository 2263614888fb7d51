//! Lines of the access log and of the error log, in three formats.
//!
//! A [`Record`] is one finished response. Its line is made when the response has *ended*, so that the
//! size is the number of bytes sent and an aborted response is marked (B-107). [`Format`] chooses the
//! format: that of `http.server`, which [`write()`] appends, the combined format of Apache and nginx,
//! or JSON. docs/logs.md in the repository describes them for those who read logs.
//!
//! Text from a peer is escaped in all of them: no request can move a terminal's cursor, reorder what
//! it shows or forge a line (B-103). [`escape_controls`] does the same for any other text that goes
//! to a log or a terminal. There is no clock here: the time is an argument, as [`Civil`](crate::http1::date::Civil) or
//! [`LocalTime`], in the time zone of the log.
//!
//! ```
//! use doorstep_core::http1::date::Civil;
//! use doorstep_core::log::{self, Record};
//!
//! let at = Civil { year: 2026, month: 11, day: 3, hour: 9, minute: 5, second: 7 };
//! let mut record = Record::new(([127, 0, 0, 1], 50123).into(), b"GET / HTTP/1.1", 200);
//! record.body_bytes_sent = Some(512);
//! let mut out = Vec::new();
//! log::write(&mut out, &record, &at);
//! assert_eq!(out, b"127.0.0.1 - - [03/Nov/2026 09:05:07] \"GET / HTTP/1.1\" 200 512\n");
//! ```

mod combined;
mod escape;
mod format;
mod json;
mod local_time;
mod python;
mod request_id;

use core::fmt;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use core::time::Duration;

pub use escape::{escape, escape_controls, is_control_or_format};
pub use format::{Format, Level};
pub use local_time::LocalTime;
pub use python::{write, write_client_message, write_colored, write_server_message};
pub use request_id::RequestId;

use crate::http1::{Head, Version};

/// The address that stands for the peer of a Unix socket, which has no IP address: one from which
/// no packet comes (RFC 6666). In a log line it is `unix:`.
pub const UNIX_PEER: IpAddr = IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0));

/// One response that has ended. Interim responses (1xx) are not logged (B-106).
///
/// ```
/// use doorstep_core::log::{Ending, Record};
///
/// let mut record = Record::new(([127, 0, 0, 1], 50123).into(), b"GET / HTTP/1.1", 200);
/// assert!(!record.is_aborted() && record.body_bytes_sent.is_none());
/// record.ending = Ending::ClientDisconnected;
/// assert!(record.is_aborted());
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Record<'a> {
    /// The client's address and port: those of the peer, or those that trusted proxies report
    /// ([`forwarded`](crate::forwarded)). In a log line an IPv4-mapped IPv6 address is shown as IPv4
    /// (B-105).
    pub remote_addr: SocketAddr,
    /// The request line as received, without its line end (B-102); empty if there was none (B-004).
    pub request_line: &'a [u8],
    /// The status that was sent.
    pub status: u16,
    /// The number of body bytes that the socket has accepted, without the framing of chunks; `None`
    /// if it is 0 (B-101). Of an aborted response with chunks it may be less by their framing,
    /// never more.
    pub body_bytes_sent: Option<u64>,
    /// The number of bytes of the request's body that the handler has read, without the framing of
    /// chunks.
    pub body_bytes_received: u64,
    /// How the response has ended (B-107).
    pub ending: Ending,
    /// The message of an error response, which is logged in a line of its own before (B-081).
    pub error_message: Option<&'a [u8]>,
    /// The head of the request, for an access log that shows its headers (User-Agent, Referer, Host);
    /// `None` if what was received is not a valid head.
    pub head: Option<&'a Head<'a>>,
    /// The user as whom the client has authenticated (`REMOTE_USER`, RFC 3875 §4.1.11). `None` unless a
    /// handler has verified who it is: in the front ends `Handler::with_auth` does, or a handler that
    /// calls `Exchange::set_user`.
    pub user: Option<&'a [u8]>,
    /// When the exchange began, and how long it took; `None` if it was not measured.
    pub timing: Option<Timing>,
    /// The version of TLS, such as `TLSv1.3`; `None` without TLS.
    pub tls_version: Option<&'a str>,
    /// The id of the request. `None` if no format needs it.
    pub request_id: Option<RequestId>,
    local_addr: Option<LocalAddr<'a>>,
}

/// How a response has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Ending {
    /// All of it was sent. The client may nevertheless have disconnected before it received the last
    /// bytes.
    #[default]
    Complete,
    /// The server has aborted it: the handler has failed, or a shutdown did not wait any longer.
    Aborted,
    /// The client has closed or reset the connection.
    ClientDisconnected,
    /// The client was too slow, in sending the request or in receiving the response.
    TimedOut,
    /// The server has cut it in the middle on purpose, to test the client.
    CutOnPurpose,
}

impl Ending {
    /// The word for a log: `complete`, `aborted`, `disconnected`, `timed_out` or `cut_on_purpose`.
    ///
    /// ```
    /// use doorstep_core::log::Ending;
    ///
    /// assert_eq!(Ending::ClientDisconnected.as_str(), "disconnected");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Aborted => "aborted",
            Self::ClientDisconnected => "disconnected",
            Self::TimedOut => "timed_out",
            Self::CutOnPurpose => "cut_on_purpose",
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// When an exchange began, and how long it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// When its head was complete: the time since 1970-01-01 00:00 UTC.
    pub start: Duration,
    /// The time from then until the last byte of the response was sent.
    pub duration: Duration,
}

impl Timing {
    /// A start, as the time since 1970-01-01 00:00 UTC, and a duration.
    #[must_use]
    pub fn new(start: Duration, duration: Duration) -> Self {
        Self { start, duration }
    }

    /// When the exchange has ended: the time since 1970-01-01 00:00 UTC.
    #[must_use]
    pub fn end(&self) -> Duration {
        self.start.saturating_add(self.duration)
    }
}

/// Determines the server's address of a connection when it is asked for.
#[derive(Clone, Copy)]
struct LocalAddr<'a>(&'a (dyn Fn() -> Option<SocketAddr> + Sync));

impl fmt::Debug for LocalAddr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalAddr")
    }
}

impl<'a> Record<'a> {
    /// A complete response without a body; whatever else is known is set afterwards.
    #[must_use]
    pub fn new(remote_addr: SocketAddr, request_line: &'a [u8], status: u16) -> Self {
        Self {
            remote_addr,
            request_line,
            status,
            body_bytes_sent: None,
            body_bytes_received: 0,
            ending: Ending::Complete,
            error_message: None,
            head: None,
            user: None,
            timing: None,
            tls_version: None,
            request_id: None,
            local_addr: None,
        }
    }

    /// Sets what [`Record::local_addr`] calls. It is a function because the address costs a system
    /// call, which few logs need.
    #[must_use]
    pub fn with_local_addr(mut self, get: &'a (dyn Fn() -> Option<SocketAddr> + Sync)) -> Self {
        self.local_addr = Some(LocalAddr(get));
        self
    }

    /// The address and port that the client has connected to; `None` if it is not known (any more).
    /// May cost a system call.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.local_addr.and_then(|local| local.0())
    }

    /// Whether the response was aborted before its end (B-107).
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.ending != Ending::Complete
    }

    /// The method of the request; `None` if it has no valid head.
    #[must_use]
    pub fn method(&self) -> Option<&'a [u8]> {
        self.head.map(Head::method)
    }

    /// The path of the request, undecoded, without query ([`Head::path`]); `None` if it has no valid
    /// head.
    #[must_use]
    pub fn path(&self) -> Option<&'a [u8]> {
        self.head.map(Head::path)
    }

    /// The protocol version of the request; `None` if it has no valid head.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.head.map(Head::version)
    }
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod format_tests;
