//! A server's life as one future: on any executor, on several threads, and gone when it is dropped.

use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use doorstep_async_smol::{
    Cgi, CgiSettings, Config, Exchange, Handler, Record, Server, ShutdownReport,
};
use doorstep_driver::Observer;
use doorstep_driver::cgi::ProcessLimit;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::TcpStream;

/// Descriptors are counted, so these tests take turns.
static TURN: Mutex<()> = Mutex::new(());

fn hello(exchange: &mut Exchange<'_>) -> io::Result<()> {
    exchange.respond(200).body("hi")
}

fn bound() -> (Server, SocketAddr) {
    let server = Server::bind("127.0.0.1:0").expect("a free port");
    let address = server.addresses()[0];
    (server, address)
}

async fn ask(client: &mut TcpStream) {
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("it is connected");
    let mut response = Vec::new();
    while !response.ends_with(b"\r\n\r\nhi") {
        let mut part = [0; 512];
        let n = client.read(&mut part).await.expect("a response arrives");
        assert!(n > 0, "closed after {:?}", String::from_utf8_lossy(&response));
        response.extend_from_slice(&part[..n]);
    }
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("Linux shows them").count()
}

#[test]
fn dropping_the_future_closes_every_descriptor() {
    let _turn = TURN.lock();
    smol::block_on(smol::Timer::after(Duration::from_millis(1))); // the reactor's own descriptors
    let before = descriptors();
    smol::block_on(async {
        let (server, address) = bound();
        let mut serving = Box::pin(server.serve(hello));
        let mut clients = Vec::new();
        let talk = async {
            for _ in 0..5 {
                let mut client = TcpStream::connect(address).await.expect("it listens");
                ask(&mut client).await;
                clients.push(client);
            }
        };
        smol::future::or(talk, async { serving.as_mut().await.expect("it serves") }).await;
        drop(serving);
        for client in &mut clients {
            assert_eq!(client.read(&mut [0; 8]).await.expect("FIN, no reset"), 0);
        }
        assert!(TcpStream::connect(address).await.is_err(), "nothing listens any more");
    });
    assert_eq!(descriptors(), before);
}

#[test]
fn it_serves_on_an_executor_and_on_a_local_one() {
    let _turn = TURN.lock();
    let executor = smol::Executor::new();
    let (server, address) = bound();
    let shutdown = server.shutdown_handle();
    let serving = executor.spawn(server.serve(hello));
    smol::block_on(executor.run(async {
        ask(&mut TcpStream::connect(address).await.expect("it listens")).await;
        shutdown.stop();
        serving.await.expect("it stops");
    }));

    let local = smol::LocalExecutor::new();
    let (server, address) = bound();
    let shutdown = server.shutdown_handle();
    let serving = local.spawn(server.serve(hello));
    smol::block_on(local.run(async {
        ask(&mut TcpStream::connect(address).await.expect("it listens")).await;
        shutdown.stop();
        serving.await.expect("it stops");
    }));
}

#[test]
fn a_stop_does_not_block_the_executor() {
    /// Says when the last wait begins.
    struct ScriptServer(Cgi, Arc<AtomicBool>);
    impl Handler for ScriptServer {
        async fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
            self.0.get(exchange).await
        }
        fn observer(&self) -> &dyn Observer {
            self
        }
    }
    impl Observer for ScriptServer {
        fn on_grace_expired(&self) {
            self.0.on_grace_expired();
        }
        fn processes(&self) -> Option<&ProcessLimit> {
            self.1.store(true, Ordering::SeqCst);
            self.0.processes()
        }
    }
    let _turn = TURN.lock();
    let root = tempfile::tempdir().expect("a folder can be made");
    let script = root.path().join("cgi-bin/stubborn");
    fs::create_dir(root.path().join("cgi-bin")).expect("it can be made");
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).expect("it is ours");
    // It is not gone before the second is over that it has to tidy up.
    let text = "#!/bin/sh\ntrap '' TERM\nprintf 'Content-Type: text/plain\\n\\nso far'\nsleep 100; sleep 100\n";
    fs::write(&script, text).expect("it can be written");
    fs::set_permissions(&script, Permissions::from_mode(0o755)).expect("it is ours");

    let waits = Arc::new(AtomicBool::new(false));
    let scripts = Cgi::new(root.path(), CgiSettings::default()).expect("it is there");
    let (server, address) = bound();
    let shutdown = server.shutdown_handle();
    let serving = server.serve(ScriptServer(scripts, waits.clone()));
    let client = async {
        let mut client = TcpStream::connect(address).await.expect("it listens");
        let request = b"GET /cgi-bin/stubborn HTTP/1.1\r\nHost: a\r\n\r\n";
        client.write_all(request).await.expect("it is connected");
        client.read_exact(&mut [0; 12]).await.expect("a response arrives");
        drop(client);
        shutdown.stop();
        let mut ticks = 0;
        loop {
            smol::Timer::after(Duration::from_millis(10)).await;
            ticks += usize::from(waits.load(Ordering::SeqCst));
            if ticks == 5 {
                return;
            }
        }
    };
    smol::block_on(async {
        // The ticks come while the server waits, and not after that.
        let mut serving = pin!(serving);
        let first = smol::future::or(async { serving.as_mut().await.map(|()| false) }, async {
            client.await;
            Ok(true)
        });
        assert!(first.await.expect("it stops"), "the server was over before");
        serving.await.expect("it stops");
    });
}

#[test]
fn several_threads_serve_the_same_listener() {
    /// Responds with the thread's name.
    struct Who;
    impl Handler for Who {
        async fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
            let thread = format!("{:?}", thread::current().id());
            exchange.respond(200).header("X-Thread", thread).body("hi")
        }
    }
    let _turn = TURN.lock();
    let (server, address) = bound();
    let shutdown = server.shutdown_handle();
    let three = NonZeroUsize::new(3).expect("3 is not 0");
    let serving = thread::spawn(move || server.run(Who, three));
    smol::block_on(async {
        let mut clients = Vec::new();
        for _ in 0..30 {
            let mut client = TcpStream::connect(address).await.expect("it listens");
            ask(&mut client).await;
            clients.push(client);
        }
        for client in &mut clients {
            ask(client).await;
        }
    });
    shutdown.stop();
    serving.join().expect("no thread panics").expect("it stops");
}

#[test]
fn several_threads_announce_a_stop_once() {
    /// The events of the shutdown.
    struct Events(Mutex<Vec<&'static str>>);
    /// Responds with streams that end when the server stops.
    struct Streams(Arc<Events>);
    impl Handler for Streams {
        async fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
            exchange.respond(200).streamed_body()?;
            exchange.flush().await?;
            exchange.stopping().await;
            exchange.end()
        }
        fn observer(&self) -> &dyn Observer {
            &*self.0
        }
    }
    impl Observer for Events {
        fn on_shutdown(&self) {
            self.0.lock().expect("no panic").push("shutdown");
        }
        fn on_grace_expired(&self) {
            self.0.lock().expect("no panic").push("grace expired");
        }
        fn on_stopped(&self, report: &ShutdownReport) {
            assert_eq!(report.aborted, 0);
            self.0.lock().expect("no panic").push("stopped");
        }
    }
    let _turn = TURN.lock();
    let (server, address) = bound();
    let mut config = Config::default();
    config.shutdown_grace = Duration::from_secs(600);
    let server = server.with_config(config);
    let (shutdown, events) = (server.shutdown_handle(), Arc::new(Events(Mutex::default())));
    let handler = Streams(events.clone());
    let four = NonZeroUsize::new(4).expect("4 is not 0");
    let serving = thread::spawn(move || server.run(handler, four));
    smol::block_on(async {
        let mut clients = Vec::new();
        for _ in 0..12 {
            let mut client = TcpStream::connect(address).await.expect("it listens");
            let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            client.write_all(request).await.expect("it is connected");
            client.read_exact(&mut [0; 15]).await.expect("the head arrives");
            clients.push(client);
        }
        shutdown.stop();
        for client in &mut clients {
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).await.expect("it is complete");
            assert!(rest.ends_with(b"\r\n\r\n0\r\n\r\n"), "{}", rest.escape_ascii());
        }
    });
    serving.join().expect("no thread panics").expect("it stops");
    assert_eq!(*events.0.lock().expect("no panic"), ["shutdown", "stopped"]);
}

#[test]
fn the_start_is_reported_before_anything_is_served() {
    /// Records the start, which takes its time, and the responses.
    struct Events(Arc<Mutex<Vec<&'static str>>>);
    impl Handler for Events {
        async fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
            exchange.respond(200).body("hi")
        }
        fn observer(&self) -> &dyn Observer {
            self
        }
    }
    impl Observer for Events {
        fn on_start(&self) {
            thread::sleep(Duration::from_millis(50));
            self.0.lock().expect("no panic").push("start");
        }
        fn log(&self, _: &Record<'_>) {
            self.0.lock().expect("no panic").push("response");
        }
    }
    let _turn = TURN.lock();
    for threads in [1, 4] {
        let (server, address) = bound();
        let (events, shutdown) = (Arc::default(), server.shutdown_handle());
        let handler = Events(Arc::clone(&events));
        let threads = NonZeroUsize::new(threads).expect("it is not 0");
        smol::block_on(async {
            let mut client = TcpStream::connect(address).await.expect("it listens");
            let serving = smol::unblock(move || server.run(handler, threads));
            let asked = async {
                ask(&mut client).await;
                shutdown.stop();
            };
            smol::future::zip(asked, serving).await.1.expect("it stops");
        });
        assert_eq!(*events.lock().expect("no panic"), ["start", "response"]);
    }
}

#[test]
fn connections_are_spread_over_the_workers() {
    /// Responds with the name of its thread.
    struct WhichThread;

    impl Handler for WhichThread {
        async fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
            exchange.respond(200).body(format!("{:?}", thread::current().id()))
        }
    }

    let _turn = TURN.lock();
    let (server, address) = bound();
    let shutdown = server.shutdown_handle();
    let two = NonZeroUsize::new(2).expect("it is not 0");
    let serving = thread::spawn(move || server.run(WhichThread, two));
    let mut by_thread = std::collections::HashMap::<_, usize>::new();
    let mut open = Vec::new();
    smol::block_on(async {
        for _ in 0..40 {
            // One after the other: the same worker would be idle first for each of them.
            let mut client = TcpStream::connect(address).await.expect("it listens");
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("it is connected");
            let (mut response, mut part) = (String::new(), [0; 512]);
            while !response.ends_with(')') {
                let n = client.read(&mut part).await.expect("a response arrives");
                response.push_str(std::str::from_utf8(&part[..n]).expect("it is text"));
            }
            let (_, who) = response.split_once("\r\n\r\n").expect("it has a head");
            *by_thread.entry(who.to_owned()).or_default() += 1;
            open.push(client);
        }
    });
    shutdown.stop();
    drop(open);
    serving.join().expect("it does not panic").expect("it serves");
    assert_eq!(by_thread.len(), 2);
    assert!(by_thread.values().all(|&served| served >= 15), "{by_thread:?}");
}
