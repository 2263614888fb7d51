//! What the system says of a file, in the core's words.

use doorstep_core::site::Stat;
use rustix::fs::FileType;

pub(super) fn kind(stat: &rustix::fs::Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// What the core wants to know of `stat`.
#[allow(clippy::unnecessary_cast)] // the types of these fields differ between platforms
pub(super) fn facts(stat: &rustix::fs::Stat) -> Stat {
    Stat {
        size: stat.st_size as u64,
        modified: stat.st_mtime as i64,
        modified_nanos: stat.st_mtime_nsec as u32,
        device: stat.st_dev as u64,
        inode: stat.st_ino as u64,
        changed: (stat.st_ctime as i64, stat.st_ctime_nsec as u32),
    }
}
