//! The rest of a response after its head: body data, trailers, interim responses, refusals and
//! aborts.

use alloc::borrow::Cow;
use alloc::format;
use alloc::vec::Vec;

use super::connection::{Connection, LastResponse, ResponseFraming};
use super::error::{Misuse, Reject};
use super::error_pages::ErrorPage;
use super::head::Version;
use super::header::{check_header, push_header, push_status_line};
use super::limits::WaitingFor;
use super::outbox::Outbox;
use super::state::{RecvState, SendEvent, SendState};
use super::{chunked, parse};

impl Connection {
    /// Appends a part of the response's body. With the last byte of a [`sized_body`], the response
    /// is complete; [`Connection::end`] may be called then, but need not be.
    ///
    /// After a HEAD request the body is checked in the same way, and nothing is appended (RFC 9110
    /// §9.3.2): the code that responds to GET also responds to HEAD. It may leave out the body, or
    /// a part of it, as [`Connection::response_due`] is `None` from the beginning.
    ///
    /// [`sized_body`]: crate::http1::Response::sized_body
    ///
    /// # Errors
    /// Returns [`Misuse::ResponseNotBegun`], [`Misuse::ResponseComplete`] or
    /// [`Misuse::NoResponseDue`] if no body is due, and [`Misuse::BodyTooLong`] if the data exceeds
    /// the announced length. Nothing is appended then.
    pub fn send(&mut self, data: &[u8], outbox: &mut Outbox) -> Result<(), Misuse> {
        let framing = self.body_due()?;
        let omitted = self.last_response == LastResponse::BodyOmitted;
        if framing == ResponseFraming::Length {
            self.body_sent(data.len() as u64)?;
        }
        match framing {
            _ if omitted => return Ok(()),
            ResponseFraming::Chunked if data.is_empty() => {} // an empty chunk would be the end
            ResponseFraming::Chunked => outbox.push_chunk(data),
            ResponseFraming::Length | ResponseFraming::UntilClose => {
                outbox.bytes_mut().extend_from_slice(data);
            }
        }
        self.on_send(SendEvent::Data);
        Ok(())
    }

    /// Reports `n` bytes of the response's body that did not pass through the outbox, for example
    /// sent by `sendfile`. After a HEAD request, none may be sent: [`Connection::response_due`] is
    /// `None` then. Reporting them is not an error all the same.
    ///
    /// # Errors
    /// As for [`Connection::send`] if no body is due, [`Misuse::BodyTooLong`] if `n` exceeds
    /// the announced length, and [`Misuse::WrongFraming`] if the body is chunked.
    pub fn body_sent(&mut self, n: u64) -> Result<(), Misuse> {
        match self.body_due()? {
            ResponseFraming::Length => {
                self.body_remaining =
                    self.body_remaining.checked_sub(n).ok_or(Misuse::BodyTooLong)?;
                if self.body_remaining == 0 {
                    self.complete_response();
                }
                Ok(())
            }
            ResponseFraming::Chunked => Err(Misuse::WrongFraming),
            ResponseFraming::UntilClose => Ok(()),
        }
    }

    /// Ends the response's body. Nothing happens if the response is complete: after
    /// [`Response::body`](crate::http1::Response::body), after the last byte of a
    /// [`sized_body`](crate::http1::Response::sized_body), after a HEAD request, and if it was ended
    /// before. This holds until the next request is read.
    ///
    /// # Errors
    /// Returns [`Misuse::BodyTooShort`] if announced bytes are missing: if they cannot be sent, call
    /// [`Connection::abort`]. Returns [`Misuse::ResponseNotBegun`] if a response is due and has not
    /// begun, and [`Misuse::NoResponseDue`] if there was no request, and after
    /// [`Connection::abort`], [`Connection::refuse`] and a switch of protocols.
    pub fn end(&mut self, outbox: &mut Outbox) -> Result<(), Misuse> {
        self.end_with_trailers(&[], outbox)
    }

    /// As [`Connection::end`], with trailers (RFC 9110 §6.5). They are sent if the body is chunked.
    /// Any other response has no place for them: they are dropped, as a recipient may drop them,
    /// too.
    ///
    /// # Errors
    /// As for [`Connection::end`]. Also returns [`Misuse::BadHeader`] or [`Misuse::ReservedHeader`]
    /// as for headers, even if the trailers would be dropped.
    pub fn end_with_trailers(
        &mut self,
        trailers: &[(&str, &[u8])],
        outbox: &mut Outbox,
    ) -> Result<(), Misuse> {
        let framing = match self.last_response {
            LastResponse::Incomplete | LastResponse::Aborted => Some(self.body_due()?),
            LastResponse::Complete | LastResponse::BodyOmitted => None,
        };
        for (name, value) in trailers {
            check_header(name, value)?;
        }
        match framing {
            Some(ResponseFraming::Length) => return Err(Misuse::BodyTooShort),
            Some(ResponseFraming::Chunked) => {
                chunked::push_last_chunk(trailers, outbox.bytes_mut());
            }
            Some(ResponseFraming::UntilClose) | None => {} // no place for trailers
        }
        self.complete_response();
        Ok(())
    }

    /// Sends an interim response, with a status from 102 to 199. Peers older than HTTP/1.1 are sent
    /// nothing (RFC 9110 §15.2).
    ///
    /// # Errors
    /// Returns [`Misuse::ResponseBegun`], [`Misuse::ResponseComplete`] or [`Misuse::NoResponseDue`]
    /// if no response is due, [`Misuse::BadStatus`] for any other status, and [`Misuse::BadHeader`] or [`Misuse::ReservedHeader`] as for headers. Nothing is
    /// sent then.
    pub fn send_interim(
        &mut self,
        code: u16,
        headers: &[(&str, &[u8])],
        outbox: &mut Outbox,
    ) -> Result<(), Misuse> {
        if self.states.send != SendState::ResponseDue {
            return Err(self.not_due());
        }
        if !(102..200).contains(&code) {
            return Err(Misuse::BadStatus(code));
        }
        for (name, value) in headers {
            check_header(name, value)?;
        }
        if self.request.version == Version::Http11 {
            let out = outbox.bytes_mut();
            push_status_line(b'1', code, None, out);
            for (name, value) in headers {
                push_header(name, value, out);
            }
            out.extend_from_slice(b"\r\n");
        }
        self.on_send(SendEvent::Interim);
        Ok(())
    }

    /// Sends the error page for a fault of the peer, if a response is still possible, and ends the
    /// connection. `unread` is the input in which the fault was found: some pages quote its first
    /// line.
    ///
    /// The fault may be one that only the caller can detect: [`Reject::RequestTimeout`].
    ///
    /// Returns the size of the page that was sent, in bytes; 0 if none was.
    pub fn refuse(&mut self, reject: Reject, unread: &[u8], outbox: &mut Outbox) -> usize {
        // A caller may have refused the body by a lower limit of its own.
        let is_beyond_limits = self.fault == Some(reject) && reject == Reject::BodyTooLarge;
        self.record_fault(reject);
        let mut sent = 0;
        if self.states.send == SendState::ResponseDue {
            // An error page always has a head, also after an HTTP/0.9 request: no client in use
            // expects a bare page (B-019).
            self.request.version = self.request.version.max(Version::Http10);
            let mut phrase = Vec::new();
            let found = unread.get(self.fault_offset as usize..).unwrap_or_default();
            reject.write_reason(parse::rejected_request_line(reject, found), &mut phrase);
            let (status, mut explain) = (reject.status(), Cow::from(reject.explain()));
            if is_beyond_limits {
                let sentence = explain.trim_end_matches('.');
                explain = format!("{sentence}: at most {} bytes.", self.limits.body).into();
            }
            let page = ErrorPage { status, reason: &phrase, explain: &explain };
            let (content_type, page) = outbox.error_page(&page);
            let is_head = self.request.is_head;
            let response = self.respond(status, outbox).reason(&phrase);
            let response = response.header("Content-Type", content_type.as_bytes());
            if response.body(&page).is_ok() && !is_head {
                sent = page.len();
            }
        }
        self.end_sending(LastResponse::Incomplete); // the page is still to be sent
        sent
    }

    /// Ends the connection without sending another byte, so that the peer can detect an incomplete
    /// response. For a caller that cannot write to the peer, or cannot send what it announced.
    ///
    /// From then on, [`Connection::waiting_for`] does not count what is in the outbox: it is to be
    /// discarded. Only a buffer in flight ([`Outbox::begin_send`]) is still waited for, as
    /// [`WaitingFor::Writable`], until [`Outbox::end_send`]: cancel the operation, await its
    /// completion, ask [`Connection::reset_on_close`], close.
    pub fn abort(&mut self) {
        self.end_sending(LastResponse::Aborted);
    }

    fn end_sending(&mut self, last_response: LastResponse) {
        self.should_reset |= self.body_due().is_ok() && self.is_close_delimited();
        self.on_send(SendEvent::Abort);
        self.last_response = last_response; // also if the connection was closed already
    }

    /// Reports that the time to wait for what [`Connection::waiting_for`] returns is over:
    /// [`Timeouts::remaining`](super::Timeouts::remaining) is zero. The connection ends: with a 408
    /// if it waits for the rest of a request and no response has begun, as by
    /// [`Connection::refuse`], which `unread` is for; otherwise at once, as by
    /// [`Connection::abort`], and what is in the outbox is discarded, with what is not sent of a
    /// buffer in flight. [`Event::Closed`] follows.
    ///
    /// [`Event::Closed`]: super::Event::Closed
    pub fn timed_out(&mut self, unread: &[u8], outbox: &mut Outbox) {
        match self.waiting_for(outbox) {
            WaitingFor::Head | WaitingFor::Body | WaitingFor::BodyOrResponse => {
                self.refuse(Reject::RequestTimeout, unread, outbox);
            }
            _ => {
                self.should_reset = self.reset_on_close(outbox);
                outbox.clear();
                self.abort();
                self.should_linger = false;
            }
        }
    }

    pub(super) fn request_is_read(&self) -> bool {
        matches!(self.states.recv, RecvState::Done | RecvState::Closed)
    }

    /// The framing of the body that the application may pass.
    fn body_due(&self) -> Result<ResponseFraming, Misuse> {
        match (self.states.send, self.last_response) {
            (SendState::Body, _) | (_, LastResponse::BodyOmitted) => Ok(self.response_framing),
            _ => Err(self.not_due()),
        }
    }

    /// The misuse of a call that does not fit what is due.
    pub(super) fn not_due(&self) -> Misuse {
        match (self.states.send, self.last_response) {
            (SendState::ResponseDue, _) => Misuse::ResponseNotBegun,
            (SendState::Body, _) => Misuse::ResponseBegun,
            (SendState::SwitchedProtocol, _)
            | (_, LastResponse::Incomplete | LastResponse::Aborted) => Misuse::NoResponseDue,
            _ => Misuse::ResponseComplete,
        }
    }

    /// The application has passed the whole body.
    fn complete_response(&mut self) {
        if self.last_response == LastResponse::BodyOmitted {
            self.last_response = LastResponse::Complete;
            self.response_framing = ResponseFraming::Length; // no body ends with the connection
        }
        self.on_send(SendEvent::End);
    }
}
