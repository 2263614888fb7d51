//! The built command without enough threads, memory or descriptors.
//!
//! Whatever the limit is, it either serves, or it reports in one line why it cannot and exits with 1.
//! If the limit is lowered later, it goes on serving.
#![cfg(feature = "cli")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use support::client::Client;
use support::{RUNTIMES, Server, cpu_time, text};
use tempfile::TempDir;

/// A site, and the command where any user may run it.
fn site() -> TempDir {
    let site = support::root();
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(site.path(), open.clone()).expect("it is ours");
    let command = site.path().join(".doorstep");
    let scripts = site.path().join("cgi-bin");
    let (draft, script) = (site.path().join(".hello"), scripts.join("hello"));
    fs::create_dir(&scripts).expect("a directory can be made");
    fs::write(&draft, "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'; exec cat\n")
        .expect("it can be written");
    // By another process: a child that another test starts meanwhile would hold our descriptor, and
    // what is open for writing cannot be executed (ETXTBSY).
    for (from, to) in [(env!("CARGO_BIN_EXE_doorstep").as_ref(), &command), (&*draft, &script)] {
        assert!(Command::new("cp").args([from, to]).status().expect("cp").success());
    }
    for path in [command, scripts, script] {
        fs::set_permissions(path, open.clone()).expect("it is ours");
    }
    site
}

/// What follows the command that limits it.
fn arguments(site: &Path, runtime: &str) -> Vec<String> {
    let path = |path: &Path| path.to_str().expect("its name is text").to_owned();
    let rest = ["0", "-b", "127.0.0.1", "--cgi", runtime, "-d"].map(str::to_owned);
    [vec![path(&site.join(".doorstep"))], rest.to_vec(), vec![path(site)]].concat()
}

/// The command under a limit of the shell's `ulimit`.
fn limited(flag: &str, limit: usize, site: &Path, runtime: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -{flag} {limit} && exec \"$@\""), "sh"]);
    command.args(arguments(site, runtime));
    command
}

/// The command as a user of its own, who may have `limit` threads. Only root can become one, and
/// nothing limits root.
fn with_threads(limit: usize, user: u32, site: &Path, runtime: &str) -> Command {
    let mut command = Command::new("prlimit");
    let user = as_user(user);
    command.arg(format!("--nproc={limit}:1000")).arg(user.get_program()).args(user.get_args());
    command.args(arguments(site, runtime));
    command
}

/// What follows is run as `user`.
fn as_user(user: u32) -> Command {
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={user}"), "--regid=65534", "--clear-groups"]);
    command
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id is installed");
    text(&id.stdout).trim() == "0"
}

/// A user id that no other test uses.
fn user(of_test: u32) -> u32 {
    200_000 + std::process::id() % 10_000 * 100 + of_test
}

/// Starts `command` and asks it for a file and a listing. Whether it served: then rightly, and at
/// rest; else it ended as a start does that fails.
fn serves_or_reports_why_not(mut command: Command, what: &str) -> bool {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("the command starts");
    let banner = first_line(&mut child);
    let port = banner.split(" port ").nth(1).and_then(|rest| rest.split(' ').next());
    let Some(port) = port.and_then(|digits| digits.parse().ok()) else {
        let status = child.wait().expect("a child can be waited for");
        let mut stderr = String::new();
        child.stderr.take().expect("it is piped").read_to_string(&mut stderr).expect("text");
        assert_eq!((status.code(), &*banner), (Some(1), ""), "{what}: {stderr}");
        assert!(stderr.starts_with("doorstep: cannot serve: "), "{what}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{what}: {stderr}");
        return false;
    };
    let get = |target| Client::connect(port).request("GET", target, &["Connection: close"]);
    assert_eq!(get("/a.txt").body, b"hello\n", "{what}");
    assert!(text(&get("/").body).contains("a.txt"), "{what}");
    let before = cpu_time(child.id());
    thread::sleep(Duration::from_secs(1));
    let used = cpu_time(child.id()) - before;
    assert!(used < 50, "{what}: {used} of about 100 ticks"); // a spinning thread takes all of them
    let stopped = Command::new("kill").arg(child.id().to_string()).status();
    assert!(stopped.expect("kill is installed").success());
    let output = child.wait_with_output().expect("a child can be waited for");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{what}: {stderr}");
    assert!(!stderr.contains("panicked"), "{what}: {stderr}");
    assert!(stderr.matches("no thread").count() <= 1, "{what}: logged once: {stderr}");
    true
}

/// The banner, or nothing when the command ends without one.
fn first_line(child: &mut Child) -> String {
    let stdout = child.stdout.take().expect("it is piped");
    let (send, line) = mpsc::channel();
    thread::spawn(move || {
        let (mut out, mut line) = (BufReader::new(stdout), String::new());
        let _ = out.read_line(&mut line);
        let _ = send.send(line);
        let _ = out.read_to_string(&mut String::new());
    });
    line.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| {
        let _ = child.kill();
        unreachable!("neither a banner nor an end within a minute")
    })
}

#[test]
fn with_few_threads_it_serves_or_reports_an_error() {
    let site = site();
    for runtime in RUNTIMES {
        if !is_root() {
            // Others have processes already: so nothing can be started.
            assert!(!serves_or_reports_why_not(limited("u", 1, site.path(), runtime), runtime));
            continue;
        }
        let serves = |limit: usize| {
            let command = with_threads(limit, user(limit as u32), site.path(), runtime);
            serves_or_reports_why_not(command, &format!("{runtime}, {limit} threads"))
        };
        let served: Vec<bool> = (1..=8).map(serves).collect();
        assert!(served.is_sorted(), "more threads are not worse: {served:?}");
        assert!(!served[0] && served[7], "{served:?}");
    }
}

#[test]
fn with_little_memory_it_serves_or_reports_an_error() {
    let site = site();
    for runtime in RUNTIMES {
        let serves = |mebibytes: usize| {
            let command = limited("v", mebibytes << 10, site.path(), runtime);
            serves_or_reports_why_not(command, &format!("{runtime}, {mebibytes} MiB"))
        };
        // The program and its libraries take 20 MiB without optimization, before it is started.
        let served: Vec<bool> = [28, 32, 36, 40, 48, 64, 96, 512].into_iter().map(serves).collect();
        assert!(!served[0] && served[7], "{served:?}");
    }
}

#[test]
fn with_few_descriptors_it_serves_or_reports_an_error() {
    let site = site();
    for runtime in RUNTIMES {
        let serves = |limit: usize| {
            let command = limited("n", limit, site.path(), runtime);
            serves_or_reports_why_not(command, &format!("{runtime}, {limit} descriptors"))
        };
        let served: Vec<bool> = (5..=24).map(serves).collect();
        assert!(!served[0] && served[19], "{served:?}");
    }
}

#[test]
fn a_server_that_cannot_create_threads_still_lists_directories() {
    if !is_root() {
        return; // only root can become a user without other processes
    }
    let site = site();
    for runtime in RUNTIMES {
        let server = Server::start(&mut with_threads(64, user(99), site.path(), runtime));
        assert_eq!(server.get("/a.txt").status, 200);
        let mut limit = as_user(user(99));
        limit.args(["prlimit", "--nproc=1:", "--pid", &server.id().to_string()]);
        assert!(limit.status().expect("it is installed").success());
        let before = cpu_time(server.id());
        for _ in 0..5 {
            let clients: Vec<_> = (0..20)
                .map(|_| {
                    let mut client = server.client(); // a client that sends nothing may be evicted
                    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
                    client
                })
                .collect();
            for mut client in clients {
                assert!(text(&client.response(false).body).contains("a.txt"), "{runtime}");
            }
        }
        thread::sleep(Duration::from_secs(1));
        let used = cpu_time(server.id()) - before;
        assert!(used < 75, "{runtime}: {used} ticks"); // a spinning thread takes a hundred
    }
}

#[test]
fn a_server_short_of_threads_recovers_when_they_become_available() {
    if !is_root() {
        return; // only root can become a user without other processes
    }
    let site = site();
    for runtime in RUNTIMES {
        let fewest = 5; // less than `smol` serves with; `blocking` has two for connections then
        let mut command = with_threads(fewest, user(98), site.path(), runtime);
        if runtime.contains("smol") {
            command.arg("--threads=1"); // by default there are as many workers as processors
        }
        let server = Server::start(&mut command);
        // In the middle of a head no connection is idle, so none is evicted.
        let slow: Vec<_> = (0..8)
            .map(|_| {
                let mut client = server.client();
                client.send(b"GET /a.txt HTTP/1.1\r\n");
                client
            })
            .collect();
        thread::sleep(Duration::from_millis(500));
        let mut limit = as_user(user(98));
        limit.args(["prlimit", "--nproc=64:", "--pid", &server.id().to_string()]);
        assert!(limit.status().expect("it is installed").success());
        // A connection without a request may still be evicted for others that wait.
        let served = (0..10).any(|_| server.get("/a.txt").body == b"hello\n");
        assert!(served, "{runtime}");
        drop(slow);
    }
}

#[test]
fn b_286_idle_connections_are_closed_when_a_file_needs_a_descriptor() {
    let site = site();
    for runtime in RUNTIMES {
        let server = Server::start(&mut limited("n", 64, site.path(), runtime));
        let _idle: Vec<_> = (0..60).map(|_| server.client()).collect();
        for n in 0..30 {
            assert_eq!(server.get("/a.txt").body, b"hello\n", "{runtime}, {n}");
            assert_eq!(server.get("/").status, 200, "{runtime}, {n}");
            let script = server.client().request("GET", "/cgi-bin/hello", &["Connection: close"]);
            assert_eq!(script.status, 200, "{runtime}, {n}");
        }
    }
}

#[test]
fn a_lack_of_descriptors_is_logged_once_and_is_temporary() {
    let site = site();
    for runtime in RUNTIMES {
        let mut server = Server::start(&mut limited("n", 256, site.path(), runtime));
        let id = server.id().to_string();
        let limit = |soft: &str| {
            let mut limit = Command::new("prlimit");
            limit.args(["--pid", &id, &format!("--nofile={soft}:")]);
            assert!(limit.status().expect("it is installed").success());
        };
        assert_eq!(server.get("/a.txt").status, 200);
        limit("16");
        // In the middle of a head no connection is idle, so none is evicted.
        let connect = |server: &mut Server| {
            server.try_client().unwrap_or_else(|_| {
                let stderr = text(&server.end("CONT").stderr);
                unreachable!("{runtime}: the server has ended: {stderr}")
            })
        };
        let mut slow = Vec::new();
        for _ in 0..30 {
            let mut client = connect(&mut server);
            client.send(b"GET /a.txt HTTP/1.1\r\n");
            slow.push(client);
        }
        thread::sleep(Duration::from_secs(1));
        limit("256");
        let served = (0..500).any(|_| {
            thread::sleep(Duration::from_millis(20));
            let response = connect(&mut server).request("GET", "/a.txt", &["Connection: close"]);
            response.body == b"hello\n"
        });
        assert!(served, "{runtime}");
        drop(slow);
        let stderr = text(&server.end("TERM").stderr);
        assert_eq!(stderr.matches("cannot accept connections").count(), 1, "{runtime}: {stderr}");
    }
}

/// The command under a soft and a hard limit of descriptors.
fn with_descriptors(soft: usize, hard: usize, site: &Path, runtime: &str) -> Command {
    let mut command = Command::new("prlimit");
    command.arg(format!("--nofile={soft}:{hard}")).args(arguments(site, runtime));
    command
}

/// The soft and the hard limit of descriptors that a process has.
fn descriptors(process: u32) -> Vec<u64> {
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).expect("it runs, on Linux");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let numbers = line.expect("Linux has it").split_whitespace();
    numbers.take(2).map(|number| number.parse().expect("a number")).collect()
}

#[test]
fn b_286_the_limit_of_descriptors_is_raised_for_connections_but_not_for_scripts() {
    let site = site();
    let script = site.path().join("cgi-bin/hello");
    fs::write(&script, "#!/bin/sh\necho Content-Type: text/plain\necho\nulimit -n; ulimit -Hn\n")
        .expect("it can be written");
    for runtime in RUNTIMES {
        for (more, soft, hard, raised, a_script) in [
            (&["--max-connections=200"][..], 64, 4096, [336, 4096], "64\n4096\n"),
            (&["--max-connections=9999"], 64, 400, [400, 400], "64\n400\n"),
            (&["--max-connections=10"], 64, 4096, [64, 4096], "64\n4096\n"),
            (&[], 64, 64, [64, 64], "64\n64\n"),
            (&["--max-connections=200", "--cgi-files=50"], 64, 4096, [336, 4096], "50\n50\n"),
            (&["--max-connections=200", "--cgi-files=99"], 64, 4096, [336, 4096], "99\n99\n"),
        ] {
            let mut command = with_descriptors(soft, hard, site.path(), runtime);
            let server = Server::start(command.args(more));
            let what = format!("{runtime} {more:?} {soft}:{hard}");
            assert_eq!(descriptors(server.id()), raised, "{what}");
            assert_eq!(text(&server.get("/cgi-bin/hello").body), a_script, "{what}");
            if raised[0] < 336 {
                continue;
            }
            // More than 64 descriptors are for, all of them kept.
            let mut clients: Vec<_> = (0..100).map(|_| server.client()).collect();
            for _ in 0..2 {
                for client in &mut clients {
                    assert_eq!(client.request("GET", "/a.txt", &[]).body, b"hello\n", "{what}");
                }
            }
        }
    }
}
