use super::*;
use std::vec::Vec;

fn source(input: &[u8]) -> Option<SocketAddr> {
    let (header, size) = parse(input).expect("it is valid").expect("it is complete");
    assert_eq!(size, input.len());
    assert_eq!(header.source.is_some(), header.destination.is_some());
    header.source
}

/// A header of version 2: command and family, then what follows the length.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = (rest.len() as u16).to_be_bytes();
    [V2_SIGNATURE, &[command, family], &length, rest].concat()
}

const IPV4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0xc3, 0xcb, 0x01, 0xbb];

#[test]
fn version_1_has_addresses_or_is_unknown() {
    for (line, expected) in [
        ("TCP4 192.0.2.7 198.51.100.1 50123 443", Some("192.0.2.7:50123")),
        ("TCP4 255.255.255.255 255.255.255.255 65535 65535", Some("255.255.255.255:65535")),
        ("TCP4 0.0.0.0 0.0.0.0 0 0", Some("0.0.0.0:0")),
        ("TCP6 2001:db8::1 ::1 1 2", Some("[2001:db8::1]:1")),
        ("TCP6 ::ffff:192.0.2.7 ::1 1 2", Some("[::ffff:192.0.2.7]:1")),
        ("UNKNOWN", None),
        ("UNKNOWN ffff:f...f:ffff whatever 65535 \u{e9}", None),
    ] {
        let line = format!("PROXY {line}\r\n");
        assert_eq!(source(line.as_bytes()).map(|it| it.to_string()).as_deref(), expected, "{line}");
    }
    let full = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let longest = format!("PROXY TCP6 {full} {full} 65535 65535\r\n");
    assert_eq!(longest.len(), 104);
    assert!(source(longest.as_bytes()).is_some());
}

#[test]
fn version_1_is_strict() {
    for line in [
        "TCP4 192.0.2.7 198.51.100.1 50123",
        "TCP4 192.0.2.7 198.51.100.1 50123 443 ",
        "TCP4 192.0.2.7 198.51.100.1 50123 443 x",
        "TCP4  192.0.2.7 198.51.100.1 50123 443",
        "TCP4 192.0.2.07 198.51.100.1 50123 443",
        "TCP4 192.0.2.7 198.51.100.1 050123 443",
        "TCP4 192.0.2.7 198.51.100.1 +50 443",
        "TCP4 192.0.2.7 198.51.100.1 65536 443",
        "TCP4 192.0.2.7 198.51.100.1 -1 443",
        "TCP4 192.0.2.7 198.51.100.1  443",
        "TCP4 ::1 ::1 1 2",
        "TCP6 192.0.2.7 198.51.100.1 1 2",
        "TCP6 [::1] [::1] 1 2",
        "TCP6 ::1%1 ::1 1 2",
        "TCP5 192.0.2.7 198.51.100.1 1 2",
        "tcp4 192.0.2.7 198.51.100.1 1 2",
        "UNKNOWNS",
        "",
        "TCP4 192.0.2.7 198.51.100.1 1 2\r",
    ] {
        let line = format!("PROXY {line}\r\n");
        assert_eq!(parse(line.as_bytes()), Err(Error::BadLine), "{line:?}");
    }
    assert_eq!(parse(b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n"), Err(Error::BadLine));
    assert_eq!(parse(b"PROXY UNKNOWN\xff\r\n"), Err(Error::BadLine), "not UTF-8");
}

#[test]
fn a_header_is_incomplete_until_its_last_byte() {
    let tlv = [TLV_SSL, 0, 5, 0, 0, 0, 0, 0];
    for whole in [
        b"PROXY TCP4 192.0.2.7 198.51.100.1 50123 443\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        v2(0x21, 0x11, &[&IPV4[..], &tlv].concat()),
        v2(0x20, 0, &[]),
    ] {
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]), Ok(None), "{}", whole[..end].escape_ascii());
        }
        let (_, size) = parse(&whole).unwrap().unwrap();
        let more = [&whole[..], b"GET / HTTP/1.1\r\n"].concat();
        assert_eq!(parse(&more).unwrap().unwrap().1, size);
    }
}

#[test]
fn a_header_is_bounded() {
    let endless = [&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat();
    assert_eq!(parse(&endless[..MAX_V1_SIZE - 1]), Ok(None));
    assert_eq!(parse(&endless[..MAX_V1_SIZE]), Err(Error::TooLong));
    let ending = |length: usize| [&endless[..length - 2], b"\r\n"].concat();
    assert!(parse(&ending(MAX_V1_SIZE)).unwrap().is_some());
    assert_eq!(parse(&ending(MAX_V1_SIZE + 1)), Err(Error::TooLong));

    let padded = |size: usize| v2(0x20, 0, &vec![0; size - V2_FIXED]);
    assert_eq!(parse(&padded(MAX_SIZE)).unwrap().unwrap().1, MAX_SIZE);
    assert_eq!(parse(&padded(MAX_SIZE + 1)[..V2_FIXED]), Err(Error::TooLong), "at once");
}

#[test]
fn what_is_no_header_is_found_at_its_first_wrong_byte() {
    for (input, at) in [
        (&b"GET / HTTP/1.1\r\n"[..], 1),
        (b"POST / HTTP/1.1\r\n", 2),
        (b"PROXYX", 6),
        (b"PROXY\r\n", 6),
        (b"\x16\x03\x01", 1),
        (b"\r\n\r\nGET", 5),
        (b"\r\n\r\n\0\r\nQUIT\r", 12),
    ] {
        assert_eq!(parse(&input[..at]), Err(Error::Missing), "{}", input.escape_ascii());
        assert_eq!(parse(&input[..at - 1]), Ok(None), "{}", input.escape_ascii());
    }
}

#[test]
fn version_2_has_addresses_of_each_family() {
    let text = |input: &[u8]| source(input).map(|it| it.to_string());
    let destination = |input: &[u8]| parse(input).unwrap().unwrap().0.destination.unwrap();
    for transport in [1, 2] {
        let ipv4 = v2(0x21, 0x10 | transport, &IPV4);
        assert_eq!(text(&ipv4).as_deref(), Some("192.0.2.7:50123"));
        assert_eq!(destination(&ipv4).to_string(), "198.51.100.1:443");
        let mut bytes = [0; 36];
        (bytes[15], bytes[31], bytes[33], bytes[35]) = (1, 2, 3, 4);
        let ipv6 = v2(0x21, 0x20 | transport, &bytes);
        assert_eq!(text(&ipv6).as_deref(), Some("[::1]:3"));
        assert_eq!(destination(&ipv6).to_string(), "[::2]:4");
        let unix = v2(0x21, 0x30 | transport, &[b'/'; 216]);
        assert_eq!(source(&unix), Some(SocketAddr::new(UNIX_PEER, 0)));
    }
    assert_eq!(source(&v2(0x21, 0, &[])), None);
    assert_eq!(source(&v2(0x21, 0, &[4, 0, 1, 9])), None, "a TLV of no interest");
    for family in [0, 0x11, 0xff] {
        assert_eq!(source(&v2(0x20, family, &[1])), None, "LOCAL: the rest is ignored");
    }
}

#[test]
fn version_2_is_strict() {
    for (header, error) in [
        (v2(0x22, 0x11, &IPV4), Error::BadVersion),
        (v2(0x11, 0x11, &IPV4), Error::BadVersion),
        (v2(0x31, 0x11, &IPV4), Error::BadVersion),
        (v2(0x21, 0x10, &IPV4), Error::BadFamily),
        (v2(0x21, 0x01, &IPV4), Error::BadFamily),
        (v2(0x21, 0x13, &IPV4), Error::BadFamily),
        (v2(0x21, 0x41, &IPV4), Error::BadFamily),
        (v2(0x21, 0x11, &IPV4[..11]), Error::BadLength),
        (v2(0x21, 0x21, &[0; 35]), Error::BadLength),
        (v2(0x21, 0x31, &[0; 215]), Error::BadLength),
        (v2(0x21, 0x11, &[&IPV4[..], &[4]].concat()), Error::BadLength),
        (v2(0x21, 0x11, &[&IPV4[..], &[4, 0, 2, 0]].concat()), Error::BadLength),
    ] {
        assert_eq!(parse(&header), Err(error), "{}", header.escape_ascii());
    }
}

#[test]
fn version_2_says_whether_the_client_uses_tls() {
    let tls = |command: u8, tlvs: &[u8]| {
        let header = v2(command, 0x11, &[&IPV4[..], tlvs].concat());
        parse(&header).unwrap().unwrap().0.tls
    };
    let ssl = |client: u8| [&[2, 0, 1, b'x', TLV_SSL, 0, 5, client, 0, 0, 0, 0][..]].concat();
    assert!(tls(0x21, &ssl(1)) && tls(0x21, &ssl(7)));
    assert!(!tls(0x21, &ssl(0)) && !tls(0x21, &[]) && !tls(0x21, &[TLV_SSL, 0, 0]));
    assert!(!tls(0x20, &ssl(1)), "LOCAL");
}
