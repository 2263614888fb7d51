//! The formats by name, and the lines that each of them has.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::{LocalTime, Record, combined, json, python};

/// A format of log lines, for responses and for messages.
///
/// ```
/// use doorstep_core::log::{Format, Level, LocalTime, Record};
///
/// let at = LocalTime::new(1_784_000_000, 3600);
/// let record = Record::new(([192, 0, 2, 7], 50123).into(), b"GET / HTTP/1.1", 204);
/// let mut out = Vec::new();
/// Format::Combined.write(&mut out, &record, &at);
/// let client = record.remote_addr.ip();
/// Format::Json.write_message(&mut out, Some(client), Level::Error, &at, b"lost");
/// assert_eq!(
///     String::from_utf8(out).unwrap(),
///     "192.0.2.7 - - [14/Jul/2026:04:33:20 +0100] \"GET / HTTP/1.1\" 204 - \"-\" \"-\"\n\
///      {\"time\":\"2026-07-14T03:33:20.000Z\",\"level\":\"error\",\"client\":\"192.0.2.7\",\
///      \"message\":\"lost\"}\n",
/// );
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Format {
    /// That of Python's `http.server` (B-100).
    #[default]
    Python,
    /// The combined format of Apache and nginx, which most log analysers read. Messages are as in an
    /// error log of Apache 2.2.
    Combined,
    /// One JSON object (RFC 8259) a line.
    Json,
}

/// How serious a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Level {
    /// Something failed.
    Error,
    /// Something that may need attention.
    Warning,
    /// For information.
    Info,
}

impl Level {
    /// The word for a log: `error`, `warn` or `info`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warn",
            Self::Info => "info",
        }
    }
}

impl Format {
    /// Appends the line for `record`, which has ended at `at`. [`Format::Python`] has another line
    /// before that of an error response.
    pub fn write(self, out: &mut Vec<u8>, record: &Record<'_>, at: &LocalTime) {
        match self {
            Self::Python => python::write(out, record, &at.civil()),
            Self::Combined => combined::write(out, record, at),
            Self::Json => json::write(out, record, at),
        }
    }

    /// Appends a message of the server about `client`; `None` if it concerns no client.
    /// [`Format::Python`] shows no level.
    pub fn write_message(
        self,
        out: &mut Vec<u8>,
        client: Option<IpAddr>,
        level: Level,
        at: &LocalTime,
        message: &[u8],
    ) {
        match (self, client) {
            (Self::Python, Some(client)) => {
                python::write_client_message(out, client, &at.civil(), message);
            }
            (Self::Python, None) => python::write_server_message(out, &at.civil(), message),
            (Self::Combined, _) => combined::write_message(out, client, level, at, message),
            (Self::Json, _) => json::write_message(out, client, level, at, message),
        }
    }

    /// Whether lines have the duration of the exchange ([`Record::timing`]).
    #[must_use]
    pub const fn has_timing(self) -> bool {
        matches!(self, Self::Json)
    }

    /// Whether lines have the id of the request.
    #[must_use]
    pub const fn has_request_id(self) -> bool {
        matches!(self, Self::Json)
    }
}
