//! Any calls in any order, as a careless embedder might make them: `Misuse` yes, a panic no.
//!
//! After every call the two states are a pair that may rest, a misuse has left the outbox as it
//! was, and the outbox holds no more than what was asked for.
#![no_main]

use arbitrary::Arbitrary;
use doorstep_core::http1::{
    Connection, Event, Growing, Inbox, Limits, Misuse, Outbox, Reject, Response, Version,
};
use libfuzzer_sys::fuzz_target;

/// More than any answer holds that nobody asked for: an error page, a head's own fields.
const OURS: usize = 4096;

type Field<'a> = (Name<'a>, &'a [u8]);

#[derive(Arbitrary, Debug)]
enum Call<'a> {
    Receive(&'a [u8]),
    Request(u8),
    Finish,
    Next,
    Advance,
    Consume(usize),
    Received(u64),
    Split(u16, &'a [u8]),
    Respond(Status, Option<&'a [u8]>, Vec<Field<'a>>, Option<u64>, Ending<'a>),
    Send(&'a [u8]),
    Passed(u64),
    PassAll,
    End,
    EndWith(Vec<Field<'a>>),
    Inform(Status, Vec<Field<'a>>),
    WantBody,
    Refuse(u8),
    Lost,
    Sent(usize),
    Clear,
    Shrink(u16),
    Put(u16, usize),
    Clock(u64),
    Always(Name<'a>, &'a [u8]),
}

#[derive(Arbitrary, Debug)]
enum Ending<'a> {
    Body(&'a [u8]),
    Sized(u64),
    Stream,
    Page(&'a str),
    Upgrade(&'a str),
    Tunnel,
    None,
}

#[derive(Arbitrary, Debug)]
enum Status {
    Usual(u8),
    Any(u16),
}

#[derive(Arbitrary, Debug)]
enum Name<'a> {
    Usual(u8),
    Any(&'a str),
}

impl Status {
    fn code(&self) -> u16 {
        const USUAL: [u16; 10] = [100, 101, 103, 200, 204, 205, 206, 304, 404, 500];
        match self {
            Self::Usual(i) => USUAL[usize::from(*i) % USUAL.len()],
            Self::Any(code) => *code,
        }
    }
}

impl Name<'_> {
    fn text(&self) -> &str {
        const USUAL: [&str; 6] = ["X", "Connection", "Content-Length", "Date", "Trailer", "ETag"];
        match self {
            Self::Usual(i) => USUAL[usize::from(*i) % USUAL.len()],
            Self::Any(name) => name,
        }
    }
}

const REQUESTS: [&[u8]; 9] = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET /\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\n\r\n",
];

const REJECTS: [Reject; 4] =
    [Reject::TooSlow, Reject::BadSyntax, Reject::UriTooLong, Reject::BadVersion];

fuzz_target!(|input: (bool, u8, u16, Vec<Call<'_>>)| {
    let (old, first, most, calls) = input;
    let limits = Limits { drain: 1000, chunk_overhead: 1000, ..Limits::default() };
    let version = if old { Version::Http10 } else { Version::Http11 };
    let mut session = Session {
        connection: Connection::new(limits).speaking(version),
        inbox: Inbox::new(Growing::new(first.into(), most.into())),
        outbox: Outbox::new("f"),
        prelude: 0,
    };
    for call in calls {
        session.make(&call);
    }
});

struct Session {
    connection: Connection,
    inbox: Inbox<Growing>,
    outbox: Outbox,
    /// Bytes that [`Outbox::always`] adds to each answer.
    prelude: usize,
}

impl Session {
    fn make(&mut self, call: &Call<'_>) {
        let before = self.outbox.unsent().to_vec();
        let (asked, done) = self.call(call);
        let unsent = self.outbox.unsent();
        if done.is_err() {
            assert_eq!(unsent, before, "a misuse left its mark: {call:?}");
        }
        let most = before.len() + asked + self.prelude + OURS;
        assert!(unsent.len() <= most, "{} bytes after {call:?}", unsent.len());

        let Self { connection, outbox, .. } = self;
        let states = connection.states();
        assert!(states.can_rest(), "{states:?} after {call:?}");
        let _ = (connection.waiting(outbox), connection.owed(), connection.lingers(), connection.resets());
        assert!(!format!("{connection:?}").is_empty());
    }

    /// Makes the call: how many bytes it asked to be sent, and how it went.
    fn call(&mut self, call: &Call<'_>) -> (usize, Result<(), Misuse>) {
        let Self { connection, inbox, outbox, prelude } = self;
        let mut asked = 0;
        let mut done = Ok(());
        match *call {
            Call::Receive(bytes) => receive(inbox, bytes),
            Call::Request(i) => receive(inbox, REQUESTS[usize::from(i) % REQUESTS.len()]),
            Call::Finish => inbox.filled(0),
            Call::Next => {
                if let Ok(event) = connection.next(inbox) {
                    look(&event);
                }
            }
            Call::Advance => {
                if let Ok((used, event)) = connection.advance(inbox.unread()) {
                    look(&event);
                    assert!(used <= inbox.unread().len());
                    inbox.consume(used);
                }
            }
            Call::Consume(n) => inbox.consume(n),
            Call::Received(n) => connection.received(n),
            Call::Split(n, bytes) => {
                let (head, mut rest) = inbox.split(n.into(), 64);
                assert!(head.len() <= usize::from(n));
                receive(&mut rest, bytes);
                let _ = connection.next(&mut rest);
                let mark = rest.mark();
                inbox.rejoin(mark);
            }
            Call::Respond(ref status, reason, ref fields, length, ref ending) => {
                let mut response = connection.respond(status.code(), outbox);
                if let Some(reason) = reason {
                    response = response.reason(reason);
                    asked += 13 * reason.len(); // twice in a page, each byte six at most
                }
                for (name, value) in fields {
                    response = response.header(name.text(), value);
                }
                if let Some(length) = length {
                    response = response.length(length);
                }
                let (more, ended) = end(response, ending);
                asked += more + size(fields);
                done = ended;
            }
            Call::Send(bytes) => {
                asked = bytes.len();
                done = connection.send(bytes, outbox);
            }
            Call::Passed(n) => done = connection.passed(n),
            Call::PassAll => {
                if let Some(doorstep_core::http1::Owed::Bytes(n)) = connection.owed() {
                    assert_eq!(connection.passed(n), Ok(()));
                }
            }
            Call::End => done = connection.end(outbox),
            Call::EndWith(ref fields) => {
                asked = size(fields);
                let fields: Vec<_> = fields.iter().map(|(name, v)| (name.text(), *v)).collect();
                done = connection.end_with(&fields, outbox);
            }
            Call::Inform(ref status, ref fields) => {
                asked = size(fields);
                let fields: Vec<_> = fields.iter().map(|(name, v)| (name.text(), *v)).collect();
                done = connection.inform(status.code(), &fields, outbox);
            }
            Call::WantBody => connection.want_body(outbox),
            Call::Refuse(i) => {
                let reject = REJECTS[usize::from(i) % REJECTS.len()];
                connection.refuse(reject, inbox.unread(), outbox);
            }
            Call::Lost => connection.lost(),
            Call::Sent(n) => outbox.sent(n),
            Call::Clear => outbox.clear(),
            Call::Shrink(keep) => outbox.shrink(keep.into()),
            Call::Put(n, kept) => {
                asked = n.into();
                let _ = outbox.put::<()>(n.into(), |space| {
                    space.fill(b'p');
                    if kept == 0 { Err(()) } else { Ok(kept) }
                });
            }
            Call::Clock(unix) => outbox.clock(unix),
            Call::Always(ref name, value) => {
                *prelude += name.text().len() + value.len() + 4;
                done = outbox.always(name.text(), value);
            }
        }
        (asked, done)
    }
}

/// Ends an answer: how many bytes that asked for.
fn end(response: Response<'_>, ending: &Ending<'_>) -> (usize, Result<(), Misuse>) {
    match *ending {
        Ending::Body(body) => (body.len(), response.body(body)),
        Ending::Sized(n) => (0, response.sized(n)),
        Ending::Stream => (0, response.stream()),
        Ending::Page(explain) => (6 * explain.len(), response.page(explain)),
        Ending::Upgrade(protocol) => (protocol.len(), response.upgrade(protocol)),
        Ending::Tunnel => (0, response.tunnel()),
        Ending::None => {
            drop(response);
            (0, Err(Misuse::NotOwed)) // nothing may have been sent
        }
    }
}

fn receive<S: doorstep_core::http1::Storage>(inbox: &mut Inbox<S>, mut bytes: &[u8]) {
    while !bytes.is_empty() && inbox.fill(&mut bytes).is_ok_and(|n| n > 0) {}
}

fn size(fields: &[Field<'_>]) -> usize {
    fields.iter().map(|(name, value)| name.text().len() + value.len() + 4).sum()
}

fn look(event: &Event<'_>) {
    assert!(!format!("{event:?}").is_empty());
}
