//! Waiting for a disconnect: in any task, beside other uses of the exchange, and without a busy loop.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use doorstep_async_smol::{Config, Exchange, Server, handler_fn_with};
use smol::future;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::TcpStream;

/// Counts the polls of `disconnected` during 300 ms, then responds.
async fn count_polls(polls: &Arc<AtomicUsize>, exchange: &mut Exchange<'_>) -> io::Result<()> {
    let mut disconnected = pin!(exchange.disconnected());
    let counted = poll_fn(|cx| {
        polls.fetch_add(1, Ordering::SeqCst);
        disconnected.as_mut().poll(cx)
    });
    let late = async { _ = smol::Timer::after(Duration::from_millis(300)).await };
    future::or(counted, late).await;
    exchange.respond(200).body("here")
}

#[test]
fn unread_bytes_do_not_make_it_busy() {
    for (half_close, ahead) in [(false, ""), (false, "GET /"), (true, ""), (true, "GET /")] {
        let polls = Arc::new(AtomicUsize::new(0));
        smol::block_on(async {
            let mut config = Config::default();
            config.disconnect_check_interval = Duration::from_millis(50);
            config.half_close_timeout = Duration::from_secs(600);
            config.lame_duck = Duration::ZERO;
            let server = Server::bind("127.0.0.1:0").unwrap().with_config(config);
            let (address, shutdown) = (server.addresses()[0], server.shutdown_handle());
            let serving = smol::spawn(server.serve(handler_fn_with(polls.clone(), count_polls)));
            let mut client = TcpStream::connect(address).await.unwrap();
            let request = format!("GET / HTTP/1.1\r\nHost: a\r\n\r\n{ahead}");
            client.write_all(request.as_bytes()).await.unwrap();
            if half_close {
                client.shutdown(std::net::Shutdown::Write).unwrap();
            }
            let mut response = [0; 15];
            client.read_exact(&mut response).await.unwrap();
            assert_eq!(&response, b"HTTP/1.1 200 OK");
            drop(client);
            shutdown.stop();
            serving.await.unwrap();
        });
        // Each poll of the two futures counts, and each wait of 50 ms is two of them at most.
        let polls = polls.load(Ordering::SeqCst);
        assert!((1..=30).contains(&polls), "{polls} polls, {half_close}, {ahead:?}");
    }
}

/// Reads the body and waits for the disconnect in one task, and reports what comes first.
async fn read_beside(
    ended: &smol::channel::Sender<&'static str>,
    exchange: &mut Exchange<'_>,
) -> io::Result<()> {
    let disconnected = exchange.disconnected(); // it does not borrow the exchange
    let read = async {
        let mut body = Vec::new();
        match exchange.body().read_to_end(&mut body).await {
            Ok(5) => "read",
            _ => "failed",
        }
    };
    let gone = async {
        disconnected.await;
        "disconnected"
    };
    _ = ended.send(future::or(gone, read).await).await;
    exchange.respond(204).body("")
}

#[test]
fn it_can_be_polled_beside_a_read_of_the_body() {
    let (sender, ended) = smol::channel::unbounded();
    smol::block_on(async {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let (address, shutdown) = (server.addresses()[0], server.shutdown_handle());
        let serving = smol::spawn(server.serve(handler_fn_with(sender, read_beside)));
        let mut client = TcpStream::connect(address).await.unwrap();
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
        client.write_all(head).await.unwrap();
        for byte in b"hello" {
            smol::Timer::after(Duration::from_millis(20)).await;
            client.write_all(&[*byte]).await.unwrap();
        }
        assert_eq!(ended.recv().await, Ok("read"));
        drop(client);
        shutdown.stop();
        serving.await.unwrap();
    });
}
