//! `doorstep check`: what it finds, and what it prints. The examples of docs/check.md.
#![cfg(all(unix, feature = "cli"))]

mod support;

use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use regex::Regex;
use support::{as_user, doorstep, text};
use tempfile::TempDir;

const KEY: &str =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIKx1Zm9v\n-----END PRIVATE KEY-----\n";

/// A user that owns nothing, to whom permissions apply.
const NOBODY: u32 = 65534;

/// A directory with these files; a name that ends in `/` is a directory.
fn tree(names: &[&str]) -> TempDir {
    let root = tempfile::tempdir().expect("a temporary directory can be made");
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).expect("it is ours");
    for name in names {
        let path = root.path().join(name);
        match name.strip_suffix('/') {
            Some(_) => fs::create_dir_all(&path).expect("it can be made"),
            None => {
                fs::create_dir_all(path.parent().expect("it is below the root"))
                    .expect("it can be made");
                fs::write(&path, "x\n").expect("it can be written");
            }
        }
    }
    root
}

fn check(root: &Path, options: &[&str]) -> Output {
    doorstep(&["check"]).args(options).arg(root).output().expect("the command starts")
}

/// The findings as `kind path` or `kind path: detail`, and the exit code.
fn findings(root: &Path, options: &[&str]) -> (Vec<String>, i32) {
    let output = check(root, &[options, &["--format", "json"]].concat());
    (parse(&output), output.status.code().expect("it exits"))
}

fn parse(output: &Output) -> Vec<String> {
    assert_eq!(text(&output.stderr), "");
    let json = text(&output.stdout);
    let line =
        Regex::new(r#""kind":"([a-z-]+)"|"path":"(.*?)","href":".*?","detail":(null|"(.*?)")\}"#);
    let line = line.expect("it is a pattern");
    let mut kind = String::new();
    let mut found = Vec::new();
    for captures in line.captures_iter(&json) {
        if let Some(name) = captures.get(1) {
            kind = name.as_str().into();
            continue;
        }
        found.push(match captures.get(4) {
            Some(detail) => format!("{kind} {}: {}", &captures[2], detail.as_str()),
            None => format!("{kind} {}", &captures[2]),
        });
    }
    found
}

#[track_caller]
fn assert_found(root: &Path, options: &[&str], expected: &[&str], code: i32) {
    let (found, exit) = findings(root, options);
    assert_eq!(found, expected, "{options:?}");
    assert_eq!(exit, code, "{options:?}");
}

#[test]
fn a_clean_directory_has_no_findings() {
    let root = tree(&["index.html", "docs/a.txt", "img/b.png", ".well-known/security.txt"]);
    assert_found(root.path(), &[], &[], 0);
    let output = check(root.path(), &[]);
    assert_eq!(text(&output.stdout), "4 files in 4 directories: 0 warnings, 0 notes\n");
}

#[test]
fn the_default_is_the_current_directory() {
    let root = tree(&["a.bak"]);
    let output = doorstep(&["check"]).current_dir(root.path()).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("\n  a.bak\n"));
}

#[test]
fn hidden_names_are_a_note_until_they_are_served() {
    let root = tree(&[".env", ".git/HEAD", ".gitignore", "sub/.htpasswd", "index.html"]);
    assert_found(
        root.path(),
        &[],
        &[
            "hidden .env: usually holds secrets or a history",
            "hidden .git: usually holds secrets or a history",
            "hidden .gitignore",
            "hidden sub/.htpasswd: usually holds secrets or a history",
        ],
        0,
    );
    assert_found(
        root.path(),
        &["--hidden"],
        &[
            "secret-name .env",
            "secret-name .git: a directory",
            "secret-name sub/.htpasswd",
            "hidden-served .gitignore",
        ],
        1,
    );
}

#[test]
fn private_keys_are_found_by_content() {
    let root = tree(&["readme.txt"]);
    fs::write(root.path().join("notes.txt"), KEY).expect("it can be written");
    fs::write(root.path().join("cert.pem"), KEY.replace("PRIVATE KEY", "CERTIFICATE"))
        .expect("it is");
    fs::write(root.path().join("large.txt"), format!("{}{KEY}", "\n".repeat(200_000)))
        .expect("it is");
    assert_found(root.path(), &[], &["private-key notes.txt: a PEM key"], 1);
}

#[test]
fn links_by_where_they_lead_and_by_the_rule() {
    let outside = tree(&["secret.txt"]);
    let root = tree(&["a.txt", "sub/b.txt"]);
    let link =
        |target: &Path, name: &str| symlink(target, root.path().join(name)).expect("it is made");
    link(Path::new("a.txt"), "inside");
    link(&root.path().join("sub"), "absolute");
    link(Path::new("nowhere"), "broken");
    link(Path::new("loop"), "loop");
    link(&outside.path().join("secret.txt"), "out.txt");
    link(outside.path(), "outdir");
    let (file, dir) = (outside.path().join("secret.txt"), outside.path());
    let (file, dir) = (file.display(), dir.display());
    let common = ["link-broken broken: -> nowhere", "link-broken loop: -> loop"].map(str::to_owned);
    let out =
        |kind: &str| [format!("{kind} out.txt: -> {file}"), format!("{kind} outdir: -> {dir}")];
    let unknown = ["unknown-type inside".to_owned()];
    let expected = [&out("link-out")[..], &common, &unknown].concat();
    assert_eq!(findings(root.path(), &[]), (expected, 1));
    let expected = [&out("link-out-followed")[..], &common, &unknown].concat();
    assert_eq!(findings(root.path(), &["--symlinks", "follow"]), (expected, 1));
    let (found, code) = findings(root.path(), &["--symlinks", "deny"]);
    assert!(found.iter().all(|found| found.starts_with("link-denied ")), "{found:?}");
    assert_eq!((found.len(), code), (6, 0));
}

#[test]
fn a_link_to_a_hidden_file_shows_it() {
    let root = tree(&["index.html"]);
    fs::write(root.path().join(".key"), KEY).expect("it can be written");
    symlink(".key", root.path().join("key.txt")).expect("it can be made");
    assert_found(root.path(), &[], &["private-key key.txt: a PEM key", "hidden .key"], 1);
}

#[test]
fn what_the_user_may_not_read() {
    let root = tree(&["file.txt", "dir/a.txt", "open.txt"]);
    for name in ["file.txt", "dir"] {
        fs::set_permissions(root.path().join(name), Permissions::from_mode(0o000))
            .expect("it is ours");
    }
    let command = env!("CARGO_BIN_EXE_doorstep");
    // The command may be where other users may not enter.
    let copy = tree(&[]);
    fs::copy(command, copy.path().join("doorstep")).expect("it can be copied");
    let mut other = as_user(NOBODY, copy.path().join("doorstep").as_os_str());
    let output = other.args(["check", "--format", "json"]).arg(root.path()).output();
    let output = output.expect("it starts");
    fs::set_permissions(root.path().join("dir"), Permissions::from_mode(0o755))
        .expect("it is ours");
    assert_eq!(parse(&output), ["unreadable dir: Permission denied", "unreadable file.txt"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn index_pages_that_are_not_sent() {
    let root = tree(&[
        "index.html",
        "index.htm",
        "dir/index.html/",
        "case/Index.html",
        "both/index.html/",
        "both/index.htm",
    ]);
    assert_found(
        root.path(),
        &[],
        &[
            "index-shadowed index.htm: index.html is sent",
            "index-not-file both/index.html",
            "index-not-file dir/index.html",
            "index-case case/Index.html: not index.html",
        ],
        1,
    );
    assert_found(root.path(), &["--index", "start.html"], &[], 0);
}

#[test]
fn names_that_collide() {
    let root =
        tree(&["README.txt", "readme.txt", "cafe\u{301}.txt", "caf\u{e9}.txt", "b/readme.txt"]);
    if fs::read_dir(root.path()).expect("it can be read").count() < 5 {
        return; // this file system takes them for the same
    }
    assert_found(
        root.path(),
        &[],
        &[
            "case-collision README.txt: and readme.txt",
            "normalization-collision cafe\u{301}.txt: and caf\u{e9}.txt",
        ],
        1,
    );
}

#[test]
fn names_that_are_difficult() {
    let root = tree(&["a\u{202e}gpj.txt", "b\nc.txt", "con.txt", "dot."]);
    let latin = Path::new(std::ffi::OsStr::from_bytes(b"caf\xe9.txt"));
    let has_latin = fs::write(root.path().join(latin), "x").is_ok();
    let mut expected = vec![
        r"control-characters a\\xe2\\x80\\xaegpj.txt",
        r"control-characters b\\x0ac.txt",
        "unknown-type dot.",
    ];
    if has_latin {
        expected.push(r"name-encoding caf\\xe9.txt");
    }
    expected.extend([
        "name-windows con.txt: is the name of a device there",
        "name-windows dot.: ends with a dot",
    ]);
    assert_found(root.path(), &[], &expected, 1);
    let report = text(&check(root.path(), &[]).stdout);
    assert!(!report.contains('\u{202e}') && report.contains(r"b\x0ac.txt"), "{report}");
}

/// The system takes no path of 4,096 bytes and more, and the server opens files by their paths from the
/// root.
#[test]
fn what_is_beyond_the_longest_path_of_the_system_is_found() {
    use rustix::fs::{Mode, OFlags, mkdirat, open, openat, symlinkat};
    let root = tree(&[]);
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut directory = open(root.path(), flags, Mode::empty()).expect("it is there");
    let (name, levels) = ("d".repeat(53), 75);
    for _ in 0..levels {
        mkdirat(&directory, &*name, Mode::from_raw_mode(0o755)).expect("it can be made");
        directory = openat(&directory, &*name, flags, Mode::empty()).expect("it is there");
    }
    let deepest = vec![name; levels].join("/");
    // The path from the root has 4,090 bytes, and that from `/` more than 4,095.
    let key = "k".repeat(4_090 - deepest.len() - 1);
    let file =
        openat(&directory, &*key, OFlags::CREATE | OFlags::WRONLY, Mode::from_raw_mode(0o644));
    rustix::io::write(file.expect("it can be made"), KEY.as_bytes()).expect("it can be written");
    symlinkat("missing", &directory, "link").expect("it can be made");
    let expected = [
        format!("private-key {deepest}/{key}: a PEM key"),
        format!("link-broken {deepest}/link: -> missing"),
    ];
    let (found, code) = findings(root.path(), &[]);
    assert_eq!((found, code), (expected.to_vec(), 1));
}

#[test]
fn precompressed_files_that_are_stale() {
    let root = tree(&["a.css", "a.css.gz", "b.css", "b.css.br", "alone.gz"]);
    let earlier = SystemTime::now() - Duration::from_secs(60);
    let file = File::options().write(true).open(root.path().join("a.css.gz")).expect("it exists");
    file.set_times(FileTimes::new().set_modified(earlier)).expect("it is ours");
    assert_found(root.path(), &["--precompressed"], &["precompressed-stale a.css.gz"], 1);
    assert_found(root.path(), &[], &["unknown-type b.css.br"], 0);
}

#[test]
fn unknown_media_types_are_the_servers() {
    let root = tree(&["a.txt", "b.xyzzy", "Makefile"]);
    assert_found(root.path(), &[], &["unknown-type b.xyzzy"], 0);
    assert_found(root.path(), &["--content-type", "text/plain"], &[], 0);
    let types = tree(&["mime.types"]);
    let types = types.path().join("mime.types");
    fs::write(&types, "text/x-xyzzy xyzzy\n").expect("it can be written");
    let types = types.to_str().expect("it is text");
    assert_found(root.path(), &["--mime-types", types], &[], 0);
}

#[test]
fn scripts_are_sources_or_must_be_executable() {
    let root = tree(&["cgi-bin/run.sh", "cgi-bin/data.xyzzy", "page.php"]);
    let run = root.path().join("cgi-bin/run.sh");
    fs::set_permissions(&run, Permissions::from_mode(0o755)).expect("it is ours");
    assert_found(
        root.path(),
        &[],
        &[
            "source-code cgi-bin: a directory of scripts, without --cgi",
            "source-code page.php",
            "unknown-type cgi-bin/data.xyzzy",
        ],
        1,
    );
    assert_found(
        root.path(),
        &["--cgi"],
        &["source-code page.php", "script-not-executable cgi-bin/data.xyzzy"],
        1,
    );
}

#[test]
fn special_files_permissions_and_large_directories() {
    let root = tree(&["a.txt", "shared/", "many/"]);
    let _socket = UnixListener::bind(root.path().join("socket")).expect("it can be made");
    for (name, mode) in [("a.txt", 0o666), ("shared", 0o777), ("many", 0o1777)] {
        fs::set_permissions(root.path().join(name), Permissions::from_mode(mode))
            .expect("it is ours");
    }
    for n in 0..1_001 {
        fs::write(root.path().join(format!("many/{n}.txt")), "").expect("it can be written");
    }
    assert_found(
        root.path(),
        &[],
        &[
            "special-file socket",
            "large-listing many: 1001 entries",
            "writable-by-all a.txt",
            "writable-by-all shared",
        ],
        0,
    );
}

#[test]
fn a_directory_or_an_option_that_is_invalid_is_a_usage_error() {
    let root = tree(&["a.txt"]);
    let file = root.path().join("a.txt");
    let missing = root.path().join("missing");
    for (path, expected) in
        [(&file, "check is for directories"), (&missing, "there is no such directory")]
    {
        let output = check(path, &[]);
        assert_eq!((output.status.code(), &*text(&output.stdout)), (Some(2), ""));
        let error = text(&output.stderr);
        assert!(error.contains(expected) && error.contains("doorstep check DIR"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    for options in [
        &["--format", "xml"][..],
        &["--port", "1"],
        &["--mime-types", "/missing"],
        &["--spa", "b.html"],
    ] {
        assert_eq!(check(root.path(), options).status.code(), Some(2), "{options:?}");
    }
}

#[test]
fn the_text_has_colours_only_if_they_are_asked_for() {
    let root = tree(&["a.bak"]);
    let plain = check(root.path(), &[]);
    assert!(!text(&plain.stdout).contains('\x1b'));
    let mut forced = doorstep(&["check"]);
    let forced = forced.arg(root.path()).env("CLICOLOR_FORCE", "1").output().expect("it starts");
    assert!(text(&forced.stdout).starts_with("\x1b[1;33mwarning:\x1b[0m backups"));
}

/// docs/check.md: the first example.
#[test]
fn the_report_of_the_guide() {
    let home = tree(&["site/index.html", "site/keys/", "site/.git/"]);
    let site = home.path().join("site");
    fs::write(site.join("keys/server.key"), KEY).expect("it can be written");
    symlink("/var/log", site.join("logs")).expect("it can be made");
    let output = doorstep(&["check", "site"]).current_dir(home.path()).output().expect("it starts");
    let guide = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/check.md"));
    let guide = guide.expect("the guide can be read");
    let (_, example) = guide.split_once("$ doorstep check site\n").expect("it has the example");
    let (example, _) = example.split_once("```\n").expect("it ends");
    assert_eq!(text(&output.stdout), example);
}

/// docs/check.md: the JSON, read by jq.
#[test]
#[ignore = "needs jq"]
fn the_json_is_read_by_jq() {
    let root = tree(&["a.bak", "b\"\\\n.sql", ".hidden"]);
    let guide = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/check.md"));
    let guide = guide.expect("the guide can be read");
    let filter = guide.split_once("| jq -r '").expect("it has the example").1;
    let filter = filter.split_once('\'').expect("it ends").0;
    let report = check(root.path(), &["--format", "json"]).stdout;
    let file = root.path().join(".report");
    fs::write(&file, report).expect("it can be written");
    let jq = Command::new("jq").args(["-r", filter]).arg(&file).output().expect("jq is installed");
    let (backup, control) = ("a.bak\nb\"\\\\\\x0a.sql\n", "b\"\\\\\\x0a.sql\n");
    assert_eq!(text(&jq.stdout), [backup, control].concat());
}
