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
use super::metadata::{Identity, facts, identity, kind};
use super::opened::Opened;
use super::walk::{self, ENTER};

/// An open directory and the rule for the links in it.
#[derive(Debug)]
pub struct Tree {
    handle: OwnedFd,
    /// The directory's: no other has it while this one is open.
    identity: Identity,
    symlinks: Symlinks,
    /// Whether the kernel keeps us beneath the directory.
    kernel: bool,
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

impl Tree {
    /// Opens the directory `dir`.
    pub(super) fn new(dir: &Path, symlinks: Symlinks, kernel: bool) -> Result<Self> {
        let handle = rustix::fs::open(dir, ENTER, Mode::empty())?;
        let identity = identity(&fstat(&handle)?);
        Ok(Self { handle, identity, symlinks, kernel })
    }

    /// Whether the kernel can keep us beneath the directory: old ones do not have the call, and
    /// some sandboxes forbid it.
    pub(super) fn kernel_can(&self) -> bool {
        LINUX && self.beneath(b".", ENTER).is_ok()
    }

    /// Opens `path`: relative, of any bytes, the empty one is the root. One that is absolute or has
    /// `..` or NUL in it leads to nothing.
    #[must_use]
    pub fn open(&self, path: &[u8]) -> Opened {
        self.try_open(path).unwrap_or_else(Opened::failed)
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

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// What a clean path leads to, out of the root too.
    pub(super) fn stat(&self, path: &[u8], flags: AtFlags) -> Result<rustix::fs::Stat> {
        statat(&self.handle, path, flags)
    }

    /// Opens `path` with `flags`, beneath the root unless links are followed anywhere.
    pub(super) fn reach(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
        let path = clean(path)?;
        let walk = |links| walk::open(&self.handle, self.identity, path, flags, links);
        match self.symlinks {
            Symlinks::Follow => openat(&self.handle, path, flags, Mode::empty()),
            Symlinks::Deny if self.kernel => self.beneath(path, flags),
            Symlinks::Deny => walk(false),
            Symlinks::Beneath if self.kernel => match self.beneath(path, flags) {
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
        let flags = match kind(&self.stat(clean(path)?, AtFlags::empty())?) {
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

    #[cfg(target_os = "linux")]
    fn beneath(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
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
    fn beneath(&self, _: &[u8], _: OFlags) -> Result<OwnedFd> {
        Err(Errno::NOSYS)
    }
}

/// The path as the calls want it, if it is one that cannot leave the root by itself.
pub(super) fn clean(path: &[u8]) -> Result<&[u8]> {
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
pub(super) const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// For asking what it is: on Linux that takes no permission to read it.
#[cfg(target_os = "linux")]
const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const LOOK: OFlags = READ;
