//! A log that never blocks its callers: a bounded queue, and one thread that writes (B-111).
//!
//! [`Log::write`] never waits for the reader of the log. When the queue is full because the reader
//! is slow or stuck, lines are dropped and counted, and their number is logged as soon as there is
//! room again. Lines keep their order, and each is written whole. [`Log::log_message`] counts
//! messages that are repeated instead of writing each of them. Dropping the log writes the queue,
//! but waits no longer than [`LogSettings::drop_timeout`] for a stuck reader. [`LogSettings`] has
//! the bounds.
//!
//! A log is stderr, a file that is opened again when it was rotated ([`Log::file`]), or any writer.
//!
//! ```
//! use doorstep_driver::os::Log;
//!
//! let log = Log::stderr()?;
//! log.write(b"127.0.0.1 - - [21/Nov/2026 05:07:13] \"GET / HTTP/1.1\" 200 5\n");
//! # Ok::<(), std::io::Error>(())
//! ```

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use doorstep_core::log::{Format, Level};

use super::LogSettings;
use super::clock::{Clock, since_epoch};
use super::log_file::{self, LogFile, write_all};
use super::repeat_filter::{RepeatFilter, Summary};

/// A log that is written in the background. It is shared by reference.
#[derive(Debug)]
pub struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    settings: LogSettings,
    queue: Mutex<LogQueue>,
    /// The queue is not empty any more, or closed.
    not_empty: Condvar,
    /// Everything is written.
    flushed: Condvar,
}

#[derive(Debug)]
struct LogQueue {
    text: Vec<u8>,
    lines: usize,
    /// The number of lines that were dropped since the last batch was taken.
    dropped: u64,
    repeat_filter: RepeatFilter,
    /// The format of messages that are made here.
    format: Format,
    /// Whether the file is to be opened again.
    reopen: bool,
    /// Whether lines that a file has dropped are to be reported now.
    flush: bool,
    writing: bool,
    closed: bool,
}

impl Log {
    /// A log on stderr, with the default settings.
    ///
    /// # Errors
    /// Returns an error if there is no descriptor or no thread left for it.
    pub fn stderr() -> io::Result<Self> {
        Self::from_writer(log_file::stderr()?)
    }

    /// A log into the file `path`, with the default settings. The file is created if there is none,
    /// with mode 0640 without the bits of the umask, and appended to. When it was renamed or removed,
    /// it is opened again at the next line, though at most once a second; [`Log::reopen`] does it at
    /// once. So rotation loses no line, with and without a signal.
    ///
    /// If it cannot be written, or not opened again, lines are dropped and counted, and written
    /// again when it can be. That is reported on stderr, once when it begins and once when it is over.
    ///
    /// ```
    /// use doorstep_driver::os::Log;
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("access.log");
    ///
    /// let log = Log::file(&path)?;
    /// log.write(b"a line\n");
    /// # assert!(log.flush(std::time::Duration::from_secs(60)));
    /// # assert_eq!(std::fs::read(&path)?, b"a line\n");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened for appending, or if there is no thread left.
    pub fn file(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::file_with_settings(path, LogSettings::default())
    }

    /// As [`Log::file`], with other settings.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened for appending, or if there is no thread left.
    pub fn file_with_settings(path: impl AsRef<Path>, settings: LogSettings) -> io::Result<Self> {
        let file = LogFile::open(path.as_ref(), settings.check_interval)?;
        Self::start(Output::<io::Sink>::File(file, log_file::stderr().ok()), settings)
    }

    /// A log into `out`, with the default settings.
    ///
    /// # Errors
    /// Returns an error if there is no thread left for it.
    pub fn from_writer(out: impl Write + Send + 'static) -> io::Result<Self> {
        Self::with_settings(out, LogSettings::default())
    }

    /// A log into `out`, which receives whole lines, many in one write. Lines that it returns an
    /// error for are lost.
    ///
    /// # Errors
    /// Returns an error if there is no thread left for it.
    pub fn with_settings(
        out: impl Write + Send + 'static,
        settings: LogSettings,
    ) -> io::Result<Self> {
        Self::start(Output::Writer(out), settings)
    }

    fn start(out: Output<impl Write + Send + 'static>, settings: LogSettings) -> io::Result<Self> {
        let queue = LogQueue {
            text: Vec::new(),
            lines: 0,
            dropped: 0,
            repeat_filter: RepeatFilter::new(&settings),
            format: Format::default(),
            reopen: false,
            flush: false,
            writing: false,
            closed: false,
        };
        let shared = Arc::new(Shared {
            clock: Clock::new(),
            settings,
            queue: Mutex::new(queue),
            not_empty: Condvar::new(),
            flushed: Condvar::new(),
        });
        let writer_shared = Arc::clone(&shared);
        thread::Builder::new().name("log".into()).spawn(move || writer_shared.run_writer(out))?;
        Ok(Self { shared })
    }

    /// Sets the format of the messages that the log writes itself: those of [`Log::log_message`] and
    /// [`Log::log_server_message`], and the number of dropped lines. [`Log::write`] writes lines as
    /// they are. Default: [`Format::Python`].
    pub fn set_format(&self, format: Format) {
        self.shared.lock().format = format;
    }

    /// Opens the file again, for programs that rename it and then send a signal. It does not wait:
    /// the writing thread does it. A log that is not a file is not changed.
    pub fn reopen(&self) {
        self.shared.update(|queue| {
            queue.reopen = true;
            true
        });
    }

    /// Queues `lines`, one or more, each with its line end. Drops them if there is no room.
    pub fn write(&self, lines: &[u8]) {
        self.shared.update(|queue| {
            queue.push(lines, &self.shared.settings);
            false
        });
    }

    /// Queues a line with the address of `peer`, the local time and `message`. The same message, of
    /// whatever peers, is written [`LogSettings::max_repeats`] times and then counted; the count is
    /// written after [`LogSettings::repeat_interval`], and when the log is flushed or dropped.
    pub fn log_message(&self, peer: IpAddr, message: &str) {
        self.shared.update(|queue| {
            let (now, next) = (Instant::now(), queue.repeat_filter.next_due());
            let due = queue.repeat_filter.take_due(now);
            self.shared.push_summaries(queue, due);
            if queue.repeat_filter.should_log(peer, message, now) {
                self.shared.push_message(queue, Some(peer), Level::Error, message);
            }
            queue.repeat_filter.next_due() != next
        });
    }

    /// Queues a line with the local time and a `message` that concerns no client.
    pub fn log_server_message(&self, level: Level, message: &str) {
        self.shared.update(|queue| {
            self.shared.push_message(queue, None, level, message);
            false
        });
    }

    /// Writes the counts of repeated messages, and waits until everything is written, at most for
    /// `timeout`. Returns whether it is.
    #[must_use]
    pub fn flush(&self, timeout: Duration) -> bool {
        self.shared.update(|queue| {
            let counted = queue.repeat_filter.take_all(Instant::now());
            self.shared.push_summaries(queue, counted);
            queue.flush = true;
            true
        });
        let queue = self.shared.lock();
        let (_queue, waited) = self
            .shared
            .flushed
            .wait_timeout_while(queue, timeout, |queue| queue.is_busy())
            .unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }
}

impl Log {
    /// Flushes the log, as [`Log::flush`] does, and closes it: what is written later is lost, and
    /// dropping the log does not wait any more. For the end of a program, so that a stuck reader
    /// delays it once.
    pub fn close(&self, timeout: Duration) -> bool {
        let is_flushed = self.flush(timeout);
        self.shared.lock().closed = true;
        self.shared.not_empty.notify_one();
        is_flushed
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if !self.shared.lock().closed {
            let _ = self.close(self.shared.settings.drop_timeout);
        }
    }
}

impl Shared {
    /// The main function of the writing thread.
    fn run_writer(&self, mut out: Output<impl Write>) {
        let mut batch = Vec::new();
        loop {
            let mut queue = self.lock();
            queue.writing = false;
            if !queue.is_busy() {
                self.flushed.notify_all();
            }
            while !queue.is_busy() && !queue.closed {
                queue = self.wait_for_work(queue);
            }
            if !queue.is_busy() && queue.dropped == 0 {
                return;
            }
            batch.clear();
            mem::swap(&mut batch, &mut queue.text);
            queue.lines = 0;
            queue.writing = true;
            let dropped = mem::take(&mut queue.dropped);
            let (reopen, flush) = (mem::take(&mut queue.reopen), mem::take(&mut queue.flush));
            drop(queue);

            if reopen {
                out.reopen(self);
            }
            out.write(&mut batch, dropped, self);
            if flush {
                out.flush(self);
            }
        }
    }

    /// Waits until there may be something to write: a notification, or a count that is due.
    fn wait_for_work<'q>(&self, queue: MutexGuard<'q, LogQueue>) -> MutexGuard<'q, LogQueue> {
        let now = Instant::now();
        match queue.repeat_filter.next_due() {
            None => self.not_empty.wait(queue).unwrap_or_else(PoisonError::into_inner),
            Some(next) if next > now => {
                let waited = self.not_empty.wait_timeout(queue, next - now);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            Some(_) => {
                let mut queue = queue;
                let due = queue.repeat_filter.take_due(now);
                self.push_summaries(&mut queue, due);
                queue
            }
        }
    }

    /// Changes the queue, and wakes the writing thread if it sleeps and now has text to write, or
    /// if `change` returns that the time at which it has to wake up is another.
    fn update(&self, change: impl FnOnce(&mut LogQueue) -> bool) {
        let mut queue = self.lock();
        let asleep = !queue.is_busy();
        let has_changed = change(&mut queue);
        let wake = asleep && (!queue.text.is_empty() || has_changed);
        drop(queue);
        if wake {
            self.not_empty.notify_one();
        }
    }

    fn push_summaries(&self, queue: &mut LogQueue, counted: Vec<Summary>) {
        for Summary { last_peer, text } in counted {
            self.push_message(queue, Some(last_peer), Level::Error, &text);
        }
    }

    fn push_message(
        &self,
        queue: &mut LogQueue,
        client: Option<IpAddr>,
        level: Level,
        message: &str,
    ) {
        let line = self.message(queue.format, client, level, message);
        queue.push(&line, &self.settings);
    }

    fn message(
        &self,
        format: Format,
        client: Option<IpAddr>,
        level: Level,
        message: &str,
    ) -> Vec<u8> {
        let mut line = Vec::with_capacity(128);
        let at = self.clock.local_time(since_epoch());
        format.write_message(&mut line, client, level, &at, message.as_bytes());
        line
    }

    /// The line about lines that were dropped.
    fn dropped_lines(&self, dropped: u64) -> Vec<u8> {
        let s = if dropped == 1 { "" } else { "s" };
        let text = format!("{dropped} log line{s} dropped");
        match self.lock().format {
            Format::Python => (text + "\n").into_bytes(),
            format => self.message(format, None, Level::Warning, &text),
        }
    }

    /// Reports a fault of the log itself.
    fn report(&self, stderr: Option<&mut File>, report: Option<String>) {
        if let (Some(stderr), Some(report)) = (stderr, report) {
            let format = self.lock().format;
            let _ = write_all(stderr, &self.message(format, None, Level::Error, &report));
        }
    }

    fn lock(&self) -> MutexGuard<'_, LogQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where lines go.
enum Output<W> {
    Writer(W),
    /// A file, and where its faults are reported.
    File(LogFile, Option<File>),
}

impl<W: Write> Output<W> {
    /// Writes a batch of lines, and the number of those that were dropped behind them.
    fn write(&mut self, batch: &mut Vec<u8>, dropped: u64, shared: &Shared) {
        match self {
            Self::Writer(out) => {
                if dropped > 0 {
                    // They would have been behind the lines that were queued before them.
                    batch.extend_from_slice(&shared.dropped_lines(dropped));
                }
                let _ = write_all(out, batch);
            }
            Self::File(file, stderr) => {
                let report = file.write(batch, dropped);
                shared.report(stderr.as_mut(), report);
            }
        }
    }

    fn reopen(&mut self, shared: &Shared) {
        if let Self::File(file, stderr) = self {
            let report = file.reopen();
            shared.report(stderr.as_mut(), report);
        }
    }

    fn flush(&mut self, shared: &Shared) {
        if let Self::File(file, stderr) = self {
            let report = file.flush();
            shared.report(stderr.as_mut(), report);
        }
    }
}

impl LogQueue {
    /// Whether there is something to do for the writing thread, or it does it.
    fn is_busy(&self) -> bool {
        self.writing || self.reopen || self.flush || !self.text.is_empty()
    }

    /// Queues lines, or drops and counts them.
    fn push(&mut self, lines: &[u8], settings: &LogSettings) {
        let count = lines.iter().filter(|&&byte| byte == b'\n').count();
        if self.lines + count > settings.max_queued_lines
            || self.text.len() + lines.len() > settings.max_queued_bytes
        {
            self.dropped += count as u64;
        } else {
            self.text.extend_from_slice(lines);
            self.lines += count;
        }
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
