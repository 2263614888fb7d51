//! A connection in memory: what the client sends is given, and what it receives is kept.
//!
//! Nothing waits: the input is there at once, followed by the end of input, and the output takes
//! everything. There is no socket, so a handler cannot take it over for another protocol.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::PeerState;
use crate::os;

/// Bytes of a file that are read at once.
const READ_SIZE: usize = 64 << 10;

/// The client's end of a connection in memory. Clones are the same connection: one becomes a
/// [`Stream`](super::Stream), and another one tells what was received.
///
/// ```
/// use std::net::Shutdown;
/// use doorstep_driver::net::{MemoryStream, Stream};
///
/// let client = MemoryStream::new("request");
/// let stream = Stream::from(client.clone());
/// let mut buffer = [0; 100];
/// assert_eq!((stream.read(&mut buffer)?, stream.read(&mut buffer)?), (7, 0));
///
/// assert_eq!(stream.send(b"response", false)?, 8);
/// stream.shutdown(Shutdown::Write)?;
/// assert!(stream.send(b"more", false).is_err());
/// assert_eq!(client.take_output(), b"response");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct MemoryStream(Arc<Mutex<State>>);

struct State {
    peer: SocketAddr,
    input: Vec<u8>,
    /// How much of `input` was read.
    read: usize,
    output: Vec<u8>,
    /// The number of bytes that the client receives before it disconnects.
    output_left: u64,
    can_send: bool,
    reset: bool,
    reset_on_close: bool,
}

impl MemoryStream {
    /// The address that a client in memory is connected to: 127.0.0.1:80.
    pub const LOCAL_ADDR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 80);

    /// A client that sends `input` and closes its sending half. Its address is 127.0.0.1, its
    /// port 0.
    #[must_use]
    pub fn new(input: impl Into<Vec<u8>>) -> Self {
        Self(Arc::new(Mutex::new(State {
            peer: (Ipv4Addr::LOCALHOST, 0).into(),
            input: input.into(),
            read: 0,
            output: Vec::new(),
            output_left: u64::MAX,
            can_send: true,
            reset: false,
            reset_on_close: false,
        })))
    }

    /// Sets the client's address.
    #[must_use]
    pub fn with_peer(self, peer: SocketAddr) -> Self {
        self.state().peer = peer;
        self
    }

    /// The client disconnects when it has received `n` bytes: sending more is an error.
    #[must_use]
    pub fn disconnect_after(self, n: u64) -> Self {
        self.state().output_left = n;
        self
    }

    /// Returns the bytes that the client has received since the last call.
    #[must_use]
    pub fn take_output(&self) -> Vec<u8> {
        std::mem::take(&mut self.state().output)
    }

    /// Whether the server has reset the connection, or does so by closing it. It does if the last
    /// response is incomplete and its framing does not show that: one that ends with the connection. An
    /// incomplete response that is chunked, or shorter than its Content-Length, ends without a reset;
    /// [`Record::ending`](doorstep_core::log::Record::ending) tells for every response.
    #[must_use]
    pub fn is_reset(&self) -> bool {
        let state = self.state();
        state.reset || state.reset_on_close
    }

    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.peek(buffer)?;
        self.state().read += n; // by the one that reads
        Ok(n)
    }

    pub(super) fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.state();
        if state.reset {
            return Err(ErrorKind::NotConnected.into());
        }
        let rest = state.input.get(state.read..).unwrap_or_default();
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state();
        let n = state.space(bytes.len())?;
        state.output.extend_from_slice(&bytes[..n]);
        state.output_left -= n as u64;
        Ok(n)
    }

    pub(super) fn send_file(&self, file: &File, offset: u64, count: usize) -> io::Result<usize> {
        let mut state = self.state();
        let (sent, space) = (state.output.len(), state.space(count.min(READ_SIZE))?);
        state.output.resize(sent + space, 0);
        let read = os::read_at(file, &mut state.output[sent..], offset);
        let n = read.as_ref().map_or(0, |&n| n);
        state.output.truncate(sent + n);
        state.output_left -= n as u64;
        read
    }

    pub(super) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let mut state = self.state();
        if state.reset {
            return Err(ErrorKind::NotConnected.into());
        }
        if how != Shutdown::Read {
            state.can_send = false;
        }
        Ok(()) // what has arrived can be read, as on a socket; that is all of the input
    }

    pub(super) fn reset(&self) {
        self.state().reset = true;
    }

    pub(super) fn set_reset_on_close(&self, enabled: bool) {
        self.state().reset_on_close = enabled;
    }

    pub(super) fn peer_state(&self) -> PeerState {
        let state = self.state();
        match state.reset || state.output_left == 0 {
            true => PeerState::Closed,
            false => PeerState::HalfClosed, // it sends nothing after its input
        }
    }

    pub(super) fn peer_addr(&self) -> SocketAddr {
        self.state().peer
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How many of `wanted` bytes can be sent.
    fn space(&self, wanted: usize) -> io::Result<usize> {
        if self.reset || !self.can_send || (self.output_left == 0 && wanted > 0) {
            return Err(ErrorKind::BrokenPipe.into());
        }
        Ok(usize::try_from(self.output_left).map_or(wanted, |left| left.min(wanted)))
    }
}

/// Without what was sent, which may be confidential.
impl fmt::Debug for MemoryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStream").field("peer", &self.peer_addr()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Stream;
    use std::io::Write;

    fn pair(client: MemoryStream) -> (MemoryStream, Stream) {
        (client.clone(), client.into())
    }

    #[test]
    fn a_client_that_disconnects_receives_so_many_bytes_and_no_more() {
        let (client, stream) = pair(MemoryStream::new("").disconnect_after(5));
        assert_eq!(stream.send(b"abc", false).unwrap(), 3);
        assert_eq!(stream.peer_state(), PeerState::HalfClosed);
        assert_eq!(stream.send(b"defg", false).unwrap(), 2);
        assert_eq!(stream.peer_state(), PeerState::Closed);
        assert_eq!(stream.send(b"fg", false).unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(client.take_output(), b"abcde");
        assert!(client.take_output().is_empty() && !client.is_reset());
    }

    #[test]
    fn files_are_read_to_their_end_and_not_beyond() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let (client, stream) = pair(MemoryStream::new("").disconnect_after(9));
        let sent = [(8, 10), (10, 8), (99, 8), (0, 3), (3, 7)]
            .map(|(offset, count)| stream.send_file(&file, offset, count).unwrap());
        assert_eq!(sent, [2, 0, 0, 3, 4]);
        assert!(stream.send_file(&file, 7, 3).is_err());
        assert_eq!(client.take_output(), b"890123456");
    }

    #[test]
    fn a_reset_is_seen_on_both_ends() {
        let (client, stream) = pair(MemoryStream::new("input"));
        stream.set_reset_on_close(true).unwrap();
        assert!(client.is_reset());
        stream.set_reset_on_close(false).unwrap();
        assert!(!client.is_reset());
        stream.reset().unwrap();
        assert!(client.is_reset());
        assert!(stream.read(&mut [0]).is_err() && stream.send(b"x", false).is_err());
        assert!(stream.shutdown(Shutdown::Write).is_err());
        assert_eq!(stream.peer_state(), PeerState::Closed);
    }

    #[test]
    fn there_is_no_descriptor_and_no_socket_to_take_over() {
        let peer = "[::1]:7".parse().unwrap();
        let stream = Stream::from(MemoryStream::new("").with_peer(peer));
        assert!(stream.fd().is_none());
        assert_eq!(stream.try_clone_socket().unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!((stream.peer_addr(), stream.local_addr().unwrap().port()), (peer, 80));
    }
}
