//! What a request costs in system calls, counted by strace: fewer calls is what makes a server fast.
//!
//! Needs strace, so it is ignored by default. By hand: `cargo test --test system_calls -- --ignored`. It is
//! the difference between two runs that counts, so starting and stopping do not. What is asserted
//! is what a request asks for: how often the reactor looks while it waits depends on timing,
//! so those calls are printed and not limited.
#![cfg(feature = "cli")]
#![allow(clippy::print_stdout, reason = "the figures are what it is run for")]

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::process::Command;

use support::client::Client;
use support::{RUNTIMES, Server, settle};

/// What waits: the reactor's own calls (it has no other use for `read`), and one thread's for another.
const WAITS: [&str; 6] =
    ["epoll_ctl(", "epoll_wait(", "epoll_pwait(", "timerfd_settime(", "read(", "futex("];

/// System calls of a run, or of a round.
struct Calls<N> {
    /// What the requests asked for.
    asked: N,
    /// Waiting for the next one.
    waits: N,
}

/// Runs the command under strace, has `client` make `n` rounds, and counts all system calls.
fn calls(runtime: &str, n: usize, client: impl Fn(&mut Client, usize)) -> Calls<usize> {
    let root = support::root();
    let file = root.path().join("1k.txt");
    fs::write(&file, [b'x'; 1024]).expect("the root can be written to");
    let log = root.path().join(".strace");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(&log).arg(env!("CARGO_BIN_EXE_doorstep"));
    command.args(["0", "--quiet", "--bind", "127.0.0.1", runtime, "-d"]).arg(root.path());
    let mut server = Server::start(&mut command);
    settle();
    let mut peer = server.client();
    client(&mut peer, n);
    drop(peer);
    let text = fs::read_to_string(&log).expect("strace writes its log");
    let traced = text.split_whitespace().next().expect("strace writes the process first");
    let stopped = Command::new("kill").args(["-s", "TERM", traced]).status();
    assert!(stopped.expect("kill is installed").success());
    assert!(server.wait().success());
    let text = fs::read_to_string(&log).expect("strace writes its log");
    // A call that another thread's interrupts in the log is logged twice; its end has no name first.
    let names = text.lines().filter_map(|line| line.split_whitespace().nth(1));
    let (waits, asked): (Vec<_>, Vec<_>) = names
        .filter(|name| name.contains('('))
        .partition(|name| WAITS.iter().any(|wait| name.starts_with(wait)));
    Calls { asked: asked.len(), waits: waits.len() }
}

/// System calls of one more round, on average.
fn cost(runtime: &str, client: impl Fn(&mut Client, usize)) -> Calls<f64> {
    let (few, many) = (50, 250);
    let (base, more) = (calls(runtime, few, &client), calls(runtime, many, &client));
    let each = |base: usize, more: usize| (more as f64 - base as f64) / (many - few) as f64;
    let each = Calls { asked: each(base.asked, more.asked), waits: each(base.waits, more.waits) };
    println!("{runtime}: {:.2} system calls a round, {:.2} to wait", each.asked, each.waits);
    each
}

#[test]
#[ignore = "needs strace: cargo test --test system_calls -- --ignored"]
fn b_067_a_keep_alive_request_for_a_kilobyte_costs_few_system_calls() {
    let requests = |client: &mut Client, n: usize| {
        for _ in 0..n {
            assert_eq!(client.request("GET", "/1k.txt", &[]).body.len(), 1024);
        }
    };
    for runtime in RUNTIMES {
        let Calls { asked, waits } = cost(runtime, requests);
        assert!(asked <= 3.5, "recv, one look at the path, send: {asked} on {runtime}");
        assert!(
            waits <= 2.5,
            "at most one epoll_wait, and now and then a timer: {waits} on {runtime}"
        );
    }
}

#[test]
#[ignore = "needs strace: cargo test --test system_calls -- --ignored"]
fn b_045_sixteen_pipelined_requests_cost_two_system_calls() {
    let batch = "OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(16);
    let batches = |client: &mut Client, n: usize| {
        for _ in 0..n {
            client.send(batch.as_bytes());
            for _ in 0..16 {
                assert_eq!(client.response(false).status, 204);
            }
        }
    };
    for runtime in RUNTIMES {
        let Calls { asked, .. } = cost(runtime, batches);
        assert!(asked <= 2.5, "one recv, one send: {asked} on {runtime}");
    }
}

#[test]
#[ignore = "needs strace: cargo test --test system_calls -- --ignored"]
fn b_067_a_connection_for_each_request_costs_five_system_calls() {
    const AT_ONCE: usize = 16;
    let request = b"GET /1k.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    // So many that the system is asked for those alone that have sent something.
    let connections = |client: &mut Client, n: usize| {
        for _ in 0..n {
            let mut clients: Vec<_> =
                (0..AT_ONCE).map(|_| Client::connect(client.peer_port())).collect();
            clients.iter_mut().for_each(|client| client.send(request));
            for mut client in clients {
                assert_eq!(client.response(false).body.len(), 1024);
                assert_eq!(client.read_to_end(), b"");
            }
        }
    };
    for runtime in RUNTIMES {
        let Calls { asked, waits } = cost(runtime, connections);
        let each = (asked / AT_ONCE as f64, waits / AT_ONCE as f64);
        println!("{runtime}: {each:?} for each connection");
        assert!(
            each.0 <= 7.0, // one more in a debug build, where std checks a descriptor before it closes it
            "accept, recv, one look at the path, send, close: {each:?} on {runtime}"
        );
        assert!(
            each.1 <= 1.0,
            "at most once for two connections, and timers: {each:?} on {runtime}"
        );
    }
}
