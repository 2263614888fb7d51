//! The command on Unix sockets and several addresses, and on the connection of inetd.
#![cfg(feature = "cli")]

mod support;

#[path = "support/running.rs"]
mod running;

use std::fs;
use std::io::BufRead;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use running::{Place, Running, connect_when_it_listens, failure, is_hello, tcp_listener};
use support::client::Client;
use support::{RUNTIMES, as_user, spawn, text};
use tempfile::TempDir;

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
        assert!(
            log.starts_with("unix: - - [") && log.contains("\"GET /a.txt HTTP/1.1\" 200"),
            "{log}"
        );
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
        let first =
            format!("Serving HTTP on 127.0.0.1 port {port} (http://127.0.0.1:{port}/) ...\n");
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

/// What `0.0.0.0` and `::` cover, the driver crate tests: other machines could reach this server.
#[test]
fn addresses_that_overlap_are_bound_once() {
    let place = Place::new();
    let unix = place.unix("socket");
    let listening = |addresses: &[&str], runtime| {
        let mut command = place.doorstep(&[runtime]);
        if addresses.iter().all(|address| !address.starts_with("unix:")) {
            command.arg("0");
        }
        command.args(addresses.iter().flat_map(|address| ["-b", address]));
        let (mut child, _, banner) = spawn(&mut command);
        let _ = child.kill();
        let output = child.wait_with_output().expect("a child can be waited for");
        let shown = banner.strip_prefix("Serving HTTP on ").and_then(|rest| rest.split(' ').next());
        shown.map(str::to_owned).ok_or(text(&output.stderr))
    };
    for runtime in RUNTIMES {
        for (addresses, expected) in [
            (&["127.0.0.1", "127.0.0.1"][..], "127.0.0.1"),
            (&["::ffff:127.0.0.1", "127.0.0.1"], "::ffff:127.0.0.1"),
            (&["127.0.0.1", "::ffff:127.0.0.1"], "127.0.0.1"),
            (&[&unix, &unix], &unix),
        ] {
            match listening(addresses, runtime) {
                Ok(first) => assert_eq!(first, expected, "{addresses:?}"),
                Err(error) => {
                    assert!(error.contains("is not an address of this machine"), "{error}");
                }
            }
        }
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

/// Starts the command for a connection, and returns the other end of that.
fn inetd(
    place: &Place,
    options: &[&str],
    stderr: impl FnOnce(&TcpStream) -> Stdio,
) -> (Child, Client) {
    let mut command = place.doorstep(&[&["--inetd"], options].concat());
    let (child, client) = support::inetd(&mut command, stderr);
    (child, Client::on(client))
}

#[test]
fn inetd_passes_one_connection_which_is_served_to_its_end() {
    let place = Place::new();
    for runtime in RUNTIMES {
        let (child, mut client) = inetd(&place, &[runtime], |_| Stdio::piped());
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
        let (mut child, mut client) = inetd(&place, &[runtime], |accepted| {
            OwnedFd::from(accepted.try_clone().expect("a descriptor is free")).into()
        });
        client.send(b"GET /nowhere HTTP/1.0\r\n\r\n");
        let all = text(&client.read_to_end());
        assert!(all.starts_with("HTTP/1.1 404 ") && all.ends_with("</html>\n"), "{all}");
        assert!(child.wait().expect("a child can be waited for").success());
    }
    // Nor the reason why it cannot start.
    let (mut child, mut client) =
        inetd(&Place { root: moved(), ..place }, &RUNTIMES[..1], |accepted| {
            OwnedFd::from(accepted.try_clone().expect("a descriptor is free")).into()
        });
    assert_eq!(client.read_to_end(), b"");
    assert_eq!(child.wait().expect("a child can be waited for").code(), Some(2));
}

#[test]
fn inetd_requires_the_proxy_protocol_of_trusted_proxies() {
    let place = Place::new();
    for runtime in RUNTIMES {
        let serve = |trusted: &str, request: &str| {
            let options = [runtime, "--proxy-protocol", "--trusted-proxy", trusted];
            let (child, mut client) = inetd(&place, &options, |_| Stdio::piped());
            client.send(request.as_bytes());
            let response = text(&client.read_to_end_or_reset());
            let output = child.wait_with_output().expect("a child can be waited for");
            (response.lines().next().unwrap_or_default().to_owned(), text(&output.stderr))
        };
        let request = "GET /a.txt HTTP/1.0\r\n\r\n";
        let proxied = format!("PROXY TCP4 192.0.2.7 198.51.100.1 50123 80\r\n{request}");
        let (status, log) = serve("127.0.0.1", &proxied);
        assert_eq!(status, "HTTP/1.1 200 OK", "{log}");
        assert!(log.starts_with("192.0.2.7 - - ["), "{log}");
        let (status, log) = serve("127.0.0.1", request);
        assert_eq!(status, "", "{log}");
        assert!(log.contains("connection failed: no PROXY protocol header"), "{log}");
        assert_eq!(serve("10.0.0.1", request).0, "HTTP/1.1 200 OK");
    }
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
    assert!(
        error.contains("it is not a socket") && error.contains("StandardInput=socket"),
        "{error}"
    );
    let (listener, _) = tcp_listener();
    let mut command = place.doorstep(&["--inetd"]);
    let output = command.stdin(OwnedFd::from(listener)).output().expect("the command starts");
    assert_eq!(output.status.code(), Some(1));
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
    for (mode, permitted) in [("600", false), ("666", true)] {
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
