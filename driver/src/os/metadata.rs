//! What the system says of a file, in the core's words.

use doorstep_core::site::Stat;
use rustix::fs::FileType;

/// Device and number: what tells one file from another while both are there.
pub(super) type Identity = (u64, u64);

pub(super) fn kind(stat: &rustix::fs::Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

#[allow(clippy::unnecessary_cast)] // the types of these fields differ between platforms
pub(super) fn identity(stat: &rustix::fs::Stat) -> Identity {
    (stat.st_dev as u64, stat.st_ino as u64)
}

/// What the core wants to know of `stat`.
#[allow(clippy::unnecessary_cast)] // as above
pub(super) fn facts(stat: &rustix::fs::Stat) -> Stat {
    let (device, inode) = identity(stat);
    Stat {
        size: stat.st_size as u64,
        modified: stat.st_mtime as i64,
        modified_nanos: stat.st_mtime_nsec as u32,
        device,
        inode,
        changed: (stat.st_ctime as i64, stat.st_ctime_nsec as u32),
    }
}
