//! One request and the response to it, without waiting: the part of an exchange that all front ends
//! share.
//!
//! An [`ExchangeState`] has the head, the progress of the body, and the record for the access log. It
//! never reads from a socket or writes to it: responses are appended to the outbox, and what has to be
//! received is returned ([`BodyRead`]). The `Exchange` of a front end is an [`ExchangeState`] and a
//! socket. [`Session`] makes one for each request on a connection.
//!
//! A handler cannot break the framing of responses: whatever it does, a response is complete, or it
//! is visibly aborted ([`ExchangeState::finish`]).

mod before_handler;
mod cut;
mod finish;
#[cfg(test)]
pub(crate) mod fixture;
mod https_redirect;
mod reading;
pub mod response;
mod session;
mod unsent_records;
mod view;

pub use finish::is_disconnect;
pub use reading::BodyRead;
pub use session::{HandlerResult, Session, Step, log_connection_error};
pub use view::ExchangeView;
pub(crate) use view::Identity;
use view::ResponseProgress;

use std::fs::File;
use std::io::{self, ErrorKind};
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Instant;

use doorstep_core::http1::state::States;
use doorstep_core::http1::{Connection, Head, Inbox, Misuse, Outbox, ResponseDue};

use crate::config::Config;
use crate::connections::ConnectionHandle;
use crate::files::FileTransfer;
use crate::observer::{Observer, notify_observer};
use crate::os;
use crate::transfers::{Direction, NewTransfer, Transfer};
pub(crate) use unsent_records::UNSENT_RECORD_SIZE;

use crate::request_number::RequestNumber;
use unsent_records::UnsentRecords;

/// The size in bytes of the longest part of a file that is copied to the outbox and sent with its
/// head: up to there, a second system call costs more than the copy.
pub(crate) const MAX_COPIED: u64 = 8 << 10;

/// What all exchanges on one connection have in common.
#[derive(Clone, Copy)]
pub(crate) struct Context<'c> {
    pub(crate) config: &'c Config,
    pub(crate) connection: &'c Arc<ConnectionHandle>,
    pub(crate) observer: &'c dyn Observer,
    /// Whether records have their timing.
    timing: bool,
    /// Whether requests have an id.
    request_ids: bool,
}

impl<'c> Context<'c> {
    pub(crate) fn new(
        config: &'c Config,
        connection: &'c Arc<ConnectionHandle>,
        observer: &'c dyn Observer,
    ) -> Self {
        let timing = notify_observer(|| observer.wants_timing());
        let request_ids = notify_observer(|| observer.wants_request_ids());
        Self { config, connection, observer, timing, request_ids }
    }
}

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
    /// A request with this head, which is at the end of `buffered`; its body begins in `inbox`.
    pub(crate) fn new(
        head: Head<'a>,
        buffered: &'a [u8],
        records: &'a mut UnsentRecords,
        inbox: Inbox<&'a mut [u8]>,
        outbox: &'a mut Outbox,
        machine: &'a mut Connection,
        context: Context<'a>,
    ) -> Self {
        let view = ExchangeView {
            head,
            context,
            machine,
            inbox,
            outbox,
            buffered,
            records,
            started: context.timing.then(Instant::now),
            request_id: context.request_ids.then(RequestNumber::next),
            progress: ResponseProgress::default(),
            reject: None,
            body_failed: false,
            response_made: false,
            pending: 0,
            body_read: 0,
            body_limit: u64::MAX,
            trailers: Vec::new(),
            identity: Identity::default(),
            client: None,
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
        let view = &mut self.view;
        let inbox = Inbox::new(&mut [][..]);
        let (records, outbox) = (&mut *view.records, &mut *view.outbox);
        let (machine, context) = (&mut *view.machine, view.context);
        let mut redirected =
            ExchangeState::new(head, view.buffered, records, inbox, outbox, machine, context);
        redirected.view.request_id = view.request_id;
        redirected.view.client = view.client;
        redirected.view.identity = view.identity.clone();
        redirected.view.progress = mem::take(&mut view.progress);
        let responded = respond(&mut redirected);
        view.progress = redirected.view.progress;
        responded
    }

    /// The connection in the table of all connections.
    #[must_use]
    pub fn connection(&self) -> &'a Arc<ConnectionHandle> {
        self.view.context.connection
    }

    /// Whose request it is.
    pub(crate) fn identity(&self) -> &Identity {
        &self.view.identity
    }

    /// The server's configuration.
    #[must_use]
    pub fn config(&self) -> &'a Config {
        self.view.context.config
    }

    /// Writes an interim response.
    ///
    /// # Errors
    /// Returns [`Misuse`] if `status` is not 1xx or the final response has begun.
    pub fn write_interim(&mut self, status: u16, headers: &[(&str, &[u8])]) -> io::Result<()> {
        Ok(self.view.machine.send_interim(status, headers, self.view.outbox)?)
    }

    /// The outbox, for sending what is in it now.
    pub fn to_send(&mut self) -> &mut Outbox {
        self.plan_cut();
        if self.config().transfers.is_some() {
            self.begin_download();
        }
        self.connection().set_reset_on_close(self.view.machine.is_close_delimited());
        self.view.outbox
    }

    /// The inbox, for receiving more of the body: for [`BodyRead::Fill`].
    pub fn inbox(&mut self) -> &mut Inbox<&'a mut [u8]> {
        &mut self.view.inbox
    }

    /// For front ends: records the result of sending. A response that was lost is logged as aborted,
    /// and the responses before this one are logged when they were sent.
    ///
    /// # Errors
    /// Returns the error of `flushed`.
    pub fn record_flush(&mut self, flushed: io::Result<()>) -> io::Result<()> {
        match &flushed {
            Ok(()) if self.view.outbox.is_empty() => {
                self.view.records.log_sent(self.view.buffered, &self.view.context);
            }
            Ok(()) => {}
            Err(error) => {
                self.view.progress.disconnected |= is_disconnect(error);
                self.view.progress.timed_out |= error.kind() == ErrorKind::TimedOut;
            }
        }
        flushed
    }

    /// Lists the response among the transfers, if these are reported and a part of its body is still to
    /// be made. Returns where to count bytes.
    fn begin_download(&mut self) -> Option<Arc<Transfer>> {
        let view = &mut self.view;
        let transfers = view.context.config.transfers.as_ref()?;
        let (bytes, is_head) = (view.progress.sent.body_bytes, view.head.is_head());
        let total = match view.machine.response_due() {
            Some(ResponseDue::Bytes(left)) if !is_head => Some(bytes.saturating_add(left)),
            Some(ResponseDue::Stream) if !is_head => None,
            _ => return None,
        };
        let (client, path) = (view.client_addr(), view.head.path());
        let new = NewTransfer { client, path, direction: Direction::Download, total, bytes };
        let download = &mut view.progress.transfers.get_or_insert_default().download;
        Some(download.get_or_insert_with(|| transfers.begin(new)).transfer().clone())
    }

    /// Aborts the response: the client sees that it is incomplete, and the connection closes.
    pub fn abort(&mut self) {
        self.view.progress.aborted = true;
        self.view.machine.abort();
    }

    /// Whether any of the response is still to be made: all of it, or more of its body.
    #[must_use]
    pub fn owes_response(&self) -> bool {
        self.view.machine.response_due().is_some()
    }
}

/// For front ends: sending without waiting.
impl ExchangeState<'_> {
    /// Appends a part of the response's body to the outbox, and returns whether to flush it. The
    /// response to a HEAD request has no body: the part is checked and not appended.
    ///
    /// # Errors
    /// Returns [`Misuse`] if no body is due, or if it exceeds its Content-Length.
    pub fn append_body(&mut self, data: &[u8]) -> io::Result<bool> {
        self.plan_cut();
        self.view.machine.send(data, self.view.outbox)?;
        if !self.view.head.is_head() {
            self.view.progress.sent.body_bytes += data.len() as u64;
            self.view.count_download(data.len() as u64);
        }
        Ok(self.should_flush())
    }

    /// Begins to send `count` bytes of `file` from `offset`. A small part is read here, right behind
    /// its head; a larger one is returned, to be sent after what is in the outbox, and then given to
    /// [`ExchangeState::file_sent`].
    ///
    /// # Errors
    /// Returns [`Misuse`] if the part exceeds Content-Length or no body is due, [`ErrorKind::UnexpectedEof`] if the file has
    /// become shorter, or the error of the file.
    pub fn begin_file<'f>(
        &mut self,
        file: &'f File,
        offset: u64,
        count: u64,
    ) -> io::Result<Option<FileTransfer<'f>>> {
        if count == 0 {
            return Ok(None);
        }
        self.plan_cut();
        if self.view.head.is_head() {
            self.view.machine.body_sent(count)?; // checked, but not sent
            return Ok(None);
        }
        match self.view.machine.response_due() {
            Some(ResponseDue::Bytes(owed)) if count <= owed => {}
            Some(ResponseDue::Bytes(_)) => return Err(Misuse::BodyTooLong.into()),
            Some(ResponseDue::Stream) => return Err(Misuse::WrongFraming.into()),
            _ => {
                // The misuse is that of the state.
                let misuse = self.view.machine.body_sent(0).err();
                return Err(misuse.unwrap_or(Misuse::NoResponseDue).into());
            }
        }
        if count > MAX_COPIED {
            let max_chunk = self.config().max_sendfile_chunk;
            let transfer = FileTransfer::new(file, offset, count, max_chunk)?;
            return Ok(Some(transfer.reported_to(self.begin_download())));
        }
        let n = self
            .view
            .outbox
            .append_with(count as usize, |space| os::read_at(file, space, offset))?
            as u64;
        self.body_sent(n)?;
        self.view.count_download(n);
        if n < count { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(None) }
    }

    /// Reports that `sent` bytes of a file were sent since the last report, and how that has ended.
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
        self.view.progress.sent.body_bytes += n;
        Ok(self.view.machine.body_sent(n)?)
    }

    /// Whether the outbox holds more than [`Config::flush_threshold`], and is to be flushed.
    #[must_use]
    pub fn should_flush(&self) -> bool {
        self.view.outbox.len() > self.config().flush_threshold
    }

    /// After [`Response::upgrade`](response::Response::upgrade) or
    /// [`Response::tunnel`](response::Response::tunnel): the bytes of the new protocol that were
    /// received already.
    ///
    /// # Errors
    /// Returns [`ErrorKind::InvalidInput`] if the protocol was not switched.
    pub fn take_unread(&mut self) -> io::Result<Vec<u8>> {
        if self.view.machine.states() != States::SWITCHED_PROTOCOL {
            return Err(io::Error::new(ErrorKind::InvalidInput, "the protocol was not switched"));
        }
        let first = self.view.inbox.unread().to_vec();
        self.view.inbox.consume(first.len());
        Ok(first)
    }
}

/// The time for the Date of the response that is made now.
fn set_date(outbox: &mut Outbox) {
    outbox.set_date(os::now());
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// The misuse of each call, after `head`.
    fn misuses(head: &str) -> Vec<Option<Misuse>> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let mut results = Vec::new();
        let seen = fixture::respond(head.as_bytes(), |exchange| {
            results.push(exchange.end().err());
            results.push(exchange.append_body(b"x").err());
            results.push(exchange.begin_file(&file, 0, 3).err());
            results.push(exchange.respond(200).sized_body(5).err());
            results.push(exchange.append_body(b"ab").err());
            results.push(exchange.append_body(b"abcd").err());
            results.push(exchange.begin_file(&file, 0, 4).err());
            results.push(exchange.begin_file(&file, 0, 3).err());
            results.push(exchange.append_body(b"x").err());
            results.push(exchange.begin_file(&file, 0, 3).err());
            results.push(exchange.end().err());
            results.push(exchange.end_with(&[("X-Sum", b"1")]).err());
        });
        assert_eq!((seen.errors, seen.aborted), (vec![], false));
        assert!(seen.sent.ends_with(if head.starts_with('G') { "ab012" } else { "\r\n\r\n" }));
        let misuse = |error: io::Error| error.get_ref()?.downcast_ref::<Misuse>().copied();
        results.into_iter().map(|error| error.and_then(misuse)).collect()
    }

    #[test]
    fn a_response_without_an_ending_is_named_as_the_reason() {
        let get = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
        let silent = "/x: the handler sent no response";
        let dropped = fixture::respond(get, |exchange| drop(exchange.respond(200)));
        let ignored = fixture::respond(get, |exchange| {
            assert!(exchange.respond(200).header("X Y", "").body("").is_err());
        });
        for seen in [dropped, ignored] {
            assert!(seen.sent.starts_with("HTTP/1.1 500 "), "{}", seen.sent);
            assert!(seen.errors[0].starts_with(&format!("{silent}: ")), "{:?}", seen.errors);
        }
        assert_eq!(fixture::respond(get, |_| {}).errors, [silent]);
    }

    #[test]
    fn rfc_9110_9_3_2_a_handler_for_get_responds_to_head_and_may_end_twice() {
        let get = misuses("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let (early, late) = (Some(Misuse::ResponseNotBegun), Some(Misuse::ResponseComplete));
        let long = Some(Misuse::BodyTooLong);
        let expected = [early, early, early, None, None, long, long, None, late, late, None, None];
        assert_eq!(get, expected);
        assert_eq!(misuses("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"), expected);
    }
}
