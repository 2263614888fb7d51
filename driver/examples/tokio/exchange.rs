//! One request and its response, as a handler sees them: the driver's state, and what may wait.

use std::{fs::File, io, ops::Deref, time::Duration};

use super::socket::Socket;
use doorstep_driver::exchange::{BodyRead, ExchangeState, ExchangeView};
use doorstep_driver::{Response, Stopping, core::http1::WaitingFor, net::DisconnectDetector};
use tokio::{net::TcpStream, time::sleep};

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
    pub fn add_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> io::Result<()> {
        self.state.add_header(name, value)
    }
    pub fn unsupported(&mut self) -> io::Result<()> {
        self.state.unsupported()
    }
    pub fn unavailable(&mut self, retry_after: Duration) -> io::Result<()> {
        self.state.unavailable(retry_after)
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
        let flushed = self.socket.flush(self.state.to_send(), false).await;
        self.state.record_flush(flushed)
    }
    pub async fn send_file(&mut self, file: &File, offset: u64, count: u64) -> io::Result<()> {
        let Some(mut transfer) = self.state.begin_file(file, offset, count)? else {
            return if self.state.should_flush() { self.flush().await } else { Ok(()) };
        };
        let flushed = self.socket.flush(self.state.to_send(), true).await;
        self.state.record_flush(flushed)?;
        while !transfer.is_done() {
            let (socket, before) = (self.socket, transfer.sent());
            let send = || socket.connection.send(|stream| transfer.send(stream));
            let sent = socket.wait(WaitingFor::Writable, send).await;
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
        let socket = self.socket.connection.stream().try_clone_socket()?;
        Ok((TcpStream::from_std(socket)?, unread))
    }
    pub fn is_stopping(&self) -> bool {
        self.socket.connection.connections().is_stopping()
    }
    pub fn stopping(&self) -> Stopping {
        self.socket.connection.connections().stopping()
    }
    /// Ready when the client has disconnected, which is looked for at intervals.
    pub fn disconnected(&self) -> impl Future<Output = ()> + Send + use<'a> {
        let (connection, config) = (self.socket.connection, self.state.config());
        let interval = config.disconnect_check_interval;
        let mut detector = DisconnectDetector::new(config.half_close_timeout, interval);
        async move {
            while detector.update(connection.peer_state()).is_none() {
                sleep(interval).await;
            }
        }
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

impl Body<'_, '_> {
    /// Refuses a body of more than `max` bytes with 413.
    pub fn limit(self, max: u64) -> Self {
        self.0.state.limit_body(max);
        self
    }
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (connection, waiting) = (self.0.socket.connection, WaitingFor::Body);
        loop {
            match self.0.state.read_body(buffer)? {
                BodyRead::Read(n) => return Ok(n),
                BodyRead::Flush => {
                    let flushed = self.0.socket.flush(self.0.state.to_send(), false).await;
                    self.0.state.body_flushed(flushed)?;
                }
                BodyRead::Receive(max) => {
                    let read = || connection.read(waiting, |s| s.read(&mut buffer[..max]));
                    return self.0.state.received(self.0.socket.wait(waiting, read).await);
                }
                BodyRead::Fill => {
                    let fill = || connection.read(waiting, |s| self.0.state.inbox().fill(s));
                    let filled = self.0.socket.wait(waiting, fill).await;
                    self.0.state.filled(filled)?;
                }
            }
        }
    }
}
