//! Files as they come off the disk: every size by its own way, and what happens to those that
//! change, vanish or are not files.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use doorstep::core::site::Site;
use tempfile::TempDir;

use crate::runtimes::{CommandRuntime, Runtime, TestServer, eventually, with};
use crate::service::State;
use crate::support::{Server, as_user, doorstep, settle, while_repeating};

/// More than the buffers of two sockets hold, in bytes.
const LARGE: u64 = 64 << 20;

on_every_runtime! {
    fn b_172_b_173_files_of_every_size_arrive_complete(runtime: Runtime) {
        let (root, server) = serve(runtime);
        let mut client = server.client();
        let sizes = [0, 1, 6, 32 << 10, (32 << 10) + 1, (64 << 10) + 7, 256 << 10, 3_000_001];
        for size in sizes {
            let content: Vec<u8> = (0..size).map(|n: u32| (n % 251) as u8).collect();
            fs::write(root.path().join("file.bin"), &content).expect("it can be written");
            let got = client.request("GET", "/file.bin", &[]);
            assert_eq!(got.header("Content-Length"), Some(&size.to_string()[..]));
            assert!(got.body == content, "{size}");
            let head = client.request("HEAD", "/file.bin", &[]);
            assert_eq!(without_date(&head.head), without_date(&got.head));
        }
        let log = server.state.log(2 * sizes.len());
        for (pair, size) in log.chunks(2).zip(sizes) {
            assert_eq!(pair[0].bytes, (size > 0).then_some(u64::from(size)));
            assert_eq!(pair[1].bytes, None, "HEAD");
            assert!(!pair[0].aborted && !pair[1].aborted);
        }
    }

    fn b_172_sixty_four_mebibytes_arrive_over_http_1_0(runtime: Runtime) {
        let (root, server) = serve(runtime);
        sparse(root.path(), "large", LARGE);
        let mut client = server.client();
        client.send(b"GET /large HTTP/1.0\r\n\r\n");
        assert_eq!(client.response(false).body.len() as u64, LARGE);
        assert_eq!(client.read_to_end(), b"");
    }

    fn b_045_sixteen_pipelined_files_arrive_in_order(runtime: Runtime) {
        let (root, server) = serve(runtime);
        for n in 0..16 {
            let size = if n % 4 == 3 { 40_000 } else { n };
            fs::write(root.path().join(n.to_string()), vec![b'a' + n as u8; size]).expect("written");
        }
        let mut client = server.client();
        let requests: String =
            (0..16).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
        client.send(requests.as_bytes());
        for n in 0..16 {
            let size = if n % 4 == 3 { 40_000 } else { n };
            assert!(client.response(false).body == vec![b'a' + n as u8; size], "{n}");
        }
        assert!(client.is_silent());
    }

    fn b_044_an_http_1_0_connection_is_kept_alive_on_request(runtime: Runtime) {
        let (_root, server) = serve(runtime);
        let mut client = server.client();
        for _ in 0..3 {
            // As `ab -k` asks.
            client.send(
                b"GET /a.txt HTTP/1.0\r\nConnection: Keep-Alive\r\nHost: a\r\nAccept: */*\r\n\r\n",
            );
            let response = client.response(false);
            assert_eq!(response.header("Connection"), Some("keep-alive"));
            assert_eq!((response.status, &response.body[..]), (200, &b"hello\n"[..]));
        }
        client.send(b"GET /a.txt HTTP/1.0\r\n\r\n");
        assert_eq!(client.response(false).status, 200);
        assert_eq!(client.read_to_end(), b"");
    }

    fn b_174_a_growing_file_is_sent_up_to_its_declared_length(runtime: Runtime) {
        let (root, server) = serve(runtime);
        sparse(root.path(), "grows", LARGE);
        let mut client = server.client();
        client.send(b"GET /grows HTTP/1.1\r\nHost: a\r\n\r\nGET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n");
        client.peek(); // it is under way
        let mut file = OpenOptions::new().append(true).open(root.path().join("grows"));
        file.as_mut().expect("it is there").write_all(&[b'!'; 100_000]).expect("written");
        let body = client.response(false).body;
        assert!(body.len() as u64 == LARGE && body.iter().all(|&byte| byte == 0));
        assert_eq!(client.response(false).body, b"hello\n", "in its place behind it");
    }

    fn b_174_a_shrinking_file_ends_in_a_visible_abort(runtime: Runtime) {
        let (root, server) = serve(runtime);
        let file = sparse(root.path(), "shrinks", LARGE);
        let mut client = server.client();
        client.send(b"GET /shrinks HTTP/1.1\r\nHost: a\r\n\r\nGET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n");
        client.peek();
        file.set_len(1000).expect("it can shrink");
        let all = client.read_to_end_or_reset();
        let head = all.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        let body = (all.len() - head) as u64;
        assert!(body < LARGE);
        let entry = server.state.entry();
        assert!(entry.aborted && entry.status == 200 && entry.bytes >= Some(body), "{entry:?}, {body}");
        assert_eq!(server.client().request("GET", "/a.txt", &[]).body, b"hello\n");
    }

    fn b_174_a_shrinking_file_in_a_close_delimited_response_ends_in_a_reset(runtime: Runtime) {
        let (root, server) = serve(runtime);
        let file = sparse(root.path(), "shrinks", LARGE);
        let mut client = server.client();
        client.send(b"GET /shrinks\r\n");
        client.peek();
        file.set_len(1000).expect("it can shrink");
        assert!(!client.closes_cleanly());
        assert!(server.state.entry().aborted);
    }

    fn b_130_a_link_swapped_during_requests_never_exposes_files_outside_the_root(runtime: Runtime) {
        let (root, server) = serve(runtime);
        let outside = tempfile::tempdir().expect("a temporary directory can be made");
        fs::write(outside.path().join("secret"), "secret").expect("it is ours");
        let (link, aside) = (root.path().join("link"), root.path().join("aside"));
        let swap = |target: &Path| {
            let _ = fs::remove_file(&aside);
            symlink(target, &aside).expect("a link can be made");
            fs::rename(&aside, &link).expect("and put in its place at once");
        };
        swap(Path::new("a.txt"));
        let change = || {
            swap(&outside.path().join("secret"));
            swap(Path::new("a.txt"));
        };
        while_repeating(change, || {
            let mut client = server.client();
            for _ in 0..2000 {
                let response = client.request("GET", "/link", &[]);
                assert!(response.status == 404 || response.body == b"hello\n", "{response:?}");
            }
        });
    }

    fn b_174_a_modified_file_ends_in_a_visible_abort(runtime: Runtime) {
        let (root, server) = serve(runtime);
        let file = sparse(root.path(), "changes", LARGE);
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).expect("it is ours");
        let mut client = server.client();
        client.send(b"GET /changes HTTP/1.1\r\nHost: a\r\n\r\n");
        client.peek();
        let path = root.path().join("changes");
        let mut again = OpenOptions::new().write(true).open(&path).expect("it is there");
        again.write_all(b"!").expect("its first byte is written, and its length stays");
        let all = client.read_to_end_or_reset();
        assert!((all.len() as u64) < LARGE, "its end is held back");
        let entry = server.state.entry();
        assert!(entry.aborted && entry.status == 200, "{entry:?}");
    }

    fn b_174_a_replaced_file_is_sent_to_its_end(runtime: Runtime) {
        let (root, server) = serve(runtime);
        sparse(root.path(), "old", LARGE);
        sparse(root.path(), "new", 1000);
        let mut client = server.client();
        client.send(b"GET /old HTTP/1.1\r\nHost: a\r\n\r\nGET /old HTTP/1.1\r\nHost: a\r\n\r\n");
        client.peek();
        fs::rename(root.path().join("new"), root.path().join("old")).expect("it can be replaced");
        assert_eq!(client.response(false).body.len() as u64, LARGE, "the one that was opened");
        assert_eq!(client.response(false).body.len(), 1000, "and then the new one");
    }

    fn b_147_an_unreadable_directory_is_a_404(runtime: CommandRuntime) {
        let root = tempfile::tempdir().expect("a temporary directory can be made");
        let locked = root.path().join("locked");
        fs::create_dir(&locked).expect("a directory can be made");
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o311)).expect("it is ours");
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        // Permissions do not apply to root, so the server runs as another user.
        let inner = doorstep(&["0", "-b", "127.0.0.1", "--runtime", runtime.name(), "-d"]);
        let mut command = as_user(65534, inner.get_program());
        command.args(inner.get_args()).arg(root.path());
        let response = Server::start(&mut command).get("/locked/");
        assert_eq!(response.status, 404);
        assert_eq!(response.reason, "No permission to list directory");
    }

    fn b_171_a_deleted_file_or_directory_is_a_404(runtime: Runtime) {
        let (root, server) = serve(runtime);
        let sub = root.path().join("sub");
        fs::create_dir(&sub).expect("a directory can be made");
        fs::write(sub.join("b.txt"), "there\n").expect("it can be written");
        let mut client = server.client();
        let mut statuses = |targets: [&str; 3]| targets.map(|t| client.request("GET", t, &[]).status);
        assert_eq!(statuses(["/sub/", "/sub/b.txt", "/"]), [200, 200, 200]);
        fs::remove_dir_all(&sub).expect("it is there");
        assert_eq!(statuses(["/sub/", "/sub/b.txt", "/"]), [404, 404, 200]);
        fs::remove_dir_all(root.path()).expect("it is there");
        assert_eq!(statuses(["/sub/", "/a.txt", "/none"]), [404, 404, 404]);
    }

    fn rfc_9110_12_5_5_a_404_that_accept_has_chosen_says_so(runtime: Runtime) {
        let html = "Accept: text/html";
        let neither = with(Site::default(), |s| s.not_found_page = None);
        let spa = with(neither.clone(), |s| s.spa = Some("page.html".into()));
        let own_page = with(Site::default(), |s| s.not_found_page = Some("page.html".into()));
        let all = [(neither, 404, None), (spa, 200, Some("Accept")), (own_page, 404, Some("Accept"))];
        let root = tempfile::tempdir().expect("a temporary directory can be made");
        fs::write(root.path().join("page.html"), "page\n").expect("it can be written");
        settle();
        for (site, of_html, vary) in all {
            let server = runtime.start(State::site(root.path(), site));
            let mut client = server.client();
            // Again and again, so that the page is cached and the 404 prepared.
            for _ in 0..3 {
                for (accept, status) in [(html, of_html), ("Accept: */*", 404), ("A: b", 404)] {
                    let got = client.request("GET", "/missing", &[accept]);
                    assert_eq!((got.status, got.header("Vary")), (status, vary), "{accept}");
                    assert_eq!(got.body == b"page\n", vary.is_some() && accept == html);
                    let head = client.request("HEAD", "/missing", &[accept]);
                    assert_eq!(without_date(&head.head), without_date(&got.head));
                }
                let page = client.request("GET", "/page.html", &[html]);
                assert_eq!((page.status, page.header("Vary")), (200, None));
            }
        }
    }

    fn a_message_in_the_log_has_part_of_a_long_path(runtime: Runtime) {
        let (_root, server) = serve(runtime);
        let target = format!("/.a\\{}", "x".repeat(60_000));
        assert_eq!(server.client().request("GET", &target, &[]).status, 404);
        let errors = server.state.errors();
        assert_eq!(errors.len(), 1, "{errors:?}");
        let error = &errors[0];
        assert!(error.starts_with("/.a\\\\xxx") && error.len() < 400, "{error}");
        assert!(error.ends_with("x…: the path is too long"), "{error}");
    }

    fn b_143_a_redirect_stays_on_its_host(runtime: Runtime) {
        let (_root, server) = serve(runtime);
        let mut client = server.client();
        for (target, location) in [
            ("//evil.com/..", "/evil.com/../"),
            (r"/\evil.com/..", "/%5Cevil.com/../"),
            (r"/\/evil.com/../..?a\b", r"/%5C/evil.com/../../?a\b"),
        ] {
            for method in ["GET", "HEAD"] {
                let response = client.request(method, target, &[]);
                let found = (response.status, response.header("Location"));
                assert_eq!(found, (301, Some(location)), "{method} {target}");
            }
        }
    }

    fn b_175_a_fifo_is_a_404_and_is_never_opened(runtime: Runtime) {
        let (root, server) = serve(runtime);
        let fifo = root.path().join("fifo");
        let made = Command::new("mkfifo").arg(&fifo).status().expect("mkfifo is installed");
        assert!(made.success());
        let path = fifo.clone();
        let writer = thread::spawn(move || File::create(path).map(drop));
        thread::sleep(Duration::from_millis(50)); // most likely it waits for a reader now
        let mut client = server.client();
        for _ in 0..3 {
            assert_eq!(client.request("GET", "/fifo", &[]).status, 404);
            assert_eq!(client.request("HEAD", "/fifo", &[]).status, 404);
        }
        assert!(!writer.is_finished(), "the other end was not opened");
        let reader = File::open(&fifo).expect("the writer is there");
        eventually("the writer goes on", || writer.is_finished());
        drop(reader);
    }

    fn b_130_a_link_out_of_the_root_is_a_404(runtime: Runtime) {
        let (root, server) = serve(runtime);
        let elsewhere = tempfile::tempdir().expect("a temporary directory can be made");
        fs::write(elsewhere.path().join("secret"), "no\n").expect("it can be written");
        symlink(elsewhere.path(), root.path().join("out")).expect("a link can be made");
        symlink(elsewhere.path().join("secret"), root.path().join("index.html")).expect("a link");
        symlink("a.txt", root.path().join("in")).expect("a link can be made");
        let mut client = server.client();
        for target in ["/out/secret", "/out/", "/out", "/index.html"] {
            assert_eq!(client.request("GET", target, &[]).status, 404, "{target}");
        }
        assert_eq!(client.request("GET", "/in", &[]).body, b"hello\n");
        let index = client.request("GET", "/", &[]);
        assert!(!index.body.starts_with(b"no"), "not as an index either");
    }

    fn b_170_methods_that_would_change_a_file_are_405(runtime: Runtime) {
        let (_root, server) = serve(runtime);
        let mut client = server.client();
        let response = client.request("PUT", "/a.txt", &["Content-Length: 0"]);
        assert_eq!((response.status, response.header("Allow")), (405, Some("GET, HEAD, OPTIONS")));
        assert_eq!(client.request("OPTIONS", "/a.txt", &[]).status, 204);
        assert_eq!(client.request("BREW", "/a.txt", &[]).status, 501);
        assert_eq!(client.request("GET", "/a.txt", &[]).body, b"hello\n");
    }

    fn a_thousand_entries_are_listed(runtime: Runtime) {
        let (root, server) = serve(runtime);
        for n in 0..1000 {
            File::create(root.path().join(format!("entry {n:04}"))).expect("it can be made");
        }
        let mut client = server.client();
        let listing = client.request("GET", "/", &[]);
        let text = String::from_utf8(listing.body).expect("B-155: UTF-8");
        assert_eq!(text.matches("href=\"entry%20").count(), 1000);
        let length = client.request("HEAD", "/", &[]).header("Content-Length").map(str::to_owned);
        assert_eq!(length, Some(text.len().to_string()));
    }
}

/// A server of a root with one file of six bytes.
fn serve(runtime: Runtime) -> (TempDir, TestServer) {
    let root = tempfile::tempdir().expect("a temporary directory can be made");
    fs::write(root.path().join("a.txt"), "hello\n").expect("it can be written to");
    let server = runtime.start(State::files(root.path()));
    (root, server)
}

/// A file of zeros.
fn sparse(root: &Path, name: &str, size: u64) -> File {
    let file = File::create(root.join(name)).expect("a file can be made");
    file.set_len(size).expect("it can have holes");
    file
}

fn without_date(head: &str) -> String {
    head.lines().filter(|line| !line.starts_with("Date: ")).collect()
}
