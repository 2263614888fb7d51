//! The loop: one connection from its first byte to its last.
//!
//! The same lines as the blocking driver's, but for `.await`, and for one thing: while a connection
//! is idle it leaves the loop, so that the loop's state and buffers are held by the busy ones only.

use std::io::{self, ErrorKind};
use std::mem;
use std::panic::AssertUnwindSafe;

use doorstep_core::http1::{
    Connection, Event, Growing, Inbox, Outbox, Reject, Spans, Storage, Waiting,
};
use doorstep_core::log::Record;
use doorstep_driver::FLUSH_THRESHOLD;
use doorstep_driver::exchange::{ExchangeState, refuse};
use smol::future::FutureExt;

use crate::exchange::Exchange;
use crate::handler::Handler;
use crate::socket::Socket;

/// What a connection needs while it is busy.
pub(crate) struct Buffers {
    pub(crate) inbox: Inbox<Growing>,
    pub(crate) outbox: Outbox,
}

/// How a connection stands when it leaves the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Idle again.
    Idle,
    /// Idle still: nothing had arrived.
    NoData,
    /// At its end.
    Closed,
}

/// Serves what has arrived, if anything has.
pub(crate) async fn connection<H: Handler>(
    handler: &H,
    connection: &mut Connection,
    Buffers { inbox, outbox }: &mut Buffers,
    socket: &Socket<'_>,
    once: bool,
) -> io::Result<Outcome> {
    let log = |record: &Record<'_>| handler.log(record);
    let mut fresh = true; // nobody has looked yet whether something has arrived
    loop {
        if once || socket.connection().should_close() {
            connection.retire();
        }
        match connection.next(inbox) {
            Ok(Event::Request(head)) => {
                let spans = head.spans();
                exchange(handler, connection, spans, inbox, outbox, socket).await?;
            }
            Ok(Event::NeedMore) => {
                socket.flush(connection, outbox, false).await?;
                let waiting = connection.waiting(outbox);
                if waiting == Waiting::Idle {
                    if !mem::take(&mut fresh) {
                        return Ok(Outcome::Idle);
                    }
                    match socket.try_fill(inbox) {
                        Ok(_) => continue,
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            return Ok(Outcome::NoData);
                        }
                        Err(_) => break, // however it left: it lost nothing
                    }
                }
                match socket.fill(inbox, waiting).await {
                    Err(error) if error.kind() == ErrorKind::TimedOut => match waiting {
                        Waiting::Head | Waiting::Body => {
                            let slow = Reject::TooSlow;
                            refuse(connection, slow, inbox.unread(), outbox, socket.peer(), log);
                            if socket.connection().is_evicted() {
                                let words = format!("connection lost: {error}");
                                handler.on_error(socket.peer().ip(), &words);
                            }
                        }
                        _ => break,
                    },
                    filled => _ = filled?,
                }
            }
            Ok(Event::Body(_) | Event::End(_)) => {} // left over from a handler that gave up
            Ok(Event::Owed(_)) => connection.lost(), // never: `exchange` concludes every answer
            Ok(Event::Switched) => return Ok(Outcome::Closed), // the handler has the socket
            Ok(Event::Closed) => break,
            Err(reject) => {
                refuse(connection, reject, inbox.unread(), outbox, socket.peer(), log);
            }
        }
    }
    socket.flush(connection, outbox, false).await?;
    socket.connection().set_reset_on_close(connection.resets()); // else it looks as if that was all of it
    if connection.resets() {
        return Ok(Outcome::Closed);
    }
    if connection.lingers() || !inbox.unread().is_empty() {
        socket.linger().await;
    }
    Ok(Outcome::Closed)
}

/// One request: lends the handler what it needs, and sees to it that an answer comes out.
async fn exchange<H: Handler, S: Storage>(
    handler: &H,
    connection: &mut Connection,
    head: Spans,
    inbox: &mut Inbox<S>,
    outbox: &mut Outbox,
    socket: &Socket<'_>,
) -> io::Result<()> {
    if outbox.len() > FLUSH_THRESHOLD {
        socket.flush(connection, outbox, false).await?;
    }
    let (front, rest) = inbox.split(head.size(), connection.room());
    let peer = socket.peer();
    let notes = |words: &str| handler.on_error(peer.ip(), words);
    let is_last = || socket.connection().should_close();
    let turn =
        ExchangeState::new(head.view(front), connection, rest, outbox, peer, &notes, &is_last);
    let mut exchange = Exchange::new(turn, socket);
    let outcome = AssertUnwindSafe(async {
        if exchange.machine.expects() {
            handler.expect(&mut exchange).await?;
        }
        if exchange.has_responded() { Ok(()) } else { handler.handle(&mut exchange).await }
    });
    let outcome = outcome.catch_unwind().await;
    let mut turn = exchange.into_state();
    turn.finish(outcome, |record| handler.log(record));
    let mark = turn.into_position();
    inbox.rejoin(mark);
    socket.connection().exchange_done();
    Ok(())
}
