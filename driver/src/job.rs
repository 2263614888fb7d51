//! A job: the work on one response, which never waits.
//!
//! A [`Job`] is stepped, and returns what it needs next ([`JobStep`]). A front end has one loop
//! that carries out these steps for every job, with or without `.await`:
//!
//! ```text
//! loop {
//!     match job.step(&mut exchange)? {
//!         JobStep::Flush => exchange.flush()?,
//!         JobStep::SendFile(file, offset, count) => exchange.send_file(&file, offset, count)?,
//!         JobStep::Evict => evict a connection, and wait a moment until one is closed,
//!         JobStep::Block(work) => work(),
//!         JobStep::ReadBody => match exchange.body().read(job.body_space()) {
//!             Ok(n) => job.body_read(n),
//!             Err(error) => job.body_failed(error)?,
//!         },
//!         JobStep::Wait(listener, timeout) => listener.wait_timeout(timeout),
//!         JobStep::WaitProcess(timeout) => {
//!             let ready = job.process()?.wait_ready(the client's socket, timeout)?;
//!             job.process_ready(ready);
//!         }
//!         JobStep::Declined => return Ok(false),
//!         JobStep::Done => return Ok(true),
//!     }
//! }
//! ```
//!
//! [`Files`](crate::Files) and [`Cgi`](crate::Cgi) make jobs.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event_listener::EventListener;

use crate::exchange::ExchangeState;
use crate::os::{Process, Readiness};

/// The work on one response.
pub trait Job: Send {
    /// Does everything that can be done without waiting, and returns what the front end has to do
    /// before the next step. The exchange is the same for all steps. After [`JobStep::Done`] or
    /// [`JobStep::Declined`], and after an error, there is nothing more to do.
    ///
    /// # Errors
    /// Returns an error if the response cannot be completed. It becomes the handler's result.
    fn step(&mut self, exchange: &mut ExchangeState<'_>) -> io::Result<JobStep>;

    /// The buffer for the next part of the request's body, for [`JobStep::ReadBody`]. Not empty
    /// then.
    fn body_space(&mut self) -> &mut [u8] {
        &mut []
    }

    /// Reports that `n` bytes were read into [`Job::body_space`]; 0 is the end of the body.
    fn body_read(&mut self, n: usize) {
        let _ = n;
    }

    /// Reports that reading the body has failed. The job is stepped again to clean up, and then returns
    /// the error; it responds no more.
    ///
    /// # Errors
    /// Returns `error` if there is nothing to clean up: it becomes the handler's result at once.
    fn body_failed(&mut self, error: io::Error) -> io::Result<()> {
        Err(error)
    }

    /// The process to wait for, for [`JobStep::WaitProcess`].
    fn process(&mut self) -> Option<&mut Process> {
        None
    }

    /// Reports why the wait for [`Job::process`] has ended.
    fn process_ready(&mut self, ready: Readiness) {
        let _ = ready;
    }
}

/// What a front end has to do before it steps a job again.
#[must_use]
pub enum JobStep {
    /// Send everything that is in the outbox.
    Flush,
    /// Send this part of a file after the bytes in the outbox: an offset, and a number of bytes. It
    /// is part of the response's body, so [`ExchangeState::begin_file`] begins it.
    SendFile(Arc<File>, u64, u64),
    /// Evict another connection to free its descriptor, and wait a moment
    /// ([`Config::descriptor_wait`](crate::Config::descriptor_wait)) until one was closed.
    Evict,
    /// Run this where waiting for the disk or the system is allowed: inline on a thread, in a pool
    /// under an executor. Processes are started here: after it, [`Job::process`] may be another
    /// one.
    Block(Box<dyn FnOnce() + Send>),
    /// Read a part of the request's body into [`Job::body_space`], and report it to
    /// [`Job::body_read`], or an error of reading to [`Job::body_failed`].
    ReadBody,
    /// Wait until the listener is notified, at most for this time.
    Wait(EventListener, Duration),
    /// Wait for [`Job::process`] as [`Process::wait_ready`] does, or for its [`Process::sources`], at
    /// most for this time, and report the result to [`Job::process_ready`]. While [`ExchangeState::owes_response`], the wait may
    /// also end when the client disconnects.
    WaitProcess(Duration),
    /// The request is not for this handler, and the response has not begun.
    Declined,
    /// The response is complete, in the outbox or sent.
    Done,
}

impl fmt::Debug for JobStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flush => f.write_str("Flush"),
            Self::SendFile(_, offset, count) => write!(f, "SendFile({offset}, {count})"),
            Self::Evict => f.write_str("Evict"),
            Self::Block(_) => f.write_str("Block"),
            Self::ReadBody => f.write_str("ReadBody"),
            Self::Wait(_, timeout) => write!(f, "Wait({timeout:?})"),
            Self::WaitProcess(timeout) => write!(f, "WaitProcess({timeout:?})"),
            Self::Declined => f.write_str("Declined"),
            Self::Done => f.write_str("Done"),
        }
    }
}

/// The result of the work of a [`JobStep::Block`].
#[derive(Debug)]
pub(crate) struct Pending<T>(Arc<Mutex<Option<T>>>);

impl<T: Send + 'static> Pending<T> {
    /// The step that runs `work`, and its result.
    pub(crate) fn block(work: impl FnOnce() -> T + Send + 'static) -> (Self, JobStep) {
        let result = Arc::new(Mutex::new(None));
        let slot = result.clone();
        let run = move || {
            let done = work();
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
        };
        (Self(result), JobStep::Block(Box::new(run)))
    }

    /// Returns the result.
    ///
    /// # Errors
    /// Returns an error if the work was not run to its end.
    pub(crate) fn take(self) -> io::Result<T> {
        let result = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        result.ok_or_else(|| io::Error::other("work in the background was not completed"))
    }
}
