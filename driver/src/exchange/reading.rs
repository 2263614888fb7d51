//! Reading a request's body, without waiting.
//!
//! [`ExchangeState::read_body`] returns bytes that were received, or what has to be done first
//! ([`BodyRead`]): it never asks to receive while something is still to be sent, since the client may
//! wait for that (`100 Continue`). A body in a large buffer is received straight into it.

use std::io::{self, ErrorKind};

use doorstep_core::http1::state::{RecvState, SendState, States};
use doorstep_core::http1::{Event, Misuse, Reject};

use super::{ExchangeState, ExchangeView, is_disconnect};
use crate::transfers::{Direction, NewTransfer};

/// The result of reading a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyRead {
    /// The number of bytes that are in the buffer now; 0 is the end of the body.
    Read(usize),
    /// Send everything that is in the outbox ([`ExchangeState::to_send`]), report it to
    /// [`ExchangeState::body_flushed`], and read again. The client may wait for `100 Continue`, or
    /// for earlier responses, before it sends the body.
    Flush,
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

    /// Reads bytes that were received into `buffer`, or returns what to send or to receive first.
    ///
    /// # Errors
    /// Returns [`ErrorKind::InvalidData`] with a [`Reject`] inside if the client violates the
    /// protocol or a limit, or [`Misuse`] if the response has ended and the body was not read. An
    /// error of reading a body is returned once, here or by the calls that report what was done; after
    /// it, this returns the end of the body.
    pub fn read_body(&mut self, buffer: &mut [u8]) -> io::Result<BodyRead> {
        if buffer.is_empty() || self.view.body_failed {
            return Ok(BodyRead::Read(0));
        }
        let read = self.next_body_part(buffer);
        self.view.body_failed = read.is_err();
        match read {
            Ok(BodyRead::Read(n)) if n > 0 => self.count_upload(n),
            Ok(BodyRead::Receive(_) | BodyRead::Fill) => self.begin_upload(),
            Ok(BodyRead::Flush) => {}
            Ok(BodyRead::Read(_)) | Err(_) => self.end_upload(),
        }
        read
    }

    /// Lists the body among the transfers, if these are reported: more of it has to be waited for.
    fn begin_upload(&mut self) {
        let view = &mut self.view;
        let Some(transfers) = &view.context.config.transfers else { return };
        if view.progress.transfers.as_ref().is_some_and(|all| all.upload.is_some()) {
            return;
        }
        let (total, bytes) = (view.body_len(), view.body_read);
        let (client, path) = (view.client_addr(), view.head.path());
        let new = NewTransfer { client, path, direction: Direction::Upload, total, bytes };
        view.progress.transfers.get_or_insert_default().upload = Some(transfers.begin(new));
    }

    /// Counts bytes of the body, if it is listed.
    fn count_upload(&self, bytes: usize) {
        let upload = self.view.progress.transfers.as_ref().and_then(|all| all.upload.as_ref());
        if let Some(upload) = upload {
            upload.transfer().add(bytes as u64);
        }
    }

    /// Removes the body from the transfers: it was read to its end, or reading it has failed.
    fn end_upload(&mut self) {
        if let Some(transfers) = &mut self.view.progress.transfers {
            transfers.upload = None;
        }
    }

    fn next_body_part(&mut self, buffer: &mut [u8]) -> io::Result<BodyRead> {
        self.check_body_limit()?; // before 100 Continue
        match self.view.machine.states() {
            // Advancing would begin the next request.
            States { recv: RecvState::Body, send: SendState::Done } => {
                return Err(Misuse::ResponseComplete.into());
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
                let max = usize::try_from(direct).unwrap_or(usize::MAX);
                return Ok(self.after_flush(BodyRead::Receive(max.min(buffer.len()))));
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
                    return Ok(self.after_flush(BodyRead::Fill));
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

    /// `next`, unless something is to be sent before it.
    fn after_flush(&self, next: BodyRead) -> BodyRead {
        if self.view.outbox.is_empty() { next } else { BodyRead::Flush }
    }

    /// Reports the result of [`BodyRead::Flush`].
    ///
    /// # Errors
    /// Returns the error of `flushed`.
    pub fn body_flushed(&mut self, flushed: io::Result<()>) -> io::Result<()> {
        self.view.body_failed = flushed.is_err();
        self.record_flush(flushed)
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
        self.count_upload(n);
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
        let received = self.classify_received(result);
        self.view.body_failed = received.is_err();
        if self.view.body_failed {
            self.end_upload();
        }
        received
    }

    fn classify_received(&mut self, result: io::Result<usize>) -> io::Result<usize> {
        match result {
            Ok(0) => Err(self.rejected(Reject::Truncated)),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                self.view.reject = Some(Reject::RequestTimeout);
                self.view.progress.timed_out = true;
                Err(error)
            }
            Err(error) if is_disconnect(&error) => {
                self.view.progress.disconnected = true;
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

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::BodyRead::{Fill, Flush, Read, Receive};
    use crate::exchange::fixture::respond;

    #[test]
    fn b_050_nothing_is_received_before_the_outbox_is_flushed() {
        for (framing, next) in
            [("Content-Length: 5", Receive(5)), ("Transfer-Encoding: chunked", Fill)]
        {
            for expect in ["", "Expect: 100-continue\r\n"] {
                let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{expect}{framing}\r\n\r\n");
                respond(head.as_bytes(), |exchange| {
                    let mut read = || exchange.read_body(&mut [0; 8]).unwrap();
                    if expect.is_empty() {
                        assert_eq!(read(), next);
                        exchange.write_interim(103, &[]).unwrap();
                    }
                    let mut read = || exchange.read_body(&mut [0; 8]).unwrap();
                    assert_eq!([read(), read()], [Flush, Flush], "until it was done");
                    assert!(exchange.to_send().unsent().starts_with(b"HTTP/1.1 10"));
                    exchange.to_send().clear();
                    assert_eq!(exchange.read_body(&mut [0; 8]).unwrap(), next);
                });
            }
        }
    }

    #[test]
    fn an_error_of_reading_a_body_is_returned_once() {
        let post = |rest: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{rest}").into_bytes();
        let broken = |kind: ErrorKind| Err(kind.into());
        respond(&post("Transfer-Encoding: chunked\r\n\r\nnonsense\r\n"), |exchange| {
            assert!(exchange.read_body(&mut [0; 8]).is_err());
            assert_eq!(exchange.read_body(&mut [0; 8]).unwrap(), Read(0));
        });
        for received in [Ok(0), broken(ErrorKind::TimedOut), broken(ErrorKind::ConnectionReset)] {
            respond(&post("Content-Length: 5\r\n\r\n"), |exchange| {
                assert_eq!(exchange.read_body(&mut [0; 8]).unwrap(), Receive(5));
                assert!(exchange.received(received).is_err());
                assert_eq!(exchange.read_body(&mut [0; 8]).unwrap(), Read(0));
            });
        }
        respond(&post("Transfer-Encoding: chunked\r\n\r\n"), |exchange| {
            assert_eq!(exchange.read_body(&mut [0; 8]).unwrap(), Fill);
            assert!(exchange.filled(Ok(0)).is_err());
            assert_eq!(exchange.read_body(&mut [0; 8]).unwrap(), Read(0));
        });
        respond(&post("Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"), |exchange| {
            assert_eq!(exchange.read_body(&mut [0; 8]).unwrap(), Flush);
            assert!(exchange.body_flushed(Err(ErrorKind::BrokenPipe.into())).is_err());
            assert_eq!(exchange.read_body(&mut [0; 8]).unwrap(), Read(0));
        });
        respond(&post("Content-Length: 5\r\n\r\n"), |exchange| {
            exchange.respond(200).body("").unwrap();
            assert!(exchange.read_body(&mut [0; 8]).is_err(), "misuse");
            assert_eq!(exchange.read_body(&mut [0; 8]).unwrap(), Read(0));
        });
    }

    #[test]
    fn a_malformed_body_is_an_error_once_also_after_the_response_has_begun() {
        let request =
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n?";
        for begins in [false, true] {
            respond(request, |exchange| {
                if begins {
                    exchange.respond(200).streamed_body().unwrap();
                }
                assert_eq!(exchange.read_body(&mut [0; 8]).unwrap(), Read(1));
                let error = exchange.read_body(&mut [0; 8]).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidData, "begun: {begins}");
                assert_eq!(exchange.read_body(&mut [0; 8]).unwrap(), Read(0));
            });
        }
    }

    #[test]
    fn what_has_arrived_is_read_without_a_flush() {
        let request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
        respond(request, |exchange| {
            exchange.write_interim(103, &[]).unwrap();
            let mut read = || exchange.read_body(&mut [0; 8]).unwrap();
            assert_eq!([read(), read()], [Read(5), Read(0)]);
        });
    }
}
