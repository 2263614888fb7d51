//! The command on sockets that a service manager passes, and what it tells the service manager.
#![cfg(feature = "cli")]

mod support;

#[path = "support/running.rs"]
mod running;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use running::{Place, Running, connect_when_it_listens, failure, is_hello, tcp_listener};
use support::client::Client;
use support::{RUNTIMES, text};

/// `command` with these listening sockets as a service manager passes them: from descriptor 3 on.
fn activated(command: &Command, sockets: Vec<OwnedFd>) -> Command {
    // LISTEN_PID is the process's own number: a shell sets it, and becomes the command.
    let mut shell = Command::new("sh");
    shell.args(["-c", "export LISTEN_PID=$$; exec \"$0\" \"$@\""]);
    shell.arg(command.get_program()).args(command.get_args());
    shell.env("LISTEN_FDS", sockets.len().to_string());
    let fds = (3..).zip(sockets).map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd });
    shell.fd_mappings(fds.collect()).expect("each has its number");
    shell
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
        let (error, code) =
            failure(&mut activated(&place.doorstep(arguments), vec![clone().into()]));
        assert_eq!((code, error.contains("omit PORT")), (Some(2), true), "{error}");
    }
    // Those of another process are not ours.
    let mut other = place.doorstep(&["0", "-b", "127.0.0.1"]);
    let server = Running::start(other.env("LISTEN_FDS", "1").env("LISTEN_PID", "1"));
    server.stop();
}

/// Nothing of them could be encrypted, although the command line asks for that.
#[test]
#[cfg(feature = "tls")]
fn inherited_unix_sockets_alone_and_a_certificate_are_an_error() {
    let place = Place::new();
    for runtime in RUNTIMES {
        for more in [&[][..], &["--https-redirect", "0"]] {
            let unix = UnixListener::bind(place.path("socket")).expect("it can be bound");
            let arguments = [&[runtime, "--tls-self-signed"], more].concat();
            let (error, code) =
                failure(&mut activated(&place.doorstep(&arguments), vec![unix.into()]));
            assert_eq!(code, Some(2), "{error}");
            assert!(error.contains("Unix sockets are not encrypted: "), "{error}");
            fs::remove_file(place.path("socket")).expect("it is left open");
        }
    }
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
        let (logs, _server) = thread::scope(|scope| {
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
            (logs, server) // it serves the last requests
        });
        assert_eq!(logs, [""; 4], "no connection was aborted");
        assert!(served.load(Ordering::Relaxed) >= 400, "{served:?}");
    }
}

/// On demand: each server ends when it is idle, and is started again as a service manager does at the next
/// connection. Clients come when it may be about to end, and none is refused.
#[test]
fn idle_servers_on_inherited_sockets_end_and_no_request_fails() {
    const ROUNDS: usize = 8;
    let place = Place::new();
    let (tcp, port) = tcp_listener();
    for runtime in RUNTIMES {
        let start = || {
            let sockets = vec![tcp.try_clone().expect("a descriptor is free").into()];
            let options = [runtime, "--quiet", "--idle-exit=100ms"];
            Running::start(&mut activated(&place.doorstep(&options), sockets))
        };
        let (stop, ended) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            let servers = scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let mut server = start();
                    let status = server.child.wait().expect("a child can be waited for");
                    assert_eq!(status.code(), Some(0));
                    ended.fetch_add(1, Ordering::Relaxed);
                }
            });
            for n in 0..10_000 {
                assert!(is_hello(&mut Client::connect(port)), "request {n}");
                if ended.load(Ordering::Relaxed) >= ROUNDS {
                    break;
                }
                thread::sleep(Duration::from_millis(95 + n % 10)); // about as long as it may be idle
            }
            stop.store(true, Ordering::Relaxed);
            servers.join().expect("every server has ended well");
        });
        assert!(ended.load(Ordering::Relaxed) >= ROUNDS, "{ended:?}");
    }
}

/// A socket that receives the notifications of a service manager.
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
fn a_service_manager_is_notified_of_the_start_the_progress_and_the_stop() {
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
