//! The loop: level-triggered, and one transfer for each readiness, so that no client keeps the others
//! waiting.
//!
//! [`Connection::waiting_for`] decides whether to receive or to send, and which readiness to register
//! for; [`WaitClock::remaining`], how long that may take.
//!
//! The system calls are those of rustix, which are safe. In `polling`, registering a socket is an
//! unsafe fn, which this crate forbids.

#![allow(clippy::disallowed_types, reason = "the loop has the sockets and the clock")]

#[path = "../app/mod.rs"]
mod app;

use std::collections::{HashMap, HashSet};
use std::io::{self, ErrorKind::WouldBlock};
use std::mem;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant, SystemTime};

use app::App;
use doorstep_core::http1::{
    Connection, Event, GrowableBuffer, Inbox, Limits, Outbox, Timeouts, WaitClock, WaitingFor,
};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::retry_on_intr;
use rustix::net::sockopt::set_socket_linger;

struct Client {
    stream: TcpStream,
    connection: Connection,
    inbox: Inbox<GrowableBuffer>,
    outbox: Outbox,
    clock: WaitClock,
    app: App,
}

impl Client {
    fn new(stream: TcpStream, now: Duration) -> Self {
        Self {
            stream,
            connection: Connection::new(Limits::default()),
            inbox: Inbox::new(GrowableBuffer::new(4 << 10, 144 << 10)),
            outbox: Outbox::new("epoll"),
            clock: WaitClock::new(now),
            app: App::default(),
        }
    }
}

// loop begin
impl Client {
    /// Receives once and sends all there is. If the error is not `WouldBlock`, the connection is over.
    fn run(&mut self, now: Duration) -> io::Result<()> {
        let Self { stream, connection, inbox, outbox, clock, app } = self;
        let mut received = false;
        outbox.set_date(SystemTime::now());
        loop {
            match connection.next(inbox) {
                Ok(Event::NeedData | Event::Closed | Event::SwitchedProtocol) => {
                    let waiting = clock.observe(connection, outbox, now);
                    let n = match waiting {
                        WaitingFor::Nothing => return Ok(()),
                        WaitingFor::Writable => outbox.write_to(stream)?,
                        _ if mem::replace(&mut received, true) => {
                            return Err(WouldBlock.into());
                        }
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
pub(crate) fn run(listener: &TcpListener, timeouts: &Timeouts) -> io::Result<()> {
    let (poll, start) = (epoll::create(CreateFlags::CLOEXEC)?, Instant::now());
    listener.set_nonblocking(true)?;
    epoll::add(&poll, listener, EventData::new_u64(0), EventFlags::IN)?;
    let (mut clients, mut events, mut last) = (HashMap::new(), Vec::with_capacity(256), 0);
    loop {
        let remaining = |client: &Client| client.clock.remaining(timeouts, start.elapsed());
        let left =
            clients.values().filter_map(remaining).min().and_then(|left| left.try_into().ok());
        retry_on_intr(|| epoll::wait(&poll, spare_capacity(&mut events), left.as_ref()))?;
        let ready: HashSet<u64> = events.drain(..).map(|event| event.data.u64()).collect();
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true)?;
            last += 1;
            epoll::add(&poll, &stream, EventData::new_u64(last), EventFlags::IN)?;
            clients.insert(last, Client::new(stream, start.elapsed()));
        }
        clients.retain(|id, client| {
            if remaining(client) == Some(Duration::ZERO) {
                client.connection.timed_out(client.inbox.unread(), &mut client.outbox);
            } else if !ready.contains(id) {
                return true;
            }
            let waits = client.run(start.elapsed()).is_err_and(|e| e.kind() == WouldBlock);
            let interest = if client.outbox.is_empty() { EventFlags::IN } else { EventFlags::OUT };
            let id = EventData::new_u64(*id);
            waits && epoll::modify(&poll, &client.stream, id, interest).is_ok()
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
