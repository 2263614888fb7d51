//! The combined format of Apache and nginx, and messages as in an error log of Apache 2.2.
//!
//! `CLIENT - USER [DD/Mon/YYYY:HH:MM:SS +HHMM] "LINE" STATUS BYTES "REFERER" "USER AGENT"`, with `-`
//! for what is not known. There is no mark of an aborted response, because programs that read this
//! format expect nothing behind the user agent: its size tells. In quoted text, quotes and backslashes
//! are `\x22` and `\x5c`, as nginx writes them, so that a line can be split at its quotes.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::escape::{escape_controls, escape_with, push_peer};
use super::python::push_size;
use super::{Level, LocalTime, Record};
use crate::bytes::push_decimal;
use crate::http1::Head;
use crate::http1::date::{self, four_digits, two_digits};

pub(super) fn write(out: &mut Vec<u8>, record: &Record<'_>, at: &LocalTime) {
    push_peer(out, record.remote_addr.ip());
    out.extend_from_slice(b" - ");
    match record.user.unwrap_or_default() {
        b"" => out.push(b'-'),
        user => push_text(out, user, true),
    }
    out.extend_from_slice(b" [");
    push_time(out, at);
    out.extend_from_slice(b"] ");
    push_quoted(out, record.request_line);
    out.push(b' ');
    push_decimal(out, record.status.into());
    out.push(b' ');
    push_size(out, record);
    for name in ["Referer", "User-Agent"] {
        out.push(b' ');
        push_quoted(
            out,
            record.head.and_then(|head: &Head<'_>| head.header(name)).unwrap_or_default(),
        );
    }
    out.push(b'\n');
}

/// Appends `[Thu Nov 26 19:03:14 2026] [error] [client 192.0.2.7] message`.
pub(super) fn write_message(
    out: &mut Vec<u8>,
    client: Option<IpAddr>,
    level: Level,
    at: &LocalTime,
    message: &[u8],
) {
    let civil = at.civil();
    let [w, e, k, ..] = date::format(at.unix.saturating_add(at.offset.into()));
    out.extend_from_slice(&[b'[', w, e, k, b' ']);
    out.extend_from_slice(civil.month_name());
    for (mark, n) in
        [(b' ', civil.day), (b' ', civil.hour), (b':', civil.minute), (b':', civil.second)]
    {
        out.push(mark);
        out.extend_from_slice(&two_digits(n));
    }
    out.push(b' ');
    out.extend_from_slice(&four_digits(civil.year));
    out.extend_from_slice(b"] [");
    out.extend_from_slice(level.as_str().as_bytes());
    out.extend_from_slice(b"] ");
    if let Some(client) = client {
        out.extend_from_slice(b"[client ");
        push_peer(out, client);
        out.extend_from_slice(b"] ");
    }
    escape_controls(out, message);
    out.push(b'\n');
}

/// Appends `26/Nov/2026:19:03:14 +0100`. Seconds of an offset are not shown: the time is that of the
/// offset that is.
fn push_time(out: &mut Vec<u8>, at: &LocalTime) {
    let minutes = at.offset / 60;
    let civil = LocalTime { offset: minutes * 60, ..*at }.civil();
    out.extend_from_slice(&two_digits(civil.day));
    out.push(b'/');
    out.extend_from_slice(civil.month_name());
    out.push(b'/');
    out.extend_from_slice(&four_digits(civil.year));
    for n in [civil.hour, civil.minute, civil.second] {
        out.push(b':');
        out.extend_from_slice(&two_digits(n));
    }
    out.extend_from_slice(if minutes < 0 { b" -" } else { b" +" });
    let minutes = minutes.unsigned_abs();
    out.extend_from_slice(&two_digits((minutes / 60 % 100) as u8));
    out.extend_from_slice(&two_digits((minutes % 60) as u8));
}

/// Appends text in quotes; `"-"` if it is empty.
fn push_quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    match text {
        b"" => out.push(b'-'),
        text => push_text(out, text, false),
    }
    out.push(b'"');
}

fn push_text(out: &mut Vec<u8>, text: &[u8], is_word: bool) {
    escape_with(out, text, b"\\x", |byte| match byte {
        b'"' => Some(b"\\x22"),
        b'\\' => Some(b"\\x5c"),
        b' ' if is_word => Some(b"\\x20"),
        _ => None,
    });
}
