//! Handlers that wrap others: two methods forward everything, one calls the method for a request, and a
//! wrapper adds headers to responses that it does not make, and sees their status.

use std::fs;
use std::sync::{Arc, Mutex};

use crate::runtimes::{Runtime, TestServer, config};
use crate::service::State;

on_every_runtime! {
    fn a_wrapper_that_overrides_two_methods_forwards_everything(runtime: Runtime) {
        let (server, calls) = start(runtime);
        let mut client = server.client();
        for (method, status) in
            [("GET", 200), ("HEAD", 200), ("POST", 200), ("DELETE", 501), ("BREW", 501)]
        {
            assert_eq!(client.request(method, "/", &[]).status, status, "{method}");
        }
        assert_eq!(*calls.lock().expect("no panic"), ["get", "get", "post"]);
        let lines = server.state.log(5);
        assert_eq!(lines[4].line, "BREW / HTTP/1.1", "its observer is that of the other");
    }

    fn b_053_an_expectation_is_refused_behind_a_wrapper(runtime: Runtime) {
        let (server, calls) = start(runtime);
        let fields = ["Expect: 100-continue", "Content-Length: 5"];
        let response = server.client().request("POST", "/refused", &fields);
        assert_eq!((response.status, response.header("X-Wrapped")), (417, Some("yes")));
        let mut client = server.client();
        assert_eq!(client.request("POST", "/", &fields).status, 100);
        client.send(b"hello");
        assert_eq!(client.response(false).status, 200);
        assert_eq!(*calls.lock().expect("no panic"), ["expect", "expect", "post"]);
    }

    fn a_wrapper_can_respond_itself(runtime: Runtime) {
        let (server, calls) = start(runtime);
        let fields = ["Expect: 100-continue", "Content-Length: 5"];
        assert_eq!(server.client().request("POST", "/closed", &fields).status, 403);
        assert_eq!(*calls.lock().expect("no panic"), [""; 0]);
        assert_eq!(server.state.entry().status, 403);
    }

    fn a_header_of_a_wrapper_is_in_every_response_once(runtime: Runtime) {
        let root = tempfile::tempdir().expect("a directory can be made");
        fs::write(root.path().join("file"), "content").expect("it is writable");
        let mut expected = Vec::new();
        let seen = Arc::default();
        let (app, files) =
            (start_tagged(runtime, State::app(), &seen), start_tagged(runtime, State::files(root.path()), &seen));
        for (server, requests) in [
            (&app, &[
                ("GET", "/a", 200, true), ("HEAD", "/a", 200, true), ("GET", "/stream", 200, true),
                ("GET", "/status/404", 404, true), ("BREW", "/", 501, true), ("GET", "/nothing", 204, true),
                ("GET", "/test/fail", 500, false), ("GET", "/test/panic", 500, false),
                ("GET", "/test/silent", 500, false), ("GET", "/b", 200, true),
            ][..]),
            (&files, &[
                ("GET", "/file", 200, true), ("GET", "/file", 200, true), ("GET", "/", 200, true),
                ("GET", "/missing", 404, true), ("GET", "/../..", 301, true), ("DELETE", "/", 405, true),
            ][..]),
        ] {
            let mut client = server.client();
            for (method, path, status, made) in requests {
                let response = client.request(method, path, &[]);
                assert_eq!(response.status, *status, "{method} {path}");
                let ids = response.head.matches("\r\nX-Request-Id: 7\r\n").count();
                assert_eq!(ids, 1, "{method} {path}: {}", response.head);
                if !path.ends_with("panic") {
                    expected.push(made.then_some(*status));
                }
            }
        }
        assert_eq!(*seen.lock().expect("no panic"), expected);
        let mut client = app.client();
        let hint = client.request("GET", "/hints", &[]);
        assert_eq!((hint.status, hint.header("X-Request-Id")), (103, None));
        assert_eq!(client.response(false).header("X-Request-Id"), Some("7"));
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n");
        let refused = client.response(false);
        assert_eq!((refused.status, refused.header("X-Request-Id")), (400, Some("7")));
    }
}

/// What a wrapper sees: the status when the other handler has returned.
type Statuses = Arc<Mutex<Vec<Option<u16>>>>;

/// The application, or files, behind a wrapper that adds a header.
fn start_tagged(runtime: Runtime, state: Arc<State>, seen: &Statuses) -> TestServer {
    let blocking = blocking_handlers::tagged(&state, seen);
    let smol = smol_handlers::tagged(&state, seen);
    let tokio = tokio_handlers::tagged(&state, seen);
    runtime.start_handler(blocking, smol, tokio, state, config())
}

fn start(runtime: Runtime) -> (TestServer, Arc<Mutex<Vec<&'static str>>>) {
    let (state, calls) = (State::app(), Arc::default());
    let blocking = blocking_handlers::wrapped(&state, &calls);
    let smol = smol_handlers::wrapped(&state, &calls);
    let tokio = tokio_handlers::wrapped(&state, &calls);
    (runtime.start_handler(blocking, smol, tokio, state, config()), calls)
}

/// The handlers for one runtime: the same lines with and without `.await`. `$share` makes a handler
/// that can be shared of one.
macro_rules! handlers {
    ($module:ident, $runtime:ident, $read:path, $share:path, [$($async:tt)?], [$($await:tt)*]) => {
        mod $module {
            use std::io;
            use std::sync::{Arc, Mutex};

            use doorstep::blocking::Observer;
            use $read as _;

            use crate::runtimes::front_end::$runtime::{Exchange, Handler};
            use crate::service::{State, TestObserver};

            /// Records which of its methods are called.
            struct Inner(Arc<Mutex<Vec<&'static str>>>, TestObserver);

            impl Inner {
                fn called(&self, method: &'static str) {
                    self.0.lock().expect("no panic").push(method);
                }
            }

            impl Handler for Inner {
                /// Sees every request, and calls the method for it.
                $($async)? fn handle(&self, x: &mut Exchange<'_>) -> io::Result<()> {
                    match x.head().path() {
                        b"/closed" => x.respond(403).error_page(""),
                        _ => self.dispatch(x)$($await)*,
                    }
                }
                $($async)? fn get(&self, x: &mut Exchange<'_>) -> io::Result<()> {
                    self.called("get");
                    x.respond(200).body("")
                }
                $($async)? fn post(&self, x: &mut Exchange<'_>) -> io::Result<()> {
                    self.called("post");
                    x.body().read_to_end(&mut Vec::new())$($await)*?;
                    x.respond(200).body("")
                }
                $($async)? fn expect(&self, x: &mut Exchange<'_>) -> io::Result<()> {
                    self.called("expect");
                    match x.head().path() {
                        b"/refused" => x.respond(417).header("X-Wrapped", "yes").body(""),
                        _ => Ok(()),
                    }
                }
                fn observer(&self) -> &dyn Observer {
                    &self.1
                }
            }

            struct Outer<H>(H);

            impl<H: Handler> Handler for Outer<H> {
                $($async)? fn handle(&self, x: &mut Exchange<'_>) -> io::Result<()> {
                    self.0.handle(x)$($await)*
                }
                fn observer(&self) -> &dyn Observer {
                    self.0.observer()
                }
            }

            struct Tagged<H>(H, super::Statuses);

            impl<H: Handler> Handler for Tagged<H> {
                $($async)? fn handle(&self, x: &mut Exchange<'_>) -> io::Result<()> {
                    x.add_header("X-Request-Id", "7")?;
                    let kinds = ["Content-Length", "Connection", "X\r\n"].map(|name| {
                        x.add_header(name, "1").map_err(|error| error.kind())
                    });
                    assert_eq!(kinds, [Err(io::ErrorKind::InvalidInput); 3]);
                    assert_eq!(x.status(), None);
                    let handled = self.0.handle(x)$($await)*;
                    if x.status().is_some() {
                        assert!(x.add_header("X-Late", "1").is_err());
                    }
                    self.1.lock().expect("no panic").push(x.status());
                    handled
                }
                fn observer(&self) -> &dyn Observer {
                    self.0.observer()
                }
            }

            pub(super) fn tagged(state: &Arc<State>, seen: &super::Statuses) -> impl Handler {
                Tagged(crate::service::$runtime::Service::new(state.clone()), seen.clone())
            }

            pub(super) fn wrapped(
                state: &Arc<State>,
                calls: &Arc<Mutex<Vec<&'static str>>>,
            ) -> impl Handler {
                Outer($share(Outer(Inner(calls.clone(), state.observer()))))
            }
        }
    };
}

handlers!(blocking_handlers, blocking, std::io::Read, Arc::new, [], []);
handlers!(smol_handlers, smol, ::smol::io::AsyncReadExt, Arc::new, [async], [.await]);
// The example on tokio has no handler for an `Arc`: its server shares the handler itself.
handlers!(tokio_handlers, tokio, crate::runtimes::ReadToEnd, std::convert::identity, [async], [.await]);
