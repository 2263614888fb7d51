//! Two servers behind a proxy, restarted in turn under load: no request may fail.
//!
//! Ignored unless asked for: HAProxy and nginx must be installed. Both keep their connections to
//! the servers and refuse to repeat what may have been served, so a request that a stop loses is
//! seen.
#![cfg(feature = "cli")]

mod support;

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::client::Client;
use support::{RUNTIMES, Server, doorstep, root};

/// How long one proxy is tried on one runtime.
const LONG: Duration = Duration::from_secs(5);

#[test]
#[ignore = "needs haproxy"]
fn no_request_fails_behind_haproxy() {
    for runtime in RUNTIMES {
        restart_in_turn(runtime, |front, [one, two], folder| {
            let servers = format!("server one 127.0.0.1:{one}\n server two 127.0.0.1:{two}\n");
            let conf = format!(
                "defaults\n mode http\n timeout connect 5s\n timeout client 10s\n timeout server 10s\n \
                 option redispatch 1\n\
                 frontend front\n bind 127.0.0.1:{front}\n default_backend both\n\
                 backend both\n balance roundrobin\n {servers}"
            );
            let file = folder.join("haproxy.cfg");
            fs::write(&file, conf).expect("it can be written");
            let mut command = Command::new("haproxy");
            command.args(["-db", "-f"]).arg(file);
            command
        });
    }
}

#[test]
#[ignore = "needs nginx"]
fn no_request_fails_behind_nginx() {
    for runtime in RUNTIMES {
        let log = restart_in_turn(runtime, |front, [one, two], folder| {
            let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|name| format!("{name}_temp_path {};\n", folder.join(name).display()));
            let conf = format!(
                "daemon off;\npid {0}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{1}\
                 upstream both {{\nserver 127.0.0.1:{one} max_fails=0;\n\
                 server 127.0.0.1:{two} max_fails=0;\nkeepalive 32;\n}}\n\
                 server {{\nlisten 127.0.0.1:{front};\nkeepalive_requests 1000000;\n\
                 location / {{\nproxy_pass http://both;\nproxy_http_version 1.1;\n\
                 proxy_set_header Connection \"\";\n}}\n}}\n}}\n",
                folder.display(),
                temporary.concat()
            );
            let file = folder.join("nginx.conf");
            fs::write(&file, conf).expect("it can be written");
            let mut command = Command::new("nginx");
            command.arg("-p").arg(folder).arg("-c").arg(file).args(["-e", "stderr"]);
            command
        });
        // It asks the other server when a connection breaks that it cannot tell to have been used.
        assert!(!log.contains("prematurely closed") && !log.contains("reset by peer"), "{log}");
    }
}

/// Restarts two servers in turn behind the proxy that `proxy` makes of a port to listen on, theirs,
/// and a folder: the proxy's stderr.
fn restart_in_turn(runtime: &str, proxy: impl FnOnce(u16, [u16; 2], &Path) -> Command) -> String {
    let (site, folder) = (root(), tempfile::tempdir().expect("a folder can be made"));
    let start = |port: u16| {
        let arguments = [&port.to_string(), "--bind=127.0.0.1", "--quiet", runtime, "-d"];
        Server::start(doorstep(&arguments).arg(site.path()))
    };
    let mut servers = [start(0), start(0)];
    let ports = [servers[0].port, servers[1].port];
    let front = free_port();
    let log = folder.path().join("log");
    let mut command = proxy(front, ports, folder.path());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(File::create(&log).expect("it can be made"));
    let _proxy = TestServer(command.spawn().expect("the proxy is installed"));
    assert!((0..500).any(|_| {
        thread::sleep(Duration::from_millis(10));
        Client::try_connect(front).is_ok()
    }));

    let over = AtomicBool::new(false);
    let (asked, stops) = thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(|| ask(front, &over))).collect();
        let (since, mut stops) = (Instant::now(), 0);
        while since.elapsed() < LONG && !clients.iter().any(thread::ScopedJoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(300));
            let server = &mut servers[stops % 2];
            assert_eq!(server.end("TERM").status.code(), Some(0));
            *server = start(ports[stops % 2]);
            stops += 1;
        }
        over.store(true, Ordering::Relaxed);
        let asked = clients.into_iter().map(|client| client.join().expect("no request fails"));
        (asked.sum::<usize>(), stops)
    });
    assert!(asked > 100 && stops > 1, "{asked} requests, {stops} stops");
    fs::read_to_string(log).expect("it is text")
}

/// Asks again and again until it is over: how often. Each request has its response.
fn ask(front: u16, over: &AtomicBool) -> usize {
    let mut asked = 0;
    while !over.load(Ordering::Relaxed) {
        let mut client = Client::connect(front);
        let mut kept = true;
        while kept && !over.load(Ordering::Relaxed) {
            let response = client.request("GET", "/a.txt", &[]);
            asked += 1;
            assert_eq!(response.status, 200, "the request {asked}: {}", response.head);
            kept = response.header("Connection").is_none_or(|option| option != "close");
        }
    }
    asked
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
