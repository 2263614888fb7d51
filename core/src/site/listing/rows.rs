//! The rows of a listing, packed: as many as there are entries, and each as small as can be.
//!
//! All memory is in blocks of the same middling size, which an allocator takes from the system and
//! gives back as they are: a listing of 100,000 names takes about 7 MB while it is made, and leaves
//! nothing behind.

use std::cmp::Reverse;

use super::{Column, Entry, Kind, View};

/// What one block holds, in bytes.
pub(super) const BLOCK: usize = 64 << 10;
/// Rows in a block of them, a number.
const ROWS: usize = BLOCK / size_of::<Row>();

/// The rows of a listing: the first of them, in the order of a view.
#[derive(Debug)]
pub struct Rows {
    pub(super) view: View,
    limit: usize,
    pub(super) total: u64,
    packed: Packed,
    /// The rows that count, by their numbers; in order once they are settled. Never more than twice
    /// the limit.
    order: Vec<u32>,
}

/// An entry whose name is elsewhere.
#[derive(Debug)]
struct Row {
    size: u64,
    modified: i64,
    /// Which block its name is in, and where there.
    block: u32,
    offset: u32,
    name: u32,
    /// What it is sorted by comes behind the name; of length 0, it is the name.
    key: u32,
    kind: Kind,
    link: bool,
}

#[derive(Debug, Default)]
struct Packed {
    rows: Vec<Vec<Row>>,
    names: Vec<Vec<u8>>,
}

impl Rows {
    /// At most `limit` rows are kept, and at least one.
    #[must_use]
    pub fn new(view: View, limit: usize) -> Self {
        // Twice as many have numbers of 32 bits.
        let limit = limit.clamp(1, u32::MAX as usize / 2);
        Self { view, limit, total: 0, packed: Packed::default(), order: Vec::new() }
    }

    /// Takes an entry; in any order.
    pub fn add(&mut self, entry: Entry<impl AsRef<[u8]>>) {
        if self.order.len() >= self.limit.saturating_mul(2) {
            self.settle(); // once in `limit` entries, so the sorting costs each little
        }
        self.order.push(self.packed.push(&entry));
        self.total += 1;
    }

    /// How many rows are kept so far, a number.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.len() as u64 == self.total
    }

    /// They, in order once they are settled.
    pub(super) fn iter(&self) -> impl Iterator<Item = Entry<&[u8]>> {
        self.order.iter().map(|&row| self.packed.entry(row))
    }

    /// Puts them in order and drops what is beyond the limit.
    pub(super) fn settle(&mut self) {
        self.sort();
        if self.order.len() > self.limit {
            self.order.truncate(self.limit);
            let mut kept = Packed::default();
            for row in &mut self.order {
                *row = kept.push(&self.packed.entry(*row));
            }
            self.packed = kept;
        }
    }

    /// Sorts by name in Unicode lower case, directories among files, ties in code-point order (B-148);
    /// then, each step keeping the order of the one before among equals, as the view says.
    fn sort(&mut self) {
        let Self { view, packed, order, .. } = self;
        let entry = |row: &u32| packed.entry(*row);
        order.sort_by_key(|&row| (packed.key(row), packed.entry(row).name));
        match (view.column, view.descending) {
            (Column::Name, false) => {}
            (Column::Name, true) => order.reverse(),
            (Column::Size, false) => order.sort_by_key(|row| entry(row).shown_size()),
            (Column::Size, true) => order.sort_by_key(|row| Reverse(entry(row).shown_size())),
            (Column::Date, false) => order.sort_by_key(|row| entry(row).modified),
            (Column::Date, true) => order.sort_by_key(|row| Reverse(entry(row).modified)),
        }
        if view.directories_first {
            order.sort_by_key(|row| entry(row).kind == Kind::File);
        }
    }
}

impl Packed {
    /// Takes an entry; its number.
    fn push(&mut self, entry: &Entry<impl AsRef<[u8]>>) -> u32 {
        let name = entry.name.as_ref();
        let key = key(name);
        let (block, offset) = self.keep(name, key.as_deref().unwrap_or_default());
        let row = Row {
            size: entry.size,
            modified: entry.modified,
            block,
            offset,
            name: name.len() as u32,
            key: key.map_or(0, |key| key.len() as u32),
            kind: entry.kind,
            link: entry.link,
        };
        if self.rows.last().is_none_or(|rows| rows.len() == ROWS) {
            self.rows.push(Vec::with_capacity(if self.rows.is_empty() { 0 } else { ROWS }));
        }
        let last = self.rows.len() - 1;
        self.rows[last].push(row);
        (last * ROWS + self.rows[last].len() - 1) as u32
    }

    /// Where `name` is put, with `key` behind it.
    fn keep(&mut self, name: &[u8], key: &[u8]) -> (u32, u32) {
        let size = name.len() + key.len();
        if self.names.last().is_none_or(|names| names.len() + size > BLOCK) {
            let all = if self.names.is_empty() { size } else { size.max(BLOCK) };
            self.names.push(Vec::with_capacity(all));
        }
        let last = self.names.len() - 1;
        let names = &mut self.names[last];
        let offset = names.len();
        names.extend_from_slice(name);
        names.extend_from_slice(key);
        (last as u32, offset as u32)
    }

    fn row(&self, row: u32) -> &Row {
        &self.rows[row as usize / ROWS][row as usize % ROWS]
    }

    fn entry(&self, row: u32) -> Entry<&[u8]> {
        let &Row { size, modified, block, offset, name, kind, link, .. } = self.row(row);
        let name = &self.names[block as usize][offset as usize..][..name as usize];
        Entry { name, kind, link, size, modified }
    }

    fn key(&self, row: u32) -> &[u8] {
        let &Row { block, offset, name, key, .. } = self.row(row);
        let (from, length) = if key == 0 { (0, name) } else { (name, key) };
        &self.names[block as usize][(offset + from) as usize..][..length as usize]
    }
}

/// The name in Unicode lower case, if that is another one. As bytes of UTF-8 it sorts as in code points.
fn key(name: &[u8]) -> Option<Vec<u8>> {
    if name.iter().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return None;
    }
    Some(String::from_utf8_lossy(name).to_lowercase().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::tests::entry;
    use super::*;

    fn names(view: View, entries: &[Entry]) -> Vec<String> {
        let mut rows = Rows::new(view, 1_000);
        entries.iter().for_each(|entry| rows.add(entry.clone()));
        rows.settle();
        rows.iter().map(|entry| String::from_utf8(entry.name.to_vec()).unwrap()).collect()
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
            assert!(rows.len() <= 20);
            assert!(rows.packed.rows.len() == 1 && rows.packed.names.len() == 1);
        }
        assert!(rows.order.capacity() <= 40);
        rows.settle();
        assert!(!rows.is_complete() && rows.total == 100_000);
        let kept: Vec<_> = rows.iter().map(|e| str::from_utf8(e.name).unwrap()).collect();
        assert_eq!(kept.join(" "), "00000 00001 00002 00003 00004 00005 00006 00007 00008 00009");
    }

    #[test]
    fn rows_and_names_of_many_blocks_stay_what_they_were() {
        let mut rows = Rows::new(View::default(), 10_000);
        let long = |n: usize| format!("{n:06}{}", "Ö".repeat(if n == 7 { BLOCK } else { 100 }));
        for n in (0..10_000).rev() {
            rows.add(Entry { size: n as u64, ..entry(long(n).as_bytes()) });
        }
        rows.settle();
        assert!(rows.packed.rows.len() > 4 && rows.packed.names.len() > 40);
        for (n, entry) in rows.iter().enumerate() {
            assert_eq!((entry.size, entry.name), (n as u64, long(n).as_bytes()));
        }
    }
}
