//! One request and its response, as a handler sees them: the driver's state, and what may wait.

use std::io::{self, Read};
use std::task::{Context, Poll, ready};
use std::{fs::File, future::poll_fn, ops::Deref, pin::Pin};

use super::socket::Socket;
use doorstep_driver::exchange::{BodyRead, ExchangeState, ExchangeView};
use doorstep_driver::{Response, core::http1::WaitingFor};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

/// A request, and the means to respond to it: the methods of the other front ends.
pub struct Exchange<'a> {
    pub(super) state: ExchangeState<'a>,
    pub(super) socket: &'a Socket<'a>,
}

impl<'a> Exchange<'a> {
    pub fn body(&mut self) -> Body<'_, 'a> {
        Body(self)
    }
    pub fn respond(&mut self, status: u16) -> Response<'_> {
        self.state.respond(status)
    }
    pub fn unsupported(&mut self) -> io::Result<()> {
        self.state.unsupported()
    }
    pub fn end(&mut self) -> io::Result<()> {
        self.state.end()
    }
    pub fn end_with(&mut self, trailers: &[(&str, &[u8])]) -> io::Result<()> {
        self.state.end_with(trailers)
    }
    pub async fn send_interim(&mut self, status: u16, headers: &[(&str, &[u8])]) -> io::Result<()> {
        self.state.write_interim(status, headers)?;
        self.flush().await
    }
    pub async fn send(&mut self, data: &[u8]) -> io::Result<()> {
        if self.state.append_body(data)? { self.flush().await } else { Ok(()) }
    }
    pub async fn flush(&mut self) -> io::Result<()> {
        self.flush_before(false).await
    }
    async fn flush_before(&mut self, file: bool) -> io::Result<()> {
        let mut flush = || self.socket.connection.flush(self.state.to_send(), file);
        let wait = poll_fn(|cx| self.socket.poll_wait(cx, WaitingFor::Writable, &mut flush));
        let flushed = wait.await;
        self.state.record_flush(flushed)
    }

    pub async fn send_file(&mut self, file: &File, offset: u64, count: u64) -> io::Result<()> {
        let Some(mut transfer) = self.state.begin_file(file, offset, count)? else {
            return if self.state.should_flush() { self.flush().await } else { Ok(()) };
        };
        self.flush_before(true).await?;
        while !transfer.is_done() {
            let (socket, before) = (self.socket, transfer.sent());
            let mut send = || socket.connection.send(|stream| transfer.send(stream));
            let sent = poll_fn(|cx| socket.poll_wait(cx, WaitingFor::Writable, &mut send)).await;
            // Reported after each share: the handler may drop this future at the next await.
            self.state.file_sent(transfer.sent() - before, sent.map(drop))?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// After `Response::upgrade`: the socket, and the bytes of the new protocol that have come.
    pub async fn upgraded(&mut self) -> io::Result<(TcpStream, Vec<u8>)> {
        self.flush().await?;
        let unread = self.state.take_unread()?;
        Ok((TcpStream::from_std(self.socket.connection.stream().try_clone()?)?, unread))
    }
}

impl<'a> Deref for Exchange<'a> {
    type Target = ExchangeView<'a>;
    fn deref(&self) -> &ExchangeView<'a> {
        &self.state
    }
}

/// A request's body.
pub struct Body<'x, 'a>(&'x mut Exchange<'a>);

impl AsyncRead for Body<'_, '_> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Exchange { state, socket } = &mut *self.get_mut().0;
        let (connection, waiting) = (socket.connection, WaitingFor::Body);
        let n = loop {
            match state.read_body(buffer.initialize_unfilled())? {
                BodyRead::Read(n) => break n,
                BodyRead::Flush => {
                    let flush = || connection.flush(state.to_send(), false);
                    let flushed = ready!(socket.poll_wait(cx, WaitingFor::Writable, flush));
                    state.record_flush(flushed)?;
                }
                BodyRead::Receive(most) => {
                    let space = buffer.initialize_unfilled_to(most);
                    let read = || connection.read(waiting, |stream| stream.read(space));
                    break state.received(ready!(socket.poll_wait(cx, waiting, read)))?;
                }
                BodyRead::Fill => {
                    let read = || connection.read(waiting, |stream| state.inbox().fill(stream));
                    let filled = ready!(socket.poll_wait(cx, waiting, read));
                    state.filled(filled)?;
                }
            }
        };
        buffer.advance(n);
        Poll::Ready(Ok(()))
    }
}
