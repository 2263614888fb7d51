//! Normalization of a request target's path into a clean path below the root.
//!
//! The path is percent-decoded once, to bytes (B-122), then split at `/`. Empty components and `.`
//! are removed, and `..` removes the component before it. At the root, `..` is ignored (B-125), or
//! refused by [`normalize_strict`] (B-225). A clean path is relative, and none of its components is
//! empty, `.` or `..`, or holds a `/` or a NUL: there is no path traversal. This concerns text
//! only: the code that opens the file must check symbolic links.
//!
//! ```
//! use doorstep_core::path::{self, Ending};
//!
//! let mut clean = Vec::new();
//! assert_eq!(path::normalize(b"/a%20b/../../c/d%2f", &mut clean), Ok(Ending::Slash));
//! assert_eq!(clean, b"c/d");
//! assert_eq!(path::normalize(b"/x%00", &mut clean), Err(path::PathError::Nul));
//! ```

use alloc::vec::Vec;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

/// The maximum length of a clean path in bytes: what Linux accepts in one system call.
pub const MAX_PATH_LEN: usize = 4095;

/// The end of the decoded path, which decides what the path may name (B-121).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A name: a file, or a directory whose trailing `/` is missing.
    Name,
    /// `.` or `..`: a directory whose trailing `/` is missing (B-127, B-128).
    Dot,
    /// A `/`: a directory (B-129).
    Slash,
}

/// The reason why a path cannot be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathError {
    /// It holds a NUL: 400 (B-091).
    Nul,
    /// It is longer than [`MAX_PATH_LEN`]: 404 (B-171).
    TooLong,
    /// A component is more than a name on this system, such as `c:` or `a\b` on Windows: 404
    /// (B-126).
    InvalidName,
}

/// Normalizes `raw`, an undecoded path without a query, into `clean`, which is overwritten.
///
/// An empty clean path is the root itself. `clean` never grows beyond [`MAX_PATH_LEN`] and two
/// bytes. After an error, its contents are unspecified.
///
/// # Errors
/// Returns an error if no file can have such a path; see [`PathError`].
pub fn normalize(raw: &[u8], clean: &mut Vec<u8>) -> Result<Ending, PathError> {
    normalize_on(raw, clean, cfg!(windows)).map(|(ending, _)| ending)
}

/// As [`normalize`], but returns `None` if a `..` would lead above the root (B-225).
///
/// # Errors
/// As for [`normalize`].
pub fn normalize_strict(raw: &[u8], clean: &mut Vec<u8>) -> Result<Option<Ending>, PathError> {
    let (ending, clamped) = normalize_on(raw, clean, cfg!(windows))?;
    Ok((!clamped).then_some(ending))
}

/// Whether a component of a clean path starts with a dot. `.well-known` at the root is not hidden
/// (RFC 8615, B-131).
#[must_use]
pub fn is_hidden(clean: &[u8]) -> bool {
    let visible = match clean.strip_prefix(b".well-known") {
        Some(rest) if rest.is_empty() || rest.starts_with(b"/") => rest,
        _ => clean,
    };
    visible.split(|&b| b == b'/').any(|component| component.starts_with(b"."))
}

/// Appends `name`, percent-encoded for a link: everything except `A-Z a-z 0-9 _ . - ~ /` (B-151).
pub fn encode(out: &mut Vec<u8>, name: &[u8]) {
    for piece in percent_encode(name, ESCAPED) {
        out.extend_from_slice(piece.as_bytes());
    }
}

/// Appends the path of a request as it was received, for the `Location` of a redirect. `\` becomes `%5C`:
/// it may not be in a URI (RFC 3986 §2), and browsers read it as `/`, so that what begins with `/\` would be
/// at another host.
///
/// ```
/// use doorstep_core::path::encode_backslashes;
///
/// let mut location = Vec::new();
/// encode_backslashes(&mut location, br"/\evil.com/%2e");
/// assert_eq!(location, b"/%5Cevil.com/%2e");
/// ```
pub fn encode_backslashes(out: &mut Vec<u8>, path: &[u8]) {
    for (n, piece) in path.split(|&b| b == b'\\').enumerate() {
        out.extend_from_slice(if n > 0 { b"%5C" } else { b"" });
        out.extend_from_slice(piece);
    }
}

const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-').remove(b'~').remove(b'/');

/// What [`encode`] leaves as it is besides letters and digits.
#[cfg(feature = "site")]
pub(crate) const PLAIN: &[u8] = b"_.-~/";

/// Returns the ending, and whether a `..` was ignored at the root.
fn normalize_on(
    raw: &[u8],
    clean: &mut Vec<u8>,
    windows: bool,
) -> Result<(Ending, bool), PathError> {
    clean.clear();
    let mut start = 0; // of the current component, in `clean`
    let mut ending = Ending::Slash;
    let mut clamped = false;
    // An additional `/` at the end terminates the last component.
    for byte in percent_decode(raw).chain([b'/']) {
        match byte {
            0 => return Err(PathError::Nul),
            b'\\' | b':' if windows => return Err(PathError::InvalidName),
            b'/' => {
                clamped |= clean.as_slice() == b".."; // without a parent
                ending = end_component(clean, start);
                start = clean.len();
            }
            _ => {
                if start > 0 && clean.len() == start {
                    clean.push(b'/');
                    start += 1;
                }
                clean.push(byte);
            }
        }
        if clean.len() > MAX_PATH_LEN {
            return Err(PathError::TooLong);
        }
    }
    Ok((ending, clamped))
}

/// Ends the component that starts at `start`: keeps it, removes it, or removes its parent with it.
fn end_component(clean: &mut Vec<u8>, start: usize) -> Ending {
    let ending = match &clean[start..] {
        b"" => return Ending::Slash,
        b"." | b".." => Ending::Dot,
        _ => return Ending::Name,
    };
    let up = clean[start..].len() == 2;
    clean.truncate(start.saturating_sub(1)); // and the `/` before it
    if up {
        let parent = clean.iter().rposition(|&b| b == b'/').unwrap_or(0);
        clean.truncate(parent);
    }
    ending
}

#[cfg(test)]
mod tests {
    use super::{
        Ending, MAX_PATH_LEN, PathError, encode, is_hidden, normalize, normalize_on,
        normalize_strict,
    };
    use Ending::{Dot, Name, Slash};
    use proptest::prelude::*;

    fn check(raw: &[u8], clean: &[u8], ending: Ending) {
        let mut out = b"left over".to_vec();
        let raw_text = raw.escape_ascii();
        assert_eq!(normalize(raw, &mut out), Ok(ending), "{raw_text}");
        assert_eq!(out.escape_ascii().to_string(), clean.escape_ascii().to_string(), "{raw_text}");
    }

    #[test]
    fn b_121_the_trailing_slash_is_judged_on_the_decoded_text() {
        check(b"/", b"", Slash);
        check(b"/a", b"a", Name);
        check(b"/a/", b"a", Slash);
        check(b"/a%2f", b"a", Slash);
        check(b"/a%2F", b"a", Slash);
        check(b"/a//", b"a", Slash);
    }

    #[test]
    fn b_122_it_is_decoded_once_and_invalid_escapes_stay() {
        check(b"/a%20b", b"a b", Name);
        check(b"/a%2520b", b"a%20b", Name);
        check(b"/%zz%2", b"%zz%2", Name);
        check(b"/%", b"%", Name);
        check(b"/%c3%a9%FF", b"\xc3\xa9\xff", Name);
    }

    #[test]
    fn b_124_plus_is_no_space() {
        check(b"/a+b", b"a+b", Name);
    }

    #[test]
    fn b_125_dot_dot_is_clamped_at_the_root() {
        check(b"/../../etc/passwd", b"etc/passwd", Name);
        check(b"/%2e%2e/%2E%2E/x", b"x", Name);
        check(b"/..%2f..%2fx", b"x", Name);
        check(b"/a/../../../b", b"b", Name);
    }

    #[test]
    fn b_125_dots_and_double_slashes_collapse() {
        check(b"/a//b/./c/../d", b"a/b/d", Name);
        check(b"//a", b"a", Name);
        check(b"/a/b/c/../../../d", b"d", Name);
        check(b"/.../..a/a../.b", b".../..a/a../.b", Name);
    }

    #[test]
    fn b_225_strictly_nothing_climbs_above_the_root() {
        let strictly = |raw: &str| normalize_strict(raw.as_bytes(), &mut Vec::new());
        for raw in
            ["/..", "..", "/../a", "/a/../..", "/.//..", "/%2e%2e", "/..%2fa", "/a/../../a/b"]
        {
            assert_eq!(strictly(raw), Ok(None), "{raw}");
        }
        assert_eq!(strictly("/a/.."), Ok(Some(Dot)));
        assert_eq!(strictly("/a/../b"), Ok(Some(Name)));
        assert_eq!(strictly("/.../..a/a../"), Ok(Some(Slash)));
        assert_eq!(strictly("/../%00"), Err(PathError::Nul));
    }

    #[test]
    fn b_126_on_windows_a_separator_or_a_drive_is_refused() {
        for raw in ["/c:c:c:foo/filename", "/\\c:../filename", "/a%5cb", "/c:", "/x/c:\\..\\foo"] {
            let mut out = Vec::new();
            let refused = normalize_on(raw.as_bytes(), &mut out, true);
            assert_eq!(refused, Err(PathError::InvalidName), "{raw}");
            assert!(normalize_on(raw.as_bytes(), &mut out, false).is_ok(), "{raw}");
        }
    }

    #[test]
    fn b_127_b_128_dots_at_the_end_name_a_directory_without_its_slash() {
        check(b"/x/.", b"x", Dot);
        check(b"/x/y/..", b"x", Dot);
        check(b"/x/%2e", b"x", Dot);
        check(b"/..", b"", Dot);
        check(b"/.", b"", Dot);
        check(b"/x/./", b"x", Slash);
    }

    #[test]
    fn b_091_nul_is_refused() {
        for raw in [&b"/a%00b"[..], b"/%00", b"/a\0", b"/%00/../a"] {
            assert_eq!(normalize(raw, &mut Vec::new()), Err(PathError::Nul));
        }
    }

    #[test]
    fn b_171_a_path_no_system_takes_is_refused_and_costs_bounded_memory() {
        let mut out = Vec::new();
        let longest = format!("/{}", "a".repeat(MAX_PATH_LEN));
        assert_eq!(normalize(longest.as_bytes(), &mut out), Ok(Name));
        let longer = format!("/{}", "a/".repeat(60_000));
        assert_eq!(normalize(longer.as_bytes(), &mut out), Err(PathError::TooLong));
        assert!(out.len() <= MAX_PATH_LEN + 2);
        check("/./a/..".repeat(9_000).as_bytes(), b"", Dot);
    }

    #[test]
    fn b_131_a_component_with_a_leading_dot_is_hidden() {
        for path in [".git", ".git/config", "a/.b/c", ".well-knownx", "a/.well-known", ".."] {
            assert!(is_hidden(path.as_bytes()), "{path}");
        }
        assert!(is_hidden(b".well-known/.secret"));
        for path in ["", "a", "a.b/c.d", ".well-known", ".well-known/acme-challenge/x"] {
            assert!(!is_hidden(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn b_151_links_escape_everything_that_could_mean_something() {
        let mut out = Vec::new();
        encode(&mut out, b"az-AZ_09.~/ #?%:&\"<>'\xff\xc3\xa9\n");
        assert_eq!(out, b"az-AZ_09.~/%20%23%3F%25%3A%26%22%3C%3E%27%FF%C3%A9%0A");
    }

    proptest! {
        #[test]
        fn b_125_it_never_escapes(raw in r"(/|\.|%2e|%2F|%5c|a|%41|%zz|[\x01-\xff]){0,40}") {
            let mut clean = Vec::new();
            normalize(raw.as_bytes(), &mut clean).unwrap();
            for component in clean.split(|&b| b == b'/') {
                prop_assert!(clean.is_empty() || !component.is_empty());
                prop_assert!(component != b"." && component != b".." && !component.contains(&0));
            }
        }

        #[test]
        fn b_225_strictly_is_the_same_but_for_what_climbs(raw in r"(/|\.|\.\.|%2e|a){0,20}") {
            let (mut clean, mut same) = (Vec::new(), Vec::new());
            let ending = normalize(raw.as_bytes(), &mut clean).unwrap();
            let strictly = normalize_strict(raw.as_bytes(), &mut same).unwrap();
            let decoded = raw.replace("%2e", ".");
            let mut depth = 0;
            let climbs = decoded.split('/').any(|component| {
                depth += match component { "" | "." => 0, ".." => -1, _ => 1 };
                depth < 0
            });
            prop_assert_eq!(strictly, (!climbs).then_some(ending));
            prop_assert_eq!(clean, same);
        }

        #[test]
        fn b_123_what_is_linked_is_what_is_found(raw in proptest::collection::vec(any::<u8>(), 0..60)) {
            let (mut clean, mut link, mut again) = (Vec::new(), b"/".to_vec(), Vec::new());
            if normalize(&raw, &mut clean).is_ok() {
                encode(&mut link, &clean);
                let ending = if clean.is_empty() { Slash } else { Name };
                prop_assert_eq!(normalize(&link, &mut again), Ok(ending));
                prop_assert_eq!(clean, again);
            }
        }
    }
}
