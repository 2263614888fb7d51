//! Every driver by one name: a test is written for a [`Driver`] and runs on each of them.
//!
//! [`on_every_driver!`] is the only way to a test here: it makes one for every driver, so none can
//! be left out. A new driver is a variant of [`Driver`], its arms below, and a line in the macro.

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
pub(crate) enum Driver {
    Blocking,
    Smol,
}

/// Makes each `fn name(driver: Driver)` a test for every driver: `blocking::name` and so on.
macro_rules! on_every_driver {
    ($($(#[$meta:meta])* fn $name:ident($driver:ident: $kind:ty) $body:block)*) => {
        $($(#[$meta])* fn $name($driver: $kind) $body)*

        on_every_driver!(@on blocking, Blocking: $($name)*);
        on_every_driver!(@on smol, Smol: $($name)*);
    };
    (@on $module:ident, $driver:ident: $($name:ident)*) => {
        mod $module {
            $(#[test]
            fn $name() {
                super::$name($crate::drivers::Driver::$driver);
            })*
        }
    };
}

/// A server under test, in this process. It is stopped when dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) state: Arc<State>,
    stopper: ShutdownHandle,
    returned: Receiver<io::Result<()>>,
}

impl Driver {
    /// What the command calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Blocking => "blocking",
            Self::Smol => "smol",
        }
    }

    /// Serves with the usual configuration.
    pub(crate) fn start(self, state: Arc<State>) -> Running {
        self.start_with(state, config())
    }

    pub(crate) fn start_with(self, state: Arc<State>, config: Config) -> Running {
        self.start_on(listener(), state, config)
    }

    pub(crate) fn start_on(
        self,
        listeners: Vec<TcpListener>,
        state: Arc<State>,
        config: Config,
    ) -> Running {
        let shared = state.clone();
        match self {
            Self::Blocking => {
                let server =
                    blocking::Server::from_listeners(listeners).expect("it can be prepared");
                let server = server.with_config(config);
                let (address, stopper) = (server.addresses()[0], server.shutdown_handle());
                let serve = move || server.serve(service::blocking::Service::new(shared));
                Running::new(address, state, stopper, serve)
            }
            Self::Smol => {
                let server =
                    doorstep::smol::Server::from_listeners(listeners).expect("it can be prepared");
                let server = server.with_config(config);
                let (address, stopper) = (server.addresses()[0], server.shutdown_handle());
                let service = service::smol::Service::new(shared);
                let serve = move || smol::block_on(server.serve(service));
                Running::new(address, state, stopper, serve)
            }
        }
    }

    /// Serves one request; a stop is of no use.
    pub(crate) fn start_one(self, state: Arc<State>) -> Running {
        let shared = state.clone();
        match self {
            Self::Blocking => {
                let server =
                    blocking::Server::from_listeners(listener()).expect("it can be prepared");
                let server = server.with_config(config());
                let (address, stopper) = (server.addresses()[0], server.shutdown_handle());
                let serve = move || server.serve_one(&service::blocking::Service::new(shared));
                Running::new(address, state, stopper, serve)
            }
            Self::Smol => {
                let server =
                    doorstep::smol::Server::from_listeners(listener()).expect("it can be prepared");
                let server = server.with_config(config());
                let (address, stopper) = (server.addresses()[0], server.shutdown_handle());
                let service = service::smol::Service::new(shared);
                let serve = move || smol::block_on(server.serve_one(&service));
                Running::new(address, state, stopper, serve)
            }
        }
    }

    /// Serves a closure that says `closed over {word}`.
    pub(crate) fn start_closure(self, word: &'static str) -> Running {
        match self {
            Self::Blocking => {
                let server =
                    blocking::Server::from_listeners(listener()).expect("it can be prepared");
                let (address, stopper) = (server.addresses()[0], server.shutdown_handle());
                let closure = move |x: &mut blocking::Exchange<'_>| {
                    x.respond(200).body(format!("closed over {word}"))
                };
                let serve = move || server.serve(closure);
                Running::new(address, State::app(), stopper, serve)
            }
            Self::Smol => {
                let server =
                    doorstep::smol::Server::from_listeners(listener()).expect("it can be prepared");
                let (address, stopper) = (server.addresses()[0], server.shutdown_handle());
                let closure = move |x: &mut doorstep::smol::Exchange<'_>| {
                    x.respond(200).body(format!("closed over {word}"))
                };
                let serve = move || smol::block_on(server.serve(closure));
                Running::new(address, State::app(), stopper, serve)
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

impl Running {
    pub(crate) fn new(
        address: SocketAddr,
        state: Arc<State>,
        stopper: ShutdownHandle,
        serve: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> Self {
        let (send, returned) = mpsc::channel();
        thread::spawn(move || _ = send.send(serve()));
        Self { address, state, stopper, returned }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address.port())
    }

    pub(crate) fn stop(&self) {
        self.stopper.stop();
    }

    /// After [`Running::stop`]: does not wait for another request.
    pub(crate) fn close_idle(&self) {
        self.stopper.close_idle();
    }

    /// Waits until serving has ended.
    pub(crate) fn returns(&self) {
        let returned = self.returned.recv_timeout(Duration::from_secs(10));
        returned.expect("serving ends").expect("and without an error");
    }

    /// Whether serving has not ended.
    pub(crate) fn serves(&self) -> bool {
        matches!(self.returned.try_recv(), Err(mpsc::TryRecvError::Empty))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.state.let_go(usize::MAX);
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
