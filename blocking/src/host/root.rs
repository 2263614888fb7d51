//! The directory that is served, and the only way to open what lies below it.
//!
//! A [`Root`] is a handle, not a name: renaming or replacing the directory changes nothing. Every
//! path is resolved beneath it, index and side files included, by the kernel (`openat2`) or where
//! that is missing by [`super::walk`]. FIFOs, devices and sockets are never opened (B-175): what a
//! path is, is asked first, and what the open descriptor says is what counts (B-184).
//! It promises nothing about who else may write below the root: a FIFO put in a file's place within
//! the microsecond between question and open is opened, without blocking, and closed unread.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use doorstep_core::site::{Found, Stat};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, openat, stat, statat};
use rustix::io::Errno;

use super::LINUX;
use super::stat::{facts, kind};
use super::walk::{self, ENTER};

/// An open directory and the rule for the links in it.
#[derive(Debug)]
pub struct Root {
    handle: OwnedFd,
    symlinks: Symlinks,
    /// Whether the kernel keeps us beneath the root.
    kernel: bool,
}

/// What becomes of symbolic links (B-130).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Symlinks {
    /// Followed while they stay below the root; an absolute link never does, wherever it leads.
    #[default]
    Beneath,
    /// Followed wherever they lead, as Python does.
    Follow,
    /// Refused.
    Deny,
}

/// What was found at a path.
#[derive(Debug)]
pub enum Opened<F = File> {
    /// A regular file, open for reading at its start.
    File(F, Stat),
    /// A directory.
    Directory(Stat),
    /// A FIFO, a device or a socket; it was not opened.
    Other,
    /// Nothing: no such name, or none that could be.
    Nothing,
    /// Something that cannot be had: no permission, a link that is refused, a fault of the disk.
    /// The error is for the log; to the client it is as nothing (B-171).
    Refused(io::Error),
    /// This process or machine has no descriptor or memory left: later it may succeed (503).
    Exhausted(io::Error),
}

impl Root {
    /// Opens the directory `dir`, to be served until the value is dropped.
    ///
    /// # Errors
    /// When there is no such directory or it may not be entered.
    pub fn new(dir: &Path, symlinks: Symlinks) -> io::Result<Self> {
        let handle = rustix::fs::open(dir, ENTER, Mode::empty())?;
        let mut root = Self { handle, symlinks, kernel: LINUX };
        // Old kernels do not have the call, and some sandboxes forbid it.
        root.kernel = LINUX && root.beneath(b".", ENTER).is_ok();
        Ok(root)
    }

    /// Opens `path`: relative, of any bytes, the empty one is the root. One that is absolute or has
    /// `..` or NUL in it leads to nothing.
    #[must_use]
    pub fn open(&self, path: &[u8]) -> Opened {
        self.try_open(path).unwrap_or_else(Opened::failed)
    }

    /// Whether `path` still leads to what `stat` was taken of. Costs one system call; of a path
    /// that was not opened here before it says nothing.
    #[must_use]
    pub fn unchanged(&self, path: &[u8], stat: &Stat) -> bool {
        clean(path)
            .and_then(|path| statat(&self.handle, path, AtFlags::empty()))
            .is_ok_and(|now| facts(&now) == *stat)
    }

    /// Whether the directory is still to be found at `dir`.
    #[must_use]
    pub fn is_at(&self, dir: &Path) -> bool {
        let (Ok(ours), Ok(there)) = (fstat(&self.handle), stat(dir)) else { return false };
        (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)
    }

    /// What `path` is, without opening it to be read: whether somebody may execute a file.
    #[must_use]
    pub fn look(&self, path: &[u8]) -> Opened<bool> {
        let look = || {
            let stat = fstat(self.reach(path, LOOK)?)?;
            Ok(match kind(&stat) {
                FileType::RegularFile => Opened::File(stat.st_mode & 0o111 != 0, facts(&stat)),
                FileType::Directory => Opened::Directory(facts(&stat)),
                _ => Opened::Other,
            })
        };
        look().unwrap_or_else(Opened::failed)
    }

    fn try_open(&self, path: &[u8]) -> rustix::io::Result<Opened> {
        // Follows links out of the root too, but learns only the kind, and all that is refused later.
        let flags = match kind(&statat(&self.handle, clean(path)?, AtFlags::empty())?) {
            FileType::RegularFile => READ,
            FileType::Directory => ENTER,
            _ => return Ok(Opened::Other),
        };
        let descriptor = self.reach(path, flags)?;
        let stat = fstat(&descriptor)?;
        Ok(match kind(&stat) {
            FileType::RegularFile => Opened::File(File::from(descriptor), facts(&stat)),
            FileType::Directory => Opened::Directory(facts(&stat)),
            _ => Opened::Other,
        })
    }

    /// Opens `path` with `flags`, beneath the root unless links are followed anywhere.
    pub(super) fn reach(&self, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let path = clean(path)?;
        match self.symlinks {
            Symlinks::Follow => openat(&self.handle, path, flags, Mode::empty()),
            _ if self.kernel => self.beneath(path, flags),
            symlinks => walk::open(&self.handle, path, flags, symlinks == Symlinks::Beneath),
        }
    }

    #[cfg(target_os = "linux")]
    fn beneath(&self, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
        use rustix::fs::{ResolveFlags, openat2};

        let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        resolve.set(ResolveFlags::NO_SYMLINKS, self.symlinks == Symlinks::Deny);
        for _ in 0..RACES {
            match openat2(&self.handle, path, flags, Mode::empty(), resolve) {
                // Something was renamed while `..` was resolved, so the kernel could not be sure.
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return result,
            }
        }
        Err(Errno::AGAIN)
    }

    #[cfg(not(target_os = "linux"))]
    fn beneath(&self, _: &[u8], _: OFlags) -> rustix::io::Result<OwnedFd> {
        Err(Errno::NOSYS)
    }
}

impl<F> Opened<F> {
    /// With something else in the file's place.
    pub(super) fn map<G>(self, file: impl FnOnce(F, &Stat) -> G) -> Opened<G> {
        match self {
            Self::File(f, stat) => Opened::File(file(f, &stat), stat),
            Self::Directory(stat) => Opened::Directory(stat),
            Self::Other => Opened::Other,
            Self::Nothing => Opened::Nothing,
            Self::Refused(error) => Opened::Refused(error),
            Self::Exhausted(error) => Opened::Exhausted(error),
        }
    }

    /// The same in the core's words. `Exhausted` is not one of them and reads as refused.
    #[must_use]
    pub fn found(&self) -> Found {
        match self {
            Self::File(_, stat) => Found::File(*stat),
            Self::Directory(stat) => Found::Directory(*stat),
            Self::Other => Found::Other,
            Self::Nothing => Found::Nothing,
            Self::Refused(_) | Self::Exhausted(_) => Found::Refused,
        }
    }
}

impl<F> Opened<F> {
    fn failed(error: Errno) -> Self {
        match error {
            Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::INVAL | Errno::ILSEQ => {
                Self::Nothing
            }
            Errno::NXIO | Errno::NODEV => Self::Other,
            Errno::MFILE | Errno::NFILE | Errno::NOMEM => Self::Exhausted(error.into()),
            Errno::XDEV => Self::Refused(io::Error::other(
                "a link leads out of the directory that is served, and is not followed there",
            )),
            Errno::LOOP => {
                Self::Refused(io::Error::other("a link that is not followed, or leads in a circle"))
            }
            _ => Self::Refused(error.into()),
        }
    }
}

/// The path as the calls want it, if it is one that cannot leave the root by itself.
fn clean(path: &[u8]) -> rustix::io::Result<&[u8]> {
    if path.is_empty() {
        return Ok(b".");
    }
    let escapes = path[0] == b'/' || path.split(|&byte| byte == b'/').any(|name| name == b"..");
    if escapes { Err(Errno::NOENT) } else { Ok(path) }
}

/// Tries to open a path while others rename what it leads through.
#[cfg(target_os = "linux")]
const RACES: usize = 16;

/// For reading; a terminal does not become ours, and a FIFO slipped in does not block.
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// For asking what it is: on Linux that takes no permission to read it.
#[cfg(target_os = "linux")]
const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const LOOK: OFlags = READ;

#[cfg(test)]
impl Root {
    /// The same root without the kernel's help.
    pub(super) fn walking(dir: &Path, symlinks: Symlinks) -> Self {
        let handle = rustix::fs::open(dir, ENTER, Mode::empty()).unwrap();
        Self { handle, symlinks, kernel: false }
    }
}

#[cfg(test)]
#[path = "root_tests.rs"]
mod tests;
