//! The command at work, whatever it listens on, and places for sockets.

use std::io::{BufReader, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::client::Client;
use crate::support::{doorstep, root, spawn, text};

/// The command at work, on whatever it listens on.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) stdout: BufReader<ChildStdout>,
    /// The first line of stdout.
    pub(crate) banner: String,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let (child, stdout, banner) = spawn(command);
        assert!(banner.starts_with("Serving HTTP on "), "{banner:?}");
        Self { child, stdout, banner }
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill is installed").success());
    }

    /// Stops it gracefully, and returns what it wrote after the banner.
    pub(crate) fn stop(mut self) -> Output {
        self.signal("TERM");
        let mut output = Output {
            status: self.child.wait().expect("a child can be waited for"),
            stdout: Vec::new(),
            stderr: Vec::new(),
        };
        self.stdout.read_to_end(&mut output.stdout).expect("it can be read");
        let stderr = self.child.stderr.as_mut().expect("it is piped");
        stderr.read_to_end(&mut output.stderr).expect("it can be read");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        output
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A document root, and a directory for sockets.
pub(crate) struct Place {
    pub(crate) root: TempDir,
    pub(crate) sockets: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { root: root(), sockets: tempfile::tempdir().expect("a directory can be made") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.sockets.path().join(name)
    }

    pub(crate) fn unix(&self, name: &str) -> String {
        format!("unix:{}", self.path(name).display())
    }

    /// The command on the document root, not started yet.
    pub(crate) fn doorstep(&self, arguments: &[&str]) -> Command {
        let mut command = doorstep(arguments);
        command.arg("-d").arg(self.root.path()).args(["--grace", "5s"]);
        command
    }
}

/// A listening socket that stays open here, and a descriptor of it for a server.
pub(crate) fn tcp_listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    (listener, port)
}

/// What the command writes when it cannot start, and its exit code.
pub(crate) fn failure(command: &mut Command) -> (String, Option<i32>) {
    let output = command.stdin(Stdio::null()).output().expect("the command starts");
    assert_eq!(text(&output.stdout), "");
    (text(&output.stderr), output.status.code())
}

pub(crate) fn is_hello(client: &mut Client) -> bool {
    client.request("GET", "/a.txt", &["Connection: close"]).body == b"hello\n"
}

pub(crate) fn connect_when_it_listens(port: u16) -> Client {
    let tries = (0..500).find_map(|_| {
        thread::sleep(Duration::from_millis(10));
        Client::try_connect(port).ok()
    });
    tries.expect("it listens")
}
