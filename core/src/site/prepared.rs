//! Prepared responses: what is the same in every response about an unchanged file, made once.
//!
//! A [`PreparedFile`] holds the headers of a 200, which are also those of a range of the file, and
//! those of a 304, as validated blocks ([`HeaderBlock`]). It is made from the same list of headers as
//! every other response ([`ResponsePlan::fold_headers`]), so there is one definition of them. A cache
//! keeps it together with the file's content, and drops it when the file or the site changes.
//!
//! What depends on the request is decided for each request, by [`PreparedFile::respond`]:
//! preconditions and ranges. For the few requests whose response is another one, it returns `None`,
//! and [`Resolver::opened`](super::Resolver::opened) decides: several ranges, digests, 412, 416. The
//! same is true while the time counts, because the file was changed within the last seconds
//! ([`EntityTag`](super::etag::EntityTag)).
//!
//! ```
//! use doorstep_core::http1::{Connection, Event, Limits, Outbox};
//! use doorstep_core::site::{PreparedFile, PreparedResponse, Site, Stat, Variant};
//!
//! let (site, mut stat) = (Site::default(), Stat::default());
//! (stat.size, stat.modified) = (5, 1_000);
//! let file = PreparedFile::new(&site, b"a.txt", &stat, Variant::default()).expect("valid headers");
//!
//! let (mut connection, mut outbox) = (Connection::new(Limits::default()), Outbox::new(""));
//! let bytes = b"GET /a.txt HTTP/1.1\r\nHost: here\r\n\r\n";
//! let Ok((_, Event::Request(head))) = connection.advance(bytes) else { panic!() };
//! assert_eq!(file.respond(&site, &head, 1_001), None, "a change within this second may follow");
//! let response = file.respond(&site, &head, 2_000).expect("a 200");
//! assert_eq!(response, PreparedResponse::Whole);
//! let body = file.write_head(response, connection.respond(response.status(), &mut outbox))?;
//! assert_eq!(body.map(|range| range.len()), Some(5));
//! let sent = outbox.unsent();
//! assert!(sent.starts_with(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"));
//! # Ok::<(), doorstep_core::http1::Misuse>(())
//! ```

use super::digest::WantedDigests;
use super::etag::EntityTag;
use super::preconditions::{self, Evaluation, Validators};
use super::range::{self, ByteRange, Selection};
use super::response_head::{DigestHeaders, ResponseHeader};
use super::response_plan::{Representation, ResponsePlan, Variant};
use super::{Site, Stat};
use crate::http1::{Head, HeaderBlock, KnownHeader, Misuse, Response};

/// The headers of the responses about one state of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedFile {
    variant: Variant,
    current: Validators,
    size: u64,
    /// Until then, in seconds since 1970, the headers depend on the time.
    young_until: i64,
    whole: HeaderBlock,
    not_modified: HeaderBlock,
}

/// A response whose headers are prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreparedResponse {
    /// 200 with the whole file.
    Whole,
    /// 206 with this range of the file.
    Range(ByteRange),
    /// 304 without a body.
    NotModified,
}

impl PreparedResponse {
    /// The status to send.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Whole => 200,
            Self::Range(_) => 206,
            Self::NotModified => 304,
        }
    }
}

impl PreparedFile {
    /// The file at the clean path `path` that `stat` is of. `None` if a setting of the site, such as
    /// a media type, is no valid header value.
    #[must_use]
    pub fn new(site: &Site, path: &[u8], stat: &Stat, variant: Variant) -> Option<Self> {
        let young_until = EntityTag::weak_until(stat);
        let later = young_until.checked_add(1)?;
        let file = Representation::of_file(site, path, stat, variant, later);
        let block = |plan: ResponsePlan<'_>| {
            let block = Ok::<_, Misuse>(HeaderBlock::new());
            let block =
                plan.fold_headers(&DigestHeaders::default(), block, |block, header| match header {
                    ResponseHeader::ContentLength(n) => block?.content_length(n),
                    ResponseHeader::Other(name, value) => block?.header(name, value),
                });
            block.ok().map(HeaderBlock::shrink_to_fit)
        };
        Some(Self {
            variant,
            current: Validators { etag: file.etag, modified: stat.modified },
            size: stat.size,
            young_until,
            whole: block(ResponsePlan::File(file, &Selection::Whole))?,
            not_modified: block(ResponsePlan::NotModified(file))?,
        })
    }

    /// What the file is sent as.
    #[must_use]
    pub fn variant(&self) -> Variant {
        self.variant
    }

    /// The response to a GET or HEAD request for this file, or `None` if its headers are not
    /// prepared. `site` is the same as for [`PreparedFile::new`]; `now` is in seconds since 1970.
    #[must_use]
    pub fn respond(&self, site: &Site, head: &Head<'_>, now: i64) -> Option<PreparedResponse> {
        if now <= self.young_until || WantedDigests::may_want(head) {
            return None;
        }
        match preconditions::evaluate(head, &self.current, now) {
            Evaluation::Proceed { range: false } => Some(PreparedResponse::Whole),
            Evaluation::NotModified => Some(PreparedResponse::NotModified),
            Evaluation::PreconditionFailed => None,
            Evaluation::Proceed { range: true } => {
                let lines = head.known_values(KnownHeader::Range);
                match range::select(lines, self.size, site.max_ranges) {
                    Selection::Whole => Some(PreparedResponse::Whole),
                    Selection::One(range) => Some(PreparedResponse::Range(range)),
                    Selection::Several(_) | Selection::Unsatisfiable => None,
                }
            }
        }
    }

    /// Whether the body of `prepared` includes the last byte of the file; `None` if it has none of it.
    #[must_use]
    pub fn reaches_end(&self, prepared: PreparedResponse) -> Option<bool> {
        match prepared {
            PreparedResponse::Whole => Some(true),
            PreparedResponse::Range(range) => Some(range.reaches_end(self.size)),
            PreparedResponse::NotModified => None,
        }
    }

    /// The length of the body of `prepared` in bytes.
    #[must_use]
    pub fn content_length(&self, prepared: PreparedResponse) -> u64 {
        match prepared {
            PreparedResponse::Whole => self.size,
            PreparedResponse::Range(range) => range.len(),
            PreparedResponse::NotModified => 0,
        }
    }

    /// As [`PreparedFile::respond`] for a request whose target names the file, before it is resolved:
    /// `None`, too, if a precompressed file might be sent instead.
    #[must_use]
    pub fn respond_to_target(
        &self,
        site: &Site,
        head: &Head<'_>,
        now: i64,
    ) -> Option<PreparedResponse> {
        let is_target = self.variant == Variant::default() && !site.negotiates_coding(head);
        is_target.then(|| self.respond(site, head, now))?
    }

    /// Writes the head of `prepared`. `response` has just begun, with its status. Returns the bytes of
    /// the file that follow as the body, if any.
    ///
    /// # Errors
    /// Returns the [`Misuse`] of the response, such as one that is not due; nothing is sent then.
    pub fn write_head(
        &self,
        prepared: PreparedResponse,
        response: Response<'_>,
    ) -> Result<Option<ByteRange>, Misuse> {
        match prepared {
            PreparedResponse::Whole => {
                response.header_block(&self.whole).sized_body(self.size)?;
                Ok(self.size.checked_sub(1).map(|last| ByteRange { first: 0, last }))
            }
            PreparedResponse::Range(range) => {
                let content_range = range.content_range(self.size);
                let response = response.header_block_sized(&self.whole, range.len());
                response
                    .header("Content-Range", content_range.as_bytes())
                    .sized_body(range.len())?;
                Ok(Some(range))
            }
            PreparedResponse::NotModified => {
                response.header_block(&self.not_modified).body(b"")?;
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
#[path = "prepared_tests.rs"]
mod tests;
