use super::*;
use crate::http1::{Connection, Event, Limits};
use std::format;
use std::string::{String, ToString};

/// Addresses of 10/8, fd00::/8 and Unix sockets are proxies.
fn is_trusted(ip: IpAddr) -> bool {
    ip == UNIX_PEER || ip.to_string().starts_with("10.") || ip.to_string().starts_with("fd00:")
}

fn client_from(peer: &str, lines: &[(&str, &str)]) -> Result<Client, Error> {
    let lines: String = lines.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    let mut connection = Connection::new(Limits::default());
    let Ok((_, Event::Request(head))) = connection.advance(request.as_bytes()) else {
        panic!("{request}")
    };
    client(&head, peer.parse().unwrap(), is_trusted)
}

/// Address and scheme, or the error.
fn shown(lines: &[(&str, &str)]) -> String {
    match client_from("10.0.0.1:4000", lines) {
        Err(error) => format!("{error:?}"),
        Ok(Client { addr, is_https: None }) => addr.to_string(),
        Ok(Client { addr, is_https: Some(https) }) => {
            format!("{addr} {}", if https { "https" } else { "http" })
        }
    }
}

const PEER: &str = "10.0.0.1:4000";

#[test]
fn rfc_7239_4_the_first_untrusted_address_from_the_right_is_the_client() {
    for (value, expected) in [
        ("for=192.0.2.7", "192.0.2.7:0"),
        ("For=192.0.2.7;Proto=HTTPS", "192.0.2.7:0 https"),
        ("proto=http;by=10.0.0.1;for=192.0.2.7;host=a", "192.0.2.7:0 http"),
        ("for=\"192.0.2.7:50123\"", "192.0.2.7:50123"),
        ("for=192.0.2.7:50123", "192.0.2.7:50123"),
        ("for=\"[2001:db8::7]\"", "[2001:db8::7]:0"),
        ("for=\"[2001:db8::7]:50123\"", "[2001:db8::7]:50123"),
        ("for=[2001:db8::7]:50123", "[2001:db8::7]:50123"),
        ("for=\"[::ffff:192.0.2.7]\"", "192.0.2.7:0"),
        ("for=\"[fe80::1%eth0]:5\"", "[fe80::1]:5"),
        ("for=[fe80::1%25eth0]", "[fe80::1]:0"),
        ("for=\"192.0.2.7:_port\"", "192.0.2.7:0"),
        ("for=6.6.6.6, for=192.0.2.7", "192.0.2.7:0"),
        ("for=192.0.2.7;proto=https, for=10.0.0.2;proto=http", "192.0.2.7:0 https"),
        ("for=192.0.2.7, for=10.0.0.2;proto=https", "192.0.2.7:0"),
        ("for=10.0.0.3, for=10.0.0.2", "10.0.0.3:0"),
        ("for=\"[fd00::1]\"", "[fd00::1]:0"),
        (" ,for=192.0.2.7 ; proto=https, ,", "192.0.2.7:0 https"),
        ("for=192.0.2.7;x=\"a,b\\\",;=\"", "192.0.2.7:0"),
        // [ forwarded-pair ] *( ";" [ forwarded-pair ] ): a pair may be missing.
        ("for=192.0.2.7;", "192.0.2.7:0"),
        (";for=192.0.2.7", "192.0.2.7:0"),
        ("for=192.0.2.7;;proto=https", "192.0.2.7:0 https"),
        ("; ; for=\"192.0.2.7\" ; ; proto=https ; ;", "192.0.2.7:0 https"),
        ("for=192.0.2.7;, for=10.0.0.2;;", "192.0.2.7:0"),
        // A quoted-pair is the octet behind its backslash (RFC 9110 §5.6.4).
        ("for=\"19\\2.0.2.7\"", "192.0.2.7:0"),
        ("for=\"\\[2001:db8\\:\\:7\\]:5\\0\";proto=\"\\h\\ttps\"", "[2001:db8::7]:50 https"),
        ("", PEER),
        (" , ", PEER),
    ] {
        assert_eq!(shown(&[("Forwarded", value)]), expected, "{value}");
    }
}

#[test]
fn rfc_7239_6_2_an_identifier_that_is_no_address_ends_the_walk() {
    for (value, expected) in [
        ("for=6.6.6.6, for=unknown", PEER),
        ("for=6.6.6.6, for=UNKNOWN;proto=https", "10.0.0.1:4000 https"),
        ("for=6.6.6.6, for=\"unknown:80\"", PEER),
        ("for=6.6.6.6, for=_gate", PEER),
        ("for=6.6.6.6, for=_a, for=10.0.0.2", "10.0.0.2:0"),
        ("for=6.6.6.6, by=10.0.0.1", PEER),
        ("for=6.6.6.6, ;", PEER),
        ("for=6.6.6.6, ; ;;", PEER),
        ("for=6.6.6.6, ;, for=10.0.0.2", "10.0.0.2:0"),
        ("for=6.6.6.6, for=\"\\_ga\\te\"", PEER),
    ] {
        assert_eq!(shown(&[("Forwarded", value)]), expected, "{value}");
    }
}

#[test]
fn x_forwarded_for_is_a_list_of_addresses() {
    for (value, expected) in [
        ("192.0.2.7", "192.0.2.7:0"),
        ("192.0.2.7:50123", "192.0.2.7:50123"),
        ("2001:db8::7", "[2001:db8::7]:0"),
        ("[2001:db8::7]", "[2001:db8::7]:0"),
        ("[2001:db8::7]:50123", "[2001:db8::7]:50123"),
        ("::ffff:192.0.2.7", "192.0.2.7:0"),
        ("fe80::1%eth0", "[fe80::1]:0"),
        ("fe80::1%25eth0", "[fe80::1]:0"),
        ("fe80::1%Ethernet 2", "[fe80::1]:0"),
        ("[fe80::1%3]", "[fe80::1]:0"),
        ("[fe80::1%25eth0]:80", "[fe80::1]:80"),
        ("192.0.2.7, fd00::1%eth0", "192.0.2.7:0"),
        ("6.6.6.6, 192.0.2.7,10.0.0.2", "192.0.2.7:0"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3:0"),
        ("6.6.6.6, unknown", PEER),
        ("192.0.2.7, unix:", "192.0.2.7:0"),
        ("\", 192.0.2.7", "192.0.2.7:0"),
        ("", PEER),
    ] {
        assert_eq!(shown(&[("X-Forwarded-For", value)]), expected, "{value}");
    }
}

#[test]
fn the_lines_of_a_header_are_one_list() {
    for name in ["Forwarded", "X-Forwarded-For"] {
        let value = |ip: &str| match name {
            "Forwarded" => format!("for={ip}"),
            _ => ip.to_string(),
        };
        let [forged, client, proxy] = ["6.6.6.6", "192.0.2.7", "10.0.0.2"].map(value);
        let both = format!("{client}, {proxy}");
        assert_eq!(shown(&[(name, &forged), (name, &client), (name, &proxy)]), "192.0.2.7:0");
        assert_eq!(shown(&[(name, &forged), (name, &both)]), "192.0.2.7:0");
    }
}

#[test]
fn the_scheme_of_x_forwarded_proto_is_its_last_one() {
    for (value, expected) in [
        ("https", "192.0.2.7:0 https"),
        ("HTTPS", "192.0.2.7:0 https"),
        ("wss", "192.0.2.7:0 https"),
        ("http", "192.0.2.7:0 http"),
        ("https, http", "192.0.2.7:0 http"),
        ("]garbage[, https", "192.0.2.7:0 https"),
        ("", "192.0.2.7:0"),
        ("https;", "Malformed"),
        ("1", "Malformed"),
    ] {
        let lines = [("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-Proto", value)];
        assert_eq!(shown(&lines), expected, "{value}");
    }
    assert_eq!(shown(&[("X-Forwarded-Proto", "https")]), "10.0.0.1:4000 https");
    let forwarded = [("Forwarded", "for=192.0.2.7"), ("X-Forwarded-Proto", "https")];
    assert_eq!(shown(&forwarded), "192.0.2.7:0", "Forwarded has no scheme");
}

#[test]
fn two_headers_must_have_the_same_client() {
    let both = |forwarded: &str, x_forwarded: &str| {
        shown(&[("Forwarded", forwarded), ("X-Forwarded-For", x_forwarded)])
    };
    assert_eq!(both("for=\"192.0.2.7:5\";proto=https", "192.0.2.7"), "192.0.2.7:5 https");
    assert_eq!(both("for=\"[::ffff:192.0.2.7]\"", "6.6.6.6, 192.0.2.7, 10.0.0.2"), "192.0.2.7:0");
    assert_eq!(both("for=6.6.6.6", "192.0.2.7"), "Conflict", "the client has sent Forwarded");
    assert_eq!(both("for=192.0.2.7", "6.6.6.6"), "Conflict");
    assert_eq!(both("for=_hidden", "192.0.2.7"), "Conflict");
    assert_eq!(both("", "192.0.2.7"), "192.0.2.7:0", "an empty one says nothing");
}

#[test]
fn what_a_trusted_proxy_cannot_have_meant_is_malformed() {
    for value in [
        "192.0.2.7",
        "for",
        "for=",
        "for =192.0.2.7",
        "for= 192.0.2.7",
        "for=192.0.2.7 proto=http",
        "for=192.0.2.7;for=192.0.2.8",
        "for=192.0.2.7;;for=192.0.2.7",
        "for=192.0.2.7; ;x",
        "for=192.0.2.7;=",
        "for=192.0.2.7;proto=http;PROTO=https",
        "for=192.0.2.7;proto=\"ht tp\"",
        "for=192.0.2.07",
        "for=192.0.2.7:",
        "for=192.0.2.7:65536",
        "for=192.0.2.7:+1",
        "for=2001:db8::7",
        "for=fe80::1%eth0",
        "for=\"[fe80::1%]\"",
        "for=\"[%eth0]\"",
        "for=\"192.0.2.7%eth0\"",
        "for=\"[2001:db8::7\"",
        "for=\"[192.0.2.7]\"",
        "for=\"[2001:db8::7]x\"",
        "for=\"192.0.2.7\\\"",
        "for=\"192.0.2.7\\\"\"",
        "for=\"192.0.2.7\\\\\"",
        "for=19\\2.0.2.7",
        "for=\"192.0.2.7",
        "for=192.0.2.7\"",
        "for=\"192.0.2.7\"x",
        "for=example.com",
        "for=_",
        "for=_a b",
        "=192.0.2.7",
        "f(r=192.0.2.7",
        "for=192.0.2.7, for=10.0.0.2;x",
    ] {
        assert_eq!(shown(&[("Forwarded", value)]), "Malformed", "{value}");
    }
    for value in [
        "example.com",
        "192.0.2.7 10.0.0.2",
        "for=192.0.2.7",
        "192.0.2.7:x",
        "-",
        "\u{e9}",
        "fe80::1%",
        "%eth0",
        "192.0.2.7%eth0",
        "[fe80::1%]:80",
        "[fe80::1%eth0",
    ] {
        assert_eq!(shown(&[("X-Forwarded-For", value)]), "Malformed", "{value}");
        let behind = format!("{value}, 10.0.0.2");
        assert_eq!(shown(&[("X-Forwarded-For", &behind)]), "Malformed", "{value}");
    }
}

#[test]
fn nothing_is_believed_of_an_untrusted_peer() {
    let lines = [("Forwarded", "for=6.6.6.6;proto=https"), ("X-Forwarded-For", "\"")];
    let peer = "192.0.2.7:5".parse().unwrap();
    assert_eq!(client_from("192.0.2.7:5", &lines), Ok(Client { addr: peer, is_https: None }));
}

#[test]
fn headers_are_seen_by_their_names() {
    for (name, expected) in [
        ("forwarded", true),
        ("X-FORWARDED-FOR", true),
        ("X-Forwarded-Proto", true),
        ("X-Forwarded-Host", false),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{name}: x\r\n\r\n");
        let mut connection = Connection::new(Limits::default());
        let Ok((_, Event::Request(head))) = connection.advance(request.as_bytes()) else {
            panic!()
        };
        assert_eq!(is_forwarded(&head), expected, "{name}");
    }
}
