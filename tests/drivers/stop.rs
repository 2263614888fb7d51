//! The end: who is idle is closed at once, answers under way finish, what is stuck is cut, and
//! nothing is left.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use doorstep::blocking::Config;

use crate::drivers::{Driver, Running, config, eventually, listener};
use crate::service::State;
use crate::support::client::Client;

on_every_driver! {
    fn b_282_idle_connections_close_at_once(driver: Driver) {
        let server = driver.start_with(State::app(), grace(600));
        let mut silent = server.client();
        let mut idle = server.client();
        assert_eq!(idle.ask("GET", "/a", &[]).status, 200);
        server.stop();
        assert_eq!(idle.rest(), b"");
        assert_eq!(silent.rest_or_reset(), b"", "it may not have been accepted");
        server.returns();
    }

    fn b_282_an_answer_under_way_finishes(driver: Driver) {
        let (server, mut busy) = stopped(driver, 600, "GET /test/wait HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(TcpStream::connect(server.address).is_err(), "nobody new comes in");
        assert!(server.serves());
        server.state.let_go(1);
        assert_eq!(busy.answer(false).body, b"waited\n");
        assert_eq!(busy.rest(), b"");
        server.returns();
    }

    fn b_282_requests_that_are_here_are_answered_and_the_last_answer_says_so(driver: Driver) {
        let requests = "GET /test/wait HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n";
        let (server, mut busy) = stopped(driver, 600, requests);
        server.state.let_go(1);
        assert_eq!(busy.answer(false).body, b"waited\n");
        let next = String::from_utf8(busy.rest()).expect("it is text");
        assert!(next.is_empty() || next.contains("Connection: close\r\n"), "{next}");
        drop(busy); // a server that has not read all of it lingers
        server.returns();
    }

    fn b_282_what_is_stuck_is_cut_after_the_grace(driver: Driver) {
        let (server, mut stuck) = stopped(driver, 0, "GET /test/stuck HTTP/1.1\r\nHost: a\r\n\r\n");
        let all = String::from_utf8(stuck.rest()).expect("it is text");
        assert!(all.contains("Content-Length: 10\r\n") && all.ends_with("\r\n\r\nhalf\n"), "{all}");
        server.returns();
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
    let mut client = server.client();
    client.send(requests.as_bytes());
    server.state.until_waiting(1);
    server.stop();
    (server, client)
}

fn grace(seconds: u64) -> Config {
    Config { grace: Duration::from_secs(seconds), ..config() }
}
