//! The core in an event loop of your own: epoll through mio, one thread, any number of clients.
//!
//! Run with: `cargo run -p doorstep-core --example mio -- 127.0.0.1:8000`

#![allow(clippy::disallowed_types, reason = "the loop has the clock, not the state machine")]

use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use doorstep_core::http1::{Connection, Event, Inbox, Limits, Outbox, Timeouts, WaitingFor};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

struct Client {
    stream: TcpStream,
    connection: Connection,
    inbox: Inbox<Box<[u8]>>,
    outbox: Outbox,
    waiting: (WaitingFor, Instant),
}

impl Client {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            connection: Connection::new(Limits::default()),
            inbox: Inbox::new(vec![0; 16 << 10].into()),
            outbox: Outbox::new("mine"),
            waiting: (WaitingFor::Request, Instant::now()),
        }
    }

    /// Runs until it has to wait. `false` if the connection is over.
    fn advance(&mut self) -> io::Result<bool> {
        loop {
            match self.connection.next(&mut self.inbox) {
                Ok(Event::Request(head)) => {
                    let text = format!("You asked for {}\n", head.path().escape_ascii());
                    self.connection.respond(200, &mut self.outbox).body(text.as_bytes())?;
                }
                Ok(Event::Body(_) | Event::End(_)) => {} // this server reads no bodies
                Ok(Event::NeedData) => {
                    self.flush()?;
                    self.inbox.fill(&mut self.stream)?;
                }
                Ok(Event::ResponseDue(_) | Event::SwitchedProtocol | Event::Closed) => {
                    self.flush()?;
                    return Ok(false);
                }
                Err(reject) => {
                    self.connection.refuse(reject, self.inbox.unread(), &mut self.outbox);
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.outbox.is_empty() {
            let n = self.stream.write(self.outbox.unsent())?;
            self.outbox.sent(n);
        }
        Ok(())
    }

    /// Whether the connection continues: while it waits, and its deadline has not passed.
    fn poll(&mut self, ready: bool, now: Instant) -> bool {
        let alive = !ready
            || match self.advance() {
                Ok(more) => more,
                Err(error) => error.kind() == ErrorKind::WouldBlock,
            };
        let waiting = self.connection.waiting_for(&self.outbox);
        if self.waiting.0 != waiting || ready && waiting != WaitingFor::Head {
            self.waiting = (waiting, now); // the deadline restarts
        }
        let since = now - self.waiting.1;
        alive && Timeouts::default().remaining(waiting, since, since, 0) != Some(Duration::ZERO)
    }
}

/// Serves until `stop` is set.
pub fn run(mut listener: TcpListener, stop: &AtomicBool) -> io::Result<()> {
    const LISTENER: Token = Token(0);
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(256));
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let (mut clients, mut last) = (HashMap::<Token, Client>::new(), LISTENER);
    while !stop.load(Ordering::Relaxed) {
        poll.poll(&mut events, Some(Duration::from_millis(100)))?;
        while let Ok((mut stream, _)) = listener.accept() {
            last = Token(last.0 + 1);
            poll.registry().register(&mut stream, last, Interest::READABLE | Interest::WRITABLE)?;
            clients.insert(last, Client::new(stream));
        }
        let ready: Vec<Token> = events.iter().map(mio::event::Event::token).collect();
        let now = Instant::now();
        clients.retain(|token, client| client.poll(ready.contains(token), now));
    }
    Ok(())
}

#[allow(dead_code, reason = "the test that drives this file calls `run`")]
fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let address =
        address.parse().map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
    run(TcpListener::bind(address)?, &AtomicBool::new(false))
}
