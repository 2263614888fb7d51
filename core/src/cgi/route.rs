//! The route from a path to a script: which part of the path is the script, and which is its
//! PATH_INFO.
//!
//! A [`Route`] asks what is at its current [`path`](Route::path). While the caller [`found`]
//! directories, the route continues with the next component; the first file is the [`Script`], and
//! the rest is its PATH_INFO (B-228, B-230). Nothing else of the file system is looked at.
//!
//! The same normalized path, that of [`crate::path`], decides whether the request is for CGI, is
//! looked up, and names the script: no spelling of a path passes the check and reaches the source
//! of a script (B-255). Everything below a script directory is a script or a [`RouteError`], never
//! a file. A path that leads above the root is refused (B-225). Symbolic links must be checked when
//! the file is opened.
//!
//! [`found`]: Route::found
//!
//! ```
//! use doorstep_core::cgi::route::{ScriptDirectories, Found, Route};
//!
//! let directories = ScriptDirectories::default();
//! let Ok(Some(mut route)) = Route::new(&directories, false, b"/cgi-bin/tools/wiki/Home%20Page")
//! else { panic!() };
//! let script = loop {
//!     let found = match route.path() {
//!         b"cgi-bin/tools" => Found::Directory,
//!         b"cgi-bin/tools/wiki" => Found::File { executable: true },
//!         _ => Found::Nothing,
//!     };
//!     if let Some(script) = route.found(found)? {
//!         break script;
//!     }
//! };
//! assert_eq!(script.name(), b"/cgi-bin/tools/wiki");
//! assert_eq!(script.path_info(), b"/Home Page");
//!
//! assert_eq!(Route::new(&directories, false, b"/index.html"), Ok(None));
//! # Ok::<(), doorstep_core::cgi::route::RouteError>(())
//! ```

use alloc::vec;
use alloc::vec::Vec;

use crate::http1::{quote, status};
use crate::path::{self, Ending, PathError};

/// The directories of scripts, relative to the root. Default: `cgi-bin` and `htbin` (B-221).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptDirectories(Vec<Vec<u8>>);

impl ScriptDirectories {
    /// Takes the directories as URL paths, with or without slashes at either end. `/` makes every
    /// file a script.
    ///
    /// # Errors
    /// Returns an error if no directory can have one of these paths.
    pub fn new<P: AsRef<[u8]>>(paths: impl IntoIterator<Item = P>) -> Result<Self, PathError> {
        let clean = |path: P| {
            let mut clean = Vec::new();
            path::normalize(path.as_ref(), &mut clean).map(|_| clean)
        };
        paths.into_iter().map(clean).collect::<Result<_, _>>().map(Self)
    }

    /// The directories as clean paths: relative to the root, which is the empty path.
    pub fn paths(&self) -> impl Iterator<Item = Vec<u8>> {
        self.0.iter().cloned()
    }
}

impl Default for ScriptDirectories {
    fn default() -> Self {
        Self(vec![b"cgi-bin".to_vec(), b"htbin".to_vec()])
    }
}

/// What the caller found at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing, or nothing accessible; the caller logs the reason.
    Nothing,
    /// A regular file.
    File {
        /// Whether the user that runs scripts may execute it.
        executable: bool,
    },
    /// A directory.
    Directory,
    /// A device, a FIFO or a socket.
    Other,
}

/// The search for the script of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// `/`, the clean path, and a `/` if it names a directory.
    path: Vec<u8>,
    /// The end of the current component in `path`.
    end: usize,
    hidden: bool,
}

impl Route {
    /// Begins with the path of a request ([`crate::http1::Head::path`], undecoded). `None` if it is
    /// not below one of the directories: `/cgi-bin/` is, `/cgi-bin` is not (B-227). `hidden` allows
    /// names with a leading dot, for the script and for directories on the way to it.
    ///
    /// # Errors
    /// Returns an error if no script can have this path.
    pub fn new(
        directories: &ScriptDirectories,
        hidden: bool,
        path: &[u8],
    ) -> Result<Option<Self>, RouteError> {
        if !path.starts_with(b"/") {
            return Ok(None); // `*`, or an authority
        }
        let path = normalize(path)?;
        let below = |directory: &Vec<u8>| is_below(directory, &path, CASE_INSENSITIVE);
        // The first one on the way down is the shortest.
        let Some(directory) = directories.0.iter().filter(|&d| below(d)).min_by_key(|d| d.len())
        else {
            return Ok(None);
        };
        let end = if directory.is_empty() { 0 } else { 1 + directory.len() };
        let mut route = Self { path, end, hidden };
        route.descend()?;
        Ok(Some(route))
    }

    /// The path to look at: relative to the root, clean, never empty.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        &self.path[1..self.end]
    }

    /// Takes what is at [`Self::path`]. `None` means that there is a next path to look at.
    ///
    /// # Errors
    /// Returns an error if the path does not lead to a script.
    pub fn found(&mut self, found: Found) -> Result<Option<Script>, RouteError> {
        let name = || self.path[..self.end].to_vec();
        match found {
            Found::Nothing => Err(RouteError::NotFound(name())),
            Found::Other => Err(RouteError::NotRegularFile(name())),
            Found::File { executable: false } => Err(RouteError::NotExecutable(name())),
            Found::File { executable: true } => {
                Ok(Some(Script { path: self.path.clone(), end: self.end }))
            }
            Found::Directory => self.descend().map(|()| None),
        }
    }

    /// Continues with the next component.
    fn descend(&mut self) -> Result<(), RouteError> {
        let next = match self.path.get(self.end + 1..) {
            Some(rest) if !rest.is_empty() => rest.split(|&b| b == b'/').next().unwrap_or_default(),
            _ => return Err(RouteError::NotRegularFile(self.path.clone())), // B-227
        };
        let end = self.end + 1 + next.len();
        if next.starts_with(b".") && !self.hidden {
            return Err(RouteError::NotFound(self.path[..end].to_vec()));
        }
        self.end = end;
        Ok(())
    }
}

/// A script that can be run, and its PATH_INFO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    path: Vec<u8>,
    /// The end of the script in `path`.
    end: usize,
}

impl Script {
    /// The file of the script: relative to the root, clean, never empty.
    #[must_use]
    pub fn file(&self) -> &[u8] {
        &self.path[1..self.end]
    }

    /// SCRIPT_NAME, decoded: a `/` and [`Self::file`].
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.path[..self.end]
    }

    /// PATH_INFO, decoded and clean: empty, or the rest of the path, with a leading `/`.
    #[must_use]
    pub fn path_info(&self) -> &[u8] {
        &self.path[self.end..]
    }

    /// Whether the script writes a complete response, which its name `nph-…` shows (RFC 3875 §5).
    #[must_use]
    pub fn is_nph(&self) -> bool {
        let name = self.name().rsplit(|&b| b == b'/').next().unwrap_or_default();
        name.starts_with(b"nph-")
    }

    /// The script for a path, if each first component below `cgi-bin` is one.
    #[cfg(test)]
    pub(crate) fn for_path(path: &[u8]) -> Self {
        let mut route = Route::new(&ScriptDirectories::default(), false, path).unwrap().unwrap();
        route.found(Found::File { executable: true }).unwrap().unwrap()
    }
}

/// The reason why a path for CGI does not lead to a script. Names start with a `/` and are decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouteError {
    /// No file can have such a path: 400 for a NUL, otherwise 404.
    Path(PathError),
    /// The path leads above the root: 400 (B-225).
    AboveRoot,
    /// There is nothing, or its name has a leading dot: 404 (B-231).
    NotFound(Vec<u8>),
    /// A directory, or something else that cannot be run: 403 (B-227, B-231).
    NotRegularFile(Vec<u8>),
    /// A file that is not executable: 403 (B-231).
    NotExecutable(Vec<u8>),
}

impl RouteError {
    /// 400, 403 or 404.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Path(PathError::Nul) | Self::AboveRoot => 400,
            Self::Path(_) | Self::NotFound(_) => 404,
            Self::NotRegularFile(_) | Self::NotExecutable(_) => 403,
        }
    }

    /// The reason phrase, with the name quoted: control characters are escaped and a long name is
    /// truncated.
    #[must_use]
    pub fn reason(&self) -> Vec<u8> {
        let (phrase, name) = match self {
            Self::Path(PathError::Nul) | Self::AboveRoot => (status::reason(self.status()), None),
            Self::Path(_) => ("File not found", None),
            Self::NotFound(name) => ("No such CGI script", Some(name)),
            Self::NotRegularFile(name) => ("CGI script is not a plain file", Some(name)),
            Self::NotExecutable(name) => ("CGI script is not executable", Some(name)),
        };
        let mut reason = phrase.as_bytes().to_vec();
        if let Some(name) = name {
            quote(name, &mut reason);
        }
        reason
    }
}

/// Whether file names are case-insensitive here. Then script directories are, too, so that no other
/// spelling reaches the source of a script.
const CASE_INSENSITIVE: bool = cfg!(any(target_os = "macos", windows));

/// The normalized path: `/`, the clean path, and a `/` if it names a directory.
fn normalize(raw: &[u8]) -> Result<Vec<u8>, RouteError> {
    let mut path = Vec::new();
    let ending = path::normalize_strict(raw, &mut path).map_err(RouteError::Path)?;
    let ending = ending.ok_or(RouteError::AboveRoot)?;
    if ending != Ending::Name && !path.is_empty() {
        path.push(b'/');
    }
    path.insert(0, b'/');
    Ok(path)
}

/// Whether a normalized path continues after `directory`, at least with a `/`.
fn is_below(directory: &[u8], path: &[u8], fold: bool) -> bool {
    let Some((start, rest)) = path[1..].split_at_checked(directory.len()) else { return false };
    let same = if fold { start.eq_ignore_ascii_case(directory) } else { start == directory };
    same && (directory.is_empty() || rest.starts_with(b"/"))
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
