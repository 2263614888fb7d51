//! A listening socket: TCP, or a Unix socket.
//!
//! What the connections of a listener have in common is set here, before it is given to an
//! [`Acceptor`](super::Acceptor), which makes a [`Stream`] of each connection that it accepts.
//!
//! ```
//! use doorstep_driver::net::{Listener, ListenerAddr};
//! use std::net::TcpListener;
//!
//! let listener = Listener::from(TcpListener::bind("127.0.0.1:0")?);
//! let ListenerAddr::Tcp(address) = listener.addr() else { unreachable!("it is a TCP socket") };
//! assert_ne!(address.port(), 0);
//! # Ok::<(), std::io::Error>(())
//! ```

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{SocketAddr as UnixSocketAddr, UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::net::{Shutdown, shutdown, sockopt};

#[cfg(feature = "tls")]
use super::TlsSettings;
use super::unix::SocketFile;
use super::{Cuts, Relay, Stream, TrustedProxies, deferral};
use crate::os;

/// A socket that listens, and what its connections have in common.
#[derive(Debug)]
pub struct Listener {
    /// The file of a Unix socket that was made here. It is removed before the socket is closed.
    file: Option<SocketFile>,
    socket: Socket,
    /// Another process has the socket, too.
    shared: bool,
    /// Whose connections begin with a PROXY protocol header.
    proxies: TrustedProxies,
    /// What passes the bytes of its connections on.
    relay: Option<Relay>,
    cuts: Option<Arc<Cuts>>,
    #[cfg(feature = "tls")]
    tls: Option<Arc<TlsSettings>>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The address of a [`Listener`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenerAddr {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// The path of a Unix socket; `None` if it has no name in the file system.
    Unix(Option<PathBuf>),
    /// The name of a Unix socket in the abstract namespace of Linux.
    UnixAbstract(Vec<u8>),
}

impl fmt::Display for ListenerAddr {
    /// As in `127.0.0.1:8000`, `unix:/run/doorstep.sock` and `unix:@name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(Some(path)) => write!(f, "unix:{}", path.display()),
            Self::Unix(None) => f.write_str("unix:"),
            Self::UnixAbstract(name) => write!(f, "unix:@{}", name.escape_ascii()),
        }
    }
}

impl Listener {
    fn new(socket: Socket) -> Self {
        Self {
            file: None,
            socket,
            shared: false,
            proxies: TrustedProxies::default(),
            relay: None,
            cuts: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// A Unix socket whose `file` was made here.
    pub(super) fn with_file(socket: UnixListener, file: SocketFile) -> Self {
        Self { file: Some(file), ..socket.into() }
    }

    /// Another process has the socket, too, such as a service manager that gives it to the next
    /// instance of this server. So a stop leaves it as it is: this server accepts nothing more, and
    /// the connections in its backlog wait for the next one. Otherwise a stop accepts those, and
    /// shuts the socket down.
    ///
    /// ```
    /// use doorstep_driver::net::{Acceptor, Listener};
    /// use std::net::{TcpListener, TcpStream};
    ///
    /// let kept = TcpListener::bind("127.0.0.1:0")?;
    /// let acceptor = Acceptor::new(vec![Listener::from(kept.try_clone()?).with_shared(true)])?;
    /// acceptor.stop();
    /// let client = TcpStream::connect(kept.local_addr()?)?;
    /// let next = Acceptor::new(vec![Listener::from(kept)])?;
    /// assert!(next.accept()?.is_some());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn with_shared(mut self, shared: bool) -> Self {
        self.shared = shared;
        self
    }

    /// Whether another process has the socket, too ([`Listener::with_shared`]).
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// Encrypts the connections (HTTPS).
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls(mut self, tls: Arc<TlsSettings>) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Whether its connections are encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        false
    }

    /// The address that it listens on.
    #[must_use]
    pub fn addr(&self) -> ListenerAddr {
        match &self.socket {
            Socket::Tcp(socket) => socket.local_addr().map_or(UNKNOWN, ListenerAddr::Tcp),
            Socket::Unix(socket) => {
                let addr = socket.local_addr().ok();
                let name = addr.as_ref().and_then(abstract_name).map(Into::into);
                let path = || addr.as_ref().and_then(|addr| addr.as_pathname()).map(Into::into);
                name.map_or_else(|| ListenerAddr::Unix(path()), ListenerAddr::UnixAbstract)
            }
        }
    }

    /// The connections of the proxies in `trusted` begin with a header of the PROXY protocol, version 1
    /// or 2 ([`Stream::proxied`]); a connection without a valid one is closed. Those of other peers
    /// have none, and are served under their own address: what looks like a header there is
    /// malformed HTTP.
    ///
    /// ```
    /// use doorstep_driver::net::Listener;
    /// use std::net::TcpListener;
    ///
    /// let listener = Listener::from(TcpListener::bind("127.0.0.1:0")?);
    /// let trusted = "10.0.0.0/8".parse().expect("it is a network");
    /// let listener = listener.with_proxy_protocol(trusted);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn with_proxy_protocol(mut self, trusted: TrustedProxies) -> Self {
        self.proxies = trusted;
        self
    }

    /// The bytes of its connections pass through `relay`, which may slow them down: for tests of
    /// clients.
    #[must_use]
    pub fn with_relay(mut self, relay: Relay) -> Self {
        self.relay = Some(relay);
        self
    }

    /// Cuts responses on purpose, as `cuts` says: for tests of clients. The log shows it
    /// ([`Ending::CutOnPurpose`](crate::Ending::CutOnPurpose)).
    ///
    /// ```
    /// use doorstep_driver::net::{Cuts, Listener};
    /// use std::net::TcpListener;
    ///
    /// let listener = Listener::from(TcpListener::bind("127.0.0.1:0")?);
    /// let cuts = Cuts::new(5.0, 42).expect("it is a percentage");
    /// let listener = listener.with_cuts(cuts.into());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn with_cuts(mut self, cuts: Arc<Cuts>) -> Self {
        self.cuts = Some(cuts);
        self
    }

    /// Sets whether accepting returns `WouldBlock` instead of waiting.
    pub(super) fn set_nonblocking(&self, enabled: bool) -> io::Result<()> {
        match &self.socket {
            Socket::Tcp(socket) => socket.set_nonblocking(enabled),
            Socket::Unix(socket) => socket.set_nonblocking(enabled),
        }
    }

    /// Accepts a connection, whose socket waits unless it is to be `nonblocking`.
    pub(super) fn accept(&self, nonblocking: bool) -> io::Result<Stream> {
        let mut stream = self.accept_socket(nonblocking)?;
        if let Some(relay) = &self.relay {
            stream = relay.relay(stream)?;
            stream.set_nonblocking(nonblocking)?;
        }
        let is_proxied = self.proxies.contains(stream.peer_addr().ip());
        let stream = if is_proxied { Stream::proxied(stream) } else { stream };
        #[cfg(feature = "tls")]
        let stream = match &self.tls {
            Some(tls) => tls.accept(stream)?,
            None => stream,
        };
        Ok(match &self.cuts {
            Some(cuts) => Stream::with_cuts(stream, cuts.clone()),
            None => stream,
        })
    }

    fn accept_socket(&self, nonblocking: bool) -> io::Result<Stream> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (socket, peer) = accept(listener, nonblocking)?;
                let peer = peer.ok_or(io::ErrorKind::InvalidData)?;
                Ok(Stream::tcp(TcpStream::from(socket), peer))
            }
            Socket::Unix(listener) => {
                let (socket, _) = accept(listener, nonblocking)?;
                Ok(Stream::unix(UnixStream::from(socket)))
            }
        }
    }

    /// From now on no connection can begin, but those that have begun can be accepted. Removes the file
    /// of a Unix socket. Returns whether the system supports that.
    pub(super) fn refuse_new(&self) -> bool {
        match &self.socket {
            Socket::Tcp(listener) => refuse_handshakes(listener),
            // Clients are refused. What is in the backlog can be accepted afterwards. The file is removed
            // before anybody sees the stop, since the process may end then.
            Socket::Unix(listener) => {
                let is_refused = shutdown(listener, Shutdown::Read).is_ok();
                self.file.iter().for_each(SocketFile::remove);
                is_refused
            }
        }
    }

    /// Sets whether a connection may be accepted only when it has sent something, or a second after it
    /// began. Returns false if it cannot be set: on a Unix socket, one that another process has, too, and
    /// on other systems than Linux.
    pub(super) fn set_deferred(&self, deferred: bool) -> bool {
        matches!(self.socket, Socket::Tcp(_))
            && !self.shared
            && os::set_defer_accept(self, u8::from(deferred))
    }

    /// Whether there are connections that are not in the backlog yet: their handshake is not complete,
    /// or they are deferred.
    ///
    /// # Errors
    /// Returns an error if the system does not report that.
    pub(super) fn has_handshakes(&self) -> io::Result<bool> {
        match &self.socket {
            Socket::Tcp(socket) => deferral::has_handshakes(socket.local_addr()?),
            Socket::Unix(_) => Ok(false),
        }
    }

    /// Wakes the threads that wait in `accept`, on Linux.
    pub(super) fn shut_down(&self) {
        let _ = shutdown(self, Shutdown::Both);
    }

    /// Whether a thread that waits in `accept` is woken by [`Listener::shut_down`], and no
    /// connection is lost by that.
    pub(super) fn is_woken_by_shut_down(&self) -> bool {
        matches!(self.socket, Socket::Tcp(_)) && !self.shared
    }
}

/// The address of a socket whose address the system does not report.
const UNKNOWN: ListenerAddr =
    ListenerAddr::Tcp(SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0));

impl From<TcpListener> for Listener {
    fn from(socket: TcpListener) -> Self {
        let _ = sockopt::set_tcp_nodelay(&socket, true); // connections inherit it
        Self::new(Socket::Tcp(socket))
    }
}

impl From<UnixListener> for Listener {
    fn from(socket: UnixListener) -> Self {
        Self::new(Socket::Unix(socket))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Unix(socket) => socket.as_fd(),
        }
    }
}

#[cfg(target_os = "linux")]
fn abstract_name(address: &UnixSocketAddr) -> Option<&[u8]> {
    std::os::linux::net::SocketAddrExt::as_abstract_name(address)
}

#[cfg(not(target_os = "linux"))]
fn abstract_name(_: &UnixSocketAddr) -> Option<&[u8]> {
    None
}

/// Stops TCP handshakes from beginning: a filter on the socket drops every segment with the SYN
/// flag. Returns whether the system supports that.
#[cfg(target_os = "linux")]
fn refuse_handshakes(listener: &TcpListener) -> bool {
    use socket2::{SockFilter, SockRef};

    /// The offset of the flags in a TCP header, in bytes (RFC 9293 §3.1).
    const FLAGS: u32 = 13;
    const SYN: u32 = 2;
    /// Classic BPF: load that byte, jump if the flag is set, drop or pass.
    const PROGRAM: [SockFilter; 4] = [
        SockFilter::new(0x30, 0, 0, FLAGS),
        SockFilter::new(0x45, 0, 1, SYN),
        SockFilter::new(0x06, 0, 0, 0),
        SockFilter::new(0x06, 0, 0, u32::MAX),
    ];
    os::LINUX && SockRef::from(listener).attach_filter(&PROGRAM).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn refuse_handshakes(_: &TcpListener) -> bool {
    false
}

/// Accepts by one system call.
#[cfg(target_os = "linux")]
fn accept(listener: impl AsFd, nonblocking: bool) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
    use rustix::io::{Errno, FdFlags, fcntl_setfd, ioctl_fionbio};
    use rustix::net::{SocketFlags, acceptfrom, acceptfrom_with};

    let mut flags = SocketFlags::CLOEXEC;
    flags.set(SocketFlags::NONBLOCK, nonblocking);
    let (socket, peer) = match acceptfrom_with(&listener, flags) {
        // A sandbox may not know the call. A firewall may have refused one connection, which looks
        // the same.
        Err(Errno::NOSYS | Errno::PERM) => {
            let (socket, peer) = acceptfrom(&listener)?;
            fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
            ioctl_fionbio(&socket, nonblocking)?;
            (socket, peer)
        }
        accepted => accepted?,
    };
    Ok((socket, peer.and_then(|peer| peer.try_into().ok())))
}

#[cfg(not(target_os = "linux"))]
fn accept(listener: impl AsFd, nonblocking: bool) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
    use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};

    let (socket, peer) = rustix::net::acceptfrom(&listener)?;
    fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    ioctl_fionbio(&socket, nonblocking)?; // except on Linux, it is inherited
    Ok((socket, peer.and_then(|peer| peer.try_into().ok())))
}

#[cfg(test)]
mod tests {
    use super::super::{Acceptor, UNIX_PEER};
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn connections_of_any_tcp_listener_send_without_delay() {
        let listener = Listener::from(TcpListener::bind("127.0.0.1:0").unwrap());
        let ListenerAddr::Tcp(address) = listener.addr() else { panic!("it is TCP") };
        let _client = TcpStream::connect(address).unwrap();
        let Socket::Tcp(socket) = &listener.socket else { panic!("it is TCP") };
        let (accepted, _) = socket.accept().unwrap();
        assert!(accepted.nodelay().unwrap());
    }

    #[test]
    fn a_unix_socket_is_accepted_from_and_its_backlog_survives_a_stop() {
        for nonblocking in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("socket");
            let listeners = vec![Listener::from(UnixListener::bind(&path).unwrap())];
            assert_eq!(listeners[0].addr(), ListenerAddr::Unix(Some(path.clone())));
            let acceptor = match nonblocking {
                true => Acceptor::nonblocking(listeners).unwrap(),
                false => Acceptor::new(listeners).unwrap(),
            };
            assert!(acceptor.addresses().is_empty());
            let mut clients = [(); 3].map(|()| UnixStream::connect(&path).unwrap());
            let stream = acceptor.accept().unwrap().unwrap();
            assert_eq!((stream.peer_addr(), stream.local_addr().unwrap()), (UNIX_PEER, UNIX_PEER));
            stream.send(b"x", true).unwrap();
            clients[0].read_exact(&mut [0]).unwrap();

            acceptor.stop();
            assert!(UnixStream::connect(&path).is_err());
            for client in &mut clients[1..] {
                client.write_all(b"y").unwrap();
                let stream = acceptor.accept().unwrap().unwrap();
                assert_eq!(stream.read(&mut [0; 9]).unwrap(), 1);
            }
            assert!(acceptor.accept().unwrap().is_none());
        }
    }
}
