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

pub use finish::{is_disconnect, refuse};
pub use reading::BodyRead;
pub use session::{Outcome, Session, Step, log_connection_error};

use std::fs::File;
use std::io::{self, ErrorKind};
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;

use doorstep_core::http1::state::States;
use doorstep_core::http1::{Connection, Head, Inbox, Misuse, Outbox, Reject, ResponseDue};

use crate::config::Config;
use crate::connections::ConnectionHandle;
use crate::exchange::response::{Response, ResponseRecord};
use crate::files::FileTransfer;
use crate::observer::Observer;
use crate::os;

/// The longest part of a file that is copied behind its head, in bytes: there a second call costs
/// more than the copy.
const MAX_COPIED: u64 = 8 << 10;

/// What all exchanges on one connection have in common.
#[derive(Clone, Copy)]
pub(crate) struct Context<'c> {
    pub(crate) config: &'c Config,
    pub(crate) connection: &'c Arc<ConnectionHandle>,
    pub(crate) observer: &'c dyn Observer,
}

/// A request and the response to it.
pub struct ExchangeState<'a> {
    head: Head<'a>,
    context: Context<'a>,
    pub(crate) machine: &'a mut Connection,
    /// What was read of the body, and behind it.
    inbox: Inbox<&'a mut [u8]>,
    pub(crate) outbox: &'a mut Outbox,
    record: ResponseRecord,
    reject: Option<Reject>,
    /// Bytes at the front of the inbox that are body and were counted, but not yet read.
    pending: usize,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<'a> ExchangeState<'a> {
    /// A request with this head; its body begins in `inbox`.
    pub(crate) fn new(
        head: Head<'a>,
        inbox: Inbox<&'a mut [u8]>,
        outbox: &'a mut Outbox,
        machine: &'a mut Connection,
        context: Context<'a>,
    ) -> Self {
        Self {
            head,
            context,
            machine,
            inbox,
            outbox,
            record: ResponseRecord::default(),
            reject: None,
            pending: 0,
            trailers: Vec::new(),
        }
    }

    /// Responds to the request `head` instead, which has no body: a local redirect
    /// (RFC 3875 §6.2.2).
    pub(crate) fn redirected<T>(
        &mut self,
        head: Head<'_>,
        respond: impl FnOnce(&mut ExchangeState<'_>) -> T,
    ) -> T {
        let inbox = Inbox::new(&mut [][..]);
        let mut redirected =
            ExchangeState::new(head, inbox, self.outbox, self.machine, self.context);
        redirected.record = mem::take(&mut self.record);
        let responded = respond(&mut redirected);
        self.record = redirected.record;
        responded
    }

    /// The request's head.
    #[must_use]
    pub fn head(&self) -> Head<'a> {
        self.head
    }

    /// The connection in the table of all connections.
    #[must_use]
    pub fn connection(&self) -> &'a Arc<ConnectionHandle> {
        self.context.connection
    }

    /// The server's configuration.
    #[must_use]
    pub fn config(&self) -> &'a Config {
        self.context.config
    }

    /// The client's address and port (B-301).
    #[must_use]
    pub fn peer_addr(&self) -> SocketAddr {
        self.connection().peer()
    }

    /// The address and port that the client has connected to.
    ///
    /// # Errors
    /// Returns an error if the system does not know it any more.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.connection().stream().local_addr()
    }

    /// Whether the client waits for 100 Continue before it sends the body.
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.machine.expects_continue()
    }

    /// The trailer fields of a chunked body, name and value, once it was read to its end.
    #[must_use]
    pub fn trailers(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.trailers
    }

    /// Writes an interim response.
    ///
    /// # Errors
    /// Returns [`Misuse`] if `status` is not 1xx or the final response has begun.
    pub fn write_interim(&mut self, status: u16, headers: &[(&str, &[u8])]) -> io::Result<()> {
        Ok(self.machine.send_interim(status, headers, self.outbox)?)
    }

    /// Begins the answer. Its Date is this moment, however long ago the request came.
    pub fn respond(&mut self, status: u16) -> Response<'_> {
        if self.connection().should_close() {
            self.machine.disable_keep_alive();
        }
        set_date(self.outbox);
        let sends_body = !self.head.is_head();
        let core = self.machine.respond(status, self.outbox);
        Response::new(core, status, sends_body, &mut self.record)
    }

    /// What is to be sent now.
    pub fn to_send(&mut self) -> &mut Outbox {
        self.connection().set_reset_on_close(self.machine.is_close_delimited());
        self.outbox
    }

    /// Where the next bytes of the body are received: for [`BodyRead::Fill`].
    pub fn inbox(&mut self) -> &mut Inbox<&'a mut [u8]> {
        &mut self.inbox
    }

    /// For drivers: what came of sending, so that an answer that is lost is not taken for whole.
    ///
    /// # Errors
    /// That of sending.
    pub fn record_flush(&mut self, flushed: io::Result<()>) -> io::Result<()> {
        self.record.disconnected |= flushed.as_ref().is_err_and(is_disconnect);
        flushed
    }

    /// Shows the client at once that what is still owed of the answer will never come.
    pub fn abort(&mut self) {
        self.record.aborted = true;
        self.machine.abort();
    }

    /// Whether the answer has begun.
    #[must_use]
    pub fn has_responded(&self) -> bool {
        self.machine.response_due() != Some(ResponseDue::Head)
    }

    /// Whether any of the response is still to be made: all of it, or more of its body.
    #[must_use]
    pub fn owes_response(&self) -> bool {
        self.machine.response_due().is_some()
    }

    /// Ends a streamed body.
    ///
    /// # Errors
    /// [`Misuse`].
    pub fn end(&mut self) -> io::Result<()> {
        self.end_with(&[])
    }

    /// Ends a streamed body with trailer fields.
    ///
    /// # Errors
    /// [`Misuse`].
    pub fn end_with(&mut self, trailers: &[(&str, &[u8])]) -> io::Result<()> {
        if self.omits_body() {
            return Ok(());
        }
        Ok(self.machine.end_with_trailers(trailers, self.outbox)?)
    }

    /// The answer to a method that nobody handles: 501, as `http.server` words it (B-022).
    ///
    /// # Errors
    /// [`Misuse`] when there is an answer already.
    pub fn unsupported(&mut self) -> io::Result<()> {
        let method = String::from_utf8_lossy(self.head.method());
        let reason = format!("Unsupported method ('{method}')");
        self.respond(501).reason(&reason).error_page("")
    }

    /// Tells the server's own log something about this request; the client never sees it.
    pub fn log_error(&self, words: impl AsRef<str>) {
        self.context.observer.on_error(self.peer_addr().ip(), words.as_ref());
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
            self.machine.send(data, self.outbox)?;
            self.record.bytes += data.len() as u64;
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
        match self.machine.response_due() {
            Some(ResponseDue::Bytes(owed)) if count <= owed => {}
            Some(ResponseDue::Bytes(_)) => return Err(Misuse::BodyTooLong.into()),
            Some(ResponseDue::Stream) => return Err(Misuse::WrongFraming.into()),
            _ => return Err(Misuse::NoResponseDue.into()),
        }
        if count > MAX_COPIED {
            let max_chunk = self.config().max_sendfile_chunk;
            return FileTransfer::new(file, offset, count, max_chunk).map(Some);
        }
        let n = self.outbox.append_with(count as usize, |space| os::read_at(file, space, offset))?
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
        self.record.bytes += n;
        Ok(self.machine.body_sent(n)?)
    }

    /// Whether enough has gathered in the outbox to be sent.
    #[must_use]
    pub fn should_flush(&self) -> bool {
        self.outbox.len() > self.config().flush_threshold
    }

    /// After a hand-over was answered: the first bytes of the new protocol.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when nothing was handed over.
    pub fn take_unread(&mut self) -> io::Result<Vec<u8>> {
        if self.machine.states() != States::SWITCHED_PROTOCOL {
            return Err(io::Error::new(ErrorKind::InvalidInput, "no other protocol was agreed on"));
        }
        let first = self.inbox.unread().to_vec();
        self.inbox.consume(first.len());
        Ok(first)
    }

    /// To HEAD, a body is not an error: it is just not sent.
    fn omits_body(&self) -> bool {
        self.head.is_head() && self.record.status != 0
    }
}

/// The time for the Date of the response that is made now.
fn set_date(outbox: &mut Outbox) {
    outbox.set_date(os::now().max(0).cast_unsigned());
}
