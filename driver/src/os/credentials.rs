//! Whose rights a process has that we start: ours, or, when we are root, somebody's who has few.
//!
//! It promises that nothing is ever started as root.

use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;

use nix::unistd::{Gid, Uid, User};
use rustix::fs::{self, FileType, fchown, fstat};

/// Who a process runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credentials {
    /// Who the server runs as, and that is not root.
    Inherited,
    /// This user, with this group and no other.
    User(Uid, Gid),
}

impl Credentials {
    /// That of `user`, by name or number; of nobody in particular: `nobody` when we are root, else
    /// who we are.
    ///
    /// # Errors
    /// `NotFound` for a user that is not there, `PermissionDenied` for root, and for anybody but
    /// ourselves when we are not root.
    pub fn for_user(user: Option<&str>) -> io::Result<Self> {
        let ours = Uid::effective();
        let Some(name) = user.or(ours.is_root().then_some("nobody")) else {
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
            uid if uid == ours => Ok(Self::Inherited),
            _ if !ours.is_root() => denied("only root can start scripts as another user"),
            uid => Ok(Self::User(uid, user.gid)),
        }
    }

    /// Makes them the owner of a stream of theirs, or they could not open it once more by its name, as
    /// `echo >/dev/stderr` does. A device, `/dev/null` for one, stays whose it is.
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
    fn b_246_never_root_and_only_root_can_be_another() {
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
