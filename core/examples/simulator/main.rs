//! The core in a simulation: no sockets, no threads, no sleeping, and a clock that is a number.
//!
//! A client and a server are connected by two slow pipes of small capacity, which split everything
//! into small pieces and delay some of them by a second, as after a loss; the order is kept. The
//! clock jumps to the next event, so hours pass in milliseconds, and the same seed gives the same
//! result: this is how to test a service on the core, with deadlines exact to the microsecond.
//!
//! Run with: `cargo run -p doorstep-core --example simulator -- 7`

#![allow(clippy::print_stdout, reason = "an example prints")]

#[path = "../app/mod.rs"]
mod app;
mod world;

use std::collections::VecDeque;
use std::time::Duration;

use app::App;
use doorstep_core::http1::{
    Connection, Event, Inbox, Limits, Outbox, Timeouts, WaitClock, WaitingFor,
};

use world::{Message, Pipe, Rng, Time, mask_dates, requests, slow_head};

/// The core at one end.
struct Server {
    connection: Connection,
    inbox: Inbox<[u8; 1024]>,
    outbox: Outbox,
    clock: WaitClock,
    app: App,
    /// When a byte was last transferred, and when the deadline passed: for the report.
    last: Time,
    timed_out: Option<Time>,
}

impl Server {
    fn new() -> Self {
        let (connection, inbox) = (Connection::new(Limits::default()), Inbox::new([0; 1024]));
        let (outbox, clock) = (Outbox::new(""), WaitClock::new(Time::ZERO));
        let (app, last, timed_out) = (App::default(), Time::ZERO, None);
        Self { connection, inbox, outbox, clock, app, last, timed_out }
    }

    /// When its deadline passes.
    fn deadline(&self, now: Time) -> Option<Time> {
        self.clock.remaining(&Timeouts::default(), now).map(|left| now + left)
    }
}

// loop begin
impl Server {
    /// Runs until it has to wait. `false` if the connection is over.
    fn run(&mut self, now: Time, up: &mut Pipe, down: &mut Pipe, rng: &mut Rng) -> bool {
        if self.deadline(now) == Some(now) {
            self.timed_out = Some(now);
            self.connection.timed_out(self.inbox.unread(), &mut self.outbox);
        }
        let Self { connection, inbox, outbox, clock, app, last, .. } = self;
        outbox.set_date(now);
        loop {
            match connection.next(inbox) {
                Ok(Event::NeedData | Event::Closed | Event::SwitchedProtocol) => {
                    let waiting = clock.observe(connection, outbox, now);
                    let n = match waiting {
                        // A pipe loses nothing when its end is dropped: no lingering close is needed.
                        WaitingFor::Nothing | WaitingFor::Linger => return false,
                        WaitingFor::Writable => down.send(outbox.unsent(), now, rng),
                        _ => up.receive(now, inbox.space()),
                    };
                    match n {
                        0 => return true, // the pipe is full or empty; it is never closed
                        _ if waiting == WaitingFor::Writable => outbox.sent(n),
                        _ => inbox.filled(n),
                    }
                    clock.moved(n, now);
                    *last = now;
                }
                Ok(event) => app.handle(&event, connection, outbox).expect("it is allowed"),
                Err(reject) => _ = connection.refuse(reject, inbox.unread(), outbox),
            }
        }
    }
}
// loop end

/// One connection from begin to end: the responses, and the time from the first byte received and
/// from the last byte transferred until the server's deadline.
fn run_conversation(
    mut lines: VecDeque<Message>,
    rng: &mut Rng,
    time: &mut Duration,
) -> (Vec<u8>, [Duration; 2]) {
    let (mut server, mut up, mut down) = (Server::new(), Pipe::default(), Pipe::default());
    let (mut now, mut open, mut first, mut received) = (Time::ZERO, true, None, Vec::new());
    loop {
        let mut piece = [0; 64];
        while let n @ 1.. = down.receive(now, &mut piece) {
            received.extend(&piece[..n]);
        }
        open = open && server.run(now, &mut up, &mut down, rng);
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
        let server_times = if open { [up.next(), server.deadline(now)] } else { [None; 2] };
        let client_sends = lines.front().filter(|_| open).map(|line| line.at);
        let next = server_times.into_iter().chain([down.next(), client_sends]).flatten();
        match next.filter(|time| *time > now).min() {
            Some(time) => now = time,
            None => break,
        }
    }
    *time += now;
    mask_dates(&mut received);
    let since = |then| server.timed_out.unwrap_or_default().saturating_sub(then);
    (received, [since(first.unwrap_or_default()), since(server.last)])
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
