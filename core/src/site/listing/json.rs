//! The listing as JSON.
//!
//! One object: `path`, `filter` (if there is one), `total`, `complete` and `entries`. Each entry is an object with `name`,
//! `href`, `kind` (`file` or `directory`), `link`, `size` (in bytes; null for a directory) and
//! `modified` (RFC 3339, UTC). The text is always UTF-8: in `name`, other bytes are replaced;
//! `href` is exact.

use super::dates::{Dates, Moment};
use super::name::Name;
use super::{Entry, Kind, Page, Rows};
use crate::bytes::{push_decimal, push_hex};

pub(super) fn render(out: &mut Vec<u8>, page: &Page<'_>, rows: &Rows) {
    out.reserve(108 * rows.len() + 2 * rows.names_len() + 256); // each name twice
    out.extend_from_slice(b"{\"path\":\"/");
    escape(out, page.path);
    out.extend_from_slice(if page.path.is_empty() { b"" } else { b"/" });
    if let Some(filter) = page.filter {
        out.extend_from_slice(b"\",\"filter\":\"");
        escape(out, filter.text().as_bytes());
    }
    out.extend_from_slice(b"\",\"total\":");
    push_decimal(out, rows.total);
    out.extend_from_slice(b",\"complete\":");
    boolean(out, rows.is_complete());
    out.extend_from_slice(b",\"entries\":[");
    let mut dates = Dates::new();
    for (n, entry) in rows.iter().enumerate() {
        out.extend_from_slice(if n == 0 { b"\n" } else { b",\n" });
        object(out, &entry, dates.moment(entry.modified));
    }
    out.extend_from_slice(b"\n]}\n");
}

fn object(out: &mut Vec<u8>, entry: &Entry<Name<'_>>, modified: Moment) {
    out.extend_from_slice(b"{\"name\":\"");
    entry.name.push_json(out);
    out.extend_from_slice(b"\",\"href\":\"");
    entry.href(out); // percent-encoded: needs no JSON escape
    out.extend_from_slice(match entry.kind {
        Kind::File => b"\",\"kind\":\"file\"",
        Kind::Directory => b"\",\"kind\":\"directory\"",
    });
    out.extend_from_slice(b",\"link\":");
    boolean(out, entry.is_symlink);
    out.extend_from_slice(b",\"size\":");
    match entry.display_size() {
        Some(size) => push_decimal(out, size),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"modified\":\"");
    date(out, modified);
    out.extend_from_slice(b"\"}");
}

fn boolean(out: &mut Vec<u8>, is: bool) {
    out.extend_from_slice(if is { b"true" } else { b"false" });
}

/// Appends `text` for use in a JSON string (RFC 8259 §7), with U+FFFD for bytes that are not UTF-8.
pub(in crate::site) fn escape(out: &mut Vec<u8>, text: &[u8]) {
    let is_plain = |byte: u8| !matches!(byte, b'"' | b'\\' | 0..0x20);
    for piece in text.utf8_chunks() {
        let mut rest = piece.valid().as_bytes();
        while let Some(at) = rest.iter().position(|&byte| !is_plain(byte)) {
            out.extend_from_slice(&rest[..at]);
            match rest[at] {
                byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
                byte => {
                    out.extend_from_slice(b"\\u00");
                    push_hex(out, byte);
                }
            }
            rest = &rest[at + 1..];
        }
        out.extend_from_slice(rest);
        if !piece.invalid().is_empty() {
            out.extend_from_slice("\u{FFFD}".as_bytes());
        }
    }
}

/// RFC 3339, in seconds.
fn date(out: &mut Vec<u8>, Moment { date, time: [hour, minute, second] }: Moment) {
    let mut text = *b"YYYY-MM-DDTHH:MM:SSZ";
    text[..10].copy_from_slice(&date);
    text[11..13].copy_from_slice(&hour);
    text[14..16].copy_from_slice(&minute);
    text[17..19].copy_from_slice(&second);
    out.extend_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use super::super::tests::{entry, written};
    use super::super::{Format, Page, View};
    use super::*;

    const JSON: View = View {
        column: super::super::Column::Name,
        descending: false,
        directories_first: false,
        format: Format::Json,
    };

    #[test]
    fn the_object_is_as_documented() {
        let file = Entry { size: 1_536, modified: 784_111_777, ..entry(b"a b.txt") };
        let dir = Entry { kind: Kind::Directory, is_symlink: true, size: 4096, ..entry(b"sub") };
        let expected = r#"{"path":"/docs/","total":2,"complete":true,"entries":[
{"name":"a b.txt","href":"a%20b.txt","kind":"file","link":false,"size":1536,"modified":"1994-11-06T08:49:37Z"},
{"name":"sub","href":"sub/","kind":"directory","link":true,"size":null,"modified":"1970-01-01T00:00:00Z"}
]}
"#;
        assert_eq!(written(JSON, b"docs", &[dir, file]), expected);
        let empty = "{\"path\":\"/\",\"total\":0,\"complete\":true,\"entries\":[\n]}\n";
        assert_eq!(written(JSON, b"", &[]), empty);
    }

    #[test]
    fn a_filter_is_a_member() {
        let filter = super::super::Filter::from_query(Some(b"filter=a+%22"));
        let site = crate::site::Site::default();
        let mut page = Page::new(&site, b"d");
        page.filter = filter.as_ref();
        let json = Rows::new(JSON, 1).write(&page);
        let expected = br#"{"path":"/d/","filter":"a \"","total":0,"complete":true,"entries":["#;
        assert!(json.starts_with(expected));
    }

    #[test]
    fn any_name_is_a_valid_string() {
        let json = written(JSON, b"", &[entry(b"\"\\\n\x1f\x7f\xff\xc3\xa9")]);
        assert!(
            json.contains("{\"name\":\"\\\"\\\\\\u000a\\u001f\x7f\u{fffd}é\",\"href\":\"%22%5C")
        );
        assert!(json.contains("%FF%C3%A9\""));
    }

    #[test]
    fn an_incomplete_listing_has_the_total() {
        let mut rows = Rows::new(JSON, 2);
        [b"c", b"a", b"b"].into_iter().for_each(|name| rows.add(entry(name)));
        let json =
            String::from_utf8(rows.write(&Page::new(&crate::site::Site::default(), b""))).unwrap();
        assert!(json.contains("\"total\":3,\"complete\":false"));
        assert!(json.contains("\"a\"") && json.contains("\"b\"") && !json.contains("\"c\""));
    }
}
