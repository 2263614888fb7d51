//! Well-formed and malformed output of scripts.

use super::OutputError::{
    DuplicateHeader, Empty, HeaderTooLong, InvalidContentLength, InvalidLine, InvalidLocation,
    InvalidStatus, InvalidStatusLine, MissingHeader, TooManyHeaders, UnexpectedEnd,
    UnsupportedTransferEncoding,
};
use super::{Document, OutputError, OutputParser, Reply};
use crate::http1::{Connection, Limits, Outbox};
use proptest::prelude::*;

const MAX_HEADER: usize = 8192;

/// The result for `text`: whole, byte by byte, and in pieces of other sizes.
fn read(nph: bool, text: impl AsRef<[u8]>) -> Result<Reply, OutputError> {
    let text = text.as_ref();
    let whole = pieces(nph, MAX_HEADER, text, &[]);
    assert_eq!(whole, pieces(nph, MAX_HEADER, text, &[1]), "byte by byte");
    assert_eq!(whole, pieces(nph, MAX_HEADER, text, &[3, 1, 7]));
    whole
}

/// Feeds `text` in pieces of these sizes in turn, and the rest of it to the body.
fn pieces(nph: bool, most: usize, text: &[u8], sizes: &[usize]) -> Result<Reply, OutputError> {
    let mut output = OutputParser::new(nph, most);
    let mut rest = text;
    let mut sizes = sizes.iter().cycle();
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(rest.len().min(*sizes.next().unwrap_or(&rest.len())));
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

fn document(text: impl AsRef<[u8]>) -> Document {
    match read(false, text).unwrap() {
        Reply::Document(document) => document,
        Reply::LocalRedirect(target) => panic!("local redirect {}", target.escape_ascii()),
    }
}

fn error(text: impl AsRef<[u8]>) -> OutputError {
    read(false, text).unwrap_err()
}

fn field(name: &str, value: &str) -> (String, Vec<u8>) {
    (name.to_string(), value.as_bytes().to_vec())
}

fn html() -> Document {
    Document {
        status: 200,
        headers: vec![field("Content-Type", "text/html")],
        ..Document::default()
    }
}

#[test]
fn rfc_3875_6_2_1_a_document() {
    let body = b"<p>\0\n\nhi".to_vec();
    let wanted = Document { body, ..html() };
    assert_eq!(document("Content-Type: text/html\n\n<p>\0\n\nhi"), wanted);
    assert_eq!(document("Content-Type:text/html \t\r\n\r\n<p>\0\n\nhi"), wanted);
    assert_eq!(document("Content-Type: text/html\r\n\n"), html(), "line ends may be mixed");
    assert_eq!(document("Content-Type:\n\n").headers, [field("Content-Type", "")]);
}

#[test]
fn b_234_names_in_any_case_are_passed_on_unchanged() {
    let document =
        document("cONTENT-type: a\nSTATUS: 404\nset-cookie: a=1\nSet-Cookie: b=ü:\t;\n\n");
    let cookies = [field("set-cookie", "a=1"), field("Set-Cookie", "b=ü:\t;")];
    assert_eq!(document.headers, [&[field("cONTENT-type", "a")][..], &cookies].concat());
    assert_eq!((document.status, document.reason), (404, None));
}

#[test]
fn rfc_3875_6_3_3_status() {
    let phrases: [(&str, u16, Option<&str>); 6] = [
        ("200", 200, None),
        ("599 Last one", 599, Some("Last one")),
        ("404  Not here  ", 404, Some("Not here")),
        ("404 \t", 404, None),
        ("500 Ü", 500, None),
        ("500 a\tb", 500, None),
    ];
    for (value, code, phrase) in phrases {
        let document = document(format!("Status: {value}\n\n"));
        let reason = phrase.map(|phrase| phrase.as_bytes().to_vec());
        assert_eq!(document, Document { status: code, reason, ..Document::default() }, "{value}");
    }
    for value in ["", "20", "2000", "199", "600", "100 Continue", "+20", "OK", "200OK", "200\tOK"] {
        let wanted = InvalidStatus(value.as_bytes().to_vec());
        assert_eq!(error(format!("Content-Type: a\nStatus: {value}\n\n")), wanted);
    }
}

#[test]
fn rfc_3875_6_2_2_local_redirects() {
    let again = |target: &str| Ok(Reply::LocalRedirect(target.as_bytes().to_vec()));
    assert_eq!(read(false, "Location: /a?b=/c\n\nbody"), again("/a?b=/c"));
    assert_eq!(read(false, "location:/a#here\n\n"), again("/a"));
    assert_eq!(read(false, "Location: /?\nStatus: 200 Fine\nContent-Type: a\n\n"), again("/?"));
    let beside = "Location: /a\nContent-Type: a\nContent-Length: 3\nDate: now\n\n";
    assert_eq!(read(false, beside), again("/a"));
    // Not another server: as a request target, this is the path `/elsewhere/`.
    assert_eq!(read(false, "Location: //elsewhere/\n\n"), again("//elsewhere/"));
    for bad in ["/a b", "/ü", "/a#b c", "/a\tb"] {
        assert_eq!(
            error(format!("Location: {bad} \n\n")),
            InvalidLocation(bad.as_bytes().to_vec())
        );
    }
}

#[test]
fn rfc_3875_6_2_3_client_redirects() {
    for (text, status) in [
        ("Location: http://here/ü\n\n", 302),
        ("Location: other.html\n\n", 302),
        ("Location: http://here/\nContent-Type: a\n\n", 302),
        ("Status: 301\nLocation: /local\n\n", 301),
        ("Location: /new\nStatus: 201 Created\n\n", 201),
        ("Location: https://here/\nStatus: 200\n\n", 200),
        // Other headers would be lost in a local redirect, which allows none.
        ("Location: /local\nSet-Cookie: a=b\n\n", 302),
        ("Status: 200\nX: y\nContent-Type: a\nLocation: /local\n\n", 302),
    ] {
        let document = document(text);
        assert_eq!(document.status, status, "{text}");
        assert!(document.headers.iter().any(|(name, _)| name == "Location"), "{text}");
    }
    assert_eq!(error("Location:\nStatus: 303\n\n"), InvalidLocation(Vec::new()));
}

#[test]
fn rfc_3875_6_3_one_of_three_headers_is_required() {
    for text in ["\n", "\r\nbody", "X-A: 1\n\n", "Content-Length: 5\n\nhello", "Server: me\n\n"] {
        assert_eq!(error(text), MissingHeader, "{text}");
    }
    assert_eq!(document("Status: 204\n\n").status, 204);
}

#[test]
fn rfc_3875_6_3_some_headers_must_not_be_repeated() {
    let name = "Content-Type: a\nContent-Length: 5\nStatus: 200\nLocation: http://a/\n";
    for (line, wanted) in [
        ("content-type: a", "Content-Type"),
        ("content-length: 5", "Content-Length"),
        ("status: 200", "Status"),
        ("location: http://a/", "Location"),
    ] {
        assert_eq!(error(format!("{name}{line}\n\n")), DuplicateHeader(wanted));
    }
}

#[test]
fn b_236_content_length_frames_the_body_and_is_not_passed_on() {
    let text = "Content-Type: text/html\nCONTENT-LENGTH: 0012 \n\n";
    assert_eq!(document(text), Document { content_length: Some(12), ..html() });
    let most = document(format!("Status: 200\nContent-Length: {}\n\n", u64::MAX));
    assert_eq!(most.content_length, Some(u64::MAX));
    for bad in ["", "-1", "+1", "1 2", "5, 5", "0x1", "5b", "18446744073709551616"] {
        let wanted = InvalidContentLength(bad.as_bytes().to_vec());
        assert_eq!(error(format!("Content-Type: a\nContent-Length: {bad}\n\n")), wanted);
    }
}

#[test]
fn b_235_a_head_request_gets_the_head_only() {
    let document = document("Content-Type: text/html\nContent-Length: 5\n\nhello");
    let mut connection = Connection::new(Limits::default());
    let mut outbox = Outbox::new("");
    connection.advance(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").expect("a request");
    let mut response = connection.respond(document.status, &mut outbox);
    for (name, value) in &document.headers {
        response = response.header(name, value);
    }
    assert_eq!(response.sized_body(document.content_length.unwrap()), Ok(()));
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(outbox.unsent(), head);
    assert_eq!(connection.response_due(), None);
}

#[test]
fn b_236_headers_of_the_connection_are_dropped() {
    let names = [
        ["Connection", "Keep-Alive", "Proxy-Connection"],
        ["TRANSFER-ENCODING", "te", "Trailer"],
        ["Upgrade", "tRAILER", "Server"],
    ];
    let lines: String = names.iter().flatten().map(|name| format!("{name}: Identity\n")).collect();
    let document = document(format!("Date: now\n{lines}Content-Type: text/html\n\n"));
    assert_eq!(document.dropped_headers, names.concat());
    assert_eq!(document.headers, html().headers);
    for coding in ["chunked", "gzip, chunked", ""] {
        let bad = error(format!("Content-Type: text/html\nTransfer-Encoding: {coding}\n\n"));
        assert_eq!(bad, UnsupportedTransferEncoding(coding.as_bytes().to_vec()));
    }
}

#[test]
fn b_234_a_malformed_header_line_is_in_the_error() {
    let bad =
        ["Hello, world!", "<p>a: b</p>", ": a", " X: 1", "X : 1", "X\t: 1", "HTTP/1.1 200 OK"];
    for line in bad.into_iter().chain(["\tfolded", "X: \0", "X: \x1b[2J", "X: a\rb", "Ü: 1", "\r"])
    {
        let wanted = InvalidLine(line.as_bytes().to_vec());
        assert_eq!(error(format!("Content-Type: a\n{line}\r\n")), wanted, "{line:?}");
    }
    let mut output = OutputParser::new(false, MAX_HEADER);
    assert!(output.feed(b"no header, and the script goes on\n").is_err(), "without waiting");
}

#[test]
fn b_234_a_traceback_of_cgitb_is_a_document() {
    assert_eq!(document("<!--: spam\nContent-Type: text/html\n\n"), html());
    assert_eq!(error("<!--: spam\n\n"), MissingHeader);
}

#[test]
fn b_234_an_output_that_ends_too_early() {
    assert_eq!(error(""), Empty);
    assert_eq!(error("Content-Type: a\n"), UnexpectedEnd(Vec::new()));
    assert_eq!(error("Content-Type: a\r\n\r"), UnexpectedEnd(b"\r".to_vec()));
    assert_eq!(error("Content-Type: a\nX"), UnexpectedEnd(b"X".to_vec()));
}

#[test]
fn b_234_the_header_is_bounded() {
    let text = b"Content-Type: a\n\nbody";
    for sizes in [&[][..], &[1], &[16, 1]] {
        assert!(pieces(false, 17, text, sizes).is_ok());
        for most in 0..17 {
            assert_eq!(pieces(false, most, text, sizes), Err(HeaderTooLong(most)));
        }
    }
    let fields = |n: usize| format!("Content-Type: a\n{}\n", "Server: me\n".repeat(n));
    assert_eq!(document(fields(199)).dropped_headers.len(), 199);
    assert_eq!(error(fields(200)), TooManyHeaders);
}

#[test]
fn rfc_3875_5_nph_scripts_write_the_status_line() {
    let wanted = |status, reason: &str, fields: &[(String, Vec<u8>)]| {
        let reason = (!reason.is_empty()).then(|| reason.as_bytes().to_vec());
        let body = b"body".to_vec();
        let fields = fields.to_vec();
        Ok(Reply::Document(Document {
            status,
            reason,
            headers: fields,
            body,
            ..Document::default()
        }))
    };
    assert_eq!(read(true, "HTTP/1.0 200 OK\r\n\r\nbody"), wanted(200, "OK", &[]));
    assert_eq!(read(true, "HTTP/1.1 503\n\nbody"), wanted(503, "", &[]));
    let local = [field("Location", "/a b")];
    assert_eq!(read(true, "HTTP/1.1 200 \nLocation: /a b\n\nbody"), wanted(200, "", &local));

    let text = "HTTP/1.1 200 OK\nStatus: 404\nConnection: close\nContent-Length: 3\n\nbody";
    let Ok(Reply::Document(document)) = read(true, text) else { panic!() };
    assert_eq!(
        (document.status, document.content_length, document.headers),
        (200, Some(3), vec![])
    );
    assert_eq!(document.dropped_headers, ["Status", "Connection"]);

    let versions = ["", "Status: 200", "HTTP/1.1", "HTTP/1.2 200 OK", "HTTP/2 200", "http/1.1 200"];
    for line in versions.into_iter().chain(["HTTP/1.1  200", "HTTP/1.1 100 Continue"]) {
        let wanted = InvalidStatusLine(line.as_bytes().to_vec());
        assert_eq!(read(true, format!("{line}\nContent-Type: a\n\n")), Err(wanted), "{line}");
    }
    let bad = read(true, "HTTP/1.1 200 OK\nHTTP/1.1 200 OK\n\n");
    assert_eq!(bad, Err(InvalidLine(b"HTTP/1.1 200 OK".to_vec())));
}

#[test]
fn b_251_an_error_is_one_line_that_cannot_be_forged() {
    assert_eq!(
        InvalidLine(b"\x1b'\n\xff".to_vec()).to_string(),
        r"malformed header line ('\x1b\'\x0a\xff')"
    );
    for text in [&[b'\n'; 9000][..], b"a"] {
        for error in [
            UnexpectedEnd,
            InvalidLine,
            InvalidStatus,
            InvalidLocation,
            InvalidContentLength,
            InvalidStatusLine,
        ]
        .map(|f| f(text.to_vec()))
        {
            let line = error.to_string();
            assert!(
                line.len() < 900 && line.chars().all(|c| c == ' ' || c.is_ascii_graphic()),
                "{line}"
            );
        }
    }
}

/// Header lines with and without a meaning.
fn header() -> impl Strategy<Value = Vec<u8>> {
    let name = "(?i-u:status|location|content-type|content-length|date|x-[a-z]{1,3})";
    let value = "(?-u:[0-9]{1,3}|/[a-z#?]{0,4}|[ -~]{0,8})";
    let usual = proptest::string::bytes_regex(&format!("({name}: ?{value}\r?\n){{0,6}}(\r?\n)?"));
    let any = proptest::collection::vec(any::<u8>(), 0..20);
    (usual.expect("a regular expression"), any).prop_map(|(usual, any)| [usual, any].concat())
}

proptest! {
    #[test]
    fn every_split_gives_the_same_reply(
        text in header(),
        nph in any::<bool>(),
        most in prop_oneof![0..64_usize, Just(MAX_HEADER)],
        sizes in proptest::collection::vec(1..9_usize, 1..5),
    ) {
        let text = if nph { [b"HTTP/1.1 200\n", &text[..]].concat() } else { text };
        prop_assert_eq!(pieces(nph, most, &text, &[]), pieces(nph, most, &text, &sizes));
    }

    #[test]
    fn every_document_can_be_sent(text in header()) {
        if let Ok(Reply::Document(document)) = pieces(false, MAX_HEADER, &text, &[]) {
            let mut connection = Connection::new(Limits::default());
            let mut outbox = Outbox::new("");
            connection.advance(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("a request");
            let mut response = connection.respond(document.status, &mut outbox);
            if let Some(reason) = &document.reason {
                response = response.reason(reason);
            }
            for (name, value) in &document.headers {
                response = response.header(name, value);
            }
            prop_assert_eq!(response.body(b""), Ok(()));
        }
    }
}
