//! One request and its response, as a handler sees them.
//!
//! The head is a view of bytes that stay where they are; the body is read behind them. A response
//! begins with [`Exchange::respond`]; what it promises is sent with [`Exchange::send`] and
//! [`Exchange::send_file`] and ended with [`Exchange::end`]. Nothing is sent before the connection
//! has to wait, or 64 KiB have been written.

use std::fs::File;
use std::io::{self, Read};
use std::net::TcpStream;
use std::ops::Deref;

use doorstep_core::http1::WaitingFor;
use doorstep_driver::Response;
use doorstep_driver::exchange::{BodyRead, ExchangeState, ExchangeView};

use crate::socket::Socket;

/// A request, and the means to respond to it: an [`ExchangeView`], and what may wait for the
/// client.
pub struct Exchange<'a> {
    state: ExchangeState<'a>,
    socket: &'a Socket<'a>,
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(state: ExchangeState<'a>, socket: &'a Socket<'a>) -> Self {
        Self { state, socket }
    }

    /// The body, to read.
    ///
    /// The first read sends `100 Continue` if the client waits for it and no response has begun
    /// (RFC 9110 §10.1.1). The body can also be read after that, but such a client may then wait for a
    /// while before it sends the body: read the first part before [`Exchange::respond`].
    ///
    /// Reading returns [`io::ErrorKind::InvalidData`] with a [`doorstep_core::http1::Reject`] inside
    /// if the client breaks a rule of framing, `UnexpectedEof` if it has closed the connection,
    /// `TimedOut` if it is too slow.
    pub fn body(&mut self) -> Body<'_, 'a> {
        Body { exchange: self }
    }

    /// Begins the response. Its Date is this moment, however long ago the request came.
    pub fn respond(&mut self, status: u16) -> Response<'_> {
        self.state.respond(status)
    }

    /// Responds 501 to a method that is not supported, as `http.server` does (B-022).
    ///
    /// # Errors
    /// Returns [`doorstep_core::http1::Misuse`] if a response has begun.
    pub fn unsupported(&mut self) -> io::Result<()> {
        self.state.unsupported()
    }

    /// Sends an interim response: 103 with `Link` headers, for example.
    ///
    /// # Errors
    /// Returns [`doorstep_core::http1::Misuse`] if `status` is not from 102 to 199 or the final
    /// response has begun, or the error of the socket.
    pub fn send_interim(&mut self, status: u16, headers: &[(&str, &[u8])]) -> io::Result<()> {
        self.state.write_interim(status, headers)?;
        self.flush()
    }

    /// Sends a part of the response's body. To a HEAD request nothing is sent, which is not an error.
    ///
    /// # Errors
    /// Returns [`doorstep_core::http1::Misuse`] if no body, or less of it, was promised, or the error
    /// of the socket.
    pub fn send(&mut self, data: &[u8]) -> io::Result<()> {
        if self.state.append_body(data)? { self.flush() } else { Ok(()) }
    }

    /// Sends `count` bytes of `file` from `offset`: all or part of the body that was promised. A
    /// small part leaves in one write with its head; a larger one is sent without being copied.
    ///
    /// # Errors
    /// Returns `UnexpectedEof` if the file has become shorter, or the error of the file or the
    /// socket. The client then sees that the response is incomplete.
    pub fn send_file(&mut self, file: &File, offset: u64, count: u64) -> io::Result<()> {
        let Some(mut transfer) = self.state.begin_file(file, offset, count)? else {
            return if self.state.should_flush() { self.flush() } else { Ok(()) };
        };
        let flushed = self.socket.flush(self.state.to_send(), true);
        self.state.record_flush(flushed)?;
        let sent = self.socket.send_file(&mut transfer);
        self.state.file_sent(transfer.sent(), sent)
    }

    /// Ends a body whose length was not promised.
    ///
    /// # Errors
    /// Returns [`doorstep_core::http1::Misuse`] if there is no such body.
    pub fn end(&mut self) -> io::Result<()> {
        self.state.end()
    }

    /// Ends a body whose length was not promised, with trailer fields (RFC 9110 §6.5). They are
    /// dropped if the body is not chunked, as for HTTP/1.0.
    ///
    /// # Errors
    /// Returns [`doorstep_core::http1::Misuse`] if there is no such body.
    pub fn end_with(&mut self, trailers: &[(&str, &[u8])]) -> io::Result<()> {
        self.state.end_with(trailers)
    }

    /// Sends what has been written so far; for a body whose next part takes its time.
    ///
    /// # Errors
    /// Returns the error of the socket.
    pub fn flush(&mut self) -> io::Result<()> {
        let flushed = self.socket.flush(self.state.to_send(), false);
        self.state.record_flush(flushed)
    }

    /// After [`Response::upgrade`] or [`Response::tunnel`]: sends the response, and returns the
    /// socket with the bytes of the new protocol that have come already.
    ///
    /// # Errors
    /// Returns `InvalidInput` if no other protocol was agreed on, or the error of the socket.
    pub fn upgraded(&mut self) -> io::Result<(TcpStream, Vec<u8>)> {
        self.flush()?;
        let unread = self.state.take_unread()?;
        Ok((self.socket.try_clone()?, unread))
    }

    pub(crate) fn into_state(self) -> ExchangeState<'a> {
        self.state
    }

    pub(crate) fn state(&mut self) -> &mut ExchangeState<'a> {
        &mut self.state
    }

    pub(crate) fn socket(&self) -> &'a Socket<'a> {
        self.socket
    }
}

impl<'a> Deref for Exchange<'a> {
    type Target = ExchangeView<'a>;

    fn deref(&self) -> &ExchangeView<'a> {
        &self.state
    }
}

/// A request's body.
pub struct Body<'x, 'a> {
    exchange: &'x mut Exchange<'a>,
}

impl Read for Body<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Exchange { state, socket } = &mut *self.exchange;
            match state.read_body(buffer)? {
                BodyRead::Read(n) => return Ok(n),
                BodyRead::Flush => self.exchange.flush()?,
                BodyRead::Receive(most) => {
                    return state.received(socket.read_into(&mut buffer[..most], WaitingFor::Body));
                }
                BodyRead::Fill => {
                    let filled = socket.fill(state.inbox(), WaitingFor::Body);
                    state.filled(filled)?;
                }
            }
        }
    }
}
