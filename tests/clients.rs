//! Programs that people point at a directory on the web: mirrors, file system layers, package
//! managers, delta downloaders. One definition for each, run against both runtimes.
//!
//! They need those programs, so they are ignored by default. By hand: `cargo test --test clients --
//! --ignored`, after `apt-get install` of what `.ci/run` names. Each program has a minute.
#![cfg(feature = "cli")]

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use regex::Regex;
use support::{RUNTIMES, Server, doorstep, serve, text};
use tempfile::TempDir;

/// Five directories, each with the same two files.
const DIRECTORIES: [&str; 5] = ["", "one/", "two/", "three/", "three/four/"];
const SMALL: &[u8] = b"hello\n";
const LARGE: usize = 3 << 20;

fn tree() -> TempDir {
    let root = tempfile::tempdir().expect("a temporary directory can be made");
    for directory in DIRECTORIES {
        let directory = root.path().join(directory);
        fs::create_dir_all(&directory).expect("the root is ours");
        fs::write(directory.join("a.txt"), SMALL).expect("the root is ours");
        fs::write(directory.join("large"), vec![b'x'; LARGE]).expect("the root is ours");
    }
    root
}

fn files() -> BTreeSet<String> {
    let names = |directory| ["a.txt", "large"].map(|name| format!("{directory}{name}"));
    DIRECTORIES.into_iter().flat_map(names).collect()
}

/// Whether `copy` holds the files of the tree.
fn is_mirrored(copy: &Path) -> bool {
    files().iter().all(|name| {
        let size = fs::metadata(copy.join(name)).map(|found| found.len());
        size.is_ok_and(|size| {
            size == if name.ends_with("large") { LARGE } else { SMALL.len() } as u64
        })
    })
}

fn url(server: &Server) -> String {
    format!("http://127.0.0.1:{}/", server.port)
}

/// Runs a shell script in `directory` with `$url`, for a minute at most.
fn run(script: &str, directory: &Path, url: &str) -> Output {
    let mut command = Command::new("timeout");
    command.args(["60", "bash", "-euo", "pipefail", "-c", script]);
    command.current_dir(directory).env("HOME", directory).env("url", url);
    command.output().expect("timeout and bash are installed")
}

fn succeeds(script: &str, directory: &Path, url: &str) -> String {
    let output = run(script, directory, url);
    let printed = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{script}: {:?}: {printed}", output.status);
    text(&output.stdout)
}

/// What was asked for, in order, by the log of a server that is ended.
fn requests(server: &mut Server) -> Vec<String> {
    let line = Regex::new("\"([A-Z]+ [^ ]+) HTTP/1.[01]\"").expect("a pattern");
    let log = text(&server.end("TERM").stderr);
    line.captures_iter(&log).map(|found| found[1].to_owned()).collect()
}

/// Each file and each directory once, and `robots.txt`.
fn requests_each_once(mut requests: Vec<String>) {
    requests.retain(|request| request != "GET /robots.txt");
    requests.sort();
    let all = files().into_iter().chain(DIRECTORIES.map(str::to_owned));
    let mut expected: Vec<_> = all.map(|name| format!("GET /{name}")).collect();
    expected.sort();
    assert_eq!(requests, expected);
}

#[test]
#[ignore = "needs wget: cargo test --test clients -- --ignored"]
fn r_19_wget_mirrors_a_tree() {
    let root = tree();
    for runtime in RUNTIMES {
        let mut server = serve(root.path(), &[runtime]);
        let copy = tempfile::tempdir().expect("a temporary directory can be made");
        succeeds("wget -q --mirror --no-host-directories $url", copy.path(), &url(&server));
        assert!(is_mirrored(copy.path()), "{runtime}");
        requests_each_once(requests(&mut server));
    }
}

#[test]
#[ignore = "needs wget: cargo test --test clients -- --ignored"]
fn r_19_wget_requests_each_of_six_entries_once() {
    let root = tempfile::tempdir().expect("a temporary directory can be made");
    let names = ["README.md", "a.txt", "b.jpg", "c d.zip", "e.html", "f"];
    for name in names {
        fs::write(root.path().join(name), SMALL).expect("the root is ours");
    }
    for runtime in RUNTIMES {
        let mut server = serve(root.path(), &[runtime, "--readme"]);
        let copy = tempfile::tempdir().expect("a temporary directory can be made");
        succeeds("wget -q -r -np -nH $url", copy.path(), &url(&server));
        for name in names {
            assert!(copy.path().join(name).is_file(), "{runtime}: {name}");
        }
        let requests = requests(&mut server);
        let others = requests.iter().filter(|request| *request != "GET /robots.txt");
        assert_eq!(others.count(), names.len() + 1, "{runtime}: {requests:?}");
    }
}

#[test]
#[ignore = "needs httrack: cargo test --test clients -- --ignored"]
fn r_19_httrack_mirrors_a_tree() {
    let root = tree();
    for runtime in RUNTIMES {
        let mut server = serve(root.path(), &[runtime]);
        let copy = tempfile::tempdir().expect("a temporary directory can be made");
        // Without its courtesies to servers elsewhere: 100 KB and a few requests a second.
        let script = "httrack -q -O . --disable-security-limits -A100000000 -%c100 $url </dev/null";
        succeeds(script, copy.path(), &url(&server));
        let below = copy.path().join(format!("127.0.0.1_{}", server.port));
        for name in files().iter().filter(|name| name.ends_with(".txt")) {
            assert!(below.join(name).is_file(), "{runtime}: {name}");
        }
        requests_each_once(requests(&mut server));
    }
}

#[test]
#[ignore = "needs lftp: cargo test --test clients -- --ignored"]
fn r_21_lftp_lists_and_mirrors_a_tree() {
    let root = tree();
    let large =
        Regex::new(r"(?m)^-\S+ +3\.0M +\d{4}-\d\d-\d\d \d\d:\d\d +large$").expect("a pattern");
    let small = Regex::new(r"(?m)^-\S+ +6 +\d{4}-\d\d-\d\d \d\d:\d\d +a\.txt$").expect("a pattern");
    let folder = Regex::new(r"(?m)^d\S+ +- +\d{4}-\d\d-\d\d \d\d:\d\d +three$").expect("a pattern");
    const QUICK: &str = "set net:max-retries 2; set net:timeout 5; set cmd:fail-exit yes";
    for runtime in RUNTIMES {
        let mut server = serve(root.path(), &[runtime]);
        let copy = tempfile::tempdir().expect("a temporary directory can be made");
        let script = format!("lftp -c \"{QUICK}; open $url; ls\" </dev/null");
        let list = succeeds(&script, copy.path(), &url(&server));
        for line in [&large, &small, &folder] {
            assert!(line.is_match(&list), "{runtime}: {line} in {list}");
        }
        let script = format!("lftp -c \"{QUICK}; open $url; mirror . .\" </dev/null");
        succeeds(&script, copy.path(), &url(&server));
        assert!(is_mirrored(copy.path()), "{runtime}");
        assert!(requests(&mut server).iter().all(|request| !request.contains('?')), "{runtime}");
    }
}

#[test]
#[ignore = "needs fsspec, aiohttp and requests for Python: cargo test --test clients -- --ignored"]
fn r_20_fsspec_finds_every_entry_below_and_nothing_else() {
    let root = tree();
    let script = "/usr/bin/python3 -c '
import fsspec, os
url = os.environ[\"url\"]
http = fsspec.filesystem(\"http\")
for found in http.find(url) + [\"\"] + http.glob(url + \"three/**\"):
    print(found.removeprefix(url))
'";
    for runtime in RUNTIMES {
        let server = serve(root.path(), &[runtime]);
        let list = succeeds(script, root.path(), &url(&server));
        let (found, matched) = list.split_once("\n\n").expect("an empty line between them");
        assert_eq!(found.lines().map(str::to_owned).collect::<BTreeSet<_>>(), files(), "{runtime}");
        let below = |name: &str| name.starts_with("three/");
        let matched: BTreeSet<_> =
            matched.lines().filter(|name| !name.ends_with('/')).map(str::to_owned).collect();
        assert_eq!(matched, files().into_iter().filter(|name| below(name)).collect(), "{runtime}");
    }
}

#[test]
#[ignore = "needs rclone: cargo test --test clients -- --ignored"]
fn r_20_rclone_finds_every_entry_below_with_its_size() {
    let root = tree();
    let sized = |name: String| {
        let size = if name.ends_with("large") { LARGE } else { SMALL.len() };
        format!("{name};{size}")
    };
    let expected: BTreeSet<_> = files().into_iter().map(sized).collect();
    for runtime in RUNTIMES {
        let server = serve(root.path(), &[runtime]);
        let script = "rclone lsf --config '' -R --files-only --format ps --http-url $url :http:";
        let list = succeeds(script, root.path(), &url(&server));
        assert_eq!(list.lines().map(str::to_owned).collect::<BTreeSet<_>>(), expected, "{runtime}");
    }
}

#[test]
#[ignore = "needs apt and dpkg: cargo test --test clients -- --ignored"]
fn apt_takes_packages_from_a_directory() {
    let root = tempfile::tempdir().expect("a temporary directory can be made");
    let package = "mkdir -p build/DEBIAN repository
printf 'Package: doorstep-test\\nVersion: 1.0\\nArchitecture: all\\nMaintainer: a <a@b.example>\\n\
Description: nothing\\n' > build/DEBIAN/control
dpkg-deb -b build repository/doorstep-test_1.0+x~y_all.deb
cd repository
{ cat ../build/DEBIAN/control
  echo \"Filename: ./$(ls *.deb)\"
  echo \"Size: $(stat -c %s *.deb)\"
  echo \"SHA256: $(sha256sum *.deb | cut -d' ' -f1)\"
} > Packages";
    succeeds(package, root.path(), "");
    let script = "mkdir -p state/lists/partial cache/archives/partial
echo \"deb [trusted=yes] $url ./\" > list
apt() { apt-get -q -o Dir::State=$PWD/state -o Dir::State::status=/dev/null -o Dir::Cache=$PWD/cache \
  -o Dir::Etc::sourcelist=$PWD/list -o Dir::Etc::sourceparts=- -o APT::Sandbox::User=root \
  -o Acquire::Retries=0 \"$@\"; }
apt update
apt download doorstep-test
cmp *.deb $repository/*.deb
apt update";
    for runtime in RUNTIMES {
        let repository = root.path().join("repository");
        let server = serve(&repository, &[runtime]);
        let user = tempfile::tempdir().expect("a temporary directory can be made");
        let script = format!("repository={}\n{script}", repository.display());
        succeeds(&script, user.path(), &url(&server));
    }
}

/// 16 MB that no compressor makes smaller, and the same with 88 changes far apart: an old version
/// from which most of the new one can be taken.
const VERSIONS: &str =
    "openssl enc -aes-128-ctr -K 00 -iv 00 -in /dev/zero 2>error | head -c 16000000 > new || true
cp new old
for n in $(seq 88); do
  printf changed | dd of=old bs=1 seek=$((n * 180000)) conv=notrunc status=none
done";

#[test]
#[ignore = "needs zsync: cargo test --test clients -- --ignored"]
fn r_16_r_17_zsync_fetches_only_changed_blocks() {
    let root = tempfile::tempdir().expect("a temporary directory can be made");
    succeeds(VERSIONS, root.path(), "");
    succeeds("zsyncmake -u new new", root.path(), "");
    for runtime in RUNTIMES {
        let mut server = serve(root.path(), &[runtime]);
        let user = tempfile::tempdir().expect("a temporary directory can be made");
        let script = format!("zsync -q -i {}/old -o got ${{url}}new.zsync", root.path().display());
        succeeds(&script, user.path(), &url(&server));
        let same =
            |name| fs::read(root.path().join("new")).ok() == fs::read(user.path().join(name)).ok();
        assert!(same("got"), "{runtime}");
        let log = text(&server.end("TERM").stderr);
        assert!(log.contains("\"GET /new HTTP/1.1\" 206"), "{runtime}: {log}");
        assert!(!log.contains("\"GET /new HTTP/1.1\" 200"), "{runtime}: {log}");
    }
}

#[test]
#[ignore = "needs zchunk: cargo test --test clients -- --ignored"]
fn r_17_zckdl_fetches_only_changed_chunks() {
    let root = tempfile::tempdir().expect("a temporary directory can be made");
    succeeds(VERSIONS, root.path(), "");
    succeeds("zck -o new.zck new; zck -o old.zck old", root.path(), "");
    for runtime in RUNTIMES {
        let mut server = serve(root.path(), &[runtime]);
        let user = tempfile::tempdir().expect("a temporary directory can be made");
        let script = format!("zckdl -s {}/old.zck ${{url}}new.zck", root.path().display());
        succeeds(&script, user.path(), &url(&server));
        let [got, new] = [user.path(), root.path()].map(|at| fs::read(at.join("new.zck")).ok());
        assert!(got.is_some() && got == new, "{runtime}");
        let log = text(&server.end("TERM").stderr);
        assert!(!log.contains("\"GET /new.zck HTTP/1.1\" 200"), "{runtime}: {log}");
    }
}

#[test]
#[ignore = "needs curl, ip, and the right to a network of its own: cargo test --test clients -- --ignored"]
fn r_30_curl_takes_the_url_of_a_link_local_address() {
    let root = tree();
    let doorstep = doorstep(&[]).get_program().to_owned();
    let inside = "ip link set lo up
ip link add one.2 type veth peer name two
ip address add fe80::1/64 dev one.2 nodad
ip link set two up; ip link set one.2 up
$doorstep 0 $runtime --bind fe80::1%one.2 > $banner & server=$!
for n in $(seq 100); do [ -s $banner ] && break; sleep 0.05; done
url=$(sed -n 's/.*(\\(http[^)]*\\)).*/\\1/p' $banner)
echo $url
curl -sS --max-time 5 ${url}a.txt
kill $server";
    for runtime in RUNTIMES {
        let temporary = tempfile::tempdir().expect("a temporary directory can be made");
        let mut command = Command::new("timeout");
        command.args(["60", "unshare", "--net", "--map-root-user", "bash", "-euc", inside]);
        command.env("doorstep", &doorstep).env("runtime", runtime);
        command.env("banner", temporary.path().join("banner")).current_dir(root.path());
        let output = command.output().expect("timeout and unshare are installed");
        let printed = text(&output.stdout) + &text(&output.stderr);
        assert!(printed.contains("http://[fe80::1%25one.2]:"), "{runtime}: {printed}");
        assert!(printed.contains("\nhello\n"), "{runtime}: {printed}");
    }
}
