//! Sockets that this process has inherited: listening ones by socket activation (`LISTEN_FDS`, as
//! systemd and others pass them), or one connection on standard input (inetd).
//!
//! ```
//! use doorstep_driver::net::{self, Acceptor};
//!
//! // First of all, before the program opens files or starts threads:
//! let inherited = net::inherited_listeners()?;
//! let listeners: Vec<_> = inherited.into_iter().map(|socket| socket.listener).collect();
//! if listeners.is_empty() {
//!     // Not started by a service manager: bind instead.
//! } else {
//!     let acceptor = Acceptor::new(listeners)?;
//! }
//! # Ok::<(), std::io::Error>(())
//! ```

use std::env;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;

use listenfd::ListenFd;

use super::{Listener, Stream};
use crate::os;

/// The first descriptor that is passed.
const FIRST_FD: usize = 3;

/// A listening socket that was inherited.
#[derive(Debug)]
pub struct InheritedListener {
    /// Its name (`LISTEN_FDNAMES`): `FileDescriptorName=` of the socket unit, by default the name of
    /// the unit. Empty if it has none.
    pub name: String,
    /// The socket. It is [shared](Listener::with_shared): a stop leaves it to the next instance.
    pub listener: Listener,
}

/// The listening sockets that this process has inherited, TCP and Unix, in their order: none unless
/// `LISTEN_PID` is its number. They are taken once: `LISTEN_FDS` and `LISTEN_PID` are removed from
/// the environment.
///
/// To be called before the program opens files, since a wrong `LISTEN_FDS` would name those, and
/// before it starts threads, since other threads may read the environment.
///
/// # Errors
/// Returns `InvalidInput` if `LISTEN_FDS` is not a number or too large, or if one of them is not a
/// stream socket that listens, such as a datagram socket or a connection: the error names it.
pub fn inherited_listeners() -> io::Result<Vec<InheritedListener>> {
    let number = |name| env::var(name).ok().and_then(|value| value.parse::<u32>().ok());
    if number("LISTEN_PID") != Some(std::process::id()) {
        return Ok(Vec::new());
    }
    let count = number("LISTEN_FDS").map_or(usize::MAX, |count| count as usize);
    if count > os::descriptor_limit() {
        return Err(invalid("LISTEN_FDS is not the number of descriptors that were passed".into()));
    }
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut sockets = ListenFd::from_env();
    let next = |index| {
        let name = names.next().unwrap_or_default().to_owned();
        let listener = take(&mut sockets, index, &name)?;
        Ok(InheritedListener { name, listener: listener.with_shared(true) })
    };
    (0..count).map(next).collect()
}

fn take(sockets: &mut ListenFd, index: usize, name: &str) -> io::Result<Listener> {
    let invalid = |what: &str| {
        let name = if name.is_empty() { String::new() } else { format!(" ({name:?})") };
        Err(invalid(format!("descriptor {}{name} is {what}", FIRST_FD + index)))
    };
    let listener: Listener =
        match (sockets.take_unix_listener(index), sockets.take_tcp_listener(index)) {
            (Ok(Some(socket)), _) => socket.into(),
            (_, Ok(Some(socket))) => socket.into(),
            _ if matches!(sockets.take_udp_socket(index), Ok(Some(_)))
                || matches!(sockets.take_unix_datagram(index), Ok(Some(_))) =>
            {
                return invalid("a datagram socket, not one of TCP or a Unix stream socket");
            }
            _ => return invalid("not a TCP or Unix stream socket"),
        };
    if !listens(&listener) {
        return invalid("a connection, not a listening socket");
    }
    Ok(listener)
}

#[cfg(any(target_os = "linux", target_os = "freebsd"))]
fn listens(socket: impl AsFd) -> bool {
    rustix::net::sockopt::socket_acceptconn(socket).unwrap_or(true)
}

#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
fn listens(_: impl AsFd) -> bool {
    true
}

fn invalid(message: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, message)
}

/// The connection on standard input, as inetd and systemd (`Accept=yes`, `StandardInput=socket`)
/// pass it.
///
/// # Errors
/// Returns the errors of [`Stream::from_socket`], `InvalidInput` if it is not a socket.
pub fn stdin_stream() -> io::Result<Stream> {
    Stream::from_socket(io::stdin().as_fd().try_clone_to_owned()?)
}

/// Whether standard error is the connection on standard input, as inetd passes it: what is written
/// there, the client receives.
#[must_use]
pub fn stderr_is_connection() -> bool {
    use rustix::fs::{FileType, fstat};

    match (fstat(io::stdin()), fstat(io::stderr())) {
        (Ok(stdin), Ok(stderr)) => {
            FileType::from_raw_mode(stdin.st_mode) == FileType::Socket
                && (stdin.st_dev, stdin.st_ino) == (stderr.st_dev, stderr.st_ino)
        }
        _ => false,
    }
}
