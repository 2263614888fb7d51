//! Archives: what listings show, in one file that every program reads, or a visible end.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{Cursor, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use doorstep::core::site::Site;
use flate2::read::GzDecoder;
use tempfile::TempDir;

use crate::runtimes::{CommandRuntime, Runtime, TestServer, eventually, with};
use crate::service::State;
use crate::support::{Server, as_user, doorstep, text};

const FORMATS: [&str; 3] = ["tar", "tar.gz", "zip"];
/// More than the buffers of two sockets hold, in bytes.
const LARGE: u64 = 64 << 20;

/// A member of an archive: its mode, when it was modified, and its content.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    mode: u32,
    modified: u64,
    content: Vec<u8>,
}

/// A change of the settings.
type Change = fn(&mut Site);
type Members = BTreeMap<Vec<u8>, Member>;

on_every_runtime! {
    fn an_archive_holds_what_listings_show(runtime: Runtime) {
        let (root, server) = serve(runtime, |_| {});
        let docs = root.path().join("docs");
        let long = format!("docs/{}", ["d".repeat(200), "e".repeat(200), "f".repeat(99)].join("/"));
        for directory in ["docs/empty", "docs/.git", "docs/site", &long] {
            fs::create_dir_all(root.path().join(directory)).expect("the root is ours");
        }
        let name = |bytes: &[u8]| docs.join(OsStr::from_bytes(bytes));
        let files: [(&[u8], &[u8]); 8] = [
            (b"a.txt", b"hello"),
            (b"none", b""),
            ("\u{fc}ml\u{e4}ut.jpg".as_bytes(), &[7; 100_000]),
            (b"not utf-8 \xff\xfe", b"x"),
            (b"new\nline \"<&>", b"y"),
            (&[b'n'; 255], b"long"),
            (b"block", &[1; 512]),
            (b"pieces", &[2; 200_001]),
        ];
        for (file, content) in files {
            fs::write(name(file), content).expect("it can be written");
        }
        fs::write(root.path().join(&long).join("\u{fc}"), "deep").expect("it can be written");
        fs::write(name(b"run.sh"), "#!/bin/sh").expect("it can be written");
        fs::set_permissions(name(b"run.sh"), fs::Permissions::from_mode(0o4711)).expect("ours");
        fs::hard_link(name(b"a.txt"), name(b"hard")).expect("the root is ours");
        for (target, link) in [("a.txt", "link"), ("empty", "dir-link"), (".git", "git")] {
            symlink(target, docs.join(link)).expect("the root is ours");
        }
        // None of these is listed.
        fs::write(name(b".hidden"), "secret").expect("it can be written");
        fs::write(name(b".git/config"), "secret").expect("it can be written");
        symlink("/etc/passwd", name(b"out")).expect("the root is ours");
        symlink("missing", name(b"broken")).expect("the root is ours");
        let _socket = std::os::unix::net::UnixListener::bind(name(b"socket")).expect("the root is ours");

        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(981_173_106);
        let set = |path: &Path| File::open(path).expect("it is there").set_modified(modified);
        set(&name(b"a.txt")).and_then(|()| set(&docs.join("empty"))).expect("the root is ours");

        for format in FORMATS {
            let members = get(&server, &format!("/docs/?archive={format}"), format);
            let content = |name: &[u8]| {
                let name = [b"docs/", name].concat();
                members.get(&name).map(|member| member.content.as_slice())
            };
            for (file, expected) in files {
                assert_eq!(content(file), Some(expected), "{format}: {}", file.escape_ascii());
            }
            let deep = format!("{long}/\u{fc}");
            assert_eq!(members[deep.as_bytes()].content, b"deep", "{format}");
            for file in [&b"link"[..], b"hard"] {
                assert_eq!(content(file), Some(&b"hello"[..]), "{format}");
            }
            for directory in [&b""[..], b"empty/", b"dir-link/", b"site/"] {
                assert_eq!(content(directory), Some(&b""[..]), "{format}");
            }
            let count = files.len() + 8 /* directories */ + 5 /* run.sh, hard, link, deep, git/config */;
            let names: Vec<_> = members.keys().map(|name| name.escape_ascii().to_string()).collect();
            assert_eq!(members.len(), count, "{format}: {names:?}");
            assert!(names.iter().all(|name| name.starts_with("docs/")), "{format}: {names:?}");
            let of = |name: &str| (members[name.as_bytes()].mode, members[name.as_bytes()].modified);
            assert_eq!(of("docs/a.txt"), (0o644, 981_173_106), "{format}");
            assert_eq!(of("docs/empty/"), (0o755, 981_173_106), "{format}");
            assert_eq!(of("docs/run.sh").0, 0o755, "{format}");
        }
        assert_eq!(server.state.errors(), Vec::<String>::new());
    }

    fn names_that_are_paths_on_windows_are_changed_in_zip(runtime: Runtime) {
        let (root, server) = serve(runtime, |_| {});
        let names = [r"C:\y.dll", r"a\b_c", r"a_b\c", r"d\e", "d_e", r"x\..\..\evil.bat", r"z\dir/f"];
        for (n, name) in names.iter().enumerate() {
            let path = root.path().join(r"D:\docs").join(name);
            fs::create_dir_all(path.parent().expect("it has one")).expect("the root is ours");
            fs::write(path, [n as u8]).expect("it can be written");
        }
        let files = |format| {
            let mut members = get(&server, &format!("/D:%5Cdocs/?archive={format}"), format);
            members.retain(|name, _| !name.ends_with(b"/"));
            members
        };
        for format in ["tar", "tar.gz"] {
            let expected = names.map(|name| format!(r"D:\docs/{name}").into_bytes());
            assert!(files(format).into_keys().eq(expected), "{format}");
        }
        let mut members = files("zip");
        let report = members.remove(&b"D__docs-LEFT-OUT.txt"[..]).expect("it is there");
        let found = members.iter().map(|(name, member)| (text(name), member.content[0]));
        let expected = [
            ("C__y.dll", 0), ("a_b_c", 1), ("d_e", 4), ("x_.._.._evil.bat", 5), ("z_dir/f", 6),
        ];
        assert!(found.eq(expected.map(|(name, n)| (format!("D__docs/{name}"), n))));
        let report = text(&report.content);
        for line in [
            r"This archive is not complete.",
            r"D:\docs: its name in this archive is D__docs",
            r"D:\docs/x\..\..\evil.bat: its name in this archive is x_.._.._evil.bat",
            r"D:\docs/a_b\c: its name in a zip archive would be that of another one, with _ in place of \",
            r"D:\docs/d\e: its name in a zip archive would be that of another one, with _ in place of \",
        ] {
            assert!(report.lines().any(|other| other == line), "{report}");
        }
        assert_eq!(report.matches("would be that").count(), 2, "{report}");
    }

    fn the_same_tree_is_the_same_archive_in_the_order_of_its_names(runtime: Runtime) {
        let (root, server) = serve(runtime, |_| {});
        for n in [3, 1, 10, 2, 0] {
            fs::write(root.path().join(format!("f{n}")), n.to_string()).expect("it can be written");
        }
        fs::create_dir(root.path().join("f1.d")).expect("the root is ours");
        let mut client = server.client();
        for format in FORMATS {
            let [one, two] =
                [(); 2].map(|()| client.request("GET", &format!("/?archive={format}"), &[]).body);
            assert!(one == two, "{format}");
        }
        let tar = client.request("GET", "/?archive=tar", &[]).body;
        let mut archive = tar::Archive::new(&*tar);
        let names = archive.entries().expect("it is tar").map(|entry| {
            String::from_utf8_lossy(&entry.expect("it is complete").path_bytes()).into_owned()
        });
        let expected = ["", "f0", "f1", "f1.d/", "f10", "f2", "f3"].map(|name| format!("files/{name}"));
        assert_eq!(names.collect::<Vec<_>>(), expected);
    }

    fn rfc_6266_the_head_names_the_file_and_what_it_is(runtime: Runtime) {
        let (root, server) = serve(runtime, |_| {});
        fs::create_dir(root.path().join("\u{e4} b")).expect("the root is ours");
        let mut client = server.client();
        for (format, media_type) in
            FORMATS.into_iter().zip(["application/x-tar", "application/gzip", "application/zip"])
        {
            let target = format!("/%c3%a4%20b/?archive={format}");
            for method in ["HEAD", "GET"] {
                let fields = ["Range: bytes=0-3", "If-None-Match: *", "Accept: application/json"];
                let response = client.request(method, &target, &fields);
                assert_eq!(response.status, 200, "{format}");
                let header = |name| response.header(name).unwrap_or_default();
                assert_eq!(header("Content-Type"), media_type);
                assert_eq!(
                    header("Content-Disposition"),
                    format!("attachment; filename=\"__ b.{format}\"; filename*=UTF-8''%C3%A4%20b.{format}")
                );
                assert_eq!((header("Accept-Ranges"), header("Cache-Control")), ("none", "no-store"));
                assert_eq!(header("Transfer-Encoding"), "chunked");
                assert_eq!(response.body.is_empty(), method == "HEAD");
            }
        }
        let of_root = client.request("HEAD", "/?archive=zip", &[]);
        let name = of_root.header("Content-Disposition").unwrap_or_default();
        assert!(name.contains("filename=\"files.zip\""), "{name}");
    }

    fn an_archive_over_http_1_0_ends_with_the_connection(runtime: Runtime) {
        let (root, server) = serve(runtime, |_| {});
        fs::write(root.path().join("a"), "b").expect("it can be written");
        for format in FORMATS {
            let mut client = server.client();
            client.send(format!("GET /?archive={format} HTTP/1.0\r\n\r\n").as_bytes());
            let response = client.response(false);
            assert_eq!(response.header("Transfer-Encoding"), None);
            assert_eq!(members(&response.body, format)[&b"files/a"[..]].content, b"b");
        }
    }

    fn there_is_an_archive_only_where_there_is_a_listing(runtime: Runtime) {
        let (root, server) = serve(runtime, |_| {});
        fs::create_dir_all(root.path().join("page/below")).expect("the root is ours");
        fs::write(root.path().join("page/index.html"), "the page").expect("it can be written");
        fs::write(root.path().join("page/secret.txt"), "secret").expect("it can be written");
        fs::write(root.path().join("file"), "content").expect("it can be written");
        let mut client = server.client();
        for (target, body) in [("/page/", &b"the page"[..]), ("/file", b"content")] {
            let response = client.request("GET", &format!("{target}?archive=zip"), &[]);
            assert_eq!((response.status, &*response.body), (200, body), "{target}");
        }
        let redirect = client.request("GET", "/page?archive=tar.gz", &[]);
        assert_eq!((redirect.status, redirect.header("Location")), (301, Some("/page/?archive=tar.gz")));
        for query in ["rar", "", "tar.xz"] {
            let refused = client.request("GET", &format!("/?archive={query}"), &[]);
            let page = String::from_utf8_lossy(&refused.body).into_owned();
            assert_eq!(refused.status, 400, "{query}");
            for format in FORMATS {
                assert!(page.contains(&format!("?archive={format}")), "{page}");
            }
        }
        // A directory with an index page is not listed, so it contributes that page alone.
        let members = get(&server, "/?archive=zip", "zip");
        let names: Vec<_> = members.keys().map(|name| String::from_utf8_lossy(name)).collect();
        let expected =
            ["files-LEFT-OUT.txt", "files/", "files/file", "files/page/", "files/page/index.html"];
        assert_eq!(names, expected);
        let report = String::from_utf8_lossy(&members[&b"files-LEFT-OUT.txt"[..]].content);
        assert!(report.contains("files/page: only its index page is included"), "{report}");

        let page = String::from_utf8(client.request("GET", "/", &[]).body).expect("UTF-8");
        assert!(page.contains("<button name=\"archive\" value=\"tar.gz\">"), "{page}");
        for change in [|s: &mut Site| s.listing = false, |s: &mut Site| s.archive = false] {
            let (_root, server) = serve(runtime, change);
            let without = server.client().request("GET", "/", &[]);
            let with = server.client().request("GET", "/?archive=zip", &[]);
            assert_eq!((with.status, &with.body), (without.status, &without.body));
            assert!(!String::from_utf8_lossy(&without.body).contains("name=\"archive\""));
        }
    }

    fn links_that_lead_in_circles_end(runtime: Runtime) {
        let (root, server) = serve(runtime, |site| site.max_archive_depth = 3);
        fs::create_dir_all(root.path().join("a/b/c/d/e")).expect("the root is ours");
        symlink("..", root.path().join("a/b/up")).expect("the root is ours");
        symlink(".", root.path().join("self")).expect("the root is ours");
        for format in FORMATS {
            let members = get(&server, &format!("/?archive={format}"), format);
            let names: Vec<_> = members.keys().map(|name| String::from_utf8_lossy(name)).collect();
            let expected =
                ["files-LEFT-OUT.txt", "files/", "files/a/", "files/a/b/", "files/a/b/c/"];
            assert_eq!(names, expected, "{format}");
            let report = String::from_utf8_lossy(&members[&b"files-LEFT-OUT.txt"[..]].content);
            for line in [
                "files/a/b/c/d: too many directories below each other\n",
                "files/a/b/up: a link to a directory that contains it\n",
                "files/self: a link to a directory that contains it\n",
            ] {
                assert!(report.contains(line), "{report}");
            }
        }
        let logged = "/: 1 left out of the archive: files/a/b/c/d: too many directories below each other";
        assert_eq!(server.state.errors(), [logged; 3]);
    }

    fn a_file_that_becomes_shorter_is_no_complete_archive(runtime: Runtime) {
        let (root, server) = serve(runtime, |_| {});
        let path = root.path().join("a.jpg"); // so that zip does not compress it
        for format in ["tar", "zip"] {
            sparse(&path, LARGE);
            let mut client = server.client();
            client.send(format!("GET /?archive={format} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
            client.peek(); // and reads no further: the server waits
            let file = OpenOptions::new().write(true).open(&path).expect("it is ours");
            file.set_len(1 << 20).expect("it is ours");
            if format == "tar" {
                let sent = client.read_to_end_or_reset();
                assert!(!sent.ends_with(b"\r\n0\r\n\r\n"), "no last chunk");
                continue;
            }
            let members = members(&client.response(false).body, format);
            assert!((1 << 20..LARGE as usize).contains(&members[&b"files/a.jpg"[..]].content.len()));
            let report = String::from_utf8_lossy(&members[&b"files-LEFT-OUT.txt"[..]].content);
            assert!(report.contains("files/a.jpg: it became shorter while it was read"), "{report}");
        }
        let log = server.state.log(2);
        assert_eq!(log.iter().map(|entry| entry.aborted).collect::<Vec<_>>(), [true, false]);
        let errors = server.state.errors();
        assert!(errors[0].starts_with("/: archive aborted: files/a.jpg became shorter"), "{errors:?}");
        assert!(errors[1].starts_with("/: 1 left out of the archive: files/a.jpg: it became"), "{errors:?}");
    }

    fn a_file_that_becomes_longer_is_cut(runtime: Runtime) {
        let (root, server) = serve(runtime, |_| {});
        let path = root.path().join("a.jpg"); // so that zip does not compress it
        for format in ["tar", "zip"] {
            sparse(&path, LARGE);
            let mut client = server.client();
            client.send(format!("GET /?archive={format} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
            client.peek();
            let mut file = OpenOptions::new().append(true).open(&path).expect("it is ours");
            file.write_all(&[b'x'; 100_000]).expect("it is ours");
            let members = members(&client.response(false).body, format);
            assert_eq!(members[&b"files/a.jpg"[..]].content.len() as u64, LARGE, "{format}");
        }
        assert_eq!(server.state.errors(), Vec::<String>::new());
    }

    fn beyond_a_bound_an_archive_is_aborted(runtime: Runtime) {
        let bounds: [(Change, &str); 3] = [
            (|site| site.max_archive_entries = 50, "more than 50 files and directories"),
            (|site| site.max_archive_size = Some(50_000), "the files have more than 50000 bytes"),
            (|site| site.max_archive_index = 0, "the table of contents of the zip archive"),
        ];
        for (bound, message) in bounds {
            let (root, server) = serve(runtime, bound);
            for n in 0..60 {
                noise(&root.path().join(n.to_string()), 1_000);
            }
            // The compressor of the table keeps what is little.
            for n in 0..if message.contains("table") { 3_000 } else { 0 } {
                fs::write(root.path().join(format!("{n:05}")), n.to_string()).expect("written");
            }
            let mut client = server.client();
            client.send(b"GET /?archive=zip HTTP/1.1\r\nHost: a\r\n\r\n");
            let sent = client.read_to_end_or_reset();
            assert!(!sent.ends_with(b"\r\n0\r\n\r\n"), "no last chunk");
            eventually("it is logged", || {
                let expected = format!("archive aborted: {message}");
                server.state.errors().iter().any(|error| error.contains(&expected))
            });
        }
    }

    fn an_archive_that_waits_too_long_is_a_503(runtime: Runtime) {
        let (root, server) = serve(runtime, |site| {
            (site.max_archives, site.listing_queue_timeout) = (1, Duration::from_millis(100));
        });
        sparse(&root.path().join("a"), LARGE);
        let mut slow = server.client();
        slow.send(b"GET /?archive=tar HTTP/1.1\r\nHost: a\r\n\r\n");
        slow.peek(); // and reads no further
        let mut client = server.client();
        let late = client.request("GET", "/?archive=tar", &[]);
        assert_eq!((late.status, late.header("Retry-After")), (503, Some("1")));
        assert_eq!(client.request("HEAD", "/?archive=tar", &[]).status, 200, "costs nothing");
        assert_eq!(client.request("GET", "/", &[]).status, 200);
        drop(slow); // the work ends, and its place is free again
        eventually("its place is free again", || {
            client.request("GET", "/?archive=tar", &[]).status == 200
        });
        assert!(server.state.errors().iter().any(|error| error.contains("too many archives")));
    }

    fn at_a_stop_a_small_archive_is_completed(runtime: Runtime) {
        let (root, server) = serve(runtime, |_| {});
        sparse(&root.path().join("a"), LARGE / 4);
        let mut client = server.client();
        client.send(b"GET /?archive=tar HTTP/1.1\r\nHost: a\r\n\r\n");
        client.peek();
        server.stop();
        let members = members(&client.response(false).body, "tar");
        assert_eq!(members[&b"files/a"[..]].content.len() as u64, LARGE / 4);
        server.wait_until_stopped();
    }

    fn what_may_not_be_read_is_counted_for_the_client_and_named_in_the_log(runtime: CommandRuntime) {
        let root = tempfile::tempdir().expect("a temporary directory can be made");
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the root is ours");
        };
        mode(root.path(), 0o755);
        for name in ["open", "barred"] {
            fs::write(root.path().join(name), name).expect("the root is ours");
        }
        fs::create_dir(root.path().join("locked")).expect("the root is ours");
        mode(&root.path().join("barred"), 0);
        mode(&root.path().join("locked"), 0);
        let arguments = ["0", "--bind=127.0.0.1", "--runtime", runtime.name(), "-d"];
        let inner = doorstep(&arguments);
        let mut command = as_user(65534, inner.get_program());
        command.args(inner.get_args()).arg(root.path());
        let mut server = Server::start(&mut command);
        for format in FORMATS {
            let members = members(&server.get(&format!("/?archive={format}")).body, format);
            let names: Vec<_> = members.keys().map(|name| String::from_utf8_lossy(name)).collect();
            assert_eq!(names, ["files-LEFT-OUT.txt", "files/", "files/open"], "{format}");
            let report = String::from_utf8_lossy(&members[&b"files-LEFT-OUT.txt"[..]].content);
            assert!(report.contains("and 2 that the server has no permission to read"), "{report}");
            assert!(!report.contains("barred") && !report.contains("locked"), "{report}");
        }
        mode(&root.path().join("locked"), 0o755); // so that it can be removed
        let log = text(&server.end("TERM").stderr);
        let line = "/: 2 left out of the archive: files/barred: permission denied; \
                    files/locked: permission denied\n";
        assert_eq!(log.matches(line).count(), FORMATS.len(), "{log}");
    }

    fn names_of_a_large_directory_are_all_there_in_bounded_memory(runtime: Runtime) {
        let (root, server) = serve(runtime, |_| {});
        // Four times as many names as are kept at a time, below others that are then forgotten.
        let mut expected = Vec::new();
        let mut directory = "files".to_owned();
        for level in 0..6 {
            for n in 0..1_000 {
                expected.push(format!("{directory}/{n:04}{}", "x".repeat(240)));
            }
            directory = format!("{directory}/0500-{level}");
            fs::create_dir(root.path().join(&directory["files/".len()..])).expect("it is ours");
        }
        for name in &expected {
            File::create(root.path().join(&name["files/".len()..])).expect("it can be made");
        }
        let mut names = get(&server, "/?archive=tar", "tar");
        names.retain(|name, _| !name.ends_with(b"/"));
        expected.sort();
        assert!(names.into_keys().eq(expected.into_iter().map(String::into_bytes)));
    }
}

fn serve(runtime: Runtime, change: impl FnOnce(&mut Site)) -> (TempDir, TestServer) {
    // In memory, where there is room for that: many files are made.
    let root = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let root = root.expect("a temporary directory can be made");
    let site = with(with(Site::default(), |site| site.archive = true), change);
    let server = runtime.start(State::site(root.path(), site));
    (root, server)
}

fn sparse(path: &Path, size: u64) {
    File::create(path).and_then(|file| file.set_len(size)).expect("it can be made");
}

/// Makes a file of `size` bytes, a multiple of 8, that no compressor makes smaller.
fn noise(path: &Path, size: u64) {
    let mut state = 0x5eed_u64;
    let words = (0..size / 8).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    fs::write(path, words.collect::<Vec<_>>()).expect("it can be written");
}

fn get(server: &TestServer, target: &str, format: &str) -> Members {
    let response = server.client().request("GET", target, &[]);
    assert_eq!(response.status, 200, "{target}");
    members(&response.body, format)
}

/// The members of an archive. Directories end in a slash.
fn members(archive: &[u8], format: &str) -> Members {
    match format {
        "tar" => of_tar(archive),
        "tar.gz" => of_tar(GzDecoder::new(archive)),
        _ => of_zip(archive),
    }
}

fn of_tar(archive: impl Read) -> Members {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().expect("it is a tar archive");
    let members = entries.map(|entry| {
        let mut entry = entry.expect("it is complete");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("it is complete");
        let header = entry.header();
        assert_eq!((header.uid().ok(), header.gid().ok()), (Some(0), Some(0)));
        assert_eq!(
            (header.username_bytes(), header.groupname_bytes()),
            (Some(&b""[..]), Some(&b""[..]))
        );
        let mode = header.mode().expect("it has one");
        let modified = header.mtime().expect("it has one");
        let name = entry.path_bytes().into_owned();
        assert_eq!(header.entry_type().is_dir(), name.ends_with(b"/"));
        (name, Member { mode, modified, content })
    });
    members.collect()
}

fn of_zip(archive: &[u8]) -> Members {
    let mut archive = zip::ZipArchive::new(Cursor::new(archive)).expect("it is a zip archive");
    let mut members = Members::new();
    for n in 0..archive.len() {
        let mut entry = archive.by_index(n).expect("it is there");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("it is complete");
        let times = entry.extra_data_fields().find_map(|field| match field {
            zip::ExtraField::ExtendedTimestamp(time) => time.mod_time(),
            _ => None,
        });
        let mode = entry.unix_mode().expect("it was made on Unix") & 0o7777;
        let modified = times.expect("it has a time of Unix").into();
        let replaced =
            members.insert(entry.name_raw().to_vec(), Member { mode, modified, content });
        assert!(replaced.is_none(), "a name is there once");
    }
    members
}
