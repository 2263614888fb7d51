//! The loop: one connection from its first byte to its last.
//!
//! This is the whole driver in one screen: ask the machine, do what it says. It flushes before it
//! waits and never before that, so the answers of a pipelined batch leave in one write. The other
//! driver's loop has the same lines, but for `.await`.

use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

use doorstep_core::http1::{
    Connection, Event, HeadOffsets, Inbox, Outbox, Reject, Storage, WaitingFor,
};
use doorstep_core::log::Record;

use crate::exchange::Exchange;
use crate::handler::Handler;
use crate::wire::Wire;
use doorstep_driver::config::{Config, GATHER};
use doorstep_driver::exchange::{Turn, refuse};

/// Serves one connection until it ends; with `once`, one request.
pub(crate) fn connection<H: Handler>(
    handler: &H,
    config: &Config,
    wire: &Wire<'_>,
    outbox: &mut Outbox,
    once: bool,
) -> io::Result<()> {
    let mut inbox = config.inbox();
    let mut connection = config.connection();
    let log = |record: &Record<'_>| handler.log(record);
    outbox.clear();
    loop {
        if once || wire.seat().is_last() {
            connection.disable_keep_alive();
        }
        match connection.next(&mut inbox) {
            Ok(Event::Request(head)) => {
                let spans = head.offsets();
                exchange(handler, &mut connection, spans, &mut inbox, outbox, wire)?;
            }
            Ok(Event::NeedData) => {
                wire.flush(&connection, outbox, false)?;
                let waiting = connection.waiting_for(outbox);
                match wire.fill(&mut inbox, waiting) {
                    Err(_) if waiting == WaitingFor::Request => break, // however it left: it lost nothing
                    Err(error) if error.kind() == ErrorKind::TimedOut => match waiting {
                        WaitingFor::Head | WaitingFor::Body => {
                            let slow = Reject::RequestTimeout;
                            refuse(&mut connection, slow, inbox.unread(), outbox, wire.peer(), log);
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
            Ok(Event::SwitchedProtocol) => return Ok(()),    // the handler has the socket
            Ok(Event::Closed) => break,
            Err(reject) => {
                refuse(&mut connection, reject, inbox.unread(), outbox, wire.peer(), log);
            }
        }
    }
    wire.flush(&connection, outbox, false)?;
    wire.seat().resets(connection.should_reset()); // else it looks as if that was all of it
    if connection.should_reset() {
        return Ok(());
    }
    if connection.should_linger() || !inbox.unread().is_empty() {
        wire.linger(config.linger);
    }
    Ok(())
}

/// One request: lends the handler what it needs, and sees to it that an answer comes out.
fn exchange<H: Handler, S: Storage>(
    handler: &H,
    connection: &mut Connection,
    head: HeadOffsets,
    inbox: &mut Inbox<S>,
    outbox: &mut Outbox,
    wire: &Wire<'_>,
) -> io::Result<()> {
    if outbox.len() > GATHER {
        wire.flush(connection, outbox, false)?;
    }
    let (front, rest) = inbox.split(head.size(), connection.body_buffer_hint());
    let peer = wire.peer();
    let notes = |words: &str| handler.note(peer.ip(), words);
    let is_last = || wire.seat().is_last();
    let turn = Turn::new(head.view(front), connection, rest, outbox, peer, &notes, &is_last);
    let mut x = Exchange::new(turn, wire);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        if x.connection.expects_continue() {
            handler.expect(&mut x)?;
        }
        if x.is_answered() { Ok(()) } else { handler.handle(&mut x) }
    }));
    let mut turn = x.into_turn();
    turn.conclude(outcome, |record| handler.log(record));
    let mark = turn.into_mark();
    inbox.rejoin(mark);
    wire.seat().rest();
    Ok(())
}
