//! A WebSocket echo by hand-over: HTTP ends here, tungstenite goes on.
//!
//! It shows what an upgrade is to the machine: an answer like any other, after which the socket and
//! the bytes behind the request are the handler's. The thread stays with it, and so does the place
//! among the connections; a stop cuts it off after its grace.
//!
//! Run with: `cargo run -p doorstep-blocking --example websocket -- 127.0.0.1:8000`

use std::io;

use doorstep_blocking::{Exchange, Handler, Server};
use doorstep_core::http1::Head;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{Role, WebSocket};

/// Sends every message back.
#[derive(Debug)]
pub struct Echo;

impl Handler for Echo {
    fn get(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
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
        let (socket, first) = exchange.upgraded()?;
        let mut socket = WebSocket::from_partially_read(socket, first, Role::Server, None);
        while let Ok(message) = socket.read() {
            if (message.is_text() || message.is_binary()) && socket.send(message).is_err() {
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
    Server::bind(std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into()))?.serve(Echo)
}
