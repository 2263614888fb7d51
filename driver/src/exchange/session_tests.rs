//! A session over loopback, without waiting.

use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;

use doorstep_core::log::Record;

use super::*;
use crate::config::FLUSH_THRESHOLD;
use crate::connections::Connections;

/// The steps for two pipelined requests, each of which has a response of 100 bytes or more.
fn steps(flush_threshold: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, peer) = listener.accept().unwrap();
    let connections = Connections::default();
    let connection = connections.register(stream, peer);
    let config = Config { flush_threshold, ..Config::default() };
    let (mut inbox, mut outbox) = (config.inbox(), config.outbox());
    let requests = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2);
    inbox.space()[..requests.len()].copy_from_slice(&requests);
    inbox.filled(requests.len());

    let mut session = Session::new(&config, &connection, &(), false);
    let mut steps = String::new();
    loop {
        match session.step(&mut inbox, &mut outbox) {
            Step::Handle(head) => {
                let mut exchange = session.exchange(head, &mut inbox, &mut outbox);
                exchange.respond(200).body("x".repeat(100)).unwrap();
                steps.push(if exchange.should_flush() { 'R' } else { 'r' });
                let next = exchange.finish(Ok(Ok(())));
                inbox.rejoin(next);
            }
            Step::Flush => {
                steps.push('f');
                outbox.clear();
                session.flushed(&inbox, &mut outbox, Ok(())).unwrap();
            }
            _ => return steps,
        }
    }
}

#[test]
fn pipelined_responses_are_sent_together_until_they_exceed_the_threshold() {
    assert_eq!(steps(FLUSH_THRESHOLD), "rrf");
    assert_eq!(steps(0), "RfRf");
}

/// Status, body bytes and ending of a record.
type Entry = (u16, Option<u64>, Ending);

#[derive(Default)]
struct Records(Mutex<Vec<Entry>>);

impl Observer for Records {
    fn log(&self, record: &Record<'_>) {
        let entry = (record.status, record.body_bytes_sent, record.ending);
        self.0.lock().unwrap().push(entry);
    }
}

/// Two pipelined requests, and a write of all but the last `unsent` bytes of the responses, which
/// ends in `error`. Returns the records, and the result of the session.
fn lost(unsent: usize, error: ErrorKind) -> (Vec<Entry>, io::Result<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, peer) = listener.accept().unwrap();
    let connections = Connections::default();
    let connection = connections.register(stream, peer);
    let (config, records) = (Config::default(), Records::default());
    let (mut inbox, mut outbox) = (config.inbox(), config.outbox());
    inbox.fill(&mut &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2)[..]).unwrap();
    let mut session = Session::new(&config, &connection, &records, false);
    let result = loop {
        match session.step(&mut inbox, &mut outbox) {
            Step::Handle(head) => {
                let mut exchange = session.exchange(head, &mut inbox, &mut outbox);
                exchange.respond(200).body("x".repeat(100)).unwrap();
                let next = exchange.finish(Ok(Ok(())));
                inbox.rejoin(next);
            }
            Step::Flush => {
                assert!(records.0.lock().unwrap().is_empty(), "nothing is sent yet");
                outbox.sent(outbox.len() - unsent);
                break session.flushed(&inbox, &mut outbox, Err(error.into()));
            }
            _ => unreachable!(),
        }
    };
    assert!(matches!(session.step(&mut inbox, &mut outbox), Step::Close));
    (records.0.into_inner().unwrap(), result)
}

#[test]
fn b_107_a_record_has_the_body_bytes_that_were_sent() {
    let gone = Ending::ClientDisconnected;
    let whole = (200, Some(100), Ending::Complete);
    let (records, result) = lost(1, ErrorKind::ConnectionReset);
    assert_eq!(records, [whole, (200, Some(99), gone)]);
    assert!(result.is_ok(), "it is logged");
    let (records, _) = lost(100, ErrorKind::BrokenPipe);
    assert_eq!(records, [whole, (200, None, gone)]);
    let (records, _) = lost(101, ErrorKind::ConnectionReset);
    assert_eq!(records, [whole, (200, None, gone)], "a part of the head is missing");
    let (records, result) = lost(7, ErrorKind::TimedOut);
    assert_eq!(records, [whole, (200, Some(93), Ending::TimedOut)]);
    assert!(result.is_err(), "it is logged besides");
    let (records, result) = lost(7, ErrorKind::Other);
    assert_eq!(records, [whole, (200, Some(93), Ending::Aborted)]);
    assert!(result.is_err());
}
