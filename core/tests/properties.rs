//! Properties of the state machine for any input: the result does not depend on how the input is
//! split; it never consumes more than it was given; an independent parser can read its responses.

use doorstep_core::http1::{Connection, Event, Limits, Outbox, ResponseDue};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_result_is_the_same_however_the_input_is_split(
        input in conversation(),
        cuts in vec(any::<Index>(), 0..8),
        finishes in any::<bool>(),
    ) {
        let whole = run(&[&input], finishes);
        prop_assert_eq!(&run(&pieces(&input, &cuts), finishes), &whole, "{}", input.escape_ascii());
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        prop_assert_eq!(&run(&bytes, finishes), &whole, "{}", input.escape_ascii());
    }

    #[test]
    fn the_result_for_any_bytes_is_the_same_however_they_are_split(
        input in vec(any::<u8>(), 0..200),
        cuts in vec(any::<Index>(), 0..4),
    ) {
        prop_assert_eq!(run(&pieces(&input, &cuts), true), run(&[&input], true));
    }

    #[test]
    fn an_independent_parser_reads_every_response(input in conversation()) {
        let transcript = run(&[&input], true);
        let methods: Vec<_> = transcript.requests.iter().map(|line| line.starts_with(b"HEAD ")).collect();
        prop_assert!(transcript.responses.len() <= 2000 * (transcript.requests.len() + 1), "unbounded responses");
        if !transcript.requests.iter().any(|line| line.ends_with(b"Http09")) {
            let read = read_responses(&transcript.responses, &methods);
            prop_assert!(read.is_ok(), "{:?} in {}", read, transcript.responses.escape_ascii());
        }
    }

    #[test]
    fn b_047_what_is_sent_in_chunks_is_what_is_read(
        parts in vec(vec(any::<u8>(), 0..300), 0..6),
        step in 1_usize..50,
    ) {
        let mut outbox = Outbox::new("");
        let mut sender = Connection::new(Limits::default());
        sender.advance(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("well formed");
        sender.respond(200, &mut outbox).streamed_body().expect("due");
        outbox.clear();
        for part in &parts {
            sender.send(part, &mut outbox).expect("a stream was begun");
        }
        sender.end_with_trailers(&[("X-Sum", b"42")], &mut outbox).expect("a stream was begun");

        let mut request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        request.extend_from_slice(outbox.unsent());
        let pieces: Vec<&[u8]> = request.chunks(step).collect();
        let transcript = run(&pieces, true);
        prop_assert_eq!(transcript.body, parts.concat());
        prop_assert_eq!(transcript.faults, Vec::<String>::new());
        prop_assert_eq!(transcript.ends, [b"X-Sum=42".to_vec()]);
    }
}

/// All events and responses in one comparable value.
#[derive(Default, PartialEq, Eq)]
struct Transcript {
    requests: Vec<Vec<u8>>,
    body: Vec<u8>,
    ends: Vec<Vec<u8>>,
    faults: Vec<String>,
    closed: bool,
    responses: Vec<u8>,
}

impl std::fmt::Debug for Transcript {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |lines: &[Vec<u8>]| lines.join(&b'|').escape_ascii().to_string();
        write!(f, "\nrequests {}, ends {}, ", shown(&self.requests), shown(&self.ends))?;
        write!(f, "body {}, ", self.body.escape_ascii())?;
        writeln!(f, "faults {:?}, closed {}", self.faults, self.closed)?;
        writeln!(f, "{}", self.responses.escape_ascii())
    }
}

/// Passes an input in pieces to `advance`.
fn run(pieces: &[&[u8]], finishes: bool) -> Transcript {
    let mut connection = Connection::new(Limits::default());
    let mut outbox = Outbox::new("doorstep");
    let (mut transcript, mut input, mut start) = (Transcript::default(), Vec::new(), 0);
    let ends = std::iter::once(None).filter(|_| finishes);
    for piece in pieces.iter().map(Some).chain(ends) {
        match piece {
            Some(piece) => input.extend_from_slice(piece),
            None => connection.receive_eof(),
        }
        while !transcript.closed {
            let rest = &input[start..];
            match connection.advance(rest) {
                Ok((used, event)) => {
                    assert!(used <= rest.len(), "took {used} of {}", rest.len());
                    start += used;
                    if !respond(&event, &mut connection, &mut outbox, &mut transcript) {
                        break;
                    }
                }
                Err(reject) => {
                    transcript.faults.push(format!("{reject:?}"));
                    connection.refuse(reject, rest, &mut outbox);
                }
            }
        }
    }
    transcript.responses = outbox.unsent().to_vec();
    transcript
}

/// An application that reads the bodies of POST requests and responds to all others at once.
/// Returns `false` if it must wait.
fn respond(
    event: &Event<'_>,
    connection: &mut Connection,
    outbox: &mut Outbox,
    transcript: &mut Transcript,
) -> bool {
    match event {
        Event::Request(head) => {
            let version = format!(" {:?}", head.version());
            transcript
                .requests
                .push([head.method(), b" ", head.path(), version.as_bytes()].concat());
            match head.method() {
                b"POST" => connection.send_continue(outbox),
                b"CONNECT" => connection.respond(501, outbox).error_page("").expect("due"),
                b"PUT" => connection.respond(200, outbox).streamed_body().expect("due"),
                _ => connection.respond(200, outbox).body(b"hello\n").expect("due"),
            }
        }
        Event::Body(data) => transcript.body.extend_from_slice(data),
        Event::End(trailers) => {
            let fields = trailers.iter().map(|(name, value)| [name, b"=", value].concat());
            transcript.ends.push(fields.collect::<Vec<_>>().concat());
        }
        Event::ResponseDue(ResponseDue::Head) => {
            connection.respond(204, outbox).body(b"").expect("due");
        }
        Event::ResponseDue(_) => {
            connection.send(b"streamed\n", outbox).expect("due");
            connection.end(outbox).expect("due");
        }
        Event::Closed => transcript.closed = true,
        Event::NeedData | Event::SwitchedProtocol => return false,
    }
    true
}

fn pieces<'i>(input: &'i [u8], cuts: &[Index]) -> Vec<&'i [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
    at.extend([0, input.len()]);
    at.sort_unstable();
    at.windows(2).map(|ends| &input[ends[0]..ends[1]]).collect()
}

/// A few requests, mostly well formed, then a few bytes changed, removed or inserted.
fn conversation() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), select(b"\r\n :;,\t\0/0".to_vec())];
    let mutation = (any::<Index>(), 0..3_u8, byte);
    (vec(request(), 1..4), vec(mutation, 0..3)).prop_map(|(requests, mutations)| {
        let mut bytes = requests.concat();
        for (at, what, byte) in mutations {
            let at = at.index(bytes.len().max(1));
            match what {
                0 if at < bytes.len() => bytes[at] = byte,
                1 if at < bytes.len() => drop(bytes.remove(at)),
                _ => bytes.insert(at, byte),
            }
        }
        bytes
    })
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let method = select(vec!["GET", "HEAD", "POST", "PUT", "OPTIONS", "CONNECT", "SPAM"]);
    let target = select(vec!["/", "//a?b", "*", "http://h/x", "h:443", "/%00"]);
    let version = select(vec![" HTTP/1.1", " HTTP/1.1", " HTTP/1.1", " HTTP/1.0", " HTTP/2.0", ""]);
    let field = select(vec![
        "Connection: close\r\n",
        "Connection: keep-alive\r\n",
        "Expect: 100-continue\r\n",
        "X: y\r\n",
        "Content-Length: 0\r\n",
        "Host: b\r\n",
        "X: y\n",
    ]);
    let body = select(vec![
        "\r\n",
        "Content-Length: 5\r\n\r\nhello",
        "Content-Length: 5\r\n\r\nhe",
        "Transfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\nX: y\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: gzip\r\n\r\n",
    ]);
    (method, target, version, vec(field, 0..3), body).prop_map(
        |(method, target, version, fields, body)| {
            let fields = fields.concat();
            format!("{method} {target}{version}\r\nHost: a\r\n{fields}{body}").into_bytes()
        },
    )
}

/// An independent parser of responses, as in a client. Returns an error if one is malformed.
fn read_responses(mut rest: &[u8], to_head: &[bool]) -> Result<usize, String> {
    let mut responses = 0;
    while !rest.is_empty() {
        let end = rest.windows(4).position(|w| w == b"\r\n\r\n").ok_or("a head without an end")?;
        let head = str::from_utf8(&rest[..end]).map_err(|_| "a head that is not text")?;
        rest = &rest[end + 4..];
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
        let code: u16 = status.and_then(|s| s.get(..3)?.parse().ok()).ok_or("no status")?;
        let fields: Vec<_> =
            lines.map(|l| l.split_once(": ").ok_or("no header")).collect::<Result<_, _>>()?;
        let field = |name| fields.iter().filter(|f| f.0 == name).map(|f| f.1).collect::<Vec<_>>();
        let is_head = to_head.get(responses).copied().unwrap_or(false);
        responses += usize::from(code >= 200);
        let (length, coding) = (field("Content-Length"), field("Transfer-Encoding"));
        if length.len() + coding.len() > 1 {
            return Err("framed twice".into());
        }
        if matches!(code, 100..=199 | 204 | 304) || is_head {
            if code == 204 && length.len() + coding.len() > 0 {
                return Err("a 204 with framing".into());
            }
        } else if let Some(length) = length.first() {
            let length: usize = length.parse().map_err(|_| "a length that is not a number")?;
            if rest.is_empty() && responses > to_head.len() {
                return Ok(responses); // a HEAD request was refused
            }
            rest = rest.get(length..).ok_or("a body shorter than promised")?;
        } else if coding.is_empty() {
            return Ok(responses); // until the connection closes
        } else {
            match rest.windows(5).position(|w| w == b"0\r\n\r\n") {
                Some(end) => rest = &rest[end + 5..],
                None => return Ok(responses), // aborted by a fault in the request's body
            }
        }
    }
    Ok(responses)
}
