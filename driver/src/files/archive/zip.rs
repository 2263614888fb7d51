//! Writing zip archives as a stream (APPNOTE.TXT of PKWARE, version 6.3.10; section numbers are its).
//!
//! The size and checksum of a file follow it in a data descriptor (4.3.9), so a file is sent while it
//! is read, and one that has become shorter has its true size. Sizes and positions from 4 GiB, and
//! 65,535 entries and more, are in the fields of zip64 (4.5.3, 4.3.14). Names in UTF-8 are marked as
//! such (4.4.4, bit 11); others are sent as they are. Times are those of DOS, in UTC, and those of Unix
//! in an extra field, which programs prefer. The crates for zip archives keep several hundred bytes for
//! each entry, or take names in UTF-8 only; so only the compression and the checksum are of a crate.

use std::io::{self, Write};
use std::mem;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Member;
use super::zip_index::{ZipIndex, ZipIndexReader};

const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// Bit 3: a data descriptor follows the file.
const HAS_DESCRIPTOR: u16 = 1 << 3;
/// Bit 11: the name is UTF-8.
const IS_UTF8: u16 = 1 << 11;
/// What a program must know: directories and deflate (2.0), or zip64 (4.5).
const VERSION: u16 = 20;
const VERSION_ZIP64: u16 = 45;
/// Made on Unix: the upper half of the external attributes is the mode (4.4.15).
const MADE_ON_UNIX: u16 = 3 << 8;
/// A field with this value is in the extra field of zip64.
const IN_ZIP64: u32 = u32::MAX;
/// From this size on, a file has zip64 sizes: compressed, it may be a little larger.
const ZIP64_SIZE: u64 = u32::MAX as u64 - (u32::MAX as u64 >> 8);
/// The extra fields: zip64, and times of Unix.
const EXTRA_ZIP64: u16 = 1;
const EXTRA_UNIX_TIME: u16 = 0x5455;
/// Bytes of the table of contents that are read at a time.
const INDEX_PIECE: usize = 64 << 10;

/// A zip archive that is being written.
pub(super) struct ZipWriter {
    out: Vec<u8>,
    /// The number of bytes that were taken from `out`.
    taken: u64,
    entries: u64,
    index: ZipIndex,
    /// The index, once the archive ends.
    end: Option<End>,
    file: Option<Entry>,
    /// For files of types that are compressed already, and for others.
    storing: Option<Box<DeflateEncoder<Vec<u8>>>>,
    compressing: Option<Box<DeflateEncoder<Vec<u8>>>>,
}

/// The table of contents while it is written: its records, their size, and their position.
struct End {
    records: ZipIndexReader,
    size: u64,
    start: u64,
}

/// What the table of contents has about an entry.
struct Entry {
    name: Vec<u8>,
    mode: u32,
    modified: i64,
    is_directory: bool,
    is_compressed: bool,
    is_zip64: bool,
    offset: u64,
    data_start: u64,
    crc: Crc,
}

impl ZipWriter {
    pub(super) fn new() -> Self {
        Self {
            out: Vec::new(),
            taken: 0,
            entries: 0,
            index: ZipIndex::new(),
            end: None,
            file: None,
            storing: None,
            compressing: None,
        }
    }

    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Records that the buffer was emptied.
    pub(super) fn taken(&mut self, bytes: usize) {
        self.taken += bytes as u64;
    }

    /// The memory of the table of contents in bytes.
    pub(super) fn index_memory(&self) -> usize {
        self.index.memory()
    }

    pub(super) fn directory(&mut self, member: &Member<'_>) -> io::Result<()> {
        let entry = self.entry([member.name, b"/"].concat(), member, true);
        entry.local_header(&mut self.out);
        self.add_to_index(&entry, 0, 0)
    }

    /// Begins a file of at most `size` bytes. `is_compressed` is whether compressing it would be
    /// useless.
    pub(super) fn begin_file(&mut self, member: &Member<'_>, size: u64, is_compressed: bool) {
        let mut entry = self.entry(member.name.to_vec(), member, false);
        (entry.is_zip64, entry.is_compressed) = (size >= ZIP64_SIZE, is_compressed);
        entry.local_header(&mut self.out);
        entry.data_start = self.position();
        self.file = Some(entry);
    }

    pub(super) fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(entry) = &mut self.file else { return Ok(()) };
        entry.crc.update(bytes);
        // Also what is not compressed is in the format of deflate, in which the end is seen.
        let (encoder, level) = match entry.is_compressed {
            true => (&mut self.storing, Compression::none()),
            false => (&mut self.compressing, Compression::fast()),
        };
        let new = || Box::new(DeflateEncoder::new(Vec::new(), level));
        let encoder = encoder.get_or_insert_with(new);
        encoder.write_all(bytes)?;
        self.out.append(encoder.get_mut());
        Ok(())
    }

    /// Ends the file after `size` bytes.
    pub(super) fn end_file(&mut self, size: u64) -> io::Result<()> {
        self.data(&[])?; // so that there is an encoder
        let Some(entry) = self.file.take() else { return Ok(()) };
        let encoder = if entry.is_compressed { &mut self.storing } else { &mut self.compressing };
        if let Some(encoder) = encoder {
            encoder.try_finish()?;
            let rest = encoder.reset(Vec::new())?;
            self.out.extend_from_slice(&rest);
        }
        let compressed = self.position() - entry.data_start;
        put32(&mut self.out, 0x0807_4b50);
        put32(&mut self.out, entry.crc.sum());
        for n in [compressed, size] {
            match entry.is_zip64 {
                true => put64(&mut self.out, n),
                false => put32(&mut self.out, n as u32),
            }
        }
        self.add_to_index(&entry, compressed, size)
    }

    /// Writes a piece of the end of the archive. Returns whether that was the last one.
    pub(super) fn finish(&mut self) -> io::Result<bool> {
        let mut end = match self.end.take() {
            Some(end) => end,
            None => {
                let index = mem::replace(&mut self.index, ZipIndex::new());
                let (size, start) = (index.size(), self.position());
                End { records: index.finish()?, size, start }
            }
        };
        if end.records.read(&mut self.out, INDEX_PIECE)? {
            self.end = Some(end);
            return Ok(false);
        }
        self.end_records(end.size, end.start);
        Ok(true)
    }

    fn position(&self) -> u64 {
        self.taken + self.out.len() as u64
    }

    fn entry(&self, name: Vec<u8>, member: &Member<'_>, is_directory: bool) -> Entry {
        Entry {
            name,
            mode: member.mode,
            modified: member.modified,
            is_directory,
            is_compressed: false,
            is_zip64: false,
            offset: self.position(),
            data_start: 0,
            crc: Crc::new(),
        }
    }

    fn add_to_index(&mut self, entry: &Entry, compressed: u64, size: u64) -> io::Result<()> {
        self.entries += 1;
        self.index.add(&entry.central_header(compressed, size))
    }

    /// The end of central directory record (4.3.16), after that of zip64 and its locator if needed.
    fn end_records(&mut self, size: u64, start: u64) {
        let (end, entries) = (self.position(), self.entries);
        let out = &mut self.out;
        if entries >= u64::from(u16::MAX) || size.max(start) >= u64::from(IN_ZIP64) {
            put32(out, 0x0606_4b50);
            put64(out, 44); // the size of the rest of this record
            put16(out, MADE_ON_UNIX | VERSION_ZIP64);
            put16(out, VERSION_ZIP64);
            put64(out, 0); // two numbers of disks
            for n in [entries, entries, size, start] {
                put64(out, n);
            }
            put32(out, 0x0706_4b50);
            put32(out, 0);
            put64(out, end);
            put32(out, 1); // the number of disks
        }
        put32(out, 0x0605_4b50);
        put32(out, 0);
        let count = u16::try_from(entries).unwrap_or(u16::MAX);
        put16(out, count);
        put16(out, count);
        put32(out, u32::try_from(size).unwrap_or(IN_ZIP64));
        put32(out, u32::try_from(start).unwrap_or(IN_ZIP64));
        put16(out, 0); // no comment
    }
}

impl Entry {
    fn flags(&self) -> u16 {
        let descriptor = if self.is_directory { 0 } else { HAS_DESCRIPTOR };
        let utf8 = if str::from_utf8(&self.name).is_ok() { IS_UTF8 } else { 0 };
        descriptor | utf8
    }

    /// What both headers have: version, flags, method, time.
    fn common(&self, out: &mut Vec<u8>, version: u16) {
        let (date, time) = dos_date_time(self.modified);
        put16(out, version);
        put16(out, self.flags());
        put16(out, if self.is_directory { STORED } else { DEFLATED });
        put16(out, time);
        put16(out, date);
    }

    /// 4.3.7.
    fn local_header(&self, out: &mut Vec<u8>) {
        let mut extra = Vec::new();
        if self.is_zip64 {
            put16(&mut extra, EXTRA_ZIP64);
            put16(&mut extra, 16);
            extra.extend_from_slice(&[0; 16]);
        }
        self.unix_time(&mut extra);
        put32(out, 0x0403_4b50);
        self.common(out, if self.is_zip64 { VERSION_ZIP64 } else { VERSION });
        put32(out, 0); // the checksum is in the descriptor
        for _ in ["compressed", "uncompressed"] {
            put32(out, if self.is_zip64 { IN_ZIP64 } else { 0 });
        }
        put16(out, self.name.len() as u16); // a path has at most 4,095 bytes
        put16(out, extra.len() as u16);
        out.extend_from_slice(&self.name);
        out.extend_from_slice(&extra);
    }

    /// 4.3.12.
    fn central_header(&self, compressed: u64, size: u64) -> Vec<u8> {
        let (mut out, mut zip64, mut extra) = (Vec::new(), Vec::new(), Vec::new());
        let mut short = |n: u64, is_zip64: bool| match u32::try_from(n) {
            Ok(n) if n != IN_ZIP64 && !is_zip64 => n,
            _ => {
                put64(&mut zip64, n);
                IN_ZIP64
            }
        };
        // In the order of the extra field (4.5.3). Both sizes are there if the descriptor is so large.
        let [size, compressed] = [size, compressed].map(|n| short(n, self.is_zip64));
        let offset = short(self.offset, false);
        let version = if zip64.is_empty() { VERSION } else { VERSION_ZIP64 };
        if !zip64.is_empty() {
            put16(&mut extra, EXTRA_ZIP64);
            put16(&mut extra, zip64.len() as u16);
            extra.append(&mut zip64);
        }
        self.unix_time(&mut extra);
        put32(&mut out, 0x0201_4b50);
        put16(&mut out, MADE_ON_UNIX | version);
        self.common(&mut out, version);
        put32(&mut out, self.crc.sum());
        put32(&mut out, compressed);
        put32(&mut out, size);
        put16(&mut out, self.name.len() as u16);
        put16(&mut out, extra.len() as u16);
        put16(&mut out, 0); // comment
        put16(&mut out, 0); // disk
        put16(&mut out, 0); // internal attributes
        let kind: u32 = if self.is_directory { 0o040_000 } else { 0o100_000 };
        put32(&mut out, (kind | self.mode) << 16 | if self.is_directory { 0x10 } else { 0 });
        put32(&mut out, offset);
        out.extend_from_slice(&self.name);
        out.extend_from_slice(&extra);
        out
    }

    /// The time of the last change, if 32 bits hold it.
    fn unix_time(&self, extra: &mut Vec<u8>) {
        if let Ok(modified) = i32::try_from(self.modified) {
            put16(extra, EXTRA_UNIX_TIME);
            put16(extra, 5);
            extra.push(1);
            extra.extend_from_slice(&modified.to_le_bytes());
        }
    }
}

/// Date and time of DOS (4.4.6), in UTC; the nearest that there is, from 1980 to 2107.
fn dos_date_time(seconds: i64) -> (u16, u16) {
    const FIRST: (u16, u16) = (1 << 5 | 1, 0);
    const LAST: (u16, u16) = (127 << 9 | 12 << 5 | 31, 23 << 11 | 59 << 5 | 29);
    let Ok(timestamp) = Timestamp::from_second(seconds) else {
        return if seconds < 0 { FIRST } else { LAST };
    };
    let time = TimeZone::UTC.to_datetime(timestamp);
    let year = time.year() - 1980;
    match year {
        ..0 => FIRST,
        128.. => LAST,
        year => (
            (year as u16) << 9 | (time.month() as u16) << 5 | time.day() as u16,
            (time.hour() as u16) << 11 | (time.minute() as u16) << 5 | (time.second() as u16 / 2),
        ),
    }
}

fn put16(out: &mut Vec<u8>, n: u16) {
    out.extend_from_slice(&n.to_le_bytes());
}

fn put32(out: &mut Vec<u8>, n: u32) {
    out.extend_from_slice(&n.to_le_bytes());
}

fn put64(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(&n.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_dos_are_in_utc_and_within_their_range() {
        let date = |y: u16, m: u16, d: u16| (y - 1980) << 9 | m << 5 | d;
        assert_eq!(dos_date_time(784_111_777), (date(1994, 11, 6), 8 << 11 | 49 << 5 | 18));
        for (seconds, expected) in [
            (0, date(1980, 1, 1)),
            (-1, date(1980, 1, 1)),
            (i64::MIN, date(1980, 1, 1)),
            (4_354_819_199, date(2107, 12, 31)),
            (4_354_819_200, date(2107, 12, 31)),
            (i64::MAX, date(2107, 12, 31)),
        ] {
            assert_eq!(dos_date_time(seconds).0, expected, "{seconds}");
        }
    }
}
