//! Metadata of files, converted to the core's types.

use doorstep_core::site::Stat;
use rustix::fs::FileType;

/// Device and inode: they identify a file while it exists.
pub(super) type FileId = (u64, u64);

pub(super) fn file_type(stat: &rustix::fs::Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

#[allow(clippy::unnecessary_cast)] // the types of these fields differ between platforms
pub(super) fn file_id(stat: &rustix::fs::Stat) -> FileId {
    (stat.st_dev as u64, stat.st_ino as u64)
}

/// The core's type for `stat`.
#[allow(clippy::unnecessary_cast)] // as above
pub(super) fn core_stat(stat: &rustix::fs::Stat) -> Stat {
    let (device, inode) = file_id(stat);
    let mut core = Stat::new(stat.st_size as u64, stat.st_mtime as i64);
    core.modified_nanos = stat.st_mtime_nsec as u32;
    core.changed = (stat.st_ctime as i64, stat.st_ctime_nsec as u32);
    (core.device, core.inode) = (device, inode);
    core
}
