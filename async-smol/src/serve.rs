//! The loop: one connection from its first byte to its last.
//!
//! The same lines as the blocking driver's, but for `.await`, and for one thing: while a connection
//! is idle it leaves the loop, so that the loop's state and buffers are held by the busy ones only.

use std::io::{self, ErrorKind};
use std::mem;
use std::panic::AssertUnwindSafe;

use doorstep_core::http1::{
    Connection, Event, GrowableBuffer, HeadOffsets, Inbox, Outbox, Reject, Storage, WaitingFor,
};
use doorstep_core::log::Record;
use doorstep_driver::GATHER;
use doorstep_driver::exchange::{Turn, refuse};
use smol::future::FutureExt;

use crate::exchange::Exchange;
use crate::handler::Handler;
use crate::wire::Wire;

/// What a connection needs while it is busy.
pub(crate) struct Buffers {
    pub(crate) inbox: Inbox<GrowableBuffer>,
    pub(crate) outbox: Outbox,
}

/// How a connection stands when it leaves the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stay {
    /// Idle again.
    Served,
    /// Idle still: nothing had arrived.
    Quiet,
    /// At its end.
    Over,
}

/// Serves what has arrived, if anything has.
pub(crate) async fn connection<H: Handler>(
    handler: &H,
    connection: &mut Connection,
    Buffers { inbox, outbox }: &mut Buffers,
    wire: &Wire<'_>,
    once: bool,
) -> io::Result<Stay> {
    let log = |record: &Record<'_>| handler.log(record);
    let mut fresh = true; // nobody has looked yet whether something has arrived
    loop {
        if once || wire.seat().is_last() {
            connection.disable_keep_alive();
        }
        match connection.next(inbox) {
            Ok(Event::Request(head)) => {
                let spans = head.offsets();
                exchange(handler, connection, spans, inbox, outbox, wire).await?;
            }
            Ok(Event::NeedData) => {
                wire.flush(connection, outbox, false).await?;
                let waiting = connection.waiting_for(outbox);
                if waiting == WaitingFor::Request {
                    if !mem::take(&mut fresh) {
                        return Ok(Stay::Served);
                    }
                    match wire.glance(inbox) {
                        Ok(_) => continue,
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            return Ok(Stay::Quiet);
                        }
                        Err(_) => break, // however it left: it lost nothing
                    }
                }
                match wire.fill(inbox, waiting).await {
                    Err(error) if error.kind() == ErrorKind::TimedOut => match waiting {
                        WaitingFor::Head | WaitingFor::Body => {
                            let slow = Reject::RequestTimeout;
                            refuse(connection, slow, inbox.unread(), outbox, wire.peer(), log);
                            if wire.seat().is_evicted() {
                                let words = format!("connection lost: {error}");
                                handler.note(wire.peer().ip(), &words);
                            }
                        }
                        _ => break,
                    },
                    filled => _ = filled?,
                }
            }
            Ok(Event::Body(_) | Event::End(_)) => {} // left over from a handler that gave up
            Ok(Event::ResponseDue(_)) => connection.abort(), // never: `exchange` concludes every answer
            Ok(Event::SwitchedProtocol) => return Ok(Stay::Over), // the handler has the socket
            Ok(Event::Closed) => break,
            Err(reject) => {
                refuse(connection, reject, inbox.unread(), outbox, wire.peer(), log);
            }
        }
    }
    wire.flush(connection, outbox, false).await?;
    wire.seat().resets(connection.should_reset()); // else it looks as if that was all of it
    if connection.should_reset() {
        return Ok(Stay::Over);
    }
    if connection.should_linger() || !inbox.unread().is_empty() {
        wire.linger().await;
    }
    Ok(Stay::Over)
}

/// One request: lends the handler what it needs, and sees to it that an answer comes out.
async fn exchange<H: Handler, S: Storage>(
    handler: &H,
    connection: &mut Connection,
    head: HeadOffsets,
    inbox: &mut Inbox<S>,
    outbox: &mut Outbox,
    wire: &Wire<'_>,
) -> io::Result<()> {
    if outbox.len() > GATHER {
        wire.flush(connection, outbox, false).await?;
    }
    let (front, rest) = inbox.split(head.size(), connection.body_buffer_hint());
    let peer = wire.peer();
    let notes = |words: &str| handler.note(peer.ip(), words);
    let is_last = || wire.seat().is_last();
    let turn = Turn::new(head.view(front), connection, rest, outbox, peer, &notes, &is_last);
    let mut x = Exchange::new(turn, wire);
    let outcome = AssertUnwindSafe(async {
        if x.connection.expects_continue() {
            handler.expect(&mut x).await?;
        }
        if x.is_answered() { Ok(()) } else { handler.handle(&mut x).await }
    });
    let outcome = outcome.catch_unwind().await;
    let mut turn = x.into_turn();
    turn.conclude(outcome, |record| handler.log(record));
    let mark = turn.into_mark();
    inbox.rejoin(mark);
    wire.seat().rest();
    Ok(())
}
