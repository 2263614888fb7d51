//! Headers of a response: which ones an application may set, and how they are written.
//!
//! Nothing passes that could end a line or a string (B-065: no response splitting). Headers that
//! frame the message or control the connection are refused: only the state machine writes them.

use alloc::vec::Vec;

use super::error::Misuse;
use super::scan::{controls, is_free_of};
use super::{fields, status};
use crate::bytes::{Decimal, is_name};

/// Returns an error unless an application may set this header.
pub(super) fn check_header(name: &str, value: &[u8]) -> Result<(), Misuse> {
    let name = name.as_bytes();
    if !fields::is_name(name) || !is_header_value(value) {
        return Err(Misuse::BadHeader);
    }
    let is_reserved = is_name(name, b"content-length")
        || is_name(name, b"transfer-encoding")
        || is_name(name, b"connection")
        || is_name(name, b"upgrade")
        || is_name(name, b"trailer")
        || is_name(name, b"keep-alive");
    if is_reserved { Err(Misuse::ReservedHeader) } else { Ok(()) }
}

/// Whether a header value holds no CR, LF or NUL (B-065).
pub(super) fn is_header_value(value: &[u8]) -> bool {
    // Nearly every value holds no control character at all.
    is_free_of(value, controls) || !value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0))
}

/// Appends a status line (RFC 9112 §4). `minor` is the digit after `HTTP/1.`; `code` has three
/// digits. `None` means the registered reason phrase.
pub(super) fn push_status_line(minor: u8, code: u16, reason: Option<&[u8]>, out: &mut Vec<u8>) {
    // The most frequent lines, ready to copy.
    match (minor, code, reason) {
        (b'1', 200, None) => return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n"),
        (b'1', 206, None) => return out.extend_from_slice(b"HTTP/1.1 206 Partial Content\r\n"),
        (b'1', 304, None) => return out.extend_from_slice(b"HTTP/1.1 304 Not Modified\r\n"),
        (b'1', 404, None) => return out.extend_from_slice(b"HTTP/1.1 404 Not Found\r\n"),
        _ => {}
    }
    let [hundreds, tens, ones] = [code / 100, code / 10 % 10, code % 10].map(|n| b'0' + n as u8);
    out.extend_from_slice(b"HTTP/1.");
    out.extend_from_slice(&[minor, b' ', hundreds, tens, ones, b' ']);
    out.extend_from_slice(reason.unwrap_or(status::reason(code).as_bytes()));
    out.extend_from_slice(b"\r\n");
}

/// Appends Content-Length.
pub(super) fn push_content_length(n: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Content-Length: ");
    out.extend_from_slice(Decimal::new(n).as_bytes());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_status_lines_are_those_that_are_put_together() {
        for code in 100..600 {
            let (mut ready, mut together) = (Vec::new(), Vec::new());
            push_status_line(b'1', code, None, &mut ready);
            push_status_line(b'1', code, Some(status::reason(code).as_bytes()), &mut together);
            assert_eq!(ready, together, "{}", ready.escape_ascii());
        }
    }

    #[test]
    fn b_065_names_and_values() {
        for name in ["", "a b", "a:", "ä", "X-Long-Name-With-A-Line-End\r", "a\0"] {
            assert_eq!(check_header(name, b"x"), Err(Misuse::BadHeader), "{name:?}");
        }
        for name in [
            "Content-Length",
            "transfer-encoding",
            "CONNECTION",
            "Upgrade",
            "trailer",
            "Keep-Alive",
        ] {
            assert_eq!(check_header(name, b"x"), Err(Misuse::ReservedHeader), "{name:?}");
        }
        for name in ["X", "Trailers", "Content_Length", "9", "!#$%&'*+-.^_`|~"] {
            assert_eq!(check_header(name, b"x"), Ok(()), "{name:?}");
        }
        for byte in 0..=255 {
            for len in [0, 5, 8, 40] {
                let value = [&vec![b'v'; len][..], &[byte], &vec![b'w'; len]].concat();
                assert_eq!(is_header_value(&value), !matches!(byte, 0 | b'\r' | b'\n'), "{byte}");
            }
        }
    }
}
