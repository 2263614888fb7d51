//! The event loop of `examples/mio.rs`, with real clients.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the clients are not core code"
)]

#[allow(unreachable_pub, reason = "an example has public items")]
#[path = "../examples/mio.rs"]
mod mio_loop;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The loop on its own thread. It ends without an error when this is dropped.
struct Running {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Running {
    fn start() -> Self {
        let any = "127.0.0.1:0".parse().expect("it is an address");
        let listener = mio::net::TcpListener::bind(any).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || mio_loop::run(listener, &stopped));
        Self { address, stop, thread: Some(thread) }
    }

    fn client(&self) -> TcpStream {
        let client = TcpStream::connect(self.address).expect("it listens");
        client.set_read_timeout(Some(Duration::from_secs(10))).expect("10 s is a timeout");
        client
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            ended.expect("it was started").expect("it does not panic").expect("nor fail");
        }
    }
}

fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

/// The status and body of the next response, which has a Content-Length.
fn read_response(client: &mut TcpStream) -> (u16, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).expect("the head arrives");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("it is text");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let length = head.split("Content-Length: ").nth(1).and_then(|rest| rest.lines().next());
    let mut body = vec![0; length.and_then(|digits| digits.parse().ok()).expect("it has a length")];
    client.read_exact(&mut body).expect("the body arrives");
    (status.expect("it has a status"), String::from_utf8(body).expect("it is text"))
}

fn ok(path: &str) -> (u16, String) {
    (200, format!("You asked for {path}\n"))
}

fn read_to_end(client: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).expect("it closes in order");
    rest
}

#[test]
fn mio_keeps_connections_alive() {
    let server = Running::start();
    let mut client = server.client();
    for path in ["/", "/a", "/b?c"] {
        client.write_all(&request(path)).expect("it reads");
        assert_eq!(read_response(&mut client), ok(path.split('?').next().unwrap_or_default()));
    }
    client.shutdown(Shutdown::Write).expect("the connection stands");
    assert_eq!(read_to_end(&mut client), b"");
}

#[test]
fn mio_responds_to_a_pipelined_batch_in_order() {
    let server = Running::start();
    let mut client = server.client();
    let batch: Vec<u8> = (0..100).flat_map(|n| request(&format!("/{n}"))).collect();
    client.write_all(&batch).expect("it reads");
    for n in 0..100 {
        assert_eq!(read_response(&mut client), ok(&format!("/{n}")));
    }
}

#[test]
fn mio_passes_over_a_body() {
    let server = Running::start();
    let mut client = server.client();
    let sized = [
        b"POST /sized HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
        &[b'x'; 100_000][..],
    ];
    client.write_all(&sized.concat()).expect("it reads");
    assert_eq!(read_response(&mut client), ok("/sized"));
    let chunked = b"POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
        5\r\nhello\r\n0\r\n\r\n";
    client.write_all(chunked).expect("it reads");
    assert_eq!(read_response(&mut client), ok("/chunked"));
    client.write_all(&request("/behind")).expect("it reads");
    assert_eq!(read_response(&mut client), ok("/behind"));
}

#[test]
fn mio_refuses_nonsense_and_closes() {
    let server = Running::start();
    let mut client = server.client();
    client.write_all(b"GET / HTTP/1.1\r\nno field\r\n\r\n").expect("it reads");
    assert_eq!(read_response(&mut client).0, 400);
    assert_eq!(read_to_end(&mut client), b"");
}

#[test]
fn mio_takes_requests_byte_by_byte() {
    let server = Running::start();
    let mut client = server.client();
    client.set_nodelay(true).expect("TCP can do that");
    for byte in request("/slow") {
        client.write_all(&[byte]).expect("it reads");
    }
    assert_eq!(read_response(&mut client), ok("/slow"));
}

#[test]
fn mio_serves_fifty_clients_at_once_some_of_which_disconnect() {
    let server = Running::start();
    let mut clients: Vec<_> = (0..50).map(|_| server.client()).collect();
    for round in 0..10 {
        for (n, client) in clients.iter_mut().enumerate() {
            client.write_all(&request(&format!("/{n}/{round}"))).expect("it reads");
        }
        for (n, client) in clients.iter_mut().enumerate() {
            assert_eq!(read_response(client), ok(&format!("/{n}/{round}")));
        }
        clients.truncate(50 - 4 * round);
    }
}
