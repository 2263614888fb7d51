//! The listing as an HTML page: self-contained, without scripts.
//!
//! Light and dark, from phone to desktop. The headings are buttons that sort by their columns, and
//! a field filters by name. For screen readers there are the order (`aria-sort`), a caption, labels,
//! landmarks, and a heading with the directory. The kind of an entry is shown by the style sheet,
//! from the end of its link, at no bytes for each.
//!
//! The page is simple for programs, too: its only links are the entries and `../`. Programs that
//! follow links (mirrors, link checkers, file system layers) follow neither forms nor buttons, so
//! they fetch each directory once, in one order, and go up one level at a time. Therefore there is
//! no link that skips the controls, either: it would be an entry for some of them.

use super::age::push_age;
use super::dates::{Dates, Moment};
use super::name::Name;
use super::shown::{push_lines, push_name, push_path, push_text};
use super::style::{HTML_HEAD, STYLE};
use super::{Column, Entry, Filter, Kind, Page, Readme, Rows, View, archive_form, upload_form};
use crate::bytes::push_decimal;
use crate::page::escape_html;

/// Appends the page. The root has no link to a parent (B-149 to B-155).
pub(super) fn render(out: &mut Vec<u8>, page: &Page<'_>, rows: &Rows) {
    const TITLE: &[u8] = b"Directory listing for /";
    let clean = page.path;
    let slash: &[u8] = if clean.is_empty() { b"" } else { b"/" };

    // Each name twice, and most of what is between them and after them.
    out.reserve(HTML_HEAD.len() + STYLE.len() + 112 * rows.len() + 2 * rows.names_len() + 3072);
    out.extend_from_slice(HTML_HEAD.as_bytes());
    out.extend_from_slice(TITLE);
    push_text(out, clean, |_| false);
    out.extend_from_slice(slash);
    if let Some(filter) = page.filter {
        quoted(out, b": names with ", filter);
    }
    out.extend_from_slice(STYLE.as_bytes());
    out.extend_from_slice(TITLE);
    push_path(out, clean);
    out.extend_from_slice(slash);
    out.extend_from_slice(b"</h1>\n");
    controls(out, page, rows);
    out.extend_from_slice(b"</header>\n<main>\n<table>\n<caption>");
    caption(out, page, rows);
    out.extend_from_slice(b"</caption>\n<thead><tr>");
    for (column, heading) in
        [(Column::Name, "Name"), (Column::Date, "Modified (UTC)"), (Column::Size, "Size")]
    {
        self::heading(out, page, rows, column, heading);
    }
    out.extend_from_slice(b"\n<tbody>\n");
    if !clean.is_empty() {
        out.extend_from_slice(b"<tr><td colspan=\"3\"><a href=\"../\">../</a>\n");
    }
    let mut dates = Dates::new();
    for entry in rows.iter() {
        row(out, &entry, dates.moment(entry.modified), page.now);
    }
    out.extend_from_slice(b"</table>\n");
    match page.filter {
        _ if !rows.is_empty() => {}
        Some(filter) => {
            quoted(out, b"<p>No name here contains ", filter);
            out.extend_from_slice(b".\n");
        }
        None => out.extend_from_slice(b"<p>Nothing here.\n"),
    }
    if let Some(readme) = &page.readme {
        self::readme(out, readme);
    }
    out.extend_from_slice(b"</main>\n</html>\n");
}

/// The controls between the heading and the table: each is a form of its own.
fn controls(out: &mut Vec<u8>, page: &Page<'_>, rows: &Rows) {
    out.extend_from_slice(b"<div>\n");
    filter_form(out, page, rows);
    if page.site.archive && (!rows.is_empty() || page.filter.is_some()) {
        archive_form::render(out);
    }
    if page.takes_uploads {
        upload_form::render(out, &rows.view.to_query(page.filter));
    }
    out.extend_from_slice(b"</div>\n");
}

/// A field for a text in names, and a button that removes it.
fn filter_form(out: &mut Vec<u8>, page: &Page<'_>, rows: &Rows) {
    if rows.is_empty() && page.filter.is_none() {
        return;
    }
    out.extend_from_slice(b"<form role=\"search\">");
    if !rows.view.is_default() {
        hidden_inputs(out, &rows.view, None);
    }
    out.extend_from_slice(b"<label>Filter <input type=\"search\" name=\"filter\" maxlength=\"");
    push_decimal(out, Filter::MAX_LEN as u64);
    out.extend_from_slice(b"\" autocapitalize=\"none\" spellcheck=\"false\" value=\"");
    if let Some(filter) = page.filter {
        escape_html(out, filter.text().as_bytes());
    }
    out.extend_from_slice(b"\"></label><button>Apply</button></form>\n");
    if page.filter.is_some() {
        button(out, &rows.view, None, "Clear filter");
        out.push(b'\n');
    }
}

/// The number of entries, how many of them are shown, and a button that moves directories.
fn caption(out: &mut Vec<u8>, page: &Page<'_>, rows: &Rows) {
    if !rows.is_complete() {
        out.extend_from_slice(b"The first ");
        push_decimal(out, rows.len() as u64);
        out.extend_from_slice(b" in this order, of ");
    }
    push_decimal(out, rows.total);
    out.extend_from_slice(if rows.total == 1 { b" entry" } else { b" entries" });
    if let Some(filter) = page.filter {
        quoted(out, b" with ", filter);
        out.extend_from_slice(b" in the name");
    }
    let other = View { directories_first: !rows.view.directories_first, ..rows.view };
    let text =
        if other.directories_first { "Directories first" } else { "Directories among files" };
    out.push(b' ');
    button(out, &other, page.filter, text);
}

/// Appends `before`, and the text of a filter in quotation marks.
fn quoted(out: &mut Vec<u8>, before: &[u8], filter: &Filter) {
    out.extend_from_slice(before);
    out.extend_from_slice("\u{201c}".as_bytes());
    push_text(out, filter.text().as_bytes(), |_| false);
    out.extend_from_slice("\u{201d}".as_bytes());
}

/// The heading of a column: a button for its order, or for the reverse of the current order. Names
/// are sorted in ascending order first, sizes and dates in descending order: the largest and the
/// latest are looked for most.
fn heading(out: &mut Vec<u8>, page: &Page<'_>, rows: &Rows, column: Column, text: &str) {
    let view = &rows.view;
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
    button(out, &View { column, descending, ..*view }, page.filter, text);
}

/// A button that requests the same directory in the order of `view`. A form without an action goes
/// to the address of the page, and replaces its query.
fn button(out: &mut Vec<u8>, view: &View, filter: Option<&Filter>, text: &str) {
    out.extend_from_slice(b"<form>");
    hidden_inputs(out, view, filter);
    for part in ["<button>", text, "</button></form>"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// What a form requests besides its fields.
fn hidden_inputs(out: &mut Vec<u8>, view: &View, filter: Option<&Filter>) {
    for (name, value) in view.query_pairs() {
        for part in ["<input type=\"hidden\" name=\"", name, "\" value=\"", value, "\">"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    if let Some(filter) = filter {
        out.extend_from_slice(b"<input type=\"hidden\" name=\"filter\" value=\"");
        escape_html(out, filter.text().as_bytes());
        out.extend_from_slice(b"\">");
    }
}

fn row(out: &mut Vec<u8>, entry: &Entry<Name<'_>>, modified: Moment, now: Option<i64>) {
    out.extend_from_slice(b"<tr><td><a href=\"");
    entry.href(out);
    out.extend_from_slice(b"\">");
    entry.name.push_html(out);
    match (entry.is_symlink, entry.kind) {
        (true, _) => out.push(b'@'), // B-150
        (false, Kind::Directory) => out.push(b'/'),
        (false, Kind::File) => {}
    }
    match now {
        Some(now) => {
            out.extend_from_slice(b"</a><td title=\"");
            push_age(out, now, entry.modified);
            out.push(b'"');
        }
        None => out.extend_from_slice(b"</a><td"),
    }
    date(out, modified);
    match entry.display_size() {
        Some(bytes) => size(out, bytes),
        None => out.extend_from_slice(b">-"), // programs that parse listings expect three words
    }
    out.push(b'\n');
}

/// `YYYY-MM-DD HH:MM` in UTC, between the ends of two tags: its own, and the size's, which is open.
fn date(out: &mut Vec<u8>, Moment { date, time: [hour, minute, _] }: Moment) {
    let mut text = *b">YYYY-MM-DD HH:MM<td";
    text[1..11].copy_from_slice(&date);
    text[12..14].copy_from_slice(&hour);
    text[15..17].copy_from_slice(&minute);
    out.extend_from_slice(&text);
}

/// The end of the tag, with the exact number of bytes in its title, and the size as a word.
fn size(out: &mut Vec<u8>, bytes: u64) {
    if bytes < 1024 {
        out.push(b'>');
        return push_decimal(out, bytes);
    }
    out.extend_from_slice(b" title=\"");
    grouped(out, bytes / 1_000);
    let mut text = *b",000 bytes\">";
    text[1..4].copy_from_slice(&three_digits(bytes));
    out.extend_from_slice(&text);
    short_size(out, bytes);
}

/// `n` in decimal, with a comma between groups of three digits.
fn grouped(out: &mut Vec<u8>, n: u64) {
    if n < 1_000 {
        return push_decimal(out, n);
    }
    grouped(out, n / 1_000);
    out.push(b',');
    out.extend_from_slice(&three_digits(n));
}

/// The last three digits of `n`.
fn three_digits(n: u64) -> [u8; 3] {
    let n = (n % 1_000) as u32;
    [n / 100, n / 10 % 10, n % 10].map(|digit| b'0' + digit as u8)
}

/// A file as text.
fn readme(out: &mut Vec<u8>, readme: &Readme<'_>) {
    out.extend_from_slice(b"<section>\n<h2>");
    push_name(out, readme.name);
    out.extend_from_slice(b"</h2>\n<pre>\n"); // the first newline is not part of the text
    push_lines(out, readme.text);
    out.extend_from_slice(b"</pre>\n");
    if !readme.is_complete {
        out.extend_from_slice(b"<p>Only its first ");
        grouped(out, readme.text.len() as u64);
        out.extend_from_slice(b" bytes are shown.\n");
    }
    out.extend_from_slice(b"</section>\n");
}

/// `n` bytes as in `ls -h` and Apache: `812`, `3.0M`, `15G`; in powers of 1024, rounded down. One
/// word, which programs that parse listings recognize as a size.
fn short_size(out: &mut Vec<u8>, n: u64) {
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

#[cfg(test)]
#[path = "html_tests.rs"]
mod tests;
