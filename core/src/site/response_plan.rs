//! The plan of a response about files: an error page, a redirect, a file or parts of it.
//!
//! A [`ResponsePlan`] is plain data. The headers of each plan are in `response_head.rs`.
//!
//! ```
//! use doorstep_core::path::PathError;
//! use doorstep_core::site::{Choice, NotServed, ResponsePlan};
//!
//! let plan = ResponsePlan::ErrorPage(NotServed::Path(PathError::Nul), Choice::None);
//! assert_eq!(plan.status(), 400);
//! assert_eq!(NotServed::Hidden.reason(), "File not found");
//! assert_eq!(NotServed::Hidden.log_message(), Some("hidden: a name starts with a dot"));
//! ```

use super::archive::ArchiveFormat;
use super::etag::EntityTag;
use super::listing::View;
use super::media_type::MediaType;
use super::precompressed::Coding;
use super::range::Selection;
use super::{Site, Stat};
use crate::http1::status;
use crate::path::{self, PathError};

/// The response to send.
///
/// ```
/// use doorstep_core::site::range::{ByteRange, Selection};
/// use doorstep_core::site::{ResponsePlan, ResponseBody};
///
/// let plan = ResponsePlan::RangeNotSatisfiable(10);
/// assert_eq!((plan.status(), plan.body()), (416, ResponseBody::ErrorPage));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponsePlan<'a> {
    /// An error page, and how it was chosen.
    ErrorPage(NotServed, Choice),
    /// An error with a page of the site: the file that was opened last, of this type and size in
    /// bytes; with `Vary: Accept`. It has no validators, because it is not the requested file.
    CustomErrorPage(NotServed, MediaType<'a>, u64),
    /// 301 with this `Location` and no body (B-140).
    Redirect(Location<'a>),
    /// 304 with the headers that [`Representation`] names, and no body (B-177).
    NotModified(Representation<'a>),
    /// 416: no range begins within the file, which has this size in bytes. Content-Range contains
    /// it.
    RangeNotSatisfiable(u64),
    /// 200 or 206: this part of the file that was opened last.
    File(Representation<'a>, &'a Selection),
    /// 200 and the listing of the directory at this path, in this view (B-147); with `Vary: Accept`.
    Listing(&'a [u8], View),
    /// 200 and an archive of the directory at this path, whose length is not known.
    Archive(&'a [u8], ArchiveFormat),
}

/// A file as it is sent: the values of its headers.
///
/// A 200 or 206 has all of them, in this order, and `Accept-Ranges: bytes`. A 304 has `ETag`,
/// `Cache-Control` and `Vary` (RFC 9110 §15.4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Representation<'a> {
    /// For `Content-Type`, and `Content-Encoding` if it has one.
    pub media_type: MediaType<'a>,
    /// The size in bytes at the time of opening, which a response with the whole file promises
    /// (B-172, B-174).
    pub size: u64,
    /// For `Last-Modified`, in seconds since 1970 and not in the future (B-183).
    pub modified: i64,
    /// For `ETag`.
    pub etag: EntityTag,
    /// For `Cache-Control`. Not sent if it is empty.
    pub cache_control: &'a str,
    /// For `Vary`: the request headers that the response depends on. Not sent if it is empty.
    pub vary: &'static str,
}

impl<'a> Representation<'a> {
    /// A representation without `Cache-Control` and `Vary`. `size` is in bytes, `modified` in
    /// seconds since 1970.
    #[must_use]
    pub fn new(media_type: MediaType<'a>, size: u64, modified: i64, etag: EntityTag) -> Self {
        Self { media_type, size, modified, etag, cache_control: "", vary: "" }
    }

    /// The file at `path` that `stat` is of, as `variant` says. `now` is in seconds since 1970.
    pub(super) fn of_file(
        site: &'a Site,
        path: &[u8],
        stat: &Stat,
        variant: Variant,
        now: i64,
    ) -> Self {
        // For a precompressed file, the name that was requested.
        let suffix = variant.coding.map_or(0, |coding| coding.suffix().len());
        let name = &path[..path.len().saturating_sub(suffix)];
        let mut media_type = site.media_types.guess(name);
        let negotiated = site.precompressed && media_type.encoding.is_none();
        let vary = match (variant.is_spa_fallback, negotiated) {
            (false, false) => "",
            (false, true) => "Accept-Encoding",
            (true, false) => "Accept",
            (true, true) => "Accept, Accept-Encoding",
        };
        media_type.encoding = variant.coding.map(Coding::name).or(media_type.encoding);
        Self {
            media_type,
            size: stat.size,
            modified: stat.modified.min(now),
            etag: EntityTag::from_stat(stat, now),
            cache_control: site.cache_control_for(name),
            vary,
        }
    }
}

/// What a file is sent as. With the site, the path and the metadata of the file, it determines the
/// [`Representation`], except for a file that was changed within the last seconds.
///
/// [`Resolver::variant_of`](super::Resolver::variant_of) returns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Variant {
    /// That of a precompressed file, which is sent in place of the file without its suffix.
    pub(super) coding: Option<Coding>,
    /// Whether it is the page of the single-page application, in place of a path that does not
    /// exist.
    pub(super) is_spa_fallback: bool,
}

/// How an error page was chosen instead of a page of the site ([`Site::spa`], [`Site::not_found_page`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// There was no choice.
    None,
    /// By `Accept`: the response has `Vary: Accept` (RFC 9110 §12.5.5).
    ByAccept,
}

impl ResponsePlan<'_> {
    /// The status to send.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::ErrorPage(error, _) | Self::CustomErrorPage(error, ..) => error.status(),
            Self::Redirect(_) => 301,
            Self::NotModified(_) => 304,
            Self::RangeNotSatisfiable(_) => 416,
            Self::File(_, Selection::One(_) | Selection::Several(_)) => 206,
            Self::File(..) | Self::Listing(..) | Self::Archive(..) => 200,
        }
    }

    /// Whether the body includes the last byte of the requested file; `None` if it has none of it.
    #[must_use]
    pub fn reaches_end(&self) -> Option<bool> {
        let Self::File(file, selection) = self else { return None };
        Some(match selection {
            Selection::Whole | Selection::Unsatisfiable => true,
            Selection::One(range) => range.reaches_end(file.size),
            Selection::Several(ranges) => ranges.iter().any(|range| range.reaches_end(file.size)),
        })
    }
}

/// The reason for an error page. The client sees status and reason phrase;
/// [`NotServed::log_message`] is for the log.
///
/// ```
/// use doorstep_core::site::NotServed;
///
/// let (hidden, missing) = (NotServed::Hidden, NotServed::NotFound);
/// assert_eq!((hidden.status(), hidden.reason()), (missing.status(), missing.reason()));
/// assert_ne!(hidden.log_message(), missing.log_message());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotServed {
    /// No file can have such a path: 400 for a NUL (B-091), otherwise 404 (B-126, B-171).
    Path(PathError),
    /// A component starts with a dot: 404 (B-131).
    Hidden,
    /// There is nothing, or nothing accessible: 404 (B-171).
    NotFound,
    /// A file whose path ends like that of a directory: 404 (B-128, B-129).
    NotADirectory,
    /// Neither a file nor a directory: 404 (B-175).
    SpecialFile,
    /// A directory that cannot be read: 404 (B-147).
    UnreadableDirectory,
    /// A directory, and listings are disabled ([`super::Site::listing`]): 404.
    ListingDisabled,
    /// A precondition of the request does not hold: 412.
    PreconditionFailed,
    /// An archive in a format that there is not ([`super::archive`]): 400.
    UnknownArchive,
}

impl NotServed {
    /// 400, 404 or 412.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Path(PathError::Nul) | Self::UnknownArchive => 400,
            Self::PreconditionFailed => 412,
            _ => 404,
        }
    }

    /// The reason phrase. It reveals no more than the client may know.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Path(PathError::Nul) | Self::PreconditionFailed | Self::UnknownArchive => {
                status::reason(self.status())
            }
            Self::UnreadableDirectory => "No permission to list directory",
            _ => "File not found",
        }
    }

    /// A sentence for the error page; empty for that of the status.
    #[must_use]
    pub fn explanation(self) -> &'static str {
        match self {
            Self::UnknownArchive => {
                "A directory can be fetched as ?archive=zip, ?archive=tar.gz or ?archive=tar."
            }
            _ => "",
        }
    }

    /// A message for the server's log, if there is one.
    #[must_use]
    pub fn log_message(self) -> Option<&'static str> {
        match self {
            Self::Path(PathError::Nul) => Some("the path holds a NUL"),
            Self::Path(PathError::TooLong) => Some("the path is too long"),
            Self::Path(PathError::InvalidName) => {
                Some("a component of the path is not a file name here")
            }
            Self::Hidden => Some("hidden: a name starts with a dot"),
            Self::NotADirectory => Some("a file, asked for as a directory"),
            Self::ListingDisabled => Some("listings are off"),
            Self::SpecialFile => Some("neither a file nor a directory"),
            Self::UnknownArchive => Some("there are no archives in the format of the query"),
            Self::PreconditionFailed => None,
            Self::NotFound | Self::UnreadableDirectory => None, // the caller has the error
        }
    }
}

/// The location of a directory that was requested without its trailing slash: a relative reference
/// (B-141).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location<'a> {
    /// [`Head::prefix`](crate::http1::Head::prefix).
    pub(super) prefix: &'a [u8],
    pub(super) path: &'a [u8],
    pub(super) query_and_fragment: &'a [u8],
}

impl Location<'_> {
    /// Appends the value of `Location`: the path as received, so that percent-escapes are kept
    /// (B-143), but for backslashes ([`path::encode_backslashes`]); a slash; and query and fragment
    /// unless the query is empty (B-142).
    pub fn write(&self, out: &mut Vec<u8>) {
        let suffix = match self.query_and_fragment {
            [b'?'] => b"",
            [b'?', fragment @ ..] if fragment.starts_with(b"#") => fragment,
            suffix => suffix,
        };
        path::encode_backslashes(out, self.prefix);
        path::encode_backslashes(out, self.path);
        out.push(b'/');
        out.extend_from_slice(suffix);
    }
}
