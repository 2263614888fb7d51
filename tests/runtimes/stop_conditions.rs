//! Servers that end by themselves: which transfers count, that no more are completed than were asked
//! for, and that nothing that is in progress is cut.

use std::fs::{self, File};
use std::num::NonZeroU64;
use std::time::Duration;

use crate::runtimes::{Runtime, ShippedRuntime, TestServer, eventually};
use crate::service::State;
use doorstep::blocking::{StopConditions, TransferStart};
use doorstep::driver::event_listener::Listener;
use tempfile::TempDir;

/// The size of a file that does not fit into the buffers of two sockets.
const BIG: u64 = 64 << 20;

on_every_runtime! {
    fn b_307_downloads_of_files_count_and_nothing_else_does(runtime: ShippedRuntime) {
        let root = root();
        let (server, conditions) = start(runtime, State::files(root.path()), 3);
        let mut client = server.client();
        let etag = client.request("HEAD", "/a.txt", &[]).header("ETag").map(str::to_owned);
        let unchanged = format!("If-None-Match: {}", etag.expect("files have one"));
        for (method, target, header, status) in [
            ("HEAD", "/a.txt", "X: y", 200),
            ("GET", "/a.txt", &unchanged, 304),
            ("GET", "/", "X: y", 200), // a listing
            ("GET", "/sub", "X: y", 301),
            ("GET", "/favicon.ico", "X: y", 404),
            ("GET", "/a.txt", "Range: bytes=0-3", 206),
            ("GET", "/a.txt", "Range: bytes=9-", 416),
            ("GET", "/a.txt", "If-Match: \"other\"", 412),
            ("OPTIONS", "/a.txt", "X: y", 204),
            ("POST", "/a.txt", "Content-Length: 0", 405),
        ] {
            let response = client.request(method, target, &[header]);
            assert_eq!(response.status, status, "{method} {target} {header}");
            let report = conditions.report();
            assert_eq!((report.completed, report.cut), (0, 0), "{method} {target} {header}");
        }
        for (done, header, status) in
            [(1, "X: y", 200), (2, "Range: bytes=3-", 206), (3, "Range: bytes=0-0,4-5", 206)]
        {
            assert_eq!(client.request("GET", "/a.txt", &[header]).status, status);
            eventually("it is counted", || conditions.report().completed == done);
        }
        server.wait_until_stopped();
        assert!(conditions.report().is_count_reached());
    }

    fn an_empty_file_and_an_index_page_are_downloads(runtime: ShippedRuntime) {
        let root = root();
        fs::write(root.path().join("empty"), "").expect("it is writable");
        fs::write(root.path().join("sub/index.html"), "hello").expect("it is writable");
        let (server, _) = start(runtime, State::files(root.path()), 2);
        let mut client = server.client();
        assert_eq!(client.request("GET", "/empty", &[]).status, 200);
        assert_eq!(client.request("GET", "/sub/", &[]).body, b"hello");
        server.wait_until_stopped();
    }

    fn more_clients_than_places_get_503_and_a_place_that_is_given_back(runtime: ShippedRuntime) {
        let root = root();
        let (server, conditions) = start(runtime, State::files(root.path()), 1);
        let mut first = server.client();
        first.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
        first.peek();
        let mut second = server.client();
        for (target, status) in [("/big", 503), ("/a.txt", 503), ("/", 200), ("/none", 404)] {
            let response = second.request("GET", target, &[]);
            assert_eq!(response.status, status, "{target}");
            if status == 503 {
                assert_eq!(response.header("Retry-After"), Some("5"));
                let page = String::from_utf8_lossy(&response.body).into_owned();
                assert!(page.contains("If one of them is cut, another can begin"), "{page}");
            }
        }
        assert_eq!(second.request("HEAD", "/big", &[]).status, 200);
        first.reset();
        eventually("the place is given back", || conditions.report().cut == 1);
        assert_eq!(second.request("GET", "/big", &[]).body.len() as u64, BIG);
        server.wait_until_stopped();
        let report = conditions.report();
        assert_eq!((report.completed, report.cut), (1, 0), "the same client has it now");
    }

    fn pipelined_requests_do_not_exceed_the_count(runtime: ShippedRuntime) {
        let root = root();
        let (server, conditions) = start(runtime, State::files(root.path()), 2);
        let mut client = server.client();
        client.send(&b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3));
        let statuses = [(); 3].map(|()| client.response(false).status);
        assert_eq!(statuses, [200, 200, 503]);
        server.wait_until_stopped();
        assert_eq!(conditions.report().completed, 2);
    }

    fn what_was_cut_of_another_file_is_not_made_good(runtime: ShippedRuntime) {
        let root = root();
        let (server, conditions) = start(runtime, State::files(root.path()), 1);
        let mut client = server.client();
        client.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
        client.peek();
        client.reset();
        eventually("it is cut", || conditions.report().cut == 1);
        assert_eq!(server.client().request("GET", "/a.txt", &[]).status, 200);
        server.wait_until_stopped();
        let report = conditions.report();
        assert_eq!((report.completed, report.cut), (1, 1));
    }

    fn a_part_of_a_file_is_finished_although_the_count_is_reached(runtime: ShippedRuntime) {
        let root = root();
        let (server, conditions) = start(runtime, State::files(root.path()), 1);
        let mut part = server.client();
        let size = BIG - 1;
        let head = format!("GET /big HTTP/1.1\r\nHost: a\r\nRange: bytes=0-{}\r\n\r\n", size - 1);
        part.send(head.as_bytes());
        part.peek();
        let mut client = server.client();
        assert_eq!(client.request("GET", "/big", &["Range: bytes=-1"]).status, 206);
        eventually("the count is reached", || conditions.report().is_count_reached());
        for range in ["bytes=0-", "bytes=0-0"] {
            let response = client.request("GET", "/big", &[&format!("Range: {range}")]);
            assert_eq!((response.status, response.header("Retry-After")), (503, None));
            let page = String::from_utf8_lossy(&response.body).into_owned();
            assert!(page.contains("the last one was completed"), "{page}");
        }
        assert!(server.is_serving());
        assert_eq!(part.response(false).body.len() as u64, size);
        server.wait_until_stopped();
    }

    fn uploads_count_by_their_status_and_give_their_place_back(runtime: ShippedRuntime) {
        let (server, conditions) = start(runtime, State::app(), 3);
        let mut client = server.client();
        let empty = ["Content-Length: 0"];
        for target in ["/status/404", "/status/500", "/status/302"] {
            client.request("POST", target, &empty);
        }
        assert_eq!(client.request("GET", "/echo", &[]).status, 200, "not a file");
        let report = conditions.report();
        assert_eq!((report.completed, report.cut), (0, 0));

        let mut cut = server.client();
        cut.send(b"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
        eventually("it has begun", || conditions.requests_in_progress() == 1);
        cut.reset();
        eventually("it is cut", || conditions.report().cut == 1);

        for (method, target, status) in
            [("PUT", "/echo", 200), ("POST", "/status/303", 303), ("PUT", "/nothing", 204)]
        {
            assert_eq!(client.request(method, target, &empty).status, status);
        }
        server.wait_until_stopped();
        let report = conditions.report();
        assert_eq!((report.completed, report.cut), (3, 0));
    }

    fn an_upload_takes_its_place_before_its_body(runtime: ShippedRuntime) {
        let (server, conditions) = start(runtime, State::app(), 1);
        let mut first = server.client();
        first.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
        eventually("it has begun", || conditions.requests_in_progress() == 1);
        let fields = ["Content-Length: 1000000", "Expect: 100-continue"];
        let refused = server.client().request("POST", "/echo", &fields);
        assert_eq!((refused.status, refused.header("Retry-After")), (503, Some("5")));
        first.send(b"cd");
        assert_eq!(first.response(false).body, b"abcd");
        server.wait_until_stopped();
    }

    fn without_uploads_a_put_takes_no_place_and_is_not_cut(runtime: ShippedRuntime) {
        let root = root();
        let (server, conditions) = runtime.start_watched(State::files(root.path()), |shutdown| {
            StopConditions::new(shutdown).with_count(NonZeroU64::MIN).without_uploads()
        });
        let mut first = server.client();
        first.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
        first.peek(); // it has the place
        for method in ["PUT", "POST"] {
            let response = server.client().request(method, "/a.txt", &["Content-Length: 0"]);
            assert_eq!(response.status, 405, "not 503");
        }
        let mut cut = server.client();
        cut.send(b"POST /a.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\nab");
        cut.peek();
        cut.reset();
        first.response(false);
        let report = conditions.report();
        assert_eq!(report.cut, 0);
        server.wait_until_stopped();
        assert!(conditions.report().is_complete());
    }

    fn a_handler_makes_its_responses_downloads(runtime: ShippedRuntime) {
        let two = NonZeroU64::new(2).expect("not zero");
        let (server, conditions) = runtime.start_watched_handler(
            |x: &mut doorstep::blocking::Exchange<'_>| match x.begin_transfer(true)? {
                TransferStart::Begun => x.respond(200).body("x"),
                TransferStart::Refused => Ok(()),
            },
            |x: &mut doorstep::smol::Exchange<'_>| match x.begin_transfer(true)? {
                TransferStart::Begun => x.respond(200).body("x"),
                TransferStart::Refused => Ok(()),
            },
            State::app(),
            move |shutdown| StopConditions::new(shutdown).with_count(two),
        );
        let mut client = server.client();
        assert_eq!(client.request("HEAD", "/", &[]).status, 200);
        client.send(&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3));
        assert_eq!([(); 3].map(|()| client.response(false).status), [200, 200, 503]);
        server.wait_until_stopped();
        assert!(conditions.report().is_complete());
    }

    fn a_request_is_in_progress_until_its_response_was_sent(runtime: ShippedRuntime) {
        let state = State::app();
        let new = |shutdown| StopConditions::new(shutdown);
        let (server, conditions) = runtime.start_watched(state, new);
        let begin = conditions.idle_since().expect("it is idle");
        let (mut idle, mut client) = (server.client(), server.client());
        idle.request("GET", "/a", &[]); // and the connection stays open
        eventually("it is over", || conditions.idle_since().is_some_and(|since| since > begin));
        client.send(b"GET /test/slow HTTP/1.1\r\nHost: a\r\n\r\n");
        server.state.wait_until_blocked(1);
        client.peek();
        assert_eq!((conditions.requests_in_progress(), conditions.idle_since()), (1, None));
        let listener = conditions.listen();
        server.state.release(1);
        assert!(listener.wait_timeout(Duration::from_secs(10)).is_some());
        assert!(conditions.idle_since().is_some());
        client.send(b"GET /test/wait HTTP/1.1\r\nHost: a\r\n\r\n");
        server.state.wait_until_blocked(2);
        server.state.release(1);
        eventually("it is over", || conditions.requests_in_progress() == 0);
        assert!(server.is_serving(), "without a count nothing stops it");
    }

    fn a_handler_that_fails_or_panics_ends_its_request(runtime: ShippedRuntime) {
        let (server, conditions) = start(runtime, State::app(), 1);
        for target in ["/test/fail", "/test/panic", "/test/silent", "/test/panic-late"] {
            let mut client = server.client();
            client.send(format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").as_bytes());
            client.read_until(b"\r\n");
            eventually("it is over", || conditions.requests_in_progress() == 0);
        }
        let report = conditions.report();
        assert_eq!((report.completed, report.cut), (0, 1), "only the last one had begun");
        assert_eq!(server.client().request("POST", "/echo", &["Content-Length: 0"]).status, 200);
        server.wait_until_stopped();
    }
}

fn start(
    runtime: Runtime,
    state: std::sync::Arc<State>,
    count: u64,
) -> (TestServer, StopConditions) {
    let count = NonZeroU64::new(count).expect("not zero");
    runtime.start_watched(state, move |shutdown| StopConditions::new(shutdown).with_count(count))
}

fn root() -> TempDir {
    let root = tempfile::tempdir().expect("a directory can be made");
    fs::write(root.path().join("a.txt"), "hello\n").expect("it is writable");
    fs::create_dir(root.path().join("sub")).expect("it is writable");
    let big = File::create(root.path().join("big")).expect("it is writable");
    big.set_len(BIG).expect("it can have holes");
    root
}
