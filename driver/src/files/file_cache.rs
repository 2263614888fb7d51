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
//! use doorstep_driver::files::{Content, Store};
//! use doorstep_driver::os::{Opened, Root, Symlinks};
//! # let dir = tempfile::tempdir()?;
//! # std::fs::write(dir.path().join("hello.txt"), "hi\n")?;
//!
//! let store = Store::new(Root::new(dir.path(), Symlinks::Beneath)?);
//! let Opened::File(Content::File(file), stat) = store.get(b"hello.txt", &mut None) else { panic!() };
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

use crate::os::{self, Missing, Opened, Root, Tree};

/// A body of at most this is kept and sent from memory; a larger file by its descriptor. In bytes.
pub const SMALL: u64 = 32 << 10;
/// Bounds of each of the two generations: bodies in bytes, bodies and descriptors in number.
const MOST_BYTES: u64 = 16 << 20;
const MOST_BODIES: usize = 16 << 10;
const MOST_DESCRIPTORS: usize = 64;
/// Paths that are remembered to have been asked for, a number.
const SLOTS: usize = 4096;
/// Of so many that others would have to go for, one is kept.
const ONE_OF: u64 = 16;
/// How long a change must lie back, in seconds: the coarsest clock of a file system in use.
pub(super) const SETTLED: i64 = 2;

/// A root, and what is kept of it.
#[derive(Debug)]
pub struct Store {
    root: Arc<Root>,
    kept: RwLock<Kept>,
    hasher: RandomState,
    /// Hashes of paths that were asked for and not kept, each in its slot until another comes.
    seen: Box<[AtomicU64]>,
    /// Files that others would have had to go for, a number; few of them were kept.
    turned_away: AtomicU64,
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
struct Kept {
    young: Generation,
    old: Generation,
    /// [`Root::changes`], when this was begun.
    changes: u64,
}

#[derive(Debug, Default)]
struct Generation {
    files: HashMap<Box<[u8]>, (Content, Stat)>,
    bytes: u64,
    descriptors: usize,
}

impl Store {
    /// Over `root`; nothing is kept yet.
    #[must_use]
    pub fn new(root: impl Into<Arc<Root>>) -> Self {
        let root = root.into();
        let seen = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        let turned_away = AtomicU64::new(0);
        Self { root, kept: RwLock::default(), hasher: RandomState::new(), seen, turned_away }
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> &Arc<Root> {
        &self.root
    }

    /// What is at `path`, as of now. `tree` is for all paths of one request: the root's name is
    /// looked at once for them all, if at all.
    #[must_use]
    pub fn get(&self, path: &[u8], tree: &mut Option<Arc<Tree>>) -> Opened<Content> {
        let changes = self.root.changes();
        if let Some((content, stat, is_old)) = self.kept(path)
            && self.root.unchanged(path, &stat)
        {
            if is_old {
                self.keep(path, &content, stat, changes);
            }
            return Opened::File(content, stat);
        }
        let mut opened = self.open(path, tree);
        if matches!(opened, Opened::Exhausted(_)) && self.forget() {
            opened = self.open(path, tree); // what was held here is free now
        }
        let changes = tree.as_ref().and_then(|tree| self.root.changes_to(tree));
        opened.map(|file, stat| self.take(path, file, stat, changes))
    }

    fn open(&self, path: &[u8], tree: &mut Option<Arc<Tree>>) -> Opened {
        match self.tree(tree) {
            Ok(tree) => tree.open(path),
            Err(missing) => missing.into(),
        }
    }

    /// What `tree` is, or what it becomes by a look at the root's name.
    fn tree<'t>(&self, tree: &'t mut Option<Arc<Tree>>) -> Result<&'t Tree, Missing> {
        match tree {
            Some(tree) => Ok(tree),
            None => {
                let now = self.root.tree();
                self.forget_others();
                Ok(tree.insert(now?))
            }
        }
    }

    /// The content of a file that was opened, which is kept if that is worth it and the directory is
    /// still the root's.
    fn take(&self, path: &[u8], file: File, stat: &Stat, changes: Option<u64>) -> Content {
        let Some(changes) = changes else { return Content::File(Arc::new(file)) };
        let is_settled = os::now() - stat.changed.0.max(stat.modified) > SETTLED;
        if !is_settled || !self.was_seen(path) || !self.admits() {
            return Content::File(Arc::new(file));
        }
        let (content, is_whole) = read(file, stat.size);
        if is_whole {
            self.keep(path, &content, *stat, changes);
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
        take: impl FnMut(Entry<&[u8]>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.root.list(path, site, take)
    }

    /// Whether `path` was asked for before, of late; from now on it was.
    fn was_seen(&self, path: &[u8]) -> bool {
        let hash = self.hasher.hash_one(path);
        self.seen[hash as usize % SLOTS].swap(hash, Ordering::Relaxed) == hash
    }

    /// Whether one more is kept: as long as nothing has to go for it, and then now and then. Where
    /// more is asked for than there is room for, keeping costs more than it saves.
    fn admits(&self) -> bool {
        let is_crowded = !self.read().old.files.is_empty();
        !is_crowded || self.turned_away.fetch_add(1, Ordering::Relaxed).is_multiple_of(ONE_OF)
    }

    fn kept(&self, path: &[u8]) -> Option<(Content, Stat, bool)> {
        let kept = self.read();
        if kept.changes != self.root.changes() {
            return None;
        }
        let young = kept.young.files.get(path).map(|file| (file, false));
        let ((content, stat), is_old) =
            young.or_else(|| kept.old.files.get(path).map(|file| (file, true)))?;
        Some((content.clone(), *stat, is_old))
    }

    /// Gives up what is kept of another directory than the root is now.
    fn forget_others(&self) {
        if self.read().changes != self.root.changes() {
            self.forget();
        }
    }

    /// Lets go of everything that is kept; whether there was anything.
    fn forget(&self) -> bool {
        let none = Kept { changes: self.root.changes(), ..Kept::default() };
        let kept =
            mem::replace(&mut *self.kept.write().unwrap_or_else(PoisonError::into_inner), none);
        !kept.young.files.is_empty() || !kept.old.files.is_empty()
    }

    fn read(&self) -> RwLockReadGuard<'_, Kept> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what belongs to the directory that the root was at so many `changes`, if it still is.
    fn keep(&self, path: &[u8], content: &Content, stat: Stat, changes: u64) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if changes != self.root.changes() {
            return;
        }
        if kept.changes != changes {
            *kept = Kept { changes, ..Kept::default() };
        } else if kept.young.is_full() {
            kept.old = mem::take(&mut kept.young);
        }
        kept.young.insert(path, content.clone(), stat);
    }
}

impl Generation {
    fn is_full(&self) -> bool {
        self.bytes >= MOST_BYTES
            || self.files.len() >= MOST_BODIES
            || self.descriptors >= MOST_DESCRIPTORS
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
fn read(file: File, size: u64) -> (Content, bool) {
    if size > SMALL {
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

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(Root::new(dir.path(), Symlinks::Beneath).unwrap());
        (dir, store)
    }

    fn bytes(store: &Store, path: &str) -> Vec<u8> {
        match store.get(path.as_bytes(), &mut None) {
            Opened::File(Content::Bytes(bytes), _) => bytes.to_vec(),
            Opened::File(Content::File(file), stat) => {
                let mut bytes = vec![0; stat.size as usize];
                read_exact_at(&file, &mut bytes).unwrap();
                bytes
            }
            other => unreachable!("{other:?}"),
        }
    }

    fn is_kept(store: &Store, path: &str) -> bool {
        store.kept(path.as_bytes()).is_some()
    }

    /// A content that is forced into the store as if it were settled.
    fn settle(store: &Store, path: &str) {
        let Opened::File(content, stat) = store.get(path.as_bytes(), &mut None) else {
            unreachable!()
        };
        let content = match content {
            Content::File(file) => read(file.try_clone().unwrap(), stat.size).0,
            bytes => bytes,
        };
        store.keep(path.as_bytes(), &content, stat, store.root.changes());
    }

    #[test]
    fn only_what_is_asked_for_twice_is_kept() {
        let (_dir, store) = store();
        assert!(!store.was_seen(b"a"));
        assert!(store.was_seen(b"a"));
    }

    #[test]
    fn what_changed_a_moment_ago_is_not_kept() {
        let (dir, store) = store();
        fs::write(dir.path().join("a"), "one").unwrap();
        assert_eq!(bytes(&store, "a"), b"one");
        assert!(!is_kept(&store, "a"));
        fs::write(dir.path().join("a"), "two").unwrap();
        assert_eq!(bytes(&store, "a"), b"two", "same size, same tick");
    }

    #[test]
    fn every_change_is_seen_at_once() {
        let (dir, store) = store();
        let path = dir.path().join("a");
        let write = |text: &str, seconds| {
            fs::write(&path, text).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        };
        write("one", 1000);
        settle(&store, "a");
        assert_eq!(bytes(&store, "a"), b"one");
        std::thread::sleep(Duration::from_millis(20)); // another tick of the file system's clock
        write("two", 1000);
        assert_eq!(bytes(&store, "a"), b"two", "same size and date: ctime tells");
        settle(&store, "a");
        fs::remove_file(&path).unwrap();
        assert!(matches!(store.get(b"a", &mut None), Opened::Nothing));
        fs::create_dir(&path).unwrap();
        assert!(matches!(store.get(b"a", &mut None), Opened::Directory(_)));
    }

    #[test]
    fn r_1_nothing_is_kept_of_a_directory_that_was_replaced() {
        let (dir, store) = store();
        let old = dir.path().with_extension("old");
        fs::write(dir.path().join("a"), "one").unwrap();
        settle(&store, "a");
        assert!(is_kept(&store, "a"));
        fs::rename(dir.path(), &old).unwrap();
        fs::create_dir(dir.path()).unwrap();
        // A file of the former directory, in a place where it may not be sent from any more.
        std::os::unix::fs::symlink(old.join("a"), dir.path().join("a")).unwrap();
        assert!(matches!(store.get(b"b", &mut None), Opened::Nothing), "a look at the name");
        assert!(matches!(store.get(b"a", &mut None), Opened::Refused(_)));
        fs::remove_dir_all(dir.path()).unwrap();
        fs::rename(&old, dir.path()).unwrap();
        settle(&store, "a");
        fs::rename(dir.path(), &old).unwrap();
        assert!(matches!(store.get(b"a", &mut None), Opened::Refused(_)), "once for the log");
        assert_eq!(store.read().young.files.len(), 0);
        fs::rename(&old, dir.path()).unwrap();
        assert_eq!(bytes(&store, "a"), b"one");
    }

    #[test]
    fn r_1_what_a_request_opened_of_a_former_directory_is_not_kept() {
        let (dir, store) = store();
        let old = dir.path().with_extension("old");
        fs::write(dir.path().join("a"), "one").unwrap();
        let mut tree = None;
        assert!(matches!(store.get(b"b", &mut tree), Opened::Nothing));
        let before = store.root.changes_to(tree.as_ref().unwrap()).unwrap();
        fs::rename(dir.path(), &old).unwrap();
        fs::create_dir(dir.path()).unwrap();
        // By its name it is what was opened, but it may not be sent from there.
        std::os::unix::fs::symlink(old.join("a"), dir.path().join("a")).unwrap();
        assert!(matches!(store.get(b"b", &mut None), Opened::Nothing), "another request's look");
        let Opened::File(content, stat) = store.get(b"a", &mut tree) else { unreachable!() };
        assert_eq!(store.root.changes_to(tree.as_ref().unwrap()), None);
        store.keep(b"a", &content, stat, before);
        assert!(!is_kept(&store, "a"));
        assert!(matches!(store.get(b"a", &mut None), Opened::Refused(_)));
        fs::remove_dir_all(dir.path()).unwrap();
        fs::rename(&old, dir.path()).unwrap();
    }

    #[test]
    fn r_1_one_request_sees_one_directory() {
        let (dir, store) = store();
        let old = dir.path().with_extension("old");
        fs::write(dir.path().join("a"), "one").unwrap();
        let mut tree = None;
        assert!(matches!(store.get(b"b", &mut tree), Opened::Nothing));
        fs::rename(dir.path(), &old).unwrap();
        fs::create_dir(dir.path()).unwrap();
        assert!(matches!(store.get(b"a", &mut tree), Opened::File(..)));
        assert!(matches!(store.get(b"a", &mut None), Opened::Nothing), "the next one");
        fs::remove_dir(dir.path()).unwrap();
        fs::rename(&old, dir.path()).unwrap();
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (dir, store) = store();
        fs::write(dir.path().join("large"), vec![0; SMALL as usize + 1]).unwrap();
        let Opened::File(content, stat) = store.get(b"large", &mut None) else { unreachable!() };
        for i in 0..1000 {
            store.keep(format!("{i}").as_bytes(), &content, stat, store.root.changes());
        }
        let kept = store.kept.read().unwrap();
        assert!(kept.young.descriptors <= MOST_DESCRIPTORS);
        assert!(kept.old.descriptors <= MOST_DESCRIPTORS);
        assert_eq!(kept.young.files.len(), kept.young.descriptors);
    }
}
