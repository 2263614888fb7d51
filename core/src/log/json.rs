//! One JSON object (RFC 8259) a line.
//!
//! Every object has all of its members, in this order; what is not known is `null`. Strings are
//! escaped as in the other formats before they become JSON: control and format characters, and bytes
//! that are not UTF-8, are the text `\xNN`, and a backslash is doubled. So a program that prints a
//! value prints nothing that moves a cursor, and the bytes can be restored.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::escape::{escape_with, push_peer};
use super::{Level, LocalTime, Record, UNIX_PEER};
use crate::bytes::{push_decimal, push_display};
use crate::http1::date::{four_digits, two_digits};
use crate::http1::{Head, Version};

pub(super) fn write(out: &mut Vec<u8>, record: &Record<'_>, at: &LocalTime) {
    let head = record.head;
    let header = |name| head.and_then(|head| head.header(name));
    let peer = record.remote_addr;
    out.extend_from_slice(b"{\"time\":");
    push_time(out, at);
    member(out, "client", Some(peer.ip()), push_client);
    // A proxy may report an address without its port.
    let port = (peer.ip() != UNIX_PEER && peer.port() > 0).then_some(peer.port().into());
    member(out, "port", port, push_decimal);
    member(out, "user", record.user, push_string);
    member(out, "method", record.method(), push_string);
    member(out, "target", head, |out, head| {
        out.push(b'"');
        push_text(out, head.prefix());
        push_text(out, head.path());
        push_text(out, head.query_and_fragment());
        out.push(b'"');
    });
    member(out, "protocol", record.version(), |out, version| {
        out.extend_from_slice(match version {
            Version::Http09 => b"\"HTTP/0.9\"",
            Version::Http10 => b"\"HTTP/1.0\"",
            Version::Http11 => b"\"HTTP/1.1\"",
        });
    });
    // Of a valid request, the members above have it all.
    member(out, "request_line", head.is_none().then_some(record.request_line), push_string);
    member(out, "status", Some(record.status.into()), push_decimal);
    member(out, "bytes", Some(record.body_bytes_sent.unwrap_or(0)), push_decimal);
    member(out, "duration_ms", record.timing, |out, timing| {
        let micros = u64::try_from(timing.duration.as_micros()).unwrap_or(u64::MAX);
        push_decimal(out, micros / 1000);
        out.push(b'.');
        push_three_digits(out, micros % 1000);
    });
    member(out, "ending", Some(record.ending.as_str()), |out, ending| {
        push_string(out, ending.as_bytes());
    });
    member(out, "error", record.error_message, push_message);
    member(out, "host", head.and_then(Head::host), push_string);
    member(out, "referer", header("Referer"), push_string);
    member(out, "user_agent", header("User-Agent"), push_string);
    member(out, "tls", record.tls_version, |out, tls| push_string(out, tls.as_bytes()));
    member(out, "request_id", record.request_id, |out, id| {
        out.push(b'"');
        push_display(out, id);
        out.push(b'"');
    });
    out.extend_from_slice(b"}\n");
}

pub(super) fn write_message(
    out: &mut Vec<u8>,
    client: Option<IpAddr>,
    level: Level,
    at: &LocalTime,
    message: &[u8],
) {
    out.extend_from_slice(b"{\"time\":");
    push_time(out, at);
    member(out, "level", Some(level.as_str().as_bytes()), push_string);
    member(out, "client", client, push_client);
    member(out, "message", Some(message), push_message);
    out.extend_from_slice(b"}\n");
}

/// Appends a member behind others: its name, and its value by `push`, or `null`.
fn member<T>(out: &mut Vec<u8>, name: &str, value: Option<T>, push: impl FnOnce(&mut Vec<u8>, T)) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    match value {
        Some(value) => push(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

/// Appends the time in UTC, with milliseconds (RFC 3339).
fn push_time(out: &mut Vec<u8>, at: &LocalTime) {
    let civil = at.utc();
    out.push(b'"');
    out.extend_from_slice(&four_digits(civil.year));
    for (mark, n) in [
        (b'-', civil.month),
        (b'-', civil.day),
        (b'T', civil.hour),
        (b':', civil.minute),
        (b':', civil.second),
    ] {
        out.push(mark);
        out.extend_from_slice(&two_digits(n));
    }
    out.push(b'.');
    push_three_digits(out, at.millisecond.into());
    out.extend_from_slice(b"Z\"");
}

fn push_three_digits(out: &mut Vec<u8>, n: u64) {
    out.extend([n / 100, n / 10, n].map(|n| b'0' + (n % 10) as u8));
}

fn push_client(out: &mut Vec<u8>, client: IpAddr) {
    out.push(b'"');
    push_peer(out, client);
    out.push(b'"');
}

fn push_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    push_text(out, text);
    out.push(b'"');
}

/// Appends text from a client within a string: a backslash in it is doubled, and then each again.
fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    escape_with(out, text, b"\\\\x", |byte| match byte {
        b'"' => Some(b"\\\""),
        b'\\' => Some(b"\\\\\\\\"),
        _ => None,
    });
}

/// Appends a message as a string. Text quoted in it was escaped when it was quoted (B-104).
fn push_message(out: &mut Vec<u8>, message: &[u8]) {
    out.push(b'"');
    escape_with(out, message, b"\\\\x", |byte| match byte {
        b'"' => Some(b"\\\""),
        b'\\' => Some(b"\\\\"),
        _ => None,
    });
    out.push(b'"');
}
