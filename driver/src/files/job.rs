//! The response to one request for a file or a directory listing, step by step ([`Job`]).

use std::io;
use std::mem;
use std::sync::Arc;

use doorstep_core::site::listing::{Filter, View};
use doorstep_core::site::multipart::{Multipart, Piece};
use doorstep_core::site::range::ByteRange;

#[cfg(feature = "archive")]
use super::archive::ArchiveJob;
use super::pending_digest::{Digests, PendingDigest};
use super::{BodyPlan, Content, Directory, Listing, ListingError, slice_range};
use crate::exchange::ExchangeState;
use crate::job::{Job, JobStep, Pending};
use crate::net::Disconnect;
use crate::permit_wait::{PermitPoll, PermitWait};
use crate::semaphore::Permit;
use crate::upload::{UploadJob, UploadStart};

/// The response to one request from [`Files`](crate::Files).
pub struct FilesJob<'f> {
    directory: &'f Arc<Directory>,
    state: State,
}

/// The state between two steps. States that most requests do not need are on the heap.
enum State {
    /// The request is to be resolved.
    Resolve { evicted: bool },
    /// Uploads are allowed, and it is to be found whether this is one.
    Begin,
    /// It is an upload.
    Upload(Box<UploadJob>),
    /// Several ranges are being sent. The number is that of the pieces that were sent.
    Parts(Box<(Content, Multipart)>, usize),
    /// The digests of a file are being computed.
    Digest(Pending<(Box<PendingDigest>, Digests)>),
    /// A directory is being listed.
    List(Box<ListingJob>),
    /// A directory is sent as an archive.
    #[cfg(feature = "archive")]
    Archive(Box<ArchiveJob>),
    /// Nothing is left to do.
    Done,
}

/// A directory listing in progress.
struct ListingJob {
    path: Arc<[u8]>,
    view: View,
    filter: Option<Filter>,
    evicted: bool,
    state: ListState,
}

enum ListState {
    /// It has not begun.
    Begin(Option<Permit>),
    /// It is being made, with a permit or without.
    Make(Pending<Result<Listing, ListingError>>, bool),
    /// It is large, and waits for a permit.
    Queue(PermitWait),
    /// It is being sent. The number is that of the parts that were sent.
    Send(Listing, usize),
}

impl<'f> FilesJob<'f> {
    pub(super) fn new(directory: &'f Arc<Directory>) -> Self {
        let state = match directory.has_uploads() {
            true => State::Begin,
            false => State::Resolve { evicted: false },
        };
        Self { directory, state }
    }

    /// Finds whether the request is an upload. Returns `None` if another state was reached.
    #[inline(never)]
    fn begin(&mut self, exchange: &mut ExchangeState<'_>) -> io::Result<Option<JobStep>> {
        if let Some(step) = self.directory.expire_uploads(&exchange.head()) {
            self.state = State::Begin;
            return Ok(Some(step));
        }
        self.state = match self.directory.begin_upload(exchange)? {
            UploadStart::Other => State::Resolve { evicted: false },
            UploadStart::Responded => return Ok(Some(JobStep::Done)),
            UploadStart::Upload(upload) => State::Upload(upload),
        };
        Ok(None)
    }

    #[inline(never)]
    fn upload(
        &mut self,
        exchange: &mut ExchangeState<'_>,
        mut upload: Box<UploadJob>,
    ) -> io::Result<JobStep> {
        let step = upload.step(exchange)?;
        if !matches!(step, JobStep::Done) {
            self.state = State::Upload(upload);
        }
        Ok(step)
    }

    /// Carries out `plan`. Returns `None` if another state was reached.
    #[inline(never)] // nearly always the response is complete, and this is not called
    fn carry_out(
        &mut self,
        exchange: &mut ExchangeState<'_>,
        plan: BodyPlan,
    ) -> io::Result<Option<JobStep>> {
        match plan {
            BodyPlan::Done => Ok(Some(JobStep::Done)),
            BodyPlan::Exhausted(error) => {
                self.directory.respond_unavailable(exchange, &error).map(|()| Some(JobStep::Done))
            }
            BodyPlan::Range(content, range) => {
                send(exchange, &content, range).map(|step| step.or(Some(JobStep::Done)))
            }
            BodyPlan::Multipart(parts) => {
                self.state = State::Parts(parts, 0);
                Ok(None)
            }
            BodyPlan::List(path, view, filter) => {
                let state = ListState::Begin(None);
                let path = path.into();
                let listing = ListingJob { path, view, filter, evicted: false, state };
                self.state = State::List(Box::new(listing));
                Ok(None)
            }
            #[cfg(feature = "archive")]
            BodyPlan::Archive(path, format) => {
                self.state = State::Archive(Box::new(ArchiveJob::new(path, format)));
                Ok(None)
            }
            BodyPlan::Digest(file) => {
                let (directory, disconnect) =
                    (self.directory.clone(), disconnect_check(self.directory, exchange));
                let (pending, step) = Pending::block(move || {
                    let digests = directory.compute_digests(&file, disconnect);
                    (file, digests)
                });
                self.state = State::Digest(pending);
                Ok(Some(step))
            }
        }
    }

    #[inline(never)]
    fn send_parts(
        &mut self,
        exchange: &mut ExchangeState<'_>,
        parts: Box<(Content, Multipart)>,
        mut sent: usize,
    ) -> io::Result<JobStep> {
        let mut step = None;
        for piece in parts.1.pieces().skip(sent) {
            sent += 1;
            step = match piece {
                Piece::Text(text) => exchange.append_body(text)?.then_some(JobStep::Flush),
                Piece::Range(range) => send(exchange, &parts.0, range)?,
            };
            if step.is_some() {
                break;
            }
        }
        let Some(step) = step else { return Ok(JobStep::Done) };
        self.state = State::Parts(parts, sent);
        Ok(step)
    }

    #[inline(never)]
    fn respond_with_digests(
        &self,
        exchange: &mut ExchangeState<'_>,
        pending: Pending<(Box<PendingDigest>, Digests)>,
    ) -> io::Result<BodyPlan> {
        let (file, digests) = pending.take()?;
        self.directory.respond_with_digests(exchange, &file, &digests)
    }
}

// What few requests need stands in functions of its own, which are not inlined: its local variables
// would be on the stack of every thread that serves a file.
impl Job for FilesJob<'_> {
    fn step(&mut self, exchange: &mut ExchangeState<'_>) -> io::Result<JobStep> {
        loop {
            let plan = match mem::replace(&mut self.state, State::Done) {
                State::Resolve { evicted } => match self.directory.respond(exchange)? {
                    BodyPlan::Exhausted(_) if !evicted => {
                        self.state = State::Resolve { evicted: true };
                        return Ok(JobStep::Evict);
                    }
                    BodyPlan::Done => return Ok(JobStep::Done),
                    plan => plan,
                },
                State::Parts(parts, sent) => return self.send_parts(exchange, parts, sent),
                State::Digest(pending) => self.respond_with_digests(exchange, pending)?,
                State::List(mut listing) => {
                    let step = listing.step(self.directory, exchange)?;
                    if !matches!(step, JobStep::Done) {
                        self.state = State::List(listing);
                    }
                    return Ok(step);
                }
                State::Begin => match self.begin(exchange)? {
                    Some(step) => return Ok(step),
                    None => continue,
                },
                State::Upload(upload) => return self.upload(exchange, upload),
                #[cfg(feature = "archive")]
                State::Archive(mut archive) => {
                    let step = archive.step(self.directory, exchange)?;
                    self.state = State::Archive(archive);
                    return Ok(step);
                }
                State::Done => return Ok(JobStep::Done),
            };
            if let Some(step) = self.carry_out(exchange, plan)? {
                return Ok(step);
            }
        }
    }

    fn body_space(&mut self) -> &mut [u8] {
        match &mut self.state {
            State::Upload(upload) => upload.body_space(),
            _ => &mut [],
        }
    }

    fn body_read(&mut self, n: usize) {
        if let State::Upload(upload) = &mut self.state {
            upload.body_read(n);
        }
    }

    fn body_failed(&mut self, error: io::Error) -> io::Result<()> {
        match &mut self.state {
            State::Upload(upload) => upload.body_failed(error),
            _ => Err(error),
        }
    }
}

impl ListingJob {
    #[inline(never)]
    fn step(
        &mut self,
        directory: &Arc<Directory>,
        exchange: &mut ExchangeState<'_>,
    ) -> io::Result<JobStep> {
        loop {
            let listed = match mem::replace(&mut self.state, ListState::Begin(None)) {
                ListState::Begin(permit) => return Ok(self.make(directory, exchange, permit)),
                ListState::Make(pending, has_permit) => match pending.take()? {
                    Err(why) if why.is_exhausted() && !has_permit && !self.evicted => {
                        self.evicted = true;
                        return Ok(JobStep::Evict);
                    }
                    Err(ListingError::NeedsPermit) if !has_permit => {
                        self.state =
                            ListState::Queue(directory.queue_for_permit(exchange.config()));
                        return Ok(JobStep::Flush); // earlier responses need not wait
                    }
                    listed => listed,
                },
                ListState::Queue(mut wait) => match wait.poll(exchange.connection()) {
                    Ok(PermitPoll::Granted(permit)) => {
                        return Ok(self.make(directory, exchange, Some(permit)));
                    }
                    Ok(PermitPoll::Wait(notified, timeout)) => {
                        self.state = ListState::Queue(wait);
                        return Ok(JobStep::Wait(notified, timeout));
                    }
                    Err(why) => Err(ListingError::NoPermit(why)),
                },
                ListState::Send(listed, mut sent) => {
                    let mut flush = false;
                    for piece in listed.chunks().skip(sent) {
                        sent += 1;
                        flush = exchange.append_body(piece)?;
                        if flush {
                            break;
                        }
                    }
                    if !flush {
                        return Ok(JobStep::Done);
                    }
                    self.state = ListState::Send(listed, sent);
                    return Ok(JobStep::Flush);
                }
            };
            match directory.respond_listing(exchange, self.view, listed)? {
                Some(listed) => self.state = ListState::Send(listed, 0),
                None => return Ok(JobStep::Done),
            }
        }
    }

    fn make(
        &mut self,
        directory: &Arc<Directory>,
        exchange: &ExchangeState<'_>,
        permit: Option<Permit>,
    ) -> JobStep {
        let (path, view, has_permit) = (self.path.clone(), self.view, permit.is_some());
        let filter = self.filter.clone();
        let (directory, disconnect) = (directory.clone(), disconnect_check(directory, exchange));
        let (pending, step) =
            Pending::block(move || directory.list(&path, view, filter, permit, disconnect));
        self.state = ListState::Make(pending, has_permit);
        step
    }
}

/// Appends content that is in memory, or returns the step that sends a file.
fn send(
    exchange: &mut ExchangeState<'_>,
    content: &Content,
    range: ByteRange,
) -> io::Result<Option<JobStep>> {
    match content {
        Content::Bytes(bytes) => {
            let flush = exchange.append_body(slice_range(bytes, range)?)?;
            Ok(flush.then_some(JobStep::Flush))
        }
        Content::File(file) => Ok(Some(JobStep::SendFile(file.clone(), range.first, range.len()))),
    }
}

/// Checks from another thread whether the client has disconnected.
pub(super) fn disconnect_check(
    directory: &Directory,
    exchange: &ExchangeState<'_>,
) -> impl FnMut() -> Option<Disconnect> + Send + 'static {
    let (connection, mut detector) =
        (exchange.connection().clone(), directory.disconnect_detector(exchange.config()));
    move || match Arc::strong_count(&connection) {
        1 => Some(Disconnect::Closed), // the front end has closed it
        _ => detector.update(connection.peer_state()),
    }
}

#[cfg(test)]
#[path = "job_tests.rs"]
mod tests;
