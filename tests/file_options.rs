//! The options for files and response headers, from outside, on both runtimes.
#![cfg(feature = "cli")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use support::client::Response;
use support::{RUNTIMES, Server, doorstep, root, serve, text};

/// Runs `test` on a server with `options`, once for each runtime.
fn with(root: &Path, options: &[&str], test: impl Fn(&Server)) {
    for runtime in RUNTIMES {
        test(&serve(root, &[&[runtime], options].concat()));
    }
}

fn ask(server: &Server, method: &str, target: &str, fields: &[&str]) -> Response {
    server.client().request(method, target, &[fields, &["Connection: close"]].concat())
}

fn write(root: &Path, name: &str, content: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().expect("it has one")).expect("directories can be made");
    fs::write(path, content).expect("it can be written");
}

#[test]
fn b_131_hidden_files_are_served_and_listed_with_the_option() {
    let root = root();
    write(root.path(), ".profile", "mine\n");
    with(root.path(), &[], |server| {
        assert_eq!(server.get("/.profile").status, 404);
        assert!(!text(&server.get("/").body).contains(".profile"));
    });
    with(root.path(), &["--hidden"], |server| {
        assert_eq!(server.get("/.profile").body, b"mine\n");
        assert!(text(&server.get("/").body).contains(".profile"));
    });
}

#[test]
fn b_130_symbolic_links_are_followed_by_the_rule() {
    let (root, outside) = (root(), root());
    let link = |to: &Path, name: &str| symlink(to, root.path().join(name)).expect("linked");
    link(Path::new("a.txt"), "inside");
    link(&outside.path().join("a.txt"), "outside");
    link(outside.path(), "elsewhere");
    let cases = [
        (&[][..], [200, 404, 404]),
        (&["--symlinks", "beneath"], [200, 404, 404]),
        (&["--symlinks", "follow"], [200, 200, 200]),
        (&["--symlinks", "deny"], [404, 404, 404]),
    ];
    for (options, expected) in cases {
        with(root.path(), options, |server| {
            let listing = text(&server.get("/").body);
            let targets = ["inside", "outside", "elsewhere/a.txt"];
            for (target, status) in targets.into_iter().zip(expected) {
                let response = server.get(&format!("/{target}"));
                assert_eq!(response.status, status, "{options:?} {target}");
                let name = target.split('/').next().expect("there is a first");
                assert_eq!(listing.contains(&format!("href=\"{name}")), status == 200, "{listing}");
            }
            assert_eq!(server.get("/a.txt").status, 200);
        });
    }
}

#[test]
fn b_293_headers_are_added_to_every_response_in_order() {
    let root = root();
    let options = ["-H", "X-One", "1", "--header", "X-Two", "a: b", "-H", "X-One", ""];
    with(root.path(), &options, |server| {
        for target in ["/a.txt", "/", "/missing", "/%00"] {
            let head = server.get(target).head;
            let ours: Vec<_> = head.lines().filter(|line| line.starts_with("X-")).collect();
            assert_eq!(ours, ["X-One: 1", "X-Two: a: b", "X-One:"], "{target}");
        }
    });
    for bad in [["-H", "Bad Name", "1"], ["-H", "Content-Length", "7"], ["-H", "X", "a\nb"]] {
        let output = doorstep(&bad).output().expect("the command starts");
        assert_eq!(output.status.code(), Some(2), "{bad:?}");
        let stderr = text(&output.stderr);
        assert!(stderr.starts_with("error: ") && stderr.contains("Usage: "), "{stderr}");
    }
}

#[test]
fn b_182_cache_control_of_files() {
    let root = root();
    let cache_control = |server: &Server| {
        server.get("/a.txt").header("Cache-Control").map(str::to_owned).unwrap_or_default()
    };
    with(root.path(), &["--cache", "no-cache"], |server| {
        assert_eq!(cache_control(server), "no-cache");
    });
    with(root.path(), &["--cache", "3600"], |server| {
        assert_eq!(cache_control(server), "max-age=3600");
        let tag = server.get("/a.txt").header("ETag").expect("it has one").to_owned();
        let again = ask(server, "GET", "/a.txt", &[&format!("If-None-Match: {tag}")]);
        assert_eq!((again.status, again.header("Cache-Control")), (304, Some("max-age=3600")));
        assert_eq!(server.get("/").header("Cache-Control"), None, "only files");
    });
    with(root.path(), &["-H", "Cache-Control", "immutable"], |server| {
        assert_eq!(server.get("/a.txt").head.matches("Cache-Control").count(), 1);
        assert_eq!(cache_control(server), "immutable");
    });
}

#[test]
fn b_206_208_209_media_types_and_charset_are_settable() {
    let root = root();
    write(root.path(), "README", "read\n");
    write(root.path(), "a.odd", "odd\n");
    write(root.path(), "types", "# ours\ntext/x-odd odd\n");
    let types = root.path().join("types");
    let types = types.to_str().expect("it is text");
    let options = ["--content-type", "text/plain", "--mime-types", types];
    let is = |server: &Server, target: &str, expected: &str| {
        assert_eq!(server.get(target).header("Content-Type"), Some(expected), "{target}");
    };
    with(root.path(), &options, |server| {
        is(server, "/README", "text/plain; charset=utf-8");
        is(server, "/a.odd", "text/x-odd; charset=utf-8");
    });
    with(root.path(), &["--charset", "none"], |server| is(server, "/a.txt", "text/plain"));
    with(root.path(), &["--charset", "iso-8859-1"], |server| {
        is(server, "/a.txt", "text/plain; charset=iso-8859-1");
        is(server, "/", "text/html; charset=utf-8");
    });

    write(root.path(), "types", "text/plain a\ntypes {\n");
    let [fifo, large] = ["fifo", "large"].map(|name| root.path().join(name));
    let made = Command::new("mkfifo").arg(&fifo).status().expect("mkfifo is installed");
    assert!(made.success());
    fs::File::create(&large).and_then(|file| file.set_len(1 << 30)).expect("it can have holes");
    let [fifo, large] = [&fifo, &large].map(|path| path.to_str().expect("it is text"));
    for (path, message) in [
        (types, "line 2"),
        ("/nowhere", "cannot read"),
        ("/dev/zero", "not a regular file"),
        (fifo, "not a regular file"),
        (large, "too large"),
    ] {
        let output = doorstep(&["0", "--mime-types", path]).output().expect("the command starts");
        assert_eq!(output.status.code(), Some(2));
        let stderr = text(&output.stderr);
        assert!(stderr.starts_with("doorstep: ") && stderr.contains(message), "{stderr}");
    }
}

#[test]
fn b_145_147_index_pages_and_no_listing() {
    let root = root();
    write(root.path(), "both/index.html", "usual\n");
    write(root.path(), "both/start.html", "start\n");
    write(root.path(), "none/a.txt", "hello\n");
    with(root.path(), &["--index", "start.html", "--index", "home.html"], |server| {
        assert_eq!(server.get("/both/").body, b"start\n");
        assert_eq!(server.get("/none/").status, 200);
    });
    with(root.path(), &["--no-listing"], |server| {
        assert_eq!(server.get("/both/").body, b"usual\n");
        let response = server.get("/none/");
        assert_eq!((response.status, &*response.reason), (404, "File not found"));
        assert_eq!(server.get("/none/a.txt").body, b"hello\n");
    });
}

#[test]
fn archives_are_offered_and_made_unless_they_are_turned_off() {
    let root = root();
    let page = |server: &Server| text(&server.get("/").body);
    with(root.path(), &[], |server| {
        assert!(page(server).contains("name=\"archive\" value=\"zip\""));
        let archive = server.get("/?archive=zip");
        assert_eq!(archive.header("Content-Type"), Some("application/zip"));
        assert!(archive.body.starts_with(b"PK\x03\x04"));
    });
    with(root.path(), &["--no-archive"], |server| {
        assert!(!page(server).contains("name=\"archive\""));
        assert_eq!(text(&server.get("/?archive=zip").body), page(server));
    });
    let headers = ["-H", "Cache-Control", "private", "-H", "Content-Disposition", "inline"];
    with(root.path(), &headers, |server| {
        let head = server.get("/?archive=tar").head;
        assert_eq!(head.matches("Cache-Control").count(), 1, "{head}");
        assert_eq!(head.matches("Content-Disposition").count(), 1, "{head}");
    });
}

#[test]
fn b_182_precompressed_files_are_sent_with_the_option() {
    let root = root();
    write(root.path(), "a.txt.gz", "compressed");
    let accepts = ["Accept-Encoding: gzip"];
    with(root.path(), &[], |server| {
        assert_eq!(ask(server, "GET", "/a.txt", &accepts).body, b"hello\n");
    });
    with(root.path(), &["--precompressed"], |server| {
        let response = ask(server, "GET", "/a.txt", &accepts);
        assert_eq!(response.body, b"compressed");
        assert_eq!(response.header("Content-Encoding"), Some("gzip"));
        assert_eq!(response.header("Vary"), Some("Accept-Encoding"));
    });
}

#[test]
fn b_170_293_cors_headers_and_preflight_responses() {
    let root = root();
    let asks = ["Origin: http://a.example", "Access-Control-Request-Method: GET"];
    let origin = "Access-Control-Allow-Origin";
    let methods = "Access-Control-Allow-Methods";
    with(root.path(), &[], |server| {
        assert_eq!(server.get("/a.txt").header(origin), None);
        assert_eq!(ask(server, "OPTIONS", "/a.txt", &asks).header(methods), None);
    });
    with(root.path(), &["--cors"], |server| {
        for target in ["/a.txt", "/", "/missing"] {
            assert_eq!(server.get(target).header(origin), Some("*"), "{target}");
        }
        let preflight = ask(server, "OPTIONS", "/a.txt", &asks);
        assert_eq!((preflight.status, preflight.header(origin)), (204, Some("*")));
        assert_eq!(preflight.header(methods), Some("GET, HEAD"));
        assert_eq!(preflight.header("Access-Control-Allow-Headers"), Some("*, Authorization"));
        assert_eq!(ask(server, "OPTIONS", "/a.txt", &asks[..1]).header(methods), None);
    });
}

#[test]
fn b_293_cross_origin_isolation_is_three_headers() {
    let root = root();
    with(root.path(), &["--isolate"], |server| {
        for target in ["/a.txt", "/missing"] {
            let response = server.get(target);
            assert_eq!(response.header("Cross-Origin-Opener-Policy"), Some("same-origin"));
            assert_eq!(response.header("Cross-Origin-Embedder-Policy"), Some("require-corp"));
            assert_eq!(response.header("Cross-Origin-Resource-Policy"), Some("same-origin"));
        }
    });
}

#[test]
fn b_171_the_page_of_a_single_page_application_replaces_404s() {
    let root = root();
    write(root.path(), "app.html", "app\n");
    let html = ["Accept: text/html,application/xhtml+xml,*/*;q=0.8"];
    with(root.path(), &["--spa", "app.html"], |server| {
        let page = ask(server, "GET", "/users/7?tab=1", &html);
        assert_eq!((page.status, &*page.body), (200, &b"app\n"[..]));
        assert_eq!(page.header("Content-Type"), Some("text/html; charset=utf-8"));
        assert_eq!(page.header("Vary"), Some("Accept"));
        assert_eq!(ask(server, "HEAD", "/users/7", &html).status, 200);
        assert_eq!(ask(server, "GET", "/a.txt", &html).body, b"hello\n");
        assert_eq!(ask(server, "GET", "/missing.js", &html).status, 404);
        assert_eq!(ask(server, "GET", "/users/7", &["Accept: */*"]).status, 404);
        assert_eq!(ask(server, "POST", "/users/7", &html).status, 405);
    });
}

#[test]
fn b_063_the_server_header_is_settable() {
    let root = root();
    with(root.path(), &["--server-header", "front/1 (a)"], |server| {
        assert_eq!(server.get("/a.txt").header("Server"), Some("front/1 (a)"));
    });
    with(root.path(), &["--server-header", ""], |server| {
        assert_eq!(server.get("/a.txt").header("Server"), None);
    });
}

#[test]
fn b_171_the_custom_404_page() {
    let root = root();
    write(root.path(), "404.html", "lost\n");
    let html = ["Accept: text/html"];
    for runtime in RUNTIMES {
        let mut server = serve(root.path(), &[runtime]);
        let page = ask(&server, "GET", "/missing", &html);
        assert_eq!((page.status, &*page.reason), (404, "File not found"));
        assert_eq!(page.body, b"lost\n");
        assert_eq!(page.header("Content-Type"), Some("text/html; charset=utf-8"));
        assert_eq!((page.header("ETag"), page.header("Cache-Control")), (None, None));
        assert_eq!(ask(&server, "HEAD", "/missing", &html).header("Content-Length"), Some("5"));
        assert_ne!(ask(&server, "GET", "/missing", &[]).body, b"lost\n");
        assert_eq!(ask(&server, "GET", "/404.html", &html).status, 200);
        let log = text(&server.end("TERM").stderr);
        assert_eq!(log.matches("code 404, message File not found").count(), 3, "{log}");
    }
}
