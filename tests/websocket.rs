//! The front ends' `examples/websocket.rs`, driven by tungstenite's client: one definition, run on both.

#[allow(dead_code, unreachable_pub, reason = "an example is written as a user would write it")]
#[path = "../blocking/examples/websocket.rs"]
mod blocking_example;
#[allow(dead_code, unreachable_pub, reason = "an example is written as a user would write it")]
#[path = "../async-smol/examples/websocket.rs"]
mod smol_example;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{Role, WebSocket};
use tungstenite::{Message, client};

/// An example at work, and what stops it.
struct TestServer {
    address: SocketAddr,
    stop: Box<dyn FnOnce()>,
}

impl TestServer {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("10 s is a timeout");
        stream
    }
}

fn blocking() -> TestServer {
    let server = doorstep_blocking::Server::bind("127.0.0.1:0").expect("a port is free");
    let (address, shutdown) = (server.addresses()[0], server.shutdown_handle());
    let thread = thread::spawn(|| server.serve(blocking_example::Echo));
    let stop = move || {
        shutdown.stop();
        thread.join().expect("it does not panic").expect("nor fail");
    };
    TestServer { address, stop: Box::new(stop) }
}

fn on_smol() -> TestServer {
    let server = doorstep_async_smol::Server::bind("127.0.0.1:0").expect("a port is free");
    let (address, shutdown) = (server.addresses()[0], server.shutdown_handle());
    let thread = thread::spawn(|| smol::block_on(server.serve(smol_example::Echo)));
    let stop = move || {
        shutdown.stop();
        thread.join().expect("it does not panic").expect("nor fail");
    };
    TestServer { address, stop: Box::new(stop) }
}

/// Runs `test` against both examples.
fn on_every_runtime(test: fn(&TestServer)) {
    for start in [blocking, on_smol] {
        let server = start();
        test(&server);
        (server.stop)();
    }
}

/// Two kinds of message, one of them larger than any buffer here; then the closing handshake.
fn converse(socket: &mut WebSocket<TcpStream>) {
    let large: Vec<u8> = (0..1_000_000).map(|n| (n % 251) as u8).collect();
    for message in [Message::text("grüß dich"), Message::binary(large), Message::text("")] {
        socket.send(message.clone()).expect("it reads");
        assert_eq!(socket.read().expect("a response arrives"), message);
    }
    socket.close(None).expect("it is open");
    while socket.read().is_ok() {}
    assert!(!socket.can_write(), "closed by both");
}

#[test]
fn text_and_binary_come_back() {
    on_every_runtime(|server| {
        let url = format!("ws://{}/chat", server.address);
        let (mut socket, response) = client(url, server.connect()).expect("it is upgraded");
        assert_eq!(response.status(), 101);
        converse(&mut socket);
    });
}

#[test]
fn a_frame_in_the_same_segment_as_the_request_is_not_lost() {
    on_every_runtime(|server| {
        let mut stream = server.connect();
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let request = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        );
        let frame = b"\x81\x82\0\0\0\0hi"; // final, text, masked by zeroes
        stream.write_all(&[request.as_bytes(), frame].concat()).expect("it reads");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a head arrives");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("it is text");
        let accept = derive_accept_key(key.as_bytes());
        assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
        assert!(head.contains(&format!("\r\nSec-WebSocket-Accept: {accept}\r\n")), "{head}");
        let mut socket = WebSocket::from_raw_socket(stream, Role::Client, None);
        assert_eq!(socket.read().expect("the early frame is echoed"), Message::text("hi"));
        converse(&mut socket);
    });
}

#[test]
fn an_incomplete_handshake_is_refused() {
    on_every_runtime(|server| {
        let mut stream = server.connect();
        let request = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("it closes in order");
        assert!(response.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{response}");
    });
}

#[test]
fn a_request_without_upgrade_gets_a_426_and_the_connection_is_kept() {
    on_every_runtime(|server| {
        let mut stream = server.connect();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("it reads");
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .expect("it reads");
        let mut responses = String::new();
        stream.read_to_string(&mut responses).expect("it closes in order");
        assert_eq!(
            responses.matches("HTTP/1.1 426 Upgrade Required\r\n").count(),
            2,
            "{responses}"
        );
        assert_eq!(responses.matches("\r\nUpgrade: websocket\r\n").count(), 2, "{responses}");
    });
}
