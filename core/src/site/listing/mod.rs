//! What a directory's listing shows, in which order and which form.
//!
//! Entries come from the caller, which leaves out what [`super::Site::lists`] does not show and
//! what leads nowhere: broken links, sockets, FIFOs (B-149). [`Rows`] takes them one by one and
//! keeps the first so many in the order of the [`View`], so that memory is bounded whatever the
//! directory holds; it counts the rest, and the listing says that there is more. The form is a page
//! for people or JSON for programs. Each name is a link to its exact bytes, whatever they are
//! (B-155).
//!
//! ```
//! use doorstep_core::site::listing::{Entry, Kind, Rows, View};
//!
//! let file = |name: &str| Entry {
//!     name: name.into(), kind: Kind::File, link: false, size: 1_500, modified: 0,
//! };
//! let mut rows = Rows::new(View::default(), 100);
//! rows.add(file("b.txt"));
//! rows.add(file("A b"));
//! let page = String::from_utf8(rows.write(b"")).unwrap();
//! assert!(page.contains(r#"<a href="A%20b">A b</a>"#));
//! ```

mod json;
mod page;
mod view;

use std::cmp::Reverse;

pub use view::{Column, Form, View};

use crate::path;

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

impl Entry {
    /// Appends the relative reference that leads to it from the directory's own URL.
    fn href(&self, out: &mut Vec<u8>) {
        if self.name.contains(&b':') {
            out.extend_from_slice(b"./"); // no scheme, even to a reader that decodes first (B-151)
        }
        path::encode(out, &self.name);
        if self.kind == Kind::Directory {
            out.push(b'/');
        }
    }

    /// A directory's own size says nothing to anybody.
    fn shown_size(&self) -> Option<u64> {
        (self.kind == Kind::File).then_some(self.size)
    }
}

/// The rows of a listing: the first of them, in the order of a view.
#[derive(Debug)]
pub struct Rows {
    view: View,
    limit: usize,
    total: u64,
    /// Never more than twice the limit.
    entries: Vec<Entry>,
}

impl Rows {
    /// At most `limit` rows are kept, and at least one.
    #[must_use]
    pub fn new(view: View, limit: usize) -> Self {
        Self { view, limit: limit.max(1), total: 0, entries: Vec::new() }
    }

    /// Takes an entry; in any order.
    pub fn add(&mut self, entry: Entry) {
        if self.entries.len() >= self.limit.saturating_mul(2) {
            self.settle(); // once in `limit` entries, so the sorting costs each little
        }
        self.entries.push(entry);
        self.total += 1;
    }

    /// The listing of the directory at `clean`, a clean path; the empty one is the root.
    #[must_use]
    pub fn write(mut self, clean: &[u8]) -> Vec<u8> {
        self.settle();
        let mut out = Vec::new();
        match self.view.form {
            Form::Page => page::render(&mut out, clean, &self),
            Form::Json => json::render(&mut out, clean, &self),
        }
        out
    }

    fn is_complete(&self) -> bool {
        self.entries.len() as u64 == self.total
    }

    /// Puts them in order and drops what is beyond the limit.
    fn settle(&mut self) {
        sort(&mut self.entries, &self.view);
        self.entries.truncate(self.limit);
    }
}

/// Sorts by name in Unicode lower case, directories among files, ties in code-point order (B-148);
/// then, each step keeping the order of the one before among equals, as `view` says.
fn sort(entries: &mut [Entry], view: &View) {
    entries.sort_by_cached_key(|entry| {
        (String::from_utf8_lossy(&entry.name).to_lowercase(), entry.name.clone())
    });
    match (view.column, view.descending) {
        (Column::Name, false) => {}
        (Column::Name, true) => entries.reverse(),
        (Column::Size, false) => entries.sort_by_key(Entry::shown_size),
        (Column::Size, true) => entries.sort_by_key(|entry| Reverse(entry.shown_size())),
        (Column::Date, false) => entries.sort_by_key(|entry| entry.modified),
        (Column::Date, true) => entries.sort_by_key(|entry| Reverse(entry.modified)),
    }
    if view.directories_first {
        entries.sort_by_key(|entry| entry.kind == Kind::File);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn entry(name: &[u8]) -> Entry {
        Entry { name: name.into(), kind: Kind::File, link: false, size: 0, modified: 0 }
    }

    pub(super) fn written(view: View, clean: &[u8], entries: &[Entry]) -> String {
        let mut rows = Rows::new(view, 1_000);
        entries.iter().cloned().for_each(|entry| rows.add(entry));
        String::from_utf8(rows.write(clean)).unwrap()
    }

    fn names(view: View, entries: &[Entry]) -> Vec<String> {
        let mut entries = entries.to_vec();
        sort(&mut entries, &view);
        entries.into_iter().map(|entry| String::from_utf8(entry.name).unwrap()).collect()
    }

    #[test]
    fn b_148_names_are_sorted_in_unicode_lower_case_with_ties_in_code_point_order() {
        let given = ["b", "B", "a", "É", "é", "z", "_", "Z", "A", "0"];
        let entries = given.map(|name| entry(name.as_bytes()));
        let sorted = names(View::default(), &entries);
        assert_eq!(sorted, ["0", "_", "A", "a", "B", "b", "Z", "z", "É", "é"]);
    }

    #[test]
    fn a_view_sorts_by_any_column_and_equals_by_name() {
        let entries = [
            Entry { size: 5, modified: 30, ..entry(b"b") },
            Entry { size: 5, modified: 10, ..entry(b"A") },
            Entry { size: 9, modified: 20, ..entry(b"c") },
            Entry { size: 4096, kind: Kind::Directory, modified: 20, ..entry(b"d") },
        ];
        for (query, expected) in [
            ("", "A b c d"),
            ("order=desc", "d c b A"),
            ("sort=size", "d A b c"),
            ("sort=size&order=desc", "c A b d"),
            ("sort=date", "A c d b"),
            ("sort=date&order=desc", "b c d A"),
            ("sort=date&order=desc&dirs=first", "d b c A"),
            ("dirs=first", "d A b c"),
        ] {
            let view = View::asked(Some(query.as_bytes()), [""; 0]);
            assert_eq!(names(view, &entries).join(" "), expected, "{query}");
        }
    }

    #[test]
    fn memory_is_bounded_and_the_rows_are_the_first_of_all() {
        let mut rows = Rows::new(View::default(), 10);
        for n in 0..100_000 {
            rows.add(entry(format!("{:05}", n * 7_919 % 100_000).as_bytes()));
            assert!(rows.entries.len() <= 20);
        }
        assert!(rows.entries.capacity() <= 40);
        rows.settle();
        assert!(!rows.is_complete() && rows.total == 100_000);
        let kept: Vec<_> = rows.entries.iter().map(|e| str::from_utf8(&e.name).unwrap()).collect();
        assert_eq!(kept.join(" "), "00000 00001 00002 00003 00004 00005 00006 00007 00008 00009");
    }
}
