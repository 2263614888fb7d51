//! Preconditions of a request: whether the client's copy is current (conditional requests).
//!
//! [`evaluate`] is RFC 9110 §13.2.2, step by step, for GET and HEAD. If-Match and If-None-Match are
//! lists, over all their lines. The other headers are single values, and several lines of them are
//! ignored (§5.3). A malformed header is ignored, with two exceptions on the safe side: any
//! If-None-Match disables If-Modified-Since (B-176), and an If-Range that matches nothing yields
//! the whole file.
//!
//! ```
//! use doorstep_core::http1::{Connection, Event, Limits};
//! use doorstep_core::site::Stat;
//! use doorstep_core::site::preconditions::{Evaluation, Validators, evaluate};
//!
//! let mut connection = Connection::new(Limits::default());
//! let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\
//!               If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
//! let Ok((_, Event::Request(head))) = connection.advance(bytes) else { panic!() };
//! let validators = |modified| {
//!     Validators::from_stat(&Stat::new(0, modified), 1_700_000_000)
//! };
//! let now = 1_700_000_000;
//! assert_eq!(evaluate(&head, &validators(784_111_777), now), Evaluation::NotModified);
//! assert_eq!(evaluate(&head, &validators(784_111_778), now), Evaluation::Proceed { range: false });
//! ```

use super::Stat;
use super::etag::{Comparison, EntityTag, matches_any};
use crate::http1::{Head, KnownHeader, date};

/// The validators of a file: what its state is recognized by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validators {
    /// Its entity tag.
    pub etag: EntityTag,
    /// When it was last modified, in seconds since 1970.
    pub modified: i64,
}

impl Validators {
    /// The validators of the file that `stat` describes; `now` is in seconds since 1970.
    #[must_use]
    pub fn from_stat(stat: &Stat, now: i64) -> Self {
        Self { etag: EntityTag::from_stat(stat, now), modified: stat.modified }
    }
}

/// The headers that [`evaluate`] looks at.
const HEADERS: [KnownHeader; 6] = [
    KnownHeader::IfMatch,
    KnownHeader::IfUnmodifiedSince,
    KnownHeader::IfNoneMatch,
    KnownHeader::IfModifiedSince,
    KnownHeader::Range,
    KnownHeader::IfRange,
];

/// The result of the preconditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evaluation {
    /// Respond as if there were no preconditions.
    Proceed {
        /// Whether the Range header applies.
        range: bool,
    },
    /// The client's copy is current: 304.
    NotModified,
    /// The file is not in the state that the client requires: 412.
    PreconditionFailed,
}

/// Evaluates the preconditions of a GET or HEAD request for a file, in the order of RFC 9110
/// §13.2.2. `now`, in seconds since 1970, decides the century of two-digit years.
#[must_use]
pub fn evaluate(head: &Head<'_>, current: &Validators, now: i64) -> Evaluation {
    if !head.has_any(&HEADERS) {
        return Evaluation::Proceed { range: false }; // most requests
    }
    let date = |field| head.known_single(field).and_then(|text| date::parse(text, now));
    // 1. If-Match, by strong comparison: 412 unless it holds.
    match lists_current_tag(head, KnownHeader::IfMatch, current, Comparison::Strong) {
        Some(true) => {}
        Some(false) => return Evaluation::PreconditionFailed,
        // 2. Without it, If-Unmodified-Since: 412 unless it holds.
        None => match date(KnownHeader::IfUnmodifiedSince) {
            Some(since) if current.modified > since => return Evaluation::PreconditionFailed,
            _ => {}
        },
    }
    // 3. If-None-Match, by weak comparison: 304 unless it holds.
    if head.has_any(&[KnownHeader::IfNoneMatch]) {
        if lists_current_tag(head, KnownHeader::IfNoneMatch, current, Comparison::Weak)
            == Some(true)
        {
            return Evaluation::NotModified;
        }
    // 4. Without it, If-Modified-Since: 304 unless it holds (B-176 to B-180).
    } else if date(KnownHeader::IfModifiedSince).is_some_and(|since| current.modified <= since) {
        return Evaluation::NotModified;
    }
    // 5. For GET with Range, If-Range: the range applies if it holds, or is absent.
    let asked = head.method() == b"GET" && head.has_any(&[KnownHeader::Range]);
    // 6. Otherwise, proceed.
    Evaluation::Proceed {
        range: asked
            && (!head.has_any(&[KnownHeader::IfRange]) || if_range_matches(head, current, now)),
    }
}

/// Evaluates the preconditions of a PUT (RFC 9110 §13.2.2). `current` is the file that has the name now,
/// if there is one, and `now` is as for [`evaluate`]. Returns whether the file may be stored: 412 if not.
///
/// Where [`evaluate`] ignores a malformed list, this refuses: a client that does not want to overwrite
/// what others have stored must not do so since it made a mistake.
///
/// ```
/// use doorstep_core::http1::{Connection, Event, Limits};
/// use doorstep_core::site::Stat;
/// use doorstep_core::site::preconditions::{Validators, allow_write};
///
/// let mut connection = Connection::new(Limits::default());
/// let bytes = b"PUT /a HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\nContent-Length: 0\r\n\r\n";
/// let Ok((_, Event::Request(head))) = connection.advance(bytes) else { panic!() };
/// let file = Validators::from_stat(&Stat::new(5, 784_111_777), 1_700_000_000);
/// assert!(allow_write(&head, None, 1_700_000_000));
/// assert!(!allow_write(&head, Some(&file), 1_700_000_000));
/// ```
#[must_use]
pub fn allow_write(head: &Head<'_>, current: Option<&Validators>, now: i64) -> bool {
    if head.has_any(&[KnownHeader::IfMatch]) {
        let matches =
            |current| lists_current_tag(head, KnownHeader::IfMatch, current, Comparison::Strong);
        if current.and_then(matches) != Some(true) {
            return false;
        }
    } else if let Some(current) = current {
        let since = head.known_single(KnownHeader::IfUnmodifiedSince);
        if since
            .and_then(|text| date::parse(text, now))
            .is_some_and(|since| current.modified > since)
        {
            return false;
        }
    }
    if head.has_any(&[KnownHeader::IfNoneMatch]) {
        return current.is_none_or(|current| {
            lists_current_tag(head, KnownHeader::IfNoneMatch, current, Comparison::Weak)
                == Some(false)
        });
    }
    true
}

/// Whether If-Range matches the file byte for byte (RFC 9110 §13.1.5).
fn if_range_matches(head: &Head<'_>, current: &Validators, now: i64) -> bool {
    let Some(if_range) = head.known_single(KnownHeader::IfRange) else { return false };
    if current.etag.matches(if_range, Comparison::Strong) {
        return true;
    }
    // A date is a strong validator only if there was no second change within its second (§8.8.2.2),
    // and then the tag is strong. Any other date, earlier or later, is that of another state.
    !current.etag.is_weak() && date::parse(if_range, now) == Some(current.modified)
}

/// Whether a header lists the file's tag; `None` if it is absent or malformed.
fn lists_current_tag(
    head: &Head<'_>,
    field: KnownHeader,
    current: &Validators,
    comparison: Comparison,
) -> Option<bool> {
    if !head.has_any(&[field]) {
        return None;
    }
    // The usual case: a client sends back the one tag that it has.
    let is_same = head.known_single(field) == Some(current.etag.as_ref());
    if is_same && (comparison == Comparison::Weak || !current.etag.is_weak()) {
        return Some(true);
    }
    matches_any(&current.etag, head.known_values(field), comparison)
}

#[cfg(test)]
#[path = "preconditions_tests.rs"]
mod tests;
