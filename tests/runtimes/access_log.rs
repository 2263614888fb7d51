//! The records of the access log: what they call sent was sent, and a mistake of a handler is an
//! error of its own.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use doorstep::core::http1::Version;
use doorstep::driver::os::Log;
use doorstep::driver::{AccessLog, Ending, Format, Observer, Record, Timing};

use crate::runtimes::{Runtime, TestServer, config, eventually, front_end};
use crate::service::State;
use crate::service::state::LogEntry;

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

    fn b_107_a_client_that_disconnects_is_not_a_mistake_of_the_handler(runtime: Runtime) {
        for (path, status) in [("/test/gone-silent", 400), ("/test/gone-short", 200), ("/test/gone-endless", 200)] {
            let server = runtime.start(State::app());
            let mut client = server.client();
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
            server.state.wait_until_blocked(1);
            client.reset();
            server.state.release(1);
            let entry = server.state.entry();
            assert_eq!((entry.status, entry.bytes, entry.aborted), (status, None, true), "{path}");
            assert_eq!(server.state.errors(), [""; 0], "{path}");
        }
    }

    fn a_long_path_is_shortened_in_a_message(runtime: Runtime) {
        let server = runtime.start(State::app());
        let path = format!("/test/silent/{}", "x".repeat(1000));
        assert_eq!(server.client().request("GET", &path, &[]).status, 500);
        let expected = format!("{}…: the handler sent no response", &path[..256]);
        assert_eq!(server.state.errors(), [expected]);
    }

    fn a_service_logs_to_files_in_a_format(runtime: Runtime) {
        for (format, begin, end) in [
            (Format::Python, "127.0.0.1 - - [", "\"GET /page HTTP/1.1\" 200 -\n"),
            (Format::Combined, "127.0.0.1 - - [", "\"GET /page HTTP/1.1\" 200 - \"-\" \"-\"\n"),
            (Format::Json, "{\"time\":\"", "\"}\n"),
        ] {
            let directory = tempfile::tempdir().expect("it can be made");
            let path = |name: &str| directory.path().join(name);
            let open = |name: &str| Arc::new(Log::file(path(name)).expect("it can be made"));
            let (access, error) = (open("access.log"), open("error.log"));
            let server = logged(runtime, || {
                let access_log = AccessLog::new(access.clone());
                access_log.with_error_log(error.clone()).with_format(format)
            });
            let mut client = server.client();
            client.send(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n");
            client.response(false);
            client.send(b"GET /silent HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            client.read_to_end();
            let read = |name: &str| fs::read_to_string(path(name)).expect("it is there");
            eventually("both are logged", || {
                read("access.log").contains("/silent") && !read("error.log").is_empty()
            });
            let first = read("access.log");
            let first = first.split_inclusive('\n').next().unwrap_or_default();
            assert!(first.starts_with(begin) && first.ends_with(end), "{first}");
            let error = read("error.log");
            assert_eq!(error.matches("/silent: the handler sent no response").count(), 1, "{error}");
        }
    }

    fn b_110_a_record_has_what_an_access_log_needs(runtime: Runtime) {
        let (server, entries) = observed(runtime);
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later");
        let before = now();
        let mut client = server.client();
        let port = client.port();
        client.send(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        client.response(false);
        client.send(b"POST /wait?x HTTP/1.1\r\nHost: a\r\n\r\n");
        server.state.wait_until_blocked(1);
        let waiting = now();
        eventually("some time passes", || now() > waiting);
        server.state.release(1);
        client.response(false);
        client.send(b"GET /nobody HTTP/1.1\r\nHost: a\r\n\r\n");
        client.response(false);
        client.send(b"NONSENSE\r\n\r\n");
        client.read_to_end();
        eventually("all is logged", || entries.lock().expect("no panic").len() == 4);
        let entries = entries.lock().expect("no panic");
        let expected = [
            ("GET", "/a", Version::Http10, Ending::Complete),
            ("POST", "/wait", Version::Http11, Ending::Complete),
            ("GET", "/nobody", Version::Http11, Ending::Complete),
        ];
        for (entry, (method, path, version, ending)) in entries.iter().zip(expected) {
            let request = Some((method.to_owned(), path.to_owned(), version));
            assert_eq!((&entry.request, entry.ending), (&request, ending));
        }
        let ids: BTreeSet<_> = entries.iter().filter_map(|entry| entry.request_id.clone()).collect();
        assert_eq!(ids.len(), 4, "each has an id, and no two the same: {ids:?}");
        assert_eq!(entries[3].request, None);
        for entry in entries.iter() {
            assert_eq!(entry.remote_addr, SocketAddr::new(IpAddr::from([127, 0, 0, 1]), port));
            assert_eq!(entry.local_addr, Some(server.address));
            let Timing { start, .. } = entry.timing.expect("it is measured");
            assert!(start + Duration::from_millis(10) > before, "{start:?}, {before:?}");
            assert!(entry.timing.expect("it is measured").end() <= now());
        }
        let duration = entries[1].timing.expect("it is measured").duration;
        assert!(duration > Duration::ZERO, "{duration:?}");
    }
}

/// An owned [`Record`], as far as [`LogEntry`] lacks it.
struct Entry {
    remote_addr: SocketAddr,
    local_addr: Option<SocketAddr>,
    request: Option<(String, String, Version)>,
    ending: Ending,
    timing: Option<Timing>,
    request_id: Option<String>,
}

#[derive(Clone, Default)]
struct Entries(Arc<Mutex<Vec<Entry>>>);

impl Observer for Entries {
    fn log(&self, record: &Record<'_>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let request = record.method().zip(record.path()).zip(record.version());
        self.0.lock().expect("no panic").push(Entry {
            remote_addr: record.remote_addr,
            local_addr: record.local_addr(),
            request: request.map(|((method, path), version)| (text(method), text(path), version)),
            ending: record.ending,
            timing: record.timing,
            request_id: record.request_id.map(|id| id.to_string()),
        });
    }
    fn wants_request_ids(&self) -> bool {
        true
    }
}

/// The example on tokio has no `with_observer`.
struct Observed(Arc<State>, Entries);

impl front_end::tokio::Handler for Observed {
    async fn handle(&self, x: &mut front_end::tokio::Exchange<'_>) -> io::Result<()> {
        if x.head().path() == b"/wait" {
            self.0.wait();
        }
        x.respond(200).body("")
    }
    fn observer(&self) -> &dyn Observer {
        &self.1
    }
}

/// Serves a closure, whose records are collected; `/wait` waits.
fn observed(runtime: Runtime) -> (TestServer, Arc<Mutex<Vec<Entry>>>) {
    let (state, entries) = (State::app(), Entries::default());
    let (on_threads, on_smol) = (state.clone(), state.clone());
    let on_tokio = Observed(state.clone(), entries.clone());
    let respond_on_threads = move |x: &mut doorstep::blocking::Exchange<'_>| {
        if x.head().path() == b"/wait" {
            on_threads.wait();
        }
        x.respond(200).body("")
    };
    let respond_on_smol = move |x: &mut doorstep::smol::Exchange<'_>| {
        if x.head().path() == b"/wait" {
            on_smol.wait();
        }
        x.respond(200).body("")
    };
    let server = runtime.start_handler(
        doorstep::blocking::Handler::with_observer(respond_on_threads, entries.clone()),
        doorstep::smol::Handler::with_observer(respond_on_smol, entries.clone()),
        on_tokio,
        state,
        config(),
    );
    (server, entries.0)
}

/// The example on tokio has no `with_observer`.
struct Logged(AccessLog);

impl front_end::tokio::Handler for Logged {
    async fn handle(&self, x: &mut front_end::tokio::Exchange<'_>) -> io::Result<()> {
        if x.head().path() == b"/silent" { Ok(()) } else { x.respond(200).body("") }
    }
    fn observer(&self) -> &dyn Observer {
        &self.0
    }
}

/// Serves empty pages, but for `/silent`, which is a mistake of the handler.
fn logged(runtime: Runtime, access_log: impl Fn() -> AccessLog) -> TestServer {
    let on_threads = |x: &mut doorstep::blocking::Exchange<'_>| {
        if x.head().path() == b"/silent" { Ok(()) } else { x.respond(200).body("") }
    };
    let on_smol = |x: &mut doorstep::smol::Exchange<'_>| {
        if x.head().path() == b"/silent" { Ok(()) } else { x.respond(200).body("") }
    };
    runtime.start_handler(
        doorstep::blocking::Handler::with_observer(on_threads, access_log()),
        doorstep::smol::Handler::with_observer(on_smol, access_log()),
        Logged(access_log()),
        State::app(),
        config(),
    )
}

/// The log entry of a response to GET; that of an empty one has no number of bytes.
fn entry(path: &str, bytes: u64) -> LogEntry {
    let (line, bytes) = (format!("GET {path} HTTP/1.1"), (bytes > 0).then_some(bytes));
    LogEntry { line, status: 200, bytes, aborted: false, error: None, tls: None }
}
