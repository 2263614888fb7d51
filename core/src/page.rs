//! The error page, and the HTML escaping that every page uses.
//!
//! One small self-contained page: status code, reason and a sentence (B-083), light or dark as the
//! reader's system is (B-088), without scripts and without anything to fetch. Everything from a
//! peer or a file name is escaped, and bytes that are not UTF-8 become U+FFFD (B-084), so a page is
//! always valid UTF-8 and never holds foreign markup.
//!
//! ```
//! use doorstep_core::page;
//!
//! let mut out = Vec::new();
//! page::error(&mut out, 404, b"File <not> found", "There is nothing at this address.");
//! let html = String::from_utf8(out).unwrap();
//! assert!(html.contains("<title>404 File &lt;not&gt; found</title>"));
//! ```

use alloc::vec::Vec;

use crate::bytes::push_decimal;

/// The `Content-Type` of the page that [`error`] writes (B-082).
pub const CONTENT_TYPE: &str = "text/html;charset=utf-8";

/// Appends the error page for `code`. `reason` is its title and `explain` its one sentence.
///
/// The page is shorter than 700 bytes if both are of usual length.
pub fn error(out: &mut Vec<u8>, code: u16, reason: &[u8], explain: &str) {
    error_with(out, code, reason, explain, b"");
}

/// As [`error`], with `more` behind the sentence, which is HTML.
pub(crate) fn error_with(out: &mut Vec<u8>, code: u16, reason: &[u8], explain: &str, more: &[u8]) {
    out.extend_from_slice(HTML_HEAD.as_bytes());
    push_decimal(out, code.into());
    out.push(b' ');
    escape_html(out, reason);
    out.extend_from_slice(STYLE.as_bytes());
    push_decimal(out, code.into());
    out.extend_from_slice(b"</b> ");
    escape_html(out, reason);
    out.extend_from_slice(b"</h1>\n<p>");
    escape_html(out, explain.as_bytes());
    out.extend_from_slice(b"</p>\n");
    out.extend_from_slice(more);
    out.extend_from_slice(b"</main>\n</html>\n");
}

/// Appends `text` for use in HTML, between tags or in a double-quoted attribute.
///
/// `&`, `<`, `>` and `"` become entities; each maximal ill-formed piece of UTF-8 becomes U+FFFD.
pub fn escape_html(out: &mut Vec<u8>, text: &[u8]) {
    for piece in text.utf8_chunks() {
        let mut rest = piece.valid().as_bytes();
        while let Some((at, entity)) = find_special(rest) {
            out.extend_from_slice(&rest[..at]);
            out.extend_from_slice(entity);
            rest = &rest[at + 1..];
        }
        out.extend_from_slice(rest);
        if !piece.invalid().is_empty() {
            out.extend_from_slice("\u{FFFD}".as_bytes());
        }
    }
}

/// The position of the first byte that needs an entity, and the entity.
fn find_special(text: &[u8]) -> Option<(usize, &'static [u8])> {
    text.iter().enumerate().find_map(|(at, byte)| {
        let entity: &[u8] = match byte {
            b'&' => b"&amp;",
            b'<' => b"&lt;",
            b'>' => b"&gt;",
            b'"' => b"&quot;",
            _ => return None,
        };
        Some((at, entity))
    })
}

const HTML_HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>"#;

const STYLE: &str = r#"</title>
<style>
:root { color-scheme: light dark; font: 1.1em/1.5 system-ui, sans-serif }
body { display: grid; place-content: center; min-height: 80vh; margin: 0 1.5em }
h1 { font-size: 1.4em; font-weight: 500; overflow-wrap: anywhere }
b { color: #c2410c; padding-right: .3em }
p { opacity: .75 }
</style>
<main>
<h1><b>"#;

#[cfg(test)]
mod tests {
    use super::{error, escape_html};

    fn page(code: u16, reason: &[u8], explain: &str) -> String {
        let mut out = Vec::new();
        error(&mut out, code, reason, explain);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn b_083_the_page_shows_code_reason_and_explanation() {
        let html = page(404, b"File not found", "There is nothing at this address.");
        assert!(html.contains("<title>404 File not found</title>"));
        assert!(html.contains("<h1><b>404</b> File not found</h1>"));
        assert!(html.contains("<p>There is nothing at this address.</p>"));
        assert!(html.len() < 700, "{} bytes", html.len());
    }

    #[test]
    fn b_083_text_from_the_peer_is_escaped() {
        let html = page(501, b"Unsupported method ('<script>&\"')", "a < b & c > d");
        assert!(!html.contains("<script"));
        assert!(html.contains("('&lt;script&gt;&amp;&quot;')"));
        assert!(html.contains("a &lt; b &amp; c &gt; d"));
    }

    #[test]
    fn b_084_bytes_that_are_not_utf_8_become_the_replacement_character() {
        let mut out = Vec::new();
        escape_html(&mut out, b"caf\xE9 \xE2\x82 \xC3\xA9");
        assert_eq!(out, "caf\u{FFFD} \u{FFFD} \u{E9}".as_bytes());
    }

    #[test]
    fn b_088_the_page_is_light_or_dark_and_self_contained() {
        let html = page(400, b"Bad Request", "The request could not be understood.");
        assert!(html.contains("color-scheme: light dark"));
        for foreign in ["<script", "<link", "<img", "url(", "http:", "https:"] {
            assert!(!html.contains(foreign), "{foreign}");
        }
    }
}
