//! Files below a root, kept at hand, and never stale.
//!
//! Small bodies and the descriptors of larger files are kept, within fixed bounds. Each use is
//! validated by one look at the file's full name, that of the root included: device, inode, size,
//! and the times of the last change of content and of anything else must be what they were. A file
//! that changed so recently that another change could hide in the same tick of its clock is not
//! kept. So an answer is as fresh as if the file had been opened for it, at a third of the cost.
//! Kept is what was asked for twice of late: a walk through more files than there is room for
//! leaves what is kept alone. When there is no room, few new files are kept. When another directory
//! is found under the root's name, nothing is kept of the one before. (By its full name, a file in
//! a directory that was moved out of the root, with a link left in its place, is what it was: it is
//! sent until it changes.)
//!
//! ```
//! use doorstep_driver::files::{Content, FileCache};
//! use doorstep_driver::os::{Opened, Root, Symlinks};
//! # let dir = tempfile::tempdir()?;
//! # std::fs::write(dir.path().join("hello.txt"), "hi\n")?;
//!
//! let cache = FileCache::new(Root::new(dir.path(), Symlinks::Beneath)?);
//! let Opened::File(Content::File(file), stat) = cache.get(b"hello.txt", &mut None) else { panic!() };
//! assert_eq!(stat.size, 3, "and it is too young to be kept");
//! # Ok::<(), std::io::Error>(())
//! ```

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::mem;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use doorstep_core::site::listing::Entry;
use doorstep_core::site::{Site, Stat};

use crate::os::{self, Opened, Root, RootDir, RootError};

/// A body of at most this is kept and sent from memory; a larger file by its descriptor. In bytes.
pub const MAX_BODY_IN_MEMORY: u64 = 32 << 10;
/// Bounds of each of the two generations: bodies in bytes, bodies and descriptors in number.
const MAX_BYTES: u64 = 16 << 20;
const MAX_ENTRIES: usize = 16 << 10;
const MAX_DESCRIPTORS: usize = 64;
/// Paths that are remembered to have been asked for, a number.
const REQUESTED_SLOTS: usize = 4096;
/// Of so many that others would have to go for, one is kept.
const ADMIT_ONE_IN: u64 = 16;
/// How long a change must lie back, in seconds: the coarsest clock of a file system in use.
pub(super) const TIMESTAMP_GRANULARITY: i64 = 2;

/// A root, and what is kept of it.
#[derive(Debug)]
pub struct FileCache {
    root: Arc<Root>,
    generations: RwLock<Generations>,
    hasher: RandomState,
    /// Hashes of paths that were asked for and not kept, each in its slot until another comes.
    requested: Box<[AtomicU64]>,
    /// Files that others would have had to go for, a number; few of them were kept.
    rejected: AtomicU64,
}

/// A file's content.
#[derive(Debug, Clone)]
pub enum Content {
    /// All of it.
    Bytes(Arc<[u8]>),
    /// An open file.
    File(Arc<File>),
}

/// Two generations: what is used moves to the young one; when that is full, the old one goes.
#[derive(Debug, Default)]
struct Generations {
    young: Generation,
    old: Generation,
    /// [`Root::revision`], when this was begun.
    revision: u64,
}

#[derive(Debug, Default)]
struct Generation {
    files: HashMap<Box<[u8]>, (Content, Stat)>,
    bytes: u64,
    descriptors: usize,
}

impl FileCache {
    /// Over `root`; nothing is kept yet.
    #[must_use]
    pub fn new(root: impl Into<Arc<Root>>) -> Self {
        let root = root.into();
        let requested = (0..REQUESTED_SLOTS).map(|_| AtomicU64::new(0)).collect();
        let rejected = AtomicU64::new(0);
        Self {
            root,
            generations: RwLock::default(),
            hasher: RandomState::new(),
            requested,
            rejected,
        }
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> &Arc<Root> {
        &self.root
    }

    /// What is at `path`, as of now. `root_dir` is for all paths of one request: the root's name is
    /// looked at once for them all, if at all.
    #[must_use]
    pub fn get(&self, path: &[u8], root_dir: &mut Option<Arc<RootDir>>) -> Opened<Content> {
        let revision = self.root.revision();
        if let Some((content, stat, is_old)) = self.cached(path)
            && self.root.is_unchanged(path, &stat)
        {
            if is_old {
                self.insert(path, &content, stat, revision);
            }
            return Opened::File(content, stat);
        }
        let mut opened = self.open(path, root_dir);
        if matches!(opened, Opened::Exhausted(_)) && self.clear() {
            opened = self.open(path, root_dir); // what was held here is free now
        }
        let revision = root_dir.as_ref().and_then(|root_dir| self.root.revision_of(root_dir));
        opened.map_file(|file, stat| self.load(path, file, stat, revision))
    }

    fn open(&self, path: &[u8], root_dir: &mut Option<Arc<RootDir>>) -> Opened {
        match self.root_dir(root_dir) {
            Ok(root_dir) => root_dir.open(path),
            Err(missing) => missing.into(),
        }
    }

    /// What `root_dir` is, or what it becomes by a look at the root's name.
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

    /// The content of a file that was opened, which is kept if that is worth it and the directory is
    /// still the root's.
    fn load(&self, path: &[u8], file: File, stat: &Stat, revision: Option<u64>) -> Content {
        let Some(revision) = revision else { return Content::File(Arc::new(file)) };
        let is_old_enough = os::now() - stat.changed.0.max(stat.modified) > TIMESTAMP_GRANULARITY;
        if !is_old_enough || !self.mark_requested(path) || !self.should_admit() {
            return Content::File(Arc::new(file));
        }
        let (content, is_whole) = read_content(file, stat.size);
        if is_whole {
            self.insert(path, &content, *stat, revision);
        }
        content
    }

    /// As [`Root::list`].
    ///
    /// # Errors
    /// Those of [`Root::list`].
    pub fn list(
        &self,
        path: &[u8],
        site: &Site,
        visit: impl FnMut(Entry<&[u8]>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.root.list(path, site, visit)
    }

    /// Whether `path` was asked for before, of late; from now on it was.
    fn mark_requested(&self, path: &[u8]) -> bool {
        let hash = self.hasher.hash_one(path);
        self.requested[hash as usize % REQUESTED_SLOTS].swap(hash, Ordering::Relaxed) == hash
    }

    /// Whether one more is kept: as long as nothing has to go for it, and then now and then. Where
    /// more is asked for than there is room for, keeping costs more than it saves.
    fn should_admit(&self) -> bool {
        let is_full = !self.read_generations().old.files.is_empty();
        !is_full || self.rejected.fetch_add(1, Ordering::Relaxed).is_multiple_of(ADMIT_ONE_IN)
    }

    fn cached(&self, path: &[u8]) -> Option<(Content, Stat, bool)> {
        let generations = self.read_generations();
        if generations.revision != self.root.revision() {
            return None;
        }
        let young = generations.young.files.get(path).map(|file| (file, false));
        let ((content, stat), is_old) =
            young.or_else(|| generations.old.files.get(path).map(|file| (file, true)))?;
        Some((content.clone(), *stat, is_old))
    }

    /// Gives up what is kept of another directory than the root is now.
    fn discard_stale(&self) {
        if self.read_generations().revision != self.root.revision() {
            self.clear();
        }
    }

    /// Lets go of everything that is kept; whether there was anything.
    fn clear(&self) -> bool {
        let none = Generations { revision: self.root.revision(), ..Generations::default() };
        let generations = mem::replace(
            &mut *self.generations.write().unwrap_or_else(PoisonError::into_inner),
            none,
        );
        !generations.young.files.is_empty() || !generations.old.files.is_empty()
    }

    fn read_generations(&self) -> RwLockReadGuard<'_, Generations> {
        self.generations.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what belongs to the directory that the root was at so many `revision`, if it still is.
    fn insert(&self, path: &[u8], content: &Content, stat: Stat, revision: u64) {
        let mut generations = self.generations.write().unwrap_or_else(PoisonError::into_inner);
        if revision != self.root.revision() {
            return;
        }
        if generations.revision != revision {
            *generations = Generations { revision, ..Generations::default() };
        } else if generations.young.is_full() {
            generations.old = mem::take(&mut generations.young);
        }
        generations.young.insert(path, content.clone(), stat);
    }
}

impl Generation {
    fn is_full(&self) -> bool {
        self.bytes >= MAX_BYTES
            || self.files.len() >= MAX_ENTRIES
            || self.descriptors >= MAX_DESCRIPTORS
    }

    fn insert(&mut self, path: &[u8], content: Content, stat: Stat) {
        let (bytes, descriptors) = content.cost();
        self.bytes += bytes;
        self.descriptors += descriptors;
        if let Some((replaced, _)) = self.files.insert(path.into(), (content, stat)) {
            let (bytes, descriptors) = replaced.cost();
            self.bytes -= bytes;
            self.descriptors -= descriptors;
        }
    }
}

impl Content {
    fn cost(&self) -> (u64, usize) {
        match self {
            Self::Bytes(bytes) => (bytes.len() as u64, 0),
            Self::File(_) => (0, 1),
        }
    }
}

/// The content of a file just opened, and whether it may be kept. One that is being changed is left
/// as it is: the transfer will find out.
fn read_content(file: File, size: u64) -> (Content, bool) {
    if size > MAX_BODY_IN_MEMORY {
        return (Content::File(Arc::new(file)), true);
    }
    let mut bytes = vec![0; size as usize];
    match read_exact_at(&file, &mut bytes) {
        Ok(()) => (Content::Bytes(bytes.into()), true),
        Err(_) => (Content::File(Arc::new(file)), false),
    }
}

fn read_exact_at(file: &File, bytes: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], filled as u64) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => filled += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::Symlinks;
    use std::fs;
    use std::time::{Duration, SystemTime};

    fn cache() -> (tempfile::TempDir, FileCache) {
        let dir = tempfile::tempdir().unwrap();
        let cache = FileCache::new(Root::new(dir.path(), Symlinks::Beneath).unwrap());
        (dir, cache)
    }

    fn bytes(cache: &FileCache, path: &str) -> Vec<u8> {
        match cache.get(path.as_bytes(), &mut None) {
            Opened::File(Content::Bytes(bytes), _) => bytes.to_vec(),
            Opened::File(Content::File(file), stat) => {
                let mut bytes = vec![0; stat.size as usize];
                read_exact_at(&file, &mut bytes).unwrap();
                bytes
            }
            other => unreachable!("{other:?}"),
        }
    }

    fn is_cached(cache: &FileCache, path: &str) -> bool {
        cache.cached(path.as_bytes()).is_some()
    }

    /// A content that is forced into the cache as if it were settled.
    fn force_insert(cache: &FileCache, path: &str) {
        let Opened::File(content, stat) = cache.get(path.as_bytes(), &mut None) else {
            unreachable!()
        };
        let content = match content {
            Content::File(file) => read_content(file.try_clone().unwrap(), stat.size).0,
            bytes => bytes,
        };
        cache.insert(path.as_bytes(), &content, stat, cache.root.revision());
    }

    #[test]
    fn only_what_is_asked_for_twice_is_kept() {
        let (_dir, cache) = cache();
        assert!(!cache.mark_requested(b"a"));
        assert!(cache.mark_requested(b"a"));
    }

    #[test]
    fn what_changed_a_moment_ago_is_not_kept() {
        let (dir, cache) = cache();
        fs::write(dir.path().join("a"), "one").unwrap();
        assert_eq!(bytes(&cache, "a"), b"one");
        assert!(!is_cached(&cache, "a"));
        fs::write(dir.path().join("a"), "two").unwrap();
        assert_eq!(bytes(&cache, "a"), b"two", "same size, same tick");
    }

    #[test]
    fn every_change_is_seen_at_once() {
        let (dir, cache) = cache();
        let path = dir.path().join("a");
        let write = |text: &str, seconds| {
            fs::write(&path, text).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        };
        write("one", 1000);
        force_insert(&cache, "a");
        assert_eq!(bytes(&cache, "a"), b"one");
        std::thread::sleep(Duration::from_millis(20)); // another tick of the file system's clock
        write("two", 1000);
        assert_eq!(bytes(&cache, "a"), b"two", "same size and date: ctime tells");
        force_insert(&cache, "a");
        fs::remove_file(&path).unwrap();
        assert!(matches!(cache.get(b"a", &mut None), Opened::NotFound));
        fs::create_dir(&path).unwrap();
        assert!(matches!(cache.get(b"a", &mut None), Opened::Directory(_)));
    }

    #[test]
    fn r_1_nothing_is_kept_of_a_directory_that_was_replaced() {
        let (dir, cache) = cache();
        let old = dir.path().with_extension("old");
        fs::write(dir.path().join("a"), "one").unwrap();
        force_insert(&cache, "a");
        assert!(is_cached(&cache, "a"));
        fs::rename(dir.path(), &old).unwrap();
        fs::create_dir(dir.path()).unwrap();
        // A file of the former directory, in a place where it may not be sent from any more.
        std::os::unix::fs::symlink(old.join("a"), dir.path().join("a")).unwrap();
        assert!(matches!(cache.get(b"b", &mut None), Opened::NotFound), "a look at the name");
        assert!(matches!(cache.get(b"a", &mut None), Opened::Denied(_)));
        fs::remove_dir_all(dir.path()).unwrap();
        fs::rename(&old, dir.path()).unwrap();
        force_insert(&cache, "a");
        fs::rename(dir.path(), &old).unwrap();
        assert!(matches!(cache.get(b"a", &mut None), Opened::Denied(_)), "once for the log");
        assert_eq!(cache.read_generations().young.files.len(), 0);
        fs::rename(&old, dir.path()).unwrap();
        assert_eq!(bytes(&cache, "a"), b"one");
    }

    #[test]
    fn r_1_what_a_request_opened_of_a_former_directory_is_not_kept() {
        let (dir, cache) = cache();
        let old = dir.path().with_extension("old");
        fs::write(dir.path().join("a"), "one").unwrap();
        let mut root_dir = None;
        assert!(matches!(cache.get(b"b", &mut root_dir), Opened::NotFound));
        let before = cache.root.revision_of(root_dir.as_ref().unwrap()).unwrap();
        fs::rename(dir.path(), &old).unwrap();
        fs::create_dir(dir.path()).unwrap();
        // By its name it is what was opened, but it may not be sent from there.
        std::os::unix::fs::symlink(old.join("a"), dir.path().join("a")).unwrap();
        assert!(matches!(cache.get(b"b", &mut None), Opened::NotFound), "another request's look");
        let Opened::File(content, stat) = cache.get(b"a", &mut root_dir) else { unreachable!() };
        assert_eq!(cache.root.revision_of(root_dir.as_ref().unwrap()), None);
        cache.insert(b"a", &content, stat, before);
        assert!(!is_cached(&cache, "a"));
        assert!(matches!(cache.get(b"a", &mut None), Opened::Denied(_)));
        fs::remove_dir_all(dir.path()).unwrap();
        fs::rename(&old, dir.path()).unwrap();
    }

    #[test]
    fn r_1_one_request_sees_one_directory() {
        let (dir, cache) = cache();
        let old = dir.path().with_extension("old");
        fs::write(dir.path().join("a"), "one").unwrap();
        let mut root_dir = None;
        assert!(matches!(cache.get(b"b", &mut root_dir), Opened::NotFound));
        fs::rename(dir.path(), &old).unwrap();
        fs::create_dir(dir.path()).unwrap();
        assert!(matches!(cache.get(b"a", &mut root_dir), Opened::File(..)));
        assert!(matches!(cache.get(b"a", &mut None), Opened::NotFound), "the next one");
        fs::remove_dir(dir.path()).unwrap();
        fs::rename(&old, dir.path()).unwrap();
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (dir, cache) = cache();
        fs::write(dir.path().join("large"), vec![0; MAX_BODY_IN_MEMORY as usize + 1]).unwrap();
        let Opened::File(content, stat) = cache.get(b"large", &mut None) else { unreachable!() };
        for i in 0..1000 {
            cache.insert(format!("{i}").as_bytes(), &content, stat, cache.root.revision());
        }
        let generations = cache.generations.read().unwrap();
        assert!(generations.young.descriptors <= MAX_DESCRIPTORS);
        assert!(generations.old.descriptors <= MAX_DESCRIPTORS);
        assert_eq!(generations.young.files.len(), generations.young.descriptors);
    }
}
