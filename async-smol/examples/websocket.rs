//! A WebSocket echo by hand-over: HTTP ends here, async-tungstenite goes on.
//!
//! It shows what an upgrade is to the machine: an answer like any other, after which the socket and
//! the bytes behind the request are the handler's. The task stays with it, and so does the place
//! among the connections; a stop cuts it off after its grace.
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
            let answer = exchange.respond(426).header("Sec-WebSocket-Version", "13");
            return answer
                .header("Upgrade", "websocket")
                .error_page("Here one speaks WebSocket only.");
        };
        let accept = derive_accept_key(key);
        let answer = exchange.respond(101).header("Sec-WebSocket-Accept", accept);
        if answer.upgrade("websocket").is_err() {
            return exchange
                .respond(400)
                .error_page("An upgrade wants Connection: Upgrade and no body.");
        }
        let (socket, first) = exchange.upgraded().await?;
        let mut socket =
            WebSocketStream::from_partially_read(socket, first, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                break;
            }
        }
        Ok(()) // closed, or broken: the peer knows
    }
}

/// The key of an opening handshake, when it is one (RFC 6455 §4.2.1).
fn key<'a>(head: &Head<'a>) -> Option<&'a [u8]> {
    let wants = head.header_list("upgrade").any(|name| name.eq_ignore_ascii_case(b"websocket"));
    let speaks = head.header("sec-websocket-version") == Some(b"13");
    head.header("sec-websocket-key").filter(|_| wants && speaks)
}

#[allow(dead_code, reason = "the test that drives this file brings its own server")]
fn main() -> io::Result<()> {
    smol::block_on(
        Server::bind(std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into()))?.serve(Echo),
    )
}
