//! A single file that is served alone, at its own URL.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::runtimes::{Runtime, ShippedRuntime, TestServer, config, with};
use crate::service::{self, State};
use doorstep::blocking::Files;
use doorstep::core::site::Site;

on_every_runtime! {
    fn one_file_is_served_and_nothing_else(runtime: ShippedRuntime) {
        let root = root();
        let mut all = Site::default();
        (all.hidden, all.spa) = (true, Some("other.html".into()));
        for site in [Site::default(), all] {
            let server = start(runtime, &root.path().join("a b.txt"), site);
            let mut client = server.client();
            for target in ["/a%20b.txt", "/%61%20b.txt", "/x/../a%20b.txt", "//a%20b.txt?q"] {
                let response = client.request("GET", target, &["Accept: text/html"]);
                assert_eq!((response.status, &response.body[..]), (200, &b"hello\n"[..]), "{target}");
                assert_eq!(response.header("Content-Type"), Some("text/plain; charset=utf-8"));
            }
            for target in [
                "/other.html", "/.hidden", "/404.html", "/sub", "/sub/", "/sub/a%20b.txt", "/a%20b.txt/",
                "/a%20b.txt/.", "/favicon.ico", "/a%2520b.txt", "/../a", "/A%20b.txt", "/a%20b.txt.gz",
            ] {
                let response = client.request("GET", target, &["Accept: text/html"]);
                assert_eq!(response.status, 404, "{target}");
                let page = String::from_utf8_lossy(&response.body).into_owned();
                assert!(page.contains("File not found"), "{target}: {page}");
            }
            assert_eq!(client.request("GET", "/%00", &[]).status, 400);
        }
    }

    fn the_root_redirects_to_the_file(runtime: ShippedRuntime) {
        let root = root();
        let server = start(runtime, &root.path().join("a b.txt"), Site::default());
        let mut client = server.client();
        for (method, target, location) in [
            ("GET", "/", "/a%20b.txt"), ("HEAD", "/", "/a%20b.txt"), ("GET", "/?x=1", "/a%20b.txt?x=1"),
            ("GET", "//", "/a%20b.txt"), ("GET", "/x/..", "/a%20b.txt"),
        ] {
            let response = client.request(method, target, &[]);
            assert_eq!((response.status, response.header("Location")), (302, Some(location)), "{target}");
        }
        assert_eq!(client.request("POST", "/", &["Content-Length: 0"]).status, 405);
        assert_eq!(client.request("OPTIONS", "/", &[]).status, 204);
        let path = root.path().join("a b.txt");
        let below = start_with_prefix(runtime, &path, "/docs");
        let response = below.client().request("GET", "/docs/", &[]);
        assert_eq!(response.header("Location"), Some("/docs/a%20b.txt"));
        assert_eq!(below.client().request("GET", "/docs/a%20b.txt", &[]).status, 200);
    }

    fn ranges_validators_and_head_are_those_of_any_file(runtime: ShippedRuntime) {
        let root = root();
        let server = start(runtime, &root.path().join("a b.txt"), Site::default());
        let mut client = server.client();
        let head = client.request("HEAD", "/a%20b.txt", &[]);
        assert_eq!((head.status, head.header("Content-Length")), (200, Some("6")));
        let modified = head.header("Last-Modified").expect("files have one").to_owned();
        let since = format!("If-Modified-Since: {modified}");
        assert_eq!(client.request("GET", "/a%20b.txt", &[&since]).status, 304);
        let etag = format!("If-None-Match: {}", head.header("ETag").expect("files have one"));
        assert_eq!(client.request("GET", "/a%20b.txt", &[&etag]).status, 304);
        let range = client.request("GET", "/a%20b.txt", &["Range: bytes=1-2"]);
        assert_eq!((range.status, &range.body[..]), (206, &b"el"[..]));
    }

    fn a_file_that_is_replaced_or_removed_shows_at_the_next_request(runtime: ShippedRuntime) {
        let root = root();
        let path = root.path().join("a b.txt");
        let server = start(runtime, &path, Site::default());
        let mut client = server.client();
        let mut get = || {
            let response = client.request("GET", "/a%20b.txt", &[]);
            (response.status, response.body)
        };
        assert_eq!(get(), (200, b"hello\n".to_vec()));
        fs::write(root.path().join("new"), "replaced").expect("it is writable");
        fs::rename(root.path().join("new"), &path).expect("it is writable");
        assert_eq!(get(), (200, b"replaced".to_vec()));
        fs::remove_file(&path).expect("it is writable");
        assert_eq!(get().0, 404);
        fs::create_dir(&path).expect("it is writable");
        assert_ne!(get().0, 200);
        assert_eq!(server.client().request("GET", "/a%20b.txt/", &[]).status, 404, "no listing");
        fs::remove_dir(&path).expect("it is writable");
        fs::write(&path, "again").expect("it is writable");
        assert_eq!(get(), (200, b"again".to_vec()));
    }

    fn a_link_that_is_named_is_followed_wherever_it_leads(runtime: ShippedRuntime) {
        let (root, other) = (root(), root());
        let link = root.path().join("link.txt");
        symlink(other.path().join("a b.txt"), &link).expect("it is writable");
        let server = start(runtime, &link, Site::default());
        let mut client = server.client();
        assert_eq!(client.request("GET", "/link.txt", &[]).body, b"hello\n");
        fs::write(other.path().join("new"), "other").expect("it is writable");
        symlink(other.path().join("new"), root.path().join("next")).expect("it is writable");
        fs::rename(root.path().join("next"), &link).expect("it is writable");
        assert_eq!(client.request("GET", "/link.txt", &[]).body, b"other");
    }

    fn any_name_has_its_url(runtime: ShippedRuntime) {
        let root = root();
        for (name, target) in [
            (&b".env"[..], "/.env"),
            (b"a\"'#?&;%20.txt", "/a%22%27%23%3F%26%3B%2520.txt"),
            (b"\xff\xfe.bin", "/%FF%FE.bin"),
            (b"new\nline", "/new%0Aline"),
            (b"index.html", "/index.html"),
            ("\u{1f600}".as_bytes(), "/%F0%9F%98%80"),
            (b"a:b", "/a%3Ab"),
            (b"..a", "/..a"),
        ] {
            let path = root.path().join(OsStr::from_bytes(name));
            fs::write(&path, target).expect("it is writable");
            let files = Files::file(&path).expect("it is a file");
            assert_eq!(files.start_path(), target);
            let server = start(runtime, &path, Site::default());
            let response = server.client().request("GET", target, &[]);
            assert_eq!((response.status, &response.body[..]), (200, target.as_bytes()), "{target}");
            let root = server.client().request("GET", "/", &[]);
            assert_eq!(root.header("Location"), Some(target));
        }
    }

    fn precompressed_files_are_sent_in_its_place_if_that_is_asked_for(runtime: ShippedRuntime) {
        let root = root();
        fs::write(root.path().join("a b.txt.gz"), "gzip").expect("it is writable");
        let mut site = Site::default();
        site.precompressed = true;
        let server = start(runtime, &root.path().join("a b.txt"), site);
        let response = server.client().request("GET", "/a%20b.txt", &["Accept-Encoding: gzip"]);
        assert_eq!(response.header("Content-Encoding"), Some("gzip"));
        assert_eq!(server.client().request("GET", "/a%20b.txt.gz", &[]).status, 404);
    }
}

fn start(runtime: Runtime, file: &Path, site: Site) -> TestServer {
    let files = Files::file(file).expect("it is a file").with_site(site);
    let state = State::app();
    let tokio = service::tokio::Service::new(state.clone());
    runtime.start_handler(files.clone(), files, tokio, state, config())
}

fn start_with_prefix(runtime: Runtime, file: &Path, prefix: &str) -> TestServer {
    let files = Files::file(file).expect("it is a file");
    let state = State::app();
    let tokio = service::tokio::Service::new(state.clone());
    let config = with(config(), |config| config.prefix = prefix.into());
    runtime.start_handler(files.clone(), files, tokio, state, config)
}

fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a directory can be made");
    for name in ["a b.txt", "other.html", ".hidden", "404.html"] {
        fs::write(root.path().join(name), "hello\n").expect("it is writable");
    }
    fs::create_dir(root.path().join("sub")).expect("it is writable");
    fs::write(root.path().join("sub/a b.txt"), "").expect("it is writable");
    root
}
