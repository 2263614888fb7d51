//! The formats of the logs of the built command, its log files, and SIGHUP.
#![cfg(all(unix, feature = "cli"))]

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use doorstep::core::http1::date::Civil;
use doorstep::core::log::{self, Format, Level, LocalTime, Record};
use regex::Regex;
use support::log_files::{eventually, logs, read};
use support::{RUNTIMES, Server, doorstep, root, serve, text};

/// The time in UTC in the combined format, and in JSON.
const COMBINED_TIME: &str = r"\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2} [+-]\d{4}";
const JSON_TIME: &str = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z";

/// A page, a refused request and a missing page.
fn request_three(server: &Server) {
    let agent = "User-Agent: test/1.0 \"quoted\"";
    let mut client = server.client();
    client.request("GET", "/a.txt?x=1", &[agent, "Referer: http://example.org/"]);
    client.request("GET", "/none", &[]);
    client.send(b"NONSENSE\x1b\r\n\r\n");
    client.read_to_end();
}

fn assert_matches(lines: &str, patterns: &[String]) {
    assert_eq!(lines.lines().count(), patterns.len(), "{lines}");
    for (line, pattern) in lines.lines().zip(patterns) {
        let regex = Regex::new(&format!("^{pattern}$")).expect("it is a pattern");
        assert!(regex.is_match(line), "{pattern}\n{line}");
    }
}

#[test]
fn the_combined_format_is_apaches() {
    let root = root();
    for runtime in RUNTIMES {
        let mut server = serve(root.path(), &[runtime, "--log-format=combined"]);
        request_three(&server);
        let stderr = text(&server.end("TERM").stderr);
        let expected = [
            r#""GET /a\.txt\?x=1 HTTP/1\.1" 200 6 "http://example\.org/" "test/1\.0 \\x22quoted\\x22""#,
            r#""GET /none HTTP/1\.1" 404 \d+ "-" "-""#,
            r#""NONSENSE\\x1b" 400 \d+ "-" "-""#,
        ];
        let prefix = format!(r"127\.0\.0\.1 - - \[{COMBINED_TIME}\] ");
        assert_matches(&stderr, &expected.map(|line| format!("{prefix}{line}")));
    }
}

#[test]
fn json_has_an_object_for_each_response() {
    let root = root();
    for runtime in RUNTIMES {
        let mut server = serve(root.path(), &[runtime, "--log-format=json"]);
        request_three(&server);
        let stderr = text(&server.end("TERM").stderr);
        let request = |request: &str, status: &str, error: &str, headers: &str| {
            format!(
                r#"\{{"time":"{JSON_TIME}","client":"127\.0\.0\.1","port":\d+,"user":null,{request},"status":{status},"duration_ms":\d+\.\d{{3}},"ending":"complete","error":{error},{headers},"tls":null,"request_id":"[0-9a-f]{{16}}-\d+"\}}"#
            )
        };
        let expected = [
            request(
                r#""method":"GET","target":"/a\.txt\?x=1","protocol":"HTTP/1\.1","request_line":null"#,
                r#"200,"bytes":6"#,
                "null",
                r#""host":"[^"]+","referer":"http://example\.org/","user_agent":"test/1\.0 \\"quoted\\"""#,
            ),
            request(
                r#""method":"GET","target":"/none","protocol":"HTTP/1\.1","request_line":null"#,
                r#"404,"bytes":\d+"#,
                r#""File not found""#,
                r#""host":"[^"]+","referer":null,"user_agent":null"#,
            ),
            request(
                r#""method":null,"target":null,"protocol":null,"request_line":"NONSENSE\\\\x1b""#,
                r#"400,"bytes":\d+"#,
                r#""Bad request syntax \('NONSENSE\\\\x1b'\)""#,
                r#""host":null,"referer":null,"user_agent":null"#,
            ),
        ];
        assert_matches(&stderr, &expected);
        let ids: Vec<_> = stderr.lines().map(|line| &line[line.len() - 20..]).collect();
        assert!(ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
    }
}

#[test]
fn requests_and_errors_go_to_their_files() {
    let root = root();
    let script = "#!/bin/sh\necho 'from the script' >&2\nexit 3\n";
    fs::create_dir(root.path().join("cgi-bin")).expect("it can be made");
    let path = root.path().join("cgi-bin/fails");
    fs::write(&path, script).expect("it can be written");
    for path in [root.path(), &root.path().join("cgi-bin"), &path] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
    for runtime in RUNTIMES {
        for format in ["python", "combined", "json"] {
            let (_directory, access, error) = logs();
            let mut server = serve(
                root.path(),
                &[
                    runtime,
                    "--cgi",
                    &format!("--log-format={format}"),
                    &format!("--access-log={}", access.display()),
                    &format!("--error-log={}", error.display()),
                ],
            );
            server.get("/a.txt");
            server.get("/cgi-bin/fails");
            let output = server.end("TERM");
            assert_eq!(text(&output.stderr), "");
            let (access, error) = (read(&access), read(&error));
            // Python has a line more about the 502.
            assert_eq!(access.lines().count(), if format == "python" { 3 } else { 2 }, "{access}");
            assert!(access.lines().all(|line| !line.contains("from the script")), "{access}");
            let from_script = error.lines().filter(|line| line.contains("from the script"));
            assert_eq!(from_script.count(), 1, "{error}");
            let begin = match format {
                "json" => "{\"time\":\"",
                "combined" => "[",
                _ => "127.0.0.1 - - [",
            };
            assert!(error.lines().all(|line| line.starts_with(begin)), "{error}");
        }
    }
}

#[test]
fn sighup_opens_the_files_again() {
    let root = root();
    for runtime in RUNTIMES {
        let (directory, access, _) = logs();
        let both = access.display();
        // One file for both is opened once.
        let options = [format!("--access-log={both}"), format!("--error-log={both}")];
        let mut server = serve(root.path(), &[runtime, &options[0], &options[1]]);
        server.get("/a.txt");
        eventually("it is logged", || read(&access).contains("/a.txt"));
        let old = directory.path().join("access.log.1");
        fs::rename(&access, &old).expect("it is there");
        server.signal("HUP");
        eventually("it is opened again, without a request", || access.exists());
        server.get("/none");
        assert!(server.end("TERM").status.success());
        assert_eq!(read(&old).lines().count(), 1);
        assert_eq!(read(&access).lines().count(), 2, "{}", read(&access));
        assert_eq!(access.metadata().expect("it is there").permissions().mode() & 0o137, 0);
    }
}

#[test]
fn sighup_opens_files_again_even_if_it_was_ignored_and_during_a_shutdown() {
    let root = root();
    let (directory, access, _) = logs();
    let program = env!("CARGO_BIN_EXE_doorstep");
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh", program, "0", "-b127.0.0.1"]);
    command.arg("--access-log").arg(&access).arg("-d").arg(root.path());
    let mut server = Server::start(&mut command);
    let rotate = |n: u32| {
        fs::rename(&access, directory.path().join(n.to_string())).expect("it is there");
        server.signal("HUP");
        eventually("it is opened again", || access.exists());
    };
    rotate(1);
    let mut client = server.client();
    client.send(b"GET /a.txt HTTP/1.1\r\nHost: a\r\nX: "); // a request that a shutdown waits for
    client.is_silent();
    server.signal("TERM");
    rotate(2);
    client.send(b"y\r\n\r\n");
    let status = client.response(false).status;
    assert!(server.wait().success());
    assert_eq!(status, 200);
    assert_eq!(read(&access).lines().count(), 1);
}

#[test]
fn sighup_ends_the_process_if_there_is_nothing_to_reload() {
    use std::os::unix::process::ExitStatusExt;
    // A signal that is ignored here, as under nohup, would be ignored by the server, too.
    let caught = signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::default());
    caught.expect("a signal can be caught");
    let root = root();
    for runtime in RUNTIMES {
        let mut server = serve(root.path(), &[runtime, "--log-format=json", "--error-log=-"]);
        assert_eq!(server.end("HUP").status.signal(), Some(1));
    }
}

#[test]
fn under_load_no_line_is_lost_or_split_by_a_rotation() {
    let root = root();
    for (runtime, signal) in RUNTIMES.into_iter().zip([true, false]) {
        let (directory, access, _) = logs();
        let option = format!("--access-log={}", access.display());
        let mut server = serve(root.path(), &[runtime, "--log-format=json", &option]);
        let (requests, rotated) = (AtomicUsize::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut client = server.client();
                    while !rotated.load(Ordering::Relaxed) {
                        for _ in 0..20 {
                            client.request("GET", "/a.txt", &["User-Agent: load"]);
                        }
                        requests.fetch_add(20, Ordering::Relaxed);
                    }
                });
            }
            for n in 0..5 {
                eventually("it is opened again, and there are lines", || !read(&access).is_empty());
                fs::rename(&access, directory.path().join(n.to_string())).expect("it is there");
                if signal {
                    server.signal("HUP");
                }
            }
            rotated.store(true, Ordering::Relaxed);
        });
        assert!(server.end("TERM").status.success());
        let files = directory.path().read_dir().expect("it can be read");
        let files = files.map(|entry| read(&entry.expect("it is there").path()));
        let all: Vec<_> = files.collect();
        let lines = all.iter().flat_map(|text| text.lines());
        let is_whole = |line: &&str| line.starts_with("{\"time\":\"2") && line.ends_with("\"}");
        let numbers: std::collections::BTreeSet<_> = lines
            .inspect(|line| assert!(is_whole(line), "{line}"))
            .map(|line| &line[line.rfind("request_id").expect("it has one")..])
            .collect();
        assert_eq!(numbers.len(), requests.load(Ordering::Relaxed), "{runtime}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_delays_no_response_and_is_reported_once() {
    let root = root();
    for runtime in RUNTIMES {
        let mut server = serve(root.path(), &[runtime, "--access-log=/dev/full"]);
        for _ in 0..100 {
            assert_eq!(server.get("/a.txt").status, 200);
        }
        let stderr = text(&server.end("TERM").stderr);
        let lines: Vec<_> = stderr.lines().collect();
        assert_eq!(lines.len(), 2, "{stderr}");
        assert!(
            lines[0].contains("cannot write to the log file \"/dev/full\": no space"),
            "{stderr}"
        );
        assert!(lines[1].ends_with("cannot be written to: 100 log lines dropped"), "{stderr}");
    }
}

#[test]
fn a_log_file_that_cannot_be_opened_is_one_line_that_says_what_to_do() {
    let root = root();
    let served = ["--directory", root.path().to_str().expect("it is UTF-8")];
    for (option, path, remedy) in [
        (
            "--access-log",
            "no/such/directory/log",
            "make it, or give another file with --access-log",
        ),
        ("--error-log", "/", "give another file with --error-log"),
    ] {
        let output = doorstep(&["0", option, path]).args(served).output().expect("it starts");
        let stderr = text(&output.stderr);
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{stderr}");
        assert!(stderr.contains(remedy), "{stderr}");
    }
}

#[test]
fn a_log_file_in_the_served_directory_is_a_warning() {
    let root = root();
    let log = root.path().join("access.log");
    let mut server = serve(root.path(), &["--access-log", log.to_str().expect("it is UTF-8")]);
    let stderr = text(&server.end("TERM").stderr);
    assert!(stderr.contains("clients can read the log file"), "{stderr}");
}

#[test]
fn b_109_colours_are_for_terminals_and_where_they_are_asked_for() {
    let root = root();
    let (_directory, access, _) = logs();
    let file = format!("--access-log={}", access.display());
    for (variables, options, colored) in [
        (&[][..], &[][..], false),
        (&[("FORCE_COLOR", "1")], &[], true),
        (&[("CLICOLOR_FORCE", "1")], &[], true),
        (&[("FORCE_COLOR", "1"), ("NO_COLOR", "1")], &[], false),
        (&[("FORCE_COLOR", "")], &[], false),
        (&[("FORCE_COLOR", "1")], &["--log-format=json"], false),
        (&[("FORCE_COLOR", "1")], &[&*file], false),
    ] {
        let mut command = doorstep(&["0", "--bind=127.0.0.1"]);
        command.args(options).arg("-d").arg(root.path());
        for name in ["NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied());
        let mut server = Server::start(&mut command);
        server.get("/none");
        let log = text(&server.end("TERM").stderr) + &read(&access);
        assert_eq!(log.contains("\" \x1b[33m404\x1b[0m "), colored, "{variables:?}: {log:?}");
        assert_eq!(log.contains('\x1b'), colored, "{variables:?}: {log:?}");
    }
}

#[test]
fn b_109_a_terminal_has_colours() {
    let root = root();
    // `script` gives the command a terminal.
    let (program, root) = (env!("CARGO_BIN_EXE_doorstep"), root.path().display());
    let command = format!("exec {program} 0 -b127.0.0.1 -d{root}");
    let started = Command::new("script")
        .args(["-qefc", &command, "/dev/null"])
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = started.expect("script of util-linux is installed");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let banner = lines.next().and_then(Result::ok).unwrap_or_default();
    let port = banner.split(" port ").nth(1).and_then(|rest| rest.split(' ').next());
    let port = port.and_then(|digits| digits.parse().ok()).expect("the banner has it");
    let mut client = support::client::Client::connect(port);
    client.request("GET", "/a.txt", &["Connection: close"]);
    let line = lines.map_while(Result::ok).find(|line| line.contains("/a.txt"));
    let _ = child.kill();
    let _ = child.wait();
    assert!(line.is_some_and(|line| line.contains("\x1b[32m200\x1b[0m")));
}

/// Every code point of the general categories Cc, Cf, Zl and Zp.
fn invisible() -> Vec<char> {
    let invisible = Regex::new(r"^[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]$").expect("it is a pattern");
    let mut utf8 = [0; 4];
    ('\0'..=char::MAX).filter(|c| invisible.is_match(c.encode_utf8(&mut utf8))).collect()
}

#[test]
fn b_103_r_14_no_invisible_character_is_in_a_line_of_any_format() {
    let all = invisible();
    assert!(all.len() > 230, "only {}", all.len());
    let at = LocalTime::new(1_784_000_000, 0);
    for &c in &all {
        let text = format!("a{c}b");
        let mut record = Record::new(([127, 0, 0, 1], 1).into(), text.as_bytes(), 400);
        record.error_message = Some(text.as_bytes());
        record.user = Some(text.as_bytes());
        let mut out = Vec::new();
        for format in [Format::Python, Format::Combined, Format::Json] {
            format.write(&mut out, &record, &at);
            for client in [None, Some(record.remote_addr.ip())] {
                format.write_message(&mut out, client, Level::Error, &at, text.as_bytes());
            }
        }
        log::write_client_message(
            &mut out,
            record.remote_addr.ip(),
            &Civil::utc(0),
            text.as_bytes(),
        );
        log::write_server_message(&mut out, &Civil::utc(0), text.as_bytes());
        let lines = String::from_utf8(out).expect("it is escaped");
        assert_eq!(lines.lines().count(), 12, "{c:?}");
        assert!(!lines.replace('\n', "").contains(c), "{c:?}: {lines}");
    }
}

#[test]
fn b_103_every_visible_character_is_as_it_was() {
    let invisible: std::collections::BTreeSet<_> = invisible().into_iter().collect();
    let visible: String = ('\0'..=char::MAX).filter(|c| !invisible.contains(c)).collect();
    let mut out = Vec::new();
    log::escape_controls(&mut out, visible.as_bytes());
    assert!(out == visible.as_bytes(), "more is escaped than need be");
}

#[test]
fn a_script_has_the_id_of_its_request() {
    let root = root();
    let folder = root.path().join("cgi-bin");
    fs::create_dir(&folder).expect("it can be made");
    let (draft, script) = (folder.join("draft"), folder.join("id"));
    let lines = "#!/bin/sh\necho Content-Type: text/plain\necho\necho \"id:$UNIQUE_ID\"\n";
    fs::write(&draft, lines).expect("it can be written");
    // Copied by another process, for which no descriptor of ours is open for writing.
    assert!(Command::new("cp").args([&draft, &script]).status().is_ok_and(|cp| cp.success()));
    for path in [root.path(), &folder, &script] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
    for runtime in RUNTIMES {
        let mut server = serve(root.path(), &[runtime, "--cgi", "--log-format=json"]);
        let body = text(&server.get("/cgi-bin/id").body);
        let stderr = text(&server.end("TERM").stderr);
        let id = body.trim_end().strip_prefix("id:").expect("the script prints it");
        assert!(id.len() > 17 && stderr.contains(&format!("\"request_id\":\"{id}\"")), "{stderr}");
        let mut server = serve(root.path(), &[runtime, "--cgi"]);
        assert_eq!(text(&server.get("/cgi-bin/id").body), "id:\n");
        server.end("TERM");
    }
}
