//! The core in an event loop of your own: epoll by hand, one thread, any number of clients.
//!
//! It shows that [`Connection::waiting`] is all that a loop has to know: whom it waits for is the
//! interest to register, how long is [`Timeouts::left`]. It gives a 408 to who asks too slowly, and
//! lingers where an answer could be lost.
//!
//! The calls are rustix's, which are safe. `polling` has the same ones, but registering a socket
//! there is an unsafe fn, and this crate forbids those.
//!
//! Run with: `cargo run -p doorstep-core --example epoll -- 127.0.0.1:8000`

#![allow(clippy::disallowed_types, reason = "the loop has the sockets and the clock")]

use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use doorstep_core::http1::{
    Connection, Event, Growing, Inbox, Limits, Outbox, Reject, Timeouts, Waiting,
};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

struct Client {
    stream: TcpStream,
    connection: Connection,
    inbox: Inbox<Growing>,
    outbox: Outbox,
    /// Whom we wait for, and since when: since the word changed, or for most a byte moved.
    waiting: (Waiting, Instant),
}

impl Client {
    fn new(stream: TcpStream, now: Instant) -> Self {
        let connection = Connection::new(Limits::default());
        let inbox = Inbox::new(Growing::new(4 << 10, 144 << 10));
        Self {
            stream,
            connection,
            inbox,
            outbox: Outbox::new("epoll"),
            waiting: (Waiting::Idle, now),
        }
    }

    /// Goes on for as long as it can; `false` when it is over.
    fn turn(&mut self, now: Instant) -> bool {
        match self.waiting.0 {
            _ if self.left(now) > Duration::ZERO => {}
            Waiting::Head | Waiting::Body => {
                self.connection.refuse(Reject::TooSlow, self.inbox.unread(), &mut self.outbox);
            }
            _ => return false,
        }
        self.go_on(now).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    fn go_on(&mut self, now: Instant) -> io::Result<()> {
        loop {
            match self.connection.next(&mut self.inbox) {
                Ok(Event::Request(head)) => {
                    self.waiting = (Waiting::Answer, now);
                    let text = format!("You asked for {}\n", head.path().escape_ascii());
                    self.connection.respond(200, &mut self.outbox).body(text.as_bytes())?;
                }
                Ok(Event::Body(_) | Event::End(_)) => {} // nobody here reads a body
                Ok(Event::Owed(_)) => self.connection.lost(), // never: every request was answered
                Ok(Event::Closed | Event::Switched) if self.outbox.is_empty() => {
                    return self.hang_up(now);
                }
                Ok(Event::NeedMore | Event::Closed | Event::Switched) => self.wait(now)?,
                Err(reject) => {
                    self.connection.refuse(reject, self.inbox.unread(), &mut self.outbox);
                }
            }
        }
    }

    /// Sends or receives, as the word says. When it changes, the clock restarts.
    fn wait(&mut self, now: Instant) -> io::Result<()> {
        let word = self.connection.waiting(&self.outbox);
        if word != self.waiting.0 {
            self.waiting = (word, now);
        }
        if word == Waiting::Peer {
            let n = self.stream.write(self.outbox.unsent())?;
            self.outbox.sent(n);
        } else {
            self.inbox.fill(&mut self.stream)?;
        }
        if matches!(word, Waiting::Peer | Waiting::Body | Waiting::Linger) {
            self.waiting.1 = now;
        }
        Ok(())
    }

    /// Says FIN and reads on until the peer has said it too, so that no answer is destroyed.
    fn hang_up(&mut self, now: Instant) -> io::Result<()> {
        while self.connection.lingers() && !self.inbox.is_finished() {
            let _ = self.stream.shutdown(Shutdown::Write);
            self.inbox.consume(self.inbox.unread().len());
            self.wait(now)?;
        }
        Ok(())
    }

    fn left(&self, now: Instant) -> Duration {
        let since = now.saturating_duration_since(self.waiting.1);
        let left = Timeouts::default().left(self.waiting.0, since, since, u64::MAX); // any rate
        left.unwrap_or(Duration::MAX)
    }

    fn interest(&self) -> EventFlags {
        if self.waiting.0 == Waiting::Peer { EventFlags::OUT } else { EventFlags::IN }
    }
}

/// Serves until `stop` says so.
pub fn run(door: &TcpListener, stop: &AtomicBool) -> io::Result<()> {
    const TICK: Duration = Duration::from_millis(100); // how often `stop` is looked at
    let key = EventData::new_u64;
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    door.set_nonblocking(true)?;
    epoll::add(&poll, door, key(0), EventFlags::IN)?;
    let (mut clients, mut last) = (HashMap::<u64, Client>::new(), 0);
    let mut events = Vec::with_capacity(256);
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        let nearest = clients.values().map(|client| client.left(now)).min();
        let tick = nearest.unwrap_or(TICK).clamp(Duration::from_millis(1), TICK);
        let tick = tick.try_into().expect("so little fits into a timespec");
        epoll::wait(&poll, spare_capacity(&mut events), Some(&tick))?;
        let now = Instant::now();
        while let Ok((stream, _)) = door.accept() {
            stream.set_nonblocking(true)?;
            last += 1;
            epoll::add(&poll, &stream, key(last), EventFlags::IN)?;
            clients.insert(last, Client::new(stream, now));
        }
        let late = clients.iter().filter(|(_, client)| client.left(now).is_zero());
        let mut due: Vec<u64> = late.map(|(token, _)| *token).collect();
        due.extend(events.drain(..).map(|event| event.data.u64()));
        for token in due {
            let Some(client) = clients.get_mut(&token) else { continue };
            let before = client.interest();
            if !client.turn(now) {
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
