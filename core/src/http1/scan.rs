//! The search for line ends and for the end of a head, a block of bytes at a time.
//!
//! Plain loops that compile to vector instructions; nothing is parsed here. A search can be
//! resumed: [`find_head_end`] takes the offset where the previous one stopped, so a peer that sends
//! one byte at a time causes linear work.

/// Bytes that one step of the search looks at.
const BLOCK: usize = 32;

/// The offset of the first LF.
pub(super) fn find_lf(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let (words, rest) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        // Subtracting one borrows from the high bit of a zero byte. Above the first zero byte, the
        // result may be wrong.
        let zero_where_lf = u64::from_le_bytes(*word) ^ (ONES * b'\n' as u64);
        let hit = zero_where_lf.wrapping_sub(ONES) & !zero_where_lf & (ONES << 7);
        if hit != 0 {
            return Some(i * 8 + hit.trailing_zeros() as usize / 8);
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
    fn similar_bytes_are_not_the_end_of_a_head() {
        let mut bytes = b"a\nb\nc\r\n d\r\r\n".repeat(20);
        assert_eq!(find_head_end(&bytes, 0), None);
        bytes.extend_from_slice(b"\r\n");
        assert_eq!(find_head_end(&bytes, 0), Some(bytes.len()));
    }
}
