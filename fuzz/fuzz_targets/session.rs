//! Any calls in any order, as a careless embedder might make them: they return `Misuse` and never panic.
//!
//! After every call the pair of states is stable, a misuse has left the outbox unchanged, and the
//! outbox holds no more than the calls asked for.
#![no_main]

use arbitrary::Arbitrary;
use doorstep_core::http1::{
    Connection, Event, GrowableBuffer, Inbox, Limits, Misuse, Outbox, Reject, Response, Version,
    WaitingFor,
};
use libfuzzer_sys::fuzz_target;

/// Maximum of what a response has in addition, in bytes: an error page, and headers of its own.
const OURS: usize = 4096;

type Field<'a> = (Name<'a>, &'a [u8]);

#[derive(Arbitrary, Debug)]
enum Call<'a> {
    Receive(&'a [u8]),
    Request(u8),
    ReceiveEof,
    Next,
    Advance,
    Consume(usize),
    BodyReceived(u64),
    Split(u16, &'a [u8]),
    TakeStorage,
    Respond(Status, Option<&'a [u8]>, Vec<Field<'a>>, Option<u64>, Ending<'a>),
    Send(&'a [u8]),
    BodySent(u64),
    SendRest,
    End,
    EndWithTrailers(Vec<Field<'a>>),
    SendInterim(Status, Vec<Field<'a>>),
    SendContinue,
    Refuse(u8),
    Abort,
    Sent(usize),
    BeginSend,
    EndSend(usize),
    Clear,
    ShrinkTo(u16),
    AppendWith(u16, usize),
    SetDate(u64),
    AddDefaultHeader(Name<'a>, &'a [u8]),
    TimedOut,
    WriteTo(u16),
}

#[derive(Arbitrary, Debug)]
enum Ending<'a> {
    Body(&'a [u8]),
    SizedBody(u64),
    StreamedBody,
    ErrorPage(&'a str),
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
    [Reject::RequestTimeout, Reject::BadSyntax, Reject::UriTooLong, Reject::BadVersion];

fuzz_target!(|input: (bool, u8, u16, Vec<Call<'_>>)| {
    let (old, first, most, calls) = input;
    let mut limits = Limits::default();
    (limits.drain, limits.chunk_overhead) = (1000, 1000);
    let version = if old { Version::Http10 } else { Version::Http11 };
    let mut session = Session {
        connection: Connection::new(limits).with_version(version),
        inbox: Inbox::new(GrowableBuffer::new(first.into(), most.into())),
        outbox: Outbox::new("f"),
        in_flight: None,
        default_headers: 0,
    };
    for call in calls {
        session.make(&call);
    }
});

struct Session {
    connection: Connection,
    inbox: Inbox<GrowableBuffer>,
    outbox: Outbox,
    /// The buffer of [`Outbox::begin_send`].
    in_flight: Option<Vec<u8>>,
    /// Bytes that [`Outbox::add_default_header`] adds to each response.
    default_headers: usize,
}

impl Session {
    fn make(&mut self, call: &Call<'_>) {
        let before = self.outbox.unsent().to_vec();
        let (asked, done) = self.call(call);
        let unsent = self.outbox.unsent();
        if done.is_err() {
            assert_eq!(unsent, before, "a misuse left its mark: {call:?}");
        }
        let most = before.len() + asked + self.default_headers + OURS;
        assert!(unsent.len() <= most, "{} bytes after {call:?}", unsent.len());

        let Self { connection, outbox, .. } = self;
        let states = connection.states();
        assert!(states.is_stable(), "{states:?} after {call:?}");
        let _ = (
            connection.waiting_for(outbox),
            connection.response_due(),
            connection.should_linger(),
            connection.should_reset(),
        );
        assert!(!format!("{connection:?}").is_empty());
    }

    /// Makes the call. Returns how many bytes it asked to send, and its result.
    fn call(&mut self, call: &Call<'_>) -> (usize, Result<(), Misuse>) {
        let Self { connection, inbox, outbox, in_flight, default_headers } = self;
        let mut asked = 0;
        let mut done = Ok(());
        match *call {
            Call::Receive(bytes) => receive(inbox, bytes),
            Call::Request(i) => receive(inbox, REQUESTS[usize::from(i) % REQUESTS.len()]),
            Call::ReceiveEof => inbox.filled(0),
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
            Call::BodyReceived(n) => connection.body_received(n),
            Call::Split(n, bytes) => {
                let (head, mut rest) = inbox.split(n.into(), 64);
                assert!(head.len() <= usize::from(n));
                receive(&mut rest, bytes);
                let _ = connection.next(&mut rest);
                let position = rest.position();
                inbox.rejoin(position);
            }
            Call::TakeStorage => {
                let unread = inbox.unread().to_vec();
                let taken = std::mem::replace(inbox, Inbox::new(GrowableBuffer::new(0, 0)));
                let (storage, position) = taken.into_parts();
                *inbox = Inbox::from_parts(storage, position);
                assert_eq!(inbox.unread(), unread);
            }
            Call::Respond(ref status, reason, ref fields, length, ref ending) => {
                let mut response = connection.respond(status.code(), outbox);
                if let Some(reason) = reason {
                    response = response.reason(reason);
                    asked += 13 * reason.len(); // twice in a page, at most six bytes each
                }
                for (name, value) in fields {
                    response = response.header(name.text(), value);
                }
                if let Some(length) = length {
                    response = response.content_length(length);
                }
                let (more, ended) = end(response, ending);
                asked += more + size(fields);
                done = ended;
            }
            Call::Send(bytes) => {
                asked = bytes.len();
                done = connection.send(bytes, outbox);
            }
            Call::BodySent(n) => done = connection.body_sent(n),
            Call::SendRest => {
                if let Some(doorstep_core::http1::ResponseDue::Bytes(n)) = connection.response_due()
                {
                    assert_eq!(connection.body_sent(n), Ok(()));
                }
            }
            Call::End => done = connection.end(outbox),
            Call::EndWithTrailers(ref fields) => {
                asked = size(fields);
                let fields: Vec<_> = fields.iter().map(|(name, v)| (name.text(), *v)).collect();
                done = connection.end_with_trailers(&fields, outbox);
            }
            Call::SendInterim(ref status, ref fields) => {
                asked = size(fields);
                let fields: Vec<_> = fields.iter().map(|(name, v)| (name.text(), *v)).collect();
                done = connection.send_interim(status.code(), &fields, outbox);
            }
            Call::SendContinue => connection.send_continue(outbox),
            Call::Refuse(i) => {
                let reject = REJECTS[usize::from(i) % REJECTS.len()];
                connection.refuse(reject, inbox.unread(), outbox);
            }
            Call::Abort => connection.abort(),
            Call::Sent(n) => outbox.sent(n),
            Call::BeginSend => {
                let len = outbox.len();
                if let Some(buffer) = outbox.begin_send() {
                    assert!(in_flight.replace(buffer).is_none(), "two buffers in flight");
                }
                assert_eq!(outbox.len(), len, "the bytes in flight count");
            }
            Call::EndSend(n) => {
                let buffer = in_flight.take();
                asked = buffer.as_ref().map_or(0, Vec::len); // some of it is to be sent again
                let is_in_flight = buffer.is_some();
                done = outbox.end_send(buffer.unwrap_or_default(), n);
                assert_eq!(done.is_ok(), is_in_flight);
            }
            Call::Clear => outbox.clear(),
            Call::ShrinkTo(keep) => outbox.shrink_to(keep.into()),
            Call::AppendWith(n, kept) => {
                asked = n.into();
                let _ = outbox.append_with::<()>(n.into(), |space| {
                    space.fill(b'p');
                    if kept == 0 { Err(()) } else { Ok(kept) }
                });
            }
            Call::SetDate(unix) => outbox.set_date(unix),
            Call::AddDefaultHeader(ref name, value) => {
                *default_headers += name.text().len() + value.len() + 4;
                done = outbox.add_default_header(name.text(), value);
            }
            Call::TimedOut => {
                use WaitingFor::{Body, BodyOrResponse, Head};
                let may_refuse =
                    matches!(connection.waiting_for(outbox), Head | Body | BodyOrResponse);
                connection.timed_out(inbox.unread(), outbox);
                assert_eq!(connection.response_due(), None);
                assert!(may_refuse || outbox.unsent().is_empty(), "it is over");
            }
            Call::WriteTo(n) => {
                let (unsent, mut sink) = (outbox.unsent().to_vec(), vec![0; n.into()]);
                let taken = outbox.write_to(&mut &mut *sink);
                assert_eq!(taken.is_err(), n == 0 && !unsent.is_empty());
                let taken = taken.unwrap_or(0);
                assert_eq!(taken, unsent.len().min(n.into()));
                assert_eq!(sink[..taken], unsent[..taken]);
                assert_eq!(outbox.unsent(), &unsent[taken..]);
            }
        }
        (asked, done)
    }
}

/// Ends a response. Returns how many bytes that asked to send.
fn end(response: Response<'_>, ending: &Ending<'_>) -> (usize, Result<(), Misuse>) {
    match *ending {
        Ending::Body(body) => (body.len(), response.body(body)),
        Ending::SizedBody(n) => (0, response.sized_body(n)),
        Ending::StreamedBody => (0, response.streamed_body()),
        Ending::ErrorPage(explain) => (6 * explain.len(), response.error_page(explain)),
        Ending::Upgrade(protocol) => (protocol.len(), response.upgrade(protocol)),
        Ending::Tunnel => (0, response.tunnel()),
        Ending::None => {
            drop(response);
            (0, Err(Misuse::NoResponseDue)) // nothing may have been sent
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
