//! The small files that a thread has sent of late.
//!
//! The cache ([`FileCache`](super::FileCache)) is shared, and its lock and its reference counts are
//! written by every thread that uses it. So each thread has a small table of its own in front of it,
//! from the path of a file to the file: a lookup takes no lock, writes nothing that others read, and
//! allocates nothing. The caller validates what is found, as it does for the cache.
//!
//! A path has one slot, and the last file of a slot replaces the one before it: whatever names a
//! client chooses, it can only make others be looked up in the cache. Files that the cache has evicted
//! are not found any more, since its epoch has changed; the memory of one is freed when its slot is
//! used again, or when the thread ends. So a thread holds at most
//! [`CacheLimits::max_recent_files`](super::CacheLimits::max_recent_files) files of
//! [`CacheLimits::max_recent_file_size`](super::CacheLimits::max_recent_file_size) beyond the bounds of
//! the cache. The table is one for all caches of the process: it is as large as the largest of these
//! numbers.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::file_cache::CachedFile;

/// A file, and the epoch of its cache when it was found in it.
type Slot = Option<(u64, Arc<CachedFile>)>;

thread_local! {
    /// On the heap, since this is part of the memory of a thread's stack.
    static FILES: RefCell<Vec<Slot>> = const { RefCell::new(Vec::new()) };
}

/// An epoch that no cache has had.
pub(super) fn new_epoch() -> u64 {
    static EPOCHS: AtomicU64 = AtomicU64::new(0);
    EPOCHS.fetch_add(1, Ordering::Relaxed)
}

/// Calls `use_file` with the file at `path` that was inserted in this epoch with the same number of
/// `slots`, if there is one.
pub(super) fn with<T>(
    epoch: u64,
    slots: u32,
    path: &[u8],
    use_file: impl FnOnce(&CachedFile) -> Option<T>,
) -> Option<T> {
    let slot = slot_of(path, slots); // out of the closure, which is inlined then
    FILES.with(|files| match files.try_borrow().ok()?.get(slot) {
        Some(Some((inserted, file))) if *inserted == epoch && file.path() == path => use_file(file),
        _ => None,
    })
}

/// Remembers `file` in this epoch, in one of so many `slots`. With zero of them nothing is remembered.
pub(super) fn insert(epoch: u64, slots: u32, file: &Arc<CachedFile>) {
    FILES.with(|files| {
        if let Ok(mut files) = files.try_borrow_mut() {
            if files.len() < slots as usize {
                files.resize_with(slots as usize, || None);
            }
            if slots > 0 {
                files[slot_of(file.path(), slots)] = Some((epoch, file.clone()));
            }
        }
    });
}

/// The slot of a path, below `slots`, by a hash that is fast: paths that have the same one cost a
/// lookup in the cache, and no more.
fn slot_of(path: &[u8], slots: u32) -> usize {
    let hash =
        |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (words, rest) = path.as_chunks::<8>();
    let all =
        words.iter().fold(path.len() as u64, |all, word| hash(all, u64::from_le_bytes(*word)));
    let all = rest.iter().fold(all, |all, byte| hash(all, (*byte).into()));
    let scaled = (all >> 32) * u64::from(slots); // not by a division, which is slow
    (scaled >> 32) as usize
}
