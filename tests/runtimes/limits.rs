//! Deadlines and limits: clients that are slow, silent or send without end.
//!
//! The deadlines are short here, so that they expire soon.

use std::fs::File;
use std::io::ErrorKind;
use std::thread;
use std::time::{Duration, Instant};

use doorstep::blocking::Config;
use doorstep::core::http1::Timeouts;

use tempfile::TempDir;

use crate::runtimes::{Runtime, TestServer, config, with};
use crate::service::{LARGE, State};
use crate::support::client::Client;

const SHORT: Duration = Duration::from_millis(200);

on_every_runtime! {
    fn b_049_an_idle_connection_is_closed_without_a_response(runtime: Runtime) {
        let server = runtime.start_with(State::app(), timing(|t| t.idle = SHORT));
        let mut silent = server.client();
        let mut client = server.client();
        assert_eq!(client.request("GET", "/", &[]).status, 200);
        assert_eq!(client.read_to_end(), b"");
        assert_eq!(silent.read_to_end(), b"");
        assert_eq!(server.state.log(1).len(), 1, "B-005");
    }

    fn b_049_empty_lines_do_not_extend_the_deadline(runtime: Runtime) {
        let server = runtime.start_with(State::app(), timing(|t| {
            t.idle = SHORT;
            t.head = SHORT;
        }));
        let mut client = server.client();
        client.send(b"\r\n\r\n");
        let end = String::from_utf8(client.read_to_end()).expect("it is text");
        assert!(end.is_empty() || end.starts_with("HTTP/1.1 408 "), "{end}");
    }

    fn b_049_a_slow_head_is_a_408(runtime: Runtime) {
        let server = runtime.start_with(State::app(), timing(|t| t.head = SHORT));
        let mut client = server.client();
        assert_eq!(client.request("GET", "/", &[]).status, 200);
        client.send(b"GET /slow HTTP/1.1\r\nHo");
        let response = client.response(false);
        assert_eq!((response.status, response.header("Connection")), (408, Some("close")));
        assert_eq!(client.read_to_end(), b"");
        let log = server.state.log(2);
        assert_eq!((log[1].status, log[1].error.as_deref()), (408, Some("Request Timeout")));
    }

    fn b_049_a_trickled_head_does_not_extend_the_deadline(runtime: Runtime) {
        let server = runtime.start_with(State::app(), timing(|t| t.head = SHORT));
        let mut client = server.client();
        client.send(b"GET / HTTP/1.1\r\nX: ");
        trickle(&mut client);
        assert_eq!(client.response(false).status, 408);
    }

    fn b_049_a_slow_body_is_a_408(runtime: Runtime) {
        let server = runtime.start_with(State::app(), timing(|t| t.body = SHORT));
        for framing in ["Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nab"] {
            let mut client = server.client();
            client.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\n{framing}").as_bytes());
            let response = client.response(false);
            assert_eq!((response.status, response.header("Connection")), (408, Some("close")));
            assert_eq!(client.read_to_end(), b"");
        }
        assert!(server.state.log(2).iter().all(|entry| entry.status == 408 && !entry.aborted));
    }

    fn b_049_a_body_below_the_rate_is_a_408(runtime: Runtime) {
        let server = runtime.start_with(State::app(), timing(|t| {
            t.body = SHORT;
            t.min_rate = 1_000_000; // bytes per second
        }));
        let mut client = server.client();
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
        trickle(&mut client);
        assert_eq!(client.response(false).status, 408);
    }

    fn b_049_draining_an_unread_body_has_a_deadline(runtime: Runtime) {
        let server = runtime.start_with(State::app(), timing(|t| t.drain = SHORT));
        let mut client = server.client();
        assert_eq!(client.request("POST", "/early", &["Content-Length: 10"]).body, b"early\n");
        assert_eq!(client.read_to_end(), b"");
    }

    fn b_049_a_client_that_never_reads_is_disconnected(runtime: Runtime) {
        let server = runtime.start_with(State::app(), timing(|t| t.send = SHORT));
        let mut not_reading = server.client();
        not_reading.send(b"GET /test/large HTTP/1.1\r\nHost: a\r\n\r\n");
        let entry = server.state.entry();
        assert!(entry.aborted && entry.bytes < Some(LARGE as u64), "{entry:?}");
        assert_eq!(server.client().request("GET", "/", &[]).status, 200);
    }

    fn b_049_a_client_that_reads_too_late_sees_a_reset(runtime: Runtime) {
        let server = runtime.start_with(State::app(), timing(|t| t.send = SHORT));
        let not_reading = ["/test/large", "/test/large-text"].map(|path| {
            let mut client = server.client();
            client.send(format!("GET {path}\r\n").as_bytes()); // HTTP/0.9: only the end is the end
            client.peek();
            client
        });
        server.stop();
        server.wait_until_stopped();
        for mut client in not_reading {
            assert!(!client.closes_cleanly());
        }
    }

    fn r_26_a_client_that_resets_during_its_upload_is_one_log_line(runtime: Runtime) {
        let server = runtime.start(State::app());
        let mut client = server.client();
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\
                      Content-Length: 10\r\n\r\n");
        client.peek_status(); // the interim response stays unread: closing is a reset
        drop(client);
        let entry = server.state.entry();
        assert_eq!((entry.status, entry.bytes, entry.aborted), (400, None, true), "{entry:?}");
        server.stop();
        server.wait_until_stopped();
        assert_eq!(server.state.errors(), [""; 0]);
    }

    fn r_26_an_upload_that_ends_early_is_a_400_and_no_error(runtime: Runtime) {
        let server = runtime.start(State::app());
        let mut client = server.client();
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n1234");
        client.shutdown_write();
        assert_eq!(client.response(false).status, 400);
        assert_eq!(server.state.entry().status, 400);
        assert_eq!(server.state.errors(), [""; 0]);
    }

    fn b_049_a_reader_below_the_minimum_rate_is_disconnected(runtime: Runtime) {
        let server = runtime.start_with(State::app(), timing(|t| {
            t.send = SHORT;
            t.min_rate = 100_000_000; // bytes per second
        }));
        let mut slow = server.client();
        slow.send(b"GET /test/large HTTP/1.1\r\nHost: a\r\n\r\n");
        slow.peek();
        // Steadily, but at a tenth of the rate. All of it would take three seconds at least.
        let cut = (0..320).any(|_| {
            thread::sleep(Duration::from_millis(10));
            slow.try_read_exact(100_000).is_err()
        });
        let entry = server.state.entry();
        assert!(cut && entry.aborted && entry.bytes < Some(LARGE as u64), "{entry:?}");
    }

    fn b_049_a_reader_that_becomes_slower_than_the_minimum_rate_is_disconnected(runtime: Runtime) {
        let (_root, server, mut client) = download_above_the_rate(runtime);
        // Half of the rate from here on, and never silent. What was read before, which would
        // be enough for ten seconds, must not count.
        read_steadily(&mut client, RATE / 2, Duration::from_secs(5), || {
            !server.state.log(0).is_empty()
        });
        let log = server.state.log(0);
        assert!(log.iter().any(|entry| entry.aborted), "{log:?}");
    }

    fn b_049_a_reader_that_becomes_slower_and_keeps_the_minimum_rate_is_served(runtime: Runtime) {
        let (_root, server, mut client) = download_above_the_rate(runtime);
        read_steadily(&mut client, RATE * 5 / 4, Duration::from_secs(3), || false);
        assert!(server.state.log(0).is_empty(), "it is not disconnected");
    }

    fn b_049_a_steady_slow_reader_is_not_disconnected_when_all_buffers_are_full(runtime: Runtime) {
        let server = runtime.start_with(State::app(), timing(|t| t.send = SHORT));
        let mut steady = server.client();
        steady.send(b"GET /test/large HTTP/1.1\r\nHost: a\r\n\r\n");
        steady.peek();
        thread::sleep(SHORT / 2); // by now all buffers are full
        // There is room for more in steps that take longer than the deadline.
        let mut read = 0;
        for _ in 0..100 {
            thread::sleep(Duration::from_millis(15));
            read += steady.read_exact(20_000).len();
        }
        read += steady.read_exact(LARGE - read).len(); // and the head is left
        assert_eq!(read, LARGE);
        assert_eq!(server.state.entry().bytes, Some(LARGE as u64));
    }

    fn b_049_the_time_a_handler_takes_does_not_count_against_the_client(runtime: Runtime) {
        let server = runtime.start_with(State::app(), timing(|t| t.body = SHORT));
        let mut client = server.client();
        client.send(b"POST /test/pause HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n0");
        thread::sleep(SHORT / 8); // by now the next byte is waited for
        client.send(b"1");
        server.state.wait_until_blocked(1);
        thread::sleep(5 * SHORT);
        server.state.release(1);
        thread::sleep(SHORT / 8); // by now the rest is waited for
        client.send(b"23456789abcdefghij");
        assert_eq!(client.response(false).body, b"0123456789abcdefghij");
    }

    fn b_049_each_head_has_its_own_deadline(runtime: Runtime) {
        let server = runtime.start_with(State::app(), timing(|t| t.head = 2 * SHORT));
        let mut client = server.client();
        // Never idle: each request is followed by the beginning of the next one.
        client.send(b"GET /a HTTP/1.1\r\nHos");
        for _ in 0..12 {
            thread::sleep(SHORT / 4);
            client.send(b"t: a\r\n\r\nGET /a HTTP/1.1\r\nHos");
            assert_eq!(client.response(false).status, 200);
        }
    }

    fn b_049_a_reader_that_pauses_gets_the_whole_response(runtime: Runtime) {
        let server = runtime.start(State::app());
        let mut client = server.client();
        client.send(b"GET /test/large HTTP/1.1\r\nHost: a\r\n\r\n");
        client.peek();
        thread::sleep(SHORT); // long enough for all buffers to be full
        assert_eq!(client.response(false).body.len(), LARGE);
        assert_eq!(server.state.entry().bytes, Some(LARGE as u64));
    }

    fn b_046_a_body_too_large_to_drain_closes_the_connection_after_the_response(runtime: Runtime) {
        let server = runtime.start(State::app());
        let mut client = server.client();
        client.send(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n");
        client.send(&[b'x'; 2_000_000]);
        let response = client.response(false);
        assert_eq!((&response.body[..], response.header("Connection")), (&b"early\n"[..], Some("close")));
        assert_eq!(client.read_to_end(), b"", "and no reset");
    }

    fn r_18_a_client_that_keeps_sending_a_refused_body_can_read_the_response(runtime: Runtime) {
        const BODY: usize = 32 << 20;
        for (most, status) in [(1000, 413), (64 << 20, 200)] {
            let config = with(config(), |c| c.limits.body = most);
            let server = runtime.start_with(State::app(), config);
            let mut client = server.client();
            let head = format!("PUT /early HTTP/1.1\r\nHost: a\r\nContent-Length: {BODY}\r\n\r\n");
            client.send(head.as_bytes());
            client.send(&vec![b'x'; BODY]);
            assert_eq!(client.response(false).status, status);
            assert_eq!(client.read_to_end(), b"", "and no reset");
        }
    }

    fn r_18_a_client_that_sends_more_than_max_linger_bytes_is_reset(runtime: Runtime) {
        let config = with(config(), |c| {
            c.limits.body = 1000;
            c.max_linger_bytes = 1 << 20;
        });
        let server = runtime.start_with(State::app(), config);
        let mut client = server.client();
        client.send(b"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
        let piece = vec![b'x'; 1 << 20];
        let error = (0..1000).find_map(|_| client.try_send(&piece).err());
        let kind = error.map(|error| error.kind());
        assert!(matches!(kind, Some(ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)), "{kind:?}");
    }

    fn r_18_a_client_that_trickles_after_a_refusal_is_disconnected(runtime: Runtime) {
        let mut config = timing(|t| {
            t.linger = SHORT;
            t.min_linger_rate = 1 << 20;
        });
        config.limits.body = 1000;
        let server = runtime.start_with(State::app(), config);
        let mut client = server.client();
        client.send(b"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
        assert_eq!(client.response(false).status, 413);
        let ends = (0..500).any(|_| {
            thread::sleep(Duration::from_millis(20));
            client.try_send(b"x").is_err()
        });
        assert!(ends, "it is listened to for ever");
    }

    fn b_046_a_body_small_enough_to_drain_keeps_the_connection(runtime: Runtime) {
        let server = runtime.start(State::app());
        let mut client = server.client();
        client.send(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
        client.send(&[b'x'; 200_000]);
        assert_eq!(client.response(false).body, b"early\n");
        assert_eq!(client.request("GET", "/a", &[]).body, b"GET /a\n");
    }

    fn a_body_beyond_the_limit_is_a_413(runtime: Runtime) {
        let config = with(config(), |c| c.limits.body = 1000);
        let server = runtime.start_with(State::app(), config);
        let mut client = server.client();
        let response = client.request("POST", "/echo", &["Content-Length: 1001"]);
        assert_eq!((response.status, response.header("Connection")), (413, Some("close")));
        let mut client = server.client();
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(&[b"3e9\r\n", &[b'x'; 1001][..], b"\r\n0\r\n\r\n"].concat());
        assert_eq!(client.response(false).status, 413);
        assert_eq!(client.read_to_end(), b"");
    }

    fn a_client_that_sends_single_bytes_is_served_beside_a_hundred_others(runtime: Runtime) {
        let server = runtime.start(State::app());
        let mut others: Vec<_> = (0..100).map(|_| server.client()).collect();
        let mut slow = server.client();
        let request = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
        for (n, byte) in request.iter().enumerate() {
            slow.send(&[*byte]);
            for other in others.iter_mut().skip(n).step_by(request.len()) {
                assert_eq!(other.request("GET", "/a", &[]).body, b"GET /a\n");
            }
        }
        assert_eq!(slow.response(false).body, b"hello");
        for other in &mut others {
            assert_eq!(other.request("GET", "/b", &[]).body, b"GET /b\n");
        }
    }
}

/// The minimum rate of [`download_above_the_rate`], in bytes per second.
const RATE: usize = 10_000_000;

/// A client that has read the first 100 MB of a download at many times the minimum rate.
fn download_above_the_rate(runtime: Runtime) -> (TempDir, TestServer, Client) {
    let root = tempfile::tempdir().expect("a temporary directory can be made");
    let file = File::create(root.path().join("file")).expect("a file can be made");
    file.set_len(300_000_000).expect("it can have holes");
    let config = timing(|t| {
        t.send = 5 * SHORT; // longer than the system takes to announce some space at a low rate
        t.min_rate = RATE as u32;
    });
    let server = runtime.start_with(State::files(root.path()), config);
    let mut client = server.client();
    client.send(b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n");
    (0..100).for_each(|_| drop(client.read_exact(1_000_000)));
    (root, server, client)
}

/// Reads at this rate, in bytes per second, for this time, until `done` or the end.
fn read_steadily(client: &mut Client, rate: usize, time: Duration, done: impl Fn() -> bool) {
    let (since, mut read) = (Instant::now(), 0);
    while since.elapsed() < time && !done() {
        thread::sleep(Duration::from_millis(10));
        let most = (rate as u128 * since.elapsed().as_millis() / 1000) as usize;
        if client.try_read_exact(most - read).is_err() {
            return;
        }
        read = most;
    }
}

/// The usual configuration but for these deadlines.
fn timing(change: impl FnOnce(&mut Timeouts)) -> Config {
    let mut config = config();
    change(&mut config.timeouts);
    config
}

/// Sends a byte now and then until there is a response.
fn trickle(client: &mut Client) {
    for _ in 0..500 {
        thread::sleep(Duration::from_millis(20));
        if !client.is_silent() {
            return;
        }
        match client.try_send(b"x") {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return,
            Err(error) => unreachable!("{error}"),
        }
    }
    unreachable!("it is served for ever");
}
