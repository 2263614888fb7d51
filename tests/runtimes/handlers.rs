//! Handlers that respond, fail or panic: each request gets a complete response or a visible abort, and
//! a log entry; other connections are not affected.

use std::time::{SystemTime, UNIX_EPOCH};

use doorstep::core::http1::{ErrorPages, date};

use crate::runtimes::{Runtime, ShippedRuntime, config, eventually, front_end, with};
use crate::service::State;
use crate::service::state::LogEntry;
use crate::support::client::Client;

on_every_runtime! {
    fn b_110_a_response_is_logged_as_it_was_sent(runtime: Runtime) {
        let server = runtime.start(State::app());
        let mut client = server.client();
        assert_eq!(client.request("GET", "/x?a=b", &[]).body, b"GET /x\n");
        client.request("HEAD", "/x", &[]);
        client.request("GET", "/stream?trailer", &[]);
        client.request("GET", "/nothing", &[]);
        let page = client.request("GET", "/status/404", &[]).body.len() as u64;
        let expected = [
            entry("GET /x?a=b HTTP/1.1", 200, 7),
            entry("HEAD /x HTTP/1.1", 200, 0),
            entry("GET /stream?trailer HTTP/1.1", 200, 8),
            entry("GET /nothing HTTP/1.1", 204, 0),
            LogEntry { error: Some("Not Found".into()), ..entry("GET /status/404 HTTP/1.1", 404, page) },
        ];
        assert_eq!(server.state.log(5), expected);
        assert!(server.state.errors().is_empty());
    }

    fn b_062_the_date_is_when_the_response_was_made(runtime: Runtime) {
        let server = runtime.start(State::app());
        let mut client = server.client();
        client.send(b"GET /test/wait HTTP/1.1\r\nHost: a\r\n\r\n");
        server.state.wait_until_blocked(1);
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_secs();
        let asked = now();
        eventually("another second", || now() > asked);
        server.state.release(1);
        let response = client.response(false);
        let date = date::parse(response.header("Date").expect("it has one").as_bytes(), 0);
        assert!(date > Some(asked.cast_signed()), "{date:?}");
    }

    fn b_014_a_refused_request_is_logged_too(runtime: Runtime) {
        let server = runtime.start(State::app());
        let mut client = server.client();
        client.send(b"NONSENSE\r\n\r\n");
        let response = client.response(false);
        assert_eq!(response.status, 400);
        let entry = server.state.entry();
        assert_eq!((&entry.line[..], entry.status), ("NONSENSE", 400));
        assert_eq!(entry.bytes, Some(response.body.len() as u64));
        assert_eq!(entry.error, Some(response.reason));
    }

    fn b_090_a_handler_that_fails_before_it_responds_is_a_500(runtime: Runtime) {
        for (path, error) in [
            ("/test/fail", "/test/fail: as asked"),
            ("/test/panic", "/test/panic: the handler panicked: as asked"),
            ("/test/silent", "/test/silent: the handler sent no response"),
        ] {
            let server = runtime.start(State::app());
            let (mut client, mut other) = (server.client(), server.client());
            let response = client.request("GET", path, &[]);
            assert_eq!(response.status, 500, "{path}");
            assert!(!String::from_utf8_lossy(&response.body).contains("as asked"));
            let line = format!("GET {path} HTTP/1.1");
            let expected = LogEntry {
                error: Some("Internal Server Error".into()),
                ..entry(&line, 500, response.body.len() as u64)
            };
            assert_eq!(server.state.entry(), expected);
            assert_eq!(server.state.errors(), [error]);
            assert_eq!(other.request("GET", "/a", &[]).body, b"GET /a\n");
            assert_eq!(client.request("GET", "/b", &[]).body, b"GET /b\n", "it is kept, too");
        }
    }

    fn b_107_an_incomplete_response_ends_in_a_visible_abort(runtime: Runtime) {
        for (path, error) in [
            ("/test/short", "/test/short: the handler sent 5 of the 10 bytes that it announced"),
            ("/test/endless", "/test/endless: the handler did not end its streamed response"),
            ("/test/fail-late", "/test/fail-late: as asked"),
            ("/test/panic-late", "/test/panic-late: the handler panicked: as asked"),
        ] {
            let server = runtime.start(State::app());
            let (mut client, mut other) = (server.client(), server.client());
            client.send(b"GET ");
            client.send(path.as_bytes());
            client.send(b" HTTP/1.1\r\nHost: a\r\n\r\nGET /behind HTTP/1.1\r\nHost: a\r\n\r\n");
            let all = String::from_utf8(client.read_to_end()).expect("it is text");
            assert_eq!(all.matches("HTTP/1.1 ").count(), 1, "{path}: {all}");
            let body = all.split_once("\r\n\r\n").expect("the head is whole").1;
            match path {
                "/test/panic-late" | "/test/endless" => assert_eq!(body, "5\r\nhalf\n\r\n", "no last chunk"),
                _ => assert_eq!(body, "half\n", "of ten bytes"),
            }
            let line = format!("GET {path} HTTP/1.1");
            assert_eq!(server.state.entry(), LogEntry { aborted: true, ..entry(&line, 200, 5) });
            assert_eq!(server.state.errors(), [error]);
            assert_eq!(other.request("GET", "/a", &[]).body, b"GET /a\n");
        }
    }

    fn rfc_9112_8_an_incomplete_close_delimited_response_ends_in_a_reset(runtime: Runtime) {
        let server = runtime.start(State::app());
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
            assert_eq!(client.closes_cleanly(), whole, "{request}");
        }
    }

    fn a_second_response_is_refused_and_the_first_one_is_sent(runtime: Runtime) {
        let server = runtime.start(State::app());
        let mut client = server.client();
        assert_eq!(client.request("GET", "/test/twice", &[]).body, b"once\n");
        assert_eq!(client.request("GET", "/a", &[]).body, b"GET /a\n");
        assert_eq!(server.state.log(2)[0], entry("GET /test/twice HTTP/1.1", 200, 5));
        assert_eq!(server.state.errors().len(), 1, "{:?}", server.state.errors());
    }

    fn b_046_a_handler_that_reads_too_late_does_not_read_the_next_request(runtime: Runtime) {
        let server = runtime.start(State::app());
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
            assert_eq!(client.response(false).body, b"early\n");
            assert_eq!(client.response(false).body, b"GET /behind\n", "{framing}");
        }
        assert_eq!(server.state.log(8).len(), 8);
    }

    fn b_174_no_byte_is_sent_beyond_the_declared_length(runtime: Runtime) {
        let server = runtime.start(State::app());
        let mut client = server.client();
        client.send(b"GET /test/too-much HTTP/1.1\r\nHost: a\r\n\r\n");
        let all = String::from_utf8(client.read_to_end()).expect("it is text");
        assert!(all.contains("Content-Length: 3\r\n") && all.ends_with("\r\n\r\n"), "{all}");
        assert!(server.state.entry().aborted);
    }

    fn b_301_a_handler_sees_the_addresses_of_its_connection(runtime: Runtime) {
        let server = runtime.start_handler(
            |x: &mut doorstep::blocking::Exchange<'_>| {
                let addresses = format!("{} {}", x.peer_addr(), x.local_addr()?);
                x.respond(200).body(addresses)
            },
            |x: &mut doorstep::smol::Exchange<'_>| {
                let addresses = format!("{} {}", x.peer_addr(), x.local_addr()?);
                x.respond(200).body(addresses)
            },
            |x: &mut front_end::tokio::Exchange<'_>| {
                let addresses = format!("{} {}", x.peer_addr(), x.local_addr()?);
                x.respond(200).body(addresses)
            },
            State::app(),
            config(),
        );
        let mut client = server.client();
        let expected = format!("127.0.0.1:{} {}", client.port(), server.address);
        assert_eq!(client.request("GET", "/", &[]).body, expected.as_bytes());
    }

    fn b_089_error_pages_are_replaced_wherever_they_come_from(runtime: Runtime) {
        let root = tempfile::tempdir().expect("a directory can be made");
        let pages = ErrorPages::new(|page| {
            assert!(page.status != 501, "as asked"); // the usual page is sent then
            ("text/plain", format!("page {}", page.status))
        });
        let config = || with(config(), |c| c.error_pages = Some(pages.clone()));
        let app = runtime.start_with(State::app(), config());
        let files = runtime.start_with(State::files(root.path()), config());
        for (server, request, status) in [
            (&app, "GET /status/503", 503), // a handler's
            (&app, "GET /test/fail", 500),  // in place of a handler's
            (&files, "GET /missing", 404),
            (&files, "DELETE /", 405),
            (&app, "GET / /", 400), // a refused request
        ] {
            let mut client = server.client();
            client.send(format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
            let response = client.response(false);
            assert_eq!(response.status, status, "{request}");
            assert_eq!(response.body, format!("page {status}").as_bytes(), "{request}");
            assert_eq!(response.header("Content-Type"), Some("text/plain"));
        }
        let mut client = app.client();
        let response = client.request("BREW", "/", &[]);
        assert!(response.status == 501 && response.body.starts_with(b"<!DOCTYPE html>"));
        assert_eq!(client.request("GET", "/a", &[]).body, b"GET /a\n", "it is kept");
    }

    fn a_closure_is_a_handler(runtime: Runtime) {
        let word = "state";
        let server = runtime.start_handler(
            move |x: &mut doorstep::blocking::Exchange<'_>| x.respond(200).body(format!("closed over {word}")),
            move |x: &mut doorstep::smol::Exchange<'_>| x.respond(200).body(format!("closed over {word}")),
            move |x: &mut front_end::tokio::Exchange<'_>| x.respond(200).body(format!("closed over {word}")),
            State::app(),
            config(),
        );
        let mut client = server.client();
        for method in ["GET", "POST", "BREW"] {
            assert_eq!(client.request(method, "/", &[]).body, b"closed over state");
        }
    }

    fn b_053_an_expectation_is_refused_before_the_body_is_sent(runtime: Runtime) {
        let server = runtime.start(State::app());
        let mut client = server.client();
        let fields = ["Expect: 100-continue", "Content-Length: 5"];
        let response = client.request("POST", "/test/refused", &fields);
        assert_eq!(response.status, 417);
        assert_eq!(response.header("Connection"), Some("close"), "B-054");
        assert_eq!(client.read_to_end(), b"");
        assert_eq!(server.state.entry().status, 417);
    }

    fn b_050_100_continue_is_sent_when_the_body_is_read(runtime: Runtime) {
        let server = runtime.start(State::app());
        let mut client = server.client();
        let fields = ["Expect: 100-continue", "Content-Length: 5"];
        assert_eq!(client.request("POST", "/echo", &fields).status, 100);
        client.send(b"hello");
        assert_eq!(client.response(false).body, b"hello");
        assert_eq!(server.state.entry().status, 200, "100 is not logged (B-106)");
    }

    fn b_050_a_body_is_awaited_when_everything_before_it_was_sent(runtime: Runtime) {
        let server = runtime.start(State::app());
        for (framing, body) in [
            ("Content-Length: 5", "hello"),
            ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
        ] {
            let mut client = server.client();
            let post = format!("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n{framing}\r\n\r\n");
            client.send([b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n", post.as_bytes()].concat().as_slice());
            assert_eq!(client.response(false).body, b"GET /a\n", "an earlier response");
            assert_eq!(client.response(false).status, 100, "{framing}");
            client.send(body.as_bytes());
            assert_eq!(client.response(false).body, b"hello");
            client.send(post.replace("/echo", "/sized").replace("Expect: 100-continue\r\n", "").as_bytes());
            let begun = client.read_until(b"hello ");
            assert!(begun.starts_with(b"HTTP/1.1 200 "), "a part of its own response: {framing}");
            client.send(body.as_bytes());
            assert_eq!(client.read_until(b"world\n"), b"world\n");
        }
    }

    fn an_upload_arrives_complete_by_length_and_in_chunks(runtime: Runtime) {
        let server = runtime.start(State::app());
        let mut client = server.client();
        let body: Vec<u8> = (0..1_000_003_u32).map(|n| (n % 251) as u8).collect();
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000003\r\n\r\n");
        client.send(&body);
        assert!(client.response(false).body == body);
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (n, part) in body.chunks(9973).enumerate() {
            client.send(format!("{:x};n={n}\r\n", part.len()).as_bytes());
            client.send(part);
            client.send(b"\r\n");
        }
        client.send(b"0\r\nX-Sum: 42\r\n\r\n");
        assert!(client.response(false).body == body);
        assert_eq!(client.request("GET", "/a", &[]).body, b"GET /a\n");
    }

    fn an_upgrade_returns_the_first_bytes_of_the_new_protocol(runtime: Runtime) {
        let server = runtime.start(State::app());
        let mut client = server.client();
        client.send(
            b"GET /switch HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nfirst ",
        );
        let response = client.response(true);
        assert_eq!((response.status, response.header("Upgrade")), (101, Some("echo")));
        assert_eq!(client.read_exact(6), b"first ");
        client.send(b"second");
        assert_eq!(client.read_exact(6), b"second");
        client.shutdown_write();
        assert_eq!(client.read_to_end(), b"");
        assert_eq!(server.state.entry(), entry("GET /switch HTTP/1.1", 101, 0));
    }

    fn a_stream_ends_with_its_trailers(runtime: Runtime) {
        let server = runtime.start(State::app());
        let mut client = server.client();
        client.send(b"GET /stream?trailer HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let all = client.read_to_end();
        assert!(all.ends_with(b"\r\n0\r\nX-Sum: 42\r\n\r\n"), "{}", all.escape_ascii());
    }

    fn trailers_are_dropped_where_the_body_ends_with_the_connection(runtime: Runtime) {
        let server = runtime.start(State::app());
        let mut client = server.client();
        client.send(b"GET /stream?trailer HTTP/1.0\r\n\r\n");
        let all = String::from_utf8(client.read_to_end()).expect("it is text");
        let (head, body) = all.split_once("\r\n\r\n").expect("the head is complete");
        assert!(head.starts_with("HTTP/1.1 200 ") && !body.contains("X-Sum"), "{all}");
        let entry = server.state.entry();
        assert_eq!((entry.aborted, server.state.errors()), (false, vec![]));
        assert_eq!(entry.bytes, Some(body.len() as u64));
    }

    fn b_305_an_interim_response_comes_first_and_is_not_logged(runtime: Runtime) {
        let server = runtime.start(State::app());
        let mut client = server.client();
        let hint = client.request("GET", "/hints", &[]);
        assert_eq!((hint.status, hint.header("Link")), (103, Some("</style.css>; rel=preload")));
        assert_eq!(client.response(false).body, b"hinted\n");
        assert_eq!(server.state.entry(), entry("GET /hints HTTP/1.1", 200, 7), "the first one");
    }

    fn b_307_serve_one_serves_one_request(runtime: ShippedRuntime) {
        let server = runtime.start_one(State::app());
        let mut client = server.client();
        let request = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
        client.send(request);
        let response = client.response(false);
        assert_eq!((&response.body[..], response.header("Connection")), (&b"GET /1\n"[..], Some("close")));
        assert_eq!(client.read_to_end(), b"");
        drop(client);
        server.wait_until_stopped();
        assert_eq!(server.state.entry(), entry("GET /1 HTTP/1.1", 200, 7));
    }

    fn b_307_serve_one_returns_when_a_client_sends_nothing(runtime: ShippedRuntime) {
        let server = runtime.start_one(State::app());
        Client::connect(server.address.port()).shutdown_write();
        server.wait_until_stopped();
    }
}

/// The log entry of a response; that of an empty one has no number of bytes.
fn entry(line: &str, status: u16, bytes: u64) -> LogEntry {
    let bytes = (bytes > 0).then_some(bytes);
    LogEntry { line: line.into(), status, bytes, aborted: false, error: None, tls: None }
}
