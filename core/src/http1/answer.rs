//! Our half after the head: bodies in pieces, interim answers, and the two ways to give up.

use super::connection::{Connection, Outgoing};
use super::error::{Misuse, Reject};
use super::field::{check_field, push_field};
use super::head::Version;
use super::outbox::Outbox;
use super::state::{Recv, Said, Send};
use super::{chunked, parse, status};
use crate::page;

impl Connection {
    /// Appends a part of the answer's body. After the last byte of a [`sized`] answer its end is
    /// said by itself.
    ///
    /// [`sized`]: crate::http1::Response::sized
    ///
    /// # Errors
    /// [`Misuse::NotOwed`] when no body is, [`Misuse::TooMuch`] beyond the promise; nothing is
    /// appended then.
    pub fn send(&mut self, data: &[u8], outbox: &mut Outbox) -> Result<(), Misuse> {
        match self.body_owed()? {
            Outgoing::Length => {
                self.passed(data.len() as u64)?;
                outbox.bytes_mut().extend_from_slice(data);
            }
            Outgoing::Chunked if data.is_empty() => {} // an empty chunk would be the end
            Outgoing::Chunked => outbox.push_chunk(data),
            Outgoing::UntilClose => outbox.bytes_mut().extend_from_slice(data),
        }
        self.say(Said::Data);
        Ok(())
    }

    /// `n` bytes of the answer's body went by without passing through here: sent from a file, say.
    ///
    /// # Errors
    /// [`Misuse::NotOwed`] when no body is, [`Misuse::TooMuch`] beyond the promise,
    /// [`Misuse::WrongFraming`] when the body is chunked.
    pub fn passed(&mut self, n: u64) -> Result<(), Misuse> {
        match self.body_owed()? {
            Outgoing::Length => {
                self.left = self.left.checked_sub(n).ok_or(Misuse::TooMuch)?;
                if self.left == 0 {
                    self.say(Said::End);
                }
                Ok(())
            }
            Outgoing::Chunked => Err(Misuse::WrongFraming),
            Outgoing::UntilClose => Ok(()),
        }
    }

    /// Ends the answer's body.
    ///
    /// # Errors
    /// [`Misuse::NotOwed`] when no body is owed, [`Misuse::TooLittle`] while promised bytes are
    /// missing: who cannot deliver them says [`Connection::lost`].
    pub fn end(&mut self, outbox: &mut Outbox) -> Result<(), Misuse> {
        self.end_with(&[], outbox)
    }

    /// Ends a chunked body with trailer fields (RFC 9110 §6.5).
    ///
    /// # Errors
    /// As of [`Connection::end`]; [`Misuse::WrongFraming`] when there are trailers and the body is
    /// not chunked, [`Misuse::BadField`] and [`Misuse::ReservedField`] as for fields.
    pub fn end_with(
        &mut self,
        trailers: &[(&str, &[u8])],
        outbox: &mut Outbox,
    ) -> Result<(), Misuse> {
        let framing = self.body_owed()?;
        for (name, value) in trailers {
            check_field(name, value)?;
        }
        match framing {
            Outgoing::Length => return Err(Misuse::TooLittle),
            Outgoing::Chunked => chunked::end(trailers, outbox.bytes_mut()),
            Outgoing::UntilClose if !trailers.is_empty() => return Err(Misuse::WrongFraming),
            Outgoing::UntilClose => {}
        }
        self.say(Said::End);
        Ok(())
    }

    /// Sends an interim answer, 102 to 199; to peers older than HTTP/1.1 nothing is sent
    /// (RFC 9110 §15.2).
    ///
    /// # Errors
    /// [`Misuse::NotOwed`], [`Misuse::BadStatus`], and those of fields; nothing is sent then.
    pub fn inform(
        &mut self,
        code: u16,
        fields: &[(&str, &[u8])],
        outbox: &mut Outbox,
    ) -> Result<(), Misuse> {
        if self.states.send != Send::Owed {
            return Err(Misuse::NotOwed);
        }
        if !(102..200).contains(&code) {
            return Err(Misuse::BadStatus);
        }
        for (name, value) in fields {
            check_field(name, value)?;
        }
        if self.request.version == Version::Http11 {
            let out = outbox.bytes_mut();
            out.extend_from_slice(b"HTTP/1.1 ");
            out.extend([code / 100, code / 10 % 10, code % 10].map(|digit| b'0' + digit as u8));
            out.push(b' ');
            out.extend_from_slice(status::reason(code).as_bytes());
            out.extend_from_slice(b"\r\n");
            for (name, value) in fields {
                push_field(name, value, out);
            }
            out.extend_from_slice(b"\r\n");
        }
        self.say(Said::Interim);
        Ok(())
    }

    /// Answers a fault of the peer with its error page, when an answer is still possible, and ends
    /// the conversation. `unread` are the bytes in which the fault was found: some pages quote
    /// their first line.
    ///
    /// The fault may be one that only the caller could see: [`Reject::TooSlow`].
    ///
    /// Returns the size of the page that was sent, in bytes; 0 when none was.
    pub fn refuse(&mut self, reject: Reject, unread: &[u8], outbox: &mut Outbox) -> usize {
        self.fault(reject);
        let mut sent = 0;
        if self.states.send == Send::Owed {
            // No error goes out as a bare page: no modern client would understand it (B-019).
            self.request.version = self.request.version.max(Version::Http10);
            let (mut phrase, mut page) = (Vec::new(), Vec::new());
            let found = unread.get(self.before_fault as usize..).unwrap_or_default();
            reject.phrase(parse::refused_line(reject, found), &mut phrase);
            page::error(&mut page, reject.status(), &phrase, reject.explain());
            let is_head = self.request.is_head;
            let response = self.respond(reject.status(), outbox).reason(&phrase);
            let response = response.header("Content-Type", page::CONTENT_TYPE);
            if response.body(&page).is_ok() && !is_head {
                sent = page.len();
            }
        }
        self.lost();
        sent
    }

    /// A write failed, or the caller cannot keep its promise: the conversation ends here, without
    /// another byte, so that the peer can see that it was cut.
    pub fn lost(&mut self) {
        self.resets |= self.body_owed().is_ok() && self.ends_by_closing();
        self.say(Said::Lost);
    }

    pub(super) fn request_is_read(&self) -> bool {
        matches!(self.states.recv, Recv::Done | Recv::Closed)
    }

    fn body_owed(&self) -> Result<Outgoing, Misuse> {
        match self.states.send {
            Send::Body => Ok(self.outgoing),
            _ => Err(Misuse::NotOwed),
        }
    }
}
