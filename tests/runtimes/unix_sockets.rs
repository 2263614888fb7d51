//! Unix sockets: everything that a connection does on TCP, and listeners of several kinds at once.

use std::fs;
use std::net::{IpAddr, TcpListener};
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use doorstep::blocking::{CgiSettings, Config, ShutdownHandle};
use doorstep::core::log;
use doorstep::driver::net::{self, DEFAULT_UNIX_MODE, Listener};
use tempfile::TempDir;

use crate::runtimes::{
    Runtime, ShippedRuntime, TestServer, config, eventually, front_end, listener, with,
};
use crate::service::{LARGE, State};
use crate::support::client::Client;

/// A server on a Unix socket.
struct UnixServer {
    server: TestServer,
    path: PathBuf,
    _directory: TempDir,
}

impl UnixServer {
    fn start(runtime: Runtime, state: Arc<State>, config: Config) -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let path = directory.path().join("socket");
        let listener = net::bind_unix(&path, DEFAULT_UNIX_MODE).expect("it can be bound");
        let server = runtime.start_on(vec![listener], state, config);
        Self { server, path, _directory: directory }
    }

    fn app(runtime: Runtime) -> Self {
        Self::start(runtime, State::app(), config())
    }

    fn client(&self) -> Client {
        Client::unix(&self.path)
    }
}

on_every_runtime! {
    fn requests_are_served_on_a_connection_that_is_kept(runtime: Runtime) {
        let unix = UnixServer::app(runtime);
        let mut client = unix.client();
        for path in ["/a", "/b"] {
            assert_eq!(client.request("GET", path, &[]).body, format!("GET {path}\n").as_bytes());
        }
        client.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response(false).body, b"GET /1\n");
        assert_eq!(client.response(false).body, b"GET /2\n");
        assert_eq!(client.request("GET", "/close", &[]).body, b"bye\n");
        assert!(client.closes_cleanly());
        assert_eq!(unix.server.state.errors(), [""; 0]);
    }

    fn a_client_that_has_closed_its_half_gets_its_response(runtime: Runtime) {
        let unix = UnixServer::app(runtime);
        let mut client = unix.client();
        client.send(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
        client.shutdown_write();
        assert_eq!(client.response(false).body, b"GET /a\n");
        assert!(client.closes_cleanly());
    }

    fn uploads_and_downloads_that_no_buffer_holds_arrive(runtime: Runtime) {
        let unix = UnixServer::app(runtime);
        let body: Vec<u8> = (0..900_000_u32).map(|n| (n % 251) as u8).collect();
        let mut client = unix.client();
        client.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes());
        client.send(&body);
        assert!(client.response(false).body == body);
        client.send(b"GET /test/large HTTP/1.1\r\nHost: a\r\n\r\n");
        thread::sleep(Duration::from_millis(50)); // the socket is full by now
        assert_eq!(client.response(false).body.len(), LARGE);
        assert_eq!(client.request("GET", "/a", &[]).status, 200);
    }

    fn b_174_files_are_sent_whole_and_in_part(runtime: Runtime) {
        let root = tempfile::tempdir().expect("a directory can be made");
        let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 253) as u8).collect();
        fs::write(root.path().join("large"), &content).expect("it can be written");
        fs::write(root.path().join("small"), "hello\n").expect("it can be written");
        let unix = UnixServer::start(runtime, State::files(root.path()), config());
        let mut client = unix.client();
        for _ in 0..2 {
            assert!(client.request("GET", "/large", &[]).body == content);
            assert_eq!(client.request("GET", "/small", &[]).body, b"hello\n");
            let part = client.request("GET", "/large", &["Range: bytes=1000000-2000000"]);
            assert!(part.status == 206 && part.body == content[1_000_000..=2_000_000]);
            assert!(client.request("GET", "/", &[]).body.ends_with(b"</html>\n"));
        }
    }

    fn rfc_3875_4_1_a_script_sees_that_it_is_a_unix_socket(runtime: Runtime) {
        let root = tempfile::tempdir().expect("a directory can be made");
        fs::create_dir(root.path().join("cgi-bin")).expect("it can be made");
        let script = root.path().join("cgi-bin/env");
        fs::write(&script, "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\n\
            echo $REMOTE_ADDR,$REMOTE_PORT,$SERVER_NAME,$SERVER_PORT\ncat\n").expect("it can be written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&script, mode).expect("its mode can be set");
        let settings = CgiSettings::default();
        let unix = UnixServer::start(runtime, State::scripts(root.path(), settings), config());
        let mut client = unix.client();
        client.send(b"POST /cgi-bin/env HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\r\nbody");
        assert_eq!(client.response(false).body, b"unix:,,a.example,80\nbody");
        client.send(b"GET /cgi-bin/env HTTP/1.0\r\n\r\n");
        assert_eq!(client.response(false).body, b"unix:,,localhost,80\n");
    }

    fn b_105_the_peer_is_that_of_a_unix_socket(runtime: Runtime) {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let path = directory.path().join("socket");
        let server = started(runtime, net::bind_unix(&path, 0o600).expect("it can be bound"));
        let (peer, local) = addresses(&mut Client::unix(&path));
        assert_eq!((peer, local), (log::UNIX_PEER, log::UNIX_PEER));
        drop(server);
    }

    fn b_286_a_full_server_evicts_the_longest_idle_connection(runtime: Runtime) {
        let config = with(config(), |c| {
            c.max_connections = NonZeroUsize::new(2);
            c.eviction_grace = Duration::from_millis(100);
        });
        let unix = UnixServer::start(runtime, State::app(), config);
        let mut idle: Vec<_> = (0..2).map(|_| {
            let mut client = unix.client();
            assert_eq!(client.request("GET", "/a", &[]).status, 200);
            thread::sleep(Duration::from_millis(120)); // so that the idle times differ
            client
        }).collect();
        assert_eq!(unix.client().request("GET", "/new", &[]).status, 200);
        assert_eq!(idle.remove(0).read_to_end(), b"");
    }

    fn b_049_a_steady_slow_reader_is_not_disconnected_when_all_buffers_are_full(runtime: Runtime) {
        let root = tempfile::tempdir().expect("a directory can be made");
        let content: Vec<u8> = (0..2_000_000_u32).map(|n| (n % 253) as u8).collect();
        fs::write(root.path().join("file"), &content).expect("it can be written");
        let slow = || with(config(), |c| c.timeouts.send = Duration::from_secs(2));
        for (state, target, size) in [
            (State::files(root.path()), "/file", content.len()),
            (State::app(), "/test/large", LARGE),
        ] {
            let unix = UnixServer::start(runtime, state, slow());
            let mut steady = unix.client();
            steady.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
            steady.peek();
            // What the socket holds, 208 KB, takes longer than the deadline, and one call does not.
            let mut read = 0;
            for _ in 0..60 {
                thread::sleep(Duration::from_millis(50));
                read += steady.read_exact(4_000).len();
            }
            read += steady.read_exact(size - read).len(); // and the head is left
            assert_eq!(read, size, "{target}");
        }
    }

    fn b_049_a_reader_that_stops_is_disconnected(runtime: Runtime) {
        let config = with(config(), |c| c.timeouts.send = Duration::from_millis(400));
        let unix = UnixServer::start(runtime, State::app(), config);
        let mut client = unix.client();
        client.send(b"GET /test/large HTTP/1.1\r\nHost: a\r\n\r\n");
        client.read_exact(100_000);
        let entry = unix.server.state.entry();
        assert!(entry.aborted && entry.bytes < Some(LARGE as u64), "{entry:?}");
    }

    fn b_033_a_head_that_does_not_arrive_times_out(runtime: Runtime) {
        let config = with(config(), |c| c.timeouts.head = Duration::from_millis(200));
        let unix = UnixServer::start(runtime, State::app(), config);
        let mut client = unix.client();
        client.send(b"GET / HTTP/1.1\r\nX: ");
        assert_eq!(client.response(false).status, 408);
        assert!(client.closes_cleanly());
    }

    fn b_250_a_client_that_closes_is_noticed(runtime: Runtime) {
        let unix = UnixServer::app(runtime);
        let mut client = unix.client();
        client.send(b"GET /test/gone-silent HTTP/1.1\r\nHost: a\r\n\r\n");
        unix.server.state.wait_until_blocked(1);
        drop(client);
        unix.server.state.release(1);
        assert!(unix.server.state.entry().aborted);
    }

    fn b_107_an_incomplete_response_of_known_length_or_in_chunks_is_visible(runtime: Runtime) {
        let unix = UnixServer::app(runtime);
        for (path, end) in [("/test/short", "half\n"), ("/test/endless", "5\r\nhalf\n\r\n")] {
            let mut client = unix.client();
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
            let received = client.read_to_end_or_reset();
            assert!(received.ends_with(end.as_bytes()), "{}", received.escape_ascii());
        }
    }

    /// Linux has no reset of a Unix socket that has nothing unread: docs/sockets.md says what follows.
    fn rfc_9112_8_an_incomplete_close_delimited_response_ends_like_a_complete_one(runtime: Runtime) {
        let unix = UnixServer::app(runtime);
        let mut client = unix.client();
        client.send(b"GET /test/endless HTTP/1.0\r\n\r\n");
        assert!(client.closes_cleanly());
        assert!(unix.server.state.entry().aborted, "the log shows it");
    }

    fn b_282_a_graceful_stop_completes_what_has_begun_and_serves_the_backlog(runtime: Runtime) {
        let unix = UnixServer::app(runtime);
        let (mut slow, mut kept) = (unix.client(), unix.client());
        assert_eq!(kept.request("GET", "/a", &[]).status, 200);
        slow.send(b"GET /test/slow HTTP/1.1\r\nHost: a\r\n\r\n");
        unix.server.state.wait_until_blocked(1);
        unix.server.stop();
        assert!(Client::try_unix(&unix.path).is_err());
        assert!(!unix.path.exists());
        let last = kept.request("GET", "/b", &[]);
        assert_eq!((last.status, last.header("Connection")), (200, Some("close")));
        unix.server.state.release(1);
        assert_eq!(slow.response(false).body, b"hello world\n");
        unix.server.wait_until_stopped();
        assert_eq!(unix.server.state.aborted(), 0);
    }

    fn b_282_a_stop_under_load_loses_no_connection_of_any_listener(runtime: Runtime) {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let paths = ["one", "two"].map(|name| directory.path().join(name));
        let mut listeners: Vec<Listener> = paths.iter()
            .map(|path| net::bind_unix(path, 0o600).expect("it can be bound")).collect();
        listeners.extend([(); 2].map(|()| Listener::from(listener().remove(0))));
        let server = runtime.start_on(listeners, State::app(), config());
        let ports: Vec<_> =
            server.shutdown.acceptor.addresses().iter().map(std::net::SocketAddr::port).collect();
        assert_eq!(ports.len(), 2);
        let served: usize = thread::scope(|scope| {
            // Each connects until it is refused, and every connection has to be served.
            let clients: Vec<_> = (0..4).map(|n| {
                let (path, port) = (&paths[n % 2], ports[n % 2]);
                let connect = move || match n < 2 {
                    true => Client::try_unix(path),
                    false => Client::try_connect(port),
                };
                scope.spawn(move || (0..100_000).map_while(|_| connect().ok()).map(|mut client| {
                    assert_eq!(client.request("GET", "/a", &["Connection: close"]).body, b"GET /a\n");
                }).count())
            }).collect();
            thread::sleep(Duration::from_millis(200));
            server.stop();
            clients.into_iter().map(|client| client.join().expect("all were served")).sum()
        });
        assert!(served > 4, "{served}");
        server.wait_until_stopped();
        assert_eq!(server.state.aborted(), 0);
    }

    fn a_listener_that_another_process_shares_is_left_to_the_next_server(runtime: Runtime) {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let path = directory.path().join("socket");
        let unix = std::os::unix::net::UnixListener::bind(&path).expect("it can be bound");
        let tcp = listener().remove(0);
        let port = tcp.local_addr().expect("it is bound").port();
        let shared = || vec![
            Listener::from(unix.try_clone().expect("a descriptor is free")).with_shared(true),
            Listener::from(TcpListener::try_clone(&tcp).expect("a descriptor is free")).with_shared(true),
        ];
        let requests = |clients: [Client; 2]| clients.map(|mut client| {
            assert_eq!(client.request("GET", "/a", &["Connection: close"]).body, b"GET /a\n");
        });
        for _ in 0..3 {
            let server = runtime.start_on(shared(), State::app(), config());
            requests([Client::unix(&path), Client::connect(port)]);
            server.stop();
            server.wait_until_stopped();
            // Between two servers: they wait in the backlog.
            let mut clients = [Client::unix(&path), Client::connect(port)];
            clients.iter_mut().for_each(|client| client.send(b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n"));
            let server = runtime.start_on(shared(), State::app(), config());
            for mut client in clients {
                assert_eq!(client.response(false).body, b"GET /b\n");
            }
            drop(server);
        }
        assert!(path.exists());
    }

    fn an_accepted_unix_socket_is_served(runtime: Runtime) {
        let (ours, theirs) = UnixStream::pair().expect("descriptors are free");
        let mut client = Client::on(OwnedFd::from(ours).into());
        client.send(b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let stream = net::Stream::from_socket(theirs.into()).expect("it is connected");
        runtime.serve_stream(&State::app(), &config(), stream).expect("it can be served");
        assert_eq!(client.response(false).body, b"GET /a\n");
        assert!(client.closes_cleanly());
    }

    fn an_upgraded_connection_is_handed_over(runtime: Runtime) {
        let unix = UnixServer::app(runtime);
        let mut client = unix.client();
        client.send(b"GET /switch HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nfirst");
        assert_eq!(client.response(true).status, 101);
        assert_eq!(client.read_exact(5), b"first");
        client.send(b"second");
        assert_eq!(client.read_exact(6), b"second");
    }

    fn a_watchdog_sees_that_a_server_makes_progress(runtime: ShippedRuntime) {
        const LONG: Duration = Duration::from_secs(10);
        let unix = UnixServer::app(runtime);
        eventually("it serves", || unix.server.shutdown.is_alive(LONG));
        let _idle = unix.client();
        let mut busy = unix.client();
        busy.send(b"GET /test/wait HTTP/1.1\r\nHost: a\r\n\r\n");
        unix.server.state.wait_until_blocked(1);
        for _ in 0..3 {
            assert!(unix.server.shutdown.is_alive(LONG), "a handler that waits is not a fault");
        }
        unix.server.state.release(1);
        assert_eq!(busy.response(false).body, b"waited\n");
        unix.server.stop();
        unix.server.wait_until_stopped();
        assert!(!unix.server.shutdown.is_alive(LONG), "it has ended");
    }

    fn a_watchdog_sees_a_handler_that_blocks_its_worker(runtime: ShippedRuntime) {
        if runtime == Runtime::Blocking {
            return; // there each handler has a thread of its own
        }
        let directory = tempfile::tempdir().expect("a directory can be made");
        let path = directory.path().join("socket");
        let listener = net::bind_unix(&path, 0o600).expect("it can be bound");
        let state = State::app();
        let waits = state.clone();
        let server = doorstep::smol::Server::from_listeners(vec![listener]).expect("it can be prepared");
        let shutdown: ShutdownHandle = server.shutdown_handle();
        let block = move |x: &mut doorstep::smol::Exchange<'_>| {
            waits.wait(); // blocks the thread
            x.respond(200).body("")
        };
        let serving = thread::spawn(|| server.run(block, NonZeroUsize::MIN));
        let mut client = Client::unix(&path);
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        state.wait_until_blocked(1);
        assert!(!shutdown.is_alive(Duration::from_millis(100)));
        state.release(usize::MAX);
        assert_eq!(client.response(false).status, 200);
        assert!(shutdown.is_alive(Duration::from_secs(10)));
        shutdown.stop();
        serving.join().expect("it does not panic").expect("it stops");
    }
}

/// A server whose responses are the addresses of the connection.
fn started(runtime: Runtime, listener: Listener) -> TestServer {
    runtime.start_handler_on(
        vec![listener],
        |x: &mut doorstep::blocking::Exchange<'_>| {
            let addresses = format!("{} {}", x.peer_addr().ip(), x.local_addr()?.ip());
            x.respond(200).body(addresses)
        },
        |x: &mut doorstep::smol::Exchange<'_>| {
            let addresses = format!("{} {}", x.peer_addr().ip(), x.local_addr()?.ip());
            x.respond(200).body(addresses)
        },
        |x: &mut front_end::tokio::Exchange<'_>| {
            let addresses = format!("{} {}", x.peer_addr().ip(), x.local_addr()?.ip());
            x.respond(200).body(addresses)
        },
        State::app(),
        config(),
    )
}

/// What it responds.
fn addresses(client: &mut Client) -> (IpAddr, IpAddr) {
    let body = client.request("GET", "/", &[]).body;
    let text = String::from_utf8(body).expect("it is text");
    let (peer, local) = text.split_once(' ').expect("there are two");
    (peer.parse().expect("an address"), local.parse().expect("an address"))
}
