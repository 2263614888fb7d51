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

/// An upload to an application that echoes each byte, and its clock. The loop observes before each
/// operation, as one by completions does.
fn echo_until(step: Duration, give_up: Duration) -> Option<Duration> {
    let mut timed = Timed::new();
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n";
    timed.inbox.fill(&mut &head[..]).expect("there is space");
    assert!(matches!(timed.connection.next(&mut timed.inbox), Ok(Event::Request(_))));
    timed.connection.respond(200, &mut timed.outbox).streamed_body().expect("it is due");
    let mut now = Duration::ZERO;
    while now < give_up {
        let waiting = timed.clock.observe(&timed.connection, &timed.outbox, now);
        if timed.clock.remaining(&Timeouts::default(), now) == Some(Duration::ZERO) {
            return Some(now);
        }
        if waiting == WaitingFor::Writable {
            // The client receives at once.
            let n = timed.outbox.len();
            timed.outbox.sent(n);
            timed.clock.moved(n, now);
        } else {
            assert_eq!(waiting, WaitingFor::BodyOrResponse);
            now += step;
            timed.inbox.fill(&mut &b"x"[..]).expect("there is space");
            timed.clock.moved(1, now);
            assert!(matches!(timed.connection.next(&mut timed.inbox), Ok(Event::Body(b"x"))));
            timed.connection.send(b"x", &mut timed.outbox).expect("it has begun");
        }
    }
    None
}

#[test]
fn b_049_a_trickle_that_is_echoed_does_not_restart_the_wait() {
    let over = echo_until(Duration::from_millis(300), Duration::from_secs(600));
    assert!(over.is_some_and(|over| over < Duration::from_secs(31)), "{over:?}");
}

#[test]
fn b_049_a_client_that_waits_for_a_slow_application_is_not_too_slow() {
    for observes_writable in [true, false] {
        let mut timed = Timed::new();
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\nsome of it";
        timed.inbox.fill(&mut &head[..]).expect("there is space");
        while !matches!(timed.connection.next(&mut timed.inbox), Ok(Event::NeedData)) {}
        timed.connection.respond(200, &mut timed.outbox).streamed_body().expect("it is due");
        for second in (0..600).step_by(10) {
            timed.connection.send(b"part", &mut timed.outbox).expect("it has begun");
            if observes_writable {
                assert_eq!(timed.wait(second).0, WaitingFor::Writable);
            }
            let n = timed.outbox.len();
            timed.outbox.sent(n);
            timed.clock.moved(n, Duration::from_secs(second));
            assert_eq!(timed.wait(second), (WaitingFor::BodyOrResponse, Some(30)));
            assert_eq!(timed.wait(second + 9), (WaitingFor::BodyOrResponse, Some(21)));
        }
        assert_eq!(timed.wait(590 + 30), (WaitingFor::BodyOrResponse, Some(0)), "both are silent");
    }
}
