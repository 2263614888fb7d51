//! One connection from its first byte to its last.
//!
//! [`Session`] decides what is done next; here it is done, and waited for where it has to be.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use doorstep_core::http1::Outbox;
use doorstep_driver::Config;
use doorstep_driver::exchange::{Session, Step};

use crate::exchange::Exchange;
use crate::handler::Handler;
use crate::socket::Socket;

/// Serves a connection until it ends; with `once`, one request of it.
pub(crate) fn connection<H: Handler>(
    handler: &H,
    config: &Config,
    socket: &Socket<'_>,
    outbox: &mut Outbox,
    once: bool,
) -> io::Result<()> {
    let mut inbox = config.inbox();
    let mut session = Session::new(config, socket.connection(), handler.observer(), once);
    outbox.clear();
    loop {
        match session.step(&mut inbox, outbox) {
            Step::Handle(head) => {
                let state = session.exchange(head, &mut inbox, outbox);
                let mut exchange = Exchange::new(state, socket);
                let handled = AssertUnwindSafe(|| respond(handler, &mut exchange));
                let outcome = catch_unwind(handled);
                let end = exchange.into_state().finish(outcome);
                inbox.rejoin(end);
            }
            Step::Flush => {
                let flushed = socket.flush(outbox, false);
                session.flushed(&inbox, outbox, flushed)?;
            }
            Step::Fill(waiting) => {
                let filled = socket.fill(&mut inbox, waiting);
                session.filled(&inbox, outbox, filled)?;
            }
            Step::Discard => session.discarded(socket.discard()),
            Step::Close | Step::Upgraded => return Ok(()),
        }
    }
}

fn respond<H: Handler>(handler: &H, exchange: &mut Exchange<'_>) -> io::Result<()> {
    if exchange.state().expects_continue() {
        handler.expect(exchange)?;
    }
    if exchange.has_responded() { Ok(()) } else { handler.handle(exchange) }
}
