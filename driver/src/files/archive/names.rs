//! The names of a directory in order, in bounded memory.
//!
//! A directory is read from its start, and the first names in the order of their bytes that fit are
//! kept. When those were used, it is read again for the names after them. So a directory of any size
//! takes the same memory, and one that is changed meanwhile yields no name twice.

use std::collections::BinaryHeap;

/// The most memory for the names that are collected at a time, in bytes.
pub(super) const MAX_BATCH: usize = 256 << 10;
/// What a name takes besides its bytes: its address and length, and what the allocator adds.
const NAME_OVERHEAD: usize = 40;

/// The first names of a directory after a given one.
#[derive(Debug)]
pub(super) struct Batch<'n> {
    /// Only names after this one are taken.
    after: Option<&'n [u8]>,
    /// Only names before this one are taken, since it did not fit.
    before: Option<Box<[u8]>>,
    names: BinaryHeap<Box<[u8]>>,
    size: usize,
    max_size: usize,
}

/// Names in descending order, so that the next one is the last.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) names: Vec<Box<[u8]>>,
    /// Whether there are no names after these.
    pub(super) is_complete: bool,
}

impl<'n> Batch<'n> {
    pub(super) fn new(after: Option<&'n [u8]>, max_size: usize) -> Self {
        Self { after, before: None, names: BinaryHeap::new(), size: 0, max_size }
    }

    /// Takes a name, in any order. At least one is kept.
    pub(super) fn add(&mut self, name: &[u8]) {
        let is_before = self.before.as_deref().is_none_or(|before| name < before);
        if !is_before || self.after.is_some_and(|after| name <= after) {
            return;
        }
        self.size += memory_of(name);
        self.names.push(name.into());
        while self.size > self.max_size && self.names.len() > 1 {
            let Some(last) = self.names.pop() else { break };
            self.size -= memory_of(&last);
            self.before = Some(last);
        }
    }

    pub(super) fn finish(self) -> Names {
        let mut names = self.names.into_sorted_vec();
        names.reverse();
        Names { names, is_complete: self.before.is_none() }
    }
}

impl Names {
    /// The memory in bytes.
    pub(super) fn memory(&self) -> usize {
        self.names.iter().map(|name| memory_of(name)).sum()
    }

    /// Forgets the names, which are then read again.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

fn memory_of(name: &[u8]) -> usize {
    name.len() + NAME_OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All names of a directory, in batches of this size.
    fn read(directory: &[Vec<u8>], max_size: usize) -> (Vec<Vec<u8>>, usize) {
        let (mut all, mut batches) = (Vec::<Vec<u8>>::new(), 0);
        loop {
            let last = all.last().cloned();
            let mut batch = Batch::new(last.as_deref(), max_size);
            directory.iter().for_each(|name| batch.add(name));
            let names = batch.finish();
            assert!(names.memory() <= max_size || names.names.len() == 1);
            batches += 1;
            all.extend(names.names.iter().rev().map(|name| name.to_vec()));
            if names.is_complete {
                return (all, batches);
            }
        }
    }

    #[test]
    fn every_name_is_read_once_and_in_order_whatever_the_memory() {
        let mut directory: Vec<Vec<u8>> = (0..500_u32)
            .map(|n| format!("{}{}", n * 7_919 % 500, "x".repeat(n as usize % 60)).into_bytes())
            .collect();
        directory.push(vec![0xff; 255]);
        directory.push(b"\x01".to_vec());
        let mut sorted = directory.clone();
        sorted.sort();
        for max_size in [1, 100, 1_000, 10_000, MAX_BATCH] {
            let (all, batches) = read(&directory, max_size);
            assert!(all == sorted, "{max_size}");
            assert_eq!(batches == 1, max_size == MAX_BATCH);
        }
        assert_eq!(read(&[], 100), (vec![], 1));
    }
}
