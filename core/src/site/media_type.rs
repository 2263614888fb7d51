//! The media type of a file, from its name: built in, and the same on every machine (B-205).
//!
//! Only the last extension counts (B-202). It is looked up in the overrides of the site, as written
//! and then in lower case, then in `builtin_types.rs`, then in the table of mime_guess. If the
//! extension is unknown, the whole name is looked up, such as `Makefile`; otherwise the type is the
//! default of the site (B-200). Text, JavaScript and JSON get a charset (B-206); XML does not,
//! because it declares its own.
//!
//! ```
//! use doorstep_core::site::media_type::MediaTypes;
//!
//! let types = MediaTypes::default();
//! let mut value = Vec::new();
//! types.guess(b"notes.TXT").write(&mut value);
//! assert_eq!(value, b"text/plain; charset=utf-8");
//! assert_eq!(types.guess(b"backup.tar.gz").essence, "application/gzip");
//! ```

use std::collections::BTreeMap;

use super::builtin_types;
use crate::bytes;

/// The media types of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MediaTypes {
    /// The charset of textual types; `None` sends none (B-206). Default: `utf-8`.
    pub charset: Option<String>,
    /// The type of files whose name says nothing (B-208). Default: `application/octet-stream`.
    pub default: String,
    /// Types by extension, without its dot. They take precedence over all tables (B-200, B-209).
    /// Default: none.
    pub overrides: BTreeMap<String, String>,
}

impl Default for MediaTypes {
    fn default() -> Self {
        Self {
            charset: Some("utf-8".into()),
            default: "application/octet-stream".into(),
            overrides: BTreeMap::new(),
        }
    }
}

/// The media type of a file, and the coding of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaType<'a> {
    /// Type and subtype, such as `text/html`.
    pub essence: &'a str,
    /// The charset parameter, if there is one.
    pub charset: Option<&'a str>,
    /// The value of `Content-Encoding`, if there is one: `.svgz` is gzip-compressed (B-203).
    pub encoding: Option<&'static str>,
}

impl MediaType<'_> {
    /// The length of the value of `Content-Type`, in bytes.
    pub(super) fn length(&self) -> usize {
        self.essence.len() + self.charset.map_or(0, |charset| CHARSET.len() + charset.len())
    }

    /// Appends the value of `Content-Type`.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.parts().into_iter().for_each(|part| out.extend_from_slice(part));
    }

    /// The value of `Content-Type`, in parts.
    pub(super) fn parts(&self) -> [&[u8]; 3] {
        match self.charset {
            Some(charset) => [self.essence.as_bytes(), CHARSET, charset.as_bytes()],
            None => [self.essence.as_bytes(), b"", b""],
        }
    }
}

const CHARSET: &[u8] = b"; charset=";

/// The number of a malformed line in a `mime.types` file, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidLine(pub usize);

impl MediaTypes {
    /// Adds the contents of a `mime.types` file. Each line has a type and its extensions, separated
    /// by white space; `#` begins a comment. If an extension occurs in several lines, the last one
    /// counts.
    ///
    /// # Errors
    /// Returns the first line that does not begin with a type. The lines before it were added.
    pub fn add_mime_types(&mut self, text: &str) -> Result<(), InvalidLine> {
        for (n, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            let Some(essence) = words.next() else { continue };
            if !is_media_type(essence) {
                return Err(InvalidLine(n + 1));
            }
            for extension in words {
                self.overrides.insert(extension.trim_start_matches('.').into(), essence.into());
            }
        }
        Ok(())
    }

    /// The media type of a file named `name`, which may be a path.
    #[must_use]
    pub fn guess(&self, name: &[u8]) -> MediaType<'_> {
        let extension = extension(name);
        let essence = extension.and_then(|extension| {
            self.find_override(extension)
                .or_else(|| builtin_types::by_extension(extension))
                .or_else(|| mime_guess::from_ext(extension).first_raw())
        });
        let essence = essence.or_else(|| builtin_types::by_file_name(file_name(name)));
        let essence = essence.unwrap_or(&self.default);
        let charset = self.charset.as_deref().filter(|_| is_textual(essence));
        let svgz = extension.is_some_and(|extension| extension.eq_ignore_ascii_case("svgz"));
        MediaType { essence, charset, encoding: svgz.then_some("gzip") }
    }

    fn find_override(&self, extension: &str) -> Option<&str> {
        if self.overrides.is_empty() {
            return None; // skips the conversion to lower case
        }
        let exact = self.overrides.get(extension);
        exact.or_else(|| self.overrides.get(&extension.to_ascii_lowercase())).map(String::as_str)
    }
}

/// Whether `text` is a type and a subtype, optionally with parameters after a semicolon (RFC 9110
/// §8.3.1). Only such text is safe as a header value.
#[must_use]
pub fn is_media_type(text: &str) -> bool {
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    let (kind, subtype) = essence.trim_end().split_once('/').unwrap_or_default();
    is_token(kind) && is_token(subtype) && parameters.bytes().all(|b| matches!(b, b' '..=b'~'))
}

/// Whether `text` is a token (RFC 9110 §5.6.2), as a charset must be.
#[must_use]
pub fn is_token(text: &str) -> bool {
    bytes::is_token(text.as_bytes())
}

/// The last component, without leading dots.
fn file_name(name: &[u8]) -> &[u8] {
    let start = name.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
    let file = &name[start..];
    &file[file.iter().take_while(|&&b| b == b'.').count()..]
}

/// The text after the last dot of the last component. Leading dots are part of the name.
pub(super) fn extension(name: &[u8]) -> Option<&str> {
    let file = file_name(name);
    let dot = file.iter().rposition(|&b| b == b'.')?;
    str::from_utf8(&file[dot + 1..]).ok().filter(|extension| !extension.is_empty())
}

/// Whether a type gets a charset: text, JavaScript or JSON without parameters. XML declares its own
/// in its first line, and a charset here would override it (RFC 7303 §3.2).
fn is_textual(essence: &str) -> bool {
    /// XML among the text types whose names do not show it.
    const XML: [&str; 5] =
        ["text/mathml", "text/vnd.wap.wml", "text/x-ms-contact", "text/x-opml", "text/x-suse-ymp"];
    let is_xml = essence.starts_with("text/xml")
        || essence.starts_with("text/xsl")
        || essence.ends_with("+xml")
        || XML.contains(&essence);
    !essence.contains(';')
        && !is_xml
        && (essence.starts_with("text/")
            || essence.ends_with("+json")
            || matches!(essence, "application/javascript" | "application/json"))
}

#[cfg(test)]
mod tests {
    use super::{InvalidLine, MediaTypes, is_media_type};

    fn guess(name: &str) -> String {
        written(&MediaTypes::default(), name)
    }

    fn written(types: &MediaTypes, name: &str) -> String {
        let mut out = Vec::new();
        types.guess(name.as_bytes()).write(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn with(extension: &str, essence: &str) -> MediaTypes {
        let added = [(extension.into(), essence.into())].into();
        MediaTypes { overrides: added, ..MediaTypes::default() }
    }

    #[test]
    fn b_200_overrides_as_written_then_in_lower_case_then_the_table_then_the_default() {
        let types = with("log", "text/x-log");
        assert_eq!(written(&types, "a.log"), "text/x-log; charset=utf-8");
        assert_eq!(written(&types, "a.LOG"), "text/x-log; charset=utf-8");
        let types = with("LOG", "text/x-loud");
        assert_eq!(written(&types, "a.LOG"), "text/x-loud; charset=utf-8");
        assert_eq!(written(&types, "a.log"), "text/plain; charset=utf-8");
        assert_eq!(guess("a.PNG"), "image/png");
        assert_eq!(guess("a.nothing-known"), "application/octet-stream");
        assert_eq!(guess("noextension"), "application/octet-stream");
    }

    #[test]
    fn b_201_compressed_files_have_their_own_types() {
        assert_eq!(guess("a.gz"), "application/gzip");
        assert_eq!(guess("a.Z"), "application/octet-stream");
        assert_eq!(guess("a.bz2"), "application/x-bzip2");
        assert_eq!(guess("a.XZ"), "application/x-xz");
    }

    #[test]
    fn b_202_only_the_last_extension_counts_and_a_leading_dot_makes_none() {
        assert_eq!(guess("e.tar.gz"), "application/gzip");
        assert_eq!(guess(".html"), "application/octet-stream");
        assert_eq!(guess("dir.html/..txt"), "application/octet-stream");
        assert_eq!(guess(".hidden.txt"), "text/plain; charset=utf-8");
        for name in ["dir.html/plain", "a.", "...", "", "a.\u{e9}"] {
            assert_eq!(guess(name), "application/octet-stream", "{name}");
        }
        assert_eq!(MediaTypes::default().guess(b"a.\xff").essence, "application/octet-stream");
    }

    #[test]
    fn b_203_svgz_is_an_image_with_gzip_coding() {
        let types = MediaTypes::default();
        let svgz = types.guess(b"a.svgz");
        assert_eq!((svgz.essence, svgz.encoding), ("image/svg+xml", Some("gzip")));
        let tgz = types.guess(b"a.tgz");
        assert_eq!((tgz.essence, tgz.encoding), ("application/gzip", None));
    }

    #[test]
    fn b_204_the_content_of_a_compressed_file_does_not_count() {
        let types = MediaTypes::default();
        let br = types.guess(b"x.js.br");
        assert_eq!((br.essence, br.encoding), ("application/octet-stream", None));
    }

    #[test]
    fn b_206_text_javascript_and_json_have_a_charset() {
        for name in ["a.html", "a.css", "a.js", "a.mjs", "a.json", "a.webmanifest", "a.md"] {
            assert!(guess(name).ends_with("; charset=utf-8"), "{name}: {}", guess(name));
        }
        for name in ["a.png", "a.svg", "a.wasm", "a.pdf", "a.xml.zip"] {
            assert!(!guess(name).contains("charset"), "{name}: {}", guess(name));
        }
        let none = MediaTypes { charset: None, ..MediaTypes::default() };
        assert_eq!(written(&none, "a.html"), "text/html");
        let latin = MediaTypes { charset: Some("iso-8859-1".into()), ..MediaTypes::default() };
        assert_eq!(written(&latin, "a.html"), "text/html; charset=iso-8859-1");
        assert_eq!(written(&with("x", "text/x;charset=k"), "a.x"), "text/x;charset=k");
    }

    #[test]
    fn r_15_xml_gets_no_charset() {
        let names = [
            "feed.xml",
            "a.xsl",
            "a.xslt",
            "a.xsd",
            "a.wsdl",
            "a.dtd",
            "a.rss",
            "a.atom",
            "a.svg",
            "a.xhtml",
            "a.rdf",
            "a.gpx",
            "a.kml",
            "a.mml",
            "a.opml",
            "a.ymp",
            "a.wml",
            "a.contact",
            "a.vml",
            "a.ttml",
            "a.mathml",
        ];
        for name in names {
            assert!(!guess(name).contains("charset"), "{name}: {}", guess(name));
        }
        assert_eq!(guess("feed.xml"), "text/xml");
        for essence in ["text/xml-external-parsed-entity", "text/x+xml", "application/x+xml"] {
            assert_eq!(written(&with("x", essence), "a.x"), essence);
        }
        let latin = MediaTypes { charset: Some("iso-8859-1".into()), ..MediaTypes::default() };
        assert_eq!(written(&latin, "feed.xml"), "text/xml");
    }

    #[test]
    fn b_207_wasm_and_javascript_have_the_types_that_browsers_require() {
        assert_eq!(guess("a.wasm"), "application/wasm");
        assert_eq!(guess("a.js"), "text/javascript; charset=utf-8");
    }

    #[test]
    fn b_208_the_default_can_be_replaced() {
        let types = MediaTypes { default: "text/plain".into(), ..MediaTypes::default() };
        assert_eq!(written(&types, "noextension"), "text/plain; charset=utf-8");
        let types = MediaTypes { default: "image/x-own".into(), ..MediaTypes::default() };
        assert_eq!(written(&types, "a.nothing-known"), "image/x-own");
        assert_eq!(written(&types, "README"), "text/plain; charset=utf-8", "a known name");
    }

    #[test]
    fn b_200_209_overrides_take_precedence_over_every_table() {
        for extension in ["sh", "zst", "png", "ts"] {
            let types = with(extension, "image/x-own");
            assert_eq!(written(&types, &format!("a.{extension}")), "image/x-own");
        }
    }

    #[test]
    fn b_200_209_a_mime_types_file_adds() {
        let mut types = MediaTypes::default();
        let text = "# ours\n\ntext/x-log  log .LOG2\r\nimage/x-new\tnew # new\ntext/x-last log\n";
        types.add_mime_types(text).unwrap();
        assert_eq!(written(&types, "a.log"), "text/x-last; charset=utf-8");
        assert_eq!(written(&types, "a.LOG2"), "text/x-log; charset=utf-8");
        assert_eq!(written(&types, "a.new"), "image/x-new");
        assert_eq!(written(&types, "a.png"), "image/png");
        assert_eq!(types.add_mime_types("text/plain a\ntypes {\n"), Err(InvalidLine(2)));
    }

    #[test]
    fn b_208_a_media_type_is_a_type_and_a_subtype() {
        for good in ["text/plain", "a/b+c", "text/html; charset=utf-8", "text/x ;k=\"v\""] {
            assert!(is_media_type(good), "{good}");
        }
        for bad in
            ["", "text", "/", "text/", "/plain", "te xt/a", "a/b/c", "a/b;\r\nX: y", "a/\u{e9}"]
        {
            assert!(!is_media_type(bad), "{bad}");
        }
    }
}
