//! Authentication of the command: its options, what scripts see, what is logged; and beside the programs
//! that write the file and send passwords: htpasswd and curl (docs/authentication.md).
#![cfg(feature = "cli")]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use support::client::Response;
use support::log_files::{self, eventually};
use support::{RUNTIMES, Server, doorstep, root, text};
use tempfile::TempDir;

/// alice:secret
const ALICE: &str = "Authorization: Basic YWxpY2U6c2VjcmV0";
/// alice:wrong
const WRONG: &str = "Authorization: Basic YWxpY2U6d3Jvbmc=";
const CHALLENGE: &str = "Basic realm=\"Restricted\", charset=\"UTF-8\"";
/// "secret", as `htpasswd` prints it.
const USERS: &str = "# staff\r\nalice:$apr1$RgeM6Qgb$BrXSwakIGUQL8plt.tewd/\r\n";

/// A directory with the file `users`.
fn users(contents: &str) -> (TempDir, String) {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let file = directory.path().join("users");
    fs::write(&file, contents).expect("it can be written");
    let name = file.to_str().expect("it is text").to_owned();
    (directory, name)
}

fn serve(root: &Path, options: &[&str]) -> Server {
    let mut command = doorstep(&["0", "--bind", "127.0.0.1"]);
    command.args(options).arg("-d").arg(root).env("TEST_AUTH", "alice:secret");
    Server::start(&mut command)
}

fn get(server: &Server, path: &str, fields: &[&str]) -> Response {
    server.client().request("GET", path, &[fields, &["Connection: close"]].concat())
}

#[test]
fn users_come_from_a_file_or_from_the_environment() {
    let (root, (_directory, file)) = (root(), users(USERS));
    for runtime in RUNTIMES {
        for options in [&["--auth-file", &file][..], &["--auth-env", "TEST_AUTH"]] {
            let mut server = serve(root.path(), &[&[runtime], options].concat());
            let refused = get(&server, "/a.txt", &[]);
            assert_eq!(
                (refused.status, refused.header("WWW-Authenticate")),
                (401, Some(CHALLENGE))
            );
            assert_eq!(get(&server, "/a.txt", &[ALICE]).body, b"hello\n");
            assert_eq!(get(&server, "/a.txt", &[WRONG]).status, 401);
            assert_eq!(get(&server, "/missing", &[]).status, 401);
            let log = text(&server.end("TERM").stderr);
            assert!(log.contains("/a.txt: authentication failed for user \"alice\"\n"), "{log}");
            assert!(log.contains("\"GET /a.txt HTTP/1.1\" 401 "), "{log}");
            for secret in ["secret", "wrong", "YWxpY2", "unencrypted"] {
                assert!(!log.contains(secret), "{log}");
            }
        }
    }
}

#[test]
fn both_kinds_of_users_can_be_given_and_the_realm() {
    let (root, (_directory, file)) = (root(), users(&USERS.replace("alice", "bob")));
    let options =
        ["--auth-file", &file, "--auth-env", "TEST_AUTH", "--auth-realm", "Our \"staff\""];
    let server = serve(root.path(), &options);
    let refused = get(&server, "/", &[]);
    let challenge = "Basic realm=\"Our \\\"staff\\\"\", charset=\"UTF-8\"";
    assert_eq!(refused.header("WWW-Authenticate"), Some(challenge));
    for fields in [[ALICE], ["Authorization: Basic Ym9iOnNlY3JldA=="]] {
        assert_eq!(get(&server, "/", &fields).status, 200, "{fields:?}");
    }
}

#[test]
fn what_is_not_valid_is_a_usage_error_with_the_remedy() {
    let root = root();
    let served = root.path().join("users");
    fs::write(&served, USERS).expect("it can be written");
    let served = served.to_str().expect("it is text");
    let (_plain_directory, plain) = users("alice:secret\n");
    let (_des_directory, des) = users(&format!("{USERS}bob:QIXMwtjrGsrZw\n"));
    let (_empty_directory, empty) = users("# nobody\n");
    for (options, expected) in [
        (
            &["--auth-file", "no such file"][..],
            "No such file or directory; correct the file, or give",
        ),
        (&["--auth-file", &plain], "line 1: its password is plain text"),
        (&["--auth-file", &des], "line 3: its password is plain text or a DES crypt hash"),
        (&["--auth-file", &empty], "there are no users; add one with htpasswd -B"),
        (&["--auth-file", served], "is in the served directory; move it elsewhere"),
        (
            &["--auth-env", "TEST_NOT_SET"],
            "TEST_NOT_SET must hold USER:PASSWORD, but it is not set; set it",
        ),
        (&["--auth-env", "TEST_NO_COLON"], "but there is no \":\" in it"),
        (&["--auth-env", "TEST_NO_PASSWORD"], "but the password of the user is empty"),
        (
            &["--auth-env", "alice:secret"],
            "a password on the command line is visible to every user",
        ),
        (&["--auth-realm", "Staff"], "--auth-realm needs users: give --auth-file or --auth-env"),
        (&["--auth-env", "TEST_AUTH", "--auth-realm", "St\u{e4}ff"], "must be printable ASCII"),
    ] {
        let mut command = doorstep(&["0", "--bind", "127.0.0.1", "-d"]);
        command.arg(root.path()).args(options);
        command.env("TEST_AUTH", "alice:secret").env("TEST_NO_COLON", "topsecret");
        let output = command.env("TEST_NO_PASSWORD", "alice:").output().expect("it starts");
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{options:?}: {stderr}");
        assert!(stderr.contains(expected), "{stderr}");
        assert!(!stderr.contains("topsecret") && !stderr.contains("QIXM"), "{stderr}");
    }
}

/// A document root with a script that prints who has sent the request.
fn scripts() -> TempDir {
    let root = root();
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).expect("it is ours");
    fs::create_dir(root.path().join("cgi-bin")).expect("it can be made");
    let script = root.path().join("cgi-bin/who");
    let text = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n%s %s' \"$AUTH_TYPE\" \"$REMOTE_USER\"\nenv | grep -c -i -e secret -e TEST_AUTH -e YWxp\n";
    fs::write(&script, text).expect("it can be written");
    fs::set_permissions(&script, Permissions::from_mode(0o755)).expect("it is ours");
    root
}

#[test]
fn b_239_scripts_see_the_verified_user_and_no_password() {
    let root = scripts();
    for runtime in RUNTIMES {
        let server = serve(root.path(), &[runtime, "--cgi", "--auth-env", "TEST_AUTH"]);
        assert_eq!(get(&server, "/cgi-bin/who", &[]).status, 401);
        assert_eq!(get(&server, "/cgi-bin/who", &[WRONG]).status, 401);
        let basic = get(&server, "/cgi-bin/who", &[&ALICE.replace("Basic", "bASIC")]);
        assert_eq!(text(&basic.body), "Basic alice0\n");
        let server = serve(root.path(), &[runtime, "--cgi"]);
        let claimed = get(&server, "/cgi-bin/who", &["Authorization: Basic Ym9iOnNlY3JldA=="]);
        assert_eq!(text(&claimed.body), "Basic bob0\n", "as http.server does");
    }
}

#[test]
fn a_cors_preflight_needs_no_password_and_runs_no_script() {
    let root = scripts();
    let fields = ["Origin: http://a", "Access-Control-Request-Method: GET"];
    for runtime in RUNTIMES {
        let options = [runtime, "--cgi", "--auth-env", "TEST_AUTH"];
        let closed = serve(root.path(), &options);
        let open = serve(root.path(), &[&options[..], &["--cors"]].concat());
        for path in ["/a.txt", "/cgi-bin/who", "/missing"] {
            let refused = closed.client().request("OPTIONS", path, &fields);
            assert_eq!(refused.status, 401, "{path}");
            let preflight = open.client().request("OPTIONS", path, &fields);
            assert_eq!((preflight.status, &*preflight.body), (204, &b""[..]), "{path}");
            let allowed = preflight.header("Access-Control-Allow-Headers");
            assert_eq!(allowed, Some("*, Authorization"));
            assert_eq!(open.client().request("OPTIONS", path, &fields[..1]).status, 401, "{path}");
            let refused = get(&open, path, &fields);
            assert_eq!(
                (refused.status, refused.header("Access-Control-Allow-Origin")),
                (401, Some("*"))
            );
        }
    }
}

fn htpasswd(arguments: &[&str]) {
    let made = Command::new("htpasswd").args(arguments).output().expect("htpasswd is installed");
    assert!(made.status.success(), "{}", text(&made.stderr));
}

fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl").args(["-s", "-m", "20"]).args(arguments).output();
    text(&output.expect("curl is installed").stdout)
}

#[test]
#[ignore = "it needs htpasswd, of Debian's apache2-utils: .ci/run calls it"]
fn every_kind_of_hash_that_htpasswd_writes_is_accepted_or_refused() {
    let root = root();
    let (_directory, file) = users("");
    for (n, kind) in ["-m", "-B", "-2", "-5", "-s"].iter().enumerate() {
        htpasswd(&["-b", kind, &file, &format!("user{n}"), "pa:ss w\u{f6}rd"]);
    }
    htpasswd(&["-b", &file, "user5", "pa:ss w\u{f6}rd"]); // what it does by default
    htpasswd(&["-b", "-B", "-C", "10", &file, "user 6", "pa:ss w\u{f6}rd"]);
    for runtime in RUNTIMES {
        let server = serve(root.path(), &[runtime, "--auth-file", &file]);
        let url = format!("http://127.0.0.1:{}/a.txt", server.port);
        for user in ["user0", "user1", "user2", "user3", "user4", "user5", "user 6"] {
            let right = curl(&["-u", &format!("{user}:pa:ss w\u{f6}rd"), &url]);
            assert_eq!(right, "hello\n", "{user}");
            let wrong = curl(&[
                "-u",
                &format!("{user}:pa:ss word"),
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                &url,
            ]);
            assert_eq!(wrong, "401", "{user}");
        }
    }
    for kind in ["-d", "-p"] {
        let (_directory, file) = users("");
        htpasswd(&["-b", kind, &file, "alice", "secret"]);
        let output = doorstep(&["0", "--bind", "127.0.0.1", "--auth-file", &file]).output();
        let output = output.expect("it starts");
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("plain text or a DES crypt hash"), "{kind}");
    }
}

#[test]
#[ignore = "it needs htpasswd, of Debian's apache2-utils: .ci/run calls it"]
fn curl_is_asked_for_its_password_and_uploads_nothing_before() {
    let root = root();
    let (_directory, file) = users("");
    htpasswd(&["-b", "-B", &file, "alice", "secret"]);
    let big = vec![b'x'; 3 << 20];
    let upload = root.path().join("big");
    fs::write(&upload, &big).expect("it can be written");
    let upload = upload.to_str().expect("it is text");
    for runtime in RUNTIMES {
        let server = serve(root.path(), &[runtime, "--auth-file", &file]);
        let url = format!("http://127.0.0.1:{}/a.txt", server.port);
        assert_eq!(curl(&["--anyauth", "-u", "alice:secret", &url]), "hello\n");
        assert_eq!(curl(&["--user", "alice:secret", &url, &url, &url]), "hello\n".repeat(3));
        let code = ["-o", "/dev/null", "-w", "%{http_code} %{size_upload}"];
        assert_eq!(curl(&[&["-T", upload, &url], &code[..]].concat()), "401 0");
        let put = curl(&[&["-u", "alice:secret", "-T", upload, &url], &code[..]].concat());
        assert!(put.starts_with("405 "), "{put}");
    }
}

/// At a request, and at SIGHUP, which reports it in any case.
#[test]
fn a_fault_of_the_file_of_users_is_reported_in_the_same_words() {
    let root = root();
    for runtime in RUNTIMES {
        for invalid in [None, Some("no colon\n")] {
            for hangup_first in [true, false] {
                let ((directory, file), (_logs, _, log)) = (users(USERS), log_files::logs());
                let log_option = format!("--error-log={}", log.display());
                let mut server = serve(root.path(), &[runtime, "--auth-file", &file, &log_option]);
                match invalid {
                    None => fs::remove_file(&file).expect("it is ours"),
                    Some(text) => fs::write(&file, text).expect("it is ours"),
                }
                let lines = || -> Vec<String> {
                    let log = log_files::read(&log);
                    let words = log.lines().filter_map(|line| line.split_once("] "));
                    words.map(|(_, words)| words.to_owned()).collect()
                };
                let has_lines = |n| eventually("it is reported", || lines().len() == n);
                let (at_hangup, at_request) = if hangup_first { (1, 1) } else { (2, 1) };
                let hang_up = || {
                    server.signal("HUP");
                    has_lines(at_hangup);
                };
                if hangup_first {
                    hang_up();
                }
                assert_eq!(get(&server, "/a.txt", &[ALICE]).status, 200);
                has_lines(at_request);
                if !hangup_first {
                    hang_up();
                }
                server.end("TERM");
                let lines = lines();
                assert_eq!(lines.len(), at_hangup, "{lines:?}");
                let expected = format!("the users stay as they are: {file:?}: ");
                assert!(lines.iter().all(|line| *line == lines[0]), "{lines:?}");
                assert!(lines[0].starts_with(&expected), "{lines:?}");
                assert!(!lines[0].contains("os error"), "{lines:?}");
                drop(directory);
            }
        }
    }
}

#[test]
#[ignore = "it needs htpasswd, of Debian's apache2-utils: .ci/run calls it"]
fn a_user_that_htpasswd_adds_or_deletes_is_known_a_few_seconds_later() {
    let root = root();
    let (_directory, file) = users("");
    htpasswd(&["-b", &file, "alice", "secret"]);
    for runtime in RUNTIMES {
        let server = serve(root.path(), &[runtime, "--auth-file", &file]);
        let becomes = |field: &str, status| {
            let seen = (0..200).any(|_| {
                thread::sleep(Duration::from_millis(100));
                get(&server, "/a.txt", &[field]).status == status
            });
            assert!(seen, "{field} never was {status}");
        };
        let bob = "Authorization: Basic Ym9iOnNlY3JldA==";
        becomes(ALICE, 200);
        assert_eq!(get(&server, "/a.txt", &[bob]).status, 401);
        htpasswd(&["-b", "-B", &file, "bob", "secret"]);
        becomes(bob, 200);
        htpasswd(&["-D", &file, "bob"]);
        becomes(bob, 401);
        assert_eq!(get(&server, "/a.txt", &[ALICE]).status, 200);
    }
}

/// docs/authentication.md: its first lines.
#[test]
#[ignore = "it needs htpasswd, of Debian's apache2-utils: .ci/run calls it"]
fn the_first_lines_of_the_guide_run() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/authentication.md");
    let guide = fs::read_to_string(guide).expect("it is there");
    let block = guide.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next());
    let lines: Vec<_> = block.expect("it has a block").lines().collect();
    let [make, serve, ask] = lines[..] else { unreachable!("{lines:?}") };
    for runtime in RUNTIMES {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        fs::create_dir(home.path().join("site")).expect("it can be made");
        let shell = |line: &str| {
            let mut shell = Command::new("sh");
            shell.current_dir(home.path()).args(["-e", "-c", line]);
            shell
        };
        // It asks for the password otherwise.
        let make = make.replace("htpasswd -B -c", "echo secret | htpasswd -i -B -c");
        assert!(shell(&make).status().expect("there is a shell").success());
        let arguments = serve.strip_prefix("doorstep ").expect("it starts the server");
        let command = env!("CARGO_BIN_EXE_doorstep");
        let server = Server::start(&mut shell(&format!("exec {command} 0 {runtime} {arguments}")));
        let ask =
            ask.replace("8000", &server.port.to_string()).replace("-u alice", "-u alice:secret");
        let asked = shell(&ask).output().expect("there is a shell");
        assert!(text(&asked.stdout).contains("Directory listing for /"), "{ask}: {asked:?}");
    }
}
