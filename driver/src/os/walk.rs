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

use super::metadata::{FileId, file_id, file_type};

/// Opens `path`, which begins at `root`, with `flags`. `root_id` is the root's.
///
/// # Errors
/// `EXDEV` when it ends outside of the root, `ELOOP` for a link when `follow_links` is false, and for too
/// many of them or too long a way.
pub(super) fn open(
    root: &OwnedFd,
    root_id: FileId,
    path: &[u8],
    flags: OFlags,
    follow_links: bool,
) -> Result<OwnedFd> {
    let mut location = Location::Inside(Vec::new());
    let (mut links_followed, mut names_walked) = (0, 0);
    let mut pending = Vec::new();
    push_names(&mut pending, path);

    while let Some(name) = pending.pop() {
        names_walked += 1;
        if names_walked > MAX_COMPONENTS {
            return Err(Errno::LOOP);
        }
        let is_parent = name == b"..";
        if matches!(&*name, b"" | b".") || (is_parent && location.ascend()) {
            continue;
        }
        let current = location.directory(root);
        let stat = statat(current, &*name, AtFlags::SYMLINK_NOFOLLOW)?;
        if file_type(&stat) == FileType::Symlink {
            links_followed += 1;
            if !follow_links || links_followed > MAX_SYMLINKS {
                return Err(Errno::LOOP);
            }
            let target = readlinkat(current, &*name, Vec::new())?;
            if target.as_bytes().starts_with(b"/") {
                location = Location::filesystem_root(root_id)?;
            }
            push_names(&mut pending, target.as_bytes());
        } else if file_id(&stat) == root_id {
            location = Location::Inside(Vec::new());
        } else if pending.is_empty() && !is_parent {
            location.require_inside()?;
            return openat(current, &*name, flags | OFlags::NOFOLLOW, Mode::empty());
        } else {
            let directory =
                openat(current, &*name, TRAVERSE_FLAGS | OFlags::NOFOLLOW, Mode::empty())?;
            location.enter(directory, is_parent);
        }
    }
    location.require_inside()?;
    openat(location.directory(root), c".", flags, Mode::empty())
}

/// Where the walk is.
enum Location {
    /// Beneath the root: in the last of these, each of which is a child of the one before, or in
    /// the root itself.
    Inside(Vec<OwnedFd>),
    /// Elsewhere, in this directory.
    Outside(OwnedFd),
}

impl Location {
    /// Where absolute paths begin.
    fn filesystem_root(root: FileId) -> Result<Self> {
        if file_id(&statat(CWD, c"/", AtFlags::empty())?) == root {
            return Ok(Self::Inside(Vec::new()));
        }
        openat(CWD, c"/", TRAVERSE_FLAGS, Mode::empty()).map(Self::Outside)
    }

    /// Goes to a directory that was opened from here and is not the root.
    fn enter(&mut self, directory: OwnedFd, is_parent: bool) {
        match self {
            Self::Inside(ancestors) if !is_parent => ancestors.push(directory),
            _ => *self = Self::Outside(directory),
        }
    }

    /// Goes back up the way that was come, if there is one.
    fn ascend(&mut self) -> bool {
        match self {
            Self::Inside(ancestors) => ancestors.pop().is_some(),
            Self::Outside(_) => false,
        }
    }

    fn directory<'a>(&'a self, root: &'a OwnedFd) -> BorrowedFd<'a> {
        match self {
            Self::Inside(ancestors) => ancestors.last().unwrap_or(root).as_fd(),
            Self::Outside(directory) => directory.as_fd(),
        }
    }

    fn require_inside(&self) -> Result<()> {
        if matches!(self, Self::Inside(_)) { Ok(()) } else { Err(Errno::XDEV) }
    }
}

/// Puts the names of `path` on top of those pending, the first to be the next.
fn push_names(pending: &mut Vec<Vec<u8>>, path: &[u8]) {
    pending.extend(path.rsplit(|&byte| byte == b'/').map(<[u8]>::to_vec));
}

/// As many as Linux follows.
const MAX_SYMLINKS: usize = 40;
/// Names on the way, those of all links included: as many as one path can hold, and their slashes.
const MAX_COMPONENTS: usize = 4096;

/// For passing through: on Linux that takes no permission to read the directory.
#[cfg(target_os = "linux")]
pub(super) const TRAVERSE_FLAGS: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
pub(super) const TRAVERSE_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
