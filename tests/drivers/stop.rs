//! The end: every connection has one more response, those under way finish, what is stuck is cut,
//! and nothing is left.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use doorstep::blocking::Config;

use crate::drivers::{Driver, Running, config, eventually, listener};
use crate::service::{LARGE, State};
use crate::support::client::Client;

on_every_driver! {
    fn r_28_whatever_hangs_a_stop_is_over_when_its_time_is(driver: Driver) {
        let grace = Duration::from_millis(400);
        let server = driver.start_with(State::app(), Config { shutdown_grace: grace, ..config() });
        let hanging = [
            "GET /test/large HTTP/1.1\r\nHost: a\r\n\r\n", // and nobody reads it
            "GET /test/wait HTTP/1.1\r\nHost: a\r\n\r\n",  // the handler does not return
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf\n",
            "GET /half-a-head HTTP/1.1\r\nHos",
            "\x16\x03\x01 is no HTTP\r\n\r\n", // refused; then the server lingers
        ];
        let clients: Vec<_> = hanging.iter().map(|bytes| sent(&server, bytes)).collect();
        server.state.until_waiting(1);
        server.state.log(1);
        let since = Instant::now();
        server.stop();
        server.returns();
        assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
        let unanswered = clients.len() - 1; // the refused one has its response
        assert_eq!(server.state.cut(), unanswered);
    }

    fn b_282_a_kept_connection_has_one_more_response_that_says_close(driver: Driver) {
        let server = driver.start_with(State::app(), patient());
        let mut kept = server.client();
        assert_eq!(kept.ask("GET", "/a", &[]).field("Connection"), None);
        let fresh = server.client();
        server.stop();
        for mut client in [kept, fresh] {
            let answer = client.ask("GET", "/b", &[]);
            assert_eq!((answer.status, answer.field("Connection")), (200, Some("close")));
            assert_eq!(client.rest(), b"");
        }
        server.returns();
        assert_eq!(server.state.cut(), 0);
    }

    fn b_282_a_client_that_stays_after_its_last_response_holds_up_no_stop(driver: Driver) {
        let mut config = grace(600);
        config.timeouts.linger = Duration::from_secs(600);
        config.lame_duck = Duration::from_millis(300);
        let server = driver.start_with(State::app(), config);
        let mut stays = server.client();
        assert_eq!(stays.ask("GET", "/a", &[]).status, 200);
        server.stop();
        assert_eq!(stays.ask("GET", "/b", &[]).field("Connection"), Some("close"));
        server.returns();
        assert_eq!((server.state.cut(), stays.rest()), (0, Vec::new()));
    }

    fn rfc_9112_9_3_an_http_1_0_proxy_is_told_too(driver: Driver) {
        let server = driver.start_with(State::app(), patient());
        let ask = "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
        let mut client = sent(&server, ask);
        assert_eq!(client.answer(false).field("Connection"), Some("keep-alive"));
        server.stop();
        client.send(ask.as_bytes());
        assert_eq!(client.answer(false).field("Connection"), Some("close"));
        drop(client);
        server.returns();
    }

    fn b_282_idle_connections_close_after_the_lame_duck_time(driver: Driver) {
        let server = driver.start_with(State::app(), grace(600));
        let mut silent = server.client();
        let mut idle = server.client();
        assert_eq!(idle.ask("GET", "/a", &[]).status, 200);
        server.stop();
        assert_eq!(idle.rest(), b"");
        assert_eq!(silent.rest(), b"");
        server.returns();
    }

    fn b_282_idle_connections_close_at_once_when_told_so(driver: Driver) {
        let server = driver.start_with(State::app(), patient());
        let mut idle = server.client();
        assert_eq!(idle.ask("GET", "/a", &[]).status, 200);
        server.stop();
        server.close_idle();
        assert_eq!(idle.rest(), b"");
        server.returns();
    }

    fn b_282_who_is_in_the_backlog_is_served(driver: Driver) {
        let config = Config { max_connections: NonZeroUsize::new(1), ..patient() };
        let server = driver.start_with(State::app(), config);
        let mut busy = sent(&server, "GET /test/wait HTTP/1.1\r\nHost: a\r\n\r\n");
        server.state.until_waiting(1);
        let ask = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
        let waiting: Vec<_> = (0..5).map(|_| sent(&server, ask)).collect();
        server.stop();
        assert!(TcpStream::connect(server.address).is_err(), "nobody new comes in");
        server.state.let_go(1);
        assert_eq!(busy.answer(false).body, b"waited\n");
        drop(busy);
        for mut client in waiting {
            let answer = client.answer(false);
            assert_eq!((answer.status, answer.field("Connection")), (200, Some("close")));
            assert_eq!(client.rest(), b"");
        }
        server.returns();
    }

    fn b_282_idle_connections_give_way_to_the_backlog(driver: Driver) {
        let config = Config { max_connections: NonZeroUsize::new(2), ..patient() };
        let server = driver.start_with(State::app(), config);
        let mut busy: Vec<_> = (0..2).map(|_| server.client()).collect();
        for client in &mut busy {
            client.send(b"GET /test/slow HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        server.state.until_waiting(2);
        let mut waiting = sent(&server, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
        server.stop();
        server.state.let_go(2); // and now they are kept, and idle
        assert_eq!(waiting.answer(false).field("Connection"), Some("close"));
        drop((waiting, busy));
        server.returns();
    }

    fn b_282_slow_connections_give_way_to_the_backlog(driver: Driver) {
        let config = Config {
            max_connections: NonZeroUsize::new(1),
            eviction_grace: Duration::from_millis(20),
            ..grace(600)
        };
        let server = driver.start_with(State::app(), config);
        let slow: Vec<_> = (0..4).map(|_| sent(&server, "GET /a HTTP/1.1\r\nHos")).collect();
        let mut waiting = sent(&server, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
        server.stop();
        server.close_idle();
        assert_eq!(waiting.answer(false).field("Connection"), Some("close"));
        drop((slow, waiting));
        server.returns();
    }

    fn b_282_no_request_is_lost_under_load(driver: Driver) {
        for _ in 0..5 {
            let server = driver.start_with(State::app(), patient());
            let port = server.address.port();
            // Each asks as fast as it can until it is refused, as a proxy does.
            let clients: Vec<_> = (0..16).map(|_| thread::spawn(move || ask_until_refused(port))).collect();
            server.state.log(500);
            server.stop();
            let asked: usize = clients.into_iter().map(|c| c.join().expect("none is lost")).sum();
            server.returns();
            assert_eq!(server.state.log(asked).len(), asked);
        }
    }

    fn b_282_a_request_that_has_begun_is_read_to_its_end(driver: Driver) {
        let server = driver.start_with(State::app(), grace(600));
        let mut head = sent(&server, "GET /a HTTP/1.1\r\nHos");
        let mut body = sent(&server, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf");
        // Whoever came later has been served, and so those are being read.
        assert_eq!(server.client().ask("GET", "/a", &["Connection: close"]).status, 200);
        server.stop();
        thread::sleep(2 * config().lame_duck);
        head.send(b"t: a\r\n\r\n");
        body.send(b"half");
        for mut client in [head, body] {
            let answer = client.answer(false);
            assert_eq!((answer.status, answer.field("Connection")), (200, Some("close")));
            assert_eq!(client.rest(), b"");
        }
        server.returns();
    }

    fn b_282_a_reader_that_pauses_gets_all_of_it(driver: Driver) {
        let server = driver.start_with(State::app(), grace(600));
        let mut slow = sent(&server, "GET /test/large HTTP/1.1\r\nHost: a\r\n\r\n");
        slow.peek();
        server.stop();
        thread::sleep(2 * config().lame_duck);
        assert_eq!(slow.answer(false).body.len(), LARGE);
        drop(slow);
        server.returns();
    }

    fn b_282_an_answer_under_way_finishes(driver: Driver) {
        let (server, mut busy) = stopped(driver, 600, "GET /test/wait HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(TcpStream::connect(server.address).is_err(), "nobody new comes in");
        assert!(server.serves());
        server.state.let_go(1);
        let answer = busy.answer(false);
        assert_eq!((&answer.body[..], answer.field("Connection")), (&b"waited\n"[..], Some("close")));
        assert_eq!(busy.rest(), b"");
        drop(busy);
        server.returns();
    }

    fn b_045_282_a_pipelined_request_is_answered_unless_the_response_before_says_close(driver: Driver) {
        let next = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
        for path in ["wait", "slow"] {
            let first = format!("GET /test/{path} HTTP/1.1\r\nHost: a\r\n\r\n");
            for (at_once, later) in [(next, ""), ("", next)] {
                let (server, mut busy) = stopped(driver, 600, &format!("{first}{at_once}"));
                busy.send(later.as_bytes());
                server.state.let_go(1);
                let mut answer = busy.answer(false);
                if answer.field("Connection").is_none() {
                    assert_eq!(path, "slow", "else it had not begun");
                    answer = busy.answer(false);
                    assert_eq!(answer.body, b"GET /next\n");
                }
                assert_eq!(answer.field("Connection"), Some("close"));
                assert_eq!(busy.rest_or_reset(), b"");
                drop(busy); // a server that has not read all of it lingers
                server.returns();
            }
        }
    }

    fn b_282_what_is_stuck_is_cut_after_the_grace(driver: Driver) {
        let (server, mut stuck) = stopped(driver, 0, "GET /test/stuck HTTP/1.1\r\nHost: a\r\n\r\n");
        let all = String::from_utf8(stuck.rest()).expect("it is text");
        assert!(all.contains("Content-Length: 10\r\n") && all.ends_with("\r\n\r\nhalf\n"), "{all}");
        server.returns();
        assert_eq!(server.state.cut(), 1);
    }

    fn b_282_who_is_cut_after_the_grace_is_in_the_log(driver: Driver) {
        let server = driver.start_with(State::app(), grace(0));
        let mut slow = server.client();
        slow.send(b"GET /test/large HTTP/1.1\r\nHost: a\r\n\r\n");
        eventually("it is under way", || !slow.is_silent());
        server.stop();
        server.returns();
        assert!(server.state.entry().cut);
    }

    fn rfc_9112_8_what_is_stuck_and_only_the_end_would_end_is_cut_by_a_reset(driver: Driver) {
        let (server, mut stuck) = stopped(driver, 0, "GET /test/stuck-stream HTTP/1.0\r\n\r\n");
        assert!(!stuck.ends_in_order());
        server.returns();
    }

    fn a_stop_before_the_first_client(driver: Driver) {
        let server = driver.start_with(State::app(), grace(600));
        server.stop();
        server.stop();
        server.returns();
    }

    fn the_port_can_be_bound_again(driver: Driver) {
        let listeners = listener();
        let address = listeners[0].local_addr().expect("it is bound");
        let server = driver.start_on(listeners, State::app(), config());
        let mut client = server.client();
        assert_eq!(client.ask("GET", "/a", &[]).status, 200);
        server.stop();
        server.returns();
        drop(server);
        let listeners = vec![TcpListener::bind(address).expect("the port is free")];
        let server = driver.start_on(listeners, State::app(), config());
        assert_eq!(server.client().ask("GET", "/a", &[]).status, 200);
    }

    fn the_handler_is_dropped(driver: Driver) {
        let server = driver.start(State::app());
        let mut clients: Vec<_> = (0..20).map(|_| server.client()).collect();
        for client in &mut clients {
            assert_eq!(client.ask("GET", "/a", &[]).status, 200);
        }
        server.stop();
        server.returns();
        eventually("nobody holds the handler", || Arc::strong_count(&server.state) == 1);
    }

    fn a_handler_that_was_cut_off_is_dropped_when_it_ends(driver: Driver) {
        let server = driver.start_with(State::app(), grace(0));
        let mut stuck = server.client();
        stuck.send(b"GET /test/wait HTTP/1.1\r\nHost: a\r\n\r\n");
        server.state.until_waiting(1);
        server.stop();
        server.returns();
        server.state.let_go(1);
        eventually("nobody holds the handler", || Arc::strong_count(&server.state) == 1);
    }

    fn no_thread_and_no_descriptor_is_left(driver: Driver) {
        driver.alone("stop", "no_thread_and_no_descriptor_is_left", || {
            let count = |what: &str| {
                fs::read_dir(format!("/proc/self/{what}")).expect("this is Linux").count()
            };
            let serve = || {
                let server = driver.start(State::app());
                let mut clients: Vec<_> = (0..50).map(|_| server.client()).collect();
                for client in &mut clients {
                    assert_eq!(client.ask("GET", "/a", &[]).status, 200);
                }
                server.stop();
                server.returns();
            };
            serve(); // what is made once stays: a reactor, say
            eventually("one thread more at most", || count("task") <= 8);
            let before = (count("task"), count("fd"));
            (0..3).for_each(|_| serve());
            eventually("no more threads", || count("task") <= before.0);
            eventually("no more descriptors", || count("fd") <= before.1);
        });
    }
}

/// A server told to stop while a handler waits, for what these requests asked, and their client.
fn stopped(driver: Driver, seconds: u64, requests: &str) -> (Running, Client) {
    let server = driver.start_with(State::app(), grace(seconds));
    let client = sent(&server, requests);
    server.state.until_waiting(1);
    server.stop();
    (server, client)
}

/// A client that has sent this.
fn sent(server: &Running, bytes: &str) -> Client {
    let mut client = server.client();
    client.send(bytes.as_bytes());
    client
}

/// How many requests were answered, of which none may get no answer. A connection is kept as long
/// as its responses promise that.
fn ask_until_refused(port: u16) -> usize {
    let mut asked = 0;
    while asked < 100_000
        && let Ok(mut client) = Client::try_connect(port)
    {
        let mut kept = true;
        while kept {
            asked += 1;
            let answer = client.ask("GET", "/a", &[]);
            assert_eq!(answer.status, 200, "the request {asked}: {}", answer.head);
            kept = answer.field("Connection").is_none() && asked % 64 != 0;
        }
    }
    asked
}

fn grace(seconds: u64) -> Config {
    Config { shutdown_grace: Duration::from_secs(seconds), ..config() }
}

/// A stop that waits as long as it takes.
fn patient() -> Config {
    Config { lame_duck: Duration::from_secs(600), ..grace(1200) }
}
