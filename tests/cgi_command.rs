//! `doorstep --cgi` from outside, on both runtimes: which scripts are run, their environment, what is
//! logged, and that no process is left after a shutdown.
#![cfg(all(unix, feature = "cli"))]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGQUIT};
use signal_hook::flag;
use support::client::Client;
use support::{RUNTIMES, Server, doorstep, root, serve, text};
use tempfile::TempDir;

/// Prints "ran" and the value of `$ASKED`.
const HELLO: &str = "echo Content-Type: text/plain\necho\necho ran $ASKED\n";

/// A document root that others can read: as root, scripts run as `nobody`.
fn site(scripts: &[(&str, &str)]) -> TempDir {
    let root = root();
    open(root.path());
    for (name, lines) in scripts {
        let (draft, script) = (root.path().join("draft"), root.path().join(name));
        let folder = script.parent().expect("it is in one");
        fs::create_dir_all(folder).expect("it can be made");
        fs::write(&draft, format!("#!/bin/sh\n{lines}")).expect("it can be written");
        // Copied by another process: a file that we write is also open in processes that we start
        // meanwhile, and then running it fails with ETXTBSY.
        let copied = Command::new("cp").arg(draft).arg(&script).status();
        assert!(copied.expect("cp is installed").success());
        let inside = |folder: &&Path| folder.starts_with(root.path());
        folder.ancestors().take_while(inside).for_each(open);
        open(&script);
    }
    root
}

fn open(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
}

/// Runs `test` on a server with `options`, once for each runtime.
fn with(root: &TempDir, options: &[&str], test: impl Fn(&mut Server)) {
    for runtime in RUNTIMES {
        test(&mut serve(root.path(), &[&[runtime], options].concat()));
    }
}

#[test]
fn b_220_without_the_option_scripts_are_files() {
    let root = site(&[("cgi-bin/hello", HELLO)]);
    with(&root, &[], |server| {
        assert_eq!(text(&server.get("/cgi-bin/hello").body), format!("#!/bin/sh\n{HELLO}"));
        assert_eq!(server.client().request("POST", "/cgi-bin/hello", &[]).status, 405);
        assert_eq!(server.get("/cgi-bin/").status, 200);
    });
}

#[test]
fn b_220_232_with_cgi_they_are_run_and_files_are_served_beside_them() {
    let root = site(&[("cgi-bin/hello", HELLO), ("htbin/hello", HELLO)]);
    with(&root, &["--cgi"], |server| {
        for target in ["/cgi-bin/hello", "/htbin/hello/more"] {
            assert_eq!(text(&server.get(target).body), "ran\n", "{target}");
        }
        assert_eq!(server.get("/a.txt").body, b"hello\n");
        assert_eq!(server.client().request("POST", "/a.txt", &[]).status, 501);
    });
}

#[test]
fn b_226_230_252_which_script_is_run_and_whether_it_can_be_started() {
    let root = site(&[("cgi-bin/told", "echo Content-Type: text/plain\necho\necho $PATH_INFO\n")]);
    let lost = root.path().join("cgi-bin/lost");
    fs::write(&lost, "#!/no/such/interpreter\n").expect("it can be written");
    open(&lost);
    with(&root, &["--cgi"], |server| {
        assert_eq!(text(&server.get("/cgi-bin/told/a%20b/c/").body), "/a b/c/\n");
        assert_eq!(server.get("cgi-bin/told").status, 400);
        assert_eq!(server.get("/cgi-bin/lost").status, 502);
        let log = text(&server.end("TERM").stderr);
        assert!(log.contains("/cgi-bin/lost: cannot be run: "), "{log}");
    });
}

#[test]
fn b_221_other_directories_replace_the_default_ones() {
    let root = site(&[("cgi-bin/hello", HELLO), ("bin/hello", HELLO), ("a/b/hello", HELLO)]);
    with(&root, &["--cgi", "--cgi-dir", "bin", "--cgi-dir=/a/b/"], |server| {
        assert_eq!(text(&server.get("/bin/hello").body), "ran\n");
        assert_eq!(text(&server.get("/a/b/hello").body), "ran\n");
        assert!(text(&server.get("/cgi-bin/hello").body).starts_with("#!/bin/sh"));
    });
}

#[test]
fn b_237_scripts_see_the_variables_they_are_given_and_no_others() {
    let root = site(&[("cgi-bin/hello", HELLO)]);
    let cases = [
        (&[][..], "ran\n"),
        (&["--cgi-env=ASKED"], "ran mine\n"),
        (&["--cgi-env=ASKED=x=y"], "ran x=y\n"),
    ];
    for (options, expected) in cases {
        for runtime in RUNTIMES {
            let mut command = doorstep(&["0", "--bind=127.0.0.1", "--cgi", runtime]);
            let command = command.args(options).env("ASKED", "mine").arg("-d").arg(root.path());
            assert_eq!(text(&Server::start(command).get("/cgi-bin/hello").body), expected);
        }
    }
}

#[test]
fn b_063_130_131_options_for_files_apply_to_scripts() {
    let named = "echo Content-Type: text/plain\necho\necho $SERVER_SOFTWARE\n";
    let root = site(&[("cgi-bin/.hello", HELLO), ("cgi-bin/named", named)]);
    std::os::unix::fs::symlink("named", root.path().join("cgi-bin/link")).expect("linked");
    with(&root, &["--cgi"], |server| {
        assert_eq!(server.get("/cgi-bin/.hello").status, 404);
        assert_eq!(server.get("/cgi-bin/link").status, 200);
        assert!(text(&server.get("/cgi-bin/named").body).starts_with("doorstep/"));
    });
    let options = ["--cgi", "--hidden", "--symlinks=deny", "--server-header=mine/1"];
    with(&root, &options, |server| {
        assert_eq!(text(&server.get("/cgi-bin/.hello").body), "ran\n");
        assert_eq!(server.get("/cgi-bin/link").status, 404);
        assert_eq!(text(&server.get("/cgi-bin/named").body), "mine/1\n");
    });
}

#[test]
fn b_248_251_stderr_and_exit_codes_are_logged() {
    let sorry = "echo Content-Type: text/plain\necho\necho sorry >&2\nexit 3\n";
    let killed = "echo Content-Type: text/plain\necho\nkill -9 $$\n";
    let root = site(&[("cgi-bin/sorry", sorry), ("cgi-bin/killed", killed)]);
    with(&root, &["--cgi"], |server| {
        for script in ["sorry", "killed"] {
            assert_eq!(server.get(&format!("/cgi-bin/{script}")).status, 200);
        }
        let log = text(&server.end("TERM").stderr);
        let messages: Vec<_> = log.lines().filter_map(|line| line.split("] ").nth(1)).collect();
        for message in [
            "/cgi-bin/sorry: sorry",
            "/cgi-bin/sorry: CGI script exit code 3",
            r#""GET /cgi-bin/sorry HTTP/1.1" 200 -"#,
            "/cgi-bin/killed: CGI script exit code -9",
        ] {
            assert!(messages.contains(&message), "{message}: {log}");
        }
    });
}

#[test]
fn b_256_limits_from_the_command_line() {
    let late = "exec sleep 100\n";
    // Written at once: output above the limit is a 502 only if the response has not begun.
    let much = "printf 'Content-Type: text/plain\\n\\n%3000s'\n";
    let files = "echo Content-Type: text/plain\necho\nulimit -t\nulimit -v\nulimit -n\n";
    let root = site(&[("cgi-bin/late", late), ("cgi-bin/much", much), ("cgi-bin/rlimits", files)]);
    let options = [
        "--cgi",
        "--max-body=10",
        "--cgi-time=1",
        "--cgi-output=2K",
        "--cgi-cpu=7",
        "--cgi-memory=1G",
        "--cgi-files=20",
    ];
    with(&root, &options, |server| {
        let ask =
            |length: &str| server.client().request("POST", "/cgi-bin/rlimits", &[length]).status;
        assert_eq!(ask("Content-Length: 11"), 413);
        assert_eq!(server.get("/cgi-bin/late").status, 504);
        assert_eq!(server.get("/cgi-bin/much").status, 502);
        assert_eq!(text(&server.get("/cgi-bin/rlimits").body), "7\n1048576\n20\n");
    });
}

#[test]
fn b_256_limits_are_not_above_those_of_the_system() {
    let root = site(&[("cgi-bin/files", "echo Content-Type: text/plain\necho\nulimit -n\n")]);
    with(&root, &["--cgi", "--cgi-files=99999999999"], |server| {
        let granted: u64 =
            text(&server.get("/cgi-bin/files").body).trim().parse().expect("a number");
        assert!(granted > 20 && granted < 99_999_999_999, "{granted}");
    });
}

#[test]
fn b_247_a_body_for_which_there_is_no_space_is_a_503() {
    let root = site(&[("cgi-bin/hello", HELLO)]);
    for runtime in RUNTIMES {
        for (limit, tmpdir) in [("ulimit -f 100 && ", "/tmp"), ("", "/nonexistent")] {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("{limit}exec \"$0\" \"$@\"")]);
            command.arg(env!("CARGO_BIN_EXE_doorstep")).env("TMPDIR", tmpdir);
            command.args(["0", "--bind", "127.0.0.1", "--cgi", runtime, "-d"]).arg(root.path());
            let mut server = Server::start(&mut command);
            let mut client = server.client();
            client
                .send(b"POST /cgi-bin/hello HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n");
            client.send(&[b'x'; 500_000]);
            assert_eq!(client.response(false).status, 503, "{tmpdir}");
            assert_eq!(text(&server.get("/cgi-bin/hello").body), "ran\n");
            let log = text(&server.end("TERM").stderr);
            assert!(log.contains("/cgi-bin/hello: cannot be started now: "), "{log}");
        }
    }
}

#[test]
fn b_293_headers_of_every_response_are_sent_once() {
    let script = "echo Content-Type: text/plain\necho X-A: its\necho 'Set-Cookie: c=d'\n\
                  echo 'Access-Control-Allow-Origin: https://its.example'\necho\n";
    let root = site(&[("cgi-bin/says", script)]);
    let options = ["--cgi", "--cors", "-H", "X-A", "ours", "-H", "Set-Cookie", "a=b"];
    with(&root, &options, |server| {
        let head = server.get("/cgi-bin/says").head;
        assert!(head.contains("X-A: ours\r\n") && !head.contains("its"), "{head}");
        assert_eq!(head.matches("Access-Control-Allow-Origin: ").count(), 1, "{head}");
        assert_eq!(head.matches("Set-Cookie: ").count(), 2, "{head}");
        let log = text(&server.end("TERM").stderr);
        let mut lines = log.lines();
        assert!(
            lines.any(|line| line.contains("/cgi-bin/says: ") && line.contains("X-A")),
            "{log}"
        );
    });
}

#[test]
fn r_25_cors_answers_preflights_to_scripts_too() {
    let root = site(&[("cgi-bin/ran", "echo Content-Type: text/plain\necho\necho ran\n")]);
    let asks = ["Origin: http://a.example", "Access-Control-Request-Method: DELETE"];
    for (options, status, methods) in [
        (&["--cgi"][..], 200, None),
        (&["--cgi", "--cors"], 204, Some("GET, HEAD, POST, PUT, PATCH, DELETE")),
    ] {
        with(&root, options, |server| {
            let response = server.client().request("OPTIONS", "/cgi-bin/ran", &asks);
            assert_eq!((response.status, response.body.is_empty()), (status, status == 204));
            assert_eq!(response.header("Access-Control-Allow-Methods"), methods);
            let origin = response.header("Access-Control-Allow-Origin");
            assert_eq!(origin, methods.map(|_| "*"));
        });
    }
}

#[test]
fn b_282_a_closed_terminal_ends_the_server_and_its_scripts() {
    // A signal that is ignored here (in the background of a shell, for example) is ignored there too; what is
    // caught here is not.
    for signal in [SIGHUP, SIGQUIT] {
        flag::register(signal, Arc::default()).expect("it can be caught");
    }
    for (runtime, name, number) in [(RUNTIMES[0], "HUP", 1), (RUNTIMES[1], "QUIT", 3)] {
        let (root, mut server, _client) = stubborn(runtime);
        assert_eq!(server.end(name).status.signal(), Some(number), "{runtime}");
        assert!(all_end(root.path()), "{runtime}");
    }
    let mut command = Command::new("nohup");
    command.arg(env!("CARGO_BIN_EXE_doorstep")).args(["0", "--bind", "127.0.0.1"]);
    let mut server = Server::start(&mut command);
    server.signal("HUP");
    assert_eq!(server.get("/").status, 200, "it keeps running");
    server.end("TERM");
}

#[test]
fn b_270_every_argument_of_http_server_is_accepted() {
    let root = site(&[("cgi-bin/hello", HELLO)]);
    for runtime in RUNTIMES {
        let mut command = doorstep(&["--cgi", "-b", "127.0.0.1", "-p", "HTTP/1.0", runtime]);
        command.args(["--content-type", "text/plain", "-H", "A", "b", "-d"]).arg(root.path());
        let response = Server::start(command.arg("0")).get("/cgi-bin/hello");
        assert!(response.head.starts_with("HTTP/1.0 200 OK\r\n"), "{}", response.head);
        assert_eq!(response.header("A"), Some("b"));
    }
}

#[test]
fn b_246_a_user_that_scripts_cannot_run_as_is_exit_code_2() {
    for (option, says) in [
        ("--cgi-user=nosuchuser", "give another user with --cgi-user"),
        ("--cgi-user=root", "omit --cgi-user"),
        ("--cgi-dir=nowhere", "give --cgi-dir a path from the served directory"),
    ] {
        let output = doorstep(&["0", "--cgi", option]).output().expect("the command starts");
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.starts_with("doorstep: ") && stderr.contains(says), "{stderr}");
    }
}

#[test]
fn b_283_no_script_outlives_a_server_that_was_told_to_stop() {
    let stop = |runtime: &str| {
        let (root, mut server, _client) = stubborn(runtime);
        assert_eq!(server.end("TERM").status.code(), Some(0), "{runtime}");
        assert!(all_end(root.path()), "{runtime}");
    };
    thread::scope(|scope| {
        for runtime in RUNTIMES {
            scope.spawn(move || stop(runtime));
        }
    });
}

#[test]
fn b_282_a_duplicate_signal_counts_once() {
    let slow = "echo Content-Type: text/plain\necho\necho so far\nsleep 1\necho all\n";
    for runtime in RUNTIMES {
        let (_root, mut server, mut client) = running_script(runtime, "HTTP/1.0", slow);
        let id = server.id().to_string();
        let twice = "kill -s TERM $0; sleep 0.005; kill -s TERM $0";
        let sent = Command::new("sh").args(["-c", twice, &id]).status();
        assert!(sent.expect("there is a shell").success());
        assert!(client.read_to_end().ends_with(b"so far\nall\n"), "{runtime}");
        assert_eq!(server.wait().code(), Some(0), "{runtime}");
    }
}

#[test]
fn b_282_a_second_signal_ends_the_server_and_its_scripts_at_once() {
    for runtime in RUNTIMES {
        let (root, mut server, _client) = stubborn(runtime);
        server.signal("INT");
        server.wait_for("Keyboard interrupt received, exiting.");
        thread::sleep(Duration::from_millis(200)); // sooner, it would count as a duplicate of the first
        assert_eq!(server.end("INT").status.signal(), Some(2), "{runtime}");
        assert!(all_end(root.path()), "{runtime}");
    }
}

#[test]
fn rfc_9112_8_a_killed_server_shows_that_its_response_is_incomplete() {
    let slow = "echo Content-Type: text/plain\necho\necho so far\nsleep 2\n";
    for runtime in RUNTIMES {
        let (root, mut server, mut client) = running_script(runtime, "HTTP/1.0", slow);
        assert_eq!(server.end("KILL").status.signal(), Some(9), "{runtime}");
        assert!(!client.closes_cleanly(), "{runtime}");
        assert!(all_end(root.path()), "{runtime}");
    }
}

#[test]
fn b_248_r_14_control_characters_of_a_scripts_stderr_are_escaped() {
    let script = "printf 'a\\342\\200\\256gpj.exe \\033[2J \\\\d \\303\\251\\n' >&2\n\
                  echo Content-Type: text/plain\necho\n";
    for runtime in RUNTIMES {
        let root = site(&[("cgi-bin/script", script)]);
        let mut server = serve(root.path(), &["--cgi", runtime]);
        assert_eq!(server.get("/cgi-bin/script").status, 200);
        let log = text(&server.end("TERM").stderr);
        let shown = r"/cgi-bin/script: a\xe2\x80\xaegpj.exe \x1b[2J \d é";
        assert!(log.lines().any(|line| line.ends_with(shown)), "{runtime}: {log}");
    }
}

#[test]
fn b_107_289_r_26_a_client_that_disconnects_during_a_scripts_response_is_marked_in_the_log() {
    let endless = "echo Content-Type: text/plain\necho\nexec cat /dev/zero\n";
    for runtime in RUNTIMES {
        let (root, mut server, client) = running_script(runtime, "HTTP/1.1", endless);
        drop(client);
        assert!(all_end(root.path()), "{runtime}");
        let log = text(&server.end("TERM").stderr);
        // The same whichever is noticed first: a failed send, or the disconnect.
        let lines: Vec<_> = log.lines().collect();
        assert_eq!(lines.len(), 1, "{log}");
        assert!(lines[0].ends_with(" cut"), "{log}");
    }
}

/// A server that runs a script which ignores SIGTERM and has started another process.
fn stubborn(runtime: &str) -> (TempDir, Server, Client) {
    let script = "trap '' TERM\necho Content-Type: text/plain\necho\necho $$\n\
                  sleep 1000 &\nsleep 1000\n";
    let (root, server, client) = running_script(runtime, "HTTP/1.1", script);
    assert_ne!(processes(root.path()), 0, "{runtime}");
    (root, server, client)
}

/// A server that runs a script whose response has begun. With HTTP/1.0 the response ends when the
/// connection is closed.
fn running_script(runtime: &str, protocol: &str, script: &str) -> (TempDir, Server, Client) {
    let root = site(&[("cgi-bin/script", script)]);
    let server = serve(root.path(), &["--cgi", runtime]);
    let mut client = server.client();
    client.send(format!("GET /cgi-bin/script {protocol}\r\nHost: test\r\n\r\n").as_bytes());
    client.peek();
    (root, server, client)
}

/// Whether all processes below `root` end within a few seconds.
fn all_end(root: &Path) -> bool {
    (0..500).any(|_| {
        thread::sleep(Duration::from_millis(10));
        processes(root) == 0
    })
}

/// The number of processes whose working directory is below `root`.
fn processes(root: &Path) -> usize {
    let all = fs::read_dir("/proc").expect("this is Linux").flatten();
    let folders = all.filter_map(|process| fs::read_link(process.path().join("cwd")).ok());
    folders.filter(|folder| folder.starts_with(root)).count()
}
