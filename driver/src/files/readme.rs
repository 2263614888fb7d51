//! The README of a directory, which is shown below its listing ([`Site::readme`]).
//!
//! Only an entry of the listing is read: it is fetchable, not hidden, and a regular file. It is read
//! where the listing is made, which may block, and at most [`Site::max_readme_size`] bytes of it.
//!
//! [`Site::readme`]: doorstep_core::site::Site::readme
//! [`Site::max_readme_size`]: doorstep_core::site::Site::max_readme_size

use doorstep_core::site::listing::{Entry, Kind, Readme};

use crate::os::{self, Opened, Root};

/// The entry that is preferred so far.
#[derive(Debug, Default)]
pub(super) struct ReadmeSearch {
    found: Option<(u8, Vec<u8>)>,
}

/// A README in memory.
#[derive(Debug)]
pub(super) struct ReadmeText {
    name: Vec<u8>,
    text: Vec<u8>,
    is_complete: bool,
}

impl ReadmeSearch {
    /// Takes an entry. Of entries of the same rank, the first in the order of their bytes is kept.
    pub(super) fn consider(&mut self, entry: &Entry<&[u8]>) {
        let Some(rank) = Readme::rank(entry.name).filter(|_| entry.kind == Kind::File) else {
            return;
        };
        let is_better =
            self.found.as_ref().is_none_or(|(best, name)| (rank, entry.name) < (*best, name));
        if is_better {
            self.found = Some((rank, entry.name.to_vec()));
        }
    }

    /// Reads at most `max` bytes of the entry that was found in the directory at `path`. `None` if
    /// there was none, or if it cannot be read any more: the listing is complete without it.
    pub(super) fn read(self, root: &Root, path: &[u8], max: usize) -> Option<ReadmeText> {
        let (_, name) = self.found?;
        let full = if path.is_empty() { name.clone() } else { [path, b"/", &name].concat() };
        let Opened::File(file, stat) = root.open(&full) else { return None };
        let size = usize::try_from(stat.size).unwrap_or(usize::MAX);
        let mut text = vec![0; size.min(max)];
        let read = os::read_at(&file, &mut text, 0).ok()?;
        text.truncate(read);
        let is_complete = size <= max;
        if !is_complete {
            text.truncate(complete_characters(&text));
        }
        Some(ReadmeText { name, text, is_complete })
    }
}

impl ReadmeText {
    pub(super) fn as_page(&self) -> Readme<'_> {
        let text = self.text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.text); // U+FEFF
        Readme { name: &self.name, text, is_complete: self.is_complete }
    }
}

/// The length of `text` without a character of UTF-8 that is cut at its end.
fn complete_characters(text: &[u8]) -> usize {
    let last = text.utf8_chunks().last();
    let cut = last.map_or(0, |chunk| chunk.invalid().len());
    let is_start = |byte: u8, len| match byte {
        0xc2..=0xdf => len < 2,
        0xe0..=0xef => len < 3,
        0xf0..=0xf4 => len < 4,
        _ => false,
    };
    let start = text.len() - cut;
    match text.get(start) {
        Some(&byte) if is_start(byte, cut) => start,
        _ => text.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::Symlinks;
    use std::fs;

    fn file(name: &[u8]) -> Entry<&[u8]> {
        Entry::new(name, Kind::File)
    }

    #[test]
    fn markdown_is_preferred_and_directories_are_not_read() {
        let mut search = ReadmeSearch::default();
        for name in ["a", "README", "readme.TXT", "readme.txt", "READ.ME"] {
            search.consider(&file(name.as_bytes()));
        }
        search.consider(&Entry::new(b"README.md", Kind::Directory));
        assert_eq!(search.found.unwrap().1, b"readme.TXT");
    }

    #[test]
    fn the_text_is_bounded_and_ends_with_a_whole_character() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path(), Symlinks::Beneath).unwrap();
        fs::write(dir.path().join("README"), "\u{feff}aé漢b").unwrap();
        for (max, expected, is_complete) in [
            (100, "aé漢b", true),
            (10, "aé漢b", true),
            (9, "aé漢", false),
            (8, "aé", false),
            (6, "aé", false),
            (5, "a", false),
            (0, "", false),
        ] {
            let mut search = ReadmeSearch::default();
            search.consider(&file(b"README"));
            let read = search.read(&root, b"", max).unwrap();
            let page = read.as_page();
            let expected = (expected.as_bytes(), is_complete);
            assert_eq!((page.text, page.is_complete), expected, "{max}");
        }
        let mut search = ReadmeSearch::default();
        search.consider(&file(b"readme.md"));
        assert!(search.read(&root, b"", 9).is_none(), "removed meanwhile");
        assert!(ReadmeSearch::default().read(&root, b"", 9).is_none());
    }
}
