//! Uploads of the command, by the clients that people use: curl sends files and forms, continues what
//! broke off, and shows the sentences of refusals.
#![cfg(feature = "cli")]
#![allow(clippy::print_stdout, reason = "a test says if it is not run")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use doorstep::driver::os::Sandbox;
use support::{RUNTIMES, Server, doorstep, root, serve, text};
use tempfile::TempDir;

/// The ABI of Landlock that the strict sandbox needs.
const STRICT_ABI: u32 = 4;

/// What curl prints for the arguments and an address, which is the first word after them.
fn curl(server: &Server, directory: &TempDir, arguments: &[&str], path: &str) -> String {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-m", "20"]).args(arguments).current_dir(directory.path());
    let output = curl.arg(format!("http://127.0.0.1:{}{path}", server.port)).output();
    let output = output.expect("curl is installed");
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout)
}

/// Files to send: `small.txt`, and `big.bin` of 3 MiB.
fn files() -> TempDir {
    let files = tempfile::tempdir().expect("a temporary directory can be made");
    fs::write(files.path().join("small.txt"), "small\n").expect("it can be written");
    let big: Vec<u8> = (0..3_u32 << 18).flat_map(|n| (n ^ n >> 5).to_le_bytes()).collect();
    fs::write(files.path().join("big.bin"), big).expect("it can be written");
    files
}

fn is_same(one: &TempDir, other: &Path, name: &str) -> bool {
    fs::read(one.path().join(name)).expect("it is there")
        == fs::read(other.join(name)).unwrap_or_default()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("it can be read");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn curl_uploads_files_also_within_the_strict_sandbox() {
    for runtime in RUNTIMES {
        for sandbox in ["--sandbox=auto", "--sandbox=strict", "--sandbox=off"] {
            let landlock = Sandbox::default().probe().landlock_abi();
            if sandbox == "--sandbox=strict" && landlock < STRICT_ABI {
                println!("not tested: Landlock ABI {landlock} on this kernel");
                continue;
            }
            let (root, files) = (root(), files());
            fs::create_dir(root.path().join("in")).expect("it can be made");
            let server = serve(root.path(), &[runtime, sandbox, "--upload=in"]);
            let put = |path| curl(&server, &files, &["-T", "big.bin"], path);
            assert_eq!(put("/in/"), "stored /in/big.bin (3145728 bytes)\n", "{sandbox}");
            assert!(is_same(&files, &root.path().join("in"), "big.bin"));
            assert!(put("/in/").starts_with("There is a file of this name already"));
            let elsewhere = "Files are stored in /in/ and below it, and nowhere else.\n";
            assert_eq!(put("/"), elsewhere, "above the directory");
            let form =
                ["-F", "file=@small.txt", "-F", "file=@big.bin;filename=../c d", "-F", "x=y"];
            let sent = curl(&server, &files, &form, "/in/");
            assert_eq!(sent, "stored small.txt (6 bytes)\nstored c d (3145728 bytes)\n");
            assert_eq!(names(&root.path().join("in")), ["big.bin", "c d", "small.txt"]);
            assert_eq!(curl(&server, &files, &[], "/in/small.txt"), "small\n");
        }
    }
}

#[test]
fn curl_continues_an_upload_that_broke_off() {
    for runtime in RUNTIMES {
        let (root, files) = (root(), files());
        let server = serve(root.path(), &[runtime, "--upload"]);
        let url = format!("http://127.0.0.1:{}/big.bin", server.port);
        // It is ended in the middle of the file.
        let mut client = server.client();
        let big = fs::read(files.path().join("big.bin")).expect("it is there");
        let head =
            format!("PUT /big.bin HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", big.len());
        client.send(head.as_bytes());
        client.send(&big[..1_000_000]);
        client.shutdown_write();
        assert_eq!(client.response(false).status, 400);
        assert_eq!(names(root.path()), ["a.txt"]);
        // The lines of docs/uploads.md.
        let script = format!(
            "offset=$(curl -sI {url} | tr -d '\\r' | sed -n 's/^[Uu]pload-[Oo]ffset: //p')\n\
             echo \"$offset\"\ncurl -sS -C \"${{offset:-0}}\" -T big.bin {url}"
        );
        let output = Command::new("sh").args(["-c", &script]).current_dir(files.path()).output();
        let output = output.expect("there is a shell");
        assert_eq!(text(&output.stdout), "1000000\nstored /big.bin (3145728 bytes)\n");
        assert!(is_same(&files, root.path(), "big.bin"));
        // Without an offset, curl sends the whole file.
        let whole = curl(&server, &files, &["-C", "-", "-T", "big.bin"], "/whole.bin");
        assert_eq!(whole, "stored /whole.bin (3145728 bytes)\n");
        assert!(
            curl(&server, &files, &["-C", "5", "-T", "big.bin"], "/new")
                .starts_with("There is no part")
        );
    }
}

/// The files in the making that the server has open.
#[cfg(target_os = "linux")]
fn open_parts(server: &Server) -> usize {
    let descriptors = fs::read_dir(format!("/proc/{}/fd", server.id())).expect("it runs");
    let targets = descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    let is_part = |target: &Path| {
        let target = target.to_string_lossy().into_owned();
        target.ends_with(" (deleted)") || target.ends_with(".upload")
    };
    targets.filter(|target| is_part(target)).count()
}

#[test]
#[cfg(target_os = "linux")]
fn a_superseded_part_holds_neither_a_descriptor_nor_space() {
    for runtime in RUNTIMES {
        let (root, files) = (root(), files());
        let server = serve(root.path(), &[runtime, "--upload", "--overwrite"]);
        let cut = || {
            let mut client = server.client();
            client.send(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
            client.shutdown_write();
            assert_eq!(client.response(false).status, 400);
            assert_eq!(open_parts(&server), 1);
        };
        cut();
        assert_eq!(curl(&server, &files, &["-T", "small.txt"], "/x"), "stored /x (6 bytes)\n");
        assert_eq!(open_parts(&server), 0);
        cut();
        fs::remove_file(root.path().join("x")).expect("it is there");
        let head = curl(&server, &files, &["-I"], "/x");
        assert!(!head.contains("pload-"), "{head}");
        assert_eq!(open_parts(&server), 0);
    }
}

/// A server of a file system of 1 MiB.
#[cfg(target_os = "linux")]
fn serve_small_disk(root: &TempDir, runtime: &str) -> Server {
    let options = ["--upload", "--upload-min-free", "0", "-d"];
    let inner = doorstep(&[&[runtime, "0", "-b", "127.0.0.1"], &options[..]].concat());
    let script = "mount -t tmpfs -o size=1m tmpfs \"$1\" && shift && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]).arg(root.path());
    command.arg(inner.get_program()).args(inner.get_args()).arg(root.path());
    Server::start(&mut command)
}

#[test]
#[cfg(target_os = "linux")]
fn interrupted_uploads_are_given_up_for_one_that_needs_their_space() {
    if !Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|done| done.success()) {
        println!("not tested: no file systems can be mounted here");
        return;
    }
    let send = |server: &Server, head: &str, body: &[u8]| {
        let mut client = server.client();
        client.send(format!("{head}\r\n\r\n").as_bytes());
        client.send(body);
        client
    };
    // Of 900 KiB, 500 KiB come. So 524 KiB are left of 1 MiB.
    let interrupt = |server: &Server| {
        let head = "PUT /part HTTP/1.1\r\nHost: a\r\nContent-Length: 921600";
        let mut client = send(server, head, &[b'x'; 500 << 10]);
        client.shutdown_write();
        assert_eq!(client.response(false).status, 400);
        assert_eq!(open_parts(server), 1);
    };
    let content = vec![b'y'; 800 << 10]; // 0xc8000 bytes
    let chunked = [b"c8000\r\n", &content[..], b"\r\n0\r\n\r\n"].concat();
    let part = b"--b\r\nContent-Disposition: form-data; name=f; filename=new\r\n\r\n";
    let form = [&part[..], &content, b"\r\n--b--\r\n"].concat();
    for runtime in RUNTIMES {
        for (head, body) in [
            ("PUT /new HTTP/1.1\r\nHost: a\r\nContent-Length: 819200".into(), &content),
            ("PUT /new HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked".into(), &chunked),
            (
                format!(
                    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\
                     Content-Type: multipart/form-data; boundary=b",
                    form.len()
                ),
                &form,
            ),
        ] {
            let root = root();
            let server = serve_small_disk(&root, runtime);
            interrupt(&server);
            assert_eq!(send(&server, &head, body).response(false).status, 201, "{head}");
            assert_eq!(open_parts(&server), 0);
            assert!(server.get("/new").body == content);
        }
        let root = root();
        let server = serve_small_disk(&root, runtime);
        interrupt(&server);
        // More than there would be without the part: it stays, and can be continued.
        let head = "PUT /new HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577";
        assert_eq!(send(&server, head, b"").response(false).status, 507);
        assert_eq!(open_parts(&server), 1);
        let head = "PUT /part HTTP/1.1\r\nHost: a\r\nContent-Length: 409600\r\n\
                    Content-Range: bytes 512000-921599/921600";
        assert_eq!(send(&server, head, &[b'x'; 400 << 10]).response(false).status, 201);
        assert!(server.get("/part").body == [b'x'; 900 << 10]);
    }
}

#[test]
fn existing_files_are_replaced_with_overwrite() {
    let (root, files) = (root(), files());
    let server = serve(root.path(), &["--upload", "--overwrite"]);
    let status = ["-o", "-", "-w", "%{http_code}", "-T", "small.txt"];
    assert_eq!(curl(&server, &files, &status, "/a.txt"), "204");
    assert_eq!(curl(&server, &files, &[], "/a.txt"), "small\n");
    let created = ["-o", "/dev/null", "-w", "%{http_code}", "-T", "small.txt"];
    assert_eq!(curl(&server, &files, &created, "/b.txt"), "201");
    let guarded = [&status[..], &["-H", "If-None-Match: *"]].concat();
    assert!(curl(&server, &files, &guarded, "/b.txt").ends_with("412"));
}

#[test]
fn a_write_error_leaves_nothing_behind_and_one_line() {
    for runtime in RUNTIMES {
        let (root, files) = (root(), files());
        let server = doorstep(&[runtime, "0", "-b", "127.0.0.1", "--upload", "-q", "-d"]);
        let program = server.get_program().to_string_lossy().into_owned();
        let arguments: Vec<_> =
            server.get_args().map(|it| it.to_string_lossy().into_owned()).collect();
        // No file of this process may be larger than 1 MiB (in blocks of 512 bytes, or of 1024).
        let script = "trap '' XFSZ; ulimit -f 1024; exec \"$@\"";
        let mut limited = Command::new("sh");
        limited.args(["-c", script, "sh", &program]).args(arguments).arg(root.path());
        let mut server = Server::start(&mut limited);
        let response = curl(&server, &files, &["-T", "big.bin"], "/");
        assert_eq!(response, "The file is larger than the file system allows.\n");
        assert_eq!(names(root.path()), ["a.txt"]);
        assert_eq!(
            curl(&server, &files, &["-T", "small.txt"], "/"),
            "stored /small.txt (6 bytes)\n"
        );
        let log = text(&server.end("TERM").stderr);
        let lines: Vec<_> = log.lines().filter(|line| line.contains("/big.bin")).collect();
        assert!(
            lines.len() == 1 && lines[0].contains("/big.bin: not stored: The file is larger"),
            "{log}"
        );
    }
}

#[test]
fn uploads_that_everyone_may_make_are_warned_about() {
    let root = root();
    let warning = |more: &[&str]| {
        let mut command = doorstep(&["0", "--upload"]);
        command.args(more).arg("-d").arg(root.path()).env("DOORSTEP_USER", "user:password");
        text(&Server::start(&mut command).end("TERM").stderr)
    };
    let expected = "can upload files; ask for a password with --auth-file";
    assert!(warning(&["-b", "0.0.0.0"]).contains(expected));
    for more in [&["-b", "127.0.0.1"][..], &["-b", "0.0.0.0", "--auth-env", "DOORSTEP_USER"]] {
        assert!(!warning(more).contains("can upload"), "{more:?}");
    }
}

#[test]
fn a_directory_of_scripts_takes_no_uploads() {
    let directory = root();
    for name in ["cgi-bin/in", "in"] {
        fs::create_dir_all(directory.path().join(name)).expect("it can be made");
    }
    for runtime in RUNTIMES {
        for options in [
            &["--cgi", "--upload=cgi-bin"][..],
            &["--cgi", "--upload=./cgi-bin/in/"],
            &["--cgi", "--cgi-dir", "in", "--upload=in"],
            &["--cgi", "--cgi-dir", "/", "--upload"],
            &["--cgi", "--cgi-dir", "/", "--upload=in"],
        ] {
            let mut command = doorstep(&["0", "-b", "127.0.0.1", runtime]);
            let output = command.args(options).arg("-d").arg(directory.path()).output();
            let output = output.expect("it starts");
            let message = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{options:?}: {message}");
            assert!(message.contains("scripts are run there; "), "{message}");
        }
        let server = serve(directory.path(), &[runtime, "--cgi", "--cgi-dir=cgi-bin", "--upload"]);
        assert_eq!(server.get("/").status, 200);
    }
}

#[test]
fn a_directory_that_takes_no_files_and_bad_values_are_errors() {
    let root = root();
    for (options, remedy) in [
        (&["--upload=missing"][..], "with --upload=DIR"),
        (&["--upload=a.txt"], "with --upload=DIR"),
        (&["--upload=../x"], "must be a path from the served directory"),
        (&["--upload", "--upload-min-free=much"], "must be a number of bytes"),
        (&["--overwrite"], "--upload"),
    ] {
        let output = doorstep(options).arg("-d").arg(root.path()).output().expect("it starts");
        let line = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(line.contains(remedy), "{line}");
    }
}

#[test]
fn a_file_that_is_sent_twice_at_once_is_one_of_them() {
    let root = root();
    let server = serve(root.path(), &["--upload", "--overwrite"]);
    let bodies: Vec<_> = (0..8_u8).map(|n| vec![n; 300_000]).collect();
    std::thread::scope(|scope| {
        for body in &bodies {
            let mut client = server.client();
            scope.spawn(move || {
                let head =
                    format!("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
                client.send(head.as_bytes());
                client.send(body);
                assert!(matches!(client.response(false).status, 201 | 204));
            });
        }
    });
    let stored = fs::read(root.path().join("x")).expect("it is there");
    assert!(bodies.contains(&stored));
}
