//! A client that speaks bytes.
//!
//! It shows the bytes of a response, and removes nothing but the framing. If the server sends nothing
//! for 10 s, the test fails.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use doorstep::driver::net::Stream;

/// One connection.
pub(crate) struct Client(BufReader<TcpStream>);

/// One response, its body unframed.
#[derive(Debug, Default)]
pub(crate) struct Response {
    /// The status line and the fields as they came, each ended by CR LF.
    pub(crate) head: String,
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(port: u16) -> Self {
        Self::try_connect(port).expect("the server listens")
    }

    /// Like `connect`, to a server that may have stopped.
    pub(crate) fn try_connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// A client of the Unix socket at `path`.
    pub(crate) fn unix(path: &Path) -> Self {
        Self::try_unix(path).expect("the server listens")
    }

    /// Like `unix`, to a server that may have stopped.
    pub(crate) fn try_unix(path: &Path) -> io::Result<Self> {
        let socket = OwnedFd::from(UnixStream::connect(path)?);
        Ok(Self::on(socket.into())) // what is done with it, a socket of any kind can do
    }

    /// A client that is connected already.
    pub(crate) fn on(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("it can be set");
        Self(BufReader::new(stream))
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).expect("the server reads");
    }

    /// An HTTP/1.1 request with these field lines, and its response.
    pub(crate) fn request(&mut self, method: &str, target: &str, fields: &[&str]) -> Response {
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        self.send(format!("{method} {target} HTTP/1.1\r\nHost: test\r\n{fields}\r\n").as_bytes());
        self.response(method == "HEAD")
    }

    /// A `GET` and its response, which has a Content-Length, of a server that may end meanwhile.
    pub(crate) fn try_get(&mut self, target: &str) -> io::Result<Response> {
        self.try_send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes())?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if self.0.read_until(b'\n', &mut head)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        let head = String::from_utf8_lossy(&head).trim_end().to_owned();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let mut response = Response { head, status, ..Response::default() };
        let length = response.header("Content-Length").and_then(|digits| digits.parse().ok());
        response.body = vec![0; length.unwrap_or(0)];
        self.0.read_exact(&mut response.body)?;
        Ok(response)
    }

    /// The next response; `bare` when its head is all there is, as for HEAD.
    pub(crate) fn response(&mut self, bare: bool) -> Response {
        let mut response = Response { head: self.head(), ..Response::default() };
        let mut words = response.head.lines().next().unwrap_or("").splitn(3, ' ').skip(1);
        response.status = words.next().and_then(|code| code.parse().ok()).unwrap_or(0);
        response.reason = words.next().unwrap_or("").to_owned();
        if bare || matches!(response.status, 100..=199 | 204 | 304) {
            return response;
        }
        if response.header("Transfer-Encoding") == Some("chunked") {
            while let size @ 1.. = usize::from_str_radix(&self.line(), 16).expect("a chunk size") {
                response.body.extend(self.read_exact(size));
                assert_eq!(self.line(), "", "a chunk ends in CR LF");
            }
            self.head();
        } else if let Some(length) = response.header("Content-Length") {
            response.body = self.read_exact(length.parse().expect("a length in digits"));
        } else {
            response.body = self.read_to_end();
        }
        response
    }

    /// Waits until something has arrived, without reading it.
    pub(crate) fn peek(&mut self) {
        assert!(!self.0.fill_buf().expect("the server responds").is_empty());
    }

    /// The start of a response, without reading it. If the client is dropped then, the system resets the
    /// connection.
    pub(crate) fn peek_status(&mut self) -> String {
        let mut begin = [0; 12];
        let n = self.0.get_ref().peek(&mut begin).expect("the server responds");
        String::from_utf8_lossy(&begin[..n]).into_owned()
    }

    /// Everything until the server closes.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).expect("the server closes in order");
        bytes
    }

    /// Like `send`, to a server that may have closed.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// Everything until the server closes or resets the connection.
    pub(crate) fn read_to_end_or_reset(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => unreachable!("{error}"),
            _ => bytes,
        }
    }

    /// Reads to the end. Returns whether it was an orderly close, not a reset.
    pub(crate) fn closes_cleanly(&mut self) -> bool {
        match self.0.read_to_end(&mut Vec::new()) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            end => end.map(|_| true).expect("the server closes"),
        }
    }

    /// Closes the sending half.
    pub(crate) fn shutdown_write(&mut self) {
        self.0.get_ref().shutdown(Shutdown::Write).expect("the connection stands");
    }

    /// Resets the connection.
    pub(crate) fn reset(self) {
        let stream = self.0.into_inner();
        let peer = stream.peer_addr().expect("the connection stands");
        Stream::tcp(stream, peer).reset().expect("it can be reset");
    }

    /// Whether nothing has arrived that was not read yet, and the server has not closed.
    pub(crate) fn is_silent(&mut self) -> bool {
        if !self.0.buffer().is_empty() {
            return false;
        }
        let stream = self.0.get_ref();
        stream.set_nonblocking(true).expect("a socket can do that");
        let silent = stream.peek(&mut [0]).is_err_and(|e| e.kind() == ErrorKind::WouldBlock);
        stream.set_nonblocking(false).expect("a socket can do that");
        silent
    }

    /// The port of this end.
    pub(crate) fn port(&self) -> u16 {
        self.0.get_ref().local_addr().expect("it is connected").port()
    }

    /// The port of the server.
    pub(crate) fn peer_port(&self) -> u16 {
        self.0.get_ref().peer_addr().expect("it is connected").port()
    }

    /// The next `size` bytes.
    pub(crate) fn read_exact(&mut self, size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        self.0.read_exact(&mut bytes).expect("the promised length arrives");
        bytes
    }

    /// Like `read_exact`, from a server that may have closed.
    pub(crate) fn try_read_exact(&mut self, size: usize) -> io::Result<()> {
        self.0.read_exact(&mut vec![0; size])
    }

    /// All bytes up to and with the next `end`.
    pub(crate) fn read_until(&mut self, end: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        while !bytes.ends_with(end) {
            bytes.extend(self.read_exact(1));
        }
        bytes
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).expect("the server responds");
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }

    fn head(&mut self) -> String {
        let lines = std::iter::from_fn(|| Some(self.line()).filter(|line| !line.is_empty()));
        lines.map(|line| line + "\r\n").collect()
    }
}

impl Response {
    /// The first value of a field, its name in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|found| found.1)
    }
}
