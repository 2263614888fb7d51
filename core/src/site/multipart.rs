//! Several ranges of one file in one response: `multipart/byteranges` (RFC 9110 §14.6).
//!
//! [`Multipart::new`] writes the text between the ranges, so that the length of the body is known
//! before the first byte is sent; [`length`] computes that number alone. [`Multipart::pieces`]
//! returns what to send, in order. The boundary is a hash of the file's entity tag and the ranges,
//! long enough not to occur in the file by chance. The body begins with CR LF: RFC 2046 §5.1.1
//! allows it, and clients such as zsync look for the first boundary only after a line end.
//!
//! ```
//! use doorstep_core::site::multipart::{Multipart, Piece};
//! use doorstep_core::site::{Stat, etag::EntityTag, range::ByteRange};
//!
//! let ranges = [ByteRange { first: 0, last: 1 }, ByteRange { first: 8, last: 9 }];
//! let etag = EntityTag::from_stat(&Stat::default(), 1_000);
//! let multipart = Multipart::new(&ranges, 10, b"text/plain", &etag);
//!
//! let sent = multipart.pieces().map(|piece| match piece {
//!     Piece::Text(text) => text.len() as u64,
//!     Piece::Range(range) => range.len(),
//! });
//! assert_eq!(sent.sum::<u64>(), multipart.length());
//! ```

use super::etag::{EntityTag, hash};
use super::range::ByteRange;
use crate::bytes::hex;

/// The body of a response with several ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multipart {
    boundary: [u8; BOUNDARY_LEN],
    /// The text between the ranges.
    text: Vec<u8>,
    /// Each range, and the end of the text before it.
    parts: Vec<(usize, ByteRange)>,
}

/// A part of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// These bytes.
    Text(&'a [u8]),
    /// These bytes of the file.
    Range(ByteRange),
}

impl Multipart {
    /// The body for `ranges` of a file of `size` bytes. `content_type` is that of each part.
    #[must_use]
    pub fn new(ranges: &[ByteRange], size: u64, content_type: &[u8], etag: &EntityTag) -> Self {
        let boundary = boundary(ranges, etag);
        let framing = length(ranges, size, content_type.len()) - total_len(ranges);
        let mut text = Vec::with_capacity(usize::try_from(framing).unwrap_or(0));
        let mut parts = Vec::with_capacity(ranges.len());
        for range in ranges {
            text.extend_from_slice(DELIMITER);
            text.extend_from_slice(&boundary);
            text.extend_from_slice(CONTENT_TYPE);
            text.extend_from_slice(content_type);
            text.extend_from_slice(CONTENT_RANGE);
            range.write_content_range(size, &mut text);
            text.extend_from_slice(b"\r\n\r\n");
            parts.push((text.len(), *range));
        }
        for piece in [DELIMITER, &boundary[..], b"--\r\n"] {
            text.extend_from_slice(piece);
        }
        Self { boundary, text, parts }
    }

    /// The value of `Content-Type` of the response.
    #[must_use]
    pub fn content_type(&self) -> Vec<u8> {
        [MEDIA_TYPE, &self.boundary].concat()
    }

    /// The length of the body in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        let sent = self.parts.iter().map(|(_, range)| range.len());
        self.text.len() as u64 + sent.sum::<u64>()
    }

    /// The pieces of the body, in order.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let starts = [0].into_iter().chain(self.parts.iter().map(|(end, _)| *end));
        let parts = starts.zip(&self.parts).flat_map(|(start, &(end, range))| {
            [Piece::Text(&self.text[start..end]), Piece::Range(range)]
        });
        let last = self.parts.last().map_or(0, |(end, _)| *end);
        parts.chain([Piece::Text(&self.text[last..])])
    }
}

/// The length of the body for `ranges` of a file of `size` bytes, in bytes. `content_type_len` is
/// the length of each part's media type.
#[must_use]
pub fn length(ranges: &[ByteRange], size: u64, content_type_len: usize) -> u64 {
    let digits = |n: u64| u64::from(n.checked_ilog10().unwrap_or(0)) + 1;
    let fixed = DELIMITER.len()
        + BOUNDARY_LEN
        + CONTENT_TYPE.len()
        + content_type_len
        + CONTENT_RANGE.len();
    let fixed = (fixed + b"bytes -/\r\n\r\n".len()) as u64 + digits(size);
    let fields = ranges.iter().map(|range| fixed + digits(range.first) + digits(range.last));
    let end = (DELIMITER.len() + BOUNDARY_LEN + b"--\r\n".len()) as u64;
    total_len(ranges).saturating_add(fields.sum::<u64>() + end)
}

/// The value of `Content-Type` for `ranges` of the file with this tag, in two parts.
pub(super) fn content_type(
    ranges: &[ByteRange],
    etag: &EntityTag,
) -> (&'static [u8], [u8; BOUNDARY_LEN]) {
    (MEDIA_TYPE, boundary(ranges, etag))
}

fn total_len(ranges: &[ByteRange]) -> u64 {
    ranges.iter().map(ByteRange::len).sum()
}

/// Length of a boundary in bytes; RFC 2046 §5.1.1 allows 70.
const BOUNDARY_LEN: usize = 32;
const MEDIA_TYPE: &[u8] = b"multipart/byteranges; boundary=";
const DELIMITER: &[u8] = b"\r\n--";
const CONTENT_TYPE: &[u8] = b"\r\nContent-Type: ";
const CONTENT_RANGE: &[u8] = b"\r\nContent-Range: ";

/// 128 bits, of which the first half is the tag.
fn boundary(ranges: &[ByteRange], etag: &EntityTag) -> [u8; BOUNDARY_LEN] {
    let tag = etag.opaque().iter().map(|&digit| u64::from(digit));
    let offsets = ranges.iter().flat_map(|range| [range.first, range.last]);
    let mut boundary = [0; BOUNDARY_LEN];
    boundary[..16].copy_from_slice(etag.opaque());
    boundary[16..].copy_from_slice(&hex(hash(tag.chain(offsets))));
    boundary
}

#[cfg(test)]
mod tests {
    use super::{ByteRange, EntityTag, Multipart, Piece, length};
    use crate::site::Stat;

    const RANGES: [ByteRange; 2] =
        [ByteRange { first: 0, last: 1 }, ByteRange { first: 7, last: 9 }];

    fn multipart() -> Multipart {
        let etag = EntityTag::from_stat(&Stat { size: 10, ..Stat::default() }, 1_000);
        Multipart::new(&RANGES, 10, b"text/x", &etag)
    }

    #[test]
    fn r_16_the_parts_are_framed_as_in_rfc_9110_14_6_and_begin_with_crlf() {
        let multipart = multipart();
        let mut body = Vec::new();
        for piece in multipart.pieces() {
            match piece {
                Piece::Text(text) => body.extend_from_slice(text),
                Piece::Range(range) => {
                    let file = b"0123456789";
                    body.extend_from_slice(&file[range.first as usize..=range.last as usize]);
                }
            }
        }
        assert_eq!(body.len() as u64, multipart.length());
        let content_type = String::from_utf8(multipart.content_type()).unwrap();
        let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
        let expected = "\r\n--B\r\nContent-Type: text/x\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n\
                        --B\r\nContent-Type: text/x\r\nContent-Range: bytes 7-9/10\r\n\r\n789\r\n\
                        --B--\r\n";
        assert_eq!(
            String::from_utf8(body).unwrap(),
            expected.replace("--B", &format!("--{boundary}"))
        );
    }

    #[test]
    fn r_17_the_length_is_known_without_the_text() {
        let etag = EntityTag::from_stat(&Stat::default(), 1_000);
        let of = |first, last| ByteRange { first, last };
        for (ranges, size) in [
            (&RANGES[..], 10),
            (&RANGES[..1], u64::MAX),
            (&[of(0, 0), of(9, 9), of(99, 100), of(999, 99_999)][..], 1_000_000),
        ] {
            let whole = Multipart::new(ranges, size, b"text/x", &etag);
            assert_eq!(length(ranges, size, 6), whole.length());
            assert_eq!(whole.text.capacity(), whole.text.len());
        }
    }

    #[test]
    fn b_181_the_boundary_depends_on_the_file_and_the_ranges() {
        let (etag, ranges) = (EntityTag::from_stat(&Stat::default(), 1_000), &RANGES[..1]);
        let other = Multipart::new(ranges, 10, b"text/x", &etag);
        assert_ne!(other.boundary, multipart().boundary);
        assert_ne!(Multipart::new(&RANGES, 10, b"text/x", &etag).boundary, other.boundary);
        assert_eq!(multipart(), multipart(), "the same input has the same result");
    }
}
