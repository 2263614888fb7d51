//! Uploads by a form: names, several files, what browsers and programs get, and pages of other sites.

use std::fs;

use doorstep::driver::upload::UploadSettings;
use tempfile::TempDir;

use super::upload::{content, names, root, settings, text};
use crate::runtimes::{Runtime, TestServer, config, with};
use crate::service::State;
use crate::support::client::{Client, Response};

const BROWSER: &str = "Accept: text/html,*/*;q=0.8\r\n";

on_every_runtime! {
    fn every_file_is_stored_under_its_clean_name(runtime: Runtime) {
        let (root, server) = start(runtime, |_| {});
        let files = [
            ("one.txt", &b"one"[..]), ("C:\\dir\\two.txt", b"2"), ("../../three", b""),
            (".bashrc", b"\r\n--x\r\n"), ("t\u{fc}r \u{202e}%22.txt", b"5"),
        ];
        let response = post(&mut server.client(), "/dir/", BROWSER, &form(&files));
        assert_eq!((response.status, response.header("Location")), (303, Some("/dir/")), "{}", text(&response));
        let stored = names(&root.path().join("dir"));
        assert_eq!(stored, ["bashrc", "one.txt", "three", "two.txt", "t\u{fc}r \".txt"]);
        assert_eq!(content(&root, "dir/bashrc"), b"\r\n--x\r\n");
        assert_eq!(content(&root, "dir/three"), b"");
        assert!(server.state.errors().is_empty());
        let listing = text(&server.client().request("GET", "/dir/", &[]));
        assert!(listing.contains(">one.txt<") && listing.contains("<form method=\"post\""));
    }

    fn programs_get_lines_or_json(runtime: Runtime) {
        let (root, server) = start(runtime, |_| {});
        let response = post(&mut server.client(), "/", "Accept: */*\r\n", &form(&[("x", b"abc"), ("y", b"")]));
        let expected = "stored x (3 bytes)\nstored y (0 bytes)\n";
        assert_eq!((response.status, text(&response)), (201, expected.into()));
        let again = [("x", &b"other"[..]), ("z", b"z"), ("..", b"")];
        let response = post(&mut server.client(), "/", "Accept: */*\r\n", &form(&again));
        let exists = "There is a file of this name already, and it is not replaced.";
        let expected = format!("not stored x: {exists}\nstored z (1 bytes)\nnot stored ..: A file needs a name.\n");
        assert_eq!((response.status, text(&response)), (409, expected));
        let response = post(&mut server.client(), "/", "Accept: application/json\r\n", &form(&[("x", b""), ("w", b"w")]));
        let expected = format!(
            "{{\"stored\":[{{\"name\":\"w\",\"href\":\"w\",\"size\":1}}],\
             \"refused\":[{{\"name\":\"x\",\"status\":409,\"reason\":\"{exists}\"}}]}}\n"
        );
        assert_eq!((response.status, text(&response)), (409, expected));
        let response = post(&mut server.client(), "/", BROWSER, &form(&[("x", b""), ("v", b"v")]));
        let lists = format!("<li><bdi>x</bdi>: {exists}\n</ul>\n<h2>Stored</h2>");
        assert!(response.status == 409 && text(&response).contains(&lists), "{}", text(&response));
        assert!(text(&response).contains("<li><bdi>v</bdi> (1 bytes)\n</ul>"), "{}", text(&response));
        assert_eq!(content(&root, "x"), b"abc");
        assert_eq!(names(root.path()), ["a.txt", "dir", "v", "w", "x", "y", "z"]);
        let line = |name: &str, why: &str| format!("/: {name}: not stored: {why}");
        let expected = [line("x", exists), line("..", "A file needs a name."), line("x", exists), line("x", exists)];
        assert_eq!(server.state.errors(), expected);
    }

    fn a_browser_comes_back_to_the_listing_that_it_has_seen(runtime: Runtime) {
        let root = root();
        let state = State::uploads(root.path(), settings(), false);
        let server = runtime.start_with(state, with(config(), |c| c.prefix = "/base".into()));
        let page = text(&server.client().request("GET", "/base/dir/?filter=%22x&x=1&sort=size", &[]));
        let query = "?sort=size&order=asc&filter=%22x";
        let action = format!("action=\"./{}\"", query.replace('&', "&amp;"));
        assert!(page.contains(&action), "{page}");
        let target = format!("/base/dir/{query}");
        let response = post(&mut server.client(), &target, BROWSER, &form(&[("x", b"1")]));
        assert_eq!((response.status, response.header("Location")), (303, Some(&*target)));
        let link = format!("<a href=\"./{}\">Back to the listing</a>", query.replace('&', "&amp;"));
        for (headers, files, status) in [
            ("", &[("x", &b"2"[..])][..], 409),
            ("", &[("", b"")], 400),
            ("Origin: http://evil.example\r\n", &[("y", b"1")], 403),
        ] {
            let response = post(&mut server.client(), &target, &format!("{BROWSER}{headers}"), &form(files));
            assert!(response.status == status && text(&response).contains(&link), "{}", text(&response));
        }
        let evil = post(&mut server.client(), "/base/dir/?evil=%0d%0ax:1&sort=\"", BROWSER, &form(&[("z", b"1")]));
        assert_eq!(evil.header("Location"), Some("/base/dir/"));
    }

    fn a_file_of_a_form_is_replaced_if_that_is_allowed(runtime: Runtime) {
        let (root, server) = start(runtime, |s| s.overwrite = true);
        let response = post(&mut server.client(), "/", "", &form(&[("a.txt", b"new"), ("dir", b"x")]));
        assert_eq!(response.status, 409);
        assert!(text(&response).contains("not stored dir: There is a directory of this name"));
        assert_eq!(content(&root, "a.txt"), b"new");
    }

    fn a_form_of_another_site_is_refused(runtime: Runtime) {
        let (root, server) = start(runtime, |_| {});
        for (headers, status) in [
            ("Origin: http://evil.example\r\n", 403),
            ("Origin: null\r\n", 403),
            ("Sec-Fetch-Site: cross-site\r\n", 403),
            ("Sec-Fetch-Site: same-site\r\nOrigin: http://test\r\n", 403),
            ("Origin: http://test\r\n", 201),
            ("Sec-Fetch-Site: same-origin\r\nOrigin: http://test\r\n", 201),
        ] {
            let name = format!("x{}", names(root.path()).len());
            let response = post(&mut server.client(), "/", headers, &form(&[(&name, b"x")]));
            assert_eq!(response.status, status, "{headers}");
            assert_eq!(root.path().join(&name).exists(), status == 201, "{headers}");
        }
    }

    fn what_is_not_such_a_form_is_refused(runtime: Runtime) {
        let (root, server) = start(runtime, |s| s.max_form_parts = 2);
        for (content_type, body, status, sentence) in [
            ("text/plain", "x", 415, "is not a form with files"),
            ("application/x-www-form-urlencoded", "x", 415, "is not a form with files"),
            ("multipart/form-data", "x", 400, "has no boundary"),
            ("multipart/form-data; boundary=b", "x", 400, "ends before its last boundary"),
            ("multipart/form-data; boundary=b", "--b--\r\n", 400, "No file was chosen."),
            ("multipart/form-data; boundary=b", "--b\r\nx\r\n\r\n\r\n--b--\r\n", 400, "are malformed"),
        ] {
            let body = body.as_bytes().to_vec();
            let response = send(&mut server.client(), "/", "", content_type, &body);
            assert_eq!(response.status, status, "{content_type} {sentence}");
            assert_eq!(response.header("Accept-Encoding"), None, "it is not about a coding");
            assert!(text(&response).contains(sentence), "{}", text(&response));
        }
        for accept in ["", "Accept: text/html\r\n", "Accept: application/json\r\n"] {
            let headers = format!("{accept}Content-Encoding: gzip\r\n");
            let coded = post(&mut server.client(), "/", &headers, &form(&[("x", b"")]));
            assert_eq!((coded.status, coded.header("Accept-Encoding")), (415, Some("identity")));
        }
        let response = post(&mut server.client(), "/", "", &form(&[("", b"")]));
        assert_eq!((response.status, text(&response)), (400, "No file was chosen.\n".into()));
        let response = post(&mut server.client(), "/", "", &form(&[("1", b""), ("2", b""), ("3", b"")]));
        let expected = "stored 1 (0 bytes)\nstored 2 (0 bytes)\nThe form cannot be read: the form has too many parts.\n";
        assert_eq!((response.status, text(&response)), (413, expected.into()));
        assert_eq!(names(root.path()), ["1", "2", "a.txt", "dir"]);
        assert_eq!(server.state.errors().len(), 9, "{:#?}", server.state.errors());
    }

    fn of_a_form_that_breaks_off_complete_files_are_kept(runtime: Runtime) {
        let (root, server) = start(runtime, |s| s.buffer = 16 << 10);
        let large = vec![b'x'; 100_000];
        let body = form(&[("one", b"1"), ("two", &large)]);
        let mut client = server.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes());
        client.send(&body[..50_000]);
        client.shutdown_write();
        assert_eq!(client.response(false).status, 400);
        assert_eq!(names(root.path()), ["a.txt", "dir", "one"]);
        let errors = server.state.errors();
        assert!(errors.len() == 1 && errors[0].starts_with("/: two: not stored: the upload broke off: "), "{errors:?}");
    }

    fn of_a_form_that_breaks_off_each_file_that_was_not_stored_is_named(runtime: Runtime) {
        let (root, server) = start(runtime, |_| {});
        let body = form(&[("a.txt", b"exists"), ("one", b"1"), ("two", b"22")]);
        let in_two = body.windows(2).position(|bytes| bytes == b"22").expect("it is there") + 1;
        let mut client = server.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes());
        client.send(&body[..in_two]);
        client.shutdown_write();
        assert_eq!(client.response(false).status, 400);
        assert_eq!(names(root.path()), ["a.txt", "dir", "one"]);
        let errors = server.state.errors();
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].starts_with("/: a.txt: not stored: There is a file of this name"), "{errors:?}");
        assert!(errors[1].starts_with("/: two: not stored: the upload broke off: "), "{errors:?}");
    }

    fn a_large_form_in_small_pieces(runtime: Runtime) {
        let (root, server) = start(runtime, |s| s.buffer = 0); // the least
        let large: Vec<u8> = (0..400_000_u32).flat_map(|n| (n ^ n >> 7).to_le_bytes()).collect();
        let body = form(&[("one", &large), ("two", &large[..70_001])]);
        let mut client = server.client();
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n");
        for piece in body.chunks(3_333) {
            client.send(&[format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
        }
        client.send(b"0\r\n\r\n");
        assert_eq!(client.response(false).status, 201);
        assert!(content(&root, "one") == large && content(&root, "two") == large[..70_001]);
    }

    fn the_form_is_shown_where_files_can_be_stored(runtime: Runtime) {
        let (root, server) = start(runtime, |s| s.directory = b"dir".to_vec());
        fs::create_dir(root.path().join("dir/sub")).expect("it can be made");
        let shows = |target: &str| text(&server.client().request("GET", target, &[])).contains("type=\"file\"");
        assert!(shows("/dir/") && shows("/dir/sub/") && !shows("/"));
        let json = server.client().request("GET", "/dir/", &["Accept: application/json"]);
        assert!(!text(&json).contains("form"));
        assert_eq!(post(&mut server.client(), "/", "", &form(&[("x", b"")])).status, 405);
    }

    fn beside_scripts_directories_take_forms(runtime: Runtime) {
        let root = root();
        fs::create_dir(root.path().join("cgi-bin")).expect("it can be made");
        let server = runtime.start(State::uploads(root.path(), settings(), true));
        assert_eq!(post(&mut server.client(), "/dir/", "", &form(&[("x", b"x")])).status, 201);
        let refused = post(&mut server.client(), "/cgi-bin/", "", &form(&[("x", b"x")]));
        assert!(refused.status >= 400, "{}", refused.head);
        assert_eq!(names(&root.path().join("cgi-bin")), [""; 0]);
        assert_eq!(content(&root, "dir/x"), b"x");
    }
}

fn start(runtime: Runtime, change: impl FnOnce(&mut UploadSettings)) -> (TempDir, TestServer) {
    let root = root();
    let server = runtime.start(State::uploads(root.path(), with(settings(), change), false));
    (root, server)
}

/// A form with these files, as browsers send it, and a field that is no file.
fn form(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = b"--b\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nx\r\n".to_vec();
    if files.len() > 1 {
        body.clear();
    }
    for (name, content) in files {
        let head = "Content-Type: application/octet-stream\r\n\r\n";
        body.extend(
            format!("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n{head}")
                .bytes(),
        );
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--b--\r\n");
    body
}

fn post(client: &mut Client, target: &str, headers: &str, body: &[u8]) -> Response {
    send(client, target, headers, "multipart/form-data; boundary=b", body)
}

fn send(
    client: &mut Client,
    target: &str,
    headers: &str,
    content_type: &str,
    body: &[u8],
) -> Response {
    let length = body.len();
    client.send(
        format!(
            "POST {target} HTTP/1.1\r\nHost: test\r\n{headers}Content-Type: {content_type}\r\n\
             Content-Length: {length}\r\n\r\n"
        )
        .as_bytes(),
    );
    client.send(body);
    client.response(false)
}
