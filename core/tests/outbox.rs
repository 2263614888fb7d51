//! The outbox: the date of responses, and sending by completions.

use std::time::{Duration, UNIX_EPOCH};

use doorstep_core::http1::{Connection, Limits, Misuse, Outbox, WaitingFor};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn the_date_is_set_by_what_a_clock_returns_and_replaced() {
    let mut outbox = Outbox::new("a");
    let mut connection = Connection::new(Limits::default());
    let mut response = |outbox: &mut Outbox| {
        connection.advance(GET).unwrap();
        connection.respond(204, outbox).body(b"").unwrap();
        let text = String::from_utf8(outbox.unsent().to_vec()).unwrap();
        outbox.clear();
        text
    };
    assert!(!response(&mut outbox).contains("Date"));
    let second = Duration::from_secs(1);
    type Set = fn(&mut Outbox);
    let sets: [(Set, &str); 6] = [
        (|outbox| outbox.set_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT"),
        (|outbox| outbox.set_date(u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT"),
        (|outbox| outbox.set_date(-1_i64), "Wed, 31 Dec 1969 23:59:59 GMT"),
        (|outbox| outbox.set_date(Duration::from_millis(1999)), "Thu, 01 Jan 1970 00:00:01 GMT"),
        (|outbox| outbox.set_date(UNIX_EPOCH), "Thu, 01 Jan 1970 00:00:00 GMT"),
        (|outbox| outbox.set_date(i64::MIN), "Sat, 01 Jan 0000 00:00:00 GMT"),
    ];
    for (set, date) in sets {
        set(&mut outbox);
        let expected = format!("HTTP/1.1 204 No Content\r\nServer: a\r\nDate: {date}\r\n\r\n");
        assert_eq!(response(&mut outbox), expected);
    }
    outbox.set_date(UNIX_EPOCH - second);
    assert!(response(&mut outbox).contains("Date: Wed, 31 Dec 1969 23:59:59 GMT\r\n"));
}

/// Sends `outbox` by completions of at most `n` bytes. In each flight, `append` is appended.
fn complete(
    outbox: &mut Outbox,
    n: usize,
    append: &mut dyn Iterator<Item = &'static [u8]>,
) -> Vec<u8> {
    let mut received = Vec::new();
    while let Some(buffer) = outbox.begin_send() {
        let (address, copy) = (buffer.as_ptr(), buffer.clone());
        let before = outbox.len();
        assert!(before >= buffer.len() && !outbox.is_empty(), "the bytes in flight count");
        if let Some(more) = append.next() {
            push(outbox, more);
            assert_eq!(outbox.len(), before + more.len());
        }
        assert!(outbox.begin_send().is_none(), "one flight at a time");
        assert_eq!((buffer.as_ptr(), &*buffer), (address, &*copy), "it stays as it is");
        let n = n.min(buffer.len());
        received.extend_from_slice(&buffer[..n]);
        outbox.end_send(buffer, n).expect("it is in flight");
    }
    assert!(outbox.is_empty() && outbox.unsent().is_empty());
    received
}

fn push(outbox: &mut Outbox, bytes: &[u8]) {
    let appended = outbox.append_with::<()>(bytes.len(), |space| {
        space.copy_from_slice(bytes);
        Ok(bytes.len())
    });
    assert_eq!(appended, Ok(bytes.len()));
}

#[test]
fn what_is_sent_by_completions_is_what_was_appended() {
    let parts: [&[u8]; 4] = [b"first", b"2", b"a longer part", b"the last"];
    for n in 1..40 {
        let mut outbox = Outbox::new("");
        for _ in 0..3 {
            push(&mut outbox, b"xyhead ");
            outbox.sent(2); // some of it without a completion
            let received = complete(&mut outbox, n, &mut parts.into_iter());
            let expected = [b"head ", &*parts.concat()].concat();
            assert_eq!(received.escape_ascii().to_string(), expected.escape_ascii().to_string());
        }
    }
}

#[test]
fn a_connection_waits_for_the_bytes_in_flight() {
    let (mut connection, mut outbox) = (Connection::new(Limits::default()), Outbox::new(""));
    assert!(outbox.begin_send().is_none(), "nothing to be sent");
    connection.advance(GET).unwrap();
    connection.respond(200, &mut outbox).body(b"hi").unwrap();
    let buffer = outbox.begin_send().unwrap();
    assert!(outbox.unsent().is_empty());
    assert_eq!(connection.waiting_for(&outbox), WaitingFor::Writable);
    outbox.sent(usize::MAX);
    outbox.clear();
    outbox.shrink_to(0);
    assert_eq!(outbox.len(), buffer.len(), "they cannot be taken back");
    let n = buffer.len();
    outbox.end_send(buffer, n).unwrap();
    assert_eq!(connection.waiting_for(&outbox), WaitingFor::Request);
}

#[test]
fn a_buffer_that_is_not_in_flight_is_a_misuse_and_changes_nothing() {
    let mut outbox = Outbox::new("");
    assert_eq!(outbox.end_send(Vec::new(), 0), Err(Misuse::NotInFlight), "none is in flight");
    push(&mut outbox, b"abc");
    assert_eq!(outbox.end_send(b"abc".to_vec(), 3), Err(Misuse::NotInFlight));
    let buffer = outbox.begin_send().unwrap();
    push(&mut outbox, b"def");
    assert_eq!(outbox.end_send(b"abc".to_vec(), 3), Err(Misuse::NotInFlight), "a copy");
    assert_eq!((outbox.len(), outbox.unsent()), (6, &b"def"[..]));
    outbox.end_send(buffer, 3).unwrap();
    assert_eq!(outbox.unsent(), b"def", "the right one is accepted all the same");

    let mut outbox = Outbox::new("");
    push(&mut outbox, b"abc");
    let mut buffer = outbox.begin_send().unwrap();
    buffer.truncate(2);
    assert_eq!(outbox.end_send(buffer, 2), Err(Misuse::NotInFlight), "another size");

    let mut outbox = Outbox::new("");
    push(&mut outbox, b"abc");
    let buffer = outbox.begin_send().unwrap();
    assert_eq!(outbox.end_send(buffer, usize::MAX), Ok(()), "no more than it has");
    assert!(outbox.is_empty());
}
