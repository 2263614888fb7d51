//! Static files: from a path to a response, without I/O.
//!
//! [`Resolver`] asks and the caller does the I/O: *open this*, *list that*. The result is a
//! [`ResponsePlan`], whose headers [`ResponsePlan::fold_headers`] lists. The parts can be used
//! alone: [`preconditions::evaluate`] for conditional requests, [`range::select`] for range
//! requests, [`precompressed::preferred_codings`] for precompressed files,
//! [`media_type::MediaTypes::guess`] for `Content-Type`, [`listing::Rows`] for directory listings.
//! [`Site`] holds the settings of one directory tree.
//!
//! ```
//! use doorstep_core::site::Site;
//!
//! let mut site = Site::default();
//! site.index = vec!["start.html".into()];
//! assert!(site.lists_entry(b"", b"notes.txt"));
//! assert!(!site.lists_entry(b"", b".git"));
//! ```

pub mod accept;
pub mod archive;
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
mod prepared;
pub mod range;
mod resolve;
mod response_head;
mod response_plan;
pub mod upload;

pub use prepared::{PreparedFile, PreparedResponse};
pub use resolve::{Action, Found, Resolver, Stat};
pub use response_head::{DigestHeaders, MethodPlan, ResponseBody, ResponseHeader};
pub use response_plan::{Choice, Location, NotServed, Representation, ResponsePlan, Variant};

use std::time::Duration;

use crate::http1::{Head, KnownHeader};
use crate::path;

/// How one directory tree is served.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Site {
    /// Names of index pages; the first one that exists is sent for its directory (B-145). Default:
    /// `index.html`, `index.htm`.
    pub index: Vec<String>,
    /// Whether a directory without an index page is listed; otherwise it is a 404. Default: true.
    pub listing: bool,
    /// Whether the text of a `README.md`, `README.txt` or `README` in any letter case is shown below
    /// the entries of a listing, as escaped text ([`listing::Readme`]). Default: false.
    pub readme: bool,
    /// Single-page application: the file, a clean path from the root, that is sent with 200 if
    /// nothing exists at the requested path. Only to GET and HEAD requests whose `Accept` names
    /// `text/html` with a weight above 0, and for paths whose last component has no extension.
    /// Default: none.
    pub spa: Option<String>,
    /// The file, a clean path from the root, that is the page of a 404, if it exists. Only for
    /// requests whose `Accept` names `text/html` with a weight above 0. Default: `404.html`.
    pub not_found_page: Option<String>,
    /// Whether names with a leading dot are served and listed (B-131). Default: false.
    pub hidden: bool,
    /// Media types by extension (B-200 to B-209). Default: the built-in table, with `charset=utf-8`
    /// for text and `application/octet-stream` for unknown extensions.
    pub media_types: media_type::MediaTypes,
    /// The `Cache-Control` of files (B-182). It is not sent if it is empty. Default: `no-cache`,
    /// which lets clients store files and makes them revalidate before each use.
    pub cache_control: String,
    /// Patterns ([`glob`]) of files whose names change with their content: clients may store them
    /// for a year without revalidating ([`Site::IMMUTABLE_CACHE_CONTROL`]). Default: none.
    pub immutable: Vec<String>,
    /// Whether `name.br`, `name.zst` and `name.gz` are sent for `name` to clients that accept the
    /// coding. Default: false, because `name.gz` may have other contents than `name`, and because
    /// looking for a file that does not exist costs a system call.
    pub precompressed: bool,
    /// Whether CORS preflight requests get [`cors::PREFLIGHT_HEADERS`]. The server adds
    /// [`cors::CORS_HEADERS`] to every response. Default: false.
    pub cors: bool,
    /// Directories, as clean paths from the root, that are not listed because another handler
    /// serves what is below them, such as scripts: their links would lead to errors. Default: none.
    pub unlisted_directories: Vec<Vec<u8>>,
    /// Whether a directory that is listed can be fetched as one file, `?archive=tar`, `tar.gz` or `zip`
    /// ([`archive`]). Its page offers that. Default: false, because an archive of a large tree costs
    /// its server much work.
    ///
    /// In `doorstep-driver` and the front ends, this has an effect only with their cargo feature
    /// `archive`, which is off by default. Without it the field is set to false when the settings are
    /// given to `Files`: the listing offers nothing, and the query is ignored.
    pub archive: bool,
    /// Maximum number of archives that are made and sent at once; at least one. Others wait, for
    /// [`Site::listing_queue_timeout`]. Default: 8.
    pub max_archives: usize,
    /// Maximum number of files and directories in an archive; beyond it, the response is aborted. It
    /// bounds the work that one request causes. Default: 1,000,000.
    pub max_archive_entries: u64,
    /// Maximum size of all files in an archive together, in bytes, before compression; beyond it, the
    /// response is aborted. Default: none.
    pub max_archive_size: Option<u64>,
    /// Maximum memory for the table of contents of a zip archive, in bytes; beyond it, the response is
    /// aborted. An entry takes about 20 bytes. A tar archive has no such table. Default: 16 MiB.
    pub max_archive_index: usize,
    /// Maximum number of directories below each other in an archive; what is deeper is left out, and
    /// named in the archive. Default: 100.
    pub max_archive_depth: usize,
    /// Maximum number of entries in a listing: the first ones in its order. It bounds the memory
    /// for a listing, at about 250 bytes per entry. Default: 100,000.
    pub max_listing_entries: usize,
    /// Maximum size of the text of a README below a listing, in bytes; the rest is not shown. Default:
    /// 64 KiB.
    pub max_readme_size: usize,
    /// Maximum number of ranges in a request; a request for more gets the whole file, with 200. It
    /// bounds the memory for such a response, at about 250 bytes per range. Default: 512.
    pub max_ranges: usize,
    /// By how many bytes a response with several ranges may exceed the file, for what separates its
    /// parts; otherwise the whole file is sent, with 200. Default: 64 KiB.
    pub max_multipart_overhead: u64,
    /// Maximum number of listings with more than [`Site::LARGE_LISTING_ENTRIES`] entries that are
    /// made and sent at once; at least one. Others wait. Default: 8.
    pub max_large_listings: usize,
    /// How long a large listing, or an archive, waits; then 503 with `Retry-After`. Default: 60 s.
    pub listing_queue_timeout: Duration,
    /// How long a listing or a digest continues after the client half-closed its connection: it may
    /// still wait for the response, or have left. It stops at once for a client that has certainly
    /// disconnected. Default: 5 s.
    pub half_close_timeout: Duration,
}

impl Site {
    /// The `Cache-Control` of files that never change (RFC 8246): one year, in seconds.
    pub const IMMUTABLE_CACHE_CONTROL: &str = "max-age=31536000, immutable";

    /// Up to this number of entries, a listing takes no more memory than any connection may.
    pub const LARGE_LISTING_ENTRIES: usize = 1_000;

    /// The `Cache-Control` of the file at the clean path `path`.
    #[must_use]
    pub fn cache_control_for(&self, path: &[u8]) -> &str {
        match self.immutable.iter().any(|pattern| glob::matches(pattern.as_bytes(), path)) {
            true => Self::IMMUTABLE_CACHE_CONTROL,
            false => &self.cache_control,
        }
    }

    /// Whether a precompressed file may be sent in place of the one that this request is for.
    pub(crate) fn negotiates_coding(&self, head: &Head<'_>) -> bool {
        self.precompressed && head.has_any(&[KnownHeader::AcceptEncoding])
    }

    /// Whether the listing of the clean path `directory` may show the entry `name` (B-131): only if
    /// [`Resolver`] would look for it.
    #[must_use]
    pub fn lists_entry(&self, directory: &[u8], name: &[u8]) -> bool {
        let separator = usize::from(!directory.is_empty());
        directory.len() + separator + name.len() <= path::MAX_PATH_LEN
            && (self.hidden
                || !name.starts_with(b".")
                || (directory.is_empty() && !path::is_hidden(name)))
    }

    /// Whether a listing shows the directory at the clean path `path`: only if [`Resolver`] would
    /// find something to send. Either it has an accessible index page, or it has none and can be
    /// read.
    ///
    /// # Errors
    /// Returns the errors of `open`, which looks up the index page of this name, and of
    /// `can_be_read`.
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
            readme: false,
            spa: None,
            not_found_page: Some("404.html".into()),
            hidden: false,
            media_types: media_type::MediaTypes::default(),
            cache_control: "no-cache".into(),
            immutable: Vec::new(),
            precompressed: false,
            cors: false,
            unlisted_directories: Vec::new(),
            archive: false,
            max_archives: 8,
            max_archive_entries: 1_000_000,
            max_archive_size: None,
            max_archive_index: 16 << 20,
            max_archive_depth: 100,
            max_listing_entries: 100_000,
            max_readme_size: 64 << 10,
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
