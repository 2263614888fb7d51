//! Transfers in progress: what a program sees of downloads and uploads while they last
//! (`Config::transfers`).

use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use doorstep::driver::{Config, Direction, Transfer, Transfers};

use crate::runtimes::{Runtime, TestServer, config, eventually, with};
use crate::service::{LARGE, State};

on_every_runtime! {
    fn a_file_is_listed_while_it_is_sent(runtime: Runtime) {
        let root = files();
        let (server, transfers) = start(runtime, State::files(root.path()));
        let before = Instant::now();
        let (mut client, mut other) = (server.client(), server.client());
        client.send(b"GET /large%20file?x HTTP/1.1\r\nHost: a\r\n\r\n");
        let transfer = only(&transfers);
        assert_eq!((transfer.direction(), transfer.path()), (Direction::Download, &b"/large%20file"[..]));
        assert_eq!((transfer.client().port(), transfer.total()), (client.port(), Some(SIZE)));
        assert!(transfer.started() >= before);
        eventually("a part is sent", || transfer.bytes() > 0);
        assert!(transfer.bytes() < SIZE, "the client does not read");
        other.send(b"GET /large%20file HTTP/1.1\r\nHost: a\r\nRange: bytes=1000-\r\n\r\n");
        eventually("both are listed", || transfers.len() == 2);
        let range = transfers.list().remove(1);
        assert_eq!((range.total(), range.client().port()), (Some(SIZE - 1000), other.port()));
        assert!(range.number() > transfer.number());
        assert_eq!(client.response(false).body.len() as u64, SIZE);
        eventually("it is not listed any more", || transfers.len() == 1);
        assert_eq!(transfer.bytes(), SIZE);
        other.reset();
        eventually("nor is one that was lost", || transfers.is_empty());
        assert!(range.bytes() < SIZE - 1000);
    }

    fn a_generated_body_is_listed_from_its_first_flush(runtime: Runtime) {
        let (server, transfers) = start(runtime, State::app());
        for (path, total, body) in [
            ("/test/slow", Some(12), "hello world\n"),
            ("/test/stuck-stream", None, ""),
            ("/test/stuck", Some(10), ""),
        ] {
            let mut client = server.client();
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
            let transfer = only(&transfers);
            assert_eq!(transfer.path(), path.as_bytes());
            assert_eq!(transfer.total(), total);
            assert!([5, 6].contains(&transfer.bytes()), "{path}: {}", transfer.bytes());
            server.state.release(1);
            if !body.is_empty() {
                assert_eq!(client.response(false).body, body.as_bytes());
            }
            eventually("it is not listed any more", || transfers.is_empty());
        }
        let mut client = server.client();
        client.send(b"GET /test/large HTTP/1.1\r\nHost: a\r\n\r\n");
        let transfer = only(&transfers);
        assert_eq!(client.response(false).body.len(), LARGE);
        eventually("it is not listed any more", || transfers.is_empty());
        assert_eq!(transfer.bytes(), LARGE as u64);
    }

    fn a_body_is_listed_while_it_is_received(runtime: Runtime) {
        let (server, transfers) = start(runtime, State::app());
        for (framing, rest, total) in [
            ("Content-Length: 10\r\n\r\nhello", "world", Some(10)),
            ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "5\r\nworld\r\n0\r\n\r\n", None),
            ("Expect: 100-continue\r\nContent-Length: 10\r\n\r\n", "helloworld", Some(10)),
        ] {
            let mut client = server.client();
            client.send(format!("PUT /echo HTTP/1.1\r\nHost: a\r\n{framing}").as_bytes());
            let transfer = only(&transfers);
            assert_eq!((transfer.direction(), transfer.path()), (Direction::Upload, &b"/echo"[..]));
            assert_eq!((transfer.client().port(), transfer.total()), (client.port(), total));
            let sent = if framing.ends_with("\r\n\r\n") { 0 } else { 5 };
            eventually("what was sent is counted", || transfer.bytes() == sent);
            if sent == 0 {
                assert_eq!(client.response(true).status, 100);
            }
            client.send(rest.as_bytes());
            assert_eq!(client.response(false).body, b"helloworld", "{framing}");
            assert_eq!(transfer.bytes(), 10);
            assert!(transfers.is_empty(), "{framing}");
        }
        for framing in ["Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhe"] {
            let mut client = server.client();
            client.send(format!("PUT /echo HTTP/1.1\r\nHost: a\r\n{framing}").as_bytes());
            only(&transfers);
            client.reset();
            eventually("it is not listed any more", || transfers.is_empty());
        }
    }

    fn what_takes_one_read_or_write_is_never_listed(runtime: Runtime) {
        let root = files();
        let files = start(runtime, State::files(root.path()));
        let app = start(runtime, State::app());
        for ((server, transfers), requests) in [
            (&files, vec!["GET /small HTTP/1.1\r\n", "HEAD /large%20file HTTP/1.1\r\n", "GET / HTTP/1.1\r\n"]),
            (&app, vec!["GET /long HTTP/1.1\r\n", "PUT /echo HTTP/1.1\r\nContent-Length: 5\r\n"]),
        ] {
            let mut added = std::pin::pin!(transfers.listen());
            let mut client = server.client();
            for request in requests {
                let body = if request.contains("Length") { "hello" } else { "" };
                client.send(format!("{request}Host: a\r\n\r\n{body}").as_bytes());
                assert_eq!(client.response(request.starts_with("HEAD")).status, 200, "{request}");
            }
            let waker = std::task::Waker::noop();
            let polled = added.as_mut().poll(&mut std::task::Context::from_waker(waker));
            assert!(polled.is_pending(), "none has begun");
        }
    }
}

/// More than the buffers of two sockets hold, in bytes.
const SIZE: u64 = 64 << 20;

fn files() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("there is room");
    let large = File::create(root.path().join("large file")).expect("it can be created");
    large.set_len(SIZE).expect("it can be sparse");
    std::fs::write(root.path().join("small"), [b'x'; 6000]).expect("it can be written");
    root
}

fn listed() -> (Config, Transfers) {
    let transfers = Transfers::default();
    (with(config(), |config| config.transfers = Some(transfers.clone())), transfers)
}

fn start(runtime: Runtime, state: Arc<State>) -> (TestServer, Transfers) {
    let (config, transfers) = listed();
    (runtime.start_with(state, config), transfers)
}

/// The only transfer, once it is listed.
fn only(transfers: &Transfers) -> Arc<Transfer> {
    eventually("it is listed", || !transfers.is_empty());
    let mut list = transfers.list();
    assert_eq!(list.len(), 1, "{list:?}");
    list.remove(0)
}
