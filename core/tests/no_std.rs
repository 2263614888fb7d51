//! The connection of `examples/no_std/`, which uses no std. It runs with and without the features of
//! the core.

#[allow(unreachable_pub, reason = "it is a module of a library, too")]
#[path = "../examples/no_std/echo.rs"]
mod echo;

use doorstep_core::http1::{Misuse, Outbox};
use echo::Echo;

/// What is sent to a peer that sends `pieces`, and whether the connection is open afterwards.
fn run(pieces: &[&[u8]]) -> Result<(String, bool), Misuse> {
    let (mut connection, mut out, mut open) = (Echo::new(), Outbox::new(""), true);
    for piece in pieces {
        open = open && connection.echo(piece, &mut out)?;
    }
    Ok((String::from_utf8_lossy(out.unsent()).into_owned(), open))
}

const REQUESTS: &[u8] = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n\
    POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";

#[test]
fn bodies_and_paths_come_back() {
    let (sent, open) = run(&[REQUESTS]).unwrap();
    assert!(!open, "the second request closes the connection");
    let (first, second) = sent.split_once("/a").unwrap();
    assert!(first.starts_with("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"), "{first}");
    assert!(second.starts_with("HTTP/1.1 200 OK\r\n"), "{second}");
    assert!(second.ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "{second}");
}

#[test]
fn a_body_comes_back_as_it_arrives() {
    let (sent, open) = run(&REQUESTS.chunks(1).collect::<Vec<_>>()).unwrap();
    assert!(!open);
    let body = "1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n";
    assert!(sent.ends_with(body), "{sent}");
}

#[test]
fn the_end_of_input_closes() {
    let (sent, open) = run(&[b"GET / HT", b""]).unwrap();
    assert!(!open);
    assert!(sent.is_empty(), "{sent}");
}

#[test]
fn a_head_larger_than_the_inbox_is_refused() {
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(1024));
    let (sent, open) = run(&[request.as_bytes()]).unwrap();
    assert!(sent.starts_with("HTTP/1.1 431 ") && !open, "{sent}");
}
