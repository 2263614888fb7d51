//! The settings of uploads: where they are allowed, and their bounds.

use std::time::Duration;

/// Where files may be stored, whether they may replace others, and the bounds.
///
/// The size of an upload is bounded by [`Limits::body`], as that of every request's body: 64 MiB by
/// default, and 413 beyond it. A server of larger files raises it.
///
/// ```
/// use doorstep_driver::upload::UploadSettings;
///
/// let mut settings = UploadSettings::default();
/// settings.directory = b"incoming".to_vec();
/// assert!(!settings.overwrite);
/// ```
///
/// [`Limits::body`]: doorstep_core::http1::Limits::body
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadSettings {
    /// The directory in which, and below which, files may be stored: a clean path from the root, such as
    /// `incoming` or `a/b`. It has no slash at its beginning or end, and no component that is empty or
    /// begins with a dot: nothing can be stored in such a directory, and
    /// [`check_directory`](super::check_directory) refuses it. Default: none, which is the root.
    pub directory: Vec<u8>,
    /// Whether an upload may replace a file. Default: false.
    pub overwrite: bool,
    /// Whether a file is written to the disk (`fsync`) before the response says that it was stored.
    /// Default: true.
    pub sync: bool,
    /// The space that is left free on the file system, in bytes: 507 beyond it. Default: 128 MiB.
    pub min_free_space: u64,
    /// Maximum number of uploads at once; further ones get 503. Default: 32.
    pub max_uploads: usize,
    /// Maximum number of parts of a form, each of which may be a file: 413 beyond it. Default: 1,000.
    pub max_form_parts: u32,
    /// Maximum size of the headers of one part of a form, in bytes: 400 beyond it. Default: 8 KiB.
    pub max_part_header: usize,
    /// Maximum length of the name of a file, in bytes: 400 beyond it. Default: 255.
    pub max_name: usize,
    /// The memory for one upload, in bytes: so much is written at once. It is at least 4 KiB more than
    /// `max_part_header`. Default: 256 KiB.
    pub buffer: usize,
    /// Maximum number of interrupted uploads that are kept, so that they can be continued. Beyond it, the
    /// oldest one of the client with the most is given up. Each holds two descriptors. 0 keeps none.
    /// Default: 16.
    pub max_interrupted: usize,
    /// How long an interrupted upload is kept; it is given up at the first request after this time.
    /// Default: 3600 s.
    pub interrupted_timeout: Duration,
}

impl UploadSettings {
    /// Whether files can be stored in a directory of this path, if it exists.
    pub(super) fn has_clean_directory(&self) -> bool {
        let is_clean = |name: &[u8]| !name.is_empty() && name[0] != b'.' && !name.contains(&0);
        self.directory.is_empty() || self.directory.split(|&byte| byte == b'/').all(is_clean)
    }

    /// The size of the buffer.
    pub(crate) fn buffer_size(&self) -> usize {
        self.buffer.max(self.max_part_header.saturating_add(4 << 10))
    }
}

impl Default for UploadSettings {
    fn default() -> Self {
        Self {
            directory: Vec::new(),
            overwrite: false,
            sync: true,
            min_free_space: 128 << 20,
            max_uploads: 32,
            max_form_parts: 1_000,
            max_part_header: 8 << 10,
            max_name: 255,
            buffer: 256 << 10,
            max_interrupted: 16,
            interrupted_timeout: Duration::from_secs(3600),
        }
    }
}
