//! Text of a file system in HTML, so that what is shown cannot be mistaken.
//!
//! `&`, `<`, `>` and `"` become entities, and bytes that are not UTF-8 become U+FFFD (B-152,
//! B-154). Control characters become the pictures that Unicode has for them: a newline is `␊`.
//! Characters that embed or override a direction (Unicode Standard Annex #9 §2) become U+FFFD:
//! they would show `exe.jpg` for a name that ends in `.exe`. What may be written from right to left
//! is in a `<bdi>` of its own, so that it does not reorder what is beside it; from left to right as
//! a whole, so that its extension is its end.

use crate::page::escape_html;

/// Appends a name.
pub(super) fn push_name(out: &mut Vec<u8>, name: &[u8]) {
    let is_isolated = may_be_right_to_left(name);
    out.extend_from_slice(if is_isolated { b"<bdi dir=\"ltr\">" } else { b"" });
    push_text(out, name, |_| false);
    out.extend_from_slice(if is_isolated { b"</bdi>" } else { b"" });
}

/// Appends a clean path, each component as a name.
pub(super) fn push_path(out: &mut Vec<u8>, path: &[u8]) {
    for (n, component) in path.split(|&byte| byte == b'/').enumerate() {
        out.extend_from_slice(if n == 0 { b"" } else { b"/" });
        push_name(out, component);
    }
}

/// Appends a text with lines.
pub(super) fn push_lines(out: &mut Vec<u8>, text: &[u8]) {
    push_text(out, text, |control| matches!(control, b'\t' | b'\n' | b'\r'));
}

/// Appends a text without an element, as in a title or an attribute. `is_kept` names the control
/// characters that stay.
pub(super) fn push_text(out: &mut Vec<u8>, text: &[u8], is_kept: impl Fn(u8) -> bool) {
    let mut rest = text;
    while let Some((at, len, picture)) = find_unsafe(rest, &is_kept) {
        escape_html(out, &rest[..at]);
        out.extend_from_slice(picture.encode_utf8(&mut [0; 4]).as_bytes());
        rest = &rest[at + len..];
    }
    escape_html(out, rest);
}

/// The position and the length in bytes of the first character that is not shown as it is, and the
/// character in its place.
fn find_unsafe(text: &[u8], is_kept: &impl Fn(u8) -> bool) -> Option<(usize, usize, char)> {
    text.iter().enumerate().find_map(|(at, &byte)| match byte {
        0x7f => Some((at, 1, '\u{2421}')),
        0..0x20 if !is_kept(byte) => {
            Some((at, 1, char::from_u32(0x2400 + u32::from(byte)).unwrap_or('\u{fffd}')))
        }
        0xe2 => match text[at + 1..] {
            // U+202A to U+202E, and U+2066 to U+2069
            [0x80, 0xaa..=0xae, ..] | [0x81, 0xa6..=0xa9, ..] => Some((at, 3, '\u{fffd}')),
            _ => None,
        },
        _ => None,
    })
}

/// Whether `text` may hold a character that is written from right to left, by the first bytes of
/// those: U+0590 to U+08FF, U+200F, U+FB00 to U+FEFF, and two blocks above U+10000.
fn may_be_right_to_left(text: &[u8]) -> bool {
    text.iter().enumerate().any(|(at, &byte)| match byte {
        0xd6..=0xdf => true,
        0xe0 => matches!(text[at + 1..], [0xa0..=0xa3, ..]),
        0xe2 => text[at + 1..].starts_with(&[0x80, 0x8f]),
        0xef => matches!(text[at + 1..], [0xac..=0xbb, ..]),
        0xf0 => matches!(text[at + 1..], [0x90 | 0x9e, ..]),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(push: impl Fn(&mut Vec<u8>, &[u8]), text: &str) -> String {
        let mut out = Vec::new();
        push(&mut out, text.as_bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_name_cannot_be_mistaken_for_another() {
        for (name, expected) in [
            ("a & \"b\".txt", "a &amp; &quot;b&quot;.txt"),
            ("new\nline\r\t\0\x1f\x7f", "new␊line␍␉␀␟␡"),
            ("é\u{a0}ü", "é\u{a0}ü"),
            ("\u{202e}gpj.exe", "\u{fffd}gpj.exe"),
            ("a\u{2066}b\u{2069}\u{202a}", "a\u{fffd}b\u{fffd}\u{fffd}"),
            ("שלום.txt", "<bdi dir=\"ltr\">שלום.txt</bdi>"),
            ("a\u{200f}b", "<bdi dir=\"ltr\">a\u{200f}b</bdi>"),
            ("\u{2028}\u{20ac}漢\u{1f600}", "\u{2028}\u{20ac}漢\u{1f600}"),
        ] {
            assert_eq!(shown(push_name, name), expected);
        }
        let mut out = Vec::new();
        push_name(&mut out, b"\xe2\x80");
        push_name(&mut out, b"\xe2");
        assert_eq!(out, "\u{fffd}".repeat(2).as_bytes());
    }

    #[test]
    fn each_component_of_a_path_is_a_name_and_lines_stay_lines() {
        assert_eq!(shown(push_path, "a/שלום/b"), "a/<bdi dir=\"ltr\">שלום</bdi>/b");
        assert_eq!(shown(push_path, ""), "");
        assert_eq!(shown(push_lines, "a\r\n\tb\x1b[1m <c>"), "a\r\n\tb␛[1m &lt;c&gt;");
    }
}
