//! What was found at a path, and what an error of the system says about it.
//!
//! An error means *no* (nothing is there, or not for this process), a shortage of descriptors or
//! memory, or a failure of the file system, which says neither yes nor no. To a client the first is
//! 404, whatever the reason (B-171), the others are 503: later it may be there.

use std::fs::File;
use std::io::{self, ErrorKind};

use doorstep_core::site::{Found, Stat};
use rustix::io::Errno;

/// What was found at a path.
#[derive(Debug)]
pub enum Opened<F = File> {
    /// A regular file, open for reading at its start.
    File(F, Stat),
    /// A directory.
    Directory(Stat),
    /// A FIFO, a device or a socket; it was not opened.
    Special,
    /// Nothing: no such name, or none that could be.
    NotFound,
    /// Something that cannot be had: no permission, a link that is refused. The error is for the
    /// log; to the client it is as nothing (B-171).
    Denied(io::Error),
    /// This process or machine has no descriptor or memory left: later it may succeed (503).
    Exhausted(io::Error),
    /// The file system fails: a fault of the disk, a server on the network that does not answer.
    /// What is there is not known (503).
    Failed(io::Error),
}

impl<F> Opened<F> {
    /// With something else in the file's place.
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

    /// The same in the core's words. `Exhausted` and `Failed` are not among them and read as
    /// refused.
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

    /// What the system's error comes to.
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

/// What an error says, as the variants of [`Opened`] have it.
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

/// Whether the system says that nothing is there, or not for us.
pub(super) fn is_inaccessible(errno: Errno) -> bool {
    !matches!(ErrorClass::of(&to_io_error(errno)), ErrorClass::Exhausted | ErrorClass::Failed)
}

/// An error of the system, for the log.
pub(super) fn to_io_error(errno: Errno) -> io::Error {
    let words = match errno {
        Errno::XDEV => {
            "a link leads out of the directory that is served, and is not followed there"
        }
        Errno::LOOP => "a link that is not followed, or leads in a circle",
        _ => return errno.into(),
    };
    io::Error::new(ErrorKind::PermissionDenied, words)
}

/// The errors by which a system refuses what is there.
const DENIED_ERRNOS: [Errno; 7] = [
    Errno::ACCESS,
    Errno::PERM,
    Errno::LOOP,
    Errno::XDEV,
    Errno::OVERFLOW,
    Errno::OPNOTSUPP,
    #[cfg(target_os = "linux")]
    Errno::NOKEY, // encrypted, and the key is not here
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
    fn b_171_what_is_not_there_or_not_for_us_is_told_apart() {
        for errno in [Errno::NOENT, Errno::NOTDIR, Errno::NAMETOOLONG] {
            assert!(matches!(opened(errno), Opened::NotFound) && is_inaccessible(errno));
        }
        for errno in [Errno::ACCESS, Errno::PERM, Errno::LOOP, Errno::XDEV] {
            assert!(matches!(opened(errno), Opened::Denied(_)) && is_inaccessible(errno));
        }
    }

    #[test]
    fn what_the_system_cannot_say_now_is_no_answer() {
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
