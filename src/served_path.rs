//! What is served: a directory, or one file.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use doorstep_core::path;
use doorstep_driver::os;

use crate::arguments::Arguments;
use crate::config::directory_of;
use crate::failure::Failure;

/// An existing directory, or an existing regular file.
#[derive(Debug)]
pub(crate) struct ServedPath {
    /// The directory, or that of the file. An absolute path if possible; see [`os::absolute`].
    pub(crate) root: PathBuf,
    /// The file, if it is one, in that directory.
    pub(crate) file: Option<PathBuf>,
}

impl ServedPath {
    /// What the arguments name: the current directory if they name none.
    pub(crate) fn find(arguments: &Arguments) -> Result<Self, Failure> {
        match (&arguments.directory, arguments.positionals.path()) {
            (None, Some(path)) => Self::of_path(path),
            (directory, _) => Self::of_directory(directory.as_deref().unwrap_or(Path::new("."))),
        }
    }

    /// The file, or the directory.
    pub(crate) fn as_path(&self) -> &Path {
        self.file.as_deref().unwrap_or(&self.root)
    }

    /// The path of the file's URL behind the slash, percent-encoded; empty for a directory.
    pub(crate) fn url_name(&self) -> String {
        let mut encoded = Vec::new();
        if let Some(name) = self.file.as_ref().and_then(|file| file.file_name()) {
            path::encode(&mut encoded, name.as_bytes());
        }
        String::from_utf8_lossy(&encoded).into_owned() // it is ASCII
    }

    fn of_directory(directory: &Path) -> Result<Self, Failure> {
        match os::absolute(directory) {
            Ok(root) => Ok(Self { root, file: None }),
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                Err(Failure::NotADirectory(directory.to_owned()))
            }
            Err(error) => Err(Failure::Directory(directory.to_owned(), error)),
        }
    }

    fn of_path(path: &Path) -> Result<Self, Failure> {
        let failure = |error| Failure::path(path, error);
        let kind = fs::metadata(path).map_err(failure)?.file_type();
        let (directory, name) = match path.file_name() {
            _ if kind.is_dir() => (path.to_owned(), None),
            Some(name) if kind.is_file() => (directory_of(path), Some(name)),
            _ => return Err(Failure::NotAFile(path.to_owned())),
        };
        let root = os::absolute(&directory).map_err(failure)?;
        let file = name.map(|name| root.join(name));
        Ok(Self { root, file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_directory_or_a_file_with_its_directory() {
        let here = std::env::current_dir().unwrap();
        let find = |path: &str| ServedPath::of_path(path.as_ref()).unwrap();
        let (src, manifest) = (find("src"), find("Cargo.toml"));
        assert_eq!((&src.root, &src.file), (&here.join("src"), &None));
        assert_eq!(src.as_path(), here.join("src"));
        assert_eq!((&manifest.root, manifest.as_path()), (&here, &*here.join("Cargo.toml")));
        assert!(matches!(ServedPath::of_path(Path::new("80a")), Err(Failure::Path(..))));
        assert!(matches!(ServedPath::of_path(Path::new("/dev/null")), Err(Failure::NotAFile(_))));
    }

    #[test]
    fn a_link_is_served_by_its_own_name() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = other.path().join("a.txt");
        fs::write(&file, "").unwrap();
        let link = one.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let served = ServedPath::of_path(&link).unwrap();
        assert_eq!(served.as_path(), link);
    }
}
