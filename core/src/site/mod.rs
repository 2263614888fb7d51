//! From a path to a response: which file, which status, which headers. No I/O.
//!
//! [`Resolver`] asks and the caller answers: *open this*, *list that*; then it says what to send.
//! Behind it stand plain functions that can be used alone: [`preconditions::evaluate`] for the client's
//! copy, [`range::select`] for parts of a file, [`precompressed::preferred_codings`] for compressed ones,
//! [`media_type::MediaTypes::guess`] for `Content-Type`, [`listing::Rows`] for a directory. What a site
//! is like is [`Site`], plain data.
//!
//! ```
//! use doorstep_core::site::Site;
//!
//! let site = Site { index: vec!["start.html".into()], ..Site::default() };
//! assert!(site.lists_entry(b"", b"notes.txt"));
//! assert!(!site.lists_entry(b"", b".git"));
//! ```

pub mod accept;
mod builtin_types;
pub mod cors;
pub mod digest;
pub mod etag;
pub mod glob;
pub mod listing;
pub mod media_type;
pub mod multipart;
pub mod precompressed;
pub mod preconditions;
pub mod range;
mod resolve;
mod response_head;
mod response_plan;

pub use resolve::{Action, Found, Resolver, Stat};
pub use response_head::{DigestHeaders, MethodPlan, ResponseBody, ResponseHeader};
pub use response_plan::{Location, NotServed, Representation, ResponsePlan};

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
    pub not_found_page: Option<String>,
    /// Whether names with a leading dot are served and listed (B-131).
    pub hidden: bool,
    /// Media types by extension (B-200 to B-209).
    pub media_types: media_type::MediaTypes,
    /// The `Cache-Control` of files (B-182); the empty one is not sent. By default they may be kept,
    /// and are asked about at each use.
    pub cache_control: String,
    /// Patterns ([`glob`]) of files whose names change with their content: they may be kept for a
    /// year, and are not asked about again ([`Site::IMMUTABLE_CACHE_CONTROL`]).
    pub immutable: Vec<String>,
    /// Whether `name.br`, `name.zst` and `name.gz` are sent in place of `name` to who can read them.
    /// Off by default: a `name.gz` may be another thing than `name`, and each one that is looked for
    /// and is not there costs a system call.
    pub precompressed: bool,
    /// Whether a preflight is answered with [`cors::PREFLIGHT_HEADERS`]. [`cors::CORS_HEADERS`] goes into every
    /// answer, and is the server's to send.
    pub cors: bool,
    /// Directories, as clean paths from the root, that are not listed because another handler
    /// answers for what is below them: those of scripts. In their parents' listings they would be
    /// links to an error.
    pub unlisted_directories: Vec<Vec<u8>>,
    /// How many entries a listing shows: the first ones in its order. The memory that a listing
    /// takes is bounded by it, at about 250 bytes an entry.
    pub max_listing_entries: usize,
    /// The most ranges of a request that are read; a request for more gets the whole file, with
    /// 200. The memory of such a response is bounded by it, at about 250 bytes a range.
    pub max_ranges: usize,
    /// How much longer than the file a response with several ranges may be, in bytes, for what
    /// stands between its parts. If it were longer still, the whole file is sent, with 200.
    pub max_multipart_overhead: u64,
    /// How many listings of more than [`Site::LARGE_LISTING_ENTRIES`] entries are made and sent at once, a
    /// number, at least one. One more waits for its turn.
    pub max_large_listings: usize,
    /// How long a large listing waits for its turn; then 503 with `Retry-After`.
    pub listing_queue_timeout: Duration,
    /// How long a listing or a digest goes on for a client that will send nothing more: it may wait
    /// for it, or have gone. One that has certainly gone is not waited for.
    pub half_close_timeout: Duration,
}

impl Site {
    /// The `Cache-Control` of what never changes (RFC 8246).
    pub const IMMUTABLE_CACHE_CONTROL: &str = "max-age=31536000, immutable";

    /// Up to so many entries a listing takes no more memory than any connection may, a number.
    pub const LARGE_LISTING_ENTRIES: usize = 1_000;

    /// The `Cache-Control` of the file at `path`, a clean one.
    #[must_use]
    pub fn cache_control_for(&self, path: &[u8]) -> &str {
        match self.immutable.iter().any(|pattern| glob::matches(pattern.as_bytes(), path)) {
            true => Self::IMMUTABLE_CACHE_CONTROL,
            false => &self.cache_control,
        }
    }

    /// Whether the listing of `directory`, a clean path, may show the entry `name` (B-131): whether
    /// [`Resolver`] would ask what is there.
    #[must_use]
    pub fn lists_entry(&self, directory: &[u8], name: &[u8]) -> bool {
        let separator = usize::from(!directory.is_empty());
        directory.len() + separator + name.len() <= path::MAX_PATH_LEN
            && (self.hidden
                || !name.starts_with(b".")
                || (directory.is_empty() && !path::is_hidden(name)))
    }

    /// Whether a listing shows the directory at `path`, a clean one: whether [`Resolver`] would have
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
        if self.unlisted_directories.iter().any(|directory| directory == path) {
            return Ok(false);
        }
        for name in &self.index {
            match open(name)? {
                Found::File(_) => return Ok(true),
                Found::Inaccessible => return Ok(false),
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
            not_found_page: Some("404.html".into()),
            hidden: false,
            media_types: media_type::MediaTypes::default(),
            cache_control: "no-cache".into(),
            immutable: Vec::new(),
            precompressed: false,
            cors: false,
            unlisted_directories: Vec::new(),
            max_listing_entries: 100_000,
            max_ranges: 512,
            max_multipart_overhead: 64 << 10,
            max_large_listings: 8,
            listing_queue_timeout: Duration::from_secs(60),
            half_close_timeout: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
#[path = "listed_tests.rs"]
mod tests;
