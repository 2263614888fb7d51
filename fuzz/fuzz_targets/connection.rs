//! Any bytes, any limits, any splits: the state machine never panics, never consumes more than it was
//! given, and its result does not depend on how the bytes were split.
//!
//! The first eight bytes of the input are settings, all zero for the defaults; the rest is what the
//! peer sends. It is passed whole, byte by byte, in random pieces (with payload that bypasses the
//! state machine where allowed), and through two kinds of inbox. Events, responses and final states
//! must be the same; an inbox that is too small may only end the connection earlier.
#![no_main]

use doorstep_core::http1::state::States;
use doorstep_core::http1::{
    Connection, Event, GrowableBuffer, Head, Inbox, Limits, Outbox, Reject, ResponseDue, Storage,
    Version, WaitingFor,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((settings, input)) = data.split_first_chunk::<8>() else {
        return;
    };
    let limits = limits(settings);
    let whole = play(settings, input, |_| usize::MAX, false);

    assert_eq!(play(settings, input, |_| 1, false), whole, "byte by byte");
    let random = |i: usize| {
        1 + (i.wrapping_mul(usize::from(settings[3]) * 2 + 1) ^ usize::from(settings[4])) % 37
    };
    assert_eq!(play(settings, input, random, true), whole, "in pieces");

    let size = 1 << (settings[5] % 14);
    // Space for all that must be there at once, and for one byte more that shows that it is too long.
    let ample = limits.head.max(limits.request_line).max(limits.trailers.into()) < size as u32;
    let fixed = play_inbox(settings, input, Inbox::new(vec![0; size].into_boxed_slice()));
    let growing = play_inbox(settings, input, Inbox::new(GrowableBuffer::new(size / 8, size)));
    assert_eq!(fixed, growing, "fixed and growing");
    if ample || !fixed.is_rejected() {
        assert_eq!((fixed.seen, fixed.output), (whole.seen, whole.output), "through an inbox");
    } else {
        let (_, before) = fixed.seen.split_last().expect("it holds the rejection");
        assert!(whole.seen.starts_with(before), "{fixed:?} is no beginning of {whole:?}");
    }
});

/// The connection as seen by the application and the peer.
#[derive(Debug, PartialEq)]
struct Outcome {
    seen: Vec<Seen>,
    output: Vec<u8>,
    /// The final state; `None` if the connection is over, as unread bytes do not matter then.
    rest: Option<(States, u64, WaitingFor, usize)>,
}

#[derive(Debug, PartialEq)]
enum Seen {
    Request(Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>),
    /// Adjacent parts are merged.
    Body(Vec<u8>),
    End(Vec<(Vec<u8>, Vec<u8>)>),
    Switched,
    Closed,
    Rejected(Reject),
}

impl Outcome {
    fn is_rejected(&self) -> bool {
        matches!(self.seen.last(), Some(Seen::Rejected(_)))
    }
}

fn limits(settings: &[u8; 8]) -> Limits {
    let [a, b, c, ..] = settings.map(u32::from);
    let mut limits = Limits::default();
    if (a, b, c) != (0, 0, 0) {
        limits.request_line = 8 + a * 4;
        limits.header_line = 4 + b * 4;
        limits.head = 16 + c * 16;
        limits.header_count = (a ^ b) as u8;
        limits.empty_lines = (b % 8) as u8;
        limits.body = u64::from(a * c);
        limits.drain = b * c;
        limits.chunk_overhead = 4 + b * 2;
        limits.trailers = (c * 2) as u16;
    }
    limits
}

fn connection(settings: &[u8; 8]) -> Connection {
    let version = if settings[6] & 1 == 0 { Version::Http11 } else { Version::Http10 };
    Connection::new(limits(settings)).with_version(version)
}

/// Whether the peer closes after its bytes, or stays connected.
fn finishes(settings: &[u8; 8]) -> bool {
    settings[6] & 2 == 0
}

/// Passes `input` to `advance`, in pieces of `step(i)` bytes.
fn play(settings: &[u8; 8], input: &[u8], step: impl Fn(usize) -> usize, direct: bool) -> Outcome {
    let mut table = Table::new(settings);
    let mut connection = connection(settings);
    let (mut start, mut end, mut i) = (0, 0, 0);
    let mut finishes = finishes(settings);
    loop {
        if direct && table.reads() {
            let n = connection.raw_body_len().min((end - start) as u64);
            connection.body_received(n);
            table.body(&input[start..start + n as usize]);
            start += n as usize;
        }
        let unread = &input[start..end];
        match connection.advance(unread) {
            Ok((used, Event::NeedData)) => {
                start += used;
                let again = connection.advance(&input[start..end]);
                assert!(matches!(again, Ok((0, Event::NeedData))), "a spurious call did something");
                if end < input.len() {
                    end = end.saturating_add(step(i)).min(input.len());
                    i += 1;
                } else if std::mem::take(&mut finishes) {
                    connection.receive_eof();
                } else {
                    return table.rest(settings, &connection, start);
                }
            }
            Ok((used, event)) => {
                assert!(used <= unread.len());
                start += used;
                if table.take(&mut connection, event) {
                    return table.over(&connection);
                }
            }
            Err(reject) => return table.refuse(&mut connection, reject, unread),
        }
    }
}

/// Passes `input` to `next` over `inbox`.
fn play_inbox<S: Storage>(settings: &[u8; 8], mut input: &[u8], mut inbox: Inbox<S>) -> Outcome {
    let mut table = Table::new(settings);
    let mut connection = connection(settings);
    let mut finishes = finishes(settings);
    loop {
        match connection.next(&mut inbox) {
            Ok(Event::NeedData) => {
                if !input.is_empty() {
                    let n = inbox.fill(&mut input).expect("a full inbox is a rejection");
                    assert!(n > 0);
                } else if std::mem::take(&mut finishes) {
                    inbox.filled(0);
                } else {
                    return table.rest(settings, &connection, 0);
                }
            }
            Ok(event) => {
                if table.take(&mut connection, event) {
                    return table.over(&connection);
                }
            }
            Err(reject) => return table.refuse(&mut connection, reject, inbox.unread()),
        }
    }
}

/// The application. Its responses depend only on the settings and the number of the request.
struct Table {
    played: Outcome,
    outbox: Outbox,
    policy: u8,
    requests: u8,
}

impl Table {
    fn new(settings: &[u8; 8]) -> Self {
        let played = Outcome { seen: Vec::new(), output: Vec::new(), rest: None };
        Self { played, outbox: Outbox::new("f"), policy: settings[7], requests: 0 }
    }

    /// Whether the application reads bodies: after an early response they are discarded.
    fn reads(&self) -> bool {
        self.requests > 0 && !self.is_early()
    }

    fn is_early(&self) -> bool {
        (self.policy.rotate_left(u32::from(self.requests)) & 1) == 1
    }

    /// Handles an event. Returns `true` if the connection is over.
    fn take(&mut self, connection: &mut Connection, event: Event<'_>) -> bool {
        match event {
            Event::Request(head) => {
                self.requests = self.requests.wrapping_add(1);
                let fields = owned(head.headers());
                look(&head);
                self.played.seen.push(Seen::Request(head.request_line().to_vec(), fields));
                if self.is_early() {
                    self.answer(connection);
                } else {
                    connection.send_continue(&mut self.outbox);
                }
            }
            Event::Body(bytes) => self.body(bytes),
            Event::End(trailers) => self.played.seen.push(Seen::End(owned(trailers.iter()))),
            Event::ResponseDue(ResponseDue::Head) => self.answer(connection),
            Event::ResponseDue(ResponseDue::Bytes(n)) => {
                connection.body_sent(n).expect("they were asked for")
            }
            Event::ResponseDue(ResponseDue::Stream) => {
                connection.send(b"streamed", &mut self.outbox).expect("it was asked for");
                connection.end(&mut self.outbox).expect("it was asked for");
            }
            Event::SwitchedProtocol => self.played.seen.push(Seen::Switched),
            Event::Closed => self.played.seen.push(Seen::Closed),
            Event::NeedData => unreachable!("the players see to it"),
        }
        self.played.output.extend_from_slice(self.outbox.unsent());
        self.outbox.clear();
        matches!(event, Event::SwitchedProtocol | Event::Closed)
    }

    fn body(&mut self, bytes: &[u8]) {
        match self.played.seen.last_mut() {
            _ if bytes.is_empty() => {}
            Some(Seen::Body(body)) => body.extend_from_slice(bytes),
            _ => self.played.seen.push(Seen::Body(bytes.to_vec())),
        }
    }

    /// The first of several responses that this request allows.
    fn answer(&mut self, connection: &mut Connection) {
        let out = &mut self.outbox;
        let kind = self.policy.wrapping_add(self.requests) >> 1 & 7;
        let answered = match kind {
            0 => connection.respond(200, out).body(b"hello"),
            1 => connection.respond(200, out).sized_body(5),
            2 => connection.respond(200, out).streamed_body(),
            3 => connection.respond(404, out).error_page(""),
            4 => connection.respond(304, out).header("ETag", "\"a\"").body(b""),
            5 => connection.respond(101, out).upgrade("other"),
            6 => connection.respond(200, out).tunnel(),
            _ => connection
                .respond(200, out)
                .header("Connection", "close")
                .content_length(0)
                .body(b""),
        };
        if answered.is_err() {
            assert!(out.is_empty(), "a misuse left something in the outbox");
            connection.respond(500, out).body(b"").expect("any request may be answered so");
        }
    }

    fn refuse(mut self, connection: &mut Connection, reject: Reject, unread: &[u8]) -> Outcome {
        connection.refuse(reject, unread, &mut self.outbox);
        assert_eq!(connection.states(), States::CLOSED);
        self.played.output.extend_from_slice(self.outbox.unsent());
        self.played.seen.push(Seen::Rejected(reject));
        self.played
    }

    fn rest(mut self, settings: &[u8; 8], connection: &Connection, used: usize) -> Outcome {
        assert!(!finishes(settings), "it waits for a peer that has finished");
        let waiting = connection.waiting_for(&self.outbox);
        self.played.rest = Some((connection.states(), connection.raw_body_len(), waiting, used));
        self.played
    }

    fn over(self, connection: &Connection) -> Outcome {
        assert!(matches!(connection.states(), States::CLOSED | States::SWITCHED_PROTOCOL));
        self.played
    }
}

fn owned<'b>(fields: impl Iterator<Item = (&'b [u8], &'b [u8])>) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields.map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

/// Every guarantee about a head.
fn look(head: &Head<'_>) {
    assert!(!head.method().is_empty());
    assert!(
        head.path().starts_with(b"/") && !head.path().starts_with(b"//")
            || head.path() == b"*"
            || head.method() == b"CONNECT"
    );
    assert!(!head.path().contains(&b'?') || head.method() == b"CONNECT");
    assert!(head.version() != Version::Http11 || head.host().is_some());
    for (name, value) in head.headers() {
        assert!(!name.is_empty() && value == value.trim_ascii());
        assert!(!value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
        let name = str::from_utf8(name).expect("a token is ASCII");
        assert_eq!(head.header(name), head.header_values(name).next());
    }
    assert!(!format!("{head:?}{:?}", head.query()).is_empty());
}
