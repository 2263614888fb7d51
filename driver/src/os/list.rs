//! The entries of a directory below the root.
//!
//! Listed is what this process can fetch: files that it may read, directories with an index page or
//! with leave to read them, and links that lead to one of these in bounds. FIFOs, devices, sockets
//! and broken or refused links are left out (B-149). What may be read is asked of the system, which
//! knows capabilities, groups and access lists. It is not asked about a file of this process's user
//! that its owner may read: no access list takes that from an owner. Names come in the order of the
//! file system; sorting is the core's.

use std::io;
use std::os::fd::BorrowedFd;

use doorstep_core::site::listing::{Entry, Kind};
use doorstep_core::site::{Site, Stat};
use rustix::fs::{Access, AtFlags, Dir, FileType, Mode, OFlags, accessat, openat, statat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::metadata::{core_stat, file_type};
use super::opened::{Opened, is_inaccessible, to_io_error};
use super::root_dir::{READ_FLAGS, RootDir};

impl RootDir {
    /// Gives each entry of the directory at `path` that `site` shows to `visit`, and keeps none.
    ///
    /// Blocks for as long as the disk takes. System calls: one for each file, and one more if it
    /// belongs to another user; two for a directory, and one for each index page that is looked
    /// for; about five for a link.
    ///
    /// # Errors
    /// When there is no such directory, or it cannot be read (B-147). When descriptors or memory
    /// are used up, or the file system fails, on the way: no partial listing is given. That of
    /// `visit`, which ends it.
    pub fn list(
        &self,
        path: &[u8],
        site: &Site,
        mut visit: impl FnMut(Entry<&[u8]>) -> io::Result<()>,
    ) -> io::Result<()> {
        let our_uid = our_uid();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut directory = Dir::new(self.resolve(path, flags).map_err(to_io_error)?)?;
        while let Some(entry) = directory.read() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            let is_listed = !matches!(name, b"." | b"..") && site.lists_entry(path, name);
            if !is_listed || is_never_listed(entry.file_type()) {
                continue;
            }
            let candidate =
                Candidate { root_dir: self, site, our_uid, dir: directory.fd()?, path, name };
            if let Some((kind, link, stat)) = candidate.classify()? {
                let Stat { size, modified, .. } = stat;
                visit(Entry { name, kind, is_symlink: link, size, modified })?;
            }
        }
        Ok(())
    }
}

/// An entry under judgement.
struct Candidate<'a> {
    root_dir: &'a RootDir,
    site: &'a Site,
    /// Our user id, if it stands for no other user.
    our_uid: Option<u32>,
    /// The directory, open.
    dir: BorrowedFd<'a>,
    /// From the root to it.
    path: &'a [u8],
    name: &'a [u8],
}

impl Candidate<'_> {
    /// What is listed, and whether it is a link; `None` for what cannot be fetched.
    fn classify(&self) -> io::Result<Option<(Kind, bool, Stat)>> {
        let stat = match statat(self.dir, self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(error) => return ignore_inaccessible(error).map(|()| None),
        };
        let owner_can_read = self.our_uid == Some(stat.st_uid) && stat.st_mode & 0o400 != 0;
        let is_readable = || if owner_can_read { Ok(true) } else { self.is_readable() };
        let entry = match file_type(&stat) {
            FileType::RegularFile => is_readable()?.then(|| (Kind::File, false, core_stat(&stat))),
            FileType::Directory => self
                .is_listed_directory(is_readable)?
                .then(|| (Kind::Directory, false, core_stat(&stat))),
            FileType::Symlink => {
                match ignore_inaccessible_entry(self.root_dir.open(&join(self.path, self.name)))? {
                    Opened::File(_, stat) => Some((Kind::File, true, stat)),
                    Opened::Directory(stat) => self
                        .is_listed_directory(|| self.is_readable())?
                        .then_some((Kind::Directory, true, stat)),
                    _ => None,
                }
            }
            _ => None,
        };
        Ok(entry)
    }

    fn is_listed_directory(
        &self,
        is_readable: impl FnOnce() -> io::Result<bool>,
    ) -> io::Result<bool> {
        let path = join(self.path, self.name);
        let open = |index: &str| {
            let index = join(&path, index.as_bytes());
            ignore_inaccessible_entry(self.root_dir.open(&index)).map(|opened| opened.to_found())
        };
        self.site.lists_directory(&path, open, is_readable)
    }

    /// Whether the system would let us read what is here.
    fn is_readable(&self) -> io::Result<bool> {
        match accessat(self.dir, self.name, Access::READ_OK, AtFlags::EACCESS) {
            Ok(()) => Ok(true),
            Err(Errno::ACCESS) => Ok(false),
            // Not asked: an old kernel or a sandbox does not know the call. Then it is tried.
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

/// An error about one entry that says that it cannot be had. Where nothing can be said about it,
/// the listing would look whole and not be.
fn ignore_inaccessible(error: Errno) -> io::Result<()> {
    // It was replaced meanwhile; another file system stood here, and its server is gone.
    let is_gone = matches!(error, Errno::STALE | Errno::NOTCONN);
    if is_gone || is_inaccessible(error) { Ok(()) } else { Err(error.into()) }
}

/// The same of what was opened.
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

/// Our user id; `None` if it also stands for users without an id in this namespace.
fn our_uid() -> Option<u32> {
    Some(geteuid().as_raw()).filter(|&uid| uid != OVERFLOW_UID)
}

/// The id that Linux shows for a user without one in this namespace.
const OVERFLOW_UID: u32 = 65534;

/// Some file systems do not say what an entry is; then it is asked.
fn is_never_listed(kind: FileType) -> bool {
    !matches!(
        kind,
        FileType::RegularFile | FileType::Directory | FileType::Symlink | FileType::Unknown
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r_4_an_entry_of_which_nothing_can_be_said_ends_the_listing() {
        for error in [Errno::IO, Errno::NOMEM, Errno::MFILE, Errno::NFILE, Errno::TIMEDOUT] {
            let result = ignore_inaccessible_entry(Opened::from_errno(error));
            assert_eq!(result.map(|_| ()).unwrap_err().raw_os_error(), Some(error.raw_os_error()));
            assert!(ignore_inaccessible(error).is_err());
        }
    }

    #[test]
    fn r_4_an_entry_that_cannot_be_had_is_left_out() {
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
