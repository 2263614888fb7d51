//! Connections that begin with a header of the PROXY protocol, in one piece, byte by byte and in
//! memory; and those that should, but do not.

use std::thread;
use std::time::Duration;

use doorstep::blocking::Config;
use doorstep::driver::net::{Listener, MemoryStream, Stream};

use crate::forwarded::ClientServer;
use crate::runtimes::{Runtime, config, eventually, listener, with};
use crate::service::State;

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 50123 443\r\n";
/// Version 2: the same addresses, and the TLV that the client uses TLS.
const V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x14\xc0\0\x02\x07\xc6\x33\x64\x01\xc3\xcb\x01\xbb\
    \x20\0\x05\x01\0\0\0\0";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

on_every_runtime! {
    fn the_client_is_that_of_the_header(runtime: Runtime) {
        let server = start(runtime, "127.0.0.0/8", config());
        for (header, expected) in [
            (V1, "192.0.2.7:50123 false 192.0.2.7:50123"),
            (V2, "192.0.2.7:50123 true 192.0.2.7:50123"),
        ] {
            let mut client = server.client();
            client.send(&[header, GET, GET].concat());
            for _ in 0..2 {
                assert_eq!(client.response(false).body, expected.as_bytes());
            }
            let local = client.request("GET", "/local", &[]);
            assert_eq!(local.body, b"198.51.100.1:443");
        }
        for header in [LOCAL, b"PROXY UNKNOWN\r\n"] {
            let mut client = server.client();
            let peer = format!("127.0.0.1:{}", client.port());
            client.send(&[header, GET].concat());
            assert_eq!(client.response(false).body, format!("{peer} false {peer}").as_bytes());
        }
        assert_eq!(server.log(8)[..6], ["192.0.2.7"; 6]);
        assert_eq!(server.errors(), [""; 0]);
    }

    fn a_header_may_arrive_in_any_pieces(runtime: Runtime) {
        let server = start(runtime, "127.0.0.0/8", config());
        for header in [V1, V2] {
            for pause in [false, true] {
                let mut client = server.client();
                for byte in [header, GET].concat() {
                    client.send(&[byte]);
                    if pause {
                        thread::sleep(Duration::from_millis(1)); // most bytes are read alone
                    }
                }
                let body = client.response(false).body;
                assert!(body.starts_with(b"192.0.2.7:50123 "), "{}", body.escape_ascii());
            }
            for cut in [1, header.len() - 1, header.len(), header.len() + 1] {
                let mut client = server.client();
                let all = [header, GET].concat();
                client.send(&all[..cut]);
                thread::sleep(Duration::from_millis(20));
                client.send(&all[cut..]);
                assert_eq!(client.response(false).status, 200);
                assert_eq!(client.request("GET", "/", &[]).status, 200);
            }
        }
        assert_eq!(server.errors(), [""; 0]);
    }

    fn a_large_request_behind_the_header_is_read_to_its_end(runtime: Runtime) {
        // The end of the header is in the middle of what has arrived, however long that is.
        let server = start(runtime, "127.0.0.0/8", config());
        for size in [1, 1900, 1999, 2000, 2001, 2048, 4096, 9000] {
            let mut client = server.client();
            let field = format!("X: {}", "x".repeat(size));
            client.send(&[V1, format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n").as_bytes()].concat());
            assert_eq!(client.response(false).status, 200, "{size}");
        }
    }

    fn a_trusted_peer_without_a_valid_header_is_refused(runtime: Runtime) {
        let server = start(runtime, "127.0.0.0/8", config());
        let bad = "connection failed: malformed PROXY protocol header";
        let long = [&V2[..14], b"\xff\xff"].concat();
        let unended = [b"PROXY UNKNOWN ", &[b'x'; 107][..]].concat();
        let mut expected = Vec::new();
        for (sent, message) in [
            (GET, "connection failed: no PROXY protocol header".to_owned()),
            (b"\x16\x03\x01", "connection failed: no PROXY protocol header".to_owned()),
            (b"PROXY TCP4 192.0.2.7 1 2\r\n", format!("{bad}: bad line")),
            (&unended, format!("{bad}: too long")),
            (&long, format!("{bad}: too long")),
            (b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c", format!("{bad}: bad version or command")),
        ] {
            let mut client = server.client();
            client.send(sent);
            assert_eq!(client.read_to_end_or_reset(), b"", "{}", sent.escape_ascii());
            expected.push(format!("127.0.0.1 {message}"));
            eventually("it is logged", || server.errors().len() == expected.len());
        }
        assert_eq!(server.errors(), expected, "one line each");
        assert_eq!(server.log(0), [""; 0]);
    }

    fn a_header_that_does_not_end_is_refused_and_a_check_of_the_port_is_not(runtime: Runtime) {
        let server = start(runtime, "127.0.0.0/8", config());
        server.client().reset();
        let mut check = server.client();
        check.shutdown_write();
        assert_eq!(check.read_to_end_or_reset(), b"");
        let mut client = server.client();
        client.send(&V1[..20]);
        client.shutdown_write();
        assert_eq!(client.read_to_end_or_reset(), b"");
        let expected = "127.0.0.1 connection failed: the connection ended within its PROXY protocol header";
        eventually("it is logged", || !server.errors().is_empty());
        assert_eq!(server.errors(), [expected]);
    }

    fn a_slow_header_has_the_deadline_of_a_head(runtime: Runtime) {
        let config = with(config(), |c| c.timeouts.head = Duration::from_millis(300));
        let server = start(runtime, "127.0.0.0/8", config);
        let mut silent = server.client();
        let mut slow = server.client();
        slow.send(&V2[..20]);
        for client in [&mut silent, &mut slow] {
            assert_eq!(client.read_to_end_or_reset(), b"");
        }
        eventually("it is logged", || server.errors().len() == 2);
        assert_eq!(server.errors(), ["127.0.0.1 connection timed out"; 2]);
    }

    fn after_the_header_a_connection_is_idle(runtime: Runtime) {
        let config = with(config(), |c| c.timeouts.head = Duration::from_millis(200));
        let server = start(runtime, "127.0.0.0/8", config);
        let mut client = server.client();
        client.send(V1);
        assert!(client.is_silent(), "the header's deadline does not count any more");
        thread::sleep(Duration::from_millis(700));
        assert_eq!(client.request("GET", "/", &[]).status, 200);
        assert_eq!(server.errors(), [""; 0]);
    }

    fn idle_connections_close_on_shutdown_with_and_without_a_header(runtime: Runtime) {
        let server = start(runtime, "127.0.0.0/8", config());
        let mut silent = server.client();
        let mut client = server.client();
        client.send(V1);
        assert!(silent.is_silent() && client.is_silent());
        server.server.stop();
        server.server.close_idle();
        assert_eq!((silent.read_to_end(), client.read_to_end()), (vec![], vec![]));
        server.server.wait_until_stopped();
        assert_eq!(server.errors(), [""; 0]);
    }

    fn other_peers_have_no_header(runtime: Runtime) {
        let server = start(runtime, "10.0.0.0/8", config());
        let mut client = server.client();
        let peer = format!("127.0.0.1:{}", client.port());
        client.send(GET);
        assert_eq!(client.response(false).body, format!("{peer} false {peer}").as_bytes());
        for header in [V1, V2] {
            let mut client = server.client();
            client.send(&[header, GET].concat());
            let response = client.response(false);
            assert_eq!((response.status, response.header("Connection")), (400, Some("close")));
        }
        assert_eq!(server.log(3), ["127.0.0.1"; 3]);
    }

    fn the_client_of_the_header_may_be_a_trusted_proxy(runtime: Runtime) {
        let trusted = "192.0.2.7".parse().expect("it is an address");
        let config = with(config(), |c| c.trusted_proxies = trusted);
        let server = start(runtime, "127.0.0.0/8", config);
        let mut client = server.client();
        client.send(V1);
        let response = client.request("GET", "/", &["X-Forwarded-For: 203.0.113.9"]);
        assert_eq!(response.body, b"203.0.113.9:0 false 192.0.2.7:50123");
    }

    fn a_connection_in_memory_may_have_a_header(runtime: Runtime) {
        let state = State::app();
        let serve = |input: Vec<u8>| {
            let client = MemoryStream::new(input);
            let served = runtime.serve_stream(&state, &config(), Stream::proxied(client.clone().into()));
            served.expect("no thread is needed");
            String::from_utf8(client.take_output()).expect("it is text")
        };
        for header in [V1, V2, LOCAL] {
            let received = serve([header, b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
            assert!(received.ends_with("\r\n\r\nGET /a\n"), "{received}");
        }
        assert_eq!(serve(GET.to_vec()), "");
        assert_eq!(state.errors(), ["connection failed: no PROXY protocol header"]);
    }
}

/// A server whose connections from `trusted` begin with a header.
fn start(runtime: Runtime, trusted: &str, config: Config) -> ClientServer {
    let trusted = trusted.parse::<doorstep::driver::net::TrustedProxies>();
    let trusted = trusted.expect("they are networks");
    let listeners = listener()
        .into_iter()
        .map(|listener| Listener::from(listener).with_proxy_protocol(trusted.clone()));
    ClientServer::start_on(runtime, listeners.collect(), config)
}
