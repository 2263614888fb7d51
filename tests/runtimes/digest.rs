//! Digests of files (RFC 9530): sent on request only, and of the right bytes.

use std::fs::{self, File};
use std::path::Path;

use doorstep::core::site::Site;
use doorstep::driver::files::CacheLimits;
use tempfile::TempDir;

use crate::runtimes::{Runtime, TestServer, with};
use crate::service::State;
use crate::support::client::Response;

const REPR: &str = "Want-Repr-Digest: sha-256=10";
const CONTENT: &str = "Want-Content-Digest: sha-512=10, sha-256=1";

/// Of `hello\n`, its bytes 1 to 3, nothing, and 100,000 times `x`; from `sha256sum`.
const HELLO: &str = "WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM=";
const ELL: &str = "uuqWUAmX/1zWz9Jlkql41rc9SAtK0z0AJJnPAEGsmZY=";
const EMPTY: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
const LARGE: &str = "1p5omIFXgzJyMFqvIfRTyAA0boo2QNtleOJgIVVC5dQ=";

on_every_runtime! {
    fn rfc_9530_a_digest_covers_the_file_or_the_content_sent(runtime: Runtime) {
        let (_root, server) = serve(runtime, Site::default());
        let mut client = server.client();
        let range = "Range: bytes=1-3";
        for _ in 0..2 {
            for (method, target, fields, status, digests) in [
                ("GET", "/hello", &[][..], 200, (None, None)),
                ("GET", "/hello", &[REPR], 200, (Some(HELLO), None)),
                ("GET", "/hello", &[CONTENT], 200, (None, Some(HELLO))),
                ("GET", "/hello", &[REPR, CONTENT], 200, (Some(HELLO), Some(HELLO))),
                ("GET", "/large", &[REPR, CONTENT], 200, (Some(LARGE), Some(LARGE))),
                ("GET", "/empty", &[REPR, CONTENT], 200, (Some(EMPTY), Some(EMPTY))),
                ("GET", "/hello", &[REPR, CONTENT, range], 206, (Some(HELLO), Some(ELL))),
                ("GET", "/hello", &[CONTENT, range], 206, (None, Some(ELL))),
                ("GET", "/hello", &[REPR, CONTENT, "Range: bytes=0-1,4-5"], 206, (Some(HELLO), None)),
                ("HEAD", "/hello", &[REPR, CONTENT], 200, (Some(HELLO), None)),
                ("GET", "/hello", &[REPR, CONTENT, "If-None-Match: *"], 304, (None, None)),
                ("GET", "/hello", &[REPR, CONTENT, "If-Match: \"x\""], 412, (None, None)),
                ("GET", "/hello", &[REPR, CONTENT, "Range: bytes=6-"], 416, (None, None)),
                ("GET", "/missing", &[REPR, CONTENT], 404, (None, None)),
                ("GET", "/", &[REPR, CONTENT], 200, (None, None)),
                ("GET", "/hello", &["Want-Repr-Digest: sha-256=0"], 200, (None, None)),
                ("GET", "/hello", &["Want-Repr-Digest: sha-512=9"], 200, (None, None)),
                ("GET", "/hello", &["Want-Repr-Digest: sha-256"], 200, (None, None)),
            ] {
                let response = client.request(method, target, fields);
                let what = format!("{method} {target} {fields:?}:\n{}", response.head);
                assert_eq!(response.status, status, "{what}");
                assert_eq!((digest(&response, "Repr-Digest"), digest(&response, "Content-Digest")), digests, "{what}");
            }
        }
    }

    fn rfc_9530_a_digest_changes_nothing_else_in_the_response(runtime: Runtime) {
        let (_root, server) = serve(runtime, Site::default());
        let mut client = server.client();
        for (method, target) in [("GET", "/hello"), ("GET", "/large"), ("HEAD", "/hello")] {
            for range in ["Range: bytes=1-3", "Range: bytes=0-1,4-5", "Range: none"] {
                let plain = client.request(method, target, &[range]);
                let digested = client.request(method, target, &[range, REPR, CONTENT]);
                assert_eq!(digested.body, plain.body);
                let others = |response: &Response| -> Vec<String> {
                    let lines = response.head.lines().filter(|line| {
                        // A tag becomes strong in time, and time goes on.
                        !["Repr-Digest", "Content-Digest", "Date", "ETag"].iter().any(|n| line.starts_with(n))
                    });
                    lines.map(Into::into).collect()
                };
                if !range.contains(',') {
                    assert_eq!(others(&digested), others(&plain)); // else the boundary is the tag's
                }
                assert_eq!(digested.header("Content-Length"), plain.header("Content-Length"));
            }
        }
    }

    fn rfc_9530_a_changed_file_has_another_digest(runtime: Runtime) {
        let (root, server) = serve(runtime, Site::default());
        let mut client = server.client();
        assert_eq!(digest(&client.request("GET", "/hello", &[REPR]), "Repr-Digest"), Some(HELLO));
        write(root.path(), "hello", b"");
        assert_eq!(digest(&client.request("GET", "/hello", &[REPR]), "Repr-Digest"), Some(EMPTY));
        write(root.path(), "hello", b"hello\n");
        assert_eq!(digest(&client.request("GET", "/hello", &[REPR]), "Repr-Digest"), Some(HELLO));
    }

    fn rfc_9530_a_precompressed_file_has_its_own_digest(runtime: Runtime) {
        let site = with(Site::default(), |s| s.precompressed = true);
        let (root, server) = serve(runtime, site);
        write(root.path(), "large.gz", b"hello\n");
        let mut client = server.client();
        let coded = client.request("GET", "/large", &["Accept-Encoding: gzip", REPR]);
        assert_eq!(coded.header("Content-Encoding"), Some("gzip"));
        assert_eq!(digest(&coded, "Repr-Digest"), Some(HELLO));
        assert_eq!(digest(&client.request("GET", "/large", &[REPR]), "Repr-Digest"), Some(LARGE));
    }

    fn rfc_9530_a_file_that_is_too_large_has_no_digest(runtime: Runtime) {
        let (root, server) = serve(runtime, Site::default());
        let huge = File::create(root.path().join("huge")).expect("it can be made");
        let largest = CacheLimits::default().max_digest_file_size;
        huge.set_len(largest + 1).expect("it has a hole, and takes no room");
        let response = server.client().request("GET", "/huge", &[REPR, CONTENT, "Range: bytes=0-3"]);
        assert_eq!((response.status, &response.body[..]), (206, &[0; 4][..]));
        assert_eq!((digest(&response, "Repr-Digest"), digest(&response, "Content-Digest")), (None, None));
    }
}

fn serve(runtime: Runtime, site: Site) -> (TempDir, TestServer) {
    let root = tempfile::tempdir().expect("a temporary directory can be made");
    write(root.path(), "hello", b"hello\n");
    write(root.path(), "large", &[b'x'; 100_000]);
    write(root.path(), "empty", b"");
    let server = runtime.start(State::site(root.path(), site));
    (root, server)
}

fn write(root: &Path, name: &str, content: &[u8]) {
    fs::write(root.join(name), content).expect("it can be written");
}

/// What stands between the colons.
fn digest<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    let field = response.header(name)?;
    Some(field.strip_prefix("sha-256=:")?.strip_suffix(':').expect("a byte sequence"))
}
