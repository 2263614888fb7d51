use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use crate::net::{Listener, MemoryStream, Stream, UNIX_PEER};

const LINE: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 50123 443\r\n";

/// A pair of connected sockets.
fn tcp(nonblocking: bool) -> (TcpStream, Stream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_nodelay(true).unwrap();
    let (socket, peer) = listener.accept().unwrap();
    socket.set_nonblocking(nonblocking).unwrap();
    (client, Stream::proxied(Stream::tcp(socket, peer)))
}

/// Reads on over the interruption, as a connection does.
fn read(stream: &Stream, buffer: &mut [u8]) -> io::Result<usize> {
    match stream.read(buffer) {
        Err(error) if error.kind() == ErrorKind::Interrupted => stream.read(buffer),
        result => result,
    }
}

/// Reads until nothing more has arrived, or the end.
fn read_all(stream: &Stream) -> (Vec<u8>, Option<ErrorKind>) {
    let (mut all, mut buffer) = (Vec::new(), [0; 7]);
    loop {
        match read(stream, &mut buffer) {
            Ok(0) => return (all, None),
            Ok(n) => all.extend_from_slice(&buffer[..n]),
            Err(error) => return (all, Some(error.kind())),
        }
    }
}

#[test]
fn the_addresses_are_those_of_the_header() {
    let input = format!("{LINE}GET / HTTP/1.1\r\n");
    let stream = Stream::proxied(MemoryStream::new(input).into());
    assert!(stream.awaits_proxy_header());
    assert_eq!(stream.peer_addr().to_string(), "127.0.0.1:0");
    assert_eq!(read_all(&stream), (b"GET / HTTP/1.1\r\n".to_vec(), None));
    assert!(!stream.awaits_proxy_header());
    assert_eq!(stream.peer_addr().to_string(), "192.0.2.7:50123");
    assert_eq!(stream.local_addr().unwrap().to_string(), "198.51.100.1:443");
}

#[test]
fn a_proxy_that_speaks_for_itself_has_its_own_addresses() {
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let stream = Stream::proxied(MemoryStream::new([header, b"x"].concat()).into());
        assert_eq!(read_all(&stream), (b"x".to_vec(), None));
        assert_eq!(stream.peer_addr().to_string(), "127.0.0.1:0");
        assert_eq!(stream.local_addr().unwrap(), MemoryStream::LOCAL_ADDR);
    }
}

#[test]
fn a_header_arrives_byte_by_byte_on_a_non_blocking_socket() {
    let (mut client, stream) = tcp(true);
    let wait = || {
        let mut byte = [0];
        (0..1000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            stream.peek(&mut byte).is_ok_and(|n| n == 1)
        })
    };
    for byte in LINE.bytes() {
        assert!(stream.awaits_proxy_header());
        assert_eq!(read_all(&stream), (vec![], Some(ErrorKind::WouldBlock)));
        client.write_all(&[byte]).unwrap();
        assert!(wait());
    }
    assert_eq!(read_all(&stream), (vec![], Some(ErrorKind::WouldBlock)));
    assert!(!stream.awaits_proxy_header());
    client.write_all(b"request").unwrap();
    assert!(wait());
    assert_eq!(read_all(&stream), (b"request".to_vec(), Some(ErrorKind::WouldBlock)));
    assert_eq!(stream.peer_addr().to_string(), "192.0.2.7:50123");
}

#[test]
fn a_short_read_after_the_header_means_that_nothing_has_arrived() {
    // A non-blocking caller waits then until more arrives.
    for size in [1, 7, 99, 100, 101, 4096] {
        let input = [LINE.as_bytes(), &[b'x'; 100]].concat();
        let stream = Stream::proxied(MemoryStream::new(input).into());
        let mut left = 100;
        while left > 0 {
            let n = read(&stream, &mut vec![0; size]).unwrap();
            assert_eq!(n, size.min(left));
            left -= n;
        }
    }
}

#[test]
fn a_waiting_read_ends_with_a_header_in_pieces() {
    let (mut client, stream) = tcp(false);
    let sender = std::thread::spawn(move || {
        for byte in LINE.bytes().chain(*b"GET /") {
            client.write_all(&[byte]).unwrap();
            std::thread::yield_now();
        }
    });
    assert_eq!(read_all(&stream), (b"GET /".to_vec(), None));
    sender.join().unwrap();
}

#[test]
fn an_invalid_header_is_an_error_at_each_call() {
    for input in ["GET / HTTP/1.1\r\n\r\n", "PROXY TCP4\r\n", "PROXX"] {
        let stream = Stream::proxied(MemoryStream::new(input).into());
        for _ in 0..2 {
            assert_eq!(read_all(&stream), (vec![], Some(ErrorKind::InvalidData)), "{input}");
        }
        assert!(stream.awaits_proxy_header());
    }
}

#[test]
fn the_end_of_input_is_an_error_only_within_a_header() {
    for (input, expected) in [("", None), ("PROXY TCP4 192", Some(ErrorKind::UnexpectedEof))] {
        let stream = Stream::proxied(MemoryStream::new(input).into());
        assert_eq!(read_all(&stream), (vec![], expected));
    }
    let (client, stream) = tcp(false);
    drop(client);
    assert_eq!(read_all(&stream), (vec![], None));
}

#[test]
fn a_header_may_come_over_a_unix_socket() {
    let (mut client, socket) = UnixStream::pair().unwrap();
    let stream = Stream::proxied(Stream::unix(socket));
    assert_eq!(stream.peer_addr(), UNIX_PEER);
    client.write_all(format!("{LINE}x").as_bytes()).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&stream), (b"x".to_vec(), None));
    assert_eq!(stream.peer_addr().to_string(), "192.0.2.7:50123");
}

#[test]
fn only_connections_from_trusted_networks_begin_with_a_header() {
    for (trusted, expected) in [("127.0.0.0/8", true), ("10.0.0.0/8,unix:", false)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let listener = Listener::from(listener).with_proxy_protocol(trusted.parse().unwrap());
        let _client = TcpStream::connect(address).unwrap();
        assert_eq!(listener.accept(false).unwrap().awaits_proxy_header(), expected);
    }
}
