//! One request and its answer, but for the waiting: what both drivers' exchanges have in common.
//!
//! A [`Turn`] holds the head, the body's books and the note for the log. It never touches a socket:
//! what it answers goes to the outbox, and where bytes are needed it says so ([`Reading`]). Each
//! driver's `Exchange` is a turn and a socket, and so it offers all that a turn does.

mod finish;
mod reading;
pub mod response;

pub use finish::{is_departure, refuse};
pub use reading::Reading;

use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;

use doorstep_core::http1::state::States;
use doorstep_core::http1::{
    Connection, Head, Inbox, Misuse, Outbox, Position, Reject, ResponseDue,
};

use crate::config::GATHER;
use crate::exchange::response::{Response, Told};
use crate::os;

/// The longest part of a file that is copied behind its head, in bytes: there a second call costs
/// more than the copy.
const COPIED: u64 = 8 << 10;

/// Who takes words for the server's own log: [`crate::Handler::note`], with the peer.
pub type Notes<'a> = &'a (dyn Fn(&str) + Sync);

/// Whether the connection is to close with this response: asked when it begins.
pub type IsLast<'a> = &'a (dyn Fn() -> bool + Sync);

/// A request, and the place for its answer.
pub struct Turn<'a> {
    head: Head<'a>,
    peer: SocketAddr,
    /// Where words for the server's own log go.
    notes: Notes<'a>,
    is_last: IsLast<'a>,
    /// The machine.
    pub connection: &'a mut Connection,
    /// What was read of the body, and behind it.
    pub inbox: Inbox<&'a mut [u8]>,
    /// What is to be sent.
    pub outbox: &'a mut Outbox,
    /// What was answered.
    pub told: Told,
    reject: Option<Reject>,
    /// Bytes at the front of the inbox that are body and were counted, but not yet read.
    pending: usize,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<'a> Turn<'a> {
    /// Begins a turn: `head` is pinned, `inbox` is what lies behind it.
    pub fn new(
        head: Head<'a>,
        connection: &'a mut Connection,
        inbox: Inbox<&'a mut [u8]>,
        outbox: &'a mut Outbox,
        peer: SocketAddr,
        notes: Notes<'a>,
        is_last: IsLast<'a>,
    ) -> Self {
        let told = Told::default();
        Self {
            head,
            peer,
            notes,
            is_last,
            connection,
            inbox,
            outbox,
            told,
            reject: None,
            pending: 0,
            trailers: Vec::new(),
        }
    }

    /// The same turn as if `head` had been asked for, with no body. What it was [`Turn::told`] is to
    /// be taken over from it.
    pub fn instead<'t>(&'t mut self, head: Head<'t>) -> Turn<'t> {
        Turn {
            head,
            peer: self.peer,
            notes: self.notes,
            is_last: self.is_last,
            connection: self.connection,
            inbox: Inbox::new(&mut []),
            outbox: self.outbox,
            told: Told::default(),
            reject: None,
            pending: 0,
            trailers: Vec::new(),
        }
    }

    /// Ends it: where the inbox was left.
    #[must_use]
    pub fn into_mark(mut self) -> Position {
        self.inbox.consume(self.pending);
        self.inbox.position()
    }

    /// The request's head.
    #[must_use]
    pub fn head(&self) -> Head<'a> {
        self.head
    }

    /// The client's address and port (B-301).
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The trailer fields of a chunked body, name and value, once it was read to its end.
    #[must_use]
    pub fn trailers(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.trailers
    }

    /// Begins the answer. Its Date is this moment, however long ago the request came.
    pub fn respond(&mut self, status: u16) -> Response<'_> {
        if (self.is_last)() {
            self.connection.disable_keep_alive();
        }
        set_date(self.outbox);
        let sends_body = !self.head.is_head();
        let core = self.connection.respond(status, self.outbox);
        Response::new(core, status, sends_body, &mut self.told)
    }

    /// For drivers: what came of sending, so that an answer that is lost is not taken for whole.
    ///
    /// # Errors
    /// That of sending.
    pub fn flushed(&mut self, flushed: io::Result<()>) -> io::Result<()> {
        self.told.lost |= flushed.as_ref().is_err_and(is_departure);
        flushed
    }

    /// Shows the client at once that what is still owed of the answer will never come.
    pub fn give_up(&mut self) {
        self.told.cut = true;
        self.connection.abort();
    }

    /// Whether the answer has begun.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.connection.response_due() != Some(ResponseDue::Head)
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
        if self.is_silent() {
            return Ok(());
        }
        Ok(self.connection.end_with_trailers(trailers, self.outbox)?)
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
    pub fn note(&self, words: impl AsRef<str>) {
        (self.notes)(words.as_ref());
    }
}

/// For drivers: the parts of sending that do not wait.
impl Turn<'_> {
    /// Appends a part of the answer's body; whether enough has gathered to be sent. To a HEAD
    /// request nothing is sent, and that is no error.
    ///
    /// # Errors
    /// [`Misuse`].
    pub fn append(&mut self, data: &[u8]) -> io::Result<bool> {
        if !self.is_silent() {
            self.connection.send(data, self.outbox)?;
            self.told.bytes += data.len() as u64;
        }
        Ok(self.has_gathered())
    }

    /// Before `count` bytes of a file: whether they go by in large pieces, which the driver sends
    /// and then tells [`Turn::passed`]. A small part is read here, right behind its head.
    ///
    /// # Errors
    /// [`Misuse`]; those of the file, [`ErrorKind::UnexpectedEof`] when it has become shorter.
    pub fn begin_file(&mut self, file: &File, offset: u64, count: u64) -> io::Result<bool> {
        if self.is_silent() || count == 0 {
            return Ok(false);
        }
        match self.connection.response_due() {
            Some(ResponseDue::Bytes(owed)) if count <= owed => {}
            Some(ResponseDue::Bytes(_)) => return Err(Misuse::BodyTooLong.into()),
            Some(ResponseDue::Stream) => return Err(Misuse::WrongFraming.into()),
            _ => return Err(Misuse::NoResponseDue.into()),
        }
        if count > COPIED {
            return Ok(true);
        }
        let n =
            self.outbox.append_with(count as usize, |space| read_at(file, space, offset))? as u64;
        self.passed(n)?;
        if n < count { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(false) }
    }

    /// `n` promised bytes went by.
    ///
    /// # Errors
    /// [`Misuse`].
    pub fn passed(&mut self, n: u64) -> io::Result<()> {
        self.told.bytes += n;
        Ok(self.connection.body_sent(n)?)
    }

    /// Whether enough has gathered in the outbox to be sent.
    #[must_use]
    pub fn has_gathered(&self) -> bool {
        self.outbox.len() > GATHER
    }

    /// After a hand-over was answered: the first bytes of the new protocol.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when nothing was handed over.
    pub fn first_words(&mut self) -> io::Result<Vec<u8>> {
        if self.connection.states() != States::SWITCHED_PROTOCOL {
            return Err(io::Error::new(ErrorKind::InvalidInput, "no other protocol was agreed on"));
        }
        let first = self.inbox.unread().to_vec();
        self.inbox.consume(first.len());
        Ok(first)
    }

    /// To HEAD, a body is not an error: it is just not sent.
    fn is_silent(&self) -> bool {
        self.head.is_head() && self.told.status != 0
    }
}

/// The time for the Date of the response that is made now.
fn set_date(outbox: &mut Outbox) {
    outbox.set_date(os::now().max(0).cast_unsigned());
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
