//! A log file that is opened again when it was moved, removed, or when it is asked for.
//!
//! Programs that rotate logs rename the file, with or without a signal, or copy and truncate it. All
//! of them lose no line: the file is opened for appending, compared with what its path leads to at
//! most once a second before lines are written, and opened again when that is another file. Only the
//! lines of at most a second go to a file that was removed.
//!
//! What cannot be written, to a full disk for example, is dropped and counted. A report goes to stderr
//! when that begins and when it is over, and not into the file, which has lines of its format only. A
//! line of which a part could be written is completed first.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::mem;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{self, Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::describe_error;

/// How long to wait for the reader of a pipe or terminal that does not accept more.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// An open log file.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    id: LogFileId,
    /// [`LogSettings::check_interval`](super::LogSettings::check_interval)
    check_interval: Duration,
    /// When the path was compared last.
    checked: Instant,
    /// The rest of a line whose beginning was written.
    rest_of_line: Vec<u8>,
    /// The number of lines that were dropped since the fault began.
    dropped: u64,
    /// Whether a fault was reported that is not over.
    faulty: bool,
}

/// What tells one file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LogFileId {
    device: u64,
    inode: u64,
    /// Devices and pipes are not rotated.
    is_regular: bool,
}

impl From<Metadata> for LogFileId {
    fn from(stat: Metadata) -> Self {
        Self { device: stat.dev(), inode: stat.ino(), is_regular: stat.is_file() }
    }
}

impl LogFile {
    /// Opens or creates the file. A new one can be read by its group (mode 0640, without the bits of
    /// the umask).
    ///
    /// # Errors
    /// Returns an error if it cannot be opened for appending.
    pub(super) fn open(path: &Path, check_interval: Duration) -> io::Result<Self> {
        // The working directory may change later.
        let path = path::absolute(path)?;
        let (file, id) = open(&path)?;
        Ok(Self {
            path,
            file,
            id,
            check_interval,
            checked: Instant::now(),
            rest_of_line: Vec::new(),
            dropped: 0,
            faulty: false,
        })
    }

    /// Writes whole lines, of which `dropped` had no room in the queue before. Returns what is to be
    /// reported, if anything is.
    pub(super) fn write(&mut self, lines: &[u8], dropped: u64) -> Option<String> {
        let report = match self.is_due().then(|| self.check()) {
            Some(Err(error)) => self.fault("open", &error),
            _ => None,
        };
        self.dropped += dropped;
        self.write_lines(lines).or(report)
    }

    /// Opens the file again, as after a signal. Returns what is to be reported.
    pub(super) fn reopen(&mut self) -> Option<String> {
        match self.open_again() {
            Ok(()) => None,
            Err(error) => self.fault("open", &error),
        }
    }

    /// Returns the report about lines that were dropped so far and were not reported.
    pub(super) fn flush(&mut self) -> Option<String> {
        (self.dropped > 0).then(|| self.summary("cannot be written to"))
    }

    fn write_lines(&mut self, lines: &[u8]) -> Option<String> {
        if self.is_removed() {
            self.dropped += count_lines(lines); // nobody could read them
            return None;
        }
        let rest = mem::take(&mut self.rest_of_line);
        let writes = !lines.is_empty() || !rest.is_empty();
        if let Err((written, error)) = write_all(&mut self.file, &rest) {
            self.rest_of_line = rest[written..].to_vec();
            self.dropped += count_lines(lines);
            return self.fault("write to", &error);
        }
        if let Err((written, error)) = write_all(&mut self.file, lines) {
            let (before, after) = lines.split_at(written);
            let is_torn = !before.is_empty() && !before.ends_with(b"\n");
            let rest = after.split_inclusive(|&byte| byte == b'\n').next().filter(|_| is_torn);
            self.rest_of_line = rest.unwrap_or_default().to_vec();
            self.dropped += count_lines(&after[self.rest_of_line.len()..]);
            return self.fault("write to", &error);
        }
        if self.faulty && writes && self.is_current() {
            self.faulty = false;
            return Some(self.summary("can be written to again"));
        }
        (!self.faulty && self.dropped > 0).then(|| self.summary("was too slow"))
    }

    /// Whether it is time to compare the path, or to open it again.
    fn is_due(&self) -> bool {
        self.id.is_regular && self.checked.elapsed() >= self.check_interval
    }

    /// Opens the file again if its path leads to another one, or to none.
    fn check(&mut self) -> io::Result<()> {
        self.checked = Instant::now();
        if self.is_current() { Ok(()) } else { self.open_again() }
    }

    fn is_current(&self) -> bool {
        self.path.metadata().is_ok_and(|stat| LogFileId::from(stat) == self.id)
    }

    fn is_removed(&self) -> bool {
        self.faulty
            && self.id.is_regular
            && self.file.metadata().is_ok_and(|stat| stat.nlink() == 0)
    }

    fn open_again(&mut self) -> io::Result<()> {
        let (file, id) = open(&self.path)?;
        if id != self.id && !mem::take(&mut self.rest_of_line).is_empty() {
            self.dropped += 1; // its end would be the beginning of another file
        }
        (self.file, self.id) = (file, id);
        Ok(())
    }

    /// Returns the report about the first error of a series.
    fn fault(&mut self, what: &str, error: &io::Error) -> Option<String> {
        if mem::replace(&mut self.faulty, true) {
            return None;
        }
        Some(format!(
            "cannot {what} the log file {:?}: {}; lines that cannot be written are dropped and \
             counted",
            self.path,
            describe_error(error)
        ))
    }

    fn summary(&mut self, what: &str) -> String {
        let dropped = mem::take(&mut self.dropped);
        let s = if dropped == 1 { "" } else { "s" };
        format!("the log file {:?} {what}: {dropped} log line{s} dropped", self.path)
    }
}

fn open(path: &Path) -> io::Result<(File, LogFileId)> {
    // Opening a named pipe that nobody reads must not wait.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
    let file =
        OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(flags).open(path)?;
    let id = LogFileId::from(file.metadata()?);
    Ok((file, id))
}

fn count_lines(text: &[u8]) -> u64 {
    text.iter().filter(|&&byte| byte == b'\n').count() as u64
}

/// Writes `bytes` until `out` fails; then the error is the number of bytes that were written, and why.
/// What is non-blocking, such as a terminal that another program has made so, is waited for.
pub(super) fn write_all(out: &mut impl Write, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while written < bytes.len() {
        match out.write(&bytes[written..]) {
            Ok(0) => return Err((written, ErrorKind::WriteZero.into())),
            Ok(n) => written += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY_INTERVAL),
            Err(error) => return Err((written, error)),
        }
    }
    out.flush().map_err(|error| (written, error))
}

/// A descriptor of its own for stderr: a write that is stuck must not hold the lock of `io::stderr`.
pub(super) fn stderr() -> io::Result<File> {
    Ok(File::from(io::stderr().as_fd().try_clone_to_owned()?))
}

#[cfg(test)]
#[path = "log_file_tests.rs"]
mod tests;
