//! Range requests: the part of a file that is sent (RFC 9110 §14).
//!
//! [`select`] applies the Range header to a size. Ranges that overlap or are adjacent become one,
//! at the place of the first of them, so that no byte is sent twice. A malformed header, another
//! unit than bytes, or too many ranges yield the whole file, as the RFC allows. Whether the header
//! applies at all is decided by [`super::preconditions::evaluate`].
//!
//! ```
//! use doorstep_core::site::range::{ByteRange, Selection, select};
//!
//! let of_100 = |field: &[u8]| select([field], 100, 512);
//! assert_eq!(of_100(b"bytes=10-"), Selection::One(ByteRange { first: 10, last: 99 }));
//! assert_eq!(of_100(b"bytes=-10, 90-95"), Selection::One(ByteRange { first: 90, last: 99 }));
//! assert_eq!(of_100(b"bytes=100-"), Selection::Unsatisfiable);
//! assert_eq!(of_100(b"bytes=9-1"), Selection::Whole);
//! ```

use std::iter;

use crate::bytes::{self, Decimal, ShortText};

/// A range of bytes in a file: at least one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// The offset of the first byte.
    pub first: u64,
    /// The offset of the last byte, which is included.
    pub last: u64,
}

/// The part of a file to send.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Selection {
    /// The whole file: 200.
    #[default]
    Whole,
    /// One range: 206 with Content-Range.
    One(ByteRange),
    /// Two or more ranges that are neither overlapping nor adjacent: 206, each a part of a
    /// [`multipart`](super::multipart).
    Several(Vec<ByteRange>),
    /// Every range begins beyond the end of the file: 416.
    Unsatisfiable,
}

impl ByteRange {
    /// The number of bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> u64 {
        self.last - self.first + 1
    }

    /// Whether it includes the last byte of a file of `size` bytes.
    #[must_use]
    pub fn reaches_end(&self, size: u64) -> bool {
        self.last.checked_add(1).is_none_or(|end| end >= size)
    }

    /// Appends the value of Content-Range (RFC 9110 §14.4).
    pub fn write_content_range(&self, size: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(self.content_range(size).as_bytes());
    }

    pub(super) fn content_range(&self, size: u64) -> ShortText {
        let [first, last, size] = [self.first, self.last, size].map(Decimal::new);
        let parts = [b"bytes ", first.as_bytes(), b"-", last.as_bytes(), b"/", size.as_bytes()];
        ShortText::concat(&parts)
    }

    /// The range that covers both, unless a byte lies between them.
    fn merge(self, other: Self) -> Option<Self> {
        let apart = self.first.max(other.first) > self.last.min(other.last).saturating_add(1);
        let (first, last) = (self.first.min(other.first), self.last.max(other.last));
        (!apart).then_some(Self { first, last })
    }
}

/// Parses the lines of Range for a file of `size` bytes. Several lines form one list (RFC 9110
/// §5.3). A request for more than `max_ranges` ranges gets the whole file.
#[must_use]
pub fn select<'a>(
    lines: impl IntoIterator<Item = &'a [u8]>,
    size: u64,
    max_ranges: usize,
) -> Selection {
    let mut lines = lines.into_iter();
    let first: Option<&'a [u8]> = lines.next();
    let Some(set) = first.and_then(strip_bytes_unit) else { return Selection::Whole };
    let members = iter::once(set).chain(lines).flat_map(bytes::list_members);
    let mut read = 0;
    let (mut several, mut latest) = (Vec::new(), None::<ByteRange>);
    for spec in members {
        let Some(spec) = RangeSpec::parse(spec) else { return Selection::Whole };
        read += 1;
        if read > max_ranges {
            return Selection::Whole;
        }
        let range = match spec.satisfy(size) {
            Satisfied::Unsatisfiable => continue,
            Satisfied::Whole => return Selection::Whole,
            Satisfied::Range(range) => range,
        };
        match latest.map(|before| before.merge(range).ok_or(before)) {
            None => latest = Some(range),
            Some(Ok(both)) => latest = Some(both), // one range needs no memory
            Some(Err(before)) => {
                several.push(before);
                latest = Some(range);
            }
        }
    }
    match latest {
        None if read == 0 => Selection::Whole,
        None => Selection::Unsatisfiable,
        Some(range) if several.is_empty() => Selection::One(range),
        Some(range) => {
            several.push(range);
            match coalesce(several) {
                ranges if ranges.len() == 1 => Selection::One(ranges[0]),
                ranges => Selection::Several(ranges),
            }
        }
    }
}

/// The ranges after `bytes=`, in any letter case.
fn strip_bytes_unit(field: &[u8]) -> Option<&[u8]> {
    let (unit, set) = field.split_at_checked(6)?;
    unit.eq_ignore_ascii_case(b"bytes=").then_some(set)
}

/// One member of the list: `first-`, `first-last` or `-suffix`.
enum RangeSpec {
    Int(u64, u64),
    Suffix(u64),
}

/// A [`RangeSpec`] applied to a size.
enum Satisfied {
    Unsatisfiable,
    Range(ByteRange),
    /// A suffix of an empty file: satisfiable, but without a range of bytes.
    Whole,
}

impl RangeSpec {
    fn parse(text: &[u8]) -> Option<Self> {
        let dash = text.iter().position(|&b| b == b'-')?;
        let (first, last) = (&text[..dash], &text[dash + 1..]);
        if first.is_empty() {
            return parse_offset(last).map(Self::Suffix);
        }
        let first = parse_offset(first)?;
        let last = if last.is_empty() { u64::MAX } else { parse_offset(last)? };
        (first <= last).then_some(Self::Int(first, last))
    }

    fn satisfy(&self, size: u64) -> Satisfied {
        match *self {
            Self::Suffix(0) => Satisfied::Unsatisfiable,
            Self::Suffix(_) if size == 0 => Satisfied::Whole,
            Self::Suffix(n) => {
                Satisfied::Range(ByteRange { first: size.saturating_sub(n), last: size - 1 })
            }
            Self::Int(first, _) if first >= size => Satisfied::Unsatisfiable,
            Self::Int(first, last) => {
                Satisfied::Range(ByteRange { first, last: last.min(size - 1) })
            }
        }
    }
}

/// One or more digits. A number of more than 64 bits is the largest one.
fn parse_offset(digits: &[u8]) -> Option<u64> {
    bytes::is_decimal(digits).then(|| bytes::parse_decimal(digits).unwrap_or(u64::MAX))
}

/// Merges ranges that overlap or are adjacent. A merged range has the place of its first one.
fn coalesce(ranges: Vec<ByteRange>) -> Vec<ByteRange> {
    let mut sorted: Vec<_> = ranges.into_iter().enumerate().collect();
    sorted.sort_unstable_by_key(|(_, range)| range.first);
    sorted.dedup_by(|(place, range), (first, before)| {
        let both = before.merge(*range);
        if let Some(both) = both {
            (*first, *before) = ((*first).min(*place), both);
        }
        both.is_some()
    });
    sorted.sort_unstable_by_key(|&(place, _)| place);
    sorted.into_iter().map(|(_, range)| range).collect()
}

#[cfg(test)]
#[path = "range_tests.rs"]
mod tests;
