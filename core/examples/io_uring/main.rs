//! The core on completions: `io_uring` through compio, one task for each client. The loop is in
//! `server.rs`. It runs on Linux, where the system permits `io_uring`.
//!
//! Run with: `cargo run -p doorstep-core --example io_uring -- 127.0.0.1:8000`

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
    Err(std::io::Error::other("io_uring is a part of Linux"))
}
