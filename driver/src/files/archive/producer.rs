//! The bytes of an archive, piece by piece.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::mem;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use doorstep_core::site::archive::{ArchiveFormat, is_compressed, top_directory};
use doorstep_core::site::{Site, Stat};

use super::problems::{LeftOut, Problems};
use super::tar::TarWriter;
use super::walk::{Item, Walk, WalkContext};
use super::zip::ZipWriter;
use super::zip_names::portable;
use super::{Abort, EXECUTABLE, Member, READABLE, member_name};
use crate::net::Disconnect;
use crate::os::{self, RootDir};

/// The size of a piece from which it is sent, and of what is read of a file at a time, in bytes.
const PIECE: usize = 64 << 10;
/// The work for a piece after which it is sent as it is, in bytes that were read: so a file that is
/// compressed to nearly nothing holds no thread for long.
const MAX_WORK: usize = 4 << 20;
/// The work of an entry besides its bytes, in bytes.
const ENTRY_WORK: usize = 8 << 10;

/// An archive in the making.
pub(super) struct Producer {
    directory: Vec<u8>,
    walk: Walk,
    writer: Writer,
    problems: Problems,
    file: Option<OpenFile>,
    entries: u64,
    /// The size of all files so far, in bytes.
    size: u64,
    block: Box<[u8]>,
    stage: Stage,
    /// The metadata of the directory itself.
    top: Stat,
}

enum Writer {
    Tar(TarWriter),
    Zip(Box<ZipWriter>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Top,
    Tree,
    Report,
    End,
    Done,
}

/// A file that is being sent.
struct OpenFile {
    file: File,
    path: Vec<u8>,
    /// How much of it was read.
    offset: u64,
    size: u64,
    /// The number of bytes in the block that were read already.
    ready: usize,
}

impl Producer {
    /// An archive of the directory at `path`.
    ///
    /// # Errors
    /// Returns an error if there is no such directory, or if it cannot be read.
    pub(super) fn open(root: Arc<RootDir>, path: &[u8], format: ArchiveFormat) -> io::Result<Self> {
        let is_zip = format == ArchiveFormat::Zip;
        let (walk, top) = Walk::new(root, path, is_zip)?;
        let mut problems = Problems::new(path);
        if let (true, Cow::Owned(name)) = (is_zip, portable(top_directory(path))) {
            problems.add(path, &LeftOut::Renamed(name));
        }
        let writer = match format {
            ArchiveFormat::TarGz => Writer::Tar(TarWriter::new(true)),
            ArchiveFormat::Zip => Writer::Zip(Box::new(ZipWriter::new())),
            _ => Writer::Tar(TarWriter::new(false)),
        };
        Ok(Self {
            directory: path.to_vec(),
            walk,
            writer,
            problems,
            file: None,
            entries: 0,
            size: 0,
            block: vec![0; PIECE].into_boxed_slice(),
            stage: Stage::Top,
            top,
        })
    }

    /// Makes the next piece, which may block. Returns whether it is the last one.
    ///
    /// # Errors
    /// Returns the reason if the archive cannot be continued.
    pub(super) fn produce(
        &mut self,
        site: &Site,
        disconnect: &mut dyn FnMut() -> Option<Disconnect>,
    ) -> Result<bool, Abort> {
        if let Some(disconnect) = disconnect() {
            return Err(Abort::Disconnected(disconnect));
        }
        let mut work = 0;
        while self.writer.buffer().len() < PIECE && work < MAX_WORK {
            if self.file.is_some() {
                work += self.read_file()?;
                continue;
            }
            work += ENTRY_WORK;
            match self.stage {
                Stage::Top => {
                    let top = self.top;
                    self.add_directory(&self.directory.clone(), &top, site)?;
                    self.stage = Stage::Tree;
                }
                Stage::Tree => self.add_next(site, disconnect)?,
                Stage::Report => {
                    self.add_report()?;
                    self.stage = Stage::End;
                }
                Stage::End => {
                    let is_done = match &mut self.writer {
                        Writer::Tar(tar) => tar.finish().map(|()| true)?,
                        Writer::Zip(zip) => zip.finish()?,
                    };
                    if is_done {
                        self.stage = Stage::Done;
                    }
                }
                Stage::Done => return Ok(true),
            }
        }
        Ok(self.stage == Stage::Done)
    }

    /// Takes the piece.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let piece = mem::take(self.writer.buffer());
        if let Writer::Zip(zip) = &mut self.writer {
            zip.taken(piece.len());
        }
        piece
    }

    /// Gives the memory of a piece back, for the next one.
    pub(super) fn recycle(&mut self, mut piece: Vec<u8>) {
        let buffer = self.writer.buffer();
        if buffer.capacity() == 0 {
            piece.clear();
            *buffer = piece;
        }
    }

    /// The line for the log, if something is not in the archive that should be.
    pub(super) fn log_line(&self) -> Option<String> {
        self.problems.log_line()
    }

    fn add_next(
        &mut self,
        site: &Site,
        disconnect: &mut dyn FnMut() -> Option<Disconnect>,
    ) -> Result<(), Abort> {
        let mut context = WalkContext { site, disconnect, problems: &mut self.problems };
        match self.walk.next(&mut context)? {
            None => {
                self.stage = Stage::Report;
                Ok(())
            }
            Some(Item::Directory(stat)) => {
                let path = self.walk.path().to_vec();
                self.add_directory(&path, &stat, site)
            }
            Some(Item::File(file, stat)) => {
                let path = self.walk.path().to_vec();
                self.begin_file(path, file, &stat, site)
            }
        }
    }

    fn count(&mut self, site: &Site) -> Result<(), Abort> {
        self.entries += 1;
        if self.entries > site.max_archive_entries {
            return Err(Abort::TooManyEntries(site.max_archive_entries));
        }
        match &self.writer {
            Writer::Zip(zip) if zip.index_memory() > site.max_archive_index => {
                Err(Abort::IndexTooLarge(site.max_archive_index))
            }
            _ => Ok(()),
        }
    }

    fn add_directory(&mut self, path: &[u8], stat: &Stat, site: &Site) -> Result<(), Abort> {
        self.count(site)?;
        let name = self.writer.name(member_name(&self.directory, path));
        let member = Member { name: &name, mode: EXECUTABLE, modified: stat.modified };
        match &mut self.writer {
            Writer::Tar(tar) => tar.directory(&member)?,
            Writer::Zip(zip) => zip.directory(&member)?,
        }
        Ok(())
    }

    /// Begins a file. The first block is read before its size is announced, so a small file that was
    /// just made shorter is as long as it is.
    fn begin_file(
        &mut self,
        path: Vec<u8>,
        file: File,
        stat: &Stat,
        site: &Site,
    ) -> Result<(), Abort> {
        self.count(site)?;
        let first = stat.size.min(PIECE as u64) as usize;
        let read = os::read_at(&file, &mut self.block[..first], 0);
        let (ready, metadata) = match read.and_then(|ready| Ok((ready, file.metadata()?))) {
            Ok(read) => read,
            Err(error) => {
                self.problems.add(&path, &LeftOut::check(error)?);
                return Ok(());
            }
        };
        let size = if ready < first { ready as u64 } else { stat.size };
        self.size = self.size.saturating_add(size);
        if let Some(max) = site.max_archive_size
            && self.size > max
        {
            return Err(Abort::TooLarge(max));
        }
        let is_executable = metadata.permissions().mode() & 0o111 != 0;
        let mode = if is_executable { EXECUTABLE } else { READABLE };
        let name = self.writer.name(member_name(&self.directory, &path));
        let member = Member { name: &name, mode, modified: stat.modified };
        match &mut self.writer {
            Writer::Tar(tar) => tar.begin_file(&member, size)?,
            Writer::Zip(zip) => {
                let is_compressed = is_compressed(&site.media_types.guess(&path));
                zip.begin_file(&member, size, is_compressed);
            }
        }
        self.file = Some(OpenFile { file, path, offset: 0, size, ready });
        Ok(())
    }

    /// Writes the next block of the file. Returns its size in bytes.
    fn read_file(&mut self) -> Result<usize, Abort> {
        let Some(file) = &mut self.file else { return Ok(0) };
        let left = file.size - file.offset;
        let read = match mem::take(&mut file.ready) {
            0 => {
                let max = left.min(PIECE as u64) as usize;
                os::read_at(&file.file, &mut self.block[..max], file.offset)
            }
            ready => Ok(ready),
        };
        let (n, error) = match read {
            Ok(n) => (n, None),
            Err(error) => (0, Some(error)),
        };
        file.offset += n as u64;
        match &mut self.writer {
            Writer::Tar(tar) => tar.data(&self.block[..n])?,
            Writer::Zip(zip) => zip.data(&self.block[..n])?,
        }
        if n == 0 || file.offset == file.size {
            self.end_file(error)?;
        }
        Ok(n.max(1))
    }

    fn end_file(&mut self, error: Option<io::Error>) -> Result<(), Abort> {
        let Some(OpenFile { path, offset, size, .. }) = self.file.take() else { return Ok(()) };
        let missing = size - offset;
        let name = || String::from_utf8_lossy(&member_name(&self.directory, &path)).into_owned();
        match (&mut self.writer, error) {
            // tar has announced the size, and has no way to say that it was wrong.
            (Writer::Tar(_), Some(error)) => return Err(Abort::Unread(name(), error)),
            (Writer::Tar(_), None) if missing > 0 => return Err(Abort::Shrunk(name(), missing)),
            (Writer::Tar(tar), None) => tar.end_file()?,
            (Writer::Zip(zip), error) => {
                zip.end_file(offset)?;
                match error {
                    Some(error) => self.problems.add(&path, &LeftOut::Unread(missing, error)),
                    None if missing > 0 => self.problems.add(&path, &LeftOut::Shrunk(missing)),
                    None => {}
                }
            }
        }
        Ok(())
    }

    /// The last entry, if something is not in the archive.
    fn add_report(&mut self) -> io::Result<()> {
        let Some(report) = self.problems.report() else { return Ok(()) };
        let name = self.writer.name(self.problems.report_name());
        let member = Member { name: &name, mode: READABLE, modified: self.top.modified };
        let size = report.len() as u64;
        match &mut self.writer {
            Writer::Tar(tar) => {
                tar.begin_file(&member, size)?;
                tar.data(report.as_bytes())?;
                tar.end_file()
            }
            Writer::Zip(zip) => {
                zip.begin_file(&member, size, false);
                zip.data(report.as_bytes())?;
                zip.end_file(size)
            }
        }
    }
}

impl Writer {
    /// The name of a member.
    fn name(&self, name: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Tar(_) => name,
            Self::Zip(_) => portable(&name).into_owned(),
        }
    }

    fn buffer(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Tar(tar) => tar.buffer(),
            Self::Zip(zip) => zip.buffer(),
        }
    }
}
