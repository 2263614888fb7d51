//! Which bytes of a file were asked for (RFC 9110 §14).
//!
//! [`select`] reads the Range field against a size. Ranges that overlap or touch become one, in the
//! place of the first of them; what is malformed, in another unit than bytes, or more than
//! [`MOST`] ranges long is answered with the whole, as the RFC allows for all three. Whether the
//! field counts at all is [`super::conditional::check`]'s to say.
//!
//! ```
//! use doorstep_core::site::range::{ByteRange, Selection, select};
//!
//! assert_eq!(select(b"bytes=10-", 100), Selection::One(ByteRange { first: 10, last: 99 }));
//! assert_eq!(select(b"bytes=-10, 90-95", 100), Selection::One(ByteRange { first: 90, last: 99 }));
//! assert_eq!(select(b"bytes=100-", 100), Selection::Unsatisfiable);
//! assert_eq!(select(b"bytes=9-1", 100), Selection::Whole);
//! ```

use crate::page::number;

/// The most ranges that are sent; whoever asks for more gets the whole.
pub const MOST: usize = 16;

/// The most ranges that are read, before any become one.
const MOST_READ: usize = 64;

/// Some bytes of a file: at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// The offset of the first byte.
    pub first: u64,
    /// The offset of the last byte, which is part of it.
    pub last: u64,
}

/// What is to be sent of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Selection {
    /// All of it: 200.
    #[default]
    Whole,
    /// This: 206 with Content-Range.
    One(ByteRange),
    /// These, two or more that neither overlap nor touch: 206, each a part of a
    /// [`multipart`](super::multipart).
    Several(Vec<ByteRange>),
    /// None of the ranges begins inside the file: 416.
    Unsatisfiable,
}

impl ByteRange {
    /// How many bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> u64 {
        self.last - self.first + 1
    }

    /// Appends the value of Content-Range (RFC 9110 §14.4).
    pub fn write(&self, size: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(b"bytes ");
        number(out, self.first);
        out.push(b'-');
        number(out, self.last);
        out.push(b'/');
        number(out, size);
    }

    /// Both as one, if no byte lies between them.
    fn joined(self, other: Self) -> Option<Self> {
        let apart = self.first.max(other.first) > self.last.min(other.last).saturating_add(1);
        let (first, last) = (self.first.min(other.first), self.last.max(other.last));
        (!apart).then_some(Self { first, last })
    }
}

/// Reads `field`, the value of Range, for a file of `size` bytes.
#[must_use]
pub fn select(field: &[u8], size: u64) -> Selection {
    let Some(set) = bytes(field) else { return Selection::Whole };
    let mut chosen = [ByteRange { first: 0, last: 0 }; MOST];
    let (mut count, mut read) = (0, 0);
    for spec in set.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|spec| !spec.is_empty()) {
        let Some(spec) = Spec::parse(spec) else { return Selection::Whole };
        read += 1;
        if read > MOST_READ {
            return Selection::Whole;
        }
        match spec.within(size) {
            Within::Nothing => {}
            Within::All => return Selection::Whole,
            Within::Some(range) => match insert(&mut chosen, count, range) {
                Some(now) => count = now,
                None => return Selection::Whole,
            },
        }
    }
    match (read, &chosen[..count]) {
        (0, _) => Selection::Whole,
        (_, []) => Selection::Unsatisfiable,
        (_, [one]) => Selection::One(*one),
        (_, several) => Selection::Several(several.to_vec()),
    }
}

/// What follows `bytes=`; a unit may be in any case of letters.
fn bytes(field: &[u8]) -> Option<&[u8]> {
    let (unit, set) = field.split_at_checked(6)?;
    unit.eq_ignore_ascii_case(b"bytes=").then_some(set)
}

/// One member of the field: `first-`, `first-last` or `-suffix`.
enum Spec {
    From(u64, u64),
    Suffix(u64),
}

/// What a [`Spec`] comes to for a certain size.
enum Within {
    Nothing,
    Some(ByteRange),
    /// Of an empty file: satisfiable, and there is no range to name.
    All,
}

impl Spec {
    fn parse(text: &[u8]) -> Option<Self> {
        let dash = text.iter().position(|&b| b == b'-')?;
        let (first, last) = (&text[..dash], &text[dash + 1..]);
        if first.is_empty() {
            return position(last).map(Self::Suffix);
        }
        let first = position(first)?;
        let last = if last.is_empty() { u64::MAX } else { position(last)? };
        (first <= last).then_some(Self::From(first, last))
    }

    fn within(&self, size: u64) -> Within {
        match *self {
            Self::Suffix(0) => Within::Nothing,
            Self::Suffix(_) if size == 0 => Within::All,
            Self::Suffix(n) => {
                Within::Some(ByteRange { first: size.saturating_sub(n), last: size - 1 })
            }
            Self::From(first, _) if first >= size => Within::Nothing,
            Self::From(first, last) => Within::Some(ByteRange { first, last: last.min(size - 1) }),
        }
    }
}

/// Digits, at least one; a number beyond every file is as good as the largest.
fn position(digits: &[u8]) -> Option<u64> {
    let fits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    fits.then(|| {
        digits
            .iter()
            .fold(0_u64, |n, digit| n.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
    })
}

/// Adds `range` to the first `count` of `chosen`, which neither overlap nor touch and then still do
/// not; how many there are now, or `None` when there is no room.
fn insert(chosen: &mut [ByteRange; MOST], count: usize, mut range: ByteRange) -> Option<usize> {
    let (mut kept, mut place) = (0, None);
    for at in 0..count {
        match chosen[at].joined(range) {
            Some(both) => {
                range = both;
                if place.is_none() {
                    place = Some(kept);
                    kept += 1;
                }
            }
            None => {
                chosen[kept] = chosen[at];
                kept += 1;
            }
        }
    }
    // What it grew by came from ranges that touched nothing else, so one pass finds all.
    let place = place.unwrap_or_else(|| {
        kept += 1;
        kept - 1
    });
    *chosen.get_mut(place)? = range;
    Some(kept)
}

#[cfg(test)]
#[path = "range_tests.rs"]
mod tests;
