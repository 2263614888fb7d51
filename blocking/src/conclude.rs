//! After the handler: every request gets a whole answer or a visible cut, and a log line.

use std::any::Any;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use doorstep_core::http1::{Connection, Outbox, Owed, Reject, refused_line};
use doorstep_core::log::Record;

use crate::exchange::Exchange;
use crate::handler::Handler;
use crate::host;

/// How a handler ended.
pub(crate) enum Outcome {
    Returned(io::Result<()>),
    Panicked(Box<dyn Any + Send>),
}

impl Outcome {
    pub(crate) fn of(handle: impl FnOnce() -> io::Result<()>) -> Self {
        match catch_unwind(AssertUnwindSafe(handle)) {
            Ok(returned) => Self::Returned(returned),
            Err(panic) => Self::Panicked(panic),
        }
    }

    fn trouble(&self) -> Option<String> {
        match self {
            Self::Returned(Ok(())) => None,
            Self::Returned(Err(error)) => Some(error.to_string()),
            Self::Panicked(panic) => {
                let text = panic.downcast_ref::<&str>().copied();
                let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
                Some(format!("the handler panicked: {}", text.unwrap_or("no message")))
            }
        }
    }
}

/// Completes what the handler left open and writes the log.
pub(crate) fn conclude<H: Handler>(handler: &H, x: &mut Exchange<'_>, outcome: &Outcome) {
    let trouble = outcome.trouble();
    let owed = x.connection.owed();
    let cut = matches!(owed, Some(Owed::Bytes(_) | Owed::Stream));
    match owed {
        Some(Owed::Answer) => answer_for(x),
        Some(_) => x.connection.lost(),
        None => {}
    }
    for word in [x.told.note.take(), trouble].into_iter().flatten() {
        handler.note(x.peer().ip(), &word);
    }
    handler.log(&Record {
        peer: x.peer().ip(),
        line: x.head().line(),
        status: x.told.status,
        bytes: (x.told.bytes > 0).then_some(x.told.bytes),
        cut,
        error: x.told.error.as_deref(),
    });
}

/// The handler gave no answer: the peer's fault is refused, ours is a 500.
fn answer_for(x: &mut Exchange<'_>) {
    match x.reject {
        Some(reject) => {
            let mut phrase = Vec::new();
            reject.phrase(x.head.line(), &mut phrase);
            x.told.bytes = x.connection.refuse(reject, x.head.line(), x.outbox) as u64;
            x.told.status = reject.status();
            x.told.error = Some(phrase);
        }
        None => {
            if x.respond(500).page("").is_err() {
                x.connection.lost();
            }
        }
    }
}

/// Refuses what never became a request, and logs it. `unread` are the bytes it was found in.
pub(crate) fn refuse<H: Handler>(
    handler: &H,
    connection: &mut Connection,
    reject: Reject,
    unread: &[u8],
    outbox: &mut Outbox,
    peer: SocketAddr,
) {
    outbox.clock(host::now().max(0).cast_unsigned());
    let line = refused_line(reject, unread);
    let bytes = connection.refuse(reject, unread, outbox) as u64;
    let mut phrase = Vec::new();
    reject.phrase(line, &mut phrase);
    handler.log(&Record {
        peer: peer.ip(),
        line,
        status: reject.status(),
        bytes: (bytes > 0).then_some(bytes),
        cut: false,
        error: Some(&phrase),
    });
}

/// Whether an error says no more than that the peer went away (B-289).
pub(crate) fn is_departure(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::NotConnected
            | ErrorKind::TimedOut
    )
}
