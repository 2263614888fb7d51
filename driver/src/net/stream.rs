//! The stream of a connection: a TCP socket, a Unix socket, or bytes in memory; or an encrypted one
//! over any of these (feature `tls`).
//!
//! What a front end does to a connection are the calls of [`Stream`], none of which waits on a
//! non-blocking socket, and waiting until [`Stream::fd`] is readable or writable. A call that
//! would wait returns [`WouldBlock`](std::io::ErrorKind::WouldBlock). The calls send as many bytes
//! as the stream takes, and return their number. They buffer nothing, raise no `SIGPIPE`, and are
//! repeated when a signal interrupts them.
//!
//! A [`MemoryStream`] never waits and has no descriptor: it is for tests and simulations.
//!
//! A stream may begin with a header of the PROXY protocol ([`Stream::proxied`]).
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::{TcpListener, TcpStream};
//! use doorstep_driver::net::Stream;
//! # let mut file = tempfile::tempfile()?;
//! # file.write_all(b"0123456789")?;
//!
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let mut client = TcpStream::connect(listener.local_addr()?)?;
//! let (socket, peer) = listener.accept()?;
//! let stream = Stream::tcp(socket, peer);
//!
//! let more = true; // so that head and body share a packet
//! assert_eq!(stream.send(b"head ", more)?, 5);
//! assert_eq!(stream.send_file(&file, 7, 100)?, 3);
//! drop(stream);
//!
//! let mut received = String::new();
//! client.read_to_string(&mut received)?;
//! assert_eq!(received, "head 789");
//! # Ok::<(), std::io::Error>(())
//! ```

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use doorstep_core::log;
use rustix::net::{RecvFlags, recv};

use super::cut_stream::CutStream;
use super::proxied::Proxied;
use super::received::{MAX_RELAYED_SEND, MAX_UNIX_SEND, Received};
use super::relayed::{RelaySockets, Relayed};
#[cfg(feature = "tls")]
use super::tls::TlsStream;
use super::{Cuts, MemoryStream, PeerState, send};

/// The address of the peer of a Unix socket, which has no IP address ([`log::UNIX_PEER`]).
pub const UNIX_PEER: SocketAddr = SocketAddr::new(log::UNIX_PEER, 0);

/// An accepted connection: its socket and the peer's address, or bytes in memory.
#[derive(Debug)]
pub struct Stream(Kind);

/// The discriminant lies in that of the address, so that all of it is as small as the first variant.
#[derive(Debug)]
enum Kind {
    Tcp {
        socket: TcpStream,
        ip: IpAddr,
        port: u16,
    },
    Unix(UnixStream),
    Memory(MemoryStream),
    Proxied(Box<Proxied>),
    Relayed(Box<Relayed>),
    Cut(Box<CutStream>),
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream>),
}

const _: () = assert!(size_of::<Stream>() <= 24, "every idle connection has one");

impl Stream {
    /// An accepted TCP connection.
    #[must_use]
    pub fn tcp(socket: TcpStream, peer: SocketAddr) -> Self {
        Self(Kind::Tcp { socket, ip: peer.ip(), port: peer.port() })
    }

    /// An accepted connection of a Unix socket. Its peer's address is [`UNIX_PEER`].
    #[must_use]
    pub fn unix(socket: UnixStream) -> Self {
        Self(Kind::Unix(socket))
    }

    /// A connection that another program has accepted, TCP or a Unix socket.
    ///
    /// # Errors
    /// Returns `InvalidInput` if it is not a socket, or not a stream socket of one of these kinds,
    /// `NotConnected` if it is not connected, such as a listening one, or the error of the system.
    pub fn from_socket(socket: OwnedFd) -> io::Result<Self> {
        use rustix::io::Errno;
        use rustix::net::{AddressFamily, SocketType, getsockname, sockopt};

        let invalid = |what| io::Error::new(ErrorKind::InvalidInput, what);
        let addr = match getsockname(&socket) {
            Err(Errno::NOTSOCK) => return Err(invalid("it is not a socket")),
            addr => addr?,
        };
        if sockopt::socket_type(&socket)? != SocketType::STREAM {
            return Err(invalid("it is a datagram socket"));
        }
        match addr.address_family() {
            AddressFamily::INET | AddressFamily::INET6 => {
                let socket = TcpStream::from(socket);
                let peer = socket.peer_addr()?;
                let _ = socket.set_nodelay(true);
                Ok(Self::tcp(socket, peer))
            }
            AddressFamily::UNIX => {
                let socket = UnixStream::from(socket);
                socket.peer_addr()?;
                Ok(Self::unix(socket))
            }
            _ => Err(invalid("it is neither a TCP nor a Unix socket")),
        }
    }

    /// A stream that begins with a header of the PROXY protocol, version 1 or 2. Only for the
    /// connections of trusted proxies: [`Stream::peer_addr`] and [`Stream::local_addr`] are those of
    /// the header, once it was read, unless it has none (`LOCAL`, `UNKNOWN`).
    ///
    /// The first read consumes the header. A stream without a valid one of at most
    /// [`MAX_SIZE`](doorstep_core::proxy_protocol::MAX_SIZE) bytes cannot be read: reading returns an
    /// error, and the connection is to be closed.
    ///
    /// ```
    /// use doorstep_driver::net::{MemoryStream, Stream};
    ///
    /// let sent = "PROXY TCP4 192.0.2.7 198.51.100.1 50123 443\r\nGET / HTTP/1.1\r\n";
    /// let stream = Stream::proxied(MemoryStream::new(sent).into());
    /// let mut buffer = [0; 100];
    /// assert!(stream.read(&mut buffer).is_err(), "interrupted: only the header was read");
    /// assert_eq!(stream.read(&mut buffer)?, 16);
    /// assert_eq!(stream.peer_addr().to_string(), "192.0.2.7:50123");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn proxied(stream: Self) -> Self {
        Self(Kind::Proxied(Box::new(Proxied::new(stream))))
    }

    /// The server's end of a connection that is relayed, and the relay's sockets ([`Relay`](super::Relay)).
    /// Its addresses are those of `client`.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Unsupported`] if `client` is not a TCP or Unix socket, or the error of the
    /// system.
    pub fn relayed(client: Self) -> io::Result<(Self, RelaySockets)> {
        let (peer, local) = (client.peer_addr(), client.local_addr().ok());
        let socket = match client.0 {
            Kind::Tcp { socket, .. } => socket,
            Kind::Unix(socket) => OwnedFd::from(socket).into(),
            _ => return Err(ErrorKind::Unsupported.into()),
        };
        let (relayed, sockets) = Relayed::new(socket, peer, local)?;
        Ok((Self(Kind::Relayed(Box::new(relayed))), sockets))
    }

    /// A stream whose responses are cut as `cuts` says, for tests of clients. Nothing else may be over
    /// it, such as TLS.
    ///
    /// ```
    /// use doorstep_driver::net::{Cuts, MemoryStream, Stream};
    ///
    /// let cuts = Cuts::new(5.0, 42).expect("it is a percentage");
    /// let stream = Stream::with_cuts(MemoryStream::new("GET / HTTP/1.0\r\n\r\n").into(), cuts.into());
    /// # drop(stream);
    /// ```
    #[must_use]
    pub fn with_cuts(stream: Self, cuts: Arc<Cuts>) -> Self {
        Self(Kind::Cut(Box::new(CutStream::new(stream, cuts))))
    }

    /// The cuts of the stream.
    pub(crate) fn cut_stream(&self) -> Option<&CutStream> {
        match &self.0 {
            Kind::Cut(cut) => Some(cut),
            _ => None,
        }
    }

    /// The stream below TLS, or this one.
    pub(super) fn transport(&self) -> &Self {
        match &self.0 {
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => tls.inner(),
            _ => self,
        }
    }

    /// Whether the header of the PROXY protocol has not arrived completely.
    #[must_use]
    pub fn awaits_proxy_header(&self) -> bool {
        match &self.0 {
            Kind::Proxied(proxied) => proxied.header().is_none(),
            Kind::Cut(cut) => cut.inner.awaits_proxy_header(),
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => tls.inner().awaits_proxy_header(),
            _ => false,
        }
    }

    /// Whether the client is known to use HTTPS: the connection is encrypted, or a proxy has reported so
    /// in its PROXY protocol header.
    #[must_use]
    pub fn is_https(&self) -> bool {
        match &self.0 {
            Kind::Proxied(proxied) => proxied.header().is_some_and(|header| header.tls),
            Kind::Cut(cut) => cut.inner.is_https(),
            _ => self.is_encrypted(),
        }
    }

    /// Reads as [`Stream::read`] does, and leaves the bytes to be read again.
    pub(super) fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.0 {
            Kind::Tcp { socket, .. } => socket.peek(buffer),
            Kind::Unix(socket) => Ok(recv(socket, buffer, RecvFlags::PEEK)?.0),
            Kind::Memory(memory) => memory.peek(buffer),
            Kind::Proxied(proxied) => proxied.inner.peek(buffer),
            Kind::Relayed(relayed) => Ok(recv(&relayed.socket, buffer, RecvFlags::PEEK)?.0),
            Kind::Cut(cut) => cut.inner.peek(buffer),
            // Never: a PROXY protocol header comes before TLS.
            #[cfg(feature = "tls")]
            Kind::Tls(_) => Err(ErrorKind::Unsupported.into()),
        }
    }

    /// Reads once into `buffer`. Returns the number of bytes, 0 at the end of input.
    ///
    /// # Errors
    /// Returns `WouldBlock` if a non-blocking socket has nothing now, `Interrupted` if a signal has
    /// arrived or a PROXY protocol header was read, `InvalidData` if that is invalid, or another error
    /// if the connection is lost.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.0 {
            Kind::Tcp { socket, .. } => (&*socket).read(buffer),
            Kind::Unix(socket) => (&*socket).read(buffer),
            Kind::Memory(memory) => memory.read(buffer),
            Kind::Proxied(proxied) => proxied.read(buffer),
            Kind::Relayed(relayed) => (&relayed.socket).read(buffer),
            Kind::Cut(cut) => cut.inner.read(buffer),
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => tls.read(buffer),
        }
    }

    /// Sends the first of `bytes`, and returns how many. With `more`, the kernel may delay them
    /// until more is sent (`MSG_MORE`).
    ///
    /// # Errors
    /// Returns `WouldBlock` if a non-blocking socket takes nothing now, or another error if nothing
    /// can be sent any more.
    pub fn send(&self, bytes: &[u8], more: bool) -> io::Result<usize> {
        match &self.0 {
            Kind::Tcp { socket, .. } => send::send(socket, bytes, more),
            Kind::Unix(socket) => send::send(socket, first(bytes, MAX_UNIX_SEND), more),
            Kind::Memory(memory) => memory.send(bytes),
            Kind::Proxied(proxied) => proxied.inner.send(bytes, more),
            Kind::Relayed(relayed) => {
                send::send(&relayed.socket, first(bytes, MAX_RELAYED_SEND), more)
            }
            Kind::Cut(cut) => cut
                .send_by(bytes.len(), |inner, n| inner.send(&bytes[..n], more && n == bytes.len())),
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => tls.send(bytes, more),
        }
    }

    /// Sends as [`Stream::send`] does, without waiting, on a socket that is blocking.
    ///
    /// # Errors
    /// Returns the same errors as [`Stream::send`].
    pub fn send_nonblocking(&self, bytes: &[u8], more: bool) -> io::Result<usize> {
        match &self.0 {
            Kind::Tcp { socket, .. } => send::send_nonblocking(socket, bytes, more),
            Kind::Unix(socket) => send::send_nonblocking(socket, bytes, more),
            Kind::Memory(memory) => memory.send(bytes),
            Kind::Proxied(proxied) => proxied.inner.send_nonblocking(bytes, more),
            Kind::Relayed(relayed) => send::send_nonblocking(&relayed.socket, bytes, more),
            Kind::Cut(cut) => cut.send_by(bytes.len(), |inner, n| {
                inner.send_nonblocking(&bytes[..n], more && n == bytes.len())
            }),
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => tls.send_nonblocking(bytes, more),
        }
    }

    /// Sends at most `count` bytes of `file` from `offset` by `sendfile`, or by reading and sending
    /// them where the system, the file or the stream does not support that. Returns the number of
    /// bytes sent; if `count` is not 0, 0 means that the file ends at `offset`.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or the error of [`Stream::send`].
    pub fn send_file(&self, file: &File, offset: u64, count: usize) -> io::Result<usize> {
        match &self.0 {
            Kind::Tcp { socket, .. } => send::send_file(socket, file, offset, count),
            Kind::Unix(socket) => send::send_file(socket, file, offset, count.min(MAX_UNIX_SEND)),
            Kind::Memory(memory) => memory.send_file(file, offset, count),
            Kind::Proxied(proxied) => proxied.inner.send_file(file, offset, count),
            Kind::Relayed(relayed) => {
                send::send_file(&relayed.socket, file, offset, count.min(MAX_RELAYED_SEND))
            }
            Kind::Cut(cut) => cut.send_file(file, offset, count),
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => tls.send_file(file, offset, count),
        }
    }

    /// Closes one half of the connection, or both. A closed sending half sends FIN; reading from a
    /// closed reading half returns what has arrived, and then the end of input.
    ///
    /// # Errors
    /// Returns the error of the system, for instance if the connection is closed already.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match &self.0 {
            Kind::Tcp { socket, .. } => socket.shutdown(how),
            Kind::Unix(socket) => socket.shutdown(how),
            Kind::Memory(memory) => memory.shutdown(how),
            Kind::Proxied(proxied) => proxied.inner.shutdown(how),
            Kind::Relayed(relayed) => relayed.socket.shutdown(how),
            Kind::Cut(cut) => cut.inner.shutdown(how),
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => tls.shutdown(how),
        }
    }

    /// Resets the connection now (RST). A Unix socket knows no reset: it is closed in both
    /// directions, and its peer finds the end of input.
    ///
    /// # Errors
    /// Returns the error of the system, for instance if another thread is sending at this moment,
    /// or if the system does not support it.
    pub fn reset(&self) -> io::Result<()> {
        match &self.0 {
            Kind::Tcp { socket, .. } => send::reset(socket),
            Kind::Unix(socket) => socket.shutdown(Shutdown::Both),
            Kind::Memory(memory) => {
                memory.reset();
                Ok(())
            }
            Kind::Proxied(proxied) => proxied.inner.reset(),
            Kind::Relayed(relayed) => relayed.reset(),
            Kind::Cut(cut) => cut.inner.reset(),
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => tls.reset(),
        }
    }

    /// Sets whether closing the stream resets the connection (RST), even if it is closed by the end
    /// of this process. A reset discards bytes that were not sent yet.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn set_reset_on_close(&self, enabled: bool) -> io::Result<()> {
        match &self.0 {
            Kind::Tcp { socket, .. } => send::set_reset_on_close(socket, enabled),
            Kind::Unix(_) => Ok(()),
            Kind::Memory(memory) => {
                memory.set_reset_on_close(enabled);
                Ok(())
            }
            Kind::Proxied(proxied) => proxied.inner.set_reset_on_close(enabled),
            Kind::Relayed(relayed) => {
                relayed.set_reset_on_close(enabled);
                Ok(())
            }
            Kind::Cut(cut) => cut.inner.set_reset_on_close(enabled),
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => tls.set_reset_on_close(enabled),
        }
    }

    /// The state of the peer's half of the connection. Costs one system call.
    #[must_use]
    pub fn peer_state(&self) -> PeerState {
        match &self.0 {
            Kind::Tcp { socket, .. } => PeerState::of(socket),
            Kind::Unix(socket) => PeerState::of(socket),
            Kind::Memory(memory) => memory.peer_state(),
            Kind::Proxied(proxied) => proxied.inner.peer_state(),
            Kind::Relayed(relayed) => PeerState::of(&relayed.socket),
            Kind::Cut(cut) => cut.inner.peer_state(),
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => tls.inner().peer_state(),
        }
    }

    /// How much the peer has received; `None` if that is not known.
    pub(crate) fn received_by_peer(&self) -> Option<Received> {
        match &self.0 {
            Kind::Tcp { socket, .. } => Received::over_tcp(socket),
            Kind::Unix(socket) => Received::over_unix(socket),
            Kind::Relayed(relayed) => Received::over_unix(&relayed.socket),
            Kind::Memory(_) => None,
            Kind::Proxied(proxied) => proxied.inner.received_by_peer(),
            Kind::Cut(cut) => cut.inner.received_by_peer(),
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => tls.inner().received_by_peer(),
        }
    }

    /// The peer's address and port; [`UNIX_PEER`] if it has none.
    #[must_use]
    pub fn peer_addr(&self) -> SocketAddr {
        match &self.0 {
            Kind::Tcp { ip, port, .. } => (*ip, *port).into(),
            Kind::Unix(_) => UNIX_PEER,
            Kind::Memory(memory) => memory.peer_addr(),
            Kind::Proxied(proxied) => proxied.peer_addr(),
            Kind::Relayed(relayed) => relayed.peer,
            Kind::Cut(cut) => cut.inner.peer_addr(),
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => tls.inner().peer_addr(),
        }
    }

    /// The address and port that the peer is connected to; [`UNIX_PEER`] if it is a Unix socket.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.0 {
            Kind::Tcp { socket, .. } => socket.local_addr(),
            Kind::Unix(_) => Ok(UNIX_PEER),
            Kind::Memory(_) => Ok(MemoryStream::LOCAL_ADDR),
            Kind::Proxied(proxied) => proxied.local_addr(),
            Kind::Relayed(relayed) => relayed.local_addr(),
            Kind::Cut(cut) => cut.inner.local_addr(),
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => tls.inner().local_addr(),
        }
    }

    /// Sets whether reading and sending return `WouldBlock` instead of waiting. A stream in memory
    /// never waits.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn set_nonblocking(&self, enabled: bool) -> io::Result<()> {
        match &self.0 {
            Kind::Tcp { socket, .. } => socket.set_nonblocking(enabled),
            Kind::Unix(socket) => socket.set_nonblocking(enabled),
            Kind::Memory(_) => Ok(()),
            Kind::Proxied(proxied) => proxied.inner.set_nonblocking(enabled),
            Kind::Relayed(relayed) => relayed.socket.set_nonblocking(enabled),
            Kind::Cut(cut) => cut.inner.set_nonblocking(enabled),
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => tls.inner().set_nonblocking(enabled),
        }
    }

    /// The descriptor to wait for until the stream is readable or writable; `None` if it never has
    /// to be waited for.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.0 {
            Kind::Tcp { socket, .. } => Some(socket.as_fd()),
            Kind::Unix(socket) => Some(socket.as_fd()),
            Kind::Memory(_) => None,
            Kind::Proxied(proxied) => proxied.inner.fd(),
            Kind::Relayed(relayed) => Some(relayed.socket.as_fd()),
            Kind::Cut(cut) => cut.inner.fd(),
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => tls.inner().fd(),
        }
    }

    /// Whether the connection is encrypted (TLS). A client that speaks plain HTTP to a port of HTTPS
    /// is not.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.tls_version().is_some()
    }

    /// The version of TLS: `TLSv1.2` or `TLSv1.3`; `None` if the connection is not encrypted, or its
    /// handshake is not complete.
    #[must_use]
    pub fn tls_version(&self) -> Option<&'static str> {
        match &self.0 {
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => tls.version(),
            Kind::Cut(cut) => cut.inner.tls_version(),
            _ => None,
        }
    }

    /// Whether it is to be encrypted and the handshake is not complete.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        match &self.0 {
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => tls.is_handshaking(),
            Kind::Cut(cut) => cut.inner.is_handshaking(),
            _ => false,
        }
    }

    /// Whether it was to be encrypted, and the client speaks plain HTTP. It is not encrypted then.
    #[must_use]
    pub fn is_plain_on_tls(&self) -> bool {
        match &self.0 {
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => tls.is_plain_http(),
            Kind::Cut(cut) => cut.inner.is_plain_on_tls(),
            _ => false,
        }
    }

    /// Whether there may be something to read, although the last read has not filled its buffer. Then
    /// read again before waiting for the descriptor. Always false unless the stream is encrypted.
    #[must_use]
    pub fn has_more(&self) -> bool {
        match &self.0 {
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => tls.has_more(),
            Kind::Cut(cut) => cut.inner.has_more(),
            _ => false,
        }
    }

    /// Whether a read that returned `WouldBlock` also waits to send, which is part of the protocol of
    /// an encrypted stream. Then wait until the descriptor is readable *or* writable, and read again.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        match &self.0 {
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => tls.wants_write(),
            Kind::Cut(cut) => cut.inner.wants_write(),
            _ => false,
        }
    }

    /// A second handle of the socket, for another protocol (RFC 9110 §7.8). That of a Unix socket
    /// can be read and written, but has no addresses.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Unsupported`] if there is no socket, or the error of the system.
    pub fn try_clone_socket(&self) -> io::Result<TcpStream> {
        match &self.0 {
            Kind::Tcp { socket, .. } => socket.try_clone(),
            Kind::Unix(socket) => Ok(OwnedFd::from(socket.try_clone()?).into()),
            Kind::Memory(_) => {
                let message = "the connection is in memory: it has no socket for another protocol";
                Err(io::Error::new(ErrorKind::Unsupported, message))
            }
            Kind::Proxied(proxied) => proxied.inner.try_clone_socket(),
            Kind::Relayed(relayed) => Ok(OwnedFd::from(relayed.socket.try_clone()?).into()),
            Kind::Cut(cut) => cut.inner.try_clone_socket(),
            #[cfg(feature = "tls")]
            Kind::Tls(_) => {
                let message = "the connection is encrypted: its socket is of no use for another \
                               protocol";
                Err(io::Error::new(ErrorKind::Unsupported, message))
            }
        }
    }
}

fn first(bytes: &[u8], max: usize) -> &[u8] {
    &bytes[..bytes.len().min(max)]
}

impl Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Stream::read(self, buffer)
    }
}

impl From<MemoryStream> for Stream {
    fn from(memory: MemoryStream) -> Self {
        Self(Kind::Memory(memory))
    }
}

#[cfg(feature = "tls")]
impl From<TlsStream> for Stream {
    fn from(tls: TlsStream) -> Self {
        Self(Kind::Tls(Box::new(tls)))
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
