//! A response from a directory, step by step.

use std::io;
use std::mem;
use std::sync::Arc;

use doorstep_core::site::listing::View;
use doorstep_core::site::multipart::{Multipart, Piece};
use doorstep_core::site::range::ByteRange;

use super::pending_digest::{Digested, Undigested};
use super::{Content, Directory, Listed, NotListed, Rest, part};
use crate::exchange::ExchangeState;
use crate::job::{Job, JobStep, Pending};
use crate::net::Departure;
use crate::permit_wait::{PermitPoll, PermitWait};
use crate::semaphore::Permit;

/// The response to one request from [`Files`](crate::Files).
pub struct FilesJob<'f> {
    directory: &'f Arc<Directory>,
    state: State,
}

/// What the next step begins with. What most requests do not need is on the heap.
enum State {
    /// The request is to be resolved.
    Resolve { evicted: bool },
    /// Several ranges are being sent; so many pieces were.
    Parts(Box<(Content, Multipart)>, usize),
    /// The digests of a file are being computed.
    Digest(Pending<(Box<Undigested>, Digested)>),
    /// A directory is being listed.
    List(Box<Listing>),
    /// Nothing is left to do.
    Done,
}

/// A listing in the making.
struct Listing {
    path: Arc<[u8]>,
    view: View,
    evicted: bool,
    state: ListState,
}

enum ListState {
    /// It is to be begun.
    Begin(Option<Permit>),
    /// It is being made; whether it has a permit.
    Make(Pending<Result<Listed, NotListed>>, bool),
    /// It is large, and waits for a permit.
    Queue(PermitWait),
    /// It is being sent; so many pieces were.
    Send(Listed, usize),
}

impl<'f> FilesJob<'f> {
    pub(super) fn new(directory: &'f Arc<Directory>) -> Self {
        Self { directory, state: State::Resolve { evicted: false } }
    }

    /// Handles what is left after the head; `None` when another state was reached.
    fn rest(
        &mut self,
        exchange: &mut ExchangeState<'_>,
        rest: Rest,
    ) -> io::Result<Option<JobStep>> {
        match rest {
            Rest::Nothing => Ok(Some(JobStep::Done)),
            Rest::Exhausted(error) => {
                self.directory.refuse(exchange, &error).map(|()| Some(JobStep::Done))
            }
            Rest::Range(content, range) => {
                send(exchange, &content, range).map(|step| step.or(Some(JobStep::Done)))
            }
            Rest::Parts(content, multipart) => {
                self.state = State::Parts(Box::new((content, multipart)), 0);
                Ok(None)
            }
            Rest::List(path, view) => {
                let state = ListState::Begin(None);
                let listing = Listing { path: path.into(), view, evicted: false, state };
                self.state = State::List(Box::new(listing));
                Ok(None)
            }
            Rest::Digest(file) => {
                let (directory, departure) =
                    (self.directory.clone(), departure(self.directory, exchange));
                let (pending, step) = Pending::block(move || {
                    let digests = directory.digest(&file, departure);
                    (file, digests)
                });
                self.state = State::Digest(pending);
                Ok(Some(step))
            }
        }
    }
}

impl Job for FilesJob<'_> {
    fn step(&mut self, exchange: &mut ExchangeState<'_>) -> io::Result<JobStep> {
        loop {
            let rest = match mem::replace(&mut self.state, State::Done) {
                State::Resolve { evicted } => match self.directory.answer(exchange)? {
                    Rest::Exhausted(_) if !evicted => {
                        self.state = State::Resolve { evicted: true };
                        return Ok(JobStep::Evict);
                    }
                    rest => rest,
                },
                State::Parts(parts, mut sent) => {
                    let mut step = None;
                    for piece in parts.1.pieces().skip(sent) {
                        sent += 1;
                        step = match piece {
                            Piece::Text(text) => {
                                exchange.append_body(text)?.then_some(JobStep::Flush)
                            }
                            Piece::Range(range) => send(exchange, &parts.0, range)?,
                        };
                        if step.is_some() {
                            break;
                        }
                    }
                    let Some(step) = step else { return Ok(JobStep::Done) };
                    self.state = State::Parts(parts, sent);
                    return Ok(step);
                }
                State::Digest(pending) => {
                    let (file, digests) = pending.take()?;
                    self.directory.finish(exchange, &file, &digests)?
                }
                State::List(mut listing) => {
                    let step = listing.step(self.directory, exchange)?;
                    if !matches!(step, JobStep::Done) {
                        self.state = State::List(listing);
                    }
                    return Ok(step);
                }
                State::Done => return Ok(JobStep::Done),
            };
            if let Some(step) = self.rest(exchange, rest)? {
                return Ok(step);
            }
        }
    }
}

impl Listing {
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
                    Err(NotListed::Large) if !has_permit => {
                        self.state = ListState::Queue(directory.queue());
                        return Ok(JobStep::Flush); // earlier responses do not wait with it
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
                    Err(why) => Err(NotListed::Dismissed(why)),
                },
                ListState::Send(listed, mut sent) => {
                    let mut flush = false;
                    for piece in listed.pieces().skip(sent) {
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
            match directory.show(exchange, self.view, listed)? {
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
        let (directory, departure) = (directory.clone(), departure(directory, exchange));
        let (pending, step) =
            Pending::block(move || directory.list(&path, view, permit, departure));
        self.state = ListState::Make(pending, has_permit);
        step
    }
}

/// Appends what is in memory, or asks for what is not.
fn send(
    exchange: &mut ExchangeState<'_>,
    content: &Content,
    range: ByteRange,
) -> io::Result<Option<JobStep>> {
    match content {
        Content::Bytes(bytes) => {
            let flush = exchange.append_body(part(bytes, range)?)?;
            Ok(flush.then_some(JobStep::Flush))
        }
        Content::File(file) => Ok(Some(JobStep::SendFile(file.clone(), range.first, range.len()))),
    }
}

/// Checks from another thread whether the client has disconnected.
fn departure(
    directory: &Directory,
    exchange: &ExchangeState<'_>,
) -> impl FnMut() -> Option<Departure> + Send + 'static {
    let (connection, mut vigil) = (exchange.connection().clone(), directory.vigil());
    move || match Arc::strong_count(&connection) {
        1 => Some(Departure::Certain), // the front end has given it up
        _ => vigil.look(connection.presence()),
    }
}

#[cfg(test)]
#[path = "job_tests.rs"]
mod tests;
