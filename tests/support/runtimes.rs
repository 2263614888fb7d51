//! Every driver by one name: a test is written for a [`Runtime`] and runs on each of them.
//!
//! [`on_every_runtime!`] is the only way to a test here: it makes one for every driver, so none can
//! be left out. A new driver is a variant of [`Runtime`], its arms below, and a line in the macro.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use doorstep::blocking::{self, Config, ShutdownHandle};
use doorstep::driver::net;

use crate::service::{self, State};
use crate::support::client::Client;

/// What serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runtime {
    Blocking,
    Smol,
}

/// Makes each `fn name(runtime: Runtime)` a test for every driver: `blocking::name` and so on.
macro_rules! on_every_runtime {
    ($($(#[$meta:meta])* fn $name:ident($runtime:ident: $kind:ty) $body:block)*) => {
        $($(#[$meta])* fn $name($runtime: $kind) $body)*

        on_every_runtime!(@on blocking, Blocking: $($name)*);
        on_every_runtime!(@on smol, Smol: $($name)*);
    };
    (@on $module:ident, $runtime:ident: $($name:ident)*) => {
        mod $module {
            $(#[test]
            fn $name() {
                super::$name($crate::runtimes::Runtime::$runtime);
            })*
        }
    };
}

/// A server under test, in this process. It is stopped when dropped.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) state: Arc<State>,
    shutdown: ShutdownHandle,
    returned: Receiver<io::Result<()>>,
}

impl Runtime {
    /// What the command calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Blocking => "blocking",
            Self::Smol => "smol",
        }
    }

    /// Serves with the usual configuration.
    pub(crate) fn start(self, state: Arc<State>) -> TestServer {
        self.start_with(state, config())
    }

    pub(crate) fn start_with(self, state: Arc<State>, config: Config) -> TestServer {
        self.start_on(listener(), state, config)
    }

    pub(crate) fn start_on(
        self,
        listeners: Vec<TcpListener>,
        state: Arc<State>,
        config: Config,
    ) -> TestServer {
        let shared = state.clone();
        match self {
            Self::Blocking => {
                let server =
                    blocking::Server::from_listeners(listeners).expect("it can be prepared");
                let server = server.with_config(config);
                let (address, shutdown) = (server.addresses()[0], server.shutdown_handle());
                let serve = move || server.serve(service::blocking::Service::new(shared));
                TestServer::new(address, state, shutdown, serve)
            }
            Self::Smol => {
                let server =
                    doorstep::smol::Server::from_listeners(listeners).expect("it can be prepared");
                let server = server.with_config(config);
                let (address, shutdown) = (server.addresses()[0], server.shutdown_handle());
                let service = service::smol::Service::new(shared);
                let serve = move || smol::block_on(server.serve(service));
                TestServer::new(address, state, shutdown, serve)
            }
        }
    }

    /// Serves one request; a stop is of no use.
    pub(crate) fn start_one(self, state: Arc<State>) -> TestServer {
        let shared = state.clone();
        match self {
            Self::Blocking => {
                let server =
                    blocking::Server::from_listeners(listener()).expect("it can be prepared");
                let server = server.with_config(config());
                let (address, shutdown) = (server.addresses()[0], server.shutdown_handle());
                let serve = move || server.serve_one(&service::blocking::Service::new(shared));
                TestServer::new(address, state, shutdown, serve)
            }
            Self::Smol => {
                let server =
                    doorstep::smol::Server::from_listeners(listener()).expect("it can be prepared");
                let server = server.with_config(config());
                let (address, shutdown) = (server.addresses()[0], server.shutdown_handle());
                let service = service::smol::Service::new(shared);
                let serve = move || smol::block_on(server.serve_one(&service));
                TestServer::new(address, state, shutdown, serve)
            }
        }
    }

    /// Serves a closure that says `closed over {word}`.
    pub(crate) fn start_closure(self, word: &'static str) -> TestServer {
        match self {
            Self::Blocking => {
                let server =
                    blocking::Server::from_listeners(listener()).expect("it can be prepared");
                let (address, shutdown) = (server.addresses()[0], server.shutdown_handle());
                let closure = move |x: &mut blocking::Exchange<'_>| {
                    x.respond(200).body(format!("closed over {word}"))
                };
                let serve = move || server.serve(closure);
                TestServer::new(address, State::app(), shutdown, serve)
            }
            Self::Smol => {
                let server =
                    doorstep::smol::Server::from_listeners(listener()).expect("it can be prepared");
                let (address, shutdown) = (server.addresses()[0], server.shutdown_handle());
                let closure = move |x: &mut doorstep::smol::Exchange<'_>| {
                    x.respond(200).body(format!("closed over {word}"))
                };
                let serve = move || smol::block_on(server.serve(closure));
                TestServer::new(address, State::app(), shutdown, serve)
            }
        }
    }

    /// Runs the test `name` again in a process of its own, where it does `test`: for what is counted
    /// by process.
    pub(crate) fn alone(self, module: &str, name: &str, test: impl FnOnce()) {
        const MARK: &str = "DOORSTEP_TEST_ALONE";
        if std::env::var_os(MARK).is_some() {
            return test();
        }
        let this = std::env::current_exe().expect("this program is a file");
        let name = format!("{module}::{}::{name}", self.name());
        let output = Command::new(this)
            .args([&name, "--exact", "--nocapture"])
            .env(MARK, "1")
            .output()
            .expect("it can be started again");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

impl TestServer {
    pub(crate) fn new(
        address: SocketAddr,
        state: Arc<State>,
        shutdown: ShutdownHandle,
        serve: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> Self {
        let (send, returned) = mpsc::channel();
        thread::spawn(move || _ = send.send(serve()));
        Self { address, state, shutdown, returned }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address.port())
    }

    pub(crate) fn stop(&self) {
        self.shutdown.stop();
    }

    /// After [`TestServer::stop`]: does not wait for another request.
    pub(crate) fn close_idle(&self) {
        self.shutdown.close_idle();
    }

    /// Waits until serving has ended.
    pub(crate) fn wait_until_stopped(&self) {
        let returned = self.returned.recv_timeout(Duration::from_secs(10));
        returned.expect("serving ends").expect("and without an error");
    }

    /// Whether serving has not ended.
    pub(crate) fn is_serving(&self) -> bool {
        matches!(self.returned.try_recv(), Err(mpsc::TryRecvError::Empty))
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.state.release(usize::MAX);
        self.stop();
        let _ = self.returned.recv_timeout(Duration::from_secs(10));
    }
}

/// The usual configuration: its Server field is that of the transcripts.
pub(crate) fn config() -> Config {
    let lame_duck = Duration::from_millis(200);
    Config { server: "doorstep".into(), lame_duck, ..Config::default() }
}

/// A free port of the loopback.
pub(crate) fn listener() -> Vec<TcpListener> {
    net::bind(Some("127.0.0.1"), 0).expect("a port is free")
}

/// Looks again and again until `done`; never is a fault.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let seen = (0..1000).any(|_| {
        thread::sleep(Duration::from_millis(10));
        done()
    });
    assert!(seen, "never seen: {what}");
}
