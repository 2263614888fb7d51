//! The name of an entry, as a link, in HTML and in JSON.
//!
//! A name is any bytes. What its bytes need in each format is found in one pass when the entry is
//! added ([`Needs`]). Most names need nothing, and are then copied as they are.

use crate::bytes::byte_set;
use crate::path;

use super::{json, shown};

/// A name, and what its bytes need.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'a> {
    bytes: &'a [u8],
    needs: Needs,
}

/// What the bytes of a name need, as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Needs(u8);

impl Needs {
    /// A conversion to lower case that is more than that of ASCII.
    const UNICODE_LOWER: u8 = 1;
    /// A conversion of ASCII letters to lower case.
    const ASCII_LOWER: u8 = 2;
    /// An escape in HTML, or another text in its place.
    const HTML: u8 = 4;
    /// An escape in a JSON string, or a replacement of what is not UTF-8.
    const JSON: u8 = 8;
    /// Percent-encoding in a link.
    const LINK: u8 = 16;
    /// `./` before it in a link.
    const DOT_SLASH: u8 = 32;

    #[inline]
    pub(super) fn of(name: &[u8]) -> Self {
        Self(name.iter().fold(0, |needs, &byte| needs | NEEDS[usize::from(byte)]))
    }

    fn contains(self, any_of: u8) -> bool {
        self.0 & any_of != 0
    }
}

impl<'a> Name<'a> {
    /// `needs` is that of `bytes`.
    pub(super) fn new(bytes: &'a [u8], needs: Needs) -> Self {
        Self { bytes, needs }
    }

    pub(super) fn needs(&self) -> Needs {
        self.needs
    }

    /// Appends the relative reference from the URL of the directory.
    #[inline]
    pub(super) fn push_link(&self, out: &mut Vec<u8>) {
        if self.needs.contains(Needs::DOT_SLASH) {
            out.extend_from_slice(b"./"); // not a scheme, even if a client decodes first (B-151)
        }
        if self.needs.contains(Needs::LINK) {
            path::encode(out, self.bytes);
        } else {
            out.extend_from_slice(self.bytes);
        }
    }

    #[inline]
    pub(super) fn push_html(&self, out: &mut Vec<u8>) {
        if self.needs.contains(Needs::HTML) {
            shown::push_name(out, self.bytes);
        } else {
            out.extend_from_slice(self.bytes);
        }
    }

    /// Appends the content of a JSON string, without its quotation marks.
    #[inline]
    pub(super) fn push_json(&self, out: &mut Vec<u8>) {
        if self.needs.contains(Needs::JSON) {
            json::escape(out, self.bytes);
        } else {
            out.extend_from_slice(self.bytes);
        }
    }

    /// Appends the name in Unicode lower case, with U+FFFD for bytes that are not UTF-8, and
    /// returns its length; 0 if the name is in lower case already.
    #[inline]
    pub(super) fn push_lower_case(&self, out: &mut Vec<u8>) -> usize {
        if !self.needs.contains(Needs::UNICODE_LOWER | Needs::ASCII_LOWER) {
            return 0;
        }
        let start = out.len();
        if self.needs.contains(Needs::UNICODE_LOWER) {
            // As a whole: the lower case of a Sigma depends on its neighbours.
            let lower = String::from_utf8_lossy(self.bytes).to_lowercase();
            out.extend_from_slice(lower.as_bytes());
        } else {
            out.extend_from_slice(self.bytes);
            out[start..].make_ascii_lowercase();
        }
        out.len() - start
    }
}

impl AsRef<[u8]> for Name<'_> {
    fn as_ref(&self) -> &[u8] {
        self.bytes
    }
}

/// What each byte needs.
static NEEDS: [u8; 256] = {
    let plain_in_link = byte_set(path::PLAIN);
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let all = Needs::UNICODE_LOWER | Needs::HTML | Needs::JSON;
        let mut needs = match byte as u8 {
            0x80.. => all,
            0x7f => Needs::HTML,
            b'\\' => Needs::JSON,
            0..0x20 | b'"' => Needs::HTML | Needs::JSON,
            b'&' | b'<' | b'>' => Needs::HTML,
            b':' => Needs::DOT_SLASH,
            b'A'..=b'Z' => Needs::ASCII_LOWER,
            _ => 0,
        };
        if !plain_in_link[byte] {
            needs |= Needs::LINK;
        }
        table[byte] = needs;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Each writer has the same result as the conversion that looks at every byte.
    #[test]
    fn what_needs_nothing_is_what_the_escape_leaves() {
        for byte in 1..=255_u8 {
            for text in [&[byte][..], &[b'a', byte, b'z']] {
                let name = Name::new(text, Needs::of(text));
                let write = |write: &dyn Fn(&mut Vec<u8>)| {
                    let mut out = Vec::new();
                    write(&mut out);
                    out
                };
                let escaped = write(&|out| shown::push_name(out, text));
                assert_eq!(write(&|out| name.push_html(out)), escaped, "{byte}");
                let escaped = write(&|out| json::escape(out, text));
                assert_eq!(write(&|out| name.push_json(out)), escaped, "{byte}");
                let mut link = if byte == b':' { b"./".to_vec() } else { Vec::new() };
                path::encode(&mut link, text);
                assert_eq!(write(&|out| name.push_link(out)), link, "{byte}");

                let lower = String::from_utf8_lossy(text).to_lowercase().into_bytes();
                let mut key = Vec::new();
                let expected = if lower == text { &[][..] } else { &lower };
                assert_eq!(name.push_lower_case(&mut key), expected.len(), "{byte}");
                assert_eq!(key, expected, "{byte}");
            }
        }
    }
}
