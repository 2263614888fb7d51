//! A connection at its worst allocates no more than [`Config::memory_bounds`].
//!
//! The loop is that of a front end, without a socket: input comes from a slice, and the receiver takes
//! one byte at a time, at the end. `measure` counts the memory that this thread holds at most.
#![allow(clippy::print_stdout, reason = "the figures are there to be read")]

use std::fs;
use std::io::Read;

use allocation_counter::measure;
use doorstep_driver::bounds::MemoryBounds;
use doorstep_driver::connections::Connections;
use doorstep_driver::core::site::Site;
use doorstep_driver::exchange::{BodyRead, ExchangeState, Session, Step};
use doorstep_driver::files::CacheLimits;
use doorstep_driver::net::{MemoryStream, Stream};
use doorstep_driver::{Buffers, Config, Files, Job, JobStep};

/// What a handler does with one request.
type Handler<'h> = &'h dyn Fn(&mut ExchangeState<'_>, &mut &[u8]);

/// Serves `input` on one connection, and returns the most bytes that were allocated at once, and the
/// number of requests.
fn serve(config: &Config, input: &[u8], handler: Handler<'_>) -> (u64, usize) {
    let connections = Connections::default();
    let mut requests = 0;
    let allocated = measure(|| {
        let connection = connections.register_stream(Stream::from(MemoryStream::new("")));
        let Buffers { mut inbox, mut outbox } = Buffers::new(config);
        let mut session = Session::new(config, &connection, &(), false);
        let mut input = input;
        loop {
            match session.step(&mut inbox, &mut outbox) {
                Step::Handle(head) => {
                    requests += 1;
                    let mut exchange = session.exchange(head, &mut inbox, &mut outbox);
                    handler(&mut exchange, &mut input);
                    let position = exchange.finish(Ok(Ok(())));
                    inbox.rejoin(position);
                }
                Step::Flush => {
                    while !outbox.is_empty() {
                        outbox.sent(1);
                    }
                    session.flushed(&inbox, &mut outbox, Ok(())).expect("it was sent");
                }
                Step::Fill(_) => {
                    let filled = inbox.fill(&mut input);
                    session.filled(&inbox, &mut outbox, filled).expect("it is in memory");
                }
                Step::Discard => session.discarded(input.read(&mut [0; 4096])),
                Step::Close | Step::Upgraded => break,
            }
        }
    });
    (allocated.bytes_max, requests)
}

/// Responds by `files`, in whose way nothing is.
fn files(files: &Files, exchange: &mut ExchangeState<'_>) {
    let mut job = files.job();
    loop {
        match job.step(exchange).expect("nothing fails here") {
            JobStep::Flush => {
                let outbox = exchange.to_send();
                while !outbox.is_empty() {
                    outbox.sent(1);
                }
                exchange.record_flush(Ok(())).expect("it was sent");
            }
            JobStep::SendFile(file, offset, count) => {
                if exchange.begin_file(&file, offset, count).expect("it is due").is_some() {
                    exchange.to_send().clear();
                    exchange.file_sent(count, Ok(())).expect("it was sent");
                }
            }
            JobStep::Block(work) => work(),
            JobStep::Declined | JobStep::Done => return,
            step => unreachable!("{step:?}"),
        }
    }
}

/// Reads a body to its end, through a buffer of 16 bytes.
fn read_body(exchange: &mut ExchangeState<'_>, input: &mut &[u8]) {
    let mut buffer = [0; 16];
    loop {
        match exchange.read_body(&mut buffer) {
            Ok(BodyRead::Read(0)) | Err(_) => return,
            Ok(BodyRead::Read(_)) => {}
            Ok(BodyRead::Flush) => {
                exchange.to_send().clear();
                let _ = exchange.body_flushed(Ok(()));
            }
            Ok(BodyRead::Receive(max)) => {
                let received = input.read(&mut buffer[..max]);
                let _ = exchange.received(received);
            }
            Ok(BodyRead::Fill) => {
                let filled = exchange.inbox().fill(input);
                let _ = exchange.filled(filled);
            }
        }
    }
}

fn respond(exchange: &mut ExchangeState<'_>) {
    exchange.respond(204).body("").expect("it is due");
}

/// Asserts that `most` bytes are within the bounds, and says how far they are.
fn within(what: &str, most: u64, bounds: &MemoryBounds) {
    let bound = bounds.per_connection();
    println!("{what}: {most} of {bound} bytes");
    assert!(most <= bound, "{what}: {most} of {bound} bytes");
}

/// A head of `size` bytes, in headers of at most 60 KiB.
fn head(method: &str, size: usize, more: &str) -> Vec<u8> {
    let mut head = format!("{method} / HTTP/1.1\r\nHost: a\r\n{more}").into_bytes();
    while head.len() + 2 < size {
        let rest = size - 2 - head.len();
        let length = if rest > 60 << 10 { 50 << 10 } else { rest };
        head.extend_from_slice(b"X: ");
        head.resize(head.len() + length - 5, b'x');
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

#[test]
fn the_largest_head_and_body_and_trailers() {
    let mut config = Config::default();
    for largest in [16 << 10, 128 << 10] {
        config.limits.head = largest;
        let bounds = config.memory_bounds(1);
        let size = largest as usize;
        let whole = head("GET", size, "");
        assert_eq!(whole.len(), size);
        let (most, requests) = serve(&config, &whole, &|exchange, _| respond(exchange));
        assert!(requests == 1 && most > u64::from(largest), "{most}");
        within("head", most, &bounds);

        let mut post = head("POST", size, "Transfer-Encoding: chunked\r\n");
        post.extend_from_slice(b"8000\r\n");
        post.extend_from_slice(&[b'x'; 0x8000]);
        post.extend_from_slice(b"\r\n0\r\n");
        let trailer = format!("X-T: {}\r\n", "x".repeat(78)); // 85 bytes, of 8 KiB
        post.extend_from_slice(trailer.repeat(90).as_bytes());
        post.extend_from_slice(b"\r\n");
        let (most, requests) = serve(&config, &post, &|exchange, input| {
            read_body(exchange, input);
            assert!(!exchange.trailers().is_empty());
            respond(exchange);
        });
        assert_eq!(requests, 1);
        within("body and trailers", most, &bounds);
        let (most, _) = serve(&config, &post, &|exchange, _| respond(exchange));
        within("body that is not read", most, &bounds);
    }
}

#[test]
fn a_head_beyond_the_limit_and_one_that_does_not_end() {
    let config = Config::default();
    let bounds = config.memory_bounds(1);
    let endless = head("GET", 1 << 20, "");
    for cut in [1 << 20, 128 << 10, 100 << 10] {
        let (most, requests) = serve(&config, &endless[..cut], &|exchange, _| respond(exchange));
        assert_eq!(requests, 0);
        within("endless head", most, &bounds);
    }
    let target = [b"GET /".to_vec(), vec![b'<'; 1 << 20]].concat();
    let (most, _) = serve(&config, &target, &|exchange, _| respond(exchange));
    within("endless target", most, &bounds);
}

#[test]
fn pipelined_requests_whose_responses_wait() {
    let mut config = Config::default();
    for threshold in [4 << 10, 64 << 10] {
        config.flush_threshold = threshold;
        config.server = String::new();
        let bounds = config.memory_bounds(1);
        let requests = b"GET / HTTP/1.1\r\nHost:\r\n\r\n".repeat(20_000);
        let (most, count) = serve(&config, &requests, &|exchange, _| respond(exchange));
        assert_eq!(count, 20_000);
        within("pipelined", most, &bounds);
        // Refused ones have records with a reason.
        let (most, _) = serve(&config, &requests, &|exchange, _| {
            exchange.respond(404).error_page("x").expect("it is due");
        });
        within("pipelined errors", most, &bounds);
        // Each response fills what the one before has left.
        let part = vec![b'x'; threshold - 200];
        let (most, _) = serve(&config, &requests[..25 * 50], &|exchange, _| {
            exchange.respond(200).body(&part).expect("it is due");
        });
        within("pipelined parts", most, &bounds);
    }
}

#[test]
fn files_with_long_names_many_ranges_and_locations() {
    let root = tempfile::tempdir().expect("a directory can be made");
    fs::create_dir(root.path().join("d")).expect("it is ours");
    fs::write(root.path().join("small"), vec![b'x'; 8 << 10]).expect("it is ours");
    fs::write(root.path().join("large"), vec![b'x'; 1 << 20]).expect("it is ours");
    let config = Config::default();
    let served = Files::new(root.path()).expect("it is there");
    let mut bounds = config.memory_bounds(1);
    let mut site = Site::default();
    site.listing = false; // it has a test of its own
    bounds.add_files(&site, &CacheLimits::default(), &config, 1);
    let ranges: Vec<_> = (0..500).map(|n| format!("{}-{}", 9 * n, 9 * n)).collect();
    let query = "%22".repeat(20_000);
    let cases = [
        ("location", format!("GET /d?{query} HTTP/1.1\r\nHost: a\r\n\r\n").repeat(2)),
        ("missing", format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "%3c".repeat(20_000)).repeat(2)),
        ("small", "GET /small HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100)),
        ("large", "GET /large HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3)),
        (
            "ranges",
            format!("GET /large HTTP/1.1\r\nHost: a\r\nRange: bytes={}\r\n\r\n", ranges.join(",")),
        ),
    ];
    for (what, request) in cases {
        let respond = |exchange: &mut ExchangeState<'_>, _: &mut &[u8]| files(&served, exchange);
        let (most, count) = serve(&config, request.as_bytes(), &respond);
        assert!(count > 0, "{what}");
        within(what, most, &bounds);
    }
}

#[test]
fn a_listing_of_the_longest_names() {
    let root = tempfile::tempdir().expect("a directory can be made");
    let name = |n: usize, fill: &str| {
        let digits = format!("{n:05}");
        fill.repeat((255 - digits.len()) / fill.len()) + &digits
    };
    let config = Config::default();
    for (fill, count) in [("\"", 998), ("\u{130}", 998), ("\"", 1_500)] {
        let directory = root.path().join(format!("{count}{}", fill.len()));
        fs::create_dir(&directory).expect("it is ours");
        for n in 0..count {
            fs::File::create(directory.join(name(n, fill))).expect("it is ours");
        }
        let served = Files::new(&directory).expect("it is there");
        let mut bounds = config.memory_bounds(1);
        bounds.add_files(&Site::default(), &CacheLimits::default(), &config, 1);
        let respond = |exchange: &mut ExchangeState<'_>, _: &mut &[u8]| files(&served, exchange);
        for accept in ["text/html", "application/json"] {
            let request = format!("GET / HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n");
            let (most, requests) = serve(&config, request.as_bytes(), &respond);
            assert_eq!(requests, 1);
            assert!(most > 255 * 2 * count as u64, "{most}");
            match count > Site::LARGE_LISTING_ENTRIES {
                false => within(accept, most, &bounds),
                true => {
                    let large = bounds.parts().iter().find(|part| part.name.ends_with("large"));
                    let large = large.expect("there is one").bytes + bounds.per_connection();
                    assert!(most <= large, "{most} of {large}");
                }
            }
        }
    }
}

#[cfg(feature = "archive")]
#[test]
fn an_archive_of_a_deep_tree_of_the_longest_names() {
    let root = tempfile::tempdir().expect("a directory can be made");
    let mut directory = root.path().to_path_buf();
    for level in 0..7 {
        for n in 0..1_300 {
            let name = format!("{n:04}{}", "x".repeat(251));
            fs::File::create(directory.join(name)).expect("it is ours");
        }
        directory.push(format!("0600{level}"));
        fs::create_dir(&directory).expect("it is ours");
    }
    fs::write(directory.join("large"), vec![b'x'; 10 << 20]).expect("it is ours");
    let config = Config::default();
    let mut site = Site::default();
    (site.archive, site.max_archive_index) = (true, 1 << 20);
    let served = Files::new(root.path()).expect("it is there").with_site(site.clone());
    let mut bounds = config.memory_bounds(1);
    let connection = bounds.per_connection();
    bounds.add_files(&site, &CacheLimits::default(), &config, 1);
    let part = bounds.parts().iter().find(|part| part.name.starts_with("archive"));
    let bound = part.expect("there is one").bytes + connection;
    let respond = |exchange: &mut ExchangeState<'_>, _: &mut &[u8]| files(&served, exchange);
    for format in ["tar", "tar.gz", "zip"] {
        let request = format!("GET /?archive={format} HTTP/1.1\r\nHost: a\r\n\r\n");
        let (most, requests) = serve(&config, request.as_bytes(), &respond);
        assert_eq!(requests, 1);
        println!("{format}: {most} of {bound} bytes");
        assert!(most > 1 << 20 && most <= bound, "{format}: {most} of {bound} bytes");
    }
}
