//! One request and its answer, as a handler sees them.
//!
//! The head is a view of bytes that stay where they are; the body is read behind them. An answer
//! begins with [`Exchange::respond`]; what it promises is sent with [`Exchange::send`] and
//! [`Exchange::send_file`] and ended with [`Exchange::end`]. Nothing goes out before the loop has
//! to wait, or 64 KiB have gathered.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::FileExt;

use doorstep_core::http1::state::States;
use doorstep_core::http1::{
    Connection, Event, Head, Inbox, Mark, Misuse, Outbox, Owed, Reject, Waiting,
};

use crate::config::GATHER;
use crate::response::{Response, Told};
use crate::wire::Wire;

/// One request, and the place for its answer.
pub struct Exchange<'a> {
    pub(crate) head: Head<'a>,
    pub(crate) connection: &'a mut Connection,
    pub(crate) inbox: Inbox<&'a mut [u8]>,
    pub(crate) outbox: &'a mut Outbox,
    pub(crate) wire: &'a mut Wire,
    /// Bytes at the front of the inbox that are body and were counted, but not yet read.
    pub(crate) pending: usize,
    pub(crate) told: Told,
    pub(crate) reject: Option<Reject>,
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(
        head: Head<'a>,
        connection: &'a mut Connection,
        inbox: Inbox<&'a mut [u8]>,
        outbox: &'a mut Outbox,
        wire: &'a mut Wire,
    ) -> Self {
        let told = Told::default();
        Self { head, connection, inbox, outbox, wire, pending: 0, told, reject: None }
    }

    /// Where the inbox was left.
    pub(crate) fn into_mark(mut self) -> Mark {
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
        self.wire.peer()
    }

    /// The body, to read. The first read sends 100 Continue when the client waits for it.
    pub fn body(&mut self) -> Body<'_, 'a> {
        Body { x: self }
    }

    /// Begins the answer.
    pub fn respond(&mut self, status: u16) -> Response<'_> {
        let sends_body = !self.head.is_head();
        let core = self.connection.respond(status, self.outbox);
        Response::new(core, status, sends_body, &mut self.told)
    }

    /// Sends an interim answer: 103 with `Link` fields, say.
    ///
    /// # Errors
    /// [`doorstep_core::http1::Misuse`], and those of the socket.
    pub fn inform(&mut self, status: u16, fields: &[(&str, &[u8])]) -> io::Result<()> {
        self.connection.inform(status, fields, self.outbox)?;
        self.wire.flush(self.outbox, false)
    }

    /// Whether the answer has begun.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.connection.owed() != Some(Owed::Answer)
    }

    /// Sends a part of the answer's body. To a HEAD request nothing is sent, and that is no error.
    ///
    /// # Errors
    /// [`doorstep_core::http1::Misuse`], and those of the socket.
    pub fn send(&mut self, data: &[u8]) -> io::Result<()> {
        if self.owes_no_body() {
            return Ok(());
        }
        self.connection.send(data, self.outbox)?;
        self.told.bytes += data.len() as u64;
        if self.outbox.len() > GATHER { self.flush() } else { Ok(()) }
    }

    /// Sends what has gathered; for a body whose next part takes its time.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn flush(&mut self) -> io::Result<()> {
        self.wire.flush(self.outbox, false)
    }

    /// Ends a streamed body.
    ///
    /// # Errors
    /// [`doorstep_core::http1::Misuse`].
    pub fn end(&mut self) -> io::Result<()> {
        self.end_with(&[])
    }

    /// Ends a streamed body with trailer fields.
    ///
    /// # Errors
    /// [`doorstep_core::http1::Misuse`].
    pub fn end_with(&mut self, trailers: &[(&str, &[u8])]) -> io::Result<()> {
        if self.owes_no_body() {
            return Ok(());
        }
        Ok(self.connection.end_with(trailers, self.outbox)?)
    }

    /// Sends `count` bytes of `file` from `offset`, all or part of what `sized` promised. A small
    /// part leaves in one write with its head; a large one goes by without being copied.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedEof`] when the file has become shorter; those of file and socket. What
    /// is still owed then shows the client that the answer was cut.
    pub fn send_file(&mut self, file: &File, offset: u64, count: u64) -> io::Result<()> {
        /// Copying this much costs less than a system call of its own. In bytes.
        const SMALL: u64 = 32 << 10;
        if self.owes_no_body() || count == 0 {
            return Ok(());
        }
        match self.connection.owed() {
            Some(Owed::Bytes(owed)) if count <= owed => {}
            Some(Owed::Bytes(_)) => return Err(Misuse::TooMuch.into()),
            Some(Owed::Stream) => return Err(Misuse::WrongFraming.into()),
            _ => return Err(Misuse::NotOwed.into()),
        }
        if count > SMALL {
            self.wire.flush(self.outbox, true)?;
            self.wire.send_file(file, offset, count, &mut self.told.bytes)?;
            return Ok(self.connection.passed(count)?);
        }
        let n = self.outbox.put(count as usize, |space| read_at(file, space, offset))?;
        self.told.bytes += n as u64;
        self.connection.passed(n as u64)?;
        if (n as u64) < count {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if self.outbox.len() > GATHER { self.flush() } else { Ok(()) }
    }

    /// After [`Response::upgrade`] or [`Response::tunnel`]: sends the answer, and gives the socket
    /// and the first bytes of the new protocol to whoever speaks it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when nothing was handed over; those of the socket.
    pub fn hand_over(&mut self) -> io::Result<(TcpStream, Vec<u8>)> {
        if self.connection.states() != States::SWITCHED {
            return Err(io::Error::new(ErrorKind::InvalidInput, "no other protocol was agreed on"));
        }
        self.wire.flush(self.outbox, false)?;
        let first = self.inbox.unread().to_vec();
        self.inbox.consume(first.len());
        Ok((self.wire.hand_over()?, first))
    }

    /// Tells the server's own log why this request ended as it does; the client never sees it.
    pub fn note(&mut self, why: String) {
        self.told.note = Some(why);
    }

    /// The answer to a method that nobody handles: 501, as `http.server` words it (B-022).
    ///
    /// # Errors
    /// [`doorstep_core::http1::Misuse`] when there is an answer already.
    pub fn unsupported(&mut self) -> io::Result<()> {
        let method = self.head.method().escape_ascii();
        let reason = format!("Unsupported method ('{method}')");
        self.respond(501).reason(&reason).page("")
    }

    /// HEAD, 204 and 304: a body is not an error, it is just not sent.
    fn owes_no_body(&self) -> bool {
        self.connection.owed().is_none() && self.told.status != 0 && self.head.is_head()
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

/// A request's body. Errors of the peer are [`ErrorKind::InvalidData`] with a [`Reject`] inside,
/// [`ErrorKind::UnexpectedEof`] when it left, [`ErrorKind::TimedOut`] when it was too slow.
pub struct Body<'x, 'a> {
    x: &'x mut Exchange<'a>,
}

impl Read for Body<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let x = &mut *self.x;
        loop {
            if x.pending > 0 {
                let n = x.pending.min(buffer.len());
                buffer[..n].copy_from_slice(&x.inbox.unread()[..n]);
                x.inbox.consume(n);
                x.pending -= n;
                return Ok(n);
            }
            let direct = x.connection.direct();
            if direct > 0 && x.inbox.unread().is_empty() {
                return x.receive(buffer, direct);
            }
            match x.connection.advance(x.inbox.unread()) {
                Ok((used, Event::Body(data))) => {
                    x.pending = data.len();
                    x.inbox.consume(used - x.pending);
                }
                Ok((used, Event::NeedMore)) => {
                    x.inbox.consume(used);
                    x.more()?;
                }
                Ok((used, _)) => {
                    x.inbox.consume(used); // the end, trailers included, or another's turn
                    return Ok(0);
                }
                Err(reject) => return Err(x.rejected(reject)),
            }
        }
    }
}

impl Exchange<'_> {
    /// Receives a part of the body straight into the reader's buffer.
    fn receive(&mut self, buffer: &mut [u8], direct: u64) -> io::Result<usize> {
        self.before_reading()?;
        let most = buffer.len().min(usize::try_from(direct).unwrap_or(usize::MAX));
        let n = self.slow(|x| x.wire.read_into(&mut buffer[..most], Waiting::Body))?;
        if n == 0 {
            return Err(self.rejected(Reject::Truncated));
        }
        self.connection.received(n as u64);
        Ok(n)
    }

    /// Reads more of the body's framing into the inbox.
    fn more(&mut self) -> io::Result<()> {
        self.before_reading()?;
        if self.inbox.space().is_empty() {
            return Err(self.rejected(Reject::TrailersTooLarge));
        }
        match self.slow(|x| x.wire.fill(&mut x.inbox, Waiting::Body))? {
            0 => Err(self.rejected(Reject::Truncated)),
            _ => Ok(()),
        }
    }

    fn before_reading(&mut self) -> io::Result<()> {
        self.connection.want_body(self.outbox);
        self.wire.flush(self.outbox, false)
    }

    fn slow<T>(&mut self, read: impl FnOnce(&mut Self) -> io::Result<T>) -> io::Result<T> {
        read(self).inspect_err(|error| {
            if error.kind() == ErrorKind::TimedOut {
                self.reject = Some(Reject::TooSlow);
            }
        })
    }

    fn rejected(&mut self, reject: Reject) -> io::Error {
        self.reject = Some(reject);
        match reject {
            Reject::Truncated => io::Error::new(ErrorKind::UnexpectedEof, reject),
            _ => io::Error::new(ErrorKind::InvalidData, reject),
        }
    }
}
