//! The end of a connection: deadlines, resets and lingering.

use doorstep_core::http1::{Connection, Event, Inbox, Limits, Outbox, Reject, WaitingFor};

fn connection(input: &[u8]) -> (Connection, Inbox<[u8; 256]>, Outbox) {
    let (mut connection, outbox) = (Connection::new(Limits::default()), Outbox::new(""));
    let mut inbox = Inbox::new([0; 256]);
    if !input.is_empty() {
        inbox.fill(&mut &input[..]).expect("it fits");
    }
    while !matches!(connection.next(&mut inbox), Ok(Event::NeedData | Event::ResponseDue(_))) {}
    (connection, inbox, outbox)
}

const OLD: &[u8] = b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhell";

#[test]
fn b_049_a_deadline_in_a_request_yields_408() {
    for input in ["GET / HT", "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell"] {
        let (mut connection, inbox, mut outbox) = connection(input.as_bytes());
        connection.timed_out(inbox.unread(), &mut outbox);
        assert!(outbox.unsent().starts_with(b"HTTP/1.1 408 "), "{input}");
        assert_eq!(connection.waiting_for(&outbox), WaitingFor::Writable);
        outbox.clear();
        assert_eq!(connection.waiting_for(&outbox), WaitingFor::Linger);
    }
}

#[test]
fn b_049_a_deadline_yields_no_408_before_a_request_or_in_a_response() {
    let (mut idle, _, mut outbox) = connection(b"");
    idle.timed_out(b"", &mut outbox);
    assert_eq!(idle.waiting_for(&outbox), WaitingFor::Nothing);

    let (mut begun, _, mut outbox) = connection(OLD);
    begun.respond(200, &mut outbox).streamed_body().expect("it is due");
    outbox.clear();
    assert_eq!(begun.waiting_for(&outbox), WaitingFor::BodyOrResponse);
    begun.timed_out(b"", &mut outbox);
    assert!(outbox.is_empty());
    assert_eq!(begun.waiting_for(&outbox), WaitingFor::Nothing, "it is reset, without lingering");
    assert!(begun.reset_on_close(&outbox));
}

#[test]
fn b_049_what_the_peer_does_not_receive_is_discarded() {
    for (input, reset) in [(OLD, true), (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", false)] {
        let (mut connection, _, mut outbox) = connection(input);
        connection.respond(200, &mut outbox).streamed_body().expect("it is due");
        connection.end(&mut outbox).expect("it has begun");
        connection.timed_out(b"", &mut outbox);
        assert!(outbox.is_empty());
        assert_eq!(connection.waiting_for(&outbox), WaitingFor::Nothing);
        assert_eq!(connection.reset_on_close(&outbox), reset);
    }
}

#[test]
fn only_an_incomplete_response_that_the_close_would_complete_needs_a_reset() {
    let (mut old, _, mut outbox) = connection(OLD);
    assert!(!old.reset_on_close(&outbox), "no response has begun");
    old.respond(200, &mut outbox).streamed_body().expect("it is due");
    outbox.clear();
    assert!(old.reset_on_close(&outbox), "it has no end");
    old.send(b"body", &mut outbox).expect("it has begun");
    old.end(&mut outbox).expect("it has begun");
    assert!(old.reset_on_close(&outbox), "not all is sent");
    outbox.clear();
    assert!(!old.reset_on_close(&outbox));

    let (mut new, _, mut outbox) = connection(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    new.respond(200, &mut outbox).streamed_body().expect("it is due");
    assert!(!new.reset_on_close(&outbox), "the last chunk is missing");
}

#[test]
fn a_closed_connection_discards_what_arrives_and_lingers_until_the_end_of_input() {
    let (mut connection, mut inbox, mut outbox) = connection(b"");
    inbox.fill(&mut &b"GET / HTTP/1.1\r\nno field\r\n\r\nand so on"[..]).expect("it fits");
    let reject = connection.next(&mut inbox).expect_err("it is malformed");
    assert_eq!(reject, Reject::BadHeader);
    connection.refuse(reject, inbox.unread(), &mut outbox);
    outbox.clear();
    for _ in 0..3 {
        assert!(matches!(connection.next(&mut inbox), Ok(Event::Closed)));
        assert_eq!(inbox.unread(), b"");
        assert_eq!(connection.waiting_for(&outbox), WaitingFor::Linger);
        inbox.fill(&mut &b"and on"[..]).expect("it fits");
    }
    inbox.filled(0);
    assert!(matches!(connection.next(&mut inbox), Ok(Event::Closed)));
    assert_eq!(connection.waiting_for(&outbox), WaitingFor::Nothing, "nothing more arrives");
}

#[test]
fn writing_to_a_sink_that_takes_nothing_is_an_error() {
    let (mut connection, _, mut outbox) = connection(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(outbox.write_to(&mut &mut [][..]).expect("there is nothing"), 0);
    connection.respond(200, &mut outbox).body(b"").expect("it is due");
    let size = outbox.len();
    assert!(outbox.write_to(&mut &mut [][..]).is_err());
    assert_eq!(outbox.write_to(&mut &mut [0; 5][..]).expect("it takes five"), 5);
    assert_eq!(outbox.len(), size - 5);
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn nothing_of_an_aborted_response_is_waited_for_after_its_buffer_has_come_back() {
    for sent in [0, 7, usize::MAX] {
        let (mut connection, mut inbox, mut outbox) = connection(GET);
        connection.respond(200, &mut outbox).body(b"hello").expect("it is due");
        let buffer = outbox.begin_send().expect("there is a response");
        outbox.end_send(buffer, 0).expect("it is in flight");
        connection.abort();
        assert!(matches!(connection.next(&mut inbox), Ok(Event::Closed)));
        let waiting = connection.waiting_for(&outbox);
        assert!(matches!(waiting, WaitingFor::Linger | WaitingFor::Nothing), "{waiting:?}");

        let (mut connection, mut inbox, mut outbox) = self::connection(GET);
        connection.respond(200, &mut outbox).body(b"hello").expect("it is due");
        let buffer = outbox.begin_send().expect("there is a response");
        connection.abort();
        assert!(matches!(connection.next(&mut inbox), Ok(Event::Closed)));
        assert_eq!(connection.waiting_for(&outbox), WaitingFor::Writable, "its memory is in use");
        outbox.end_send(buffer, sent).expect("it is in flight");
        let waiting = connection.waiting_for(&outbox);
        assert!(matches!(waiting, WaitingFor::Linger | WaitingFor::Nothing), "{waiting:?}");
    }
}

#[test]
fn b_049_what_is_in_flight_at_the_deadline_is_not_sent_again() {
    for input in [OLD, GET] {
        let (mut connection, _, mut outbox) = connection(input);
        connection.respond(200, &mut outbox).streamed_body().expect("it is due");
        connection.send(b"hello", &mut outbox).expect("it has begun");
        let buffer = outbox.begin_send().expect("there is a response");
        connection.send(b"more", &mut outbox).expect("it has begun");
        connection.timed_out(b"", &mut outbox);
        assert_eq!(connection.waiting_for(&outbox), WaitingFor::Writable, "its memory is in use");
        outbox.end_send(buffer, 3).expect("it is in flight");
        assert!(outbox.is_empty() && outbox.begin_send().is_none());
        assert_eq!(connection.waiting_for(&outbox), WaitingFor::Nothing);
        assert_eq!(connection.reset_on_close(&outbox), input == OLD);
    }
}

#[test]
fn a_refusal_is_sent_before_the_end() {
    let (mut connection, _, mut outbox) = connection(b"");
    connection.refuse(Reject::RequestTimeout, b"", &mut outbox);
    assert_eq!(connection.waiting_for(&outbox), WaitingFor::Writable);
}
