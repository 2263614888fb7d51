//! The client of a request that has come through proxies: `Forwarded` (RFC 7239), and
//! `X-Forwarded-For` with `X-Forwarded-Proto`.
//!
//! Each proxy appends the address of its own client to the right. So the list is read from the
//! right, as long as the address before is that of a trusted proxy: the first address that is not
//! trusted is the client. What stands left of it may be written by the client, and never matters:
//! neither its addresses nor its syntax. Of a peer that is not trusted, nothing is believed.
//!
//! - An identifier that is no address (`unknown`, or obfuscated as in `_gate`; RFC 7239 §6.2, §6.3)
//!   ends the walk: then the client is known by the address of the proxy that hides it.
//! - If both headers are there, the client of `Forwarded` counts, and that of `X-Forwarded-For` must
//!   have the same address. Most proxies write one of them and pass on the other one as the client
//!   has sent it, so a client could choose its address by the header that its proxy does not know.
//! - What a trusted proxy has written and cannot be understood is an [`Error`], not a reason to fall
//!   back to another address: that of a proxy may have more rights than the client's.
//! - The scheme is that of the element at which the walk ends, or the last one of
//!   `X-Forwarded-Proto` if there is no `Forwarded`. A trusted proxy must set or remove that header.
//!
//! ```
//! use doorstep_core::forwarded;
//! use doorstep_core::http1::{Connection, Event, Limits};
//!
//! let mut connection = Connection::new(Limits::default());
//! let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nForwarded: for=6.6.6.6\r\n\
//!     Forwarded: for=\"[2001:db8::7]:50123\";proto=https, for=10.0.0.2\r\n\r\n";
//! let Ok((_, Event::Request(head))) = connection.advance(bytes) else { panic!() };
//! let peer = ([10, 0, 0, 1], 40000).into();
//! let client = forwarded::client(&head, peer, |ip| ip.to_string().starts_with("10."))?;
//! assert_eq!(client.addr.to_string(), "[2001:db8::7]:50123");
//! assert_eq!(client.is_https, Some(true));
//! # Ok::<(), forwarded::Error>(())
//! ```

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str;

use crate::http1::Head;
use crate::log::UNIX_PEER;

const FORWARDED: &str = "Forwarded";
const X_FORWARDED_FOR: &str = "X-Forwarded-For";
const X_FORWARDED_PROTO: &str = "X-Forwarded-Proto";

/// The client of a request, as far as trusted proxies report it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Client {
    /// Its address, and its port, which is 0 if it is not reported. IPv4-mapped addresses are IPv4.
    /// [`UNIX_PEER`] if a proxy reports `unix:`.
    pub addr: SocketAddr,
    /// Whether it has used HTTPS; `None` if that is not reported.
    pub is_https: Option<bool>,
}

/// What trusted proxies have written is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// It is malformed.
    Malformed,
    /// `Forwarded` and `X-Forwarded-For` have different clients.
    Conflict,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "malformed Forwarded or X-Forwarded header",
            Self::Conflict => "Forwarded and X-Forwarded-For disagree about the client",
        })
    }
}

impl core::error::Error for Error {}

/// Whether a request has any of these headers.
#[must_use]
pub fn is_forwarded(head: &Head<'_>) -> bool {
    let has = |name| head.header(name).is_some();
    has(FORWARDED) || has(X_FORWARDED_FOR) || has(X_FORWARDED_PROTO)
}

/// The client of the request `head`, which has come from `peer`. `is_trusted` decides whether an
/// address is that of a proxy whose reports are believed.
///
/// # Errors
/// Returns an error if a trusted proxy has reported something that is malformed or contradictory.
/// Nothing that an untrusted client sends through a trusted proxy, which appends to the headers, is
/// an error, except for [`Error::Conflict`].
pub fn client(
    head: &Head<'_>,
    peer: SocketAddr,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Result<Client, Error> {
    let unreported = Client { addr: peer, is_https: None };
    if !is_trusted(peer.ip()) {
        return Ok(unreported);
    }
    let forwarded = head.header_values(FORWARDED).collect::<Vec<_>>();
    let elements = elements_from_right(&forwarded, Quotes::Respected).map(Element::parse);
    let forwarded = walk(unreported, elements, &is_trusted)?;

    let x_forwarded = head.header_values(X_FORWARDED_FOR).collect::<Vec<_>>();
    let elements = elements_from_right(&x_forwarded, Quotes::Ordinary).map(Element::parse_address);
    let x_forwarded = walk(unreported, elements, &is_trusted)?;

    let schemes = head.header_values(X_FORWARDED_PROTO).collect::<Vec<_>>();
    let scheme = elements_from_right(&schemes, Quotes::Ordinary).next();
    let is_https = scheme.map(is_https).transpose()?;
    match (forwarded, x_forwarded) {
        (Some(one), Some(other)) if one.addr.ip() != other.addr.ip() => Err(Error::Conflict),
        (Some(one), _) if one.is_https.zip(is_https).is_some_and(|(one, other)| one != other) => {
            Err(Error::Conflict)
        }
        (Some(client), _) => Ok(client),
        (None, x_forwarded) => Ok(Client { is_https, ..x_forwarded.unwrap_or(unreported) }),
    }
}

/// Goes over the elements of a header, from the last one, up to the client; `None` if there is none.
fn walk(
    peer: Client,
    elements: impl Iterator<Item = Result<Element, Error>>,
    is_trusted: &impl Fn(IpAddr) -> bool,
) -> Result<Option<Client>, Error> {
    let mut client = None;
    for element in elements {
        let Element { node, is_https } = element?;
        let last = client.unwrap_or(peer).addr;
        let addr = if let Node::Address(addr) = node { addr } else { last };
        client = Some(Client { addr, is_https });
        if node == Node::Hidden || !is_trusted(addr.ip()) {
            break;
        }
    }
    Ok(client)
}

/// What one proxy reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Element {
    node: Node,
    is_https: Option<bool>,
}

/// The client of a proxy (RFC 7239 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Address(SocketAddr),
    /// Unknown, obfuscated or left out.
    Hidden,
}

impl Element {
    /// An element of `Forwarded` (RFC 7239 §4). Values without quotes may have any character but a
    /// delimiter: some proxies do not quote IPv6 addresses and ports.
    fn parse(text: &[u8]) -> Result<Self, Error> {
        let mut element = Self { node: Node::Hidden, is_https: None };
        let mut names: Vec<&[u8]> = Vec::new();
        let mut rest = text.trim_ascii_start();
        while !rest.is_empty() {
            if let [b';', behind @ ..] = rest {
                rest = behind.trim_ascii_start(); // a pair may be missing (§4)
                continue;
            }
            let (name, value) = pair_name(rest).ok_or(Error::Malformed)?;
            let (value, behind) = pair_value(value).ok_or(Error::Malformed)?;
            if names.iter().any(|other| other.eq_ignore_ascii_case(name)) {
                return Err(Error::Malformed); // at most once (§4)
            }
            names.push(name);
            if name.eq_ignore_ascii_case(b"for") {
                element.node = node(&value).ok_or(Error::Malformed)?;
            } else if name.eq_ignore_ascii_case(b"proto") {
                element.is_https = Some(is_https(&value)?);
            }
            rest = behind.trim_ascii_start();
            if !matches!(rest, [] | [b';', ..]) {
                return Err(Error::Malformed);
            }
        }
        Ok(element)
    }

    /// A member of `X-Forwarded-For`: an address, perhaps with a port or a zone; or `unknown`.
    fn parse_address(text: &[u8]) -> Result<Self, Error> {
        let bare = str::from_utf8(text).ok().and_then(ipv6);
        let node = match bare {
            _ if text == b"unix:" => Some(Node::Address(SocketAddr::new(UNIX_PEER, 0))),
            Some(ip) => Some(Node::Address(SocketAddr::new(IpAddr::V6(ip).to_canonical(), 0))),
            None => node(text),
        };
        Ok(Self { node: node.ok_or(Error::Malformed)?, is_https: None })
    }
}

/// The name of the pair at the beginning of `text`, and what follows its `=`.
fn pair_name(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|&b| b == b'=')?;
    let name = &text[..end];
    (!name.is_empty() && name.iter().all(|&b| is_token(b))).then_some((name, &text[end + 1..]))
}

/// The value at the beginning of `text`, and what follows. A quoted value is without its quotes and
/// escapes.
fn pair_value(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    if let [b'"', quoted @ ..] = text {
        return unquote(quoted);
    }
    let ends = |b: &u8| b";,\" \t".contains(b);
    let (value, rest) = text.split_at(text.iter().position(ends).unwrap_or(text.len()));
    (!value.is_empty()).then_some((value.into(), rest))
}

/// The value of a quoted string (RFC 9110 §5.6.4), of which `text` is what follows the first quotation
/// mark; and what follows the last one.
fn unquote(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let plain = text.iter().position(|&b| b == b'"' || b == b'\\')?;
    if text[plain] == b'"' {
        return Some((text[..plain].into(), &text[plain + 1..]));
    }
    let (mut value, mut rest) = (text[..plain].to_vec(), &text[plain..]);
    loop {
        rest = match rest {
            [b'"', rest @ ..] => return Some((value.into(), rest)),
            [b'\\', byte, rest @ ..] | [byte, rest @ ..] => {
                value.push(*byte);
                rest
            }
            [] => return None,
        };
    }
}

/// An address or an identifier, and perhaps a port (RFC 7239 §6).
fn node(text: &[u8]) -> Option<Node> {
    let text = str::from_utf8(text).ok()?;
    let (name, port, ip) = if let Some(rest) = text.strip_prefix('[') {
        let (name, port) = rest.split_once(']')?;
        let port = if port.is_empty() { None } else { Some(port.strip_prefix(':')?) };
        (name, port, Some(IpAddr::V6(ipv6(name)?)))
    } else {
        let (name, port) =
            text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
        (name, port, name.parse::<Ipv4Addr>().ok().map(IpAddr::V4))
    };
    let port = match port {
        None => 0,
        Some(port) if is_obfuscated(port) => 0,
        Some(port) => port.bytes().all(|b| b.is_ascii_digit()).then(|| port.parse().ok())??,
    };
    match ip {
        Some(ip) => Some(Node::Address(SocketAddr::new(ip.to_canonical(), port))),
        None => {
            let is_hidden = name.eq_ignore_ascii_case("unknown") || is_obfuscated(name);
            is_hidden.then_some(Node::Hidden)
        }
    }
}

/// An IPv6 address. A zone behind it (RFC 6874: `%eth0`, `%25eth0`) is left out: it names a link of the
/// proxy. Those in Go write it.
fn ipv6(text: &str) -> Option<Ipv6Addr> {
    match text.split_once('%') {
        Some((_, "")) => None,
        Some((address, _)) => address.parse().ok(),
        None => text.parse().ok(),
    }
}

/// Whether this is an obfuscated identifier or port (RFC 7239 §6.3).
fn is_obfuscated(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    text.strip_prefix('_').is_some_and(|name| !name.is_empty() && name.bytes().all(is_plain))
}

/// Whether a scheme is HTTPS (or WebSocket over TLS).
///
/// # Errors
/// [`Error::Malformed`] if it is not a scheme (RFC 3986 §3.1).
fn is_https(scheme: &[u8]) -> Result<bool, Error> {
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"+-.".contains(b);
    if !scheme.first().is_some_and(u8::is_ascii_alphabetic) || !scheme.iter().all(is_plain) {
        return Err(Error::Malformed);
    }
    Ok(scheme.eq_ignore_ascii_case(b"https") || scheme.eq_ignore_ascii_case(b"wss"))
}

/// Whether a byte may be in a token (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a comma between quotation marks is part of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    Respected,
    Ordinary,
}

/// The elements of a list over several lines, from the last one, trimmed and without empty ones. They
/// are found from the right, so that nothing on the left can hide one in a quoted string.
fn elements_from_right<'v>(
    lines: &'v [&'v [u8]],
    quotes: Quotes,
) -> impl Iterator<Item = &'v [u8]> {
    let elements = lines.iter().rev().flat_map(move |line| {
        let mut rest = Some(*line);
        core::iter::from_fn(move || {
            let line = rest?;
            let comma = last_comma(line, quotes);
            rest = comma.map(|at| &line[..at]);
            Some(line[comma.map_or(0, |at| at + 1)..].trim_ascii())
        })
    });
    elements.filter(|element| !element.is_empty())
}

/// The last comma that is not in a quoted string.
fn last_comma(line: &[u8], quotes: Quotes) -> Option<usize> {
    let mut is_quoted = false;
    (0..line.len()).rev().find(|&at| match line[at] {
        b',' => !is_quoted,
        b'"' if quotes == Quotes::Respected => {
            let escapes = line[..at].iter().rev().take_while(|&&b| b == b'\\').count();
            is_quoted ^= escapes.is_multiple_of(2);
            false
        }
        _ => false,
    })
}

#[cfg(test)]
#[path = "forwarded_tests.rs"]
mod tests;
