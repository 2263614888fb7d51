//! The inbox under completion-based I/O: its space stays in place, and its storage can be taken out.

use std::cell::Cell;
use std::rc::Rc;

use doorstep_core::http1::{
    Connection, Event, GrowableBuffer, Inbox, Limits, Outbox, Position, Storage,
};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Storage that counts the calls that could move its bytes.
struct Watched<S> {
    storage: S,
    touched: Rc<Cell<u32>>,
}

impl<S: Storage> Storage for Watched<S> {
    fn bytes(&self) -> &[u8] {
        self.storage.bytes()
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        self.touched.set(self.touched.get() + 1);
        self.storage.bytes_mut()
    }
    fn grow(&mut self) -> bool {
        self.touched.set(self.touched.get() + 1);
        self.storage.grow()
    }
}

/// Fills the inbox while all that is in it is consumed.
fn the_space_stays<S: Storage>(storage: S, consume: bool) {
    let touched = Rc::new(Cell::new(0));
    let mut inbox = Inbox::new(Watched { storage, touched: touched.clone() });
    let (mut connection, mut outbox) = (Connection::new(Limits::default()), Outbox::new(""));
    for size in 0..GET.len() {
        // What has arrived: whole requests, and the beginning of another one.
        let before = [GET, GET, &GET[..size]].concat();
        inbox.fill(&mut &before[..]).expect("there is space");
        let size = if consume { GET.len() } else { GET.len() - size };
        let later = &GET[GET.len() - size..];
        let space = inbox.space();
        assert!(space.len() >= later.len());
        let address = space.as_ptr();
        space[..later.len()].copy_from_slice(later); // by the kernel, at any time from now on

        touched.set(0);
        let mut requests = 0;
        while let Ok(event) = connection.next(&mut inbox) {
            match event {
                Event::Request(_) => {
                    connection.respond(204, &mut outbox).body(b"").expect("it is due");
                    requests += 1;
                }
                _ => break,
            }
        }
        assert_eq!(requests, 2);
        if consume {
            inbox.consume(usize::MAX);
            connection = Connection::new(Limits::default()); // the rest of a head was skipped
        }
        let end = inbox.unread().as_ptr_range().end;
        assert!(!inbox.is_eof() && inbox.position().unread().len() == inbox.unread().len());
        assert_eq!((touched.get(), end), (0, address), "no byte was moved");

        inbox.filled(later.len());
        assert!(inbox.unread().ends_with(later));
        assert!(matches!(connection.next(&mut inbox), Ok(Event::Request(_))));
        connection.respond(204, &mut outbox).body(b"").expect("it is due");
        assert!(inbox.unread().is_empty());
    }
}

#[test]
fn the_space_stays_where_it_is_while_requests_are_read() {
    for consume in [false, true] {
        the_space_stays(vec![0; 200].into_boxed_slice(), consume);
        the_space_stays(vec![0; 200], consume);
        the_space_stays([0; 200], consume);
        the_space_stays(GrowableBuffer::new(128, 256), consume);
    }
}

#[test]
fn a_box_keeps_the_space_in_place_when_the_inbox_moves() {
    let mut inbox = Inbox::new(vec![0; 16].into_boxed_slice());
    let address = inbox.space().as_ptr();
    let mut moved = Box::new(inbox);
    assert_eq!(moved.space().as_ptr(), address);
}

#[test]
fn a_request_arrives_in_a_storage_that_is_taken_out_for_each_read() {
    for step in 1..GET.len() {
        let mut connection = Connection::new(Limits::default());
        let mut inbox = Inbox::new(vec![0; 40]);
        let mut requests = 0;
        let bytes = GET.repeat(10);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let n = inbox.space().len().min(step).min(rest.len());
            let (mut buffer, position) = inbox.into_parts();
            let end = position.unread().end;
            buffer[end..end + n].copy_from_slice(&rest[..n]);
            rest = &rest[n..];
            inbox = Inbox::from_parts(buffer, position);
            inbox.filled(n);
            while let Ok(Event::Request(_)) = connection.next(&mut inbox) {
                connection.respond(204, &mut Outbox::new("")).body(b"").expect("it is due");
                requests += 1;
            }
        }
        assert_eq!(requests, 10, "in pieces of {step}");
    }
}

#[test]
fn parts_keep_the_end_of_input_and_a_position_outside_of_the_storage_is_clamped() {
    let mut inbox = Inbox::new(vec![b'x'; 16]);
    inbox.filled(12);
    inbox.consume(10);
    inbox.filled(0);
    let (buffer, position) = inbox.into_parts();
    assert_eq!(position.unread(), 10..12);
    let inbox = Inbox::from_parts(buffer, position);
    assert!(inbox.is_eof() && inbox.unread() == b"xx");

    let check = |size: usize, expected: Position| {
        let inbox = Inbox::from_parts(vec![b'x'; size], position);
        assert_eq!(inbox.unread().len(), expected.unread().len(), "{size}");
        assert_eq!(inbox.position(), expected);
    };
    check(12, position);
    for size in [11, 10, 3, 0] {
        let mut small = Inbox::new(vec![0; size]);
        small.filled(size.max(1));
        small.consume(10);
        small.filled(0);
        check(size, small.position());
    }
}

#[test]
fn a_body_has_room_behind_a_head_that_ends_at_the_end_of_the_storage() {
    for unread in ["", "body"] {
        let mut inbox = Inbox::new([0; 32]);
        let received = format!("previous head and head|{unread}");
        inbox.fill(&mut received.as_bytes()).expect("there is space");
        inbox.consume(23);
        assert!(inbox.reserve(9) && !inbox.reserve(10), "behind the bytes that were consumed");
        let (head, body) = inbox.split(5, 9);
        assert_eq!((head, body.unread()), (&b"head|"[..], unread.as_bytes()));
        assert!(inbox.buffered().starts_with(b"previous"), "no byte was moved");

        let (head, mut body) = inbox.split(5, 27);
        assert_eq!((head, body.unread()), (&b"head|"[..], unread.as_bytes()));
        assert_eq!(body.space().len(), 27 - unread.len());
        let position = body.position();
        inbox.rejoin(position);
        assert_eq!(inbox.unread(), unread.as_bytes());
    }
}
