//! From the second exchange on, a keep-alive connection allocates nothing.

use allocation_counter::measure;
use doorstep_core::http1::{Connection, Event, Inbox, Limits, Outbox};

const BROWSER: &[u8] = b"GET /docs/index.html?lang=en HTTP/1.1\r\n\
    Host: localhost:8000\r\n\
    Connection: keep-alive\r\n\
    Cache-Control: max-age=0\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.5\r\n\
    Referer: http://localhost:8000/\r\n\
    Cookie: theme=dark; session=0123456789abcdef\r\n\
    If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    Sec-Fetch-Dest: document\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    DNT: 1\r\n\r\n";

#[test]
fn a_connection_is_small() {
    let size = size_of::<Connection>();
    assert!(size < 100, "{size} bytes");
}

#[test]
fn a_get_with_fifteen_headers_allocates_nothing() {
    assert_eq!(allocations(BROWSER, 200), 0);
}

#[test]
fn a_not_modified_allocates_nothing() {
    assert_eq!(allocations(BROWSER, 304), 0);
}

#[test]
fn a_head_allocates_nothing() {
    assert_eq!(allocations(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200), 0);
}

#[test]
fn a_body_by_length_allocates_nothing() {
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(allocations(post, 200), 0);
}

#[test]
fn a_chunked_body_with_trailers_allocates_nothing() {
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
        5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 42\r\n\r\n";
    assert_eq!(allocations(post, 200), 0);
}

#[test]
fn a_batch_of_pipelined_requests_allocates_nothing() {
    let batch = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(8);
    assert_eq!(allocations(&batch, 200), 0);
}

#[test]
fn sending_by_completions_allocates_nothing() {
    let mut connection = Connection::new(Limits::default());
    let mut outbox = Outbox::new("doorstep");
    let mut respond = |outbox: &mut Outbox| {
        connection.advance(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("well formed");
        connection.respond(200, outbox).body(b"hello, world\n").expect("it is due");
    };
    let mut exchange = |sent: usize| {
        respond(&mut outbox);
        let buffer = outbox.begin_send().expect("there is something to be sent");
        respond(&mut outbox); // meanwhile
        outbox.end_send(buffer, sent).expect("it is in flight");
        let buffer = outbox.begin_send().expect("there is something to be sent");
        let size = buffer.len();
        outbox.end_send(buffer, size).expect("it is in flight");
        assert!(outbox.is_empty());
    };
    (0..4).for_each(&mut exchange);
    assert_eq!(measure(|| (0..100).for_each(&mut exchange)).count_total, 0);
}

/// Allocations of the second to the hundredth exchange on one connection.
fn allocations(request: &[u8], status: u16) -> u64 {
    let mut connection = Connection::new(Limits::default());
    let mut inbox = Inbox::new([0; 4096]);
    let mut outbox = Outbox::new("doorstep");
    let mut now = 784_111_777;
    let mut exchange = || {
        now += 1; // a new Date each time: the most expensive case
        outbox.set_date(now);
        let mut peer = request;
        inbox.fill(&mut peer).expect("a slice can be read");
        respond_all(&mut connection, &mut inbox, &mut outbox, status);
        let sent = outbox.len();
        outbox.sent(sent);
    };
    exchange();
    measure(|| (1..100).for_each(|_| exchange())).count_total
}

fn respond_all(
    connection: &mut Connection,
    inbox: &mut Inbox<[u8; 4096]>,
    outbox: &mut Outbox,
    status: u16,
) {
    loop {
        match connection.next(inbox).expect("the request is well formed") {
            Event::Body(_) => {}
            Event::End(trailers) => assert!(trailers.iter().count() < 2),
            Event::Request(head) => {
                assert!(head.header("host").is_some() && !head.path().is_empty());
            }
            Event::ResponseDue(_) => {
                let body: &[u8] = if status == 304 { b"" } else { b"hello, world\n" };
                let response =
                    connection.respond(status, outbox).header("Content-Type", "text/plain");
                response.body(body).expect("a response is due");
            }
            Event::NeedData => break,
            Event::SwitchedProtocol | Event::Closed => unreachable!("the connection is kept"),
        }
    }
}
