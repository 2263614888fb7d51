//! The response with an archive, step by step.

use std::io;
use std::mem;
use std::sync::Arc;

use doorstep_core::site::ResponsePlan;
use doorstep_core::site::archive::ArchiveFormat;

use super::Abort;
use super::producer::Producer;
use crate::exchange::ExchangeState;
use crate::files::job::disconnect_check;
use crate::files::listings::ListingError;
use crate::files::{Directory, respond};
use crate::job::{JobStep, Pending};
use crate::permit_wait::{NoPermit, PermitPoll, PermitWait};
use crate::semaphore::Permit;

/// An archive that is made and sent.
pub(in crate::files) struct ArchiveJob {
    path: Arc<[u8]>,
    format: ArchiveFormat,
    permit: Option<Permit>,
    evicted: bool,
    state: State,
}

/// A piece was made: the bytes, and whether they are the last ones.
type Made = (Box<Producer>, Vec<u8>, Result<bool, Abort>);

enum State {
    Begin,
    /// It waits for a permit. The flag is whether earlier responses were sent.
    Queue(PermitWait, bool),
    /// The directory is opened, before there is a response.
    Open(Pending<io::Result<Box<Producer>>>),
    Make(Pending<Made>),
    Send(Box<Producer>),
    Done,
}

impl ArchiveJob {
    pub(in crate::files) fn new(path: Vec<u8>, format: ArchiveFormat) -> Self {
        Self { path: path.into(), format, permit: None, evicted: false, state: State::Begin }
    }

    #[inline(never)] // its variables would be on the stack of every thread that serves a file
    pub(in crate::files) fn step(
        &mut self,
        directory: &Arc<Directory>,
        exchange: &mut ExchangeState<'_>,
    ) -> io::Result<JobStep> {
        loop {
            match mem::replace(&mut self.state, State::Done) {
                State::Begin if exchange.head_ref().is_head() => return Ok(self.open(directory)),
                State::Begin => {
                    let wait = directory.queue_for_archive(exchange.config());
                    self.state = State::Queue(wait, false);
                }
                State::Queue(mut wait, flushed) => match wait.poll(exchange.connection()) {
                    Ok(PermitPoll::Granted(permit)) => {
                        self.permit = Some(permit);
                        return Ok(self.open(directory));
                    }
                    Ok(PermitPoll::Wait(notified, timeout)) => {
                        self.state = State::Queue(wait, true);
                        return Ok(match flushed {
                            true => JobStep::Wait(notified, timeout),
                            false => JobStep::Flush,
                        });
                    }
                    Err(why) => return refuse(exchange, why),
                },
                State::Open(pending) => match pending.take()? {
                    Ok(producer) => {
                        self.begin(exchange)?;
                        if exchange.head_ref().is_head() {
                            exchange.end()?;
                            return Ok(JobStep::Done);
                        }
                        return Ok(self.make(directory, exchange, producer));
                    }
                    Err(error) => {
                        let why = ListingError::Io(error);
                        if why.is_exhausted() && !mem::replace(&mut self.evicted, true) {
                            self.state = State::Begin;
                            self.permit = None;
                            return Ok(JobStep::Evict);
                        }
                        respond::respond_unlisted(exchange, &why)?;
                        return Ok(JobStep::Done);
                    }
                },
                State::Make(pending) => {
                    if let Some(step) = self.take_piece(exchange, pending.take()?)? {
                        return Ok(step);
                    }
                }
                State::Send(producer) => return Ok(self.make(directory, exchange, producer)),
                State::Done => return Ok(JobStep::Done),
            }
        }
    }

    fn open(&mut self, directory: &Arc<Directory>) -> JobStep {
        let (directory, path, format) = (directory.clone(), self.path.clone(), self.format);
        let (pending, step) = Pending::block(move || {
            let root = directory.root().open_dir()?;
            Producer::open(root, &path, format).map(Box::new)
        });
        self.state = State::Open(pending);
        step
    }

    fn begin(&self, exchange: &mut ExchangeState<'_>) -> io::Result<()> {
        let plan = ResponsePlan::Archive(&self.path, self.format);
        respond::begin_streamed(exchange, &plan)
    }

    fn make(
        &mut self,
        directory: &Arc<Directory>,
        exchange: &ExchangeState<'_>,
        mut producer: Box<Producer>,
    ) -> JobStep {
        let (directory, mut disconnect) =
            (directory.clone(), disconnect_check(directory, exchange));
        let (pending, step) = Pending::block(move || {
            let made = producer.produce(directory.site(), &mut disconnect);
            let piece = producer.take();
            (producer, piece, made)
        });
        self.state = State::Make(pending);
        step
    }

    /// Sends a piece. Returns `None` if there is nothing to send yet.
    fn take_piece(
        &mut self,
        exchange: &mut ExchangeState<'_>,
        (mut producer, piece, made): Made,
    ) -> io::Result<Option<JobStep>> {
        if let Err(why) = made {
            log(exchange, &format!("archive aborted: {why}"));
            exchange.abort();
            return Ok(Some(JobStep::Done));
        }
        let is_empty = piece.is_empty();
        if !is_empty {
            exchange.append_body(&piece)?;
        }
        if let Ok(true) = made {
            if let Some(line) = producer.log_line() {
                log(exchange, &line);
            }
            exchange.end()?;
            return Ok(Some(JobStep::Done));
        }
        producer.recycle(piece);
        self.state = State::Send(producer);
        Ok((!is_empty).then_some(JobStep::Flush))
    }
}

/// Responds 503, since there is no permit.
fn refuse(exchange: &mut ExchangeState<'_>, why: NoPermit) -> io::Result<JobStep> {
    let why = match why {
        NoPermit::Disconnected(disconnect) => disconnect.to_string(),
        NoPermit::ShuttingDown => "the server is shutting down".into(),
        NoPermit::Full | NoPermit::TimedOut => "too many archives at once".into(),
    };
    log(exchange, &format!("archive refused: {why}"));
    exchange.respond_503()?;
    Ok(JobStep::Done)
}

fn log(exchange: &ExchangeState<'_>, message: &str) {
    exchange.log_error(respond::with_path(exchange, &message));
}
