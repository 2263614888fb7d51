//! Handlers in memory, without a socket: the application, files, and what a client that disconnects
//! causes. The wire transcripts are played in memory, too: `wire.rs`.

use std::io::{self, Read};
use std::time::Duration;
use std::{fs, path::Path};

use ::smol::future;
use ::smol::io::AsyncReadExt;
use doorstep::driver::net::MemoryStream;
use doorstep::{blocking as on_threads, smol as on_smol};

use crate::runtimes::{Runtime, ShippedRuntime, config, with};
use crate::service::State;

on_every_runtime! {
    fn pipelined_requests_are_responded_to_until_one_closes(runtime: Runtime) {
        let state = State::app();
        let client = MemoryStream::new([get("/1"), get("/close"), get("/never")].concat());
        let responses = text(runtime.serve_in_memory(&state, &client));
        assert_eq!(responses.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{responses}");
        assert!(responses.contains("\r\n\r\nGET /1\nHTTP/1.1 200") && responses.ends_with("bye\n"));
        let lines: Vec<_> = state.log(2).into_iter().map(|entry| entry.line).collect();
        assert_eq!(lines, ["GET /1 HTTP/1.1", "GET /close HTTP/1.1"]);
        assert!(!client.is_reset() && client.take_output().is_empty());
    }

    fn a_body_has_room_wherever_its_head_ends_among_pipelined_requests(runtime: Runtime) {
        let config = with(config(), |c| {
            (c.limits.head, c.limits.trailers, c.body_read_ahead) = (1024, 200, 0);
        });
        let chunks = "5\r\nhello\r\n6\r\n world\r\n0\r\n";
        let post = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let short = format!("{post}{chunks}\r\n");
        let long = format!("{post}{chunks}X: {}\r\n\r\n", "x".repeat(150));
        for size in (0..6000).step_by(37) {
            // The first ones make the inbox as large as it can be.
            let mut requests = vec![short.clone(); 100];
            requests.extend(vec![get("/filler"); size / get("/filler").len()]);
            requests.push(get(&format!("/{}", "x".repeat(size % get("/filler").len()))));
            requests.extend([long.clone(), get("/last")]);
            let (state, client) = (State::app(), MemoryStream::new(requests.concat()));
            runtime.serve_stream(&state, &config, client.clone()).expect("no thread is needed");
            let responses = text(client.take_output());
            assert!(responses.ends_with("\r\n\r\nGET /last\n"), "{size}: {responses}");
            let lines = state.log(requests.len()).into_iter().map(|entry| entry.line);
            let sent = requests.iter().map(|request| request.split("\r\n").next().unwrap_or(""));
            assert!(lines.eq(sent), "{size}");
        }
    }

    fn a_handler_that_panics_is_a_500(runtime: Runtime) {
        let state = State::app();
        let request = get("/test/panic");
        let response = text(runtime.serve_in_memory(&state, &MemoryStream::new(request)));
        assert!(response.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{response}");
        assert_eq!(state.errors(), ["/test/panic: the handler panicked: as asked"]);
    }

    fn an_upgrade_gets_its_101_and_no_socket(runtime: Runtime) {
        let state = State::app();
        let request = "GET /switch HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
        let response = text(runtime.serve_in_memory(&state, &MemoryStream::new(request)));
        assert!(response.starts_with("HTTP/1.1 101 ") && response.ends_with("\r\n\r\n"));
        let error = "/switch: the connection is in memory: it has no socket for another protocol";
        assert_eq!(state.errors(), [error]);
    }

    fn a_client_that_disconnects_gets_no_more(runtime: Runtime) {
        for path in ["/test/large", "/test/large-text"] {
            let state = State::app();
            let client = MemoryStream::new([get(path), get("/never")].concat());
            let client = client.disconnect_after(100_000);
            assert_eq!(runtime.serve_in_memory(&state, &client).len(), 100_000);
            let entry = state.entry();
            assert_eq!((&entry.line[..], entry.aborted), (&*format!("GET {path} HTTP/1.1"), true));
        }
    }

    fn an_incomplete_response_is_a_reset_if_nothing_else_shows_it(runtime: Runtime) {
        for (version, resets) in [("1.1", false), ("1.0", true)] {
            let request = format!("GET /test/panic-late HTTP/{version}\r\nHost: a\r\n\r\n");
            let client = MemoryStream::new(request);
            let response = text(runtime.serve_in_memory(&State::app(), &client));
            assert!(response.contains("half\n") && !response.contains("0\r\n\r\n"), "{response}");
            assert_eq!(client.is_reset(), resets, "HTTP/{version}");
        }
    }

    fn files_ranges_and_listings_are_served(runtime: Runtime) {
        let root = tempfile::tempdir().expect("a temporary directory can be made");
        // In memory with its head, and in several parts from the file.
        for size in [1_000, 3 << 20] {
            let content: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            fs::write(root.path().join(format!("{size}.bin")), &content).expect("it can be written");
            let ask = |request: String| {
                let state = State::files(root.path());
                let response = runtime.serve_in_memory(&state, &MemoryStream::new(request));
                assert_eq!(state.errors(), [""; 0]);
                let end = response.windows(4).position(|part| part == b"\r\n\r\n");
                let (head, body) = response.split_at(end.expect("there is a head") + 4);
                (String::from_utf8_lossy(head).into_owned(), body.to_vec())
            };
            let (head, body) = ask(get(&format!("/{size}.bin")));
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body == content, "{head}");
            let range = format!("GET /{size}.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=7-\r\n\r\n");
            let (head, body) = ask(range);
            assert!(head.starts_with("HTTP/1.1 206 Partial Content\r\n"), "{head}");
            assert!(body == content[7..], "{head}");
            let (head, body) = ask(format!("HEAD /{size}.bin HTTP/1.1\r\nHost: a\r\n\r\n"));
            assert!(head.contains(&format!("Content-Length: {size}\r\n")) && body.is_empty());
            assert!(ask(get("/missing")).0.starts_with("HTTP/1.1 404 "));
            let (head, body) = ask(get("/"));
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            assert!(text(body).contains(&format!("{size}.bin")));
        }
    }

    fn ask_is_a_client_of_this_host_with_the_default_configuration(runtime: ShippedRuntime) {
        let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\
            Expect: 100-continue\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET / HTTP/9\r\n\r\n";
        let responses = text(match runtime {
            Runtime::Blocking => on_threads::test::ask(&Echo, request),
            Runtime::Smol => future::block_on(on_smol::test::ask(&Echo, request)),
            Runtime::Tokio => unreachable!("it is ignored there"),
        });
        let start = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nServer: doorstep/";
        assert!(responses.starts_with(start), "{responses}");
        let body = "\r\n\r\nhello from 127.0.0.1:0 to 127.0.0.1:80";
        assert!(responses.contains(&format!("{body}HTTP/1.1 400 ")), "{responses}");
    }

    fn a_handler_that_waits_for_a_disconnect_sees_the_half_close(runtime: ShippedRuntime) {
        let half_close_timeout = Duration::from_millis(20);
        let disconnect_check_interval = Duration::from_millis(10);
        let config = with(config(), |c| {
            c.half_close_timeout = half_close_timeout;
            c.disconnect_check_interval = disconnect_check_interval;
        });
        let client = MemoryStream::new(get("/"));
        match runtime {
            Runtime::Blocking => on_threads::serve_stream(&Echo, &config, client.clone()),
            Runtime::Smol => future::block_on(on_smol::serve_stream(&Echo, &config, client.clone())),
            Runtime::Tokio => unreachable!("it is ignored there"),
        }
        .expect("it is served");
        assert!(text(client.take_output()).ends_with("\r\n\r\ndisconnected"));
    }

    fn neither_a_thread_nor_a_descriptor_is_needed(runtime: ShippedRuntime) {
        if !Path::new("/proc/self/fd").exists() {
            return;
        }
        let name = "neither_a_thread_nor_a_descriptor_is_needed";
        runtime.alone("memory", name, || {
            let count = |what| fs::read_dir(format!("/proc/self/{what}")).map_or(0, Iterator::count);
            let count = move || (count("task"), count("fd"));
            let before = count();
            let response = match runtime {
                Runtime::Blocking => {
                    let handler = move |exchange: &mut on_threads::Exchange<'_>| {
                        exchange.respond(200).body(format!("{:?}", count()))
                    };
                    on_threads::test::ask(&handler, get("/"))
                }
                Runtime::Smol => {
                    let handler = move |exchange: &mut on_smol::Exchange<'_>| {
                        exchange.respond(200).body(format!("{:?}", count()))
                    };
                    future::block_on(on_smol::test::ask(&handler, get("/")))
                }
                Runtime::Tokio => unreachable!("it is ignored there"),
            };
            assert!(before.0 > 0 && text(response).ends_with(&format!("\r\n\r\n{before:?}")));
            assert_eq!(count(), before);
        });
    }
}

/// Responds to POST with the request's body and the addresses, and to GET after a disconnect.
struct Echo;

impl on_threads::Handler for Echo {
    fn get(&self, exchange: &mut on_threads::Exchange<'_>) -> io::Result<()> {
        while !exchange.wait_disconnected(Duration::MAX) {}
        exchange.respond(200).body("disconnected")
    }
    fn post(&self, exchange: &mut on_threads::Exchange<'_>) -> io::Result<()> {
        let mut body = String::new();
        exchange.body().read_to_string(&mut body)?;
        let (peer, local) = (exchange.peer_addr(), exchange.local_addr()?);
        exchange.respond(200).body(format!("{body} from {peer} to {local}"))
    }
}

impl on_smol::Handler for Echo {
    async fn get(&self, exchange: &mut on_smol::Exchange<'_>) -> io::Result<()> {
        exchange.disconnected().await;
        exchange.respond(200).body("disconnected")
    }
    async fn post(&self, exchange: &mut on_smol::Exchange<'_>) -> io::Result<()> {
        let mut body = String::new();
        exchange.body().read_to_string(&mut body).await?;
        let (peer, local) = (exchange.peer_addr(), exchange.local_addr()?);
        exchange.respond(200).body(format!("{body} from {peer} to {local}"))
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

fn text(bytes: impl AsRef<[u8]>) -> String {
    String::from_utf8_lossy(bytes.as_ref()).into_owned()
}
