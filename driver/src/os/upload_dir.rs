//! A directory that files are stored in: written where nobody sees them, and then given their name.
//!
//! The path of the directory is resolved beneath the root and without following any link, whatever the
//! rule for reading is. A file is written without a name (`O_TMPFILE`), where the system and the file
//! system support it: if the process ends, nothing is left of it. Otherwise it has a hidden name
//! ([`TEMPORARY_PREFIX`]), which is removed with it; those that another process has left behind are
//! removed when they are a day old and the next file is stored in their directory. The name is given in
//! one step, so that a reader finds the whole file or the one before it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use doorstep_core::site::Stat;
use rustix::fs::{
    Access, AtFlags, CWD, Dir, FileType, Mode, OFlags, access, accessat, fstat, fstatvfs, linkat,
    openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use super::LINUX;
use super::metadata::{core_stat, file_type};
use super::root_dir::{RootDir, Symlinks};
use super::walk::TRAVERSE_FLAGS;

/// How the names of files begin that are being written, where they need one.
pub(crate) const TEMPORARY_PREFIX: &str = ".doorstep-";
/// How these names end.
const TEMPORARY_SUFFIX: &str = ".upload";
/// How old a temporary name of another process is when it is removed.
const STALE_AGE: Duration = Duration::from_secs(24 * 3600);
/// The number of attempts to find a temporary name that is free.
const MAX_NAME_TRIES: usize = 100;

/// An open directory to store files in.
#[derive(Debug, Clone)]
pub(crate) struct UploadDir {
    handle: Arc<OwnedFd>,
}

/// What has a name now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    Nothing,
    File(Stat),
    Directory,
    Symlink,
    Special,
}

/// A file that is being written, and has no name that clients can request. Dropped, it is removed.
#[derive(Debug)]
pub(crate) struct TemporaryFile {
    pub(crate) file: Arc<File>,
    directory: UploadDir,
    /// Its hidden name, unless it has none.
    name: Option<String>,
}

/// Why a file did not get its name.
#[derive(Debug)]
pub(crate) enum PublishError {
    /// There is a file of this name, which was not to be replaced.
    Exists,
    Io(io::Error),
}

impl RootDir {
    /// Opens the directory at `path` to store files in it. A link in the path is `ELOOP`.
    pub(crate) fn open_upload_dir(&self, path: &[u8]) -> io::Result<UploadDir> {
        let readable = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = match self.resolve_as(path, readable, Symlinks::Deny) {
            Err(Errno::ACCESS) => self.resolve_as(path, TRAVERSE_FLAGS, Symlinks::Deny),
            opened => opened,
        };
        Ok(UploadDir { handle: Arc::new(opened?) })
    }
}

impl UploadDir {
    /// What has the name `name` now. Links are not followed.
    pub(crate) fn existing(&self, name: &str) -> io::Result<Existing> {
        match statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(Existing::Nothing),
            Err(error) => Err(error.into()),
            Ok(stat) => Ok(match file_type(&stat) {
                FileType::RegularFile => Existing::File(core_stat(&stat)),
                FileType::Directory => Existing::Directory,
                FileType::Symlink => Existing::Symlink,
                _ => Existing::Special,
            }),
        }
    }

    /// Whether this process may store files in it.
    pub(crate) fn is_writable(&self) -> bool {
        let wanted = Access::WRITE_OK | Access::EXEC_OK;
        accessat(&self.handle, c".", wanted, AtFlags::EACCESS).is_ok()
    }

    /// The space that this process may use on the file system, in bytes.
    #[allow(clippy::unnecessary_cast)] // the types of these fields differ between platforms
    pub(crate) fn free_space(&self) -> io::Result<u64> {
        let stat = fstatvfs(&self.handle)?;
        Ok((stat.f_bavail as u64).saturating_mul(stat.f_frsize as u64))
    }

    /// The device that it is on.
    pub(crate) fn device(&self) -> io::Result<u64> {
        Ok(super::metadata::file_id(&fstat(&self.handle)?).0)
    }

    /// Whether both are the same directory.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let id = |dir: &Self| fstat(&dir.handle).map(|stat| super::metadata::file_id(&stat));
        matches!((id(self), id(other)), (Ok(one), Ok(other)) if one == other)
    }

    /// A new file, empty.
    pub(crate) fn create(&self) -> io::Result<TemporaryFile> {
        if let Some(file) = self.create_unnamed()? {
            return Ok(TemporaryFile { file: file.into(), directory: self.clone(), name: None });
        }
        self.remove_stale();
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for _ in 0..MAX_NAME_TRIES {
            let name = temporary_name();
            match openat(&self.handle, &*name, flags, FILE_MODE) {
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
                Ok(file) => {
                    let (file, directory) = (Arc::new(File::from(file)), self.clone());
                    return Ok(TemporaryFile { file, directory, name: Some(name) });
                }
            }
        }
        Err(Errno::EXIST.into())
    }

    /// A file without a name; `None` if the system or the file system supports none.
    #[cfg(target_os = "linux")]
    fn create_unnamed(&self) -> io::Result<Option<File>> {
        // It gets its name by this directory.
        if !LINUX || access("/proc/self/fd", Access::EXISTS).is_err() {
            return Ok(None);
        }
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        match openat(&self.handle, c".", flags, FILE_MODE) {
            Ok(file) => Ok(Some(file.into())),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn create_unnamed(&self) -> io::Result<Option<File>> {
        let _ = (LINUX, access::<&str>, Access::EXISTS);
        Ok(None)
    }

    /// Writes the directory to the disk, if it may be read.
    pub(crate) fn sync(&self) -> io::Result<()> {
        match rustix::fs::fsync(&self.handle) {
            Err(Errno::BADF | Errno::INVAL) => Ok(()), // opened without permission to read, or FUSE
            synced => Ok(synced?),
        }
    }

    /// Removes temporary names that a process has left behind which has ended.
    fn remove_stale(&self) {
        let Ok(entries) = Dir::read_from(&self.handle) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().to_bytes();
            if !name.starts_with(TEMPORARY_PREFIX.as_bytes())
                || !name.ends_with(TEMPORARY_SUFFIX.as_bytes())
            {
                continue;
            }
            let Ok(stat) = statat(&self.handle, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
            else {
                continue;
            };
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let modified = u64::try_from(core_stat(&stat).modified).unwrap_or(0);
            if file_type(&stat) == FileType::RegularFile
                && modified.saturating_add(STALE_AGE.as_secs()) < now.as_secs()
            {
                let _ = unlinkat(&self.handle, entry.file_name(), AtFlags::empty());
            }
        }
    }
}

impl TemporaryFile {
    /// The directory that it is in.
    pub(crate) fn directory(&self) -> &UploadDir {
        &self.directory
    }

    /// Gives the file its name, in place of another one if `replace` allows it. Returns its metadata.
    pub(crate) fn publish(mut self, name: &str, replace: bool) -> Result<Stat, PublishError> {
        let named = if replace { self.replace(name) } else { self.link(name) };
        match named {
            Ok(()) => {}
            Err(Errno::EXIST) => return Err(PublishError::Exists),
            Err(error) => return Err(PublishError::Io(error.into())),
        }
        let stat = fstat(&*self.file).map_err(|error| PublishError::Io(error.into()))?;
        Ok(core_stat(&stat))
    }

    /// Renames it over whatever has the name.
    fn replace(&mut self, name: &str) -> rustix::io::Result<()> {
        for _ in 0..MAX_NAME_TRIES {
            if self.name.is_some() {
                break;
            }
            let temporary = temporary_name();
            match self.link_unnamed(&temporary) {
                Err(Errno::EXIST) => {}
                linked => {
                    linked?;
                    self.name = Some(temporary);
                }
            }
        }
        let temporary = self.name.as_deref().ok_or(Errno::EXIST)?;
        renameat(&self.directory.handle, temporary, &self.directory.handle, name)?;
        self.name = None;
        Ok(())
    }

    /// Gives it the name if nothing has it: otherwise `EXIST`.
    fn link(&mut self, name: &str) -> rustix::io::Result<()> {
        let handle = &*self.directory.handle;
        let Some(temporary) = self.name.as_deref() else { return self.link_unnamed(name) };
        match rename_to_free(handle, temporary, name) {
            Err(Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP) => {
                linkat(handle, temporary, handle, name, AtFlags::empty())?;
                // Now, since it changes the file's metadata; if it fails, once more when this is dropped.
                if unlinkat(handle, temporary, AtFlags::empty()).is_ok() {
                    self.name = None;
                }
                Ok(())
            }
            renamed => {
                renamed?;
                self.name = None;
                Ok(())
            }
        }
    }

    fn link_unnamed(&self, name: &str) -> rustix::io::Result<()> {
        let this = format!("/proc/self/fd/{}", self.file.as_fd().as_raw_fd());
        linkat(CWD, this, &self.directory.handle, name, AtFlags::SYMLINK_FOLLOW)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _ = unlinkat(&self.directory.handle, &**name, AtFlags::empty());
        }
    }
}

/// Renames a file unless the new name exists, if the system can do that in one step.
#[cfg(target_os = "linux")]
fn rename_to_free(directory: &OwnedFd, from: &str, to: &str) -> rustix::io::Result<()> {
    use rustix::fs::{RenameFlags, renameat_with};

    match LINUX {
        true => renameat_with(directory, from, directory, to, RenameFlags::NOREPLACE),
        false => Err(Errno::NOSYS),
    }
}

#[cfg(not(target_os = "linux"))]
fn rename_to_free(_: &OwnedFd, _: &str, _: &str) -> rustix::io::Result<()> {
    Err(Errno::NOSYS)
}

/// A name that no other file of this process has.
fn temporary_name() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("{TEMPORARY_PREFIX}{}-{number}{TEMPORARY_SUFFIX}", std::process::id())
}

/// The permissions of new files, before those of the umask are taken off.
const FILE_MODE: Mode = Mode::RUSR
    .union(Mode::WUSR)
    .union(Mode::RGRP)
    .union(Mode::WGRP)
    .union(Mode::ROTH)
    .union(Mode::WOTH);

#[cfg(test)]
#[path = "upload_dir_tests.rs"]
mod tests;
