//! The entries of a directory below the root.
//!
//! Listed is what can be fetched: files, directories, and links that lead to one in bounds.
//! FIFOs, devices, sockets and broken or refused links are left out (B-149). Names come in the
//! order of the file system, hidden ones too; sorting and hiding are the core's.

use std::io;

use doorstep_core::site::Stat;
use doorstep_core::site::listing::{Entry, Kind};
use rustix::fs::{AtFlags, Dir, FileType, OFlags, statat};

use super::root::{Opened, Root};
use super::stat::{facts, kind};

impl Root {
    /// Gives each entry of the directory at `path` to `take`, and keeps none. Blocks for as long as the disk takes: one system
    /// call for each entry, four for each link.
    ///
    /// # Errors
    /// When there is no such directory, or it cannot be read (B-147); that of `take`, which ends it.
    pub fn list(
        &self,
        path: &[u8],
        mut take: impl FnMut(Entry<&[u8]>) -> io::Result<()>,
    ) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut directory = Dir::new(self.reach(path, flags)?)?;
        while let Some(entry) = directory.read() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") || never_listed(entry.file_type()) {
                continue;
            }
            // What vanished since it was read is not there.
            let here = directory.fd()?;
            let Ok(stat) = statat(here, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let link = kind(&stat) == FileType::Symlink;
            let found = match kind(&stat) {
                FileType::RegularFile => Some((Kind::File, facts(&stat))),
                FileType::Directory => Some((Kind::Directory, facts(&stat))),
                FileType::Symlink => self.follow(path, name),
                _ => None,
            };
            if let Some((kind, stat)) = found {
                let Stat { size, modified, .. } = stat;
                take(Entry { name, kind, link, size, modified })?;
            }
        }
        Ok(())
    }

    /// Where the link `name` in `directory` leads, if that is in bounds.
    fn follow(&self, directory: &[u8], name: &[u8]) -> Option<(Kind, Stat)> {
        match self.open(&join(directory, name)) {
            Opened::File(_, stat) => Some((Kind::File, stat)),
            Opened::Directory(stat) => Some((Kind::Directory, stat)),
            _ => None,
        }
    }
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

/// Some file systems do not say what an entry is; then it is asked.
fn never_listed(kind: FileType) -> bool {
    !matches!(
        kind,
        FileType::RegularFile | FileType::Directory | FileType::Symlink | FileType::Unknown
    )
}
