//! A handler may drop the future of a call before it is done, as a timeout does. The framing of its
//! connection holds all the same: what was sent counts, so the next response stands where it belongs,
//! or the connection closes. What each call leaves behind is in docs/stability.md.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::Duration;

use doorstep_async_smol::{Cgi, CgiSettings, Config, Exchange, Handler, Server, ShutdownHandle};
use smol::Timer;
use smol::future;
use smol::io::AsyncReadExt;

/// More than the buffers of two sockets hold, in bytes.
const SIZE: usize = 32 << 20;

/// Promises [`SIZE`] bytes, gives up the call named by the path, and sends them again.
struct GivesUp(File);

impl Handler for GivesUp {
    async fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        let path = exchange.head().path();
        if path == b"/next" {
            return exchange.respond(200).body("next");
        }
        if path == b"/resume" {
            return self.resume(exchange).await;
        }
        exchange.respond(200).sized_body(SIZE as u64)?;
        let call = async {
            match path {
                b"/send-file" => exchange.send_file(&self.0, 0, SIZE as u64).await,
                _ => exchange.send(&vec![b'1'; SIZE]).await,
            }
        };
        let timeout = async {
            Timer::after(Duration::from_millis(100)).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        let result = future::or(call, timeout).await;
        assert!(result.is_err(), "the client does not read it");
        let _ = exchange.send(&vec![b'2'; SIZE]).await; // whatever that returns
        Ok(())
    }
}

impl GivesUp {
    /// Gives up after a moment, and sends the rest. The last byte is 1 if that has happened.
    async fn resume(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        exchange.respond(200).sized_body(SIZE as u64 + 1)?;
        let mut was_given_up = false;
        loop {
            let sent = exchange.body_bytes_sent();
            let call = async { Some(exchange.send_file(&self.0, sent, SIZE as u64 - sent).await) };
            let timeout = async {
                Timer::after(Duration::from_millis(5)).await;
                None
            };
            match future::or(call, timeout).await {
                Some(result) => break result?,
                None => was_given_up = true,
            }
        }
        exchange.send(&[was_given_up.into()]).await
    }
}

#[test]
fn a_file_that_was_given_up_goes_on_where_it_stopped() {
    let (address, shutdown, serving) = start();
    let mut client = TcpStream::connect(address).expect("it listens");
    client.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket can do that");
    let request = b"GET /resume HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    client.write_all(request).expect("it reads");
    thread::sleep(Duration::from_millis(100)); // the server's buffers are full
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).expect("it is complete");
    let head = bytes.windows(4).position(|part| part == b"\r\n\r\n").expect("a head") + 4;
    let (body, end) = bytes[head..].split_at(SIZE);
    assert!(body == content(), "it differs");
    assert_eq!(end, [1], "it was given up");
    shutdown.stop();
    serving.join().expect("it does not panic").expect("it stops");
}

#[test]
fn a_call_that_is_given_up_does_not_break_the_framing() {
    let (address, shutdown, serving) = start();
    for path in ["/send-file", "/send"] {
        let mut client = TcpStream::connect(address).expect("it listens");
        client.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket can do that");
        let request = |path, end| format!("GET {path} HTTP/1.1\r\nHost: a\r\n{end}\r\n");
        let requests = request(path, "") + &request("/next", "Connection: close\r\n");
        client.write_all(requests.as_bytes()).expect("it reads");
        thread::sleep(Duration::from_millis(300)); // by now the call was given up
        let mut bytes = Vec::new();
        let _ = client.read_to_end(&mut bytes); // a reset is a visible abort
        let head = bytes.windows(4).position(|part| part == b"\r\n\r\n").expect("a head") + 4;
        if let Some(next) = bytes[head..].get(SIZE..).filter(|next| !next.is_empty()) {
            let start = next[..next.len().min(100)].escape_ascii();
            assert!(next.starts_with(b"HTTP/1.1 200 OK\r\n"), "{path}: {start}");
            assert!(next.ends_with(b"\r\n\r\nnext"), "{path}: {start}");
        }
    }
    shutdown.stop();
    serving.join().expect("it does not panic").expect("it stops");
}

/// Drops the future of a call after its first poll, and goes on.
struct GoesOn(Cgi);

impl Handler for GoesOn {
    async fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        if exchange.head().path().starts_with(b"/cgi-bin/") {
            let script = future::poll_once(self.0.get(exchange)).await;
            assert!(script.is_none(), "it runs");
            return exchange.respond(200).body("instead");
        }
        exchange.respond(200).sized_body(SIZE as u64 + 3)?;
        let sent = future::poll_once(exchange.send(&vec![b'1'; SIZE])).await;
        assert!(sent.is_none(), "the client does not read it");
        let _ = future::poll_once(exchange.flush()).await;
        exchange.send(b"end").await
    }

    async fn post(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        let mut body = vec![0; 1024];
        let read = future::poll_once(exchange.body().read(&mut body)).await;
        assert!(read.is_none(), "nothing was sent so far");
        exchange.send_interim(103, &[]).await?; // now the client sends it
        body.clear();
        exchange.body().read_to_end(&mut body).await?;
        exchange.respond(200).body(body)
    }
}

#[test]
fn a_part_that_was_given_up_is_sent_before_the_next_one() {
    let mut client = request(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).expect("it is complete");
    let body = &bytes[bytes.len() - SIZE - 3..];
    assert!(body[..SIZE].iter().all(|&b| b == b'1'));
    assert_eq!(body[SIZE..], *b"end");
}

#[test]
fn reading_a_body_that_was_given_up_loses_nothing() {
    for (framing, body) in [
        ("Content-Length: 10", "0123456789"),
        ("Transfer-Encoding: chunked", "a\r\n0123456789\r\n0\r\n\r\n"),
    ] {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{framing}\r\n\r\n");
        let mut client = request(head.as_bytes());
        let mut interim = Vec::new();
        while !interim.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).expect("an interim response");
            interim.push(byte[0]);
        }
        assert!(interim.starts_with(b"HTTP/1.1 103 "), "{}", interim.escape_ascii());
        client.write_all(body.as_bytes()).expect("it reads");
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).expect("it is complete");
        assert!(bytes.ends_with(b"\r\n\r\n0123456789"), "{}", bytes.escape_ascii());
    }
}

/// Gives up a read and a flush, works for longer than the deadlines, and reads again.
struct Works;

impl Handler for Works {
    async fn post(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        let mut body = Vec::new();
        let read = future::poll_once(exchange.body().read_to_end(&mut body)).await;
        assert!(read.is_none(), "nothing was sent so far");
        if exchange.head().path() == b"/flush" {
            exchange.respond(200).streamed_body()?;
            let sent = future::poll_once(exchange.send(&vec![b'1'; SIZE])).await;
            assert!(sent.is_none(), "the client does not read it");
            Timer::after(Duration::from_secs(1)).await;
            exchange.flush().await?;
            exchange.send(b"end").await?;
            return exchange.end();
        }
        Timer::after(Duration::from_secs(1)).await; // meanwhile the client sends it
        exchange.body().read_to_end(&mut body).await?;
        exchange.respond(200).body(body)
    }
}

#[test]
fn a_wait_that_was_given_up_has_no_deadline() {
    let mut config = Config::default();
    config.timeouts.body = Duration::from_millis(300);
    config.timeouts.send = Duration::from_millis(300);
    let server = Server::bind("127.0.0.1:0").expect("a free port").with_config(config);
    let (address, shutdown) = (server.addresses()[0], server.shutdown_handle());
    let serving = thread::spawn(move || smol::block_on(server.serve(Works)));
    for (path, end) in [("/read", "\r\n\r\n0123456789"), ("/flush", "end\r\n0\r\n\r\n")] {
        let mut client = TcpStream::connect(address).expect("it listens");
        client.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket can do that");
        let length = "Content-Length: 10\r\nConnection: close";
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\n{length}\r\n\r\n");
        client.write_all(head.as_bytes()).expect("it reads");
        thread::sleep(Duration::from_millis(500)); // by now the deadlines would be over
        client.write_all(b"0123456789").expect("it is open");
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).expect("it is not aborted");
        assert!(bytes.ends_with(end.as_bytes()), "{path}: {} bytes", bytes.len());
    }
    shutdown.stop();
    serving.join().expect("it does not panic").expect("it stops");
}

#[test]
fn a_script_that_was_given_up_leaves_the_response_to_the_handler() {
    let mut client = request(b"GET /cgi-bin/slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).expect("it is complete");
    assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", bytes.escape_ascii());
    assert!(bytes.ends_with(b"\r\n\r\ninstead"), "{}", bytes.escape_ascii());
}

/// A client that has sent `bytes` to a server of [`GoesOn`], which ends with the test.
fn request(bytes: &[u8]) -> TcpStream {
    let root = tempfile::tempdir().expect("a temporary directory can be made");
    let script = root.path().join("cgi-bin/slow");
    fs::create_dir(root.path().join("cgi-bin")).expect("it can be made");
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).expect("it is ours");
    fs::write(&script, "#!/bin/sh\nexec sleep 100\n").expect("it can be written");
    fs::set_permissions(&script, Permissions::from_mode(0o755)).expect("it is ours");
    let server = Server::bind("127.0.0.1:0").expect("a free port");
    let address = server.addresses()[0];
    let scripts = Cgi::new(root.path(), CgiSettings::default()).expect("it is there");
    thread::spawn(move || {
        let _root = root;
        smol::block_on(server.serve(GoesOn(scripts)))
    });
    let mut client = TcpStream::connect(address).expect("it listens");
    client.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket can do that");
    client.write_all(bytes).expect("it reads");
    client
}

/// The content of the file: at each offset something else.
fn content() -> Vec<u8> {
    (0..SIZE as u32 / 4).flat_map(u32::to_be_bytes).collect()
}

fn start() -> (SocketAddr, ShutdownHandle, thread::JoinHandle<io::Result<()>>) {
    let mut file = tempfile::tempfile().expect("a temporary file can be made");
    file.write_all(&content()).expect("it can be written");
    let server = Server::bind("127.0.0.1:0").expect("a free port");
    let (address, shutdown) = (server.addresses()[0], server.shutdown_handle());
    let serving = thread::spawn(move || smol::block_on(server.serve(GivesUp(file))));
    (address, shutdown, serving)
}
