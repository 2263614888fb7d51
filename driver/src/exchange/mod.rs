//! One request and its answer, but for the waiting: what both drivers' exchanges have in common.
//!
//! A [`ExchangeState`] holds the head, the body's books and the note for the log. It never touches a socket:
//! what it answers goes to the outbox, and where bytes are needed it says so ([`BodyRead`]). Each
//! driver's `Exchange` is a exchange and a socket, and so it offers all that a exchange does.

mod finish;
mod reading;
pub mod response;

pub use finish::{is_disconnect, refuse};
pub use reading::BodyRead;

use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;

use doorstep_core::http1::state::States;
use doorstep_core::http1::{Connection, Head, Inbox, Mark, Misuse, Outbox, Owed, Reject};

use crate::config::FLUSH_THRESHOLD;
use crate::exchange::response::{Response, ResponseRecord};
use crate::os;

/// The longest part of a file that is copied behind its head, in bytes: there a second call costs
/// more than the copy.
const MAX_COPIED: u64 = 8 << 10;

/// Who takes words for the server's own log: `Handler::on_error`, with the peer.
pub type ErrorLog<'a> = &'a (dyn Fn(&str) + Sync);

/// Whether the connection is to close with this response: asked when it begins.
pub type ShouldClose<'a> = &'a (dyn Fn() -> bool + Sync);

/// A request, and the place for its answer.
pub struct ExchangeState<'a> {
    head: Head<'a>,
    peer: SocketAddr,
    /// Where words for the server's own log go.
    error_log: ErrorLog<'a>,
    should_close: ShouldClose<'a>,
    /// The machine.
    pub connection: &'a mut Connection,
    /// What was read of the body, and behind it.
    pub inbox: Inbox<&'a mut [u8]>,
    /// What is to be sent.
    pub outbox: &'a mut Outbox,
    /// What was answered.
    pub record: ResponseRecord,
    reject: Option<Reject>,
    /// Bytes at the front of the inbox that are body and were counted, but not yet read.
    pending: usize,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<'a> ExchangeState<'a> {
    /// Begins a exchange: `head` is pinned, `inbox` is what lies behind it.
    pub fn new(
        head: Head<'a>,
        connection: &'a mut Connection,
        inbox: Inbox<&'a mut [u8]>,
        outbox: &'a mut Outbox,
        peer: SocketAddr,
        notes: ErrorLog<'a>,
        is_last: ShouldClose<'a>,
    ) -> Self {
        let told = ResponseRecord::default();
        Self {
            head,
            peer,
            error_log: notes,
            should_close: is_last,
            connection,
            inbox,
            outbox,
            record: told,
            reject: None,
            pending: 0,
            trailers: Vec::new(),
        }
    }

    /// The same exchange as if `head` had been asked for, with no body. What it was [`ExchangeState::record`] is to
    /// be taken over from it.
    pub fn internal_redirect<'t>(&'t mut self, head: Head<'t>) -> ExchangeState<'t> {
        ExchangeState {
            head,
            peer: self.peer,
            error_log: self.error_log,
            should_close: self.should_close,
            connection: self.connection,
            inbox: Inbox::new(&mut []),
            outbox: self.outbox,
            record: ResponseRecord::default(),
            reject: None,
            pending: 0,
            trailers: Vec::new(),
        }
    }

    /// Ends it: where the inbox was left.
    #[must_use]
    pub fn into_position(mut self) -> Mark {
        self.inbox.consume(self.pending);
        self.inbox.mark()
    }

    /// The request's head.
    #[must_use]
    pub fn head(&self) -> Head<'a> {
        self.head
    }

    /// The client's address and port (B-301).
    #[must_use]
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// The trailer fields of a chunked body, name and value, once it was read to its end.
    #[must_use]
    pub fn trailers(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.trailers
    }

    /// Begins the answer. Its Date is this moment, however long ago the request came.
    pub fn respond(&mut self, status: u16) -> Response<'_> {
        if (self.should_close)() {
            self.connection.retire();
        }
        set_date(self.outbox);
        let sends_body = !self.head.is_head();
        let core = self.connection.respond(status, self.outbox);
        Response::new(core, status, sends_body, &mut self.record)
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
        self.connection.lost();
    }

    /// Whether the answer has begun.
    #[must_use]
    pub fn has_responded(&self) -> bool {
        self.connection.owed() != Some(Owed::Answer)
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
        Ok(self.connection.end_with(trailers, self.outbox)?)
    }

    /// The answer to a method that nobody handles: 501, as `http.server` words it (B-022).
    ///
    /// # Errors
    /// [`Misuse`] when there is an answer already.
    pub fn unsupported(&mut self) -> io::Result<()> {
        let method = String::from_utf8_lossy(self.head.method());
        let reason = format!("Unsupported method ('{method}')");
        self.respond(501).reason(&reason).page("")
    }

    /// Tells the server's own log something about this request; the client never sees it.
    pub fn log_error(&self, words: impl AsRef<str>) {
        (self.error_log)(words.as_ref());
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
            self.connection.send(data, self.outbox)?;
            self.record.bytes += data.len() as u64;
        }
        Ok(self.should_flush())
    }

    /// Before `count` bytes of a file: whether they go by in large pieces, which the driver sends
    /// and then tells [`ExchangeState::body_sent`]. A small part is read here, right behind its head.
    ///
    /// # Errors
    /// [`Misuse`]; those of the file, [`ErrorKind::UnexpectedEof`] when it has become shorter.
    pub fn begin_file(&mut self, file: &File, offset: u64, count: u64) -> io::Result<bool> {
        if self.omits_body() || count == 0 {
            return Ok(false);
        }
        match self.connection.owed() {
            Some(Owed::Bytes(owed)) if count <= owed => {}
            Some(Owed::Bytes(_)) => return Err(Misuse::TooMuch.into()),
            Some(Owed::Stream) => return Err(Misuse::WrongFraming.into()),
            _ => return Err(Misuse::NotOwed.into()),
        }
        if count > MAX_COPIED {
            return Ok(true);
        }
        let n = self.outbox.put(count as usize, |space| read_at(file, space, offset))? as u64;
        self.body_sent(n)?;
        if n < count { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(false) }
    }

    /// `n` promised bytes went by.
    ///
    /// # Errors
    /// [`Misuse`].
    pub fn body_sent(&mut self, n: u64) -> io::Result<()> {
        self.record.bytes += n;
        Ok(self.connection.passed(n)?)
    }

    /// Whether enough has gathered in the outbox to be sent.
    #[must_use]
    pub fn should_flush(&self) -> bool {
        self.outbox.len() > FLUSH_THRESHOLD
    }

    /// After a hand-over was answered: the first bytes of the new protocol.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when nothing was handed over.
    pub fn take_unread(&mut self) -> io::Result<Vec<u8>> {
        if self.connection.states() != States::SWITCHED {
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
    outbox.clock(os::now().max(0).cast_unsigned());
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
