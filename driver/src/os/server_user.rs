//! The user that a server becomes after it has bound its ports, when it was started as root.
//!
//! All privileges are given up for good: the user, the group, the supplementary groups and the
//! capabilities, each of the real, effective and saved ones; and it is checked that they are gone.
//!
//! ```
//! use doorstep_driver::os::ServerUser;
//!
//! assert!(ServerUser::find("root").is_err());
//! let nobody = ServerUser::find("nobody");
//! assert!(nobody.is_ok_and(|user| user.uid().as_raw() > 0));
//! ```

use std::ffi::CString;
use std::io::{self, ErrorKind};

use nix::unistd::{Gid, Group, Uid, User};

/// A user and a group that exist, and are not root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUser {
    uid: Uid,
    gid: Gid,
    /// `None` if the user has a number only.
    name: Option<CString>,
}

impl ServerUser {
    /// The user of `text`, which is `NAME` or `NAME:GROUP`. Both may be numbers. Without a group, it is
    /// that of the user in the system's list of users. A number that is not in it needs a group.
    ///
    /// # Errors
    /// Returns `NotFound` if there is no such user or group, and `PermissionDenied` if the user is
    /// root.
    pub fn find(text: &str) -> io::Result<Self> {
        let (name, group) = match text.split_once(':') {
            Some((name, group)) => (name, Some(group)),
            None => (text, None),
        };
        let not_found = |what: &str, name: &str| {
            io::Error::new(ErrorKind::NotFound, format!("there is no {what} {name:?}"))
        };
        let number = name.parse().ok();
        let user = match number {
            Some(number) => User::from_uid(Uid::from_raw(number))?,
            None => User::from_name(name)?,
        };
        let group = group.map(|group| match group.parse() {
            Ok(number) => Ok(Gid::from_raw(number)),
            Err(_) => match Group::from_name(group)? {
                Some(found) => Ok(found.gid),
                None => Err(not_found("group", group)),
            },
        });
        let group = group.transpose()?;
        let found = match (user, number, group) {
            (Some(user), ..) => Self {
                uid: user.uid,
                gid: group.unwrap_or(user.gid),
                name: CString::new(user.name).ok(),
            },
            (None, Some(number), Some(gid)) => Self { uid: Uid::from_raw(number), gid, name: None },
            (None, Some(_), None) => {
                let why = format!("user {name} has no name and so no group: give {name}:GROUP");
                return Err(io::Error::new(ErrorKind::NotFound, why));
            }
            (None, None, _) => return Err(not_found("user", name)),
        };
        if found.uid.is_root() {
            return Err(io::Error::new(ErrorKind::PermissionDenied, "it is root"));
        }
        Ok(found)
    }

    /// The user.
    #[must_use]
    pub fn uid(&self) -> Uid {
        self.uid
    }

    /// The group.
    #[must_use]
    pub fn gid(&self) -> Gid {
        self.gid
    }

    /// Whether this process can become this user: it is root, or has this user already.
    #[must_use]
    pub fn is_permitted(&self) -> bool {
        Uid::effective().is_root() || self.is_current()
    }

    fn is_current(&self) -> bool {
        Uid::effective() == self.uid && Gid::effective() == self.gid
    }

    /// Makes this process run as the user, with its supplementary groups, for good. For a process that
    /// runs as the user already, it does nothing. To be called before threads are started, since not
    /// every system changes all of them.
    ///
    /// # Errors
    /// Returns the error of the system, `PermissionDenied` if privileges are left afterwards, or
    /// `Unsupported` on macOS. The process must not go on then.
    pub fn switch(&self) -> io::Result<()> {
        if self.is_current() && Uid::current() == self.uid {
            return Ok(());
        }
        self.switch_all()
    }

    #[cfg(target_vendor = "apple")]
    #[allow(clippy::unused_self)]
    fn switch_all(&self) -> io::Result<()> {
        Err(io::Error::new(ErrorKind::Unsupported, "this system has no call for it"))
    }

    #[cfg(not(target_vendor = "apple"))]
    fn switch_all(&self) -> io::Result<()> {
        use nix::unistd::{getgrouplist, setgroups, setresgid, setresuid};

        let groups = match &self.name {
            Some(name) => getgrouplist(name, self.gid)?,
            None => vec![self.gid],
        };
        setgroups(&groups)?;
        setresgid(self.gid, self.gid, self.gid)?;
        setresuid(self.uid, self.uid, self.uid)?;
        self.check(&groups)
    }

    /// Checks that nothing of root is left, and only these supplementary groups.
    #[cfg(not(target_vendor = "apple"))]
    fn check(&self, groups: &[Gid]) -> io::Result<()> {
        use nix::unistd::{getgroups, getresgid, getresuid, setresuid};

        let left = |what: &str| {
            let message = format!("{what} could not be given up");
            Err(io::Error::new(ErrorKind::PermissionDenied, message))
        };
        let (uids, gids) = (getresuid()?, getresgid()?);
        if [uids.real, uids.effective, uids.saved] != [self.uid; 3] {
            return left("the user");
        }
        if [gids.real, gids.effective, gids.saved] != [self.gid; 3] {
            return left("the group");
        }
        if !getgroups()?.iter().all(|group| *group == self.gid || groups.contains(group)) {
            return left("the supplementary groups");
        }
        let root = Uid::from_raw(0);
        if setresuid(root, root, root).is_ok() {
            return left("the right to become root");
        }
        if has_capabilities()? {
            return left("the capabilities");
        }
        Ok(())
    }
}

/// Whether this thread has a capability, or can get one back.
#[cfg(target_os = "linux")]
fn has_capabilities() -> io::Result<bool> {
    let sets = rustix::thread::capabilities(None)?;
    Ok(!sets.effective.is_empty() || !sets.permitted.is_empty())
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn has_capabilities() -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str) -> Result<(u32, u32), ErrorKind> {
        let found = ServerUser::find(text).map_err(|error| error.kind())?;
        Ok((found.uid().as_raw(), found.gid().as_raw()))
    }

    #[test]
    fn users_and_groups_are_names_or_numbers() {
        let (uid, gid) = find("nobody").unwrap();
        assert_eq!(find(&uid.to_string()), Ok((uid, gid)));
        assert_eq!(find("nobody:4321"), Ok((uid, 4321)));
        assert_eq!(find("54321:4321"), Ok((54321, 4321)));
        for text in ["", ":", "nosuchuser", "nobody:nosuchgroup", "nobody:", "54321", "54321:x"] {
            assert_eq!(find(text), Err(ErrorKind::NotFound), "{text:?}");
        }
        for text in ["root", "0", "0:4321", "root:nobody"] {
            let refused = find(text).unwrap_err();
            assert!(matches!(refused, ErrorKind::PermissionDenied | ErrorKind::NotFound), "{text}");
        }
        assert_eq!(find("root"), Err(ErrorKind::PermissionDenied));
    }

    #[test]
    fn only_root_becomes_another_user() {
        let other = ServerUser::find("54321:4321").unwrap();
        assert_eq!(other.is_permitted(), Uid::effective().is_root());
        let own = ServerUser { uid: Uid::effective(), gid: Gid::effective(), name: None };
        assert!(own.is_permitted());
        if !Uid::effective().is_root() {
            assert!(own.switch().is_ok());
        }
    }
}
