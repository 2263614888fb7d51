//! Resolving a path beneath a directory one name at a time, where the kernel has no call for it.
//!
//! Each directory on the way is held open and its names are opened without following links; a link
//! is read and its target walked like the rest. So it can be raced no more than the kernel's own
//! resolution: whatever is swapped meanwhile, only children of directories reached from the root
//! are opened. The price is two system calls for each name. Links that are absolute or climb above
//! the root are refused with `EXDEV`, as `openat2` does.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, readlinkat, statat};
use rustix::io::{Errno, Result};

use super::stat::kind;

/// Opens `path` below `root` with `flags`.
///
/// # Errors
/// `EXDEV` for a way out of the root, `ELOOP` for a link when `links` is false or for too many.
pub(super) fn open(root: &OwnedFd, path: &[u8], flags: OFlags, links: bool) -> Result<OwnedFd> {
    let mut followed = 0;
    let mut inside: Vec<OwnedFd> = Vec::new();
    let mut ahead = Vec::new();
    push(&mut ahead, path);

    while let Some(name) = ahead.pop() {
        let here = inside.last().unwrap_or(root).as_fd();
        match name.as_slice() {
            b"" | b"." => continue,
            b".." => {
                inside.pop().ok_or(Errno::XDEV)?;
                continue;
            }
            _ => {}
        }
        if kind(&statat(here, &*name, AtFlags::SYMLINK_NOFOLLOW)?) == FileType::Symlink {
            followed += 1;
            if !links || followed > MOST_LINKS {
                return Err(Errno::LOOP);
            }
            let target = readlinkat(here, &*name, Vec::new())?;
            if target.as_bytes().starts_with(b"/") {
                return Err(Errno::XDEV);
            }
            push(&mut ahead, target.as_bytes());
        } else if ahead.is_empty() {
            return openat(here, &*name, flags | OFlags::NOFOLLOW, Mode::empty());
        } else {
            inside.push(openat(here, &*name, ENTER | OFlags::NOFOLLOW, Mode::empty())?);
        }
    }
    openat(inside.last().unwrap_or(root), c".", flags, Mode::empty())
}

/// Puts the names of `path` on top of those ahead, the first to be the next.
fn push(ahead: &mut Vec<Vec<u8>>, path: &[u8]) {
    ahead.extend(path.rsplit(|&byte| byte == b'/').map(<[u8]>::to_vec));
}

/// As many as Linux follows.
const MOST_LINKS: usize = 40;

/// For passing through: on Linux that takes no permission to read the directory.
#[cfg(target_os = "linux")]
pub(super) const ENTER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
pub(super) const ENTER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
