//! One connection, from its first byte to its last.

use std::io::{self, Read};
use std::{future::poll_fn, panic::AssertUnwindSafe};

use super::{Exchange, Handler, socket::Socket};
use doorstep_driver::exchange::{Session, Step};
use doorstep_driver::{Config, connections::SharedRegistration, core::http1::WaitingFor};
use futures_lite::FutureExt;

/// Serves a connection until it ends; with `once`, one request of it.
pub async fn serve(
    handler: &impl Handler,
    config: &Config,
    connection: &SharedRegistration,
    once: bool,
) -> io::Result<()> {
    let socket = Socket::new(connection)?;
    let (mut inbox, mut outbox) = (config.inbox(), config.outbox());
    let mut session = Session::new(config, connection, handler.observer(), once);
    loop {
        match session.step(&mut inbox, &mut outbox) {
            Step::Handle(head) => {
                let state = session.exchange(head, &mut inbox, &mut outbox);
                let mut exchange = Exchange { state, socket: &socket };
                // A panic ends its response, and nothing else.
                let outcome = AssertUnwindSafe(handle(handler, &mut exchange)).catch_unwind().await;
                let position = exchange.state.finish(outcome);
                inbox.rejoin(position);
            }
            Step::Flush => {
                let mut flush = || connection.flush(&mut outbox, false);
                poll_fn(|cx| socket.poll_wait(cx, WaitingFor::Writable, &mut flush)).await?;
            }
            Step::Fill(waiting) => {
                let mut read = || connection.read(waiting, |stream| inbox.fill(stream));
                let filled = poll_fn(|cx| socket.poll_wait(cx, waiting, &mut read)).await;
                session.filled(&inbox, &mut outbox, filled)?;
            }
            Step::Discard => {
                let waiting = WaitingFor::Linger;
                let read = || connection.read(waiting, |stream| stream.read(&mut [0; 16 << 10]));
                session.discarded(poll_fn(|cx| socket.poll_wait(cx, waiting, read)).await);
            }
            Step::Close | Step::Upgraded => return Ok(()),
        }
    }
}

async fn handle(handler: &impl Handler, exchange: &mut Exchange<'_>) -> io::Result<()> {
    if exchange.state.expects_continue() {
        handler.expect(exchange).await?;
    }
    if exchange.has_responded() { Ok(()) } else { handler.handle(exchange).await }
}
