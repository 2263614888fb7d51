//! Resolving a path name by name, to find whether it leads beneath a directory in the end.
//!
//! This is for systems without `openat2`, and for links that `openat2` refuses because they lead
//! out of the directory, since they may lead back: absolute links, and those with `..`. Each
//! directory of the path is held open, and names in it are opened without following links; the
//! target of a link is resolved in the same way. Outside of the root only directories are opened,
//! to traverse them, and the path is inside again when it reaches the root itself, which is
//! identified by its device and inode. So there is no race that the kernel's own resolution does
//! not have: whatever is replaced meanwhile, only children of directories that were reached from
//! the root are opened. It costs two or three system calls for each name. A path that ends outside
//! is refused with `EXDEV`, as by `openat2`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, readlinkat, statat};
use rustix::io::{Errno, Result};

use super::metadata::{FileId, file_id, file_type};

/// Opens `path`, which is relative to `root`, with `flags`. `root_id` is the id of `root`.
///
/// # Errors
/// Returns `EXDEV` if the path ends outside of the root, and `ELOOP` for a link if `follow_links`
/// is false, for too many links, and for too many names.
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

/// The directory that the resolution has reached.
enum Location {
    /// The last of these directories, each of which is a child of the one before; the root if there
    /// is none.
    Inside(Vec<OwnedFd>),
    /// A directory outside of the root.
    Outside(OwnedFd),
}

impl Location {
    /// The root of the file system, where absolute paths begin.
    fn filesystem_root(root: FileId) -> Result<Self> {
        if file_id(&statat(CWD, c"/", AtFlags::empty())?) == root {
            return Ok(Self::Inside(Vec::new()));
        }
        openat(CWD, c"/", TRAVERSE_FLAGS, Mode::empty()).map(Self::Outside)
    }

    /// Changes to a directory that was opened from here and is not the root.
    fn enter(&mut self, directory: OwnedFd, is_parent: bool) {
        match self {
            Self::Inside(ancestors) if !is_parent => ancestors.push(directory),
            _ => *self = Self::Outside(directory),
        }
    }

    /// Changes to the parent, if it was traversed before.
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

/// Pushes the names of `path` to `pending`, the first one last, so that it is popped next.
fn push_names(pending: &mut Vec<Vec<u8>>, path: &[u8]) {
    pending.extend(path.rsplit(|&byte| byte == b'/').map(<[u8]>::to_vec));
}

/// The number of links that are followed, as in Linux.
const MAX_SYMLINKS: usize = 40;
/// The number of names that are resolved, including those of links: as many bytes as a path can
/// have.
const MAX_COMPONENTS: usize = 4096;

/// For traversing, which needs no permission to read the directory on Linux.
#[cfg(target_os = "linux")]
pub(super) const TRAVERSE_FLAGS: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
pub(super) const TRAVERSE_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
