//! Whether the client's copy is still good: the conditions of a request against a file's validators.
//!
//! [`evaluate`] is RFC 9110 §13.2.2, step by step, for GET and HEAD. If-Match and If-None-Match are
//! lists, over all their lines; of the others there is one, and several lines of it are no value
//! (§5.3). A header that cannot be read is as one that was not sent, with two exceptions that are on
//! the safe side: any If-None-Match switches If-Modified-Since off (B-176), and an If-Range that
//! names nothing known gets the whole file.
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
//!     Validators::from_stat(&Stat { modified, ..Stat::default() }, 1_700_000_000)
//! };
//! let now = 1_700_000_000;
//! assert_eq!(evaluate(&head, &validators(784_111_777), now), Evaluation::NotModified);
//! assert_eq!(evaluate(&head, &validators(784_111_778), now), Evaluation::Proceed { range: false });
//! ```

use super::Stat;
use super::etag::{Comparison, EntityTag, matches_any};
use crate::http1::{Head, date};

/// What a file's state can be told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validators {
    /// Its entity tag.
    pub etag: EntityTag,
    /// When it was last modified, in seconds since 1970.
    pub modified: i64,
}

impl Validators {
    /// Those of the file that `stat` is of; `now` is in seconds since 1970.
    #[must_use]
    pub fn from_stat(stat: &Stat, now: i64) -> Self {
        Self { etag: EntityTag::from_stat(stat, now), modified: stat.modified }
    }
}

/// What the conditions come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evaluation {
    /// ResponsePlan as if there were no conditions.
    Proceed {
        /// Whether there is a Range header that counts.
        range: bool,
    },
    /// The client's copy is good: 304.
    NotModified,
    /// The file is not what the client takes it for: 412.
    PreconditionFailed,
}

/// Judges the conditions of a GET or HEAD request for a file, in the order of RFC 9110 §13.2.2.
/// `now` is in seconds since 1970, for dates whose year has two digits.
#[must_use]
pub fn evaluate(head: &Head<'_>, current: &Validators, now: i64) -> Evaluation {
    let date = |field| head.single_header(field).and_then(|text| date::parse(text, now));
    // 1. If-Match, by strong comparison: 412 unless it holds.
    match lists_current_tag(head, "if-match", current, Comparison::Strong) {
        Some(true) => {}
        Some(false) => return Evaluation::PreconditionFailed,
        // 2. Without it, If-Unmodified-Since: 412 unless it holds.
        None => match date("if-unmodified-since") {
            Some(since) if current.modified > since => return Evaluation::PreconditionFailed,
            _ => {}
        },
    }
    // 3. If-None-Match, by weak comparison: 304 unless it holds.
    if head.header("if-none-match").is_some() {
        if lists_current_tag(head, "if-none-match", current, Comparison::Weak) == Some(true) {
            return Evaluation::NotModified;
        }
    // 4. Without it, If-Modified-Since: 304 unless it holds (B-176 to B-180).
    } else if date("if-modified-since").is_some_and(|since| current.modified <= since) {
        return Evaluation::NotModified;
    }
    // 5. For GET with Range, If-Range: the range counts if it holds, or is not there.
    let asked = head.method() == b"GET" && head.header("range").is_some();
    // 6. Otherwise, go on.
    Evaluation::Proceed {
        range: asked && (head.header("if-range").is_none() || if_range_matches(head, current, now)),
    }
}

/// Whether If-Range names the file as it is, byte for byte (RFC 9110 §13.1.5).
fn if_range_matches(head: &Head<'_>, current: &Validators, now: i64) -> bool {
    let Some(if_range) = head.single_header("if-range") else { return false };
    if current.etag.matches(if_range, Comparison::Strong) {
        return true;
    }
    // A date is a strong validator only if there was no second change within its second (§8.8.2.2):
    // the tag knows. Any other date than this one, later or not, is another file's.
    !current.etag.is_weak() && date::parse(if_range, now) == Some(current.modified)
}

/// Whether a header lists the file's tag; `None` without one that can be read.
fn lists_current_tag(
    head: &Head<'_>,
    field: &str,
    current: &Validators,
    comparison: Comparison,
) -> Option<bool> {
    head.header(field)?; // its place is known, so most requests are done here
    matches_any(&current.etag, head.header_values(field), comparison)
}

#[cfg(test)]
#[path = "preconditions_tests.rs"]
mod tests;
