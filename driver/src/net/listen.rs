//! Listening sockets. The options that connections need are inherited from them.
//!
//! Without a host, one socket listens on every address of the machine, in both families (B-277). A
//! name is bound at all addresses that it resolves to (B-276): it is an error if the port is in use
//! at one of them, but addresses of a family that the machine does not have are left out.
//!
//! ```
//! use doorstep_driver::net;
//!
//! let listeners = net::bind(Some("127.0.0.1"), 0)?; // any free port
//! assert_ne!(listeners[0].local_addr()?.port(), 0);
//! # Ok::<(), std::io::Error>(())
//! ```

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with, sockopt};

/// Listens on `port` of `host`, a name or an address; `None` is every address of the machine. Port
/// 0 is any free port, the same one for every listener. Returns at least one listener, each with a
/// backlog of [`DEFAULT_BACKLOG`] connections.
///
/// # Errors
/// Returns an error if the name does not resolve, `AddrInUse` if the port is in use on any of its
/// addresses, or the error of the first address if the machine has none of them.
pub fn bind(host: Option<&str>, port: u16) -> io::Result<Vec<TcpListener>> {
    bind_with(host, port, &BindOptions::default())
}

/// Listens as [`bind`] does, with this backlog ([`BindOptions::backlog`]).
///
/// # Errors
/// Returns the same errors as [`bind`].
pub fn bind_with_backlog(
    host: Option<&str>,
    port: u16,
    backlog: u32,
) -> io::Result<Vec<TcpListener>> {
    bind_with(host, port, &BindOptions { backlog, ..BindOptions::default() })
}

/// How to listen, for [`bind_with`].
///
/// ```
/// use doorstep_driver::net::{self, BindOptions};
///
/// let mut options = BindOptions::default();
/// options.reuse_port = cfg!(target_os = "linux");
/// let old = net::bind_with(Some("127.0.0.1"), 0, &options)?;
/// let port = old[0].local_addr()?.port();
/// let new = net::bind_with(Some("127.0.0.1"), port, &options);
/// assert_eq!(new.is_ok(), options.reuse_port);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BindOptions {
    /// The number of connections that the kernel completes and holds for each listener until they
    /// are accepted; the system may use less (on Linux `net.core.somaxconn`). Further clients repeat
    /// their SYN until there is room (B-285). Default: 1,024, which is [`DEFAULT_BACKLOG`].
    pub backlog: u32,
    /// Whether other processes of the same user may listen on the same port at the same time, if they
    /// set this, too (`SO_REUSEPORT`; Linux only). So a server can be replaced by another process
    /// without a refused connection: once the new one listens, stop the old one
    /// ([`Acceptor::stop`](super::Acceptor::stop)). Default: false, because a second server that was
    /// started by mistake would get a share of the connections.
    pub reuse_port: bool,
}

impl Default for BindOptions {
    fn default() -> Self {
        Self { backlog: DEFAULT_BACKLOG, reuse_port: false }
    }
}

/// Listens as [`bind`] does, with `options`.
///
/// # Errors
/// Returns the same errors as [`bind`], or [`ErrorKind::Unsupported`] if the port is to be shared
/// ([`BindOptions::reuse_port`]) and the system is not Linux.
pub fn bind_with(
    host: Option<&str>,
    port: u16,
    options: &BindOptions,
) -> io::Result<Vec<TcpListener>> {
    if options.reuse_port && !cfg!(target_os = "linux") {
        return Err(ErrorKind::Unsupported.into());
    }
    let Some(host) = host else {
        let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        return match listen(both, options, Family::Both) {
            Err(error) if is_address_unavailable(&error) => {
                let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
                Ok(vec![listen(address, options, Family::Own)?])
            }
            result => Ok(vec![result?]),
        };
    };
    bind_hosts(&[host], port, options).map_err(|failed| failed.error)
}

/// Listens on `port` of all of `hosts`, each a name or an address, as [`bind`] does on one. What
/// several of them stand for is bound once: an address that `0.0.0.0` or `::` covers is not bound
/// beside it. `::` and `0.0.0.0` together are a socket for each family; `::` without `0.0.0.0` is one
/// for both.
///
/// ```
/// use doorstep_driver::net;
///
/// let listeners = net::bind_all(&["127.0.0.1", "127.0.0.2", "127.0.0.1"], 0)?;
/// assert_eq!(listeners.len(), 2);
/// assert_eq!(listeners[0].local_addr()?.port(), listeners[1].local_addr()?.port());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// Returns the first error of [`bind`], with its host; without a host, `InvalidInput`.
pub fn bind_all(hosts: &[impl AsRef<str>], port: u16) -> Result<Vec<TcpListener>, BindError> {
    bind_all_with(hosts, port, &BindOptions::default())
}

/// Listens as [`bind_all`] does, with `options`.
///
/// # Errors
/// Returns the errors of [`bind_with`], with the host.
pub fn bind_all_with(
    hosts: &[impl AsRef<str>],
    port: u16,
    options: &BindOptions,
) -> Result<Vec<TcpListener>, BindError> {
    let hosts: Vec<&str> = hosts.iter().map(AsRef::as_ref).collect();
    bind_hosts(&hosts, port, options)
}

/// Listens on every address that `addresses` stands for, such as `"localhost:8000"`, as [`bind`] does.
/// The listeners whose port is 0 share one free port.
///
/// ```
/// use doorstep_driver::net;
///
/// let listeners = net::bind_addresses("127.0.0.1:0")?;
/// assert_ne!(listeners[0].local_addr()?.port(), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// Returns the errors of [`bind`]; [`ErrorKind::InvalidInput`] if there is no address, or if it has no
/// port.
pub fn bind_addresses(addresses: impl ToSocketAddrs) -> io::Result<Vec<TcpListener>> {
    let resolved = addresses.to_socket_addrs()?.collect();
    bind_resolved(&[("", resolved)], &BindOptions::default()).map_err(|failed| failed.error)
}

/// The error of [`bind_all`].
#[derive(Debug)]
#[non_exhaustive]
pub struct BindError {
    /// The host, as it was given.
    pub host: String,
    /// The error of listening on it.
    pub error: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {:?}: {}", self.host, self.error)
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<BindError> for io::Error {
    fn from(failed: BindError) -> Self {
        Self::new(failed.error.kind(), failed)
    }
}

fn bind_hosts(
    hosts: &[&str],
    port: u16,
    options: &BindOptions,
) -> Result<Vec<TcpListener>, BindError> {
    let failed = |host: &str, error| BindError { host: host.to_owned(), error };
    if options.reuse_port && !cfg!(target_os = "linux") {
        let host = hosts.first().copied().unwrap_or_default();
        return Err(failed(host, ErrorKind::Unsupported.into()));
    }
    let mut resolved: Vec<(&str, Vec<SocketAddr>)> = Vec::new();
    for host in hosts {
        let addresses = (*host, port).to_socket_addrs().map_err(|error| failed(host, error))?;
        resolved.push((host, addresses.collect()));
    }
    bind_resolved(&resolved, options)
}

/// Listens on the addresses of all hosts, without those that another one covers.
fn bind_resolved(
    hosts: &[(&str, Vec<SocketAddr>)],
    options: &BindOptions,
) -> Result<Vec<TcpListener>, BindError> {
    let failed = |host: &str, error| BindError { host: host.to_owned(), error };
    let all: Vec<SocketAddr> = hosts.iter().flat_map(|(_, addresses)| addresses).copied().collect();
    let hosts = uncovered(hosts, &all);
    let try_port = || {
        let (mut listeners, mut free_port) = (Vec::new(), None);
        for (host, addresses) in &hosts {
            // All addresses of a host may be covered by another one.
            if !addresses.is_empty() {
                let listening = listen_all(addresses, &mut free_port, options, &all);
                listeners.extend(listening.map_err(|error| failed(host, error))?);
            }
        }
        match listeners.is_empty() {
            true => Err(failed("", ErrorKind::InvalidInput.into())),
            false => Ok(listeners),
        }
    };
    // A port that is free at the first address may be in use at the second.
    let has_free_port = all.iter().any(|address| address.port() == 0);
    let tries = if has_free_port { MAX_PORT_TRIES } else { 1 };
    let mut result = try_port();
    for _ in 1..tries {
        match &result {
            Err(failed) if failed.error.kind() == ErrorKind::AddrInUse => result = try_port(),
            _ => break,
        }
    }
    result
}

/// The hosts with those of their addresses that no other one covers: an equal one before it, or the
/// unspecified one of its family.
fn uncovered<'a>(
    hosts: &[(&'a str, Vec<SocketAddr>)],
    all: &[SocketAddr],
) -> Vec<(&'a str, Vec<SocketAddr>)> {
    let mut before: Vec<SocketAddr> = Vec::new();
    let mut is_new = |address: &&SocketAddr| {
        let is_covered = before.iter().any(|other| is_equal(other, address))
            || all.iter().any(|other| covers(other, address, Family::of(other, all)));
        before.push(**address);
        !is_covered
    };
    let of_host = |(host, addresses): &(&'a str, Vec<SocketAddr>)| {
        (*host, addresses.iter().filter(&mut is_new).copied().collect())
    };
    hosts.iter().map(of_host).collect()
}

/// Whether they are one address, which IPv6 may write as an IPv4-mapped one (RFC 4291 §2.5.5.2).
fn is_equal(one: &SocketAddr, other: &SocketAddr) -> bool {
    let canonical = |address: &SocketAddr| (address.ip().to_canonical(), address.port());
    one == other || one.is_ipv4() != other.is_ipv4() && canonical(one) == canonical(other)
}

/// Whether a socket on `any`, if that is an unspecified address, accepts the connections to `address`,
/// another one.
fn covers(any: &SocketAddr, address: &SocketAddr, accepts: Family) -> bool {
    let (unspecified, ip) = (any.ip().to_canonical(), address.ip().to_canonical());
    let is_in_family =
        unspecified.is_ipv6() && accepts == Family::Both || unspecified.is_ipv6() == ip.is_ipv6();
    unspecified.is_unspecified()
        && is_in_family
        && unspecified != ip
        && any.port() == address.port()
}

/// The listeners of one host, of `all` addresses. Those of any free port are on `free_port`, once it is
/// known.
fn listen_all(
    addresses: &[SocketAddr],
    free_port: &mut Option<u16>,
    options: &BindOptions,
    all: &[SocketAddr],
) -> io::Result<Vec<TcpListener>> {
    let (mut listeners, mut absent) = (Vec::new(), None);
    for &(mut address) in addresses {
        let family = Family::of(&address, all);
        let is_free = address.port() == 0;
        if is_free {
            address.set_port(free_port.unwrap_or(0));
        }
        match listen(address, options, family) {
            Ok(listener) => {
                if is_free {
                    *free_port = Some(listener.local_addr()?.port());
                }
                listeners.push(listener);
            }
            Err(error) if is_address_unavailable(&error) => absent = absent.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    if listeners.is_empty() {
        return Err(absent.unwrap_or_else(|| ErrorKind::AddrNotAvailable.into()));
    }
    Ok(listeners)
}

/// What a socket on the unspecified IPv6 address accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// IPv6 only.
    Own,
    /// IPv4, too.
    Both,
}

impl Family {
    /// What one on `address` accepts, if it is one of `all`: its own family if the other one has a socket
    /// on the same port.
    fn of(address: &SocketAddr, all: &[SocketAddr]) -> Self {
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let is_other =
            |other: &SocketAddr| other.ip().to_canonical() == any && other.port() == address.port();
        if all.iter().any(is_other) { Self::Own } else { Self::Both }
    }
}

fn listen(address: SocketAddr, options: &BindOptions, accepts: Family) -> io::Result<TcpListener> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    #[cfg(target_os = "linux")]
    let flags = SocketFlags::CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = SocketFlags::empty();
    let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    #[cfg(not(target_os = "linux"))]
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;

    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        // A system that does not support both families on one socket listens on IPv6 only.
        let _ = sockopt::set_ipv6_v6only(&socket, accepts == Family::Own);
    }
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if options.reuse_port {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    sockopt::set_tcp_nodelay(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// Whether the machine does not have the address, or its family.
fn is_address_unavailable(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        Errno::from_io_error(error),
        Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT)
    )
}

/// The backlog of [`bind`], a number of connections (B-285).
pub const DEFAULT_BACKLOG: u32 = 1024;

/// How many free ports are tried until one is free on every address of a name.
const MAX_PORT_TRIES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn b_277_without_a_host_both_families_reach_one_socket() {
        let listeners = bind(None, 0).unwrap();
        assert_eq!(listeners.len(), 1);
        let address = listeners[0].local_addr().unwrap();
        TcpStream::connect((Ipv4Addr::LOCALHOST, address.port())).unwrap();
        if address.is_ipv6() {
            assert!(!sockopt::ipv6_v6only(&listeners[0]).unwrap());
        }
    }

    #[test]
    fn b_276_all_addresses_of_a_name_share_a_port() {
        let listeners = bind(Some("localhost"), 0).unwrap();
        let port = listeners[0].local_addr().unwrap().port();
        assert_ne!(port, 0);
        for listener in &listeners {
            let address = listener.local_addr().unwrap();
            assert_eq!(address.port(), port);
            TcpStream::connect(address).unwrap();
        }
    }

    #[test]
    fn b_276_addresses_are_bound_as_those_of_a_name() {
        let listeners = bind_addresses("localhost:0").unwrap();
        let ports: Vec<_> = listeners.iter().map(|it| it.local_addr().unwrap().port()).collect();
        assert!(ports[0] != 0 && ports.iter().all(|port| *port == ports[0]), "{ports:?}");

        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let given = [address("127.0.0.1:0"), address("192.0.2.1:0"), address("127.0.0.1:0")];
        assert_eq!(bind_addresses(&given[..]).unwrap().len(), 1);
        // Ports that are given stay as they are.
        let other = listen(given[0], &BindOptions::default(), Family::Own).unwrap();
        let free = other.local_addr().unwrap();
        drop(other);
        for order in [[given[0], free], [free, given[0]]] {
            let both = bind_addresses(&order[..]).unwrap();
            let ports = both.iter().map(|listener| listener.local_addr().unwrap().port());
            let given = ports.map(|port| port == free.port()).collect::<Vec<_>>();
            assert_eq!(given, order.map(|address| address == free));
        }

        assert_eq!(bind_addresses("localhost").unwrap_err().kind(), ErrorKind::InvalidInput);
        let none: &[SocketAddr] = &[];
        assert_eq!(bind_addresses(none).unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn b_276_addresses_that_the_machine_lacks_are_left_out_but_not_all() {
        let here: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let elsewhere: SocketAddr = "192.0.2.1:0".parse().unwrap(); // reserved (RFC 5737)
        let listen = |addresses: &[_]| {
            let options = BindOptions::default();
            listen_all(addresses, &mut None, &options, addresses).map(|listeners| listeners.len())
        };
        assert_eq!(listen(&[elsewhere, here]).unwrap(), 1);
        let error = listen(&[elsewhere]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        assert!(listen(&[]).is_err());
    }

    #[test]
    fn b_284_a_port_in_use_is_addr_in_use() {
        let taken = bind(Some("127.0.0.1"), 0).unwrap();
        let port = taken[0].local_addr().unwrap().port();
        for host in [Some("127.0.0.1"), None] {
            assert_eq!(bind(host, port).unwrap_err().kind(), ErrorKind::AddrInUse, "{host:?}");
        }
    }

    #[test]
    fn accepted_sockets_inherit_reuseaddr_and_nodelay() {
        let listener = bind(Some("127.0.0.1"), 0).unwrap().remove(0);
        assert!(sockopt::socket_reuseaddr(&listener).unwrap());
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(accepted.nodelay().unwrap());
    }

    #[test]
    fn several_hosts_share_a_port_and_an_error_names_its_host() {
        let listeners = bind_all(&["127.0.0.1", "localhost", "127.0.0.2"], 0).unwrap();
        let port = listeners[0].local_addr().unwrap().port();
        for listener in &listeners {
            assert_eq!(listener.local_addr().unwrap().port(), port);
        }
        for host in ["127.0.0.1", "127.0.0.2"] {
            TcpStream::connect((host, port)).unwrap();
        }
        let failed = bind_all(&["127.0.0.3", "127.0.0.2"], port).unwrap_err();
        assert_eq!((&*failed.host, failed.error.kind()), ("127.0.0.2", ErrorKind::AddrInUse));
        let failed = bind_all(&["127.0.0.1", "192.0.2.1"], 0).unwrap_err();
        assert_eq!(
            (&*failed.host, failed.error.kind()),
            ("192.0.2.1", ErrorKind::AddrNotAvailable)
        );
        assert!(bind_all(&[""; 0], 0).is_err());
    }

    #[test]
    fn what_another_address_covers_is_not_bound() {
        let bound = |hosts: &[&str]| {
            let listeners = bind_all(hosts, 0)?;
            let ips = listeners.iter().map(|it| it.local_addr().map(|at| at.ip().to_string()));
            Ok::<_, BindError>(ips.collect::<Result<Vec<_>, _>>().unwrap())
        };
        for (hosts, expected) in [
            (&["0.0.0.0", "127.0.0.1"][..], &["0.0.0.0"][..]),
            (&["127.0.0.1", "0.0.0.0", "localhost"], &["0.0.0.0"]),
            (&["::", "::1"], &["::"]),
            (&["::", "127.0.0.1", "::ffff:127.0.0.2"], &["::"]),
            (&["::1", "127.0.0.1", "::"], &["::"]),
            (&["::", "0.0.0.0", "127.0.0.1", "::1"], &["::", "0.0.0.0"]),
            (&["0.0.0.0", "::1"], &["0.0.0.0", "::1"]),
            (&["::ffff:127.0.0.1", "127.0.0.1"], &["::ffff:127.0.0.1"]),
            (&["127.0.0.1", "::ffff:127.0.0.1", "127.0.0.2"], &["127.0.0.1", "127.0.0.2"]),
        ] {
            match bound(hosts) {
                // localhost may be ::1, too.
                Ok(ips) if hosts.contains(&"localhost") => assert_eq!(ips[..1], expected[..1]),
                Ok(ips) => assert_eq!(ips, expected, "{hosts:?}"),
                Err(failed) => assert!(is_address_unavailable(&failed.error), "{failed}"),
            }
        }
        // Another port is another address.
        let addresses = ["127.0.0.1:0", "0.0.0.0:1"].map(|it| it.parse::<SocketAddr>().unwrap());
        assert!(!covers(&addresses[1], &addresses[0], Family::Own));
    }

    #[test]
    fn the_unspecified_addresses_of_both_families_are_two_sockets() {
        for hosts in [["::", "0.0.0.0"], ["0.0.0.0", "::"]] {
            match bind_all(&hosts, 0) {
                Ok(listeners) => assert_eq!(listeners.len(), 2),
                Err(failed) => assert!(is_address_unavailable(&failed.error), "{failed}"),
            }
        }
    }
}
