//! The headers of each response about files, in the order in which they are sent.
//!
//! [`MethodPlan`] decides by the method alone: look the file up, or respond to OPTIONS, 405 or 501.
//! [`ResponsePlan::fold_headers`] passes each header of a planned response to a builder, and
//! [`ResponsePlan::body`] names the bytes that follow. The caller opens files and appends; which
//! headers there are is decided here alone. Headers of every response (`Server`, `Date`, CORS,
//! `Connection`) and of error pages are not listed: the builder writes them.
//!
//! For a file and for one range of it, nothing is allocated as long as each value is at most 128
//! bytes long.
//!
//! ```
//! use doorstep_core::http1::{Connection, Limits, Outbox};
//! use doorstep_core::site::range::Selection;
//! use doorstep_core::site::{
//!     DigestHeaders, Representation, ResponseBody, ResponseHeader, ResponsePlan, Site, Stat, etag::EntityTag,
//! };
//!
//! let (mut connection, mut outbox) = (Connection::new(Limits::default()), Outbox::new(""));
//! connection.advance(b"GET /a.txt HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
//!
//! let site = Site::default();
//! let etag = EntityTag::from_stat(&Stat::default(), 1_000);
//! let file = Representation::new(site.media_types.guess(b"a.txt"), 5, 784_111_777, etag);
//! let plan = ResponsePlan::File(file, &Selection::Whole);
//! let response = connection.respond(plan.status(), &mut outbox);
//! plan.fold_headers(&DigestHeaders::default(), response, |response, header| match header {
//!     ResponseHeader::ContentLength(n) => response.content_length(n),
//!     ResponseHeader::Other(name, value) => response.header(name, value),
//! })
//! .sized_body(5)?;
//! assert!(matches!(plan.body(), ResponseBody::Range(range) if range.len() == 5));
//! assert!(outbox.unsent().starts_with(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n"));
//! # Ok::<(), doorstep_core::http1::Misuse>(())
//! ```

use super::multipart::{self, Multipart};
use super::range::{ByteRange, Selection};
use super::response_plan::{Choice, Representation, ResponsePlan};
use super::{Site, cors};
use crate::bytes::{Decimal, ShortText};
use crate::http1::{Head, date};

/// What is done with a request for a file, by its method (B-170).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MethodPlan {
    /// GET and HEAD: what [`Resolver`](super::Resolver) finds.
    Resolve,
    /// OPTIONS: 204, with the methods in `Allow`.
    Options {
        /// Whether it is a CORS preflight request that this site allows.
        preflight: bool,
    },
    /// POST, PUT, PATCH and DELETE: 405, with the methods in `Allow`, and the error page.
    MethodNotAllowed,
    /// Every other method: 501 and the error page.
    NotImplemented,
}

impl MethodPlan {
    /// The value of `Allow`: the methods that files have.
    pub const ALLOW: &str = "GET, HEAD, OPTIONS";

    /// The plan for a request.
    ///
    /// ```
    /// use doorstep_core::http1::{Connection, Event, Limits};
    /// use doorstep_core::site::{MethodPlan, Site};
    ///
    /// let mut connection = Connection::new(Limits::default());
    /// let bytes = b"DELETE /a.txt HTTP/1.1\r\nHost: here\r\n\r\n";
    /// let Ok((_, Event::Request(head))) = connection.advance(bytes) else { panic!() };
    /// assert_eq!(MethodPlan::new(&Site::default(), &head), MethodPlan::MethodNotAllowed);
    /// ```
    #[must_use]
    pub fn new(site: &Site, head: &Head<'_>) -> Self {
        match head.method() {
            b"GET" | b"HEAD" => Self::Resolve,
            b"OPTIONS" => Self::Options { preflight: site.cors && cors::is_preflight(head) },
            b"POST" | b"PUT" | b"PATCH" | b"DELETE" => Self::MethodNotAllowed,
            _ => Self::NotImplemented,
        }
    }

    /// The status to send; `None` for [`MethodPlan::Resolve`], whose status is the plan's.
    #[must_use]
    pub fn status(self) -> Option<u16> {
        match self {
            Self::Resolve => None,
            Self::Options { .. } => Some(204),
            Self::MethodNotAllowed => Some(405),
            Self::NotImplemented => Some(501),
        }
    }

    /// Passes each header to `add`, with `builder` first and then with what `add` returned.
    pub fn fold_headers<B>(self, builder: B, mut add: impl FnMut(B, ResponseHeader<'_>) -> B) -> B {
        let allow = match self {
            Self::Resolve | Self::NotImplemented => None,
            Self::Options { .. } | Self::MethodNotAllowed => Some(("Allow", Self::ALLOW)),
        };
        let preflight: &[_] = match self {
            Self::Options { preflight: true } => &cors::PREFLIGHT_HEADERS,
            _ => &[],
        };
        let headers = allow.iter().chain(preflight);
        headers.fold(builder, |builder, (name, value)| {
            add(builder, ResponseHeader::Other(name, value.as_bytes()))
        })
    }
}

/// One header of a response.
///
/// ```
/// use doorstep_core::site::{DigestHeaders, ResponseHeader, ResponsePlan};
///
/// let plan = ResponsePlan::RangeNotSatisfiable(10);
/// let last = plan.fold_headers(&DigestHeaders::default(), String::new(), |_, header| match header {
///     ResponseHeader::ContentLength(n) => format!("Content-Length: {n}"),
///     ResponseHeader::Other(name, value) => format!("{name}: {}", value.escape_ascii()),
/// });
/// assert_eq!(last, "Content-Range: bytes */10");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseHeader<'a> {
    /// `Content-Length`, in bytes, which builders do not take as text
    /// ([`Response::content_length`](crate::http1::Response::content_length)).
    ContentLength(u64),
    /// Any other header: its name and value.
    Other(&'static str, &'a [u8]),
}

/// Values of the digest headers of a file (RFC 9530), for [`ResponsePlan::fold_headers`]. Those that
/// are `None` are not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DigestHeaders<'a> {
    /// `Repr-Digest`: of the whole file.
    pub representation: Option<&'a str>,
    /// `Content-Digest`: of the bytes that are sent.
    pub content: Option<&'a str>,
}

/// The bytes that follow the head of a planned response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseBody {
    /// None.
    Empty,
    /// The error page for the plan's status and reason ([`crate::page::error`]), with its own
    /// headers.
    ErrorPage,
    /// These bytes of the file that was opened last.
    Range(ByteRange),
    /// These pieces, with ranges of the file that was opened last.
    Multipart(Multipart),
    /// The listing of the directory, whose length is known once it is made.
    Listing,
    /// The archive of the directory, whose length is known when all of it was sent.
    Archive,
}

impl ResponsePlan<'_> {
    /// The reason phrase to send instead of the registered one.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::ErrorPage(error, _) | Self::CustomErrorPage(error, ..) => Some(error.reason()),
            _ => None,
        }
    }

    /// The length of the body in bytes, if the plan alone determines it. It is the promise that
    /// [`Response::sized_body`](crate::http1::Response::sized_body) makes, also to a HEAD request.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        match self {
            Self::CustomErrorPage(_, _, size) => Some(*size),
            Self::File(file, selection) => Some(selection.body_len(file)),
            Self::Redirect(_) => Some(0),
            Self::ErrorPage(..)
            | Self::NotModified(_)
            | Self::RangeNotSatisfiable(_)
            | Self::Listing(..)
            | Self::Archive(..) => None,
        }
    }

    /// The bytes that follow the head. A HEAD request, too, gets this plan; they are not sent then.
    #[must_use]
    pub fn body(&self) -> ResponseBody {
        match self {
            Self::ErrorPage(..) | Self::RangeNotSatisfiable(_) => ResponseBody::ErrorPage,
            Self::Redirect(_) | Self::NotModified(_) => ResponseBody::Empty,
            Self::Listing(..) => ResponseBody::Listing,
            Self::Archive(..) => ResponseBody::Archive,
            Self::File(_, Selection::One(range)) => ResponseBody::Range(*range),
            Self::File(file, Selection::Several(ranges)) => {
                let content_type = ShortText::concat(&file.media_type.parts());
                let content_type = content_type.as_bytes();
                ResponseBody::Multipart(Multipart::new(ranges, file.size, content_type, &file.etag))
            }
            Self::CustomErrorPage(_, _, size) | Self::File(Representation { size, .. }, _) => {
                match size.checked_sub(1) {
                    Some(last) => ResponseBody::Range(ByteRange { first: 0, last }),
                    None => ResponseBody::Empty,
                }
            }
        }
    }

    /// Passes each header to `add`, with `builder` first and then with what `add` returned.
    /// `digests` are sent with a file only.
    pub fn fold_headers<B>(
        &self,
        digests: &DigestHeaders<'_>,
        builder: B,
        add: impl FnMut(B, ResponseHeader<'_>) -> B,
    ) -> B {
        let headers = Headers { builder, add };
        let headers = match self {
            Self::ErrorPage(_, Choice::None) => headers,
            Self::ErrorPage(_, Choice::ByAccept) => headers.other("Vary", b"Accept"),
            Self::CustomErrorPage(_, media_type, _) => {
                headers.concat("Content-Type", &media_type.parts()).other("Vary", b"Accept")
            }
            Self::Redirect(location) => {
                let mut value = Vec::new();
                location.write(&mut value);
                headers.other("Location", &value)
            }
            Self::NotModified(file) => headers.validators(file),
            Self::RangeNotSatisfiable(size) => headers
                .other("Accept-Ranges", b"bytes")
                .concat("Content-Range", &[b"bytes */", Decimal::new(*size).as_bytes()]),
            Self::File(file, selection) => headers.file(file, selection, digests),
            Self::Listing(_, view) => view
                .headers()
                .iter()
                .fold(headers, |headers, (name, value)| headers.other(name, value.as_bytes())),
            Self::Archive(path, format) => headers
                .other("Content-Type", format.media_type().as_bytes())
                .other("Content-Disposition", &format.content_disposition(path))
                .other("Cache-Control", b"no-store")
                .other("Accept-Ranges", b"none"),
        };
        headers.builder
    }
}

impl Selection {
    /// Bytes of the body that sends this part of `file`.
    fn body_len(&self, file: &Representation<'_>) -> u64 {
        match self {
            Self::One(range) => range.len(),
            Self::Several(ranges) => multipart::length(ranges, file.size, file.media_type.length()),
            Self::Whole | Self::Unsatisfiable => file.size,
        }
    }
}

/// A builder on its way through the headers.
struct Headers<B, F> {
    builder: B,
    add: F,
}

impl<B, F: FnMut(B, ResponseHeader<'_>) -> B> Headers<B, F> {
    /// All headers of a 200 or 206, in the order of B-068 and B-172.
    fn file(
        self,
        file: &Representation<'_>,
        selection: &Selection,
        digests: &DigestHeaders<'_>,
    ) -> Self {
        let headers = match selection {
            Selection::Several(ranges) => {
                let (media_type, boundary) = multipart::content_type(ranges, &file.etag);
                self.concat("Content-Type", &[media_type, &boundary])
            }
            _ => self.concat("Content-Type", &file.media_type.parts()),
        };
        let headers = headers
            .optional("Content-Encoding", file.media_type.encoding)
            .next(ResponseHeader::ContentLength(selection.body_len(file)))
            .other("Last-Modified", &date::format(file.modified))
            .validators(file)
            .other("Accept-Ranges", b"bytes");
        let headers = match selection {
            Selection::One(range) => {
                headers.other("Content-Range", range.content_range(file.size).as_bytes())
            }
            _ => headers,
        };
        headers
            .optional("Repr-Digest", digests.representation)
            .optional("Content-Digest", digests.content)
    }

    /// The headers that a 304 has, too (RFC 9110 §15.4.5, B-177).
    fn validators(self, file: &Representation<'_>) -> Self {
        self.other("ETag", file.etag.as_ref())
            .unless_empty("Cache-Control", file.cache_control)
            .unless_empty("Vary", file.vary)
    }

    fn unless_empty(self, name: &'static str, value: &str) -> Self {
        self.optional(name, Some(value).filter(|value| !value.is_empty()))
    }

    fn optional(self, name: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.other(name, value.as_bytes()),
            None => self,
        }
    }

    fn concat(self, name: &'static str, parts: &[&[u8]]) -> Self {
        self.other(name, ShortText::concat(parts).as_bytes())
    }

    fn other(self, name: &'static str, value: &[u8]) -> Self {
        self.next(ResponseHeader::Other(name, value))
    }

    fn next(mut self, header: ResponseHeader<'_>) -> Self {
        self.builder = (self.add)(self.builder, header);
        self
    }
}

#[cfg(test)]
#[path = "response_head_tests.rs"]
mod tests;
