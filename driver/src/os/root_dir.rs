//! A directory and the only way to open what lies beneath it.
//!
//! Every path is resolved beneath the directory, index and side files included, by the kernel
//! (`openat2`) or where that is missing by [`super::walk`]. A link that leaves the kernel in doubt,
//! because it is absolute or climbs above the directory, is walked too: what counts is where it
//! leads in the end. FIFOs, devices and sockets are never opened (B-175): what a path is, is asked
//! first, and what the open descriptor says is what counts (B-184).
//! It promises nothing about who else may write beneath the directory: a FIFO put in a file's place
//! within the microsecond between question and open is opened, without blocking, and closed unread.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, openat, statat};
use rustix::io::{Errno, Result};

use super::LINUX;
use super::metadata::{FileId, core_stat, file_id, file_type};
use super::opened::Opened;
use super::walk::{self, TRAVERSE_FLAGS};

/// An open directory and the rule for the links in it.
#[derive(Debug)]
pub struct RootDir {
    handle: OwnedFd,
    /// The directory's: no other has it while this one is open.
    id: FileId,
    symlinks: Symlinks,
    /// Whether the kernel keeps us beneath the directory.
    use_openat2: bool,
}

/// What becomes of symbolic links (B-130).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Symlinks {
    /// Followed if they lead to a place beneath the root in the end, however they are written: an
    /// absolute link may, and so may one that climbs out and comes in again.
    #[default]
    Beneath,
    /// Followed wherever they lead, as Python does.
    Follow,
    /// Refused.
    Deny,
}

impl RootDir {
    /// Opens the directory `dir`.
    pub(super) fn new(dir: &Path, symlinks: Symlinks, use_openat2: bool) -> Result<Self> {
        let handle = rustix::fs::open(dir, TRAVERSE_FLAGS, Mode::empty())?;
        let id = file_id(&fstat(&handle)?);
        Ok(Self { handle, id, symlinks, use_openat2 })
    }

    /// Whether the kernel can keep us beneath the directory: old ones do not have the call, and
    /// some sandboxes forbid it.
    pub(super) fn supports_openat2(&self) -> bool {
        LINUX && self.openat2_beneath(b".", TRAVERSE_FLAGS).is_ok()
    }

    /// Opens `path`: relative, of any bytes, the empty one is the root. One that is absolute or has
    /// `..` or NUL in it leads to nothing.
    #[must_use]
    pub fn open(&self, path: &[u8]) -> Opened {
        self.try_open(path).unwrap_or_else(Opened::from_errno)
    }

    /// What `path` is, without opening it to be read: whether somebody may execute a file.
    #[must_use]
    pub fn inspect(&self, path: &[u8]) -> Opened<bool> {
        let inspect = || {
            let stat = fstat(self.resolve(path, INSPECT_FLAGS)?)?;
            Ok(match file_type(&stat) {
                FileType::RegularFile => Opened::File(stat.st_mode & 0o111 != 0, core_stat(&stat)),
                FileType::Directory => Opened::Directory(core_stat(&stat)),
                _ => Opened::Special,
            })
        };
        inspect().unwrap_or_else(Opened::from_errno)
    }

    pub(super) fn id(&self) -> FileId {
        self.id
    }

    /// What a clean path leads to, out of the root too.
    pub(super) fn stat(&self, path: &[u8], flags: AtFlags) -> Result<rustix::fs::Stat> {
        statat(&self.handle, path, flags)
    }

    /// Opens `path` with `flags`, beneath the root unless links are followed anywhere.
    pub(super) fn resolve(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
        let path = check_relative(path)?;
        let walk = |follow_links| walk::open(&self.handle, self.id, path, flags, follow_links);
        match self.symlinks {
            Symlinks::Follow => openat(&self.handle, path, flags, Mode::empty()),
            Symlinks::Deny if self.use_openat2 => self.openat2_beneath(path, flags),
            Symlinks::Deny => walk(false),
            Symlinks::Beneath if self.use_openat2 => match self.openat2_beneath(path, flags) {
                // It leaves the directory and may come in again, or the kernel could not be sure.
                Err(Errno::XDEV | Errno::AGAIN) => walk(true),
                result => result,
            },
            Symlinks::Beneath => walk(true),
        }
    }

    fn try_open(&self, path: &[u8]) -> Result<Opened> {
        // Follows links out of the root too, but learns only the kind, and all that is refused
        // later.
        let flags = match file_type(&self.stat(check_relative(path)?, AtFlags::empty())?) {
            FileType::RegularFile => READ_FLAGS,
            FileType::Directory => TRAVERSE_FLAGS,
            _ => return Ok(Opened::Special),
        };
        let descriptor = self.resolve(path, flags)?;
        let stat = fstat(&descriptor)?;
        Ok(match file_type(&stat) {
            FileType::RegularFile => Opened::File(File::from(descriptor), core_stat(&stat)),
            FileType::Directory => Opened::Directory(core_stat(&stat)),
            _ => Opened::Special,
        })
    }

    #[cfg(target_os = "linux")]
    fn openat2_beneath(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
        use rustix::fs::{ResolveFlags, openat2};

        let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        resolve.set(ResolveFlags::NO_SYMLINKS, self.symlinks == Symlinks::Deny);
        for _ in 0..MAX_OPENAT2_TRIES {
            match openat2(&self.handle, path, flags, Mode::empty(), resolve) {
                // Something was renamed while `..` was resolved, so the kernel could not be sure.
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return result,
            }
        }
        Err(Errno::AGAIN)
    }

    #[cfg(not(target_os = "linux"))]
    fn openat2_beneath(&self, _: &[u8], _: OFlags) -> Result<OwnedFd> {
        Err(Errno::NOSYS)
    }
}

/// The path as the calls want it, if it is one that cannot leave the root by itself.
pub(super) fn check_relative(path: &[u8]) -> Result<&[u8]> {
    if path.is_empty() {
        return Ok(b".");
    }
    let escapes = path[0] == b'/' || path.split(|&byte| byte == b'/').any(|name| name == b"..");
    if escapes { Err(Errno::NOENT) } else { Ok(path) }
}

/// Tries to open a path while others rename what it leads through.
#[cfg(target_os = "linux")]
const MAX_OPENAT2_TRIES: usize = 16;

/// For reading; a terminal does not become ours, and a FIFO slipped in does not block.
pub(super) const READ_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// For asking what it is: on Linux that takes no permission to read it.
#[cfg(target_os = "linux")]
const INSPECT_FLAGS: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const INSPECT_FLAGS: OFlags = READ_FLAGS;
