//! After the handler: every request gets a whole answer or a visible cut, and a line in the log.

use std::any::Any;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use doorstep_core::http1::{Connection, Outbox, Reject, ResponseDue, rejected_request_line};
use doorstep_core::log::Record;

use super::{Turn, set_date};
use crate::exchange::response::Told;

/// What came of a handler, other than success.
struct Trouble {
    /// Its error says that a peer went away.
    departed: bool,
    words: Option<String>,
}

/// For drivers: after the handler, every request gets a whole answer or a visible cut.
impl Turn<'_> {
    /// Completes what the handler left open; `outcome` is what it returned, or its panic. The
    /// finished record goes to `log`.
    pub fn conclude(
        &mut self,
        outcome: Result<io::Result<()>, Box<dyn Any + Send>>,
        log: impl FnOnce(&Record<'_>),
    ) {
        let owed = self.connection.response_due();
        let gone = self.told.lost; // whatever the handler made of that
        let lost = gone && !self.outbox.is_empty();
        let mut cut = matches!(owed, Some(ResponseDue::Bytes(_) | ResponseDue::Stream))
            || lost
            || self.told.cut;
        let trouble = self.trouble(outcome);
        match owed {
            Some(ResponseDue::Head) if gone => {
                self.reject.get_or_insert(Reject::Truncated);
                self.answer_for_handler();
                self.told.bytes = 0;
                self.outbox.clear();
                self.connection.abort();
                cut = true;
            }
            Some(ResponseDue::Head) => self.answer_for_handler(),
            Some(_) => self.connection.abort(),
            None if lost => self.connection.abort(),
            None => {}
        }
        if lost || cut && trouble.departed {
            self.outbox.clear(); // nobody is there to take it
        }
        if let Some(words) = trouble.words {
            self.note(words);
        }
        log(&Record {
            remote_addr: self.peer.ip(),
            request_line: self.head.request_line(),
            status: self.told.status,
            body_bytes_sent: (self.told.bytes > 0).then_some(self.told.bytes),
            aborted: cut,
            error_message: self.told.error.as_deref(),
        });
    }

    /// What is to be noted beside the access line. A client that left within an exchange is the
    /// mark on that line and nothing more (B-289); one that was cut off since it was too slow is
    /// told.
    fn trouble(&self, outcome: Result<io::Result<()>, Box<dyn Any + Send>>) -> Trouble {
        let departed = matches!(&outcome, Ok(Err(error)) if is_departure(error));
        let words = match outcome {
            Ok(Ok(())) => None,
            // The 408 says it; not why the client had less time than usual.
            Ok(Err(error)) if departed && self.reject.is_some() && error.get_ref().is_none() => {
                None
            }
            Ok(Err(_)) if self.reject == Some(Reject::Truncated) => None, // the 400 says it
            Ok(Err(error)) if departed && self.told.lost && error.kind() != ErrorKind::TimedOut => {
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
        Trouble { departed, words }
    }

    /// The handler gave no answer: the peer's fault is refused, ours is a 500.
    fn answer_for_handler(&mut self) {
        let Some(reject) = self.reject else {
            if self.respond(500).page("").is_err() {
                self.connection.abort();
            }
            return;
        };
        let mut phrase = Vec::new();
        reject.write_reason(self.head.request_line(), &mut phrase);
        set_date(self.outbox);
        let bytes = self.connection.refuse(reject, self.head.request_line(), self.outbox) as u64;
        let lost = self.told.lost;
        self.told = Told { status: reject.status(), bytes, error: Some(phrase), lost, cut: false };
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
    let bytes = connection.refuse(reject, unread, outbox) as u64;
    let mut phrase = Vec::new();
    reject.write_reason(line, &mut phrase);
    log(&Record {
        remote_addr: peer.ip(),
        request_line: line,
        status: reject.status(),
        body_bytes_sent: (bytes > 0).then_some(bytes),
        aborted: false,
        error_message: Some(&phrase),
    });
}

/// Whether an error says no more than that the peer went away (B-289).
#[must_use]
pub fn is_departure(error: &io::Error) -> bool {
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
