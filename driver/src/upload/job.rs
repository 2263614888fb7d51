//! One upload, step by step: the body is received into a buffer, which is written where waiting for the
//! disk is allowed.

use std::io;
use std::mem;
use std::time::Instant;

use super::form::{Form, ReceivedForm};
use super::put::Put;
use super::respond;
use super::writer::{Failure, StoredFile};
use crate::exchange::ExchangeState;
use crate::job::{JobStep, Pending};
use crate::semaphore::Permit;

/// An upload that is being received.
#[derive(Debug)]
pub(crate) struct UploadJob {
    /// The clean path of the file, or of the directory.
    path: Vec<u8>,
    state: State,
    /// It counts as long as this exists.
    _permit: Permit,
}

/// What the body becomes.
#[derive(Debug)]
pub(super) enum Receiver {
    Put(Box<Put>),
    Form(Box<Form>),
}

/// The body as far as it has come.
#[derive(Debug)]
struct Body {
    receiver: Receiver,
    buffer: Vec<u8>,
    filled: usize,
    /// The size of the buffer, once there is something to receive.
    size: usize,
}

#[derive(Debug)]
enum State {
    /// The body is being received.
    Receive(Body),
    /// All of it was received.
    Received(Body),
    /// Reading it has failed.
    Broken(Body, io::Error),
    /// The buffer is being written.
    Write(Pending<(Body, Result<(), Failure>)>),
    /// The last of it is being written, and files get their names.
    Finish(Pending<UploadResult>),
    /// What has come is being kept. `None` if the server is shutting down: then it is given up.
    Keep(Pending<Option<InterruptedBody>>, io::Error),
    Done,
}

/// The result of an upload.
#[derive(Debug)]
pub(super) enum UploadResult {
    Put(Result<StoredFile, Failure>),
    Form(ReceivedForm),
}

/// What is known of a body that did not come to its end.
#[derive(Debug, Default)]
pub(super) struct InterruptedBody {
    /// The number of bytes of a PUT that are kept.
    pub(super) kept: u64,
    /// The name of the file of a form that was being received.
    pub(super) name: Option<String>,
    /// The files of a form that were refused before: their names, and why.
    pub(super) failures: Vec<(String, Failure)>,
}

impl UploadJob {
    /// An upload whose buffer has `size` bytes.
    pub(super) fn new(receiver: Receiver, path: Vec<u8>, size: usize, permit: Permit) -> Self {
        let state = State::Receive(Body { receiver, buffer: Vec::new(), filled: 0, size });
        Self { path, state, _permit: permit }
    }

    /// As [`Job::step`](crate::Job::step).
    pub(crate) fn step(&mut self, exchange: &mut ExchangeState<'_>) -> io::Result<JobStep> {
        loop {
            match mem::replace(&mut self.state, State::Done) {
                State::Receive(body) if body.is_full() => {
                    let (pending, step) = Pending::block(move || body.write());
                    self.state = State::Write(pending);
                    return Ok(step);
                }
                State::Receive(body) => {
                    self.state = State::Receive(body);
                    return Ok(JobStep::ReadBody);
                }
                State::Write(pending) => match pending.take()? {
                    (body, Ok(())) => self.state = State::Receive(body),
                    (body, Err(failure)) => {
                        let (pending, step) = Pending::block(move || body.fail(failure));
                        self.state = State::Finish(pending);
                        return Ok(step);
                    }
                },
                State::Received(body) => {
                    let (pending, step) = Pending::block(move || body.finish());
                    self.state = State::Finish(pending);
                    return Ok(step);
                }
                State::Finish(pending) => {
                    match pending.take()? {
                        UploadResult::Put(stored) => {
                            respond::respond_put(exchange, &self.path, stored)?;
                        }
                        UploadResult::Form(form) => {
                            respond::respond_form(exchange, &self.path, &form)?;
                        }
                    }
                    return Ok(JobStep::Done);
                }
                State::Broken(body, error) if exchange.connection().is_stopping() => {
                    respond::log_stopped(exchange);
                    let (pending, step) = Pending::block(move || {
                        drop(body); // it may wait for the disk
                        None
                    });
                    self.state = State::Keep(pending, error);
                    return Ok(step);
                }
                State::Broken(body, error) => {
                    let (pending, step) = Pending::block(move || Some(body.interrupt()));
                    self.state = State::Keep(pending, error);
                    return Ok(step);
                }
                State::Keep(pending, error) => {
                    let interrupted = pending.take()?;
                    if let Some(interrupted) = interrupted {
                        respond::log_interrupted(exchange, &interrupted, &error);
                    }
                    return Err(error);
                }
                State::Done => return Ok(JobStep::Done),
            }
        }
    }

    /// As [`Job::body_space`](crate::Job::body_space).
    pub(crate) fn body_space(&mut self) -> &mut [u8] {
        match &mut self.state {
            State::Receive(body) => {
                body.buffer.resize(body.size, 0);
                &mut body.buffer[body.filled..]
            }
            _ => &mut [],
        }
    }

    /// As [`Job::body_read`](crate::Job::body_read).
    pub(crate) fn body_read(&mut self, n: usize) {
        self.state = match mem::replace(&mut self.state, State::Done) {
            State::Receive(body) if n == 0 => State::Received(body),
            State::Receive(mut body) => {
                body.filled = (body.filled + n).min(body.buffer.len());
                State::Receive(body)
            }
            state => state,
        };
    }

    /// As [`Job::body_failed`](crate::Job::body_failed).
    pub(crate) fn body_failed(&mut self, error: io::Error) -> io::Result<()> {
        match mem::replace(&mut self.state, State::Done) {
            State::Receive(body) => {
                self.state = State::Broken(body, error);
                Ok(())
            }
            _ => Err(error),
        }
    }
}

impl Body {
    fn is_full(&self) -> bool {
        self.filled > 0 && self.filled == self.buffer.len()
    }

    /// Writes what is in the buffer. Blocks.
    fn write(mut self) -> (Self, Result<(), Failure>) {
        let bytes = &self.buffer[..self.filled];
        let written = match &mut self.receiver {
            Receiver::Put(put) => put.write(bytes).map(|()| bytes.len()),
            Receiver::Form(form) => form.write(bytes),
        };
        let result = written.map(|used| {
            self.buffer.copy_within(used..self.filled, 0);
            self.filled -= used;
        });
        (self, result)
    }

    fn finish(self) -> UploadResult {
        let (body, written) = match self.filled {
            0 => (self, Ok(())),
            _ => self.write(),
        };
        match (body.receiver, written) {
            (Receiver::Put(put), Ok(())) => UploadResult::Put(put.finish()),
            (Receiver::Put(_), Err(failure)) => UploadResult::Put(Err(failure)),
            (Receiver::Form(form), written) => UploadResult::Form(form.finish(written)),
        }
    }

    fn fail(self, failure: Failure) -> UploadResult {
        match self.receiver {
            Receiver::Put(_) => UploadResult::Put(Err(failure)),
            Receiver::Form(form) => UploadResult::Form(form.finish(Err(failure))),
        }
    }

    /// Keeps what has come of a PUT. Of a form, the files that are complete are kept already.
    fn interrupt(self) -> InterruptedBody {
        let (body, written) = match self.filled {
            0 => (self, Ok(())),
            _ => self.write(),
        };
        match (body.receiver, written) {
            (Receiver::Put(put), Ok(())) => {
                InterruptedBody { kept: put.interrupt(Instant::now()).0, ..Default::default() }
            }
            (Receiver::Put(_), Err(_)) => InterruptedBody::default(),
            (Receiver::Form(form), _) => {
                let (name, failures) = form.interrupt();
                InterruptedBody { kept: 0, name, failures }
            }
        }
    }
}
