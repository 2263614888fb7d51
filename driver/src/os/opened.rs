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
    Other,
    /// Nothing: no such name, or none that could be.
    Nothing,
    /// Something that cannot be had: no permission, a link that is refused. The error is for the
    /// log; to the client it is as nothing (B-171).
    Refused(io::Error),
    /// This process or machine has no descriptor or memory left: later it may succeed (503).
    Exhausted(io::Error),
    /// The file system fails: a fault of the disk, a server on the network that does not answer.
    /// What is there is not known (503).
    Failed(io::Error),
}

impl<F> Opened<F> {
    /// With something else in the file's place.
    pub(crate) fn map<G>(self, file: impl FnOnce(F, &Stat) -> G) -> Opened<G> {
        match self {
            Self::File(f, stat) => Opened::File(file(f, &stat), stat),
            Self::Directory(stat) => Opened::Directory(stat),
            Self::Other => Opened::Other,
            Self::Nothing => Opened::Nothing,
            Self::Refused(error) => Opened::Refused(error),
            Self::Exhausted(error) => Opened::Exhausted(error),
            Self::Failed(error) => Opened::Failed(error),
        }
    }

    /// The same in the core's words. `Exhausted` and `Failed` are not among them and read as
    /// refused.
    #[must_use]
    pub fn found(&self) -> Found {
        match self {
            Self::File(_, stat) => Found::File(*stat),
            Self::Directory(stat) => Found::Directory(*stat),
            Self::Other => Found::Other,
            Self::Nothing => Found::Nothing,
            Self::Refused(_) | Self::Exhausted(_) | Self::Failed(_) => Found::Inaccessible,
        }
    }

    /// What the system's error comes to.
    pub(super) fn failed(errno: Errno) -> Self {
        Self::from(explained(errno))
    }
}

impl<F> From<io::Error> for Opened<F> {
    fn from(error: io::Error) -> Self {
        match Class::of(&error) {
            Class::Nothing => Self::Nothing,
            Class::Other => Self::Other,
            Class::Refused => Self::Refused(error),
            Class::Exhausted => Self::Exhausted(error),
            Class::Failed => Self::Failed(error),
        }
    }
}

/// What an error says, as the variants of [`Opened`] have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Nothing,
    Other,
    Refused,
    Exhausted,
    Failed,
}

impl Class {
    pub(crate) fn of(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => Self::Nothing,
            Some(Errno::INVAL | Errno::ILSEQ) => Self::Nothing,
            Some(Errno::NXIO | Errno::NODEV) => Self::Other,
            Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS) => Self::Exhausted,
            Some(errno) if REFUSALS.contains(&errno) => Self::Refused,
            Some(_) => Self::Failed,
            None => match error.kind() {
                ErrorKind::NotFound => Self::Nothing,
                ErrorKind::PermissionDenied => Self::Refused,
                ErrorKind::OutOfMemory => Self::Exhausted,
                _ => Self::Failed,
            },
        }
    }
}

/// Whether the system says that nothing is there, or not for us.
pub(super) fn is_no(errno: Errno) -> bool {
    !matches!(Class::of(&explained(errno)), Class::Exhausted | Class::Failed)
}

/// An error of the system, for the log.
pub(super) fn explained(errno: Errno) -> io::Error {
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
const REFUSALS: [Errno; 7] = [
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

    fn of(errno: Errno) -> Opened {
        Opened::failed(errno)
    }

    #[test]
    fn b_171_what_is_not_there_or_not_for_us_is_told_apart() {
        for errno in [Errno::NOENT, Errno::NOTDIR, Errno::NAMETOOLONG] {
            assert!(matches!(of(errno), Opened::Nothing) && is_no(errno));
        }
        for errno in [Errno::ACCESS, Errno::PERM, Errno::LOOP, Errno::XDEV] {
            assert!(matches!(of(errno), Opened::Refused(_)) && is_no(errno));
        }
    }

    #[test]
    fn what_the_system_cannot_say_now_is_no_answer() {
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM] {
            assert!(matches!(of(errno), Opened::Exhausted(_)) && !is_no(errno));
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
            assert!(matches!(of(errno), Opened::Failed(_)) && !is_no(errno));
        }
        #[cfg(target_os = "linux")]
        assert!(matches!(of(Errno::REMOTEIO), Opened::Failed(_)));
    }
}
