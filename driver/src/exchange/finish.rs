//! After the handler: every request gets a complete response or one that is visibly aborted, a
//! record for the access log, and a message if the handler is at fault.

use std::any::Any;
use std::io::{self, ErrorKind};

use doorstep_core::http1::state::States;
use doorstep_core::http1::{Position, Reject, ResponseDue, SentResponse};
use doorstep_core::log::{self, Ending};

use super::unsent_records::{Request, UnsentRecord};
use super::{ExchangeState, HandlerResult, set_date};
use crate::connections::ConnectionHandle;
use crate::net::{CutStream, PeerState};
use crate::os;

/// The length in bytes up to which a path is quoted in a message.
const MAX_QUOTED_PATH: usize = 256;

impl ExchangeState<'_> {
    /// Completes the response that the handler left incomplete, and logs it, or has it logged as
    /// soon as it was sent ([`Session::flushed`](super::Session::flushed)). Returns where the next
    /// request begins in the inbox.
    pub fn finish(mut self, outcome: HandlerResult) -> Position {
        self.finish_in_place(outcome)
    }

    /// As [`ExchangeState::finish`], for a front end on whose stack an exchange must not be moved: it is
    /// several hundred bytes long. Nothing else may be called after it.
    pub fn finish_in_place(&mut self, outcome: HandlerResult) -> Position {
        self.complete(outcome);
        self.view.outbox.clear_headers(); // if there was no response
        self.connection().exchange_done();
        self.view.inbox.consume(self.view.pending);
        self.view.inbox.position()
    }

    pub(crate) fn complete(&mut self, outcome: HandlerResult) {
        let due = self.view.machine.response_due();
        if let (Ok(Ok(())), Some(_)) = (&outcome, due) {
            // The handler may have stopped because the client has.
            self.view.progress.disconnected |=
                !self.view.progress.aborted && self.peer_state() == PeerState::Closed;
        }
        self.view.progress.disconnected |= self.reports_disconnect(&outcome);
        let disconnected = self.view.progress.disconnected; // even if the handler has ignored the error
        let is_incomplete = matches!(due, Some(ResponseDue::Bytes(_) | ResponseDue::Stream));
        let unsendable = disconnected || is_incomplete && self.is_client_connection_error(&outcome);
        let lost = unsendable && !self.view.outbox.is_empty();
        let is_cut =
            is_incomplete || lost || self.view.progress.aborted || due.is_some() && disconnected;
        if let Some(message) = self.handler_failure(outcome, due) {
            self.log_error(message);
        }
        let mut end = self.end_of_outbox();
        match due {
            Some(ResponseDue::Head) if disconnected => {
                self.view.reject.get_or_insert(Reject::Truncated);
                self.respond_for_handler();
                self.view.progress.sent.body_bytes = 0;
                self.view.machine.abort();
            }
            Some(ResponseDue::Head) => {
                self.respond_for_handler();
                end = self.end_of_outbox();
            }
            Some(_) => self.view.machine.abort(),
            None if lost => self.view.machine.abort(),
            None => {}
        }
        if !is_cut {
            self.plan_cut_at_end();
        }
        let ending = if is_cut { self.abort_ending() } else { Ending::Complete };
        self.log_when_sent(ending, end, unsendable);
    }

    /// Logs the response, which ends at `end` of what the outbox has sent and holds; if its last
    /// bytes are still to be sent, when they are.
    fn log_when_sent(&mut self, ending: Ending, end: u64, unsendable: bool) {
        let lost = self.abort_ending();
        let view = &mut self.view;
        view.records.push(UnsentRecord {
            request: Request::Head(view.head.offsets()),
            head_offset: view.buffered.len().saturating_sub(view.head.size()),
            sent: std::mem::take(&mut view.progress.sent),
            received: view.body_read,
            ending,
            end,
            started: view.started,
            request_id: view.request_id,
            identity: std::mem::take(&mut view.identity),
            client: view.client.map(|client| client.addr),
            watched: view.progress.watched.take(),
        });
        if unsendable {
            let total_sent = view.outbox.total_sent();
            view.records.log_lost(view.buffered, &view.context, total_sent, lost);
            view.outbox.clear();
        } else if view.outbox.is_empty() {
            view.records.log_sent(view.buffered, &view.context);
        }
    }

    /// The position behind the last byte of the outbox, among all that it has sent.
    fn end_of_outbox(&self) -> u64 {
        self.view.outbox.total_sent() + self.view.outbox.len() as u64
    }

    /// How the response ends if it is aborted.
    fn abort_ending(&self) -> Ending {
        match self.view.reject {
            _ if is_cut_on_purpose(self.connection()) => Ending::CutOnPurpose,
            _ if self.view.progress.timed_out => Ending::TimedOut,
            _ if self.connection().is_aborted() => Ending::Aborted,
            _ if self.view.progress.disconnected => Ending::ClientDisconnected,
            Some(Reject::Truncated) => Ending::ClientDisconnected,
            _ => Ending::Aborted,
        }
    }

    /// Whether the handler has returned [`ErrorKind::ConnectionAborted`] since its client has
    /// disconnected, or has closed its half of the connection long ago. An error of the system is one
    /// of another connection.
    fn reports_disconnect(&self, outcome: &HandlerResult) -> bool {
        matches!(outcome, Ok(Err(error)) if error.kind() == ErrorKind::ConnectionAborted
            && error.get_ref().is_none()
            && error.raw_os_error().is_none())
            && self.peer_state() != PeerState::Open
    }

    /// Whether the handler has returned the error of a connection that was lost, and it is that of
    /// its client: it may have other connections, whose errors look the same.
    fn is_client_connection_error(&self, outcome: &HandlerResult) -> bool {
        matches!(outcome, Ok(Err(error)) if is_disconnect(error))
            && (self.view.progress.disconnected
                || self.view.reject.is_some()
                || self.view.machine.states() == States::SWITCHED_PROTOCOL)
    }

    /// The message to log besides the line of the access log. There is none if the client has
    /// disconnected during the exchange, which that line shows (B-289). If the connection has timed
    /// out, there is one.
    fn handler_failure(&self, outcome: HandlerResult, due: Option<ResponseDue>) -> Option<String> {
        let is_connection_error = self.is_client_connection_error(&outcome);
        match outcome {
            Ok(Ok(())) => self.incomplete_response(due).map(|message| self.with_path(&message)),
            // The 408 shows it, but not why the client had less time than usual.
            Ok(Err(error))
                if is_connection_error
                    && self.view.reject.is_some()
                    && error.get_ref().is_none() =>
            {
                None
            }
            Ok(Err(_)) if self.view.reject == Some(Reject::Truncated) => None, // the 400 shows it
            // The response shows it, a 413 for example, if there is none of the handler.
            Ok(Err(error)) if due == Some(ResponseDue::Head) && is_reject(&error) => None,
            Ok(Err(error))
                if is_connection_error
                    && self.view.progress.disconnected
                    && error.kind() != ErrorKind::TimedOut =>
            {
                None
            }
            Ok(Err(error)) if is_connection_error => Some(describe_connection_error(&error)),
            Ok(Err(error)) => Some(self.with_path(&os::describe_error(&error))),
            Err(panic) => Some(self.with_path(&describe_panic(&*panic))),
        }
    }

    /// What a handler has forgotten that has returned without an error; `None` if the client is the
    /// cause, or if the response was aborted on purpose.
    fn incomplete_response(&self, due: Option<ResponseDue>) -> Option<String> {
        if self.view.progress.disconnected
            || self.view.progress.aborted
            || self.view.reject.is_some()
        {
            return None;
        }
        Some(match due? {
            ResponseDue::Head if self.view.response_made => {
                "the handler sent no response: it has dropped a `Response` without an ending, or \
                 ignored the error of one"
                    .into()
            }
            ResponseDue::Head => "the handler sent no response".into(),
            ResponseDue::Bytes(left) => {
                let sent = self.view.progress.sent.body_bytes;
                let announced = sent.saturating_add(left);
                format!("the handler sent {sent} of the {announced} bytes that it announced")
            }
            ResponseDue::Stream => "the handler did not end its streamed response".into(),
        })
    }

    /// A message with the path of the request.
    pub(crate) fn with_path(&self, message: &str) -> String {
        let head = &self.view.head;
        let path = [head.prefix(), head.path()].concat();
        let mut quoted = Vec::new();
        log::escape(&mut quoted, path.get(..MAX_QUOTED_PATH).unwrap_or(&path));
        let ellipsis = if path.len() > MAX_QUOTED_PATH { "…" } else { "" };
        format!("{}{ellipsis}: {message}", String::from_utf8_lossy(&quoted))
    }

    /// Responds for a handler that has not: by the status of the client's fault, if there is one,
    /// or by a 500.
    fn respond_for_handler(&mut self) {
        let Some(reject) = self.view.reject else {
            if self.respond(500).error_page("").is_err() {
                self.view.machine.abort();
            }
            return;
        };
        let line = self.view.head.request_line();
        set_date(self.view.outbox);
        let page = self.view.machine.refuse(reject, line, self.view.outbox);
        self.view.progress.sent = SentResponse::refused(reject, line, page);
    }
}

/// Whether an error is that of a request's body that violates a rule or a limit.
fn is_reject(error: &io::Error) -> bool {
    matches!(error.get_ref(), Some(inner) if inner.is::<Reject>())
}

/// How a response ends that could not be sent because of `error`.
pub(super) fn ending_by(error: &io::Error, connection: &ConnectionHandle) -> Ending {
    match error.kind() {
        _ if is_cut_on_purpose(connection) => Ending::CutOnPurpose,
        ErrorKind::TimedOut => Ending::TimedOut,
        _ if connection.is_aborted() || !is_disconnect(error) => Ending::Aborted,
        _ => Ending::ClientDisconnected,
    }
}

/// Whether a response of the connection was cut on purpose, after which it sends nothing more.
fn is_cut_on_purpose(connection: &ConnectionHandle) -> bool {
    connection.stream().cut_stream().is_some_and(CutStream::is_cut)
}

/// Whether an error means that the connection was lost: closed, reset or timed out (B-289).
#[must_use]
pub fn is_disconnect(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::NotConnected
            | ErrorKind::TimedOut
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
    )
}

/// The words of the log for an error that has ended a connection.
pub(super) fn describe_connection_error(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::TimedOut => match error.get_ref() {
            Some(reason) => format!("connection timed out: {reason}"),
            None => "connection timed out".into(),
        },
        _ if is_disconnect(error) => format!("client disconnected: {}", os::describe_error(error)),
        _ => format!("connection failed: {}", os::describe_error(error)),
    }
}

/// The words of the log for a handler that has panicked.
fn describe_panic(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the handler panicked: {}", text.unwrap_or("no message"))
}
