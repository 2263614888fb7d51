//! Sending bytes to a socket, from memory or from a file (`sendfile`), and closing it: the system
//! calls of [`Stream`](super::Stream) on a TCP socket.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::SendFlags;

use crate::os::{self, LINUX};

/// Bytes of a file that are read at once where the system has no `sendfile`.
const READ_SIZE: usize = 64 << 10;

/// Sends the first of `bytes`, and returns how many. With `more`, the kernel may delay them until
/// more is sent (`MSG_MORE`).
///
/// # Errors
/// Returns `WouldBlock` if a non-blocking socket takes nothing now, or another error if nothing can
/// be sent any more.
pub(super) fn send(socket: impl AsFd, bytes: &[u8], more: bool) -> io::Result<usize> {
    let flags = if more { flags::MORE } else { flags::NO_MORE };
    Ok(retry_on_intr(|| rustix::net::send(&socket, bytes, flags))?)
}

/// Sends as [`send`] does, without waiting, on a socket that is blocking.
///
/// # Errors
/// Returns the same errors as [`send`].
pub(super) fn send_nonblocking(socket: impl AsFd, bytes: &[u8], more: bool) -> io::Result<usize> {
    let flags = SendFlags::DONTWAIT | if more { flags::MORE } else { flags::NO_MORE };
    Ok(retry_on_intr(|| rustix::net::send(&socket, bytes, flags))?)
}

/// Sets whether closing `socket` resets the connection (RST), even if it is closed by the end of
/// this process. A reset discards bytes that were not sent yet.
///
/// # Errors
/// Returns the error of the system.
pub(super) fn set_reset_on_close(socket: impl AsFd, enabled: bool) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_socket_linger(socket, enabled.then_some(Duration::ZERO))?)
}

/// Resets the connection of `socket` now.
///
/// # Errors
/// Returns the error of the system, for instance if another thread is sending at this moment, or if
/// the system does not support it.
pub(super) fn reset(socket: impl AsFd) -> io::Result<()> {
    Ok(rustix::net::connect_unspec(socket)?)
}

/// Sends at most `count` bytes of `file` from `offset` by `sendfile`, or by reading and sending
/// them where the system or the file does not support that. Returns the number of bytes sent; if
/// `count` is not 0, 0 means that the file ends at `offset`.
///
/// # Errors
/// Returns an error if the file cannot be read, or the error of [`send`].
pub(super) fn send_file(
    socket: impl AsFd,
    file: &File,
    offset: u64,
    count: usize,
) -> io::Result<usize> {
    /// Whether this system or sandbox has no `sendfile`.
    static UNSUPPORTED: AtomicBool = AtomicBool::new(!LINUX);

    if !UNSUPPORTED.load(Ordering::Relaxed) {
        match sendfile(&socket, file, offset, count) {
            Ok(n) => return Ok(n),
            Err(Errno::AGAIN) => return Err(Errno::AGAIN.into()),
            Err(Errno::NOSYS | Errno::PERM | Errno::ACCESS) => {
                UNSUPPORTED.store(true, Ordering::Relaxed);
            }
            // The file does not support it, or cannot be read, which the next attempt reports.
            Err(_) => {}
        }
    }
    read_and_send(socket, file, offset, count)
}

#[cfg(target_os = "linux")]
fn sendfile(
    socket: impl AsFd,
    file: &File,
    offset: u64,
    count: usize,
) -> rustix::io::Result<usize> {
    retry_on_intr(|| rustix::fs::sendfile(&socket, file, Some(&mut { offset }), count))
}

#[cfg(not(target_os = "linux"))]
fn sendfile(_: impl AsFd, _: &File, _: u64, _: usize) -> rustix::io::Result<usize> {
    Err(Errno::NOSYS)
}

/// What the socket does not take is read again by the next call.
fn read_and_send(socket: impl AsFd, file: &File, offset: u64, count: usize) -> io::Result<usize> {
    let mut buffer = vec![0; count.min(READ_SIZE)];
    match os::read_at(file, &mut buffer, offset)? {
        0 => Ok(0),
        n => send(socket, &buffer[..n], n < count),
    }
}

#[cfg(target_os = "linux")]
mod flags {
    use super::SendFlags;
    pub(super) const NO_MORE: SendFlags = SendFlags::NOSIGNAL;
    pub(super) const MORE: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::MORE);
}

/// Where there are no such flags, `SIGPIPE` is ignored: Rust's runtime does that at start.
#[cfg(not(target_os = "linux"))]
mod flags {
    use super::SendFlags;
    pub(super) const NO_MORE: SendFlags = SendFlags::empty();
    pub(super) const MORE: SendFlags = SendFlags::empty();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    type SendFn = fn(&TcpStream, &File, u64, usize) -> io::Result<usize>;
    const SEND_FNS: [SendFn; 2] = [
        |socket, file, offset, count| send_file(socket, file, offset, count),
        |socket, file, offset, count| read_and_send(socket, file, offset, count),
    ];

    const CHUNK: usize = 256 << 10;

    #[test]
    fn b_174_exactly_the_range_is_sent() {
        let content: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
        let file = file(&content);
        for send_fn in SEND_FNS {
            let (mut client, server) = pair();
            let reader = std::thread::spawn(move || {
                let mut received = Vec::new();
                client.read_to_end(&mut received).unwrap();
                received
            });
            let (mut offset, end) = (7, 900_001);
            while offset < end {
                let n = send_fn(&server, &file, offset as u64, (end - offset).min(CHUNK)).unwrap();
                assert!((1..=CHUNK).contains(&n));
                offset += n;
            }
            drop(server);
            assert!(reader.join().unwrap() == content[7..900_001]);
        }
    }

    #[test]
    fn b_174_a_file_that_shrinks_ends_the_transfer() {
        let file = file(b"0123456789");
        for send_fn in SEND_FNS {
            let (_client, server) = pair();
            assert_eq!(send_fn(&server, &file, 8, 10).unwrap(), 2);
            assert_eq!(send_fn(&server, &file, 10, 8).unwrap(), 0);
            assert_eq!(send_fn(&server, &file, 99, 8).unwrap(), 0);
        }
    }

    #[test]
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    fn the_bytes_that_the_peer_has_acknowledged_are_reported() {
        let (mut client, server) = pair();
        let acked = || os::bytes_acked(&server).unwrap();
        let before = acked();
        send(&server, &[7; 1000], false).unwrap();
        client.read_exact(&mut [0; 1000]).unwrap();
        let seen = (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(1));
            acked() == before + 1000
        });
        assert!(seen, "{before}, {}", acked());
    }

    #[test]
    fn a_full_socket_is_would_block_and_a_closed_one_raises_no_signal() {
        let file = file(&[7; 100_000]);
        for send_fn in SEND_FNS {
            let (client, server) = pair();
            server.set_nonblocking(true).unwrap();
            let full = (0..10_000).find_map(|_| send_fn(&server, &file, 0, 100_000).err());
            assert_eq!(full.unwrap().kind(), io::ErrorKind::WouldBlock);
            server.set_nonblocking(false).unwrap();
            drop(client); // with unread bytes: a reset
            let lost = (0..10_000).find_map(|_| send_fn(&server, &file, 0, 100_000).err());
            assert!(lost.is_some());
            assert!(send(&server, b"x", false).is_err());
        }
    }
}
