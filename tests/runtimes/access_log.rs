//! The records of the access log: what they call sent was sent, and a mistake of a handler is an
//! error of its own.

use crate::runtimes::Runtime;
use crate::service::{LogEntry, State};

on_every_runtime! {
    fn b_107_what_a_client_that_has_reset_did_not_get_is_not_logged_as_sent(runtime: Runtime) {
        for paths in [&["/test/gone"][..], &["/one", "/test/gone"], &["/test/gone", "/two"]] {
            let server = runtime.start(State::app());
            let mut client = server.client();
            assert_eq!(client.request("GET", "/a", &[]).body, b"GET /a\n");
            let requests = paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
            client.send(requests.collect::<String>().as_bytes());
            server.state.wait_until_blocked(1);
            client.reset();
            server.state.release(1);
            let mut log = server.state.log(1 + paths.len());
            assert_eq!(log.remove(0), entry("/a", 7));
            let lost = |path: &&str| LogEntry { aborted: true, ..entry(path, 0) };
            assert_eq!(log, paths.iter().map(lost).collect::<Vec<_>>());
            assert_eq!(server.state.errors(), [""; 0], "the mark on the line is all (B-289)");
        }
    }

    fn b_045_b_107_pipelined_responses_are_logged_in_order(runtime: Runtime) {
        let server = runtime.start(State::app());
        let mut client = server.client();
        let paths: Vec<_> = (0..20).map(|n| format!("/{n}")).collect();
        let requests = paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        client.send(requests.collect::<String>().as_bytes());
        for _ in &paths {
            assert_eq!(client.response(false).status, 200);
        }
        let expected = paths.iter().map(|path| entry(path, 5 + path.len() as u64));
        assert_eq!(server.state.log(20), expected.collect::<Vec<_>>());
    }

    fn b_107_a_response_is_logged_before_the_next_one_has_ended(runtime: Runtime) {
        let server = runtime.start(State::app());
        let mut client = server.client();
        client.send(
            b"GET /one HTTP/1.1\r\nHost: a\r\n\r\nGET /test/stuck-stream HTTP/1.1\r\nHost: a\r\n\r\n",
        );
        assert_eq!(client.response(false).body, b"GET /one\n");
        assert_eq!(server.state.entry(), entry("/one", 9), "the stream goes on");
    }
}

/// The log entry of a response to GET; that of an empty one has no number of bytes.
fn entry(path: &str, bytes: u64) -> LogEntry {
    let (line, bytes) = (format!("GET {path} HTTP/1.1"), (bytes > 0).then_some(bytes));
    LogEntry { line, status: 200, bytes, aborted: false, error: None }
}
