//! Entity tags: what names one state of a file (RFC 9110 §8.8.3).
//!
//! [`EntityTag::from_stat`] makes a tag from what the file system knows: identity, size, and the times of
//! the last change of content and of anything else. It is opaque: none of these can be read off it.
//! It is strong only when the last change lies so far back that no second one can hide behind the
//! same times; until then it is weak, with the same opaque text, so that it still saves a 304.
//! [`matches_any`] reads the lists of If-Match and If-None-Match, and refuses what is none.
//!
//! ```
//! use doorstep_core::site::Stat;
//! use doorstep_core::site::etag::{Comparison, EntityTag, matches_any};
//!
//! let stat = Stat { size: 5, modified: 1_000, ..Stat::default() };
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

/// A file's entity tag as it is sent: `"0123456789abcdef"`, or with `W/` in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityTag {
    /// Always with `W/`; a strong tag is what stands behind it.
    text: [u8; 20],
    weak: bool,
}

/// How two tags are compared (RFC 9110 §8.8.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Both are strong and read the same: the bytes are the same.
    Strong,
    /// They read the same but for `W/`: the one can stand for the other.
    Weak,
}

/// How far back a change must lie before no other can hide behind the same times, in seconds: the
/// coarsest clock of a file system in use.
const MTIME_GRANULARITY_SECS: i64 = 2;

impl EntityTag {
    /// The tag of the file that `stat` is of; `now` is in seconds since 1970.
    #[must_use]
    pub fn from_stat(stat: &Stat, now: i64) -> Self {
        // The time of any change counts too: that of the content can be set back, it cannot.
        let (changed, changed_nanos) = stat.changed;
        let nanos = u64::from(stat.modified_nanos) << 32 | u64::from(changed_nanos);
        let [modified, changed_at] = [stat.modified, changed].map(i64::cast_unsigned);
        let hash = hash([stat.device, stat.inode, stat.size, modified, changed_at, nanos]);

        let mut text = *b"W/\"0123456789abcdef\"";
        text[3..19].copy_from_slice(&hex(hash));
        Self {
            text,
            weak: now.saturating_sub(stat.modified.max(changed)) <= MTIME_GRANULARITY_SECS,
        }
    }

    /// Whether it promises less than the same bytes.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        self.weak
    }

    /// What stands between its quotes: hexadecimal digits.
    pub(super) fn opaque(&self) -> &[u8] {
        &self.text[3..19]
    }

    /// Whether `text`, one entity tag and nothing else, is this one.
    #[must_use]
    pub fn matches(&self, text: &[u8], comparison: Comparison) -> bool {
        matches!(split_tag(text), Some((weak, opaque, b"")) if self.equals(weak, opaque, comparison))
    }

    fn equals(&self, weak: bool, opaque: &[u8], comparison: Comparison) -> bool {
        opaque == self.opaque() && (comparison == Comparison::Weak || !weak && !self.weak)
    }
}

impl AsRef<[u8]> for EntityTag {
    /// The value of `ETag`.
    fn as_ref(&self) -> &[u8] {
        if self.weak { &self.text } else { &self.text[2..] }
    }
}

/// Whether a list of tags, on one or several header lines, has `tag` in it; `*` has every tag.
/// `None` when it is no such list, or an empty one: then the header is to be ignored.
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
                return None; // two tags without a comma between them
            }
        }
    }
    match (tags, stars) {
        (0, 0) => None,
        (_, 0) => Some(found),
        (0, 1) => Some(true),
        _ => None, // the star stands alone
    }
}

/// Takes an entity tag off the front: whether it is weak, what is between its quotes, what follows.
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

/// One number for several. Each step can be undone, so that lists which differ in one word only
/// never have the same.
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
    fn b_182_every_part_of_a_files_state_shows_in_its_tag() {
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
    fn b_182_a_tag_is_strong_once_no_change_can_hide() {
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
    fn what_is_no_list_of_tags_is_none() {
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
    fn numbers_side_by_side_have_nothing_in_common() {
        let bits = (0..1_000_u64).map(|n| (hash([n]) ^ hash([n + 1])).count_ones());
        assert!((28..36).contains(&(bits.sum::<u32>() / 1_000)), "half of 64");
    }
}
