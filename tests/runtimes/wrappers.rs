//! Handlers that wrap others: two methods forward everything, and one calls the method for a request.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use doorstep::blocking::{self as on_threads, Config, Observer, Record};
use doorstep::smol as on_smol;

use crate::runtimes::{Runtime, ShippedRuntime, TestServer, config, eventually};
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

    fn an_observer_that_panics_ends_its_connection_and_nothing_else(runtime: ShippedRuntime) {
        use {on_smol::Handler as _, on_threads::Handler as _};
        let blocking = (|x: &mut on_threads::Exchange<'_>| x.respond(200).body("")).with_observer(Panics);
        let smol = (|x: &mut on_smol::Exchange<'_>| x.respond(200).body("")).with_observer(Panics);
        let state = State::app();
        let unused = crate::service::tokio::Service::new(state.clone());
        let config = Config { max_connections: NonZeroUsize::new(2), ..config() };
        let server = runtime.start_handler(blocking, smol, unused, state, config);
        for _ in 0..5 {
            let mut client = server.client();
            assert_eq!(client.request("GET", "/", &[]).status, 200);
            assert_eq!(client.read_to_end_or_reset(), b"");
        }
        eventually("no connection is left", || server.shutdown.connections.is_empty());
    }
}

struct Panics;

impl Observer for Panics {
    #[allow(clippy::panic, reason = "that is what is tested")]
    fn log(&self, _: &Record<'_>) {
        panic!("as asked")
    }
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
