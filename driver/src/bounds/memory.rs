//! The most memory that clients can make a server use, computed from its settings.

use std::fmt;

use doorstep_core::http1::Limits;
use doorstep_core::path::MAX_PATH_LEN;
use doorstep_core::site::Site;

use crate::cgi::CgiSettings;
use crate::config::{Config, FLUSH_THRESHOLD, INITIAL_INBOX};
use crate::exchange::{MAX_COPIED, UNSENT_RECORD_SIZE};
use crate::files::CacheLimits;
use crate::os::LogSettings;
use crate::upload::UploadSettings;

/// The size of the stack of a thread that std starts, in bytes, unless `RUST_MIN_STACK` is set. It is
/// address space: what a thread does not use takes no memory.
pub const THREAD_STACK: u64 = 2 << 20;

/// A buffer that doubles when it is full holds the old and the new memory while it grows: less than
/// its size, and up to twice its size.
const GROWTH: u64 = 3;
/// The longest name of an entry of a directory in bytes, on every file system in use.
const MAX_NAME: u64 = 255;
/// The memory for one entry of a listing while it is made, in bytes, if its name has [`MAX_NAME`] bytes
/// and becomes longer in lower case: its row, its name, its sort key, and its rank.
const LISTING_ROW: u64 = 48 + 4 + 24 + MAX_NAME * 5 / 2;
/// Its part of a page in bytes, if every byte of its name is written as `&quot;` and `%22`.
const LISTING_LINE: u64 = 9 * MAX_NAME + 250;
/// The rest of a page in bytes: its style sheet, and a filter of 255 bytes that is written as
/// `&quot;` up to nine times.
const LISTING_FIXED: u64 = 32 << 10;
/// The address space in bytes that each of the four buffers of a large listing reserves.
const LISTING_BLOCK: u64 = 33 << 20;
/// A directory above the current entry of an archive, in bytes: its path, and a name.
#[cfg(feature = "archive")]
const DIRECTORY_LEVEL: u64 = 5 << 10;
/// Headers of a response that are the server's own, and the status line, in bytes.
const RESPONSE_HEAD: u64 = 2 << 10;
/// The shortest response, in bytes: a status line and Date.
const MIN_RESPONSE: u64 = 64;
/// What a page of an error, its reason and its log line take, in bytes.
const ERROR_PAGE: u64 = 4 << 10;
/// The blocks in which files are read for a digest, and directories for a listing, in bytes.
const READ_BLOCKS: u64 = (64 << 10) + (32 << 10);
/// The memory of a reported transfer without its path, in bytes.
const TRANSFER: u64 = 300;
/// The memory of a range of a response with several ranges, in bytes.
const RANGE: u64 = 250;
/// The memory of a cached file besides its content, and of a cached digest, in bytes.
const CACHED_FILE: u64 = 700;
const CACHED_DIGEST: u64 = 200;
/// The state of a connection in the table of connections, the session, and a task, in bytes.
const CONNECTION: u64 = 2 << 10;
/// The block in which the output of a script is read, in bytes.
const SCRIPT_READ: u64 = 16 << 10;

/// The most arguments of a script.
const MAX_ARGUMENTS: u64 = 4096;

/// A part of the memory of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryBound {
    /// What it is for.
    pub name: &'static str,
    /// The most bytes that one takes.
    pub bytes: u64,
    /// How many there may be at once.
    pub count: u64,
    /// Whether every connection may have one.
    pub per_connection: bool,
}

impl MemoryBound {
    /// The most bytes of all of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.bytes.saturating_mul(self.count)
    }
}

/// The most memory that clients can make a server use, part by part. It is the worst case, which no
/// client reaches in practice: every connection at the worst moment of every kind at the same time.
///
/// It is the memory that this crate and the front ends allocate. It does not contain what handlers of
/// the application allocate, a response that a handler passes whole included, the program itself
/// (about 4 MiB), what the allocator keeps, and the kernel's memory: the buffers of sockets
/// (`net.ipv4.tcp_rmem` and `tcp_wmem`) and the page cache.
///
/// ```
/// use doorstep_driver::Config;
/// use doorstep_driver::bounds::MemoryBounds;
///
/// let mut config = Config::default();
/// let all = config.memory_bounds(1024);
/// config.limits.head = 16 << 10;
/// let less = config.memory_bounds(1024);
/// assert!(less.per_connection() < all.per_connection());
/// assert!(less.total() >= 1024 * less.per_connection());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryBounds {
    parts: Vec<MemoryBound>,
    connections: u64,
}

impl Config {
    /// The memory of so many connections, whatever their handler. Add that of files, scripts, logs and
    /// threads to it.
    #[must_use]
    pub fn memory_bounds(&self, max_connections: usize) -> MemoryBounds {
        let connections = max_connections as u64;
        let mut bounds = MemoryBounds { parts: Vec::new(), connections };
        let Limits { request_line, trailers, header_count, .. } = self.limits;
        let inbox = self.max_inbox() as u64;
        bounds.add_per_connection("connection and session", CONNECTION);
        bounds.add_per_connection("input: head, trailers, body read ahead", grown(inbox));
        // A location with the query of the request, and a path of which each byte is encoded.
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len() + 4);
        let headers = (headers.sum::<usize>() + self.server.len()) as u64 + RESPONSE_HEAD;
        let head = headers + u64::from(request_line) + 3 * MAX_PATH_LEN as u64;
        let response = head + ERROR_PAGE + MAX_COPIED.max(FLUSH_THRESHOLD as u64);
        let outbox = GROWTH * (self.flush_threshold as u64 + response) + 2 * headers;
        bounds.add_per_connection("output: unsent responses", outbox);
        let records = self.flush_threshold as u64 / MIN_RESPONSE + 1;
        // The reasons of errors are in their pages, so they take no more than these.
        let reasons = self.flush_threshold as u64 + ERROR_PAGE;
        let records = GROWTH * records * UNSENT_RECORD_SIZE as u64 + reasons;
        bounds.add_per_connection("log records of unsent responses", records);
        // Each trailer is copied: two allocations of at least 8 bytes, and their addresses.
        let trailers = 2 * u64::from(trailers) + GROWTH * u64::from(header_count) * 64;
        bounds.add_per_connection("trailers, copied", trailers);
        if self.transfers.is_some() {
            // A request's body, and the response.
            let transfer = TRANSFER + u64::from(request_line);
            bounds.add_per_connection("reported transfers", 2 * transfer);
        }
        let spare = self.max_spare_buffers as u64;
        bounds.add("spare buffers", inbox + 2 * self.flush_threshold as u64, spare);
        bounds
    }
}

/// The memory of a buffer that grows up to `max` bytes, in the steps of a new inbox.
fn grown(max: u64) -> u64 {
    let mut size = INITIAL_INBOX as u64;
    while size.saturating_mul(2) < max {
        size *= 2;
    }
    max.saturating_add(size.min(max))
}

impl MemoryBounds {
    /// Adds a part of which each connection may have one, for example the buffers of a protocol below
    /// HTTP.
    pub fn add_per_connection(&mut self, name: &'static str, bytes: u64) {
        let count = self.connections;
        self.parts.push(MemoryBound { name, bytes, count, per_connection: true });
    }

    /// Adds a part of which there may be `count`.
    pub fn add(&mut self, name: &'static str, bytes: u64, count: u64) {
        self.parts.push(MemoryBound { name, bytes, count, per_connection: false });
    }

    /// Adds the memory of [`Files`](crate::Files), of which `threads` threads send some.
    pub fn add_files(&mut self, site: &Site, cache: &CacheLimits, config: &Config, threads: usize) {
        let paths = 3 * u64::from(config.limits.request_line) + 8 * MAX_PATH_LEN as u64;
        let ranges = RANGE * site.max_ranges as u64;
        self.add_per_connection(
            "file request: paths, ranges, blocks",
            paths + ranges + READ_BLOCKS,
        );
        if site.listing {
            let small = Site::LARGE_LISTING_ENTRIES.min(site.max_listing_entries) as u64;
            // A README in memory, and in the page if every byte is written as `&quot;`.
            let readme =
                if site.readme { (1 + 6 * GROWTH) * site.max_readme_size as u64 } else { 0 };
            self.add_per_connection("directory listing, small", listing(small) + readme);
            let large = site.max_listing_entries as u64;
            if large > small {
                let blocks = 4 * LISTING_BLOCK;
                let count = site.max_large_listings.max(1) as u64;
                self.add("directory listing, large", blocks + listing(large) + readme, count);
            }
        }
        #[cfg(feature = "archive")]
        if site.listing && site.archive {
            let levels = DIRECTORY_LEVEL * site.max_archive_depth as u64;
            let one = crate::files::archive::MAX_MEMORY + levels + site.max_archive_index as u64;
            self.add("archive of a directory", one, site.max_archives.max(1) as u64);
        }
        let files = CACHED_FILE * cache.max_files as u64 + 8 * cache.max_remembered_paths as u64;
        let digests = CACHED_DIGEST * cache.max_digests as u64;
        self.add("file cache", cache.max_bytes + files + digests, 1);
        let recent = cache.max_recent_files as u64;
        let recent = recent * (cache.max_recent_file_size + CACHED_FILE + 24);
        self.add("files that a thread remembers", recent, threads as u64);
    }

    /// Adds the memory of uploads ([`Files::with_upload`](crate::Files::with_upload)): the buffer, and what
    /// is known of the files of a form.
    pub fn add_uploads(&mut self, settings: &UploadSettings) {
        let files =
            u64::from(settings.max_form_parts) * (8 * MAX_NAME.max(settings.max_name as u64) + 256);
        let one = settings.buffer_size() as u64 + GROWTH * files;
        self.add("upload: buffer, files of a form", one, settings.max_uploads.max(1) as u64);
    }

    /// Adds the memory of [`Cgi`](crate::Cgi). Every connection may be receiving a request's body.
    pub fn add_scripts(&mut self, settings: &CgiSettings, config: &Config) {
        let body = settings.body_buffer.max(4 << 10) as u64;
        // While it is passed to the script, it is in a file in memory, too.
        self.add_per_connection("body of a request for a script", GROWTH * body);
        let header = settings.max_header as u64 + SCRIPT_READ;
        let head = u64::from(config.limits.head);
        let variables =
            settings.variables.iter().map(|(name, value)| name.len() + value.len() + 32);
        let environment = 2 * head + variables.sum::<usize>() as u64 + 64 * MAX_ARGUMENTS;
        let stderr = 4 * settings.max_stderr_line as u64;
        let one = SCRIPT_READ + 2 * GROWTH * header + environment + stderr;
        self.add("script, without the process's own", one, settings.max_processes.max(1) as u64);
    }

    /// Adds the memory of a [`Log`](crate::os::Log).
    pub fn add_log(&mut self, settings: &LogSettings) {
        // What is queued, and what is being written.
        let queue = 2 * GROWTH * settings.max_queued_bytes as u64;
        self.add("log queue", queue + 1024 * settings.max_counted_messages as u64, 1);
    }

    /// Adds the state and the records of encrypted connections ([`TlsSettings`](crate::net::TlsSettings)).
    #[cfg(feature = "tls")]
    pub fn add_tls(&mut self) {
        self.add_per_connection("TLS: session and records", crate::net::tls::MAX_MEMORY as u64);
    }

    /// The parts, those of connections among the others.
    #[must_use]
    pub fn parts(&self) -> &[MemoryBound] {
        &self.parts
    }

    /// The most bytes of one connection.
    #[must_use]
    pub fn per_connection(&self) -> u64 {
        let parts = self.parts.iter().filter(|part| part.per_connection);
        parts.map(|part| part.bytes).fold(0, u64::saturating_add)
    }

    /// The most bytes in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.parts.iter().map(MemoryBound::total).fold(0, u64::saturating_add)
    }
}

/// The memory for a listing of so many entries, in bytes: twice as many rows, and the page.
fn listing(entries: u64) -> u64 {
    let rows = GROWTH * LISTING_ROW * entries.saturating_mul(2);
    rows.saturating_add(GROWTH * (LISTING_LINE * entries + LISTING_FIXED))
}

impl fmt::Display for MemoryBound {
    /// As in `1024 × 280 KiB: input: head, trailers, body read ahead`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {}: {}", self.count, super::BoundValue::Bytes(self.bytes), self.name)
    }
}
