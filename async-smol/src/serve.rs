//! One connection, from the moment something may have arrived until it is idle again or closed.
//!
//! [`Session`] decides what is done next; here it is done, and awaited where it has to be. An idle
//! connection leaves this loop, so that only busy ones hold its state and buffers.

use std::io::{self, ErrorKind};
use std::panic::AssertUnwindSafe;

use doorstep_core::http1::WaitingFor;
use doorstep_driver::connections::Connections;
use doorstep_driver::exchange::{Session, Step, log_connection_error};
use doorstep_driver::net::Stream;
use doorstep_driver::{Buffers, Config};
use smol::future;
use smol::future::FutureExt;

use crate::blocking_pool::BlockingPool;
use crate::exchange::Exchange;
use crate::handler::Handler;
use crate::poller::Poller;
use crate::socket::{Shared, Socket};
use crate::{reactor, worker};

/// Serves one accepted connection until it ends: for a program that accepts connections itself, or
/// that inetd starts. Errors of the connection and of the handler are reported to the observer.
///
/// Deadlines apply, and work that blocks has a pool of threads of its own. A [`MemoryStream`] never
/// waits; for it there is neither, and the reactor is not used:
///
/// ```
/// use doorstep_async_smol::{Config, Exchange, MemoryStream, serve_stream};
///
/// let handler = |exchange: &mut Exchange<'_>| exchange.respond(200).body(vec![b'x'; 1 << 20]);
/// let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
/// let client = MemoryStream::new(request).disconnect_after(1000);
/// smol::block_on(serve_stream(&handler, &Config::default(), client.clone()))?;
/// assert_eq!(client.take_output().len(), 1000);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// [`MemoryStream`]: crate::MemoryStream
///
/// # Errors
/// Returns an error if the system has no thread for the reactor or the pool, or the socket cannot be
/// set to non-blocking.
pub async fn serve_stream<H: Handler>(
    handler: &H,
    config: &Config,
    stream: impl Into<Stream>,
) -> io::Result<()> {
    let stream = stream.into();
    stream.set_nonblocking(true)?;
    let connections = Connections::default();
    if stream.fd().is_none() {
        let pool = BlockingPool::inline(config);
        let shared = Shared { config, pool: &pool, poller: None };
        until_closed(handler, &shared, &connections, stream).await;
        return Ok(());
    }
    reactor::start()?;
    let (pool, poller) = (BlockingPool::start(config)?, Poller::new()?);
    let shared = Shared { config, pool: &pool, poller: Some(&poller) };
    let serving = async {
        until_closed(handler, &shared, &connections, stream).await;
        Ok(())
    };
    let sweeping = async {
        worker::sweep(&connections, config).await;
        Ok(())
    };
    future::or(serving, future::or(poller.drive(), sweeping)).await
}

/// Serves one accepted connection until it ends, on this thread, as [`serve_stream`] does: for a
/// program without an executor.
///
/// # Errors
/// Returns the same errors as [`serve_stream`].
pub fn run_stream<H: Handler>(
    handler: &H,
    config: &Config,
    stream: impl Into<Stream>,
) -> io::Result<()> {
    async_io::block_on(serve_stream(handler, config, stream))
}

async fn until_closed<H: Handler>(
    handler: &H,
    shared: &Shared<'_>,
    connections: &Connections,
    stream: Stream,
) {
    let config = shared.config;
    let socket = Socket::new(connections.register_stream(stream), shared);
    let mut buffers = Buffers::new(config);
    let serving = async {
        while connection(handler, config, &mut buffers, &socket, false).await?
            != ServeOutcome::Closed
        {
            socket.idle().await?;
        }
        Ok(())
    };
    if let Err(error) = serving.await {
        log_connection_error(handler.observer(), socket.connection(), &error);
    }
}

/// The state of a connection that leaves the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServeOutcome {
    /// It was served, and is idle again.
    Idle,
    /// Nothing had arrived.
    NoData,
    /// It is to be closed, or has another owner.
    Closed,
}

/// Serves what has arrived, if anything has; with `once`, one request.
pub(crate) async fn connection<H: Handler>(
    handler: &H,
    config: &Config,
    Buffers { inbox, outbox }: &mut Buffers,
    socket: &Socket<'_>,
    once: bool,
) -> io::Result<ServeOutcome> {
    let mut session = Session::new(config, socket.connection(), handler.observer(), once);
    let mut tried = false;
    loop {
        match session.step(inbox, outbox) {
            Step::Handle(head) => {
                let state = session.exchange(head, inbox, outbox);
                let mut exchange = Exchange::new(state, socket);
                // In one expression: a variable would be one more copy in this future.
                let outcome = AssertUnwindSafe(async { handler.handle(&mut exchange).await })
                    .catch_unwind()
                    .await;
                let end = exchange.into_state().finish(outcome);
                inbox.rejoin(end);
            }
            Step::Flush => {
                let flushed = socket.flush(outbox, false).await;
                session.flushed(inbox, outbox, flushed)?;
            }
            Step::Fill(WaitingFor::Request) if tried => return Ok(ServeOutcome::Idle),
            Step::Fill(WaitingFor::Request) => {
                let filled = socket.try_fill(inbox);
                if filled.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
                    return Ok(ServeOutcome::NoData);
                }
                session.filled(inbox, outbox, filled)?;
            }
            Step::Fill(waiting) => {
                let filled = socket.fill(inbox, waiting).await;
                session.filled(inbox, outbox, filled)?;
            }
            Step::Discard => session.discarded(socket.discard().await),
            Step::Close | Step::Upgraded => return Ok(ServeOutcome::Closed),
        }
        tried = true;
    }
}
