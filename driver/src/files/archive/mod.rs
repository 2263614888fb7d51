//! A directory as one file: tar, tar.gz or zip, made while it is sent.
//!
//! An archive holds what listings show, at every level: [`walk`] goes through the tree in the order of
//! the names, [`producer`] reads the files, and [`tar`] and [`zip`] write the formats. Pieces of about
//! 64 KiB are made where waiting for the disk is allowed, and sent by the front end, so a slow client
//! holds no thread. An archive takes the same memory whatever the tree ([`MAX_MEMORY`], and
//! [`Site::max_archive_index`] for the table of contents of a zip archive).
//!
//! What cannot be read is named in the last entry of the archive ([`problems`]) and in the log. An
//! archive that cannot be continued without a lie is aborted, which the client sees: a file that has
//! become shorter than tar has announced, or a bound of [`Site`]. A file that has become longer is
//! cut at the announced size.
//!
//! [`Site`]: doorstep_core::site::Site
//! [`Site::max_archive_index`]: doorstep_core::site::Site::max_archive_index

mod job;
mod names;
mod problems;
mod producer;
mod tar;
mod walk;
mod zip;
mod zip_index;
mod zip_names;

pub(super) use job::ArchiveJob;

use std::fmt;
use std::io;

use doorstep_core::site::archive::top_directory;

use crate::net::Disconnect;
use crate::os;

/// The most memory of an archive besides the table of contents of a zip archive, in bytes: names,
/// three compressors of 400 KiB, and buffers.
pub(crate) const MAX_MEMORY: u64 = 4 << 20;

/// A directory or file in an archive.
struct Member<'a> {
    /// Its path, which begins with the name of the top directory; without a slash at the end.
    name: &'a [u8],
    /// The permission bits.
    mode: u32,
    /// When it was last modified, in seconds since 1970.
    modified: i64,
}

/// The mode of directories, and of files that any user may execute.
const EXECUTABLE: u32 = 0o755;
/// The mode of other files.
const READABLE: u32 = 0o644;

/// Why an archive is not continued.
#[derive(Debug)]
enum Abort {
    Disconnected(Disconnect),
    TooManyEntries(u64),
    TooLarge(u64),
    IndexTooLarge(usize),
    /// This file became shorter than announced, by so many bytes.
    Shrunk(String, u64),
    /// This file could not be read to its announced end.
    Unread(String, io::Error),
    /// Descriptors or memory are used up.
    Exhausted(io::Error),
    /// The archive could not be written.
    Io(io::Error),
}

impl From<io::Error> for Abort {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for Abort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected(disconnect) => disconnect.fmt(f),
            Self::TooManyEntries(max) => write!(f, "more than {max} files and directories"),
            Self::TooLarge(max) => write!(f, "the files have more than {max} bytes"),
            Self::IndexTooLarge(max) => write!(
                f,
                "the table of contents of the zip archive needs more than {max} bytes; tar has none"
            ),
            Self::Shrunk(name, missing) => {
                write!(f, "{name} became shorter while it was read, by {missing} bytes")
            }
            Self::Unread(name, error) => {
                write!(f, "{name} cannot be read: {}", os::describe_error(error))
            }
            Self::Exhausted(error) | Self::Io(error) => os::describe_error(error).fmt(f),
        }
    }
}

/// The name in an archive of `directory` of what is at `path`.
fn member_name(directory: &[u8], path: &[u8]) -> Vec<u8> {
    let below = path.get(directory.len()..).unwrap_or_default();
    let below = below.strip_prefix(b"/").unwrap_or(below);
    let separator: &[u8] = if below.is_empty() { b"" } else { b"/" };
    [top_directory(directory), separator, below].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_begin_with_that_of_the_directory() {
        for (directory, path, expected) in [
            ("", "", "files"),
            ("", "a/b", "files/a/b"),
            ("docs", "docs", "docs"),
            ("a/docs", "a/docs/b/c", "docs/b/c"),
        ] {
            let name = member_name(directory.as_bytes(), path.as_bytes());
            assert_eq!(name, expected.as_bytes());
        }
    }
}
