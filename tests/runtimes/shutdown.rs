//! The end: every connection has one more response, those under way finish, what is stuck is aborted,
//! and nothing is left.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use doorstep::blocking::Config;

use crate::runtimes::{Runtime, TestServer, config, eventually, listener, with};
use crate::service::{LARGE, State};
use crate::support::client::Client;

on_every_runtime! {
    fn r_28_a_shutdown_ends_within_its_grace_whatever_hangs(runtime: Runtime) {
        let grace = Duration::from_millis(400);
        let server = runtime.start_with(State::app(), with(config(), |c| c.shutdown_grace = grace));
        let hanging = [
            "GET /test/large HTTP/1.1\r\nHost: a\r\n\r\n", // and the client does not read it
            "GET /test/wait HTTP/1.1\r\nHost: a\r\n\r\n",  // the handler does not return
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf\n",
            "GET /half-a-head HTTP/1.1\r\nHos",
            "\x16\x03\x01 is no HTTP\r\n\r\n", // refused; then the server lingers
        ];
        let clients: Vec<_> = hanging.iter().map(|bytes| sent(&server, bytes)).collect();
        server.state.wait_until_blocked(1);
        server.state.log(1);
        let since = Instant::now();
        server.stop();
        server.wait_until_stopped();
        assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
        let unanswered = clients.len() - 1; // the refused one has its response
        assert_eq!(server.state.aborted(), unanswered);
    }

    fn b_282_a_kept_alive_connection_gets_one_more_response_with_connection_close(runtime: Runtime) {
        let server = runtime.start_with(State::app(), patient());
        let mut kept = server.client();
        assert_eq!(kept.request("GET", "/a", &[]).header("Connection"), None);
        let fresh = server.client();
        server.stop();
        for mut client in [kept, fresh] {
            let response = client.request("GET", "/b", &[]);
            assert_eq!((response.status, response.header("Connection")), (200, Some("close")));
            assert_eq!(client.read_to_end(), b"");
        }
        server.wait_until_stopped();
        assert_eq!(server.state.aborted(), 0);
    }

    fn b_282_a_connection_that_the_system_defers_gets_its_response(runtime: Runtime) {
        let server = runtime.start_with(State::app(), patient());
        // So many connections that the next one is passed on with its first bytes only.
        for n in 0..300 {
            let path = format!("/{n}");
            assert_eq!(server.client().request("GET", &path, &["Connection: close"]).status, 200);
        }
        let clients: Vec<_> = (0..3).map(|_| server.client()).collect();
        server.stop();
        for mut client in clients {
            let response = client.request("GET", "/a", &[]);
            assert_eq!((response.status, response.header("Connection")), (200, Some("close")));
            assert_eq!(client.read_to_end(), b"");
        }
        server.wait_until_stopped();
        assert_eq!(server.state.aborted(), 0);
    }

    fn b_282_a_client_that_keeps_its_connection_open_does_not_delay_a_shutdown(runtime: Runtime) {
        let mut config = grace(600);
        config.timeouts.linger = Duration::from_secs(600);
        config.lame_duck = Duration::from_millis(300);
        let server = runtime.start_with(State::app(), config);
        let mut stays = server.client();
        assert_eq!(stays.request("GET", "/a", &[]).status, 200);
        server.stop();
        assert_eq!(stays.request("GET", "/b", &[]).header("Connection"), Some("close"));
        server.wait_until_stopped();
        assert_eq!((server.state.aborted(), stays.read_to_end()), (0, Vec::new()));
    }

    fn rfc_9112_9_3_an_http_1_0_proxy_gets_connection_close_too(runtime: Runtime) {
        let server = runtime.start_with(State::app(), patient());
        let ask = "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
        let mut client = sent(&server, ask);
        assert_eq!(client.response(false).header("Connection"), Some("keep-alive"));
        server.stop();
        client.send(ask.as_bytes());
        assert_eq!(client.response(false).header("Connection"), Some("close"));
        drop(client);
        server.wait_until_stopped();
    }

    fn b_282_idle_connections_close_after_the_lame_duck_time(runtime: Runtime) {
        let server = runtime.start_with(State::app(), grace(600));
        let mut silent = server.client();
        let mut idle = server.client();
        assert_eq!(idle.request("GET", "/a", &[]).status, 200);
        server.stop();
        assert_eq!(idle.read_to_end(), b"");
        assert_eq!(silent.read_to_end(), b"");
        server.wait_until_stopped();
    }

    fn b_282_close_idle_closes_idle_connections_at_once(runtime: Runtime) {
        let server = runtime.start_with(State::app(), patient());
        let mut idle = server.client();
        assert_eq!(idle.request("GET", "/a", &[]).status, 200);
        server.stop();
        server.close_idle();
        assert_eq!(idle.read_to_end(), b"");
        server.wait_until_stopped();
    }

    fn b_282_connections_in_the_backlog_are_served(runtime: Runtime) {
        let config = with(patient(), |c| c.max_connections = NonZeroUsize::new(1));
        let server = runtime.start_with(State::app(), config);
        let mut busy = sent(&server, "GET /test/wait HTTP/1.1\r\nHost: a\r\n\r\n");
        server.state.wait_until_blocked(1);
        let ask = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
        let waiting: Vec<_> = (0..5).map(|_| sent(&server, ask)).collect();
        server.stop();
        assert!(TcpStream::connect(server.address).is_err(), "no new connection is accepted");
        server.state.release(1);
        assert_eq!(busy.response(false).body, b"waited\n");
        drop(busy);
        for mut client in waiting {
            let response = client.response(false);
            assert_eq!((response.status, response.header("Connection")), (200, Some("close")));
            assert_eq!(client.read_to_end(), b"");
        }
        server.wait_until_stopped();
    }

    fn b_282_idle_connections_are_evicted_for_the_backlog(runtime: Runtime) {
        let config = with(patient(), |c| c.max_connections = NonZeroUsize::new(2));
        let server = runtime.start_with(State::app(), config);
        let mut busy: Vec<_> = (0..2).map(|_| server.client()).collect();
        for client in &mut busy {
            client.send(b"GET /test/slow HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        server.state.wait_until_blocked(2);
        let mut waiting = sent(&server, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
        server.stop();
        server.state.release(2); // and now they are kept, and idle
        assert_eq!(waiting.response(false).header("Connection"), Some("close"));
        drop((waiting, busy));
        server.wait_until_stopped();
    }

    fn b_282_slow_connections_are_evicted_for_the_backlog(runtime: Runtime) {
        let config = with(grace(600), |c| { c.max_connections = NonZeroUsize::new(1); c.eviction_grace = Duration::from_millis(20); });
        let server = runtime.start_with(State::app(), config);
        let slow: Vec<_> = (0..4).map(|_| sent(&server, "GET /a HTTP/1.1\r\nHos")).collect();
        let mut waiting = sent(&server, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
        server.stop();
        server.close_idle();
        assert_eq!(waiting.response(false).header("Connection"), Some("close"));
        drop((slow, waiting));
        server.wait_until_stopped();
    }

    fn b_282_no_request_is_lost_under_load(runtime: Runtime) {
        for _ in 0..5 {
            let server = runtime.start_with(State::app(), patient());
            let port = server.address.port();
            // Each asks as fast as it can until it is refused, as a proxy does.
            let clients: Vec<_> = (0..16).map(|_| thread::spawn(move || ask_until_refused(port))).collect();
            server.state.log(500);
            server.stop();
            let asked: usize = clients.into_iter().map(|c| c.join().expect("none is lost")).sum();
            server.wait_until_stopped();
            assert_eq!(server.state.log(asked).len(), asked);
        }
    }

    fn b_282_a_started_request_is_read_to_its_end(runtime: Runtime) {
        let server = runtime.start_with(State::app(), grace(600));
        let mut head = sent(&server, "GET /a HTTP/1.1\r\nHos");
        let mut body = sent(&server, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf");
        // Whoever came later has been served, and so those are being read.
        assert_eq!(server.client().request("GET", "/a", &["Connection: close"]).status, 200);
        server.stop();
        thread::sleep(2 * config().lame_duck);
        head.send(b"t: a\r\n\r\n");
        body.send(b"half");
        for mut client in [head, body] {
            let response = client.response(false);
            assert_eq!((response.status, response.header("Connection")), (200, Some("close")));
            assert_eq!(client.read_to_end(), b"");
        }
        server.wait_until_stopped();
    }

    fn b_282_a_reader_that_pauses_gets_the_whole_response(runtime: Runtime) {
        let server = runtime.start_with(State::app(), grace(600));
        let mut slow = sent(&server, "GET /test/large HTTP/1.1\r\nHost: a\r\n\r\n");
        slow.peek();
        server.stop();
        thread::sleep(2 * config().lame_duck);
        assert_eq!(slow.response(false).body.len(), LARGE);
        drop(slow);
        server.wait_until_stopped();
    }

    fn b_282_a_response_in_progress_is_completed(runtime: Runtime) {
        let (server, mut busy) = stopped(runtime, 600, "GET /test/wait HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(TcpStream::connect(server.address).is_err(), "no new connection is accepted");
        assert!(server.is_serving());
        server.state.release(1);
        let response = busy.response(false);
        assert_eq!((&response.body[..], response.header("Connection")), (&b"waited\n"[..], Some("close")));
        assert_eq!(busy.read_to_end(), b"");
        drop(busy);
        server.wait_until_stopped();
    }

    fn b_045_282_a_pipelined_request_gets_a_response_unless_the_previous_one_has_connection_close(runtime: Runtime) {
        let next = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
        for path in ["wait", "slow"] {
            let first = format!("GET /test/{path} HTTP/1.1\r\nHost: a\r\n\r\n");
            for (at_once, later) in [(next, ""), ("", next)] {
                let (server, mut busy) = stopped(runtime, 600, &format!("{first}{at_once}"));
                busy.send(later.as_bytes());
                server.state.release(1);
                let mut response = busy.response(false);
                if response.header("Connection").is_none() {
                    assert_eq!(path, "slow", "else it had not begun");
                    response = busy.response(false);
                    assert_eq!(response.body, b"GET /next\n");
                }
                assert_eq!(response.header("Connection"), Some("close"));
                assert_eq!(busy.read_to_end_or_reset(), b"");
                drop(busy); // a server that has not read all of it lingers
                server.wait_until_stopped();
            }
        }
    }

    fn b_282_a_stuck_response_is_aborted_after_the_grace(runtime: Runtime) {
        let (server, mut stuck) = stopped(runtime, 0, "GET /test/stuck HTTP/1.1\r\nHost: a\r\n\r\n");
        let all = String::from_utf8(stuck.read_to_end()).expect("it is text");
        assert!(all.contains("Content-Length: 10\r\n") && all.ends_with("\r\n\r\nhalf\n"), "{all}");
        server.wait_until_stopped();
        assert_eq!(server.state.aborted(), 1);
    }

    fn b_282_a_connection_aborted_after_the_grace_is_logged(runtime: Runtime) {
        let server = runtime.start_with(State::app(), grace(0));
        let mut slow = server.client();
        slow.send(b"GET /test/large HTTP/1.1\r\nHost: a\r\n\r\n");
        eventually("it is under way", || !slow.is_silent());
        server.stop();
        server.wait_until_stopped();
        assert!(server.state.entry().aborted);
    }

    fn rfc_9112_8_a_stuck_close_delimited_response_is_aborted_by_a_reset(runtime: Runtime) {
        let (server, mut stuck) = stopped(runtime, 0, "GET /test/stuck-stream HTTP/1.0\r\n\r\n");
        assert!(!stuck.closes_cleanly());
        server.wait_until_stopped();
    }

    fn a_stop_before_the_first_client(runtime: Runtime) {
        let server = runtime.start_with(State::app(), grace(600));
        server.stop();
        server.stop();
        server.wait_until_stopped();
    }

    fn the_port_can_be_bound_again(runtime: Runtime) {
        let listeners = listener();
        let address = listeners[0].local_addr().expect("it is bound");
        let server = runtime.start_on(listeners, State::app(), config());
        let mut client = server.client();
        assert_eq!(client.request("GET", "/a", &[]).status, 200);
        server.stop();
        server.wait_until_stopped();
        drop(server);
        let listeners = vec![TcpListener::bind(address).expect("the port is free")];
        let server = runtime.start_on(listeners, State::app(), config());
        assert_eq!(server.client().request("GET", "/a", &[]).status, 200);
    }

    fn the_handler_is_dropped(runtime: Runtime) {
        let server = runtime.start(State::app());
        let mut clients: Vec<_> = (0..20).map(|_| server.client()).collect();
        for client in &mut clients {
            assert_eq!(client.request("GET", "/a", &[]).status, 200);
        }
        server.stop();
        server.wait_until_stopped();
        eventually("nothing holds the handler", || Arc::strong_count(&server.state) == 1);
    }

    fn a_handler_that_outlives_the_grace_is_dropped_when_it_returns(runtime: Runtime) {
        let server = runtime.start_with(State::app(), grace(0));
        let mut stuck = server.client();
        stuck.send(b"GET /test/wait HTTP/1.1\r\nHost: a\r\n\r\n");
        server.state.wait_until_blocked(1);
        server.stop();
        server.wait_until_stopped();
        server.state.release(1);
        eventually("nothing holds the handler", || Arc::strong_count(&server.state) == 1);
    }

    fn no_thread_and_no_descriptor_is_leaked(runtime: Runtime) {
        runtime.alone("shutdown", "no_thread_and_no_descriptor_is_leaked", || {
            let count = |what: &str| {
                fs::read_dir(format!("/proc/self/{what}")).expect("this is Linux").count()
            };
            let serve = || {
                let server = runtime.start(State::app());
                let mut clients: Vec<_> = (0..50).map(|_| server.client()).collect();
                for client in &mut clients {
                    assert_eq!(client.request("GET", "/a", &[]).status, 200);
                }
                server.stop();
                server.wait_until_stopped();
            };
            serve(); // the reactor, for example, is created once and kept
            eventually("one thread more at most", || count("task") <= 8);
            let before = (count("task"), count("fd"));
            (0..3).for_each(|_| serve());
            eventually("no more threads", || count("task") <= before.0);
            eventually("no more descriptors", || count("fd") <= before.1);
        });
    }
}

/// A server that is stopped while a handler waits, after these requests, and their client.
fn stopped(runtime: Runtime, seconds: u64, requests: &str) -> (TestServer, Client) {
    let server = runtime.start_with(State::app(), grace(seconds));
    let client = sent(&server, requests);
    server.state.wait_until_blocked(1);
    server.stop();
    (server, client)
}

/// A client that has sent this.
fn sent(server: &TestServer, bytes: &str) -> Client {
    let mut client = server.client();
    client.send(bytes.as_bytes());
    client
}

/// Sends requests until a connection is refused, and returns their number. Each must get a response.
/// A connection is kept as long as its responses allow.
fn ask_until_refused(port: u16) -> usize {
    let mut asked = 0;
    while asked < 100_000
        && let Ok(mut client) = Client::try_connect(port)
    {
        let mut kept = true;
        while kept {
            asked += 1;
            let response = client.request("GET", "/a", &[]);
            assert_eq!(response.status, 200, "the request {asked}: {}", response.head);
            kept = response.header("Connection").is_none() && asked % 64 != 0;
        }
    }
    asked
}

fn grace(seconds: u64) -> Config {
    with(config(), |c| c.shutdown_grace = Duration::from_secs(seconds))
}

/// A stop that waits as long as it takes.
fn patient() -> Config {
    with(grace(1200), |c| c.lame_duck = Duration::from_secs(600))
}
