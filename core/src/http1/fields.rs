//! Field lines: the headers of a head, and the trailers of a chunked body (RFC 9112 §5).
//!
//! The crate httparse is the authority: every section that is refused is refused by it, and so is every
//! section with an unusual line accepted by it ([`parse_section`]). Refused are: a name that is not a
//! token, white space before the colon (§5.1), control characters in a value, a CR without LF, and a
//! line folding (obs-fold, §5.2, B-037). A bare LF ends a line (B-001).
//!
//! [`parse_line`] is a fast path before it, for lines that are certainly valid: the name is a token, the
//! value has no control characters, not even a tab, and CR LF or LF ends it. One pass finds and checks
//! name, value and line end. At the first line that is none of these, and at one line more than allowed,
//! the caller starts over with [`parse_section`]. `fuzz/fuzz_targets/fields.rs` and
//! `core/tests/fields` compare the result with that of httparse alone.

use super::limits::Limits;
use super::scan::{
    HIGH_BITS, controls, is_free_of, letters_and_hyphens, prefix_len, prefix_len_by_bytes,
};
use crate::bytes::{is_tchar, is_token};

/// A line of the section, without its line end.
pub(super) enum Line<'b> {
    Field {
        name: &'b [u8],
        /// Trimmed.
        value: &'b [u8],
    },
    /// The empty line that ends the section.
    End,
}

/// The end of a line.
pub(super) struct LineEnd<'b> {
    /// What follows the line.
    pub(super) rest: &'b [u8],
    /// Whether the line ended in an LF without a CR.
    pub(super) is_bare_lf: bool,
}

/// The line that `bytes` begin with, if it is certainly valid. `None` leaves it to [`parse_section`].
#[inline(always)] // into two loops: it is most of the time of a request with many headers
pub(super) fn parse_line(bytes: &[u8]) -> Option<(Line<'_>, LineEnd<'_>)> {
    if let [b'\r' | b'\n', ..] = bytes {
        return Some((Line::End, parse_line_end(bytes)?));
    }
    let (name, rest) = bytes.split_at_checked(name_len(bytes))?;
    let mut value = rest.strip_prefix(b":")?;
    if name.is_empty() {
        return None;
    }
    while let [b' ' | b'\t', trimmed @ ..] = value {
        value = trimmed;
    }
    let (mut value, rest) = value.split_at_checked(usual_value_len(value))?;
    while let [trimmed @ .., b' ' | b'\t'] = value {
        value = trimmed;
    }
    Some((Line::Field { name, value }, parse_line_end(rest)?))
}

#[inline(always)]
fn parse_line_end(bytes: &[u8]) -> Option<LineEnd<'_>> {
    match bytes {
        [b'\r', b'\n', rest @ ..] => Some(LineEnd { rest, is_bare_lf: false }),
        [b'\n', rest @ ..] => Some(LineEnd { rest, is_bare_lf: true }),
        _ => None,
    }
}

/// Why httparse refuses a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    TooManyFields,
    /// A line is malformed, or the end is missing.
    Malformed,
}

/// Parses the section that `bytes` begin with by httparse, and calls `record` with the name and the
/// trimmed value of each line. Returns its size.
///
/// # Errors
/// Returns the verdict of httparse. Nothing was recorded then.
#[cold]
#[inline(never)]
pub(super) fn parse_section<'b>(
    bytes: &'b [u8],
    max_fields: usize,
    mut record: impl FnMut(&'b [u8], &'b [u8]),
) -> Result<usize, Refusal> {
    let mut table = [httparse::EMPTY_HEADER; Limits::MAX_HEADERS as usize];
    let table = &mut table[..max_fields.min(Limits::MAX_HEADERS.into())];
    match httparse::parse_headers(bytes, table) {
        Ok(httparse::Status::Complete((size, fields))) => {
            fields.iter().for_each(|field| record(field.name.as_bytes(), field.value));
            Ok(size)
        }
        Err(httparse::Error::TooManyHeaders) => Err(Refusal::TooManyFields),
        Ok(httparse::Status::Partial) | Err(_) => Err(Refusal::Malformed),
    }
}

/// The length of the token that `bytes` begin with.
#[inline(always)]
pub(super) fn name_len(bytes: &[u8]) -> usize {
    let len = prefix_len(bytes, |word| letters_and_hyphens(word) ^ HIGH_BITS);
    match bytes.get(len) {
        Some(b':') => len, // nearly every name consists of letters and hyphens
        _ => prefix_len_by_bytes(bytes, len, is_tchar),
    }
}

/// Whether `name` is a token. As [`name_len`], for a name without anything behind it.
pub(super) fn is_name(name: &[u8]) -> bool {
    let is_usual = is_free_of(name, |word| letters_and_hyphens(word) ^ HIGH_BITS);
    is_usual || is_token(name)
}

/// The length of the usual field content that `bytes` begin with: up to the first control character,
/// a tab included.
#[inline(always)]
fn usual_value_len(bytes: &[u8]) -> usize {
    let len = prefix_len(bytes, controls);
    match bytes.get(len) {
        Some(b'\r' | b'\n') => len,
        _ => prefix_len_by_bytes(bytes, len, |byte| !byte.is_ascii_control()),
    }
}

/// The length of the field content that `bytes` begin with: up to the first control character other
/// than a tab.
#[inline(always)]
pub(super) fn value_len(bytes: &[u8]) -> usize {
    let len = prefix_len(bytes, controls);
    match bytes.get(len) {
        Some(b'\r' | b'\n') => len,
        _ => prefix_len_by_bytes(bytes, len, |byte| byte == b'\t' || !byte.is_ascii_control()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_ends_a_name_or_a_value_at_each_offset() {
        for byte in 0..=255 {
            for at in 0..70 {
                for after in 0..40 {
                    let mut bytes = vec![b'a'; at];
                    bytes.push(byte);
                    bytes.resize(at + 1 + after, b'z');
                    let whole = bytes.len();
                    assert_eq!(name_len(&bytes), if is_tchar(byte) { whole } else { at });
                    let allowed = byte == b'\t' || !byte.is_ascii_control();
                    assert_eq!(value_len(&bytes), if allowed { whole } else { at });
                }
            }
        }
    }

    #[test]
    fn lines_that_are_not_certainly_valid_are_left_to_httparse() {
        for line in ["a: b\r\n", "a:b\n", "X-1_2: \u{e9}\r\n", "a:\r\n", "a: \t b  \r\n"] {
            assert!(parse_line(line.as_bytes()).is_some(), "{line:?}");
        }
        for line in
            ["a: b\tc\r\n", "a: b\t\r\n", "a : b\r\n", ": b\r\n", "a\r\n", "a: b", "a: b\rc\n"]
        {
            assert!(parse_line(line.as_bytes()).is_none(), "{line:?}");
        }
        let mut fields = Vec::new();
        let parsed =
            parse_section(b"a: b\tc\r\n\r\nrest", 1, |name, value| fields.push((name, value)));
        assert_eq!((parsed, &*fields), (Ok(10), &[(&b"a"[..], &b"b\tc"[..])][..]));
        let refuse = |section: &[u8]| parse_section(section, 1, |_, _| panic!());
        assert_eq!(refuse(b"a: b\r\na: b\r\n\r\n"), Err(Refusal::TooManyFields));
        assert_eq!(refuse(b"a : b\r\n\r\n"), Err(Refusal::Malformed));
        assert_eq!(refuse(b"a: b\r\n"), Err(Refusal::Malformed));
    }

    #[test]
    fn two_special_bytes_next_to_each_other() {
        for pair in 0..=u16::MAX {
            let pair = pair.to_le_bytes();
            let bytes = [&b"abc"[..], &pair, b"defghijk"].concat();
            let name = bytes.iter().position(|&b| !is_tchar(b)).unwrap_or(bytes.len());
            assert_eq!(name_len(&bytes), name, "{pair:?}");
            let ends = |&b: &u8| b != b'\t' && b.is_ascii_control();
            assert_eq!(value_len(&bytes), bytes.iter().position(ends).unwrap_or(bytes.len()));
        }
    }
}
