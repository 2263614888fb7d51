//! Names of files that clients store.
//!
//! [`check`] is for a PUT, whose path is the name: it is stored as it is, or refused. [`clean`] is for a
//! form, whose names come from a disk that may have other rules: it takes what it can use.
//!
//! | name | PUT | form |
//! |---|---|---|
//! | a path: `dir/a.txt`, `C:\dir\a.txt` | the path of the request | `a.txt` |
//! | control and format characters, such as LF and the bidirectional ones | refused | removed |
//! | a leading dot: `.bashrc` (hidden) | refused | removed: `bashrc` |
//! | spaces at the beginning or the end | refused | removed |
//! | empty, `.`, `..`, or nothing left | refused | refused |
//! | not UTF-8 | refused | refused |
//! | longer than the limit | refused | refused |
//! | reserved on Windows: `aux`, `a:b`, `a*` | stored | stored |
//!
//! The joiners of emoji and of some scripts (U+200C, U+200D) are no format characters here. A backslash
//! separates, so no name has one.
//!
//! ```
//! use doorstep_core::site::upload::name::{NameError, check, clean};
//!
//! assert_eq!(clean(b"../.profile\n", 255).unwrap(), "profile");
//! assert_eq!(check(b".profile", 255), Err(NameError::Hidden));
//! assert_eq!(check(b" a", 255), Err(NameError::Space));
//! assert_eq!(clean(b" a ", 255).unwrap(), "a");
//! ```

use core::fmt;

use crate::log::is_control_or_format;

/// Why a file cannot have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// It is empty, or nothing is left of it.
    Empty,
    /// It begins with a dot.
    Hidden,
    /// It has a slash or a backslash.
    Separator,
    /// It has control or format characters.
    Control,
    /// It begins or ends with a space.
    Space,
    /// It is not UTF-8.
    NotUtf8,
    /// It is longer than this number of bytes.
    TooLong(usize),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("A file needs a name."),
            Self::Hidden => {
                f.write_str("The name begins with a dot: hidden files cannot be uploaded.")
            }
            Self::Separator => f.write_str("The name has a slash or a backslash."),
            Self::Control => f.write_str("The name has control or format characters."),
            Self::Space => f.write_str("The name begins or ends with a space."),
            Self::NotUtf8 => f.write_str("The name is not UTF-8."),
            Self::TooLong(most) => write!(f, "The name is longer than {most} bytes."),
        }
    }
}

impl core::error::Error for NameError {}

/// Checks the name of a file, which is at most `max_len` bytes long.
///
/// # Errors
/// Returns the rule that the name does not follow.
pub fn check(name: &[u8], max_len: usize) -> Result<&str, NameError> {
    let text = str::from_utf8(name).map_err(|_| NameError::NotUtf8)?;
    match text {
        "" => Err(NameError::Empty),
        _ if text.starts_with('.') => Err(NameError::Hidden),
        _ if text.contains(['/', '\\']) => Err(NameError::Separator),
        _ if text.contains(is_removed) => Err(NameError::Control),
        _ if text.trim() != text => Err(NameError::Space),
        _ if text.len() > max_len => Err(NameError::TooLong(max_len)),
        _ => Ok(text),
    }
}

/// The name under which a file of a form is stored: the last component of what the client calls it,
/// cleaned, and at most `max_len` bytes long.
///
/// # Errors
/// Returns [`NameError::NotUtf8`], [`NameError::Empty`] or [`NameError::TooLong`].
pub fn clean(filename: &[u8], max_len: usize) -> Result<String, NameError> {
    let text = str::from_utf8(filename).map_err(|_| NameError::NotUtf8)?;
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last.chars().filter(|&c| !is_removed(c)).collect();
    let is_leading = |c: char| c == '.' || c.is_whitespace();
    let name = plain.trim_start_matches(is_leading).trim_end();
    check(name.as_bytes(), max_len).map(Into::into)
}

/// Whether a character changes how a name is shown.
fn is_removed(c: char) -> bool {
    is_control_or_format(c) && !matches!(c, '\u{200c}' | '\u{200d}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_forms_are_cleaned() {
        for (filename, name) in [
            ("a.txt", "a.txt"),
            ("dir/a.txt", "a.txt"),
            ("C:\\dir\\a.txt", "a.txt"),
            ("..\\../a", "a"),
            ("../../etc/passwd", "passwd"),
            (".bashrc", "bashrc"),
            ("...a", "a"),
            (". .a", "a"),
            ("a\r\nb\0c\x7f\u{85}", "abc"),
            ("\u{202e}gnp.exe", "gnp.exe"),
            ("  a b  ", "a b"),
            ("a.", "a."),
            ("aux", "aux"),
            ("a:b*?\"<>|", "a:b*?\"<>|"),
            ("tü.txt", "tü.txt"),
            ("\u{1f469}\u{200d}\u{1f4bb}.png", "\u{1f469}\u{200d}\u{1f4bb}.png"),
        ] {
            assert_eq!(clean(filename.as_bytes(), 255).as_deref(), Ok(name), "{filename:?}");
        }
        for filename in ["", ".", "..", "...", "dir/", "a\\", "/", "\u{202e}", " ", "\n.\n"] {
            assert_eq!(clean(filename.as_bytes(), 255), Err(NameError::Empty), "{filename:?}");
        }
        assert_eq!(clean(b"\xff", 255), Err(NameError::NotUtf8));
        assert_eq!(clean(b"abcd", 3), Err(NameError::TooLong(3)));
        assert_eq!(clean(b"x/.abc", 3).as_deref(), Ok("abc"));
    }

    #[test]
    fn names_of_paths_are_stored_as_they_are_or_refused() {
        for name in ["a", "a.txt", "a b", "index.html", "aux", "ü", "-", "a..b", "~"] {
            assert_eq!(check(name.as_bytes(), 255), Ok(name));
        }
        for (name, error) in [
            (&b""[..], NameError::Empty),
            (b".", NameError::Hidden),
            (b"..", NameError::Hidden),
            (b".a", NameError::Hidden),
            (b"a/b", NameError::Separator),
            (b"a\\b", NameError::Separator),
            (b"a\nb", NameError::Control),
            (b"a\xe2\x80\xaeb", NameError::Control),
            (b"a ", NameError::Space),
            (b" a", NameError::Space),
            (b"\xff", NameError::NotUtf8),
        ] {
            assert_eq!(check(name, 255), Err(error), "{}", name.escape_ascii());
        }
        assert_eq!(check(&[b'a'; 256], 255), Err(NameError::TooLong(255)));
    }

    proptest! {
        #[test]
        fn a_clean_name_is_one_visible_component(filename in r"(\PC|[./\\ \x00-\x1f]|\u{202e}|\u{200b}){0,30}") {
            match clean(filename.as_bytes(), 40) {
                Ok(name) => {
                    prop_assert_eq!(check(name.as_bytes(), 40), Ok(&*name));
                    prop_assert_eq!(clean(name.as_bytes(), 40), Ok(name.clone()));
                    prop_assert!(filename.chars().filter(|c| !is_removed(*c)).collect::<String>().contains(&name));
                    prop_assert!(!crate::path::is_hidden(name.as_bytes()) && !name.contains('/'));
                }
                Err(error) => prop_assert!(matches!(error, NameError::Empty | NameError::TooLong(40))),
            }
        }

        #[test]
        fn any_bytes_are_cleaned_without_a_panic(filename in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (clean(&filename, 20), check(&filename, 20));
        }
    }
}
