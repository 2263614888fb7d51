//! The built command where the system refuses a call that has an older or plainer substitute: an
//! old kernel (ENOSYS) or a sandbox (EPERM). Everything is served all the same, to the last byte.
//!
//! strace makes the refusals, so it is ignored by default. By hand:
//! `cargo test --test refused_calls -- --ignored`.
#![cfg(feature = "cli")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use support::client::Client;
use support::{RUNTIMES, Server, text};
use tempfile::TempDir;

/// The calls of the command's own and of the crates it stands on that can be done without.
const CALLS: [&str; 13] = [
    "accept4",
    "close_range",
    "eventfd2",
    "fchown",
    "getrandom",
    "memfd_create",
    "openat2",
    "pidfd_open",
    "prlimit64",
    "sendfile",
    "statx",
    "timerfd_create",
    "memfd_create,openat2,pidfd_open,sendfile,statx",
];

/// The command under strace; both end with it.
struct Traced {
    server: Server,
    process: String,
}

impl Traced {
    fn start(calls: &str, error: &str, runtime: &str, root: &Path) -> Self {
        Self::start_with(calls, &format!("error={error}"), &["--cgi", runtime], root)
    }

    fn start_with(calls: &str, injected: &str, options: &[&str], root: &Path) -> Self {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
        command.args(["-e", &format!("inject={calls}:{injected}")]);
        command.args([env!("CARGO_BIN_EXE_doorstep"), "0", "-b", "127.0.0.1"]).args(options);
        let server = Server::start(command.arg("-d").arg(root));
        let id = server.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let process = children.expect("strace runs, on Linux").trim().to_owned();
        Self { server, process }
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-s", "KILL", &self.process]).status();
    }
}

fn site() -> (TempDir, Vec<u8>) {
    let site = support::root();
    let large: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    fs::write(site.path().join("large"), &large).expect("it can be written");
    let scripts = site.path().join("cgi-bin");
    fs::create_dir(&scripts).expect("a directory can be made");
    let script = scripts.join("echo");
    fs::write(&script, "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'; exec cat\n")
        .expect("it can be written");
    for path in [site.path(), &scripts, &script] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
    (site, large)
}

#[test]
#[ignore = "needs strace: cargo test --test refused_calls -- --ignored"]
fn b_282_a_stop_needs_no_system_call_that_serving_does_not_need() {
    let (site, _) = site();
    for error in ["ENOSYS", "EPERM"] {
        for runtime in RUNTIMES {
            let mut traced = Traced::start("accept4", error, runtime, site.path());
            assert_eq!(traced.server.get("/a.txt").body, b"hello\n");
            let stopped = Command::new("kill").arg(&traced.process).status();
            assert!(stopped.expect("kill is installed").success());
            assert_eq!(traced.server.wait().code(), Some(0), "{error}, {runtime}");
        }
    }
}

#[test]
#[ignore = "needs strace: cargo test --test refused_calls -- --ignored"]
fn r_28_a_thread_that_hangs_in_a_call_does_not_delay_the_exit() {
    const HANGS: Duration = Duration::from_secs(60);
    let (site, _) = site();
    for runtime in RUNTIMES {
        let injected = format!("delay_enter={}", HANGS.as_micros());
        let options = ["--grace=1s", runtime];
        let traced = Traced::start_with("sendfile", &injected, &options, site.path());
        let threads =
            || fs::read_dir(format!("/proc/{}/task", traced.process)).map(Iterator::count);
        let mut client = traced.server.client();
        client.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
        thread::sleep(Duration::from_millis(500)); // most likely it hangs now
        assert!(threads().expect("it runs") > 3, "{runtime}");
        let stopped = Command::new("kill").arg(&traced.process).status();
        assert!(stopped.expect("kill is installed").success());
        // strace keeps the thread that hangs, and the process with it, as it ends for both.
        let is_over = || threads().is_ok_and(|count| count <= 2);
        let looks = HANGS.as_millis() / 2 / 100;
        let ended = (0..looks).any(|_| {
            thread::sleep(Duration::from_millis(100));
            is_over()
        });
        assert!(ended, "{runtime}: it waits for the call");
        let _ = Command::new("kill").args(["-s", "KILL", &traced.server.id().to_string()]).status();
    }
}

fn everything_is_served(server: &Server, large: &[u8], what: &str) {
    let mut client = server.client();
    for _ in 0..3 {
        assert_eq!(client.request("GET", "/a.txt", &[]).body, b"hello\n", "{what}");
        assert!(client.request("GET", "/large", &[]).body == large, "{what}: a large file");
        let range = client.request("GET", "/large", &["Range: bytes=70000-900000"]);
        assert!(range.body == large[70_000..=900_000], "{what}: a range");
        let listing = text(&client.request("GET", "/", &[]).body);
        assert!(listing.contains("large") && listing.contains("a.txt"), "{what}: a listing");
        for size in [0, 5, 65_000, 200_000] {
            let body = &large[..size];
            assert!(post(&mut client, body) == body, "{what}: {size} bytes to a script");
        }
    }
}

fn post(client: &mut Client, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    client.send(
        format!("POST /cgi-bin/echo HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")
            .as_bytes(),
    );
    client.send(body);
    let response = client.response(false);
    assert_eq!(response.status, 200, "{}", text(&response.body));
    response.body
}

#[test]
#[ignore = "needs strace: cargo test --test refused_calls -- --ignored"]
fn r_27_optional_system_calls_have_substitutes() {
    let (site, large) = site();
    for calls in CALLS {
        for error in ["ENOSYS", "EPERM"] {
            for runtime in RUNTIMES {
                let what = format!("{calls}: {error}, {runtime}");
                let traced = Traced::start(calls, error, runtime, site.path());
                everything_is_served(&traced.server, &large, &what);
            }
        }
    }
}

#[test]
#[ignore = "needs strace: cargo test --test refused_calls -- --ignored"]
fn a_missing_required_system_call_is_reported_in_one_line() {
    let (site, _) = site();
    for (call, runtime) in [
        ("clone3", RUNTIMES[0]),
        ("clone3", RUNTIMES[1]),
        ("epoll_create1", RUNTIMES[1]),
        ("pipe2", RUNTIMES[0]),
        ("socketpair", RUNTIMES[1]),
    ] {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
        command.args(["-e", &format!("inject={call}:error=EPERM")]);
        command.args([env!("CARGO_BIN_EXE_doorstep"), "0", "-b", "127.0.0.1", runtime]);
        let output = command.arg("-d").arg(site.path()).output().expect("strace is installed");
        let stderr = text(&output.stderr);
        assert_eq!(
            (output.status.code(), &*text(&output.stdout)),
            (Some(1), ""),
            "{call}: {stderr}"
        );
        assert!(stderr.starts_with("doorstep: cannot serve: "), "{call}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{call}: {stderr}");
    }
}
