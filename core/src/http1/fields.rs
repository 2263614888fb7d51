//! Field lines: the headers of a head, and the trailers of a chunked body (RFC 9112 §5).
//!
//! One pass finds and checks name, value and line end. Refused are: a name that is not a token, white
//! space before the colon (§5.1), control characters in a value, a CR without LF, and a line folding
//! (obs-fold, §5.2, B-037). A bare LF ends a line and is reported (B-001). The verdicts are those of
//! the crate httparse: `fuzz/fuzz_targets/fields.rs` and `core/tests/fields.rs` compare them.
//!
//! Bytes are checked eight at a time in an integer. In the helpers, the high bit of each byte of the
//! result says whether that byte of the input is in a class.

use crate::bytes::is_tchar;

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

/// The line that `bytes` begin with. `None` if it is malformed or incomplete.
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
    let (mut value, rest) = value.split_at_checked(value_len(value))?;
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

const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

const HIGH: u64 = each(0x80);

/// The number of bytes before the first whose high bit is set in `mask`.
fn first(mask: u64) -> usize {
    mask.trailing_zeros() as usize / 8
}

/// The letters and hyphens in a word.
const fn letters_and_hyphens(word: u64) -> u64 {
    let low = word & !HIGH; // no sum below exceeds its byte
    let lower_case = low | each(0x20);
    let letters = (lower_case + each(0x80 - b'a')) & !(lower_case + each(0x7f - b'z'));
    let others = (low ^ each(b'-')) + each(0x7f); // zero only becomes 0x7f
    (letters | !others) & !word & HIGH
}

/// The control characters in a word, the tab among them.
const fn controls(word: u64) -> u64 {
    let low = word & !HIGH; // no sum below exceeds its byte
    let from_space = low + each(0x80 - b' ');
    let delete = low + each(0x80 - 0x7f);
    (!from_space | delete) & !word & HIGH
}

/// The length of the token that `bytes` begin with.
#[inline(always)]
pub(super) fn name_len(bytes: &[u8]) -> usize {
    let len = prefix_len(bytes, |word| letters_and_hyphens(word) ^ HIGH);
    match bytes.get(len) {
        Some(b':') => len, // nearly every name consists of letters and hyphens
        _ => prefix_len_by_bytes(bytes, len, is_tchar),
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

#[inline(never)] // small, and it would be in the way of the usual case
fn prefix_len_by_bytes(bytes: &[u8], from: usize, is_inside: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest.iter().position(|&byte| !is_inside(byte)).unwrap_or(rest.len())
}

/// The number of bytes before the first one that `find` marks in its word. Less than a word at the
/// end of `bytes` is not searched.
#[inline(always)]
fn prefix_len(bytes: &[u8], find: impl Fn(u64) -> u64) -> usize {
    let mut len = 0;
    // Blocks of four words, so that there is one check of the length for them all.
    while let Some(block) = bytes[len..].first_chunk::<32>() {
        for word in block.as_chunks::<8>().0 {
            let mask = find(u64::from_le_bytes(*word));
            if mask != 0 {
                return len + first(mask);
            }
            len += 8;
        }
    }
    for word in bytes[len..].as_chunks::<8>().0 {
        let mask = find(u64::from_le_bytes(*word));
        if mask != 0 {
            return len + first(mask);
        }
        len += 8;
    }
    len
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
