//! A response that is sent while the body of its request is outstanding, in parts, by an application
//! that is asked for each part.

use doorstep_core::http1::{
    Connection, Event, Inbox, Limits, Misuse, Outbox, Reject, ResponseDue, WaitingFor,
};

const SIZED: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";
const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const OLD: &str = "POST / HTTP/1.0\r\nContent-Length: 4\r\n\r\n";
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const PARTS: [&[u8]; 3] = [b"one", b"two", b"four"];

/// The server, and the client at the other end of a perfect wire.
struct Server {
    connection: Connection,
    inbox: Inbox<[u8; 512]>,
    outbox: Outbox,
    streamed: bool,
    parts: std::slice::Iter<'static, &'static [u8]>,
    body: Vec<u8>,
    requests: usize,
    waits: Vec<WaitingFor>,
    /// What the client has received.
    received: Vec<u8>,
}

impl Server {
    fn new(streamed: bool) -> Self {
        Self {
            connection: Connection::new(Limits::default()),
            inbox: Inbox::new([0; 512]),
            outbox: Outbox::new(""),
            streamed,
            parts: PARTS.iter(),
            body: Vec::new(),
            requests: 0,
            waits: Vec::new(),
            received: Vec::new(),
        }
    }

    /// Begins the response, or sends its next part: `false` if there is none.
    fn pull(&mut self) -> Result<bool, Misuse> {
        let Self { connection, outbox, parts, .. } = self;
        match connection.response_due() {
            Some(ResponseDue::Head) if self.streamed => {
                connection.respond(200, outbox).streamed_body()?;
            }
            Some(ResponseDue::Head) => {
                let size = PARTS.concat().len() as u64;
                connection.respond(200, outbox).sized_body(size)?;
            }
            Some(ResponseDue::Bytes(_) | ResponseDue::Stream) => match parts.next() {
                Some(part) => connection.send(part, outbox)?,
                None => connection.end(outbox)?,
            },
            None => return Ok(false),
        }
        Ok(true)
    }

    /// Runs until only the client can go on.
    fn run(&mut self, mut bytes: &[u8]) -> Result<(), Misuse> {
        loop {
            match self.connection.next(&mut self.inbox) {
                Ok(Event::Request(_)) => {
                    self.parts = PARTS.iter();
                    self.requests += 1;
                    assert!(self.pull()?, "it responds before the body has come");
                }
                Ok(Event::Body(part)) => self.body.extend_from_slice(part),
                Ok(Event::End(_)) => {}
                Ok(Event::ResponseDue(_)) => assert!(self.pull()?),
                Ok(Event::NeedData | Event::Closed) => {
                    self.waits.push(self.connection.waiting_for(&self.outbox));
                    if !self.outbox.is_empty() {
                        self.received.extend_from_slice(self.outbox.unsent());
                        self.outbox.sent(self.outbox.len());
                    } else if self.connection.response_due().is_some() {
                        self.pull()?;
                    } else if bytes.is_empty() {
                        return Ok(());
                    } else {
                        self.inbox.fill(&mut bytes).expect("there is space");
                    }
                }
                Ok(Event::SwitchedProtocol) => unreachable!("nobody asked for it"),
                Err(reject) => unreachable!("{reject}"),
            }
        }
    }
}

#[test]
fn a_client_that_waits_for_the_whole_response_before_its_body_is_served_and_kept() {
    for (head, body) in [(SIZED, "body"), (CHUNKED, "4\r\nbody\r\n0\r\n\r\n")] {
        for streamed in [false, true] {
            let mut server = Server::new(streamed);
            server.run(head.as_bytes()).unwrap();
            let response = server.received.clone();
            let end: &[u8] =
                if streamed { b"4\r\nfour\r\n0\r\n\r\n" } else { b"\r\n\r\nonetwofour" };
            assert!(response.ends_with(end), "{}", response.escape_ascii());
            assert_eq!(server.waits.last(), Some(&WaitingFor::Drain));
            assert!(server.waits.contains(&WaitingFor::BodyOrResponse));
            assert!(!server.waits.contains(&WaitingFor::Body), "the response has begun at once");

            server.run([body, GET].concat().as_bytes()).unwrap();
            assert_eq!((server.requests, server.received.len()), (2, 2 * response.len()), "kept");
            assert_eq!(server.waits.last(), Some(&WaitingFor::Request));
        }
    }
}

#[test]
fn both_directions_go_on_at_once() {
    for (head, parts) in
        [(SIZED, ["bo", "dy", ""]), (CHUNKED, ["2\r\nbo\r\n", "2\r\ndy\r\n", "0\r\n\r\n"])]
    {
        let mut connection = Connection::new(Limits::default());
        let (mut inbox, mut outbox) = (Inbox::new([0; 512]), Outbox::new(""));
        inbox.fill(&mut head.as_bytes()).unwrap();
        assert!(matches!(connection.next(&mut inbox), Ok(Event::Request(_))));
        assert_eq!(connection.waiting_for(&outbox), WaitingFor::Body);
        connection.respond(200, &mut outbox).streamed_body().unwrap();
        assert_eq!(connection.waiting_for(&outbox), WaitingFor::Writable);
        outbox.clear();

        // An echo: each part is sent back before the next one has come.
        for part in &parts[..2] {
            assert!(matches!(connection.next(&mut inbox), Ok(Event::NeedData)));
            assert_eq!(connection.waiting_for(&outbox), WaitingFor::BodyOrResponse);
            assert_eq!(connection.response_due(), Some(ResponseDue::Stream));
            inbox.fill(&mut part.as_bytes()).unwrap();
            let Ok(Event::Body(data)) = connection.next(&mut inbox) else { unreachable!() };
            connection.send(data, &mut outbox).unwrap();
            assert_eq!(outbox.unsent(), [b"2\r\n", data, b"\r\n"].concat());
            outbox.clear();
        }
        if !parts[2].is_empty() {
            inbox.fill(&mut parts[2].as_bytes()).unwrap();
        }
        assert!(matches!(connection.next(&mut inbox), Ok(Event::End(_))));
        assert_eq!(connection.waiting_for(&outbox), WaitingFor::Response, "the body has come");
        for _ in 0..2 {
            let due = connection.next(&mut inbox);
            assert!(matches!(due, Ok(Event::ResponseDue(ResponseDue::Stream))), "at each call");
        }
        connection.end(&mut outbox).unwrap();
        outbox.clear();
        assert!(matches!(connection.next(&mut inbox), Ok(Event::NeedData)));
        assert_eq!(connection.waiting_for(&outbox), WaitingFor::Request);
    }
}

#[test]
fn a_body_that_stays_out_during_its_response_ends_the_connection_visibly() {
    for (head, resets) in [(SIZED, false), (OLD, true)] {
        let mut connection = Connection::new(Limits::default());
        let mut outbox = Outbox::new("");
        assert!(matches!(connection.advance(head.as_bytes()), Ok((_, Event::Request(_)))));
        connection.respond(200, &mut outbox).streamed_body().unwrap();
        connection.send(b"part", &mut outbox).unwrap();
        outbox.clear();
        assert_eq!(connection.waiting_for(&outbox), WaitingFor::BodyOrResponse);
        assert_eq!(connection.refuse(Reject::RequestTimeout, b"", &mut outbox), 0);
        assert!(outbox.is_empty(), "no 408 within a response");
        assert!(matches!(connection.advance(b""), Ok((0, Event::Closed))));
        assert_eq!(connection.should_reset(), resets);
    }
}

/// The rule in the documentation of `Event`.
#[test]
fn a_body_has_events_only_if_its_head_announces_one() {
    for (fields, body, expected) in [
        ("", "", "Request ResponseDue"),
        ("Content-Length: 0\r\n", "", "Request ResponseDue"),
        ("Content-Length: 2\r\n", "ab", "Request Body End ResponseDue"),
        ("Transfer-Encoding: chunked\r\n", "0\r\n\r\n", "Request End ResponseDue"),
        ("Transfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\n\r\n", "Request Body End ResponseDue"),
    ] {
        let mut connection = Connection::new(Limits::default());
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}");
        let mut inbox = Inbox::new([0; 512]);
        inbox.fill(&mut request.as_bytes()).unwrap();
        let mut events = Vec::new();
        while events.last() != Some(&"ResponseDue") {
            events.push(match connection.next(&mut inbox).unwrap() {
                Event::Request(head) => {
                    assert_eq!(head.has_body(), !fields.is_empty());
                    "Request"
                }
                Event::Body(_) => "Body",
                Event::End(_) => "End",
                Event::ResponseDue(ResponseDue::Head) => "ResponseDue",
                event => unreachable!("{event:?}"),
            });
        }
        assert_eq!(events.join(" "), expected, "{fields}");
    }
}

#[test]
fn a_head_response_that_was_not_ended_says_nothing_of_the_next_response() {
    let (mut connection, mut outbox) = (Connection::new(Limits::default()), Outbox::new(""));
    let head = b"HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let get = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    connection.advance(head).expect("it is valid");
    connection.respond(200, &mut outbox).streamed_body().expect("it is due");
    assert!(!connection.is_close_delimited());
    connection.advance(get).expect("it is valid");
    connection.respond(200, &mut outbox).body(b"body").expect("it is due");
    assert!(!connection.is_close_delimited() && !connection.reset_on_close(&outbox));
}
