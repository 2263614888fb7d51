//! The core in an event loop of your own: epoll by hand, one thread, any number of clients.
//!
//! It shows that [`Connection::waiting`] is all that a loop has to know. Whom it waits for is the
//! interest to register; how long is [`Timeouts::left`]. A POST's body is sent back as it arrives,
//! and a client that does not read its answer is not read from.
//!
//! The calls are rustix's, which are safe; `polling` has the same ones, but registering a socket
//! there is an unsafe fn, and this workspace forbids those.
//!
//! Run with: `cargo run -p doorstep-core --example epoll -- 127.0.0.1:8000`

#![allow(clippy::disallowed_types, reason = "the loop has the sockets and the clock")]

use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use doorstep_core::http1::{
    Connection, Event, Growing, Inbox, Limits, Outbox, Owed, Reject, Timeouts, Waiting,
};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

struct Client {
    stream: TcpStream,
    connection: Connection,
    inbox: Inbox<Growing>,
    outbox: Outbox,
    waiting: Waiting,
    /// When the word last changed, when a byte last moved, and how many have since the change.
    since: Instant,
    quiet: Instant,
    moved: u64,
}

impl Client {
    fn new(stream: TcpStream, now: Instant) -> Self {
        Self {
            stream,
            connection: Connection::new(Limits::default()),
            inbox: Inbox::new(Growing::new(4 << 10, 144 << 10)),
            outbox: Outbox::new("epoll"),
            waiting: Waiting::Idle,
            since: now,
            quiet: now,
            moved: 0,
        }
    }

    /// Goes on until the socket would block, which is an error like any other, or to the end.
    fn turn(&mut self, now: Instant) -> io::Result<()> {
        loop {
            match self.connection.next(&mut self.inbox) {
                Ok(Event::Request(head)) => {
                    self.since = now; // whatever comes next, its time begins here
                    let response = self.connection.respond(200, &mut self.outbox);
                    match head.method() {
                        b"POST" => response.stream()?,
                        _ => response.body(head.path())?,
                    }
                }
                Ok(Event::Body(part)) if self.connection.owed() == Some(Owed::Stream) => {
                    self.connection.send(part, &mut self.outbox)?;
                }
                Ok(Event::Owed(_)) => self.connection.end(&mut self.outbox)?,
                Ok(Event::Body(_) | Event::End(_)) => {}
                Ok(end @ (Event::NeedMore | Event::Closed | Event::Switched)) => {
                    let is_over = matches!(end, Event::Closed);
                    match self.waits(now) {
                        Waiting::Nobody => return Ok(()),
                        Waiting::Peer => {
                            let n = self.stream.write(self.outbox.unsent())?;
                            self.outbox.sent(n);
                            self.moved += n as u64;
                        }
                        _ => {
                            if is_over {
                                let _ = self.stream.shutdown(Shutdown::Write); // and read on
                                self.inbox.consume(self.inbox.unread().len());
                            }
                            let n = self.inbox.fill(&mut self.stream)?;
                            if n == 0 && is_over {
                                return Ok(());
                            }
                            self.moved += n as u64;
                        }
                    }
                    self.quiet = now;
                }
                Err(reject) => {
                    self.connection.refuse(reject, self.inbox.unread(), &mut self.outbox);
                }
            }
        }
    }

    /// Whom we wait for; when the word changes, the clock restarts.
    fn waits(&mut self, now: Instant) -> Waiting {
        let waiting = self.connection.waiting(&self.outbox);
        if waiting != self.waiting {
            (self.waiting, self.since, self.quiet, self.moved) = (waiting, now, now, 0);
        }
        waiting
    }

    fn left(&self, now: Instant) -> Duration {
        let (since, quiet) = (now - self.since, now - self.quiet);
        Timeouts::default().left(self.waiting, since, quiet, self.moved).unwrap_or(Duration::MAX)
    }

    /// Its time is up: a 408 to who was in the middle of a request, for others the end.
    fn is_late(&mut self, now: Instant) -> bool {
        if self.left(now) > Duration::ZERO {
            return false;
        }
        if !matches!(self.waiting, Waiting::Head | Waiting::Body) {
            return true;
        }
        self.connection.refuse(Reject::TooSlow, self.inbox.unread(), &mut self.outbox);
        !would_block(self.turn(now))
    }

    fn interest(&self) -> EventFlags {
        if self.waiting == Waiting::Peer { EventFlags::OUT } else { EventFlags::IN }
    }
}

/// Serves until `stop` says so.
pub fn run(listener: &TcpListener, stop: &AtomicBool) -> io::Result<()> {
    const DOOR: u64 = 0;
    listener.set_nonblocking(true)?;
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&poll, listener, EventData::new_u64(DOOR), EventFlags::IN)?;
    let (mut clients, mut last) = (HashMap::<u64, Client>::new(), DOOR);
    let mut events = Vec::with_capacity(256);
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        let nearest = clients.values().map(|client| client.left(now)).min();
        let tick = nearest.unwrap_or(Duration::MAX).min(Duration::from_millis(100));
        let tick = tick.try_into().expect("100 ms fit into a timespec");
        epoll::wait(&poll, spare_capacity(&mut events), Some(&tick))?;
        let now = Instant::now();
        for event in events.drain(..) {
            let token = event.data.u64();
            if token == DOOR {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    last += 1;
                    epoll::add(&poll, &stream, EventData::new_u64(last), EventFlags::IN)?;
                    clients.insert(last, Client::new(stream, now));
                }
            } else if let Some(client) = clients.get_mut(&token) {
                let before = client.interest();
                if !would_block(client.turn(now)) {
                    clients.remove(&token); // and the socket leaves epoll by being closed
                } else if client.interest() != before {
                    let data = EventData::new_u64(token);
                    epoll::modify(&poll, &client.stream, data, client.interest())?;
                }
            }
        }
        clients.retain(|_, client| !client.is_late(now)); // many clients: keep deadlines sorted
    }
    Ok(())
}

fn would_block(turn: io::Result<()>) -> bool {
    turn.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[allow(dead_code, reason = "the test that drives this file calls `run`")]
fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    run(&TcpListener::bind(address)?, &AtomicBool::new(false))
}
