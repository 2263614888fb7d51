//! A single file that is served alone: at the path `/` and its name.
//!
//! Its directory is the root, and every path but its own is refused before anything is opened. So the
//! file can be replaced by renaming another one over it, and nothing else in the directory can be
//! reached. With [`Site::precompressed`], `name.gz` and the like are sent in place of it.

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use doorstep_core::path::{self, Ending};
use doorstep_core::site::{Choice, NotServed, Site};

use super::respond::send_error_page;
use crate::exchange::ExchangeState;
use crate::os::{Opened, Root, Symlinks};

/// The name of the file.
#[derive(Debug, Clone)]
pub(super) struct SingleFile {
    name: Box<[u8]>,
    /// The path of its URL.
    location: String,
}

impl SingleFile {
    /// The file at `path`, and its directory.
    pub(super) fn find(path: &Path) -> io::Result<(Root, Self)> {
        // A link to a directory, and a name with a slash at its end, are not this file.
        let (Some(name), false) = (path.file_name(), ends_in_slash(path)) else {
            return Err(not_a_file());
        };
        let directory = match path.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => directory,
            _ => Path::new("."),
        };
        let root = Root::new(directory, Symlinks::Follow)?;
        let name = name.as_bytes();
        match root.open(name) {
            Opened::File(..) => {}
            Opened::NotFound => return Err(ErrorKind::NotFound.into()),
            Opened::Directory(_) | Opened::Special => return Err(not_a_file()),
            Opened::Denied(error) | Opened::Exhausted(error) | Opened::Failed(error) => {
                return Err(error);
            }
        }
        let mut location = b"/".to_vec();
        path::encode(&mut location, name);
        let location = String::from_utf8_lossy(&location).into_owned(); // it is ASCII
        Ok((root, Self { name: name.into(), location }))
    }

    /// The path of its URL, percent-encoded.
    pub(super) fn location(&self) -> &str {
        &self.location
    }

    /// Takes out of the settings what would send other files.
    pub(super) fn restrict(site: &mut Site) {
        site.hidden = true;
        site.listing = false;
        site.index.clear();
        (site.spa, site.not_found_page) = (None, None);
    }

    /// Responds to a request for another path: `/` redirects to the file, and everything else is 404.
    /// Returns true if the request is for the file, and is not responded to.
    #[inline(never)] // its variables would be on the stack of every thread that serves a file
    pub(super) fn respond_elsewhere(&self, exchange: &mut ExchangeState<'_>) -> io::Result<bool> {
        let mut clean = Vec::with_capacity(self.name.len());
        match path::normalize(exchange.head().path(), &mut clean) {
            Ok(Ending::Name) if *clean == *self.name => return Ok(true),
            Ok(_) if clean.is_empty() => {
                let head = exchange.head();
                let location =
                    [head.prefix(), self.location.as_bytes(), head.query_and_fragment()].concat();
                exchange.respond(302).header("Location", location).body("")?;
            }
            Ok(_) => send_error_page(exchange, NotServed::NotFound, Choice::None)?,
            Err(error) => send_error_page(exchange, NotServed::Path(error), Choice::None)?,
        }
        Ok(false)
    }
}

fn ends_in_slash(path: &Path) -> bool {
    let name: &OsStr = path.as_ref();
    name.as_bytes().ends_with(b"/") || name.as_bytes().ends_with(b"/.")
}

fn not_a_file() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, "not a regular file")
}
