//! Detecting that a file changes while it is sent (B-174).
//!
//! A file that grows, such as a log, has not changed in this sense: the bytes that were announced
//! are still there. A file that has become shorter, or that was written to at the same length, has:
//! then sending stops before the end, so that the client sees that the response is incomplete. A
//! file that was replaced by another one of its name is sent to its end, since it is open.
//!
//! ```
//! use doorstep_driver::files::ChangeGuard;
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("a");
//! # std::fs::write(&path, "hello")?;
//!
//! let file = std::fs::File::open(&path)?;
//! let guard = ChangeGuard::new(&file)?;
//! guard.check(&file)?;
//! std::fs::write(&path, "hi")?;
//! assert!(guard.check(&file).is_err());
//! # Ok::<(), std::io::Error>(())
//! ```

use std::fs::File;
use std::io::{self, ErrorKind};
use std::time::SystemTime;

/// The size and the time of a file when its transfer began.
#[derive(Debug, Clone, Copy)]
pub struct ChangeGuard {
    size: u64,
    modified: SystemTime,
}

/// Checks once whether a file has changed during its transfer: before its last part is sent. If it
/// has one part only, nothing is checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct TransferGuard {
    guard: Option<ChangeGuard>,
    max_chunk: u64,
}

impl TransferGuard {
    /// For the transfer of `count` bytes of `file` in parts of at most `max_chunk` bytes.
    ///
    /// # Errors
    /// Returns the error of [`ChangeGuard::new`].
    pub(super) fn new(file: &File, count: u64, max_chunk: u64) -> io::Result<Self> {
        let guard = (count > max_chunk).then(|| ChangeGuard::new(file)).transpose()?;
        Ok(Self { guard, max_chunk })
    }

    /// To be called before each part is sent, with the number of bytes that are left.
    ///
    /// # Errors
    /// Returns the error of [`ChangeGuard::check`].
    pub(super) fn check_before_send(&self, file: &File, left: u64) -> io::Result<()> {
        match &self.guard {
            Some(guard) if left <= self.max_chunk => guard.check(file),
            _ => Ok(()),
        }
    }
}

impl ChangeGuard {
    /// The state of `file` now. Costs one system call, as [`ChangeGuard::check`] does.
    ///
    /// # Errors
    /// Returns an error if its metadata cannot be read.
    pub fn new(file: &File) -> io::Result<Self> {
        let now = file.metadata()?;
        Ok(Self { size: now.len(), modified: now.modified()? })
    }

    /// Checks that `file` has not changed, other than by growing.
    ///
    /// # Errors
    /// Returns [`ErrorKind::UnexpectedEof`] if it is shorter, [`ErrorKind::InvalidData`] if it was
    /// written to, or an error if its metadata cannot be read.
    pub fn check(&self, file: &File) -> io::Result<()> {
        let now = Self::new(file)?;
        if now.size < self.size {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the file became shorter"));
        }
        if now.size == self.size && now.modified != self.modified {
            return Err(io::Error::new(ErrorKind::InvalidData, "the file was changed"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;
    use std::time::Duration;

    #[test]
    fn b_174_writing_is_a_change_and_growing_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "hello").unwrap();
        let file = File::options().read(true).append(true).open(&path).unwrap();
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        file.set_modified(long_ago).unwrap();
        let guard = ChangeGuard::new(&file).unwrap();
        fs::rename(&path, dir.path().join("b")).unwrap();
        guard.check(&file).unwrap();
        (&file).write_all(b" and more").unwrap();
        guard.check(&file).unwrap();

        let guard = ChangeGuard::new(&file).unwrap();
        file.set_modified(long_ago).unwrap();
        assert_eq!(guard.check(&file).unwrap_err().kind(), ErrorKind::InvalidData);
        file.set_len(3).unwrap();
        assert_eq!(guard.check(&file).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}
