//! Scripts under doorstep, on each runtime, beside `python3 -m http.server --cgi`.
//!
//! Every case names the rows it stands for; where doorstep differs on purpose there is none. What is
//! compared is the status, the reason of a refusal, and what the script found itself called with.
//! Python 3.15 has no CGI any more: under it, there is nothing to compare with.
#![cfg(feature = "cli")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use support::client::Response;
use support::{RUNTIMES, Server, serve};

/// Says what it was called with.
const TELL: &str = r#"#!/bin/sh
printf 'Content-Type: text/plain\n\n'
for name in SCRIPT_NAME PATH_INFO QUERY_STRING REQUEST_METHOD GATEWAY_INTERFACE AUTH_TYPE REMOTE_USER HTTP_REFERER
do eval "echo $name=\$$name"
done
head -c "${CONTENT_LENGTH:-0}"
"#;

/// Rows, a request with perhaps a field, and the status that both give.
const CASES: &[(&str, &str, u16)] = &[
    ("B-221 B-230", "GET /cgi-bin/tell", 200),
    ("B-221", "GET /htbin/tell", 200),
    ("B-222", "GET /cgi-binx/tell", 404),
    ("B-222", "GET /sub/cgi-bin/tell", 200),
    ("B-223", "GET /cgi-bin%2ftell", 200),
    ("B-223", "GET /%63gi-bin/tell/more", 200),
    ("B-223", "GET /nothing/../cgi-bin/missing", 404),
    ("B-224", "GET /./cgi-bin//x/../tell", 200),
    ("B-227", "GET /cgi-bin", 301),
    ("B-227", "GET /cgi-bin/", 403),
    ("B-227", "GET /cgi-bin/folder", 403),
    ("B-227", "GET /cgi-bin/folder/", 403),
    ("B-228", "GET /cgi-bin/folder/tell/a", 200),
    ("B-228", "GET /cgi-bin/folder/missing", 404),
    ("B-229", "GET /cgi-bin/tell?a=1?b=2", 200),
    ("B-229", "GET /cgi-bin/tell?a=/cgi-bin/x/../y", 200),
    ("B-230 B-244", "GET /cgi-bin/tell/a%20b/c", 200),
    ("B-230", "GET /cgi-bin/tell/a/", 200),
    ("B-231", "GET /cgi-bin/missing", 404),
    ("B-231", "GET /cgi-bin/missing/more", 404),
    ("B-231", "GET /cgi-bin/plain", 403),
    ("B-232", "POST /a.txt", 501),
    ("B-232", "POST /", 501),
    ("B-233", "POST /cgi-bin/tell/p", 200),
    ("B-239", "GET /cgi-bin/tell Authorization: Basic dXNlcjpwYXNz", 200),
    ("B-239", "GET /cgi-bin/tell Authorization: Bearer token", 200),
    ("B-239", "GET /cgi-bin/tell Authorization: alone", 200),
    ("B-242", "GET /cgi-bin/tell Referer: http://here/", 200),
    ("B-220", "GET /a.txt", 200),
];

#[test]
fn rows_marked_same_behave_as_python() {
    let help = Command::new("python3").args(["-m", "http.server", "--help"]).output();
    let help =
        help.expect("these tests need python3: install it, as with `apt-get install python3`");
    if !support::text(&help.stdout).contains("--cgi") {
        return; // 3.15 and later
    }
    let root = support::root();
    populate(root.path());
    let python = Server::start(
        Command::new("python3")
            .args(["-u", "-m", "http.server", "0", "--cgi", "--bind", "127.0.0.1", "--directory"])
            .arg(root.path()),
    );
    for runtime in RUNTIMES {
        let doorstep = serve(root.path(), &["--cgi", runtime]);
        for &(rows, request, status) in CASES {
            let expected = facts(&ask(&python, request));
            assert_eq!(expected.0, status, "Python itself: {rows}: {request}: {expected:?}");
            let found = facts(&ask(&doorstep, request));
            assert_eq!(found, expected, "{runtime}: {rows}: {request}");
        }
    }
}

fn ask(server: &Server, request: &str) -> Response {
    let mut words = request.splitn(3, ' ');
    let mut word = || words.next().unwrap_or("");
    let (method, target, field) = (word(), word(), word());
    let mut client = server.client();
    let mut fields = vec!["Connection: close"];
    fields.extend(Some(field).filter(|field| !field.is_empty()));
    if method == "POST" {
        fields.push("Content-Length: 4");
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let head = format!("{method} {target} HTTP/1.1\r\nHost: test\r\n{fields}\r\n");
        client.send(&[head.as_bytes(), b"body"].concat());
        return client.response(false);
    }
    client.request(method, target, &fields)
}

/// The status; where the client is sent, or why it is refused; what the script printed.
fn facts(response: &Response) -> (u16, String, String) {
    let word = match response.status {
        200 => String::new(),
        301 => response.header("Location").unwrap_or_default().to_owned(),
        _ => response.reason.clone(),
    };
    let printed =
        if response.status == 200 { support::text(&response.body) } else { String::new() };
    (response.status, word, printed)
}

fn populate(root: &Path) {
    fs::set_permissions(root, fs::Permissions::from_mode(0o755)).expect("it is ours");
    for (name, mode) in [
        ("cgi-bin/tell", 0o755),
        ("cgi-bin/plain", 0o644),
        ("cgi-bin/folder/tell", 0o755),
        ("htbin/tell", 0o755),
        ("sub/cgi-bin/tell", 0o644),
    ] {
        let (draft, script) = (root.join("draft"), root.join(name));
        let folder = script.parent().expect("it is in one");
        fs::create_dir_all(folder).expect("it can be made");
        fs::write(&draft, TELL).expect("it can be written");
        // By another process: what we write ourselves is open in whatever is started meanwhile, and
        // then too busy to be run.
        assert!(Command::new("cp").arg(draft).arg(&script).status().is_ok_and(|cp| cp.success()));
        fs::set_permissions(&script, fs::Permissions::from_mode(mode)).expect("it is ours");
    }
}
