//! What proxies say about clients, from any bytes: a PROXY protocol header is the same however it
//! arrives, and equals a simple second implementation; in `Forwarded` and `X-Forwarded-For`, what
//! stands left of the client never matters.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use doorstep_core::forwarded::{self, Client, Error};
use doorstep_core::http1::{Connection, Event, Limits};
use doorstep_core::proxy_protocol::{self, MAX_SIZE};
use libfuzzer_sys::fuzz_target;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fuzz_target!(|input: &[u8]| {
    let Some((kind, input)) = input.split_first() else { return };
    match kind % 4 {
        0 => proxy_header(input),
        1 => proxy_header(&[SIGNATURE, input].concat()),
        2 => claims("Forwarded", input, "for=\"[2001:db8::7]:5\";proto=https, for=10.0.0.2"),
        _ => claims("X-Forwarded-For", input, "2001:db8::7, 10.0.0.2"),
    }
});

fn proxy_header(input: &[u8]) {
    let whole = proxy_protocol::parse(input);
    // As it arrives: the first verdict is the final one.
    let first = (0..=input.len().min(MAX_SIZE + 1))
        .map(|end| proxy_protocol::parse(&input[..end]))
        .find(|parsed| !matches!(parsed, Ok(None)));
    assert_eq!(first.unwrap_or(Ok(None)), whole);
    let expected = naive(input);
    match whole {
        Ok(Some((header, size))) => {
            assert!(size <= input.len() && size <= MAX_SIZE);
            assert_eq!(expected, Some((header.source.zip(header.destination), size)));
        }
        Ok(None) => assert!(expected.is_none() && input.len() < MAX_SIZE),
        Err(_) => assert!(expected.is_none(), "{expected:?}"),
    }
}

/// Addresses and size of a complete, valid header. TLVs are walked over.
fn naive(input: &[u8]) -> Option<(Option<(SocketAddr, SocketAddr)>, usize)> {
    if let Some(rest) = input.strip_prefix(SIGNATURE) {
        let [command @ (0x20 | 0x21), family, high, low, rest @ ..] = rest else { return None };
        let size = usize::from(*high) << 8 | usize::from(*low);
        let rest = rest.get(..size).filter(|_| size + 16 <= MAX_SIZE)?;
        let length = match (command, family) {
            (0x20, _) => return Some((None, size + 16)),
            (_, 0) => 0,
            (_, 0x11 | 0x12) => 12,
            (_, 0x21 | 0x22) => 36,
            (_, 0x31 | 0x32) => 216,
            _ => return None,
        };
        let mut tlvs = rest.get(length..)?;
        while !tlvs.is_empty() {
            let value = usize::from(*tlvs.get(1)?) << 8 | usize::from(*tlvs.get(2)?);
            tlvs = tlvs.get(3 + value..)?;
        }
        let port = |at: usize| u16::from(rest[at]) << 8 | u16::from(rest[at + 1]);
        let v4 = |at: usize| Ipv4Addr::new(rest[at], rest[at + 1], rest[at + 2], rest[at + 3]);
        let v6 = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&rest[at..at + 16]).unwrap());
        let unix = SocketAddr::new(doorstep_core::log::UNIX_PEER, 0);
        let addresses = match length {
            12 => Some(((v4(0), port(8)).into(), (v4(4), port(10)).into())),
            36 => Some(((v6(0), port(32)).into(), (v6(16), port(34)).into())),
            216 => Some((unix, unix)),
            _ => None,
        };
        return Some((addresses, size + 16));
    }
    let end = input.windows(1).take(107).position(|byte| byte == b"\n")?;
    let line = std::str::from_utf8(&input[..=end]).ok()?.strip_suffix("\r\n")?;
    let words: Vec<&str> = line.split(' ').collect();
    if words.starts_with(&["PROXY", "UNKNOWN"]) {
        return Some((None, end + 1));
    }
    let &["PROXY", family, source, destination, from, to] = &words[..] else { return None };
    let ip = |word: &str| match (family, word.parse().ok()?) {
        ("TCP4", IpAddr::V4(ip)) => Some(IpAddr::V4(ip)),
        ("TCP6", IpAddr::V6(ip)) => Some(IpAddr::V6(ip)),
        _ => None,
    };
    let port = |word: &str| word.parse::<u16>().ok().filter(|port| port.to_string() == word);
    let source = SocketAddr::new(ip(source)?, port(from)?);
    Some((Some((source, SocketAddr::new(ip(destination)?, port(to)?))), end + 1))
}

/// The lines of a header that a client has sent, and what trusted proxies have appended.
fn claims(name: &str, input: &[u8], appended: &str) {
    let others = 2; // `Host`, and the line that is appended
    let mut lines: Vec<Vec<u8>> = input
        .split(|&b| b == b'\n')
        .take(usize::from(Limits::MAX_HEADERS) - others)
        .map(|line| {
            line.iter().copied().filter(|&b| b == b'\t' || b >= b' ' && b != 0x7f).collect()
        })
        .collect();
    let _ = find(name, &lines);
    let expected = find(name, &[appended.into()]);
    assert!(expected.is_ok());
    let mut joined = lines.clone();
    joined.last_mut().unwrap().extend(format!(", {appended}").bytes());
    lines.push(appended.into());
    assert_eq!((find(name, &joined), find(name, &lines)), (expected, expected));
}

fn find(name: &str, lines: &[Vec<u8>]) -> Result<Client, Error> {
    let mut request = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
    for line in lines {
        request.extend_from_slice(&[name.as_bytes(), b": ", line, b"\r\n"].concat());
    }
    request.extend_from_slice(b"\r\n");
    let mut limits = Limits::default();
    (limits.head, limits.header_line) = (1 << 20, 1 << 20);
    let mut connection = Connection::new(limits);
    let Ok((_, Event::Request(head))) = connection.advance(&request) else {
        panic!("{}", request.escape_ascii())
    };
    let is_proxy = |ip: IpAddr| matches!(ip, IpAddr::V4(ip) if ip.octets()[0] == 10);
    forwarded::client(&head, ([10, 0, 0, 1], 4000).into(), is_proxy)
}
