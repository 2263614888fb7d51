use super::*;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;

#[test]
fn a_socket_of_another_program_is_a_connection_or_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, peer) = listener.accept().unwrap();
    let stream = Stream::from_socket(accepted.into()).unwrap();
    assert_eq!((stream.peer_addr(), peer), (client.local_addr().unwrap(), peer));
    let (one, _other) = UnixStream::pair().unwrap();
    assert_eq!(Stream::from_socket(one.into()).unwrap().peer_addr(), UNIX_PEER);

    let kind = |socket| Stream::from_socket(socket).unwrap_err().kind();
    let directory = tempfile::tempdir().unwrap();
    let unix = UnixListener::bind(directory.path().join("socket")).unwrap();
    assert_eq!(kind(unix.into()), ErrorKind::NotConnected);
    assert_eq!(kind(listener.into()), ErrorKind::NotConnected);
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    assert_eq!(kind(datagrams.into()), ErrorKind::InvalidInput);
    assert_eq!(kind(File::open("/dev/null").unwrap().into()), ErrorKind::InvalidInput);
}
