//! What is served from the directory: what stands under its name now (R-1, R-2), through links that
//! lead inside (R-3), and listed as far as this process can fetch it (R-4).

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use doorstep::core::site::Site;
use tempfile::TempDir;

use crate::runtimes::{CommandRuntime, Runtime, with};
use crate::service::State;
use crate::support::client::{Client, Response};
use crate::support::{Server, as_user, doorstep, settle, text, while_repeating};

on_every_runtime! {
    fn r_1_a_switched_root_link_takes_effect_at_the_next_request(runtime: Runtime) {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        for name in ["r0", "r1"] {
            fs::create_dir_all(dir.path().join(name).join("sub")).expect("it can be made");
            let write = |file: &str, size: usize| {
                let text = name.repeat(size);
                fs::write(dir.path().join(name).join(file), text).expect("it can be written");
            };
            write("a.txt", 1);
            write("large.txt", 50_000);
            write("a.txt.gz", 2);
            write("404.html", 3);
            write("sub/index.html", 4);
            write(&format!("only-{name}"), 1);
        }
        let root = dir.path().join("root");
        symlink("r0", &root).expect("a link can be made");
        let site = with(Site::default(), |s| s.precompressed = true);
        let server = runtime.start(State::site(&root, site));
        settle();
        let mut client = server.client();
        let mut see = |name: &str| {
            for _ in 0..3 {
                assert_eq!(client.request("GET", "/a.txt", &[]).body, name.as_bytes());
                let large = client.request("GET", "/large.txt", &[]).body;
                assert!(large.len() == 100_000 && large.starts_with(name.as_bytes()));
                let coded = client.request("GET", "/a.txt", &["Accept-Encoding: gzip"]);
                assert_eq!(coded.body, name.repeat(2).as_bytes());
                let missing = client.request("GET", "/missing", &["Accept: text/html"]);
                assert_eq!((missing.status, missing.body), (404, name.repeat(3).into_bytes()));
                assert_eq!(client.request("GET", "/sub/", &[]).body, name.repeat(4).as_bytes());
                let listing = page(&client.request("GET", "/", &[]));
                assert!(listing.contains(&format!("\"only-{name}\"")), "{listing}");
                let digest = client.request("GET", "/a.txt", &["Want-Repr-Digest: sha-256=1"]);
                assert!(digest.header("Repr-Digest").is_some());
                assert_eq!(digest.body, name.as_bytes());
            }
        };
        see("r0");
        let switch = |to: &str| {
            symlink(to, dir.path().join("t")).expect("a link can be made");
            fs::rename(dir.path().join("t"), &root).expect("and put in its place at once");
        };
        switch("r1");
        see("r1");
        switch("r0");
        see("r0");
        switch("r1");
        fs::remove_dir_all(dir.path().join("r0")).expect("it is there");
        see("r1");
        assert!(server.state.errors().is_empty(), "{:?}", server.state.errors());
    }

    fn r_2_a_rebuilt_root_is_served_and_requests_get_404_while_it_is_missing(runtime: Runtime) {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let root = dir.path().join("dist");
        let build = |text: &str| {
            fs::create_dir(&root).expect("it can be made");
            fs::write(root.join("a.txt"), text).expect("it can be written");
        };
        build("first");
        let site = with(Site::default(), |s| s.spa = Some("a.txt".into()));
        let server = runtime.start(State::site(&root, site));
        settle();
        let mut client = server.client();
        for episode in 1..=3 {
            for _ in 0..3 {
                assert_eq!(client.request("GET", "/a.txt", &[]).status, 200);
            }
            fs::remove_dir_all(&root).expect("it is there");
            for target in ["/a.txt", "/", "/", "/sub/", "/a.txt", "/missing"] {
                let response = client.request("GET", target, &["Accept: text/html"]);
                assert_eq!((response.status, &*response.reason), (404, "File not found"), "{target}");
            }
            let text = format!("{episode}");
            build(&text);
            assert_eq!(client.request("GET", "/a.txt", &[]).body, text.as_bytes());
            assert!(page(&client.request("GET", "/", &[])).contains("\"a.txt\""));
            let errors = server.state.errors();
            assert_eq!(errors.len(), episode, "one for each time: {errors:?}");
            let words = format!("nothing is served while {} cannot be entered: ", root.display());
            assert!(errors.iter().all(|error| error.contains(&words)), "{errors:?}");
        }
    }

    fn r_2_a_relative_root_and_the_working_directory_are_resolved_by_name(runtime: CommandRuntime) {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let work = dir.path().join("work");
        let build = |text: &str| {
            fs::create_dir_all(work.join("site")).expect("it can be made");
            fs::write(work.join("site/a.txt"), text).expect("it can be written");
        };
        build("first");
        let start = |more: &[&str]| {
            let arguments = ["0", "-b", "127.0.0.1", "--runtime", runtime.name()];
            Server::start(doorstep(&[&arguments, more].concat()).current_dir(&work))
        };
        let servers = [(start(&["-d", "site"]), "/a.txt"), (start(&[]), "/site/a.txt")];
        let see = |body: &str| {
            for (server, target) in &servers {
                assert_eq!(server.get(target).body, body.as_bytes(), "{target}");
            }
        };
        see("first");
        fs::remove_dir_all(&work).expect("it is there");
        for (server, target) in &servers {
            assert_eq!([server.get(target).status, server.get("/").status], [404, 404]);
        }
        build("second");
        see("second");
        fs::rename(&work, dir.path().join("old")).expect("it is there");
        build("third");
        see("third");
    }

    fn r_2_an_inaccessible_root_is_treated_as_a_missing_one(runtime: CommandRuntime) {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let root = dir.path().join("root");
        fs::create_dir(&root).expect("it can be made");
        fs::write(root.join("a.txt"), "hello\n").expect("it can be written");
        let mode = |path: &Path, mode: u32| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
        };
        mode(dir.path(), 0o755);
        mode(&root, 0o755);
        let mut server = start_as_nobody(runtime, &root);
        for way in [dir.path(), &root] {
            assert_eq!(server.get("/a.txt").body, b"hello\n");
            mode(way, 0);
            let statuses = ["/a.txt", "/", "/a.txt"].map(|target| server.get(target).status);
            mode(way, 0o755);
            assert_eq!(statuses, [404, 404, 404]);
        }
        assert_eq!(server.get("/a.txt").body, b"hello\n");
        let log = text(&server.end("TERM").stderr);
        assert_eq!(log.matches("nothing is served while").count(), 2, "{log}");
        assert!(log.contains("/a.txt: nothing is served while"), "{log}");
    }

    fn r_2_a_working_directory_without_an_accessible_path_is_served(runtime: CommandRuntime) {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let inner = dir.path().join("inner");
        fs::create_dir(&inner).expect("it can be made");
        fs::write(inner.join("a.txt"), "hello\n").expect("it can be written");
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o755)).expect("it is ours");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).expect("it is ours");
        let command = doorstep(&["0", "-b", "127.0.0.1", "--runtime", runtime.name()]);
        let mut nobody = as_user(65534, command.get_program());
        let server = Server::start(nobody.args(command.get_args()).current_dir(&inner));
        for _ in 0..2 {
            assert_eq!(server.get("/a.txt").body, b"hello\n");
            assert!(page(&server.get("/")).contains("\"a.txt\""));
        }
    }

    fn r_2_a_file_system_mounted_over_the_root_is_served(runtime: CommandRuntime) {
        if !can(&["unshare", "-m", "true"]) {
            return skipped("no file systems can be mounted here");
        }
        let root = tempfile::tempdir().expect("a temporary directory can be made");
        fs::write(root.path().join("a.txt"), "beneath").expect("it can be written");
        let inner = doorstep(&["0", "-b", "127.0.0.1", "--runtime", runtime.name(), "-d"]);
        let mut command = Command::new("unshare");
        command.arg("-m").arg(inner.get_program()).args(inner.get_args()).arg(root.path());
        let server = Server::start(&mut command);
        assert_eq!(server.get("/a.txt").body, b"beneath");
        let inside = |script: &str| {
            let id = server.id().to_string();
            let within = ["-m", "-t", &id, "sh", "-c", script, "sh"];
            let done = Command::new("nsenter").args(within).arg(root.path()).status();
            assert!(done.expect("nsenter is installed").success(), "{script}");
        };
        inside("mount -t tmpfs none \"$1\" && echo mounted > \"$1/a.txt\" && touch \"$1/b.txt\"");
        assert_eq!(server.get("/a.txt").body, b"mounted\n");
        assert!(page(&server.get("/")).contains("\"b.txt\""));
        inside("umount -l \"$1\"");
        assert_eq!(server.get("/a.txt").body, b"beneath");
        assert!(!page(&server.get("/")).contains("\"b.txt\""));
    }

    fn r_3_an_absolute_link_is_followed_if_its_target_is_beneath_the_root(runtime: Runtime) {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let at = |name: &str| dir.path().join(name);
        for name in ["site/sub", "site/indexed", "site/elsewhere", "site2"] {
            fs::create_dir_all(at(name)).expect("it can be made");
        }
        fs::write(at("site/a.txt"), "inside").expect("it can be written");
        fs::write(at("site/sub/page"), "page").expect("it can be written");
        fs::write(at("site2/a.txt"), "outside").expect("it can be written");
        fs::write(at("site/b.txt"), "b").expect("it can be written");
        for (name, target) in [
            ("abs.txt", "site/a.txt"),
            ("abs-dir", "site/sub"),
            ("indexed/index.html", "site/sub/page"),
            ("b.txt.gz", "site/sub/page"),
            ("404.html", "site/sub/page"),
            ("out.txt", "site2/a.txt"),
            ("out-dir", "site2"),
            ("elsewhere/index.html", "site2/a.txt"),
            ("a.txt.gz", "site2/a.txt"),
        ] {
            symlink(at(target), at("site").join(name)).expect("a link can be made");
        }
        let site = with(Site::default(), |s| s.precompressed = true);
        let server = runtime.start(State::site(at("site"), site));
        settle();
        let mut client = server.client();
        for _ in 0..3 {
            let mut get = |target: &str, field: &str| client.request("GET", target, &[field]).body;
            assert_eq!(get("/abs.txt", "A: b"), b"inside");
            assert_eq!(get("/abs-dir/page", "A: b"), b"page");
            assert_eq!(get("/indexed/", "A: b"), b"page");
            assert_eq!(get("/b.txt", "Accept-Encoding: gzip"), b"page");
            assert_eq!(get("/a.txt", "Accept-Encoding: gzip"), b"inside");
            assert_eq!(get("/missing", "Accept: text/html"), b"page");
            for target in ["/out.txt", "/out-dir/", "/out-dir/a.txt", "/elsewhere/"] {
                assert_eq!(client.request("GET", target, &[]).status, 404, "{target}");
            }
        }
        let listing = page(&client.request("GET", "/", &[]));
        for name in ["abs.txt", "abs-dir/", "indexed/", "b.txt.gz", "404.html"] {
            assert!(listing.contains(&format!("\"{name}\"")), "{name}: {listing}");
        }
        for name in ["out.txt", "out-dir", "elsewhere", "a.txt.gz"] {
            assert!(!listing.contains(&format!("\"{name}")), "{name}: {listing}");
        }
        let errors = server.state.errors();
        let words = "/out.txt: a link leads out of the directory that is served";
        assert!(errors.iter().any(|error| error.starts_with(words)), "{errors:?}");
    }

    fn r_3_a_link_may_name_the_root_by_a_second_mount_of_it(runtime: CommandRuntime) {
        if !can(&["unshare", "-m", "true"]) {
            return skipped("no file systems can be mounted here");
        }
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let at = |name: &str| dir.path().join(name);
        for name in ["site/sub", "mount", "outside"] {
            fs::create_dir_all(at(name)).expect("it can be made");
        }
        fs::write(at("site/a.txt"), "inside").expect("it can be written");
        fs::write(at("outside/a.txt"), "outside").expect("it can be written");
        for (name, target) in [
            ("in", "mount/a.txt"),
            ("in-again", "mount/sub/../in"),
            ("out", "mount/../outside/a.txt"),
        ] {
            symlink(at(target), at("site").join(name)).expect("a link can be made");
        }
        let inner = doorstep(&["0", "-b", "127.0.0.1", "--runtime", runtime.name(), "-d"]);
        let script = "mount --bind \"$1\" \"$2\" && shift 2 && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script, "sh"]).arg(at("site")).arg(at("mount"));
        command.arg(inner.get_program()).args(inner.get_args()).arg(at("site"));
        let server = Server::start(&mut command);
        assert_eq!([server.get("/in").body, server.get("/in-again").body], [b"inside", b"inside"]);
        assert_eq!(server.get("/out").status, 404);
    }

    fn r_3_an_absolute_link_that_changes_never_exposes_files_outside_the_root(runtime: Runtime) {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let at = |name: &str| dir.path().join(name);
        for (name, text) in [("site", "inside"), ("outside", "secret")] {
            fs::create_dir(at(name)).expect("it can be made");
            fs::write(at(name).join("a.txt"), text).expect("it can be written");
        }
        let flip = |to: &str| {
            symlink(at(to).join("a.txt"), at("site/aside")).expect("a link can be made");
            fs::rename(at("site/aside"), at("site/link")).expect("and put in its place at once");
        };
        flip("site");
        let server = runtime.start(State::files(at("site")));
        settle();
        let mut client = server.client();
        for _ in 0..5 {
            flip("site");
            for _ in 0..3 {
                assert_eq!(client.request("GET", "/link", &[]).body, b"inside");
            }
            flip("outside");
            assert_eq!(client.request("GET", "/link", &[]).status, 404, "at the next request");
        }
        while_repeating(|| ["outside", "site"].into_iter().for_each(flip), || {
            for _ in 0..2000 {
                let response = client.request("GET", "/link", &[]);
                assert!(response.status == 404 || response.body == b"inside", "{response:?}");
            }
        });
    }

    fn r_4_a_listing_has_exactly_the_entries_that_can_be_fetched(runtime: CommandRuntime) {
        let root = forbidding();
        let server = start_as_nobody(runtime, root.path());
        let mut client = server.client();
        let mut listed = listed_below(&mut client);
        listed.sort();
        for target in FORBIDDING {
            let is_listed = listed.iter().any(|listed| listed == target);
            let parent = format!("{}/", target.trim_end_matches('/').rsplit_once('/').unwrap_or_default().0);
            let is_reached = parent == "/" || listed.contains(&parent);
            let is_indexed = root.path().join(&parent[1..]).join("index.html").exists();
            let status = client.request("GET", target, &[]).status;
            if is_reached && !is_indexed {
                assert_eq!(is_listed, status == 200, "{target}: {status}, {listed:?}");
            }
        }
        if is_root() {
            let expected = "/indexed-only/ /indexed/ /link.txt /open.txt /sub/ /sub/inner.txt";
            assert_eq!(listed.join(" "), expected);
        }
    }

    fn r_4_the_owner_bits_apply_to_the_owner(runtime: CommandRuntime) {
        let root = tempfile::tempdir().expect("a temporary directory can be made");
        for (name, mode) in [("mine", 0o400), ("not-for-me", 0o044)] {
            let path = root.path().join(name);
            fs::write(&path, name).expect("it can be written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
            if is_root() {
                chown(&path, Some(65533), Some(65533)).expect("it is ours to give away");
            }
        }
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let server = start_as(65533, runtime, root.path());
        let listing = page(&server.get("/"));
        assert!(listing.contains("\"mine\"") && !listing.contains("not-for-me"), "{listing}");
        assert_eq!([server.get("/mine").status, server.get("/not-for-me").status], [200, 404]);
        // Rights beyond those of files, as root has, count too.
        for name in ["closed", "other"] {
            let path = root.path().join(name);
            fs::write(&path, name).expect("it can be written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("it is ours");
        }
        let ours = runtime.start(State::files(root.path()));
        let mut client = ours.client();
        let listing = page(&client.request("GET", "/", &[]));
        for name in ["closed", "other", "not-for-me", "mine"] {
            let status = client.request("GET", &format!("/{name}"), &[]).status;
            assert_eq!(listing.contains(&format!("\"{name}\"")), status == 200, "{name}: {status}");
        }
    }

    fn r_4_access_control_lists_are_respected(runtime: CommandRuntime) {
        let root = tempfile::tempdir().expect("a temporary directory can be made");
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        for (name, mode) in [("granted", 0o600), ("denied", 0o644), ("plain", 0o644)] {
            let path = root.path().join(name);
            fs::write(&path, name).expect("it can be written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
        }
        let set = |entry: &str, name: &str| {
            let path = root.path().join(name);
            can(&["setfacl", "-m", entry, path.to_str().expect("it is text")])
        };
        if !is_root() || !set("u:65534:r", "granted") || !set("u:65534:---", "denied") {
            return skipped("no access lists can be set here");
        }
        let server = start_as_nobody(runtime, root.path());
        let listing = page(&server.get("/"));
        for (name, is_listed) in [("granted", true), ("denied", false), ("plain", true)] {
            assert_eq!(listing.contains(&format!("\"{name}\"")), is_listed, "{name}: {listing}");
            assert_eq!(server.get(&format!("/{name}")).status == 200, is_listed, "{name}");
        }
    }

    fn r_4_an_entry_whose_path_is_too_long_to_request_is_not_listed(runtime: Runtime) {
        let root = tempfile::tempdir().expect("a temporary directory can be made");
        let name = "n".repeat(250);
        // Deeper than one call can name, so it is built from below.
        let build = "cd \"$1\" && for i in $(seq 16); do mkdir \"$2\" && cd \"$2\" || exit 1; done; \
                     touch short \"$2\"";
        let shell = ["-c", build, "sh", root.path().to_str().expect("it is text"), &name];
        assert!(Command::new("sh").args(shell).status().expect("there is a shell").success());
        let server = runtime.start(State::files(root.path()));
        let target = format!("/{}", format!("{name}/").repeat(16));
        let mut client = server.client();
        let listing = page(&client.request("GET", &target, &[]));
        assert!(listing.contains("\"short\"") && !listing.contains(&format!("\"{name}")));
        assert_eq!(client.request("GET", &format!("{target}short"), &[]).status, 200);
        assert_eq!(client.request("GET", &format!("{target}{name}"), &[]).status, 404);
        let removed = Command::new("rm").arg("-rf").arg(root.path()).status();
        assert!(removed.expect("rm is installed").success());
    }

    fn r_4_an_io_error_is_a_503_and_never_an_incomplete_listing(runtime: CommandRuntime) {
        let root = tempfile::tempdir().expect("a temporary directory can be made");
        let fuse = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/failing_fs.py");
        let try_it = [fuse.to_str().expect("it is text"), root.path().to_str().expect("text"), "true"];
        if !can(&[&["unshare", "-m", "python3"], &try_it[..]].concat()) {
            return skipped("no file system of our own can be mounted here");
        }
        let inner = doorstep(&["0", "-b", "127.0.0.1", "--runtime", runtime.name(), "-d"]);
        let mut command = Command::new("unshare");
        command.args(["-m", "python3"]).arg(fuse).arg(root.path()).arg(inner.get_program());
        let mut server = Server::start(command.args(inner.get_args()).arg(root.path()));
        let listing = page(&server.get("/"));
        for name in ["good.txt", "bad.txt", "broken/", "lost/"] {
            assert!(listing.contains(&format!("\"{name}\"")), "{name}: {listing}");
        }
        assert_eq!(server.get("/good.txt").body, b"good\n");
        for target in ["/bad.txt", "/broken/", "/lost/", "/lost/file", "/bad.txt"] {
            let response = server.get(target);
            assert_eq!((response.status, response.header("Retry-After")), (503, Some("1")), "{target}");
        }
        assert_eq!(server.get("/missing").status, 404);
        let log = text(&server.end("TERM").stderr);
        assert!(log.contains("/broken/: Input/output error"), "{log}");
    }

    fn a_lack_of_descriptors_is_a_503_and_never_an_incomplete_listing(runtime: Runtime) {
        runtime.alone("root", "a_lack_of_descriptors_is_a_503_and_never_an_incomplete_listing", || {
            let root = tempfile::tempdir().expect("a temporary directory can be made");
            for name in ["a.txt", "b.txt"] {
                fs::write(root.path().join(name), "hello\n").expect("it can be written");
            }
            symlink("a.txt", root.path().join("c.txt")).expect("a link can be made");
            let server = runtime.start(State::files(root.path()));
            let mut client = server.client();
            assert_eq!(client.request("GET", "/", &[]).status, 200);
            let mut held = exhaust();
            for target in ["/", "/a.txt", "/missing/"] {
                let response = client.request("GET", target, &[]);
                let expected = if target == "/missing/" { 404 } else { 503 };
                assert_eq!(response.status, expected, "{target}");
                let retry = response.header("Retry-After");
                assert_eq!(retry, (expected == 503).then_some("1"), "{target}");
            }
            // Enough for the directory, and not for a link in it.
            held.pop();
            assert_eq!(client.request("GET", "/", &[]).status, 503);
            drop(held);
            assert_eq!(client.request("GET", "/a.txt", &[]).status, 200);
            assert!(page(&client.request("GET", "/", &[])).contains("\"c.txt\""));
        });
    }
}

/// Takes all descriptors that this process may have.
pub(super) fn exhaust() -> Vec<File> {
    let this = std::process::id().to_string();
    let lowered = Command::new("prlimit").args(["--nofile=200:200", "--pid", &this]).status();
    assert!(lowered.expect("prlimit is installed").success());
    let take = || File::open("/dev/null").ok();
    std::iter::from_fn(take).take(1000).collect()
}

fn page(response: &Response) -> String {
    String::from_utf8(response.body.clone()).expect("B-155: UTF-8")
}

/// A directory in which the user `nobody` may access some entries and not others.
fn forbidding() -> TempDir {
    let root = tempfile::tempdir().expect("a temporary directory can be made");
    let at = |name: &str| root.path().join(name);
    let mode = |name: &str, mode: u32| {
        fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    for name in ["sub", "unreadable", "no-entry", "barred", "indexed", "indexed-only"] {
        fs::create_dir(at(name)).expect("it can be made");
    }
    let files = [
        ("open.txt", 0o644),
        ("mode-000", 0),
        ("group-may-not", 0o604),
        ("sub/inner.txt", 0o644),
        ("sub/secret.txt", 0o600),
        ("no-entry/a.txt", 0o644),
        ("barred/index.html", 0),
        ("barred/a.txt", 0o644),
        ("indexed/index.html", 0o644),
        ("indexed-only/index.html", 0o644),
    ];
    for (name, bits) in files {
        fs::write(at(name), name).expect("it can be written");
        mode(name, bits);
    }
    symlink("mode-000", at("link-to-000")).expect("a link can be made");
    symlink("no-entry/a.txt", at("link-into-no-entry")).expect("a link can be made");
    symlink("open.txt", at("link.txt")).expect("a link can be made");
    mode("", 0o755);
    for (name, bits) in [("sub", 0o755), ("barred", 0o755), ("indexed", 0o755)] {
        mode(name, bits);
    }
    for (name, bits) in [("unreadable", 0o711), ("no-entry", 0o744), ("indexed-only", 0o711)] {
        mode(name, bits);
    }
    root
}

/// What is in [`forbidding`].
const FORBIDDING: &[&str] = &[
    "/barred/",
    "/group-may-not",
    "/indexed-only/",
    "/indexed/",
    "/link-into-no-entry",
    "/link-to-000",
    "/link.txt",
    "/mode-000",
    "/no-entry/",
    "/open.txt",
    "/sub/",
    "/sub/inner.txt",
    "/sub/secret.txt",
    "/unreadable/",
];

/// All that listings lead to, each of which is fetched.
fn listed_below(client: &mut Client) -> Vec<String> {
    let mut ahead = vec![String::from("/")];
    let mut listed = Vec::new();
    while let Some(target) = ahead.pop() {
        let response = client.request("GET", &target, &["Accept: application/json"]);
        assert_eq!(response.status, 200, "{target} was listed");
        if response.header("Content-Type") == Some("application/json") {
            let json = page(&response);
            let hrefs = json.lines().filter_map(|line| line.split("\"href\":\"").nth(1));
            let hrefs = hrefs.filter_map(|rest| rest.split('"').next());
            ahead.extend(hrefs.map(|href| format!("{target}{href}")));
        }
        listed.push(target);
    }
    listed.remove(0);
    listed
}

fn start_as_nobody(runtime: Runtime, root: &Path) -> Server {
    start_as(65534, runtime, root)
}

/// The command as this user, if we may be another; else as ourselves.
fn start_as(user: u32, runtime: Runtime, root: &Path) -> Server {
    let inner = doorstep(&["0", "-b", "127.0.0.1", "--runtime", runtime.name(), "-d"]);
    let mut command = as_user(user, inner.get_program());
    command.args(inner.get_args()).arg(root);
    Server::start(&mut command)
}

fn is_root() -> bool {
    can(&["setpriv", "--reuid", "65534", "--clear-groups", "true"])
}

fn can(command: &[&str]) -> bool {
    let done = Command::new(command[0]).args(&command[1..]).output();
    done.is_ok_and(|output| output.status.success())
}

#[expect(clippy::print_stderr, reason = "a skipped test reports why")]
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}
