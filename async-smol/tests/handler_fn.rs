//! Async functions and closures as handlers.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use doorstep_async_smol::{Config, Exchange, Handler, Server, handler_fn, handler_fn_with};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::TcpStream;

/// What a server with this handler responds to a POST of "hello".
fn respond(handler: impl Handler) -> String {
    smol::block_on(async {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let (address, shutdown) = (server.addresses()[0], server.shutdown_handle());
        let serving = smol::spawn(server.serve(handler));
        let mut client = TcpStream::connect(address).await.unwrap();
        let request = b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello";
        client.write_all(request).await.unwrap();
        let mut response = String::new();
        client.read_to_string(&mut response).await.unwrap();
        shutdown.stop();
        serving.await.unwrap();
        response.split_once("\r\n\r\n").unwrap().1.into()
    })
}

async fn echo(exchange: &mut Exchange<'_>) -> io::Result<()> {
    let mut body = Vec::new();
    exchange.body().read_to_end(&mut body).await?;
    exchange.respond(200).body(body)
}

async fn count(calls: &AtomicU32, exchange: &mut Exchange<'_>) -> io::Result<()> {
    exchange.unblock(|| {}).await;
    let n = calls.fetch_add(1, Ordering::SeqCst);
    exchange.respond(200).body(format!("{n}"))
}

#[test]
fn async_functions_and_closures_are_handlers() {
    assert_eq!(respond(handler_fn(echo)), "hello");
    let closure = async |exchange: &mut Exchange<'_>| echo(exchange).await;
    assert_eq!(respond(handler_fn(closure)), "hello");
    assert_eq!(respond(std::sync::Arc::new(handler_fn(echo))), "hello");
}

#[test]
fn they_can_share_state() {
    assert_eq!(respond(handler_fn_with(AtomicU32::new(7), count)), "7");
    let closure = async |greeting: &String, exchange: &mut Exchange<'_>| {
        exchange.flush().await?;
        exchange.respond(200).body(greeting)
    };
    assert_eq!(respond(handler_fn_with("hi".to_owned(), closure)), "hi");
}

#[test]
fn a_panic_before_the_future_is_made_is_a_500() {
    fn panics(exchange: &mut Exchange<'_>) -> impl Future<Output = io::Result<()>> + Send {
        assert!(exchange.has_responded(), "it has not");
        async { Ok(()) }
    }
    assert!(respond(handler_fn(panics)).contains("<b>500</b>"));
}

#[test]
fn a_server_with_an_invalid_header_does_not_serve() {
    let headers = vec![("X-Frame-Options".into(), "DENY\n".into())];
    let server = || {
        let mut config = Config::default();
        config.headers.clone_from(&headers);
        Server::bind("127.0.0.1:0").unwrap().with_config(config)
    };
    for served in [
        smol::block_on(server().serve(handler_fn(echo))),
        smol::block_on(server().serve_one(&handler_fn(echo))),
        server().run(handler_fn(echo), std::num::NonZeroUsize::MIN),
    ] {
        assert_eq!(served.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
