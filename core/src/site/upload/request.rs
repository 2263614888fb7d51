//! What the head of an upload says: its path, where it comes from, and which part of a file it has.
//!
//! ```
//! use doorstep_core::http1::{Connection, Event, Limits};
//! use doorstep_core::site::upload::request::{ContentRange, is_from_other_site};
//!
//! let mut connection = Connection::new(Limits::default());
//! let bytes = b"PUT /a HTTP/1.1\r\nHost: here\r\nContent-Range: bytes 3-9/10\r\nContent-Length: 7\r\n\
//!               Origin: http://evil.example\r\n\r\n";
//! let Ok((_, Event::Request(head))) = connection.advance(bytes) else { panic!() };
//! assert_eq!(ContentRange::from_head(&head), Ok(Some(ContentRange { first: 3, total: 10 })));
//! assert!(is_from_other_site(&head));
//! ```

use crate::bytes::parse_decimal;
use crate::http1::Head;
use crate::path::{self, Ending, PathError};
use crate::site::accept::Preference;

/// The path of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The clean path ([`crate::path`]).
    pub path: Vec<u8>,
    /// Whether the path of the request ends in a slash, as that of a directory.
    pub is_directory: bool,
}

impl Target {
    /// The path of the request.
    ///
    /// # Errors
    /// Returns an error if no file can have this path.
    pub fn from_head(head: &Head<'_>) -> Result<Self, PathError> {
        let mut path = Vec::new();
        let ending = path::normalize(head.path(), &mut path)?;
        Ok(Self { path, is_directory: ending != Ending::Name })
    }

    /// The directory, which may be empty, and the last component.
    #[must_use]
    pub fn split(&self) -> (&[u8], &[u8]) {
        match self.path.iter().rposition(|&b| b == b'/') {
            Some(slash) => (&self.path[..slash], &self.path[slash + 1..]),
            None => (b"", &self.path),
        }
    }

    /// Whether a component begins with a dot, also `.well-known`: whoever can write there can prove to
    /// a certificate authority that this server is theirs (RFC 8555 §8.3).
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.path.split(|&b| b == b'/').any(|component| component.starts_with(b"."))
    }
}

/// Whether the clean path `path` is `directory` or below it: for what is allowed there.
#[must_use]
pub fn is_beneath(directory: &[u8], path: &[u8]) -> bool {
    directory.is_empty()
        || path
            .strip_prefix(directory)
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}

/// Whether the clean path `path` may be `directory` or below it, in any letter case, since the file
/// system may not distinguish them: for what is refused there.
#[must_use]
pub fn may_be_beneath(directory: &[u8], path: &[u8]) -> bool {
    match path.get(..directory.len()) {
        Some(start) if start.eq_ignore_ascii_case(directory) => is_beneath(start, path),
        _ => false,
    }
}

/// Whether a page of another site has made a browser send this request (cross-site request forgery):
/// every page can send a form to any server that its reader can reach.
///
/// Browsers report it by `Sec-Fetch-Site`, if they have the page from HTTPS or from this machine, and
/// by `Origin` otherwise, which must then be that of `Host`. Programs send neither.
#[must_use]
pub fn is_from_other_site(head: &Head<'_>) -> bool {
    match head.single_header("Sec-Fetch-Site") {
        Some(b"same-origin" | b"none") => return false,
        Some(_) => return true,
        None if head.header("Sec-Fetch-Site").is_some() => return true,
        None => {}
    }
    if head.header("Origin").is_none() {
        return false;
    }
    let (Some(origin), Some(host)) = (head.single_header("Origin"), head.host()) else {
        return true;
    };
    let Some(at) = origin.windows(3).position(|window| window == b"://") else { return true };
    let default_port: &[u8] = match &origin[..at] {
        b"http" => b":80",
        b"https" => b":443",
        _ => return true,
    };
    let without_port = |authority| match <[u8]>::strip_suffix(authority, default_port) {
        Some(host) => host.to_ascii_lowercase(),
        None => authority.to_ascii_lowercase(),
    };
    without_port(&origin[at + 3..]) != without_port(host)
}

/// Whether the client wants a page for people, as browsers do.
#[must_use]
pub fn wants_page(head: &Head<'_>) -> bool {
    accepts(head, "text/html")
}

/// Whether the client wants JSON.
#[must_use]
pub fn wants_json(head: &Head<'_>) -> bool {
    accepts(head, "application/json")
}

fn accepts(head: &Head<'_>, media_type: &str) -> bool {
    let preference = Preference::new(media_type, head.header_list("accept"));
    preference.is_named() && preference.is_acceptable()
}

/// Whether the body is coded, as by gzip: it would be stored as it is, and sent without
/// `Content-Encoding`.
#[must_use]
pub fn is_coded(head: &Head<'_>) -> bool {
    head.header_list("Content-Encoding").any(|coding| !coding.eq_ignore_ascii_case(b"identity"))
}

/// `Content-Range: bytes FIRST-LAST/TOTAL` of a PUT (RFC 9110 §14.5): the body is the rest of the file,
/// from this byte to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// The offset of the first byte of the body.
    pub first: u64,
    /// The size of the whole file.
    pub total: u64,
}

/// A Content-Range that is malformed, or that of a part which does not go to the end of the file, or
/// has another length than the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadContentRange;

impl ContentRange {
    /// The part of the file that the request has; `None` if it has the whole file.
    ///
    /// # Errors
    /// Returns an error if this part cannot be stored.
    pub fn from_head(head: &Head<'_>) -> Result<Option<Self>, BadContentRange> {
        if head.header("Content-Range").is_none() {
            return Ok(None);
        }
        Self::parse(head).map(Some).ok_or(BadContentRange)
    }

    fn parse(head: &Head<'_>) -> Option<Self> {
        let value = head.single_header("Content-Range")?;
        let (unit, range) = value.split_at_checked(6)?;
        let mut parts = range.splitn(2, |&b| b == b'/');
        let mut ends = parts.next()?.splitn(2, |&b| b == b'-');
        let [first, last, total] = [ends.next()?, ends.next()?, parts.next()?].map(parse_decimal);
        let (first, last, total) = (first?, last?, total?);
        let is_rest = unit.eq_ignore_ascii_case(b"bytes ")
            && first <= last
            && last.checked_add(1) == Some(total);
        // A chunked body shows its length at its end.
        let length = head.header("Content-Length").map(parse_decimal);
        let fits = length.is_none_or(|length| length == Some(total - first));
        (is_rest && fits).then_some(Self { first, total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::{Connection, Event, Limits};

    fn with_head<T>(headers: &str, test: impl FnOnce(&Head<'_>) -> T) -> T {
        let bytes = format!("PUT /a%2fb/ HTTP/1.1\r\n{headers}\r\n");
        let mut connection = Connection::new(Limits::default());
        let Ok((_, Event::Request(head))) = connection.advance(bytes.as_bytes()) else {
            unreachable!("{headers}")
        };
        test(&head)
    }

    #[test]
    fn requests_of_other_sites_are_recognized() {
        for (headers, is_other) in [
            ("Host: here\r\n", false),
            ("Host: here\r\nOrigin: http://here\r\n", false),
            ("Host: Here:80\r\nOrigin: http://here\r\n", false),
            ("Host: here\r\nOrigin: https://here\r\n", false), // behind a proxy
            ("Host: here:443\r\nOrigin: https://here\r\n", false),
            ("Host: 192.168.1.2:8000\r\nOrigin: http://192.168.1.2:8000\r\n", false),
            ("Host: [::1]:8000\r\nOrigin: http://[::1]:8000\r\n", false),
            ("Host: here\r\nOrigin: http://here:8000\r\n", true),
            ("Host: here:8000\r\nOrigin: http://here\r\n", true),
            ("Host: here\r\nOrigin: http://evil\r\n", true),
            ("Host: here\r\nOrigin: null\r\n", true),
            ("Host: here\r\nOrigin: ftp://here\r\n", true),
            ("Host: here\r\nOrigin: http://here\r\nOrigin: http://here\r\n", true),
            ("Host: here\r\nSec-Fetch-Site: same-origin\r\n", false),
            ("Host: upstream\r\nOrigin: http://here\r\nSec-Fetch-Site: same-origin\r\n", false),
            ("Host: here\r\nSec-Fetch-Site: none\r\n", false),
            ("Host: here\r\nSec-Fetch-Site: same-site\r\n", true),
            ("Host: here\r\nSec-Fetch-Site: cross-site\r\n", true),
            ("Host: here\r\nSec-Fetch-Site: none\r\nSec-Fetch-Site: none\r\n", true),
        ] {
            assert_eq!(with_head(headers, is_from_other_site), is_other, "{headers}");
        }
    }

    #[test]
    fn rfc_9110_14_5_a_part_goes_to_the_end_of_the_file() {
        let range = |value: &str, length: &str| {
            let length = match length {
                "" => "Transfer-Encoding: chunked\r\n".into(),
                length => format!("Content-Length: {length}\r\n"),
            };
            with_head(
                &format!("Host: a\r\nContent-Range: {value}\r\n{length}"),
                ContentRange::from_head,
            )
        };
        let some = |first, total| Ok(Some(ContentRange { first, total }));
        assert_eq!(range("bytes 3-9/10", "7"), some(3, 10));
        assert_eq!(range("Bytes 3-9/10", ""), some(3, 10));
        assert_eq!(range("bytes 0-9/10", "10"), some(0, 10));
        assert_eq!(with_head("Host: a\r\n", ContentRange::from_head), Ok(None));
        for (value, length) in [
            ("bytes 3-8/10", "6"),
            ("bytes 3-9/10", "8"),
            ("bytes 3-9/*", "7"),
            ("bytes */10", "0"),
            ("bytes 9-3/10", "7"),
            ("bytes 3-9", "7"),
            ("bytes=3-9/10", "7"),
            ("items 3-9/10", "7"),
            ("bytes -1-9/10", "7"),
            ("", "7"),
            ("bytes 10-9/10", "0"),
            ("bytes 0-18446744073709551615/1", "1"),
        ] {
            assert_eq!(range(value, length), Err(BadContentRange), "{value}");
        }
        let twice = "Host: a\r\nContent-Range: bytes 0-0/1\r\nContent-Range: bytes 0-0/1\r\n";
        assert_eq!(with_head(twice, ContentRange::from_head), Err(BadContentRange));
    }

    #[test]
    fn a_target_is_a_directory_and_a_name() {
        let target = with_head("Host: a\r\n", Target::from_head).unwrap();
        assert!(target.is_directory);
        assert_eq!(target.split(), (&b"a"[..], &b"b"[..]));
        let hidden = |path: &[u8]| Target { path: path.into(), is_directory: false }.is_hidden();
        assert!(hidden(b".a") && hidden(b"a/.b/c") && hidden(b".well-known/x"));
        assert!(!hidden(b"a") && !hidden(b"") && !hidden(b"a.b/c.d"));
    }

    #[test]
    fn beneath_is_by_whole_components() {
        for (directory, path) in [("", ""), ("", "a/b"), ("a", "a"), ("a", "a/b"), ("a/b", "a/b/c")]
        {
            assert!(is_beneath(directory.as_bytes(), path.as_bytes()), "{directory} {path}");
            assert!(may_be_beneath(directory.as_bytes(), path.as_bytes()), "{directory} {path}");
        }
        for (directory, path) in [("a", ""), ("a", "ab"), ("a", "b/a"), ("a/b", "a")] {
            assert!(!is_beneath(directory.as_bytes(), path.as_bytes()), "{directory} {path}");
            assert!(!may_be_beneath(directory.as_bytes(), path.as_bytes()), "{directory} {path}");
        }
    }

    #[test]
    fn another_letter_case_is_not_allowed_and_may_be_refused() {
        assert!(!is_beneath(b"a/b", b"A/b/c"));
        assert!(may_be_beneath(b"a/b", b"A/b/c"));
    }

    #[test]
    fn coded_bodies_are_recognized() {
        assert!(with_head("Host: a\r\nContent-Encoding: gzip\r\n", is_coded));
        assert!(!with_head("Host: a\r\nContent-Encoding: Identity\r\n", is_coded));
        assert!(!with_head("Host: a\r\n", is_coded));
    }
}
