//! Reading a tree: the names of a directory, and what each of them is, by the rule of listings.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use doorstep_core::site::listing::Kind;
use doorstep_core::site::{Site, Stat};
use rustix::fs::{AtFlags, OFlags, statat};
use rustix::io::Errno;

use super::list::{Candidate, for_each_name, is_never_listed, own_uid};
use super::opened::{Opened, to_io_error};
use super::root_dir::RootDir;
use super::walk::TRAVERSE_FLAGS;

/// An entry of a directory in a tree.
#[derive(Debug)]
pub(crate) enum TreeEntry {
    /// A listing shows it: its kind and metadata; for a link, those of its target.
    Listed(Kind, Stat),
    /// A listing does not show it, since this process may not read it.
    Denied,
    /// A listing does not show it, for another reason.
    NotListed,
}

impl RootDir {
    /// Opens the directory at `path` to read its names.
    pub(crate) fn open_to_list(&self, path: &[u8]) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        self.resolve(path, flags).map_err(to_io_error)
    }

    /// Opens the directory at `path` for [`RootDir::entry`].
    pub(crate) fn open_to_search(&self, path: &[u8]) -> io::Result<OwnedFd> {
        self.resolve(path, TRAVERSE_FLAGS).map_err(to_io_error)
    }

    /// Whether `directory` has an entry `name`, of any kind.
    ///
    /// # Errors
    /// Returns an error if the file system fails.
    pub(crate) fn has_entry(directory: &OwnedFd, name: &[u8]) -> io::Result<bool> {
        match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(to_io_error(error)),
        }
    }

    /// Calls `visit` with each name in `directory` that may be one of a file, a directory or a link.
    ///
    /// # Errors
    /// Returns an error if the directory cannot be read, or if `visit` returns one.
    pub(crate) fn for_each_name(
        directory: OwnedFd,
        mut visit: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        for_each_name(directory, |_, name, kind| match name.to_bytes() {
            b"." | b".." => Ok(()),
            _ if is_never_listed(kind) => Ok(()),
            name => visit(name),
        })
    }

    /// What the entry `name` of `directory` is, whose path is `path`. `site` must list the name
    /// ([`Site::lists_entry`]).
    ///
    /// # Errors
    /// Returns an error if descriptors or memory are used up, or if the file system fails.
    pub(crate) fn entry(
        &self,
        path: &[u8],
        directory: &OwnedFd,
        name: &[u8],
        site: &Site,
    ) -> io::Result<TreeEntry> {
        let Ok(name) = CString::new(name) else { return Ok(TreeEntry::NotListed) };
        let (own_uid, dir) = (own_uid(), directory.as_fd());
        let candidate = Candidate {
            root_dir: self,
            site,
            own_uid,
            dir,
            path,
            name: &name,
            is_denied: Default::default(),
        };
        Ok(match candidate.classify()? {
            Some((kind, _, stat)) => TreeEntry::Listed(kind, stat),
            None if candidate.is_denied.get() => TreeEntry::Denied,
            None => TreeEntry::NotListed,
        })
    }
}

impl<F> Opened<F> {
    /// The reason why there is no file.
    pub(crate) fn into_error(self) -> io::Error {
        match self {
            Self::Denied(error) | Self::Exhausted(error) | Self::Failed(error) => error,
            _ => io::ErrorKind::NotFound.into(),
        }
    }
}
