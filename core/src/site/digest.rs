//! The digests that a client wants (RFC 9530 §4). Nothing is computed here.
//!
//! [`WantedDigests::from_head`] parses `Want-Repr-Digest` and `Want-Content-Digest`: dictionaries
//! from an algorithm to a preference from 0 (not wanted) to 10. Only `sha-256` is supported, so
//! preferences between algorithms are not compared. A header with a malformed member is ignored as
//! a whole (RFC 9651 §4.2); unknown algorithms are not malformed.
//!
//! ```
//! use doorstep_core::site::digest::is_sha_256_wanted;
//!
//! assert!(is_sha_256_wanted([&b"sha-512=10, sha-256=3"[..]]));
//! assert!(!is_sha_256_wanted([&b"sha-512=10, sha-256=0"[..]]));
//! assert!(!is_sha_256_wanted([&b"sha-256=11"[..]]));
//! ```

use crate::bytes::{parse_decimal, trim_ows};
use crate::http1::Head;

/// The sha-256 digests to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WantedDigests {
    /// `Repr-Digest`: of the whole file, whichever part of it is sent.
    pub representation: bool,
    /// `Content-Digest`: of the bytes that are sent.
    pub content: bool,
}

/// The headers of the request.
const REPRESENTATION: &str = "Want-Repr-Digest";
const CONTENT: &str = "Want-Content-Digest";

impl WantedDigests {
    /// The digests that this request wants.
    #[must_use]
    pub fn from_head(head: &Head<'_>) -> Self {
        let wants = |header| is_sha_256_wanted(head.header_values(header));
        Self { representation: wants(REPRESENTATION), content: wants(CONTENT) }
    }

    /// Whether the request has one of the two headers.
    pub(super) fn may_want(head: &Head<'_>) -> bool {
        [REPRESENTATION, CONTENT].iter().any(|name| head.header_values(name).next().is_some())
    }
}

/// The SHA-256 that the lines of a `Repr-Digest` or `Content-Digest` header have, in Base64: of an
/// upload. `None` if they have none, and if the header is malformed (RFC 9530 §2, RFC 9651 §3.2).
///
/// ```
/// use doorstep_core::site::digest::sha_256;
///
/// assert_eq!(sha_256([&b"md5=:YQ==:, sha-256=:Yg==:"[..]]), Some(&b"Yg=="[..]));
/// assert_eq!(sha_256([&b"sha-512=:YQ==:"[..]]), None);
/// ```
pub fn sha_256<'b>(lines: impl IntoIterator<Item = &'b [u8]>) -> Option<&'b [u8]> {
    let mut found = None;
    for member in lines.into_iter().flat_map(|line| line.split(|&b| b == b',')).map(trim_ows) {
        if member.is_empty() {
            continue;
        }
        let member = trim_ows(member.split(|&b| b == b';').next()?);
        let equals = member.iter().position(|&b| b == b'=')?;
        let value = member[equals + 1..].strip_prefix(b":")?.strip_suffix(b":")?;
        if &member[..equals] == b"sha-256" {
            found = Some(value); // the last one counts
        }
    }
    found
}

/// Whether the lines of one of the two headers want sha-256. The last of several members counts.
pub fn is_sha_256_wanted(lines: impl IntoIterator<Item: AsRef<[u8]>>) -> bool {
    let mut wanted = false;
    for line in lines {
        let line = trim_ows(line.as_ref());
        if line.is_empty() {
            continue;
        }
        for member in line.split(|&b| b == b',').map(trim_ows) {
            match preference(member) {
                Some((b"sha-256", preference)) => wanted = preference > 0,
                Some(_) => {}
                None => return false,
            }
        }
    }
    wanted
}

/// An algorithm and its preference. Parameters are ignored.
fn preference(member: &[u8]) -> Option<(&[u8], u8)> {
    let member = trim_ows(member.split(|&b| b == b';').next()?);
    let equals = member.iter().position(|&b| b == b'=')?;
    let (key, digits) = (&member[..equals], &member[equals + 1..]);
    let is_key = matches!(key, [b'a'..=b'z' | b'*', rest @ ..] if rest.iter().all(|b| {
        matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*')
    }));
    // An integer has at most 15 digits (RFC 9651 §3.3.1) and may have leading zeros.
    if !is_key || digits.len() > 15 {
        return None;
    }
    let number = parse_decimal(digits).filter(|&number| number <= 10)?;
    Some((key, number as u8))
}

#[cfg(test)]
mod tests {
    use super::{WantedDigests, is_sha_256_wanted};
    use crate::http1::{Connection, Event, Limits};

    #[test]
    fn rfc_9530_4_sha_256_is_wanted() {
        for lines in [
            &["sha-256=1"][..],
            &["sha-256=10"],
            &["sha-256=010"],
            &["sha-512=3,sha-256=10,unixsum=0"],
            &["sha-512=10 ,\tsha-256=1"],
            &["sha-256=0, sha-256=1"],
            &["sha-256=1;why=so"],
            &["*made.up_1=4", "", "sha-256=2"],
        ] {
            assert!(is_sha_256_wanted(lines), "{lines:?}");
        }
    }

    #[test]
    fn rfc_9530_4_sha_256_is_not_wanted() {
        for lines in [
            &[][..],
            &[""],
            &["sha-256=0"],
            &["sha-512=10"],
            &["sha-256=1", "sha-256=0"],
            &["md5=1, sha=2, adler=3"],
        ] {
            assert!(!is_sha_256_wanted(lines), "{lines:?}");
        }
    }

    #[test]
    fn rfc_9651_4_2_a_header_with_a_malformed_member_is_ignored() {
        for line in [
            "sha-256",
            "sha-256=",
            "sha-256=11",
            "sha-256=-1",
            "sha-256=+1",
            "sha-256=1.0",
            "sha-256=?1",
            "sha-256=\"1\"",
            "sha-256 = 1",
            "SHA-256=1",
            "sha-256=0000000000000001",
            "sha-256=1,",
            ",sha-256=1",
            "sha-256=1, sha-512=11",
            "sha-256=1, sha-512",
            "x=\"a,sha-256=1\"",
            "1=1, sha-256=1",
            "=1, sha-256=1",
            "sha-256=1 sha-512=1",
        ] {
            assert!(!is_sha_256_wanted([line]), "{line:?}");
        }
    }

    #[test]
    fn rfc_9530_4_each_header_requests_its_own_digest() {
        for (fields, representation, content) in [
            ("", false, false),
            ("want-repr-digest: sha-256=1\r\n", true, false),
            ("Want-Content-Digest: sha-256=1\r\n", false, true),
            ("Want-Content-Digest: x=1\r\nWANT-CONTENT-DIGEST: sha-256=1\r\n", false, true),
            ("Want-Digest: sha-256\r\nRepr-Digest: sha-256=1\r\n", false, false),
        ] {
            let bytes = format!("GET / HTTP/1.1\r\nHost: here\r\n{fields}\r\n");
            let mut connection = Connection::new(Limits::default());
            let Ok((_, Event::Request(head))) = connection.advance(bytes.as_bytes()) else {
                unreachable!()
            };
            assert_eq!(
                WantedDigests::from_head(&head),
                WantedDigests { representation, content },
                "{fields}"
            );
        }
    }
}
