//! How long a stop of the command takes when everything hangs at once.
#![cfg(feature = "cli")]
#![allow(clippy::print_stdout, reason = "the figures are there to be read")]

mod support;

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use support::client::Client;
use support::{RUNTIMES, Server, doorstep, root};
use tempfile::TempDir;

/// What hangs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hanging {
    /// A download whose client does not read.
    Download,
    /// Half a head.
    Head,
    /// A script that ignores SIGTERM, as does the process that it has started.
    Script,
    /// A response without end.
    EventStream,
    /// A digest of a large file that is computed for a client.
    Digest,
    /// A log whose reader does not read.
    Log,
}

const ALL: [Hanging; 6] = [
    Hanging::Download,
    Hanging::Head,
    Hanging::Script,
    Hanging::EventStream,
    Hanging::Digest,
    Hanging::Log,
];

/// `docker stop` kills after this time.
const DOCKER: Duration = Duration::from_secs(10);

#[test]
fn r_28_the_grace_scales_the_whole_stop() {
    for runtime in RUNTIMES {
        let took = stop(&[runtime, "--grace=1"], &ALL);
        assert!(took < DOCKER, "{runtime}: {took:?}");
    }
}

#[test]
#[ignore = "takes 90 s"]
fn r_28_by_default_the_whole_stop_takes_less_than_10_s_whatever_hangs() {
    for runtime in RUNTIMES {
        for hanging in ALL.iter().map(std::slice::from_ref).chain([&ALL[..]]) {
            let took = stop(&[runtime], hanging);
            println!("{runtime} {hanging:?}: {:.1} s", took.as_secs_f32());
            assert!(took < DOCKER, "{runtime} {hanging:?}: {took:?}");
        }
    }
}

/// Starts a server, makes all of that hang, and stops it. Returns how long that took.
fn stop(options: &[&str], hanging: &[Hanging]) -> Duration {
    let root = site();
    let mut command = doorstep(&["0", "--bind=127.0.0.1", "--cgi"]);
    let mut server = Server::start(command.args(options).arg("-d").arg(root.path()));
    let clients: Vec<_> = hanging.iter().filter_map(|&what| hang(&server, what)).collect();
    let since = Instant::now();
    server.signal("TERM");
    let status = server.wait();
    let took = since.elapsed();
    assert_eq!(status.code(), Some(0), "{options:?} {hanging:?}");
    drop(clients);
    took
}

/// The client, unless it is the log that hangs.
fn hang(server: &Server, what: Hanging) -> Option<Client> {
    let mut client = server.client();
    let target = match what {
        Hanging::Download => "/large",
        Hanging::Script => "/cgi-bin/stubborn",
        Hanging::EventStream => "/cgi-bin/events",
        Hanging::Head => {
            client.send(b"GET /a.txt HTTP/1.1\r\nHost:");
            return Some(client);
        }
        Hanging::Digest => {
            client.send(b"GET /huge HTTP/1.1\r\nHost: test\r\nWant-Repr-Digest: sha-256=9\r\n\r\n");
            return Some(client);
        }
        Hanging::Log => {
            // Many lines: more than a pipe holds, which nobody reads.
            let target = format!("/{}", "x".repeat(4000));
            for _ in 0..40 {
                assert_eq!(client.request("GET", &target, &[]).status, 404);
            }
            return None;
        }
    };
    client.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes());
    client.peek(); // its response has begun
    Some(client)
}

fn site() -> TempDir {
    let root = root();
    for (name, size) in [("large", 1 << 28), ("huge", 1 << 30)] {
        let file = File::create(root.path().join(name)).expect("a file can be made");
        file.set_len(size).expect("it can have holes");
    }
    let head = "echo Content-Type: text/event-stream\necho\n";
    let scripts = [
        ("stubborn", "trap '' TERM\n", "echo :\nsleep 1000 &\nsleep 1000\n"),
        ("events", "", "while echo data: 1 && echo; do sleep 0.2; done\n"),
    ];
    fs::create_dir(root.path().join("cgi-bin")).expect("a directory can be made");
    for (name, first, body) in scripts {
        let path = root.path().join("cgi-bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{first}{head}{body}")).expect("it can be written");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("it is ours");
    }
    for path in [root.path().to_owned(), root.path().join("cgi-bin")] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).expect("it is ours");
    }
    root
}
