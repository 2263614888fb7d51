//! A session over loopback, without waiting.

use std::net::{TcpListener, TcpStream};

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
