//! The access log of the built command: what is on stderr, line by line.
#![cfg(feature = "cli")]

mod support;

use std::fs::File;

use regex::Regex;
use support::{RUNTIMES, root, serve, text};

/// The messages behind `IP - - [date time]`, which every line must begin with.
fn messages(stderr: &[u8]) -> Vec<String> {
    let line = r"^127\.0\.0\.1 - - \[\d{2}/[A-Z][a-z]{2}/\d{4} \d{2}:\d{2}:\d{2}\] (.*)$";
    let line = Regex::new(line).expect("it is a pattern");
    text(stderr)
        .lines()
        .map(|found| line.captures(found).map(|found| found[1].to_owned()).expect(found))
        .collect()
}

#[test]
fn b_081_100_101_106_108_310_log_lines_are_on_stderr_only() {
    let root = root();
    for runtime in RUNTIMES {
        let mut server = serve(root.path(), &[runtime]);
        let mut client = server.client();
        let date =
            client.request("GET", "/a.txt", &[]).header("Last-Modified").unwrap_or("").to_owned();
        client.request("HEAD", "/a.txt", &[]);
        client.request("GET", "/a.txt", &[&format!("If-Modified-Since: {date}")]);
        let missing = client.request("GET", "/none?a=b", &[]).body.len();
        drop(client);
        let output = server.end("TERM");
        assert_eq!(text(&output.stdout), "");
        let expected = [
            r#""GET /a.txt HTTP/1.1" 200 6"#,
            r#""HEAD /a.txt HTTP/1.1" 200 -"#,
            r#""GET /a.txt HTTP/1.1" 304 -"#,
            "code 404, message File not found",
            &format!(r#""GET /none?a=b HTTP/1.1" 404 {missing}"#),
        ];
        assert_eq!(messages(&output.stderr), expected);
    }
}

#[test]
fn b_103_control_characters_of_a_request_are_escaped() {
    let root = root();
    let mut server = serve(root.path(), &[]);
    let mut client = server.client();
    client.send(b"GET /\x1b[31m HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.response(false).status, 400);
    drop(client);
    let stderr = text(&server.end("TERM").stderr);
    assert!(stderr.contains(r#""GET /\x1b[31m HTTP/1.1" 400 "#), "{stderr}");
    assert!(!stderr.contains('\x1b'), "{stderr}");
}

#[test]
fn quiet_disables_the_access_log() {
    let root = root();
    let mut server = serve(root.path(), &["--quiet"]);
    assert_eq!(server.get("/a.txt").status, 200);
    assert_eq!(server.get("/none").status, 404);
    assert_eq!(text(&server.end("TERM").stderr), "");
}

#[test]
fn b_102_the_request_line_is_logged_as_it_came() {
    let root = root();
    for runtime in RUNTIMES {
        let mut server = serve(root.path(), &[runtime]);
        let mut client = server.client();
        client.send(b"GET   /a.txt?%41   HTTP/1.1  \r\nHost: test\r\n\r\n");
        assert_eq!(client.response(false).status, 200);
        drop(client);
        let messages = messages(&server.end("TERM").stderr);
        assert_eq!(messages, [r#""GET   /a.txt?%41   HTTP/1.1  " 200 6"#]);
    }
}

#[test]
fn b_107_289_r_26_a_disconnected_client_is_marked_on_its_log_line_only() {
    let root = root();
    let cut = Regex::new(r#"^"GET /large HTTP/1\.1" 20[06] \d+ cut$"#).expect("it is a pattern");
    for runtime in RUNTIMES {
        let large = File::create(root.path().join("large")).expect("a file can be made");
        large.set_len(1 << 28).expect("it can have holes");
        let mut server = serve(root.path(), &[runtime]);
        // A cancelled download, and seeks in a video, with one range and with several.
        for range in ["", "Range: bytes=1000-\r\n", "Range: bytes=0-99,2000-\r\n"] {
            let mut client = server.client();
            client.send(format!("GET /large HTTP/1.1\r\nHost: test\r\n{range}\r\n").as_bytes());
            client.peek(); // the transfer is under way
        }
        let messages = messages(&server.end("TERM").stderr);
        assert_eq!(messages.len(), 3, "{runtime}: {messages:?}");
        assert!(messages.iter().all(|message| cut.is_match(message)), "{runtime}: {messages:?}");
    }
}

#[test]
fn b_111_repeated_connection_errors_are_counted() {
    let root = root();
    let counted = Regex::new(r"^client disconnected: .* \(\u{d7}(\d+) more in \d+ s\)$");
    let counted = counted.expect("it is a pattern");
    for runtime in RUNTIMES {
        for quiet in [&[][..], &["--quiet"]] {
            let mut server = serve(root.path(), &[&[runtime], quiet].concat());
            for _ in 0..200 {
                let mut client = server.client();
                client.send(b"GET /a.txt HTTP/1.1\r\nHost: test\r\n\r\nGET /a.txt HTT");
                client.peek_status(); // the first response stays unread: closing is a reset
            }
            let messages = messages(&server.end("TERM").stderr);
            let requests = messages.iter().filter(|line| line.starts_with("\"GET /a.txt")).count();
            assert_eq!(requests, if quiet.is_empty() { 200 } else { 0 });
            let errors: Vec<_> =
                messages.iter().filter(|line| line.starts_with("client disconnected")).collect();
            let count =
                |line: &&String| counted.captures(line).map_or(1, |n| n[1].parse().unwrap_or(0));
            let all: u64 = errors.iter().map(count).sum();
            assert_eq!(all, 200, "none is lost: {errors:?}");
            assert!(errors.len() < 40, "{errors:?}");
            assert_eq!(requests + errors.len(), messages.len(), "{messages:?}");
        }
    }
}

#[test]
fn r_13_r_14_a_refused_request_is_escaped_once() {
    let root = root();
    for runtime in RUNTIMES {
        let mut server = serve(root.path(), &[runtime]);
        for (sent, shown) in [
            (&b"\x16\x03\x01\x02\0\x01\r\n\r\n"[..], r"\x16"), // it is read no further
            ("GET /\u{202e}gpj.exe\r\n\r\n".as_bytes(), r"GET /\xe2\x80\xaegpj.exe"),
            ("GET /\u{2028} HTTP/1.1\r\n\r\n".as_bytes(), r"GET /\xe2\x80\xa8 HTTP/1.1"),
        ] {
            let mut client = server.client();
            client.send(sent);
            assert_eq!(client.response(false).status, 400);
            drop(client);
            let stderr = text(&server.end("TERM").stderr);
            let mut lines = stderr.lines();
            let message = lines.next().unwrap_or_default();
            if message.ends_with(')') {
                assert!(message.ends_with(&format!("('{shown}')")), "{runtime}: {stderr}");
            }
            let line = lines.next().unwrap_or_default();
            assert!(line.contains(&format!("\"{shown}\" 400 ")), "{runtime}: {stderr}");
            assert!(!stderr.contains(['\u{202e}', '\u{2028}', '\x16']), "{runtime}: {stderr}");
            server = serve(root.path(), &[runtime]);
        }
    }
}

#[test]
fn b_289_an_idle_client_may_disconnect_in_any_way() {
    let root = root();
    for runtime in RUNTIMES {
        let mut server = serve(root.path(), &[runtime]);
        let mut client = server.client();
        client.send(b"GET /a.txt HTTP/1.1\r\nHost: test\r\n\r\n");
        client.peek_status();
        drop(client); // with a response unread that is a reset
        assert_eq!(server.get("/a.txt").status, 200);
        let messages = messages(&server.end("TERM").stderr);
        assert_eq!(messages, [r#""GET /a.txt HTTP/1.1" 200 6"#; 2]);
    }
}
