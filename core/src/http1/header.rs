//! Headers of a response: which ones an application may set, and how they are written.
//!
//! Nothing passes that could end a line or a string (B-065: no response splitting). Headers that
//! frame the message or control the connection are refused: only the state machine writes them.

use alloc::vec::Vec;

use super::error::Misuse;
use super::status;
use crate::bytes::is_token;

/// Returns an error unless an application may set this header.
pub(super) fn check_header(name: &str, value: &[u8]) -> Result<(), Misuse> {
    const RESERVED: [&str; 6] =
        ["content-length", "transfer-encoding", "connection", "upgrade", "trailer", "keep-alive"];
    if !is_token(name.as_bytes()) || !is_header_value(value) {
        return Err(Misuse::BadHeader);
    }
    match RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
        true => Err(Misuse::ReservedHeader),
        false => Ok(()),
    }
}

/// Whether a header value holds no CR, LF or NUL (B-065).
pub(super) fn is_header_value(value: &[u8]) -> bool {
    // Not `any`: without an early exit, the loop compiles to vector instructions.
    !value.iter().fold(false, |unfit, b| unfit | matches!(b, b'\r' | b'\n' | 0))
}

/// Appends a status line (RFC 9112 §4). `minor` is the digit after `HTTP/1.`; `code` has three
/// digits. `None` means the registered reason phrase.
pub(super) fn push_status_line(minor: u8, code: u16, reason: Option<&[u8]>, out: &mut Vec<u8>) {
    let [hundreds, tens, ones] = [code / 100, code / 10 % 10, code % 10].map(|n| b'0' + n as u8);
    out.extend_from_slice(b"HTTP/1.");
    out.extend_from_slice(&[minor, b' ', hundreds, tens, ones, b' ']);
    out.extend_from_slice(reason.unwrap_or(status::reason(code).as_bytes()));
    out.extend_from_slice(b"\r\n");
}

/// Appends a header line. Name and value have been checked.
pub(super) fn push_header(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
