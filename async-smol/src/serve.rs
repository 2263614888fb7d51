//! One connection, from the moment something may have arrived until it is idle again or closed.
//!
//! [`Session`] decides what is done next; here it is done, and awaited where it has to be. An idle
//! connection leaves this loop, so that only busy ones hold its state and buffers.

use std::io::{self, ErrorKind};
use std::panic::AssertUnwindSafe;

use doorstep_core::http1::{GrowableBuffer, Inbox, Outbox, WaitingFor};
use doorstep_driver::Config;
use doorstep_driver::exchange::{Session, Step};
use smol::future::FutureExt;

use crate::exchange::Exchange;
use crate::handler::Handler;
use crate::socket::Socket;

/// What a connection needs while it is busy.
pub(crate) struct Buffers {
    pub(crate) inbox: Inbox<GrowableBuffer>,
    pub(crate) outbox: Outbox,
}

/// The state of a connection that leaves the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
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
) -> io::Result<Outcome> {
    let mut session = Session::new(config, socket.connection(), handler.observer(), once);
    let mut tried = false;
    loop {
        match session.step(inbox, outbox) {
            Step::Handle(head) => {
                let state = session.exchange(head, inbox, outbox);
                let mut exchange = Exchange::new(state, socket);
                let handled = AssertUnwindSafe(respond(handler, &mut exchange));
                let outcome = handled.catch_unwind().await;
                let end = exchange.into_state().finish(outcome);
                inbox.rejoin(end);
            }
            Step::Flush => {
                let flushed = socket.flush(outbox, false).await;
                session.flushed(inbox, outbox, flushed)?;
            }
            Step::Fill(WaitingFor::Request) if tried => return Ok(Outcome::Idle),
            Step::Fill(WaitingFor::Request) => {
                let filled = socket.try_fill(inbox);
                if filled.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
                    return Ok(Outcome::NoData);
                }
                session.filled(inbox, outbox, filled)?;
            }
            Step::Fill(waiting) => {
                let filled = socket.fill(inbox, waiting).await;
                session.filled(inbox, outbox, filled)?;
            }
            Step::Discard => session.discarded(socket.discard().await),
            Step::Close | Step::Upgraded => return Ok(Outcome::Closed),
        }
        tried = true;
    }
}

async fn respond<H: Handler>(handler: &H, exchange: &mut Exchange<'_>) -> io::Result<()> {
    if exchange.state().expects_continue() {
        handler.expect(exchange).await?;
    }
    if exchange.has_responded() { Ok(()) } else { handler.handle(exchange).await }
}
