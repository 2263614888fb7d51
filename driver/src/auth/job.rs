//! The decision about one request, step by step ([`Job`]).

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use doorstep_core::credentials::BasicCredentials;
use doorstep_core::log;

use super::key::Tag;
use super::users::Candidate;
use super::{Auth, AuthError};
use crate::exchange::ExchangeState;
use crate::job::{Job, JobStep, Pending};
use crate::permit_wait::{NoPermit, PermitPoll, PermitTimeouts, PermitWait};
use crate::semaphore::Permit;

/// The length in bytes up to which the name of a user is quoted in a message.
const MAX_QUOTED_NAME: usize = 64;

/// The decision about one request of [`Auth`].
pub struct AuthJob<'a> {
    auth: &'a Auth,
    state: State,
}

/// The state between two steps. States that most requests do not need are on the heap.
enum State {
    Begin,
    /// The file of users is being looked at.
    Check(Pending<Result<(), AuthError>>),
    /// The credentials are to be looked at.
    Authenticate,
    /// There may be too many passwords to hash at once.
    Queue(Box<(Attempt, PermitWait)>),
    /// The password is to be hashed, when earlier responses were sent.
    Hash(Box<(Attempt, Permit)>),
    /// It is being hashed.
    Verify(Pending<Option<Arc<[u8]>>>, Box<Attempt>),
    Done,
}

/// Credentials that nobody has verified yet.
struct Attempt {
    credentials: BasicCredentials,
    pair: Tag,
    candidate: Candidate,
}

/// Why a request is refused.
enum Refusal<'r> {
    /// It has no credentials. That is no failure: a browser asks its user after it.
    NoCredentials,
    Malformed(&'static str),
    WrongPassword(&'r [u8]),
}

impl<'a> AuthJob<'a> {
    pub(super) fn new(auth: &'a Auth) -> Self {
        Self { auth, state: State::Begin }
    }

    /// Looks at the credentials. Returns `None` if another state was reached.
    fn authenticate(&mut self, exchange: &mut ExchangeState<'_>) -> io::Result<Option<JobStep>> {
        let Auth { key, settings, .. } = self.auth;
        let head = exchange.head();
        let mut values = head.header_values("Authorization");
        let refusal = match (values.next(), values.next()) {
            (None, _) => Refusal::NoCredentials,
            (Some(_), Some(_)) => Refusal::Malformed("several Authorization headers"),
            (Some(value), None) => match BasicCredentials::parse(value) {
                None => {
                    Refusal::Malformed("the Authorization header has no valid Basic credentials")
                }
                Some(credentials) if credentials.password().len() > settings.max_password => {
                    Refusal::Malformed("the password is too long")
                }
                Some(credentials) => {
                    let users = self.auth.table.users();
                    let pair = key.pair_tag(credentials.user(), credentials.password());
                    if let Some(user) = users.verified(&pair, Instant::now(), settings) {
                        exchange.set_user(Some(user));
                        return Ok(Some(JobStep::Declined));
                    }
                    let Some(candidate) = users.candidate(key, credentials.user()) else {
                        return self
                            .refuse(exchange, &Refusal::WrongPassword(credentials.user()))
                            .map(Some);
                    };
                    let attempt = Attempt { credentials, pair, candidate };
                    self.state = match self.auth.hashing.try_acquire() {
                        Some(permit) => State::Hash(Box::new((attempt, permit))),
                        None => State::Queue(Box::new((attempt, self.queue(exchange)))),
                    };
                    return Ok(None);
                }
            },
        };
        self.refuse(exchange, &refusal).map(Some)
    }

    fn queue(&self, exchange: &ExchangeState<'_>) -> PermitWait {
        let timeouts = PermitTimeouts {
            timeout: self.auth.settings.queue_timeout,
            check_interval: exchange.config().disconnect_check_interval,
            ..PermitTimeouts::default()
        };
        PermitWait::new(&self.auth.hashing, timeouts)
    }

    /// Responds 401, and reports a failure.
    fn refuse(
        &self,
        exchange: &mut ExchangeState<'_>,
        refusal: &Refusal<'_>,
    ) -> io::Result<JobStep> {
        match refusal {
            Refusal::NoCredentials => {}
            Refusal::Malformed(why) => {
                exchange.log_error(exchange.with_path(&format!("authentication failed: {why}")));
            }
            Refusal::WrongPassword(user) => {
                let mut name = Vec::new();
                log::escape(&mut name, user.get(..MAX_QUOTED_NAME).unwrap_or(user));
                let ellipsis = if user.len() > MAX_QUOTED_NAME { "…" } else { "" };
                let name = String::from_utf8_lossy(&name);
                let message = format!("authentication failed for user \"{name}{ellipsis}\"");
                exchange.log_error(exchange.with_path(&message));
            }
        }
        let response = exchange.respond(401).header("WWW-Authenticate", &self.auth.challenge);
        response.error_page("").map(|()| JobStep::Done)
    }

    /// Responds 503: the password is not hashed.
    fn respond_unavailable(exchange: &mut ExchangeState<'_>, why: NoPermit) -> io::Result<JobStep> {
        let why = match why {
            NoPermit::Full => "too many passwords to verify, and the queue is full".into(),
            NoPermit::TimedOut => "too many passwords to verify, timed out in the queue".into(),
            NoPermit::ShuttingDown => "the server is shutting down".into(),
            NoPermit::Disconnected(disconnect) => disconnect.to_string(),
        };
        exchange.log_error(exchange.with_path(&format!("not authenticated: {why}")));
        exchange.respond_503().map(|()| JobStep::Done)
    }

    /// The step that hashes the password, which may take seconds.
    fn hash(&mut self, attempt: Box<Attempt>, permit: Permit) -> JobStep {
        self.auth.hashed.fetch_add(1, Ordering::Relaxed);
        let (key, candidate) = (self.auth.key.clone(), attempt.candidate.clone());
        let password = attempt.credentials.password().to_vec();
        let (pending, step) = Pending::block(move || {
            let user = candidate.verify(&key, &password);
            drop(permit);
            user
        });
        self.state = State::Verify(pending, attempt);
        step
    }
}

impl Job for AuthJob<'_> {
    fn step(&mut self, exchange: &mut ExchangeState<'_>) -> io::Result<JobStep> {
        loop {
            match mem::replace(&mut self.state, State::Done) {
                State::Begin => {
                    let Auth { table, settings, .. } = self.auth;
                    if self.auth.is_open(&exchange.head()) {
                        exchange.set_user(None);
                        return Ok(JobStep::Declined);
                    }
                    if !table.is_check_due(Instant::now(), settings) {
                        self.state = State::Authenticate;
                        continue;
                    }
                    let (table, settings) = (table.clone(), settings.clone());
                    let (pending, step) = Pending::block(move || table.check(&settings));
                    self.state = State::Check(pending);
                    return Ok(step);
                }
                State::Check(pending) => {
                    if let Err(error) = pending.take()? {
                        exchange.log_server_error(&format!("the users stay as they are: {error}"));
                    }
                    self.state = State::Authenticate;
                }
                State::Authenticate => {
                    if let Some(step) = self.authenticate(exchange)? {
                        return Ok(step);
                    }
                }
                State::Queue(mut queued) => match queued.1.poll(exchange.connection()) {
                    Ok(PermitPoll::Granted(permit)) => {
                        let attempt = queued.0;
                        let users = attempt.candidate.users();
                        // Another request may have had the same credentials.
                        let known =
                            users.verified(&attempt.pair, Instant::now(), &self.auth.settings);
                        if known.is_some() {
                            exchange.set_user(known);
                            return Ok(JobStep::Declined);
                        }
                        self.state = State::Hash(Box::new((attempt, permit)));
                    }
                    // Earlier responses need not wait.
                    Ok(PermitPoll::Wait(..)) if !exchange.outbox.is_empty() => {
                        self.state = State::Queue(queued);
                        return Ok(JobStep::Flush);
                    }
                    Ok(PermitPoll::Wait(notified, timeout)) => {
                        self.state = State::Queue(queued);
                        return Ok(JobStep::Wait(notified, timeout));
                    }
                    Err(why) => return Self::respond_unavailable(exchange, why),
                },
                State::Hash(hash) if !exchange.outbox.is_empty() => {
                    self.state = State::Hash(hash);
                    return Ok(JobStep::Flush);
                }
                State::Hash(hash) => {
                    let (attempt, permit) = *hash;
                    return Ok(self.hash(Box::new(attempt), permit));
                }
                State::Verify(pending, attempt) => {
                    let Some(user) = pending.take()? else {
                        let refusal = Refusal::WrongPassword(attempt.credentials.user());
                        return self.refuse(exchange, &refusal);
                    };
                    let users = attempt.candidate.users();
                    users.remember(attempt.pair, user.clone(), Instant::now(), &self.auth.settings);
                    exchange.set_user(Some(user));
                    return Ok(JobStep::Declined);
                }
                State::Done => return Ok(JobStep::Done),
            }
        }
    }
}
