//! What handlers do and fail to do: each request gets a whole answer or a visible cut, and a log
//! record; other connections notice nothing.

use std::time::{SystemTime, UNIX_EPOCH};

use doorstep::core::http1::date;

use crate::drivers::{Driver, eventually};
use crate::service::{Entry, State};
use crate::support::client::Client;

on_every_driver! {
    fn b_110_an_answer_is_logged_as_it_went_out(driver: Driver) {
        let server = driver.start(State::app());
        let mut client = server.client();
        assert_eq!(client.ask("GET", "/x?a=b", &[]).body, b"GET /x\n");
        client.ask("HEAD", "/x", &[]);
        client.ask("GET", "/stream?trailer", &[]);
        client.ask("GET", "/nothing", &[]);
        let page = client.ask("GET", "/status/404", &[]).body.len() as u64;
        let expected = [
            entry("GET /x?a=b HTTP/1.1", 200, 7),
            entry("HEAD /x HTTP/1.1", 200, 0),
            entry("GET /stream?trailer HTTP/1.1", 200, 8),
            entry("GET /nothing HTTP/1.1", 204, 0),
            Entry { error: Some("Not Found".into()), ..entry("GET /status/404 HTTP/1.1", 404, page) },
        ];
        assert_eq!(server.state.log(5), expected);
        assert!(server.state.notes().is_empty());
    }

    fn b_062_the_date_is_when_the_response_was_made(driver: Driver) {
        let server = driver.start(State::app());
        let mut client = server.client();
        client.send(b"GET /test/wait HTTP/1.1\r\nHost: a\r\n\r\n");
        server.state.until_waiting(1);
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_secs();
        let asked = now();
        eventually("another second", || now() > asked);
        server.state.let_go(1);
        let answer = client.answer(false);
        let date = date::parse(answer.field("Date").expect("it has one").as_bytes(), 0);
        assert!(date > Some(asked.cast_signed()), "{date:?}");
    }

    fn b_014_what_is_refused_before_it_is_a_request_is_logged_too(driver: Driver) {
        let server = driver.start(State::app());
        let mut client = server.client();
        client.send(b"NONSENSE\r\n\r\n");
        let answer = client.answer(false);
        assert_eq!(answer.status, 400);
        let entry = server.state.entry();
        assert_eq!((&entry.line[..], entry.status), ("NONSENSE", 400));
        assert_eq!(entry.bytes, Some(answer.body.len() as u64));
        assert_eq!(entry.error, Some(answer.reason));
    }

    fn b_090_a_handler_that_fails_before_it_answers_is_a_500(driver: Driver) {
        for (path, note) in [
            ("/test/fail", Some("as asked")),
            ("/test/panic", Some("the handler panicked: as asked")),
            ("/test/silent", None),
        ] {
            let server = driver.start(State::app());
            let (mut client, mut other) = (server.client(), server.client());
            let answer = client.ask("GET", path, &[]);
            assert_eq!(answer.status, 500, "{path}");
            assert!(!String::from_utf8_lossy(&answer.body).contains("as asked"));
            let line = format!("GET {path} HTTP/1.1");
            let expected = Entry {
                error: Some("Internal Server Error".into()),
                ..entry(&line, 500, answer.body.len() as u64)
            };
            assert_eq!(server.state.entry(), expected);
            assert_eq!(server.state.notes(), Vec::from_iter(note));
            assert_eq!(other.ask("GET", "/a", &[]).body, b"GET /a\n");
            assert_eq!(client.ask("GET", "/b", &[]).body, b"GET /b\n", "it is kept, too");
        }
    }

    fn b_107_an_answer_that_breaks_off_is_cut_where_the_client_sees_it(driver: Driver) {
        for (path, note) in [
            ("/test/short", None),
            ("/test/fail-late", Some("as asked")),
            ("/test/panic-late", Some("the handler panicked: as asked")),
        ] {
            let server = driver.start(State::app());
            let (mut client, mut other) = (server.client(), server.client());
            client.send(b"GET ");
            client.send(path.as_bytes());
            client.send(b" HTTP/1.1\r\nHost: a\r\n\r\nGET /behind HTTP/1.1\r\nHost: a\r\n\r\n");
            let all = String::from_utf8(client.rest()).expect("it is text");
            assert_eq!(all.matches("HTTP/1.1 ").count(), 1, "{path}: {all}");
            let body = all.split_once("\r\n\r\n").expect("the head is whole").1;
            match path {
                "/test/panic-late" => assert_eq!(body, "5\r\nhalf\n\r\n", "no last chunk"),
                _ => assert_eq!(body, "half\n", "of ten bytes"),
            }
            let line = format!("GET {path} HTTP/1.1");
            assert_eq!(server.state.entry(), Entry { cut: true, ..entry(&line, 200, 5) });
            assert_eq!(server.state.notes(), Vec::from_iter(note));
            assert_eq!(other.ask("GET", "/a", &[]).body, b"GET /a\n");
        }
    }

    fn rfc_9112_8_what_only_the_end_would_end_is_cut_by_a_reset(driver: Driver) {
        let server = driver.start(State::app());
        for (request, whole) in [
            ("GET /test/panic-late HTTP/1.0\r\n\r\n", false),
            ("GET /test/panic-late\r\n", false),
            ("GET /test/short\r\n", false),
            ("GET /test/panic-late HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false),
            ("GET /long\r\n", true),
            ("GET /stream HTTP/1.0\r\n\r\n", true),
            ("HEAD /test/panic-late HTTP/1.0\r\n\r\n", true),
        ] {
            let mut client = server.client();
            client.send(request.as_bytes());
            assert_eq!(client.ends_in_order(), whole, "{request}");
        }
    }

    fn a_second_answer_is_refused_and_the_first_one_stands(driver: Driver) {
        let server = driver.start(State::app());
        let mut client = server.client();
        assert_eq!(client.ask("GET", "/test/twice", &[]).body, b"once\n");
        assert_eq!(client.ask("GET", "/a", &[]).body, b"GET /a\n");
        assert_eq!(server.state.log(2)[0], entry("GET /test/twice HTTP/1.1", 200, 5));
        assert_eq!(server.state.notes().len(), 1, "{:?}", server.state.notes());
    }

    fn b_046_a_handler_that_reads_too_late_does_not_read_the_next_request(driver: Driver) {
        let server = driver.start(State::app());
        let behind = "GET /behind HTTP/1.1\r\nHost: a\r\n\r\n";
        for (body, framing) in [
            ("", ""),
            ("", "Content-Length: 0\r\n"),
            ("hello", "Content-Length: 5\r\n"),
            ("5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n"),
        ] {
            let mut client = server.client();
            let head = format!("POST /test/late HTTP/1.1\r\nHost: a\r\n{framing}\r\n");
            client.send([&head, body, behind].concat().as_bytes());
            assert_eq!(client.answer(false).body, b"early\n");
            assert_eq!(client.answer(false).body, b"GET /behind\n", "{framing}");
        }
        assert_eq!(server.state.log(8).len(), 8);
    }

    fn b_174_not_a_byte_goes_beyond_a_promise(driver: Driver) {
        let server = driver.start(State::app());
        let mut client = server.client();
        client.send(b"GET /test/too-much HTTP/1.1\r\nHost: a\r\n\r\n");
        let all = String::from_utf8(client.rest()).expect("it is text");
        assert!(all.contains("Content-Length: 3\r\n") && all.ends_with("\r\n\r\n"), "{all}");
        assert!(server.state.entry().cut);
    }

    fn a_closure_is_a_handler(driver: Driver) {
        let server = driver.start_closure("state");
        let mut client = server.client();
        for method in ["GET", "POST", "BREW"] {
            assert_eq!(client.ask(method, "/", &[]).body, b"closed over state");
        }
    }

    fn b_053_an_expectation_is_refused_before_the_body_is_sent(driver: Driver) {
        let server = driver.start(State::app());
        let mut client = server.client();
        let fields = ["Expect: 100-continue", "Content-Length: 5"];
        let answer = client.ask("POST", "/test/refused", &fields);
        assert_eq!(answer.status, 417);
        assert_eq!(answer.field("Connection"), Some("close"), "B-054");
        assert_eq!(client.rest(), b"");
        assert_eq!(server.state.entry().status, 417);
    }

    fn b_050_100_goes_out_when_the_body_is_wanted(driver: Driver) {
        let server = driver.start(State::app());
        let mut client = server.client();
        let fields = ["Expect: 100-continue", "Content-Length: 5"];
        assert_eq!(client.ask("POST", "/echo", &fields).status, 100);
        client.send(b"hello");
        assert_eq!(client.answer(false).body, b"hello");
        assert_eq!(server.state.entry().status, 200, "100 is not logged (B-106)");
    }

    fn an_upload_arrives_whole_by_length_and_in_chunks(driver: Driver) {
        let server = driver.start(State::app());
        let mut client = server.client();
        let body: Vec<u8> = (0..1_000_003_u32).map(|n| (n % 251) as u8).collect();
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000003\r\n\r\n");
        client.send(&body);
        assert!(client.answer(false).body == body);
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (n, part) in body.chunks(9973).enumerate() {
            client.send(format!("{:x};n={n}\r\n", part.len()).as_bytes());
            client.send(part);
            client.send(b"\r\n");
        }
        client.send(b"0\r\nX-Sum: 42\r\n\r\n");
        assert!(client.answer(false).body == body);
        assert_eq!(client.ask("GET", "/a", &[]).body, b"GET /a\n");
    }

    fn an_upgrade_hands_over_the_first_words(driver: Driver) {
        let server = driver.start(State::app());
        let mut client = server.client();
        client.send(
            b"GET /switch HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nfirst ",
        );
        let answer = client.answer(true);
        assert_eq!((answer.status, answer.field("Upgrade")), (101, Some("echo")));
        assert_eq!(client.take(6), b"first ");
        client.send(b"second");
        assert_eq!(client.take(6), b"second");
        client.finish();
        assert_eq!(client.rest(), b"");
        assert_eq!(server.state.entry(), entry("GET /switch HTTP/1.1", 101, 0));
    }

    fn a_stream_ends_with_its_trailers(driver: Driver) {
        let server = driver.start(State::app());
        let mut client = server.client();
        client.send(b"GET /stream?trailer HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let all = client.rest();
        assert!(all.ends_with(b"\r\n0\r\nX-Sum: 42\r\n\r\n"), "{}", all.escape_ascii());
    }

    fn an_interim_answer_comes_first(driver: Driver) {
        let server = driver.start(State::app());
        let mut client = server.client();
        let hint = client.ask("GET", "/hints", &[]);
        assert_eq!((hint.status, hint.field("Link")), (103, Some("</style.css>; rel=preload")));
        assert_eq!(client.answer(false).body, b"hinted\n");
    }

    fn b_307_serve_one_serves_one_request(driver: Driver) {
        let server = driver.start_one(State::app());
        let mut client = server.client();
        let request = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
        client.send(request);
        let answer = client.answer(false);
        assert_eq!((&answer.body[..], answer.field("Connection")), (&b"GET /1\n"[..], Some("close")));
        assert_eq!(client.rest(), b"");
        drop(client);
        server.returns();
        assert_eq!(server.state.entry(), entry("GET /1 HTTP/1.1", 200, 7));
    }

    fn b_307_serve_one_takes_a_silent_client_for_one(driver: Driver) {
        let server = driver.start_one(State::app());
        Client::connect(server.address.port()).finish();
        server.returns();
    }
}

/// What is logged of an answer; no bytes are told of an empty one.
fn entry(line: &str, status: u16, bytes: u64) -> Entry {
    let bytes = (bytes > 0).then_some(bytes);
    Entry { line: line.into(), status, bytes, cut: false, error: None }
}
