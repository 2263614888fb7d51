//! A restart under load by a second process on the same port (`--reuse-port`): no request fails, and no
//! connection is refused.
#![cfg(all(feature = "cli", target_os = "linux"))]
#![allow(clippy::print_stdout, reason = "the figures are there to be read")]

mod support;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::{RUNTIMES, Server, doorstep, root, text};

/// What the clients have seen.
#[derive(Default, Debug)]
struct Seen {
    connections: usize,
    requests: usize,
    /// Why a connection or a request has failed.
    failed: Vec<String>,
    /// A connection that was kept alive was closed before the next request: RFC 9112 §9.6 has clients
    /// repeat it. It happens to a client that gets no processor time for the second in which it could
    /// send.
    closed_idle: usize,
    /// Connections that took longer than 900 ms: a SYN was repeated.
    delayed: usize,
}

#[test]
fn no_request_fails_when_a_second_process_takes_over_the_port() {
    for runtime in RUNTIMES {
        let seen = restart(runtime, 2);
        assert_eq!(seen.failed, Vec::<String>::new(), "{runtime}: {seen:?}");
        assert!(seen.requests > 100 && seen.connections > 10, "{runtime}: {seen:?}");
    }
}

#[test]
#[ignore = "takes a minute"]
fn no_request_fails_in_twenty_restarts() {
    for runtime in RUNTIMES {
        let seen = restart(runtime, 20);
        println!(
            "{runtime}: of {} requests on {} connections {} failed, {} on a closed connection; {} \
             connections were delayed",
            seen.requests,
            seen.connections,
            seen.failed.len(),
            seen.closed_idle,
            seen.delayed
        );
        assert_eq!(seen.failed, Vec::<String>::new(), "{runtime}: {seen:?}");
    }
}

#[test]
fn b_284_a_port_is_shared_only_if_both_processes_ask_for_it() {
    let root = root();
    let start = |port: u16, options: &[&str]| {
        let mut command = doorstep(&[&port.to_string(), "--bind=127.0.0.1"]);
        command.args(options).arg("-d").arg(root.path());
        command
    };
    for (first, second) in [(&[][..], &["--reuse-port"][..]), (&["--reuse-port"], &[])] {
        let server = Server::start(&mut start(0, first));
        let output = start(server.port, second).output().expect("the command starts");
        assert_eq!(output.status.code(), Some(1));
        let stderr = text(&output.stderr);
        assert!(stderr.contains(&format!("port {} is in use", server.port)), "{stderr}");
        assert_eq!(server.get("/a.txt").status, 200);
    }
}

/// Replaces a server so many times while clients send requests.
fn restart(runtime: &str, times: usize) -> Seen {
    let root = root();
    let start = |port: u16| {
        let options = [&port.to_string(), "--bind=127.0.0.1", "--quiet", "--reuse-port", runtime];
        Server::start(doorstep(&options).arg("-d").arg(root.path()))
    };
    let mut server = start(0);
    let (port, over) = (server.port, AtomicBool::new(false));
    thread::scope(|scope| {
        let over = &over;
        let spawn = |n| scope.spawn(move || ask(port, n % 2 == 0, over));
        let clients: Vec<_> = (0..8).map(spawn).collect();
        for _ in 0..times {
            thread::sleep(Duration::from_millis(200));
            let next = start(port); // it listens
            assert_eq!(server.end("TERM").status.code(), Some(0));
            server = next;
        }
        over.store(true, Ordering::Relaxed);
        clients.into_iter().fold(Seen::default(), |mut all, client| {
            let seen = client.join().expect("it counts and does not panic");
            all.connections += seen.connections;
            all.requests += seen.requests;
            all.closed_idle += seen.closed_idle;
            all.delayed += seen.delayed;
            all.failed.extend(seen.failed);
            all
        })
    })
}

/// Sends requests until it is over, each on a connection of its own unless they are kept.
fn ask(port: u16, keeps: bool, over: &AtomicBool) -> Seen {
    let (mut seen, address) = (Seen::default(), SocketAddr::from(([127, 0, 0, 1], port)));
    while !over.load(Ordering::Relaxed) && seen.failed.len() < 10 {
        let since = Instant::now();
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(60));
        seen.delayed += usize::from(since.elapsed() > Duration::from_millis(900));
        seen.connections += 1;
        let mut stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                seen.failed.push(format!("connect: {error}"));
                continue;
            }
        };
        let (mut reused, mut since) = (false, Instant::now());
        while !over.load(Ordering::Relaxed) {
            match request(&mut stream) {
                Ok(stays) if stays && keeps => seen.requests += 1,
                Ok(_) => {
                    seen.requests += 1;
                    break;
                }
                // The client had a second for it, and no processor.
                Err(error)
                    if error.kind() == ErrorKind::NotConnected
                        && (reused || since.elapsed() > Duration::from_millis(900)) =>
                {
                    seen.closed_idle += 1;
                    break;
                }
                Err(error) => {
                    seen.failed.push(format!("request (reused: {reused}): {error}"));
                    break;
                }
            }
            (reused, since) = (true, Instant::now());
        }
    }
    seen
}

/// One request and its whole response. Returns whether the connection stays open; `NotConnected` if
/// it was closed without a byte of a response.
fn request(stream: &mut TcpStream) -> io::Result<bool> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let written = stream.write_all(b"GET /a.txt HTTP/1.1\r\nHost: test\r\n\r\n");
    let mut response = Vec::new();
    while !response.ends_with(b"\r\n\r\nhello\n") {
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer) {
            Ok(0) if response.is_empty() => return Err(ErrorKind::NotConnected.into()),
            Err(_) if response.is_empty() && written.is_err() => {
                return Err(ErrorKind::NotConnected.into());
            }
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Err(error) => return Err(error),
            Ok(n) => response.extend_from_slice(&buffer[..n]),
        }
    }
    let response = text(&response);
    match response.starts_with("HTTP/1.1 200 ") {
        true => Ok(!response.contains("\r\nConnection: close\r\n")),
        false => Err(io::Error::other(response)),
    }
}
