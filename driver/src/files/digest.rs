//! SHA-256 digests of files (RFC 9530), and a cache of them.
//!
//! A cached digest is valid while device, inode, size, mtime and ctime of the file are the same. As
//! with [`super::FileCache`], the digest of a file that was changed so recently that another change
//! could have the same times is not cached. Computing a digest blocks for as long as reading the
//! file takes.
//!
//! ```
//! use doorstep_driver::files::{Content, DigestCache};
//! use doorstep_core::site::Stat;
//!
//! let (content, stat) = (Content::Bytes((*b"abc").into()), Stat::new(3, 0));
//! let digest = DigestCache::default().get_or_compute(&content, &stat, || true)?;
//! assert_eq!(digest.header_value(), "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:");
//! # Ok::<(), std::io::Error>(())
//! ```

use std::fs::File;
use std::io::{self, ErrorKind};
use std::sync::{Mutex, PoisonError};

use doorstep_core::site::Stat;
use doorstep_core::site::range::ByteRange;
use sha2::{Digest as _, Sha256};

use super::CacheLimits;
use super::file_cache::Content;
use super::generations::{Generations, Weighed, Weight};
use super::slice_range;
use crate::os;

/// The number of bytes that are read at once.
const READ_SIZE: usize = 64 << 10;

/// The SHA-256 of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 32]);

/// A bounded cache of the digests of whole files.
#[derive(Debug)]
pub struct DigestCache {
    /// By device and inode: of a file that has changed, only the last state is of use.
    digests: Mutex<Generations<(u64, u64), (Stat, Digest)>>,
}

impl Weighed for (Stat, Digest) {}

impl Digest {
    /// The digest of the bytes of `range`. Calls `is_wanted` now and then, and ends when it returns
    /// false.
    ///
    /// # Errors
    /// Returns [`ErrorKind::UnexpectedEof`] if there are fewer bytes,
    /// [`ErrorKind::ConnectionAborted`] if it is not wanted any more, or the error of reading.
    pub fn of(
        content: &Content,
        range: ByteRange,
        mut is_wanted: impl FnMut() -> bool,
    ) -> io::Result<Self> {
        let mut hasher = Sha256::new();
        match content {
            Content::Bytes(bytes) => hasher.update(slice_range(bytes, range)?),
            Content::File(file) => read_range(file, range, |bytes| {
                hasher.update(bytes);
                if is_wanted() { Ok(()) } else { Err(ErrorKind::ConnectionAborted.into()) }
            })?,
        }
        Ok(Self(hasher.finalize().into()))
    }

    /// The digest of no bytes.
    #[must_use]
    pub fn of_empty() -> Self {
        Self(Sha256::digest(b"").into())
    }

    /// The value of `Repr-Digest` and `Content-Digest` (RFC 9530 §2, §3).
    #[must_use]
    pub fn header_value(&self) -> String {
        format!("sha-256=:{}:", data_encoding::BASE64.encode(&self.0))
    }
}

impl DigestCache {
    /// A cache of at most [`CacheLimits::max_digests`] digests.
    #[must_use]
    pub fn new(limits: &CacheLimits) -> Self {
        Self { digests: Mutex::new(Generations::new(limits.max_digests, Weight::default())) }
    }

    /// The digest of all of `content`, whose metadata was `stat` when it was opened. It is cached,
    /// or computed.
    ///
    /// # Errors
    /// Returns the same errors as [`Digest::of`].
    pub fn get_or_compute(
        &self,
        content: &Content,
        stat: &Stat,
        is_wanted: impl FnMut() -> bool,
    ) -> io::Result<Digest> {
        if let Some(digest) = self.get(stat) {
            return Ok(digest);
        }
        // Decided before it is read: a change after that has other times.
        let is_settled = stat.is_settled(os::now());
        let digest = match stat.size.checked_sub(1) {
            Some(last) => Digest::of(content, ByteRange { first: 0, last }, is_wanted)?,
            None => Digest::of_empty(),
        };
        if is_settled {
            self.insert(*stat, digest);
        }
        Ok(digest)
    }

    fn get(&self, stat: &Stat) -> Option<Digest> {
        let digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        let ((known, digest), _) = digests.get(&(stat.device, stat.inode))?;
        (known == stat).then_some(*digest)
    }

    fn insert(&self, stat: Stat, digest: Digest) {
        let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        drop(digests.insert((stat.device, stat.inode), (stat, digest))); // plain numbers
    }
}

impl Default for DigestCache {
    fn default() -> Self {
        Self::new(&CacheLimits::default())
    }
}

/// Calls `sink` with the bytes of `range`, in order, until it returns an error.
fn read_range(
    file: &File,
    range: ByteRange,
    mut sink: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; READ_SIZE];
    let (mut offset, mut left) = (range.first, range.len());
    while left > 0 {
        let step = usize::try_from(left).map_or(READ_SIZE, |left| left.min(READ_SIZE));
        let n = os::read_at(file, &mut buffer[..step], offset)?;
        if n < step {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        sink(&buffer[..n])?;
        offset += n as u64;
        left -= n as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::Arc;

    fn bytes(text: &str) -> Content {
        Content::Bytes(text.as_bytes().into())
    }

    fn stat(inode: u64, size: usize, modified: i64) -> Stat {
        let mut stat = Stat::new(size as u64, modified);
        stat.inode = inode;
        stat
    }

    #[test]
    fn a_file_and_the_same_bytes_have_the_same_digest() {
        let text = "0123456789".repeat(READ_SIZE / 8); // more than one step, and no multiple of it
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let (file, bytes) = (Content::File(Arc::new(file)), bytes(&text));
        for (first, last) in [(0, 0), (3, READ_SIZE as u64 + 3), (0, text.len() as u64 - 1)] {
            let range = ByteRange { first, last };
            assert_eq!(
                Digest::of(&file, range, || true).unwrap(),
                Digest::of(&bytes, range, || true).unwrap()
            );
        }
        let beyond = ByteRange { first: 0, last: text.len() as u64 };
        for content in [file, bytes] {
            let error = Digest::of(&content, beyond, || true).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn a_digest_that_is_not_wanted_any_more_ends_soon() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 10 * READ_SIZE]).unwrap();
        let (file, mut calls) = (Content::File(Arc::new(file)), 0);
        let all = ByteRange { first: 0, last: 10 * READ_SIZE as u64 - 1 };
        let digest = Digest::of(&file, all, || {
            calls += 1;
            calls < 3
        });
        assert_eq!((digest.unwrap_err().kind(), calls), (ErrorKind::ConnectionAborted, 3));
    }

    #[test]
    fn a_digest_is_cached_until_the_file_changes() {
        let digests = DigestCache::default();
        let one = digests.get_or_compute(&bytes("one"), &stat(1, 3, 1000), || true).unwrap();
        assert_eq!(
            digests.get_or_compute(&bytes("two"), &stat(1, 3, 1000), || true).unwrap(),
            one,
            "not read again"
        );
        let two = digests.get_or_compute(&bytes("two"), &stat(1, 3, 1001), || true).unwrap();
        assert_ne!(one, two);
        assert_eq!(
            digests.get_or_compute(&bytes(""), &stat(2, 0, 1000), || true).unwrap(),
            Digest::of_empty()
        );
    }

    #[test]
    fn the_digest_of_a_file_that_was_changed_just_now_is_not_cached() {
        let digests = DigestCache::default();
        let young = stat(1, 3, os::now());
        let one = digests.get_or_compute(&bytes("one"), &young, || true).unwrap();
        assert_ne!(digests.get_or_compute(&bytes("two"), &young, || true).unwrap(), one);
    }

    #[test]
    fn the_number_of_cached_digests_is_bounded() {
        let digests = DigestCache::new(&CacheLimits { max_digests: 8, ..CacheLimits::default() });
        for inode in 0..100 {
            digests.get_or_compute(&bytes("x"), &stat(inode, 1, 1000), || true).unwrap();
        }
        let cached = (0..100).filter(|&inode| digests.get(&stat(inode, 1, 1000)).is_some());
        assert_eq!(cached.count(), 8);
    }
}
