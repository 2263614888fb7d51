//! Writing tar archives, in the format of POSIX.1-2001 (pax).
//!
//! A name that is not short ASCII, and a size or time that has no room in a header, is in a pax header
//! before it. Other headers are those of the first POSIX format (ustar), which every program reads.
//! User and group are 0 and have no names.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use super::Member;

/// The size of a block in bytes.
const BLOCK: u64 = 512;
/// The largest size and time that have room in 11 octal digits.
const MAX_OCTAL: u64 = (1 << 33) - 1;

/// A tar archive that is being written.
pub(super) struct TarWriter {
    builder: Builder<Sink>,
    /// What is missing after the current file up to the end of its last block, in bytes.
    padding: u64,
}

/// Where the bytes go: to a buffer, compressed or not.
enum Sink {
    Plain(Vec<u8>),
    Gzip(Box<GzEncoder<Vec<u8>>>),
}

impl Sink {
    fn buffer(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Plain(buffer) => buffer,
            Self::Gzip(encoder) => encoder.get_mut(),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(buffer) => buffer.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TarWriter {
    pub(super) fn new(gzip: bool) -> Self {
        let sink = match gzip {
            // The header has no time and no name, so the same tree is the same archive.
            true => Sink::Gzip(Box::new(GzEncoder::new(Vec::new(), Compression::fast()))),
            false => Sink::Plain(Vec::new()),
        };
        Self { builder: Builder::new(sink), padding: 0 }
    }

    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        self.builder.get_mut().buffer()
    }

    pub(super) fn directory(&mut self, member: &Member<'_>) -> io::Result<()> {
        self.header(&[member.name, b"/"].concat(), member, EntryType::Directory, 0)
    }

    /// Begins a file of `size` bytes, all of which must be written.
    pub(super) fn begin_file(&mut self, member: &Member<'_>, size: u64) -> io::Result<()> {
        self.header(member.name, member, EntryType::Regular, size)?;
        self.padding = size.next_multiple_of(BLOCK) - size;
        Ok(())
    }

    pub(super) fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.builder.get_mut().write_all(bytes)
    }

    /// Ends the file, all of which was written.
    pub(super) fn end_file(&mut self) -> io::Result<()> {
        let padding = mem::take(&mut self.padding) as usize;
        self.builder.get_mut().write_all(&[0; BLOCK as usize][..padding])
    }

    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.builder.finish()?;
        match self.builder.get_mut() {
            Sink::Plain(_) => Ok(()),
            Sink::Gzip(encoder) => encoder.try_finish(),
        }
    }

    fn header(
        &mut self,
        name: &[u8],
        member: &Member<'_>,
        kind: EntryType,
        size: u64,
    ) -> io::Result<()> {
        let mut header = Header::new_ustar();
        let mut pax: Vec<(&str, Vec<u8>)> = Vec::new();
        header.set_entry_type(kind);
        header.set_mode(member.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(size);
        header.set_mtime(member.modified.max(0) as u64);
        let has_room = header.set_path(Path::new(OsStr::from_bytes(name))).is_ok();
        let is_utf8 = str::from_utf8(name).is_ok();
        if !has_room {
            set_truncated_name(&mut header, name);
        }
        // Without a pax header, programs take the name in the encoding of their system.
        if !has_room || (is_utf8 && !name.is_ascii()) {
            if !is_utf8 {
                pax.push(("hdrcharset", b"BINARY".to_vec()));
            }
            pax.push(("path", name.to_vec()));
        }
        if size > MAX_OCTAL {
            pax.push(("size", size.to_string().into_bytes()));
        }
        if !(0..=MAX_OCTAL as i64).contains(&member.modified) {
            pax.push(("mtime", member.modified.to_string().into_bytes()));
        }
        self.builder
            .append_pax_extensions(pax.iter().map(|(key, value)| (*key, value.as_slice())))?;
        header.set_cksum();
        self.builder.get_mut().write_all(header.as_bytes())
    }
}

/// For programs that know no pax headers.
fn set_truncated_name(header: &mut Header, name: &[u8]) {
    if let Some(ustar) = header.as_ustar_mut() {
        ustar.prefix.fill(0);
        ustar.name.fill(0);
        let length = name.len().min(ustar.name.len());
        ustar.name[..length].copy_from_slice(&name[..length]);
    }
}
