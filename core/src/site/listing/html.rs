//! The listing as an HTML page: self-contained, without scripts.
//!
//! Light and dark, from phone to desktop. The headings are buttons that sort by their columns. For
//! screen readers there are the order (`aria-sort`), a caption, and a heading with the directory.
//!
//! The page is simple for programs, too: its only links are the entries and `../`. Programs that
//! follow links (mirrors, link checkers, file system layers) follow neither forms nor buttons, so
//! they fetch each directory once, in one order, and go up one level at a time.

use super::dates::{Dates, Moment};
use super::name::Name;
use super::{Column, Entry, Kind, Rows, View, archive_form};
use crate::bytes::push_decimal;
use crate::page::escape_html;

/// Appends the page for the clean path `clean`. The root has no link to a parent (B-149 to B-155).
pub(super) fn render(out: &mut Vec<u8>, clean: &[u8], rows: &Rows) {
    const TITLE: &[u8] = b"Directory listing for /";
    let slash: &[u8] = if clean.is_empty() { b"" } else { b"/" };

    // Each name twice, and most of what is between them and after them.
    out.reserve(HTML_HEAD.len() + STYLE.len() + 72 * rows.len() + 2 * rows.names_len() + 2048);
    for before in [HTML_HEAD, STYLE] {
        out.extend_from_slice(before.as_bytes());
        out.extend_from_slice(TITLE);
        escape_html(out, clean);
        out.extend_from_slice(slash);
    }
    out.extend_from_slice(b"</h1>\n<main>\n<table>\n<caption>");
    caption(out, rows);
    out.extend_from_slice(b"</caption>\n<thead><tr>");
    for (column, heading) in
        [(Column::Name, "Name"), (Column::Date, "Modified (UTC)"), (Column::Size, "Size")]
    {
        self::heading(out, &rows.view, column, heading);
    }
    out.extend_from_slice(b"\n<tbody>\n");
    if !clean.is_empty() {
        out.extend_from_slice(b"<tr><td colspan=\"3\"><a href=\"../\">../</a>\n");
    }
    let mut dates = Dates::new();
    for entry in rows.iter() {
        row(out, &entry, dates.moment(entry.modified));
    }
    out.extend_from_slice(b"</table>\n");
    if rows.is_empty() {
        out.extend_from_slice(b"<p>Nothing here.</p>\n");
    }
    out.extend_from_slice(b"</main>\n</html>\n");
}

/// The number of entries, how many of them are shown, and a button that moves directories.
fn caption(out: &mut Vec<u8>, rows: &Rows) {
    if !rows.is_complete() {
        out.extend_from_slice(b"The first ");
        push_decimal(out, rows.len() as u64);
        out.extend_from_slice(b" in this order, of ");
    }
    push_decimal(out, rows.total);
    out.extend_from_slice(if rows.total == 1 { b" entry" } else { b" entries" });
    let other = View { directories_first: !rows.view.directories_first, ..rows.view };
    let text =
        if other.directories_first { "Directories first" } else { "Directories among files" };
    out.extend_from_slice(b" \xc2\xb7 ");
    button(out, &other, text);
    archive_form::write(out, rows);
}

/// The heading of a column: a button for its order, or for the reverse of the current order. Names
/// are sorted in ascending order first, sizes and dates in descending order: the largest and the
/// latest are looked for most.
fn heading(out: &mut Vec<u8>, view: &View, column: Column, text: &str) {
    let is_sorted = view.column == column;
    let descending = if is_sorted { !view.descending } else { column != Column::Name };
    out.extend_from_slice(b"<th scope=\"col\"");
    if is_sorted {
        let order = if view.descending { "descending" } else { "ascending" };
        out.extend_from_slice(b" aria-sort=\"");
        out.extend_from_slice(order.as_bytes());
        out.push(b'"');
    }
    out.push(b'>');
    button(out, &View { column, descending, ..*view }, text);
}

/// A button that requests the same directory in the order of `view`. A form without an action goes
/// to the address of the page, and replaces its query.
fn button(out: &mut Vec<u8>, view: &View, text: &str) {
    out.extend_from_slice(b"<form>");
    for (name, value) in view.query_pairs() {
        for part in ["<input type=\"hidden\" name=\"", name, "\" value=\"", value, "\">"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    for part in ["<button>", text, "</button></form>"] {
        out.extend_from_slice(part.as_bytes());
    }
}

fn row(out: &mut Vec<u8>, entry: &Entry<Name<'_>>, modified: Moment) {
    out.extend_from_slice(b"<tr><td><a href=\"");
    entry.href(out);
    out.extend_from_slice(b"\">");
    entry.name.push_html(out);
    match (entry.is_symlink, entry.kind) {
        (true, _) => out.push(b'@'), // B-150
        (false, Kind::Directory) => out.push(b'/'),
        (false, Kind::File) => {}
    }
    date(out, modified);
    match entry.display_size() {
        Some(bytes) => size(out, bytes),
        None => out.push(b'-'), // programs that parse listings expect three words (R-21)
    }
    out.push(b'\n');
}

/// `YYYY-MM-DD HH:MM` in UTC, the format of `<time>`, with all that is between the name and the size.
fn date(out: &mut Vec<u8>, Moment { date, time: [hour, minute, _] }: Moment) {
    const START: usize = b"</a><td><time>".len();
    let mut text = *b"</a><td><time>YYYY-MM-DD HH:MM</time><td>";
    let at = &mut text[START..][..16];
    at[..10].copy_from_slice(&date);
    at[11..13].copy_from_slice(&hour);
    at[14..].copy_from_slice(&minute);
    out.extend_from_slice(&text);
}

/// `n` bytes as in `ls -h` and Apache: `812`, `3.0M`, `15G`; in powers of 1024, rounded down. One
/// word, which programs that parse listings recognize as a size (R-21).
fn size(out: &mut Vec<u8>, n: u64) {
    const UNITS: &[u8; 6] = b"KMGTPE"; // 64 bits are at most 15E
    let power = n.checked_ilog2().unwrap_or(0) / 10;
    let whole = n >> (10 * power);
    push_decimal(out, whole);
    if power == 0 {
        return;
    }
    if whole < 10 {
        let tenths = (n >> (10 * (power - 1)) & 1023) * 10 / 1024;
        out.push(b'.');
        push_decimal(out, tenths);
    }
    out.push(UNITS[power as usize - 1]);
}

const HTML_HEAD: &str = r#"<!DOCTYPE html>
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
caption { text-align: left; font-size: .85rem; padding: .35rem .5rem }
th { text-align: left; font-size: .85rem; font-weight: 500 }
form { display: inline }
button { font: inherit; background: none; border: 0; padding: .2rem 0; cursor: pointer }
[aria-sort] { font-weight: 700 }
[aria-sort] button::after { content: " \2191" }
[aria-sort="descending"] button::after { content: " \2193" }
th, td { padding: .35rem .5rem; border-bottom: 1px solid #8883; vertical-align: baseline }
td:first-child a { overflow-wrap: anywhere; white-space: pre-wrap }
:is(th, td):nth-child(n+2) { white-space: nowrap; font-variant-numeric: tabular-nums }
:is(th, td):nth-child(3) { text-align: right }
td:nth-child(n+2) { opacity: .8 }
tr:hover td { background: #8881 }
a, button { color: light-dark(#0550ae, #79b8ff); text-decoration: none }
td a[href$="/"] { font-weight: 600 }
:is(a, button):hover, caption button { text-decoration: underline }
:focus-visible { outline: 2px solid; outline-offset: 2px; border-radius: 2px }
@media (max-width: 36rem) {
  body { padding: 1rem .5rem }
  h1, caption, th, td { padding-inline: .3rem }
  :is(th, td):nth-child(n+2) { font-size: .75rem }
  td { padding-block: .6rem }
}
</style>
<h1>"#;

#[cfg(test)]
#[path = "html_tests.rs"]
mod tests;
