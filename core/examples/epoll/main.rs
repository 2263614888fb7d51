//! The core in an event loop of your own: epoll by hand, one thread, any number of clients. The loop
//! is in `server.rs`. It runs on Linux.
//!
//! Run with: `cargo run -p doorstep-core --example epoll -- 127.0.0.1:8000`

#![allow(clippy::disallowed_types, reason = "the loop has the sockets")]

#[cfg(target_os = "linux")]
mod server;

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let timeouts = doorstep_core::http1::Timeouts::default();
    server::run(&std::net::TcpListener::bind(address)?, &timeouts)
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::io::Result<()> {
    Err(std::io::Error::other("epoll is a system call of Linux"))
}
