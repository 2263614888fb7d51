//! The page that shows a directory.
//!
//! Entries come from the caller, which leaves out what [`super::Site::lists`] does not show and
//! what leads nowhere: broken links, sockets, FIFOs (B-149). [`sort`] puts them in order, [`render`]
//! appends the page: self-contained, without a script, light and dark, from phone to desktop. Each
//! name is a link to its exact bytes, whatever they are (B-155).
//!
//! ```
//! use doorstep_core::site::listing::{self, Entry, Kind};
//!
//! let file = |name: &str| Entry {
//!     name: name.into(), kind: Kind::File, link: false, size: 1_500, modified: 0,
//! };
//! let mut entries = [file("b.txt"), file("A b")];
//! listing::sort(&mut entries);
//! let mut page = Vec::new();
//! listing::render(&mut page, b"", &entries);
//! let page = String::from_utf8(page).unwrap();
//! assert!(page.contains(r#"<a href="A%20b">A b</a>"#));
//! ```

use crate::http1::date::{Civil, four, two};
use crate::page::{escape, number};
use crate::path;

/// The `Content-Type` of [`render`]'s page (B-155).
pub const CONTENT_TYPE: &str = "text/html; charset=utf-8";

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name as the file system has it: any bytes but `/` and NUL.
    pub name: Vec<u8>,
    /// What it is, or for a symbolic link what it leads to.
    pub kind: Kind,
    /// Whether it is a symbolic link.
    pub link: bool,
    /// In bytes; not shown for a directory.
    pub size: u64,
    /// When it was last modified, in seconds since 1970.
    pub modified: i64,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
}

/// Sorts by name in Unicode lower case, directories among files; ties in code-point order (B-148).
pub fn sort(entries: &mut [Entry]) {
    entries.sort_by_cached_key(|entry| {
        (String::from_utf8_lossy(&entry.name).to_lowercase(), entry.name.clone())
    });
}

/// Appends the page for the directory at `clean`, a clean path; the empty one is the root, which
/// shows no way up (B-149 to B-155).
pub fn render(out: &mut Vec<u8>, clean: &[u8], entries: &[Entry]) {
    const TITLE: &[u8] = b"Directory listing for /";
    let slash: &[u8] = if clean.is_empty() { b"" } else { b"/" };

    out.reserve(HEAD.len() + STYLE.len() + 160 * entries.len() + 1024);
    for before in [HEAD, STYLE] {
        out.extend_from_slice(before.as_bytes());
        out.extend_from_slice(TITLE);
        escape(out, clean);
        out.extend_from_slice(slash);
    }
    out.extend_from_slice(TABLE.as_bytes());
    if !clean.is_empty() {
        out.extend_from_slice(b"<tr><td colspan=\"3\"><a href=\"../\">../</a>\n");
    }
    for entry in entries {
        row(out, entry);
    }
    out.extend_from_slice(b"</table>\n");
    if entries.is_empty() {
        out.extend_from_slice(b"<p>Nothing here.</p>\n");
    }
    out.extend_from_slice(b"</html>\n");
}

fn row(out: &mut Vec<u8>, entry: &Entry) {
    let directory = entry.kind == Kind::Directory;

    out.extend_from_slice(b"<tr><td><a href=\"");
    if entry.name.contains(&b':') {
        out.extend_from_slice(b"./"); // no scheme, even to a reader that decodes first (B-151)
    }
    path::encode(out, &entry.name);
    out.extend_from_slice(if directory { b"/\">" } else { b"\">" });
    escape(out, &entry.name);
    let mark: &[u8] = match (entry.link, directory) {
        (true, _) => b"@",
        (false, true) => b"/",
        (false, false) => b"",
    };
    out.extend_from_slice(mark); // B-150
    out.extend_from_slice(b"</a><td><time>");
    date(out, entry.modified);
    out.extend_from_slice(b"</time><td>");
    if !directory {
        size(out, entry.size);
    }
    out.push(b'\n');
}

/// `YYYY-MM-DD HH:MM` in UTC, which is also what `<time>` reads.
fn date(out: &mut Vec<u8>, unix: i64) {
    let at = Civil::utc(unix);
    out.extend_from_slice(&four(at.year));
    for (mark, n) in [(b'-', at.month), (b'-', at.day), (b' ', at.hour), (b':', at.minute)] {
        out.push(mark);
        out.extend_from_slice(&two(n));
    }
}

/// `n` bytes for people: three digits or so, in powers of 1024, rounded down.
fn size(out: &mut Vec<u8>, n: u64) {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let power = n.checked_ilog2().unwrap_or(0) / 10;
    let whole = n >> (10 * power);
    number(out, whole);
    if power > 0 && whole < 10 {
        let tenths = (n >> (10 * (power - 1)) & 1023) * 10 / 1024;
        out.push(b'.');
        number(out, tenths);
    }
    out.push(b' ');
    out.extend_from_slice(UNITS[power as usize].as_bytes()); // 64 bits are at most 15 EiB
}

const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>"#;

const STYLE: &str = r#"</title>
<style>
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 0 auto; padding: 1.5rem }
h1 { font-size: 1.3rem; font-weight: 600; padding: 0 .5rem; overflow-wrap: anywhere }
table { width: 100%; border-collapse: collapse }
th { text-align: left; font-size: .8rem; font-weight: 500; opacity: .65 }
th, td { padding: .35rem .5rem; border-bottom: 1px solid #8883; vertical-align: top }
td:first-child a { overflow-wrap: anywhere; white-space: pre-wrap }
:is(th, td):nth-child(n+2) { white-space: nowrap; font-variant-numeric: tabular-nums }
:is(th, td):nth-child(3) { text-align: right }
td:nth-child(n+2) { opacity: .75 }
tr:hover td { background: #8881 }
a { color: light-dark(#0550ae, #79b8ff); text-decoration: none }
a[href$="/"] { font-weight: 600 }
a:hover, a:focus-visible { text-decoration: underline }
@media (max-width: 36rem) {
  body { padding: 1rem .5rem }
  :is(th, td):nth-child(2) { display: none }
  td { padding-block: .6rem }
}
</style>
<h1>"#;

const TABLE: &str = "</h1>
<table>
<tr><th scope=\"col\">Name<th scope=\"col\">Modified (UTC)<th scope=\"col\">Size
";

#[cfg(test)]
mod tests {
    use super::{Entry, Kind, render, size, sort};
    use proptest::prelude::*;

    fn entry(name: &[u8]) -> Entry {
        Entry { name: name.into(), kind: Kind::File, link: false, size: 0, modified: 0 }
    }

    fn page(clean: &[u8], entries: &[Entry]) -> String {
        let mut out = Vec::new();
        render(&mut out, clean, entries);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn b_148_names_are_sorted_in_unicode_lower_case_with_ties_in_code_point_order() {
        let names = ["b", "B", "a", "É", "é", "z", "_", "Z", "A", "0"];
        let mut entries: Vec<_> = names.iter().map(|name| entry(name.as_bytes())).collect();
        sort(&mut entries);
        let sorted: Vec<_> = entries.iter().map(|e| str::from_utf8(&e.name).unwrap()).collect();
        assert_eq!(sorted, ["0", "_", "A", "a", "B", "b", "Z", "z", "É", "é"]);
    }

    #[test]
    fn b_149_rows_show_size_and_date_and_the_way_up() {
        let file = Entry { size: 1_536, modified: 784_111_777, ..entry(b"a.txt") };
        let sub = page(b"sub", &[file]);
        assert!(sub.contains(
            "<tr><td><a href=\"a.txt\">a.txt</a><td><time>1994-11-06 08:49</time><td>1.5 KiB\n"
        ));
        assert!(sub.contains("<a href=\"../\">../</a>"));
        assert!(!page(b"", &[]).contains("../"));
        assert!(page(b"", &[]).contains("Nothing here."));
    }

    #[test]
    fn b_150_directories_end_in_a_slash_and_links_in_an_at_sign() {
        let directory = Entry { kind: Kind::Directory, size: 4096, ..entry(b"d") };
        let link = Entry { link: true, ..entry(b"l") };
        let both = Entry { link: true, kind: Kind::Directory, ..entry(b"b") };
        let html = page(b"", &[directory, link, both]);
        assert!(html.contains("<a href=\"d/\">d/</a>"));
        assert!(html.contains("<a href=\"l\">l@</a>"));
        assert!(html.contains("<a href=\"b/\">b@</a>"));
        assert!(!html.contains("4 KiB"), "a directory has no size to show");
    }

    #[test]
    fn b_151_a_name_with_a_colon_is_no_scheme() {
        let html = page(b"", &[entry(b"javascript:alert(1)"), entry(b"a b?#%.txt")]);
        assert!(html.contains("href=\"./javascript%3Aalert%281%29\""));
        assert!(html.contains("href=\"a%20b%3F%23%25.txt\""));
    }

    #[test]
    fn b_152_names_are_escaped() {
        let html = page(b"<b>", &[entry(b"<script>&\"'")]);
        assert!(html.contains(">&lt;script&gt;&amp;&quot;'</a>"));
        assert!(!html.contains("<script") && !html.contains("<b>"));
    }

    #[test]
    fn b_153_title_and_heading_show_the_decoded_path() {
        let html = page("a b/é".as_bytes(), &[]);
        assert!(html.contains("<title>Directory listing for /a b/é/</title>"));
        assert!(html.contains("<h1>Directory listing for /a b/é/</h1>"));
        assert!(page(b"", &[]).contains("<h1>Directory listing for /</h1>"));
    }

    #[test]
    fn b_154_b_155_what_is_not_utf_8_is_shown_replaced_and_linked_exactly() {
        let html = page(b"d\xff", &[entry(b"u\xff.txt")]);
        assert!(html.contains("listing for /d\u{fffd}/"));
        assert!(html.contains("<a href=\"u%FF.txt\">u\u{fffd}.txt</a>"));
    }

    #[test]
    fn b_157_the_page_is_light_or_dark_and_needs_nothing_else() {
        let html = page(b"", &[]);
        assert!(html.contains("color-scheme: light dark"));
        for foreign in ["<script", "<link", "<img", "url(", "http:", "https:"] {
            assert!(!html.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn b_149_sizes_are_for_people() {
        for (bytes, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (10_239, "9.9 KiB"),
            (10_240, "10 KiB"),
            (1_048_575, "1023 KiB"),
            (1_572_864, "1.5 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "15 EiB"),
        ] {
            let mut out = Vec::new();
            size(&mut out, bytes);
            assert_eq!(out, shown.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn b_155_every_listed_name_is_found_through_its_link(
            name in proptest::collection::vec(1..=255_u8, 1..40)
        ) {
            prop_assume!(!name.contains(&b'/') && name != b"." && name != b"..");
            let html = page(b"", &[entry(&name)]);
            let (_, link) = html.split_once("<tr><td><a href=\"").unwrap();
            let (link, _) = link.split_once('"').unwrap();
            let mut clean = Vec::new();
            crate::path::resolve(format!("/{link}").as_bytes(), &mut clean).unwrap();
            prop_assert_eq!(clean, name);
        }
    }
}
