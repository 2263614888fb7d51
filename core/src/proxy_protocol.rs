//! The PROXY protocol, versions 1 and 2: the header that a proxy sends at the beginning of a
//! connection, with the addresses of its client.
//!
//! [`parse`] takes what has arrived of a connection. It is strict: each number has one spelling, and
//! what the specification calls invalid is an [`Error`]. TLVs are checked, and all but the one about
//! TLS are ignored; the CRC32c is not verified, since TCP has a checksum. A header of a connection
//! that the proxy has made for itself (`LOCAL`, `UNKNOWN`, a health check) has no addresses.
//!
//! Who may send a header is not decided here: that of an untrusted peer must not be believed.
//!
//! Specification: `doc/proxy-protocol.txt` of HAProxy, revision of 2020/03/05 and later.
//!
//! ```
//! use doorstep_core::proxy_protocol::parse;
//!
//! let received = b"PROXY TCP4 192.0.2.7 198.51.100.1 50123 443\r\nGET / HTTP/1.1\r\n";
//! assert_eq!(parse(&received[..20]), Ok(None), "more is to come");
//! let (header, size) = parse(received)?.expect("it is complete");
//! assert_eq!(header.source, Some(([192, 0, 2, 7], 50123).into()));
//! assert!(received[size..].starts_with(b"GET "));
//! # Ok::<(), doorstep_core::proxy_protocol::Error>(())
//! ```

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str::{self, FromStr};

use crate::log::UNIX_PEER;

/// The largest header in bytes. Version 1 has at most 107; in version 2 the TLVs of TLS with a long
/// certificate name take a few hundred.
pub const MAX_SIZE: usize = 4096;
/// The largest header of version 1 in bytes, its line end included.
const MAX_V1_SIZE: usize = 107;
const V1_PREFIX: &[u8] = b"PROXY ";
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, version and command, family, and the length of the rest.
const V2_FIXED: usize = 16;
/// The TLV with what the proxy knows of the client's TLS.
const TLV_SSL: u8 = 0x20;
/// The bit in its first byte that says that the client has used TLS.
const SSL_CLIENT: u8 = 1;

/// A header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Header {
    /// The client's address and port; [`UNIX_PEER`] if it has connected by a Unix socket. `None` if
    /// the proxy speaks for itself, or does not know it: the connection's own address counts.
    pub source: Option<SocketAddr>,
    /// The address and port that the client has connected to; `None` together with `source`.
    pub destination: Option<SocketAddr>,
    /// Whether the client has connected to the proxy by TLS (`PP2_TYPE_SSL`). Only version 2 can say
    /// so.
    pub tls: bool,
}

/// The reason why a header is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The connection does not begin with a header.
    Missing,
    /// The line of version 1 is not `PROXY TCP4|TCP6|UNKNOWN` with two addresses and two ports.
    BadLine,
    /// It is longer than its version allows, or than [`MAX_SIZE`].
    TooLong,
    /// The version is not 2, or the command neither LOCAL nor PROXY.
    BadVersion,
    /// The address family or the transport is unknown.
    BadFamily,
    /// The length is too small for the addresses, or a TLV is longer than the header.
    BadLength,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "no PROXY protocol header",
            Self::BadLine => "malformed PROXY protocol header: bad line",
            Self::TooLong => "malformed PROXY protocol header: too long",
            Self::BadVersion => "malformed PROXY protocol header: bad version or command",
            Self::BadFamily => "malformed PROXY protocol header: bad address family",
            Self::BadLength => "malformed PROXY protocol header: bad length",
        })
    }
}

impl core::error::Error for Error {}

/// Parses the header at the beginning of `input`, and returns it with its size in bytes; `None` if
/// it is not complete, and can still become valid. It never is longer than [`MAX_SIZE`].
///
/// # Errors
/// Returns an error as soon as `input` cannot be the beginning of a valid header; the words of version 1
/// are judged when their line has ended.
pub fn parse(input: &[u8]) -> Result<Option<(Header, usize)>, Error> {
    match input.first() {
        None => Ok(None),
        Some(b'P') => parse_v1(input),
        Some(b'\r') => parse_v2(input),
        Some(_) => Err(Error::Missing),
    }
}

/// Version 1: a line of text.
fn parse_v1(input: &[u8]) -> Result<Option<(Header, usize)>, Error> {
    if !starts_alike(input, V1_PREFIX) {
        return Err(Error::Missing);
    }
    let input = &input[..input.len().min(MAX_V1_SIZE)];
    let Some(end) = input.iter().position(|&b| b == b'\n') else {
        return if input.len() == MAX_V1_SIZE { Err(Error::TooLong) } else { Ok(None) };
    };
    let line = input[..end].strip_suffix(b"\r").and_then(|line| line.strip_prefix(V1_PREFIX));
    let line = line.and_then(|line| str::from_utf8(line).ok()).ok_or(Error::BadLine)?;
    let mut words = line.split(' ');
    let header = match words.next() {
        // Whatever follows is ignored (§2.1).
        Some("UNKNOWN") => Header::default(),
        Some("TCP4") => addresses::<Ipv4Addr>(words)?,
        Some("TCP6") => addresses::<Ipv6Addr>(words)?,
        _ => return Err(Error::BadLine),
    };
    Ok(Some((header, end + 1)))
}

/// The two addresses and the two ports of a line, and nothing else.
fn addresses<A: FromStr + Into<IpAddr>>(mut words: str::Split<'_, char>) -> Result<Header, Error> {
    let mut word = || words.next().ok_or(Error::BadLine);
    let address = |word: &str| word.parse::<A>().map(Into::into).map_err(|_| Error::BadLine);
    let (source, destination) = (address(word()?)?, address(word()?)?);
    let (source_port, destination_port) = (port(word()?)?, port(word()?)?);
    match words.next() {
        Some(_) => Err(Error::BadLine),
        None => Ok(Header {
            source: Some(SocketAddr::new(source, source_port)),
            destination: Some(SocketAddr::new(destination, destination_port)),
            tls: false,
        }),
    }
}

/// A port without a sign or leading zeros.
fn port(word: &str) -> Result<u16, Error> {
    let is_plain =
        word.bytes().all(|b| b.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    word.parse().ok().filter(|_| is_plain).ok_or(Error::BadLine)
}

/// Version 2: binary.
fn parse_v2(input: &[u8]) -> Result<Option<(Header, usize)>, Error> {
    if !starts_alike(input, V2_SIGNATURE) {
        return Err(Error::Missing);
    }
    let Some((fixed, rest)) = input.split_at_checked(V2_FIXED) else { return Ok(None) };
    let size = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let is_local = match fixed[12] {
        0x20 => true,
        0x21 => false,
        _ => return Err(Error::BadVersion),
    };
    if V2_FIXED + size > MAX_SIZE {
        return Err(Error::TooLong);
    }
    let addresses = match fixed[13] {
        _ if is_local => 0, // what follows is ignored (§2.2)
        0x00 => 0,
        0x11 | 0x12 => 12,
        0x21 | 0x22 => 36,
        0x31 | 0x32 => 216,
        _ => return Err(Error::BadFamily),
    };
    if size < addresses {
        return Err(Error::BadLength);
    }
    let Some(rest) = rest.get(..size) else { return Ok(None) };
    let (addresses, tlvs) = rest.split_at(addresses);
    let mut header = Header::default();
    if !is_local {
        header.tls = client_uses_tls(tlvs)?;
        (header.source, header.destination) = match addresses.len() {
            12 => pair(addresses, |bytes: [u8; 4]| bytes.into()),
            36 => pair(addresses, |bytes: [u8; 16]| bytes.into()),
            216 => (Some(SocketAddr::new(UNIX_PEER, 0)), Some(SocketAddr::new(UNIX_PEER, 0))),
            _ => (None, None),
        };
    }
    Ok(Some((header, V2_FIXED + size)))
}

/// Two addresses of `N` bytes, and their ports.
fn pair<const N: usize>(
    bytes: &[u8],
    address: impl Fn([u8; N]) -> IpAddr,
) -> (Option<SocketAddr>, Option<SocketAddr>) {
    let at = |address_at: usize, port_at: usize| {
        let ip = *bytes.get(address_at..)?.first_chunk()?;
        let port = u16::from_be_bytes(*bytes.get(port_at..)?.first_chunk()?);
        Some(SocketAddr::new(address(ip), port))
    };
    (at(0, 2 * N), at(N, 2 * N + 2))
}

/// Checks the TLVs, and returns whether one of them says that the client uses TLS.
fn client_uses_tls(mut tlvs: &[u8]) -> Result<bool, Error> {
    let mut uses_tls = false;
    while let [kind, high, low, rest @ ..] = tlvs {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, rest) = rest.split_at_checked(length).ok_or(Error::BadLength)?;
        uses_tls |=
            *kind == TLV_SSL && value.first().is_some_and(|client| client & SSL_CLIENT != 0);
        tlvs = rest;
    }
    if tlvs.is_empty() { Ok(uses_tls) } else { Err(Error::BadLength) }
}

/// Whether one of them is the beginning of the other one.
fn starts_alike(input: &[u8], prefix: &[u8]) -> bool {
    let length = input.len().min(prefix.len());
    input[..length] == prefix[..length]
}

#[cfg(test)]
#[path = "proxy_protocol_tests.rs"]
mod tests;
