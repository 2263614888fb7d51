//! The client of a request that has come through a proxy: what trusted proxies report is believed, in
//! responses, logs and errors, and nothing else is.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use doorstep::blocking::Config;
use doorstep::driver::exchange::ExchangeView;
use doorstep::driver::net::Listener;
use doorstep::driver::{Observer, Record};

use crate::runtimes::{Runtime, TestServer, config, eventually, front_end, listener, with};
use crate::service::State;

on_every_runtime! {
    fn rfc_7239_4_a_trusted_proxy_reports_the_client(runtime: Runtime) {
        let server = ClientServer::start(runtime, trusting("10.0.0.0/8,127.0.0.0/8"));
        let mut client = server.client();
        let peer = format!("127.0.0.1:{}", client.port());
        for (header, expected) in [
            ("Forwarded: for=6.6.6.6, for=\"[2001:db8::7]:5\";proto=https", "[2001:db8::7]:5 true"),
            ("X-Forwarded-For: 6.6.6.6, 192.0.2.7, 10.0.0.2", "192.0.2.7:0 false"),
            ("X-Forwarded-Proto: https", &format!("{peer} true")),
            ("Forwarded: for=6.6.6.6, for=unknown", &format!("{peer} false")),
            ("X-Other: 1", &format!("{peer} false")),
        ] {
            let response = client.request("GET", "/", &[header]);
            let body = String::from_utf8(response.body).expect("it is text");
            assert_eq!(body, format!("{expected} {peer}"), "{header}");
        }
        let expected = ["2001:db8::7", "192.0.2.7", "127.0.0.1", "127.0.0.1", "127.0.0.1"];
        assert_eq!(server.log(5), expected, "the access log has the client");
        assert_eq!(server.errors(), [""; 0]);
    }

    fn b_045_pipelined_requests_of_several_clients_are_told_apart(runtime: Runtime) {
        let server = ClientServer::start(runtime, trusting("127.0.0.1"));
        let mut client = server.client();
        let request = |n: u8| format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.{n}\r\n\r\n");
        client.send([request(1), "GET / HTTP/1.1\r\nHost: a\r\n\r\n".into(), request(3)].concat().as_bytes());
        for expected in ["192.0.2.1:0 ", "127.0.0.1:", "192.0.2.3:0 "] {
            let body = String::from_utf8(client.response(false).body).expect("it is text");
            assert!(body.starts_with(expected), "{body}");
        }
        assert_eq!(server.log(3), ["192.0.2.1", "127.0.0.1", "192.0.2.3"]);
    }

    fn an_error_of_a_request_has_its_client(runtime: Runtime) {
        let server = ClientServer::start(runtime, trusting("127.0.0.1"));
        let response = server.client().request("GET", "/fail", &["X-Forwarded-For: 192.0.2.7"]);
        assert_eq!(response.status, 500);
        assert_eq!(server.log(1), ["192.0.2.7"]);
        assert_eq!(server.errors(), ["192.0.2.7 /fail: it fails"]);
    }

    fn nothing_is_believed_of_other_peers(runtime: Runtime) {
        for (config, errors) in [(config(), 0), (trusting("10.0.0.0/8,unix:"), 2)] {
            let server = ClientServer::start(runtime, config);
            let mut client = server.client();
            let peer = format!("127.0.0.1:{}", client.port());
            for header in ["Forwarded: for=6.6.6.6;proto=https", "X-Forwarded-For: malformed", "X-Other: 1"] {
                let response = client.request("GET", "/", &[header]);
                let body = String::from_utf8(response.body).expect("it is text");
                assert_eq!(body, format!("{peer} false {peer}"), "{header}");
            }
            assert_eq!(server.log(3), ["127.0.0.1"; 3]);
            let ignored = "127.0.0.1 Forwarded or X-Forwarded headers ignored: not from a trusted proxy";
            assert_eq!(server.errors(), vec![ignored; errors], "the log counts them (B-111)");
        }
    }

    fn what_a_trusted_proxy_cannot_have_meant_is_a_400(runtime: Runtime) {
        let server = ClientServer::start(runtime, trusting("127.0.0.1"));
        for headers in [
            &["Forwarded: for=example.com"][..],
            &["X-Forwarded-For: 192.0.2.7, example.com"],
            &["X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: \"https\""],
            &["X-Forwarded-For: 192.0.2.7", "Forwarded: for=6.6.6.6"],
        ] {
            let mut client = server.client();
            let response = client.request("POST", "/fail", &[headers, &["Content-Length: 0"]].concat());
            assert_eq!(response.status, 400, "{headers:?}: {}", response.head);
            assert_eq!(response.header("Connection"), Some("close"));
            assert_eq!(client.read_to_end(), b"");
        }
        assert_eq!(server.log(4), ["127.0.0.1"; 4]);
        assert_eq!(server.errors(), [""; 0], "the handler is not called");
    }
}

/// The usual configuration, and these trusted proxies.
fn trusting(list: &str) -> Config {
    with(config(), |c| c.trusted_proxies = list.parse().expect("they are networks"))
}

/// A server that responds with the client of each request, and what it has logged.
pub(crate) struct ClientServer {
    pub(crate) server: TestServer,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    log: Vec<String>,
    errors: Vec<String>,
}

impl ClientServer {
    fn start(runtime: Runtime, config: Config) -> Self {
        Self::start_on(runtime, listener(), config)
    }

    pub(crate) fn start_on(
        runtime: Runtime,
        listeners: Vec<impl Into<Listener>>,
        config: Config,
    ) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let on_tokio = Observed(seen.clone());
        let on_threads = |x: &mut front_end::blocking::Exchange<'_>| {
            let body = describe(x)?;
            x.respond(200).body(body)
        };
        let on_smol = |x: &mut front_end::smol::Exchange<'_>| {
            let body = describe(x)?;
            x.respond(200).body(body)
        };
        let handlers = (
            front_end::blocking::Handler::with_observer(on_threads, Observed(seen.clone())),
            front_end::smol::Handler::with_observer(on_smol, Observed(seen.clone())),
            on_tokio,
        );
        let server = runtime.start_handler_on(
            listeners,
            handlers.0,
            handlers.1,
            handlers.2,
            State::app(),
            config,
        );
        Self { server, seen }
    }

    pub(crate) fn client(&self) -> crate::support::client::Client {
        self.server.client()
    }

    /// The clients in the access log, when it has `n` entries.
    pub(crate) fn log(&self, n: usize) -> Vec<String> {
        eventually("all is logged", || self.seen.lock().expect("no panic").log.len() >= n);
        self.seen.lock().expect("no panic").log.clone()
    }

    /// Peers and messages.
    pub(crate) fn errors(&self) -> Vec<String> {
        self.seen.lock().expect("no panic").errors.clone()
    }
}

/// The client, whether it uses HTTPS, and the peer.
fn describe(x: &ExchangeView<'_>) -> io::Result<String> {
    if x.head().path() == b"/fail" {
        return Err(io::Error::other("it fails"));
    }
    if x.head().path() == b"/local" {
        return Ok(x.local_addr()?.to_string());
    }
    Ok(format!("{} {} {}", x.client_addr(), x.is_https(), x.peer_addr()))
}

struct Observed(Arc<Mutex<Seen>>);

impl Observer for Observed {
    fn log(&self, record: &Record<'_>) {
        self.0.lock().expect("no panic").log.push(record.remote_addr.ip().to_string());
    }
    fn on_error(&self, peer: IpAddr, message: &str) {
        self.0.lock().expect("no panic").errors.push(format!("{peer} {message}"));
    }
}

impl front_end::tokio::Handler for Observed {
    async fn handle(&self, x: &mut front_end::tokio::Exchange<'_>) -> io::Result<()> {
        let body = describe(x)?;
        x.respond(200).body(body)
    }
    fn observer(&self) -> &dyn Observer {
        self
    }
}
