//! Errors that name the path which they are about, for those who see only the error.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::is_exhausted;

/// An error of the system, with the path that it is about.
#[derive(Debug)]
struct PathError {
    /// What the path is to the server.
    what: &'static str,
    path: PathBuf,
    error: io::Error,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}: {}", self.what, self.path, self.error)
    }
}

impl Error for PathError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

/// Adds to an error what `path` is, and the path. Its kind stays. An error because descriptors or memory
/// are used up is not about the path, and is returned as it is.
pub(crate) fn with_path(what: &'static str, path: &Path, error: io::Error) -> io::Error {
    if is_exhausted(&error) {
        return error;
    }
    io::Error::new(error.kind(), PathError { what, path: path.into(), error })
}

/// The error of the system without the path that [`Files::new`](crate::Files::new),
/// [`Files::file`](crate::Files::file) and [`check_directory`](crate::upload::check_directory) add to it:
/// for a program that names the path itself. Other errors are returned as they are.
///
/// ```
/// use doorstep_driver::{Files, os};
///
/// let error = Files::file("no-such.pdf").unwrap_err();
/// assert!(error.to_string().starts_with("file \"no-such.pdf\": "));
/// assert!(!os::without_path(error).to_string().contains("no-such.pdf"));
/// ```
#[must_use]
pub fn without_path(error: io::Error) -> io::Error {
    match error.downcast::<PathError>() {
        Ok(with_path) => with_path.error,
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use rustix::io::Errno;

    use super::*;

    #[test]
    fn the_kind_and_the_code_of_the_system_are_kept() {
        let error = with_path("directory", Path::new("a\nb"), Errno::NOTDIR.into());
        assert_eq!(error.kind(), ErrorKind::NotADirectory);
        assert!(error.to_string().starts_with("directory \"a\\nb\": "), "{error}");
        assert_eq!(without_path(error).raw_os_error(), Some(Errno::NOTDIR.raw_os_error()));
        let exhausted = with_path("directory", Path::new("a"), Errno::MFILE.into());
        assert!(is_exhausted(&exhausted));
        assert_eq!(without_path(exhausted).raw_os_error(), Some(Errno::MFILE.raw_os_error()));
    }
}
