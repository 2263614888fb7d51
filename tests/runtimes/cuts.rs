//! Responses that are cut on purpose: what a client receives of them, and what the log says.

use std::fs;
use std::sync::Arc;

use doorstep::driver::Ending;
use doorstep::driver::net::{Cuts, MemoryStream, Stream};

use crate::runtimes::{Runtime, config};
use crate::service::State;

on_every_runtime! {
    fn a_response_of_any_kind_is_visibly_cut(runtime: Runtime) {
        let root = tempfile::tempdir().expect("a temporary directory can be made");
        for size in [1_000, 3 << 20] {
            fs::write(root.path().join(size.to_string()), vec![b'x'; size]).expect("there is room");
        }
        let files = ["/1000", "/3145728", "/", "/missing"];
        let app = ["/early", "/long", "/sized", "/stream", "/test/large", "/status/500", "/close"];
        let paths = files.map(|path| (path, true)).into_iter().chain(app.map(|path| (path, false)));
        for (path, is_file) in paths {
            for seed in 0..4 {
                let state = || if is_file { State::files(root.path()) } else { State::app() };
                let (first, again) = (state(), state());
                let response = ask(runtime, &first, &all(seed), &get(path));
                let same = ask(runtime, &again, &all(seed), &get(path));
                assert_eq!(response.body(), same.body(), "{path}: the seed decides");
                assert_eq!(response.is_reset, same.is_reset);
                assert!(response.is_incomplete(), "{path} {seed}: {response:?}");
                assert_eq!(first.endings(), [Ending::CutOnPurpose], "{path} {seed}");
                assert_eq!(first.errors(), [""; 0], "{path} {seed}");
                let logged = first.entry().bytes.unwrap_or(0);
                let received = response.body().len() as u64;
                match path {
                    "/stream" => assert!(logged <= received, "without the framing of chunks"),
                    _ => assert_eq!(logged, received, "{path} {seed}"),
                }
            }
        }
    }

    fn the_end_is_sometimes_a_close_and_sometimes_a_reset(runtime: Runtime) {
        let ends = |request: &str| {
            let resets = (0..20).map(|seed| {
                let response = ask(runtime, &State::app(), &all(seed), request);
                assert!(response.sent.starts_with("HTTP/1.1 200 OK\r\n"), "{response:?}");
                response.is_reset
            });
            resets.filter(|is_reset| *is_reset).count()
        };
        assert!((1..20).contains(&ends(&get("/long"))));
        assert!((1..20).contains(&ends(&get("/stream"))));
        let until_close = "GET /stream HTTP/1.0\r\n\r\n";
        assert_eq!(ends(until_close), 20, "a close would look like the end of the body");
    }

    fn what_has_no_body_is_not_cut(runtime: Runtime) {
        let state = State::app();
        let requests = [
            "HEAD /long HTTP/1.1\r\nHost: a\r\n\r\n",
            "HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n",
            &get("/nothing"),
            &get("/same"),
            &get("/reset"),
        ];
        let response = ask(runtime, &state, &all(1), &requests.concat());
        assert_eq!(response.sent.matches("HTTP/1.1 ").count(), 5);
        assert!(!response.is_reset);
        assert_eq!(state.endings(), [Ending::Complete; 5]);
    }

    fn pipelined_responses_before_the_cut_are_complete_and_none_follows(runtime: Runtime) {
        let state = State::app();
        let cuts = |seed| Cuts::new(20.0, seed).expect("it is a percentage");
        let path = |n: usize| format!("/{n}");
        let first = |seed| (0..20).find(|n| cuts(seed).next(b"GET", path(*n).as_bytes()).is_some());
        let seed = (0..100).find(|seed| first(*seed).is_some_and(|n| n > 3));
        let seed = seed.expect("most seeds have a cut later on");
        let (cuts, first) = (Arc::new(cuts(seed)), first(seed).expect("it has one"));
        let requests: String = (0..20).map(|n| get(&path(n))).collect();
        let response = ask(runtime, &state, &cuts, &requests);
        for n in 0..first {
            assert!(response.sent.contains(&format!("\r\n\r\nGET /{n}\n")), "{response:?}");
        }
        assert_eq!(response.sent.matches("HTTP/1.1 200 OK\r\n").count(), first + 1, "{response:?}");
        assert!(!response.sent.ends_with('\n'));
        let endings = state.endings();
        assert_eq!(endings[..first], vec![Ending::Complete; first]);
        assert_eq!(endings[first], Ending::CutOnPurpose);
    }

    fn without_a_share_nothing_is_cut(runtime: Runtime) {
        let cuts = Arc::new(Cuts::new(0.0, 3).expect("it is a percentage"));
        let state = State::app();
        let requests: String = (0..50).map(|n| get(&format!("/{n}"))).collect();
        let response = ask(runtime, &state, &cuts, &requests);
        assert!(response.sent.ends_with("GET /49\n") && !response.is_reset);
        assert_eq!(state.endings(), [Ending::Complete; 50]);
    }
}

/// What a client in memory received.
#[derive(Debug)]
struct Received {
    sent: String,
    is_reset: bool,
}

impl Received {
    fn body(&self) -> &str {
        self.sent.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    /// Whether a client can tell that the response is incomplete.
    fn is_incomplete(&self) -> bool {
        let (head, body) = self.sent.split_once("\r\n\r\n").expect("the head is complete");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        match length {
            Some(length) => body.len() < length.parse().expect("it is a number"),
            None => self.is_reset || !body.ends_with("0\r\n\r\n"),
        }
    }
}

/// All responses are cut.
fn all(seed: u64) -> Arc<Cuts> {
    Arc::new(Cuts::new(100.0, seed).expect("it is a percentage"))
}

fn ask(runtime: Runtime, state: &Arc<State>, cuts: &Arc<Cuts>, request: &str) -> Received {
    let client = MemoryStream::new(request);
    let stream = Stream::with_cuts(client.clone().into(), cuts.clone());
    runtime.serve_stream(state, &config(), stream).expect("no thread is needed");
    let sent = String::from_utf8_lossy(&client.take_output()).into_owned();
    Received { sent, is_reset: client.is_reset() }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}
