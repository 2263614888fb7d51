//! Orders of calls that no driver makes, but an embedder may: they are errors without side effects.

use doorstep_core::http1::{
    Connection, Event, Inbox, Limits, Misuse, Outbox, PreparedErrorPage, Reject, Response,
    ResponseDue, SentResponse, Version,
};

const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";

#[test]
fn advance_and_next_may_be_mixed_around_a_fault() {
    let mut connection = Connection::new(Limits::default());
    let (mut inbox, mut outbox) = (Inbox::new([0; 256]), Outbox::new(""));
    inbox.fill(&mut &POST[..]).unwrap();
    assert!(matches!(connection.next(&mut inbox), Ok(Event::Request(_))));
    connection.respond(200, &mut outbox).body(b"").unwrap();
    inbox.fill(&mut &b"body\x16\x03\x01"[..]).unwrap();

    // The unread body is discarded, and what follows cannot begin a request.
    assert_eq!(connection.advance(inbox.unread()).map(drop), Err(Reject::BadSyntax));
    inbox.consume(usize::MAX);
    assert_eq!(connection.next(&mut inbox).map(drop), Err(Reject::BadSyntax));
    connection.refuse(Reject::BadSyntax, inbox.unread(), &mut outbox);
    assert!(matches!(connection.next(&mut inbox), Ok(Event::Closed)));
}

#[test]
fn every_call_out_of_order_is_a_misuse_and_sends_nothing() {
    let mut connection = Connection::new(Limits::default());
    let mut outbox = Outbox::new("");
    assert_eq!(connection.respond(200, &mut outbox).body(b"x"), Err(Misuse::NoResponseDue));
    assert_eq!(connection.send(b"x", &mut outbox), Err(Misuse::NoResponseDue));
    assert_eq!(connection.body_sent(1), Err(Misuse::NoResponseDue));
    assert_eq!(connection.end(&mut outbox), Err(Misuse::NoResponseDue));
    assert_eq!(connection.send_interim(103, &[], &mut outbox), Err(Misuse::NoResponseDue));
    connection.send_continue(&mut outbox);
    connection.body_received(u64::MAX);
    assert!(outbox.is_empty());
    assert!(matches!(connection.advance(b""), Ok((0, Event::NeedData))));
}

#[test]
fn a_misuse_tells_what_comes_too_early_and_what_too_late() {
    let mut connection = Connection::new(Limits::default());
    let mut outbox = Outbox::new("");
    let _ = connection.advance(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(connection.send(b"x", &mut outbox), Err(Misuse::ResponseNotBegun));
    assert_eq!(connection.body_sent(1), Err(Misuse::ResponseNotBegun));
    connection.respond(200, &mut outbox).sized_body(1).unwrap();
    let second = connection.respond(200, &mut outbox).body(b"");
    assert_eq!(second, Err(Misuse::ResponseBegun));
    assert_eq!(connection.send_interim(103, &[], &mut outbox), Err(Misuse::ResponseBegun));
    connection.send(b"x", &mut outbox).unwrap();
    let second = connection.respond(200, &mut outbox).body(b"");
    assert_eq!(second, Err(Misuse::ResponseComplete));
    assert_eq!(connection.send(b"x", &mut outbox), Err(Misuse::ResponseComplete));
    let status = connection.respond(42, &mut outbox).body(b"").unwrap_err();
    assert_eq!(status.to_string(), "the status 42 is not allowed here");
}

#[test]
fn a_header_of_the_next_response_is_sent_once_whatever_the_response_is() {
    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut connection = Connection::new(Limits::default());
    let mut outbox = Outbox::new("mine");
    outbox.add_header("X-Id", b"1").unwrap();
    outbox.set_date(784_111_777); // before it
    outbox.add_default_header("X-Always", b"yes").unwrap();
    outbox.add_header("X-Other", b"").unwrap();
    for (name, value, misuse) in [
        ("Content-Length", &b"1"[..], Misuse::ReservedHeader),
        ("Connection", b"close", Misuse::ReservedHeader),
        ("X Y", b"", Misuse::BadHeader),
        ("X", b"a\r\nY: b", Misuse::BadHeader),
    ] {
        assert_eq!(outbox.add_header(name, value), Err(misuse));
    }
    let _ = connection.advance(GET).unwrap();
    let failed = connection.respond(200, &mut outbox).header("X", "\n").body(b"");
    assert_eq!((failed, outbox.is_empty()), (Err(Misuse::BadHeader), true));
    connection.respond(404, &mut outbox).error_page("").unwrap();
    let head = "HTTP/1.1 404 Not Found\r\nServer: mine\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                X-Always: yes\r\n";
    let first = [head, "X-Id: 1\r\nX-Other: \r\nContent-Type: "].concat();
    assert!(outbox.unsent().starts_with(first.as_bytes()), "{}", outbox.unsent().escape_ascii());

    outbox.clear();
    let _ = connection.advance(GET).unwrap();
    outbox.add_header("X-Id", b"2").unwrap();
    outbox.clear_headers();
    connection.respond(404, &mut outbox).error_page("").unwrap();
    let second = [head, "Content-Type: "].concat();
    assert!(outbox.unsent().starts_with(second.as_bytes()), "{}", outbox.unsent().escape_ascii());

    outbox.clear();
    outbox.add_header("X-Id", b"3").unwrap();
    let reject = connection.advance(b"NONSENSE\r\n\r\n").map(drop).unwrap_err();
    connection.refuse(reject, b"NONSENSE", &mut outbox);
    let refused = String::from_utf8(outbox.unsent().to_vec()).unwrap();
    assert!(
        refused.starts_with("HTTP/1.1 400 ") && refused.contains("\r\nX-Id: 3\r\n"),
        "{refused}"
    );
}

#[test]
fn the_default_policy_can_be_left_out_of_one_response() {
    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut connection = Connection::new(Limits::default());
    let mut outbox = Outbox::new("mine");
    let policy = "content-security-policy";
    for (name, value) in [("A", "1"), (policy, "sandbox"), ("X", "Content-Security-Policy: 2")] {
        outbox.add_default_header(name, value.as_bytes()).unwrap();
    }
    let around = ["Server: mine\r\nA: 1\r\n", "X: Content-Security-Policy: 2\r\n"];
    let default = "content-security-policy: sandbox\r\n";
    for (is_left_out, expected) in [(true, around.concat()), (false, around.join(default))] {
        let _ = connection.advance(GET).unwrap();
        outbox.add_header(policy, b"next").unwrap();
        let mut response = connection.respond(204, &mut outbox);
        if is_left_out {
            response = response.without_default_policy();
        }
        response.header(policy, "own").body(b"").unwrap();
        let own = "content-security-policy: next\r\ncontent-security-policy: own\r\n";
        let expected = format!("HTTP/1.1 204 No Content\r\n{expected}{own}\r\n");
        assert_eq!(
            outbox.unsent().escape_ascii().to_string(),
            expected.escape_default().to_string()
        );
        outbox.clear();
    }
    let _ = connection.advance(GET).unwrap();
    let late = connection.respond(204, &mut outbox).header("A", "b").without_default_policy();
    assert_eq!(late.body(b""), Err(Misuse::BadHeader));
}

#[test]
fn a_prepared_page_that_is_not_used_has_its_headers() {
    let page = PreparedErrorPage::new(404, "File not found").unwrap();
    let page = page.header("Vary", "Accept").unwrap();
    assert!(page.clone().header("A", "b\r\nc").is_err());
    for status in [404, 403] {
        let (mut connection, mut outbox) = (Connection::new(Limits::default()), Outbox::new(""));
        connection.advance(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let response = connection.respond(status, &mut outbox).reason(b"File not found");
        response.prepared_error_page(&page).unwrap();
        let text = String::from_utf8_lossy(outbox.unsent()).into_owned();
        assert_eq!(text.matches("\r\nVary: Accept\r\n").count(), 1, "{text}");
        assert_eq!(text.matches("\r\nContent-Type: ").count(), 1, "{text}");
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
    }
}

#[test]
fn b_082_a_refusal_after_head_has_its_page() {
    let mut connection = Connection::new(Limits::default());
    let mut outbox = Outbox::new("");
    connection.advance(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    connection.respond(200, &mut outbox).body(b"hidden").unwrap();
    outbox.clear();
    let reject = connection.advance(b"\x00").map(drop).unwrap_err();
    let page = connection.refuse(reject, b"\x00", &mut outbox);
    assert!(page > 0, "it is not the response to the HEAD request");
    let sent = SentResponse::refused(reject, b"\x00", page);
    assert_eq!((sent.status, sent.body_bytes), (400, page as u64));
    assert_eq!(sent.error_reason.as_deref(), Some(&b"Bad request syntax ('\\x00')"[..]));
    assert!(outbox.unsent().ends_with(b"</html>\n") || outbox.len() > page);
}

#[test]
fn b_086_a_refused_head_request_gets_no_body() {
    let heads = [
        ("/ HTTP/1.1\r\n\r\n", 400),
        ("/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("/ HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n", 400),
        ("/ HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
        ("/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        ("/ HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n", 417),
    ];
    for (head, status) in heads {
        for (method, has_body) in [("GET", true), ("HEAD", false)] {
            let input = format!("{method} {head}");
            let (mut connection, mut outbox) =
                (Connection::new(Limits::default()), Outbox::new(""));
            let reject = connection.advance(input.as_bytes()).map(drop).unwrap_err();
            let sent = connection.refuse(reject, input.as_bytes(), &mut outbox);
            assert_eq!((reject.status(), sent > 0), (status, has_body), "{input}");
            let page = outbox.unsent().ends_with(b"\r\n\r\n");
            assert_eq!(page, !has_body, "{input}: {}", outbox.unsent().escape_ascii());
        }
    }
}

#[test]
fn rfc_9112_8_an_incomplete_close_delimited_response_ends_in_a_reset() {
    for (request, close_delimited) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", [false, false]),
        ("GET / HTTP/1.0\r\n\r\n", [false, true]),
        ("HEAD / HTTP/1.0\r\n\r\n", [false, false]),
        ("GET /\r\n", [true, true]),
    ] {
        for (streamed, expected) in [false, true].into_iter().zip(close_delimited) {
            for whole in [false, true] {
                let mut connection = Connection::new(Limits::default());
                let mut outbox = Outbox::new("");
                connection.advance(request.as_bytes()).unwrap();
                let response = connection.respond(200, &mut outbox);
                if streamed { response.streamed_body() } else { response.sized_body(2) }.unwrap();
                if whole {
                    connection.send(b"ab", &mut outbox).unwrap();
                    connection.end(&mut outbox).unwrap();
                }
                assert_eq!(connection.is_close_delimited(), expected, "{request}, {streamed}");
                connection.abort();
                assert_eq!(connection.should_reset(), expected && !whole, "{request}, {streamed}");
            }
        }
    }
}

#[test]
fn b_288_a_client_that_did_not_announce_its_last_request_may_still_be_sending() {
    for (protocol, request, should_linger) in [
        (Version::Http11, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false),
        (Version::Http11, "GET / HTTP/1.0\r\n\r\n", false),
        (Version::Http11, "GET /\r\n", true),
        (Version::Http10, "GET / HTTP/1.0\r\n\r\n", false),
        (Version::Http10, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true),
        (Version::Http10, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
        (Version::Http10, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false),
    ] {
        let mut connection = Connection::new(Limits::default()).with_version(protocol);
        connection.advance(request.as_bytes()).unwrap();
        connection.respond(200, &mut Outbox::new("")).body(b"").unwrap();
        assert!(matches!(connection.advance(b""), Ok((0, Event::Closed))));
        assert_eq!(connection.should_linger(), should_linger, "{protocol:?}: {request}");
    }
}

#[test]
fn rfc_9112_9_6_disabling_keep_alive_keeps_what_a_response_has_promised() {
    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let close = b"Connection: close\r\n".as_slice();
    let has_close = |out: &Outbox| out.unsent().windows(close.len()).any(|part| part == close);
    for (request, rest) in [(GET, &b""[..]), (POST, b"body")] {
        let mut connection = Connection::new(Limits::default());
        let mut outbox = Outbox::new("");
        connection.advance(request).unwrap();
        connection.respond(200, &mut outbox).sized_body(2).unwrap();
        connection.disable_keep_alive(); // too late for this response
        connection.send(b"ab", &mut outbox).unwrap();
        connection.disable_keep_alive();
        assert!(!has_close(&outbox));
        assert!(matches!(connection.advance(rest), Ok((n, Event::NeedData)) if n == rest.len()));

        connection.advance(GET).unwrap();
        connection.respond(200, &mut outbox).body(b"").unwrap();
        assert!(has_close(&outbox));
        assert!(matches!(connection.advance(GET), Ok((0, Event::Closed))));
    }
}

#[test]
fn rfc_9110_5_3_a_single_header_has_one_line() {
    let mut connection = Connection::new(Limits::default());
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nIf-Range: 1\r\nX-One: 2\r\nX-Two: 3\r\nx-two: 3\r\n\
        Range: 4\r\nRANGE: 5\r\nExpect:\r\n\r\n";
    let Ok((_, Event::Request(head))) = connection.advance(bytes) else { unreachable!() };
    let values = ["if-range", "X-ONE", "x-two", "range", "expect", "missing", "if-match"];
    let single = values.map(|name| head.single_header(name));
    assert_eq!(single, [Some(&b"1"[..]), Some(b"2"), None, None, Some(b""), None, None]);
    assert_eq!(head.header("range"), Some(&b"4"[..]), "B-039: the first");
    assert!(head.header_values("range").eq([b"4", b"5"]));
}

#[test]
fn a_record_holds_what_was_sent_and_nothing_after_a_misuse() {
    type End = fn(Response<'_>) -> Result<(), Misuse>;
    let cases: [(&str, u16, End, u64, Option<&str>); 11] = [
        ("GET", 200, |response| response.body(b"four"), 4, None),
        ("HEAD", 200, |response| response.body(b"four"), 0, None),
        ("GET", 304, |response| response.body(b""), 0, None),
        ("GET", 200, |response| response.sized_body(9), 0, None),
        ("GET", 200, |response| response.streamed_body(), 0, None),
        ("GET", 500, |response| response.body(b"four"), 4, None),
        ("GET", 404, |response| response.mark_error().body(b"four"), 4, Some("Not Found")),
        ("GET", 404, |response| response.reason(b"Gone").mark_error().body(b""), 0, Some("Gone")),
        ("HEAD", 400, |response| response.error_page(""), 0, Some("Bad Request")),
        ("GET", 204, |response| response.error_page(""), 0, None),
        (
            "HEAD",
            500,
            |response| response.mark_error().sized_body(9),
            0,
            Some("Internal Server Error"),
        ),
    ];
    for (method, status, end, body_bytes, reason) in cases {
        let mut connection = Connection::new(Limits::default());
        let (mut outbox, mut sent) = (Outbox::new(""), SentResponse::default());
        connection.advance(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();

        let misused = connection.respond(status, &mut outbox).record(&mut sent).header("A", "\n");
        end(misused).unwrap_err();
        assert_eq!(sent, SentResponse::default(), "{method} {status}");

        end(connection.respond(status, &mut outbox).record(&mut sent)).unwrap();
        let error_reason = reason.map(|reason| reason.as_bytes().into());
        let seen = (sent.status, sent.body_bytes, sent.error_reason);
        assert_eq!(seen, (status, body_bytes, error_reason), "{method} {status}");
    }
}

#[test]
fn rfc_9110_9_3_6_a_2xx_to_connect_ends_in_a_tunnel_alone() {
    let endings: [fn(Response<'_>) -> Result<(), Misuse>; 4] = [
        |response| response.body(b"hello"),
        |response| response.sized_body(5),
        |response| response.streamed_body(),
        |response| response.error_page(""),
    ];
    for status in [200, 201, 299] {
        for end in endings {
            let (mut connection, mut outbox) =
                (Connection::new(Limits::default()), Outbox::new(""));
            let request = b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nGET / HTTP/1.1\r\n";
            connection.advance(request).expect("well-formed");
            let ended = end(connection.respond(status, &mut outbox));
            assert_eq!(ended, Err(Misuse::TunnelExpected));
            assert!(outbox.is_empty());
            assert_eq!(connection.response_due(), Some(ResponseDue::Head), "it can respond still");
            connection.respond(status, &mut outbox).tunnel().expect("it is due");
        }
    }
}
