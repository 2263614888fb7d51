//! One connection, from its first byte to its last.
//!
//! [`Session::step`] never waits, and does nothing to the socket but setting options and closing
//! its halves. It returns what the front end has to do next ([`Step`]), and the front end reports
//! the result. A front end's loop is these lines, with or without `.await`:
//!
//! ```text
//! loop {
//!     match session.step(&mut inbox, &mut outbox) {
//!         Step::Handle(head) => {
//!             let mut exchange = session.exchange(head, &mut inbox, &mut outbox);
//!             let handled = respond to the request;
//!             let position = exchange.finish(Ok(handled));
//!             inbox.rejoin(position);
//!         }
//!         Step::Flush => {
//!             let flushed = socket.flush(&mut outbox);
//!             session.flushed(&inbox, &mut outbox, flushed)?;
//!         }
//!         Step::Fill(waiting) => {
//!             let filled = socket.fill(&mut inbox, waiting);
//!             session.filled(&inbox, &mut outbox, filled)?;
//!         }
//!         Step::Discard => session.discarded(socket.discard()),
//!         Step::Close | Step::Upgraded => return,
//!     }
//! }
//! ```
//!
//! It flushes only before it waits, so the responses to pipelined requests are sent by one write.
//! It decides about keep-alive, the 408 of a slow request, lingering (RFC 9112 §9.6), and whether
//! the connection is closed by FIN or by RST.

use std::any::Any;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Instant;

use doorstep_core::forwarded;
use doorstep_core::http1::{
    Connection, Event, HeadOffsets, Inbox, Outbox, Reject, SentResponse, Storage, WaitingFor,
    rejected_request_line,
};
use doorstep_core::log::Ending;

use super::finish::{describe_connection_error, ending_by, is_disconnect};
use super::unsent_records::{Request, UnsentRecord, UnsentRecords};
use super::{Context, ExchangeState, Identity, before_handler, set_date};
use crate::config::Config;
use crate::connections::ConnectionHandle;
use crate::observer::{Observer, notify_observer};
use crate::request_number::RequestNumber;

/// The state of one connection, and the decisions about it.
pub struct Session<'c> {
    machine: Connection,
    pub(super) context: Context<'c>,
    /// What is to be logged when the outbox was sent.
    records: UnsentRecords,
    /// Close after one response, whatever the client asks for.
    once: bool,
    /// A request that waits for the responses before it to be sent.
    request: Option<HeadOffsets>,
    /// What the connection waits for.
    waiting: WaitingFor,
    closing: Closing,
    /// What trusted proxies report about the client of the next request.
    pub(super) client: Option<forwarded::Client>,
    /// How many bytes may still be discarded after the last response.
    linger_left: u64,
}

/// How far the end of the connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    No,
    /// The last response is still to be flushed.
    Flush,
    /// The peer may still be sending.
    Discard,
    Done,
}

/// What the front end has to do next.
pub enum Step {
    /// Call the application's handler with [`Session::exchange`], then
    /// [`ExchangeState::finish`], and give what that returns to [`Inbox::rejoin`].
    Handle(HeadOffsets),
    /// Send everything that is in the outbox; then call [`Session::flushed`].
    Flush,
    /// Wait until the peer has sent something, and read it into the inbox; then call
    /// [`Session::filled`].
    Fill(WaitingFor),
    /// Wait until the peer has sent something, read it and discard it; then call
    /// [`Session::discarded`].
    Discard,
    /// Close the socket.
    Close,
    /// The handler has the socket, for another protocol.
    Upgraded,
}

impl<'c> Session<'c> {
    /// The session of a connection that was accepted just now, or has been idle. With `once` it is
    /// closed after one response.
    #[must_use]
    pub fn new(
        config: &'c Config,
        connection: &'c Arc<ConnectionHandle>,
        observer: &'c dyn Observer,
        once: bool,
    ) -> Self {
        Self {
            machine: config.connection(),
            context: Context::new(config, connection, observer),
            records: UnsentRecords::default(),
            once,
            request: None,
            waiting: WaitingFor::Request,
            closing: Closing::No,
            client: None,
            linger_left: config.max_linger_bytes,
        }
    }

    /// What to do next.
    pub fn step<S: Storage>(&mut self, inbox: &mut Inbox<S>, outbox: &mut Outbox) -> Step {
        if !before_handler::is_configured(self.context.config) {
            return self.next_step(inbox, outbox);
        }
        loop {
            match self.next_step(inbox, outbox) {
                Step::Handle(head) => {
                    if let Some(head) = self.admit(head, inbox, outbox) {
                        return Step::Handle(head);
                    }
                }
                step => return step,
            }
        }
    }

    fn next_step<S: Storage>(&mut self, inbox: &mut Inbox<S>, outbox: &mut Outbox) -> Step {
        if let Some(head) = self.request.take() {
            return Step::Handle(head);
        }
        while self.closing == Closing::No {
            if self.once || self.context.connection.should_close() {
                self.machine.disable_keep_alive();
            }
            match self.machine.next(inbox) {
                Ok(Event::Request(head)) => {
                    let head = head.offsets();
                    let room = self.machine.body_buffer_hint();
                    // The heads of unsent responses cannot be moved to make room for the body.
                    let has_room = self.records.is_empty() || inbox.reserve(room);
                    if outbox.len() <= self.context.config.flush_threshold && has_room {
                        return Step::Handle(head);
                    }
                    self.request = Some(head);
                    return self.flush();
                }
                Ok(Event::NeedData) if !outbox.is_empty() => return self.flush(),
                Ok(Event::NeedData) => {
                    self.records.confirm(); // the connection goes on
                    self.waiting = self.machine.waiting_for(outbox);
                    return Step::Fill(self.waiting);
                }
                Ok(Event::Body(_) | Event::End(_)) => {} // the handler did not read all of it
                // Never: `finish` completes every response.
                Ok(Event::ResponseDue(_)) => self.machine.abort(),
                Ok(Event::SwitchedProtocol) if !outbox.is_empty() => return self.flush(),
                Ok(Event::SwitchedProtocol) => return Step::Upgraded,
                Ok(Event::Closed) => self.closing = Closing::Flush,
                Err(reject) => self.refuse(reject, inbox, outbox),
            }
        }
        self.close(inbox, outbox)
    }

    /// Reports the result of [`Step::Flush`]. The responses that were in the outbox are logged when it
    /// is empty, or now as aborted.
    ///
    /// # Errors
    /// Returns the error, unless the client has disconnected during a response, which is logged
    /// (B-289).
    pub fn flushed<S: Storage>(
        &mut self,
        inbox: &Inbox<S>,
        outbox: &mut Outbox,
        result: io::Result<()>,
    ) -> io::Result<()> {
        let Err(error) = result else {
            if outbox.is_empty() {
                self.records.log_sent(inbox.buffered(), &self.context);
            }
            return Ok(());
        };
        let ending = ending_by(&error, self.context.connection);
        let total_sent = outbox.total_sent();
        let cut = self.records.log_lost(inbox.buffered(), &self.context, total_sent, ending);
        outbox.clear();
        (self.closing, self.request) = (Closing::Done, None);
        if cut && is_disconnect(&error) && error.kind() != ErrorKind::TimedOut {
            return Ok(());
        }
        Err(error)
    }

    /// Reports the result of [`Step::Fill`]: the number of bytes, 0 for the end of input.
    ///
    /// # Errors
    /// Returns the error if it ends the connection in the middle of a request.
    pub fn filled<S: Storage>(
        &mut self,
        inbox: &Inbox<S>,
        outbox: &mut Outbox,
        result: io::Result<usize>,
    ) -> io::Result<()> {
        let stream = self.context.connection.stream();
        let Err(error) = result else {
            if stream.is_plain_on_tls() && self.closing == Closing::No {
                self.refuse(Reject::PlainHttpOnTls, inbox, outbox);
            }
            return Ok(());
        };
        match self.waiting {
            WaitingFor::Request if is_proxy_header_error(&error, self.context.connection) => {
                return Err(error);
            }
            // Nothing is lost, but a handshake that fails is noted.
            WaitingFor::Request
                if stream.is_handshaking() && !self.context.connection.should_close() =>
            {
                return Err(error);
            }
            WaitingFor::Request => self.closing = Closing::Flush,
            WaitingFor::Head | WaitingFor::Body | WaitingFor::BodyOrResponse
                if error.kind() == ErrorKind::TimedOut =>
            {
                self.refuse(Reject::RequestTimeout, inbox, outbox);
                if self.context.connection.is_evicted() {
                    log_connection_error(self.context.observer, self.context.connection, &error);
                }
            }
            _ if error.kind() == ErrorKind::TimedOut => self.closing = Closing::Flush,
            _ => return Err(error),
        }
        Ok(())
    }

    /// Reports the result of [`Step::Discard`]: the number of bytes, 0 for the end of input.
    pub fn discarded(&mut self, result: io::Result<usize>) {
        if result.as_ref().is_err_and(|error| error.kind() != ErrorKind::TimedOut) {
            self.records.refute();
        }
        let n = result.unwrap_or(0) as u64;
        self.linger_left = self.linger_left.saturating_sub(n);
        if n == 0 || self.linger_left == 0 {
            self.closing = Closing::Done;
            self.records.confirm();
        }
    }

    /// The request of [`Step::Handle`], for the handler; the bytes of its head and body stay in the
    /// inbox.
    pub fn exchange<'x, S: Storage>(
        &'x mut self,
        head: HeadOffsets,
        inbox: &'x mut Inbox<S>,
        outbox: &'x mut Outbox,
    ) -> ExchangeState<'x> {
        let room = self.machine.body_buffer_hint();
        let pinned = match self.records.is_empty() && !inbox.reserve(room) {
            true => head.size(), // which moves to the beginning
            // With the heads before this one, whose responses may not have been logged.
            false => inbox.buffered().len() - inbox.unread().len(),
        };
        let (buffered, rest) = inbox.split(pinned, room);
        let head = head.view(&buffered[buffered.len().saturating_sub(head.size())..]);
        let Self { machine, records, context, client, .. } = self;
        let mut state =
            ExchangeState::new(head, buffered, records, rest, outbox, machine, *context);
        state.view.client = client.take();
        state
    }

    fn flush(&self) -> Step {
        self.context.connection.set_reset_on_close(self.machine.is_close_delimited());
        Step::Flush
    }

    /// Refuses a request whose head is invalid, incomplete or too large.
    fn refuse<S: Storage>(&mut self, reject: Reject, inbox: &Inbox<S>, outbox: &mut Outbox) {
        set_date(outbox);
        let unread = inbox.unread();
        let page = self.machine.refuse(reject, unread, outbox);
        let line = rejected_request_line(reject, unread);
        self.records.push(UnsentRecord {
            request: Request::Rejected(reject),
            head_offset: inbox.buffered().len() - unread.len(),
            sent: SentResponse::refused(reject, line, page),
            received: 0,
            ending: Ending::Complete,
            end: outbox.total_sent() + outbox.len() as u64,
            started: self.context.timing.then(Instant::now),
            request_id: self.context.request_ids.then(RequestNumber::next),
            identity: Identity::default(),
            client: None,
            watched: None,
        });
    }

    /// The end of the connection (RFC 9112 §9.6): flush, then a reset if the response would look
    /// complete otherwise; else FIN, after which input is discarded for a while, so that a reset
    /// cannot destroy the response on its way (B-288).
    fn close<S: Storage>(&mut self, inbox: &Inbox<S>, outbox: &Outbox) -> Step {
        match self.closing {
            Closing::Flush if !outbox.is_empty() => self.flush(),
            Closing::Flush => {
                let resets = self.machine.should_reset();
                self.context.connection.set_reset_on_close(resets);
                let lingers = self.machine.should_linger()
                    || !inbox.unread().is_empty()
                    || self.records.is_unconfirmed();
                let stream = self.context.connection.stream();
                if resets || !lingers || stream.shutdown(Shutdown::Write).is_err() {
                    self.records.refute();
                    self.closing = Closing::Done;
                    return Step::Close;
                }
                self.closing = Closing::Discard;
                self.close(inbox, outbox)
            }
            Closing::Discard if self.linger_left > 0 => Step::Discard,
            Closing::No | Closing::Discard | Closing::Done => Step::Close,
        }
    }
}

/// Whether a connection has ended before its PROXY protocol header was complete, other than by being
/// closed before the first byte or reset: proxies check so whether a server is there.
fn is_proxy_header_error(error: &io::Error, connection: &ConnectionHandle) -> bool {
    let is_fault = matches!(
        error.kind(),
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof | ErrorKind::TimedOut
    );
    is_fault && connection.stream().awaits_proxy_header()
}

/// The result of a handler, or the panic that ended it.
pub type HandlerResult = Result<io::Result<()>, Box<dyn Any + Send>>;

/// Logs why a connection has ended in the middle of a request or of a response: `client
/// disconnected`, `connection timed out`, or another error.
pub fn log_connection_error(
    observer: &dyn Observer,
    connection: &ConnectionHandle,
    error: &io::Error,
) {
    let (peer, message) = (connection.peer().ip(), describe_connection_error(error));
    notify_observer(|| observer.on_error(peer, &message));
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
