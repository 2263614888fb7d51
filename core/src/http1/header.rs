//! A field of an answer: whether it may be set, and its line.
//!
//! It lets nothing through that could end a line or a string (B-065), nor a field of framing or of the
//! connection, which is the machine's to say.

use super::error::Misuse;
use super::status;
use crate::bytes::is_token;

/// Whether a field may be set by anybody but the machine.
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

/// B-065: nothing that could end a line or a string.
pub(super) fn is_header_value(value: &[u8]) -> bool {
    // Not `any`: a loop without an early exit is vector instructions.
    !value.iter().fold(false, |unfit, b| unfit | matches!(b, b'\r' | b'\n' | 0))
}

/// Appends a status line (RFC 9112 §4). `minor` is the digit after `HTTP/1.`, `code` has three digits.
/// Without `reason`, the phrase is the registered one.
pub(super) fn push_status_line(minor: u8, code: u16, reason: Option<&[u8]>, out: &mut Vec<u8>) {
    let [hundreds, tens, ones] = [code / 100, code / 10 % 10, code % 10].map(|n| b'0' + n as u8);
    out.extend_from_slice(b"HTTP/1.");
    out.extend_from_slice(&[minor, b' ', hundreds, tens, ones, b' ']);
    out.extend_from_slice(reason.unwrap_or(status::reason(code).as_bytes()));
    out.extend_from_slice(b"\r\n");
}

/// Appends a header line. Both parts have been checked.
pub(super) fn push_header(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
