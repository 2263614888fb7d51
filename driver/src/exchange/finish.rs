//! After the handler: every request gets a whole answer or a visible cut, and a line in the log.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use doorstep_core::http1::{
    Connection, Outbox, Position, Reject, ResponseDue, SentResponse, rejected_request_line,
};
use doorstep_core::log::Record;

use super::{ExchangeState, Outcome, set_date};

/// What came of a handler, other than success.
struct HandlerFailure {
    /// Its error says that a peer went away.
    disconnected: bool,
    message: Option<String>,
}

impl ExchangeState<'_> {
    /// Completes the response that the handler left incomplete, and logs it. Returns where the next
    /// request begins in the inbox.
    pub fn finish(mut self, outcome: Outcome) -> Position {
        self.complete(outcome);
        self.view.connection.exchange_done();
        self.view.inbox.consume(self.view.pending);
        self.view.inbox.position()
    }

    pub(crate) fn complete(&mut self, outcome: Outcome) {
        let owed = self.view.machine.response_due();
        let gone = self.view.disconnected; // whatever the handler made of that
        let lost = gone && !self.view.outbox.is_empty();
        let mut cut = matches!(owed, Some(ResponseDue::Bytes(_) | ResponseDue::Stream))
            || lost
            || self.view.aborted;
        let trouble = self.handler_failure(outcome);
        match owed {
            Some(ResponseDue::Head) if gone => {
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
        if lost || cut && trouble.disconnected {
            self.view.outbox.clear(); // nobody is there to take it
        }
        if let Some(words) = trouble.message {
            self.log_error(words);
        }
        self.view.observer.log(&Record {
            remote_addr: self.peer_addr().ip(),
            request_line: self.view.head.request_line(),
            status: self.view.sent.status,
            body_bytes_sent: (self.view.sent.body_bytes > 0).then_some(self.view.sent.body_bytes),
            aborted: cut,
            error_message: self.view.sent.error_reason.as_deref(),
        });
    }

    /// What is to be noted beside the access line. A client that left within an exchange is the
    /// mark on that line and nothing more (B-289); one that was cut off since it was too slow is
    /// told.
    fn handler_failure(&self, outcome: Outcome) -> HandlerFailure {
        let departed = matches!(&outcome, Ok(Err(error)) if is_disconnect(error));
        let words = match outcome {
            Ok(Ok(())) => None,
            // The 408 says it; not why the client had less time than usual.
            Ok(Err(error))
                if departed && self.view.reject.is_some() && error.get_ref().is_none() =>
            {
                None
            }
            Ok(Err(_)) if self.view.reject == Some(Reject::Truncated) => None, // the 400 says it
            Ok(Err(error))
                if departed && self.view.disconnected && error.kind() != ErrorKind::TimedOut =>
            {
                None
            }
            Ok(Err(error)) if departed => Some(format!("connection lost: {error}")),
            Ok(Err(error)) => Some(error.to_string()),
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().copied();
                let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
                Some(format!("the handler panicked: {}", text.unwrap_or("no message")))
            }
        };
        HandlerFailure { disconnected: departed, message: words }
    }

    /// The handler gave no answer: the peer's fault is refused, ours is a 500.
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

/// Refuses what never became a request, and logs it. `unread` are the bytes it was found in.
pub fn refuse(
    connection: &mut Connection,
    reject: Reject,
    unread: &[u8],
    outbox: &mut Outbox,
    peer: SocketAddr,
    log: impl FnOnce(&Record<'_>),
) {
    set_date(outbox);
    let line = rejected_request_line(reject, unread);
    let page = connection.refuse(reject, unread, outbox);
    let sent = SentResponse::refused(reject, line, page);
    log(&Record {
        remote_addr: peer.ip(),
        request_line: line,
        status: sent.status,
        body_bytes_sent: (sent.body_bytes > 0).then_some(sent.body_bytes),
        aborted: false,
        error_message: sent.error_reason.as_deref(),
    });
}

/// Whether an error says no more than that the peer went away (B-289).
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
