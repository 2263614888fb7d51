//! The loops of `examples/`: epoll and tokio with real clients, the simulator by its report.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the clients are not core code"
)]

#[allow(unreachable_pub, reason = "an example has public items")]
#[path = "../examples/epoll.rs"]
mod epoll_loop;
#[allow(unreachable_pub, reason = "an example has public items")]
#[path = "../examples/simulator/main.rs"]
mod simulator;
#[allow(unreachable_pub, reason = "an example has public items")]
#[path = "../examples/tokio.rs"]
mod tokio_loop;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use doorstep_core::http1::{Connection, Event, Limits, Outbox, Timeouts, WaitingFor};

/// A loop on its own thread. It ends without an error when this is dropped.
struct Running {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Running {
    fn epoll() -> Self {
        Self::start(|listener, stop| epoll_loop::run(&listener, stop))
    }

    fn tokio() -> Self {
        Self::start(|listener, stop| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let serving = tokio::spawn(tokio_loop::run(listener));
                while !stop.load(Ordering::Relaxed) && !serving.is_finished() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                if serving.is_finished() { serving.await? } else { Ok(()) }
            })
        })
    }

    fn start(
        run: impl FnOnce(TcpListener, &AtomicBool) -> io::Result<()> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = Some(thread::spawn(move || run(listener, &stopped)));
        Self { address, stop, thread }
    }

    fn client(&self) -> Client {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("10 s is a timeout");
        Client(BufReader::new(stream))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            ended.expect("it was started").expect("it does not panic").expect("nor fail");
        }
    }
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).expect("it reads");
    }

    fn get(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line arrives");
        line.trim_end().to_owned()
    }

    fn bytes(&mut self, n: usize) -> String {
        let mut bytes = vec![0; n];
        self.0.read_exact(&mut bytes).expect("the body arrives");
        String::from_utf8(bytes).expect("it is text")
    }

    /// The status and body of the next response, which has a Content-Length or is chunked.
    fn read_response(&mut self) -> (String, String) {
        let status = self.line().split(' ').nth(1).unwrap_or_default().to_owned();
        let (mut length, mut body) = (None, String::new());
        loop {
            let line = self.line();
            match line.split_once(": ") {
                Some(("Content-Length", value)) => length = value.parse().ok(),
                Some(_) => {}
                None => break,
            }
        }
        if let Some(length) = length {
            return (status, self.bytes(length));
        }
        loop {
            let size = usize::from_str_radix(&self.line(), 16).expect("it is a chunk");
            body.push_str(&self.bytes(size));
            assert_eq!(self.line(), "");
            if size == 0 {
                return (status, body);
            }
        }
    }

    fn expect(&mut self, body: &str) {
        assert_eq!(self.read_response(), ("200".into(), body.into()));
    }

    fn expect_end(&mut self) {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).expect("it closes in order");
        assert_eq!(rest, b"");
    }
}

/// What every loop must do. `said` is its response to a GET, `echoed` that to a POST.
fn check_server(server: &Running, expect_get: fn(&str) -> String, expect_post: fn(&str) -> String) {
    // Keep-alive, until the client disconnects.
    let mut client = server.client();
    for path in ["/", "/a", "/b"] {
        client.get(path);
        client.expect(&expect_get(path));
    }
    client.0.get_mut().shutdown(Shutdown::Write).expect("the connection stands");
    client.expect_end();

    // Pipelined, in order.
    let mut client = server.client();
    let get = |n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n");
    client.send((0..100).map(get).collect::<String>());
    (0..100).for_each(|n| client.expect(&expect_get(&format!("/{n}"))));

    // Bodies, each followed by a request; also one byte at a time.
    let body = "0123456789".repeat(10_000);
    client.send("POST /sized HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    client.send(&body);
    client.expect(&expect_post(&body));
    let chunked = "POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
        5\r\nhello\r\n0\r\n\r\n";
    chunked.bytes().for_each(|byte| client.send([byte]));
    client.expect(&expect_post("hello"));
    client.get("/behind");
    client.expect(&expect_get("/behind"));

    // Malformed: 400, which is not lost although the client still sends.
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nno field\r\n\r\nand so on");
    assert_eq!(client.read_response().0, "400");
    client.send("and on");
    client.expect_end();

    // Fifty at once, and clients that disconnect in the middle of a request.
    let mut clients: Vec<_> = (0..50).map(|_| server.client()).collect();
    for round in 0..10 {
        clients.iter_mut().for_each(|client| client.get(&format!("/{round}")));
        clients.iter_mut().for_each(|client| client.expect(&expect_get(&format!("/{round}"))));
    }
    clients.iter_mut().for_each(|client| client.send("GET / HT"));
    drop(clients);
    let mut client = server.client();
    client.get("/still");
    client.expect(&expect_get("/still"));
}

#[test]
fn epoll_serves() {
    let expect_get = |path: &str| format!("You asked for {path}\n");
    let expect_post = |request: &str| {
        let path = if request == "hello" { "/chunked" } else { "/sized" };
        format!("You asked for {path}\n")
    };
    check_server(&Running::epoll(), expect_get, expect_post);
}

#[test]
fn tokio_serves() {
    check_server(&Running::tokio(), str::to_owned, str::to_owned);
}

#[test]
fn b_049_the_simulator_keeps_every_deadline_to_the_microsecond() {
    let report = simulator::run(7, 300);
    let Timeouts { idle, head, .. } = Timeouts::default();
    assert!(report.requests > 4_000, "{report:?}");
    assert_eq!(report.idle, [idle; 270]);
    assert_eq!(report.slow, [head; 30]);
    assert!(report.time > Duration::from_secs(4 * 3600), "in virtual time: {:?}", report.time);
}

#[test]
fn the_simulator_repeats_itself() {
    assert_eq!(simulator::run(7, 50), simulator::run(7, 50));
    assert_ne!(simulator::run(7, 50), simulator::run(8, 50));
}

#[test]
fn b_049_a_body_is_waited_for_while_its_echo_streams() {
    let (mut connection, mut outbox) = (Connection::new(Limits::default()), Outbox::new(""));
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n";
    connection.advance(head).expect("it is a head");
    connection.respond(200, &mut outbox).streamed_body().expect("a response is due");
    outbox.clear();
    assert!(matches!(connection.advance(b""), Ok((0, Event::NeedData))));
    assert_eq!(
        connection.waiting_for(&outbox),
        WaitingFor::BodyOrResponse, // it has the deadline of the body
        "otherwise there would be no deadline"
    );
}
