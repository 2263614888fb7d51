//! Archives in the programs that people open them with: GNU tar, bsdtar, unzip, 7z and Python.
//!
//! They need those programs, so they are ignored by default. By hand: `cargo test --test archive_tools
//! -- --ignored`, after `apt-get install` of what `.ci/run` names. Each program has five minutes.
#![cfg(feature = "cli")]

#[path = "support/mod.rs"]
mod support;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use support::{RUNTIMES, serve, text};
use tempfile::TempDir;

/// Runs a shell script in `directory` with `$url`.
fn run(script: &str, directory: &Path, port: u16) -> String {
    let mut command = Command::new("timeout");
    command.args(["300", "bash", "-euo", "pipefail", "-c", script]).current_dir(directory);
    command.env("url", format!("http://127.0.0.1:{port}")).env("LC_ALL", "C.UTF-8");
    let output = command.output().expect("timeout and bash are installed");
    let printed = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{script}: {:?}: {printed}", output.status);
    text(&output.stdout)
}

/// A tree with names of every kind.
fn tree() -> TempDir {
    let root = tempfile::tempdir().expect("a temporary directory can be made");
    let deep = root.path().join(["d"; 4].map(|name| name.repeat(200)).join("/"));
    for directory in [root.path().join("docs/empty"), deep.clone()] {
        fs::create_dir_all(directory).expect("the root is ours");
    }
    for (name, content) in
        [("a.txt", "hello"), ("none", ""), ("\u{fc}ml\u{e4}ut \u{1f980}", "x"), ("-rf", "y")]
    {
        fs::write(root.path().join("docs").join(name), content).expect("the root is ours");
    }
    fs::write(deep.join("deep"), "deep").expect("the root is ours");
    fs::write(root.path().join("photo.jpg"), vec![b'j'; 300_000]).expect("the root is ours");
    root
}

#[test]
#[ignore = "needs bsdtar, unzip and 7z: cargo test --test archive_tools -- --ignored"]
fn what_is_unpacked_is_the_tree() {
    let root = tree();
    let script = "unpack() {
  rm -rf out; mkdir out
  curl -sSf \"$url/?archive=$1\" > archive
  (cd out; eval \"$2\") > log
  diff -r \"$root\" out/files
}
for z in tar tar.gz; do
  unpack $z 'tar xf ../archive'
  unpack $z 'bsdtar xf - < ../archive'
done
unpack tar.gz 'gunzip < ../archive | tar x'
unpack zip 'unzip -q ../archive'
unpack zip 'bsdtar xf ../archive'
unpack zip 'bsdtar xf - < ../archive' # as a stream, without its table of contents
unpack zip '7z x ../archive'
unpack zip 'python3 -m zipfile -e ../archive .'
unpack tar 'python3 -m tarfile -e ../archive .'
curl -sSfOJ \"$url/docs/?archive=tar.gz\"
tar tzf docs.tar.gz";
    for runtime in RUNTIMES {
        let server = serve(root.path(), &[runtime]);
        let user = tempfile::tempdir().expect("a temporary directory can be made");
        let script = format!("root='{}'\n{script}", root.path().display());
        let names = run(&script, user.path(), server.port);
        assert!(names.starts_with("docs/\n") && names.lines().count() == 6, "{runtime}: {names}");
    }
}

/// The commands at the start of docs/archives.md.
#[test]
#[ignore = "needs curl and wget: cargo test --test archive_tools -- --ignored"]
fn the_commands_of_the_guide_fetch_archives() {
    let guide = include_str!("../docs/archives.md");
    let (_, block) = guide.split_once("```sh\n").expect("it has commands");
    let commands = block.split("```").next().unwrap_or("");
    let root = tempfile::tempdir().expect("a temporary directory can be made");
    fs::create_dir(root.path().join("pictures")).expect("the root is ours");
    fs::write(root.path().join("pictures/a.jpg"), "a").expect("the root is ours");
    for runtime in RUNTIMES {
        let server = serve(root.path(), &[runtime]);
        let user = tempfile::tempdir().expect("a temporary directory can be made");
        let url = format!("http://127.0.0.1:{}", server.port);
        run(&commands.replace("http://host:8000", &url), user.path(), server.port);
        for file in ["pictures.zip", "pictures/a.jpg", "files.tar.gz"] {
            assert!(user.path().join(file).is_file(), "{runtime}: {file}");
        }
    }
}

#[test]
#[ignore = "needs bsdtar and unzip: cargo test --test archive_tools -- --ignored"]
fn a_name_that_is_not_utf_8_is_unpacked_as_it_is() {
    let root = tempfile::tempdir().expect("a temporary directory can be made");
    let long = [&[0xff; 150][..], b"/", &[0xfe; 150]].concat();
    fs::create_dir(root.path().join(OsStr::from_bytes(&long[..150]))).expect("the root is ours");
    for name in [&b"caf\xe9"[..], &long] {
        fs::write(root.path().join(OsStr::from_bytes(name)), name).expect("the root is ours");
    }
    let script = "rm -rf out; mkdir out
curl -sSf \"$url/?archive=tar\" | tar x -C out
diff -r \"$root\" out/files
curl -sSf \"$url/?archive=zip\" > archive
unzip -tq archive
bsdtar tf archive | wc -l";
    for runtime in RUNTIMES {
        let server = serve(root.path(), &[runtime]);
        let user = tempfile::tempdir().expect("a temporary directory can be made");
        let script = format!("root='{}'\n{script}", root.path().display());
        assert!(run(&script, user.path(), server.port).ends_with("4\n"), "{runtime}");
    }
}

#[test]
#[ignore = "needs bsdtar, unzip and 7z: cargo test --test archive_tools -- --ignored"]
fn a_hundred_thousand_files_and_five_gibibytes() {
    let root = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let root = root.expect("a temporary directory can be made");
    fs::create_dir(root.path().join("many")).expect("the root is ours");
    for n in 0..100_000 {
        fs::write(root.path().join(format!("many/{n:06}.txt")), n.to_string()).expect("written");
    }
    let sparse = File::create(root.path().join("sparse")).expect("it can be made");
    sparse.set_len(5 << 30).expect("the file system has sparse files");
    fs::write(root.path().join("tail"), "after it").expect("the root is ours");
    const CHECK: &str = "check() { [ \"$1\" = \"$2\" ] || { echo \"$1 is not $2\"; exit 1; }; }";
    let tar = "curl -sSf \"$url/?archive=tar\" | tar tv > list
check \"$(wc -l < list)\" 100004
grep -q ' 5368709120 .* files/sparse$' list";
    let zip = "curl -sSf \"$url/?archive=zip\" > archive
unzip -tqq archive
check \"$(bsdtar tf - < archive | wc -l)\" 100004
7z t archive | grep -q '^Everything is Ok'
check \"$(python3 -c '
import zipfile
archive = zipfile.ZipFile(\"archive\")
print(archive.getinfo(\"files/sparse\").file_size, archive.read(\"files/tail\"))')\" \"5368709120 b'after it'\"";
    // One runtime for each: the bytes are made by the same code.
    for (runtime, script) in RUNTIMES.into_iter().zip([tar, zip]) {
        let server = serve(root.path(), &[runtime]);
        let user = tempfile::tempdir().expect("a temporary directory can be made");
        run(&format!("{CHECK}\n{script}"), user.path(), server.port);
    }
}
