//! Handlers behind pointers, and a client whose departure a handler sees.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use doorstep_blocking::{Config, Exchange, Handler, Observer, PeerState, Record, Server};

/// Counts its requests. GET is counted apart, since it is a method of its own.
#[derive(Default)]
struct Counter {
    gets: AtomicU32,
    others: AtomicU32,
}

impl Handler for Counter {
    fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.gets.fetch_add(1, Ordering::SeqCst);
        exchange.respond(204).body("")
    }
    fn fallback(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.others.fetch_add(1, Ordering::SeqCst);
        exchange.respond(204).body("")
    }
}

fn respond_to(handler: impl Handler, requests: &[&str]) {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let (address, shutdown) = (server.addresses()[0], server.shutdown_handle());
    let serving = thread::spawn(move || server.serve(handler));
    for request in requests {
        let mut client = TcpStream::connect(address).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        client.read_to_string(&mut response).unwrap();
        assert!(response.starts_with("HTTP/1.1 204 "), "{response}");
    }
    shutdown.stop();
    serving.join().unwrap().unwrap();
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

#[test]
fn a_shared_handler_and_one_chosen_at_run_time_keep_their_methods() {
    let counter = Arc::new(Counter::default());
    respond_to(counter.clone(), &[GET, POST]);
    let chosen: Box<dyn Handler> = Box::new(counter.clone());
    respond_to(chosen, &[GET, POST, POST]);
    let counts = [&counter.gets, &counter.others].map(|count| count.load(Ordering::SeqCst));
    assert_eq!(counts, [2, 3]);
}

#[test]
fn a_handler_sees_whether_its_client_is_connected() {
    let (seen, states) = std::sync::mpsc::channel();
    let handler = move |exchange: &mut Exchange<'_>| {
        seen.send(exchange.peer_state()).unwrap();
        for _ in 0..2_000 {
            if exchange.peer_state() == PeerState::HalfClosed {
                seen.send(PeerState::HalfClosed).unwrap();
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        exchange.respond(204).body("")
    };
    let server = Server::bind("127.0.0.1:0").unwrap();
    let (address, shutdown) = (server.addresses()[0], server.shutdown_handle());
    let serving = thread::spawn(move || server.serve(handler));
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(GET.as_bytes()).unwrap();
    assert_eq!(states.recv_timeout(Duration::from_secs(20)), Ok(PeerState::Open));
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(states.recv_timeout(Duration::from_secs(20)), Ok(PeerState::HalfClosed));
    let mut response = String::new();
    client.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 204 "), "{response}");
    shutdown.stop();
    serving.join().unwrap().unwrap();
}

/// Logs the User-Agent of each request, or "-".
struct UserAgents(std::sync::mpsc::Sender<String>);

impl Handler for UserAgents {
    fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        exchange.respond(204).body("")
    }
    fn observer(&self) -> &dyn Observer {
        self
    }
}

impl Observer for UserAgents {
    fn log(&self, record: &Record<'_>) {
        let agent = record.head.and_then(|head| head.header("User-Agent")).unwrap_or(b"-");
        self.0.send(String::from_utf8_lossy(agent).into_owned()).unwrap();
    }
}

#[test]
fn an_access_log_can_show_the_headers_of_the_request() {
    let (sender, agents) = std::sync::mpsc::channel();
    let server = Server::bind("127.0.0.1:0").unwrap();
    let (address, shutdown) = (server.addresses()[0], server.shutdown_handle());
    let serving = thread::spawn(move || server.serve(UserAgents(sender)));
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\nuser-agent: test/1 (x)\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nConnection: close\r\nUser-Agent: no/host\r\n\r\n", // 400: no Host
    ] {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        client.read_to_end(&mut Vec::new()).unwrap();
    }
    shutdown.stop();
    serving.join().unwrap().unwrap();
    assert_eq!(agents.try_iter().collect::<Vec<_>>(), ["test/1 (x)", "-"]);
}

#[test]
fn a_server_with_an_invalid_header_does_not_serve() {
    let headers = vec![("X-Frame-Options".into(), "DENY\n".into())];
    let server = || {
        let mut config = Config::default();
        config.headers.clone_from(&headers);
        Server::bind("127.0.0.1:0").unwrap().with_config(config)
    };
    let handler = |exchange: &mut Exchange<'_>| exchange.respond(204).body("");
    for served in [server().serve(handler), server().serve_one(&handler)] {
        assert_eq!(served.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
