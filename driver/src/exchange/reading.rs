//! Reading a request's body, without waiting.
//!
//! [`ExchangeState::read_body`] returns bytes that were received, or what has to be received first
//! ([`BodyRead`]). A body in a large buffer is received straight into it.

use std::io::{self, ErrorKind};

use doorstep_core::http1::state::{RecvState, SendState, States};
use doorstep_core::http1::{Event, Misuse, Reject};

use super::{ExchangeState, is_disconnect};

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
    /// Reads bytes that were received into `buffer`, or returns what to receive.
    ///
    /// # Errors
    /// Returns [`ErrorKind::InvalidData`] with a [`Reject`] inside if the client violates the
    /// protocol or a limit, or [`Misuse`] if the response has ended and the body was not read.
    pub fn read_body(&mut self, buffer: &mut [u8]) -> io::Result<BodyRead> {
        if buffer.is_empty() {
            return Ok(BodyRead::Read(0));
        }
        match self.machine.states() {
            // Advancing would begin the next request.
            States { recv: RecvState::Body, send: SendState::Done } => {
                return Err(Misuse::NoResponseDue.into());
            }
            States { recv: RecvState::Body | RecvState::Error, .. } => {
                self.machine.send_continue(self.outbox);
            }
            _ if self.pending == 0 => return Ok(BodyRead::Read(0)),
            _ => {}
        }
        loop {
            if self.pending > 0 {
                let n = self.pending.min(buffer.len());
                buffer[..n].copy_from_slice(&self.inbox.unread()[..n]);
                self.inbox.consume(n);
                self.pending -= n;
                return Ok(BodyRead::Read(n));
            }
            let direct = self.machine.raw_body_len();
            if direct > 0 && self.inbox.unread().is_empty() {
                self.machine.send_continue(self.outbox);
                let most = usize::try_from(direct).unwrap_or(usize::MAX);
                return Ok(BodyRead::Receive(most.min(buffer.len())));
            }
            match self.machine.advance(self.inbox.unread()) {
                Ok((used, Event::Body(data))) => {
                    self.pending = data.len();
                    self.inbox.consume(used - self.pending);
                }
                Ok((used, Event::NeedData)) => {
                    self.inbox.consume(used);
                    self.machine.send_continue(self.outbox);
                    if self.inbox.space().is_empty() {
                        return Err(self.rejected(Reject::TrailersTooLarge));
                    }
                    return Ok(BodyRead::Fill);
                }
                Ok((used, event)) => {
                    if let Event::End(trailers) = event {
                        let owned = |(name, value): (&[u8], &[u8])| (name.to_vec(), value.to_vec());
                        self.trailers = trailers.iter().map(owned).collect();
                    }
                    self.inbox.consume(used);
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
        self.machine.body_received(n as u64);
        Ok(n)
    }

    /// Reports the result of [`BodyRead::Fill`].
    ///
    /// # Errors
    /// Returns the same errors as [`ExchangeState::received`].
    pub fn filled(&mut self, filled: io::Result<usize>) -> io::Result<()> {
        self.check_received(filled).map(drop)
    }

    fn check_received(&mut self, result: io::Result<usize>) -> io::Result<usize> {
        match result {
            Ok(0) => Err(self.rejected(Reject::Truncated)),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                self.reject = Some(Reject::RequestTimeout);
                Err(error)
            }
            Err(error) if is_disconnect(&error) => {
                self.record.disconnected = true;
                Err(error)
            }
            result => result,
        }
    }

    fn rejected(&mut self, reject: Reject) -> io::Error {
        self.reject = Some(reject);
        let kind = match reject {
            Reject::Truncated => ErrorKind::UnexpectedEof,
            _ => ErrorKind::InvalidData,
        };
        io::Error::new(kind, reject)
    }
}
