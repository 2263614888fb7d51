//! A listing as it is sent: in blocks, each of which can be freed as soon as it is out.

use super::rows::BLOCK;

/// When a block is full enough, in bytes: what one row takes at most still fits into it.
const FULL: usize = BLOCK - (4 << 10);

/// The bytes of a listing, in order.
#[derive(Debug, Default)]
pub struct Listing {
    pub(super) blocks: Vec<Vec<u8>>,
    length: u64,
}

impl Listing {
    /// How many bytes it is.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Appends what `write` does.
    pub(super) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.blocks.last().is_none_or(|block| block.len() > FULL) {
            // The first block of most is the only one, and small.
            let size = if self.blocks.is_empty() { 8 << 10 } else { BLOCK };
            self.blocks.push(Vec::with_capacity(size));
        }
        if let Some(block) = self.blocks.last_mut() {
            let before = block.len();
            write(block);
            self.length += (block.len() - before) as u64;
        }
    }
}

impl IntoIterator for Listing {
    type Item = Vec<u8>;
    type IntoIter = std::vec::IntoIter<Vec<u8>>;

    fn into_iter(self) -> Self::IntoIter {
        self.blocks.into_iter()
    }
}
