//! A file whose digests are to be computed before the response begins (RFC 9530).
//!
//! It borrows nothing from the request, so that the digests can be computed on another thread.

use doorstep_core::http1::Head;
use doorstep_core::site::digest::WantedDigests;
use doorstep_core::site::etag::EntityTag;
use doorstep_core::site::media_type::MediaType;
use doorstep_core::site::range::Selection;
use doorstep_core::site::{Representation, Stat};

use crate::files::{Content, Digest, DigestCache};

/// A file that was found, and the digests of it that the request wants.
#[derive(Debug, Clone)]
pub struct PendingDigest {
    pub(crate) content: Content,
    pub(crate) selection: Selection,
    stat: Stat,
    wanted: WantedDigests,
    essence: String,
    charset: Option<String>,
    encoding: Option<&'static str>,
    modified: i64,
    etag: EntityTag,
    cache_control: String,
    vary: &'static str,
}

/// The digests to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digests {
    /// For `Repr-Digest`.
    pub representation: Option<Digest>,
    /// For `Content-Digest`.
    pub content: Option<Digest>,
}

impl PendingDigest {
    /// `None` if no digest is to be computed: none is wanted, or the file is larger than
    /// `max_file_size`.
    pub(crate) fn new(
        head: &Head<'_>,
        representation: &Representation<'_>,
        selection: &Selection,
        (content, stat): &(Content, Stat),
        max_file_size: u64,
    ) -> Option<Self> {
        let mut wanted = WantedDigests::from_head(head);
        // The content of several ranges has none, nor has the response to HEAD.
        wanted.content &= !head.is_head() && !matches!(selection, Selection::Several(_));
        if wanted == WantedDigests::default() || stat.size > max_file_size {
            return None;
        }
        Some(Self {
            content: content.clone(),
            selection: selection.clone(),
            stat: *stat,
            wanted,
            essence: representation.media_type.essence.into(),
            charset: representation.media_type.charset.map(Into::into),
            encoding: representation.media_type.encoding,
            modified: representation.modified,
            etag: representation.etag,
            cache_control: representation.cache_control.into(),
            vary: representation.vary,
        })
    }

    /// The representation that the headers describe.
    pub(crate) fn representation(&self) -> Representation<'_> {
        let media_type = MediaType {
            essence: &self.essence,
            charset: self.charset.as_deref(),
            encoding: self.encoding,
        };
        let size = self.stat.size;
        let mut file = Representation::new(media_type, size, self.modified, self.etag);
        (file.cache_control, file.vary) = (&self.cache_control, self.vary);
        file
    }

    /// Computes the digests, or takes them from `cache`. Ends when `is_wanted` returns false.
    pub(crate) fn compute(
        &self,
        cache: &DigestCache,
        mut is_wanted: impl FnMut() -> bool,
    ) -> Digests {
        let mut whole = || cache.get_or_compute(&self.content, &self.stat, &mut is_wanted).ok();
        let representation = if self.wanted.representation { whole() } else { None };
        let content = match &self.selection {
            _ if !self.wanted.content => None,
            Selection::One(range) => Digest::of(&self.content, *range, is_wanted).ok(),
            _ => representation.or_else(whole),
        };
        Digests { representation, content }
    }
}
