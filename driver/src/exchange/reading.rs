//! Reading a request's body, without waiting.
//!
//! [`ExchangeState::read_body`] returns bytes that were received, or what has to be received first
//! ([`BodyRead`]). A body in a large buffer is received straight into it.

use std::io::{self, ErrorKind};

use doorstep_core::http1::state::{RecvState, SendState, States};
use doorstep_core::http1::{Event, Misuse, Reject};

use super::{ExchangeState, ExchangeView, is_disconnect};

/// The result of reading a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyRead {
    /// The number of bytes that are in the buffer now; 0 is the end of the body.
    Read(usize),
    /// Receive up to this number of bytes into the buffer, then call [`ExchangeState::received`].
    Receive(usize),
    /// Receive into the inbox, call [`ExchangeState::filled`], and read again.
    Fill,
}

/// For front ends: reading a body without waiting.
impl ExchangeState<'_> {
    /// Refuses a body of more than `max` bytes with 413: reading it returns an error, before any of
    /// it is received if its length is known. A limit can be lowered, and not raised.
    pub fn limit_body(&mut self, max: u64) {
        self.view.body_limit = self.view.body_limit.min(max);
    }

    /// Reads bytes that were received into `buffer`, or returns what to receive.
    ///
    /// # Errors
    /// Returns [`ErrorKind::InvalidData`] with a [`Reject`] inside if the client violates the
    /// protocol or a limit, or [`Misuse`] if the response has ended and the body was not read.
    pub fn read_body(&mut self, buffer: &mut [u8]) -> io::Result<BodyRead> {
        if buffer.is_empty() {
            return Ok(BodyRead::Read(0));
        }
        self.check_body_limit()?; // before 100 Continue
        match self.view.machine.states() {
            // Advancing would begin the next request.
            States { recv: RecvState::Body, send: SendState::Done } => {
                return Err(Misuse::NoResponseDue.into());
            }
            States { recv: RecvState::Body | RecvState::Error, .. } => {
                self.view.machine.send_continue(self.view.outbox);
            }
            _ if self.view.pending == 0 => return Ok(BodyRead::Read(0)),
            _ => {}
        }
        loop {
            self.check_body_limit()?;
            if self.view.pending > 0 {
                let n = self.view.pending.min(buffer.len());
                buffer[..n].copy_from_slice(&self.view.inbox.unread()[..n]);
                self.view.inbox.consume(n);
                self.view.pending -= n;
                self.view.body_read += n as u64;
                return Ok(BodyRead::Read(n));
            }
            let direct = self.view.machine.raw_body_len();
            if direct > 0 && self.view.inbox.unread().is_empty() {
                self.view.machine.send_continue(self.view.outbox);
                let most = usize::try_from(direct).unwrap_or(usize::MAX);
                return Ok(BodyRead::Receive(most.min(buffer.len())));
            }
            match self.view.machine.advance(self.view.inbox.unread()) {
                Ok((used, Event::Body(data))) => {
                    self.view.pending = data.len();
                    self.view.inbox.consume(used - self.view.pending);
                }
                Ok((used, Event::NeedData)) => {
                    self.view.inbox.consume(used);
                    self.check_body_limit()?; // a chunk has begun, perhaps
                    self.view.machine.send_continue(self.view.outbox);
                    if self.view.inbox.space().is_empty() {
                        return Err(self.rejected(Reject::TrailersTooLarge));
                    }
                    return Ok(BodyRead::Fill);
                }
                Ok((used, event)) => {
                    if let Event::End(trailers) = event {
                        let owned = |(name, value): (&[u8], &[u8])| (name.to_vec(), value.to_vec());
                        self.view.trailers = trailers.iter().map(owned).collect();
                    }
                    self.view.inbox.consume(used);
                    return Ok(BodyRead::Read(0));
                }
                Err(reject) => return Err(self.rejected(reject)),
            }
        }
    }

    /// Reports the result of [`BodyRead::Receive`], and returns the number of bytes.
    ///
    /// # Errors
    /// Returns [`ErrorKind::UnexpectedEof`] if the client has disconnected, or the error of
    /// `received`: [`ErrorKind::TimedOut`] if the client is too slow.
    pub fn received(&mut self, received: io::Result<usize>) -> io::Result<usize> {
        let n = self.check_received(received)?;
        self.view.machine.body_received(n as u64);
        self.view.body_read += n as u64;
        Ok(n)
    }

    /// Reports the result of [`BodyRead::Fill`].
    ///
    /// # Errors
    /// Returns the same errors as [`ExchangeState::received`].
    pub fn filled(&mut self, filled: io::Result<usize>) -> io::Result<()> {
        self.check_received(filled).map(drop)
    }

    /// Whether what is known of the body, the whole of it or the current chunk, is within the limit.
    fn check_body_limit(&mut self) -> io::Result<()> {
        let ExchangeView { body_read, pending, body_limit, machine, .. } = &self.view;
        let known =
            body_read.saturating_add(*pending as u64).saturating_add(machine.raw_body_len());
        if known > *body_limit { Err(self.rejected(Reject::BodyTooLarge)) } else { Ok(()) }
    }

    fn check_received(&mut self, result: io::Result<usize>) -> io::Result<usize> {
        match result {
            Ok(0) => Err(self.rejected(Reject::Truncated)),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                self.view.reject = Some(Reject::RequestTimeout);
                self.view.timed_out = true;
                Err(error)
            }
            Err(error) if is_disconnect(&error) => {
                self.view.disconnected = true;
                Err(error)
            }
            result => result,
        }
    }

    fn rejected(&mut self, reject: Reject) -> io::Error {
        self.view.reject = Some(reject);
        let kind = match reject {
            Reject::Truncated => ErrorKind::UnexpectedEof,
            _ => ErrorKind::InvalidData,
        };
        io::Error::new(kind, reject)
    }
}
