//! After the handler: every request gets a complete response or one that is visibly aborted, and a
//! line in the access log.

use std::io::{self, ErrorKind};

use doorstep_core::http1::{
    Connection, Outbox, Position, Reject, ResponseDue, SentResponse, rejected_request_line,
};
use doorstep_core::log::Record;

use super::{Context, ExchangeState, Outcome, set_date};

/// How a handler has failed, if it has.
struct HandlerFailure {
    /// Its error is that of a connection that was lost.
    disconnected: bool,
    message: Option<String>,
}

impl ExchangeState<'_> {
    /// Completes the response that the handler left incomplete, and logs it. Returns where the next
    /// request begins in the inbox.
    pub fn finish(mut self, outcome: Outcome) -> Position {
        self.complete(outcome);
        self.connection().exchange_done();
        self.view.inbox.consume(self.view.pending);
        self.view.inbox.position()
    }

    pub(crate) fn complete(&mut self, outcome: Outcome) {
        let owed = self.view.machine.response_due();
        let disconnected = self.view.disconnected; // even if the handler has ignored the error
        let lost = disconnected && !self.view.outbox.is_empty();
        let mut cut = matches!(owed, Some(ResponseDue::Bytes(_) | ResponseDue::Stream))
            || lost
            || self.view.aborted;
        let failure = self.handler_failure(outcome);
        match owed {
            Some(ResponseDue::Head) if disconnected => {
                self.view.reject.get_or_insert(Reject::Truncated);
                self.respond_for_handler();
                self.view.sent.body_bytes = 0;
                self.view.outbox.clear();
                self.view.machine.abort();
                cut = true;
            }
            Some(ResponseDue::Head) => self.respond_for_handler(),
            Some(_) => self.view.machine.abort(),
            None if lost => self.view.machine.abort(),
            None => {}
        }
        if lost || cut && failure.disconnected {
            self.view.outbox.clear(); // it cannot be sent
        }
        if let Some(message) = failure.message {
            self.log_error(message);
        }
        self.view.context.observer.log(&Record {
            remote_addr: self.peer_addr().ip(),
            request_line: self.view.head.request_line(),
            status: self.view.sent.status,
            body_bytes_sent: (self.view.sent.body_bytes > 0).then_some(self.view.sent.body_bytes),
            aborted: cut,
            error_message: self.view.sent.error_reason.as_deref(),
            head: Some(&self.view.head),
        });
    }

    /// The message to log besides the line of the access log. There is none if the client has
    /// disconnected during the exchange, which that line shows (B-289). If the connection has timed
    /// out, there is one.
    fn handler_failure(&self, outcome: Outcome) -> HandlerFailure {
        let disconnected = matches!(&outcome, Ok(Err(error)) if is_disconnect(error));
        let message = match outcome {
            Ok(Ok(())) => None,
            // The 408 shows it, but not why the client had less time than usual.
            Ok(Err(error))
                if disconnected && self.view.reject.is_some() && error.get_ref().is_none() =>
            {
                None
            }
            Ok(Err(_)) if self.view.reject == Some(Reject::Truncated) => None, // the 400 shows it
            Ok(Err(error))
                if disconnected
                    && self.view.disconnected
                    && error.kind() != ErrorKind::TimedOut =>
            {
                None
            }
            Ok(Err(error)) if disconnected => Some(describe_connection_error(&error)),
            Ok(Err(error)) => Some(error.to_string()),
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().copied();
                let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
                Some(format!("the handler panicked: {}", text.unwrap_or("no message")))
            }
        };
        HandlerFailure { disconnected, message }
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
        self.view.sent = SentResponse::refused(reject, line, page);
    }
}

/// Refuses a request whose head is invalid, incomplete or too large, and logs it. `unread` are the
/// bytes that were received of it.
pub(super) fn refuse(
    machine: &mut Connection,
    reject: Reject,
    unread: &[u8],
    outbox: &mut Outbox,
    context: &Context<'_>,
) {
    set_date(outbox);
    let line = rejected_request_line(reject, unread);
    let page = machine.refuse(reject, unread, outbox);
    let sent = SentResponse::refused(reject, line, page);
    context.observer.log(&Record {
        remote_addr: context.connection.peer().ip(),
        request_line: line,
        status: sent.status,
        body_bytes_sent: (sent.body_bytes > 0).then_some(sent.body_bytes),
        aborted: false,
        error_message: sent.error_reason.as_deref(),
        head: None,
    });
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
        _ if is_disconnect(error) => format!("client disconnected: {error}"),
        _ => format!("connection failed: {error}"),
    }
}
