//! Every variable and its source, and the headers that must not become variables.

use super::{Context, RemoteUser, arguments, variables};
use crate::cgi::route::Script;
use crate::http1::{Connection, Event, Head, Limits};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::SocketAddr;

type Variables = BTreeMap<String, String>;

/// Calls `f` with the head of a well-formed request.
fn with_head<T>(request: &[u8], f: impl FnOnce(Head<'_>) -> T) -> T {
    let mut connection = Connection::new(Limits::default());
    match connection.advance(request) {
        Ok((_, Event::Request(head))) => f(head),
        other => unreachable!("{}: {other:?}", request.escape_ascii()),
    }
}

/// The variables of a request for `/cgi-bin/x`, with the changes of `change`. Panics if a name is set
/// twice or a value holds a NUL.
fn of(request: &[u8], change: impl FnOnce(&mut Context<'_>)) -> Variables {
    with_head(request, |head| {
        let script = Script::for_path(head.path());
        let mut context = Context {
            head,
            script: &script,
            document_root: b"/srv/www",
            server_software: "doorstep/1",
            local_addr: address("10.0.0.1:8000"),
            remote_addr: address("10.9.8.7:50123"),
            content_length: None,
            secure: false,
            user: RemoteUser::Claimed,
        };
        change(&mut context);
        let mut all = Variables::new();
        variables(&context, |name, value| {
            let earlier = all.insert(name.to_owned(), value.escape_ascii().to_string());
            assert_eq!(earlier, None, "{name} is set twice");
            assert!(!value.contains(&0), "{name} holds a NUL");
        });
        all
    })
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// The variables of a GET by HTTP/1.0 with these headers, separated by `|`.
fn fields(fields: &str) -> Variables {
    let lines: String = fields.split('|').map(|field| format!("{field}\r\n")).collect();
    of(format!("GET /cgi-bin/x HTTP/1.0\r\n{lines}\r\n").as_bytes(), |_| {})
}

/// The `HTTP_` variables among them, as `NAME=VALUE`.
fn http(lines: &str) -> Vec<String> {
    let all = fields(lines).into_iter().filter(|(name, _)| name.starts_with("HTTP_"));
    all.map(|(name, value)| format!("{name}={value}")).collect()
}

/// One variable of a request with this target.
fn at(target: &str, name: &str) -> Option<String> {
    of(format!("GET {target} HTTP/1.0\r\n\r\n").as_bytes(), |_| {}).remove(name)
}

fn addresses(local: &str, peer: &str) -> Variables {
    of(b"GET /cgi-bin/x HTTP/1.0\r\n\r\n", |context| {
        (context.local_addr, context.remote_addr) = (address(local), address(peer));
    })
}

#[test]
fn b_237_exactly_these_variables_are_set() {
    let request = b"POST //cgi-bin/do%20it/a%2fb//?q=%20#f HTTP/1.1\r\nHost: here:81\r\n\
        Content-Type: text/plain\r\nContent-Length: 3\r\nAuthorization: Basic YTpi\r\n\r\n";
    let all = of(request, |context| (context.content_length, context.secure) = (Some(3), true));
    let expected = [
        ("AUTH_TYPE", "Basic"),
        ("CONTENT_LENGTH", "3"),
        ("CONTENT_TYPE", "text/plain"),
        ("DOCUMENT_ROOT", "/srv/www"),
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("HTTPS", "on"),
        ("HTTP_HOST", "here:81"),
        ("PATH_INFO", "/a/b/"),
        ("PATH_TRANSLATED", "/srv/www/a/b/"),
        ("QUERY_STRING", "q=%20"),
        ("REMOTE_ADDR", "10.9.8.7"),
        ("REMOTE_PORT", "50123"),
        ("REMOTE_USER", "a"),
        ("REQUEST_METHOD", "POST"),
        ("REQUEST_URI", "/cgi-bin/do%20it/a%2fb//?q=%20"),
        ("SCRIPT_FILENAME", "/srv/www/cgi-bin/do it"),
        ("SCRIPT_NAME", "/cgi-bin/do it"),
        ("SERVER_NAME", "here"),
        ("SERVER_PORT", "8000"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_SOFTWARE", "doorstep/1"),
    ];
    let shown: Vec<_> = all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(shown, expected);
}

#[test]
fn rfc_3875_4_1_16_the_version_of_the_request() {
    for (line, protocol) in [("", "HTTP/0.9"), (" HTTP/1.0", "HTTP/1.0")] {
        let all = of(format!("GET /cgi-bin/x{line}\r\n\r\n").as_bytes(), |_| {});
        assert_eq!(all["SERVER_PROTOCOL"], protocol);
    }
}

#[test]
fn b_229_b_243_the_query_is_undecoded_and_always_set() {
    for (target, query, uri) in [
        ("/cgi-bin/x", "", "/cgi-bin/x"),
        ("/cgi-bin/x?", "", "/cgi-bin/x?"),
        ("/cgi-bin/x?a?b=/%20+", "a?b=/%20+", "/cgi-bin/x?a?b=/%20+"),
        ("/cgi-bin/x#f?a", "", "/cgi-bin/x"),
        ("http://there/cgi-bin/./x?a", "a", "/cgi-bin/./x?a"),
    ] {
        assert_eq!(at(target, "QUERY_STRING").as_deref(), Some(query), "{target}");
        assert_eq!(at(target, "REQUEST_URI").as_deref(), Some(uri), "{target}");
    }
}

#[test]
fn b_243_absent_values_are_not_set() {
    let all = fields("X-A: 1");
    let optional = ["CONTENT_TYPE", "CONTENT_LENGTH", "AUTH_TYPE", "REMOTE_USER", "HTTPS"];
    for name in optional.into_iter().chain(["HTTP_HOST", "HTTP_ACCEPT", "HTTP_COOKIE"]) {
        assert!(!all.contains_key(name), "{name}");
    }
    assert_eq!(fields("Content-Type: a/b|Content-Type: c/d")["CONTENT_TYPE"], "a/b");
}

#[test]
fn b_243_the_length_is_that_of_the_body_a_script_reads() {
    let chunked = b"POST /cgi-bin/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let all = of(chunked, |context| context.content_length = Some(u64::MAX));
    assert_eq!(all["CONTENT_LENGTH"], "18446744073709551615");
    assert!(!all.contains_key("HTTP_TRANSFER_ENCODING"));
    assert!(!fields("Content-Length: 0").contains_key("CONTENT_LENGTH"));
}

#[test]
fn b_244_path_info_is_decoded_and_translated_when_there_is_some() {
    let path = "/cgi-bin/x/a%20b/..%2Fc%c3%a9/";
    assert_eq!(at(path, "PATH_INFO").as_deref(), Some("/c\\xc3\\xa9/"));
    assert_eq!(at(path, "PATH_TRANSLATED").as_deref(), Some("/srv/www/c\\xc3\\xa9/"));
    assert_eq!(at("/cgi-bin/x/", "PATH_TRANSLATED").as_deref(), Some("/srv/www/"));
    assert_eq!(at("/cgi-bin/x", "PATH_INFO").as_deref(), Some(""));
    assert_eq!(at("/cgi-bin/x", "PATH_TRANSLATED"), None);
}

#[test]
fn b_244_the_root_may_be_that_of_the_file_system() {
    for root in [&b"/"[..], b""] {
        let all = of(b"GET /cgi-bin/x/y HTTP/1.0\r\n\r\n", |context| context.document_root = root);
        assert_eq!(all["DOCUMENT_ROOT"].as_bytes(), root);
        assert_eq!(all["SCRIPT_FILENAME"], "/cgi-bin/x");
        assert_eq!(all["PATH_TRANSLATED"], "/y");
    }
}

#[test]
fn b_287_the_server_is_called_as_the_peer_called_it() {
    for (host, name) in [
        ("a.example", "a.example"),
        ("A:8080", "A"),
        ("a:", "a"),
        ("[::1]", "[::1]"),
        ("[fe80::1]:80", "[fe80::1]"),
        ("", "10.0.0.1"),
        (":80", "10.0.0.1"),
    ] {
        let all = fields(&format!("Host: {host}"));
        assert_eq!(all["SERVER_NAME"], name, "{host}");
        assert_eq!(all["HTTP_HOST"], host);
        assert_eq!(all["SERVER_PORT"], "8000", "the local port, not that of the request");
    }
}

#[test]
fn rfc_9112_3_2_2_the_host_of_the_target_takes_precedence_over_the_header() {
    let all = of(b"GET http://b:1/cgi-bin/x HTTP/1.1\r\nHost: a\r\n\r\n", |_| {});
    assert_eq!((&*all["HTTP_HOST"], &*all["SERVER_NAME"]), ("b:1", "b"));
    assert_eq!(at("http://b/cgi-bin/x", "HTTP_HOST").as_deref(), Some("b"), "also without one");
}

#[test]
fn b_105_b_287_addresses_are_shown_as_they_are() {
    for (local, name) in
        [("10.0.0.1:80", "10.0.0.1"), ("[::ffff:10.0.0.1]:80", "10.0.0.1"), ("[::1]:80", "[::1]")]
    {
        assert_eq!(addresses(local, "[::1]:1")["SERVER_NAME"], name);
    }
    for (peer, shown) in [
        ("10.0.0.2:7", "10.0.0.2"),
        ("[::ffff:10.0.0.2]:7", "10.0.0.2"),
        ("[fe80::2%3]:7", "fe80::2"),
    ] {
        let all = addresses("[::1]:80", peer);
        assert_eq!((&*all["REMOTE_ADDR"], &*all["REMOTE_PORT"]), (shown, "7"));
    }
    let reported = addresses("[::1]:80", "10.0.0.2:0"); // by a proxy, without its port
    assert_eq!((&*reported["REMOTE_ADDR"], reported.get("REMOTE_PORT")), ("10.0.0.2", None));
}

#[test]
fn rfc_3875_4_1_a_unix_socket_has_no_address_and_the_port_of_the_url() {
    let of = |host: &str, secure| {
        of(format!("GET /cgi-bin/x HTTP/1.0\r\n{host}\r\n").as_bytes(), |context| {
            let unix = SocketAddr::new(crate::log::UNIX_PEER, 0);
            (context.local_addr, context.remote_addr) = (unix, unix);
            context.secure = secure;
        })
    };
    for (host, secure, name, port) in [
        ("", false, "localhost", "80"),
        ("", true, "localhost", "443"),
        ("Host: a.example\r\n", false, "a.example", "80"),
        ("Host: a.example:8443\r\n", true, "a.example", "8443"),
        ("Host: [::1]:8000\r\n", false, "[::1]", "8000"),
        ("Host: a:\r\n", true, "a", "443"),
        ("Host: a:99999\r\n", false, "a", "80"),
    ] {
        let all = of(host, secure);
        assert_eq!((&*all["SERVER_NAME"], &*all["SERVER_PORT"]), (name, port), "{host:?}");
        assert_eq!(all["REMOTE_ADDR"], "unix:");
        assert!(!all.contains_key("REMOTE_PORT"));
    }
}

#[test]
fn b_239_authorization_is_never_passed_on() {
    let all = fields("Authorization: Basic c2VjOnJldA==|Proxy-Authorization: Basic c2VjOnJldA==");
    assert_eq!((&*all["AUTH_TYPE"], &*all["REMOTE_USER"]), ("Basic", "sec"));
    assert!(all.values().all(|value| !value.contains("c2Vj") && !value.contains("ret")));
    let all = fields("AUTHORIZATION: Bearer c2VjOnJldA==");
    assert_eq!(all["AUTH_TYPE"], "Bearer");
    assert!(!all.contains_key("REMOTE_USER") && all.values().all(|value| !value.contains("c2Vj")));
    assert!(!fields("Authorization: Digest username=\"a\", uri=\"/\"").contains_key("AUTH_TYPE"));
}

#[test]
fn rfc_7617_an_authenticated_user_replaces_every_claim() {
    let head = b"GET /cgi-bin/x HTTP/1.1\r\nHost: a\r\nAuthorization: Basic c2VjOnJldA==\r\n\r\n";
    let all = of(head, |context| context.user = RemoteUser::Authenticated(b"alice"));
    assert_eq!((&*all["AUTH_TYPE"], &*all["REMOTE_USER"]), ("Basic", "alice"));
    let all = of(head, |context| context.user = RemoteUser::Anonymous);
    assert!(!all.contains_key("AUTH_TYPE") && !all.contains_key("REMOTE_USER"));
}

#[test]
fn b_240_repeated_headers_are_one_list() {
    assert_eq!(
        http("Accept: a/b|X-Y: 1|ACCEPT: c/d;q=0.5"),
        ["HTTP_ACCEPT=a/b, c/d;q=0.5", "HTTP_X_Y=1"]
    );
    assert_eq!(http("X:|x: \t b \t"), ["HTTP_X=, b"]);
}

#[test]
fn b_241_cookies_are_joined_as_cookies() {
    assert_eq!(http("Cookie: a=1|cookie: b=2; c=3"), ["HTTP_COOKIE=a=1; b=2; c=3"]);
}

#[test]
fn b_242_all_other_headers_are_passed() {
    let lines = "User-Agent: t|Content-Encoding: gzip|X1-2: \u{e9}|Expect: 100-continue";
    let user_agent = "HTTP_USER_AGENT=t";
    let expected = ["HTTP_CONTENT_ENCODING=gzip", "HTTP_EXPECT=100-continue", user_agent];
    assert_eq!(http(lines)[..3], expected);
    assert_eq!(http(lines)[3..], ["HTTP_X1_2=\\xc3\\xa9"]);
}

#[test]
fn b_242_framing_headers_are_not_passed() {
    let lines = "Connection: close|Content-Length: 0|Content-Type: a/b|Proxy-Authorization: x";
    assert_eq!(http(lines), [""; 0]);
}

#[test]
fn b_242_httpoxy_sets_no_proxy() {
    for name in ["Proxy", "proxy", "PROXY", "pRoXy"] {
        assert_eq!(http(&format!("{name}: http://evil/")), [""; 0], "{name}");
    }
    assert_eq!(http("Proxy-Foo: 1"), ["HTTP_PROXY_FOO=1"]);
}

#[test]
fn b_242_no_header_has_the_variable_of_another() {
    for name in ["X_Forwarded_For", "Content_Length", "_", "X.A", "X'A", "X~", "Pro_xy", "Host_"] {
        assert_eq!(http(&format!("{name}: evil")), [""; 0], "{name}");
    }
    assert_eq!(http("X-A: good|X_A: evil|x-a: too"), ["HTTP_X_A=good, too"]);
}

#[test]
fn rfc_3875_7_2_a_value_with_a_nul_is_left_out() {
    let all = of(b"GET /cgi-bin/x HTTP/1.0\r\n\r\n", |context| context.document_root = b"/a\0b");
    assert!(!all.contains_key("DOCUMENT_ROOT") && !all.contains_key("SCRIPT_FILENAME"));
    assert_eq!(all["SCRIPT_NAME"], "/cgi-bin/x");
}

#[test]
fn b_245_an_indexed_query_is_the_arguments() {
    let none: [&str; 0] = [];
    let table: [(&str, &[&str]); 16] = [
        ("", &none),
        ("?", &none),
        ("?a", &["a"]),
        ("?a+b", &["a", "b"]),
        ("?a%20b+%2B%3d", &["a b", "+="]),
        ("?a+b=c", &none),
        ("?=", &none),
        ("?a#=", &["a"]),
        ("?a?b/c", &["a?b/c"]),
        ("?a++b+", &["a", "", "b", ""]),
        ("?+", &["", ""]),
        ("?%zz%", &["%zz%"]),
        ("?%00", &none),
        ("?a+b%00c", &none),
        ("?-x+--y", &["-x", "--y"]),
        ("?%22$(a)", &["\"$(a)"]),
    ];
    for (suffix, expected) in table {
        let request = format!("GET /cgi-bin/x{suffix} HTTP/1.0\r\n\r\n");
        assert_eq!(
            with_head(request.as_bytes(), |head| arguments(&head)),
            expected_bytes(expected)
        );
    }
}

fn expected_bytes(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

#[test]
fn b_245_only_get_and_head_have_arguments() {
    for (method, count) in [("GET", 1), ("HEAD", 1), ("POST", 0), ("get", 0), ("OPTIONS", 0)] {
        let request = format!("{method} /cgi-bin/x?a HTTP/1.0\r\n\r\n");
        assert_eq!(with_head(request.as_bytes(), |head| arguments(&head)).len(), count, "{method}");
    }
}

proptest! {
    #[test]
    fn rfc_3875_4_1_names_are_plain_and_values_hold_no_nul(
        name in "[-!_a-zA-Z0-9]{1,12}",
        value in r"[\x00\t -~é]{0,12}",
        query in r"(%00|%[0-9a-f]{2}|\+|=|[!-~]){0,12}",
    ) {
        let start = format!("GET /cgi-bin/x?{query} HTTP/1.0\r\n{name}:");
        let request = [start.as_bytes(), value.as_bytes(), b"\r\n\r\n"].concat();
        let mut connection = Connection::new(Limits::default());
        let Ok((_, Event::Request(head))) = connection.advance(&request) else {
            return Ok(()); // refused by the parser
        };
        for name in of(&request, |_| {}).into_keys() {
            let plain = |b| matches!(b, b'A'..=b'Z' | b'0'..=b'9' | b'_');
            prop_assert!(name.bytes().all(plain), "{name}");
        }
        prop_assert!(arguments(&head).iter().all(|word| !word.contains(&0)));
    }
}
