//! Uploads by PUT: what is stored, what is refused and when, and that nothing is left of what fails.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use doorstep::core::site::Site;
use doorstep::driver::upload::UploadSettings;
use tempfile::TempDir;

use crate::runtimes::{Runtime, TestServer, config, eventually, with};
use crate::service::State;
use crate::support::client::{Client, Response};
use crate::support::settle;

on_every_runtime! {
    fn a_new_file_is_201_and_an_existing_one_is_kept(runtime: Runtime) {
        let (root, server) = start(runtime, |_| {});
        let mut client = server.client();
        let created = put(&mut client, "/dir/n%20%C3%BC.txt", "", b"hello");
        assert_eq!(created.status, 201, "{}", created.head);
        assert_eq!(created.header("Location"), Some("/dir/n%20%C3%BC.txt"));
        assert_eq!(created.body, b"stored /dir/n%20%C3%BC.txt (5 bytes)\n");
        let get = client.request("GET", "/dir/n%20%C3%BC.txt", &[]);
        assert_eq!((get.status, &get.body[..]), (200, &b"hello"[..]));
        let opaque = |tag: Option<&str>| tag.map(|tag| tag.trim_start_matches("W/").to_owned());
        assert_eq!(opaque(created.header("ETag")), opaque(get.header("ETag")));

        let refused = put(&mut client, "/a.txt", "", b"other");
        let sentence = "There is a file of this name already, and it is not replaced.\n";
        assert_eq!((refused.status, text(&refused)), (409, sentence.into()));
        assert_eq!(content(&root, "a.txt"), b"old");
        let page = put(&mut client, "/a.txt", "Accept: text/html\r\n", b"other");
        assert!(page.status == 409 && text(&page).contains("<p>There is a file of this name"));
        let line = format!("/a.txt: not stored: {}", sentence.trim_end());
        assert_eq!(server.state.errors(), [line.clone(), line]);
        assert_eq!(put(&mut client, "/empty", "", b"").status, 201);
        assert_eq!(content(&root, "empty"), b"");
        assert_eq!(names(root.path()), ["a.txt", "dir", "empty"]);
        assert_eq!(names(&root.path().join("dir")), ["n ü.txt"]);
    }

    fn a_body_of_any_size_and_framing_is_stored(runtime: Runtime) {
        let (root, server) = start(runtime, |s| s.buffer = 16 << 10);
        let large: Vec<u8> = (0..300_007_u32).flat_map(u32::to_le_bytes).collect();
        for (name, body) in [("one", &b"x"[..]), ("block", &large[..16 << 10]), ("large", &large)] {
            let mut client = server.client();
            assert_eq!(put(&mut client, &format!("/{name}"), "", body).status, 201);
            assert!(content(&root, name) == body);
            let head = format!("PUT /{name}.chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            client.send(head.as_bytes());
            for chunk in body.chunks(10_007) {
                client.send(format!("{:x}\r\n", chunk.len()).as_bytes());
                client.send(chunk);
                client.send(b"\r\n");
            }
            client.send(b"0\r\n\r\n");
            assert_eq!(client.response(false).status, 201);
            assert!(content(&root, &format!("{name}.chunked")) == body);
        }
    }

    fn a_file_is_replaced_if_that_is_allowed_and_the_next_request_gets_it(runtime: Runtime) {
        let (root, server) = start(runtime, |s| s.overwrite = true);
        settle();
        let mut client = server.client();
        for _ in 0..3 {
            assert_eq!(client.request("GET", "/a.txt", &[]).body, b"old", "and it is cached");
        }
        let tag = client.request("GET", "/a.txt", &[]).header("ETag").expect("a tag").to_owned();
        let stale = put(&mut client, "/a.txt", "If-Match: \"stale\"\r\n", b"no");
        assert_eq!((stale.status, &content(&root, "a.txt")[..]), (412, &b"old"[..]));
        let replaced = put(&mut client, "/a.txt", &format!("If-Match: {tag}\r\n"), b"new");
        assert_eq!((replaced.status, replaced.header("Location")), (204, None));
        assert_eq!(client.request("GET", "/a.txt", &[]).body, b"new");
        assert_eq!(put(&mut client, "/a.txt", &format!("If-Match: {tag}\r\n"), b"no").status, 412);
        assert_eq!(put(&mut client, "/a.txt", "", b"newer").status, 204);
        assert_eq!(client.request("GET", "/a.txt", &[]).body, b"newer");
        assert_eq!(names(root.path()), ["a.txt", "dir"]);
    }

    fn rfc_9110_13_preconditions(runtime: Runtime) {
        let (root, server) = start(runtime, |_| {});
        let mut client = server.client();
        for (target, condition, status) in [
            ("/a.txt", "If-None-Match: *", 412),
            ("/a.txt", "If-Match: *", 409), // it holds, and files are not replaced
            ("/a.txt", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT", 412),
            ("/new", "If-Match: *", 412),
            ("/new", "If-Match: \"a\"", 412),
            ("/new", "If-None-Match: *", 201),
            ("/new", "If-None-Match: *", 412),
            ("/newer", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT", 201),
        ] {
            let response = put(&mut client, target, &format!("{condition}\r\n"), b"x");
            assert_eq!(response.status, status, "{target} {condition}");
        }
        assert_eq!(content(&root, "a.txt"), b"old");
    }

    fn what_is_refused_is_refused_before_the_body(runtime: Runtime) {
        let (root, server) = start(runtime, |s| s.directory = b"dir".to_vec());
        fs::create_dir(root.path().join("dir/sub")).expect("it can be made");
        fs::create_dir(root.path().join("Dir")).expect("it can be made");
        symlink("sub", root.path().join("dir/link")).expect("it can be made");
        symlink("../a.txt", root.path().join("dir/file")).expect("it can be made");
        symlink("/tmp", root.path().join("dir/out")).expect("it can be made");
        let fifo = Command::new("mkfifo").arg(root.path().join("dir/fifo")).status();
        assert!(fifo.expect("mkfifo is installed").success());
        let long = format!("/dir/{}", "x".repeat(256));
        let cases = [
            ("/x", "", 405),
            ("/../x", "", 405),
            ("/dirx", "", 405),
            ("/Dir/x", "", 405),
            ("/dir/", "", 405),
            ("/dir/sub/", "", 405),
            ("/dir/../x", "", 405),
            ("/dir/sub", "", 409),
            ("/dir/fifo", "", 409),
            ("/dir/file", "", 403),
            ("/dir/link/x", "", 403),
            ("/dir/out/x", "", 403),
            ("/dir/missing/x", "", 404),
            ("/dir/.x", "", 403),
            ("/dir/.hidden/x", "", 403),
            ("/dir/.well-known/x", "", 403),
            ("/dir/a%0ab", "", 400),
            ("/dir/a%5cb", "", 400),
            ("/dir/%FF", "", 400),
            ("/dir/%E2%80%AEa", "", 400),
            ("/dir/a%00b", "", 400),
            ("/a%00b", "", 400),
            ("/dir/..%2fdir/x", "", 400),
            ("/dir/sub/../x", "", 400),
            ("/dir/./x", "", 400),
            ("/dir//x", "", 400),
            ("/dir/sub%2fx", "", 400),
            (&long, "", 400),
            ("/dir/x", "Content-Encoding: gzip\r\n", 415),
            ("/dir/x", "Origin: http://evil.example\r\n", 403),
            ("/dir/x", "Sec-Fetch-Site: cross-site\r\n", 403),
            ("/dir/x", "Content-Range: bytes 0-3/10\r\n", 400),
            ("/dir/x", "Content-Range: bytes 5-9/10\r\n", 409),
        ];
        for (n, (target, headers, status)) in cases.into_iter().enumerate() {
            let mut client = server.client();
            let head = format!(
                "PUT {target} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"
            );
            client.send(head.as_bytes());
            let response = client.response(false);
            assert_eq!(response.status, status, "{target} {headers}");
            let coding = (status == 415).then_some("identity");
            assert_eq!(response.header("Accept-Encoding"), coding, "{target} {headers}");
            assert_eq!(server.state.log(n + 1)[n].status, status);
        }
        let mut client = server.client();
        assert_eq!(client.request("PUT", "/dir/x", &[]).status, 411);
        let errors = server.state.errors();
        assert_eq!(errors.len(), cases.len() + 1, "{errors:#?}");
        assert!(errors.iter().all(|error| error.contains(": not stored: ")), "{errors:#?}");
        assert_eq!(names(&root.path().join("dir")), ["fifo", "file", "link", "out", "sub"]);
        assert_eq!(names(root.path()), ["Dir", "a.txt", "dir"]);
        assert_eq!(content(&root, "a.txt"), b"old");
    }

    fn the_methods_that_are_allowed_are_listed(runtime: Runtime) {
        let (_root, server) = start(runtime, |s| s.directory = b"dir".to_vec());
        let mut client = server.client();
        let (everywhere, file) = ("GET, HEAD, OPTIONS", "GET, HEAD, PUT, OPTIONS");
        for (method, target, status, allow) in [
            ("OPTIONS", "/a.txt", 204, everywhere),
            ("OPTIONS", "/dir/x", 204, file),
            ("OPTIONS", "/dir/", 204, "GET, HEAD, POST, OPTIONS"),
            ("OPTIONS", "/dir/.x", 204, everywhere),
            ("OPTIONS", "*", 204, everywhere),
            ("PUT", "/a.txt", 405, everywhere),
            ("POST", "/", 405, everywhere),
            ("POST", "/dir", 405, file),
            ("PUT", "/dir/", 405, "GET, HEAD, POST, OPTIONS"),
            ("DELETE", "/dir/x", 405, file),
            ("DELETE", "/a.txt", 405, everywhere),
        ] {
            let response = client.request(method, target, &[]);
            let found = (response.status, response.header("Allow"));
            assert_eq!(found, (status, Some(allow)), "{method} {target}");
        }
        for (accept, media_type) in [("*/*", "text/plain; charset=utf-8"), ("text/html", "text/html;charset=utf-8")] {
            for (method, target) in [("POST", "/dir"), ("PUT", "/dir/"), ("PATCH", "/dir/x")] {
                let response = client.request(method, target, &[&format!("Accept: {accept}")]);
                assert_eq!((response.status, response.header("Content-Type")), (405, Some(media_type)), "{target}");
            }
        }
        let sentence = "This is the address of a directory: add the name of the file.\n";
        assert_eq!(client.request("PUT", "/dir/", &[]).body, sentence.as_bytes());
        let preflight = client.request("OPTIONS", "/dir/x", &["Origin: http://b", "Access-Control-Request-Method: PUT"]);
        assert_eq!(preflight.header("Allow"), Some(everywhere));
        let (_root, server) = serve(runtime, None, |_| {});
        assert_eq!(server.client().request("PUT", "/x", &[]).header("Allow"), Some(everywhere));
    }

    fn a_program_gets_a_sentence_and_a_browser_a_page(runtime: Runtime) {
        let (_root, server) = start(runtime, |s| s.directory = b"dir".to_vec());
        for (method, target, status, sentence) in [
            ("PUT", "/a.txt", 405, "Files are stored in /dir/ and below it, and nowhere else."),
            ("POST", "/", 405, "Files are stored in /dir/ and below it, and nowhere else."),
            ("PUT", "/dir/", 405, "This is the address of a directory: add the name of the file."),
            ("POST", "/dir/x", 405, "Forms are sent to the address of a directory, which ends in a slash."),
            ("DELETE", "/dir/x", 405, "Files are stored by PUT or by a form, and neither changed nor deleted."),
            ("PUT", "/dir/a%00b", 400, "The name has control or format characters."),
            ("PUT", "/dir/../dir/x", 400, "The path has an empty name, a dot segment or an encoded slash: write it as it is to be."),
            ("PUT", "/dir/missing/x", 404, "There is no such directory, and uploads make none."),
        ] {
            for (accept, is_page) in [("Accept: */*", false), ("Accept: text/html,*/*;q=0.8", true)] {
                let mut client = server.client();
                let head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{accept}\r\nContent-Length: 1\r\n\r\nx");
                client.send(head.as_bytes());
                let response = client.response(false);
                assert_eq!(response.status, status, "{method} {target}");
                let expected = if is_page { format!("<p>{sentence}</p>") } else { format!("{sentence}\n") };
                assert!(text(&response).contains(&expected), "{method} {target}: {}", text(&response));
                assert_eq!(text(&response).starts_with("<!DOCTYPE"), is_page, "{method} {target}");
            }
        }
        let line = "/a.txt: not stored: Files are stored in /dir/ and below it, and nowhere else.";
        assert_eq!(server.state.errors()[..2], [line, line]);
        assert_eq!(server.state.errors().len(), 14, "{:#?}", server.state.errors());
    }

    fn an_upload_that_breaks_off_leaves_nothing_and_can_be_continued(runtime: Runtime) {
        let (root, server) = start(runtime, |s| s.buffer = 12 << 10);
        let body: Vec<u8> = (0..30_000_u32).map(|n| n as u8).collect();
        for (kept, expected) in [(7, 7), (20_000, 20_000)] {
            let mut client = server.client();
            client.send(b"PUT /big HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n");
            client.send(&body[..kept]);
            client.shutdown_write();
            assert_eq!(client.response(false).status, 400);
            assert_eq!(names(root.path()), ["a.txt", "dir"]);
            let mut client = server.client();
            let head = client.request("HEAD", "/big", &[]);
            let offset = expected.to_string();
            assert_eq!((head.status, head.header("Upload-Offset")), (404, Some(&*offset)));
            let options = client.request("OPTIONS", "/big", &[]);
            assert_eq!(options.header("Upload-Offset"), Some(&*offset));
            assert_eq!(client.request("HEAD", "/bigger", &[]).header("Upload-Offset"), None);
        }
        let line = "/big: not stored: the upload broke off: ";
        let errors = server.state.errors();
        assert!(errors.len() == 2 && errors.iter().all(|error| error.starts_with(line)), "{errors:?}");
        assert!(errors[1].ends_with("; 20000 bytes are kept, to be continued"), "{errors:?}");

        let rest = |first: usize, total: usize| {
            let last = total - 1;
            let mut client = server.client();
            let rest = body.get(first..total).unwrap_or(&[b'x'; 10_001]);
            put(&mut client, "/big", &format!("Content-Range: bytes {first}-{last}/{total}\r\n"), rest)
        };
        let other = rest(19_999, 30_000);
        assert_eq!((other.status, other.header("Upload-Offset")), (409, Some("20000")));
        assert_eq!(text(&other), "The part of this file has 20000 bytes: continue from there.\n");
        let other = rest(20_000, 30_001);
        assert_eq!((other.status, other.header("Upload-Offset")), (409, None));
        assert_eq!(rest(20_000, 30_000).status, 201);
        assert!(content(&root, "big") == body);
        assert_eq!(rest(20_000, 30_000).status, 409, "it is there already");
        assert_eq!(server.client().request("HEAD", "/big", &[]).header("Upload-Offset"), None);
        // As `curl -C - -T` sends it.
        let mut client = server.client();
        assert_eq!(put(&mut client, "/whole", "Content-Range: bytes 0-4/5\r\n", b"hello").status, 201);
        assert_eq!(names(root.path()), ["a.txt", "big", "dir", "whole"]);
    }

    fn an_upload_that_a_shutdown_ends_is_not_kept(runtime: Runtime) {
        for is_aborted in [true, false] {
            let (root, server) = serve(runtime, Some(settings()), |c| {
                c.shutdown_grace = Duration::from_millis(if is_aborted { 400 } else { 600_000 });
            });
            let mut client = server.client();
            client.send(b"PUT /big HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n");
            assert_eq!(client.response(true).status, 100);
            client.send(b"hello");
            server.stop();
            if !is_aborted {
                client.shutdown_write(); // within the grace
            }
            server.wait_until_stopped();
            let error = "/big: not stored: the server is shutting down, and nothing of the upload is kept";
            assert_eq!(server.state.errors(), [error], "{is_aborted}");
            assert_eq!(names(root.path()), ["a.txt", "dir"]);
        }
    }

    fn an_interrupted_upload_is_not_continued_once_its_name_has_another_file(runtime: Runtime) {
        let (root, server) = start(runtime, |s| s.overwrite = true);
        let offset = |target: &str| {
            let head = server.client().request("HEAD", target, &[]);
            head.header("Upload-Offset").map(str::to_owned)
        };
        let cut = |target: &str| {
            let mut client = server.client();
            client.send(format!("PUT {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst").as_bytes());
            client.shutdown_write();
            assert_eq!(client.response(false).status, 400);
        };
        let path = |name: &str| root.path().join(name);
        let supersede: [(&str, &dyn Fn()); 5] = [
            ("/dir/new", &|| assert_eq!(put(&mut server.client(), "/dir/new", "", b"whole file").status, 201)),
            ("/a.txt", &|| assert_eq!(put(&mut server.client(), "/a.txt", "", b"whole file").status, 204)),
            ("/dir/form", &|| {
                let head = "Content-Type: multipart/form-data; boundary=b\r\n";
                let body = b"--b\r\nContent-Disposition: form-data; name=f; filename=form\r\n\r\nx\r\n--b--\r\n";
                let head = format!("POST /dir/ HTTP/1.1\r\nHost: a\r\n{head}Content-Length: {}\r\n\r\n", body.len());
                let mut client = server.client();
                client.send(&[head.as_bytes(), body].concat());
                assert_eq!(client.response(false).status, 201);
            }),
            ("/a.txt", &|| fs::remove_file(path("a.txt")).expect("it can be removed")),
            ("/dir/copied", &|| fs::write(path("dir/copied"), "by another program").expect("it can be written")),
        ];
        for (target, supersede) in supersede {
            cut(target);
            assert_eq!(offset(target).as_deref(), Some("5"), "{target}");
            supersede();
            assert_eq!(offset(target), None, "{target}");
            let rest = put(&mut server.client(), target, "Content-Range: bytes 5-9/10\r\n", b" rest");
            assert_eq!(rest.status, 409, "{target}");
            assert!(text(&rest).starts_with("There is no part"), "{}", text(&rest));
        }
        assert_eq!(offset("/dir/new"), None, "a complete file");
        // One that was being sent while another client has stored a whole file.
        let mut client = server.client();
        client.send(b"PUT /dir/slow HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!(client.response(true).status, 100);
        assert_eq!(put(&mut server.client(), "/dir/slow", "", b"whole file").status, 201);
        client.send(b"first");
        client.shutdown_write();
        assert_eq!(client.response(false).status, 400);
        assert_eq!(offset("/dir/slow"), None);
        let errors = server.state.errors();
        assert!(errors.last().is_some_and(|error| !error.contains("are kept")), "{errors:?}");
    }

    fn interrupted_uploads_are_kept_for_a_time(runtime: Runtime) {
        for change in [
            (|s: &mut UploadSettings| s.interrupted_timeout = Duration::ZERO) as fn(&mut UploadSettings),
            |s| s.max_interrupted = 0,
        ] {
            let (_root, server) = start(runtime, change);
            let mut client = server.client();
            client.send(b"PUT /big HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
            client.shutdown_write();
            assert_eq!(client.response(false).status, 400);
            assert_eq!(server.client().request("HEAD", "/big", &[]).header("Upload-Offset"), None);
        }
    }

    fn a_client_that_stalls_or_disconnects_leaves_nothing(runtime: Runtime) {
        let (root, server) = serve(runtime, Some(settings()), |c| {
            c.timeouts.body = Duration::from_millis(100);
            c.sweep_interval = Duration::from_millis(20);
        });
        let mut client = server.client();
        client.send(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
        assert_eq!(client.response(false).status, 408);
        let mut client = server.client();
        client.send(b"PUT /y HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        client.reset();
        assert_eq!(server.state.log(2).len(), 2);
        eventually("two lines", || server.state.errors().len() == 2);
        let errors = server.state.errors();
        assert!(errors[0].starts_with("/x: not stored: the upload broke off: "), "{errors:?}");
        assert!(errors[1].starts_with("/y: not stored: the upload broke off: "), "{errors:?}");
        assert_eq!(names(root.path()), ["a.txt", "dir"]);
    }

    fn the_first_of_two_writers_wins(runtime: Runtime) {
        for (overwrite, condition, statuses) in [
            (false, "", [201, 409]),
            (false, "If-None-Match: *\r\n", [201, 412]),
            (true, "If-None-Match: *\r\n", [201, 412]),
            (true, "", [201, 204]),
        ] {
            let (root, server) = start(runtime, |s| s.overwrite = overwrite);
            let (mut one, mut two) = (server.client(), server.client());
            for client in [&mut one, &mut two] {
                client.send(format!("PUT /x HTTP/1.1\r\nHost: a\r\n{condition}Content-Length: 6\r\nExpect: 100-continue\r\n\r\n").as_bytes());
                assert_eq!(client.response(true).status, 100);
            }
            one.send(b"one");
            two.send(b"twotwo");
            let first = two.response(false).status;
            assert_eq!(content(&root, "x"), b"twotwo");
            one.send(b"one");
            assert_eq!([first, one.response(false).status], statuses);
            let last = if statuses[1] == 204 { &b"oneone"[..] } else { b"twotwo" };
            assert_eq!(content(&root, "x"), last);
            assert_eq!(names(root.path()), ["a.txt", "dir", "x"]);
        }
    }

    fn space_is_left_free(runtime: Runtime) {
        let (root, server) = start(runtime, |s| s.min_free_space = u64::MAX / 2);
        let mut client = server.client();
        client.send(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
        let response = client.response(false);
        assert_eq!((response.status, text(&response)), (507, "There is not enough space to store this.\n".into()));
        assert_eq!(names(root.path()), ["a.txt", "dir"]);
    }

    fn space_is_left_free_while_a_body_arrives(runtime: Runtime) {
        let root = root();
        let free = free_space(root.path());
        // It begins with 8 MiB, and the body has no end. What others write meanwhile only makes it less.
        let settings = with(settings(), |s| s.min_free_space = free.saturating_sub(8 << 20));
        let server = runtime.start(State::uploads(root.path(), settings, false));
        let mut client = server.client();
        client.send(b"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = [&b"100000\r\n"[..], &vec![b'x'; 1 << 20], b"\r\n"].concat();
        while client.is_silent() && client.try_send(&chunk).is_ok() {}
        assert_eq!(client.response(false).status, 507);
        assert_eq!(names(root.path()), ["a.txt", "dir"]);
        assert_eq!(server.state.errors(), ["/x: not stored: There is not enough space to store this."]);
    }

    fn a_body_beyond_the_limit_is_413_and_one_line(runtime: Runtime) {
        let (root, server) = serve(runtime, Some(settings()), |c| c.limits.body = 10);
        let mut client = server.client();
        client.send(b"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n01234567\r\n8\r\n01234567\r\n");
        assert_eq!(client.response(false).status, 413);
        let error = "/x: not stored: the upload broke off: The request body is larger than this server accepts";
        assert_eq!(server.state.errors(), [error]);
        assert_eq!(names(root.path()), ["a.txt", "dir"]);
    }

    fn a_413_has_the_limit(runtime: Runtime) {
        let (_root, server) = serve(runtime, Some(settings()), |c| c.limits.body = 10);
        for request in [
            "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n",
            "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n",
        ] {
            let mut client = server.client();
            client.send(request.as_bytes());
            let response = client.response(false);
            let sentence = "The request body is larger than this server accepts: at most 10 bytes.";
            assert!(response.status == 413 && text(&response).contains(sentence), "{}", text(&response));
        }
    }

    fn there_are_only_so_many_uploads_at_once(runtime: Runtime) {
        let (_root, server) = start(runtime, |s| s.max_uploads = 1);
        let mut first = server.client();
        first.send(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!(first.response(true).status, 100);
        let busy = put(&mut server.client(), "/y", "", b"y");
        assert_eq!((busy.status, busy.header("Retry-After")), (503, Some("1")));
        first.send(b"hello");
        assert_eq!(first.response(false).status, 201);
        assert_eq!(put(&mut server.client(), "/y", "", b"y").status, 201);
    }

    fn rfc_9530_a_digest_that_is_sent_is_verified(runtime: Runtime) {
        let (root, server) = start(runtime, |_| {});
        let mut client = server.client();
        // Of `hello` and of nothing, from `sha256sum`.
        let hello = "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:";
        let empty = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
        for (n, (header, body, status)) in [
            (format!("Repr-Digest: {hello}"), &b"hello"[..], 201),
            (format!("Content-Digest: md5=:YQ==:, {hello}"), b"hello", 201),
            (format!("Repr-Digest: {empty}"), b"", 201),
            (format!("Repr-Digest: {hello}"), b"hallo", 400),
            (format!("Content-Digest: {empty}"), b"hello", 400),
            ("Repr-Digest: sha-512=:YQ==:".into(), b"hello", 201), // not supported
        ].into_iter().enumerate() {
            let response = put(&mut client, &format!("/{n}"), &format!("{header}\r\n"), body);
            assert_eq!(response.status, status, "{header}");
            assert_eq!(root.path().join(n.to_string()).exists(), status == 201);
        }
    }

    fn no_precompressed_file_is_put_in_front_of_another_one(runtime: Runtime) {
        let root = root();
        let site = with(Site::default(), |s| s.precompressed = true);
        let server = runtime.start(State::uploads_of(root.path(), settings(), site));
        let mut client = server.client();
        for (target, status) in [("/a.txt.gz", 409), ("/a.txt.br", 409), ("/b.txt.gz", 201), ("/a.txt.zip", 201)] {
            assert_eq!(put(&mut client, target, "", b"x").status, status, "{target}");
        }
    }

    fn a_root_that_is_gone_is_404(runtime: Runtime) {
        let (root, server) = start(runtime, |_| {});
        fs::remove_dir_all(root.path()).expect("it can be removed");
        assert_eq!(put(&mut server.client(), "/x", "", b"x").status, 404);
    }

    fn nothing_is_stored_in_a_directory_of_scripts(runtime: Runtime) {
        let root = root();
        fs::create_dir(root.path().join("cgi-bin")).expect("it can be made");
        let server = runtime.start(State::uploads(root.path(), settings(), true));
        let mut client = server.client();
        for target in ["/cgi-bin/x", "/CGI-bin/x", "/cgi-bin/sub/x"] {
            let response = put(&mut client, target, "", b"#!/bin/sh\n");
            assert!(matches!(response.status, 403 | 404), "{target}: {}", response.head);
        }
        assert_eq!(put(&mut client, "/x", "", b"x").status, 201);
        assert_eq!(client.request("POST", "/a.txt", &[]).status, 501, "as without uploads");
        assert_eq!(names(&root.path().join("cgi-bin")), [""; 0]);
    }
}

/// Settings that leave no space free.
pub(crate) fn settings() -> UploadSettings {
    with(UploadSettings::default(), |s| s.min_free_space = 0)
}

fn start(runtime: Runtime, change: impl FnOnce(&mut UploadSettings)) -> (TempDir, TestServer) {
    serve(runtime, Some(with(settings(), change)), |_| {})
}

fn serve(
    runtime: Runtime,
    uploads: Option<UploadSettings>,
    change: impl FnOnce(&mut doorstep::driver::Config),
) -> (TempDir, TestServer) {
    let root = root();
    let state: Arc<State> = match uploads {
        Some(settings) => State::uploads(root.path(), settings, false),
        None => State::files(root.path()),
    };
    let server = runtime.start_with(state, with(config(), change));
    (root, server)
}

/// A root with a file and a directory.
pub(crate) fn root() -> TempDir {
    let root = tempfile::tempdir().expect("a temporary directory can be made");
    fs::write(root.path().join("a.txt"), "old").expect("it can be written");
    fs::create_dir(root.path().join("dir")).expect("it can be made");
    root
}

fn put(client: &mut Client, target: &str, headers: &str, body: &[u8]) -> Response {
    let length = body.len();
    client.send(
        format!("PUT {target} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {length}\r\n\r\n")
            .as_bytes(),
    );
    client.send(body);
    client.response(false)
}

/// The names in a directory, hidden ones too.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("it can be read");
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut names: Vec<_> = entries.map(|entry| name(entry.expect("it can be read"))).collect();
    names.sort();
    names
}

pub(crate) fn content(root: &TempDir, name: &str) -> Vec<u8> {
    fs::read(root.path().join(name)).expect("it is there")
}

pub(crate) fn text(response: &Response) -> String {
    String::from_utf8_lossy(&response.body).into_owned()
}

/// The free space of the file system of a directory, in bytes.
fn free_space(directory: &Path) -> u64 {
    let output = Command::new("df").args(["--output=avail", "-B1"]).arg(directory).output();
    let output = text_of(&output.expect("df is installed").stdout);
    output.lines().nth(1).and_then(|line| line.trim().parse().ok()).expect("a number")
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
