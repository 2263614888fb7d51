//! `end`, `send` and `body_sent` in every situation: the same application code responds to GET and to
//! HEAD, and ending a complete response is not an error.

use doorstep_core::http1::{Connection, Event, Limits, Misuse, Outbox, Reject};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const HEAD: &[u8] = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
const OLD_GET: &[u8] = b"GET / HTTP/1.0\r\n\r\n";
const OLD_HEAD: &[u8] = b"HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";
const UPGRADE: &[u8] =
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n";

type Call = fn(&mut Connection, &mut Outbox);
/// The request, the calls before the end, and the result of the end.
type Row<'a> = (&'a [u8], &'a [Call], Result<(), Misuse>);

fn read(connection: &mut Connection, request: &[u8]) {
    assert!(matches!(connection.advance(request), Ok((_, Event::Request(_)))));
}

#[test]
fn the_end_of_a_response_in_every_situation() {
    let sized: Call = |it, out| it.respond(200, out).sized_body(3).unwrap();
    let streamed: Call = |it, out| it.respond(200, out).streamed_body().unwrap();
    let whole: Call = |it, out| it.respond(200, out).body(b"abc").unwrap();
    let part: Call = |it, out| it.send(b"ab", out).unwrap();
    let rest: Call = |it, _| it.body_sent(1).unwrap();
    let end: Call = |it, out| it.end(out).unwrap();
    let abort: Call = |it, _| it.abort();
    let refuse: Call = |it, out| _ = it.refuse(Reject::RequestTimeout, b"", out);
    let get: Call = |it, _| read(it, GET);
    let upgrade: Call = |it, out| it.respond(101, out).upgrade("other").unwrap();
    let eof: Call = |it, _| {
        it.receive_eof();
        assert!(matches!(it.advance(b""), Ok((0, Event::Closed))));
    };
    let (due, short) = (Err(Misuse::NoResponseDue), Err(Misuse::BodyTooShort));
    let early = Err(Misuse::ResponseNotBegun);
    let table: &[Row<'_>] = &[
        (b"", &[], due),
        (b"", &[eof], due),
        (GET, &[], early),
        (GET, &[whole], Ok(())),
        (GET, &[whole, end, end], Ok(())),
        (GET, &[whole, get], early),
        (GET, &[whole, abort], due),
        (GET, &[whole, eof], Ok(())),
        (GET, &[|it, out| it.respond(204, out).body(b"").unwrap()], Ok(())),
        (GET, &[|it, out| it.respond(304, out).sized_body(3).unwrap()], Ok(())),
        (GET, &[|it, out| it.respond(404, out).error_page("").unwrap()], Ok(())),
        (GET, &[|it, out| it.respond(200, out).sized_body(0).unwrap()], Ok(())),
        (GET, &[|it, out| drop(it.respond(200, out))], early),
        (GET, &[|it, out| it.send_interim(103, &[], out).unwrap()], early),
        (GET, &[sized], short),
        (GET, &[sized, part], short),
        (GET, &[sized, part, rest], Ok(())),
        (GET, &[sized, part, abort], due),
        (GET, &[sized, part, refuse], due),
        (GET, &[streamed], Ok(())),
        (GET, &[streamed, part, end, end], Ok(())),
        (GET, &[streamed, abort], due),
        (GET, &[refuse], due),
        (HEAD, &[], early),
        (HEAD, &[whole], Ok(())),
        (HEAD, &[sized], Ok(())),
        (HEAD, &[sized, part], Ok(())),
        (HEAD, &[sized, part, rest, end], Ok(())),
        (HEAD, &[streamed, part, end], Ok(())),
        (HEAD, &[streamed, get], early),
        (HEAD, &[streamed, abort], due),
        (OLD_GET, &[streamed, part], Ok(())),
        (OLD_GET, &[streamed, part, end], Ok(())),
        (OLD_HEAD, &[streamed, part, rest, end], Ok(())),
        (POST, &[], early),
        (POST, &[whole], Ok(())),
        (POST, &[sized], short),
        (POST, &[refuse], due),
        (UPGRADE, &[upgrade], due),
    ];
    for (row, (request, calls, expected)) in table.iter().enumerate() {
        for trailers in [&[][..], &[("X-Sum", &b"1"[..])]] {
            let mut connection = Connection::new(Limits::default());
            let mut outbox = Outbox::new("");
            if !request.is_empty() {
                read(&mut connection, request);
            }
            for call in *calls {
                call(&mut connection, &mut outbox);
            }
            let (before, states) = (outbox.unsent().to_vec(), connection.states());
            let due = connection.response_due();
            let ended = connection.end_with_trailers(trailers, &mut outbox);
            assert_eq!(ended, *expected, "row {row}: {}", request.escape_ascii());
            if ended.is_err() || due.is_none() {
                assert_eq!((outbox.unsent(), connection.states()), (&*before, states), "row {row}");
            } else {
                let sums = outbox.unsent().ends_with(b"0\r\nX-Sum: 1\r\n\r\n");
                assert_eq!(sums, !trailers.is_empty() && *request == GET, "row {row}: if chunked");
            }
        }
    }
}

#[test]
fn trailers_are_checked_even_where_they_are_dropped() {
    for request in [GET, HEAD] {
        let mut connection = Connection::new(Limits::default());
        let mut outbox = Outbox::new("");
        read(&mut connection, request);
        connection.respond(200, &mut outbox).streamed_body().unwrap();
        for (name, misuse) in [("a b", Misuse::BadHeader), ("Trailer", Misuse::ReservedHeader)] {
            let ended = connection.end_with_trailers(&[(name, b"")], &mut outbox);
            assert_eq!(ended, Err(misuse));
        }
        connection.end(&mut outbox).unwrap();
        let ended = connection.end_with_trailers(&[("a b", b"")], &mut outbox);
        assert_eq!(ended, Err(Misuse::BadHeader), "also when it is complete");
    }
}

/// Every call has the same result after HEAD as after GET, up to the end; only the bytes differ.
#[test]
fn rfc_9110_9_3_2_the_code_for_get_responds_to_head() {
    let sized = |it: &mut Connection, out: &mut Outbox| it.respond(200, out).sized_body(4);
    let streamed = |it: &mut Connection, out: &mut Outbox| it.respond(200, out).streamed_body();
    let whole = |it: &mut Connection, out: &mut Outbox| it.respond(200, out).body(b"abcd");
    let empty = |it: &mut Connection, out: &mut Outbox| it.respond(200, out).sized_body(0);
    let not_modified = |it: &mut Connection, out: &mut Outbox| it.respond(304, out).sized_body(4);
    type Begin = fn(&mut Connection, &mut Outbox) -> Result<(), Misuse>;
    let beginnings: [Begin; 5] = [sized, streamed, whole, empty, not_modified];
    for (get, head) in [(GET, HEAD), (OLD_GET, OLD_HEAD)] {
        for (row, begin) in beginnings.into_iter().enumerate() {
            let results = [get, head].map(|request| {
                let mut connection = Connection::new(Limits::default());
                let mut outbox = Outbox::new("");
                read(&mut connection, request);
                let mut results = vec![begin(&mut connection, &mut outbox)];
                let size = outbox.len();
                results.push(connection.send(b"", &mut outbox));
                results.push(connection.send(b"ab", &mut outbox));
                results.push(connection.send(b"too long", &mut outbox));
                results.push(connection.body_sent(u64::MAX));
                results.push(connection.send(b"cd", &mut outbox));
                results.push(connection.end(&mut outbox));
                results.push(connection.send(b"e", &mut outbox));
                results.push(connection.body_sent(1));
                results.push(connection.end(&mut outbox));
                assert!(request == get || outbox.len() == size, "HEAD: no byte of a body");
                results
            });
            assert_eq!(results[0], results[1], "row {row}: {}", get.escape_ascii());
        }
    }
}

#[test]
fn a_kept_connection_accepts_no_body_for_the_next_request() {
    let mut connection = Connection::new(Limits::default());
    let mut outbox = Outbox::new("");
    read(&mut connection, HEAD);
    connection.respond(200, &mut outbox).sized_body(4).unwrap();
    read(&mut connection, GET);
    assert_eq!(connection.send(b"ab", &mut outbox), Err(Misuse::ResponseNotBegun));
    connection.respond(200, &mut outbox).sized_body(1).unwrap();
    assert_eq!(connection.send(b"ab", &mut outbox), Err(Misuse::BodyTooLong));
    connection.send(b"a", &mut outbox).unwrap();
    assert!(outbox.unsent().ends_with(b"\r\n\r\na"));
}
