//! Entity tags (RFC 9110 §8.8.3): each names one state of a file.
//!
//! [`EntityTag::from_stat`] makes a tag from the file's identity, its size, and the times of the
//! last change of its content and of its metadata. The tag is opaque: these values cannot be read
//! from it. It is strong only if the last change is so long ago that a second change would have
//! another time; until then it is weak, with the same opaque text, so that revalidation still
//! yields a 304. [`matches_any`] parses the lists of If-Match and If-None-Match.
//!
//! ```
//! use doorstep_core::site::Stat;
//! use doorstep_core::site::etag::{Comparison, EntityTag, matches_any};
//!
//! let stat = Stat::new(5, 1_000);
//! let (fresh, settled) = (EntityTag::from_stat(&stat, 1_001), EntityTag::from_stat(&stat, 1_003));
//! assert!(fresh.is_weak() && !settled.is_weak());
//!
//! let list = [fresh.as_ref()];
//! assert_eq!(matches_any(&settled, list, Comparison::Weak), Some(true));
//! assert_eq!(matches_any(&settled, list, Comparison::Strong), Some(false));
//! assert_eq!(matches_any(&settled, [&b"rubbish"[..]], Comparison::Weak), None);
//! ```

use super::Stat;
use crate::bytes::hex;

/// The entity tag of a file as it is sent: `"0123456789abcdef"`, with `W/` before it if it is weak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityTag {
    /// Begins with `W/`, which a strong tag leaves out.
    text: [u8; 20],
    weak: bool,
}

/// How two tags are compared (RFC 9110 §8.8.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Strong comparison: both are strong and have the same text.
    Strong,
    /// Weak comparison: both have the same text, apart from `W/`.
    Weak,
}

/// How long ago a change must be for another one to have another time, in seconds: the coarsest
/// timestamps of a file system in use.
const MTIME_GRANULARITY_SECS: i64 = 2;

impl EntityTag {
    /// The tag of the file that `stat` is of; `now` is in seconds since 1970.
    #[must_use]
    pub fn from_stat(stat: &Stat, now: i64) -> Self {
        // The time of the last metadata change counts, too: unlike that of the content, it cannot
        // be set.
        let (changed, changed_nanos) = stat.changed;
        let nanos = u64::from(stat.modified_nanos) << 32 | u64::from(changed_nanos);
        let [modified, changed_at] = [stat.modified, changed].map(i64::cast_unsigned);
        let hash = hash([stat.device, stat.inode, stat.size, modified, changed_at, nanos]);

        let mut text = *b"W/\"0123456789abcdef\"";
        text[3..19].copy_from_slice(&hex(hash));
        Self { text, weak: !stat.is_settled(now) }
    }

    /// Until when the tag of the file that `stat` is of is weak, in seconds since 1970.
    pub(super) fn weak_until(stat: &Stat) -> i64 {
        stat.modified.max(stat.changed.0).saturating_add(MTIME_GRANULARITY_SECS)
    }

    /// Whether the tag is weak.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        self.weak
    }

    /// The text between the quotes: hexadecimal digits.
    pub(super) fn opaque(&self) -> &[u8] {
        &self.text[3..19]
    }

    /// Whether `text`, one entity tag and nothing else, equals this tag.
    #[must_use]
    pub fn matches(&self, text: &[u8], comparison: Comparison) -> bool {
        matches!(split_tag(text), Some((weak, opaque, b"")) if self.equals(weak, opaque, comparison))
    }

    fn equals(&self, weak: bool, opaque: &[u8], comparison: Comparison) -> bool {
        opaque == self.opaque() && (comparison == Comparison::Weak || !weak && !self.weak)
    }
}

impl Stat {
    /// Whether the last change of the file is so long ago that another one would have another time: then
    /// equal metadata means equal content, and its tag is strong. `now` is in seconds since 1970.
    #[must_use]
    pub fn is_settled(&self, now: i64) -> bool {
        now > EntityTag::weak_until(self)
    }
}

impl AsRef<[u8]> for EntityTag {
    /// The value of `ETag`.
    fn as_ref(&self) -> &[u8] {
        if self.weak { &self.text } else { &self.text[2..] }
    }
}

/// Whether a list of tags, on one or several header lines, contains `tag`; `*` contains every tag.
/// `None` if the list is malformed or empty: the header is ignored then.
pub fn matches_any(
    tag: &EntityTag,
    lines: impl IntoIterator<Item: AsRef<[u8]>>,
    comparison: Comparison,
) -> Option<bool> {
    let (mut found, mut tags, mut stars) = (false, 0_usize, 0_usize);
    for line in lines {
        let mut rest = line.as_ref();
        loop {
            rest = skip_bytes(rest, b" \t,");
            match rest {
                [] => break,
                [b'*', after @ ..] => {
                    stars += 1;
                    rest = after;
                }
                _ => {
                    let (weak, opaque, after) = split_tag(rest)?;
                    tags += 1;
                    found |= tag.equals(weak, opaque, comparison);
                    rest = after;
                }
            }
            rest = skip_bytes(rest, b" \t");
            if !rest.is_empty() && rest[0] != b',' {
                return None; // no comma between two tags
            }
        }
    }
    match (tags, stars) {
        (0, 0) => None,
        (_, 0) => Some(found),
        (0, 1) => Some(true),
        _ => None, // `*` must be alone
    }
}

/// Splits an entity tag off the front: whether it is weak, the text between its quotes, and the
/// rest.
fn split_tag(text: &[u8]) -> Option<(bool, &[u8], &[u8])> {
    let (weak, quoted) = match text.strip_prefix(b"W/") {
        Some(quoted) => (true, quoted), // in upper case only
        None => (false, text),
    };
    let inside = quoted.strip_prefix(b"\"")?;
    let end = inside.iter().position(|&b| b == b'"')?;
    let opaque = &inside[..end];
    let fits = opaque.iter().all(|&b| b == b'!' || b > b'"' && b != 0x7f);
    fits.then_some((weak, opaque, &inside[end + 1..]))
}

fn skip_bytes<'b>(text: &'b [u8], what: &[u8]) -> &'b [u8] {
    let end = text.iter().position(|b| !what.contains(b)).unwrap_or(text.len());
    &text[end..]
}

/// A hash of several numbers. Each step is reversible, so lists that differ in exactly one number
/// have different hashes.
pub(super) fn hash(words: impl IntoIterator<Item = u64>) -> u64 {
    words.into_iter().fold(0x243f_6a88_85a3_08d3, |hash, word| {
        let mixed = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ mixed >> 31).wrapping_mul(0xd6e8_feb8_6659_fd93);
        mixed ^ mixed >> 32
    })
}

#[cfg(test)]
mod tests {
    use super::Comparison::{Strong, Weak};
    use super::{EntityTag, Stat, hash, matches_any};

    const STAT: Stat = Stat {
        size: 9,
        modified: 1_000,
        modified_nanos: 5,
        device: 1,
        inode: 2,
        changed: (1_000, 6),
    };

    fn strong() -> EntityTag {
        EntityTag::from_stat(&STAT, 2_000)
    }

    /// `list` with `T` for the strong tag's quoted text.
    fn listed(list: &str, comparison: super::Comparison) -> Option<bool> {
        let tag = String::from_utf8(strong().as_ref().to_vec()).unwrap();
        matches_any(&strong(), [list.replace('T', &tag).as_bytes()], comparison)
    }

    #[test]
    fn b_182_every_part_of_the_metadata_changes_the_tag() {
        let others = [
            Stat { size: 10, ..STAT },
            Stat { modified: 999, ..STAT },
            Stat { modified_nanos: 4, ..STAT },
            Stat { device: 2, ..STAT },
            Stat { inode: 3, ..STAT },
            Stat { changed: (999, 6), ..STAT },
            Stat { changed: (1_000, 5), ..STAT },
        ];
        for other in others {
            assert_ne!(EntityTag::from_stat(&other, 2_000), strong(), "{other:?}");
        }
        assert_eq!(EntityTag::from_stat(&STAT, 3_000), strong(), "time itself changes nothing");
    }

    #[test]
    fn b_182_a_tag_is_strong_once_its_times_are_unambiguous() {
        for (now, weak) in [(0, true), (1_000, true), (1_002, true), (1_003, false)] {
            assert_eq!(EntityTag::from_stat(&STAT, now).is_weak(), weak, "{now}");
        }
        let touched = Stat { changed: (1_500, 0), ..STAT };
        assert!(
            EntityTag::from_stat(&touched, 1_501).is_weak(),
            "its date was set back a moment ago"
        );
        let future = Stat { modified: i64::MAX, ..STAT };
        assert!(EntityTag::from_stat(&future, i64::MIN).is_weak());
        assert_eq!(strong().as_ref().len(), 18);
        assert_eq!(
            EntityTag::from_stat(&STAT, 1_000).as_ref(),
            [b"W/", strong().as_ref()].concat()
        );
    }

    #[test]
    fn rfc_9110_8_8_3_2_strong_and_weak_comparison() {
        let weak = EntityTag::from_stat(&STAT, 1_000);
        let cases = [
            (strong(), strong(), true, true),
            (strong(), weak, false, true),
            (weak, strong(), false, true),
            (weak, weak, false, true),
        ];
        for (one, other, strongly, weakly) in cases {
            assert_eq!(one.matches(other.as_ref(), Strong), strongly);
            assert_eq!(one.matches(other.as_ref(), Weak), weakly);
        }
        assert!(!strong().matches(b"\"another\"", Weak) && !strong().matches(b"", Weak));
        assert!(!strong().matches(b"*", Weak), "a list only");
    }

    #[test]
    fn lists_of_tags() {
        for list in ["T", "W/T", "\"a\", T", "T,\"a\"", ",, T ,", "\"a,b\" ,\tT", "*", "\"\",T"] {
            assert_eq!(listed(list, Weak), Some(true), "{list}");
        }
        for list in ["\"a\"", "\"a\", W/\"b\"", "\"*\"", "\"\"", "\"\u{e9}\""] {
            assert_eq!(listed(list, Weak), Some(false), "{list}");
        }
        assert_eq!(listed("W/T, \"a\"", Strong), Some(false));
        assert_eq!(listed("W/T, T", Strong), Some(true));
    }

    #[test]
    fn malformed_lists_of_tags() {
        let none = ["", ",", "a", "T a", "T T", "T\"a\"", "w/T", "W/", "\"", "T, \"", "T, *", "**"];
        for list in none.into_iter().chain(["*, *", "\"a b\"", "\"a\tb\"", "'a'", "W/*"]) {
            assert_eq!(listed(list, Weak), None, "{list}");
        }
    }

    #[test]
    fn a_list_may_be_on_several_lines() {
        let tag = strong();
        let lines = [&b"\"a\""[..], b"", tag.as_ref()];
        assert_eq!(matches_any(&tag, lines, Strong), Some(true));
        assert_eq!(matches_any(&tag, [&b"*"[..], b"\"a\""], Strong), None);
    }

    #[test]
    fn hashes_of_adjacent_numbers_are_unrelated() {
        let bits = (0..1_000_u64).map(|n| (hash([n]) ^ hash([n + 1])).count_ones());
        assert!((28..36).contains(&(bits.sum::<u32>() / 1_000)), "half of 64");
    }
}
