//! A WebSocket echo server: an upgrade ends HTTP, and async-tungstenite goes on.
//!
//! An upgrade is a response like any other; after it the handler has the socket, and the bytes that
//! have arrived behind the request. The task stays with the connection, which counts against the limit
//! of connections; a shutdown aborts it when its grace is over.
//!
//! Run with: `cargo run -p doorstep-async-smol --example websocket-smol -- 127.0.0.1:8000`

use std::io;

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::handshake::derive_accept_key;
use async_tungstenite::tungstenite::protocol::Role;
use doorstep_async_smol::{Exchange, Handler, Server};
use doorstep_core::http1::Head;
use smol::stream::StreamExt;

/// Sends every message back.
#[derive(Debug)]
pub struct Echo;

impl Handler for Echo {
    async fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        let Some(key) = key(&exchange.head()) else {
            let response = exchange.respond(426).header("Sec-WebSocket-Version", "13");
            return response
                .header("Upgrade", "websocket")
                .error_page("This resource is for WebSocket clients only.");
        };
        let accept = derive_accept_key(key);
        let response = exchange.respond(101).header("Sec-WebSocket-Accept", accept);
        if response.upgrade("websocket").is_err() {
            return exchange
                .respond(400)
                .error_page("An upgrade needs Connection: Upgrade, and no body.");
        }
        let (socket, first) = exchange.upgraded().await?;
        let mut socket =
            WebSocketStream::from_partially_read(socket, first, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                break;
            }
        }
        Ok(()) // the connection is closed
    }
}

/// The key of an opening handshake, if this is one (RFC 6455 §4.2.1).
fn key<'a>(head: &Head<'a>) -> Option<&'a [u8]> {
    let is_upgrade =
        head.header_list("upgrade").any(|name| name.eq_ignore_ascii_case(b"websocket"));
    let is_version_13 = head.header("sec-websocket-version") == Some(b"13");
    head.header("sec-websocket-key").filter(|_| is_upgrade && is_version_13)
}

#[allow(dead_code, reason = "the test of this file starts its own server")]
fn main() -> io::Result<()> {
    smol::block_on(
        Server::bind(std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into()))?.serve(Echo),
    )
}
