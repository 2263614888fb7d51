//! The root: the directory that is served, by its name.
//!
//! A [`Root`] is a name and not an open directory, as in Python: the directory that has the name
//! *now* is served. The name may be a link that is switched, the directory may be deleted and
//! created again, and a file system may be mounted over it. The name is made absolute at start, so
//! that it does not depend on the working directory; links in it are not resolved. A [`RootDir`]
//! resolves paths beneath it.
//!
//! The directory that was found last is held open, so that no other one can have its inode, and
//! resolving the name costs one system call while it is the same. A cached file is validated by its
//! full name, without resolving that of the root ([`Root::is_unchanged`]).

use std::ffi::CString;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use doorstep_core::site::listing::Entry;
use doorstep_core::site::{Site, Stat};
use rustix::fs::{AtFlags, CWD, stat, statat};
use rustix::io::Errno;

use super::metadata::{core_stat, file_id};
use super::opened::{Opened, is_inaccessible};
use super::root_dir::{RootDir, Symlinks, check_relative};

/// The name of the directory that is served, and the rule for the links beneath it.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    /// The name and `/.`: it exists only if the name is that of a directory that may be entered.
    dot_path: PathBuf,
    symlinks: Symlinks,
    /// Whether paths are resolved by `openat2`.
    use_openat2: bool,
    current: RwLock<Option<Arc<RootDir>>>,
    /// How many times another directory was found than before, or none.
    revision: AtomicU64,
    /// Whether there was none when the name was resolved last.
    is_missing: AtomicBool,
}

/// Why the root cannot be opened now.
#[derive(Debug)]
pub struct RootError {
    error: Errno,
    name: PathBuf,
    /// Whether this is the first such error in a row: then it is logged.
    should_log: bool,
}

/// The name of a file beneath a root, with that of the root before it. It is made once for each file
/// that is cached, so that validating one copies nothing.
#[derive(Debug)]
pub struct FullName {
    name: CString,
    /// Where the path beneath the root begins.
    path_offset: usize,
}

impl FullName {
    /// The path beneath the root.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        &self.name.as_bytes()[self.path_offset..]
    }
}

impl Root {
    /// The root with the name `dir`, which is made absolute ([`absolute`]).
    ///
    /// # Errors
    /// Returns an error if there is no such directory now, or it may not be entered.
    pub fn new(dir: &Path, symlinks: Symlinks) -> io::Result<Self> {
        let path = absolute(dir)?;
        let dot_path = path.join(".");
        let use_openat2 = RootDir::new(&dot_path, symlinks, false)?.supports_openat2();
        Ok(Self {
            path,
            dot_path,
            symlinks,
            use_openat2,
            current: RwLock::default(),
            revision: AtomicU64::new(0),
            is_missing: AtomicBool::new(false),
        })
    }

    /// The directory that has the name now. Costs one system call if it is the same as before.
    ///
    /// # Errors
    /// Returns an error if there is no such directory, or it may not be entered.
    pub fn open_dir(&self) -> Result<Arc<RootDir>, RootError> {
        let found = stat(&self.dot_path).map_err(|error| self.root_error(error))?;
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        let root_dir = match current.filter(|root_dir| root_dir.id() == file_id(&found)) {
            Some(root_dir) => root_dir,
            None => self.reopen()?,
        };
        if self.is_missing.load(Ordering::Relaxed) {
            self.is_missing.store(false, Ordering::Relaxed);
        }
        Ok(root_dir)
    }

    /// Opens `path` in the directory that has the name now, as [`RootDir::open`] does.
    #[must_use]
    pub fn open(&self, path: &[u8]) -> Opened {
        match self.open_dir() {
            Ok(root_dir) => root_dir.open(path),
            Err(missing) => missing.into(),
        }
    }

    /// Inspects `path` in the directory that has the name now, as [`RootDir::inspect`] does.
    #[must_use]
    pub fn inspect(&self, path: &[u8]) -> Opened<bool> {
        match self.open_dir() {
            Ok(root_dir) => root_dir.inspect(path),
            Err(missing) => missing.into(),
        }
    }

    /// Lists the directory at `path`, as [`RootDir::list`] does.
    ///
    /// # Errors
    /// Returns the errors of [`Root::open_dir`] and [`RootDir::list`].
    pub fn list(
        &self,
        path: &[u8],
        site: &Site,
        visit: impl FnMut(Entry<&[u8]>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.open_dir()?.list(path, site, visit)
    }

    /// Lists the directory at `path`, as [`RootDir::list_matching`] does.
    ///
    /// # Errors
    /// Returns the errors of [`Root::open_dir`] and [`RootDir::list_matching`].
    pub fn list_matching(
        &self,
        path: &[u8],
        site: &Site,
        matches: impl FnMut(&[u8]) -> io::Result<bool>,
        visit: impl FnMut(Entry<&[u8]>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.open_dir()?.list_matching(path, site, matches, visit)
    }

    /// The full name of `path`, for [`Root::is_unchanged`]. `None` if there is no such path.
    #[must_use]
    pub fn full_name(&self, path: &[u8]) -> Option<FullName> {
        let path = check_relative(path).ok()?;
        let root = self.path.as_os_str().as_bytes();
        let name = CString::new([root, b"/", path].concat()).ok()?;
        Some(FullName { name, path_offset: root.len() + 1 })
    }

    /// Whether the metadata of a file is still `stat`. Costs one system call. Only for a path that
    /// was opened beneath this root before: it is not checked that the path does not lead out.
    #[must_use]
    pub fn is_unchanged(&self, name: &FullName, stat: &Stat) -> bool {
        // Where no link is followed, a link in the file's place is not the file.
        let flags = match self.symlinks {
            Symlinks::Deny => AtFlags::SYMLINK_NOFOLLOW,
            _ => AtFlags::empty(),
        };
        match statat(CWD, name.name.as_c_str(), flags) {
            Ok(now) => core_stat(&now) == *stat,
            // The full name is too long; the path in the directory may be short enough.
            Err(Errno::NAMETOOLONG) => self.is_unchanged_beneath(name, flags, stat),
            Err(_) => false,
        }
    }

    #[inline(never)] // it would need more of the stack than the usual case
    fn is_unchanged_beneath(&self, name: &FullName, flags: AtFlags, stat: &Stat) -> bool {
        let Ok(root_dir) = self.open_dir() else { return false };
        root_dir.stat(name.path(), flags).is_ok_and(|now| core_stat(&now) == *stat)
    }

    /// Whether `other` has the same name and the same rule for links.
    #[must_use]
    pub fn is_equivalent(&self, other: &Self) -> bool {
        (&self.path, self.symlinks) == (&other.path, other.symlinks)
    }

    /// A number that changes when another directory is found under the name. Then files that were
    /// cached are invalid.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Relaxed)
    }

    /// [`Root::revision`], if `root_dir` is the directory that was found last.
    #[must_use]
    pub fn revision_of(&self, root_dir: &RootDir) -> Option<u64> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let is_current = current.as_ref().is_some_and(|current| current.id() == root_dir.id());
        is_current.then(|| self.revision()) // it changes under the lock only
    }

    #[inline(never)] // it is done once, and needs more of the stack than the usual case
    fn reopen(&self) -> Result<Arc<RootDir>, RootError> {
        let root_dir = RootDir::new(&self.dot_path, self.symlinks, self.use_openat2);
        let root_dir = Arc::new(root_dir.map_err(|error| self.root_error(error))?);
        self.set_current(Some(root_dir.clone()));
        Ok(root_dir)
    }

    /// Closes the directory if it is gone, so that its file system can be unmounted.
    fn root_error(&self, error: Errno) -> RootError {
        let is_gone = is_inaccessible(error);
        if is_gone {
            self.set_current(None);
        }
        let should_log = is_gone && !self.is_missing.swap(true, Ordering::Relaxed);
        RootError { error, name: self.path.clone(), should_log }
    }

    fn set_current(&self, root_dir: Option<Arc<RootDir>>) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let id = |root_dir: &Option<Arc<RootDir>>| root_dir.as_ref().map(|root_dir| root_dir.id());
        if id(&current) != id(&root_dir) {
            self.revision.fetch_add(1, Ordering::Relaxed);
        }
        *current = root_dir;
    }
}

impl<F> From<RootError> for Opened<F> {
    /// The first error in a row is for the log.
    fn from(missing: RootError) -> Self {
        match missing {
            RootError { should_log: true, .. } => Self::Denied(missing.into()),
            RootError { error, .. } if is_inaccessible(error) => Self::NotFound,
            RootError { error, .. } => Self::from_errno(error),
        }
    }
}

impl From<RootError> for io::Error {
    fn from(RootError { error, name, .. }: RootError) -> Self {
        let is_gone = is_inaccessible(error);
        let error = Self::from(error);
        if !is_gone {
            return error;
        }
        let kind = if error.kind() == ErrorKind::PermissionDenied {
            ErrorKind::PermissionDenied
        } else {
            ErrorKind::NotFound
        };
        let message =
            format!("nothing is served while {} cannot be entered: {error}", name.display());
        Self::new(kind, message)
    }
}

/// The absolute name of `dir`, which does not depend on the working directory. Links and `..` in it
/// are not resolved. If it does not lead to the same directory, for instance because a parent
/// directory may not be entered, `dir` itself is returned.
///
/// # Errors
/// Returns an error if there is no such directory, or it may not be entered.
pub fn absolute(dir: &Path) -> io::Result<PathBuf> {
    if dir.as_os_str().is_empty() {
        return Err(ErrorKind::NotFound.into());
    }
    let meant = stat(dir.join("."))?;
    let absolute = match std::path::absolute(dir) {
        // The working directory was deleted: a name relative to it can never exist again.
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(error),
        absolute => absolute.ok(),
    };
    let is_same =
        |name: &PathBuf| stat(name.join(".")).is_ok_and(|found| file_id(&found) == file_id(&meant));
    Ok(absolute.filter(is_same).unwrap_or_else(|| dir.to_owned()))
}

#[cfg(test)]
impl Root {
    /// A root whose paths are not resolved by `openat2`.
    pub(super) fn without_openat2(dir: &Path, symlinks: Symlinks) -> Self {
        Self { use_openat2: false, ..Self::new(dir, symlinks).unwrap() }
    }
}

#[cfg(test)]
#[path = "root_tests.rs"]
mod tests;
