//! Directory listings: the entries of a directory beneath the root.
//!
//! An entry is listed if it can be fetched: a file that this process may read, a directory that has
//! an index page or that it may read, or a link to one of these that is followed. FIFOs, devices,
//! sockets and links that are broken or not followed are omitted (B-149). The system is asked what
//! may be read (`faccessat`), which includes capabilities, groups and access control lists. It is
//! not asked about a file that belongs to the user of this process and is readable by its owner: no
//! access control list revokes that. The order is that of the file system; the core sorts.

use std::cell::Cell;
use std::ffi::CStr;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use doorstep_core::site::listing::{Entry, Kind};
use doorstep_core::site::{Site, Stat};
use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags, accessat, openat, statat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::metadata::{core_stat, file_type};
use super::opened::{Opened, is_inaccessible, to_io_error};
use super::root_dir::{READ_FLAGS, RootDir};

impl RootDir {
    /// Calls `visit` for each entry of the directory at `path` that `site` lists.
    ///
    /// Blocks for as long as the disk takes. System calls: one for each file, and one more if it
    /// belongs to another user; two for a directory, and one for each index page that is looked
    /// for; about five for a link.
    ///
    /// # Errors
    /// Returns an error if there is no such directory or it cannot be read (B-147), if descriptors
    /// or memory are used up or the file system fails meanwhile, since a partial listing would look
    /// complete, or if `visit` returns one.
    pub fn list(
        &self,
        path: &[u8],
        site: &Site,
        visit: impl FnMut(Entry<&[u8]>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.list_matching(path, site, |_| Ok(true), visit)
    }

    /// As [`RootDir::list`], but only the entries whose names match. Those that do not match cost no
    /// system call.
    ///
    /// # Errors
    /// Returns the same errors as [`RootDir::list`], and those of `matches`.
    pub fn list_matching(
        &self,
        path: &[u8],
        site: &Site,
        mut matches: impl FnMut(&[u8]) -> io::Result<bool>,
        mut visit: impl FnMut(Entry<&[u8]>) -> io::Result<()>,
    ) -> io::Result<()> {
        let own_uid = own_uid();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = self.resolve(path, flags).map_err(to_io_error)?;
        for_each_name(directory, |dir, c_name, file_type| {
            let name = c_name.to_bytes();
            let is_listed = !matches!(name, b"." | b"..") && site.lists_entry(path, name);
            if !is_listed || is_never_listed(file_type) || !matches(name)? {
                return Ok(());
            }
            let candidate = Candidate {
                root_dir: self,
                site,
                own_uid,
                dir,
                path,
                name: c_name,
                is_denied: Cell::default(),
            };
            match candidate.classify()? {
                Some((kind, link, stat)) => {
                    let mut entry = Entry::new(name, kind);
                    (entry.is_symlink, entry.size, entry.modified) =
                        (link, stat.size, stat.modified);
                    visit(entry)
                }
                None => Ok(()),
            }
        })
    }
}

/// Calls `visit` with the directory, the name and the kind of each entry.
///
/// The names stay in the buffer that the system wrote them to.
#[cfg(target_os = "linux")]
#[expect(clippy::needless_pass_by_value, reason = "on other systems it is consumed")]
pub(super) fn for_each_name(
    directory: OwnedFd,
    mut visit: impl FnMut(BorrowedFd<'_>, &CStr, FileType) -> io::Result<()>,
) -> io::Result<()> {
    use rustix::fs::RawDir;
    use std::os::fd::AsFd;

    let mut buffer = Vec::with_capacity(READ_BYTES);
    let mut entries = RawDir::new(&directory, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        match entry {
            Ok(entry) => visit(directory.as_fd(), entry.file_name(), entry.file_type())?,
            Err(Errno::INTR) => {}
            Err(Errno::NOENT) => break, // removed meanwhile
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn for_each_name(
    directory: OwnedFd,
    mut visit: impl FnMut(BorrowedFd<'_>, &CStr, FileType) -> io::Result<()>,
) -> io::Result<()> {
    let mut directory = rustix::fs::Dir::new(directory)?;
    while let Some(entry) = directory.read() {
        let entry = entry?;
        visit(directory.fd()?, entry.file_name(), entry.file_type())?;
    }
    Ok(())
}

/// An entry that may be listed.
pub(super) struct Candidate<'a> {
    pub(super) root_dir: &'a RootDir,
    pub(super) site: &'a Site,
    /// The user id of this process, if no other user has the same.
    pub(super) own_uid: Option<u32>,
    /// The directory, open.
    pub(super) dir: BorrowedFd<'a>,
    /// Its path from the root.
    pub(super) path: &'a [u8],
    pub(super) name: &'a CStr,
    /// Whether the entry was found not to be listed because this process may not read it.
    pub(super) is_denied: Cell<bool>,
}

impl Candidate<'_> {
    /// The kind of the entry, whether it is a link, and its metadata; `None` if it is not listed.
    pub(super) fn classify(&self) -> io::Result<Option<(Kind, bool, Stat)>> {
        let stat = match statat(self.dir, self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(error) => {
                self.is_denied.set(error == Errno::ACCESS);
                return ignore_inaccessible(error).map(|()| None);
            }
        };
        let owner_can_read = self.own_uid == Some(stat.st_uid) && stat.st_mode & 0o400 != 0;
        let is_readable = || if owner_can_read { Ok(true) } else { self.is_readable() };
        let entry = match file_type(&stat) {
            FileType::RegularFile => is_readable()?.then(|| (Kind::File, false, core_stat(&stat))),
            FileType::Directory => self
                .is_listed_directory(is_readable)?
                .then(|| (Kind::Directory, false, core_stat(&stat))),
            FileType::Symlink => match self.open(&join(self.path, self.name.to_bytes()))? {
                Opened::File(_, stat) => Some((Kind::File, true, stat)),
                Opened::Directory(stat) => self
                    .is_listed_directory(|| self.is_readable())?
                    .then_some((Kind::Directory, true, stat)),
                _ => None,
            },
            _ => None,
        };
        Ok(entry)
    }

    fn is_listed_directory(
        &self,
        is_readable: impl FnOnce() -> io::Result<bool>,
    ) -> io::Result<bool> {
        let path = join(self.path, self.name.to_bytes());
        let open =
            |index: &str| self.open(&join(&path, index.as_bytes())).map(|opened| opened.to_found());
        self.site.lists_directory(&path, open, is_readable)
    }

    fn open(&self, path: &[u8]) -> io::Result<Opened> {
        let opened = self.root_dir.open(path);
        if let Opened::Denied(error) = &opened
            && Errno::from_io_error(error) == Some(Errno::ACCESS)
        {
            self.is_denied.set(true);
        }
        ignore_inaccessible_entry(opened)
    }

    /// Whether this process may read the entry.
    fn is_readable(&self) -> io::Result<bool> {
        match accessat(self.dir, self.name, Access::READ_OK, AtFlags::EACCESS) {
            Ok(()) => Ok(true),
            Err(Errno::ACCESS) => {
                self.is_denied.set(true);
                Ok(false)
            }
            // An old kernel or a sandbox does not support the call: try to open it.
            Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => {
                match openat(self.dir, self.name, READ_FLAGS, Mode::empty()) {
                    Ok(_) => Ok(true),
                    Err(error) => ignore_inaccessible(error).map(|()| false),
                }
            }
            Err(error) => ignore_inaccessible(error).map(|()| false),
        }
    }
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

/// Ignores an error that means that one entry cannot be accessed. Any other error ends the listing,
/// which would look complete without the entry.
fn ignore_inaccessible(error: Errno) -> io::Result<()> {
    // It was replaced meanwhile, or it is the mount point of a file system whose server has ended.
    let is_gone = matches!(error, Errno::STALE | Errno::NOTCONN);
    if is_gone || is_inaccessible(error) { Ok(()) } else { Err(error.into()) }
}

/// Does the same for the result of opening an entry.
fn ignore_inaccessible_entry(opened: Opened) -> io::Result<Opened> {
    match opened {
        Opened::Exhausted(error) => Err(error),
        Opened::Failed(error) => match Errno::from_io_error(&error) {
            Some(errno) => ignore_inaccessible(errno).map(|()| Opened::NotFound),
            None => Err(error),
        },
        opened => Ok(opened),
    }
}

/// The user id of this process; `None` if users without an id in this namespace have the same.
pub(super) fn own_uid() -> Option<u32> {
    Some(geteuid().as_raw()).filter(|&uid| uid != OVERFLOW_UID)
}

/// The size of the buffer for names: as in the C libraries of Linux, about 1,000 short names.
#[cfg(target_os = "linux")]
const READ_BYTES: usize = 32 << 10;

/// The id that Linux shows for a user without one in this namespace.
const OVERFLOW_UID: u32 = 65534;

/// Whether the kind of an entry is never listed. Some file systems do not report it (`Unknown`).
pub(super) fn is_never_listed(kind: FileType) -> bool {
    !matches!(
        kind,
        FileType::RegularFile | FileType::Directory | FileType::Symlink | FileType::Unknown
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r_4_an_entry_whose_state_is_unknown_ends_the_listing() {
        for error in [Errno::IO, Errno::NOMEM, Errno::MFILE, Errno::NFILE, Errno::TIMEDOUT] {
            let result = ignore_inaccessible_entry(Opened::from_errno(error));
            assert_eq!(result.map(|_| ()).unwrap_err().raw_os_error(), Some(error.raw_os_error()));
            assert!(ignore_inaccessible(error).is_err());
        }
    }

    #[test]
    fn r_4_an_entry_that_cannot_be_accessed_is_omitted() {
        for error in
            [Errno::NOENT, Errno::ACCESS, Errno::LOOP, Errno::XDEV, Errno::STALE, Errno::NOTCONN]
        {
            assert!(!matches!(
                ignore_inaccessible_entry(Opened::from_errno(error)).unwrap(),
                Opened::File(..)
            ));
            assert!(ignore_inaccessible(error).is_ok());
        }
    }
}
