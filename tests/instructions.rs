//! What a request costs in instructions and allocations, counted by callgrind and compared with
//! `tests/instructions.txt`.
//!
//! Unlike times, these figures are nearly the same in every run, also on a busy machine. What is counted:
//!
//! - the difference of two runs of which one makes more requests, so that starting and stopping do not
//!   count;
//! - the thread that serves alone, so that timers of other threads do not count;
//! - instructions of the program and the standard library. Those of shared libraries depend on the
//!   processor (glibc chooses its `memcpy` by it); they are printed, and not compared;
//! - requests to a server that waits: the next one is sent when all threads of the server sleep.
//!
//! A row may have [`ROOM`] more instructions than its baseline. With another compiler than the
//! baseline's the room is [`OTHER_COMPILER_ROOM`], and with another kind of processor instructions are
//! not compared: httparse has code for AVX2, which valgrind runs where the processor has it. Allocations
//! are compared everywhere: one more for each request fails.
//!
//! A row above its room fails, with the functions that grew. Then the new code is made cheaper, or the
//! baseline is written again, by the command below, with the reason in the message of the commit. A row that
//! is below its baseline by more than the room is printed and does not fail: write the baseline then too,
//! since otherwise the gain can be lost unnoticed.
//!
//! Needs valgrind, and builds in release mode, so it is ignored by default. Compare, and write:
//!
//! ```text
//! cargo test --test instructions -- --ignored --nocapture
//! UPDATE_BASELINE=1 cargo test --test instructions -- --ignored --nocapture
//! ```
#![cfg(all(target_os = "linux", feature = "cli"))]
#![allow(clippy::print_stdout, reason = "the figures are what it is run for")]

#[path = "instructions/baseline.rs"]
mod baseline;
#[path = "instructions/profile.rs"]
mod profile;
#[path = "support/mod.rs"]
mod support;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

use baseline::{Baseline, Row};
use profile::Profile;
use support::client::Client;
use support::{RUNTIMES, Server, settle};
use tempfile::TempDir;

/// How many more instructions a row may have than its baseline: 5 %.
const ROOM: f64 = 0.05;
/// The same with another compiler: 20 %. What changes the design of a request costs more than that.
const OTHER_COMPILER_ROOM: f64 = 0.2;
/// The same of allocations: half a one. How often a reactor looks before it sleeps varies.
const ALLOCATIONS_ROOM: f64 = 0.5;

/// Requests in the longer run, more than in the shorter.
const REQUESTS: u16 = 1200;
/// Batches of each kind in every run: enough for the thread that serves to be the one that does most.
const BEFORE: u16 = 50;
/// Requests sent at once in the rows that pipeline.
const PIPELINED: u16 = 16;

const MANIFEST_DIR: &str = env!("CARGO_MANIFEST_DIR");

#[test]
#[ignore = "needs valgrind: cargo test --test instructions -- --ignored"]
fn no_request_costs_more_instructions_or_allocations_than_the_baseline() {
    let [server, cycle] = build();
    let mut rows = core_rows(&cycle);
    let root = support::root();
    let file = root.path().join("1k.txt");
    fs::write(&file, [b'x'; 1024]).expect("the root can be written to");
    let file = fs::File::options().write(true).open(&file).expect("it was written");
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    file.set_modified(modified).expect("the file is ours");
    settle();
    for runtime in RUNTIMES {
        rows.extend(server_rows(&server, root.path(), runtime));
    }
    for row in &rows {
        println!("{}", row.summary());
    }
    let path = Path::new(MANIFEST_DIR).join("tests/instructions.txt");
    let (compiler, processor) = (baseline::compiler(), baseline::processor());
    if env::var_os("UPDATE_BASELINE").is_some() {
        let new = Baseline { compiler, processor, rows };
        fs::write(&path, new.to_string()).expect("the repository can be written to");
        return;
    }
    let text = fs::read_to_string(&path).expect("the baseline is in the repository");
    let baseline = Baseline::parse(&text);
    let room = match (processor == baseline.processor, compiler == baseline.compiler) {
        (true, true) => ROOM,
        (true, false) => OTHER_COMPILER_ROOM,
        (false, _) => f64::INFINITY,
    };
    if room > ROOM {
        let made = (&baseline.compiler, &baseline.processor);
        println!("not compared closely: the baseline was made with {} on {}", made.0, made.1);
    }
    let mut failures = Vec::new();
    for row in &rows {
        let Some(base) = baseline.row(&row.name) else {
            failures.push(format!("{}: is not in the baseline", row.name));
            continue;
        };
        if row.instructions > base.instructions * (1.0 + room) {
            failures.push(row.growth(base));
        } else if row.instructions < base.instructions * (1.0 - ROOM) && room.is_finite() {
            println!(
                "better than the baseline, which should be written again: {}",
                row.change(base)
            );
        }
        if row.allocations > base.allocations + ALLOCATIONS_ROOM {
            let (more, base) = (row.allocations, base.allocations);
            failures.push(format!("{}: {more:.2} allocations, {base:.2} before", row.name));
        }
    }
    assert!(failures.is_empty(), "worse than tests/instructions.txt:\n\n{}", failures.join("\n"));
    assert_eq!(baseline.rows.len(), rows.len(), "the baseline has rows that are not counted");
}

/// On `blocking`, each connection has a thread, and so each page that a thread has touched is memory of
/// an idle connection. Most is touched at the first request, and by functions that are inlined into
/// others: what few connections need must not be.
#[test]
#[ignore = "builds in release mode: cargo test --test instructions -- --ignored"]
fn an_idle_connection_on_blocking_has_touched_two_pages_of_its_stack() {
    const CLIENTS: usize = 20;
    let [server, _] = build();
    let root = support::root();
    fs::write(root.path().join("1k.txt"), [b'x'; 1024]).expect("the root can be written to");
    settle();
    let mut command = Command::new(server);
    command.args(["0", "--quiet", "--bind", "127.0.0.1", "--runtime=blocking", "-d"]);
    let server = Server::start(command.arg(root.path()));
    let connect = || {
        let mut client = server.client();
        assert_eq!(client.request("GET", "/1k.txt", &[]).status, 200);
        client
    };
    let _first = [(); 3].map(|()| connect()); // from the third on, it is cached
    wait_until_asleep(server.id());
    let before = deep_stacks(server.id());
    let _clients = [(); CLIENTS].map(|()| connect());
    wait_until_asleep(server.id());
    let deep = deep_stacks(server.id()) - before;
    assert!(deep <= 1, "{deep} of {CLIENTS} threads have touched a third page");
}

/// How many threads have touched more than 8 KiB of a stack of 2 MiB.
fn deep_stacks(process: u32) -> usize {
    let maps = fs::read_to_string(format!("/proc/{process}/smaps")).expect("it runs");
    let values = |name: &str| -> Vec<u32> {
        let lines = maps.lines().filter_map(|line| line.strip_prefix(name));
        lines.filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
    };
    let (sizes, resident) = (values("Size:"), values("Rss:"));
    assert_eq!(sizes.len(), resident.len());
    sizes.into_iter().zip(resident).filter(|&(size, resident)| size == 2048 && resident > 8).count()
}

#[test]
fn the_baseline_is_as_it_would_be_written() {
    let text = include_str!("instructions.txt");
    assert_eq!(Baseline::parse(text).to_string(), text);
}

/// Builds the command and the loop on the core, optimised. Returns their paths.
fn build() -> [PathBuf; 2] {
    let target = Path::new(env!("CARGO_BIN_EXE_doorstep")).ancestors().nth(2).expect("target");
    let cargo = |arguments: &[&str], target: &Path| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(MANIFEST_DIR).args(["build", "--release", "--locked", "--target-dir"]);
        assert!(cargo.arg(target).args(arguments).status().expect("cargo runs").success());
    };
    cargo(&["--package", "doorstep"], target);
    let cycle = target.join("cycle");
    cargo(&["--manifest-path", "core/tests/cycle/Cargo.toml"], &cycle);
    [target.join("release/doorstep"), cycle.join("release/cycle")]
}

/// An exchange on the core alone.
fn core_rows(cycle: &Path) -> Vec<Row> {
    let row = |name: &str, request: &str| {
        let profile = |count: u16| {
            let run = Run::new(cycle);
            let status = run.command().args([request, &count.to_string()]).status();
            assert!(status.expect("valgrind is installed").success());
            run.serving_thread()
        };
        let more = profile(1000 + REQUESTS).more_than(&profile(1000), REQUESTS.into());
        Row::new(name.to_owned(), &more)
    };
    vec![row("core, 46 bytes", "small"), row("core, 705 bytes", "browser")]
}

/// Kept-alive requests over a socket.
fn server_rows(server: &Path, root: &Path, runtime: &str) -> Vec<Row> {
    let date = "If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT\r\n";
    let request = |target: &str, more: &str| {
        format!(
            "GET {target} HTTP/1.1\r\nHost: test\r\nUser-Agent: test\r\nAccept: */*\r\n{more}\r\n"
        )
    };
    let kinds = [
        ("1 KiB", request("/1k.txt", ""), 1, 200),
        ("16 pipelined", request("/1k.txt", ""), PIPELINED, 200),
        ("304", request("/1k.txt", date), 1, 304),
        ("404", request("/none", ""), 1, 404),
    ];
    // Every run begins with the same requests. The base run makes no others.
    let profile = |measured: Option<usize>| {
        let run = Run::new(server);
        let mut command = run.command();
        command.args(["0", "--quiet", "--bind", "127.0.0.1", runtime, "-d"]).arg(root);
        if runtime == "--runtime=smol" {
            command.arg("--threads=1"); // or the connection may be in another thread than the start
        }
        let mut server = Server::start(&mut command);
        let mut client = server.client();
        for (_, request, at_once, status) in &kinds {
            exchange(&server, &mut client, request, BEFORE, *at_once, *status);
        }
        if let Some((_, request, at_once, status)) = measured.map(|kind| &kinds[kind]) {
            exchange(&server, &mut client, request, REQUESTS / at_once, *at_once, *status);
        }
        drop(client);
        server.signal("TERM");
        assert!(server.wait().success());
        run.serving_thread()
    };
    let base = profile(None);
    let name = runtime.trim_start_matches("--runtime=");
    let row = |(kind, (request, ..)): (usize, &(&str, String, u16, u16))| {
        let more = profile(Some(kind)).more_than(&base, REQUESTS.into());
        Row::new(format!("{name}, {request}"), &more)
    };
    kinds.iter().enumerate().map(row).collect()
}

/// Sends `batches` batches of `at_once` requests, each when the server sleeps.
fn exchange(
    server: &Server,
    client: &mut Client,
    request: &str,
    batches: u16,
    at_once: u16,
    status: u16,
) {
    let batch = request.repeat(at_once.into());
    for _ in 0..batches {
        wait_until_asleep(server.id());
        client.send(batch.as_bytes());
        for _ in 0..at_once {
            assert_eq!(client.response(false).status, status);
        }
    }
    wait_until_asleep(server.id());
}

/// Waits until no thread of the process has anything to do, for 10 s at most.
fn wait_until_asleep(process: u32) {
    let sleeps = || {
        let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
        tasks.flatten().all(|task| {
            let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('S'))
        })
    };
    // valgrind's threads also sleep when one passes the turn to another: they are looked at twice.
    let mut looks = (0..50_000).map(|_| {
        thread::sleep(Duration::from_micros(200));
        sleeps()
    });
    let mut asleep = 0;
    let slept = looks.any(|sleeps| {
        asleep = if sleeps { asleep + 1 } else { 0 };
        asleep == 2
    });
    assert!(slept, "the server is busy without a request");
}

/// A run of a program under callgrind.
struct Run {
    program: PathBuf,
    directory: TempDir,
}

impl Run {
    fn new(program: &Path) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let program = program.canonicalize().expect("it was built");
        Self { program, directory }
    }

    fn command(&self) -> Command {
        let mut command = Command::new("valgrind");
        let file = self.directory.path().join("profile");
        command.args(["--tool=callgrind", "--compress-strings=no", "--compress-pos=no"]);
        command.args(["--separate-threads=yes", "--quiet"]);
        command.arg(format!("--callgrind-out-file={}", file.display())).arg(&self.program);
        command.stderr(Stdio::null());
        command
    }

    /// The profile of the thread that did most.
    fn serving_thread(&self) -> Profile {
        let files = fs::read_dir(self.directory.path()).expect("it can be read").flatten();
        let threads = files.map(|file| Profile::read(&file.path(), &self.program));
        let most = threads.max_by(|a, b| a.instructions().total_cmp(&b.instructions()));
        most.expect("callgrind writes a file for each thread")
    }
}
