//! The command as a share that ends: one file or a directory as the argument, `--count`, `--for` and
//! `--idle-exit`, and the exit codes.
#![cfg(feature = "cli")]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use support::client::Client;
use support::{RUNTIMES, Server, doorstep, root, text};
use tempfile::TempDir;

/// The size of a file that does not fit into the buffers of two sockets.
const BIG: usize = 64 << 20;

/// The command on a free port, with these options, in the directory `root`.
fn start(root: &Path, options: &[&str]) -> Server {
    let mut command = doorstep(&["--bind", "127.0.0.1", "0"]);
    Server::start(command.args(options).current_dir(root))
}

/// The exit code of a server that ends by itself, what it wrote to stdout after the banner, and to stderr.
fn ended(mut server: Server) -> (Option<i32>, String, String) {
    let output = server.end("CONT"); // which has no effect
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// With a file that is large.
fn big() -> TempDir {
    let root = root();
    let file = File::create(root.path().join("big")).expect("a file can be made");
    file.set_len(BIG as u64).expect("it can have holes");
    root
}

/// A download that has begun, and is not read.
fn download(server: &Server, target: &str) -> Client {
    let mut client = server.client();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes());
    client.peek();
    client
}

#[test]
fn one_file_is_served_until_it_was_downloaded() {
    let root = root();
    for runtime in RUNTIMES {
        let server = start(root.path(), &[runtime, "a.txt", "--count=1"]);
        let url = format!("(http://127.0.0.1:{}/a.txt) ...\n", server.port);
        assert!(server.banner.ends_with(&url), "{}", server.banner);
        assert_eq!(server.get("/").header("Location"), Some("/a.txt"));
        assert_eq!(server.get("/b").status, 404);
        assert_eq!(server.client().request("GET", "/a.txt", &[]).body, b"hello\n");
        let (code, stdout, stderr) = ended(server);
        assert_eq!((code, &*stdout), (Some(0), "1 transfer completed, exiting.\n"), "{stderr}");
        assert!(!stderr.contains("doorstep: "), "{stderr}");
    }
}

/// A file that fits into the buffers of the system, of which the client reads the beginning.
#[test]
fn a_download_whose_client_has_not_read_it_is_not_counted() {
    let root = root();
    let file = File::create(root.path().join("medium")).expect("a file can be made");
    file.set_len(2 << 20).expect("it can have holes");
    for runtime in RUNTIMES {
        let logs = tempfile::tempdir().expect("a directory can be made");
        let log = logs.path().join("log");
        let option = format!("--access-log={}", log.display());
        let server = start(root.path(), &[runtime, "--count=1", &option]);
        let client = download(&server, "/medium");
        // All of it is in the buffers.
        let is_sent = (0..1000).any(|_| {
            thread::sleep(Duration::from_millis(10));
            let log = fs::read_to_string(&log).unwrap_or_default();
            log.contains("\"GET /medium HTTP/1.1\" 200 2097152\n")
        });
        assert!(is_sent, "{:?}", fs::read_to_string(&log));
        drop(client); // with unread bytes: a reset
        let all = (0..1000).find_map(|_| {
            let response = server.get("/medium");
            if response.status == 200 {
                return Some(response.body.len());
            }
            thread::sleep(Duration::from_millis(10));
            None
        });
        assert_eq!(all, Some(2 << 20), "the place was given back");
        let (code, stdout, stderr) = ended(server);
        assert_eq!((code, &*stdout), (Some(0), "1 transfer completed, exiting.\n"), "{stderr}");
    }
}

#[test]
fn a_put_is_no_transfer_without_uploads() {
    let root = big();
    for runtime in RUNTIMES {
        let server = start(root.path(), &[runtime, "--count=1"]);
        let _download = download(&server, "/big"); // which has the place
        for method in ["PUT", "POST"] {
            let response = server.client().request(method, "/a.txt", &["Content-Length: 0"]);
            assert_eq!(response.status, 405, "not 503");
        }
    }
}

/// docs/sharing.md: the first lines.
#[test]
fn the_first_lines_of_the_guide_run() {
    let guide = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sharing.md"));
    let guide = guide.expect("it can be read");
    let (_, rest) = guide.split_once("```sh\n").expect("it begins with an example");
    let (lines, _) = rest.split_once("\n```").expect("the example ends");
    let (before, last) = lines.split_once('\n').expect("there are two lines");
    let (arguments, url) = last.split_once(" # http://127.0.0.1:8000").expect("it has its URL");
    let arguments = arguments.strip_prefix("doorstep ").expect("it starts the server");
    for runtime in RUNTIMES {
        let home = tempfile::tempdir().expect("a directory can be made");
        let doorstep = env!("CARGO_BIN_EXE_doorstep");
        let line = format!("{before}; exec {doorstep} 0 -b 127.0.0.1 {runtime} {arguments}");
        let server = Server::start(Command::new("sh").args(["-ec", &line]).current_dir(&home));
        assert!(server.banner.contains(&format!(":{}{url})", server.port)), "{}", server.banner);
        assert_eq!(server.get(url).body, b"The report.\n");
        assert_eq!(ended(server).0, Some(0));
    }
}

#[test]
fn a_path_and_a_port_stand_in_any_order() {
    let root = root();
    let sub = root.path().join("8000");
    fs::create_dir(&sub).expect("it is writable");
    fs::write(sub.join("b.txt"), "b\n").expect("it is writable");
    for words in [&["0", "./8000"][..], &["./8000", "0"], &["-d", "8000", "0"]] {
        let mut command = doorstep(&["--bind", "127.0.0.1"]);
        let server = Server::start(command.args(words).current_dir(root.path()));
        assert!(server.banner.ends_with(&format!(":{}/) ...\n", server.port)), "{}", server.banner);
        assert_eq!(server.get("/b.txt").body, b"b\n", "{words:?}");
    }
}

#[test]
fn what_cannot_be_served_is_one_line_that_says_what_to_do() {
    let root = root();
    let fifo = Command::new("mkfifo").arg(root.path().join("fifo")).status();
    assert!(fifo.expect("mkfifo is installed").success());
    symlink("nowhere", root.path().join("dangling")).expect("it is writable");
    fs::write(root.path().join("99999"), "").expect("it is writable");
    for (words, code, expected) in [
        (&["missing"][..], 2, "no such file or directory: \"missing\"; give the path"),
        (&["80a"], 2, "no such file or directory: \"80a\"; a port is a number from 0 to 65535"),
        (&["127.0.0.1:8000"], 2, "give the port separately: doorstep 8000 --bind 127.0.0.1"),
        (&["http://127.0.0.1:8000/"], 2, "doorstep 8000 --bind 127.0.0.1"),
        (&["localhost"], 2, "for an address: doorstep 8000 --bind localhost"),
        (&[":8000"], 2, "give the port separately: doorstep 8000"),
        (&["chek"], 2, "did you mean: doorstep check"),
        (&["help"], 2, "did you mean: doorstep --help"),
        (&["version"], 2, "did you mean: doorstep --version"),
        (&["serve"], 2, "to serve, no command is needed"),
        (&["--for", "5", "min"], 2, "a number and its unit are one word: 5min"),
        (&["dangling"], 2, "no such file or directory: \"dangling\""),
        (&["missing/a"], 2, "no such file or directory: \"missing/a\""),
        (&["a.txt/"], 2, "cannot serve \"a.txt/\""),
        (&["new\nline"], 2, r#"no such file or directory: "new\nline""#),
        (&["fifo"], 2, "cannot serve \"fifo\": neither a directory nor a regular file"),
        (&["/dev/null"], 2, "neither a directory nor a regular file"),
        (&["a.txt", "--cgi"], 2, "--cgi needs a directory"),
        (&["a.txt", "--spa", "a.txt"], 2, "--spa needs a directory"),
        (&["-d", "a.txt"], 2, "to serve one file, give it without --directory"),
        (&["a.txt", "-d", "."], 2, "two paths, a.txt and --directory .: omit one of them"),
        (&["99999"], 2, "must be a number from 0 to 65535; to serve the file or directory of"),
        (&["65536"], 2, "'[PORT]': must be a number from 0 to 65535\n"),
        (&["--count", "0"], 2, "must be at least 1"),
        (&["--for", "0"], 2, "must be longer than 0"),
    ] {
        let output =
            doorstep(&["--bind", "127.0.0.1"]).args(words).current_dir(root.path()).output();
        let output = output.expect("the command starts");
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {stderr}");
        assert!(stderr.contains(expected), "{words:?}: {stderr}");
        assert!(code == 2 || stderr.lines().count() == 1, "{words:?}: {stderr}");
    }
}

#[test]
fn a_hidden_file_and_a_link_are_served_since_they_were_named() {
    let (root, other) = (root(), root());
    fs::write(root.path().join(".env"), "hidden\n").expect("it is writable");
    symlink(other.path().join("a.txt"), root.path().join("link")).expect("it is writable");
    for sandbox in ["--sandbox=auto", "--sandbox=strict"] {
        for (name, content) in [(".env", &b"hidden\n"[..]), ("link", b"hello\n")] {
            let mut command = doorstep(&["--bind", "127.0.0.1", "0", sandbox, name]);
            let probe = command.arg("--for=1ms").current_dir(root.path()).output();
            if probe.is_ok_and(|output| output.status.code() == Some(1)) {
                continue; // this kernel has no Landlock
            }
            let server = start(root.path(), &[sandbox, name]);
            let target = format!("/{name}");
            assert_eq!(server.get(&target).body, content, "{sandbox} {name}");
            fs::write(root.path().join("new"), "replaced\n").expect("it is writable");
            fs::rename(root.path().join("new"), root.path().join(name)).expect("it is writable");
            assert_eq!(server.get(&target).body, b"replaced\n", "{sandbox} {name}");
            fs::remove_file(root.path().join(name)).expect("it is writable");
            assert_eq!(server.get(&target).status, 404);
            match name {
                "link" => symlink(other.path().join("a.txt"), root.path().join(name)),
                _ => fs::write(root.path().join(name), content),
            }
            .expect("it is writable");
        }
    }
}

#[test]
fn a_download_that_is_killed_and_resumed_counts_once() {
    let root = big();
    for runtime in RUNTIMES {
        let server = start(root.path(), &[runtime, "big", "--count=1"]);
        let url = format!("http://127.0.0.1:{}/big", server.port);
        let out = tempfile::tempdir().expect("a directory can be made");
        let file = out.path().join("big");
        let curl = |more: &[&str]| {
            let mut curl = Command::new("curl");
            curl.args(["-s", "-o"]).arg(&file).args(more).arg(&url);
            curl.stdin(Stdio::null());
            curl
        };
        let mut slow = curl(&["--limit-rate", "1M"]).spawn().expect("curl is installed");
        let begun = || fs::metadata(&file).is_ok_and(|file| file.len() > 100_000);
        assert!((0..1000).any(|_| {
            thread::sleep(Duration::from_millis(10));
            begun()
        }));
        assert_eq!(server.get("/big").status, 503);
        slow.kill().expect("it runs");
        slow.wait().expect("it is a child");
        // The server sees it when it sends.
        assert!((0..1000).any(|_| {
            thread::sleep(Duration::from_millis(10));
            server.client().request("HEAD", "/big", &[]);
            curl(&["-C", "-"]).status().expect("curl is installed").success()
                && fs::metadata(&file).is_ok_and(|file| file.len() == BIG as u64)
        }));
        let (code, stdout, stderr) = ended(server);
        assert_eq!((code, &*stdout), (Some(0), "1 transfer completed, exiting.\n"), "{stderr}");
    }
}

#[test]
fn of_many_clients_at_once_as_many_as_the_count_get_the_file() {
    const CLIENTS: usize = 20;
    let root = root();
    let content = vec![b'x'; 1 << 20];
    fs::write(root.path().join("file"), &content).expect("it is writable");
    for (runtime, some_leave) in RUNTIMES.into_iter().flat_map(|it| [(it, false), (it, true)]) {
        let server = start(root.path(), &[runtime, "file", "--count=5"]);
        let got = AtomicUsize::new(0);
        let client = |n: usize| {
            if some_leave && n.is_multiple_of(4) {
                // It takes a place, and gives it back.
                let Ok(mut client) = Client::try_connect(server.port) else { return };
                let _ = client.try_send(b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n");
                return;
            }
            // Until it has the file, or the server has ended.
            while let Ok(mut client) = Client::try_connect(server.port) {
                match client.try_get("/file") {
                    Ok(response) if response.status == 200 => {
                        assert!(response.body == content);
                        got.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                    Ok(response) => assert_eq!(response.status, 503),
                    Err(_) => {}
                }
            }
        };
        thread::scope(|scope| {
            let client = &client;
            (0..CLIENTS).for_each(|n| drop(scope.spawn(move || client(n))));
        });
        let got = got.load(Ordering::Relaxed);
        let (code, stdout, stderr) = ended(server);
        assert_eq!((code, &*stdout), (Some(0), "5 transfers completed, exiting.\n"), "{stderr}");
        // One that has disconnected may have been sent the file before.
        assert!(got == 5 || some_leave && got < 5, "{got}: {stderr}");
    }
}

#[test]
fn time_in_which_the_process_is_stopped_is_not_used_up() {
    let root = root();
    for option in ["--for=5s", "--idle-exit=5s"] {
        let mut server = start(root.path(), &[option]);
        server.signal("STOP");
        thread::sleep(Duration::from_secs(7));
        server.signal("CONT");
        assert_eq!(server.get("/a.txt").status, 200, "{option}");
        assert_eq!(server.end("TERM").status.code(), Some(0));
    }
}

#[test]
fn fewer_than_the_count_is_exit_code_3() {
    let root = big();
    for runtime in RUNTIMES {
        for signal in ["INT", "TERM"] {
            let mut server = start(root.path(), &[runtime, "--count=3"]);
            assert_eq!(server.get("/a.txt").status, 200);
            download(&server, "/big").reset();
            let output = server.end(signal);
            let stderr = text(&output.stderr);
            assert_eq!(output.status.code(), Some(3), "{stderr}");
            let line = "doorstep: stopped with only 1 of 3 transfers completed; start it again with --count 2 for \
                        the rest\n";
            assert!(stderr.ends_with(line), "{stderr}");
        }
    }
}

#[test]
fn after_the_time_a_download_is_finished_within_the_grace() {
    let root = big();
    for runtime in RUNTIMES {
        let mut server = start(root.path(), &[runtime, "--for=300ms", "--grace=30"]);
        let mut client = download(&server, "/big");
        server.wait_for("The time of --for is over, exiting.");
        assert_eq!(client.response(false).body.len(), BIG);
        drop(client);
        let (code, _, stderr) = ended(server);
        assert_eq!(code, Some(0), "{stderr}");
    }
}

#[test]
fn a_transfer_that_is_cut_by_the_end_is_exit_code_3() {
    let root = big();
    for runtime in RUNTIMES {
        let server = start(root.path(), &[runtime, "--for=300ms", "--grace=1"]);
        let client = download(&server, "/big");
        let (code, stdout, stderr) = ended(server);
        assert_eq!(
            (code, &*stdout),
            (Some(3), "The time of --for is over, exiting.\n"),
            "{stderr}"
        );
        assert!(stderr.contains("doorstep: stopped with 1 transfer that was cut; "), "{stderr}");
        drop(client);
    }
}

#[test]
fn a_transfer_that_was_cut_by_the_client_is_made_good_by_another_one() {
    let root = big();
    for runtime in RUNTIMES {
        for (repeats, expected) in [(true, 0), (false, 3)] {
            let mut server = start(root.path(), &[runtime, "--for=1h"]);
            download(&server, "/big").reset();
            if repeats {
                let part = format!("Range: bytes={}-", BIG / 2);
                let response = server.client().request("GET", "/big", &[&part]);
                assert_eq!(response.body.len(), BIG / 2);
            }
            let output = server.end("TERM");
            let stderr = text(&output.stderr);
            assert_eq!(output.status.code(), Some(expected), "{stderr}");
        }
    }
}

#[test]
fn without_these_options_the_exit_code_is_0_whatever_was_cut() {
    let root = big();
    for runtime in RUNTIMES {
        let mut server = start(root.path(), &[runtime]);
        download(&server, "/big").reset();
        assert_eq!(server.end("TERM").status.code(), Some(0));
    }
}

#[test]
fn an_idle_server_ends_and_one_that_sends_does_not() {
    let root = big();
    for runtime in RUNTIMES {
        let server = start(root.path(), &[runtime, "--idle-exit=300ms"]);
        let mut idle = server.client();
        assert_eq!(idle.request("GET", "/a.txt", &[]).status, 200);
        let mut client = download(&server, "/big");
        thread::sleep(Duration::from_millis(900)); // longer than it may be idle
        assert_eq!(server.get("/a.txt").status, 200, "a download is in progress");
        assert_eq!(client.response(false).body.len(), BIG);
        let (code, stdout, stderr) = ended(server); // both connections are still open
        let expected = "No request for the time of --idle-exit, exiting.\n";
        assert_eq!((code, &*stdout), (Some(0), expected), "{stderr}");
        drop((idle, client));
    }
}

#[test]
fn without_a_request_an_idle_server_ends_too() {
    for runtime in RUNTIMES {
        let root = root();
        let server = start(root.path(), &[runtime, "--idle-exit=100ms", "--for=1h"]);
        let (code, stdout, _) = ended(server);
        assert_eq!((code, stdout.starts_with("No request ")), (Some(0), true));
        let server = start(root.path(), &[runtime, "--idle-exit=1h", "--for=100ms", "--count=1"]);
        let (code, stdout, stderr) = ended(server);
        assert_eq!((code, stdout.starts_with("The time ")), (Some(3), true));
        assert!(stderr.contains("stopped with none of 1 transfers completed"), "{stderr}");
    }
}

#[test]
fn a_request_without_the_password_takes_no_place() {
    let root = root();
    for runtime in RUNTIMES {
        let mut command = doorstep(&["0", "--bind=127.0.0.1", runtime, "--count=1"]);
        command.args(["--auth-env=TEST_AUTH", "a.txt"]).env("TEST_AUTH", "alice:secret");
        let server = Server::start(command.current_dir(root.path()));
        let mut stranger = server.client();
        stranger.send(b"PUT /a.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
        assert_eq!(stranger.response(false).status, 401);
        assert_eq!(server.get("/a.txt").status, 401);
        let field = "Authorization: Basic YWxpY2U6c2VjcmV0";
        assert_eq!(server.client().request("GET", "/a.txt", &[field]).status, 200);
        assert_eq!(ended(server).0, Some(0));
    }
}

#[test]
fn a_file_behind_a_script_is_a_download_and_its_output_is_none() {
    let root = root();
    fs::create_dir(root.path().join("cgi-bin")).expect("it is writable");
    for (name, output) in [("local", "Location: /a.txt"), ("text", "Content-Type: text/plain")] {
        let path = root.path().join("cgi-bin").join(name);
        let script = format!("#!/bin/sh\nprintf '{output}\\r\\n\\r\\n'\n");
        fs::write(root.path().join("draft"), script).expect("it is writable");
        let copied = Command::new("cp").arg(root.path().join("draft")).arg(&path).status();
        assert!(copied.expect("cp is installed").success());
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("it is ours");
    }
    for path in [root.path().to_owned(), root.path().join("cgi-bin")] {
        fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("it is ours");
    }
    for runtime in RUNTIMES {
        let server = start(root.path(), &[runtime, "--cgi", "--count=2"]);
        let mut client = server.client();
        for target in ["/cgi-bin/text", "/cgi-bin/local", "/cgi-bin/text"] {
            assert_eq!(client.request("GET", target, &[]).status, 200, "{target}");
        }
        let post = client.request("POST", "/cgi-bin/text", &["Content-Length: 0"]);
        assert_eq!(post.status, 200, "an upload");
        let (code, stdout, stderr) = ended(server);
        assert_eq!((code, &*stdout), (Some(0), "2 transfers completed, exiting.\n"), "{stderr}");
    }
}
