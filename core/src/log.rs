//! Access log lines in the format of `http.server`.
//!
//! A [`Record`] is one finished response. [`write()`] appends its line when the response has
//! *ended*, so that the size is the number of bytes sent and an aborted response is marked (B-107).
//! Text from a peer is escaped: no request can move a terminal's cursor, reorder what it shows or
//! forge a line (B-103). [`escape_controls`] does the same for any other text that goes to a log or
//! a terminal. Time is passed as [`Civil`], in the time zone of the log.
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

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use core::time::Duration;

use crate::bytes::{push_decimal, push_display, push_hex};
use crate::http1::date::{Civil, four_digits, two_digits};
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
    /// The client's address and port. In a log line an IPv4-mapped IPv6 address is shown as IPv4
    /// (B-105).
    pub remote_addr: SocketAddr,
    /// The request line as received, without its line end (B-102); empty if there was none (B-004).
    pub request_line: &'a [u8],
    /// The status that was sent.
    pub status: u16,
    /// The number of body bytes that the socket has accepted, without the framing of chunks; `None`
    /// if that is none (B-101). Of an aborted response with chunks it may be less by their framing,
    /// never more.
    pub body_bytes_sent: Option<u64>,
    /// How the response has ended (B-107).
    pub ending: Ending,
    /// The message of an error response, which is logged in a line of its own before (B-081).
    pub error_message: Option<&'a [u8]>,
    /// The head of the request, for an access log that shows its headers (User-Agent, Referer, Host);
    /// `None` if what was received is not a valid head.
    pub head: Option<&'a Head<'a>>,
    /// The user as whom the client has authenticated (`REMOTE_USER`, RFC 3875 §4.1.11). `None` unless
    /// the embedder sets it: no front end does, since a handler checks passwords, and not the server.
    pub user: Option<&'a [u8]>,
    /// The version of TLS (`TLSv1.2`, `TLSv1.3`); `None` if the connection is not encrypted.
    pub tls_version: Option<&'a str>,
    /// When the exchange began, and how long it took; `None` if it was not measured.
    pub timing: Option<Timing>,
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
}

impl Ending {
    /// The word for a log: `complete`, `aborted`, `disconnected` or `timed_out`.
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
            ending: Ending::Complete,
            error_message: None,
            head: None,
            user: None,
            tls_version: None,
            timing: None,
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

/// Appends the line for `record` (B-100): `IP - - [DD/Mon/YYYY HH:MM:SS] "LINE" STATUS BYTES`, with
/// ` cut` at the end of an aborted response. An error response has the line `… code 404, message
/// File not found` before it (B-081).
pub fn write(out: &mut Vec<u8>, record: &Record<'_>, at: &Civil) {
    if let Some(message) = record.error_message {
        prefix(out, record.remote_addr.ip(), at);
        out.extend_from_slice(b"code ");
        push_decimal(out, record.status.into());
        out.extend_from_slice(b", message ");
        escape_controls(out, message);
        out.push(b'\n');
    }
    prefix(out, record.remote_addr.ip(), at);
    out.push(b'"');
    escape(out, record.request_line);
    out.extend_from_slice(b"\" ");
    push_decimal(out, record.status.into());
    out.push(b' ');
    match record.body_bytes_sent {
        Some(bytes) => push_decimal(out, bytes),
        None => out.push(b'-'),
    }
    out.extend_from_slice(if record.is_aborted() { b" cut\n" } else { b"\n" });
}

/// Appends a message of the server about the client `peer`: why something was refused or aborted.
pub fn write_client_message(out: &mut Vec<u8>, peer: IpAddr, at: &Civil, message: &[u8]) {
    prefix(out, peer, at);
    escape_controls(out, message);
    out.push(b'\n');
}

/// Appends a message of the server that concerns no client.
pub fn write_server_message(out: &mut Vec<u8>, at: &Civil, message: &[u8]) {
    out.push(b'-');
    date(out, at);
    escape_controls(out, message);
    out.push(b'\n');
}

/// Appends `text` so that it is safe to show and unambiguous: as [`escape_controls`], and with
/// backslashes doubled (B-103).
pub fn escape(out: &mut Vec<u8>, text: &[u8]) {
    for (n, piece) in text.split(|&byte| byte == b'\\').enumerate() {
        if n > 0 {
            out.extend_from_slice(b"\\\\");
        }
        escape_controls(out, piece);
    }
}

/// Appends a message so that it is safe to show: control and format characters, and bytes that are
/// not UTF-8, become `\xNN`; everything else is unchanged. Text quoted in a message was escaped
/// when it was quoted, so backslashes are unchanged, too (B-104).
pub fn escape_controls(out: &mut Vec<u8>, text: &[u8]) {
    for piece in text.utf8_chunks() {
        let mut utf8 = [0; 4];
        for c in piece.valid().chars() {
            let bytes = c.encode_utf8(&mut utf8).as_bytes();
            if is_control_or_format(c) {
                push_escaped(out, bytes);
            } else {
                out.extend_from_slice(bytes);
            }
        }
        push_escaped(out, piece.invalid());
    }
}

/// Whether a character changes how others are shown, or where: controls (category Cc), format
/// characters (Cf, which includes the bidirectional controls), and separators of lines and
/// paragraphs (Zl, Zp). Unicode 16.
fn is_control_or_format(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    matches!(c,
        '\u{80}'..='\u{9f}' | '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
        | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0001}'
        | '\u{e0020}'..='\u{e007f}')
}

/// Appends the address of a peer as a log shows it.
fn push_peer(out: &mut Vec<u8>, peer: IpAddr) {
    match peer {
        UNIX_PEER => out.extend_from_slice(b"unix:"),
        _ => push_display(out, peer.to_canonical()),
    }
}

/// Appends each byte as `\xNN`.
fn push_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    for &byte in bytes {
        out.extend_from_slice(b"\\x");
        push_hex(out, byte);
    }
}

fn prefix(out: &mut Vec<u8>, peer: IpAddr, at: &Civil) {
    push_peer(out, peer);
    date(out, at);
}

fn date(out: &mut Vec<u8>, at: &Civil) {
    out.extend_from_slice(b" - - [");
    out.extend_from_slice(&two_digits(at.day));
    out.push(b'/');
    out.extend_from_slice(at.month_name());
    out.push(b'/');
    out.extend_from_slice(&four_digits(at.year));
    for (mark, n) in [(b' ', at.hour), (b':', at.minute), (b':', at.second)] {
        out.push(mark);
        out.extend_from_slice(&two_digits(n));
    }
    out.extend_from_slice(b"] ");
}

#[cfg(test)]
mod tests {
    use super::{Civil, Ending, Record, write, write_client_message};
    use crate::http1::Reject;
    use std::net::{Ipv4Addr, SocketAddr};

    const AT: Civil = Civil { year: 2026, month: 1, day: 2, hour: 3, minute: 4, second: 5 };
    const ROOT: Record<'_> = Record {
        remote_addr: SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 50123),
        request_line: b"GET / HTTP/1.1",
        status: 200,
        body_bytes_sent: None,
        ending: Ending::Complete,
        error_message: None,
        head: None,
        user: None,
        tls_version: None,
        timing: None,
        local_addr: None,
    };

    fn line(record: Record<'_>) -> String {
        let mut out = Vec::new();
        write(&mut out, &record, &AT);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn b_100_the_line_is_that_of_http_server() {
        assert_eq!(line(ROOT), "127.0.0.1 - - [02/Jan/2026 03:04:05] \"GET / HTTP/1.1\" 200 -\n");
    }

    #[test]
    fn b_101_the_size_is_the_number_of_bytes_sent() {
        assert!(line(Record { body_bytes_sent: Some(0), ..ROOT }).ends_with("\" 200 0\n"));
        assert!(
            line(Record { body_bytes_sent: Some(u64::MAX), ..ROOT })
                .ends_with(" 18446744073709551615\n")
        );
    }

    #[test]
    fn b_004_b_102_the_request_line_is_raw_and_may_be_empty() {
        let spaced = line(Record { request_line: b"  GET   /a.txt   HTTP/1.0  ", ..ROOT });
        assert!(spaced.contains("] \"  GET   /a.txt   HTTP/1.0  \" 200"));
        assert!(
            line(Record { request_line: b"", status: 414, ..ROOT }).ends_with("] \"\" 414 -\n")
        );
    }

    #[test]
    fn b_103_no_control_byte_reaches_the_terminal() {
        let hostile =
            line(Record { request_line: b"a\x1b[2J\r\n\x7f\\\xc2\x85\xff\"\x00", ..ROOT });
        assert!(hostile.contains(r#""a\x1b[2J\x0d\x0a\x7f\\\xc2\x85\xff"\x00" 200"#), "{hostile}");
        assert!(
            line(Record { request_line: "GET /é😀\u{a0}".as_bytes(), ..ROOT })
                .contains("/é😀\u{a0}\"")
        );
    }

    #[test]
    fn r_14_nothing_that_reorders_or_hides_text_reaches_the_terminal() {
        for (c, shown) in [
            ('\u{202e}', r"\xe2\x80\xae"), // right-to-left override
            ('\u{2066}', r"\xe2\x81\xa6"),
            ('\u{2028}', r"\xe2\x80\xa8"),
            ('\u{9b}', r"\xc2\x9b"),
            ('\u{ad}', r"\xc2\xad"),
            ('\u{feff}', r"\xef\xbb\xbf"),
            ('\u{e0041}', r"\xf3\xa0\x81\x81"),
        ] {
            let hostile = format!("GET /a{c}gpj.exe HTTP/1.1");
            let expected = format!("a{shown}gpj.exe");
            assert!(line(Record { request_line: hostile.as_bytes(), ..ROOT }).contains(&expected));
            let failed = Record { error_message: Some(hostile.as_bytes()), ..ROOT };
            assert!(line(failed).contains(&expected));
            let mut out = Vec::new();
            write_client_message(&mut out, ROOT.remote_addr.ip(), &AT, hostile.as_bytes());
            assert!(String::from_utf8(out).unwrap().contains(&expected));
        }
        let harmless = "/Åland/e\u{301}/שלום/日本/\u{1f980}\u{fe0f}";
        assert!(line(Record { request_line: harmless.as_bytes(), ..ROOT }).contains(harmless));
    }

    #[test]
    fn b_105_the_client_is_an_address_and_mapped_ones_are_unmapped() {
        for (peer, shown) in [
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("::1", "::1"),
            ("fe80::2", "fe80::2"),
            ("100::", "unix:"),
        ] {
            let remote_addr = SocketAddr::new(peer.parse().unwrap(), 1);
            let text = line(Record { remote_addr, ..ROOT });
            assert!(text.starts_with(&format!("{shown} - - [")), "{text}");
        }
    }

    #[test]
    fn b_107_an_aborted_response_is_marked() {
        for ending in [Ending::Aborted, Ending::ClientDisconnected, Ending::TimedOut] {
            let text = line(Record { body_bytes_sent: Some(7), ending, ..ROOT });
            assert!(text.ends_with("\" 200 7 cut\n"));
        }
    }

    #[test]
    fn b_081_b_104_an_error_has_a_line_of_its_own_escaped_once() {
        let mut out = Vec::new();
        let mut message = Vec::new();
        Reject::BadSyntax.write_reason(b"\x16\x03\\", &mut message);
        write(&mut out, &Record { status: 400, error_message: Some(&message), ..ROOT }, &AT);
        write_client_message(&mut out, ROOT.remote_addr.ip(), &AT, b"left\x1b\\d");
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "127.0.0.1 - - [02/Jan/2026 03:04:05] code 400, message Bad request syntax ('\\x16\\x03\\\\')\n\
             127.0.0.1 - - [02/Jan/2026 03:04:05] \"GET / HTTP/1.1\" 400 -\n\
             127.0.0.1 - - [02/Jan/2026 03:04:05] left\\x1b\\d\n"
        );
    }
}
