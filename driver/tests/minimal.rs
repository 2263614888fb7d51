//! The front end of `examples/minimal.rs`, driven by real clients.

#[allow(unreachable_pub, reason = "an example shows what somebody else would call")]
#[path = "../examples/minimal.rs"]
mod minimal;

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use doorstep_driver::net::Acceptor;
use doorstep_driver::{Config, Files, Observer, Record, ShutdownHandle};

/// The length of a file that is sent by `sendfile`.
const LARGE: usize = 3 << 20;

#[derive(Default)]
struct Requests(AtomicUsize);

impl Observer for Requests {
    fn log(&self, _: &Record<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Running {
    address: SocketAddr,
    handle: ShutdownHandle,
    requests: Arc<Requests>,
    thread: JoinHandle<io::Result<()>>,
    _root: tempfile::TempDir,
}

impl Running {
    fn start(config: Config) -> Self {
        let root = tempfile::tempdir().expect("a directory can be made");
        fs::write(root.path().join("small.txt"), "small\n").expect("it is ours");
        fs::write(root.path().join("large.bin"), vec![b'x'; LARGE]).expect("it is ours");
        let files = Files::new(root.path()).expect("it is there");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let acceptor = Arc::new(Acceptor::nonblocking(vec![listener]).expect("it can be set up"));
        let handle = ShutdownHandle::new(acceptor);
        let requests = Arc::new(Requests::default());
        let (theirs, observer) = (handle.clone(), requests.clone());
        let thread =
            thread::spawn(move || minimal::serve(&theirs, &config, &files, observer.as_ref()));
        Self { address, handle, requests, thread, _root: root }
    }

    fn client(&self) -> TcpStream {
        let client = TcpStream::connect(self.address).expect("it listens");
        client.set_read_timeout(Some(Duration::from_secs(20))).expect("20 s is a timeout");
        client
    }

    fn stop(self) -> usize {
        self.handle.stop();
        self.thread.join().expect("it does not panic").expect("nor fail");
        self.requests.0.load(Ordering::SeqCst)
    }
}

/// Sends requests for these paths at once, the last one with `Connection: close`; everything that
/// comes back.
fn ask(client: &mut TcpStream, paths: &[&str]) -> String {
    let requests: Vec<_> =
        paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n")).collect();
    let requests = requests.join("\r\n") + "Connection: close\r\n\r\n";
    client.write_all(requests.as_bytes()).expect("it reads");
    let mut responses = String::new();
    client.read_to_string(&mut responses).expect("it responds");
    responses
}

#[test]
fn it_serves_files_pipelined_and_one_connection_after_the_other() {
    let server = Running::start(Config::default());
    let responses = ask(&mut server.client(), &["/small.txt", "/nothing", "/", "/small.txt"]);
    assert_eq!(responses.matches("HTTP/1.1 200 OK\r\n").count(), 3, "{responses}");
    assert_eq!(responses.matches("HTTP/1.1 404 File not found\r\n").count(), 1, "{responses}");
    assert!(responses.ends_with("\r\n\r\nsmall\n"), "{responses}");
    let large = ask(&mut server.client(), &["/large.bin"]);
    assert!(large.ends_with(&"x".repeat(LARGE)), "{} bytes", large.len());
    assert_eq!(server.stop(), 5);
}

#[test]
fn a_connection_that_is_idle_is_evicted_for_another_and_by_a_shutdown() {
    let mut config = Config::default();
    config.eviction_grace = Duration::from_millis(100);
    config.first_request_grace = Duration::from_millis(100);
    config.lame_duck = Duration::from_millis(100);
    let server = Running::start(config);
    let mut idle = server.client();
    assert!(ask(&mut server.client(), &["/small.txt"]).ends_with("small\n"));
    assert_eq!(idle.read(&mut [0]).expect("it is closed by a FIN"), 0);
    let mut idle = server.client();
    idle.write_all(b"GET /small.txt HTTP/1.1\r\nHost: a\r\n\r\n").expect("it reads");
    let n = idle.read(&mut [0; 1024]).expect("it responds");
    assert!(n > 100);
    assert_eq!(server.stop(), 2);
}

#[test]
fn a_head_that_takes_too_long_is_408() {
    let mut config = Config::default();
    config.timeouts.head = Duration::from_millis(200);
    let server = Running::start(config);
    let mut client = server.client();
    client.write_all(b"GET / HTTP/1.1\r\n").expect("it reads");
    let mut response = String::new();
    client.read_to_string(&mut response).expect("it responds");
    assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
    server.stop();
}
