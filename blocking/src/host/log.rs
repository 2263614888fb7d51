//! The access log's way out: a bounded queue and one thread that writes (B-111).
//!
//! [`Log::write`] never waits for whoever reads the log. When nobody does and the queue is full,
//! lines are dropped and counted; the first thing written when there is room again is how many.
//! Lines keep their order and are never torn. Dropping the log writes what is queued, but waits for
//! a stuck reader no longer than a second.
//!
//! ```
//! use doorstep_blocking::host::Log;
//!
//! let log = Log::stderr()?;
//! log.write(b"127.0.0.1 - - [21/Nov/2026 05:07:13] \"GET / HTTP/1.1\" 200 5\n");
//! # Ok::<(), std::io::Error>(())
//! ```

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::mem;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// A log that is written in the background. Shared by reference.
#[derive(Debug)]
pub struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
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
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        thread::Builder::new().name("log".into()).spawn(move || theirs.drain(out))?;
        Ok(Self { shared })
    }

    /// Queues `lines`, one or more, each with its line end; drops them when there is no room.
    pub fn write(&self, lines: &[u8]) {
        let count = lines.iter().filter(|&&byte| byte == b'\n').count();
        let mut queue = self.shared.lock();
        if queue.lines + count > MOST_LINES || queue.text.len() + lines.len() > MOST_BYTES {
            queue.dropped += count as u64;
            return;
        }
        let wake = queue.text.is_empty() && !queue.writing;
        queue.text.extend_from_slice(lines);
        queue.lines += count;
        drop(queue);
        if wake {
            self.shared.work.notify_one();
        }
    }

    /// Waits until all is written, at most `timeout`; says whether it is.
    #[must_use]
    pub fn flush(&self, timeout: Duration) -> bool {
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
        self.shared.lock().closed = true;
        self.shared.work.notify_one();
        let _ = self.flush(LAST_WAIT);
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
            queue = self
                .work
                .wait_while(queue, |queue| queue.text.is_empty() && !queue.closed)
                .unwrap_or_else(PoisonError::into_inner);
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

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
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
