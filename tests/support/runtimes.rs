//! The runtimes under one name: a test is written for a [`Runtime`] and runs on each of them.
//!
//! [`on_every_runtime!`] is the only way to define a test here: it makes one for each runtime, so none
//! can be left out. A new runtime is a variant of [`Runtime`], its arms below, and a line in the
//! macros. The front end on tokio is the example of the driver crate, tested where it is written.
//!
//! What only the command can show is a test of the [`CommandRuntime`]s, and what the example has no
//! part for is one of the [`ShippedRuntime`]s: on tokio they are ignored, for the reason that the macro
//! gives.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use doorstep::blocking::{Config, ShutdownHandle, StopConditions};
use doorstep::driver::net::{self, Acceptor, Listener, MemoryStream, Stream, UNIX_PEER};
use smol::future;

use crate::service::{self, State};
use crate::support::client::Client;

#[path = "../../driver/examples/tokio/main.rs"]
pub(crate) mod on_tokio;

/// The front ends, by the names of their runtimes.
pub(crate) mod front_end {
    pub(crate) use doorstep::{blocking, smol};

    pub(crate) use super::on_tokio as tokio;
}

/// What serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runtime {
    Blocking,
    Smol,
    Tokio,
}

/// A runtime of the command `doorstep`, which a test starts.
pub(crate) type CommandRuntime = Runtime;

/// A runtime of a front end that is part of doorstep.
pub(crate) type ShippedRuntime = Runtime;

/// Makes each `fn name(runtime: Runtime)` a test for every runtime: `blocking::name` and so on.
macro_rules! on_every_runtime {
    ($($(#[$meta:meta])* fn $name:ident($runtime:ident: $kind:ident) $body:block)*) => {
        $($(#[$meta])* fn $name($runtime: $kind) $body)*

        mod blocking { $(on_every_runtime!(@test Blocking, $name);)* }
        mod smol { $(on_every_runtime!(@test Smol, $name);)* }
        mod tokio { $(on_every_runtime!(@tokio $kind, $name);)* }
    };
    (@test $runtime:ident, $name:ident $(, $ignore:meta)?) => {
        #[test]
        $(#[$ignore])?
        fn $name() {
            super::$name($crate::runtimes::Runtime::$runtime);
        }
    };
    (@tokio Runtime, $name:ident) => {
        on_every_runtime!(@test Tokio, $name);
    };
    (@tokio ShippedRuntime, $name:ident) => {
        on_every_runtime!(@test Tokio, $name, ignore = "the example on tokio has no such function");
    };
    (@tokio CommandRuntime, $name:ident) => {
        on_every_runtime!(@test Tokio, $name, ignore = "it starts the command, which has no tokio");
    };
}

/// A server under test, in this process. It is stopped when dropped.
pub(crate) struct TestServer {
    /// That of its first TCP listener.
    pub(crate) address: SocketAddr,
    pub(crate) state: Arc<State>,
    pub(crate) shutdown: ShutdownHandle,
    returned: Receiver<io::Result<()>>,
}

impl Runtime {
    /// The responses to `client`, which sends to the application in memory, with the usual
    /// configuration.
    pub(crate) fn serve_in_memory(self, state: &Arc<State>, client: &MemoryStream) -> Vec<u8> {
        let served = self.serve_stream(state, &config(), client.clone());
        served.expect("no thread is needed");
        client.take_output()
    }

    /// Serves a connection that was accepted.
    pub(crate) fn serve_stream(
        self,
        state: &Arc<State>,
        config: &Config,
        stream: impl Into<Stream>,
    ) -> io::Result<()> {
        let state = state.clone();
        match self {
            Self::Blocking => {
                let service = service::blocking::Service::new(state);
                front_end::blocking::serve_stream(&service, config, stream)
            }
            Self::Smol => {
                let service = service::smol::Service::new(state);
                future::block_on(front_end::smol::serve_stream(&service, config, stream))
            }
            Self::Tokio => {
                let service = service::tokio::Service::new(state);
                let acceptor = Acceptor::nonblocking(listener())?;
                let server = front_end::tokio::Server::new(acceptor, config.clone(), service)?;
                tokio_runtime()?.block_on(server.serve_stream(stream.into()))
            }
        }
    }

    /// The name that the command has for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Blocking => "blocking",
            Self::Smol => "smol",
            Self::Tokio => "tokio",
        }
    }

    /// Serves the application with the usual configuration.
    pub(crate) fn start(self, state: Arc<State>) -> TestServer {
        self.start_with(state, config())
    }

    pub(crate) fn start_with(self, state: Arc<State>, config: Config) -> TestServer {
        self.start_on(listener(), state, config)
    }

    pub(crate) fn start_on(
        self,
        listeners: Vec<impl Into<Listener>>,
        state: Arc<State>,
        config: Config,
    ) -> TestServer {
        let shared = state.clone();
        match self {
            Self::Blocking => {
                let service = service::blocking::Service::new(shared);
                TestServer::blocking(listeners, state, config, |server| server.serve(service))
            }
            Self::Smol => {
                let service = service::smol::Service::new(shared);
                TestServer::smol(listeners, state, config, async |server| {
                    server.serve(service).await
                })
            }
            Self::Tokio => {
                let service = service::tokio::Service::new(shared);
                TestServer::tokio(listeners, state, config, service, async |server| {
                    server.serve().await;
                })
            }
        }
    }

    /// Serves one request.
    pub(crate) fn start_one(self, state: Arc<State>) -> TestServer {
        let shared = state.clone();
        match self {
            Self::Blocking => {
                let service = service::blocking::Service::new(shared);
                TestServer::blocking(listener(), state, config(), move |server| {
                    server.serve_one(&service)
                })
            }
            Self::Smol => {
                let service = service::smol::Service::new(shared);
                TestServer::smol(listener(), state, config(), async move |server| {
                    server.serve_one(&service).await
                })
            }
            Self::Tokio => unreachable!("the tests of `ShippedRuntime` are ignored on tokio"),
        }
    }

    /// Serves other handlers than the application's: the one of this runtime.
    pub(crate) fn start_handler(
        self,
        blocking: impl front_end::blocking::Handler,
        smol: impl front_end::smol::Handler,
        tokio: impl front_end::tokio::Handler,
        state: Arc<State>,
        config: Config,
    ) -> TestServer {
        self.start_handler_on(listener(), blocking, smol, tokio, state, config)
    }

    /// Like `start_handler`, on these listeners.
    pub(crate) fn start_handler_on(
        self,
        listeners: Vec<impl Into<Listener>>,
        blocking: impl front_end::blocking::Handler,
        smol: impl front_end::smol::Handler,
        tokio: impl front_end::tokio::Handler,
        state: Arc<State>,
        config: Config,
    ) -> TestServer {
        match self {
            Self::Blocking => {
                TestServer::blocking(listeners, state, config, |server| server.serve(blocking))
            }
            Self::Smol => {
                TestServer::smol(listeners, state, config, async |server| server.serve(smol).await)
            }
            Self::Tokio => TestServer::tokio(listeners, state, config, tokio, async |server| {
                server.serve().await;
            }),
        }
    }

    /// Serves the application, and watches its requests by the conditions that `new` makes.
    pub(crate) fn start_watched(
        self,
        state: Arc<State>,
        new: impl FnOnce(ShutdownHandle) -> StopConditions + Send + 'static,
    ) -> (TestServer, StopConditions) {
        let blocking = service::blocking::Service::new(state.clone());
        let smol = service::smol::Service::new(state.clone());
        self.start_watched_handler(blocking, smol, state, new)
    }

    /// Like `start_watched`, with other handlers.
    pub(crate) fn start_watched_handler(
        self,
        blocking: impl front_end::blocking::Handler,
        smol: impl front_end::smol::Handler,
        state: Arc<State>,
        new: impl FnOnce(ShutdownHandle) -> StopConditions + Send + 'static,
    ) -> (TestServer, StopConditions) {
        let (send, conditions) = mpsc::channel();
        let new = move |shutdown: ShutdownHandle| {
            let conditions = new(shutdown);
            let _ = send.send(conditions.clone());
            conditions
        };
        let server = match self {
            Self::Blocking => TestServer::blocking(listener(), state, config(), |server| {
                let conditions = new(server.shutdown_handle());
                server.serve(blocking.with_stop_conditions(conditions))
            }),
            Self::Smol => TestServer::smol(listener(), state, config(), async |server| {
                let conditions = new(server.shutdown_handle());
                server.serve(smol.with_stop_conditions(conditions)).await
            }),
            Self::Tokio => unreachable!("the tests of `ShippedRuntime` are ignored on tokio"),
        };
        (server, conditions.recv().expect("it serves"))
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
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && stdout.contains("1 passed"),
            "{stdout}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

impl TestServer {
    fn blocking(
        listeners: Vec<impl Into<Listener>>,
        state: Arc<State>,
        config: Config,
        serve: impl FnOnce(front_end::blocking::Server) -> io::Result<()> + Send + 'static,
    ) -> Self {
        let server =
            front_end::blocking::Server::from_listeners(listeners).expect("it can be prepared");
        let server = server.with_config(config);
        Self::new(state, server.shutdown_handle(), move || serve(server))
    }

    fn smol(
        listeners: Vec<impl Into<Listener>>,
        state: Arc<State>,
        config: Config,
        serve: impl AsyncFnOnce(front_end::smol::Server) -> io::Result<()> + Send + 'static,
    ) -> Self {
        let server =
            front_end::smol::Server::from_listeners(listeners).expect("it can be prepared");
        let server = server.with_config(config);
        Self::new(state, server.shutdown_handle(), move || smol::block_on(serve(server)))
    }

    fn tokio<H: front_end::tokio::Handler>(
        listeners: Vec<impl Into<Listener>>,
        state: Arc<State>,
        config: Config,
        handler: H,
        serve: impl AsyncFnOnce(Arc<front_end::tokio::Server<H>>) + Send + 'static,
    ) -> Self {
        let acceptor = Acceptor::nonblocking(listeners).expect("it can be prepared");
        let server = front_end::tokio::Server::new(acceptor, config, handler);
        let server = server.expect("the configuration is valid");
        Self::new(state, server.shutdown.clone(), move || {
            let runtime = tokio_runtime()?;
            runtime.block_on(serve(server));
            runtime.shutdown_background(); // a handler may still wait in a thread of it
            Ok(())
        })
    }

    fn new(
        state: Arc<State>,
        shutdown: ShutdownHandle,
        serve: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> Self {
        let address = shutdown.acceptor.addresses().first().copied().unwrap_or(UNIX_PEER);
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

fn tokio_runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

/// What the other front ends' bodies have from the traits of their runtimes.
pub(crate) trait ReadToEnd {
    fn read_to_end(&mut self, all: &mut Vec<u8>) -> impl Future<Output = io::Result<usize>> + Send;
}

impl ReadToEnd for on_tokio::Body<'_, '_> {
    async fn read_to_end(&mut self, all: &mut Vec<u8>) -> io::Result<usize> {
        let (before, mut part) = (all.len(), [0; 4096]);
        loop {
            match self.read(&mut part).await? {
                0 => return Ok(all.len() - before),
                n => all.extend_from_slice(&part[..n]),
            }
        }
    }
}

/// The usual configuration: its Server header is that of the transcripts.
pub(crate) fn config() -> Config {
    with(Config::default(), |c| {
        c.server = "doorstep".into();
        c.lame_duck = Duration::from_millis(200);
    })
}

/// These settings, changed: `with(config(), |c| c.limits.body = 5)`.
pub(crate) fn with<T>(mut settings: T, change: impl FnOnce(&mut T)) -> T {
    change(&mut settings);
    settings
}

/// A free port of the loopback.
pub(crate) fn listener() -> Vec<TcpListener> {
    net::bind(Some("127.0.0.1"), 0).expect("a port is free")
}

/// Waits until `done` returns true; panics after 10 s.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let seen = (0..1000).any(|_| {
        thread::sleep(Duration::from_millis(10));
        done()
    });
    assert!(seen, "never happened: {what}");
}
