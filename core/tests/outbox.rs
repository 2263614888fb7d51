//! The outbox: the date of responses, and sending by completions.

use std::time::{Duration, UNIX_EPOCH};

use doorstep_core::http1::{Connection, Limits, Outbox};

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
    let sets: [(fn(&mut Outbox), &str); 6] = [
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
