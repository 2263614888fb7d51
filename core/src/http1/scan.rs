//! The search for line ends, for the end of a head and for bytes of a class, a block at a time.
//!
//! Plain loops that compile to vector instructions, and words: eight bytes in an integer. The functions
//! of a word mark bytes of a class by their high bit in the result, and each byte on its own. Nothing is
//! parsed here. A search can be
//! resumed: [`find_head_end`] takes the offset where the previous one stopped, so a peer that sends
//! one byte at a time causes linear work.

use crate::bytes::byte_set;

/// Bytes that one step of the search looks at.
const BLOCK: usize = 32;

/// A word of eight equal bytes.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The high bit of each byte.
pub(super) const HIGH_BITS: u64 = each(0x80);

/// The number of bytes before the first whose high bit is set in `mask`.
fn first(mask: u64) -> usize {
    mask.trailing_zeros() as usize / 8
}

/// The letters and hyphens in a word.
pub(super) const fn letters_and_hyphens(word: u64) -> u64 {
    let low = word & !HIGH_BITS; // no sum below exceeds its byte
    let lower_case = low | each(0x20);
    let letters = (lower_case + each(0x80 - b'a')) & !(lower_case + each(0x7f - b'z'));
    let others = (low ^ each(b'-')) + each(0x7f); // zero only becomes 0x7f
    (letters | !others) & !word & HIGH_BITS
}

/// The control characters in a word, the tab among them.
pub(super) const fn controls(word: u64) -> u64 {
    let low = word & !HIGH_BITS; // no sum below exceeds its byte
    let from_space = low + each(0x80 - b' ');
    let delete = low + each(0x80 - 0x7f);
    (!from_space | delete) & !word & HIGH_BITS
}

/// The bytes of a word that do not belong in the path of a target: all but printable ASCII, and `?` and
/// `#`, which end it.
const fn outside_of_path(word: u64) -> u64 {
    let low = word & !HIGH_BITS;
    let printable = (low + each(0x7f - b' ')) & !(low + each(0x80 - 0x7f));
    let is_other = ((low ^ each(b'?')) + each(0x7f)) & ((low ^ each(b'#')) + each(0x7f));
    (!(printable & is_other) | word) & HIGH_BITS
}

/// The number of bytes before the first one that is not inside the class; `from` of them are known to be
/// inside. For what [`prefix_len`] leaves: rare bytes, and less than a word.
#[inline]
pub(super) fn prefix_len_by_bytes(
    bytes: &[u8],
    from: usize,
    is_inside: impl Fn(u8) -> bool,
) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest.iter().position(|&byte| !is_inside(byte)).unwrap_or(rest.len())
}

/// The number of bytes before the first one that `find` marks in its word. Less than a word at the
/// end of `bytes` is not searched.
#[inline(always)]
pub(super) fn prefix_len(bytes: &[u8], find: impl Fn(u64) -> u64) -> usize {
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

/// Whether `find` marks no byte of `bytes`. `false` also for less than a word.
#[inline(always)]
pub(super) fn is_free_of(bytes: &[u8], find: impl Fn(u64) -> u64) -> bool {
    let Some(last) = bytes.last_chunk() else { return false };
    let (words, _) = bytes.as_chunks::<8>();
    let marks = |all, word: &[u8; 8]| all | find(u64::from_le_bytes(*word));
    words.iter().fold(marks(0, last), marks) == 0 // the last word may overlap
}

/// The length of the path that a target in origin-form begins with.
pub(super) fn path_len(target: &[u8]) -> usize {
    let len = prefix_len(target, outside_of_path);
    prefix_len_by_bytes(target, len, |byte| PATH[usize::from(byte)])
}

static PATH: [bool; 256] = byte_set(b"!\"$%&'()*+,-./:;<=>@[\\]^_`{|}~");

/// The offset of the first LF.
pub(super) fn find_lf(bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        // Subtracting one borrows from the high bit of a zero byte. Above the first zero byte, the
        // result may be wrong.
        let zero_where_lf = u64::from_le_bytes(*word) ^ each(b'\n');
        let hit = zero_where_lf.wrapping_sub(each(1)) & !zero_where_lf & HIGH_BITS;
        if hit != 0 {
            return Some(i * 8 + first(hit));
        }
    }
    let at = bytes.len() - rest.len();
    rest.iter().position(|&b| b == b'\n').map(|offset| at + offset)
}

/// The offset after the first empty line: LF LF or LF CR LF. The search begins at `from`, which
/// must not be after the LF that precedes the empty line.
pub(super) fn find_head_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(block) = bytes.get(at..at + BLOCK + 2) {
        let mut hit = false;
        for i in 0..BLOCK {
            hit |= (block[i] == b'\n') & ((block[i + 1] == b'\n') | (block[i + 2] == b'\n'));
        }
        if hit && let Some(end) = find_empty_line(block, at) {
            return Some(end);
        }
        at += BLOCK;
    }
    find_empty_line(bytes.get(at..)?, at)
}

fn find_empty_line(part: &[u8], at: usize) -> Option<usize> {
    (0..part.len()).find_map(|i| match part[i..] {
        [b'\n', b'\n', ..] => Some(at + i + 2),
        [b'\n', b'\r', b'\n', ..] => Some(at + i + 3),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_head_is_found_at_every_offset() {
        for end in [&b"\n\n"[..], b"\n\r\n", b"\r\n\r\n"] {
            for before in 0..100 {
                let mut bytes = vec![b'x'; before];
                bytes.extend_from_slice(end);
                let found = bytes.len();
                bytes.extend_from_slice(b"tail\n\nmore");
                assert_eq!(find_head_end(&bytes, 0), Some(found));
                assert_eq!(find_head_end(&bytes, before), Some(found));
                assert_eq!(find_head_end(&bytes[..found - 1], 0), None);
                assert_eq!(find_lf(&bytes), bytes.iter().position(|&b| b == b'\n'));
            }
        }
    }

    #[test]
    fn words_mark_the_bytes_of_their_class() {
        let marked = |mask: u64| mask.to_le_bytes().map(|byte| byte == 0x80);
        for pair in 0..=u16::MAX {
            let [a, b] = pair.to_le_bytes();
            let bytes = [a, b, b'a', a, b'/', b, b, a];
            let word = u64::from_le_bytes(bytes);
            let is_usual = |byte: u8| byte.is_ascii_alphabetic() || byte == b'-';
            assert_eq!(marked(letters_and_hyphens(word)), bytes.map(is_usual), "{bytes:?}");
            assert_eq!(marked(controls(word)), bytes.map(|byte| byte.is_ascii_control()));
            let outside = |byte: u8| !byte.is_ascii_graphic() || byte == b'?' || byte == b'#';
            assert_eq!(marked(outside_of_path(word)), bytes.map(outside), "{bytes:?}");
            assert!(bytes.iter().all(|&byte| PATH[usize::from(byte)] != outside(byte)));
        }
    }

    #[test]
    fn similar_bytes_are_not_the_end_of_a_head() {
        let mut bytes = b"a\nb\nc\r\n d\r\r\n".repeat(20);
        assert_eq!(find_head_end(&bytes, 0), None);
        bytes.extend_from_slice(b"\r\n");
        assert_eq!(find_head_end(&bytes, 0), Some(bytes.len()));
    }
}
