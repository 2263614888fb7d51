//! The command on Unix sockets, on inherited sockets and on the connection of inetd, and what it tells
//! a service manager.
#![cfg(feature = "cli")]

mod support;

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use support::client::Client;
use support::{RUNTIMES, as_user, doorstep, root, text};
use tempfile::TempDir;

/// The command at work, on whatever it listens on.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// The first line of stdout.
    banner: String,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut banner = String::new();
        stdout.read_line(&mut banner).expect("the banner is text");
        assert!(banner.starts_with("Serving HTTP on "), "{banner:?}");
        Self { child, stdout, banner }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill is installed").success());
    }

    /// Stops it gracefully, and returns what it wrote after the banner.
    fn stop(mut self) -> Output {
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
struct Place {
    root: TempDir,
    sockets: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { root: root(), sockets: tempfile::tempdir().expect("a directory can be made") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.sockets.path().join(name)
    }

    fn unix(&self, name: &str) -> String {
        format!("unix:{}", self.path(name).display())
    }

    /// The command on the document root, not started yet.
    fn doorstep(&self, arguments: &[&str]) -> Command {
        let mut command = doorstep(arguments);
        command.arg("-d").arg(self.root.path()).args(["--grace", "5s"]);
        command
    }
}

/// `command` with these listening sockets as a service manager passes them: from descriptor 3 on.
fn activated(command: &Command, sockets: Vec<OwnedFd>) -> Command {
    // LISTEN_PID is the process's own number: a shell sets it, and becomes the command.
    let mut shell = Command::new("sh");
    shell.args(["-c", "LISTEN_PID=$$ exec \"$0\" \"$@\""]);
    shell.arg(command.get_program()).args(command.get_args());
    shell.env("LISTEN_FDS", sockets.len().to_string());
    let fds = (3..).zip(sockets).map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd });
    shell.fd_mappings(fds.collect()).expect("each has its number");
    shell
}

/// A listening socket that stays open here, and a descriptor of it for a server.
fn tcp_listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    (listener, port)
}

/// What the command writes when it cannot start, and its exit code.
fn failure(command: &mut Command) -> (String, Option<i32>) {
    let output = command.stdin(Stdio::null()).output().expect("the command starts");
    assert_eq!(text(&output.stdout), "");
    (text(&output.stderr), output.status.code())
}

fn is_hello(client: &mut Client) -> bool {
    client.request("GET", "/a.txt", &["Connection: close"]).body == b"hello\n"
}

#[test]
fn a_unix_socket_is_served_and_removed_at_the_stop() {
    let place = Place::new();
    for runtime in RUNTIMES {
        let path = place.path("socket");
        let server = Running::start(&mut place.doorstep(&["-b", &place.unix("socket"), runtime]));
        assert_eq!(server.banner, format!("Serving HTTP on unix:{} ...\n", path.display()));
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        assert!(is_hello(&mut Client::unix(&path)));
        let output = server.stop();
        assert!(!path.exists());
        let log = text(&output.stderr);
        assert!(log.starts_with("unix: - - [") && log.contains("\"GET /a.txt HTTP/1.1\" 200"), "{log}");
    }
}

#[test]
fn curl_gets_a_file_from_a_unix_socket() {
    let place = Place::new();
    let path = place.path("socket");
    let bind = place.unix("socket");
    let server = Running::start(&mut place.doorstep(&["-b", &bind, "--unix-mode", "600"]));
    let mode = fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let output = Command::new("curl")
        .args(["-sS", "--unix-socket"])
        .arg(&path)
        .args(["http://localhost/a.txt", "http://localhost/a.txt"])
        .output()
        .expect("curl is installed");
    assert_eq!(text(&output.stdout), "hello\nhello\n", "{}", text(&output.stderr));
    drop(server);
}

#[test]
fn several_addresses_of_all_kinds_share_a_server() {
    let place = Place::new();
    let name = format!("@doorstep-test-{}", std::process::id());
    for runtime in RUNTIMES {
        let mut command = place.doorstep(&["0", "-b", "127.0.0.1", "--bind", "127.0.0.2", runtime]);
        command.args(["-b", &place.unix("socket"), "-b", &format!("unix:{name}")]);
        let mut server = Running::start(&mut command);
        let port = server.banner.split(' ').nth(5).and_then(|port| port.parse().ok());
        let port: u16 = port.unwrap_or_default();
        let first = format!("Serving HTTP on 127.0.0.1 port {port} (http://127.0.0.1:{port}/) ...\n");
        assert_eq!(server.banner, first);
        let rest: Vec<_> = (0..3)
            .map(|_| {
                let mut line = String::new();
                server.stdout.read_line(&mut line).expect("it is text");
                line
            })
            .collect();
        let unix = format!("  {}\n", place.unix("socket"));
        let expected = [format!("  http://127.0.0.2:{port}/\n"), unix, format!("  unix:{name}\n")];
        assert_eq!(rest, expected);
        for address in ["127.0.0.1", "127.0.0.2"] {
            let stream = TcpStream::connect((address, port)).expect("the server listens");
            assert!(is_hello(&mut Client::on(stream)));
        }
        assert!(is_hello(&mut Client::unix(&place.path("socket"))));
        let abstract_socket = Command::new("curl")
            .args(["-sS", "--abstract-unix-socket", &name[1..], "http://localhost/a.txt"])
            .output()
            .expect("curl is installed");
        assert_eq!(text(&abstract_socket.stdout), "hello\n");
        server.stop();
    }
}

#[test]
fn a_stale_socket_is_replaced_and_one_in_use_is_an_error() {
    let place = Place::new();
    let (path, bind) = (place.path("socket"), place.unix("socket"));
    let killed = Running::start(&mut place.doorstep(&["-b", &bind]));
    let (error, code) = failure(&mut place.doorstep(&["-b", &bind]));
    assert_eq!(code, Some(1));
    assert!(error.contains("another process listens on") && error.contains("--bind"), "{error}");
    assert!(is_hello(&mut Client::unix(&path)), "it is still there");
    killed.signal("KILL");
    drop(killed);
    assert!(path.exists());
    let server = Running::start(&mut place.doorstep(&["-b", &bind]));
    assert!(is_hello(&mut Client::unix(&path)));
    server.stop();

    fs::write(&path, "a file").expect("it can be written");
    let (error, code) = failure(&mut place.doorstep(&["-b", &bind]));
    assert_eq!(code, Some(1));
    assert!(error.contains("exists and is not a socket; remove it"), "{error}");
    assert_eq!(fs::read_to_string(&path).expect("it is there"), "a file");
}

#[test]
fn errors_of_listening_name_the_address() {
    let place = Place::new();
    let (taken, port) = tcp_listener();
    let port = port.to_string();
    for (arguments, code, part) in [
        (vec!["-b", "127.0.0.1", "-b", "unix:"], 2, "give the path"),
        (vec!["-b", "unix:a.sock", "--unix-mode", "888"], 2, "octal"),
        (vec!["8000", "-b", "unix:a.sock"], 2, "omit the port"),
        (vec!["--inetd", "-b", "127.0.0.1"], 2, "omit PORT and --bind"),
        (vec![&port, "-b", "127.0.0.2", "-b", "127.0.0.1"], 1, "in use on \"127.0.0.1\""),
        (vec!["0", "-b", "127.0.0.1", "-b", "192.0.2.1"], 1, "\"192.0.2.1\" is not an address"),
        (vec!["-b", "unix:/nonexistent/a.sock"], 1, "no such directory"),
    ] {
        let (error, exit) = failure(&mut place.doorstep(&arguments));
        assert_eq!(exit, Some(code), "{error}");
        assert!(error.contains(part), "{arguments:?}: {error}");
        assert!(code == 2 || error.lines().count() == 1, "{error}");
    }
    let long = format!("unix:/{}", "x".repeat(107));
    let (error, _) = failure(&mut place.doorstep(&["-b", &long]));
    assert!(error.contains("at most 107 bytes, and this one has 108"), "{error}");
    drop(taken);
}

#[test]
fn inherited_sockets_are_served_and_left_open() {
    let place = Place::new();
    let (tcp, port) = tcp_listener();
    let unix = UnixListener::bind(place.path("socket")).expect("it can be bound");
    for runtime in RUNTIMES {
        let sockets = || {
            let unix = unix.try_clone().expect("a descriptor is free");
            vec![tcp.try_clone().expect("a descriptor is free").into(), unix.into()]
        };
        let mut command = activated(&place.doorstep(&[runtime]), sockets());
        let server = Running::start(command.env("LISTEN_FDNAMES", "web:local"));
        assert!(server.banner.starts_with("Serving HTTP on 127.0.0.1 port "), "{}", server.banner);
        assert!(is_hello(&mut Client::connect(port)));
        assert!(is_hello(&mut Client::unix(&place.path("socket"))));
        let output = server.stop();
        assert_eq!(text(&output.stdout), format!("  {}\n", place.unix("socket")));
        // They wait for the next server.
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the backlog has room");
        assert!(place.path("socket").exists());
    }
}

#[test]
fn inherited_sockets_that_cannot_be_used_are_errors_that_say_why() {
    let place = Place::new();
    let datagrams = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let file = || fs::File::open(place.root.path().join("a.txt")).expect("it is there");
    let (listener, port) = tcp_listener();
    let connected = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
    let clone = || listener.try_clone().expect("a descriptor is free");
    for (sockets, part) in [
        (vec![datagrams().into()], "descriptor 3 (\"one\") is a datagram socket"),
        (vec![clone().into(), file().into()], "descriptor 4 (\"two\") is not a TCP or Unix"),
        (vec![connected.into()], "descriptor 3 (\"one\") is a connection"),
    ] {
        let mut command = activated(&place.doorstep(&[]), sockets);
        let (error, code) = failure(command.env("LISTEN_FDNAMES", "one:two"));
        assert_eq!(code, Some(1), "{error}");
        assert!(error.contains(part) && error.contains("ListenStream="), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let mut command = activated(&place.doorstep(&[]), vec![clone().into()]);
    let (error, code) = failure(command.env("LISTEN_FDS", "4000000000"));
    assert_eq!((code, error.contains("LISTEN_FDS is not the number")), (Some(1), true), "{error}");
    for arguments in [&["8000"][..], &["-b", "127.0.0.1"], &["--inetd"]] {
        let (error, code) = failure(&mut activated(&place.doorstep(arguments), vec![clone().into()]));
        assert_eq!((code, error.contains("omit PORT")), (Some(2), true), "{error}");
    }
    // Those of another process are not ours.
    let mut other = place.doorstep(&["0", "-b", "127.0.0.1"]);
    let server = Running::start(other.env("LISTEN_FDS", "1").env("LISTEN_PID", "1"));
    server.stop();
}

/// A client loop that connects while the server is stopped and started again: no connection is refused,
/// and no request fails.
#[test]
fn a_restart_on_inherited_sockets_under_load_fails_no_request() {
    let place = Place::new();
    let (tcp, port) = tcp_listener();
    let unix = UnixListener::bind(place.path("socket")).expect("it can be bound");
    for runtime in RUNTIMES {
        let start = || {
            let unix = unix.try_clone().expect("a descriptor is free");
            let sockets = vec![tcp.try_clone().expect("a descriptor is free").into(), unix.into()];
            Running::start(&mut activated(&place.doorstep(&[runtime, "--quiet"]), sockets))
        };
        let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
        let request = |n: usize| -> io::Result<bool> {
            let mut client = match n % 2 {
                0 => Client::try_connect(port)?,
                _ => Client::try_unix(&place.path("socket"))?,
            };
            Ok(is_hello(&mut client))
        };
        let logs = thread::scope(|scope| {
            for n in 0..4 {
                let (stop, served, request) = (&stop, &served, &request);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        assert!(request(n).expect("it is not refused"));
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let mut server = start();
            let mut logs = Vec::new();
            for round in 1..5 {
                let enough = || served.load(Ordering::Relaxed) >= 100 * round;
                let _ = (0..5000).any(|_| {
                    thread::sleep(Duration::from_millis(1));
                    enough()
                });
                // One after the other, as a service manager does: nobody accepts meanwhile.
                logs.push(text(&server.stop().stderr));
                server = start();
            }
            stop.store(true, Ordering::Relaxed);
            logs
        });
        assert_eq!(logs, [""; 4], "no connection was aborted");
        assert!(served.load(Ordering::Relaxed) >= 400, "{served:?}");
    }
}

/// Starts the command with a connection as its standard input, and returns the other end.
fn inetd(place: &Place, runtime: &str, stderr: impl FnOnce(&TcpStream) -> Stdio) -> (Child, Client) {
    let (listener, port) = tcp_listener();
    let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
    let (accepted, _) = listener.accept().expect("there is one");
    let stdin = OwnedFd::from(accepted.try_clone().expect("a descriptor is free"));
    let child = place
        .doorstep(&["--inetd", runtime])
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(stderr(&accepted))
        .spawn()
        .expect("the command starts");
    (child, Client::on(client))
}

#[test]
fn inetd_passes_one_connection_which_is_served_to_its_end() {
    let place = Place::new();
    for runtime in RUNTIMES {
        let (child, mut client) = inetd(&place, runtime, |_| Stdio::piped());
        let address = client.port();
        assert_eq!(client.request("GET", "/a.txt", &[]).body, b"hello\n");
        assert_eq!(client.request("GET", "/nowhere", &["Connection: close"]).status, 404);
        assert!(client.closes_cleanly(), "port {address}");
        let output = child.wait_with_output().expect("a child can be waited for");
        assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b""[..]));
        let log = text(&output.stderr);
        assert!(log.starts_with("127.0.0.1 - - [") && log.lines().count() >= 2, "{log}");
    }
}

#[test]
fn inetd_that_passes_the_connection_as_stderr_gets_no_log_in_the_response() {
    let place = Place::new();
    for runtime in RUNTIMES {
        let (mut child, mut client) = inetd(&place, runtime, |accepted| {
            OwnedFd::from(accepted.try_clone().expect("a descriptor is free")).into()
        });
        client.send(b"GET /nowhere HTTP/1.0\r\n\r\n");
        let all = text(&client.read_to_end());
        assert!(all.starts_with("HTTP/1.1 404 ") && all.ends_with("</html>\n"), "{all}");
        assert!(child.wait().expect("a child can be waited for").success());
    }
    // Nor the reason why it cannot start.
    let (mut child, mut client) = inetd(&Place { root: moved(), ..place }, RUNTIMES[0], |accepted| {
        OwnedFd::from(accepted.try_clone().expect("a descriptor is free")).into()
    });
    assert_eq!(client.read_to_end(), b"");
    assert_eq!(child.wait().expect("a child can be waited for").code(), Some(2));
}

/// A directory that is not there any more.
fn moved() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory can be made");
    fs::remove_dir(directory.path()).expect("it is empty");
    directory
}

#[test]
fn inetd_without_a_connection_is_an_error() {
    let place = Place::new();
    let (error, code) = failure(&mut place.doorstep(&["--inetd"]));
    assert_eq!(code, Some(1));
    assert!(error.contains("it is not a socket") && error.contains("StandardInput=socket"), "{error}");
    let (listener, _) = tcp_listener();
    let mut command = place.doorstep(&["--inetd"]);
    let output = command.stdin(OwnedFd::from(listener)).output().expect("the command starts");
    assert_eq!(output.status.code(), Some(1));
}

/// A socket that receives what a service manager is told.
fn notified(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).expect("it can be bound");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("it can be set");
    socket
}

fn message(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 256];
    let n = socket.recv(&mut bytes).expect("a message arrives");
    text(&bytes[..n])
}

#[test]
fn a_service_manager_is_told_of_the_start_the_progress_and_the_stop() {
    let place = Place::new();
    for (n, runtime) in RUNTIMES.into_iter().enumerate() {
        let path = place.path(&format!("notify-{n}"));
        let socket = notified(&path);
        let mut command = place.doorstep(&["-b", &place.unix("socket"), runtime]);
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "40000");
        let mut server = Running::start(&mut command);
        assert_eq!(message(&socket), "READY=1");
        assert!(is_hello(&mut Client::unix(&place.path("socket"))));
        for _ in 0..5 {
            assert_eq!(message(&socket), "WATCHDOG=1");
        }
        let mut kept = Client::unix(&place.path("socket"));
        assert_eq!(kept.request("GET", "/a.txt", &[]).status, 200);
        server.signal("TERM");
        let stopping = (0..1000).any(|_| message(&socket) == "STOPPING=1");
        assert!(stopping);
        assert!(server.child.wait().expect("a child can be waited for").success());
    }
}

#[test]
fn a_watchdog_of_another_process_is_not_fed_and_scripts_see_no_variable() {
    let place = Place::new();
    let scripts = place.root.path().join("cgi-bin");
    fs::create_dir(&scripts).expect("it can be made");
    let script = scripts.join("env");
    fs::write(&script, "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nexec env\n")
        .expect("it can be written");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("its mode can be set");
    let (path, socket) = (place.path("notify"), notified(&place.path("notify")));
    let (tcp, port) = tcp_listener();
    for runtime in RUNTIMES {
        let descriptor = tcp.try_clone().expect("a descriptor is free").into();
        let mut command = activated(&place.doorstep(&["--cgi", runtime]), vec![descriptor]);
        command.env("NOTIFY_SOCKET", &path).env("LISTEN_FDNAMES", "web");
        command.env("WATCHDOG_USEC", "2000").env("WATCHDOG_PID", "1");
        let server = Running::start(&mut command);
        let response = Client::connect(port).request("GET", "/cgi-bin/env", &[]);
        let seen = text(&response.body);
        assert!(seen.contains("GATEWAY_INTERFACE="), "{seen}");
        for name in ["LISTEN_", "NOTIFY_SOCKET", "WATCHDOG_"] {
            assert!(!seen.lines().any(|line| line.starts_with(name)), "{seen}");
        }
        server.stop();
        assert_eq!([message(&socket), message(&socket)], ["READY=1", "STOPPING=1"]);
    }
}

#[test]
fn a_service_manager_that_cannot_be_reached_is_reported_and_the_server_serves() {
    let place = Place::new();
    let mut command = place.doorstep(&["-b", &place.unix("socket")]);
    let server = Running::start(command.env("NOTIFY_SOCKET", place.path("nobody")));
    assert!(is_hello(&mut Client::unix(&place.path("socket"))));
    let log = text(&server.stop().stderr);
    assert!(log.contains("cannot notify the service manager (NOTIFY_SOCKET)"), "{log}");
}

/// `systemd-socket-activate` with these arguments and the command. Returns its process and the port.
fn systemd_socket_activate(place: &Place, arguments: &[&str], command: &[&str]) -> (Child, u16) {
    let (listener, port) = tcp_listener();
    drop(listener); // it is free again
    let child = Command::new("systemd-socket-activate")
        .args(["-l", &SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string()])
        .args(arguments)
        .arg(env!("CARGO_BIN_EXE_doorstep"))
        .arg("-d")
        .arg(place.root.path())
        .args(command)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("systemd-socket-activate is installed");
    (child, port)
}

fn connect_when_it_listens(port: u16) -> Client {
    let tries = (0..500).find_map(|_| {
        thread::sleep(Duration::from_millis(10));
        Client::try_connect(port).ok()
    });
    tries.expect("it listens")
}

#[test]
#[ignore = "it needs systemd-socket-activate; .ci/run installs it"]
fn systemd_socket_activate_starts_it_at_the_first_connection() {
    let place = Place::new();
    for runtime in RUNTIMES {
        let (mut child, port) = systemd_socket_activate(&place, &["--fdname=web"], &[runtime]);
        assert!(is_hello(&mut connect_when_it_listens(port)));
        assert!(is_hello(&mut Client::connect(port)));
        // It has become the server.
        let stopped = Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status();
        assert!(stopped.expect("kill is installed").success());
        assert!(child.wait().expect("a child can be waited for").success());
    }
}

#[test]
#[ignore = "it needs systemd-socket-activate; .ci/run installs it"]
fn systemd_socket_activate_starts_it_for_each_connection_as_inetd() {
    let place = Place::new();
    for runtime in RUNTIMES {
        let arguments = ["--inetd", "--accept"];
        let (mut child, port) = systemd_socket_activate(&place, &arguments, &["--inetd", runtime]);
        assert!(is_hello(&mut connect_when_it_listens(port)));
        let mut kept = Client::connect(port);
        for _ in 0..2 {
            assert_eq!(kept.request("GET", "/a.txt", &[]).body, b"hello\n");
        }
        drop(kept);
        child.kill().expect("it runs");
        let _ = child.wait();
    }
}

#[test]
#[ignore = "it needs nginx"]
fn nginx_serves_from_a_unix_socket_and_keeps_its_connections() {
    let place = Place::new();
    fs::write(place.root.path().join("large"), vec![b'x'; 5 << 20]).expect("it can be written");
    for runtime in RUNTIMES {
        let arguments = ["-b", &place.unix("socket"), "--unix-mode", "666", runtime];
        let server = Running::start(&mut place.doorstep(&arguments));
        let (listener, front) = tcp_listener();
        drop(listener); // it is free again
        let folder = tempfile::tempdir().expect("a directory can be made");
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {};\n", folder.path().join(name).display()));
        // nginx's user has to pass the directory, too.
        fs::set_permissions(place.sockets.path(), fs::Permissions::from_mode(0o755))
            .expect("its mode can be set");
        let conf = format!(
            "daemon off;\npid {0}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{1}\
             upstream doorstep {{\nserver {2};\nkeepalive 32;\n}}\n\
             server {{\nlisten 127.0.0.1:{front};\n\
             location / {{\nproxy_pass http://doorstep;\nproxy_http_version 1.1;\n\
             proxy_set_header Connection \"\";\n}}\n}}\n}}\n",
            folder.path().display(),
            temporary.concat(),
            place.unix("socket"),
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, conf).expect("it can be written");
        let mut nginx = Command::new("nginx");
        nginx.arg("-p").arg(folder.path()).arg("-c").arg(file).args(["-e", "stderr"]);
        let mut nginx = nginx.stderr(Stdio::null()).spawn().expect("nginx is installed");
        let mut client = connect_when_it_listens(front);
        for _ in 0..3 {
            assert_eq!(client.request("GET", "/a.txt", &[]).body, b"hello\n");
            assert_eq!(client.request("GET", "/large", &[]).body.len(), 5 << 20);
        }
        let _ = Command::new("kill").arg(nginx.id().to_string()).status(); // it has children
        let _ = nginx.wait();
        assert!(text(&server.stop().stderr).starts_with("unix: - - ["));
    }
}

/// Another user of the machine cannot connect, unless the mode permits it. Only root can try.
#[test]
fn the_mode_says_who_can_connect() {
    let place = Place::new();
    fs::set_permissions(place.sockets.path(), fs::Permissions::from_mode(0o755))
        .expect("its mode can be set");
    for (mode, permitted) in [("660", false), ("666", true)] {
        let arguments = ["-b", &place.unix("socket"), "--unix-mode", mode];
        let server = Running::start(&mut place.doorstep(&arguments));
        let mut id = as_user(65534, "id".as_ref());
        let other = id.arg("-u").output().expect("it is installed").stdout == b"65534\n";
        let mut curl = as_user(65534, "curl".as_ref());
        let curl = curl.arg("-sS").arg("--unix-socket").arg(place.path("socket"));
        let output = curl.arg("http://localhost/a.txt").output().expect("curl is installed");
        assert_eq!(output.status.success(), permitted || !other, "{}", text(&output.stderr));
        server.stop();
    }
}
