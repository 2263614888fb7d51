//! A cache of files that are never stale.
//!
//! The content of small files and the descriptors of larger ones are cached, within
//! [`CacheLimits`]. Each use is validated by one system call (`statx` of the full name, including
//! that of the root): device, inode, size, mtime and ctime must be the same. A file that was
//! changed so recently that another change could have the same times is not cached. So a response
//! is as fresh as if the file had been opened, at a third of the cost.
//!
//! A file is cached at its second request, so that a crawl of more files than there is room for
//! evicts few others; when the cache is full, only one in 16 is. When another directory is found
//! under the root's name, everything is evicted.
//!
//! With a file, its full name and the headers of its responses are kept ([`PreparedFile`]). Each
//! thread remembers the small files that it has sent of late (`recent_files.rs`), so that threads do
//! not contend for the lock of the cache.
//!
//! It does not detect that a directory was moved out of the root and a link to it was left in its
//! place: a file in it has the same metadata under its full name, and is sent until it changes.
//!
//! ```
//! use doorstep_driver::files::{Content, FileCache};
//! use doorstep_driver::os::{Opened, Root, Symlinks};
//! # let dir = tempfile::tempdir()?;
//! # std::fs::write(dir.path().join("hello.txt"), "hi\n")?;
//!
//! let cache = FileCache::new(Root::new(dir.path(), Symlinks::Beneath)?);
//! let Opened::File(content, stat) = cache.get(b"hello.txt", &mut None) else { panic!() };
//! assert_eq!(stat.size, 3);
//! assert!(matches!(content, Content::File(_))); // not cached: it was changed just now
//! # Ok::<(), std::io::Error>(())
//! ```

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use doorstep_core::site::{PreparedFile, Site, Stat, Variant};

use super::generations::{Generations, Weighed, Weight};
use super::{CacheLimits, recent_files};
use crate::os::{self, FullName, Opened, Root, RootDir, RootError};

/// While the cache is full, one file of this number is cached.
const ADMIT_ONE_IN: u64 = 16;

/// A cache of the files beneath a root.
#[derive(Debug)]
pub struct FileCache {
    root: Arc<Root>,
    cached: RwLock<Cached>,
    max_content_size: u64,
    /// [`CacheLimits::max_recent_files`].
    recent_slots: u32,
    max_recent_file_size: u64,
    hasher: RandomState,
    /// Hashes of paths that were requested and not cached, each in its slot until it is
    /// overwritten.
    requested: Box<[AtomicU64]>,
    /// The number of files that could have been cached only by evicting others.
    rejected: AtomicU64,
    /// Changes when files are evicted, and is that of no other cache: then the files that threads
    /// remember ([`recent_files`]) are evicted, too.
    epoch: AtomicU64,
}

/// The content of a file.
#[derive(Debug, Clone)]
pub enum Content {
    /// All of it, in memory.
    Bytes(Arc<[u8]>),
    /// An open file.
    File(Arc<File>),
}

/// A file that is cached, and what is kept with it.
#[derive(Debug)]
pub(crate) struct CachedFile {
    name: FullName,
    content: Content,
    stat: Stat,
    /// [`Root::revision`] when it was cached.
    revision: u64,
    /// The headers of its responses, once they were needed; `None` inside if there are none.
    prepared: OnceLock<Option<PreparedFile>>,
}

impl CachedFile {
    /// Its clean path beneath the root.
    pub(crate) fn path(&self) -> &[u8] {
        self.name.path()
    }

    pub(crate) fn content(&self) -> &Content {
        &self.content
    }

    /// The headers of its responses as `variant`. They are made when the file is sent for the first
    /// time, as what it is sent then: there is no other one for nearly all files. `site` must be that
    /// of the cache's owner.
    pub(crate) fn prepared(&self, site: &Site, variant: Variant) -> Option<&PreparedFile> {
        let new = || PreparedFile::new(site, self.path(), &self.stat, variant);
        self.prepared.get_or_init(new).as_ref().filter(|prepared| prepared.variant() == variant)
    }
}

/// A file that was found.
#[derive(Debug)]
pub(crate) enum FoundFile {
    /// In the cache.
    Cached(Arc<CachedFile>),
    /// It was opened now.
    Opened(Content),
}

impl FoundFile {
    pub(crate) fn into_content(self) -> Content {
        match self {
            Self::Cached(file) => file.content.clone(),
            Self::Opened(content) => content,
        }
    }
}

/// The cached files of one directory.
#[derive(Debug)]
struct Cached {
    files: Generations<Box<[u8]>, Arc<CachedFile>>,
    /// [`Root::revision`] when the first of them was cached.
    revision: u64,
}

impl FileCache {
    /// A cache of the files beneath `root`, within the default limits.
    #[must_use]
    pub fn new(root: impl Into<Arc<Root>>) -> Self {
        Self::with_limits(root, &CacheLimits::default())
    }

    /// A cache of the files beneath `root`, within `limits`.
    #[must_use]
    pub fn with_limits(root: impl Into<Arc<Root>>, limits: &CacheLimits) -> Self {
        let weight = Weight { bytes: limits.max_bytes, descriptors: limits.max_descriptors };
        let files = Generations::new(limits.max_files, weight);
        Self {
            root: root.into(),
            cached: RwLock::new(Cached { files, revision: 0 }),
            max_content_size: limits.max_content_size,
            recent_slots: limits
                .max_recent_files
                .min(limits.max_files)
                .try_into()
                .unwrap_or(u32::MAX),
            max_recent_file_size: limits.max_recent_file_size,
            hasher: RandomState::new(),
            requested: (0..limits.max_remembered_paths).map(|_| AtomicU64::new(0)).collect(),
            rejected: AtomicU64::new(0),
            epoch: AtomicU64::new(recent_files::new_epoch()),
        }
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> &Arc<Root> {
        &self.root
    }

    /// Opens `path`, or takes it from the cache if it is valid. `root_dir` is shared by all paths
    /// of one request: the root's name is resolved at most once for them.
    #[must_use]
    pub fn get(&self, path: &[u8], root_dir: &mut Option<Arc<RootDir>>) -> Opened<Content> {
        self.find(path, root_dir).map_file(|file, _| file.into_content())
    }

    /// As [`FileCache::get`], with what is kept with a cached file.
    pub(crate) fn find(
        &self,
        path: &[u8],
        root_dir: &mut Option<Arc<RootDir>>,
    ) -> Opened<FoundFile> {
        if let Some((file, is_old)) = self.cached(path)
            && self.root.is_unchanged(&file.name, &file.stat)
        {
            if is_old {
                self.insert(file.clone());
            }
            let stat = file.stat;
            return Opened::File(FoundFile::Cached(file), stat);
        }
        self.find_uncached(path, root_dir)
    }

    #[inline(never)] // its local variables are not needed for a cached file
    fn find_uncached(&self, path: &[u8], root_dir: &mut Option<Arc<RootDir>>) -> Opened<FoundFile> {
        let mut opened = self.open(path, root_dir);
        if matches!(opened, Opened::Exhausted(_)) && self.clear() {
            opened = self.open(path, root_dir); // the cached descriptors are closed now
        }
        let revision = root_dir.as_ref().and_then(|root_dir| self.root.revision_of(root_dir));
        opened.map_file(|file, stat| FoundFile::Opened(self.load(path, file, stat, revision)))
    }

    /// The file that is sent for the target `/` and `path`, if this thread has sent it before and it
    /// is still valid. Costs one system call, takes no lock, and writes nothing that other threads
    /// use.
    pub(crate) fn with_recent<T>(
        &self,
        path: &[u8],
        respond: impl FnOnce(&CachedFile) -> Option<T>,
    ) -> Option<T> {
        let epoch = self.epoch.load(Ordering::Relaxed);
        recent_files::with(epoch, self.recent_slots, path, |file| {
            let is_valid = file.revision == self.root.revision()
                && self.root.is_unchanged(&file.name, &file.stat);
            if is_valid { respond(file) } else { None }
        })
    }

    /// Remembers `file` for [`FileCache::with_recent`] on this thread.
    pub(crate) fn remember(&self, file: &Arc<CachedFile>) {
        let Content::Bytes(bytes) = &file.content else { return };
        if bytes.len() as u64 <= self.max_recent_file_size {
            let epoch = self.epoch.load(Ordering::Relaxed);
            recent_files::insert(epoch, self.recent_slots, file);
        }
    }

    fn open(&self, path: &[u8], root_dir: &mut Option<Arc<RootDir>>) -> Opened {
        match self.root_dir(root_dir) {
            Ok(root_dir) => root_dir.open(path),
            Err(missing) => missing.into(),
        }
    }

    /// `root_dir`, which is opened if it is `None`.
    fn root_dir<'t>(
        &self,
        root_dir: &'t mut Option<Arc<RootDir>>,
    ) -> Result<&'t RootDir, RootError> {
        match root_dir {
            Some(root_dir) => Ok(root_dir),
            None => {
                let now = self.root.open_dir();
                self.discard_stale();
                Ok(root_dir.insert(now?))
            }
        }
    }

    /// The content of a file that was opened. It is cached if it was requested before, and if the
    /// directory is still the root.
    fn load(&self, path: &[u8], file: File, stat: &Stat, revision: Option<u64>) -> Content {
        let Some(revision) = revision else { return Content::File(Arc::new(file)) };
        let is_settled = stat.is_settled(os::now());
        if !is_settled || !self.mark_requested(path) || !self.should_admit() {
            return Content::File(Arc::new(file));
        }
        let (content, is_whole) = self.read_content(file, stat.size);
        if is_whole && let Some(name) = self.root.full_name(path) {
            let (content, stat) = (content.clone(), *stat);
            let prepared = OnceLock::new();
            self.insert(Arc::new(CachedFile { name, content, stat, revision, prepared }));
        }
        content
    }

    /// Marks `path` as requested, and returns whether it was before.
    fn mark_requested(&self, path: &[u8]) -> bool {
        let hash = self.hasher.hash_one(path);
        let slot = (hash as usize).checked_rem(self.requested.len());
        slot.is_some_and(|slot| self.requested[slot].swap(hash, Ordering::Relaxed) == hash)
    }

    /// Whether to cache one more file: always while that evicts none, and then one in
    /// [`ADMIT_ONE_IN`]. If more files are requested than there is room for, caching each of them
    /// costs more than it saves.
    fn should_admit(&self) -> bool {
        let is_full = self.read_cached().files.has_evicted();
        !is_full || self.rejected.fetch_add(1, Ordering::Relaxed).is_multiple_of(ADMIT_ONE_IN)
    }

    /// The cached file, and whether it is to be inserted again so that it stays.
    fn cached(&self, path: &[u8]) -> Option<(Arc<CachedFile>, bool)> {
        let cached = self.read_cached();
        if cached.revision != self.root.revision() {
            return None;
        }
        let (file, is_old) = cached.files.get(path)?;
        Some((file.clone(), is_old))
    }

    /// Evicts the files of a directory that is not the root any more.
    fn discard_stale(&self) {
        if self.read_cached().revision != self.root.revision() {
            self.clear();
        }
    }

    /// Evicts everything, and returns whether there was anything.
    fn clear(&self) -> bool {
        let removed = {
            let mut cached = self.cached.write().unwrap_or_else(PoisonError::into_inner);
            cached.revision = self.root.revision();
            self.epoch.store(recent_files::new_epoch(), Ordering::Relaxed);
            cached.files.take()
        };
        !removed.is_empty() // they are dropped without the lock
    }

    fn read_cached(&self) -> RwLockReadGuard<'_, Cached> {
        self.cached.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Caches a file of the directory that was the root at its revision, if it still is.
    fn insert(&self, file: Arc<CachedFile>) {
        self.discard_stale();
        let evicted = {
            let mut cached = self.cached.write().unwrap_or_else(PoisonError::into_inner);
            if file.revision != cached.revision || file.revision != self.root.revision() {
                return;
            }
            let evicted = cached.files.insert(file.path().into(), file);
            if !evicted.is_empty() {
                self.epoch.store(recent_files::new_epoch(), Ordering::Relaxed);
            }
            evicted
        };
        drop(evicted); // without the lock: it closes descriptors
    }

    /// The content of a file that was opened just now, and whether it may be cached. A file that is
    /// being changed may not: sending it will report that.
    fn read_content(&self, file: File, size: u64) -> (Content, bool) {
        if size > self.max_content_size {
            return (Content::File(Arc::new(file)), true);
        }
        let mut bytes = vec![0; size as usize];
        match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => (Content::Bytes(bytes.into()), true),
            Err(_) => (Content::File(Arc::new(file)), false),
        }
    }
}

impl Weighed for Arc<CachedFile> {
    fn weight(&self) -> Weight {
        match &self.content {
            Content::Bytes(bytes) => Weight { bytes: bytes.len() as u64, descriptors: 0 },
            Content::File(_) => Weight { bytes: 0, descriptors: 1 },
        }
    }
}

#[cfg(test)]
#[path = "file_cache_tests.rs"]
mod tests;
