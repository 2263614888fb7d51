//! A slow or broken network on purpose: `--rate`, `--latency`, `--cut`, `--seed`.
//!
//! Times are only compared with their lower bounds, which hold on the slowest machine.
#![cfg(feature = "cli")]

mod support;

#[allow(dead_code, reason = "other tests use all of it")]
#[path = "support/running.rs"]
mod running;

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use regex::Regex;
use running::{Place, Running, failure, tcp_listener};
use support::client::Client;
use support::{RUNTIMES, Server, doorstep, root, serve, text};
use tempfile::TempDir;

/// What a client does that is to take a while, and how long it took.
fn time<T>(what: impl FnOnce() -> T) -> (T, Duration) {
    let begin = Instant::now();
    let result = what();
    (result, begin.elapsed())
}

/// A root with a file of this size, beside `a.txt`.
fn root_with(size: usize) -> TempDir {
    let root = root();
    fs::write(root.path().join("big"), content(size)).expect("there is room");
    root
}

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n % 251) as u8).collect()
}

/// A script with this text, in shell.
fn add_script(root: &Path, script: &str) {
    let path = root.join("cgi-bin/script");
    fs::create_dir(root.join("cgi-bin")).expect("there is room");
    fs::write(&path, format!("#!/bin/sh\n{script}")).expect("there is room");
    fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("it is ours");
}

/// What it wrote to stderr.
fn log(mut server: Server) -> String {
    text(&server.end("TERM").stderr)
}

#[test]
fn each_round_trip_takes_longer_and_a_connection_takes_one() {
    const LATENCY: Duration = Duration::from_millis(300);
    for runtime in RUNTIMES {
        let root = root();
        let server = serve(root.path(), &[runtime, "--latency=300ms"]);
        let mut client = server.client();
        let (response, took) = time(|| client.request("GET", "/a.txt", &[]));
        assert_eq!(response.body, b"hello\n");
        assert!(took >= LATENCY * 2, "{took:?}");
        let (response, took) = time(|| client.request("GET", "/a.txt", &[]));
        assert_eq!(response.body, b"hello\n");
        assert!(took >= LATENCY, "{took:?}");
        drop(client);
        let log = log(server);
        let line = "the network is slow or broken on purpose: 300ms added to each round trip\n";
        assert!(log.contains(line), "{log}");
        assert_eq!(log.matches("\"GET /a.txt HTTP/1.1\" 200 6\n").count(), 2, "{log}");
        assert!(log.contains("127.0.0.1 - - ["), "{log}");
    }
}

#[test]
fn clients_share_the_rate() {
    for runtime in RUNTIMES {
        let root = root_with(40_000);
        let server = serve(root.path(), &[runtime, "--rate", "100000"]);
        let get = || server.get("/big").body == content(40_000);
        let (done, took) = time(|| {
            thread::scope(|scope| {
                let clients = [(); 2].map(|()| scope.spawn(get));
                clients.map(|client| client.join().expect("it does not panic"))
            })
        });
        assert_eq!(done, [true; 2]);
        assert!(took >= Duration::from_millis(800), "{took:?}");
    }
}

#[test]
fn a_small_response_does_not_wait_for_a_large_one() {
    for runtime in RUNTIMES {
        let root = root_with(5_000_000);
        let server = serve(root.path(), &[runtime, "--rate", "5000"]);
        let mut large = server.client();
        large.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n"); // 13 s for what is buffered of it
        large.peek();
        assert_eq!(server.get("/a.txt").body, b"hello\n");
        large.reset();
    }
}

#[test]
fn a_client_that_receives_all_the_rate_is_not_timed_out() {
    for runtime in RUNTIMES {
        let root = root_with(150_000);
        // What is buffered takes longer than the timeout, and what is sent by one call does not.
        let options = [runtime, "--rate=30000", "--timeout-send=1500ms"];
        let server = serve(root.path(), &options);
        assert!(server.get("/big").body == content(150_000));
    }
}

#[test]
fn uploads_are_slow_and_scripts_know_the_client() {
    for runtime in RUNTIMES {
        let root = root();
        let script =
            "printf 'Content-Type: text/plain\\n\\n%s %s ' $REMOTE_ADDR $REMOTE_PORT\nwc -c";
        add_script(root.path(), script);
        let server = serve(root.path(), &[runtime, "--cgi", "--rate=100000"]);
        let mut client = server.client();
        let ((), took) = time(|| {
            let length = "Content-Length: 50000";
            client.send(
                format!("POST /cgi-bin/script HTTP/1.1\r\nHost: a\r\n{length}\r\n\r\n").as_bytes(),
            );
            client.send(&content(50_000));
            let body = text(&client.response(false).body);
            assert_eq!(body.trim(), format!("127.0.0.1 {} 50000", client.port()));
        });
        assert!(took >= Duration::from_millis(500), "{took:?}");
    }
}

#[test]
fn pipelined_requests_and_a_half_close_are_served_in_order() {
    for runtime in RUNTIMES {
        let root = root_with(100_000);
        let server = serve(root.path(), &[runtime, "--latency=20ms", "--rate=10M"]);
        let mut client = server.client();
        let requests: Vec<String> = ["/a.txt", "/big", "/missing", "/a.txt"]
            .map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .into();
        client.send(requests.concat().as_bytes());
        client.shutdown_write();
        let bodies = [(200, 6), (200, 100_000), (404, 0), (200, 6)].map(|(status, size)| {
            let response = client.response(false);
            assert_eq!(response.status, status);
            assert!(status == 404 || response.body.len() == size);
            response.body
        });
        assert!(bodies[1] == content(100_000));
        assert!(client.closes_cleanly());
    }
}

/// How many bytes of the body arrive, and the end, if it is not the whole body.
type Fate = (usize, Option<&'static str>);

fn fates(mut connect: impl FnMut() -> TcpStream) -> Vec<Fate> {
    let get = |_| {
        let mut stream = connect();
        stream.write_all(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n").expect("it reads");
        let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
        let end = loop {
            match stream.read(&mut buffer) {
                Ok(0) => break Some("closed"),
                Ok(n) => received.extend_from_slice(&buffer[..n]),
                Err(_) => break Some("reset"),
            }
            let head = received.windows(4).position(|part| part == b"\r\n\r\n");
            if head.is_some_and(|head| received.len() - head - 4 == 50_000) {
                break None;
            }
        };
        let head = received.windows(4).position(|part| part == b"\r\n\r\n").expect("it has a head");
        (received.len() - head - 4, end)
    };
    (0..12).map(get).collect()
}

#[test]
fn the_same_seed_cuts_the_same_responses_at_the_same_place() {
    let root = root_with(50_000);
    let run = |options: &[&str]| {
        let server = serve(root.path(), options);
        let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, server.port));
        let fates = fates(|| connect().expect("it listens"));
        (fates, log(server))
    };
    let seeded = ["--cut=50", "--seed=11"];
    let (expected, log) = run(&[&seeded[..], &[RUNTIMES[0]]].concat());
    let cuts: Vec<_> = expected.iter().filter(|(_, end)| end.is_some()).collect();
    assert!((2..11).contains(&cuts.len()), "{expected:?}");
    for end in ["closed", "reset"] {
        assert!(cuts.iter().any(|cut| cut.1 == Some(end)), "{expected:?}");
    }
    assert!(log.contains("50% of responses cut, the same ones with --seed 11\n"), "{log}");
    for (size, end) in &expected {
        let mark = if end.is_some() { " cut on purpose" } else { "" };
        assert!(log.contains(&format!("\"GET /big HTTP/1.1\" 200 {size}{mark}\n")), "{log}");
    }
    assert_eq!(run(&[&seeded[..], &[RUNTIMES[1], "--rate=10M"]].concat()).0, expected);

    // Without a seed, the one that is printed does the same again.
    let (random, log) = run(&["--cut=50%"]);
    let seed = Regex::new("--seed ([0-9]+)\n").expect("it is a pattern");
    let seed = &seed.captures(&log).expect("it is printed")[1];
    assert_eq!(run(&["--cut=50", "--seed", seed]).0, random);
}

#[test]
fn unix_sockets_and_tls_are_cut_and_slow_as_well() {
    let place = Place::new();
    fs::write(place.root.path().join("big"), content(50_000)).expect("there is room");
    let options = ["--cut=50", "--seed=11", "--latency=10ms"];
    for runtime in RUNTIMES {
        let unix = place.unix("socket");
        let arguments = [&["-b", &unix, runtime][..], &options].concat();
        let server = Running::start(&mut place.doorstep(&arguments));
        let expected = fates(|| {
            let socket = std::os::unix::net::UnixStream::connect(place.path("socket"));
            OwnedFd::from(socket.expect("it listens")).into()
        });
        let cut: Vec<bool> = expected.iter().map(|(size, _)| *size < 50_000).collect();
        assert!(cut.contains(&true) && cut.contains(&false));
        assert!(text(&server.stop().stderr).contains("unix: - - ["));
        if cfg!(not(feature = "tls")) {
            continue;
        }
        let arguments = [&["--tls-self-signed", runtime][..], &options].concat();
        let server = serve(place.root.path(), &arguments);
        for (at, (size, _)) in expected.iter().enumerate() {
            let url = format!("https://127.0.0.1:{}/big", server.port);
            let output = Command::new("curl").args(["-sSk", "--http1.1", &url]).output();
            let output = output.expect("curl is installed");
            assert_eq!(output.status.success(), !cut[at], "{}", text(&output.stderr));
            // The last record of a connection that is reset may be lost.
            assert!(output.stdout.len() <= *size && content(50_000).starts_with(&output.stdout));
        }
    }
}

#[test]
fn curl_resumes_until_it_has_everything() {
    for runtime in RUNTIMES {
        let root = root_with(300_000);
        let server = serve(root.path(), &[runtime, "--cut=70", "--seed=1"]);
        let file = root.path().join("got");
        let url = format!("http://127.0.0.1:{}/big", server.port);
        let mut failures = 0;
        loop {
            let curl = Command::new("curl").args(["-sS", "-C-", &url, "-o"]).arg(&file).output();
            match curl.expect("curl is installed").status.code() {
                Some(0) => break,
                Some(18 | 56) => failures += 1, // too few bytes; a reset
                code => unreachable!("{code:?}"),
            }
            assert!(failures < 100);
        }
        assert!(failures > 0 && fs::read(&file).expect("it is there") == content(300_000));
    }
}

#[test]
fn a_stop_delivers_what_is_on_its_way_within_the_grace() {
    for runtime in RUNTIMES {
        let root = root_with(60_000);
        let options = [runtime, "--rate=100000", "--latency=400ms", "--grace=none"];
        let mut server = serve(root.path(), &options);
        let mut client = server.client();
        client.send(b"GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        client.peek(); // the response has begun
        server.signal("TERM");
        assert!(client.response(false).body == content(60_000));
        assert!(client.closes_cleanly());
        assert_eq!(server.wait().code(), Some(0));
    }
}

#[test]
fn a_stop_resets_what_does_not_arrive_within_the_grace() {
    for runtime in RUNTIMES {
        let root = root_with(1_000_000);
        let mut server = serve(root.path(), &[runtime, "--rate=1000", "--grace=300ms"]);
        let mut client = server.client();
        client.send(b"GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        client.peek();
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(0));
        assert!(!client.closes_cleanly());
    }
}

#[test]
fn a_client_that_leaves_is_noticed() {
    let cut = Regex::new("\"GET /big HTTP/1.1\" 200 [0-9]+ cut\n").expect("it is a pattern");
    for runtime in RUNTIMES {
        let root = root_with(20 << 20);
        let server = serve(root.path(), &[runtime, "--latency=10ms"]);
        let mut client = server.client();
        client.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
        client.peek();
        client.reset();
        assert_eq!(server.get("/a.txt").body, b"hello\n");
        let log = log(server);
        assert!(cut.is_match(&log), "{log}");
    }
}

#[test]
fn an_idle_connection_is_evicted_for_a_new_one() {
    for runtime in RUNTIMES {
        let root = root();
        let server = serve(root.path(), &[runtime, "--latency=10ms", "--max-connections=1"]);
        let mut idle = server.client();
        assert_eq!(idle.request("GET", "/a.txt", &[]).status, 200);
        assert_eq!(server.get("/a.txt").status, 200);
        assert!(idle.closes_cleanly());
    }
}

#[test]
fn the_connection_of_inetd_is_slow_too() {
    let place = Place::new();
    for runtime in RUNTIMES {
        let (listener, port) = tcp_listener();
        let mut client = Client::connect(port);
        let (accepted, _) = listener.accept().expect("a client has connected");
        let arguments = ["--inetd", runtime, "--latency=200ms"];
        let mut command = place.doorstep(&arguments);
        let command = command.stdin(Stdio::from(OwnedFd::from(accepted))).stderr(Stdio::piped());
        let (child, took) = time(|| {
            let child = command.spawn().expect("it starts");
            let response = client.request("GET", "/a.txt", &["Connection: close"]);
            assert_eq!(response.body, b"hello\n");
            assert!(client.closes_cleanly());
            child
        });
        assert!(took >= Duration::from_millis(400), "{took:?}");
        drop(client);
        let output = child.wait_with_output().expect("a child can be waited for");
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
}

#[test]
fn bad_values_are_usage_errors() {
    for (arguments, remedy) in [
        (&["--rate=0"][..], "for no limit, leave the option out"),
        (&["--latency=2h"], "from 0 to 10s"),
        (&["--cut=101"], "a percentage from 0 to 100"),
        (&["--seed=1"], "--cut <PERCENT>"),
    ] {
        let (stderr, code) = failure(&mut doorstep(arguments));
        assert!(stderr.contains(remedy) && code == Some(2), "{arguments:?}: {stderr}");
    }
}

/// docs/network.md: the example at its beginning.
#[test]
fn the_example_of_the_guide_runs() {
    let guide = include_str!("../docs/network.md");
    let line = guide.lines().find_map(|line| line.strip_prefix("doorstep "));
    let arguments: Vec<_> = line.expect("it has one").split(' ').collect();
    let root = root();
    let server = serve(root.path(), &[&arguments[..], &["--seed=1"]].concat());
    let (response, took) = time(|| server.get("/missing"));
    assert_eq!(response.status, 404);
    assert!(took >= Duration::from_millis(300), "{took:?}");
    let log = log(server);
    let said =
        guide.lines().find_map(|line| line.split_once("] the network is ")?.1.split("; 5%").next());
    assert!(log.contains(said.expect("the guide quotes it")), "{log}");
}
