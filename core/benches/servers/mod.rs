//! The two servers that the benchmarks compare, and the requests that they serve.

use std::hint::black_box;

use doorstep_core::http1::{Connection, Event, Inbox, Limits, Outbox};
use http_net::{DateCache, Response, ServerConn, ServerEvent};

pub(crate) use self::requests::{BROWSER, SMALL};

#[path = "../requests/mod.rs"]
mod requests;

pub(crate) const NOW: u64 = 784_111_777;
pub(crate) const TYPE: &str = "text/plain; charset=utf-8";
pub(crate) const PAGE: [u8; 1024] = [b'x'; 1024];

pub(crate) const MIB: usize = 1 << 20;

/// A body of 1 MiB, in chunks of this many bytes, and its head.
pub(crate) fn upload(chunk: usize) -> Vec<u8> {
    let mut bytes = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..MIB / chunk {
        bytes.extend_from_slice(format!("{chunk:x}\r\n").as_bytes());
        bytes.resize(bytes.len() + chunk, b'x');
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

pub(crate) struct Doorstep {
    pub(crate) connection: Connection,
    pub(crate) outbox: Outbox,
}

impl Doorstep {
    pub(crate) fn new() -> Self {
        let mut outbox = Outbox::new("bench");
        outbox.set_date(NOW);
        Self { connection: Connection::new(Limits::default()), outbox }
    }

    /// Receives `bytes` and serves the requests in them, of which there are `count`.
    pub(crate) fn serve(&mut self, inbox: &mut Inbox<[u8; 16 << 10]>, bytes: &[u8], count: usize) {
        inbox.space()[..bytes.len()].copy_from_slice(bytes);
        inbox.filled(bytes.len());
        let mut served = 0;
        loop {
            match self.connection.next(inbox) {
                Ok(Event::Request(head)) => {
                    black_box(head.path());
                    self.respond();
                    served += 1;
                }
                Ok(Event::NeedData) => break,
                _ => unreachable!("the bytes hold requests without bodies"),
            }
        }
        assert_eq!(served, count);
        black_box(self.outbox.unsent());
        self.outbox.clear();
    }

    pub(crate) fn respond(&mut self) {
        let response = self.connection.respond(200, &mut self.outbox).header("Content-Type", TYPE);
        response.body(black_box(&PAGE)).expect("a response is due");
    }
}

pub(crate) struct HttpNet {
    pub(crate) connection: ServerConn,
    pub(crate) response: Response,
    pub(crate) dates: DateCache,
    pub(crate) out: Vec<u8>,
}

impl HttpNet {
    pub(crate) fn new() -> Self {
        let response = Response::new(200).header("server", "bench").header("content-type", TYPE);
        Self {
            connection: ServerConn::new(),
            response: response.body(PAGE.to_vec()),
            dates: DateCache::new(),
            out: Vec::new(),
        }
    }

    /// As [`Doorstep::serve`].
    pub(crate) fn serve(&mut self, bytes: &[u8], count: usize) {
        assert_eq!(self.connection.feed(bytes), bytes.len());
        let mut served = 0;
        loop {
            match self.connection.poll() {
                Ok(ServerEvent::Request(head)) => {
                    black_box(head.path());
                }
                Ok(ServerEvent::RequestEnd) => {
                    self.respond();
                    served += 1;
                }
                Ok(ServerEvent::NeedInput) => break,
                _ => unreachable!("the bytes hold requests without bodies"),
            }
        }
        assert_eq!(served, count);
        black_box(&self.out);
        self.out.clear();
    }

    pub(crate) fn respond(&mut self) {
        let date = self.dates.update(NOW);
        let responded = self.connection.respond_with_date(&self.response, date, &mut self.out);
        responded.expect("a response is due");
    }
}

/// Receives an upload of [`MIB`] bytes and responds.
pub(crate) fn decode_doorstep(server: &mut Doorstep, upload: &[u8]) {
    let mut unread = black_box(upload);
    let mut size = 0;
    loop {
        let (used, event) = server.connection.advance(unread).expect("a fair upload");
        unread = &unread[used..];
        match event {
            Event::Body(bytes) => size += black_box(bytes).len(),
            Event::End(_) => break,
            _ => {}
        }
    }
    assert_eq!(size, MIB);
    server.respond();
    server.outbox.clear();
}

/// Receives an upload of [`MIB`] bytes and responds.
pub(crate) fn decode_http_net(server: &mut HttpNet, upload: &[u8]) {
    let mut unread = black_box(upload);
    let mut size = 0;
    loop {
        match server.connection.poll().expect("a fair upload") {
            ServerEvent::Body(bytes) => size += black_box(bytes).len(),
            ServerEvent::RequestEnd => break,
            ServerEvent::NeedInput => {
                let piece = unread.len().min(16 << 10);
                unread = &unread[server.connection.feed(&unread[..piece])..];
            }
            _ => {}
        }
    }
    assert_eq!(size, MIB);
    server.respond();
    server.out.clear();
}
