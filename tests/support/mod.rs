//! What the tests of the whole command share: a server process, and a [`client`] of it.
//!
//! A [`Server`] is anything that prints `http.server`'s banner: doorstep, or Python beside it. It
//! listens on the loopback and is killed when dropped.

#![allow(dead_code, reason = "each test binary uses its part of it")]

pub(crate) mod client;
pub(crate) mod log_files;
pub(crate) mod proxy;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use client::{Client, Response};
use tempfile::TempDir;

/// A running server, its banner read.
pub(crate) struct Server {
    child: Option<Child>,
    stdout: BufReader<ChildStdout>,
    pub(crate) banner: String,
    pub(crate) port: u16,
}

/// What chooses each runtime.
pub(crate) const RUNTIMES: [&str; 2] = ["--runtime=blocking", "--runtime=smol"];

/// The command, not started yet.
pub(crate) fn doorstep(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorstep"));
    command.args(arguments);
    command
}

/// doorstep on a free port of 127.0.0.1, serving `root`.
pub(crate) fn serve(root: &Path, more: &[&str]) -> Server {
    Server::start(doorstep(&["0", "--bind", "127.0.0.1"]).args(more).arg("-d").arg(root))
}

/// A document root with one file of six bytes.
pub(crate) fn root() -> TempDir {
    let root = tempfile::tempdir().expect("a temporary directory can be made");
    fs::write(root.path().join("a.txt"), "hello\n").expect("it can be written to");
    root
}

/// The program run as another user, if this process is root; else as this one.
pub(crate) fn as_user(user: u32, program: &OsStr) -> Command {
    let user = user.to_string();
    let other = |program: &OsStr| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &user, "--clear-groups"]).arg(program);
        command
    };
    match other(OsStr::new("true")).output() {
        Ok(output) if output.status.success() => other(program),
        _ => Command::new(program),
    }
}

/// The processor time that a process has used, in ticks of the system's clock, which is nearly always
/// a hundredth of a second.
pub(crate) fn cpu_time(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs, on Linux");
    let fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
    fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}

/// Waits until the last change of every file is old enough for the file to be cached.
pub(crate) fn settle() {
    let settled = SystemTime::now() + Duration::from_secs(4);
    while SystemTime::now() < settled {
        thread::sleep(Duration::from_millis(50));
    }
}

/// Runs `test` while another thread repeats `change`.
pub(crate) fn while_repeating(change: impl Fn() + Sync, test: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            (0..100_000).take_while(|_| !stop.load(Ordering::Relaxed)).for_each(|_| change());
        });
        test();
        stop.store(true, Ordering::Relaxed);
    });
}

/// What a process wrote.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Starts `command`: its process, what it writes to stdout, and the first line of that.
pub(crate) fn spawn(command: &mut Command) -> (Child, BufReader<ChildStdout>, String) {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let mut banner = String::new();
    stdout.read_line(&mut banner).expect("the banner is text");
    (child, stdout, banner)
}

/// Starts `command` with a connection as its standard input, as inetd does, and returns the other end.
pub(crate) fn inetd(
    command: &mut Command,
    stderr: impl FnOnce(&TcpStream) -> Stdio,
) -> (Child, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let client = TcpStream::connect(address).expect("it listens");
    let (accepted, _) = listener.accept().expect("there is one");
    let stdin = OwnedFd::from(accepted.try_clone().expect("a descriptor is free"));
    command.stdin(stdin).stdout(Stdio::piped()).stderr(stderr(&accepted));
    (command.spawn().expect("the command starts"), client)
}

impl Server {
    /// Starts `command` and waits for its banner.
    pub(crate) fn start(command: &mut Command) -> Self {
        let (child, stdout, banner) = spawn(command);
        let port = banner.split(" port ").nth(1).and_then(|rest| rest.split(' ').next());
        let port = port.and_then(|digits| digits.parse().ok()).unwrap_or(0);
        let mut server = Self { child: Some(child), stdout, banner, port };
        if port == 0 {
            unreachable!("no banner but {:?}", server.end("KILL"));
        }
        server
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.port)
    }

    /// A new connection, to a server that may have ended.
    #[allow(dead_code, reason = "few tests expect that")]
    pub(crate) fn try_client(&self) -> std::io::Result<Client> {
        Client::try_connect(self.port)
    }

    /// One request on a connection of its own, sent as `GET target` with `Connection: close`.
    pub(crate) fn get(&self, target: &str) -> Response {
        self.client().request("GET", target, &["Connection: close"])
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().map(Child::id).expect("it runs")
    }

    /// Sends a signal, by the name that `kill` knows.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
        assert!(sent.expect("kill is installed").success());
    }

    /// Reads on in stdout until a line is `text`.
    pub(crate) fn wait_for(&mut self, text: &str) {
        let mut lines = self.stdout.by_ref().lines().map_while(Result::ok);
        assert!(lines.any(|line| line == text), "stdout ended without {text:?}");
    }

    /// Waits for an end that others asked for, for a minute.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let child = self.child.as_mut().expect("it runs");
        let mut looks = (0..6000).map(|_| {
            thread::sleep(Duration::from_millis(10));
            child.try_wait().expect("a child can be waited for")
        });
        looks.find_map(|exit| exit).expect("it ends")
    }

    /// Sends a signal and waits for the end: the exit code, the rest of stdout, all of stderr, as far as
    /// a pipe holds it.
    pub(crate) fn end(&mut self, signal: &str) -> Output {
        self.signal(signal);
        self.wait();
        let child = self.child.take().expect("it runs");
        let mut output = child.wait_with_output().expect("a child can be waited for");
        self.stdout.read_to_end(&mut output.stdout).expect("stdout can be read");
        output
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
