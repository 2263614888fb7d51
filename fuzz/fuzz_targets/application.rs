//! An application on the core: whatever a peer sends, it does not panic, none of its calls is a misuse,
//! and the peer receives well-formed responses, at most one for each request.
//!
//! This is how to fuzz a handler of one's own: the fuzz target is an event loop without sockets and
//! without time. Its application is that of `core/examples/app`; put yours in its place. The first byte
//! of the input sets the size of the pieces in which the rest arrives.
#![no_main]

use std::io::Read;

use doorstep_core::http1::{
    Connection, Event, GrowableBuffer, Head, Inbox, Limits, Outbox, Version,
};
use libfuzzer_sys::fuzz_target;

#[path = "../../core/examples/app/mod.rs"]
mod app;

fuzz_target!(|input: &[u8]| {
    let Some((size, mut input)) = input.split_first() else { return };
    let (mut connection, mut outbox) = (Connection::new(Limits::default()), Outbox::new("fuzz"));
    let mut inbox = Inbox::new(GrowableBuffer::new(64, 256 << 10));
    let (mut app, mut requests) = (app::App::default(), Vec::new());
    loop {
        match connection.next(&mut inbox) {
            Ok(Event::NeedData) => {
                let mut piece = input.by_ref().take(u64::from(*size) + 1);
                inbox.fill(&mut piece).expect("there is space");
            }
            Ok(Event::Closed | Event::SwitchedProtocol) => break,
            Ok(event) => {
                requests.extend(Request::of(&event));
                app.handle(&event, &mut connection, &mut outbox).expect("it may do that");
            }
            Err(reject) => _ = connection.refuse(reject, inbox.unread(), &mut outbox),
        }
    }
    check_responses(outbox.unsent(), requests);
});

/// What the framing of a response depends on.
#[derive(Clone, Copy)]
struct Request {
    is_head: bool,
    version: Version,
}

impl Request {
    fn of(event: &Event<'_>) -> Option<Self> {
        let of_head = |head: &Head<'_>| Self { is_head: head.is_head(), version: head.version() };
        if let Event::Request(head) = event { Some(of_head(head)) } else { None }
    }
}

/// Reads all responses as a client does.
fn check_responses(mut bytes: &[u8], requests: Vec<Request>) {
    let mut requests = requests.into_iter();
    while !bytes.is_empty() {
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let mut response = httparse::Response::new(&mut fields);
        let parsed = response.parse(bytes);
        let interim = response.code == Some(100);
        let request = if interim { None } else { requests.next() };
        if parsed.is_err() && request.is_some_and(|request| request.version == Version::Http09) {
            return; // a response without a head, which the close ends
        }
        let size = parsed.expect("it is a response").unwrap();
        bytes = &bytes[size..];
        let value = |name: &str| {
            let mut fields = response.headers.iter();
            fields.find(|field| field.name == name).map(|field| field.value)
        };
        if interim || request.is_some_and(|request| request.is_head) {
            continue;
        }
        if let Some(length) = value("Content-Length") {
            let length = str::from_utf8(length).unwrap_or_default().parse().expect("digits");
            if request.is_none() {
                // The refusal of a malformed request, which may be to HEAD. It is the last response.
                return assert!(bytes.is_empty() || bytes.len() == length);
            }
            bytes = bytes.get(length..).expect("no body is shorter");
        } else if value("Transfer-Encoding") == Some(b"chunked") {
            bytes = behind_chunks(bytes);
        } else {
            return; // the close ends it
        }
    }
}

/// What follows the last chunk; nothing if the response was aborted.
fn behind_chunks(mut bytes: &[u8]) -> &[u8] {
    while !bytes.is_empty() {
        let line = httparse::parse_chunk_size(bytes).expect("it is a chunk").unwrap();
        let (start, size) = (line.0, line.1 as usize);
        let (data, end) = bytes[start..].split_at(size);
        assert!(end.starts_with(b"\r\n"), "{} bytes of a chunk", data.len());
        bytes = &end[2..];
        if size == 0 {
            break;
        }
    }
    bytes
}
