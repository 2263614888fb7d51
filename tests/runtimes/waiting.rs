//! Handlers that wait: they see that their client disconnects, and that the server stops.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use doorstep::blocking::{Config, Ending, Observer, Record, ShutdownReport};

use crate::runtimes::{Runtime, TestServer, config, eventually, with};
use crate::service::State;
use crate::support::client::Client;

on_every_runtime! {
    fn b_282_event_streams_end_when_the_stop_is_announced(runtime: Runtime) {
        let (server, app) = start(runtime, patient());
        let mut streams: Vec<_> = (0..3).map(|_| sent(&server, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
        for stream in &mut streams {
            stream.read_until(b"event\n\r\n");
        }
        assert!(streams.iter_mut().all(Client::is_silent));
        server.stop();
        for stream in &mut streams {
            let rest = stream.read_until(b"0\r\n\r\n");
            assert!(rest.ends_with(b"the end\n\r\n0\r\n\r\n"), "{}", rest.escape_ascii());
        }
        drop(streams);
        server.wait_until_stopped();
        assert_eq!(app.events(), ["shutdown", "stopped, 0 aborted, in time"]);
    }

    fn b_282_a_request_after_the_announcement_sees_it_at_once(runtime: Runtime) {
        let (server, _) = start(runtime, patient());
        let (mut client, mut stream) = (server.client(), server.client());
        assert_eq!(client.request("GET", "/is-stopping", &[]).body, b"false");
        assert_eq!(stream.request("GET", "/is-stopping", &[]).body, b"false");
        server.stop();
        assert_eq!(client.request("GET", "/is-stopping", &[]).body, b"true");
        assert_eq!(stream.request("GET", "/stream", &[]).body, b"event\nthe end\n");
        drop((client, stream));
        server.wait_until_stopped();
    }

    fn b_282_a_shutdown_is_reported_before_anything_is_closed(runtime: Runtime) {
        for _ in 0..5 {
            let config = with(config(), |c| c.lame_duck = Duration::ZERO);
            let (server, app) = start(runtime, config);
            let mut idle = server.client();
            assert_eq!(idle.request("GET", "/is-stopping", &[]).status, 200);
            app.idle.lock().expect("no panic").replace(idle);
            server.stop();
            server.wait_until_stopped();
            assert_eq!(app.events(), ["shutdown", "open", "stopped, 0 aborted, in time"]);
        }
    }

    fn a_client_that_closes_the_connection_has_disconnected(runtime: Runtime) {
        // FIN, which looks like a half-close; and a reset, since it has not read what was sent.
        let (brief, long) = (Duration::from_millis(50), Duration::from_secs(600));
        for (path, pipelined, half_close_timeout) in [
            ("/wait", "", brief),
            ("/wait", NEXT, brief),
            ("/send-and-wait", "", long),
            ("/send-and-wait", NEXT, long),
        ] {
            let (server, app) = start(runtime, with(checks(), |c| c.half_close_timeout = half_close_timeout));
            let mut client = sent(&server, &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n{pipelined}"));
            match path {
                "/wait" => app.until("waits"),
                _ => assert_eq!(client.peek_status().len(), 12), // not read: a reset
            }
            drop(client);
            app.until("disconnected");
            eventually("the log", || !app.endings.lock().expect("no panic").is_empty());
            assert_eq!(*app.endings.lock().expect("no panic"), [Ending::ClientDisconnected], "{path}");
            assert_eq!(app.errors(), [""; 0], "{path}: no fault of the handler");
        }
    }

    fn a_handler_that_gives_up_while_its_client_waits_is_at_fault(runtime: Runtime) {
        let (server, app) = start(runtime, checks());
        let mut client = sent(&server, "GET /give-up HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response(false).status, 500);
        assert_eq!(app.errors().len(), 1);
    }

    fn b_250_a_client_that_half_closes_gets_its_response(runtime: Runtime) {
        let half_close_timeout = Duration::from_secs(600);
        let (server, app) = start(runtime, with(checks(), |c| c.half_close_timeout = half_close_timeout));
        let mut client = sent(&server, "GET /wait HTTP/1.0\r\n\r\n");
        app.until("waits");
        client.shutdown_write();
        thread::sleep(5 * checks().disconnect_check_interval);
        app.released.store(true, Ordering::SeqCst);
        assert_eq!(client.response(false).body, b"released");
        assert_eq!(app.events(), ["waits"]);
    }

    fn a_pipelined_request_is_neither_a_disconnect_nor_lost(runtime: Runtime) {
        let (server, app) = start(runtime, checks());
        let mut client = sent(&server, &format!("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n{NEXT}"));
        app.until("waits");
        client.send(NEXT.as_bytes());
        thread::sleep(5 * checks().disconnect_check_interval);
        app.released.store(true, Ordering::SeqCst);
        assert_eq!(client.response(false).body, b"released");
        for _ in 0..2 {
            assert_eq!(client.response(false).body, b"false");
        }
        assert_eq!(app.events(), ["waits"]);
    }

    fn a_request_body_that_arrives_is_not_a_disconnect(runtime: Runtime) {
        let (server, app) = start(runtime, checks());
        let mut client = sent(&server, "POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf");
        app.until("waits");
        client.send(b"half");
        thread::sleep(5 * checks().disconnect_check_interval);
        app.released.store(true, Ordering::SeqCst);
        assert_eq!(client.response(false).body, b"released");
    }

    fn b_282_an_aborted_connection_counts_as_disconnected(runtime: Runtime) {
        let config = with(checks(), |c| c.shutdown_grace = Duration::ZERO);
        let (server, app) = start(runtime, config);
        let _client = sent(&server, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
        app.until("waits");
        server.stop();
        app.until("disconnected");
    }
}

const NEXT: &str = "GET /is-stopping HTTP/1.1\r\nHost: a\r\n\r\n";

/// What the handlers share, and what they and the server have reported.
#[derive(Default)]
struct App {
    /// A wait ends, though the client has not disconnected.
    released: AtomicBool,
    events: Mutex<Vec<String>>,
    endings: Mutex<Vec<Ending>>,
    errors: Mutex<Vec<String>>,
    /// A client that looks whether its connection is open when the shutdown is reported.
    idle: Mutex<Option<Client>>,
}

impl App {
    fn push(&self, event: impl Into<String>) {
        self.events.lock().expect("no panic").push(event.into());
    }

    fn events(&self) -> Vec<String> {
        self.events.lock().expect("no panic").clone()
    }

    fn errors(&self) -> Vec<String> {
        self.errors.lock().expect("no panic").clone()
    }

    fn until(&self, event: &str) {
        eventually(event, || self.events().iter().any(|seen| seen == event));
    }
}

impl Observer for App {
    fn log(&self, record: &Record<'_>) {
        self.endings.lock().expect("no panic").push(record.ending);
    }
    fn on_error(&self, _: IpAddr, message: &str) {
        self.errors.lock().expect("no panic").push(message.into());
    }
    fn on_shutdown(&self) {
        self.push("shutdown");
        if let Some(mut idle) = self.idle.lock().expect("no panic").take() {
            thread::sleep(Duration::from_millis(20)); // in which other threads could close it
            self.push(if idle.is_silent() { "open" } else { "closed" });
        }
    }
    fn on_grace_expired(&self) {
        self.push("grace expired");
    }
    fn on_stopped(&self, report: &ShutdownReport) {
        let time = if report.time_left.is_zero() { "too late" } else { "in time" };
        self.push(format!("stopped, {} aborted, {time}", report.aborted));
    }
}

/// The handlers for one runtime: the same lines with and without `.await`. `$stopping` and
/// `$disconnected` wait, the latter for a disconnect or a release.
macro_rules! handlers {
    ($module:ident, $runtime:ident, [$($async:tt)?], [$($await:tt)*], $stopping:expr, $disconnected:expr) => {
        mod $module {
            use std::io;
            use std::sync::Arc;
            use std::sync::atomic::Ordering;
            use std::time::Duration;

            use doorstep::blocking::Observer;

            use super::App;
            use crate::runtimes::front_end::$runtime::{Exchange, Handler};

            pub(super) struct Waits(pub(super) Arc<App>);

            impl Waits {
                $($async)? fn wait(&self, x: &mut Exchange<'_>) -> io::Result<&'static str> {
                    self.0.push("waits");
                    let disconnected = $disconnected;
                    if disconnected(self, x)$($await)* {
                        self.0.push("disconnected");
                        return Err(io::ErrorKind::ConnectionAborted.into());
                    }
                    Ok("released")
                }
            }

            impl Handler for Waits {
                $($async)? fn fallback(&self, x: &mut Exchange<'_>) -> io::Result<()> {
                    match x.head().path() {
                        b"/stream" => {
                            x.respond(200).streamed_body()?;
                            x.send(b"event\n")$($await)*?;
                            x.flush()$($await)*?;
                            let stopping = $stopping;
                            stopping(x)$($await)*;
                            x.send(b"the end\n")$($await)*?;
                            x.end()
                        }
                        b"/give-up" => Err(io::ErrorKind::ConnectionAborted.into()),
                        b"/wait" => {
                            let word = self.wait(x)$($await)*?;
                            x.respond(200).body(word)
                        }
                        b"/send-and-wait" => {
                            x.respond(200).streamed_body()?;
                            x.send(b"sent\n")$($await)*?;
                            x.flush()$($await)*?;
                            self.wait(x)$($await)*.map(drop)
                        }
                        _ => {
                            let is_stopping = x.is_stopping().to_string();
                            x.respond(200).body(is_stopping)
                        }
                    }
                }
                fn observer(&self) -> &dyn Observer {
                    &*self.0
                }
            }

            /// How often a release is looked for.
            const INTERVAL: Duration = Duration::from_millis(5);

            impl Waits {
                fn is_released(&self) -> bool {
                    self.0.released.load(Ordering::SeqCst)
                }
            }
        }
    };
}

handlers!(
    blocking_handlers,
    blocking,
    [],
    [],
    |x: &mut Exchange<'_>| assert!(x.wait_stopping(Duration::MAX)),
    |waits: &Waits, x: &mut Exchange<'_>| {
        loop {
            if x.wait_disconnected(INTERVAL) {
                break true;
            }
            if waits.is_released() {
                break false;
            }
        }
    }
);
handlers!(
    smol_handlers,
    smol,
    [async],
    [.await],
    async |x: &mut Exchange<'_>| x.stopping().await,
    async |waits: &Waits, x: &mut Exchange<'_>| {
        let disconnected = x.disconnected();
        let disconnected = async {
            disconnected.await;
            true
        };
        let released = async {
            while !waits.is_released() {
                ::smol::Timer::after(INTERVAL).await;
            }
            false
        };
        ::smol::future::or(disconnected, released).await
    }
);
handlers!(
    tokio_handlers,
    tokio,
    [async],
    [.await],
    async |x: &mut Exchange<'_>| x.stopping().await,
    async |waits: &Waits, x: &mut Exchange<'_>| {
        let disconnected = x.disconnected();
        let disconnected = async {
            disconnected.await;
            true
        };
        let released = async {
            while !waits.is_released() {
                ::tokio::time::sleep(INTERVAL).await;
            }
            false
        };
        ::smol::future::or(disconnected, released).await
    }
);

fn start(runtime: Runtime, config: Config) -> (TestServer, Arc<App>) {
    let app = Arc::<App>::default();
    let blocking = blocking_handlers::Waits(app.clone());
    let smol = smol_handlers::Waits(app.clone());
    let tokio = tokio_handlers::Waits(app.clone());
    (runtime.start_handler(blocking, smol, tokio, State::app(), config), app)
}

fn sent(server: &TestServer, bytes: &str) -> Client {
    let mut client = server.client();
    client.send(bytes.as_bytes());
    client
}

/// A stop that waits as long as it takes.
fn patient() -> Config {
    let (lame_duck, shutdown_grace) = (Duration::from_secs(600), Duration::from_secs(1200));
    with(config(), |c| {
        c.lame_duck = lame_duck;
        c.shutdown_grace = shutdown_grace;
    })
}

/// Frequent checks.
fn checks() -> Config {
    with(config(), |c| c.disconnect_check_interval = Duration::from_millis(20))
}
