//! One request and the response to it, without waiting: the part of an exchange that all front ends
//! share.
//!
//! An [`ExchangeState`] has the head, the progress of the body, and the record for the access log.
//! It never reads from a socket or writes to it: responses are appended to the outbox, and what has
//! to be received is returned ([`BodyRead`]). The `Exchange` of a front end is an [`ExchangeState`]
//! and a socket. [`Session`] makes one for each request on a connection.
//!
//! A handler cannot break the framing of responses: whatever it does, a response is complete, or it
//! is visibly aborted ([`ExchangeState::finish`]).

mod finish;
#[cfg(test)]
pub(crate) mod fixture;
mod reading;
pub mod response;
mod session;

pub use finish::is_disconnect;
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

/// The size in bytes of the longest part of a file that is copied to the outbox and sent with its
/// head: up to there, a second system call costs more than the copy.
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
    /// The bytes that were received after the head.
    inbox: Inbox<&'a mut [u8]>,
    pub(crate) outbox: &'a mut Outbox,
    record: ResponseRecord,
    reject: Option<Reject>,
    /// The number of bytes at the front of the inbox that are part of the body and were not read
    /// yet.
    pending: usize,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<'a> ExchangeState<'a> {
    /// A request with this head, whose body begins in `inbox`.
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

    /// The trailer section of a chunked body (RFC 9112 §7.1.2), names and values. Empty until the
    /// body was read to its end.
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

    /// Begins the response. Its Date is the current time.
    pub fn respond(&mut self, status: u16) -> Response<'_> {
        if self.connection().should_close() {
            self.machine.disable_keep_alive();
        }
        set_date(self.outbox);
        let sends_body = !self.head.is_head();
        let core = self.machine.respond(status, self.outbox);
        Response::new(core, status, sends_body, &mut self.record)
    }

    /// The outbox, for sending what is in it now.
    pub fn to_send(&mut self) -> &mut Outbox {
        self.connection().set_reset_on_close(self.machine.is_close_delimited());
        self.outbox
    }

    /// The inbox, for receiving more of the body: for [`BodyRead::Fill`].
    pub fn inbox(&mut self) -> &mut Inbox<&'a mut [u8]> {
        &mut self.inbox
    }

    /// For front ends: records the result of sending, so that a response that was lost is logged as
    /// aborted.
    ///
    /// # Errors
    /// Returns the error of `flushed`.
    pub fn record_flush(&mut self, flushed: io::Result<()>) -> io::Result<()> {
        self.record.disconnected |= flushed.as_ref().is_err_and(is_disconnect);
        flushed
    }

    /// Aborts the response: the client sees that it is incomplete, and the connection closes.
    pub fn abort(&mut self) {
        self.record.aborted = true;
        self.machine.abort();
    }

    /// Whether the response has begun.
    #[must_use]
    pub fn has_responded(&self) -> bool {
        self.machine.response_due() != Some(ResponseDue::Head)
    }

    /// Whether the response is incomplete: it has not begun, or more of its body is due.
    #[must_use]
    pub fn owes_response(&self) -> bool {
        self.machine.response_due().is_some()
    }

    /// Ends a streamed body.
    ///
    /// # Errors
    /// Returns [`Misuse`] if no streamed body is being sent.
    pub fn end(&mut self) -> io::Result<()> {
        self.end_with(&[])
    }

    /// Ends a streamed body with a trailer section.
    ///
    /// # Errors
    /// Returns [`Misuse`] if no streamed body is being sent, or if a trailer is invalid.
    pub fn end_with(&mut self, trailers: &[(&str, &[u8])]) -> io::Result<()> {
        if self.omits_body() {
            return Ok(());
        }
        Ok(self.machine.end_with_trailers(trailers, self.outbox)?)
    }

    /// Responds to a method that is not supported: 501, in the words of `http.server` (B-022).
    ///
    /// # Errors
    /// Returns [`Misuse`] if the response has begun.
    pub fn unsupported(&mut self) -> io::Result<()> {
        let method = String::from_utf8_lossy(self.head.method());
        let reason = format!("Unsupported method ('{method}')");
        self.respond(501).reason(&reason).error_page("")
    }

    /// Responds 503 with `Retry-After: 1`: a resource is used up, and a later request may succeed.
    ///
    /// # Errors
    /// Returns [`Misuse`] if the response has begun.
    pub(crate) fn respond_503(&mut self) -> io::Result<()> {
        self.respond(503).header("Retry-After", "1").error_page("")
    }

    /// Logs a message about this request ([`Observer::on_error`]). The client does not see it.
    pub fn log_error(&self, message: impl AsRef<str>) {
        self.context.observer.on_error(self.peer_addr().ip(), message.as_ref());
    }
}

/// For front ends: sending without waiting.
impl ExchangeState<'_> {
    /// Appends a part of the response's body to the outbox, and returns whether to flush it. The
    /// response to a HEAD request has no body: nothing is appended, which is not an error.
    ///
    /// # Errors
    /// Returns [`Misuse`] if no body is due, or if it exceeds its Content-Length.
    pub fn append_body(&mut self, data: &[u8]) -> io::Result<bool> {
        if !self.omits_body() {
            self.machine.send(data, self.outbox)?;
            self.record.bytes += data.len() as u64;
        }
        Ok(self.should_flush())
    }

    /// Begins to send `count` bytes of `file` from `offset`. A small part is read here, right
    /// behind its head; a larger one is returned, to be sent after what is in the outbox, and then
    /// given to [`ExchangeState::file_sent`].
    ///
    /// # Errors
    /// Returns [`Misuse`] if the part exceeds Content-Length or no body is due,
    /// [`ErrorKind::UnexpectedEof`] if the file has become shorter, or the error of the file.
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

    /// Records that `n` bytes of the body were sent.
    fn body_sent(&mut self, n: u64) -> io::Result<()> {
        self.record.bytes += n;
        Ok(self.machine.body_sent(n)?)
    }

    /// Whether the outbox holds more than [`Config::flush_threshold`], and is to be flushed.
    #[must_use]
    pub fn should_flush(&self) -> bool {
        self.outbox.len() > self.config().flush_threshold
    }

    /// After [`Response::upgrade`] or [`Response::tunnel`]: the bytes of the new protocol that were
    /// received already.
    ///
    /// # Errors
    /// Returns [`ErrorKind::InvalidInput`] if the protocol was not switched.
    pub fn take_unread(&mut self) -> io::Result<Vec<u8>> {
        if self.machine.states() != States::SWITCHED_PROTOCOL {
            return Err(io::Error::new(ErrorKind::InvalidInput, "the protocol was not switched"));
        }
        let first = self.inbox.unread().to_vec();
        self.inbox.consume(first.len());
        Ok(first)
    }

    /// Whether the body of the response is not sent, since the request is a HEAD.
    fn omits_body(&self) -> bool {
        self.head.is_head() && self.record.status != 0
    }
}

/// Sets the Date of the response that is begun now.
fn set_date(outbox: &mut Outbox) {
    outbox.set_date(os::now().max(0).cast_unsigned());
}
