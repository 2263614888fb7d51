//! Why a file is not stored: a status, and a sentence for the person who sends it.

use core::fmt;

use super::name::NameError;
use crate::form_data::FormError;
use crate::http1::status::reason;
use crate::page::{error_with, escape_html};
use crate::path::{self, PathError};

/// Why an upload is refused, or has failed.
///
/// ```
/// use doorstep_core::site::upload::Refusal;
///
/// let refusal = Refusal::NoPart;
/// assert_eq!(refusal.status(), 409);
/// assert!(refusal.to_string().ends_with("send it whole."));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// A page of another site has sent it: 403.
    OtherSite,
    /// A component of the path is hidden: 403.
    Hidden,
    /// The path is in a directory of scripts: 403.
    Scripts,
    /// A component of the path is a symbolic link: 403.
    Link,
    /// The server may not write there: 403.
    NotWritable,
    /// There is no directory at the path: 404.
    NoDirectory,
    /// There is a directory of this name: 409.
    Directory,
    /// There is a device, a FIFO or a socket of this name: 409.
    Special,
    /// There is a file of this name, which may not be replaced: 409.
    Exists,
    /// There is no part of the file to be continued: 409.
    NoPart,
    /// The part of the file has this number of bytes: 409.
    OtherOffset(u64),
    /// The request has no body: 411.
    NoLength,
    /// A precondition does not hold: 412.
    Precondition,
    /// The file is larger than the file system allows: 413.
    TooLarge,
    /// The body is coded: 415.
    Coded,
    /// The Content-Range is not supported: 400.
    ContentRange,
    /// The path is not written as that of the file: 400.
    Path,
    /// The content does not have its digest: 400.
    Digest,
    /// No file can have this name: 400.
    Name(NameError),
    /// The form cannot be read: its own status.
    Form(FormError),
    /// The form has no file: 400.
    NoFile,
    /// There are too many uploads: 503.
    Busy,
    /// Descriptors or memory are used up: 503.
    Exhausted,
    /// There is not enough space: 507.
    NoSpace,
    /// The file system fails: 500.
    Failed,
}

/// Why no file can be stored at a path.
impl From<PathError> for Refusal {
    fn from(error: PathError) -> Self {
        Self::Name(match error {
            PathError::Nul => NameError::Control,
            PathError::TooLong => NameError::TooLong(path::MAX_PATH_LEN),
            PathError::InvalidName => NameError::Separator,
        })
    }
}

impl Refusal {
    /// A page with the sentence, and with a link to `back`, a relative address.
    #[must_use]
    pub fn page(self, back: &[u8]) -> Vec<u8> {
        let (mut out, mut more, status) = (Vec::new(), Vec::new(), self.status());
        push_link(&mut more, back);
        error_with(&mut out, status, reason(status).as_bytes(), &self.to_string(), &more);
        out
    }

    /// The status of the response.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::OtherSite | Self::Hidden | Self::Scripts | Self::Link | Self::NotWritable => 403,
            Self::NoDirectory => 404,
            Self::Directory | Self::Special | Self::Exists => 409,
            Self::NoPart | Self::OtherOffset(_) => 409,
            Self::NoLength => 411,
            Self::Precondition => 412,
            Self::TooLarge => 413,
            Self::Coded => 415,
            Self::ContentRange | Self::Path | Self::Digest | Self::Name(_) | Self::NoFile => 400,
            Self::Form(error) => error.status(),
            Self::Busy | Self::Exhausted => 503,
            Self::NoSpace => 507,
            Self::Failed => 500,
        }
    }

    /// A header that the response has besides those of every error: when to try again (RFC 9110 §10.2.3),
    /// or that only content without a coding is accepted (§12.5.3).
    #[must_use]
    pub fn header(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Busy | Self::Exhausted => Some(("Retry-After", "1")),
            Self::Coded => Some(("Accept-Encoding", "identity")),
            _ => None,
        }
    }

    /// Whether further files of a form would be refused for the same reason.
    #[must_use]
    pub fn ends_form(self) -> bool {
        matches!(self, Self::Form(_) | Self::NoSpace | Self::Failed | Self::Exhausted)
    }
}

/// Appends a link back to the listing.
pub(super) fn push_link(out: &mut Vec<u8>, back: &[u8]) {
    out.extend_from_slice(b"<p><a href=\"");
    escape_html(out, back);
    out.extend_from_slice(b"\">Back to the listing</a></p>\n");
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherSite => "A page of another site has sent this. Use the form of this server.",
            Self::Hidden => "A name begins with a dot: hidden files cannot be uploaded.",
            Self::Scripts => "Nothing can be uploaded to a directory of scripts.",
            Self::Link => "Part of the path is a symbolic link, and uploads do not follow links.",
            Self::NotWritable => "The server has no permission to write here.",
            Self::NoDirectory => "There is no such directory, and uploads make none.",
            Self::Directory => "There is a directory of this name: add the name of the file.",
            Self::Special => "What has this name is not a file.",
            Self::Exists => "There is a file of this name already, and it is not replaced.",
            Self::NoPart => "There is no part of this file to be continued: send it whole.",
            Self::OtherOffset(size) => {
                return write!(f, "The part of this file has {size} bytes: continue from there.");
            }
            Self::NoLength => "The request has no body: it needs a Content-Length.",
            Self::Precondition => "The file is not in the state that the request requires.",
            Self::TooLarge => "The file is larger than the file system allows.",
            Self::Coded => "The content has a Content-Encoding: send it as it is to be stored.",
            Self::ContentRange => {
                "The Content-Range must be that of the rest of a file, up to its end, and of the body."
            }
            Self::Path => {
                "The path has an empty name, a dot segment or an encoded slash: write it as it is to be."
            }
            Self::Digest => "The content does not have the digest of the request: it was changed.",
            Self::Name(error) => return error.fmt(f),
            Self::Form(error) => return write!(f, "The form cannot be read: {error}."),
            Self::NoFile => "No file was chosen.",
            Self::Busy => "There are too many uploads at once: try again later.",
            Self::Exhausted => "The server cannot store this now: try again later.",
            Self::NoSpace => "There is not enough space to store this.",
            Self::Failed => "The server could not store this.",
        })
    }
}

impl core::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_9110_12_5_3_only_a_coded_body_is_refused_for_its_coding() {
        for (refusal, status, header) in [
            (Refusal::Coded, 415, Some(("Accept-Encoding", "identity"))),
            (Refusal::Form(FormError::NotAForm), 415, None),
            (Refusal::Busy, 503, Some(("Retry-After", "1"))),
            (Refusal::Exhausted, 503, Some(("Retry-After", "1"))),
            (Refusal::NoSpace, 507, None),
            (Refusal::Exists, 409, None),
        ] {
            assert_eq!((refusal.status(), refusal.header()), (status, header), "{refusal}");
        }
    }
}
