//! A server's life as one future: on any executor, on several threads, and gone when it is dropped.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use doorstep_async_smol::{Exchange, Handler, Server};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::TcpStream;

/// Descriptors are counted, so these tests take turns.
static TURN: Mutex<()> = Mutex::new(());

fn hello(x: &mut Exchange<'_>) -> io::Result<()> {
    x.respond(200).body("hi")
}

fn bound() -> (Server, SocketAddr) {
    let server = Server::bind("127.0.0.1:0").expect("a free port");
    let address = server.addresses()[0];
    (server, address)
}

async fn ask(client: &mut TcpStream) {
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("it is connected");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nhi") {
        let mut part = [0; 512];
        let n = client.read(&mut part).await.expect("it answers");
        assert!(n > 0, "closed after {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&part[..n]);
    }
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("Linux shows them").count()
}

#[test]
fn dropping_the_future_leaves_nothing_behind() {
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
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    });
    assert_eq!(descriptors(), before);
}

#[test]
fn it_serves_on_an_executor_and_on_a_local_one() {
    let _turn = TURN.lock();
    let executor = smol::Executor::new();
    let (server, address) = bound();
    let stopper = server.stopper();
    let serving = executor.spawn(server.serve(hello));
    smol::block_on(executor.run(async {
        ask(&mut TcpStream::connect(address).await.expect("it listens")).await;
        stopper.stop();
        serving.await.expect("it stops");
    }));

    let local = smol::LocalExecutor::new();
    let (server, address) = bound();
    let stopper = server.stopper();
    let serving = local.spawn(server.serve(hello));
    smol::block_on(local.run(async {
        ask(&mut TcpStream::connect(address).await.expect("it listens")).await;
        stopper.stop();
        serving.await.expect("it stops");
    }));
}

#[test]
fn several_threads_serve_the_same_listener() {
    /// Answers with the thread's name.
    struct Who;
    impl Handler for Who {
        async fn get(&self, x: &mut Exchange<'_>) -> io::Result<()> {
            let thread = format!("{:?}", thread::current().id());
            x.respond(200).header("X-Thread", thread).body("hi")
        }
    }
    let _turn = TURN.lock();
    let (server, address) = bound();
    let stopper = server.stopper();
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
    stopper.stop();
    serving.join().expect("no thread panics").expect("it stops");
}
