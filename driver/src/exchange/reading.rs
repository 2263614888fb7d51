//! Reading a request's body: what does not wait.

use std::io::{self, ErrorKind};

use doorstep_core::http1::state::{RecvState, SendState, States};
use doorstep_core::http1::{Event, Misuse, Reject};

use super::{ExchangeState, is_disconnect};

/// What reading a body comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyRead {
    /// So many bytes are in the buffer; 0 is the end.
    Read(usize),
    /// Receive up to so many bytes into the buffer, then say [`ExchangeState::received`].
    Receive(usize),
    /// Fill the inbox, say [`ExchangeState::filled`], and read again.
    Fill,
}

/// For drivers: the parts of reading a body that do not wait.
impl ExchangeState<'_> {
    /// Reads what is here into `buffer`, or says what is wanted.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidData`] with a [`Reject`] inside when the peer breaks a rule.
    pub fn read_body(&mut self, buffer: &mut [u8]) -> io::Result<BodyRead> {
        if buffer.is_empty() {
            return Ok(BodyRead::Read(0));
        }
        match self.view.machine.states() {
            // The machine would go on to the next request.
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
            if self.view.pending > 0 {
                let n = self.view.pending.min(buffer.len());
                buffer[..n].copy_from_slice(&self.view.inbox.unread()[..n]);
                self.view.inbox.consume(n);
                self.view.pending -= n;
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

    /// What came of [`BodyRead::Receive`].
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedEof`] when the peer left, [`ErrorKind::TimedOut`] when it is too slow.
    pub fn received(&mut self, received: io::Result<usize>) -> io::Result<usize> {
        let n = self.check_received(received)?;
        self.view.machine.body_received(n as u64);
        Ok(n)
    }

    /// What came of [`BodyRead::Fill`].
    ///
    /// # Errors
    /// As of [`ExchangeState::received`].
    pub fn filled(&mut self, filled: io::Result<usize>) -> io::Result<()> {
        self.check_received(filled).map(drop)
    }

    fn check_received(&mut self, result: io::Result<usize>) -> io::Result<usize> {
        match result {
            Ok(0) => Err(self.rejected(Reject::Truncated)),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                self.view.reject = Some(Reject::RequestTimeout);
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
