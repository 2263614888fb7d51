//! The directory that is served, by its name.
//!
//! A [`Root`] is a name, not a handle, as in Python: what stands under the name *now* is served. A
//! link there may be switched, the directory may be deleted and built again, a file system may be
//! mounted over it. The name is made absolute at start, so that it does not depend on the working
//! directory any more; it is not resolved. Beneath it, a [`Tree`] keeps every path inside.
//!
//! The tree of the last look is held, and with it the number of its directory, which can be no
//! other's meanwhile. So a look costs one system call while nothing has changed. A file that is
//! known already is looked at by its full name and needs no look of its own ([`Root::unchanged`]).

use std::cell::RefCell;
use std::ffi::CStr;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use doorstep_core::site::listing::Entry;
use doorstep_core::site::{Site, Stat};
use rustix::fs::{AtFlags, CWD, stat, statat};
use rustix::io::Errno;

use super::metadata::{facts, identity};
use super::opened::{Opened, is_no};
use super::tree::{Symlinks, Tree, clean};

/// The name of the directory that is served, and the rule for the links in it.
#[derive(Debug)]
pub struct Root {
    name: PathBuf,
    /// The name and `/.`: it leads somewhere only if a directory is there that may be entered.
    entry: PathBuf,
    symlinks: Symlinks,
    /// Whether the kernel keeps us beneath the directory.
    kernel: bool,
    held: RwLock<Option<Arc<Tree>>>,
    /// How often another directory than before was found, or none.
    changes: AtomicU64,
    /// Whether there was none at the last look.
    is_missing: AtomicBool,
}

/// Why there is no tree at this moment.
#[derive(Debug)]
pub struct Missing {
    error: Errno,
    name: PathBuf,
    /// Whether there was one at the last look: then it is logged.
    is_news: bool,
}

thread_local! {
    /// A full name; one buffer for each thread, so a look at a known file allocates nothing.
    static NAME: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Root {
    /// Serves what `dir` means, now and later; see [`absolute`].
    ///
    /// # Errors
    /// When there is no such directory now, or it may not be entered.
    pub fn new(dir: &Path, symlinks: Symlinks) -> io::Result<Self> {
        let name = absolute(dir)?;
        let entry = name.join(".");
        let kernel = Tree::new(&entry, symlinks, false)?.kernel_can();
        Ok(Self {
            name,
            entry,
            symlinks,
            kernel,
            held: RwLock::default(),
            changes: AtomicU64::new(0),
            is_missing: AtomicBool::new(false),
        })
    }

    /// What stands under the name now. One system call, if it is what stood there at the last look.
    ///
    /// # Errors
    /// When no directory is there, or it may not be entered.
    pub fn tree(&self) -> Result<Arc<Tree>, Missing> {
        let found = stat(&self.entry).map_err(|error| self.missing(error))?;
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner).clone();
        let tree = match held.filter(|tree| tree.identity() == identity(&found)) {
            Some(tree) => tree,
            None => self.open_tree()?,
        };
        if self.is_missing.load(Ordering::Relaxed) {
            self.is_missing.store(false, Ordering::Relaxed);
        }
        Ok(tree)
    }

    /// As [`Tree::open`], of what stands under the name now.
    #[must_use]
    pub fn open(&self, path: &[u8]) -> Opened {
        match self.tree() {
            Ok(tree) => tree.open(path),
            Err(missing) => missing.into(),
        }
    }

    /// As [`Tree::look`], of what stands under the name now.
    #[must_use]
    pub fn look(&self, path: &[u8]) -> Opened<bool> {
        match self.tree() {
            Ok(tree) => tree.look(path),
            Err(missing) => missing.into(),
        }
    }

    /// As [`Tree::list`], of what stands under the name now.
    ///
    /// # Errors
    /// Those of [`Tree::list`].
    pub fn list(
        &self,
        path: &[u8],
        site: &Site,
        take: impl FnMut(Entry<&[u8]>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.tree()?.list(path, site, take)
    }

    /// Whether `path` still leads to what `stat` was taken of. Costs one system call; of a path
    /// that was not opened here before it says nothing.
    #[must_use]
    pub fn unchanged(&self, path: &[u8], stat: &Stat) -> bool {
        let Ok(path) = clean(path) else { return false };
        // Where no link is followed, a link in the file's place is not the file.
        let flags = match self.symlinks {
            Symlinks::Deny => AtFlags::SYMLINK_NOFOLLOW,
            _ => AtFlags::empty(),
        };
        let mut name = NAME.take();
        name.clear();
        for part in [self.name.as_os_str().as_bytes(), b"/", path, b"\0"] {
            name.extend_from_slice(part);
        }
        let now = match CStr::from_bytes_with_nul(&name) {
            Ok(name) => statat(CWD, name, flags),
            Err(_) => Err(Errno::NOENT),
        };
        NAME.set(name);
        let now = match now {
            // Too long in one piece: from the directory on it may be short enough.
            Err(Errno::NAMETOOLONG) => match self.tree() {
                Ok(tree) => tree.stat(path, flags),
                Err(missing) => Err(missing.error),
            },
            now => now,
        };
        now.is_ok_and(|now| facts(&now) == *stat)
    }

    /// Whether `other` is served in the same way.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        (&self.name, self.symlinks) == (&other.name, other.symlinks)
    }

    /// A number that is another one once another directory was found under the name: what is kept
    /// of the one before is of no use then.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// [`Root::changes`] as long as `tree` is what was found last.
    #[must_use]
    pub fn changes_to(&self, tree: &Tree) -> Option<u64> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let is_held = held.as_ref().is_some_and(|held| held.identity() == tree.identity());
        is_held.then(|| self.changes()) // changed under the lock only
    }

    fn open_tree(&self) -> Result<Arc<Tree>, Missing> {
        let tree = Tree::new(&self.entry, self.symlinks, self.kernel);
        let tree = Arc::new(tree.map_err(|error| self.missing(error))?);
        self.hold(Some(tree.clone()));
        Ok(tree)
    }

    /// Nothing is held of a directory that is gone: its file system can be unmounted.
    fn missing(&self, error: Errno) -> Missing {
        let is_gone = is_no(error);
        if is_gone {
            self.hold(None);
        }
        let is_news = is_gone && !self.is_missing.swap(true, Ordering::Relaxed);
        Missing { error, name: self.name.clone(), is_news }
    }

    fn hold(&self, tree: Option<Arc<Tree>>) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let identity = |tree: &Option<Arc<Tree>>| tree.as_ref().map(|tree| tree.identity());
        if identity(&held) != identity(&tree) {
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
        *held = tree;
    }
}

impl<F> From<Missing> for Opened<F> {
    /// The first one in a row is for the log.
    fn from(missing: Missing) -> Self {
        match missing {
            Missing { is_news: true, .. } => Self::Refused(missing.into()),
            Missing { error, .. } if is_no(error) => Self::Nothing,
            Missing { error, .. } => Self::failed(error),
        }
    }
}

impl From<Missing> for io::Error {
    fn from(Missing { error, name, .. }: Missing) -> Self {
        let is_gone = is_no(error);
        let error = Self::from(error);
        if !is_gone {
            return error;
        }
        let kind = if error.kind() == ErrorKind::PermissionDenied {
            ErrorKind::PermissionDenied
        } else {
            ErrorKind::NotFound
        };
        let words =
            format!("nothing is served while {} cannot be entered: {error}", name.display());
        Self::new(kind, words)
    }
}

/// The name of `dir` that stays the same when the working directory becomes another one: the
/// absolute one, in which links and `..` stay what they are. Where that one leads elsewhere or
/// nowhere, as above a directory that may not be passed through, it is `dir` itself.
///
/// # Errors
/// When there is no such directory, or it may not be entered.
pub fn absolute(dir: &Path) -> io::Result<PathBuf> {
    if dir.as_os_str().is_empty() {
        return Err(ErrorKind::NotFound.into());
    }
    let meant = stat(dir.join("."))?;
    let absolute = match std::path::absolute(dir) {
        // The working directory was deleted: nothing will ever stand under a name relative to it.
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(error),
        absolute => absolute.ok(),
    };
    let is_same = |name: &PathBuf| {
        stat(name.join(".")).is_ok_and(|found| identity(&found) == identity(&meant))
    };
    Ok(absolute.filter(is_same).unwrap_or_else(|| dir.to_owned()))
}

#[cfg(test)]
impl Root {
    /// The same root without the kernel's help.
    pub(super) fn walking(dir: &Path, symlinks: Symlinks) -> Self {
        Self { kernel: false, ..Self::new(dir, symlinks).unwrap() }
    }
}

#[cfg(test)]
#[path = "root_tests.rs"]
mod tests;
