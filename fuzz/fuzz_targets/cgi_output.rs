//! Any bytes as a script's output: the reply does not depend on how they are split, every line is
//! accounted for, and the state machine can send the document or read the redirect's request.
#![no_main]

use arbitrary::Arbitrary;
use doorstep_core::cgi::local_redirect;
use doorstep_core::cgi::output::{Document, OutputError, OutputParser, Reply};
use doorstep_core::http1::{Connection, Event, Limits, Outbox};
use libfuzzer_sys::fuzz_target;

struct Script {
    nph: bool,
    most: usize,
    output: Vec<u8>,
}

#[derive(Arbitrary, Debug)]
enum Piece<'a> {
    Usual(u8),
    Any(&'a [u8]),
}

const USUAL: [&[u8]; 18] = [
    b"Content-Type: a\n",
    b"Content-Length: 5\r\n",
    b"Status: 404 Not here\n",
    b"Status: 200\n",
    b"Status: ",
    b"Content-Length: ",
    b"Location: /a?b#c\r\n",
    b"Location: http://a/\n",
    b"LOCATION: /",
    b"Transfer-Encoding: identity\n",
    b"Date: ",
    b"X-A: \t",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 ",
    b"\n",
    b"\r\n",
    b"Set-Cookie: a=b\n",
    b"<!--: spam\n",
];

fuzz_target!(|input: (bool, u16, [u8; 3], Vec<Piece<'_>>)| {
    let (nph, most, sizes, pieces) = input;
    let pieces = pieces.iter().map(|piece| match *piece {
        Piece::Usual(i) => USUAL[usize::from(i) % USUAL.len()],
        Piece::Any(bytes) => bytes,
    });
    let script = Script { nph, most: most.into(), output: pieces.collect::<Vec<_>>().concat() };

    let whole = read(&script, &[usize::MAX]);
    assert_eq!(whole, read(&script, &[1]));
    assert_eq!(whole, read(&script, &sizes.map(|size| usize::from(size) + 1)));
    match whole {
        Ok(Reply::Document(document)) => {
            account(&script, &document);
            send(&document);
        }
        Ok(Reply::LocalRedirect(target)) => ask(&target),
        Err(fault) => {
            let line = fault.to_string();
            assert!(line.len() < 900 && line.bytes().all(|b| matches!(b, b' '..=b'~')), "{line}");
            if let OutputError::HeaderTooLong(most) = fault {
                assert!(most == script.most && script.output.len() > most);
            }
        }
    }
});

/// Feeds the output in pieces of these sizes in turn; what follows the header block is the body.
fn read(script: &Script, sizes: &[usize]) -> Result<Reply, OutputError> {
    let mut output = OutputParser::new(script.nph, script.most);
    let mut rest = &script.output[..];
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, behind) = rest.split_at(rest.len().min(*size));
        rest = behind;
        match output.feed(piece)? {
            Some(Reply::Document(mut document)) => {
                document.body.extend_from_slice(rest);
                return Ok(Reply::Document(document));
            }
            Some(again) => return Ok(again),
            None => {}
        }
    }
    Err(output.end())
}

/// Each line before the body has become a status, a length, a header or a dropped header, except for
/// ignored ones.
fn account(script: &Script, document: &Document) {
    let size = script.output.len() - document.body.len();
    assert!(size <= script.most);
    let (header, body) = script.output.split_at(size);
    assert_eq!(body, document.body);
    assert!(header.ends_with(b"\n\n") || header.ends_with(b"\n\r\n") || size <= 2);

    let lines: Vec<_> = header.split(|&b| b == b'\n').map(|line| line.trim_ascii()).collect();
    let named = |name: &str| {
        let is = |line: &&&[u8]| line.to_ascii_lowercase().starts_with(name.as_bytes());
        lines.iter().filter(is).count()
    };
    let status = if script.nph { 1 } else { named("status:") };
    let kept =
        document.headers.len() + document.dropped_headers.len() + named("content-length:") + status;
    let idle = named("date:") + named("<!--: spam");
    assert_eq!(kept + idle, lines.iter().filter(|line| !line.is_empty()).count());
    assert_eq!(document.content_length.is_some(), named("content-length:") == 1);
    assert!((200..600).contains(&document.status));
}

/// The state machine sends the document, as in a driver.
fn send(document: &Document) {
    let mut connection = Connection::new(Limits::default());
    let mut outbox = Outbox::new("f");
    connection.advance(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("a request");
    let mut response = connection.respond(document.status, &mut outbox);
    if let Some(reason) = &document.reason {
        response = response.reason(reason);
    }
    for (name, value) in &document.headers {
        response = response.header(name, value);
    }
    let sent = match (document.status, document.content_length) {
        (204 | 205 | 304, _) => response.body(b""),
        (_, Some(length)) => response.sized_body(length),
        (_, None) => response.streamed_body(),
    };
    assert_eq!(sent, Ok(()), "{document:?}");
}

/// The state machine reads the request of a local redirect.
fn ask(target: &[u8]) {
    let mut limits = Limits::default();
    (limits.request_line, limits.head) = (1 << 17, 1 << 18);
    let asked = b"HEAD /cgi-bin/a HTTP/1.1\r\nHost: a\r\nContent-Type: b\r\n\r\n";
    let mut connection = Connection::new(limits);
    let Ok((_, Event::Request(head))) = connection.advance(asked) else { panic!("a request") };
    let bytes = local_redirect::request_head(&head, target);
    let mut connection = Connection::new(limits);
    let Ok((used, Event::Request(again))) = connection.advance(&bytes) else {
        panic!("no request: {}", bytes.escape_ascii())
    };
    assert_eq!(used, bytes.len());
    assert!(again.is_head() && again.host() == Some(b"a") && again.headers().count() == 1);
    let (path, suffix) = again.origin_form();
    assert!(target.ends_with(&[path, suffix].concat()) && path.starts_with(b"/"));
}
