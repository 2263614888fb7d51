//! What every loop must do. The application is that of `examples/app`.

use std::io::ErrorKind;
use std::thread;
use std::time::Duration;

use doorstep_core::http1::Timeouts;

use crate::server::{Server, Start};

const SHORT: Duration = Duration::from_millis(200);

fn timeouts(change: impl FnOnce(&mut Timeouts)) -> Timeouts {
    let mut timeouts = Timeouts::default();
    change(&mut timeouts);
    timeouts
}

fn server(start: Start) -> Option<Server> {
    start(Timeouts::default())
}

pub(crate) fn it_keeps_connections_alive_until_the_client_closes(start: Start) {
    let Some(server) = server(start) else { return };
    let mut client = server.client();
    for path in ["/", "/a", "/b"] {
        client.get(path);
        let response = client.response();
        assert_eq!(response.body, path);
        let date = response.date.expect("it is dated");
        assert!(httpdate::parse_http_date(&date).is_ok(), "{date}");
    }
    client.finish();
    client.expect_end();
}

pub(crate) fn it_responds_to_a_pipelined_batch_in_order(start: Start) {
    let Some(server) = server(start) else { return };
    let mut client = server.client();
    let get = |n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n");
    client.send((0..100).map(get).collect::<String>());
    (0..100).for_each(|n| client.expect(&format!("/{n}")));
    client.send("GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.expect("/last");
    client.expect_end();
}

pub(crate) fn it_receives_bodies_and_the_requests_behind_them(start: Start) {
    let Some(server) = server(start) else { return };
    let mut client = server.client();
    let body = "0123456789".repeat(10_000);
    let chunked =
        "HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for (method, sized, in_chunks) in
        [("POST", &*body, "hello"), ("PUT", "100000 bytes\n", "5 bytes\n"), ("GET", "/", "/")]
    {
        client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"));
        client.send(&body);
        client.expect(sized);
        format!("{method} / {chunked}").bytes().for_each(|byte| client.send([byte]));
        client.expect(in_chunks);
    }
    client.send("PUT / HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.expect("0 bytes\n");
    client.expect("");
    client.get("/behind");
    client.expect("/behind");
}

pub(crate) fn it_sends_100_continue_before_it_reads_a_body(start: Start) {
    let Some(server) = server(start) else { return };
    let mut client = server.client();
    for (method, response) in [("POST", "hello"), ("PUT", "5 bytes\n")] {
        let head = "HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
        client.send(format!("{method} / {head}"));
        assert_eq!(client.line(), "HTTP/1.1 100 Continue");
        assert_eq!(client.line(), "");
        client.send("hello");
        client.expect(response);
    }
}

pub(crate) fn it_refuses_a_malformed_request_and_the_refusal_arrives(start: Start) {
    let Some(server) = server(start) else { return };
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nno field\r\n\r\nand so on");
    assert_eq!(client.response().status, "400");
    client.send("and on"); // which must not reset the connection
    client.expect_end();
}

pub(crate) fn it_serves_many_clients_some_of_which_disconnect(start: Start) {
    let Some(server) = server(start) else { return };
    let mut clients: Vec<_> = (0..50).map(|_| server.client()).collect();
    for round in 0..10 {
        clients.iter_mut().for_each(|client| client.get(&format!("/{round}")));
        clients.iter_mut().for_each(|client| client.expect(&format!("/{round}")));
        clients.truncate(50 - round);
    }
    clients.iter_mut().for_each(|client| client.send("GET / HT"));
    drop(clients);
    let mut client = server.client();
    client.get("/still");
    client.expect("/still");
}

/// A response that the client does not receive stops the server from receiving the body.
pub(crate) fn it_receives_no_faster_than_the_client_does(start: Start) {
    let Some(server) = server(start) else { return };
    let mut client = server.client();
    let body: Vec<u8> = (0..48_u32 << 20).map(|n| (n ^ n >> 8 ^ n >> 16) as u8).collect();
    client.send(format!("POST / HTTP/1.0\r\nContent-Length: {}\r\n\r\n", body.len()));
    client.set_nonblocking();
    let (mut sent, mut pauses) = (0, 0);
    while pauses < 30 {
        match client.send_some(&body[sent..]) {
            Some(n) => (sent, pauses) = (sent + n, 0),
            None => {
                pauses += 1;
                thread::sleep(Duration::from_millis(10));
            }
        }
        assert!(sent < body.len(), "the server keeps all of it in memory");
    }
    let (mut received, mut space) = (Vec::new(), vec![0; 1 << 20]);
    loop {
        let n = client.receive_some(&mut space);
        received.extend_from_slice(&space[..n.unwrap_or(0)]);
        let moved = client.send_some(&body[sent..]).filter(|_| sent < body.len());
        sent += moved.unwrap_or(0);
        match (n, moved) {
            (Some(0), _) => break,
            (None, None) => thread::sleep(Duration::from_millis(1)),
            _ => {}
        }
    }
    assert!(received.starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert!(received.ends_with(&body), "the echo differs");
}

pub(crate) fn b_049_a_slow_request_yields_408(start: Start) {
    let short = timeouts(|t| (t.head, t.body) = (SHORT, SHORT));
    let Some(server) = start(short) else { return };
    let head = "HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
    for begin in ["GET / HT", &format!("PUT / {head}hell")] {
        let mut client = server.client();
        client.send(begin);
        assert_eq!(client.response().status, "408", "{begin}");
        client.expect_end();
    }
    let mut client = server.client();
    client.send(format!("POST / {head}hell"));
    let begun = client.rest().expect("it closes in order");
    assert!(begun.starts_with(b"HTTP/1.1 200 OK\r\n") && begun.ends_with(b"\r\n4\r\nhell\r\n"));
}

pub(crate) fn b_049_an_idle_connection_is_closed_without_a_response(start: Start) {
    let Some(server) = start(timeouts(|t| t.idle = SHORT)) else { return };
    let mut client = server.client();
    client.get("/");
    client.expect("/");
    client.expect_end();
}

pub(crate) fn b_049_a_client_that_does_not_receive_is_disconnected(start: Start) {
    let Some(server) = start(timeouts(|t| t.send = SHORT)) else { return };
    let mut client = server.client();
    let body = vec![b'x'; 48 << 20];
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
    let error = client.try_send(body).expect_err("nothing is received");
    let kinds = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::ConnectionAborted];
    assert!(kinds.contains(&error.kind()), "{error}");
}

pub(crate) fn b_049_a_client_that_does_not_close_is_disconnected(start: Start) {
    let Some(server) = start(timeouts(|t| t.linger = SHORT)) else { return };
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nno field\r\n\r\n");
    assert_eq!(client.response().status, "400");
    client.expect_end();
    let byte_by_byte = (0..1000).map(|_| {
        thread::sleep(Duration::from_millis(10));
        client.try_send("x")
    });
    assert!(byte_by_byte.into_iter().any(|sent| sent.is_err()), "it discards them for ever");
}

/// The body of a response to HTTP/1.0 ends with the connection. If that comes too early, it must be
/// by a reset, or over TLS without the close alert.
pub(crate) fn an_incomplete_response_does_not_look_complete(start: Start) {
    let Some(server) = start(timeouts(|t| t.body = SHORT)) else { return };
    let head = "POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n";
    let mut client = server.client();
    client.send(format!("{head}hello"));
    assert!(client.rest().expect("it closes in order").ends_with(b"\r\n\r\nhello"));

    let mut client = server.client();
    client.send(format!("{head}hell")); // and nothing more
    assert!(client.rest().is_err(), "it is late");
    let mut client = server.client();
    client.send(format!("{head}hell"));
    client.finish();
    assert!(client.rest().is_err(), "it is truncated");
}
