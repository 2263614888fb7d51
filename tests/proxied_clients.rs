//! A server behind real proxies knows their clients: by the PROXY protocol, and by `X-Forwarded-For`.
//!
//! Ignored unless asked for: HAProxy and nginx must be installed.
#![cfg(feature = "cli")]

mod support;

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use support::client::Client;
use support::{RUNTIMES, Server, doorstep, root};

#[test]
#[ignore = "needs haproxy"]
fn the_client_of_haproxy_is_known() {
    for runtime in RUNTIMES {
        for server in
            ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl", "send-proxy-v2 check inter 50"]
        {
            let options = ["--trusted-proxy=127.0.0.1", "--proxy-protocol"];
            clients_behind(runtime, &options, |front, one, folder| {
                haproxy(folder, front, &format!("server one 127.0.0.1:{one} {server}"))
            });
        }
        clients_behind(runtime, &["--trusted-proxy=127.0.0.1"], |front, one, folder| {
            let backend = "option forwardfor\n http-request del-header Forwarded\n \
                           http-request set-header X-Forwarded-Proto http\n";
            haproxy(folder, front, &format!("{backend} server one 127.0.0.1:{one}"))
        });
    }
}

#[test]
#[ignore = "needs nginx"]
fn the_client_of_nginx_is_known_and_a_path_of_it_is_served() {
    for runtime in RUNTIMES {
        let options = ["--trusted-proxy=127.0.0.1", "--prefix=/docs"];
        clients_behind(runtime, &options, |front, one, folder| {
            let location = format!(
                "location /docs/ {{\nproxy_pass http://127.0.0.1:{one};\nproxy_http_version 1.1;\n\
                 proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
                 proxy_set_header X-Forwarded-Proto $scheme;\nproxy_set_header Forwarded \"\";\n}}"
            );
            nginx(folder, "", &format!("listen 127.0.0.1:{front};\n{location}"))
        });
    }
}

/// Starts a server with `options` behind the proxy that `proxy` makes of a port to listen on, the
/// server's, and a folder. A client at 127.0.0.2 that sends forged headers is logged as that.
fn clients_behind(runtime: &str, options: &[&str], proxy: impl FnOnce(u16, u16, &Path) -> Command) {
    let (site, folder) = (root(), tempfile::tempdir().expect("a folder can be made"));
    fs::create_dir(site.path().join("sub")).expect("it can be made");
    let arguments = [&["0", "--bind=127.0.0.1", runtime], options, &["-d"]].concat();
    let mut server = Server::start(doorstep(&arguments).arg(site.path()));
    let front = free_port();
    let mut command = proxy(front, server.port, folder.path());
    let log = folder.path().join("log");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(File::create(&log).expect("it can be made"));
    let proxy = TestServer(command.spawn().expect("the proxy is installed"));
    assert!((0..500).any(|_| {
        thread::sleep(Duration::from_millis(10));
        Client::try_connect(front).is_ok()
    }));

    let forged =
        ["Forwarded: for=6.6.6.6", "X-Forwarded-For: 6.6.6.6, 7.7.7.7", "X-Forwarded-Proto: https"];
    let base = if options.contains(&"--prefix=/docs") { "/docs" } else { "" };
    let mut client = client_at(Ipv4Addr::new(127, 0, 0, 2), front);
    for _ in 0..3 {
        let response = client.request("GET", &format!("{base}/a.txt"), &forged);
        assert_eq!(
            (response.status, &response.body[..]),
            (200, &b"hello\n"[..]),
            "{}",
            response.head
        );
    }
    let response = client.request("GET", &format!("{base}/sub"), &forged);
    assert_eq!(response.status, 301);
    let location = response.header("Location").expect("it has one").to_owned();
    assert!(location.ends_with(&format!("{base}/sub/")), "{location}");
    drop((client, proxy));
    let log = String::from_utf8_lossy(&server.end("TERM").stderr).into_owned();
    let (ours, others): (Vec<_>, Vec<_>) = log.lines().partition(|line| line.contains(" \"GET "));
    assert_eq!(ours.len(), 4, "{log}");
    assert!(ours.iter().all(|line| line.starts_with("127.0.0.2 - - [")), "{log}");
    // A client of the PROXY protocol is not a trusted proxy, and neither are its headers.
    let is_ignored = |line: &&str| line.contains("headers ignored: not from a trusted proxy");
    assert!(others.iter().all(is_ignored), "{log}");
    assert_eq!(others.is_empty(), !options.contains(&"--proxy-protocol"), "{log}");
}

/// A client that connects from `address`.
fn client_at(address: Ipv4Addr, port: u16) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
    socket.bind(&SocketAddr::from((address, 0)).into()).expect("the address is the loopback's");
    let front = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    socket.connect(&front.into()).expect("the proxy listens");
    Client::on(socket.into())
}
/// HAProxy on this port, with these lines of a backend.
fn haproxy(folder: &Path, front: u16, backend: &str) -> Command {
    let conf = format!(
        "defaults\n mode http\n timeout connect 5s\n timeout client 10s\n timeout server 10s\n \
         option redispatch 1\n\
         frontend front\n bind 127.0.0.1:{front}\n default_backend back\n\
         backend back\n {backend}\n"
    );
    let file = folder.join("haproxy.cfg");
    fs::write(&file, conf).expect("it can be written");
    let mut command = Command::new("haproxy");
    command.args(["-db", "-f"]).arg(file);
    command
}

/// nginx with these lines of `http` and of `server`.
fn nginx(folder: &Path, http: &str, server: &str) -> Command {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {};\n", folder.join(name).display()));
    let conf = format!(
        "daemon off;\npid {}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{}{http}\
         server {{\n{server}\n}}\n}}\n",
        folder.display(),
        temporary.concat()
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, conf).expect("it can be written");
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder).arg("-c").arg(file).args(["-e", "stderr"]);
    command
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

/// A process that is ended when dropped.
struct TestServer(Child);

impl Drop for TestServer {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status(); // nginx has children
        let _ = self.0.wait();
    }
}
