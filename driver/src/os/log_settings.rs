//! The bounds of a log.

use std::time::Duration;

/// The bounds of a [`Log`](super::Log).
///
/// ```
/// use doorstep_driver::os::{Log, LogSettings};
///
/// let mut settings = LogSettings::default();
/// settings.max_queued_bytes = 64 << 10;
/// let log = Log::with_settings(std::io::sink(), settings)?;
/// # drop(log);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogSettings {
    /// The most lines that wait to be written; further ones are dropped and counted. As many again
    /// may be in the write that is in progress. Default: 8,192.
    pub max_queued_lines: usize,
    /// The most bytes that wait to be written; further lines are dropped and counted. Default: 1
    /// MiB.
    pub max_queued_bytes: usize,
    /// How long dropping the log waits until everything is written. Default: 1 s.
    pub drop_timeout: Duration,
    /// How many of the same messages are written in one [`LogSettings::repeat_interval`]; further
    /// ones are counted. Default: 8.
    pub max_repeats: u64,
    /// How long the same messages are counted, before their number is written. Default: 10 s.
    pub repeat_interval: Duration,
    /// The most different messages that are counted at once. Of more, the oldest is written with
    /// its count and no longer counted. At least 1. Default: 64.
    pub max_counted_messages: usize,
    /// How often a [file](super::Log::file) is compared with what its path leads to, before lines are
    /// written, and how long to wait before it is opened again after that has failed. Default: 1 s.
    pub check_interval: Duration,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            max_queued_lines: 8192,
            max_queued_bytes: 1 << 20,
            drop_timeout: Duration::from_secs(1),
            max_repeats: 8,
            repeat_interval: Duration::from_secs(10),
            max_counted_messages: 64,
            check_interval: Duration::from_secs(1),
        }
    }
}
