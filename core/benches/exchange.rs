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
use doorstep_core::http1::{Event, Inbox};
use servers::{
    BROWSER, Doorstep, HttpNet, MIB, PAGE, SMALL, TYPE, decode_doorstep, decode_http_net, upload,
};

mod servers;

fn main() {
    divan::main();
}

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
    bencher.counter(BytesCount::new(MIB)).bench_local(|| decode_doorstep(&mut server, &upload));
}

#[divan::bench(args = [64, 4096])]
fn chunked_http_net(bencher: Bencher<'_, '_>, chunk: usize) {
    let upload = upload(chunk);
    let mut server = HttpNet::new();
    bencher.counter(BytesCount::new(MIB)).bench_local(|| decode_http_net(&mut server, &upload));
}
