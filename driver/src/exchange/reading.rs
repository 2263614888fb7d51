//! Reading a request's body: what does not wait.

use std::io::{self, ErrorKind};

use doorstep_core::http1::state::{RecvState, SendState, States};
use doorstep_core::http1::{Event, Misuse, Reject};

use super::{Turn, is_departure};

/// What reading a body comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// So many bytes are in the buffer; 0 is the end.
    Read(usize),
    /// Receive up to so many bytes into the buffer, then say [`Turn::received`].
    Receive(usize),
    /// Fill the inbox, say [`Turn::filled`], and read again.
    More,
}

/// For drivers: the parts of reading a body that do not wait.
impl Turn<'_> {
    /// Reads what is here into `buffer`, or says what is wanted.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidData`] with a [`Reject`] inside when the peer breaks a rule.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Reading> {
        if buffer.is_empty() {
            return Ok(Reading::Read(0));
        }
        match self.connection.states() {
            // The machine would go on to the next request.
            States { recv: RecvState::Body, send: SendState::Done } => {
                return Err(Misuse::NoResponseDue.into());
            }
            States { recv: RecvState::Body | RecvState::Error, .. } => {
                self.connection.send_continue(self.outbox);
            }
            _ if self.pending == 0 => return Ok(Reading::Read(0)),
            _ => {}
        }
        loop {
            if self.pending > 0 {
                let n = self.pending.min(buffer.len());
                buffer[..n].copy_from_slice(&self.inbox.unread()[..n]);
                self.inbox.consume(n);
                self.pending -= n;
                return Ok(Reading::Read(n));
            }
            let direct = self.connection.raw_body_len();
            if direct > 0 && self.inbox.unread().is_empty() {
                self.connection.send_continue(self.outbox);
                let most = usize::try_from(direct).unwrap_or(usize::MAX);
                return Ok(Reading::Receive(most.min(buffer.len())));
            }
            match self.connection.advance(self.inbox.unread()) {
                Ok((used, Event::Body(data))) => {
                    self.pending = data.len();
                    self.inbox.consume(used - self.pending);
                }
                Ok((used, Event::NeedData)) => {
                    self.inbox.consume(used);
                    self.connection.send_continue(self.outbox);
                    if self.inbox.space().is_empty() {
                        return Err(self.rejected(Reject::TrailersTooLarge));
                    }
                    return Ok(Reading::More);
                }
                Ok((used, event)) => {
                    if let Event::End(trailers) = event {
                        let owned = |(name, value): (&[u8], &[u8])| (name.to_vec(), value.to_vec());
                        self.trailers = trailers.iter().map(owned).collect();
                    }
                    self.inbox.consume(used);
                    return Ok(Reading::Read(0));
                }
                Err(reject) => return Err(self.rejected(reject)),
            }
        }
    }

    /// What came of [`Reading::Receive`].
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedEof`] when the peer left, [`ErrorKind::TimedOut`] when it is too slow.
    pub fn received(&mut self, received: io::Result<usize>) -> io::Result<usize> {
        let n = self.arrived(received)?;
        self.connection.body_received(n as u64);
        Ok(n)
    }

    /// What came of [`Reading::More`].
    ///
    /// # Errors
    /// As of [`Turn::received`].
    pub fn filled(&mut self, filled: io::Result<usize>) -> io::Result<()> {
        self.arrived(filled).map(drop)
    }

    fn arrived(&mut self, result: io::Result<usize>) -> io::Result<usize> {
        match result {
            Ok(0) => Err(self.rejected(Reject::Truncated)),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                self.reject = Some(Reject::RequestTimeout);
                Err(error)
            }
            Err(error) if is_departure(&error) => {
                self.told.lost = true;
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
