//! The log's way out: a bounded queue and one thread that writes (B-111).
//!
//! [`Log::write`] never waits for whoever reads the log. When nobody does and the queue is full,
//! lines are dropped and counted; the first thing written when there is room again is how many.
//! Lines keep their order and are never torn. [`Log::note`] counts notes that come again and again
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
use super::log_repeats::{Repeats, Summary};

/// A log that is written in the background. Shared by reference.
#[derive(Debug)]
pub struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    queue: Mutex<Queue>,
    /// There is something to write, or an end.
    work: Condvar,
    /// All is written.
    idle: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    text: Vec<u8>,
    lines: usize,
    /// Lines that found no room since the last batch was taken.
    dropped: u64,
    repeats: Repeats,
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
        Self::to(File::from(io::stderr().as_fd().try_clone_to_owned()?))
    }

    /// A log into `out`, which gets whole lines, many in one write. What it fails to take is lost.
    ///
    /// # Errors
    /// When there is no thread left for it.
    pub fn to(out: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            clock: Clock::new(),
            queue: Mutex::default(),
            work: Condvar::new(),
            idle: Condvar::new(),
        });
        let theirs = Arc::clone(&shared);
        thread::Builder::new().name("log".into()).spawn(move || theirs.drain(out))?;
        Ok(Self { shared })
    }

    /// Queues `lines`, one or more, each with its line end; drops them when there is no room.
    pub fn write(&self, lines: &[u8]) {
        self.shared.change(|queue| {
            queue.push(lines);
            false
        });
    }

    /// Queues a line about `peer`, with the local time. What is noted again and again in the same
    /// words is counted, and the count written every few seconds and at the end.
    pub fn note(&self, peer: IpAddr, message: &str) {
        self.shared.change(|queue| {
            let (at, next) = (Instant::now(), queue.repeats.next());
            let due = queue.repeats.due(at);
            self.shared.tell(queue, due);
            if queue.repeats.admits(peer, message, at) {
                self.shared.line(queue, peer, message);
            }
            queue.repeats.next() != next
        });
    }

    /// Waits until all is written, at most `timeout`; says whether it is. What was counted is told
    /// now.
    #[must_use]
    pub fn flush(&self, timeout: Duration) -> bool {
        self.shared.change(|queue| {
            let counted = queue.repeats.all(Instant::now());
            self.shared.tell(queue, counted);
            false
        });
        let queue = self.shared.lock();
        let (_queue, waited) = self
            .shared
            .idle
            .wait_timeout_while(queue, timeout, |queue| queue.writing || !queue.text.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = self.flush(LAST_WAIT);
        self.shared.lock().closed = true;
        self.shared.work.notify_one();
    }
}

impl Shared {
    /// The writing thread's whole life.
    fn drain(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        loop {
            let mut queue = self.lock();
            queue.writing = false;
            if queue.text.is_empty() {
                self.idle.notify_all();
            }
            while queue.text.is_empty() && !queue.closed {
                queue = self.wait(queue);
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
    fn wait<'q>(&self, queue: MutexGuard<'q, Queue>) -> MutexGuard<'q, Queue> {
        let at = Instant::now();
        match queue.repeats.next() {
            None => self.work.wait(queue).unwrap_or_else(PoisonError::into_inner),
            Some(next) if next > at => {
                let waited = self.work.wait_timeout(queue, next - at);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            Some(_) => {
                let mut queue = queue;
                let due = queue.repeats.due(at);
                self.tell(&mut queue, due);
                queue
            }
        }
    }

    /// Changes the queue, and wakes the writing thread if it sleeps and has something to do now:
    /// text, or another time to wake up at, as `change` says.
    fn change(&self, change: impl FnOnce(&mut Queue) -> bool) {
        let mut queue = self.lock();
        let asleep = queue.text.is_empty() && !queue.writing;
        let has_changed = change(&mut queue);
        let wake = asleep && (!queue.text.is_empty() || has_changed);
        drop(queue);
        if wake {
            self.work.notify_one();
        }
    }

    fn tell(&self, queue: &mut Queue, counted: Vec<Summary>) {
        for Summary { last, text } in counted {
            self.line(queue, last, &text);
        }
    }

    fn line(&self, queue: &mut Queue, peer: IpAddr, message: &str) {
        let mut line = Vec::with_capacity(128);
        log::write_client_message(&mut line, peer, &self.clock.civil(now()), message.as_bytes());
        queue.push(&line);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Takes lines, or drops and counts them.
    fn push(&mut self, lines: &[u8]) {
        let count = lines.iter().filter(|&&byte| byte == b'\n').count();
        if self.lines + count > MOST_LINES || self.text.len() + lines.len() > MOST_BYTES {
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
const MOST_LINES: usize = 8192;
const MOST_BYTES: usize = 1024 * 1024;

/// How long an exit waits for a log that nobody reads.
const LAST_WAIT: Duration = Duration::from_secs(1);

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
