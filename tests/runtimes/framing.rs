//! No handler can break the framing of its connection (rule 11): whatever it calls, in whichever
//! order, the next request on the connection gets its own response, or the connection closes.
//!
//! A handler is a sequence of calls, one letter each ([`Call`]). All sequences of up to two calls are
//! tried for each kind of request, and all of three for a plain GET. The handler ignores every error
//! that a call returns. Behind the request the client has sent another one, and a strict parser of
//! this file's own reads what comes back.

use std::io::{self, Write};
use std::sync::Arc;

use crate::runtimes::{Runtime, TestServer, config};
use crate::service::State;
use crate::support::client::Client;

/// The calls, by letter; the query of the request's target is a sequence of them.
const CALLS: &[u8] = b"rsSt4301dDFehbBufiUpEP";

/// The next request on the connection, and its response but for the Date.
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const NEXT_BODY: &[u8] = b"the next response";

/// Requests, as far as the first line's target.
const REQUESTS: [(&str, &str); 7] = [
    ("GET", " HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("HEAD", " HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("GET", " HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    ("POST", " HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"),
    (
        "POST",
        " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX: y\r\n\r\n",
    ),
    ("POST", " HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody"),
    ("GET", " HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"),
];

on_every_runtime! {
    fn no_two_calls_of_a_handler_break_the_framing(runtime: Runtime) {
        let server = serve(runtime);
        for first in CALLS {
            for second in CALLS {
                for request in REQUESTS {
                    check(&server, request, &[*first, *second]);
                }
            }
        }
    }

    fn no_three_calls_of_a_handler_break_the_framing(runtime: Runtime) {
        let server = serve(runtime);
        for first in CALLS {
            for second in CALLS {
                for third in CALLS {
                    check(&server, REQUESTS[0], &[*first, *second, *third]);
                }
            }
        }
    }

    fn correct_calls_keep_the_connection(runtime: Runtime) {
        let server = serve(runtime);
        for (calls, body) in [
            ("r", "whole"),
            ("sd", "datas"),
            ("sF", "file!"),
            ("std", "datas"), // the second response is refused
            ("tde", "datas"),
            ("tdDe", "datas, too much"),
            ("tdh", "datas"),
            ("irr", "whole"),
            ("4", ""),
            ("3", ""),
            ("bfr", "whole"),
        ] {
            // Not the request with Expect: a response that refuses its body closes (B-054).
            for (method, rest) in &REQUESTS[..5] {
                let responses = exchange(&server, (method, rest), calls.as_bytes());
                let responses = responses.unwrap_or_else(|wrong| unreachable!("{method} {calls}: {wrong}"));
                let what = format!("{method} {rest:?} {calls}: {responses:?}");
                let is_close_delimited = calls.starts_with('t') && rest.contains("HTTP/1.0");
                assert_eq!(responses.len(), if is_close_delimited { 1 } else { 2 }, "{what}");
                let expected = if *method == "HEAD" { "" } else { body };
                assert_eq!(String::from_utf8_lossy(&responses[0].body), expected, "{what}");
            }
        }
    }
}

fn check(server: &TestServer, request: (&str, &str), calls: &[u8]) {
    if let Err(wrong) = exchange(server, request, calls) {
        let calls = String::from_utf8_lossy(calls);
        unreachable!("{} ?{calls}{:?}: {wrong}", request.0, request.1);
    }
}

/// Sends a request for these calls and the next one. Returns the complete responses.
fn exchange(
    server: &TestServer,
    (method, rest): (&str, &str),
    calls: &[u8],
) -> Result<Vec<Parsed>, String> {
    let mut client = Client::connect(server.address.port());
    let calls = String::from_utf8_lossy(calls);
    client.send(format!("{method} /?{calls}{rest}{NEXT}").as_bytes());
    let bytes = client.read_to_end_or_reset();
    let wrong = |what: &str| Err(format!("{what}: {}", bytes.escape_ascii()));
    let (mut responses, mut left) = (Vec::new(), &bytes[..]);
    while !left.is_empty() {
        let method = if responses.is_empty() { method } else { "GET" };
        match Parsed::from(method, left) {
            Parse::Complete(response, size) => {
                left = &left[size..];
                match response.status {
                    101 => return Ok(responses), // another protocol
                    100..=199 => {}
                    _ => responses.push(response),
                }
            }
            Parse::Incomplete => break, // a visible abort
            Parse::Invalid => return wrong("this is not a response"),
        }
    }
    match &responses[..] {
        [] | [_] => {}
        [_, next] if next.status == 200 && next.body == NEXT_BODY && left.is_empty() => {}
        _ => return wrong("the next response is wrong"),
    }
    if let [first, ..] = &responses[..] {
        let has_only_own_bytes = !first.body.windows(5).any(|part| part == b"HTTP/");
        if !has_only_own_bytes {
            return wrong("a response within the body of another");
        }
    }
    Ok(responses)
}

/// A final or an interim response.
#[derive(Debug)]
struct Parsed {
    status: u16,
    body: Vec<u8>,
}

enum Parse {
    /// The response, and its size in bytes.
    Complete(Parsed, usize),
    Incomplete,
    Invalid,
}

impl Parsed {
    /// Reads a response by RFC 9112 §6.3, and accepts no leniency.
    fn from(method: &str, bytes: &[u8]) -> Parse {
        let Some(end) = find(bytes, b"\r\n\r\n") else {
            let start = &b"HTTP/1."[..bytes.len().min(7)];
            return if bytes.starts_with(start) { Parse::Incomplete } else { Parse::Invalid };
        };
        let Ok(head) = str::from_utf8(&bytes[..end]) else { return Parse::Invalid };
        let mut lines = head.split("\r\n");
        let status =
            lines.next().and_then(|line| line.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok());
        let Some(status) = status else { return Parse::Invalid };
        let headers: Option<Vec<_>> = lines.map(|line| line.split_once(": ")).collect();
        let Some(headers) = headers else { return Parse::Invalid };
        let values = |name: &str| -> Vec<&str> {
            headers.iter().filter(|(found, _)| *found == name).map(|(_, value)| *value).collect()
        };
        let (body, rest) = (end + 4, &bytes[end + 4..]);
        let complete = |content: &[u8], size| {
            Parse::Complete(Self { status, body: content.to_vec() }, body + size)
        };
        let (codings, lengths) = (values("Transfer-Encoding"), values("Content-Length"));
        if codings.len() + lengths.len() > 1 {
            return Parse::Invalid;
        }
        if method == "HEAD" || matches!(status, 100..=199 | 204 | 304) {
            return complete(b"", 0);
        }
        if codings == ["chunked"] {
            return match chunks(rest) {
                Ok(Some((content, size))) => complete(&content, size),
                Ok(None) => Parse::Incomplete,
                Err(()) => Parse::Invalid,
            };
        }
        match lengths[..] {
            [length] => match length.parse::<usize>() {
                Ok(length) if length <= rest.len() => complete(&rest[..length], length),
                Ok(_) => Parse::Incomplete,
                Err(_) => Parse::Invalid,
            },
            _ => complete(rest, rest.len()), // it ends with the connection
        }
    }
}

/// The content of a chunked body and its size, if all of it is there.
fn chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, ()> {
    let (mut content, mut at) = (Vec::new(), 0);
    loop {
        let Some(end) = find(&bytes[at..], b"\r\n") else { return Ok(None) };
        let size = str::from_utf8(&bytes[at..at + end]).map_err(|_| ())?;
        let size = usize::from_str_radix(size, 16).map_err(|_| ())?;
        at += end + 2;
        if size == 0 {
            let trailers = &bytes[at..];
            let end = match trailers.starts_with(b"\r\n") {
                true => Some(2),
                false => find(trailers, b"\r\n\r\n").map(|end| end + 4),
            };
            return Ok(end.map(|end| (content, at + end)));
        }
        let Some(chunk) = bytes.get(at..at + size) else { return Ok(None) };
        content.extend_from_slice(chunk);
        at += size;
        match bytes.get(at..at + 2) {
            Some(b"\r\n") => at += 2,
            Some(_) => return Err(()),
            None => return Ok(None),
        }
    }
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// A server of a handler that makes the calls in the query.
fn serve(runtime: Runtime) -> TestServer {
    let mut file = tempfile::tempfile().expect("a temporary file can be made");
    file.write_all(b"file!").expect("it can be written");
    let file = Arc::new(file);
    let (blocking, smol) =
        (blocking_handler::Calls(file.clone()), smol_handler::Calls(file.clone()));
    runtime.start_handler(blocking, smol, tokio_handler::Calls(file), State::app(), config())
}

/// Ends a handler as a panic does, without a message on the terminal.
fn panic_silently() -> ! {
    std::panic::resume_unwind(Box::new("as asked"))
}

/// The handler for one runtime: the same lines with and without `.await`.
macro_rules! handler {
    ($module:ident, $runtime:ident, $read:path, [$($async:tt)?], [$($await:tt)*]) => {
        mod $module {
            use std::fs::File;
            use std::sync::Arc;

            use crate::runtimes::front_end::$runtime::{Exchange, Handler};
            #[allow(unused_imports, reason = "one runtime's name for its trait")]
            use $read as _;

            use super::{NEXT_BODY, io, panic_silently};

            pub(super) struct Calls(pub(super) Arc<File>);

            impl Handler for Calls {
                $($async)? fn handle(&self, x: &mut Exchange<'_>) -> io::Result<()> {
                    if x.head().path() == b"/next" {
                        return x.respond(200).body(NEXT_BODY);
                    }
                    for call in x.head().query().unwrap_or_default().iter() {
                        let result = match call {
                            b'r' => x.respond(200).body("whole"),
                            b's' => x.respond(200).sized_body(5),
                            b'S' => x.respond(200).content_length(5).body("four"),
                            b't' => x.respond(200).streamed_body(),
                            b'4' => x.respond(204).body(""),
                            b'3' => x.respond(304).body(""),
                            b'0' => x.respond(204).sized_body(5),
                            b'1' => x.respond(100).body("interim"),
                            b'd' => x.send(b"datas")$($await)*,
                            b'D' => x.send(b", too much")$($await)*,
                            b'F' => x.send_file(&self.0, 0, 5)$($await)*,
                            b'e' => x.end(),
                            b'h' => x.end_with(&[("X-Sum", b"1")]),
                            b'b' => x.body().read_to_end(&mut Vec::new())$($await)*.map(drop),
                            b'B' => x.body().read(&mut [0; 2])$($await)*.map(drop),
                            b'u' => x.respond(101).upgrade("echo"),
                            b'U' => x.upgraded()$($await)*.map(drop),
                            b'p' => x.respond(200).tunnel(),
                            b'i' => x.send_interim(103, &[("Link", b"</a>; rel=preload")])$($await)*,
                            b'f' => x.flush()$($await)*,
                            b'E' => return Err(io::Error::other("as asked")),
                            b'P' => panic_silently(),
                            _ => unreachable!("a call without a letter"),
                        };
                        let _ = result; // a handler may ignore every error
                    }
                    Ok(())
                }
            }
        }
    };
}

handler!(blocking_handler, blocking, std::io::Read, [], []);
handler!(smol_handler, smol, ::smol::io::AsyncReadExt, [async], [.await]);
handler!(tokio_handler, tokio, crate::runtimes::ReadToEnd, [async], [.await]);
