//! The options for a server behind a reverse proxy, from outside, on both runtimes.
#![cfg(feature = "cli")]

mod support;

use support::{RUNTIMES, Server, doorstep, root, serve, text};

#[test]
fn a_trusted_proxy_reports_the_client_to_the_log() {
    let root = root();
    for runtime in RUNTIMES {
        for (trusted, shown) in
            [("10.0.0.0/8,127.0.0.0/8", "192.0.2.7"), ("10.0.0.0/8", "127.0.0.1")]
        {
            let mut server = serve(root.path(), &[runtime, "--trusted-proxy", trusted]);
            let header = "X-Forwarded-For: 6.6.6.6, 192.0.2.7";
            let response = server.client().request("GET", "/a.txt", &[header, "Connection: close"]);
            assert_eq!(response.body, b"hello\n");
            let log = text(&server.end("TERM").stderr);
            assert!(
                log.lines()
                    .any(|line| line.starts_with(&format!("{shown} - - ["))
                        && line.ends_with(" 200 6")),
                "{log}"
            );
            let is_ignored = log.contains("headers ignored: not from a trusted proxy");
            assert_eq!(is_ignored, shown == "127.0.0.1", "{log}");
        }
    }
}

#[test]
fn the_proxy_protocol_is_required_of_trusted_proxies() {
    let root = root();
    for runtime in RUNTIMES {
        let options = [runtime, "--proxy-protocol", "--trusted-proxy", "127.0.0.1"];
        let mut server = serve(root.path(), &options);
        let mut client = server.client();
        client.send(b"PROXY TCP4 192.0.2.7 198.51.100.1 50123 80\r\n");
        assert_eq!(client.request("GET", "/a.txt", &["Connection: close"]).body, b"hello\n");
        let mut client = server.client();
        client.send(b"GET / HTTP/1.0\r\n\r\n");
        assert_eq!(client.read_to_end_or_reset(), b"");
        let log = text(&server.end("TERM").stderr);
        assert_eq!(log.lines().count(), 2, "{log}");
        assert!(log.lines().any(|line| line.starts_with("192.0.2.7 ")), "{log}");
        let refused = "] connection failed: no PROXY protocol header";
        assert!(
            log.lines().any(|line| line.starts_with("127.0.0.1 ") && line.ends_with(refused)),
            "{log}"
        );
    }
}

#[test]
fn a_prefix_is_taken_off_paths() {
    let root = root();
    for runtime in RUNTIMES {
        let server = serve(root.path(), &[runtime, "--prefix", "/docs/"]);
        assert_eq!(server.get("/docs/a.txt").body, b"hello\n");
        assert_eq!(server.get("/docs").header("Location"), Some("/docs/"));
        assert_eq!(server.get("/a.txt").status, 404);
    }
}

/// The browser, the start-up screen and a person take them from here.
#[test]
fn a_prefix_is_a_part_of_every_url_that_is_shown() {
    let root = root();
    let file = root.path().join("a.txt");
    for runtime in RUNTIMES {
        for (path, end) in [(root.path(), "docs/new/"), (&*file, "docs/new/a.txt")] {
            let mut command = doorstep(&["0", "-b", "127.0.0.1", "-b", "127.0.0.2", runtime]);
            let mut server = Server::start(command.args(["--prefix", "/docs/new"]).arg(path));
            let port = server.port;
            let first = format!("port {port} (http://127.0.0.1:{port}/{end}) ...\n");
            assert!(server.banner.ends_with(&first), "{}", server.banner);
            server.wait_for(&format!("  http://127.0.0.2:{port}/{end}"));
            assert_eq!(server.get(&format!("/{end}")).status, 200);
        }
    }
}

#[test]
fn bad_values_are_usage_errors() {
    for (words, remedy) in [
        (&["--proxy-protocol"][..], "--trusted-proxy"),
        (&["--trusted-proxy", "10.0.0.1/8"], "10.0.0.0/8"),
        (&["--prefix", "docs"], "such as /docs"),
    ] {
        let output = doorstep(words).output().expect("it starts");
        assert_eq!(output.status.code(), Some(2));
        let message = text(&output.stderr);
        assert!(message.contains(remedy) && message.contains("Usage: "), "{message}");
    }
}
