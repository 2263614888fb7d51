//! The table of contents of a zip archive, which is at its end: it is kept, compressed, until then.
//!
//! The records of files in one directory are similar, so an entry takes about 20 bytes.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::mem;

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

/// The size of the blocks that the compressed records are kept in, in bytes.
const BLOCK: usize = 64 << 10;

/// The records, compressed.
pub(super) struct ZipIndex {
    encoder: DeflateEncoder<Vec<u8>>,
    blocks: VecDeque<Vec<u8>>,
    size: u64,
}

/// Reads the records.
pub(super) struct ZipIndexReader(DeflateDecoder<Blocks>);

struct Blocks {
    blocks: VecDeque<Vec<u8>>,
    /// How much of the first block was read.
    offset: usize,
}

impl ZipIndex {
    pub(super) fn new() -> Self {
        let encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        Self { encoder, blocks: VecDeque::new(), size: 0 }
    }

    /// The size of the records in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The memory of the compressed records in bytes.
    pub(super) fn memory(&self) -> usize {
        self.blocks.len() * BLOCK + self.encoder.get_ref().len()
    }

    pub(super) fn add(&mut self, record: &[u8]) -> io::Result<()> {
        self.size += record.len() as u64;
        self.encoder.write_all(record)?;
        let block = self.encoder.get_mut();
        if block.len() >= BLOCK {
            self.blocks.push_back(mem::take(block));
        }
        Ok(())
    }

    pub(super) fn finish(self) -> io::Result<ZipIndexReader> {
        let mut blocks = self.blocks;
        blocks.push_back(self.encoder.finish()?);
        Ok(ZipIndexReader(DeflateDecoder::new(Blocks { blocks, offset: 0 })))
    }
}

impl ZipIndexReader {
    /// Appends at most `size` bytes. Returns whether there may be more.
    pub(super) fn read(&mut self, out: &mut Vec<u8>, size: usize) -> io::Result<bool> {
        Ok(self.0.by_ref().take(size as u64).read_to_end(out)? > 0)
    }
}

impl Read for Blocks {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while let Some(block) = self.blocks.front() {
            let rest = &block[self.offset..];
            if !rest.is_empty() {
                let n = rest.len().min(out.len());
                out[..n].copy_from_slice(&rest[..n]);
                self.offset += n;
                return Ok(n);
            }
            self.blocks.pop_front();
            self.offset = 0;
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_added() {
        let mut index = ZipIndex::new();
        let mut expected = Vec::new();
        for n in 0..60_000_u32 {
            let record = format!("a/path/of/some/length/{n}:{:x}", n.wrapping_mul(2_654_435_761));
            index.add(record.as_bytes()).unwrap();
            expected.extend_from_slice(record.as_bytes());
        }
        assert_eq!(index.size(), expected.len() as u64);
        assert!(index.memory() > 2 * BLOCK && index.memory() < expected.len() / 2);
        let (mut reader, mut read) = (index.finish().unwrap(), Vec::new());
        while reader.read(&mut read, 1_000).unwrap() {}
        assert!(read == expected);
        let mut empty = ZipIndex::new().finish().unwrap();
        assert!(!empty.read(&mut read, 1_000).unwrap());
    }
}
