//! Why there is no authentication: the file of users, or what was given instead of it, is at fault.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::htpasswd::LineError;
use crate::os;

/// What is wrong with the users or the realm of an [`Auth`](super::Auth). Its text is one line, and
/// contains no password and no hash.
#[derive(Debug)]
pub struct AuthError {
    path: Option<PathBuf>,
    reason: Reason,
}

#[derive(Debug)]
pub(super) enum Reason {
    Io(io::Error),
    NotAFile,
    TooLarge(u64),
    Line(LineError),
    NoUsers,
    /// A user name or a password.
    Credentials(&'static str),
    Realm,
    Random(getrandom::Error),
}

impl AuthError {
    pub(super) fn file(path: &Path, reason: Reason) -> Self {
        Self { path: Some(path.to_owned()), reason }
    }

    /// Whether a later try may succeed although the file has not changed.
    pub(super) fn is_transient(&self) -> bool {
        matches!(&self.reason, Reason::Io(error) if os::is_exhausted(error))
    }
}

impl From<Reason> for AuthError {
    fn from(reason: Reason) -> Self {
        Self { path: None, reason }
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{path:?}: ")?;
        }
        match &self.reason {
            Reason::Io(error) => f.write_str(&os::describe_error(error)),
            Reason::NotAFile => f.write_str("not a regular file"),
            Reason::TooLarge(limit) => write!(f, "larger than {limit} bytes"),
            Reason::Line(error) => write!(f, "{error}"),
            Reason::NoUsers => f.write_str("there are no users; add one with htpasswd -B"),
            Reason::Credentials(text) => f.write_str(text),
            Reason::Realm => f.write_str("a realm must be printable ASCII"),
            Reason::Random(error) => write!(f, "no random numbers: {error}"),
        }
    }
}

impl Error for AuthError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.reason {
            Reason::Io(error) => Some(error),
            _ => None,
        }
    }
}
