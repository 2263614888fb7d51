//! Directory listings: which entries, in which order, in HTML or JSON.
//!
//! Entries come from the caller, which leaves out those that [`super::Site::lists_entry`] excludes
//! and those that cannot be fetched, such as broken links, sockets and FIFOs (B-149). [`Rows`]
//! takes them one by one and keeps the first ones in the order of the [`View`], up to a maximum, so
//! that memory is bounded for any directory. The rest is counted, and the listing shows that it is
//! incomplete. Each name is a link to its exact bytes (B-155).
//!
//! ```
//! use doorstep_core::site::Site;
//! use doorstep_core::site::listing::{Entry, Kind, Page, Rows, View};
//!
//! fn file(name: &str) -> Entry<&[u8]> {
//!     let mut entry = Entry::new(name.as_bytes(), Kind::File);
//!     entry.size = 1_500;
//!     entry
//! }
//! let mut rows = Rows::new(View::default(), 100);
//! rows.add(file("b.txt"));
//! rows.add(file("A b"));
//! let site = Site::default();
//! let page = String::from_utf8(rows.write(&Page::new(&site, b""))).unwrap();
//! assert!(page.contains(r#"<a href="A%20b">A b</a>"#));
//! ```

mod age;
mod archive_form;
mod dates;
mod filter;
mod html;
pub(in crate::site) mod json;
mod name;
mod page;
mod rows;
mod shown;
mod sort;
mod style;
mod upload_form;
mod view;

pub use filter::Filter;
pub use page::{Page, Readme};
pub use rows::Rows;
pub use view::{Column, Format, View};

use name::Name;

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry<N = Vec<u8>> {
    /// The name in the file system: any bytes except `/` and NUL.
    pub name: N,
    /// The kind; for a symbolic link, that of its target.
    pub kind: Kind,
    /// Whether it is a symbolic link.
    pub is_symlink: bool,
    /// Size in bytes; not shown for a directory.
    pub size: u64,
    /// When it was last modified, in seconds since 1970.
    pub modified: i64,
}

/// The kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
}

impl<N> Entry<N> {
    /// An entry that is not a symbolic link, with size 0, modified in 1970. Set its other fields.
    #[must_use]
    pub fn new(name: N, kind: Kind) -> Self {
        Self { name, kind, is_symlink: false, size: 0, modified: 0 }
    }
}

impl Entry<Name<'_>> {
    /// Appends the relative reference from the directory's own URL.
    fn href(&self, out: &mut Vec<u8>) {
        self.name.push_link(out);
        if self.kind == Kind::Directory {
            out.push(b'/');
        }
    }
}

impl<N> Entry<N> {
    /// The size to show. That of a directory itself is of no use.
    fn display_size(&self) -> Option<u64> {
        (self.kind == Kind::File).then_some(self.size)
    }
}

impl Rows {
    /// The listing, in the format of its view.
    #[must_use]
    pub fn write(mut self, page: &Page<'_>) -> Vec<u8> {
        self.sort_and_truncate();
        let mut out = self.output_buffer();
        match self.view.format {
            Format::Html => html::render(&mut out, page, &self),
            Format::Json => json::render(&mut out, page, &self),
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::Site;
    use super::*;

    pub(super) fn entry(name: &[u8]) -> Entry {
        Entry::new(name.into(), Kind::File)
    }

    pub(super) fn written(view: View, clean: &[u8], entries: &[Entry]) -> String {
        let mut rows = Rows::new(view, 1_000);
        entries.iter().cloned().for_each(|entry| rows.add(entry));
        String::from_utf8(rows.write(&Page::new(&Site::default(), clean))).unwrap()
    }
}
