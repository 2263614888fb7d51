//! What a request costs in system calls, counted by strace: fewer calls is what makes a server fast.
//!
//! Needs strace, so it is ignored by default. By hand: `cargo test --test costs -- --ignored`. It is
//! the difference between two runs that counts, so starting and stopping do not.

#![allow(clippy::print_stdout, reason = "the figures are what it is run for")]

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime};

use support::client::Client;
use support::{RUNTIMES, Server};

/// Runs the command under strace, has `client` make `n` rounds, and counts all system calls.
fn calls(runtime: &str, n: usize, client: impl Fn(&mut Client, usize)) -> usize {
    let root = support::root();
    let file = root.path().join("1k.txt");
    fs::write(&file, [b'x'; 1024]).expect("the root can be written to");
    let log = root.path().join(".strace");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(&log).arg(env!("CARGO_BIN_EXE_doorstep"));
    command.args(["0", "--quiet", "--bind", "127.0.0.1", runtime, "-d"]).arg(root.path());
    // A file whose last change lies far enough back is kept.
    let settled = SystemTime::now() + Duration::from_secs(4);
    let mut server = Server::start(&mut command);
    while SystemTime::now() < settled {
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut peer = server.client();
    client(&mut peer, n);
    drop(peer);
    let text = fs::read_to_string(&log).expect("strace writes its log");
    let traced = text.split_whitespace().next().expect("strace writes the process first");
    let stopped = Command::new("kill").args(["-s", "TERM", traced]).status();
    assert!(stopped.expect("kill is installed").success());
    assert!(server.wait().success());
    let text = fs::read_to_string(&log).expect("strace writes its log");
    // The reactor's spare thread naps and looks, by the clock and not by the request.
    let counts = |line: &&str| line.contains('(') && !line.contains("resumed>");
    text.lines().filter(counts).filter(|line| !line.contains("futex(")).count()
}

/// System calls of one more round, on average.
fn cost(runtime: &str, client: impl Fn(&mut Client, usize)) -> f64 {
    let (few, many) = (50, 250);
    let more = calls(runtime, many, &client) - calls(runtime, few, &client);
    let each = more as f64 / (many - few) as f64;
    println!("{runtime}: {each:.2} system calls a round");
    each
}

#[test]
#[ignore = "needs strace: cargo test --test costs -- --ignored"]
fn b_067_a_kept_alive_request_for_a_kilobyte_costs_few_calls() {
    let requests = |client: &mut Client, n: usize| {
        for _ in 0..n {
            assert_eq!(client.ask("GET", "/1k.txt", &[]).body.len(), 1024);
        }
    };
    let blocking = cost(RUNTIMES[0], requests);
    assert!(blocking <= 3.5, "recv, one look at the path, send: {blocking}");
    // With one connection each request is a wait of its own, and each wait of the reactor is six.
    let smol = cost(RUNTIMES[1], requests);
    assert!(smol <= 10.0, "{smol}");
}

#[test]
#[ignore = "needs strace: cargo test --test costs -- --ignored"]
fn b_045_sixteen_pipelined_requests_cost_two_calls() {
    let batch = "OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(16);
    let batches = |client: &mut Client, n: usize| {
        for _ in 0..n {
            client.send(batch.as_bytes());
            for _ in 0..16 {
                assert_eq!(client.answer(false).status, 204);
            }
        }
    };
    let blocking = cost(RUNTIMES[0], batches);
    assert!(blocking <= 2.5, "one recv, one send: {blocking}");
}
