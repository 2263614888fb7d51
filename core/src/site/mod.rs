//! From a path to an answer: which file, which status, which fields. No I/O.
//!
//! [`Lookup`] asks and the caller answers: *open this*, *list that*; then it says what to send.
//! Behind it stand plain functions that can be used alone: [`conditional::check`] for the client's
//! copy, [`range::select`] for parts of a file, [`encoding::preferred`] for compressed ones,
//! [`media_type::Types::guess`] for `Content-Type`, [`listing::Rows`] for a directory. What a site
//! is like is [`Site`], plain data.
//!
//! ```
//! use doorstep_core::site::Site;
//!
//! let site = Site { index: vec!["start.html".into()], ..Site::default() };
//! assert!(site.lists(b"", b"notes.txt"));
//! assert!(!site.lists(b"", b".git"));
//! ```

mod answer;
pub mod conditional;
pub mod digest;
pub mod encoding;
pub mod etag;
pub mod glob;
pub mod listing;
mod lookup;
mod media_table;
pub mod media_type;
pub mod multipart;
pub mod origins;
pub mod range;

pub use answer::{Answer, Denial, Location, Representation};
pub use lookup::{Found, Lookup, Need, Stat};

use std::time::Duration;

use crate::path;

/// How one directory tree is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Names of the files that stand for their directory; the first that is there wins (B-145).
    pub index: Vec<String>,
    /// Whether a directory without an index page is listed. One that is not is 404 to all.
    pub listing: bool,
    /// The file, a clean path from the root, that is sent with 200 where nothing is, to those who
    /// navigate: GET or HEAD, `Accept` names `text/html`, and the last name of the path has no
    /// extension. For applications of one page, which make out the path themselves.
    pub spa: Option<String>,
    /// The file, a clean path from the root, that is the page of a 404 to those who accept
    /// `text/html`, if it is there. The status stays.
    pub not_found: Option<String>,
    /// Whether names with a leading dot are served and listed (B-131).
    pub hidden: bool,
    /// Media types by extension (B-200 to B-209).
    pub types: media_type::Types,
    /// The `Cache-Control` of files (B-182); the empty one is not sent. By default they may be kept,
    /// and are asked about at each use.
    pub cache_control: String,
    /// Patterns ([`glob`]) of files whose names change with their content: they may be kept for a
    /// year, and are not asked about again ([`Site::FOR_EVER`]).
    pub immutable: Vec<String>,
    /// Whether `name.br`, `name.zst` and `name.gz` are sent in place of `name` to who can read them.
    /// Off by default: a `name.gz` may be another thing than `name`, and each one that is looked for
    /// and is not there costs a system call.
    pub precompressed: bool,
    /// Whether a preflight is answered with [`origins::PREFLIGHT`]. [`origins::CORS`] goes into every
    /// answer, and is the server's to send.
    pub cors: bool,
    /// Directories, as clean paths from the root, that are not listed because another handler
    /// answers for what is below them: those of scripts. In their parents' listings they would be
    /// links to an error.
    pub elsewhere: Vec<Vec<u8>>,
    /// How many entries a listing shows: the first ones in its order. The memory that a listing
    /// takes is bounded by it, at about 250 bytes an entry.
    pub listing_limit: usize,
    /// The most ranges of a request that are read; a request for more gets the whole file, with
    /// 200. The memory of such a response is bounded by it, at about 250 bytes a range.
    pub range_limit: usize,
    /// How much longer than the file a response with several ranges may be, in bytes, for what
    /// stands between its parts. If it were longer still, the whole file is sent, with 200.
    pub range_overhead: u64,
    /// How many listings of more than [`Site::LARGE_LISTING`] entries are made and sent at once, a
    /// number, at least one. One more waits for its turn.
    pub large_listings: usize,
    /// How long a large listing waits for its turn; then 503 with `Retry-After`.
    pub listing_wait: Duration,
    /// How long a listing or a digest goes on for a client that will send nothing more: it may wait
    /// for it, or have gone. One that has certainly gone is not waited for.
    pub listing_patience: Duration,
}

impl Site {
    /// The `Cache-Control` of what never changes (RFC 8246).
    pub const FOR_EVER: &str = "max-age=31536000, immutable";

    /// Up to so many entries a listing takes no more memory than any connection may, a number.
    pub const LARGE_LISTING: usize = 1_000;

    /// The `Cache-Control` of the file at `path`, a clean one.
    #[must_use]
    pub fn cache(&self, path: &[u8]) -> &str {
        match self.immutable.iter().any(|pattern| glob::matches(pattern.as_bytes(), path)) {
            true => Self::FOR_EVER,
            false => &self.cache_control,
        }
    }

    /// Whether the listing of `directory`, a clean path, may show the entry `name` (B-131): whether
    /// [`Lookup`] would ask what is there.
    #[must_use]
    pub fn lists(&self, directory: &[u8], name: &[u8]) -> bool {
        let separator = usize::from(!directory.is_empty());
        directory.len() + separator + name.len() <= path::LONGEST
            && (self.hidden
                || !name.starts_with(b".")
                || (directory.is_empty() && !path::hidden(name)))
    }

    /// Whether a listing shows the directory at `path`, a clean one: whether [`Lookup`] would have
    /// more to say of it than that it cannot be had. It has an index page that can be had, or none
    /// and can be read.
    ///
    /// # Errors
    /// Those of `open`, which says what is at the index page of this name, and of `can_be_read`.
    pub fn lists_directory<E>(
        &self,
        path: &[u8],
        mut open: impl FnMut(&str) -> Result<Found, E>,
        can_be_read: impl FnOnce() -> Result<bool, E>,
    ) -> Result<bool, E> {
        if self.elsewhere.iter().any(|directory| directory == path) {
            return Ok(false);
        }
        for name in &self.index {
            match open(name)? {
                Found::File(_) => return Ok(true),
                Found::Refused => return Ok(false),
                Found::Nothing | Found::Directory(_) | Found::Other => {}
            }
        }
        Ok(self.listing && can_be_read()?)
    }
}

impl Default for Site {
    fn default() -> Self {
        Self {
            index: vec!["index.html".into(), "index.htm".into()],
            listing: true,
            spa: None,
            not_found: Some("404.html".into()),
            hidden: false,
            types: media_type::Types::default(),
            cache_control: "no-cache".into(),
            immutable: Vec::new(),
            precompressed: false,
            cors: false,
            elsewhere: Vec::new(),
            listing_limit: 100_000,
            range_limit: 512,
            range_overhead: 64 << 10,
            large_listings: 8,
            listing_wait: Duration::from_secs(60),
            listing_patience: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
#[path = "listed_tests.rs"]
mod tests;
