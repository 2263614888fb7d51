//! The core in a simulation: no sockets, no threads, no sleeping, and a clock that is a number.
//!
//! A client and a server are connected by two slow pipes of small capacity, which split everything
//! into small pieces and delay some of them by a second, as after a loss; the order is kept. The
//! clock jumps to the next event, so hours pass in milliseconds, and the same seed gives the same
//! result: this is how to test a service on the core, with deadlines exact to the microsecond.
//!
//! Run with: `cargo run -p doorstep-core --example simulator -- 7`

#![allow(clippy::print_stdout, reason = "an example prints")]

mod world;

use std::collections::VecDeque;
use std::time::Duration;

use doorstep_core::http1::{
    Connection, Event, Inbox, Limits, Outbox, Reject, Timeouts, WaitClock, WaitingFor,
};

use world::{Message, Pipe, Rng, Time, requests, slow_head};

/// The core at one end. It reads each body and responds with its size.
struct Server {
    connection: Connection,
    inbox: Inbox<[u8; 1024]>,
    outbox: Outbox,
    body: usize,
    clock: WaitClock,
    /// When a byte was last transferred.
    quiet: Time,
    /// When its deadline passed.
    timed_out: Option<Time>,
}

impl Server {
    fn new() -> Self {
        let (connection, inbox) = (Connection::new(Limits::default()), Inbox::new([0; 1024]));
        let (outbox, clock) = (Outbox::new(""), WaitClock::new(Duration::ZERO));
        Self { connection, inbox, outbox, body: 0, clock, quiet: 0, timed_out: None }
    }

    /// Runs until it has to wait. `false` if the connection is over.
    fn step(&mut self, now: Time, up: &mut Pipe, down: &mut Pipe, rng: &mut Rng) -> bool {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.timed_out = Some(now);
            if !matches!(self.clock.waiting_for(), WaitingFor::Head | WaitingFor::Body) {
                return false;
            }
            self.connection.refuse(Reject::RequestTimeout, self.inbox.unread(), &mut self.outbox);
        }
        loop {
            match self.connection.next(&mut self.inbox) {
                Ok(Event::Request(_)) => self.body = 0,
                Ok(Event::Body(part)) => self.body += part.len(),
                Ok(Event::End(_)) => {}
                Ok(Event::ResponseDue(_)) => {
                    let text = format!("{} bytes\n", self.body);
                    let sent = self.connection.respond(200, &mut self.outbox).body(text.as_bytes());
                    sent.expect("a response is due");
                }
                // A pipe loses nothing when its end is dropped: no lingering close is needed.
                Ok(Event::Closed | Event::SwitchedProtocol) if self.outbox.is_empty() => {
                    return false;
                }
                Ok(Event::NeedData | Event::Closed | Event::SwitchedProtocol) => {
                    if self.wait(now, up, down, rng) == 0 {
                        return true;
                    }
                }
                Err(reject) => {
                    self.connection.refuse(reject, self.inbox.unread(), &mut self.outbox);
                }
            }
        }
    }

    /// Sends or receives, whichever it waits for, and returns the number of bytes.
    fn wait(&mut self, now: Time, up: &mut Pipe, down: &mut Pipe, rng: &mut Rng) -> usize {
        let time = Duration::from_micros(now);
        let waiting_for = self.clock.observe(&self.connection, &self.outbox, time);
        let n = if waiting_for == WaitingFor::Writable {
            let n = down.send(self.outbox.unsent(), now, rng);
            self.outbox.sent(n);
            n
        } else if let Some(piece) = up.receive(now) {
            self.inbox.fill(&mut &piece[..]).expect("no head leaves less room than a piece takes")
        } else {
            0
        };
        self.clock.moved(n, time);
        if n > 0 {
            self.quiet = now;
        }
        n
    }

    /// When its deadline passes.
    fn deadline(&self) -> Option<Time> {
        let deadline = self.clock.deadline(&Timeouts::default())?;
        Some(deadline.as_micros() as Time)
    }
}

/// One connection from begin to end: the responses, and the time from the first byte received and
/// from the last byte transferred until the server's deadline.
fn run_conversation(
    mut lines: VecDeque<Message>,
    rng: &mut Rng,
    time: &mut Duration,
) -> (Vec<u8>, [Duration; 2]) {
    let (mut server, mut up, mut down) = (Server::new(), Pipe::default(), Pipe::default());
    let (mut now, mut open, mut first, mut received) = (0, true, None, Vec::new());
    loop {
        while let Some(piece) = down.receive(now) {
            received.extend(piece);
        }
        open = open && server.step(now, &mut up, &mut down, rng);
        let may = |line: &&mut Message| line.at <= now && line.after <= received.len();
        while let Some(line) = lines.front_mut().filter(may) {
            let sent = up.send(&line.text, now, rng);
            line.text.drain(..sent);
            if !line.text.is_empty() {
                break;
            }
            lines.pop_front();
        }
        first = first.or(up.next());
        let server_times = if open { [up.next(), server.deadline()] } else { [None; 2] };
        let client_sends = lines.front().filter(|_| open).map(|line| line.at);
        let next = server_times.into_iter().chain([down.next(), client_sends]).flatten();
        match next.filter(|time| *time > now).min() {
            Some(time) => now = time,
            None => break,
        }
    }
    *time += Duration::from_micros(now);
    let since =
        |then| Duration::from_micros(server.timed_out.unwrap_or_default().saturating_sub(then));
    (received, [since(first.unwrap_or_default()), since(server.quiet)])
}

/// The results.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    /// Requests that got a response.
    pub requests: usize,
    /// How long each idle connection was kept, from its last byte.
    pub idle: Vec<Duration>,
    /// How long each slow client had, from its first byte to its 408.
    pub slow: Vec<Duration>,
    /// The virtual time of all connections, one after the other.
    pub time: Duration,
}

/// Simulates clients. One in ten sends a byte per second, and never the end of its head.
pub fn run(seed: u64, clients: usize) -> Report {
    let (mut rng, mut report) = (Rng(seed.max(1)), Report::default());
    for n in 1..=clients {
        if n % 10 == 0 {
            let (received, [patience, _]) =
                run_conversation(slow_head(), &mut rng, &mut report.time);
            assert!(received.starts_with(b"HTTP/1.1 408 "), "it has earned one");
            report.slow.push(patience);
        } else {
            let (lines, responses) = requests(&mut rng);
            report.requests += lines.len();
            let (received, [_, patience]) = run_conversation(lines, &mut rng, &mut report.time);
            assert_eq!(received, responses, "to the last byte");
            report.idle.push(patience);
        }
    }
    report
}

#[allow(dead_code, reason = "the test that drives this file calls `run`")]
fn main() {
    let seed = std::env::args().nth(1).and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("{:#?}", run(seed, 100));
}
