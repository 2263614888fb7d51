//! Resolving a path one name at a time, to see whether it leads beneath a directory in the end.
//!
//! It is for where the kernel has no call for it, and for links of which the kernel says no more
//! than that they leave the directory: absolute ones, and those that climb above it. Such a link
//! may come in again. Each directory on the way is held open and its names are opened without
//! following links; a link is read and its target walked like the rest. Outside nothing is opened
//! but directories, to pass through; there is one way in, through the root itself, which is known
//! by its device and number, whatever names lead to it. So it can be raced no more than the
//! kernel's own resolution: whatever is swapped meanwhile, only children of directories reached
//! from the root are opened. The price is two or three system calls for each name. What ends
//! outside is refused with `EXDEV`, as `openat2` does.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, readlinkat, statat};
use rustix::io::{Errno, Result};

use super::metadata::{Identity, identity, kind};

/// Opens `path`, which begins at `root`, with `flags`. `identity` is the root's.
///
/// # Errors
/// `EXDEV` when it ends outside of the root, `ELOOP` for a link when `links` is false, and for too
/// many of them or too long a way.
pub(super) fn open(
    root: &OwnedFd,
    root_identity: Identity,
    path: &[u8],
    flags: OFlags,
    links: bool,
) -> Result<OwnedFd> {
    let mut place = Place::Inside(Vec::new());
    let (mut followed, mut walked) = (0, 0);
    let mut ahead = Vec::new();
    push(&mut ahead, path);

    while let Some(name) = ahead.pop() {
        walked += 1;
        if walked > MOST_NAMES {
            return Err(Errno::LOOP);
        }
        let up = name == b"..";
        if matches!(&*name, b"" | b".") || (up && place.leave()) {
            continue;
        }
        let here = place.here(root);
        let stat = statat(here, &*name, AtFlags::SYMLINK_NOFOLLOW)?;
        if kind(&stat) == FileType::Symlink {
            followed += 1;
            if !links || followed > MOST_LINKS {
                return Err(Errno::LOOP);
            }
            let target = readlinkat(here, &*name, Vec::new())?;
            if target.as_bytes().starts_with(b"/") {
                place = Place::top(root_identity)?;
            }
            push(&mut ahead, target.as_bytes());
        } else if identity(&stat) == root_identity {
            place = Place::Inside(Vec::new());
        } else if ahead.is_empty() && !up {
            place.must_be_inside()?;
            return openat(here, &*name, flags | OFlags::NOFOLLOW, Mode::empty());
        } else {
            let directory = openat(here, &*name, ENTER | OFlags::NOFOLLOW, Mode::empty())?;
            place.enter(directory, up);
        }
    }
    place.must_be_inside()?;
    openat(place.here(root), c".", flags, Mode::empty())
}

/// Where the walk is.
enum Place {
    /// Beneath the root: in the last of these, each of which is a child of the one before, or in
    /// the root itself.
    Inside(Vec<OwnedFd>),
    /// Elsewhere, in this directory.
    Outside(OwnedFd),
}

impl Place {
    /// Where absolute paths begin.
    fn top(root: Identity) -> Result<Self> {
        if identity(&statat(CWD, c"/", AtFlags::empty())?) == root {
            return Ok(Self::Inside(Vec::new()));
        }
        openat(CWD, c"/", ENTER, Mode::empty()).map(Self::Outside)
    }

    /// Goes to a directory that was opened from here and is not the root.
    fn enter(&mut self, directory: OwnedFd, up: bool) {
        match self {
            Self::Inside(way) if !up => way.push(directory),
            _ => *self = Self::Outside(directory),
        }
    }

    /// Goes back up the way that was come, if there is one.
    fn leave(&mut self) -> bool {
        match self {
            Self::Inside(way) => way.pop().is_some(),
            Self::Outside(_) => false,
        }
    }

    fn here<'a>(&'a self, root: &'a OwnedFd) -> BorrowedFd<'a> {
        match self {
            Self::Inside(way) => way.last().unwrap_or(root).as_fd(),
            Self::Outside(directory) => directory.as_fd(),
        }
    }

    fn must_be_inside(&self) -> Result<()> {
        if matches!(self, Self::Inside(_)) { Ok(()) } else { Err(Errno::XDEV) }
    }
}

/// Puts the names of `path` on top of those ahead, the first to be the next.
fn push(ahead: &mut Vec<Vec<u8>>, path: &[u8]) {
    ahead.extend(path.rsplit(|&byte| byte == b'/').map(<[u8]>::to_vec));
}

/// As many as Linux follows.
const MOST_LINKS: usize = 40;
/// Names on the way, those of all links included: as many as one path can hold, and their slashes.
const MOST_NAMES: usize = 4096;

/// For passing through: on Linux that takes no permission to read the directory.
#[cfg(target_os = "linux")]
pub(super) const ENTER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
pub(super) const ENTER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
