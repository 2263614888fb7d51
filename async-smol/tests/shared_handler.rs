//! A handler that is shared with the server keeps its methods.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use doorstep_async_smol::{Exchange, Handler, Server};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::TcpStream;

#[derive(Default)]
struct Counter {
    gets: AtomicU32,
    others: AtomicU32,
}

impl Handler for Counter {
    async fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.gets.fetch_add(1, Ordering::SeqCst);
        exchange.respond(204).body("")
    }
    async fn fallback(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        self.others.fetch_add(1, Ordering::SeqCst);
        exchange.respond(204).body("")
    }
}

#[test]
fn a_shared_handler_keeps_its_methods() {
    let counter = Arc::new(Counter::default());
    smol::block_on(async {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let (address, shutdown) = (server.addresses()[0], server.shutdown_handle());
        let serving = smol::spawn(server.serve(counter.clone()));
        for method in ["GET", "DELETE", "DELETE"] {
            let mut client = TcpStream::connect(address).await.unwrap();
            let request = format!("{method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            client.write_all(request.as_bytes()).await.unwrap();
            let mut response = String::new();
            client.read_to_string(&mut response).await.unwrap();
            assert!(response.starts_with("HTTP/1.1 204 "), "{response}");
        }
        shutdown.stop();
        serving.await.unwrap();
    });
    let counts = [&counter.gets, &counter.others].map(|count| count.load(Ordering::SeqCst));
    assert_eq!(counts, [1, 2]);
}
