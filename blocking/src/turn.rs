//! One request and its answer, but for the waiting: what both drivers' exchanges have in common.
//!
//! A [`Turn`] holds the head, the body's books and the note for the log. It never touches a socket:
//! what it answers goes to the outbox, and where bytes are needed it says so ([`Reading`]). Each
//! driver's `Exchange` is a turn and a socket, and so it offers all that a turn does.

use std::any::Any;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;

use doorstep_core::http1::state::{Recv, Send, States};
use doorstep_core::http1::{
    Connection, Event, Head, Inbox, Mark, Misuse, Outbox, Owed, Reject, refused_line,
};
use doorstep_core::log::Record;

use crate::config::GATHER;
use crate::host;
use crate::response::{Response, Told};

/// A request, and the place for its answer.
#[derive(Debug)]
pub struct Turn<'a> {
    head: Head<'a>,
    peer: SocketAddr,
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
}

/// What reading a body comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// So many bytes are in the buffer; 0 is the end.
    Read(usize),
    /// Receive up to so many bytes into the buffer, then say [`Turn::received`].
    Receive(usize),
    /// Fill the inbox, say [`Turn::filled`], and read again.
    More,
}

impl<'a> Turn<'a> {
    /// Begins a turn: `head` is pinned, `inbox` is what lies behind it.
    pub fn new(
        head: Head<'a>,
        connection: &'a mut Connection,
        inbox: Inbox<&'a mut [u8]>,
        outbox: &'a mut Outbox,
        peer: SocketAddr,
    ) -> Self {
        outbox.clock(host::now().max(0).cast_unsigned());
        let told = Told::default();
        Self { head, peer, connection, inbox, outbox, told, reject: None, pending: 0 }
    }

    /// Ends it: where the inbox was left.
    #[must_use]
    pub fn into_mark(mut self) -> Mark {
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
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Begins the answer.
    pub fn respond(&mut self, status: u16) -> Response<'_> {
        let sends_body = !self.head.is_head();
        let core = self.connection.respond(status, self.outbox);
        Response::new(core, status, sends_body, &mut self.told)
    }

    /// Whether the answer has begun.
    #[must_use]
    pub fn is_answered(&self) -> bool {
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
        if self.is_silent() {
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

    /// Tells the server's own log why this request ends as it does; the client never sees it.
    pub fn note(&mut self, why: impl Into<String>) {
        self.told.note = Some(why.into());
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
        match self.connection.owed() {
            Some(Owed::Bytes(owed)) if count <= owed => {}
            Some(Owed::Bytes(_)) => return Err(Misuse::TooMuch.into()),
            Some(Owed::Stream) => return Err(Misuse::WrongFraming.into()),
            _ => return Err(Misuse::NotOwed.into()),
        }
        if count > host::SMALL {
            return Ok(true);
        }
        let n = self.outbox.put(count as usize, |space| read_at(file, space, offset))? as u64;
        self.passed(n)?;
        if n < count { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(false) }
    }

    /// `n` promised bytes went by.
    ///
    /// # Errors
    /// [`Misuse`].
    pub fn passed(&mut self, n: u64) -> io::Result<()> {
        self.told.bytes += n;
        Ok(self.connection.passed(n)?)
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
        if self.connection.states() != States::SWITCHED {
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

/// For drivers: the parts of reading a body that do not wait.
impl Turn<'_> {
    /// Reads what is here into `buffer`, or says what is wanted.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidData`] with a [`Reject`] inside when the peer breaks a rule.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Reading> {
        if buffer.is_empty() {
            return Ok(Reading::Read(0));
        }
        match self.connection.states() {
            // The machine would go on to the next request.
            States { recv: Recv::Body, send: Send::Done } => return Err(Misuse::NotOwed.into()),
            States { recv: Recv::Body | Recv::Broken, .. } => {
                self.connection.want_body(self.outbox);
            }
            _ if self.pending == 0 => return Ok(Reading::Read(0)),
            _ => {}
        }
        loop {
            if self.pending > 0 {
                let n = self.pending.min(buffer.len());
                buffer[..n].copy_from_slice(&self.inbox.unread()[..n]);
                self.inbox.consume(n);
                self.pending -= n;
                return Ok(Reading::Read(n));
            }
            let direct = self.connection.direct();
            if direct > 0 && self.inbox.unread().is_empty() {
                self.connection.want_body(self.outbox);
                let most = usize::try_from(direct).unwrap_or(usize::MAX);
                return Ok(Reading::Receive(most.min(buffer.len())));
            }
            match self.connection.advance(self.inbox.unread()) {
                Ok((used, Event::Body(data))) => {
                    self.pending = data.len();
                    self.inbox.consume(used - self.pending);
                }
                Ok((used, Event::NeedMore)) => {
                    self.inbox.consume(used);
                    self.connection.want_body(self.outbox);
                    if self.inbox.space().is_empty() {
                        return Err(self.rejected(Reject::TrailersTooLarge));
                    }
                    return Ok(Reading::More);
                }
                Ok((used, _)) => {
                    self.inbox.consume(used); // the end, trailers included, or another's turn
                    return Ok(Reading::Read(0));
                }
                Err(reject) => return Err(self.rejected(reject)),
            }
        }
    }

    /// What came of [`Reading::Receive`].
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedEof`] when the peer left, [`ErrorKind::TimedOut`] when it is too slow.
    pub fn received(&mut self, received: io::Result<usize>) -> io::Result<usize> {
        let n = self.arrived(received)?;
        self.connection.received(n as u64);
        Ok(n)
    }

    /// What came of [`Reading::More`].
    ///
    /// # Errors
    /// As of [`Turn::received`].
    pub fn filled(&mut self, filled: io::Result<usize>) -> io::Result<()> {
        self.arrived(filled).map(drop)
    }

    fn arrived(&mut self, result: io::Result<usize>) -> io::Result<usize> {
        match result {
            Ok(0) => Err(self.rejected(Reject::Truncated)),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                self.reject = Some(Reject::TooSlow);
                Err(error)
            }
            result => result,
        }
    }

    fn rejected(&mut self, reject: Reject) -> io::Error {
        self.reject = Some(reject);
        let kind = match reject {
            Reject::Truncated => ErrorKind::UnexpectedEof,
            _ => ErrorKind::InvalidData,
        };
        io::Error::new(kind, reject)
    }
}

/// For drivers: after the handler, every request gets a whole answer or a visible cut.
impl Turn<'_> {
    /// Completes what the handler left open; `outcome` is what it returned, or its panic. The words
    /// for the server's own log go to `note`, the finished record to `log`.
    pub fn conclude(
        &mut self,
        outcome: Result<io::Result<()>, Box<dyn Any + Send>>,
        note: impl Fn(&str),
        log: impl FnOnce(&Record<'_>),
    ) {
        let owed = self.connection.owed();
        let cut = matches!(owed, Some(Owed::Bytes(_) | Owed::Stream));
        match owed {
            Some(Owed::Answer) => self.answer_for_handler(),
            Some(_) => self.connection.lost(),
            None => {}
        }
        for word in [self.told.note.take(), trouble(outcome)].into_iter().flatten() {
            note(&word);
        }
        log(&Record {
            peer: self.peer.ip(),
            line: self.head.line(),
            status: self.told.status,
            bytes: (self.told.bytes > 0).then_some(self.told.bytes),
            cut,
            error: self.told.error.as_deref(),
        });
    }

    /// The handler gave no answer: the peer's fault is refused, ours is a 500.
    fn answer_for_handler(&mut self) {
        let Some(reject) = self.reject else {
            if self.respond(500).page("").is_err() {
                self.connection.lost();
            }
            return;
        };
        let mut phrase = Vec::new();
        reject.phrase(self.head.line(), &mut phrase);
        let bytes = self.connection.refuse(reject, self.head.line(), self.outbox) as u64;
        self.told = Told { status: reject.status(), bytes, error: Some(phrase), note: None };
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
    outbox.clock(host::now().max(0).cast_unsigned());
    let line = refused_line(reject, unread);
    let bytes = connection.refuse(reject, unread, outbox) as u64;
    let mut phrase = Vec::new();
    reject.phrase(line, &mut phrase);
    log(&Record {
        peer: peer.ip(),
        line,
        status: reject.status(),
        bytes: (bytes > 0).then_some(bytes),
        cut: false,
        error: Some(&phrase),
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
    )
}

fn trouble(outcome: Result<io::Result<()>, Box<dyn Any + Send>>) -> Option<String> {
    match outcome {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            Some(format!("the handler panicked: {}", text.unwrap_or("no message")))
        }
    }
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
