//! One exchange: unread bytes → head parsed and validated → response of 1 KiB in the outbox → outbox
//! cleared, connection idle again; on one keep-alive connection, with warm caches.
//!
//! For comparison, on the same bytes: http-net, a sans-IO server of the same kind, in the same cycle
//! with a prebuilt response of the same headers; and httparse alone, which only parses. Both servers
//! first copy the request into their own memory, as a `recv` would, and run until they need more
//! bytes; `in_place` is `advance` on bytes that are in memory already.
//!
//! Run with `cargo bench -p doorstep-core`; its results are in `docs/performance.md`.

use std::hint::black_box;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use doorstep_core::http1::{Connection, Event, Inbox, Limits, Outbox};
use http_net::{DateCache, Response, ServerConn, ServerEvent};
use requests::{BROWSER, SMALL};

mod requests;

fn main() {
    divan::main();
}

const NOW: u64 = 784_111_777;
const TYPE: &str = "text/plain; charset=utf-8";
const PAGE: [u8; 1024] = [b'x'; 1024];

/// One of the two requests, named by its size.
#[derive(Clone, Copy)]
struct Request(&'static [u8]);

const BOTH: [Request; 2] = [Request(SMALL), Request(BROWSER)];

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

#[divan::bench(args = BOTH, sample_size = 500, sample_count = 400)]
fn doorstep(bencher: Bencher<'_, '_>, request: Request) {
    let mut server = Doorstep::new();
    let mut inbox = Inbox::new([0; 16 << 10]);
    bencher.bench_local(|| server.serve(&mut inbox, black_box(request.0), 1));
}

#[divan::bench(args = BOTH, sample_size = 500, sample_count = 400)]
fn doorstep_in_place(bencher: Bencher<'_, '_>, request: Request) {
    let Doorstep { mut connection, mut outbox } = Doorstep::new();
    bencher.bench_local(|| {
        let Ok((_, Event::Request(head))) = connection.advance(black_box(request.0)) else {
            unreachable!("the bytes hold a request")
        };
        black_box(head.path());
        let response = connection.respond(200, &mut outbox).header("Content-Type", TYPE);
        response.body(black_box(&PAGE)).expect("a response is due");
        black_box(outbox.unsent());
        outbox.clear();
    });
}

#[divan::bench(args = BOTH, sample_size = 500, sample_count = 400)]
fn http_net(bencher: Bencher<'_, '_>, request: Request) {
    let mut server = HttpNet::new();
    bencher.bench_local(|| server.serve(black_box(request.0), 1));
}

#[divan::bench(args = BOTH, sample_size = 500, sample_count = 400)]
fn httparse(bencher: Bencher<'_, '_>, request: Request) {
    bencher.bench_local(|| {
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let mut head = httparse::Request::new(&mut fields);
        let parsed = head.parse(black_box(request.0)).expect("the bytes hold a request");
        black_box((parsed, head.path));
    });
}

/// Requests in one read, their responses in one write (pipelining).
const PIPELINED: usize = 16;

#[divan::bench(sample_size = 50, sample_count = 400)]
fn pipelined_doorstep(bencher: Bencher<'_, '_>) {
    let batch = SMALL.repeat(PIPELINED);
    let mut server = Doorstep::new();
    let mut inbox = Inbox::new([0; 16 << 10]);
    let bencher = bencher.counter(ItemsCount::new(PIPELINED));
    bencher.bench_local(|| server.serve(&mut inbox, black_box(&batch), PIPELINED));
}

#[divan::bench(sample_size = 50, sample_count = 400)]
fn pipelined_http_net(bencher: Bencher<'_, '_>) {
    let batch = SMALL.repeat(PIPELINED);
    let mut server = HttpNet::new();
    let bencher = bencher.counter(ItemsCount::new(PIPELINED));
    bencher.bench_local(|| server.serve(black_box(&batch), PIPELINED));
}

/// A body of 1 MiB, in chunks of this many bytes.
#[divan::bench(args = [64, 4096])]
fn chunked_doorstep(bencher: Bencher<'_, '_>, chunk: usize) {
    let upload = upload(chunk);
    let mut server = Doorstep::new();
    bencher.counter(BytesCount::new(MIB)).bench_local(|| {
        let mut unread = black_box(&upload[..]);
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
    });
}

#[divan::bench(args = [64, 4096])]
fn chunked_http_net(bencher: Bencher<'_, '_>, chunk: usize) {
    let upload = upload(chunk);
    let mut server = HttpNet::new();
    bencher.counter(BytesCount::new(MIB)).bench_local(|| {
        let mut unread = black_box(&upload[..]);
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
    });
}

const MIB: usize = 1 << 20;

fn upload(chunk: usize) -> Vec<u8> {
    let mut bytes = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..MIB / chunk {
        bytes.extend_from_slice(format!("{chunk:x}\r\n").as_bytes());
        bytes.resize(bytes.len() + chunk, b'x');
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

struct Doorstep {
    connection: Connection,
    outbox: Outbox,
}

impl Doorstep {
    fn new() -> Self {
        let mut outbox = Outbox::new("bench");
        outbox.set_date(NOW);
        Self { connection: Connection::new(Limits::default()), outbox }
    }

    /// Receives `bytes` and serves the requests in them, of which there are `count`.
    fn serve(&mut self, inbox: &mut Inbox<[u8; 16 << 10]>, bytes: &[u8], count: usize) {
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

    fn respond(&mut self) {
        let response = self.connection.respond(200, &mut self.outbox).header("Content-Type", TYPE);
        response.body(black_box(&PAGE)).expect("a response is due");
    }
}

struct HttpNet {
    connection: ServerConn,
    response: Response,
    dates: DateCache,
    out: Vec<u8>,
}

impl HttpNet {
    fn new() -> Self {
        let response = Response::new(200).header("server", "bench").header("content-type", TYPE);
        Self {
            connection: ServerConn::new(),
            response: response.body(PAGE.to_vec()),
            dates: DateCache::new(),
            out: Vec::new(),
        }
    }

    /// As [`Doorstep::serve`].
    fn serve(&mut self, bytes: &[u8], count: usize) {
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

    fn respond(&mut self) {
        let date = self.dates.update(NOW);
        let responded = self.connection.respond_with_date(&self.response, date, &mut self.out);
        responded.expect("a response is due");
    }
}
