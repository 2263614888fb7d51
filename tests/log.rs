//! The access log of the built command: what is on stderr, line by line.

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
        let date = client.ask("GET", "/a.txt", &[]).field("Last-Modified").unwrap_or("").to_owned();
        client.ask("HEAD", "/a.txt", &[]);
        client.ask("GET", "/a.txt", &[&format!("If-Modified-Since: {date}")]);
        let missing = client.ask("GET", "/none?a=b", &[]).body.len();
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
fn b_103_a_hostile_request_cannot_speak_to_the_terminal() {
    let root = root();
    let mut server = serve(root.path(), &[]);
    let mut client = server.client();
    client.send(b"GET /\x1b[31m HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.answer(false).status, 400);
    drop(client);
    let stderr = text(&server.end("TERM").stderr);
    assert!(stderr.contains(r#""GET /\x1b[31m HTTP/1.1" 400 "#), "{stderr}");
    assert!(!stderr.contains('\x1b'), "{stderr}");
}

#[test]
fn quiet_leaves_the_access_log_out() {
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
        assert_eq!(client.answer(false).status, 200);
        drop(client);
        let messages = messages(&server.end("TERM").stderr);
        assert_eq!(messages, [r#""GET   /a.txt?%41   HTTP/1.1  " 200 6"#]);
    }
}

#[test]
fn b_107_289_a_client_that_leaves_is_a_mark_in_the_log() {
    let root = root();
    let cut = Regex::new(r#"^"GET /large HTTP/1\.1" 200 \d+ cut$"#).expect("it is a pattern");
    for runtime in RUNTIMES {
        let large = File::create(root.path().join("large")).expect("a file can be made");
        large.set_len(1 << 28).expect("it can have holes");
        let mut server = serve(root.path(), &[runtime]);
        let mut client = server.client();
        client.send(b"GET /large HTTP/1.1\r\nHost: test\r\n\r\n");
        client.peek(); // the transfer is under way
        drop(client);
        assert_eq!(server.get("/a.txt").status, 200);
        let messages = messages(&server.end("TERM").stderr);
        assert_eq!(
            messages.iter().filter(|message| cut.is_match(message)).count(),
            1,
            "{messages:?}"
        );
        assert!(messages.len() <= 3, "{messages:?}");
    }
}

#[test]
fn b_289_an_idle_client_may_leave_as_it_likes() {
    let root = root();
    for runtime in RUNTIMES {
        let mut server = serve(root.path(), &[runtime]);
        let mut client = server.client();
        client.send(b"GET /a.txt HTTP/1.1\r\nHost: test\r\n\r\n");
        client.glimpse();
        drop(client); // with an answer unread that is a reset
        assert_eq!(server.get("/a.txt").status, 200);
        let messages = messages(&server.end("TERM").stderr);
        assert_eq!(messages, [r#""GET /a.txt HTTP/1.1" 200 6"#; 2]);
    }
}
