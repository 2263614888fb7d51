//! The clock of a connection on a real one: which waits go on, and which restart.

use std::time::Duration;

use doorstep_core::http1::{
    Connection, Event, Inbox, Limits, Outbox, Timeouts, WaitClock, WaitingFor,
};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";

/// A connection whose application responds to a GET at once, and its clock.
struct Timed {
    connection: Connection,
    inbox: Inbox<[u8; 256]>,
    outbox: Outbox,
    clock: WaitClock,
    responses: usize,
}

impl Timed {
    fn new() -> Self {
        Self {
            connection: Connection::new(Limits::default()),
            inbox: Inbox::new([0; 256]),
            outbox: Outbox::new(""),
            clock: WaitClock::new(Duration::ZERO),
            responses: 0,
        }
    }

    /// Receives `bytes` at this second, and returns what is waited for then, and how long.
    fn receive(&mut self, mut bytes: &[u8], second: u64) -> (WaitingFor, Option<u64>) {
        let now = Duration::from_secs(second);
        self.clock.moved(bytes.len(), now);
        if !bytes.is_empty() {
            self.inbox.fill(&mut bytes).expect("there is space");
        }
        loop {
            match self.connection.next(&mut self.inbox).expect("well formed") {
                Event::ResponseDue(_) => {
                    let response = self.connection.respond(200, &mut self.outbox);
                    response.body(b"").expect("it is due");
                    self.responses += 1;
                }
                Event::NeedData => break,
                _ => {}
            }
        }
        self.wait(second)
    }

    fn wait(&mut self, second: u64) -> (WaitingFor, Option<u64>) {
        let now = Duration::from_secs(second);
        let waiting = self.clock.observe(&self.connection, &self.outbox, now);
        let left = self.clock.remaining(&Timeouts::default(), now);
        (waiting, left.map(|left| left.as_secs()))
    }
}

#[test]
fn a_wait_goes_on_however_often_it_is_observed() {
    let mut timed = Timed::new();
    assert_eq!(timed.wait(1), (WaitingFor::Request, Some(59)));
    assert_eq!(timed.receive(b"", 59), (WaitingFor::Request, Some(1)));
    assert_eq!(timed.receive(&GET[..5], 59), (WaitingFor::Head, Some(30)));
    assert_eq!(timed.receive(b"", 69), (WaitingFor::Head, Some(20)), "it does not restart");
}

#[test]
fn the_same_wait_for_another_request_restarts() {
    let mut timed = Timed::new();
    for n in 1..10 {
        timed.receive(GET, n * 50);
        timed.outbox.clear(); // sent at once: no other wait was seen
        assert_eq!(timed.wait(n * 50), (WaitingFor::Request, Some(60)));
        assert_eq!(timed.responses as u64, n);
    }
    // Each piece ends one head and begins the next: the same wait at each observation.
    let mut timed = Timed::new();
    let piece = [&GET[5..], &GET[..5]].concat();
    timed.receive(&GET[..5], 0);
    for n in 1..10 {
        timed.receive(&piece, n * 20);
        timed.outbox.clear();
        assert_eq!(timed.wait(n * 20), (WaitingFor::Head, Some(30)));
    }
    let mut timed = Timed::new();
    let piece = [b"ody", POST, b"b"].concat();
    timed.receive(&[POST, b"b"].concat(), 0);
    for n in 1..10 {
        timed.receive(&piece, n * 20);
        timed.outbox.clear();
        assert_eq!(timed.wait(n * 20), (WaitingFor::Body, Some(30)));
    }
}

#[test]
fn b_049_requests_do_not_prolong_the_wait_for_a_peer_that_receives_nothing() {
    let mut timed = Timed::new();
    assert_eq!(timed.receive(GET, 0), (WaitingFor::Writable, Some(60)));
    assert_eq!(timed.wait(20), (WaitingFor::Writable, Some(40)));
    timed.connection.advance(GET).expect("well formed");
    assert_eq!(timed.wait(40), (WaitingFor::Writable, Some(20)));
}
