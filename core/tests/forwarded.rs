//! Properties of what is believed of proxies: what an untrusted client sends never matters, and no
//! bytes cause a panic.

use std::net::{IpAddr, SocketAddr};

use doorstep_core::forwarded::{Client, Error, client};
use doorstep_core::http1::{Connection, Event, Limits};
use doorstep_core::proxy_protocol;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const PEER: ([u8; 4], u16) = ([10, 0, 0, 1], 4000);

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_stands_left_of_the_client_never_matters(
        claims in vec(value(), 0..3),
        same_line in any::<bool>(),
        ip in any::<[u8; 4]>().prop_map(IpAddr::from).prop_filter("the client is no proxy", |ip| !is_trusted(*ip)),
        secure in any::<bool>(),
        proxies in 0_u8..4,
        name in select(vec!["Forwarded", "x-forwarded-for"]),
    ) {
        let scheme = if secure { "https" } else { "http" };
        let own = |ip: &str| match name {
            "Forwarded" => format!("for=\"{ip}\";proto={scheme}"),
            _ => ip.to_owned(),
        };
        let mut written = own(&ip.to_string());
        for n in 0..proxies {
            written += &format!(", {}", own(&format!("10.0.1.{n}")));
        }
        let plain = find(PEER.into(), name, &[written.clone().into_bytes()]);
        prop_assert_eq!(plain.map(|client| client.addr.ip()), Ok(ip));

        let mut lines = claims;
        match lines.last_mut() {
            Some(last) if same_line => last.extend(format!(", {written}").bytes()),
            _ => lines.push(written.into_bytes()),
        }
        prop_assert_eq!(find(PEER.into(), name, &lines), plain);
    }

    #[test]
    fn an_untrusted_peer_is_the_client_whatever_it_sends(
        lines in vec(value(), 0..4),
        name in select(vec!["Forwarded", "x-forwarded-for", "X-Forwarded-Proto"]),
    ) {
        let peer = SocketAddr::from(([192, 0, 2, 9], 7));
        let found = find(peer, name, &lines).expect("nothing is parsed");
        prop_assert_eq!((found.addr, found.is_https), (peer, None));
    }

    #[test]
    fn a_client_is_found_or_refused_for_any_value(
        lines in vec(value(), 0..4),
        name in select(vec!["Forwarded", "x-forwarded-for", "X-Forwarded-Proto"]),
    ) {
        prop_assert_ne!(find(PEER.into(), name, &lines).err(), Some(Error::Conflict));
    }

    #[test]
    fn a_proxy_header_is_the_same_however_it_arrives(input in proxy_header()) {
        let whole = proxy_protocol::parse(&input);
        let first = (0..=input.len()).map(|end| proxy_protocol::parse(&input[..end]));
        let first = first.into_iter().find(|parsed| !matches!(parsed, Ok(None)));
        prop_assert_eq!(first.unwrap_or(Ok(None)), whole);
        if let Ok(Some((header, size))) = whole {
            prop_assert!(size <= input.len() && size <= proxy_protocol::MAX_SIZE);
            prop_assert_eq!(header.source.is_some(), header.destination.is_some());
        }
    }
}

fn is_trusted(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.octets()[0] == 10)
}

/// The client of a request with these lines of one header.
fn find(peer: SocketAddr, name: &str, lines: &[Vec<u8>]) -> Result<Client, Error> {
    let mut request = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
    for line in lines {
        request.extend_from_slice(&[name.as_bytes(), b": ", line, b"\r\n"].concat());
    }
    request.extend_from_slice(b"\r\n");
    let mut connection = Connection::new(Limits::default());
    let Ok((_, Event::Request(head))) = connection.advance(&request) else {
        unreachable!("{}", request.escape_ascii())
    };
    client(&head, peer, is_trusted)
}

/// The value of a header: pieces of what proxies write, and any bytes that a header may have.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"for=",
        b"proto=",
        b"https",
        b"10.0.0.2",
        b"6.6.6.6",
        b"\"",
        b"\\",
        b",",
        b";",
        b" ",
        b"[",
        b"::1",
        b"]",
        b":",
        b"80",
        b"unknown",
        b"_x",
        b"=",
        b"by=",
    ];
    let plain = prop_oneof![Just(b'\t'), b' '..=b'~', 0x80..=0xff_u8];
    let piece = prop_oneof![4 => select(pieces).prop_map(<[u8]>::to_vec), 1 => vec(plain, 1..4)];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// The beginning of a connection: a header, a mutation of one, or any bytes.
fn proxy_header() -> impl Strategy<Value = Vec<u8>> {
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    let fixed = (0x1f_u8..0x23, select(vec![0_u8, 0x11, 0x12, 0x21, 0x31, 0x44]), 0_u16..260);
    let v2 =
        (fixed, vec(any::<u8>(), 0..260)).prop_map(move |((command, family, length), rest)| {
            [&signature[..], &[command, family], &length.to_be_bytes(), &rest].concat()
        });
    let words = vec![
        "PROXY",
        "TCP4",
        "TCP6",
        "UNKNOWN",
        "192.0.2.7",
        "::1",
        "80",
        "0",
        "99999",
        " ",
        "\r\n",
        "\n",
    ];
    let v1 = vec(select(words), 0..9).prop_map(|words| words.join(" ").into_bytes());
    let line = Just(b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\nGET".to_vec());
    prop_oneof![v2, v1, line, vec(any::<u8>(), 0..40)]
}
