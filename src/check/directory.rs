//! One directory: its names, and which of them the server lists.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use doorstep_core::site::Site;
use doorstep_core::site::listing::Kind as EntryKind;
use doorstep_driver::os::Root;
use rustix::fs::{Dir, Mode, OFlags, openat};

/// How a directory is opened to read it, and to look at its entries.
pub(super) const DIRECTORY_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The entries of a directory.
pub(super) struct Directory {
    /// The directory, open: its full path may be longer than the system takes.
    pub(super) handle: OwnedFd,
    /// Its path from the root.
    pub(super) path: Vec<u8>,
    /// All names, sorted.
    pub(super) names: Vec<Vec<u8>>,
    /// Those that the server lists.
    pub(super) listed: BTreeMap<Vec<u8>, Listed>,
}

/// An entry that the server lists.
#[derive(Clone, Copy)]
pub(super) struct Listed {
    pub(super) is_file: bool,
    pub(super) size: u64,
    /// When the content was last changed, in seconds since 1970.
    pub(super) modified: i64,
}

impl Directory {
    /// Reads the directory at `path` beneath `root`, which is open as `root_handle`.
    pub(super) fn read(
        root: &Root,
        root_handle: &OwnedFd,
        site: &Site,
        path: Vec<u8>,
    ) -> io::Result<Self> {
        let relative: &[u8] = if path.is_empty() { b"." } else { &path };
        let handle = openat(root_handle, relative, DIRECTORY_FLAGS, Mode::empty())?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&handle)? {
            match entry?.file_name().to_bytes() {
                b"." | b".." => {}
                name => names.push(name.to_vec()),
            }
        }
        names.sort_unstable();
        let mut listed = BTreeMap::new();
        root.list(&path, site, |entry| {
            let is_file = entry.kind == EntryKind::File;
            let found = Listed { is_file, size: entry.size, modified: entry.modified };
            listed.insert(entry.name.to_vec(), found);
            Ok(())
        })?;
        Ok(Self { handle, path, names, listed })
    }

    /// The path of the entry `name` from the root.
    pub(super) fn join(&self, name: &[u8]) -> Vec<u8> {
        match self.path.is_empty() {
            true => name.to_vec(),
            false => [&self.path, b"/".as_slice(), name].concat(),
        }
    }

    /// Whether there is an entry `name`.
    pub(super) fn contains(&self, name: &[u8]) -> bool {
        self.names.binary_search_by(|other| (**other).cmp(name)).is_ok()
    }
}

/// The path of the system for `path` beneath the directory `root`.
pub(super) fn full_path(root: &Path, path: &[u8]) -> PathBuf {
    match path {
        b"" => root.to_owned(),
        path => root.join(OsStr::from_bytes(path)),
    }
}
