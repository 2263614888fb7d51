use super::*;

#[test]
fn every_known_header_is_found_by_its_name() {
    for (known, name) in KNOWN_NAMES {
        let upper = name.to_ascii_uppercase();
        assert!(KnownHeader::from_name(name) == Some(known), "{}", name.escape_ascii());
        assert!(KnownHeader::from_name(&upper) == Some(known), "{}", upper.escape_ascii());
    }
    for name in ["", "x", "hose", "if-watch", "accept-encodings"] {
        assert!(KnownHeader::from_name(name.as_bytes()).is_none(), "{name}");
    }
}

#[test]
fn a_prefix_is_taken_off_whole_components() {
    use crate::http1::{Connection, Event, Limits};

    for (target, prefix, expected) in [
        ("/docs/", "/docs", Some(("/docs", "/"))),
        ("/docs/a/b", "/docs", Some(("/docs", "/a/b"))),
        ("/docs//a", "/docs", Some(("/docs/", "/a"))),
        ("//docs/a", "/docs", Some(("/docs", "/a"))),
        ("/a/b/c", "/a/b", Some(("/a/b", "/c"))),
        ("http://b/docs/a", "/docs", Some(("/docs", "/a"))),
        ("/a", "", Some(("", "/a"))),
        ("/docs", "/docs", None),
        ("/docs?/", "/docs", None),
        ("/docsx/", "/docs", None),
        ("/Docs/", "/docs", None),
        ("/d%6fcs/", "/docs", None),
        ("/x/docs/", "/docs", None),
        ("http://b", "/docs", None),
        ("http://b", "/", None),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut connection = Connection::new(Limits::default());
        let Ok((_, Event::Request(head))) = connection.advance(request.as_bytes()) else {
            panic!("{target}")
        };
        let below = head.without_prefix(prefix.as_bytes());
        let below = below.map(|head| (head.prefix(), head.path()));
        let expected = expected.map(|(prefix, path)| (prefix.as_bytes(), path.as_bytes()));
        assert_eq!(below, expected, "{target} {prefix}");
        assert_eq!(head.prefix(), b"");
    }
}

#[test]
fn query_pairs_are_decoded_and_hostile_ones_are_bytes() {
    use crate::http1::{Connection, Event, Limits};

    let pairs = |query: &str| {
        let request = format!("GET /{query} HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut connection = Connection::new(Limits::default());
        let Ok((_, Event::Request(head))) = connection.advance(request.as_bytes()) else {
            panic!("{query}")
        };
        let text = |bytes: Vec<u8>| bytes.escape_ascii().to_string();
        head.query_pairs().map(|(n, v)| (text(n), text(v))).collect::<Vec<_>>()
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(pairs(""), []);
    assert_eq!(pairs("?"), []);
    assert_eq!(pairs("?a=1&&b=2&"), [pair("a", "1"), pair("b", "2")]);
    assert_eq!(pairs("?a=b=c&=d&e="), [pair("a", "b=c"), pair("", "d"), pair("e", "")]);
    assert_eq!(pairs("?a+b=%26%3D%2B"), [pair("a b", "&=+")]);
    assert_eq!(pairs("?%ff=%zz%4&a;b"), [pair("\\xff", "%zz%4"), pair("a;b", "")]);
    assert_eq!(pairs("?a=1#?b=2"), [pair("a", "1")]);
}
