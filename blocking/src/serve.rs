//! The loop: one connection from its first byte to its last.
//!
//! This is the whole driver in one screen: ask the machine, do what it says. It flushes before it
//! waits and never before that, so the answers of a pipelined batch leave in one write. The other
//! driver's loop has the same lines, but for `.await`.

use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

use doorstep_core::http1::{Connection, Event, Inbox, Outbox, Reject, Spans, Storage, Waiting};
use doorstep_core::log::Record;

use crate::exchange::Exchange;
use crate::handler::Handler;
use crate::socket::Socket;
use doorstep_driver::config::{Config, FLUSH_THRESHOLD};
use doorstep_driver::exchange::{ExchangeState, refuse};

/// Serves one connection until it ends; with `once`, one request.
pub(crate) fn connection<H: Handler>(
    handler: &H,
    config: &Config,
    socket: &Socket<'_>,
    outbox: &mut Outbox,
    once: bool,
) -> io::Result<()> {
    let mut inbox = config.inbox();
    let mut connection = config.connection();
    let log = |record: &Record<'_>| handler.log(record);
    outbox.clear();
    loop {
        if once || socket.connection().should_close() {
            connection.retire();
        }
        match connection.next(&mut inbox) {
            Ok(Event::Request(head)) => {
                let spans = head.spans();
                exchange(handler, &mut connection, spans, &mut inbox, outbox, socket)?;
            }
            Ok(Event::NeedMore) => {
                socket.flush(&connection, outbox, false)?;
                let waiting = connection.waiting(outbox);
                match socket.fill(&mut inbox, waiting) {
                    Err(_) if waiting == Waiting::Idle => break, // however it left: it lost nothing
                    Err(error) if error.kind() == ErrorKind::TimedOut => match waiting {
                        Waiting::Head | Waiting::Body => {
                            let slow = Reject::TooSlow;
                            refuse(
                                &mut connection,
                                slow,
                                inbox.unread(),
                                outbox,
                                socket.peer(),
                                log,
                            );
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
            Ok(Event::Switched) => return Ok(()),    // the handler has the socket
            Ok(Event::Closed) => break,
            Err(reject) => {
                refuse(&mut connection, reject, inbox.unread(), outbox, socket.peer(), log);
            }
        }
    }
    socket.flush(&connection, outbox, false)?;
    socket.connection().set_reset_on_close(connection.resets()); // else it looks as if that was all of it
    if connection.resets() {
        return Ok(());
    }
    if connection.lingers() || !inbox.unread().is_empty() {
        socket.linger(config.max_linger_bytes);
    }
    Ok(())
}

/// One request: lends the handler what it needs, and sees to it that an answer comes out.
fn exchange<H: Handler, S: Storage>(
    handler: &H,
    connection: &mut Connection,
    head: Spans,
    inbox: &mut Inbox<S>,
    outbox: &mut Outbox,
    socket: &Socket<'_>,
) -> io::Result<()> {
    if outbox.len() > FLUSH_THRESHOLD {
        socket.flush(connection, outbox, false)?;
    }
    let (front, rest) = inbox.split(head.size(), connection.room());
    let peer = socket.peer();
    let notes = |words: &str| handler.on_error(peer.ip(), words);
    let is_last = || socket.connection().should_close();
    let turn =
        ExchangeState::new(head.view(front), connection, rest, outbox, peer, &notes, &is_last);
    let mut exchange = Exchange::new(turn, socket);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        if exchange.machine.expects() {
            handler.expect(&mut exchange)?;
        }
        if exchange.has_responded() { Ok(()) } else { handler.handle(&mut exchange) }
    }));
    let mut turn = exchange.into_state();
    turn.finish(outcome, |record| handler.log(record));
    let mark = turn.into_position();
    inbox.rejoin(mark);
    socket.connection().exchange_done();
    Ok(())
}
