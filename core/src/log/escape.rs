//! Escaping of text that goes to a log or a terminal (B-103).
//!
//! What changes how other text is shown, and bytes that are not UTF-8, become `\xNN`, one for each
//! byte. With backslashes doubled or escaped as well this can be undone: no text is lost.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::UNIX_PEER;
use crate::bytes::{push_display, push_hex};

/// Appends `text` so that it is safe to show and unambiguous: as [`escape_controls`], and with
/// backslashes doubled (B-103).
pub fn escape(out: &mut Vec<u8>, text: &[u8]) {
    escape_with(out, text, b"\\x", |byte| (byte == b'\\').then_some(b"\\\\"));
}

/// Appends a message so that it is safe to show: control and format characters, and bytes that are
/// not UTF-8, become `\xNN`; everything else is unchanged. Text quoted in a message was escaped
/// when it was quoted, so backslashes are unchanged, too (B-104).
pub fn escape_controls(out: &mut Vec<u8>, text: &[u8]) {
    escape_with(out, text, b"\\x", |_| None);
}

/// Appends `text` with `mark` and two digits for each byte of what changes how text is shown and of
/// what is not UTF-8. ASCII characters for which `replace` returns a text are replaced by it.
pub(super) fn escape_with(
    out: &mut Vec<u8>,
    text: &[u8],
    mark: &[u8],
    replace: impl Fn(u8) -> Option<&'static [u8]>,
) {
    let escaped = |out: &mut Vec<u8>, bytes: &[u8]| {
        for &byte in bytes {
            out.extend_from_slice(mark);
            push_hex(out, byte);
        }
    };
    for piece in text.utf8_chunks() {
        let (valid, mut copied) = (piece.valid(), 0);
        for (at, c) in valid.char_indices() {
            let replacement = if c.is_ascii() { replace(c as u8) } else { None };
            if replacement.is_none() && !is_control_or_format(c) {
                continue;
            }
            out.extend_from_slice(&valid.as_bytes()[copied..at]);
            copied = at + c.len_utf8();
            match replacement {
                Some(text) => out.extend_from_slice(text),
                None => escaped(out, &valid.as_bytes()[at..copied]),
            }
        }
        out.extend_from_slice(&valid.as_bytes()[copied..]);
        escaped(out, piece.invalid());
    }
}

/// Whether a character changes how others are shown, or where: controls (category Cc), format
/// characters (Cf, which includes the bidirectional controls), and separators of lines and
/// paragraphs (Zl, Zp). Unicode 16.
///
/// ```
/// use doorstep_core::log::is_control_or_format;
///
/// assert!(is_control_or_format('\n') && is_control_or_format('\u{202e}'));
/// assert!(!is_control_or_format('\u{fc}'));
/// ```
#[must_use]
pub fn is_control_or_format(c: char) -> bool {
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
pub(super) fn push_peer(out: &mut Vec<u8>, peer: IpAddr) {
    match peer {
        UNIX_PEER => out.extend_from_slice(b"unix:"),
        _ => push_display(out, peer.to_canonical()),
    }
}
