//! A server below a path of its proxy: handlers and files do not know it, and clients see it in every
//! URL.

use doorstep::blocking::Config;

use crate::runtimes::{Runtime, config, with};
use crate::service::State;

on_every_runtime! {
    fn handlers_see_paths_without_the_prefix(runtime: Runtime) {
        let server = runtime.start_with(State::app(), below("/docs/v1"));
        let mut client = server.client();
        for (target, body) in [
            ("/docs/v1/", "GET /\n"),
            ("/docs/v1/a/b?c", "GET /a/b\n"),
            ("//docs/v1//a", "GET /a\n"),
            ("http://test/docs/v1/a", "GET /a\n"),
        ] {
            assert_eq!(client.request("GET", target, &[]).body, body.as_bytes(), "{target}");
        }
        client.send(b"POST /docs/v1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
        assert_eq!(client.response(false).body, b"abc");
        assert_eq!(client.request("OPTIONS", "*", &[]).status, 200);
        let lines = server.state.log(6).into_iter().map(|entry| entry.line);
        assert!(lines.into_iter().any(|line| line == "GET /docs/v1/a/b?c HTTP/1.1"), "as received");
    }

    fn the_prefix_alone_is_redirected_and_the_rest_is_a_404(runtime: Runtime) {
        let server = runtime.start_with(State::app(), below("/docs"));
        let mut client = server.client();
        for (target, location) in [("/docs", "/docs/"), ("/docs?a=b", "/docs/?a=b"), ("//docs", "/docs/")] {
            let response = client.request("GET", target, &[]);
            assert_eq!((response.status, response.header("Location")), (301, Some(location)));
        }
        for target in ["/", "/a", "/docsx", "/Docs/a", "/a/docs/b", "/d%6fcs/a", "/../docs/"] {
            assert_eq!(client.request("GET", target, &[]).status, 404, "{target}");
        }
        client.send(b"POST /other HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
        assert_eq!(client.response(false).status, 404);
        assert_eq!(client.request("HEAD", "/docs", &[]).status, 301);
        assert_eq!(client.request("GET", "/docs/a", &[]).body, b"GET /a\n", "the connection is kept");
    }

    fn b_140_redirects_to_directories_have_the_prefix(runtime: Runtime) {
        let root = tempfile::tempdir().expect("a folder can be made");
        std::fs::create_dir(root.path().join("sub")).expect("it can be made");
        std::fs::write(root.path().join("sub/a b.txt"), "x").expect("it can be written");
        let server = runtime.start_with(State::files(root.path()), below("/docs"));
        let mut client = server.client();
        for (target, location) in [
            ("/docs/sub", "/docs/sub/"),
            ("/docs/sub?a", "/docs/sub/?a"),
            ("/docs//sub", "/docs//sub/"),
            ("/docs/%73ub", "/docs/%73ub/"),
        ] {
            let response = client.request("GET", target, &[]);
            assert_eq!((response.status, response.header("Location")), (301, Some(location)));
        }
        let listing = client.request("GET", "/docs/sub/", &[]).body;
        let listing = String::from_utf8(listing).expect("it is text");
        assert!(listing.contains("href=\"a%20b.txt\""), "links are relative: {listing}");
        assert!(!listing.contains("href=\"/"), "{listing}");
        for _ in 0..3 {
            assert_eq!(client.request("GET", "/docs/sub/a%20b.txt", &[]).body, b"x");
            assert_eq!(client.request("GET", "/sub/a%20b.txt", &[]).status, 404);
        }
        assert_eq!(client.request("GET", "/docs/../sub/a%20b.txt", &[]).body, b"x");
    }

    fn messages_in_the_log_have_the_path_as_received(runtime: Runtime) {
        let root = tempfile::tempdir().expect("a folder can be made");
        let server = runtime.start_with(State::files(root.path()), below("/docs"));
        assert_eq!(server.client().request("GET", "/docs/.git/a", &[]).status, 404);
        let errors = server.state.errors();
        assert!(errors.len() == 1 && errors[0].starts_with("/docs/.git/a: "), "{errors:?}");
    }
}

fn below(prefix: &str) -> Config {
    with(config(), |c| c.prefix = prefix.into())
}
