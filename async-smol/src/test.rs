//! Tests of handlers without a socket: requests in, responses out, all in memory.
//!
//! The handler is called by the same code as on a real connection, so the response is the one that a
//! client gets: framing, `100 Continue`, error pages, limits. There is no port, no thread and no
//! reactor, and nothing waits but timers of the handler; but for the `Date` header, the same request has
//! the same response. Work for [`Exchange::unblock`](crate::Exchange::unblock) is done at once.
//!
//! ```
//! use doorstep_async_smol::{Exchange, test};
//!
//! let hello = |exchange: &mut Exchange<'_>| exchange.respond(200).body("hello\n");
//! let response = smol::block_on(test::ask(&hello, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
//! assert!(response.starts_with(b"HTTP/1.1 200 OK\r\n"));
//! assert!(response.ends_with(b"\r\n\r\nhello\n"));
//! ```
//!
//! With [`serve_stream`] the configuration, the client's address and the moment when it disconnects
//! can be chosen.

use doorstep_driver::Config;
use doorstep_driver::net::MemoryStream;

use crate::handler::Handler;
use crate::serve::serve_stream;

/// Sends `request` to `handler`, and returns the response: the bytes as the client receives them.
/// `request` can be any number of requests, one after another. After them the client closes its half
/// of the connection, so an incomplete one is responded to with 400.
///
/// The configuration is the default, and the client's address 127.0.0.1. Files, listings and CGI
/// scripts are served, too. There is no socket for another protocol: after a 101,
/// [`Exchange::upgraded`](crate::Exchange::upgraded) returns an error of kind
/// [`Unsupported`](std::io::ErrorKind::Unsupported).
#[must_use]
pub async fn ask<H: Handler>(handler: &H, request: impl Into<Vec<u8>>) -> Vec<u8> {
    let client = MemoryStream::new(request);
    // Only a socket needs threads, which the system can refuse.
    let _ = serve_stream(handler, &Config::default(), client.clone()).await;
    client.take_output()
}
