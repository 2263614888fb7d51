//! The bounds of what is cached of a directory's files.

/// The bounds of the file cache and of the cache of digests, for
/// [`Files::with_cache_limits`](crate::Files::with_cache_limits). Entries beyond them are evicted,
/// those first that were not used of late.
///
/// Each thread remembers some of the cached files by itself (`max_recent_files`). If they are evicted
/// from the cache, it may hold their memory until it serves other files.
///
/// ```
/// use doorstep_driver::Files;
/// use doorstep_driver::files::CacheLimits;
///
/// let mut limits = CacheLimits::default();
/// limits.max_bytes = 256 << 20;
/// let files = Files::new(".")?.with_cache_limits(limits);
/// # drop(files);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheLimits {
    /// The size in bytes of the largest file whose content is cached, and sent from memory. Of a
    /// larger file, an open descriptor is cached. Default: 32 KiB.
    pub max_content_size: u64,
    /// Bytes of cached content in all. Default: 32 MiB.
    pub max_bytes: u64,
    /// The number of cached files; one takes about 700 bytes besides its content, for its name and the
    /// headers of its responses. Default: 32,768.
    pub max_files: usize,
    /// The number of cached descriptors. They count towards the limit of this process (`ulimit
    /// -n`). Default: 128.
    pub max_descriptors: usize,
    /// The number of paths that are remembered as requested once, at 8 bytes for each: a file is cached
    /// at its second request. Zero turns the cache off. Default: 4,096.
    pub max_remembered_paths: usize,
    /// The number of cached files that each thread remembers by itself, so that threads do not contend
    /// for the lock of the cache; at most `max_files`. Beyond `max_bytes`, a thread may hold so many
    /// files of `max_recent_file_size`, by default 128 KiB, and its table takes 16 bytes for each;
    /// there may be a thousand threads. Zero turns it off: then every request for a cached file takes
    /// the lock. Default: 32.
    pub max_recent_files: usize,
    /// The size in bytes of the largest file that a thread remembers by itself. Sending a larger one
    /// costs more than the lock. Default: 4 KiB.
    pub max_recent_file_size: u64,
    /// The number of cached digests; one takes about 200 bytes. Default: 1,024.
    pub max_digests: usize,
    /// The size in bytes of the largest file that is read for a digest. A larger one is sent
    /// without Repr-Digest and Content-Digest. Default: 1 GiB.
    pub max_digest_file_size: u64,
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self {
            max_content_size: 32 << 10,
            max_bytes: 32 << 20,
            max_files: 32 << 10,
            max_descriptors: 128,
            max_remembered_paths: 4096,
            max_recent_files: 32,
            max_recent_file_size: 4 << 10,
            max_digests: 1024,
            max_digest_file_size: 1 << 30,
        }
    }
}
