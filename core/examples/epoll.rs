//! The core in an event loop of your own: epoll by hand, one thread, any number of clients.
//!
//! [`Connection::waiting_for`] is all that a loop has to know: it decides which readiness to register
//! for, and [`Timeouts::remaining`] how long to wait. A client whose request takes too long gets a
//! 408. Where a response could be lost, the loop does a lingering close.
//!
//! The system calls are those of rustix, which are safe. In `polling`, registering a socket is an
//! unsafe fn, which this crate forbids.
//!
//! Run with: `cargo run -p doorstep-core --example epoll -- 127.0.0.1:8000`

#![allow(clippy::disallowed_types, reason = "the loop has the sockets and the clock")]

use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use doorstep_core::http1::{
    Connection, Event, GrowableBuffer, Inbox, Limits, Outbox, Reject, Timeouts, WaitingFor,
};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

struct Client {
    stream: TcpStream,
    connection: Connection,
    inbox: Inbox<GrowableBuffer>,
    outbox: Outbox,
    /// What the connection waits for, and since when: since that changed or, for most, since the last
    /// byte was transferred.
    waiting: (WaitingFor, Instant),
}

impl Client {
    fn new(stream: TcpStream, now: Instant) -> Self {
        let connection = Connection::new(Limits::default());
        let inbox = Inbox::new(GrowableBuffer::new(4 << 10, 144 << 10));
        Self {
            stream,
            connection,
            inbox,
            outbox: Outbox::new("epoll"),
            waiting: (WaitingFor::Request, now),
        }
    }

    /// Runs until it has to wait. `false` if the connection is over.
    fn advance(&mut self, now: Instant) -> bool {
        match self.waiting.0 {
            _ if self.remaining(now) > Duration::ZERO => {}
            WaitingFor::Head | WaitingFor::Body => {
                self.connection.refuse(
                    Reject::RequestTimeout,
                    self.inbox.unread(),
                    &mut self.outbox,
                );
            }
            _ => return false,
        }
        self.drive(now).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    fn drive(&mut self, now: Instant) -> io::Result<()> {
        loop {
            match self.connection.next(&mut self.inbox) {
                Ok(Event::Request(head)) => {
                    self.waiting = (WaitingFor::Response, now);
                    let text = format!("You asked for {}\n", head.path().escape_ascii());
                    self.connection.respond(200, &mut self.outbox).body(text.as_bytes())?;
                }
                Ok(Event::Body(_) | Event::End(_)) => {} // this server reads no bodies
                Ok(Event::ResponseDue(_)) => self.connection.abort(), // never: every request got a response
                Ok(Event::Closed | Event::SwitchedProtocol) if self.outbox.is_empty() => {
                    return self.linger(now);
                }
                Ok(Event::NeedData | Event::Closed | Event::SwitchedProtocol) => self.wait(now)?,
                Err(reject) => {
                    self.connection.refuse(reject, self.inbox.unread(), &mut self.outbox);
                }
            }
        }
    }

    /// Sends or receives, whichever it waits for. When that changes, the deadline restarts.
    fn wait(&mut self, now: Instant) -> io::Result<()> {
        let waiting_for = self.connection.waiting_for(&self.outbox);
        if waiting_for != self.waiting.0 {
            self.waiting = (waiting_for, now);
        }
        if waiting_for == WaitingFor::Writable {
            let n = self.stream.write(self.outbox.unsent())?;
            self.outbox.sent(n);
        } else {
            self.inbox.fill(&mut self.stream)?;
        }
        if matches!(waiting_for, WaitingFor::Writable | WaitingFor::Body | WaitingFor::Linger) {
            self.waiting.1 = now;
        }
        Ok(())
    }

    /// Lingering close: half-closes and reads until the peer closes, so that no response is lost.
    fn linger(&mut self, now: Instant) -> io::Result<()> {
        while self.connection.should_linger() && !self.inbox.is_eof() {
            let _ = self.stream.shutdown(Shutdown::Write);
            self.inbox.consume(self.inbox.unread().len());
            self.wait(now)?;
        }
        Ok(())
    }

    fn remaining(&self, now: Instant) -> Duration {
        let since = now.saturating_duration_since(self.waiting.1);
        let left = Timeouts::default().remaining(self.waiting.0, since, since, u64::MAX); // any rate
        left.unwrap_or(Duration::MAX)
    }

    fn interest(&self) -> EventFlags {
        if self.waiting.0 == WaitingFor::Writable { EventFlags::OUT } else { EventFlags::IN }
    }
}

/// Serves until `stop` is set.
pub fn run(listener: &TcpListener, stop: &AtomicBool) -> io::Result<()> {
    const TICK: Duration = Duration::from_millis(100); // how often `stop` is checked
    let key = EventData::new_u64;
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    listener.set_nonblocking(true)?;
    epoll::add(&poll, listener, key(0), EventFlags::IN)?;
    let (mut clients, mut last) = (HashMap::<u64, Client>::new(), 0);
    let mut events = Vec::with_capacity(256);
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        let nearest = clients.values().map(|client| client.remaining(now)).min();
        let tick = nearest.unwrap_or(TICK).clamp(Duration::from_millis(1), TICK);
        let tick = tick.try_into().expect("so little fits into a timespec");
        epoll::wait(&poll, spare_capacity(&mut events), Some(&tick))?;
        let now = Instant::now();
        while let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true)?;
            last += 1;
            epoll::add(&poll, &stream, key(last), EventFlags::IN)?;
            clients.insert(last, Client::new(stream, now));
        }
        let late = clients.iter().filter(|(_, client)| client.remaining(now).is_zero());
        let mut due: Vec<u64> = late.map(|(token, _)| *token).collect();
        due.extend(events.drain(..).map(|event| event.data.u64()));
        for token in due {
            let Some(client) = clients.get_mut(&token) else { continue };
            let before = client.interest();
            if !client.advance(now) {
                clients.remove(&token); // closed, and so out of epoll
            } else if client.interest() != before {
                epoll::modify(&poll, &client.stream, key(token), client.interest())?;
            }
        }
    }
    Ok(())
}

#[allow(dead_code, reason = "the test that drives this file calls `run`")]
fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    run(&TcpListener::bind(address)?, &AtomicBool::new(false))
}
