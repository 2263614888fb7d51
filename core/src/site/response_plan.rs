//! What a request for a path comes to: a page, a redirect, a file or parts of it.
//!
//! A [`ResponsePlan`] is plain data. The caller writes it down with the headers that are named here, and
//! adds nothing to what the client may know.
//!
//! ```
//! use doorstep_core::path::PathError;
//! use doorstep_core::site::{ResponsePlan, NotServed};
//!
//! let plan = ResponsePlan::ErrorPage(NotServed::Path(PathError::Nul));
//! assert_eq!(plan.status(), 400);
//! assert_eq!(NotServed::Hidden.reason(), "File not found");
//! assert_eq!(NotServed::Hidden.log_message(), Some("hidden: a name starts with a dot"));
//! ```

use super::etag::EntityTag;
use super::listing::View;
use super::media_type::MediaType;
use super::range::Selection;
use crate::http1::status;
use crate::path::PathError;

/// What to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponsePlan<'a> {
    /// An error page.
    ErrorPage(NotServed),
    /// An error whose page is the site's own: the file opened last, of this type and so many bytes.
    /// It has no validators, as it is not what was asked for.
    CustomErrorPage(NotServed, MediaType<'a>, u64),
    /// 301 with this `Location` and no body (B-140).
    Redirect(Location<'a>),
    /// 304 with the headers that [`Representation`] names, and no body (B-177).
    NotModified(Representation<'a>),
    /// 416: no range begins within the file, which has so many bytes; Content-Range says so.
    RangeNotSatisfiable(u64),
    /// 200 or 206: so much of the file opened last.
    File(Representation<'a>, &'a Selection),
    /// 200 and the listing of the directory at this path, in this view (B-147); with `Vary: Accept`.
    Listing(&'a [u8], View),
}

/// A file as it is sent: what its headers say.
///
/// A 200 or 206 carries them all, in the order in which they stand here, and `Accept-Ranges: bytes`;
/// a 304 carries `ETag`, `Cache-Control` and `Vary` (RFC 9110 §15.4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Representation<'a> {
    /// For `Content-Type`, and `Content-Encoding` if it has one.
    pub media_type: MediaType<'a>,
    /// How many bytes it has, at open: the promise of a response with all of them (B-172, B-174).
    pub size: u64,
    /// For `Last-Modified`, in seconds since 1970 and not in the future (B-183).
    pub modified: i64,
    /// For `ETag`.
    pub etag: EntityTag,
    /// For `Cache-Control`; the empty one is not sent.
    pub cache_control: &'a str,
    /// For `Vary`, which headers of the request had a say; the empty one is not sent.
    pub vary: &'static str,
}

impl ResponsePlan<'_> {
    /// The status to send.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::ErrorPage(error) | Self::CustomErrorPage(error, ..) => error.status(),
            Self::Redirect(_) => 301,
            Self::NotModified(_) => 304,
            Self::RangeNotSatisfiable(_) => 416,
            Self::File(_, Selection::One(_) | Selection::Several(_)) => 206,
            Self::File(..) | Self::Listing(..) => 200,
        }
    }
}

/// Why there is an error page. The client sees status and reason, [`NotServed::log_message`] is for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotServed {
    /// Nothing can stand at such a path: 400 for a NUL (B-091), else 404 (B-126, B-171).
    Path(PathError),
    /// A component starts with a dot: 404 (B-131).
    Hidden,
    /// Nothing is there, or it cannot be had: 404 (B-171).
    NotFound,
    /// A file, and the path says that it is a directory: 404 (B-128, B-129).
    NotADirectory,
    /// Neither a file nor a directory: 404 (B-175).
    SpecialFile,
    /// A directory that cannot be read: 404 (B-147).
    UnreadableDirectory,
    /// A directory, and this site shows none ([`super::Site::listing`]): 404.
    ListingDisabled,
    /// The file is not what the request takes it for: 412.
    PreconditionFailed,
}

impl NotServed {
    /// 400, 404 or 412.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Path(PathError::Nul) => 400,
            Self::PreconditionFailed => 412,
            _ => 404,
        }
    }

    /// The reason phrase, which says no more than a client may know.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Path(PathError::Nul) | Self::PreconditionFailed => status::reason(self.status()),
            Self::UnreadableDirectory => "No permission to list directory",
            _ => "File not found",
        }
    }

    /// What the server's own log may add, if there is anything to add.
    #[must_use]
    pub fn log_message(self) -> Option<&'static str> {
        match self {
            Self::Path(PathError::Nul) => Some("the path holds a NUL"),
            Self::Path(PathError::TooLong) => Some("the path is too long"),
            Self::Path(PathError::InvalidName) => Some("the path holds what is no name here"),
            Self::Hidden => Some("hidden: a name starts with a dot"),
            Self::NotADirectory => Some("a file, asked for as a directory"),
            Self::ListingDisabled => Some("listings are off"),
            Self::SpecialFile => Some("neither a file nor a directory"),
            Self::PreconditionFailed => None,
            Self::NotFound | Self::UnreadableDirectory => None, // the caller saw the error itself
        }
    }
}

/// Where a directory without its trailing slash is: a relative reference (B-141).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location<'a> {
    pub(super) path: &'a [u8],
    pub(super) query_and_fragment: &'a [u8],
}

impl Location<'_> {
    /// Appends the value of `Location`: the path as it came, so that nothing which was escaped
    /// comes out bare (B-143), a slash, and query and fragment unless the query is empty (B-142).
    pub fn write(&self, out: &mut Vec<u8>) {
        self.parts().into_iter().for_each(|part| out.extend_from_slice(part));
    }

    /// The value of `Location`, in parts.
    pub(super) fn parts(&self) -> [&[u8]; 3] {
        let suffix = match self.query_and_fragment {
            [b'?'] => b"",
            [b'?', fragment @ ..] if fragment.starts_with(b"#") => fragment,
            suffix => suffix,
        };
        [self.path, b"/", suffix]
    }
}
