//! Whether the client's copy is still good: the conditions of a request against a file's validators.
//!
//! Today one condition counts, `If-Modified-Since`, and `If-None-Match` switches it off. The whole
//! order of RFC 9110 §13.2.2 belongs in [`check`], an entity tag in [`Validators`].
//!
//! ```
//! use doorstep_core::site::conditional::{Conditions, Validators, Verdict, check};
//!
//! let since = Some(&b"Sun, 06 Nov 1994 08:49:37 GMT"[..]);
//! let conditions = Conditions { if_modified_since: since, ..Conditions::default() };
//! assert_eq!(check(&conditions, &Validators { modified: 784_111_777 }), Verdict::NotModified);
//! assert_eq!(check(&conditions, &Validators { modified: 784_111_778 }), Verdict::Proceed);
//! ```

use crate::http1::{Head, date};

/// The conditions a request made: field values as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Conditions<'b> {
    /// `If-None-Match`.
    pub if_none_match: Option<&'b [u8]>,
    /// `If-Modified-Since`; of several the first (B-039).
    pub if_modified_since: Option<&'b [u8]>,
}

impl<'b> Conditions<'b> {
    /// The conditions in `head`.
    #[must_use]
    pub fn of(head: &Head<'b>) -> Self {
        Self {
            if_none_match: head.field("if-none-match"),
            if_modified_since: head.field("if-modified-since"),
        }
    }
}

/// What a file's state can be told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validators {
    /// When it was last modified, in seconds since 1970.
    pub modified: i64,
}

/// What the conditions come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Answer as if there were no conditions.
    Proceed,
    /// The client's copy is good: 304.
    NotModified,
}

/// Judges the conditions of a GET or HEAD request for a file.
#[must_use]
pub fn check(conditions: &Conditions<'_>, validators: &Validators) -> Verdict {
    if conditions.if_none_match.is_some() {
        return Verdict::Proceed; // whatever it says, the date no longer counts (B-176)
    }
    match conditions.if_modified_since.and_then(date::parse) {
        Some(since) if validators.modified <= since => Verdict::NotModified, // B-177, B-180
        _ => Verdict::Proceed, // no date, or none that can be read (B-178, B-179)
    }
}

#[cfg(test)]
mod tests {
    use super::{Conditions, Validators, Verdict, check};

    const AT: i64 = 784_111_777;

    fn since(date: &str, modified: i64) -> Verdict {
        let if_modified_since = Some(date.as_bytes());
        let conditions = Conditions { if_modified_since, ..Conditions::default() };
        check(&conditions, &Validators { modified })
    }

    #[test]
    fn b_176_any_if_none_match_switches_the_date_off() {
        for tag in ["", "*", "\"x\"", "rubbish"] {
            let conditions = Conditions {
                if_none_match: Some(tag.as_bytes()),
                if_modified_since: Some(b"Sun, 06 Nov 1994 08:49:37 GMT"),
            };
            assert_eq!(check(&conditions, &Validators { modified: AT }), Verdict::Proceed, "{tag}");
        }
    }

    #[test]
    fn b_177_not_modified_up_to_the_very_second() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(since(date, AT - 1), Verdict::NotModified);
        assert_eq!(since(date, AT), Verdict::NotModified);
        assert_eq!(since(date, AT + 1), Verdict::Proceed);
        assert_eq!(since(date, -1), Verdict::NotModified, "a file from before 1970");
    }

    #[test]
    fn b_178_the_three_forms_count_and_no_other_zone() {
        assert_eq!(since("Sunday, 06-Nov-94 08:49:37 GMT", AT), Verdict::NotModified);
        assert_eq!(since("Sun Nov  6 08:49:37 1994", AT), Verdict::NotModified);
        assert_eq!(since("Sun, 06 Nov 1994 08:49:37 +0100", 0), Verdict::Proceed);
    }

    #[test]
    fn b_179_an_ill_formed_date_is_ignored() {
        for date in ["", "never", "0", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(since(date, 0), Verdict::Proceed, "{date}");
        }
        assert_eq!(check(&Conditions::default(), &Validators { modified: 0 }), Verdict::Proceed);
    }

    #[test]
    fn b_180_a_date_in_the_future_counts() {
        assert_eq!(since("Fri, 31 Dec 9999 23:59:59 GMT", AT), Verdict::NotModified);
    }
}
