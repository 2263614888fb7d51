//! The core in an event loop of your own: epoll through mio, one thread, any number of clients.
//!
//! mio is edge-triggered: a socket is reported once, and is ready until a call returns `WouldBlock`.
//! The set `ready` holds those that are. Each of them receives once in each turn of the loop, so that no
//! client keeps the others waiting. The application is in `app`.
//!
//! Run with: `cargo run -p doorstep-core --example mio -- 127.0.0.1:8000`

#![allow(clippy::disallowed_types, reason = "the loop has the sockets and the clock")]

mod app;

use std::collections::{HashMap, HashSet};
use std::io::{self, ErrorKind::WouldBlock};
use std::mem;
use std::net::Shutdown;
use std::time::{Duration, Instant, SystemTime};

use app::App;
use doorstep_core::http1::{
    Connection, Event, Inbox, Limits, Outbox, Timeouts, WaitClock, WaitingFor,
};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustix::net::sockopt::set_socket_linger;

struct Client {
    stream: TcpStream,
    connection: Connection,
    inbox: Inbox<Box<[u8]>>,
    outbox: Outbox,
    clock: WaitClock,
    app: App,
}

impl Client {
    fn new(stream: TcpStream, now: Duration) -> Self {
        Self {
            stream,
            connection: Connection::new(Limits::default()),
            inbox: Inbox::new(vec![0; 16 << 10].into()), // heads are at most as large
            outbox: Outbox::new("mio"),
            clock: WaitClock::new(now),
            app: App::default(),
        }
    }
}

// loop begin
impl Client {
    /// Receives once and sends all there is. The error is `WouldBlock` if it waits; `false`: it is over.
    fn run(&mut self, now: Duration) -> io::Result<bool> {
        let Self { stream, connection, inbox, outbox, clock, app } = self;
        let mut received = false;
        outbox.set_date(SystemTime::now());
        loop {
            match connection.next(inbox) {
                Ok(Event::NeedData | Event::Closed | Event::SwitchedProtocol) => {
                    let waiting = clock.observe(connection, outbox, now);
                    let n = match waiting {
                        WaitingFor::Nothing => return Ok(false),
                        WaitingFor::Writable => outbox.write_to(stream)?,
                        _ if mem::replace(&mut received, true) => return Ok(true),
                        WaitingFor::Linger => {
                            stream.shutdown(Shutdown::Write).and_then(|()| inbox.fill(stream))?
                        }
                        _ => inbox.fill(stream)?,
                    };
                    clock.moved(n, now);
                }
                Ok(event) => app.handle(&event, connection, outbox)?,
                Err(reject) => _ = connection.refuse(reject, inbox.unread(), outbox),
            }
        }
    }
}

/// Serves until the loop itself fails.
pub fn run(listener: &std::net::TcpListener, timeouts: &Timeouts) -> io::Result<()> {
    let (mut poll, mut events, start) = (Poll::new()?, Events::with_capacity(256), Instant::now());
    listener.set_nonblocking(true)?;
    let mut listener = TcpListener::from_std(listener.try_clone()?);
    poll.registry().register(&mut listener, Token(0), Interest::READABLE)?;
    let (mut clients, mut ready, mut last) = (HashMap::new(), HashSet::new(), 0);
    loop {
        let remaining = |client: &Client| client.clock.remaining(timeouts, start.elapsed());
        let left = clients.values().filter_map(remaining).min();
        poll.poll(&mut events, if ready.is_empty() { left } else { Some(Duration::ZERO) })?;
        while let Ok((mut stream, _)) = listener.accept() {
            last += 1;
            let both = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(last), both)?;
            clients.insert(Token(last), Client::new(stream, start.elapsed()));
        }
        ready.extend(events.iter().map(mio::event::Event::token).filter(|token| token.0 > 0));
        clients.retain(|token, client| {
            if remaining(client) == Some(Duration::ZERO) {
                client.connection.timed_out(client.inbox.unread(), &mut client.outbox);
            } else if !ready.contains(token) {
                return true;
            }
            let result = client.run(start.elapsed());
            if !matches!(result, Ok(true)) {
                ready.remove(token);
            }
            result.unwrap_or_else(|error| error.kind() == WouldBlock)
        });
    }
}
// loop end

impl Drop for Client {
    fn drop(&mut self) {
        if self.connection.reset_on_close(&self.outbox) {
            let _ = set_socket_linger(&self.stream, Some(Duration::ZERO));
        }
    }
}

#[allow(dead_code, reason = "the test that drives this file calls `run`")]
fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    run(&std::net::TcpListener::bind(address)?, &Timeouts::default())
}
