//! The application that the wire transcripts talk to: small, fixed, and without a state of its own.
//!
//! Its paths are described in `tests/wire/README.md`. It uses the core's API as an embedder does. Most
//! paths get their response at once; those that read the body when the machine asks for one
//! ([`ResponseDue`]).

use doorstep_core::http1::{Connection, Head, Misuse, Outbox, ResponseDue, Version, status};

/// One connection's application.
#[derive(Debug, Default)]
pub(crate) struct App {
    method: Vec<u8>,
    path: Vec<u8>,
    trailer: bool,
    body: Vec<u8>,
}

const PLAIN: &str = "text/plain";
const METHODS: [&[u8]; 9] =
    [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"];

impl App {
    /// A request has arrived.
    pub(crate) fn request(
        &mut self,
        head: &Head<'_>,
        connection: &mut Connection,
        outbox: &mut Outbox,
    ) {
        self.method = head.method().to_vec();
        self.path = head.path().to_vec();
        self.trailer = head.query() == Some(b"trailer") && head.version() == Version::Http11;
        self.body.clear();
        if !METHODS.contains(&head.method()) {
            let reason = status::unsupported_method(head.method());
            return expect(connection.respond(501, outbox).reason(&reason).error_page(""));
        }
        if head.method() == b"CONNECT" {
            return expect(connection.respond(501, outbox).error_page(""));
        }
        match head.path() {
            b"/echo" | b"/switch" => connection.send_continue(outbox),
            path => expect(self.response(path, connection, outbox)),
        }
    }

    /// A part of its body has arrived.
    pub(crate) fn body(&mut self, data: &[u8]) {
        self.body.extend_from_slice(data);
    }

    /// A response, or more of its body, is due.
    pub(crate) fn owed(
        &mut self,
        owed: ResponseDue,
        connection: &mut Connection,
        outbox: &mut Outbox,
    ) {
        expect(match (owed, &self.path[..]) {
            (ResponseDue::Head, b"/switch") => {
                let switched = connection.respond(101, outbox).upgrade("echo");
                switched.or_else(|_| self.greet(connection, outbox))
            }
            (ResponseDue::Head, _) => connection
                .respond(200, outbox)
                .header("Content-Type", "application/octet-stream")
                .body(&self.body),
            (ResponseDue::Bytes(_), _) => connection.send(b"world\n", outbox),
            (ResponseDue::Stream, _) => {
                let trailers: &[(&str, &[u8])] = match self.trailer {
                    true => &[("X-Sum", b"42")],
                    false => &[],
                };
                let piece = connection.send(b"two\n", outbox);
                piece.and_then(|()| connection.end_with_trailers(trailers, outbox))
            }
        });
    }

    /// Bytes of another protocol have arrived; they are sent back.
    pub(crate) fn switched(&self, bytes: &[u8], outbox: &mut Outbox) {
        let put = outbox.append_with(bytes.len(), |room| {
            room.copy_from_slice(bytes);
            Ok::<_, std::convert::Infallible>(bytes.len())
        });
        assert_eq!(put, Ok(bytes.len()));
    }

    fn response(
        &self,
        path: &[u8],
        connection: &mut Connection,
        outbox: &mut Outbox,
    ) -> Result<(), Misuse> {
        match path {
            b"/early" => {
                connection.respond(200, outbox).header("Content-Type", PLAIN).body(b"early\n")
            }
            b"/stream" => {
                connection.respond(200, outbox).header("Content-Type", PLAIN).streamed_body()?;
                self.begin(b"one\n", connection, outbox)
            }
            b"/sized" => {
                connection.respond(200, outbox).header("Content-Type", PLAIN).sized_body(12)?;
                self.begin(b"hello ", connection, outbox)
            }
            b"/close" => connection
                .respond(200, outbox)
                .header("Connection", "close")
                .header("Content-Type", PLAIN)
                .body(b"bye\n"),
            b"/nothing" => connection.respond(204, outbox).body(b""),
            b"/reset" => connection.respond(205, outbox).body(b""),
            b"/same" => connection.respond(304, outbox).header("ETag", "\"1\"").body(b""),
            b"/hints" => {
                connection.send_interim(103, &[("Link", b"</style.css>; rel=preload")], outbox)?;
                connection.respond(200, outbox).header("Content-Type", PLAIN).body(b"hinted\n")
            }
            b"/long" => {
                let body = b"0123456789".repeat(10_000);
                connection.respond(200, outbox).header("Content-Type", PLAIN).body(&body)
            }
            b"/misuse" => {
                let split =
                    connection.respond(200, outbox).header("X", "a\r\nSet-Cookie: b").body(b"");
                assert_eq!(split, Err(Misuse::BadHeader), "nothing of it is sent");
                connection.respond(500, outbox).error_page("")
            }
            _ => match status(path) {
                Some(code) => connection.respond(code, outbox).error_page(""),
                None => self.greet(connection, outbox),
            },
        }
    }

    fn greet(&self, connection: &mut Connection, outbox: &mut Outbox) -> Result<(), Misuse> {
        let body = [&self.method, &b" "[..], &self.path, b"\n"].concat();
        connection.respond(200, outbox).header("Content-Type", PLAIN).body(&body)
    }

    /// The first half of a body, unless it is a response to HEAD.
    fn begin(
        &self,
        half: &[u8],
        connection: &mut Connection,
        outbox: &mut Outbox,
    ) -> Result<(), Misuse> {
        match connection.response_due() {
            Some(_) => connection.send(half, outbox),
            None => Ok(()),
        }
    }
}

/// The code in `/status/NNN`, if it is a final one.
fn status(path: &[u8]) -> Option<u16> {
    let code = str::from_utf8(path.strip_prefix(b"/status/")?).ok()?.parse().ok()?;
    (200..=999).contains(&code).then_some(code)
}

fn expect(result: Result<(), Misuse>) {
    result.expect("the application keeps to the rules");
}
