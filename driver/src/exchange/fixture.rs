//! For tests: one request on a connection over loopback, and what came of it.

use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::Mutex;

use doorstep_core::http1::{Connection, Event, Inbox, Limits, Outbox};
use doorstep_core::log::Record;

use super::ExchangeState;
use crate::connections::Connections;
use crate::observer::Observer;

/// What was sent and logged.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) sent: String,
    pub(crate) errors: Vec<String>,
    /// Whether the access log calls the response incomplete.
    pub(crate) aborted: bool,
}

#[derive(Default)]
struct Log {
    errors: Mutex<Vec<String>>,
    aborted: Mutex<bool>,
}

impl Observer for Log {
    fn log(&self, record: &Record<'_>) {
        *self.aborted.lock().unwrap() = record.cut;
    }
    fn on_error(&self, _: IpAddr, message: &str) {
        self.errors.lock().unwrap().push(message.to_owned());
    }
}

/// Responds to `request` by `respond`, with the client's end of the connection open.
pub(crate) fn respond(request: &[u8], respond: impl FnOnce(&mut ExchangeState<'_>)) -> Seen {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, peer) = listener.accept().unwrap();
    let connections = Connections::default();
    let connection = connections.register(stream, peer);
    let (mut machine, mut outbox) = (Connection::new(Limits::default()), Outbox::new("doorstep"));
    let Ok((_, Event::Request(head))) = machine.advance(request) else { unreachable!() };
    let (log, mut empty) = (Log::default(), []);
    let inbox = Inbox::new(&mut empty[..]);
    let mut exchange =
        ExchangeState::new(head, inbox, &mut outbox, &mut machine, &connection, &log);
    respond(&mut exchange);
    let _ = exchange.finish(Ok(Ok(())));
    Seen {
        sent: String::from_utf8(outbox.unsent().to_vec()).unwrap(),
        errors: log.errors.into_inner().unwrap(),
        aborted: log.aborted.into_inner().unwrap(),
    }
}
