//! An open directory, and opening files beneath it.
//!
//! Every path is resolved beneath the directory, including those of index pages and precompressed
//! files, by the kernel (`openat2`) or, where that is not supported, by `walk.rs`. An absolute link
//! and one that leads above the directory are resolved by `walk.rs`, too: a link is followed if its
//! target is beneath the directory in the end. FIFOs, devices and sockets are never opened (B-175):
//! the kind of a file is read first, and checked again on the open descriptor (B-184).
//!
//! It does not protect against programs that write beneath the directory: a FIFO that replaces a
//! file in the microsecond between these two checks is opened, without blocking, and closed again.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, openat, statat};
use rustix::io::{Errno, Result};

use super::LINUX;
use super::metadata::{FileId, core_stat, file_id, file_type};
use super::opened::Opened;
use super::walk::{self, TRAVERSE_FLAGS};

/// An open directory, and the rule for the links in it.
#[derive(Debug)]
pub struct RootDir {
    handle: OwnedFd,
    /// The id of the directory. No other has it while this one is open.
    id: FileId,
    symlinks: Symlinks,
    /// Whether paths are resolved by `openat2`.
    use_openat2: bool,
}

/// Which symbolic links are followed (B-130).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Symlinks {
    /// Those whose target is beneath the root in the end, however they are written: also an
    /// absolute link, and one that leads out of the root and back into it.
    #[default]
    Beneath,
    /// All, as in Python.
    Follow,
    /// None.
    Deny,
}

impl RootDir {
    /// Opens the directory `dir`.
    pub(super) fn new(dir: &Path, symlinks: Symlinks, use_openat2: bool) -> Result<Self> {
        let handle = rustix::fs::open(dir, TRAVERSE_FLAGS, Mode::empty())?;
        let id = file_id(&fstat(&handle)?);
        Ok(Self { handle, id, symlinks, use_openat2 })
    }

    /// Whether `openat2` is supported: old kernels do not have it, and some sandboxes forbid it.
    pub(super) fn supports_openat2(&self) -> bool {
        LINUX && self.openat2_beneath(b".", TRAVERSE_FLAGS, self.symlinks).is_ok()
    }

    /// Opens `path`, which is relative and may consist of any bytes; the empty path is the
    /// directory itself. If it is absolute, or contains `..` or NUL, the result is
    /// [`Opened::NotFound`].
    #[must_use]
    pub fn open(&self, path: &[u8]) -> Opened {
        self.try_open(path).unwrap_or_else(Opened::from_errno)
    }

    /// Inspects `path` without opening it for reading: for a file, whether any user may execute it.
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

    /// The metadata of a path that [`check_relative`] has accepted. Links are followed anywhere.
    pub(super) fn stat(&self, path: &[u8], flags: AtFlags) -> Result<rustix::fs::Stat> {
        statat(&self.handle, path, flags)
    }

    /// Opens `path` with `flags`, beneath the root unless links are followed anywhere.
    pub(super) fn resolve(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
        self.resolve_as(path, flags, self.symlinks)
    }

    /// As [`RootDir::resolve`], with another rule for links.
    pub(super) fn resolve_as(
        &self,
        path: &[u8],
        flags: OFlags,
        symlinks: Symlinks,
    ) -> Result<OwnedFd> {
        let path = check_relative(path)?;
        let walk = |follow_links| walk::open(&self.handle, self.id, path, flags, follow_links);
        let beneath = || self.openat2_beneath(path, flags, symlinks);
        match symlinks {
            Symlinks::Follow => openat(&self.handle, path, flags, Mode::empty()),
            Symlinks::Deny if self.use_openat2 => beneath(),
            Symlinks::Deny => walk(false),
            Symlinks::Beneath if self.use_openat2 => match beneath() {
                // It leads out of the directory and may lead back, or it was renamed meanwhile.
                Err(Errno::XDEV | Errno::AGAIN) => walk(true),
                result => result,
            },
            Symlinks::Beneath => walk(true),
        }
    }

    fn try_open(&self, path: &[u8]) -> Result<Opened> {
        // Links are followed anywhere here, but only the kind is used, and `resolve` refuses them.
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
    fn openat2_beneath(&self, path: &[u8], flags: OFlags, symlinks: Symlinks) -> Result<OwnedFd> {
        use rustix::fs::{ResolveFlags, openat2};

        let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        resolve.set(ResolveFlags::NO_SYMLINKS, symlinks == Symlinks::Deny);
        for _ in 0..MAX_OPENAT2_TRIES {
            match openat2(&self.handle, path, flags, Mode::empty(), resolve) {
                // Something was renamed while `..` was resolved.
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return result,
            }
        }
        Err(Errno::AGAIN)
    }

    #[cfg(not(target_os = "linux"))]
    fn openat2_beneath(&self, _: &[u8], _: OFlags, _: Symlinks) -> Result<OwnedFd> {
        Err(Errno::NOSYS)
    }
}

/// The path for a system call, if it does not lead out of the root without links.
pub(super) fn check_relative(path: &[u8]) -> Result<&[u8]> {
    if path.is_empty() {
        return Ok(b".");
    }
    let escapes = path[0] == b'/' || path.split(|&byte| byte == b'/').any(|name| name == b"..");
    if escapes { Err(Errno::NOENT) } else { Ok(path) }
}

/// The number of attempts to open a path while directories in it are renamed.
#[cfg(target_os = "linux")]
const MAX_OPENAT2_TRIES: usize = 16;

/// For reading. A terminal does not become the controlling one, and a FIFO does not block.
pub(super) const READ_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// For reading the metadata, which needs no permission to read the file on Linux.
#[cfg(target_os = "linux")]
const INSPECT_FLAGS: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const INSPECT_FLAGS: OFlags = READ_FLAGS;
