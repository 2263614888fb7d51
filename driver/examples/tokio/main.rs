//! A third front end: the driver crate on tokio. The tests of the runtimes run on it, too, and
//! docs/drivers.md explains it part by part.
//! Run with: `cargo run -p doorstep-driver --example tokio-front-end -- 8000`

#![allow(missing_docs, unreachable_pub, dead_code, reason = "the methods of the other front ends")]

mod exchange;
mod handler;
mod server;
mod socket;

use doorstep_driver::{Config, Files, net};
pub use exchange::{Body, Exchange};
pub use {handler::Handler, server::Server};

fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(8000);
    let (config, listeners) = (Config::default(), net::bind(Some("127.0.0.1"), port)?);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().max_blocking_threads(config.pool_threads.max(1));
    let server = Server::new(net::Acceptor::nonblocking(listeners)?, config, Files::new(".")?)?;
    runtime.build()?.block_on(server.serve());
    Ok(())
}
