//! A log that never blocks its callers: a bounded queue, and one thread that writes (B-111).
//!
//! [`Log::write`] never waits for the reader of the log. When the queue is full because the reader
//! is slow or stuck, lines are dropped and counted, and their number is logged as soon as there is
//! room again. Lines keep their order, and each is written whole. [`Log::log_message`] counts
//! messages that are repeated instead of writing each of them. Dropping the log writes the queue,
//! but waits no longer than [`LogSettings::drop_timeout`] for a stuck reader. [`LogSettings`] has
//! the bounds.
//!
//! ```
//! use doorstep_driver::os::Log;
//!
//! let log = Log::stderr()?;
//! log.write(b"127.0.0.1 - - [21/Nov/2026 05:07:13] \"GET / HTTP/1.1\" 200 5\n");
//! # Ok::<(), std::io::Error>(())
//! ```

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::mem;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use doorstep_core::log;

use super::LogSettings;
use super::clock::{Clock, now};
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
    writing: bool,
    closed: bool,
}

impl Log {
    /// A log on stderr, with the default settings.
    ///
    /// # Errors
    /// Returns an error if there is no descriptor or no thread left for it.
    pub fn stderr() -> io::Result<Self> {
        // A descriptor of its own: a stuck write must not hold the lock of `io::stderr`.
        Self::from_writer(File::from(io::stderr().as_fd().try_clone_to_owned()?))
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
        let queue = LogQueue {
            text: Vec::new(),
            lines: 0,
            dropped: 0,
            repeat_filter: RepeatFilter::new(&settings),
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
            let (at, next) = (Instant::now(), queue.repeat_filter.next_due());
            let due = queue.repeat_filter.take_due(at);
            self.shared.push_summaries(queue, due);
            if queue.repeat_filter.should_log(peer, message, at) {
                self.shared.push_message(queue, peer, message);
            }
            queue.repeat_filter.next_due() != next
        });
    }

    /// Writes the counts of repeated messages, and waits until everything is written, at most for
    /// `timeout`. Returns whether it is.
    #[must_use]
    pub fn flush(&self, timeout: Duration) -> bool {
        self.shared.update(|queue| {
            let counted = queue.repeat_filter.take_all(Instant::now());
            self.shared.push_summaries(queue, counted);
            false
        });
        let queue = self.shared.lock();
        let (_queue, waited) = self
            .shared
            .flushed
            .wait_timeout_while(queue, timeout, |queue| queue.writing || !queue.text.is_empty())
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
    fn run_writer(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        loop {
            let mut queue = self.lock();
            queue.writing = false;
            if queue.text.is_empty() {
                self.flushed.notify_all();
            }
            while queue.text.is_empty() && !queue.closed {
                queue = self.wait_for_work(queue);
            }
            if queue.text.is_empty() && queue.dropped == 0 {
                return;
            }
            batch.clear();
            mem::swap(&mut batch, &mut queue.text);
            queue.lines = 0;
            queue.writing = true;
            let dropped = mem::take(&mut queue.dropped);
            drop(queue);

            if dropped > 0 {
                // They would have been behind the lines that were queued before them.
                let s = if dropped == 1 { "" } else { "s" };
                batch.extend_from_slice(format!("{dropped} log line{s} dropped\n").as_bytes());
            }
            write_all(&mut out, &batch);
        }
    }

    /// Waits until there may be something to write: a notification, or a count that is due.
    fn wait_for_work<'q>(&self, queue: MutexGuard<'q, LogQueue>) -> MutexGuard<'q, LogQueue> {
        let at = Instant::now();
        match queue.repeat_filter.next_due() {
            None => self.not_empty.wait(queue).unwrap_or_else(PoisonError::into_inner),
            Some(next) if next > at => {
                let waited = self.not_empty.wait_timeout(queue, next - at);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            Some(_) => {
                let mut queue = queue;
                let due = queue.repeat_filter.take_due(at);
                self.push_summaries(&mut queue, due);
                queue
            }
        }
    }

    /// Changes the queue, and wakes the writing thread if it sleeps and now has text to write, or
    /// if `change` returns that the time at which it has to wake up is another.
    fn update(&self, change: impl FnOnce(&mut LogQueue) -> bool) {
        let mut queue = self.lock();
        let asleep = queue.text.is_empty() && !queue.writing;
        let has_changed = change(&mut queue);
        let wake = asleep && (!queue.text.is_empty() || has_changed);
        drop(queue);
        if wake {
            self.not_empty.notify_one();
        }
    }

    fn push_summaries(&self, queue: &mut LogQueue, counted: Vec<Summary>) {
        for Summary { last_peer, text } in counted {
            self.push_message(queue, last_peer, &text);
        }
    }

    fn push_message(&self, queue: &mut LogQueue, peer: IpAddr, message: &str) {
        let mut line = Vec::with_capacity(128);
        log::write_client_message(&mut line, peer, &self.clock.civil(now()), message.as_bytes());
        queue.push(&line, &self.settings);
    }

    fn lock(&self) -> MutexGuard<'_, LogQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogQueue {
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

/// Writes `bytes` until `out` fails. A terminal that another program has made non-blocking is
/// waited for.
fn write_all(out: &mut impl Write, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return,
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(10));
            }
            Err(_) => return,
        }
    }
    let _ = out.flush();
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
