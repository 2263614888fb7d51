//! Three instances behind a proxy of `deploy/`, under load: restarted in turn, no request may fail;
//! killed, only requests fail that were in progress there.
//!
//! Ignored unless asked for: HAProxy and nginx must be installed. HAProxy repeats nothing that may
//! have been served, so a request that a stop loses is seen; nginx's log shows it. The counts are
//! printed, and `RESTART_SECONDS` is how long instances are restarted. docs/deploy.md has figures of
//!
//! ```sh
//! RESTART_SECONDS=30 cargo test --release --test proxies -- --ignored --nocapture --test-threads 1
//! ```
#![cfg(feature = "cli")]
#![allow(clippy::print_stdout, reason = "the counts are what it is run for")]

mod support;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::client::Client;
use support::proxy::{Proxy, haproxy, nginx};
use support::{RUNTIMES, Server, doorstep};
use tempfile::TempDir;

/// The clients, each of which makes one request after the other.
const CLIENTS: usize = 8;
/// The size of a response, which needs several packets.
const SIZE: usize = 64 << 10;
/// The variant of `deploy/haproxy.cfg` that repeats requests without a response.
const REPEATS: [(&str, &str); 2] =
    [("#retry-on", "retry-on"), ("#http-request disable-l7", "http-request disable-l7")];

#[test]
#[ignore = "needs haproxy"]
fn no_request_fails_behind_haproxy() {
    for runtime in RUNTIMES {
        let (counts, _) = run(runtime, |ports| haproxy(ports, &[]), restart_in_turn);
        counts.print("HAProxy", runtime);
        assert!(counts.failed.is_empty());
    }
}

#[test]
#[ignore = "needs nginx"]
fn no_request_fails_behind_nginx() {
    for runtime in RUNTIMES {
        let (counts, log) = run(runtime, |ports| nginx(ports, &[]), restart_in_turn);
        counts.print("nginx", runtime);
        assert!(counts.failed.is_empty());
        // It asks another server when a connection breaks that it cannot tell to have been used.
        assert!(!log.contains("prematurely closed") && !log.contains("reset by peer"), "{log}");
    }
}

#[test]
#[ignore = "needs haproxy"]
fn a_killed_instance_fails_only_the_requests_in_progress_there() {
    for runtime in RUNTIMES {
        for (proxy, changes) in [("HAProxy", &[][..]), ("HAProxy with retry-on", &REPEATS)] {
            let (counts, _) = run(runtime, |ports| haproxy(ports, changes), kill_each);
            counts.print(&format!("killed, {proxy}"), runtime);
            let failed: usize = counts.failed.values().sum();
            assert!(failed <= counts.events * CLIENTS, "a client has one request in progress");
        }
    }
}

/// What the clients have seen.
#[derive(Default)]
struct Counts {
    requests: usize,
    /// How many failed, and how.
    failed: BTreeMap<String, usize>,
    /// How often an instance was stopped or killed.
    events: usize,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        for (how, count) in other.failed {
            *self.failed.entry(how).or_default() += count;
        }
    }

    fn fail(&mut self, how: &dyn ToString) {
        *self.failed.entry(how.to_string()).or_default() += 1;
    }

    fn print(&self, proxy: &str, runtime: &str) {
        let Self { requests, failed, events } = self;
        let total: usize = failed.values().sum();
        println!("{proxy}, {runtime}: {events} times, {total} of {requests} failed {failed:?}");
    }
}

/// The instances, and what starts one.
struct Instances {
    servers: [Server; 3],
    site: TempDir,
    runtime: &'static str,
}

impl Instances {
    fn start(runtime: &'static str) -> Self {
        let site = tempfile::tempdir().expect("a directory can be made");
        fs::write(site.path().join("file"), content()).expect("it can be written");
        let servers = [0; 3].map(|_| instance(runtime, 0, site.path()));
        Self { servers, site, runtime }
    }

    /// Ends one by a signal, and starts it again after a while: its exit code.
    fn restart(&mut self, which: usize, signal: &str, after: Duration) -> Option<i32> {
        let server = &mut self.servers[which];
        let code = server.end(signal).status.code();
        thread::sleep(after);
        *server = instance(self.runtime, server.port, self.site.path());
        code
    }
}

fn instance(runtime: &str, port: u16, site: &Path) -> Server {
    let port = port.to_string();
    let arguments =
        [&*port, "--bind=127.0.0.1", "--health=/healthz", "--timeout-keep-alive=90s", "--quiet"];
    Server::start(doorstep(&arguments).args([runtime, "--directory"]).arg(site))
}

fn content() -> Vec<u8> {
    (0..SIZE).map(|n| b'a' + (n % 26) as u8).collect()
}

/// Restarts instances in turn: how many restarts there were.
fn restart_in_turn(instances: &mut Instances) -> usize {
    let seconds = env::var("RESTART_SECONDS").ok().and_then(|text| text.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(5));
    let (since, mut restarts) = (Instant::now(), 0);
    while since.elapsed() < time || restarts < 3 {
        thread::sleep(Duration::from_millis(300));
        let code = instances.restart(restarts % 3, "TERM", Duration::ZERO);
        assert_eq!(code, Some(0));
        restarts += 1;
    }
    restarts
}

/// Kills each instance once, and starts it again when the health checks have noticed.
fn kill_each(instances: &mut Instances) -> usize {
    for which in 0..3 {
        thread::sleep(Duration::from_millis(500));
        assert_eq!(instances.restart(which, "KILL", Duration::from_millis(2500)), None);
        thread::sleep(Duration::from_millis(1500));
    }
    3
}

/// Requests a file through the proxy for as long as `disturb` takes: what the clients saw, and what
/// the proxy wrote to stderr.
fn run(
    runtime: &'static str,
    proxy: impl FnOnce([u16; 3]) -> Proxy,
    disturb: impl FnOnce(&mut Instances) -> usize,
) -> (Counts, String) {
    let mut instances = Instances::start(runtime);
    let proxy = proxy(instances.servers.each_ref().map(|server| server.port));
    let over = AtomicBool::new(false);
    let counts = thread::scope(|scope| {
        let ask = || ask(proxy.port, &over);
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(ask)).collect();
        let mut counts = Counts { events: disturb(&mut instances), ..Counts::default() };
        over.store(true, Ordering::Relaxed);
        for client in clients {
            counts.add(client.join().expect("a client does not panic"));
        }
        counts
    });
    assert!(counts.requests > 100, "{} requests", counts.requests);
    (counts, proxy.log())
}

/// Requests the file again and again until it is over.
fn ask(port: u16, over: &AtomicBool) -> Counts {
    let (mut counts, content) = (Counts::default(), content());
    while !over.load(Ordering::Relaxed) {
        let mut client = Client::connect(port);
        let mut is_kept = true;
        while is_kept && !over.load(Ordering::Relaxed) {
            counts.requests += 1;
            is_kept = match client.try_get("/file") {
                Ok(response) => {
                    if response.status != 200 || response.body != content {
                        counts.fail(&response.status);
                    }
                    response.header("Connection").is_none_or(|option| option != "close")
                }
                Err(error) => {
                    counts.fail(&error);
                    false
                }
            };
        }
    }
    counts
}
