//! A client, with TLS or without.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, StreamOwned};

pub(crate) struct Client(BufReader<Stream>);

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// A response that has a Content-Length or is chunked.
#[derive(Debug, Default)]
pub(crate) struct Response {
    pub(crate) status: String,
    pub(crate) date: Option<String>,
    pub(crate) body: String,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, tls: Option<Arc<ClientConfig>>) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_nodelay(true).expect("TCP can do that");
        let limit = Some(Duration::from_secs(20));
        stream.set_read_timeout(limit).expect("it is a timeout");
        stream.set_write_timeout(limit).expect("it is a timeout");
        Self(BufReader::new(match tls {
            None => Stream::Plain(stream),
            Some(config) => {
                let name = "localhost".try_into().expect("it is a name");
                let tls = ClientConnection::new(config, name).expect("the configuration is valid");
                Stream::Tls(Box::new(StreamOwned::new(tls, stream)))
            }
        }))
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("it receives");
    }

    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.get_mut().write_all(bytes.as_ref())?;
        self.0.get_mut().flush()
    }

    pub(crate) fn get(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }

    /// The end of what this client sends. The server may have closed the connection already.
    pub(crate) fn finish(&mut self) {
        if let Stream::Tls(tls) = self.0.get_mut() {
            tls.conn.send_close_notify();
            let _ = tls.flush();
        }
        let _ = self.socket().shutdown(Shutdown::Write);
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line arrives");
        line.trim_end().to_owned()
    }

    fn bytes(&mut self, n: usize) -> String {
        let mut bytes = vec![0; n];
        self.0.read_exact(&mut bytes).expect("the body arrives");
        String::from_utf8(bytes).expect("it is text")
    }

    pub(crate) fn response(&mut self) -> Response {
        let status = self.line().split(' ').nth(1).unwrap_or_default().to_owned();
        let mut response = Response { status, ..Response::default() };
        let mut length = None;
        loop {
            let line = self.line();
            match line.split_once(": ") {
                Some(("Content-Length", value)) => length = value.parse().ok(),
                Some(("Date", value)) => response.date = Some(value.to_owned()),
                Some(_) => {}
                None => break,
            }
        }
        if let Some(length) = length {
            response.body = self.bytes(length);
            return response;
        }
        loop {
            let size = usize::from_str_radix(&self.line(), 16).expect("it is a chunk");
            response.body.push_str(&self.bytes(size));
            assert_eq!(self.line(), "");
            if size == 0 {
                return response;
            }
        }
    }

    pub(crate) fn expect(&mut self, body: &str) {
        let response = self.response();
        assert_eq!((response.status.as_str(), response.body.as_str()), ("200", body));
    }

    /// What follows until the server closes; the error if it does not close in order.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest)?;
        Ok(rest)
    }

    pub(crate) fn expect_end(&mut self) {
        assert_eq!(self.rest().expect("it closes in order"), b"");
    }

    /// From now on, [`Client::send_some`] and [`Client::receive_some`] do not wait.
    pub(crate) fn set_nonblocking(&mut self) {
        assert!(self.0.buffer().is_empty());
        self.socket().set_nonblocking(true).expect("a socket can do that");
    }

    /// Sends as much as the socket takes. `None` if it takes nothing now.
    pub(crate) fn send_some(&mut self, bytes: &[u8]) -> Option<usize> {
        unless_it_would_block(self.0.get_mut().write(bytes))
    }

    pub(crate) fn receive_some(&mut self, space: &mut [u8]) -> Option<usize> {
        unless_it_would_block(self.0.get_mut().read(space))
    }

    fn socket(&self) -> &TcpStream {
        match self.0.get_ref() {
            Stream::Plain(stream) => stream,
            Stream::Tls(tls) => &tls.sock,
        }
    }
}

fn unless_it_would_block(done: io::Result<usize>) -> Option<usize> {
    match done {
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        done => Some(done.expect("the connection stands")),
    }
}

impl Read for Stream {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(space),
            Self::Tls(tls) => tls.read(space),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}
