//! Nothing is missed, whatever is read when; and nothing is reported that belongs to another source.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use doorstep_driver::connections::{Connections, Registration};
use doorstep_driver::net::PeerState;
use smol::future;

use super::*;

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    server.set_nonblocking(true).unwrap();
    (client, server)
}

fn register(connections: &Connections) -> (TcpStream, Registration<'_>) {
    let (client, server) = pair();
    let peer = server.peer_addr().unwrap();
    (client, connections.register(server, peer))
}

/// Whether the source is readable now.
fn is_readable(poller: &Poller, source: &Source) -> bool {
    poller.wait(Some(&ZERO_TIMEOUT)).unwrap();
    poller.wake();
    source.poll_readable(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// Waits on this thread until the source is readable.
fn wait_readable(poller: &Poller, source: &Source) {
    block_on(poller, poll_fn(|cx| source.poll_readable(cx))).unwrap().unwrap();
}

#[test]
fn a_read_that_leaves_bytes_behind_is_followed_by_another() {
    let (poller, connections) = (Poller::new().unwrap(), Connections::default());
    let (mut client, connection) = register(&connections);
    client.write_all(b"abcd").unwrap(); // before the socket is registered
    let source = poller.connection(&connection).unwrap().unwrap();
    wait_readable(&poller, &source);
    let mut buffer = [0; 2];
    assert_eq!(connection.stream().read(&mut buffer).unwrap(), 2);
    assert!(is_readable(&poller, &source), "there may be more");
    assert_eq!(connection.stream().read(&mut [0; 8]).unwrap(), 2);
    source.drained(false);
    assert!(!is_readable(&poller, &source));
    client.write_all(b"e").unwrap();
    wait_readable(&poller, &source);
}

#[test]
fn an_end_of_input_that_came_with_the_last_bytes_is_not_missed() {
    let (poller, connections) = (Poller::new().unwrap(), Connections::default());
    let (mut client, connection) = register(&connections);
    client.write_all(b"abcd").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let source = poller.connection(&connection).unwrap().unwrap();
    while connection.peer_state() != PeerState::HalfClosed {
        thread::yield_now();
    }
    wait_readable(&poller, &source);
    assert_eq!(connection.stream().read(&mut [0; 8]).unwrap(), 4);
    source.drained(false);
    wait_readable(&poller, &source);
    assert_eq!(connection.stream().read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn a_socket_that_was_full_is_writable_once_the_peer_has_read() {
    let (poller, connections) = (Poller::new().unwrap(), Connections::default());
    let (mut client, connection) = register(&connections);
    let source = poller.connection(&connection).unwrap().unwrap();
    let fill = || while connection.stream().send(&[0; 64 << 10], false).is_ok() {};
    fill();
    let fd = connection.stream().fd().unwrap();
    let is_writable = || {
        let mut cx = Context::from_waker(Waker::noop());
        let is_writable = source.poll_writable(fd, &mut cx).is_ready();
        poller.wait(Some(&ZERO_TIMEOUT)).unwrap();
        poller.wake();
        is_writable
    };
    source.filled();
    assert!(!is_writable() && !is_writable());
    let reading =
        thread::spawn(move || while client.read(&mut [0; 64 << 10]).is_ok_and(|n| n > 0) {});
    for _ in 0..3 {
        block_on(&poller, poll_fn(|cx| source.poll_writable(fd, cx))).unwrap().unwrap();
        fill();
        source.filled();
    }
    connection.stream().shutdown(Shutdown::Both).unwrap();
    reading.join().unwrap();
}

#[test]
fn an_event_of_a_source_that_is_gone_is_not_reported_to_its_successor() {
    let (poller, connections) = (Poller::new().unwrap(), Connections::default());
    let (mut client, connection) = register(&connections);
    let source = poller.connection(&connection).unwrap().unwrap();
    drop(source); // the system goes on watching the descriptor, which is open
    let (_other_client, other) = register(&connections);
    let other = poller.connection(&other).unwrap().unwrap();
    client.write_all(b"x").unwrap();
    poller.wait(None).unwrap();
    assert_eq!(lock(&poller.0.batch).events.len(), 1);
    poller.wake();
    assert!(!is_readable(&poller, &other));
}

#[test]
fn a_duplicated_descriptor_is_not_watched_after_the_close() {
    let (poller, connections) = (Poller::new().unwrap(), Connections::default());
    let (mut client, connection) = register(&connections);
    let source = poller.connection(&connection).unwrap().unwrap();
    let clone = connection.stream().try_clone_socket().unwrap();
    source.set_duplicated();
    source.close(connection.stream().fd().unwrap());
    drop((source, connection));
    client.write_all(b"x").unwrap();
    clone.set_nonblocking(false).unwrap();
    (&clone).read_exact(&mut [0]).unwrap(); // it has come
    poller.wait(Some(&ZERO_TIMEOUT)).unwrap();
    assert!(lock(&poller.0.batch).events.is_empty());
}

#[test]
fn of_two_pollers_that_wait_for_a_listener_each_can_be_woken() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let both = [Poller::new().unwrap(), Poller::new().unwrap()];
    let sources = both.each_ref().map(|poller| poller.listener(listener.as_fd()).unwrap());
    for index in [0, 1] {
        let _client = TcpStream::connect(address).unwrap();
        wait_readable(&both[index], &sources[index]);
        listener.accept().unwrap();
        sources.iter().for_each(|source| source.drained(true));
        both.iter().zip(&sources).for_each(|(poller, source)| _ = is_readable(poller, source));
        sources.iter().for_each(|source| source.drained(true));
    }
}

#[test]
fn another_thread_wakes_a_future_that_waits_for_events() {
    let poller = Poller::new().unwrap();
    for _ in 0..100 {
        let (sender, receiver) = smol::channel::bounded(1);
        let sending = thread::spawn(move || sender.try_send(7).unwrap());
        assert_eq!(block_on(&poller, receiver.recv()).unwrap().unwrap(), 7);
        sending.join().unwrap();
    }
}

#[test]
fn any_executor_can_wait_for_the_events() {
    let (poller, connections) = (Poller::new().unwrap(), Connections::default());
    let (mut client, connection) = register(&connections);
    let source = poller.connection(&connection).unwrap().unwrap();
    let sending = thread::spawn(move || {
        client.write_all(b"x").unwrap();
        client
    });
    let readable = poll_fn(|cx| source.poll_readable(cx));
    smol::block_on(future::or(readable, poller.drive())).unwrap();
    assert_eq!(connection.stream().read(&mut [0; 8]).unwrap(), 1);
    drop(sending.join().unwrap());
}
