//! Sorting rows by a text of each.
//!
//! Names in a directory often begin alike. So eight bytes of each text are compared at a time, as
//! one number that is stored beside its row: first those at the start, and then, in each run of
//! rows that are equal so far, the next eight. The texts themselves are read once for each eight
//! bytes that matter, not for each comparison.

use std::cmp::Ordering;

/// A row to sort.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ranked {
    /// Eight bytes of its text, the first one highest; zeros after its end.
    chunk: u64,
    pub(super) row: u32,
}

/// The length in bytes up to which texts are compared in chunks. Texts that are equal so far are
/// compared whole, which bounds the depth of the recursion.
const MAX_CHUNKED: usize = 256;
const CHUNK: usize = size_of::<u64>();

impl Ranked {
    pub(super) fn new(row: u32, text: &[u8]) -> Self {
        Self { chunk: chunk(text, 0), row }
    }
}

/// Sorts `rows` by `text` of each, without NULs; those of equal texts by `ties`.
pub(super) fn sort<'t>(
    rows: &mut [Ranked],
    text: &impl Fn(u32) -> &'t [u8],
    ties: &impl Fn(u32, u32) -> Ordering,
) {
    sort_from(rows, 0, text, ties);
}

/// Sorts `rows`, whose texts are equal before `start`, and whose chunks are those at `start`.
fn sort_from<'t>(
    rows: &mut [Ranked],
    start: usize,
    text: &impl Fn(u32) -> &'t [u8],
    ties: &impl Fn(u32, u32) -> Ordering,
) {
    rows.sort_unstable_by_key(|ranked| ranked.chunk);
    let next = start + CHUNK;
    for run in rows.chunk_by_mut(|a, b| a.chunk == b.chunk) {
        if run.len() == 1 {
            continue;
        }
        let have_ended = run[0].chunk.to_be_bytes()[CHUNK - 1] == 0;
        if have_ended || next >= MAX_CHUNKED {
            run.sort_unstable_by(|a, b| {
                text(a.row).cmp(text(b.row)).then_with(|| ties(a.row, b.row))
            });
            continue;
        }
        for ranked in &mut *run {
            ranked.chunk = chunk(text(ranked.row), next);
        }
        sort_from(run, next, text, ties);
    }
}

/// Eight bytes of `text` from `start`, with zeros after its end.
fn chunk(text: &[u8], start: usize) -> u64 {
    let rest = text.get(start..).unwrap_or_default();
    if let Some(chunk) = rest.first_chunk() {
        return u64::from_be_bytes(*chunk);
    }
    // The last bytes of the text, without those before `start`.
    let last = match text.last_chunk() {
        Some(last) => u64::from_be_bytes(*last),
        None => text.iter().fold(0, |chunk, &byte| chunk << 8 | u64::from(byte)),
    };
    last.checked_shl(u64::BITS - 8 * rest.len() as u32).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(texts: &[Vec<u8>]) -> Vec<u32> {
        let text = |row: u32| texts[row as usize].as_slice();
        let mut rows: Vec<_> = (0..texts.len() as u32).map(|n| Ranked::new(n, text(n))).collect();
        sort(&mut rows, &text, &|a, b| b.cmp(&a));
        rows.iter().map(|ranked| ranked.row).collect()
    }

    fn expected(texts: &[Vec<u8>]) -> Vec<u32> {
        let mut rows: Vec<u32> = (0..texts.len() as u32).collect();
        rows.sort_by(|&a, &b| texts[a as usize].cmp(&texts[b as usize]).then(b.cmp(&a)));
        rows
    }

    #[test]
    fn texts_that_begin_alike() {
        let lengths = [0, 1, 7, 8, 9, 15, 16, 17, 247, 248, 249, 255, 256, 257, 5_000];
        let mut texts = Vec::new();
        for tail in [&b"b"[..], b"", b"a", b"\x01", b"\xff", b"b"] {
            texts.extend(lengths.map(|length| [&vec![b'x'; length], tail].concat()));
        }
        assert_eq!(sorted(&texts), expected(&texts));
        let same = vec![vec![b'y'; 1_000_000]; 3];
        assert_eq!(sorted(&same), [2, 1, 0]);
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_the_texts(
            texts in proptest::collection::vec(proptest::collection::vec(1..=3_u8, 0..24), 0..200)
        ) {
            prop_assert_eq!(sorted(&texts), expected(&texts));
        }
    }
}
