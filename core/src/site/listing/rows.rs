//! The rows of a listing in compact memory.
//!
//! A large listing is stored in blocks so large that every allocator in use takes them from the
//! system and returns them to it (mmap). Only the used part of a block occupies memory: a listing
//! of 100,000 names takes about 18 MB while it is made, and none afterwards.

use std::cmp::Reverse;

use super::name::{Name, Needs};
use super::sort::{Ranked, sort};
use super::{Column, Entry, Kind, View};

/// Number of rows above which a listing is stored in blocks of their own.
const MMAP_MIN_ROWS: usize = 1_000;
/// The length of a usual name in bytes; longer ones take more memory.
const USUAL_NAME_LEN: usize = 16;
/// Size of a block in bytes. No allocator in use keeps blocks of this size; glibc's keeps up to 32
/// MiB.
const MMAP_BYTES: usize = 33 << 20;

/// The rows of a listing: the first ones in the order of a view.
///
/// ```
/// use doorstep_core::site::Site;
/// use doorstep_core::site::listing::{Entry, Kind, Page, Rows, View};
///
/// let mut rows = Rows::new(View::default(), 2);
/// for name in ["c", "a", "b"] {
///     rows.add(Entry::new(name, Kind::File));
/// }
/// let site = Site::default();
/// let html = String::from_utf8(rows.write(&Page::new(&site, b""))).unwrap();
/// assert!(html.contains("The first 2 in this order, of 3 entries"));
/// ```
#[derive(Debug)]
pub struct Rows {
    pub(super) view: View,
    limit: usize,
    pub(super) total: u64,
    packed: Packed,
    /// The rows that count, by their numbers; in order after sorting. Never more than twice the
    /// limit.
    order: Vec<u32>,
}

#[derive(Debug, Default)]
struct Packed {
    rows: Vec<Row>,
    names: Vec<u8>,
}

/// An entry; its name is in [`Packed::names`].
#[derive(Debug)]
struct Row {
    size: u64,
    modified: i64,
    /// The start of its name, and its length in bytes.
    name_start: usize,
    name_len: u32,
    /// The length of the sort key after the name, in bytes. 0 if the key is the name itself.
    key_len: u32,
    kind: Kind,
    is_symlink: bool,
    needs: Needs,
}

impl Rows {
    /// A listing of at most `limit` rows; at least one.
    #[must_use]
    pub fn new(view: View, limit: usize) -> Self {
        // Row numbers have 32 bits, and there are up to twice as many rows.
        let limit = limit.clamp(1, u32::MAX as usize / 2);
        // Room for a small listing from the start: memory is not occupied before it is used.
        let rows = limit.saturating_mul(2).min(MMAP_MIN_ROWS);
        let names = Vec::with_capacity(rows * USUAL_NAME_LEN);
        let packed = Packed { rows: Vec::with_capacity(rows), names };
        let order = Vec::with_capacity(rows);
        Self { view, limit, total: 0, packed, order }
    }

    /// Adds an entry, in any order.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "an entry that is taken is not needed any more"
    )]
    pub fn add(&mut self, entry: Entry<impl AsRef<[u8]>>) {
        if self.order.len() >= self.limit.saturating_mul(2) {
            self.sort_and_truncate(); // once per `limit` entries, so the cost per entry is small
        }
        self.order.push(self.packed.push(&entry));
        self.total += 1;
    }
    /// The number of rows kept so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.len() as u64 == self.total
    }

    /// The buffer to write the listing to.
    pub(super) fn output_buffer(&self) -> Vec<u8> {
        let mut space = Vec::new();
        if self.len() > MMAP_MIN_ROWS {
            reserve_mmapped(&mut space);
        }
        space
    }

    /// About the length of all names in bytes.
    pub(super) fn names_len(&self) -> usize {
        self.packed.names.len()
    }

    /// The rows; in order after sorting.
    pub(super) fn iter(&self) -> impl Iterator<Item = Entry<Name<'_>>> {
        self.order.iter().map(|&row| self.packed.entry(row))
    }

    /// Sorts the rows and removes those beyond the limit.
    pub(super) fn sort_and_truncate(&mut self) {
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

    /// Sorts by name in Unicode lower case, directories among files, ties in code-point order
    /// (B-148); then by the column of the view, with a stable sort.
    fn sort(&mut self) {
        self.sort_by_name();
        let Self { view, packed, order, .. } = self;
        let entry = |row: &u32| packed.entry(*row);
        match (view.column, view.descending) {
            (Column::Name, false) => {}
            (Column::Name, true) => order.reverse(),
            (Column::Size, false) => order.sort_by_key(|row| entry(row).display_size()),
            (Column::Size, true) => order.sort_by_key(|row| Reverse(entry(row).display_size())),
            (Column::Date, false) => order.sort_by_key(|row| entry(row).modified),
            (Column::Date, true) => order.sort_by_key(|row| Reverse(entry(row).modified)),
        }
        if view.directories_first {
            order.sort_by_key(|row| entry(row).kind == Kind::File);
        }
    }

    fn sort_by_name(&mut self) {
        let Self { packed, order, .. } = self;
        let key = |row| packed.sort_key(row);
        let mut ranked = Vec::new();
        if order.len() > MMAP_MIN_ROWS {
            reserve_mmapped(&mut ranked);
        }
        ranked.extend(order.iter().map(|&row| Ranked::new(row, key(row))));
        let name_and_age = |row| (packed.name(row), row);
        sort(&mut ranked, &key, &|a, b| name_and_age(a).cmp(&name_and_age(b)));
        order.clear();
        order.extend(ranked.iter().map(|ranked| ranked.row));
    }
}

impl Packed {
    /// Adds an entry and returns its number.
    fn push(&mut self, entry: &Entry<impl AsRef<[u8]>>) -> u32 {
        let number = self.rows.len();
        if number == MMAP_MIN_ROWS {
            reserve_mmapped(&mut self.rows);
            reserve_mmapped(&mut self.names);
        }
        let bytes = entry.name.as_ref();
        let name = Name::new(bytes, Needs::of(bytes));
        let name_start = self.names.len();
        self.names.extend_from_slice(bytes);
        let key_len = name.push_lower_case(&mut self.names) as u32;
        self.rows.push(Row {
            size: entry.size,
            modified: entry.modified,
            name_start,
            name_len: bytes.len() as u32,
            key_len,
            kind: entry.kind,
            is_symlink: entry.is_symlink,
            needs: name.needs(),
        });
        number as u32
    }

    fn entry(&self, number: u32) -> Entry<Name<'_>> {
        let &Row { size, modified, kind, is_symlink, needs, .. } = &self.rows[number as usize];
        Entry { name: Name::new(self.name(number), needs), kind, is_symlink, size, modified }
    }

    fn name(&self, number: u32) -> &[u8] {
        let &Row { name_start, name_len, .. } = &self.rows[number as usize];
        &self.names[name_start..][..name_len as usize]
    }

    #[inline]
    fn sort_key(&self, number: u32) -> &[u8] {
        let &Row { name_start, name_len, key_len, .. } = &self.rows[number as usize];
        match key_len {
            0 => &self.names[name_start..][..name_len as usize],
            _ => &self.names[name_start + name_len as usize..][..key_len as usize],
        }
    }
}

/// Moves `vec` to a large block, if there is one and memory is left for others.
fn reserve_mmapped<T>(vec: &mut Vec<T>) {
    if Vec::<u8>::new().try_reserve_exact(4 * MMAP_BYTES).is_err() {
        return;
    }
    let _ = vec.try_reserve_exact((MMAP_BYTES / size_of::<T>()).saturating_sub(vec.len()));
}

#[cfg(test)]
mod tests {
    use super::super::tests::entry;
    use super::*;

    fn text(entry: &Entry<Name<'_>>) -> String {
        String::from_utf8(entry.name.as_ref().to_vec()).unwrap()
    }

    fn names(view: View, entries: &[Entry]) -> Vec<String> {
        let mut rows = Rows::new(view, 1_000);
        entries.iter().for_each(|entry| rows.add(entry.clone()));
        rows.sort_and_truncate();
        rows.iter().map(|entry| text(&entry)).collect()
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
            let view = View::from_query(Some(query.as_bytes()), [""; 0]);
            assert_eq!(names(view, &entries).join(" "), expected, "{query}");
        }
    }

    #[test]
    fn memory_is_bounded_and_the_rows_are_the_first_of_all() {
        let mut rows = Rows::new(View::default(), 10);
        for n in 0..100_000 {
            rows.add(entry(format!("{:05}", n * 7_919 % 100_000).as_bytes()));
            assert!(rows.len() <= 20);
            assert!(rows.packed.rows.len() <= 20 && rows.packed.names.len() <= 100);
        }
        assert!(rows.order.capacity() <= 40);
        rows.sort_and_truncate();
        assert!(!rows.is_complete() && rows.total == 100_000);
        let kept: Vec<_> = rows.iter().map(|entry| text(&entry)).collect();
        assert_eq!(kept.join(" "), "00000 00001 00002 00003 00004 00005 00006 00007 00008 00009");
    }

    #[test]
    fn many_rows_stay_what_they_were_and_are_in_memory_of_their_own() {
        let mut rows = Rows::new(View::default(), 10_000);
        let long = |n: usize| format!("{n:06}{}", "Ö".repeat(100));
        for n in (0..10_000).rev() {
            rows.add(Entry { size: n as u64, ..entry(long(n).as_bytes()) });
        }
        rows.sort_and_truncate();
        for (n, entry) in rows.iter().enumerate() {
            assert_eq!((entry.size, text(&entry)), (n as u64, long(n)));
        }
        assert!(rows.packed.rows.capacity() * size_of::<Row>() > 32 << 20);
        assert!(
            rows.packed.names.capacity() > 32 << 20 && rows.output_buffer().capacity() > 32 << 20
        );
    }
}
