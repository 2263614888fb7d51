//! The result of opening a path, and the classes of the system's errors.
//!
//! An error means that the file does not exist or cannot be accessed by this process, that
//! descriptors (`EMFILE`) or memory are used up, or that the file system fails, so that it is
//! unknown whether the file exists. The response to the first is 404, whatever the reason (B-171);
//! to the others 503, since a later request may succeed.

use std::fs::File;
use std::io::{self, ErrorKind};

use doorstep_core::site::{Found, Stat};
use rustix::io::Errno;

/// The result of opening a path.
#[derive(Debug)]
pub enum Opened<F = File> {
    /// A regular file, open for reading at its start.
    File(F, Stat),
    /// A directory.
    Directory(Stat),
    /// A FIFO, a device or a socket; it was not opened.
    Special,
    /// Nothing: there is no such name, or the path is invalid.
    NotFound,
    /// A file that cannot be accessed: no permission, or a link that is not followed. The error is
    /// for the log; the response is the same as for [`Opened::NotFound`] (B-171).
    Denied(io::Error),
    /// Descriptors (`EMFILE`, `ENFILE`) or memory are used up: a later attempt may succeed (503).
    Exhausted(io::Error),
    /// The file system fails: an error of the disk, or a file server that does not respond. It is
    /// not known whether the file exists (503).
    Failed(io::Error),
}

impl<F> Opened<F> {
    /// Replaces the file.
    pub(crate) fn map_file<G>(self, file: impl FnOnce(F, &Stat) -> G) -> Opened<G> {
        match self {
            Self::File(f, stat) => Opened::File(file(f, &stat), stat),
            Self::Directory(stat) => Opened::Directory(stat),
            Self::Special => Opened::Special,
            Self::NotFound => Opened::NotFound,
            Self::Denied(error) => Opened::Denied(error),
            Self::Exhausted(error) => Opened::Exhausted(error),
            Self::Failed(error) => Opened::Failed(error),
        }
    }

    /// The core's type, in which `Exhausted` and `Failed` are not distinguished from `Denied`.
    #[must_use]
    pub fn to_found(&self) -> Found {
        match self {
            Self::File(_, stat) => Found::File(*stat),
            Self::Directory(stat) => Found::Directory(*stat),
            Self::Special => Found::Other,
            Self::NotFound => Found::Nothing,
            Self::Denied(_) | Self::Exhausted(_) | Self::Failed(_) => Found::Inaccessible,
        }
    }

    /// The result for an error of the system.
    pub(super) fn from_errno(errno: Errno) -> Self {
        Self::from(to_io_error(errno))
    }
}

impl<F> From<io::Error> for Opened<F> {
    fn from(error: io::Error) -> Self {
        match ErrorClass::of(&error) {
            ErrorClass::NotFound => Self::NotFound,
            ErrorClass::Special => Self::Special,
            ErrorClass::Denied => Self::Denied(error),
            ErrorClass::Exhausted => Self::Exhausted(error),
            ErrorClass::Failed => Self::Failed(error),
        }
    }
}

/// The classes of errors, as the variants of [`Opened`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorClass {
    NotFound,
    Special,
    Denied,
    Exhausted,
    Failed,
}

impl ErrorClass {
    pub(crate) fn of(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => Self::NotFound,
            Some(Errno::INVAL | Errno::ILSEQ) => Self::NotFound,
            Some(Errno::NXIO | Errno::NODEV) => Self::Special,
            Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS) => Self::Exhausted,
            Some(errno) if DENIED_ERRNOS.contains(&errno) => Self::Denied,
            Some(_) => Self::Failed,
            None => match error.kind() {
                ErrorKind::NotFound => Self::NotFound,
                ErrorKind::PermissionDenied => Self::Denied,
                ErrorKind::OutOfMemory => Self::Exhausted,
                _ => Self::Failed,
            },
        }
    }
}

/// Whether an error means that the file does not exist, or cannot be accessed.
pub(super) fn is_inaccessible(errno: Errno) -> bool {
    !matches!(ErrorClass::of(&to_io_error(errno)), ErrorClass::Exhausted | ErrorClass::Failed)
}

/// An error of the system, for the log.
pub(super) fn to_io_error(errno: Errno) -> io::Error {
    let message = match errno {
        Errno::XDEV => "a link leads out of the directory that is served, and is not followed",
        Errno::LOOP => "a symbolic link that is not followed, or a loop of links (ELOOP)",
        _ => return errno.into(),
    };
    io::Error::new(ErrorKind::PermissionDenied, message)
}

/// The errors for a file that exists and cannot be accessed.
const DENIED_ERRNOS: [Errno; 7] = [
    Errno::ACCESS,
    Errno::PERM,
    Errno::LOOP,
    Errno::XDEV,
    Errno::OVERFLOW,
    Errno::OPNOTSUPP,
    #[cfg(target_os = "linux")]
    Errno::NOKEY, // encrypted, and there is no key
    #[cfg(not(target_os = "linux"))]
    Errno::NOTSUP,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(errno: Errno) -> Opened {
        Opened::from_errno(errno)
    }

    #[test]
    fn b_171_missing_and_inaccessible_files_are_distinguished() {
        for errno in [Errno::NOENT, Errno::NOTDIR, Errno::NAMETOOLONG] {
            assert!(matches!(opened(errno), Opened::NotFound) && is_inaccessible(errno));
        }
        for errno in [Errno::ACCESS, Errno::PERM, Errno::LOOP, Errno::XDEV] {
            assert!(matches!(opened(errno), Opened::Denied(_)) && is_inaccessible(errno));
        }
    }

    #[test]
    fn shortages_and_failures_are_not_taken_for_missing_files() {
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM] {
            assert!(matches!(opened(errno), Opened::Exhausted(_)) && !is_inaccessible(errno));
        }
        let failures = [
            Errno::IO,
            Errno::STALE,
            Errno::NOTCONN,
            Errno::TIMEDOUT,
            Errno::HOSTDOWN,
            Errno::AGAIN,
        ];
        for errno in failures {
            assert!(matches!(opened(errno), Opened::Failed(_)) && !is_inaccessible(errno));
        }
        #[cfg(target_os = "linux")]
        assert!(matches!(opened(Errno::REMOTEIO), Opened::Failed(_)));
    }
}
