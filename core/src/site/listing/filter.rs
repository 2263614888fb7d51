//! The filter of a listing: the entries whose names contain a text, in any letter case.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use crate::http1::Head;

/// A text that names contain. It is not empty, and has no white space at its ends.
///
/// ```
/// use doorstep_core::site::listing::Filter;
///
/// let filter = Filter::from_query(Some(b"sort=size&filter=holiday+%C3%89T%C3%89")).unwrap();
/// assert_eq!(filter.text(), "holiday ÉTÉ");
/// assert!(filter.matches("My Holiday été.jpg".as_bytes()));
/// assert!(!filter.matches(b"holiday.jpg"));
/// assert_eq!(Filter::from_query(Some(b"filter=+")), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    text: Box<str>,
    lower_case: Box<str>,
}

impl Filter {
    /// Maximum length of the text in bytes, which is that of a name on every file system in use.
    /// What is beyond is left out.
    pub const MAX_LEN: usize = 255;

    /// The filter that a query asks for: the value of its last `filter=`, as a form encodes it, in which
    /// `+` is a space, and the rest is percent-encoded. Bytes that are not UTF-8 are replaced, and control
    /// characters are left out, which a page cannot hold. `None` if only white space is left, or if the
    /// query asks for no filter.
    #[must_use]
    pub fn from_query(query: Option<&[u8]>) -> Option<Self> {
        let words = query?.split(|&byte| byte == b'&');
        words.rev().find_map(|word| word.strip_prefix(b"filter=")).and_then(Self::from_value)
    }

    fn from_value(value: &[u8]) -> Option<Self> {
        let value = &value[..value.len().min(9 * Self::MAX_LEN)]; // decoded, at least MAX_LEN bytes
        let spaced: Vec<u8> =
            value.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
        let mut decoded = percent_decode(&spaced).decode_utf8_lossy().into_owned();
        decoded.retain(|character| !character.is_control());
        let trimmed = decoded.trim();
        let end = (0..=trimmed.len().min(Self::MAX_LEN)).rfind(|&at| trimmed.is_char_boundary(at));
        let text = trimmed[..end.unwrap_or(0)].trim_end();
        let lower_case = text.to_lowercase().into();
        (!text.is_empty()).then(|| Self { text: text.into(), lower_case })
    }

    /// The filter of a request ([`Filter::from_query`]).
    #[must_use]
    pub fn from_head(head: &Head<'_>) -> Option<Self> {
        Self::from_query(head.query())
    }

    /// The text, as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether `name` contains the text: both in Unicode lower case, with U+FFFD for bytes that are
    /// not UTF-8. The time is linear in the length of `name`.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        let mut ascii = [0; Self::MAX_LEN];
        let name = match ascii.get_mut(..name.len()).filter(|_| name.is_ascii()) {
            Some(lower) => {
                lower.copy_from_slice(name);
                lower.make_ascii_lowercase();
                String::from_utf8_lossy(lower)
            }
            None => Cow::Owned(String::from_utf8_lossy(name).to_lowercase()),
        };
        name.contains(&*self.lower_case)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Option<String> {
        Filter::from_value(value.as_bytes()).map(|filter| filter.text().to_owned())
    }

    #[test]
    fn a_value_is_decoded_as_a_form_encodes_it() {
        for (value, expected) in [
            ("a", Some("a")),
            ("A+b%20c%2Bd", Some("A b c+d")),
            ("++a+", Some("a")),
            ("%C3%A9%FF", Some("é\u{fffd}")),
            ("%", Some("%")),
            ("%zz", Some("%zz")),
            ("a%00%0A%0D%7f%C2%85b", Some("ab")),
            ("a=b", Some("a=b")),
            ("", None),
            ("+%20%09%0a", None),
        ] {
            assert_eq!(text(value).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn the_last_filter_of_a_query_counts() {
        for (query, expected) in [
            (Some("filter=a"), Some("a")),
            (Some("filter=a&sort=size&filter=b"), Some("b")),
            (Some("a"), None),
            (Some("filter"), None),
            (Some("xfilter=a"), None),
            (None, None),
        ] {
            let filter = Filter::from_query(query.map(str::as_bytes));
            assert_eq!(filter.as_ref().map(Filter::text), expected, "{query:?}");
        }
    }

    #[test]
    fn the_length_is_bounded() {
        assert_eq!(text(&"a".repeat(100_000)), Some("a".repeat(255)));
        assert_eq!(text(&"%C3%A9".repeat(100_000)), Some("é".repeat(127)));
        assert_eq!(text(&format!("{}+a", "%61".repeat(254))), Some("a".repeat(254)));
        assert!(text(&"%F0%9F%A6%80".repeat(300)).unwrap().len() <= Filter::MAX_LEN);
    }

    #[test]
    fn names_match_in_any_letter_case() {
        for (value, name, matches) in [
            ("readme", &b"README.md"[..], true),
            ("README", b"readme.md", true),
            (".md", b"README.md", true),
            ("md.", b"README.md", false),
            ("%C3%89T%C3%89", "été".as_bytes(), true),
            ("stra%C3%9Fe", "STRAßE".as_bytes(), true),
            ("a", b"", false),
            ("b", b"a\xffB", true),
            ("*", b"abc", false),
        ] {
            let filter = Filter::from_value(value.as_bytes()).unwrap();
            assert_eq!(filter.matches(name), matches, "{value} {}", name.escape_ascii());
        }
        let long = [&[b'x'; 300][..], b"END"].concat();
        assert!(Filter::from_value(b"xend").unwrap().matches(&long));
    }
}
