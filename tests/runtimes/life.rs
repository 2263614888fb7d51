//! A server's life as its [`Observer`] sees it, and the traits of a handler: defaults and delegation.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use doorstep::blocking::{Files, Observer, Record, ShutdownReport};
use doorstep::driver::cgi::ProcessLimit;
use doorstep::driver::net::Stream;

use crate::runtimes::{Runtime, TestServer, config, eventually, listener, with};
use crate::service::State;
use crate::support::client::{Client, Response};

on_every_runtime! {
    fn an_accepted_socket_is_served_until_its_client_is_idle_for_too_long(runtime: Runtime) {
        let listener = listener().remove(0);
        let mut client = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
        let (socket, peer) = listener.accept().expect("there is a client");
        socket.set_nonblocking(runtime == Runtime::Blocking).expect("a socket can do that"); // the wrong one
        client.write_all(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n").expect("it is open");
        let (state, mut config) = (State::app(), config());
        config.timeouts.idle = Duration::from_millis(100);
        runtime.serve_stream(&state, &config, Stream::tcp(socket, peer)).expect("there are threads");
        let mut responses = String::new();
        client.read_to_string(&mut responses).expect("it was closed by a FIN");
        assert!(responses.contains("GET /1\n") && responses.ends_with("GET /2\n"), "{responses}");
        assert_eq!((state.log(2).len(), state.errors().len()), (2, 0));
    }

    fn b_110_an_observer_sees_the_events_of_a_servers_life_in_order(runtime: Runtime) {
        let (server, events) = observed(runtime, Duration::from_millis(800));
        eventually("it serves", || !events.lock().expect("no panic").is_empty());
        let mut client = server.client();
        assert_eq!(client.request("GET", "/a", &[]).status, 200);
        assert_eq!(client.request("GET", "/fail", &[]).status, 500);
        assert_eq!(client.request("BREW", "/", &[]).status, 501);
        let mut blocked = server.client();
        blocked.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
        server.state.wait_until_blocked(1);
        server.stop();
        eventually("the grace expires", || events.lock().expect("no panic").contains(&"grace expired".into()));
        server.state.release(1);
        assert_eq!(blocked.response(false).body, b"waited");
        drop((client, blocked));
        server.wait_until_stopped();
        let events = events.lock().expect("no panic");
        let (processes, others): (Vec<_>, Vec<_>) = events.iter().partition(|event| *event == "processes");
        assert_eq!(
            others,
            [
                "start", "log 200 GET /a HTTP/1.1", "error /fail: as asked", "log 500 GET /fail HTTP/1.1",
                "log 501 BREW / HTTP/1.1", "grace expired", "log 200 GET /wait HTTP/1.1", "stopped 0",
            ]
        );
        assert!(!processes.is_empty(), "{events:?}");
        let after = events.iter().skip_while(|event| *event != "processes");
        assert!(after.clone().all(|event| *event == "processes" || event.starts_with("stopped")), "{events:?}");
    }

    fn b_110_without_open_connections_the_grace_does_not_expire(runtime: Runtime) {
        let (server, events) = observed(runtime, Duration::from_secs(600));
        eventually("it serves", || !events.lock().expect("no panic").is_empty());
        server.stop();
        server.wait_until_stopped();
        let mut events = events.lock().expect("no panic").clone();
        events.retain(|event| event != "processes");
        assert_eq!(events, ["start", "stopped 0"]);
    }

    fn an_observer_that_panics_costs_nothing_else(runtime: Runtime) {
        let state = State::app();
        let observer = Events { state: state.clone(), events: Arc::default() };
        let events = observer.events.clone();
        let blocking = blocking_handlers::Noisy::new(observer.clone());
        let smol = smol_handlers::Noisy::new(observer.clone());
        let tokio = tokio_handlers::Noisy::new(observer);
        let config = with(config(), |c| {
            c.max_connections = NonZeroUsize::new(1); // a lost thread is missed at once
            c.shutdown_grace = Duration::from_secs(600);
        });
        let server = runtime.start_handler(blocking, smol, tokio, state, config);
        for _ in 0..2 {
            let mut client = server.client();
            assert_eq!(client.request("GET", "/a", &[]).status, 200);
            assert_eq!(client.request("GET", "/fail", &[]).status, 500);
            assert_eq!(client.request("GET", "/b", &["Connection: close"]).status, 200);
            assert!(client.closes_cleanly());
            server.client().send(b"GET / HTTP/1.1\r\nHost"); // and closes: an error of the connection
        }
        server.stop();
        server.wait_until_stopped();
        let mut events = events.lock().expect("no panic").clone();
        events.retain(|event| event != "processes" && !event.starts_with("log 400"));
        let connection =
            ["log 200 GET /a HTTP/1.1", "error /fail: as asked", "log 500 GET /fail HTTP/1.1", "log 200 GET /b HTTP/1.1"];
        let expected = [&["start"], &connection[..], &connection, &["stopped 0"]].concat();
        assert_eq!(events, expected);
    }

    fn a_handler_whose_observer_method_panics_loses_its_connection(runtime: Runtime) {
        let fails = Arc::new(AtomicBool::new(false));
        let config = with(config(), |c| {
            c.max_connections = NonZeroUsize::new(1);
            c.shutdown_grace = Duration::from_secs(600);
        });
        let state = State::app();
        let blocking = blocking_handlers::Unobserved(fails.clone());
        let smol = smol_handlers::Unobserved(fails.clone());
        let tokio = tokio_handlers::Unobserved(fails.clone());
        let server = runtime.start_handler(blocking, smol, tokio, state, config);
        let get = || {
            let mut client = server.client();
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            String::from_utf8_lossy(&client.read_to_end_or_reset()).into_owned()
        };
        assert!(get().starts_with("HTTP/1.1 200 "));
        fails.store(true, Ordering::Relaxed);
        assert_eq!([get(), get(), get()], [""; 3]);
        fails.store(false, Ordering::Relaxed);
        assert!(get().starts_with("HTTP/1.1 200 "));
        server.stop();
        server.wait_until_stopped();
    }

    fn b_302_fallback_gets_every_method_that_is_not_overridden(runtime: Runtime) {
        let server = runtime.start_handler(
            blocking_handlers::Fallback, smol_handlers::Fallback, tokio_handlers::Fallback, State::app(), config(),
        );
        let mut client = server.client();
        let methods =
            ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "PROPFIND", "get"];
        for method in methods {
            let target = if method == "CONNECT" { "a:1" } else { "/" };
            let response = client.request(method, target, &[]);
            let expected = if method == "PUT" { "overridden" } else { "fallback" };
            assert_eq!(response.header("X-Method"), Some(expected), "{method}");
            if response.header("Connection") == Some("close") {
                client = server.client();
            }
        }
        client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response(true).header("X-Method"), Some("fallback"));
    }

    fn a_wrapper_responds_like_files_whichever_method_it_calls(runtime: Runtime) {
        let root = tempfile::tempdir().expect("a temporary directory can be made");
        fs::write(root.path().join("a.txt"), "hello\n").expect("it can be written");
        let files = Files::new(root.path()).expect("it is there");
        let wrap = |call: &'static str| {
            let (files, state) = (files.clone(), State::app());
            let observer = Arc::new(Events { state: state.clone(), events: Arc::default() });
            let blocking = blocking_handlers::Wrapper(files.clone(), call, observer.clone());
            let smol = smol_handlers::Wrapper(files.clone(), call, observer.clone());
            let tokio = tokio_handlers::Wrapper(files, call, observer);
            runtime.start_handler(blocking, smol, tokio, state, config())
        };
        let servers = ["handle", "get", "head", "post", "options", "fallback"].map(wrap);
        for (method, target) in [
            ("GET", "/a.txt"), ("HEAD", "/a.txt"), ("OPTIONS", "/a.txt"), ("PUT", "/a.txt"),
            ("POST", "/a.txt"), ("BREW", "/a.txt"), ("GET", "/missing"), ("GET", "/"), ("HEAD", "/"),
        ] {
            let responses = servers.each_ref().map(|server| {
                let response = server.client().request(method, target, &[]);
                (without_date(&response), response.body)
            });
            for other in &responses[1..] {
                assert_eq!(*other, responses[0], "{method} {target}");
            }
        }
    }

    fn a_wrapper_delegates_its_observer_in_one_line(runtime: Runtime) {
        let state = State::app();
        let events = Events { state: state.clone(), events: Arc::default() };
        let seen = events.events.clone();
        let blocking = blocking_handlers::Outer(blocking_handlers::Inner(events.clone()));
        let smol = smol_handlers::Outer(smol_handlers::Inner(events.clone()));
        let tokio = tokio_handlers::Outer(tokio_handlers::Inner(events));
        let server = runtime.start_handler(blocking, smol, tokio, state, config());
        assert_eq!(server.client().request("GET", "/a", &["Connection: close"]).status, 200);
        server.stop();
        server.wait_until_stopped();
        let mut events = seen.lock().expect("no panic").clone();
        events.retain(|event| event != "processes");
        assert_eq!(events, ["start", "log 200 GET /a HTTP/1.1", "stopped 0"]);
    }

    fn every_connection_is_unregistered_once_wherever_its_client_disconnects(runtime: Runtime) {
        let server = runtime.start(State::app());
        let connections = server.shutdown.connections.clone();
        let request = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nsome bodyGET /";
        let port = server.address.port();
        let served = thread::spawn(move || {
            for _ in 0..20 {
                let mut client = Client::connect(port);
                for n in 0..20 {
                    let body = client.request("GET", &format!("/{n}"), &[]).body;
                    assert_eq!(body, format!("GET /{n}\n").as_bytes());
                }
            }
        });
        let kept: Vec<_> = (0..7)
            .map(|_| {
                let mut client = server.client();
                assert_eq!(client.request("GET", "/a", &[]).status, 200);
                client
            })
            .collect();
        for end in 0..=request.len() {
            for how in 0..4 {
                let mut client = server.client();
                client.send(&request[..end]);
                match how {
                    0 => client.shutdown_write(),
                    1 if end >= 60 => client.peek(), // unread: a reset
                    2 => drop(client.try_send(b"\r\n")),
                    _ => {}
                }
            }
        }
        for _ in 0..20 {
            let mut client = server.client();
            client.send(b"GET /test/large HTTP/1.1\r\nHost: a\r\n\r\n");
            client.peek();
        }
        served.join().expect("the others are served");
        eventually("those are left that are open", || connections.len() == 7);
        for mut client in kept {
            assert_eq!(client.request("GET", "/b", &[]).body, b"GET /b\n");
        }
        eventually("none is left", || connections.is_empty());
        server.stop();
        server.wait_until_stopped();
        assert_eq!((server.state.aborted(), connections.len()), (0, 0));
    }
}

/// Records what the server reports.
#[derive(Clone)]
struct Events {
    state: Arc<State>,
    events: Arc<Mutex<Vec<String>>>,
}

impl Events {
    fn push(&self, event: impl Into<String>) {
        self.events.lock().expect("no panic").push(event.into());
    }
}

impl Observer for Events {
    fn log(&self, record: &Record<'_>) {
        let line = String::from_utf8_lossy(record.request_line);
        self.push(format!("log {} {line}", record.status));
    }
    fn on_error(&self, _: IpAddr, message: &str) {
        self.push(format!("error {message}"));
    }
    fn on_start(&self) {
        self.push("start");
    }
    fn on_grace_expired(&self) {
        self.push("grace expired");
    }
    fn on_stopped(&self, report: &ShutdownReport) {
        self.push(format!("stopped {}", report.aborted));
    }
    fn processes(&self) -> Option<&ProcessLimit> {
        self.push("processes");
        None
    }
}

/// An observer that panics whenever it is called.
struct Panics;

#[expect(clippy::panic, reason = "that is what it is for")]
impl Observer for Panics {
    fn log(&self, _: &Record<'_>) {
        panic!("in log");
    }
    fn wants_timing(&self) -> bool {
        panic!("in wants_timing");
    }
    fn on_error(&self, _: IpAddr, _: &str) {
        panic!("in on_error");
    }
    fn on_start(&self) {
        panic!("in on_start");
    }
    fn on_shutdown(&self) {
        panic!("in on_shutdown");
    }
    fn on_grace_expired(&self) {
        panic!("in on_grace_expired");
    }
    fn on_stopped(&self, _: &ShutdownReport) {
        panic!("in on_stopped");
    }
    fn processes(&self) -> Option<&ProcessLimit> {
        panic!("in processes");
    }
}

/// A server that reports its events, with this grace.
fn observed(runtime: Runtime, shutdown_grace: Duration) -> (TestServer, Arc<Mutex<Vec<String>>>) {
    let state = State::app();
    let observer = Events { state: state.clone(), events: Arc::default() };
    let events = observer.events.clone();
    let blocking = blocking_handlers::Inner(observer.clone());
    let smol = smol_handlers::Inner(observer.clone());
    let tokio = tokio_handlers::Inner(observer);
    let config = with(config(), |c| c.shutdown_grace = shutdown_grace);
    (runtime.start_handler(blocking, smol, tokio, state, config), events)
}

fn without_date(response: &Response) -> String {
    response.head.lines().filter(|line| !line.starts_with("Date: ")).collect()
}

/// The handlers for one runtime: the same lines with and without `.await`.
macro_rules! handlers {
    ($module:ident, $runtime:ident, [$($async:tt)?], [$($await:tt)*], $wait:expr) => {
        mod $module {
            use std::io;
            use std::sync::Arc;
            use std::sync::atomic::{AtomicBool, Ordering};

            use doorstep::blocking::{Files, Observer};

            use doorstep::driver::WithObserver;

            use super::{Events, Panics, State};
            use crate::runtimes::front_end::$runtime::{Exchange, Handler};

            /// Overrides `put` and `fallback`.
            pub(super) struct Fallback;

            impl Handler for Fallback {
                $($async)? fn put(&self, x: &mut Exchange<'_>) -> io::Result<()> {
                    x.respond(200).header("X-Method", "overridden").body("")
                }
                $($async)? fn fallback(&self, x: &mut Exchange<'_>) -> io::Result<()> {
                    x.respond(403).header("X-Method", "fallback").body("") // 2xx would open a tunnel
                }
            }

            /// Calls one method of [`Files`] for every request.
            pub(super) struct Wrapper(pub(super) Files, pub(super) &'static str, pub(super) Arc<Events>);

            impl Handler for Wrapper {
                $($async)? fn handle(&self, x: &mut Exchange<'_>) -> io::Result<()> {
                    match self.1 {
                        "get" => self.0.get(x)$($await)*,
                        "head" => self.0.head(x)$($await)*,
                        "post" => self.0.post(x)$($await)*,
                        "options" => self.0.options(x)$($await)*,
                        "fallback" => self.0.fallback(x)$($await)*,
                        _ => self.0.handle(x)$($await)*,
                    }
                }
                fn observer(&self) -> &dyn Observer {
                    &*self.2
                }
            }

            /// As [`Inner`], and [`Panics`] is told before it.
            pub(super) struct Noisy(Inner, WithObserver<Events, Panics>);

            impl Noisy {
                pub(super) fn new(events: Events) -> Self {
                    let observer = WithObserver::new(events.clone(), |events| events, Panics);
                    Self(Inner(events), observer)
                }
            }

            impl Handler for Noisy {
                $($async)? fn get(&self, x: &mut Exchange<'_>) -> io::Result<()> {
                    self.0.get(x)$($await)*
                }
                fn observer(&self) -> &dyn Observer {
                    &self.1
                }
            }

            /// `observer` panics while the value is true.
            pub(super) struct Unobserved(pub(super) Arc<AtomicBool>);

            impl Handler for Unobserved {
                $($async)? fn get(&self, x: &mut Exchange<'_>) -> io::Result<()> {
                    x.respond(200).body("ok")
                }
                fn observer(&self) -> &dyn Observer {
                    assert!(!self.0.load(Ordering::Relaxed), "as asked");
                    &()
                }
            }

            /// Responds to GET, fails or waits.
            pub(super) struct Inner(pub(super) Events);

            impl Handler for Inner {
                $($async)? fn get(&self, x: &mut Exchange<'_>) -> io::Result<()> {
                    match x.head().path() {
                        b"/fail" => Err(io::Error::other("as asked")),
                        b"/wait" => {
                            let wait: fn(Arc<State>) -> _ = $wait;
                            let _ = wait(self.0.state.clone())$($await)*;
                            x.respond(200).body("waited")
                        }
                        _ => x.respond(200).body("ok"),
                    }
                }
                fn observer(&self) -> &dyn Observer {
                    &self.0
                }
            }

            /// Wraps [`Inner`].
            pub(super) struct Outer(pub(super) Inner);

            impl Handler for Outer {
                $($async)? fn handle(&self, x: &mut Exchange<'_>) -> io::Result<()> {
                    self.0.handle(x)$($await)*
                }
                fn observer(&self) -> &dyn Observer { self.0.observer() }
            }
        }
    };
}

handlers!(blocking_handlers, blocking, [], [], |state| state.wait());
handlers!(smol_handlers, smol, [async], [.await], |state| ::smol::unblock(move || state.wait()));
handlers!(
    tokio_handlers, tokio, [async], [.await],
    |state| ::tokio::task::spawn_blocking(move || state.wait())
);
