//! `--sandbox` and `--user` of the built command. What the kernel refuses to a thread inside a sandbox
//! is tested in driver/tests/sandbox.rs.
#![cfg(all(target_os = "linux", feature = "cli"))]
#![allow(clippy::print_stdout, reason = "what this machine cannot test is said")]

mod support;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use doorstep::driver::os::{Sandbox, Uid};
use regex::Regex;
use support::client::Client;
use support::log_files::{self, eventually};
use support::{RUNTIMES, Server, as_user, doorstep, root, text};
use tempfile::TempDir;

const MODES: [&str; 3] = ["--sandbox=auto", "--sandbox=strict", "--sandbox=off"];
/// A user and a group without names.
const OTHER: &str = "54321:54322";

/// A directory that any user may enter, with a root and what is beside it.
struct Site {
    dir: TempDir,
    large: Vec<u8>,
}

impl Site {
    fn new() -> Self {
        let dir = root();
        let large: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
        let site = Self { dir, large };
        for directory in ["root", "root/sub", "root/cgi-bin", "outside", "tmp"] {
            fs::create_dir(site.path(directory)).expect("it can be made");
        }
        fs::write(site.path("root/a.txt"), "hello\n").expect("it can be written");
        fs::write(site.path("root/404.html"), "none\n").expect("it can be written");
        fs::write(site.path("root/large"), &site.large).expect("it can be written");
        fs::write(site.path("outside/secret.txt"), "secret\n").expect("it can be written");
        symlink(site.path("outside/secret.txt"), site.path("root/link")).expect("it can be made");
        let begin = "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\n";
        site.script("echo", &format!("{begin}exec cat\n"));
        let see = "id -u; cat \"$TRY_READ\" 2>&1; echo x 2>&1 >>\"$TRY_WRITE\" && echo written";
        site.script("try", &format!("{begin}{see}\n"));
        for path in ["", "root", "root/sub", "root/cgi-bin", "outside"] {
            allow(&site.path(path), 0o755);
        }
        allow(&site.path("tmp"), 0o777);
        site
    }

    /// Copied by another process: a file that we write is also open in processes that other tests start
    /// meanwhile, and then running it fails with ETXTBSY.
    fn script(&self, name: &str, text: &str) {
        let (draft, script) = (self.path("tmp/draft"), self.path("root/cgi-bin").join(name));
        fs::write(&draft, text).expect("it can be written");
        let copied = Command::new("cp").arg(&draft).arg(&script).status();
        assert!(copied.expect("cp is installed").success());
        allow(&script, 0o755);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The command, which keeps temporary files in this site.
    fn command(&self, options: &[&str]) -> Command {
        let mut command = doorstep(&["0", "--bind", "127.0.0.1"]);
        command.args(options).arg("-d").arg(self.path("root")).env("TMPDIR", self.path("tmp"));
        command
    }
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

/// The values of a line of `/proc/PID/task/*/status`, of all threads.
fn status(server: &Server, line: &str) -> BTreeSet<String> {
    let threads = fs::read_dir(format!("/proc/{}/task", server.id())).expect("it runs");
    let statuses = threads.flatten().filter_map(|thread| {
        // A thread may end meanwhile.
        let status = fs::read_to_string(thread.path().join("status")).ok()?;
        let found = status.lines().find_map(|found| found.strip_prefix(line))?;
        Some(found.split_whitespace().collect::<Vec<_>>().join(" "))
    });
    statuses.collect()
}

fn one(value: &str) -> BTreeSet<String> {
    BTreeSet::from([value.to_owned()])
}

fn post(client: &mut Client, body: &[u8]) -> Vec<u8> {
    let head = "POST /cgi-bin/echo HTTP/1.1\r\nHost: a\r\n";
    client.send(format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    client.send(body);
    let response = client.response(false);
    assert_eq!(response.status, 200, "{}", text(&response.body));
    response.body
}

fn landlock_abi() -> u32 {
    Sandbox::default().probe().landlock_abi()
}

/// Whether this kernel can enforce the strict sandbox. If not, the tests say so.
fn has_strict() -> bool {
    let abi = landlock_abi();
    if abi < 4 {
        println!("not tested: Landlock ABI {abi} on this kernel");
    }
    abi >= 4
}

fn modes() -> Vec<&'static str> {
    let strict = has_strict();
    MODES.into_iter().filter(|mode| strict || !mode.contains("strict")).collect()
}

#[test]
fn everything_is_served_in_every_sandbox() {
    let site = Site::new();
    for runtime in RUNTIMES {
        for mode in modes() {
            for cgi in [&[][..], &["--cgi"]] {
                let what = format!("{runtime} {mode} {cgi:?}");
                let options = [&[runtime, mode][..], cgi].concat();
                let mut server = Server::start(&mut site.command(&options));
                let mut client = server.client();
                for _ in 0..2 {
                    let found = client.request("GET", "/a.txt", &["Want-Repr-Digest: sha-256=9"]);
                    assert_eq!(found.body, b"hello\n", "{what}");
                    assert!(found.header("Repr-Digest").is_some(), "{what}");
                    assert!(client.request("GET", "/large", &[]).body == site.large, "{what}");
                    let listing = text(&client.request("GET", "/", &[]).body);
                    assert!(listing.contains("a.txt") && listing.contains("sub/"), "{what}");
                    assert_eq!(
                        client.request("GET", "/sub/none", &["Accept: text/html"]).body,
                        b"none\n",
                        "{what}"
                    );
                }
                for size in [0, 5, 65_000, 200_000] {
                    if !cgi.is_empty() {
                        let body = &site.large[..size];
                        assert!(post(&mut client, body) == body, "{what}: {size} bytes");
                    }
                }
                drop(client);
                let output = server.end("TERM");
                assert_eq!(output.status.code(), Some(0), "{what}");
                assert!(text(&output.stderr).contains("\"GET /a.txt HTTP/1.1\" 200 6"), "{what}");
            }
        }
    }
}

#[test]
fn every_thread_is_in_the_sandbox() {
    let site = Site::new();
    for runtime in RUNTIMES {
        for (options, expected) in [
            (&["--sandbox=auto"][..], "1"),
            (&["--sandbox=off"], "0"),
            (&["--sandbox=auto", "--cgi"], "0"), // scripts would inherit it
            (&["--sandbox=strict", "--cgi"], "1"),
        ] {
            if options[0].contains("strict") && !has_strict() {
                continue;
            }
            let server = Server::start(&mut site.command(&[options, &[runtime]].concat()));
            assert_eq!(server.get("/a.txt").status, 200);
            assert_eq!(status(&server, "NoNewPrivs:"), one(expected), "{runtime} {options:?}");
        }
    }
}

/// A link that the opener follows, because it is told to.
#[test]
fn strict_refuses_what_is_opened_outside_of_the_root() {
    if !has_strict() {
        return;
    }
    let site = Site::new();
    for runtime in RUNTIMES {
        let get = |mode| {
            let follow = site.command(&[runtime, mode, "--symlinks=follow"]);
            let server = Server::start(&mut { follow });
            (server.get("/link").status, server.get("/a.txt").status)
        };
        assert_eq!(get("--sandbox=auto"), (200, 200), "{runtime}");
        assert_eq!(get("--sandbox=strict"), (404, 200), "{runtime}");
    }
}

/// R-1: the root is a name, except in the strict sandbox.
#[test]
fn strict_fixes_the_root() {
    if !has_strict() {
        return;
    }
    for runtime in RUNTIMES {
        for (mode, expected) in [("--sandbox=auto", 200), ("--sandbox=strict", 404)] {
            let site = Site::new();
            let server = Server::start(&mut site.command(&[runtime, mode]));
            assert_eq!(server.get("/a.txt").status, 200);
            fs::rename(site.path("root"), site.path("old")).expect("it is ours");
            fs::rename(site.path("outside"), site.path("root")).expect("it is ours");
            assert_eq!(server.get("/secret.txt").status, expected, "{runtime} {mode}");
            assert_eq!(server.get("/a.txt").status, 404, "{runtime} {mode}");
        }
    }
}

#[test]
fn scripts_are_confined_by_the_strict_sandbox_only() {
    let site = Site::new();
    let variable = |name: &str, path: &str| format!("{name}={}", site.path(path).display());
    let read = variable("TRY_READ", "outside/secret.txt");
    for runtime in RUNTIMES {
        for mode in modes() {
            let target = if Uid::effective().is_root() { "tmp/by-nobody" } else { "root/new" };
            let write = variable("TRY_WRITE", target);
            let options = [runtime, mode, "--cgi", "--cgi-env", &read, "--cgi-env", &write];
            let server = Server::start(site.command(&options).env("TMPDIR", "/var/tmp"));
            let said = text(&server.get("/cgi-bin/try").body);
            let is_strict = mode.contains("strict");
            assert_eq!(said.contains("secret\n"), !is_strict, "{runtime} {mode}: {said}");
            assert_eq!(said.contains("written"), !is_strict, "{runtime} {mode}: {said}");
            let _ = fs::remove_file(site.path(target));
        }
    }
}

#[test]
fn the_time_zone_of_the_log_is_known_in_every_sandbox() {
    let site = Site::new();
    // Half an hour beside the others.
    let minutes = |mode| {
        let mut server = Server::start(site.command(&[mode]).env("TZ", "Asia/Kolkata"));
        let date = server.get("/a.txt").header("Date").expect("it has one").to_owned();
        let logged = text(&server.end("TERM").stderr);
        let minute = Regex::new(r" \d\d:(\d\d):\d\d").expect("it is a pattern");
        let minute =
            |text: &str| -> u32 { minute.captures(text).expect("a time")[1].parse().unwrap() };
        (60 + minute(&logged) - minute(&date)) % 60
    };
    let expected = minutes("--sandbox=off");
    for mode in modes() {
        assert!(minutes(mode).abs_diff(expected) <= 1, "{mode}");
    }
}

/// As another user than root: root may trace everything.
#[test]
fn another_process_of_the_same_user_cannot_read_its_memory() {
    let site = Site::new();
    // Where that user may run it.
    let copy = site.path("doorstep");
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_doorstep")).arg(&copy).status();
    assert!(copied.expect("cp is installed").success());
    for (mode, expected) in [("--sandbox=auto", false), ("--sandbox=off", true)] {
        let mut command = as_user(54321, copy.as_os_str());
        command.args(["0", "--bind", "127.0.0.1", mode, "-d"]).arg(site.path("root"));
        let server = Server::start(&mut command);
        let environment = format!("/proc/{}/environ", server.id());
        let read = as_user(54321, "cat".as_ref()).arg(environment).output();
        assert_eq!(read.expect("cat is installed").status.success(), expected, "{mode}");
        assert_eq!(server.get("/a.txt").status, 200);
    }
}

/// Written to, and opened again at SIGHUP when it was renamed.
#[test]
fn a_log_may_be_a_link_into_another_directory() {
    let site = Site::new();
    for directory in ["logs", "var"] {
        fs::create_dir(site.path(directory)).expect("it can be made");
    }
    let (log, old) = (site.path("var/log"), site.path("var/old"));
    symlink("../var/log", site.path("logs/link")).expect("it can be made");
    let by_link = format!("--access-log={}", site.path("logs/link").display());
    for runtime in RUNTIMES {
        for mode in modes() {
            for (option, exists) in
                [(&*by_link, false), (&*by_link, true), ("--access-log=/dev/stderr", true)]
            {
                let what = format!("{runtime} {mode} {option}");
                let _ = (fs::remove_file(&log), fs::remove_file(&old));
                if exists {
                    fs::write(&log, "").expect("it can be written");
                }
                let command = site.command(&[runtime, mode, option]);
                let mut shell = Command::new("sh");
                match option.ends_with("/dev/stderr") {
                    true => shell.args(["-c", "exec \"$@\" 2>>\"$0\""]).arg(&log),
                    false => shell.args(["-c", "exec \"$@\"", "sh"]),
                };
                shell.arg(command.get_program()).args(command.get_args());
                let mut server = Server::start(&mut shell);
                assert_eq!(server.get("/a.txt").status, 200, "{what}");
                eventually(&what, || log_files::read(&log).contains("GET /a.txt"));
                if !option.ends_with("/dev/stderr") {
                    fs::rename(&log, &old).expect("it is ours");
                    server.signal("HUP");
                    eventually(&what, || log.exists());
                    assert_eq!(server.get("/large").status, 200, "{what}");
                    eventually(&what, || log_files::read(&log).contains("GET /large"));
                }
                assert_eq!(server.end("TERM").status.code(), Some(0), "{what}");
            }
        }
    }
}

/// As certbot has them: `live/cert.pem` is a link to `archive/cert1.pem`, and after a renewal to
/// `archive/cert2.pem`.
#[test]
#[cfg(feature = "tls")]
fn a_renewed_certificate_and_users_are_read_through_links() {
    let site = Site::new();
    for directory in ["live", "archive"] {
        fs::create_dir(site.path(directory)).expect("it can be made");
    }
    let link = |number: u8| {
        for name in ["cert", "key", "users"] {
            let target = format!("../archive/{name}{number}");
            let (new, path) = (site.path("live/new"), site.path("live").join(name));
            symlink(target, &new).and_then(|()| fs::rename(new, path)).expect("it can be made");
        }
    };
    for number in 1..=2 {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
        let made = made.expect("a certificate can be made");
        let archive = |name| site.path(&format!("archive/{name}{number}"));
        fs::write(archive("cert"), made.cert.pem()).expect("it can be written");
        fs::write(archive("key"), made.signing_key.serialize_pem()).expect("it can be written");
        let user = format!("user{number}:{{SHA}}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n"); // "test"
        fs::write(archive("users"), user).expect("it can be written");
    }
    for runtime in RUNTIMES {
        for mode in modes() {
            link(1);
            let mut command = site.command(&[runtime, mode]);
            for (option, name) in
                [("--tls-cert", "cert"), ("--tls-key", "key"), ("--auth-file", "users")]
            {
                command.arg(option).arg(site.path("live").join(name));
            }
            let mut server = Server::start(&mut command);
            link(2);
            server.signal("HUP");
            let log = text(&server.end("TERM").stderr);
            assert!(log.contains("TLS certificate reloaded"), "{runtime} {mode}: {log}");
            assert!(!log.contains("the users stay as they are"), "{runtime} {mode}: {log}");
        }
    }
}

/// A port below 1024 that is free.
fn privileged_port() -> u16 {
    let mut ports = (600..1024).filter(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok());
    ports.next().expect("one of them is free")
}

#[test]
fn root_binds_and_becomes_the_user_for_good() {
    if !Uid::effective().is_root() {
        println!("not tested: only root can become another user");
        return;
    }
    let site = Site::new();
    for runtime in RUNTIMES {
        for mode in modes() {
            let port = privileged_port().to_string();
            let mut command = doorstep(&[&port, "--bind", "127.0.0.1", "--user", OTHER, mode]);
            command.args([runtime, "--cgi", "-d"]).arg(site.path("root"));
            let mut server = Server::start(command.env("TMPDIR", site.path("tmp")));
            assert_eq!(server.port.to_string(), port);
            assert_eq!(server.get("/a.txt").status, 200);
            assert!(text(&server.get("/cgi-bin/try").body).starts_with("54321\n"), "{mode}");
            let body = &site.large[..200_000];
            assert!(post(&mut server.client(), body) == body, "a temporary file: {mode}");
            for (line, expected) in [
                ("Uid:", "54321 54321 54321 54321"),
                ("Gid:", "54322 54322 54322 54322"),
                ("Groups:", "54322"),
                ("CapPrm:", "0000000000000000"),
                ("CapEff:", "0000000000000000"),
            ] {
                assert_eq!(status(&server, line), one(expected), "{runtime} {mode}: {line}");
            }
            assert_eq!(server.end("TERM").status.code(), Some(0));
        }
    }
}

#[test]
fn a_named_user_has_its_groups() {
    if !Uid::effective().is_root() {
        println!("not tested: only root can become another user");
        return;
    }
    let site = Site::new();
    let id = |flag| {
        let output = Command::new("id").args([flag, "nobody"]).output().expect("id is installed");
        text(&output.stdout).split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let server = Server::start(&mut site.command(&["--user", "nobody"]));
    let groups = status(&server, "Groups:").pop_first().expect("it runs");
    assert_eq!(groups.split(' ').map(str::to_owned).collect::<BTreeSet<_>>(), id("-G"));
    let uid = id("-u").pop_first().expect("it has a number");
    assert_eq!(status(&server, "Uid:"), one(&[&*uid; 4].join(" ")));
    assert_eq!(status(&server, "NoNewPrivs:"), one("1"));
}

#[test]
fn a_user_that_the_server_cannot_become_is_a_usage_error() {
    let site = Site::new();
    let mut cases = vec![
        (&["--user", "nosuchuser"][..], "there is no user \"nosuchuser\"; give an existing one"),
        (&["--user", "nobody:nosuchgroup"], "there is no group \"nosuchgroup\""),
        (&["--user", "54321"], "give 54321:GROUP"),
    ];
    match Uid::effective().is_root() {
        true => cases.extend([
            (&["--user", "root"][..], "it is root; give one with few rights"),
            (&["--cgi", "--cgi-user", "daemon", "--user", "nobody"], "omit --cgi-user"),
        ]),
        false => cases.push((&["--user", OTHER], "start as root, or omit --user")),
    }
    for (options, expected) in cases {
        let output = site.command(options).output().expect("the command starts");
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn a_root_that_the_user_cannot_enter_is_reported() {
    if !Uid::effective().is_root() {
        println!("not tested: only root can become another user");
        return;
    }
    let site = Site::new();
    allow(&site.path("root"), 0o700);
    let output = site.command(&["--user", OTHER]).output().expect("the command starts");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("Permission denied") && stderr.lines().count() == 1, "{stderr}");
}

/// An old kernel, one without Landlock, and containers that refuse its calls.
#[test]
#[ignore = "needs strace: cargo test --test sandbox -- --ignored"]
fn without_landlock_the_strict_sandbox_does_not_start_and_others_serve() {
    let site = Site::new();
    for (call, error) in [
        ("landlock_create_ruleset", "ENOSYS"),
        ("landlock_create_ruleset", "EOPNOTSUPP"),
        ("landlock_create_ruleset", "EPERM"),
        ("landlock_restrict_self", "EPERM"),
        ("landlock_restrict_self", "E2BIG"),
    ] {
        let command = |mode| {
            let mut command = Command::new("strace");
            command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
            command.args(["-e", &format!("inject={call}:error={error}")]);
            let served = site.command(&[mode]);
            command.arg(served.get_program()).args(served.get_args());
            command
        };
        let output = command("--sandbox=strict").output().expect("strace is installed");
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{call} {error}: {stderr}");
        assert!(stderr.contains("use --sandbox auto"), "{call} {error}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{call} {error}: {stderr}");
        let mut server = Server::start(&mut command("--sandbox=auto"));
        assert_eq!(server.get("/a.txt").status, 200, "{call} {error}");
        let id = server.id();
        let traced = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let stopped = Command::new("kill").arg(traced.expect("strace runs").trim()).status();
        assert!(stopped.expect("kill is installed").success());
        assert_eq!(server.wait().code(), Some(0), "{call} {error}");
    }
}
