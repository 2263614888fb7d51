//! A full server: which connections are evicted, which wait, and that nothing spins.

use std::fs;
use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use doorstep::blocking::Config;
use socket2::{Domain, Socket, Type};

use crate::root::exhaust;
use crate::runtimes::{CommandRuntime, Runtime, config, eventually, with};
use crate::service::{LARGE, State};
use crate::support::client::Client;
use crate::support::{Server, cpu_time, doorstep};

/// Long enough that what happens at once has most likely happened.
const MOMENT: Duration = Duration::from_millis(50);
/// No connection is evicted before it is over.
const GRACE: Duration = Duration::from_millis(120);

/// How three kinds of slow peers begin: in the middle of a head, of a body, and of a response.
const SLOW: [&[u8]; 3] = [
    b"GET / HTTP/1.1\r\nX: ",
    b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
    b"GET /test/large HTTP/1.1\r\nHost: a\r\n\r\n",
];

on_every_runtime! {
    fn b_286_the_longest_idle_connection_is_evicted(runtime: Runtime) {
        let server = runtime.start_with(State::app(), most(4));
        let mut idle: Vec<_> = (0..4)
            .map(|_| {
                let mut client = server.client();
                assert_eq!(client.request("GET", "/a", &[]).body, b"GET /a\n");
                thread::sleep(GRACE); // so that the idle times differ
                client
            })
            .collect();
        let mut new_client = server.client();
        assert_eq!(new_client.request("GET", "/new", &[]).body, b"GET /new\n");
        assert_eq!(idle.remove(0).read_to_end(), b"");
        for other in &mut idle {
            assert_eq!(other.request("GET", "/b", &[]).body, b"GET /b\n");
        }
    }

    fn b_286_a_connection_is_not_evicted_before_its_first_request_had_time_to_come(runtime: Runtime) {
        let config = with(most(2), |c| c.first_request_grace = Duration::from_secs(60));
        let server = runtime.start_with(State::app(), config);
        let mut fresh: Vec<_> = (0..2).map(|_| server.client()).collect();
        thread::sleep(MOMENT);
        let mut new_client = server.client();
        new_client.send(b"GET /new HTTP/1.1\r\nHost: a\r\n\r\n");
        thread::sleep(5 * GRACE);
        assert!(new_client.is_silent());
        for client in &mut fresh {
            assert_eq!(client.request("GET", "/first", &[]).body, b"GET /first\n");
        }
        assert_eq!(new_client.response(false).body, b"GET /new\n", "when one has been idle for a while");
    }

    fn b_286_more_clients_than_connections_are_served_in_turn(runtime: Runtime) {
        let server = runtime.start_with(State::app(), with(config(), |c| c.max_connections = NonZeroUsize::new(8)));
        let port = server.address.port();
        let clients: Vec<_> = (0..24)
            .map(|_| {
                thread::spawn(move || {
                    let (mut asked, mut connections) = (0, 0);
                    while asked < 20 {
                        connections += 1;
                        assert!(connections <= 20, "a response at least on each");
                        let mut client = Client::connect(port);
                        thread::sleep(Duration::from_millis(20)); // a round trip
                        loop {
                            let response = client.request("GET", "/a", &[]);
                            assert_eq!(response.body, b"GET /a\n");
                            asked += 1;
                            if asked == 20 || response.header("Connection") == Some("close") {
                                break;
                            }
                            thread::sleep(Duration::from_millis(20));
                        }
                    }
                })
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().expect("each is served"));
        assert_eq!(server.state.log(480).len(), 480);
    }

    fn b_286_slow_clients_do_not_block_new_ones(runtime: Runtime) {
        for begin in SLOW {
            let server = runtime.start_with(State::app(), most(8));
            let mut slow: Vec<_> = (0..16).map(|_| server.client()).collect();
            slow.iter_mut().for_each(|client| client.send(begin));
            for _ in 0..5 {
                assert_eq!(server.client().request("GET", "/new", &[]).body, b"GET /new\n");
            }
            let errors = server.state.errors();
            assert!(!errors.is_empty() && errors.iter().all(|error| error.ends_with("too slow while the server was full")), "{errors:?}");
            let cut = server.state.log(6).into_iter().filter(|entry| entry.line != "GET /new HTTP/1.1");
            assert!(cut.clone().count() > 0 && cut.clone().all(|entry| entry.aborted || entry.status == 408));
            if begin != SLOW[2] {
                assert_eq!(slow[0].response(false).status, 408);
            }
        }
    }

    fn b_286_slow_clients_are_evicted_before_idle_ones(runtime: Runtime) {
        for begin in SLOW {
            let server = runtime.start_with(State::app(), most(8));
            let mut idle: Vec<_> = (0..4).map(|_| server.client()).collect();
            for client in &mut idle {
                assert_eq!(client.request("GET", "/a", &[]).body, b"GET /a\n");
            }
            let mut slow: Vec<_> = (0..4).map(|_| server.client()).collect();
            slow.iter_mut().for_each(|client| client.send(begin));
            thread::sleep(12 * GRACE); // also of a sweep that is held up
            let mut new: Vec<_> = (0..4).map(|_| server.client()).collect();
            for client in idle.iter_mut().chain(&mut new) {
                assert_eq!(client.request("GET", "/b", &[]).body, b"GET /b\n");
            }
        }
    }

    fn b_286_a_fast_download_is_not_slow(runtime: Runtime) {
        let config = with(most(1), |c| c.eviction_rate = 1000);
        let server = runtime.start_with(State::app(), config);
        let mut client = server.client();
        client.send(b"GET /test/large HTTP/1.1\r\nHost: a\r\n\r\n");
        client.peek();
        let mut new_client = server.client();
        new_client.send(b"GET /new HTTP/1.1\r\nHost: a\r\n\r\n");
        let head = client.read_until(b"\r\n\r\n");
        assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n"));
        for _ in 0..32 {
            client.read_exact(LARGE / 32);
            thread::sleep(GRACE / 4); // longer than the grace in all
        }
        assert_eq!(new_client.response(false).body, b"GET /new\n");
        assert_eq!(server.state.log(2)[0].bytes, Some(LARGE as u64));
    }

    fn b_286_without_new_clients_no_connection_is_evicted(runtime: Runtime) {
        let server = runtime.start_with(State::app(), most(4));
        let mut idle: Vec<_> = (0..4).map(|_| server.client()).collect();
        for client in &mut idle {
            assert_eq!(client.request("GET", "/a", &[]).body, b"GET /a\n");
        }
        thread::sleep(4 * MOMENT);
        for client in &mut idle {
            assert_eq!(client.request("GET", "/b", &[]).body, b"GET /b\n");
        }
    }

    fn b_286_the_stop_of_a_full_server_evicts_no_connection(runtime: Runtime) {
        let config = with(most(2), |c| c.lame_duck = Duration::from_secs(600));
        let server = runtime.start_with(State::app(), config);
        let mut idle: Vec<_> = (0..2).map(|_| server.client()).collect();
        for client in &mut idle {
            assert_eq!(client.request("GET", "/a", &[]).body, b"GET /a\n");
        }
        thread::sleep(2 * GRACE);
        server.stop();
        thread::sleep(4 * MOMENT);
        for mut client in idle {
            let last = client.request("GET", "/b", &[]);
            assert_eq!((last.header("Connection"), &*last.body), (Some("close"), &b"GET /b\n"[..]));
        }
        server.wait_until_stopped();
        assert_eq!(server.state.errors(), [""; 0]);
    }

    fn b_286_a_new_connection_waits_while_all_are_busy(runtime: Runtime) {
        let server = runtime.start_with(State::app(), most(4));
        let mut busy: Vec<_> = (0..4).map(|_| server.client()).collect();
        for client in &mut busy {
            client.send(b"GET /test/wait HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        server.state.wait_until_blocked(4);
        let mut new_client = server.client();
        new_client.send(b"GET /new HTTP/1.1\r\nHost: a\r\n\r\n");
        thread::sleep(MOMENT);
        assert!(new_client.is_silent());
        server.state.release(1);
        assert_eq!(new_client.response(false).body, b"GET /new\n");
        server.state.release(3);
        let responses = busy.into_iter().map(|mut client| client.response(false).body);
        assert!(responses.into_iter().all(|body| body == b"waited\n"), "busy ones are not asked");
    }

    fn b_286_idle_connections_do_not_block_new_ones(runtime: Runtime) {
        for capacity in [16, 512] {
            let server = runtime.start_with(State::app(), most(capacity));
            let _idle: Vec<_> = (0..200).map(|_| server.client()).collect();
            for _ in 0..5 {
                assert_eq!(server.client().request("GET", "/new", &[]).body, b"GET /new\n");
            }
        }
    }

    fn a_limit_of_one_connection_serves_all_clients_in_turn(runtime: Runtime) {
        let server = runtime.start_with(State::app(), most(1));
        for _ in 0..5 {
            assert_eq!(server.client().request("GET", "/a", &[]).body, b"GET /a\n");
        }
    }

    fn fifty_clients_make_twenty_requests_each(runtime: Runtime) {
        let server = runtime.start(State::app());
        let port = server.address.port();
        let clients: Vec<_> = (0..50)
            .map(|_| {
                thread::spawn(move || {
                    let mut client = Client::connect(port);
                    for n in 0..20 {
                        let body = client.request("GET", &format!("/{n}"), &[]).body;
                        assert_eq!(body, format!("GET /{n}\n").as_bytes());
                    }
                })
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().expect("each is served"));
        assert_eq!(server.state.log(1000).len(), 1000);
    }

    fn b_286_a_full_server_does_not_spin(runtime: Runtime) {
        runtime.alone("capacity", "b_286_a_full_server_does_not_spin", || {
            let server = runtime.start_with(State::app(), most(2));
            let mut busy: Vec<_> = (0..2).map(|_| server.client()).collect();
            for client in &mut busy {
                client.send(b"GET /test/wait HTTP/1.1\r\nHost: a\r\n\r\n");
            }
            server.state.wait_until_blocked(2);
            let mut new_client = server.client();
            new_client.send(b"GET /new HTTP/1.1\r\nHost: a\r\n\r\n");
            let before = cpu_time(std::process::id());
            thread::sleep(20 * MOMENT);
            let used = cpu_time(std::process::id()) - before;
            assert!(used < 50, "{used} of about 100 ticks");
            server.state.release(2);
            assert_eq!(new_client.response(false).body, b"GET /new\n");
        });
    }

    fn b_286_connections_wait_in_the_backlog_until_there_are_descriptors(runtime: Runtime) {
        const NAME: &str = "b_286_connections_wait_in_the_backlog_until_there_are_descriptors";
        const CLIENTS: usize = 8; // more than threads that have one already, while they wait in `accept`
        runtime.alone("capacity", NAME, || {
            let config = with(config(), |c| c.accept_backoff = Duration::from_millis(10));
            let server = runtime.start_with(State::app(), config);
            assert_eq!(server.client().request("GET", "/a", &[]).status, 200);
            eventually("it is closed", || server.shutdown.connections.is_empty());
            // The clients have their descriptors before: the server cannot take these.
            let socket = |_| Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor");
            let sockets: Vec<_> = (0..CLIENTS).map(socket).collect();
            let held = exhaust();
            let connect = |socket: Socket| {
                socket.connect(&server.address.into()).expect("the backlog has room");
                Client::on(socket.into())
            };
            let mut clients: Vec<_> = sockets.into_iter().map(connect).collect();
            clients.iter_mut().for_each(|client| client.send(b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n"));
            let emfile = "cannot accept connections: out of file descriptors (EMFILE)";
            eventually("it is logged", || server.state.errors().iter().any(|error| error.starts_with(emfile)));
            assert!(server.shutdown.connections.len() < CLIENTS);
            drop(held);
            for client in &mut clients {
                assert_eq!(client.response(false).body, b"GET /b\n");
            }
            assert_eq!(server.state.errors().len(), 1, "for the whole shortage");
        });
    }

    fn without_descriptors_accepting_pauses_and_recovers(runtime: CommandRuntime) {
        let root = tempfile::tempdir().expect("a temporary directory can be made");
        fs::write(root.path().join("a.txt"), "hello\n").expect("it can be written to");
        let limited = ["-c", "ulimit -n 100 && exec \"$0\" \"$@\""];
        let inner = doorstep(&["0", "-b", "127.0.0.1", "--runtime", runtime.name(), "-d"]);
        let mut command = std::process::Command::new("sh");
        command.args(limited).arg(inner.get_program()).args(inner.get_args()).arg(root.path());
        let server = Server::start(&mut command);

        let mut early = server.client();
        assert_eq!(early.request("GET", "/a.txt", &[]).status, 200);
        // In the middle of a head: after a while the first ones are evicted for those that wait.
        let mut slow: Vec<_> = (0..120)
            .map(|_| {
                let mut client = server.client();
                client.send(b"GET /a.txt HTTP/1.1\r\n");
                client
            })
            .collect();
        thread::sleep(4 * MOMENT);
        let before = cpu_time(server.id());
        thread::sleep(20 * MOMENT);
        let used = cpu_time(server.id()) - before;
        assert!(used < 50, "{used} of about 100 ticks"); // a spinning thread takes all of them

        for client in slow.iter_mut().take(10) {
            let _ = client.try_send(b"Host: a\r\n\r\n");
            let status = client.response(false).status;
            assert!(matches!(status, 200 | 503 | 408), "{status}"); // there may be none left to open it
        }
        drop(slow);
        // Connections that were closed while they waited still have to be accepted and closed.
        eventually("files are served again", || server.get("/a.txt").body == b"hello\n");
    }
}

/// A limit of `max_connections`, and short graces.
fn most(max_connections: usize) -> Config {
    with(config(), |c| {
        c.max_connections = NonZeroUsize::new(max_connections);
        c.eviction_grace = GRACE;
        c.first_request_grace = 2 * GRACE;
    })
}
