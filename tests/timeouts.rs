//! The deadlines of the built command, each with a short value on both runtimes: for clients
//! that are slower.
#![cfg(feature = "cli")]

mod support;

use std::fs::File;
use std::thread;
use std::time::Duration;

use support::{RUNTIMES, doorstep, root, serve, text};

/// Longer than the deadlines that are to be missed here.
const PAUSE: Duration = Duration::from_secs(1);

/// More than socket buffers hold, in bytes.
const LARGE: usize = 64 << 20;

#[test]
fn r_29_a_stalled_download_is_kept_as_long_as_asked() {
    let root = root();
    let large = File::create(root.path().join("large")).expect("a file can be made");
    large.set_len(LARGE as u64).expect("it can have holes");
    for runtime in RUNTIMES {
        for (time, is_kept) in [("200ms", false), ("2h", true), ("none", true)] {
            let mut server = serve(root.path(), &[runtime, "--timeout-send", time]);
            let mut client = server.client();
            client.send(b"GET /large HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
            client.peek();
            thread::sleep(PAUSE); // a paused video
            let received = client.read_to_end_or_reset().len();
            assert_eq!(received > LARGE, is_kept, "{runtime} {time}: {received}");
            let log = text(&server.end("TERM").stderr);
            assert_eq!(log.contains(" cut\n"), !is_kept, "{runtime} {time}: {log}");
            assert_eq!(log.contains("connection timed out"), !is_kept, "{runtime}: {log}");
        }
    }
}

#[test]
fn r_29_an_idle_connection_and_a_header_have_deadlines() {
    let root = root();
    for runtime in RUNTIMES {
        let short = ["--timeout-keep-alive=200ms", "--timeout-header=200ms"];
        let server = serve(root.path(), &[&[runtime], &short[..]].concat());
        let mut idle = server.client();
        assert_eq!(idle.request("GET", "/a.txt", &[]).status, 200);
        assert_eq!(idle.read_to_end(), b"");
        let mut slow = server.client();
        slow.send(b"GET /a.txt HT");
        assert_eq!(slow.response(false).status, 408);

        let server = serve(root.path(), &[runtime, "--timeout-keep-alive=none"]);
        let mut idle = server.client();
        for _ in 0..2 {
            assert_eq!(idle.request("GET", "/a.txt", &[]).status, 200);
            thread::sleep(PAUSE);
        }
        assert!(idle.is_silent());
    }
}

#[test]
fn r_29_an_invalid_time_is_a_usage_error() {
    for word in ["0", "soon", "-1"] {
        let output = doorstep(&[&format!("--timeout-send={word}")]).output();
        let output = output.expect("the command starts");
        assert_eq!(output.status.code(), Some(2), "{word}");
        let stderr = text(&output.stderr);
        let line = stderr.lines().next().unwrap_or_default();
        assert!(line.contains("--timeout-send <TIME>") && line.contains("none"), "{stderr}");
    }
}
