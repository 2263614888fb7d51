//! The files of `deploy/`, and HAProxy and nginx as they configure them, on the ports of a test.

#![allow(dead_code, reason = "each test binary uses its part of it")]

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::client::Client;

/// A file of `deploy/`.
pub(crate) fn deploy(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name);
    fs::read_to_string(path).expect("the file can be read")
}

/// The text with each pair's first replaced by its second. Every first is there.
pub(crate) fn replaced(mut text: String, pairs: &[(&str, &str)]) -> String {
    for (old, new) in pairs {
        assert!(text.contains(old), "there is no {old:?} in {text}");
        text = text.replace(old, new);
    }
    text
}

/// A running proxy, ended when dropped.
pub(crate) struct Proxy {
    child: Child,
    pub(crate) port: u16,
    folder: TempDir,
}

/// HAProxy in front of three instances, by `deploy/haproxy.cfg` with these changes.
pub(crate) fn haproxy(instances: [u16; 3], changes: &[(&str, &str)]) -> Proxy {
    Proxy::start(|port, folder| {
        let configuration = replaced(
            with_instances(deploy("haproxy.cfg"), instances),
            &[
                (" bind :80\n", &format!(" bind 127.0.0.1:{port}\n")),
                (" maxconn 10000\n", " maxconn 200\n"), // few descriptors may be allowed
            ],
        );
        let file = folder.join("haproxy.cfg");
        fs::write(&file, replaced(configuration, changes)).expect("it can be written");
        let mut command = Command::new("haproxy");
        command.args(["-db", "-f"]).arg(file);
        command
    })
}

/// nginx in front of three instances, by `deploy/nginx.conf` with these changes.
pub(crate) fn nginx(instances: [u16; 3], changes: &[(&str, &str)]) -> Proxy {
    Proxy::start(|port, folder| {
        let configuration = replaced(nginx_configuration(folder), &[("#server 127", "server 127")]);
        let configuration = replaced(
            with_instances(configuration, instances),
            &[(" listen 80;", &format!(" listen 127.0.0.1:{port};"))],
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, replaced(configuration, changes)).expect("it can be written");
        let mut command = Command::new("nginx");
        command.args(["-g", "daemon off;", "-e", "stderr", "-p"]).arg(folder).arg("-c").arg(file);
        command
    })
}

/// `deploy/nginx.conf`, which writes in this folder only.
pub(crate) fn nginx_configuration(folder: &Path) -> String {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {};\n", folder.join(name).display()));
    replaced(
        deploy("nginx.conf"),
        &[
            ("/run/nginx.pid", &folder.join("pid").display().to_string()),
            ("/var/log/nginx/error.log", "stderr"),
            ("access_log /var/log/nginx/access.log", "access_log off"),
            ("http {\n", &format!("http {{\n{}", temporary.concat())),
        ],
    )
}

fn with_instances(text: String, [one, two, three]: [u16; 3]) -> String {
    let address = |port: u16| format!("127.0.0.1:{port}");
    let (one, two, three) = (address(one), address(two), address(three));
    let pairs = [("127.0.0.1:8001", &*one), ("127.0.0.1:8002", &*two), ("127.0.0.1:8003", &*three)];
    replaced(text, &pairs)
}

impl Proxy {
    /// Starts what `command` makes of a port and a folder, and waits until it listens.
    fn start(command: impl FnOnce(u16, &Path) -> Command) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let port = free_port();
        let mut command = command(port, folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(folder.path().join("log")).expect("it can be made"));
        let child = command.spawn().expect("the proxy is installed");
        let proxy = Self { child, port, folder };
        let listens = (0..500).any(|_| {
            thread::sleep(Duration::from_millis(10));
            Client::try_connect(port).is_ok()
        });
        assert!(listens, "{}", proxy.log());
        proxy
    }

    /// What it has written to stderr.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).expect("it is text")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status(); // nginx has children
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}
