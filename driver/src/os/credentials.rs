//! The user that processes run as: that of the server or, if that is root, an unprivileged one.
//!
//! No process is ever started as root (B-246).
//!
//! ```
//! use doorstep_driver::os::Credentials;
//!
//! assert!(Credentials::for_user(Some("root")).is_err());
//! ```

use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;

use nix::unistd::{Gid, Uid, User};
use rustix::fs::{self, FileType, fchown, fstat};

/// The user and group that a process runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credentials {
    /// Those of the server, which is not root.
    Inherited,
    /// This user and this group, without supplementary groups.
    User(Uid, Gid),
}

impl Credentials {
    /// The credentials of `user`, by name or number. `None` is `nobody` if the server is root, else
    /// the server's own user.
    ///
    /// # Errors
    /// Returns `NotFound` if there is no such user, or `PermissionDenied` if it is root, or if it
    /// is another user and the server is not root.
    pub fn for_user(user: Option<&str>) -> io::Result<Self> {
        let own = Uid::effective();
        let Some(name) = user.or(own.is_root().then_some("nobody")) else {
            return Ok(Self::Inherited);
        };
        let found = match name.parse() {
            Ok(number) => User::from_uid(Uid::from_raw(number))?,
            Err(_) => User::from_name(name)?,
        };
        let user = found.ok_or_else(|| {
            io::Error::new(ErrorKind::NotFound, format!("there is no user {name:?}"))
        })?;
        let denied = |why: &str| Err(io::Error::new(ErrorKind::PermissionDenied, why));
        match user.uid {
            uid if uid.is_root() => denied("scripts never run as root"),
            uid if uid == own => Ok(Self::Inherited),
            _ if !own.is_root() => denied("only root can start scripts as another user"),
            uid => Ok(Self::User(uid, user.gid)),
        }
    }

    /// Makes the user the owner of `stream`, without which the process could not open it again by
    /// its name, as `echo >/dev/stderr` does. The owner of a device, such as `/dev/null`, is not
    /// changed.
    pub(super) fn chown(self, stream: BorrowedFd<'_>) -> rustix::io::Result<()> {
        let Self::User(uid, gid) = self else { return Ok(()) };
        if FileType::from_raw_mode(fstat(stream)?.st_mode).is_char_device() {
            return Ok(());
        }
        fchown(stream, Some(fs::Uid::from_raw(uid.as_raw())), Some(fs::Gid::from_raw(gid.as_raw())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(user: Option<&str>) -> Result<Credentials, ErrorKind> {
        Credentials::for_user(user).map_err(|error| error.kind())
    }

    #[test]
    fn b_246_no_process_runs_as_root_and_only_root_can_choose_another_user() {
        assert_eq!(kind(Some("nosuchuser")), Err(ErrorKind::NotFound));
        assert_eq!(kind(Some("root")), Err(ErrorKind::PermissionDenied));
        assert_eq!(kind(Some("0")), Err(ErrorKind::PermissionDenied));
        let nobody = kind(Some("nobody"));
        if Uid::effective().is_root() {
            assert!(matches!(nobody, Ok(Credentials::User(..))));
            assert_eq!(kind(None), nobody);
        } else {
            assert_eq!(kind(None), Ok(Credentials::Inherited));
        }
    }
}
