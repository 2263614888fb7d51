//! A connection through a relay: what another thread or task passes on, slowly for instance, between
//! the client's socket and one end of a socket pair. The other end is the server's, under the client's
//! address.
//!
//! A socket pair has no reset, so the server's resets are reported to the relay by [`RelayEnding`].

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Stream, send};

/// The size of the buffer in which the server's bytes wait for the relay. The system doubles it.
const SEND_BUFFER: usize = 32 << 10;

/// What takes over accepted connections: a function that must not wait.
#[derive(Clone)]
pub struct Relay(Arc<dyn Fn(RelaySockets) + Send + Sync>);

impl Relay {
    /// `take` gets the relay's sockets of each connection.
    pub fn new(take: impl Fn(RelaySockets) + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    /// Has the connection relayed, and returns the server's end.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Unsupported`] if `client` is not a TCP or Unix socket, or the error of the
    /// system. The connection is closed then.
    pub fn relay(&self, client: Stream) -> io::Result<Stream> {
        let (stream, sockets) = Stream::relayed(client)?;
        (self.0)(sockets);
        Ok(stream)
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Relay")
    }
}

/// The relay's sockets of a connection. All bytes of one socket are to be sent to the other, then the end
/// of input. Both sockets are non-blocking.
#[derive(Debug)]
#[non_exhaustive]
pub struct RelaySockets {
    /// The client's socket, TCP or Unix. Closing it resets the connection, until
    /// [`set_reset_on_close`] says otherwise: so a relay that ends early does not make an incomplete
    /// response look complete.
    pub client: TcpStream,
    /// The other end of the server's socket.
    pub server: UnixStream,
    /// How the server has ended the connection.
    pub ending: RelayEnding,
}

impl RelaySockets {
    /// Sets the size of the receive buffer of the client's socket, in bytes: what a client has sent that
    /// was not read yet. Without that, the buffer grows to some megabytes. Errors are ignored.
    pub fn set_receive_buffer(&self, size: usize) {
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&self.client, size);
    }
}

/// How the server has ended a connection, once its end of input was read.
#[derive(Debug, Clone)]
pub struct RelayEnding(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    reset: AtomicBool,
    reset_on_close: AtomicBool,
}

impl RelayEnding {
    /// Whether it is a reset (RST) and not the end of input (FIN).
    #[must_use]
    pub fn is_reset(&self) -> bool {
        self.0.reset.load(Ordering::SeqCst) || self.0.reset_on_close.load(Ordering::SeqCst)
    }
}

/// The server's end.
#[derive(Debug)]
pub(super) struct Relayed {
    pub(super) socket: UnixStream,
    pub(super) peer: SocketAddr,
    local: Option<SocketAddr>,
    flags: Arc<Flags>,
}

impl Relayed {
    /// Both ends of the connection of `client`, which has these addresses.
    pub(super) fn new(
        client: TcpStream,
        peer: SocketAddr,
        local: Option<SocketAddr>,
    ) -> io::Result<(Self, RelaySockets)> {
        let (ours, server) = UnixStream::pair()?;
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(&ours, SEND_BUFFER);
        server.set_nonblocking(true)?;
        client.set_nonblocking(true)?;
        set_reset_on_close(&client, true)?;
        let flags = Arc::<Flags>::default();
        let ending = RelayEnding(flags.clone());
        let relayed = Self { socket: ours, peer, local, flags };
        Ok((relayed, RelaySockets { client, server, ending }))
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.local.ok_or(ErrorKind::NotConnected.into())
    }

    pub(super) fn reset(&self) -> io::Result<()> {
        self.flags.reset.store(true, Ordering::SeqCst);
        self.socket.shutdown(std::net::Shutdown::Both)
    }

    pub(super) fn set_reset_on_close(&self, enabled: bool) {
        self.flags.reset_on_close.store(enabled, Ordering::SeqCst);
    }
}

/// Sets whether closing `socket` resets the connection (RST). A reset discards bytes that were not sent
/// yet. A Unix socket knows no reset.
///
/// # Errors
/// Returns the error of the system.
pub fn set_reset_on_close(socket: impl AsFd, enabled: bool) -> io::Result<()> {
    send::set_reset_on_close(socket, enabled)
}
