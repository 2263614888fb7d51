//! One request and its answer, but for the waiting: what both drivers' exchanges have in common.
//!
//! A [`ExchangeState`] holds the head, the body's books and the note for the log. It never touches a socket:
//! what it answers goes to the outbox, and where bytes are needed it says so ([`BodyRead`]). Each
//! driver's `Exchange` is a exchange and a socket, and so it offers all that a exchange does.

mod finish;
#[cfg(test)]
pub(crate) mod fixture;
mod reading;
pub mod response;
mod session;
mod view;

pub use finish::{is_disconnect, refuse};
pub use reading::BodyRead;
pub use session::{Outcome, Session, Step, log_connection_error};
pub use view::ExchangeView;

use std::fs::File;
use std::io::{self, ErrorKind};
use std::mem;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use doorstep_core::http1::state::States;
use doorstep_core::http1::{Connection, Head, Inbox, Misuse, Outbox, ResponseDue, SentResponse};

use crate::config::FLUSH_THRESHOLD;
use crate::connections::ConnectionHandle;
use crate::files::FileTransfer;
use crate::observer::Observer;
use crate::os;

/// The longest part of a file that is copied behind its head, in bytes: there a second call costs
/// more than the copy.
const MAX_COPIED: u64 = 8 << 10;

/// A request and its response, for a front end: all that a handler can do ([`ExchangeView`]), and
/// what reading and sending take. It is not for handlers, which could break the framing by it.
pub struct ExchangeState<'a> {
    view: ExchangeView<'a>,
}

impl<'a> Deref for ExchangeState<'a> {
    type Target = ExchangeView<'a>;

    fn deref(&self) -> &ExchangeView<'a> {
        &self.view
    }
}

impl<'a> DerefMut for ExchangeState<'a> {
    fn deref_mut(&mut self) -> &mut ExchangeView<'a> {
        &mut self.view
    }
}

impl<'a> ExchangeState<'a> {
    /// A request with this head; its body begins in `inbox`.
    pub(crate) fn new(
        head: Head<'a>,
        inbox: Inbox<&'a mut [u8]>,
        outbox: &'a mut Outbox,
        machine: &'a mut Connection,
        connection: &'a Arc<ConnectionHandle>,
        observer: &'a dyn Observer,
    ) -> Self {
        let view = ExchangeView {
            head,
            connection,
            observer,
            machine,
            inbox,
            outbox,
            sent: SentResponse::default(),
            disconnected: false,
            aborted: false,
            reject: None,
            pending: 0,
            trailers: Vec::new(),
            flush_threshold: FLUSH_THRESHOLD,
        };
        Self { view }
    }

    /// Responds to the request `head` instead, which has no body: a local redirect
    /// (RFC 3875 §6.2.2).
    pub(crate) fn redirected<T>(
        &mut self,
        head: Head<'_>,
        respond: impl FnOnce(&mut ExchangeState<'_>) -> T,
    ) -> T {
        let view = ExchangeView {
            head,
            connection: self.view.connection,
            observer: self.view.observer,
            machine: self.view.machine,
            inbox: Inbox::new(&mut []),
            outbox: self.view.outbox,
            sent: mem::take(&mut self.view.sent),
            disconnected: self.view.disconnected,
            aborted: self.view.aborted,
            reject: None,
            pending: 0,
            trailers: Vec::new(),
            flush_threshold: self.view.flush_threshold,
        };
        let mut redirected = ExchangeState { view };
        let responded = respond(&mut redirected);
        let ExchangeView { sent, disconnected, aborted, .. } = redirected.view;
        self.view.sent = sent;
        self.view.disconnected = disconnected;
        self.view.aborted = aborted;
        responded
    }

    /// The connection in the table of all connections.
    #[must_use]
    pub fn connection(&self) -> &'a Arc<ConnectionHandle> {
        self.view.connection
    }

    /// Whether the client waits for 100 Continue before it sends the body.
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.view.machine.expects_continue()
    }

    /// Writes an interim response.
    ///
    /// # Errors
    /// Returns [`Misuse`] if `status` is not 1xx or the final response has begun.
    pub fn write_interim(&mut self, status: u16, headers: &[(&str, &[u8])]) -> io::Result<()> {
        Ok(self.view.machine.send_interim(status, headers, self.view.outbox)?)
    }

    /// What is to be sent now.
    pub fn to_send(&mut self) -> &mut Outbox {
        self.view.connection.set_reset_on_close(self.view.machine.is_close_delimited());
        self.view.outbox
    }

    /// Where the next bytes of the body are received: for [`BodyRead::Fill`].
    pub fn inbox(&mut self) -> &mut Inbox<&'a mut [u8]> {
        &mut self.view.inbox
    }

    /// For drivers: what came of sending, so that an answer that is lost is not taken for whole.
    ///
    /// # Errors
    /// That of sending.
    pub fn record_flush(&mut self, flushed: io::Result<()>) -> io::Result<()> {
        self.view.disconnected |= flushed.as_ref().is_err_and(is_disconnect);
        flushed
    }

    /// Shows the client at once that what is still owed of the answer will never come.
    pub fn abort(&mut self) {
        self.view.aborted = true;
        self.view.machine.abort();
    }

    /// Whether any of the response is still to be made: all of it, or more of its body.
    #[must_use]
    pub fn owes_response(&self) -> bool {
        self.view.machine.response_due().is_some()
    }
}

/// For drivers: the parts of sending that do not wait.
impl ExchangeState<'_> {
    /// Appends a part of the answer's body; whether enough has gathered to be sent. To a HEAD
    /// request nothing is sent, and that is no error.
    ///
    /// # Errors
    /// [`Misuse`].
    pub fn append_body(&mut self, data: &[u8]) -> io::Result<bool> {
        if !self.omits_body() {
            self.view.machine.send(data, self.view.outbox)?;
            self.view.sent.body_bytes += data.len() as u64;
        }
        Ok(self.should_flush())
    }

    /// Begins to send `count` bytes of `file` from `offset`. A small part is read here, right behind
    /// its head; a larger one is returned, to be sent after what is in the outbox, and then given to
    /// [`ExchangeState::file_sent`].
    ///
    /// # Errors
    /// Returns [`Misuse`] if so much was not promised, [`ErrorKind::UnexpectedEof`] if the file has
    /// become shorter, or the error of the file.
    pub fn begin_file<'f>(
        &mut self,
        file: &'f File,
        offset: u64,
        count: u64,
    ) -> io::Result<Option<FileTransfer<'f>>> {
        if self.omits_body() || count == 0 {
            return Ok(None);
        }
        match self.view.machine.response_due() {
            Some(ResponseDue::Bytes(owed)) if count <= owed => {}
            Some(ResponseDue::Bytes(_)) => return Err(Misuse::BodyTooLong.into()),
            Some(ResponseDue::Stream) => return Err(Misuse::WrongFraming.into()),
            _ => return Err(Misuse::NoResponseDue.into()),
        }
        if count > MAX_COPIED {
            return FileTransfer::new(file, offset, count).map(Some);
        }
        let n =
            self.view.outbox.append_with(count as usize, |space| read_at(file, space, offset))?
                as u64;
        self.body_sent(n)?;
        if n < count { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(None) }
    }

    /// Reports how far a part of a file was sent.
    ///
    /// # Errors
    /// Returns the error of `result`.
    pub fn file_sent(&mut self, sent: u64, result: io::Result<()>) -> io::Result<()> {
        self.body_sent(sent)?;
        self.record_flush(result)
    }

    /// `n` promised bytes went by.
    ///
    /// # Errors
    /// [`Misuse`].
    fn body_sent(&mut self, n: u64) -> io::Result<()> {
        self.view.sent.body_bytes += n;
        Ok(self.view.machine.body_sent(n)?)
    }

    /// Whether enough has gathered in the outbox to be sent.
    #[must_use]
    pub fn should_flush(&self) -> bool {
        self.view.outbox.len() > self.view.flush_threshold
    }

    /// After a hand-over was answered: the first bytes of the new protocol.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when nothing was handed over.
    pub fn take_unread(&mut self) -> io::Result<Vec<u8>> {
        if self.view.machine.states() != States::SWITCHED_PROTOCOL {
            return Err(io::Error::new(ErrorKind::InvalidInput, "no other protocol was agreed on"));
        }
        let first = self.view.inbox.unread().to_vec();
        self.view.inbox.consume(first.len());
        Ok(first)
    }
}

/// The time for the Date of the response that is made now.
fn set_date(outbox: &mut Outbox) {
    outbox.set_date(os::now().max(0).cast_unsigned());
}

/// Reads until `space` is full or the file ends.
fn read_at(file: &File, space: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < space.len() {
        match file.read_at(&mut space[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
