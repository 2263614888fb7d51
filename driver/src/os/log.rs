//! The log's way out: a bounded queue and one thread that writes (B-111).
//!
//! [`Log::write`] never waits for whoever reads the log. When nobody does and the queue is full,
//! lines are dropped and counted; the first thing written when there is room again is how many.
//! Lines keep their order and are never torn. [`Log::log_message`] counts notes that come again and again
//! instead of repeating them. Dropping the log writes what is queued, but waits for a stuck reader
//! no longer than a second.
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

use super::clock::{Clock, now};
use super::repeat_filter::{RepeatFilter, Summary};

/// A log that is written in the background. Shared by reference.
#[derive(Debug)]
pub struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    queue: Mutex<LogQueue>,
    /// There is something to write, or an end.
    not_empty: Condvar,
    /// All is written.
    flushed: Condvar,
}

#[derive(Debug, Default)]
struct LogQueue {
    text: Vec<u8>,
    lines: usize,
    /// Lines that found no room since the last batch was taken.
    dropped: u64,
    repeat_filter: RepeatFilter,
    writing: bool,
    closed: bool,
}

impl Log {
    /// A log on stderr, unbuffered.
    ///
    /// # Errors
    /// When there is no descriptor or thread left for it.
    pub fn stderr() -> io::Result<Self> {
        // A handle of our own: a stuck write must not hold the lock that others' messages need.
        Self::from_writer(File::from(io::stderr().as_fd().try_clone_to_owned()?))
    }

    /// A log into `out`, which gets whole lines, many in one write. What it fails to take is lost.
    ///
    /// # Errors
    /// When there is no thread left for it.
    pub fn from_writer(out: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            clock: Clock::new(),
            queue: Mutex::default(),
            not_empty: Condvar::new(),
            flushed: Condvar::new(),
        });
        let writer_shared = Arc::clone(&shared);
        thread::Builder::new().name("log".into()).spawn(move || writer_shared.run_writer(out))?;
        Ok(Self { shared })
    }

    /// Queues `lines`, one or more, each with its line end; drops them when there is no room.
    pub fn write(&self, lines: &[u8]) {
        self.shared.update(|queue| {
            queue.push(lines);
            false
        });
    }

    /// Queues a line about `peer`, with the local time. What is noted again and again in the same
    /// words is counted, and the count written every few seconds and at the end.
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

    /// Waits until all is written, at most `timeout`; says whether it is. What was counted is told
    /// now.
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

impl Drop for Log {
    fn drop(&mut self) {
        let _ = self.flush(DROP_FLUSH_TIMEOUT);
        self.shared.lock().closed = true;
        self.shared.not_empty.notify_one();
    }
}

impl Shared {
    /// The writing thread's whole life.
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
                // They would have stood behind what was queued before them.
                let s = if dropped == 1 { "" } else { "s" };
                batch.extend_from_slice(format!("{dropped} log line{s} dropped\n").as_bytes());
            }
            write_all(&mut out, &batch);
        }
    }

    /// Until there may be something to write: it was said so, or a count is due.
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

    /// Changes the queue, and wakes the writing thread if it sleeps and has something to do now:
    /// text, or another time to wake up at, as `change` says.
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
        queue.push(&line);
    }

    fn lock(&self) -> MutexGuard<'_, LogQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogQueue {
    /// Takes lines, or drops and counts them.
    fn push(&mut self, lines: &[u8]) {
        let count = lines.iter().filter(|&&byte| byte == b'\n').count();
        if self.lines + count > MAX_QUEUED_LINES || self.text.len() + lines.len() > MAX_QUEUED_BYTES
        {
            self.dropped += count as u64;
        } else {
            self.text.extend_from_slice(lines);
            self.lines += count;
        }
    }
}

/// As far as `out` takes it; a terminal that some program left non-blocking is waited for.
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

/// The most lines and bytes that wait to be written; as much again may be on its way.
const MAX_QUEUED_LINES: usize = 8192;
const MAX_QUEUED_BYTES: usize = 1024 * 1024;

/// How long an exit waits for a log that nobody reads.
const DROP_FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
