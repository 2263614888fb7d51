//! TLS: what a client sees over an encrypted connection is what it sees over any other.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::num::NonZeroUsize;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use doorstep::blocking::Config;
use doorstep::driver::Transfers;
use doorstep::driver::net::tls::rustls;
use doorstep::driver::net::{Listener, Stream, TlsError, TlsSettings};

use super::wire::{Peer, Pieces, connect, play, transcripts};
use crate::runtimes::{Runtime, ShippedRuntime, TestServer, config, eventually, listener, with};
use crate::service::{LARGE, State};
use crate::support::client::Client;
use crate::tls_client::{Files, TlsClient, client};

on_every_runtime! {
    fn b_309_both_versions_and_the_log_names_them(runtime: Runtime) {
        let tls = self_signed();
        let server = start(runtime, &tls, State::app(), config());
        let versions = [(&rustls::version::TLS12, "TLSv1.2"), (&rustls::version::TLS13, "TLSv1.3")];
        for (at, (version, name)) in versions.into_iter().enumerate() {
            let mut client = TlsClient::with(server.address, &tls, &[version]);
            assert_eq!(client.get("/a"), (200, b"GET /a\n".to_vec()));
            assert_eq!(client.tls.protocol_version(), Some(version.version));
            assert_eq!(client.tls.alpn_protocol(), Some(&b"http/1.1"[..]));
            assert_eq!(server.state.log(at + 1)[at].tls.as_deref(), Some(name));
            client.close_write();
            assert_eq!(client.read_to_end().expect("it ends with close_notify"), b"");
        }
        assert_eq!(server.state.errors(), Vec::<String>::new());
    }

    fn every_transcript_is_played_over_tls(runtime: Runtime) {
        let tls = self_signed();
        let server = start(runtime, &tls, State::app(), config());
        let (mut played, mut wrong) = (0, Vec::new());
        for (name, transcript) in transcripts() {
            let events = transcript.rounds.iter().flat_map(|round| &round.events);
            if events.clone().any(|event| event == b"switched") {
                continue; // there is no socket for another protocol
            }
            for pieces in [Pieces::Whole, Pieces::Of(7)] {
                let mut client = TlsClient::connect(server.address, &tls);
                if let Err(difference) = play(&mut client, &transcript, pieces) {
                    let (line, title) = (transcript.line, &transcript.title);
                    wrong.push(format!("{name}:{line}: {title}, {pieces:?}\n{difference}"));
                }
                played += 1;
            }
        }
        assert!(played >= 2 * 300, "{played}");
        assert!(wrong.is_empty(), "{} of {played} differ\n\n{}", wrong.len(), wrong.join("\n"));
    }

    fn a_large_body_goes_both_ways(runtime: Runtime) {
        let tls = self_signed();
        let server = start(runtime, &tls, State::app(), config());
        let mut client = TlsClient::connect(server.address, &tls);
        let body: Vec<u8> = (0..10_u32 << 20).map(|n| (n % 251) as u8).collect();
        let head = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        client.send(head.as_bytes());
        for piece in body.chunks(70_001) {
            client.send(piece);
        }
        let (status, echoed) = client.response();
        assert!(status == 200 && echoed == body);
        let (status, large) = client.get("/test/large");
        assert_eq!((status, large.len()), (200, LARGE));
        assert_eq!(client.get("/a").1, b"GET /a\n", "the connection is kept alive");
    }

    fn an_encrypted_file_is_listed_among_the_transfers(runtime: Runtime) {
        let root = tempfile::tempdir().expect("there is room");
        let size = 64 << 20;
        let file = fs::File::create(root.path().join("large")).expect("it can be created");
        file.set_len(size).expect("it can be sparse");
        let (tls, transfers) = (self_signed(), Transfers::default());
        let config = with(config(), |config| config.transfers = Some(transfers.clone()));
        let server = start(runtime, &tls, State::files(root.path()), config);
        let mut client = TlsClient::connect(server.address, &tls);
        client.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
        eventually("it is listed", || !transfers.is_empty());
        let transfer = transfers.list().remove(0);
        assert_eq!(transfer.total(), Some(size));
        assert_eq!(client.response().1.len() as u64, size);
        eventually("it is not listed any more", || transfers.is_empty());
        assert_eq!(transfer.bytes(), size);
    }

    fn a_file_is_read_and_encrypted_for_a_client_that_pauses(runtime: Runtime) {
        let root = tempfile::tempdir().expect("there is room");
        let content: Vec<u8> = (0..20_u32 << 20).map(|n| (n % 253) as u8).collect();
        fs::write(root.path().join("file"), &content).expect("there is room");
        let tls = self_signed();
        let server = start(runtime, &tls, State::files(root.path()), config());
        let mut client = TlsClient::connect(server.address, &tls);
        client.send(b"GET /file HTTP/1.1\r\nHost: a\r\nRange: bytes=5-20000000\r\n\r\n");
        let (status, _) = client.head();
        let mut received = vec![0; 20_000_000 - 4];
        for (at, part) in received.chunks_mut(3_000_000).enumerate() {
            if at % 3 == 0 {
                thread::sleep(Duration::from_millis(50)); // most likely the server cannot send then
            }
            client.read_exact(part).expect("it succeeds");
        }
        assert!(status == 206 && received == content[5..=20_000_000]);
        assert_eq!(client.get("/missing").0, 404);
    }

    fn rfc_9112_9_3_2_pipelined_requests_in_one_record_and_in_many(runtime: Runtime) {
        let tls = self_signed();
        let server = start(runtime, &tls, State::app(), config());
        let mut client = TlsClient::connect(server.address, &tls);
        let request = |n: usize| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
        client.send(&(0..100).flat_map(request).collect::<Vec<_>>());
        for n in 0..100 {
            assert_eq!(client.response(), (200, format!("GET /{n}\n").into_bytes()));
        }
        for byte in (0..3).flat_map(request) {
            client.send(&[byte]); // a record each
        }
        for n in 0..3 {
            assert_eq!(client.response(), (200, format!("GET /{n}\n").into_bytes()));
        }
    }

    fn b_292_a_stalled_handshake_ends_at_its_deadline_and_blocks_nobody(runtime: Runtime) {
        let tls = self_signed();
        let config = with(config(), |c| {
            c.handshake_timeout = Duration::from_millis(300);
            c.timeouts.idle = Duration::from_secs(600);
        });
        let server = start(runtime, &tls, State::app(), config);
        let hello = client_hello(&tls);
        let mut stalled: Vec<_> = (0..20).map(|_| connect(server.address)).collect();
        for (at, client) in stalled.iter_mut().enumerate() {
            client.write_all(&hello[..at.min(hello.len())]).expect("it succeeds");
        }
        let mut kept = TlsClient::connect(server.address, &tls);
        assert_eq!(kept.get("/a").0, 200);
        for client in &mut stalled {
            let mut end = Vec::new();
            let _ = client.read_to_end(&mut end); // it may be a reset
            assert_eq!(end, b"");
        }
        assert_eq!(kept.get("/b").0, 200, "the deadline is the handshake's alone");
        let note = "connection timed out: TLS handshake";
        eventually("a note for each", || {
            server.state.errors().iter().filter(|error| *error == note).count() == stalled.len()
        });
    }

    fn b_292_a_slow_handshake_is_completed(runtime: Runtime) {
        let tls = self_signed();
        let server = start(runtime, &tls, State::app(), config());
        let mut client = TlsClient {
            tls: client(&tls, rustls::ALL_VERSIONS),
            stream: Dribble(connect(server.address)),
        };
        assert_eq!(client.get("/a"), (200, b"GET /a\n".to_vec()));
    }

    fn a_broken_handshake_is_one_note_and_an_alert(runtime: Runtime) {
        let tls = self_signed();
        let server = start(runtime, &tls, State::app(), config());
        let mut client = connect(server.address);
        client.write_all(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00").expect("it succeeds");
        let mut alert = Vec::new();
        let _ = client.read_to_end(&mut alert);
        assert_eq!(alert.first(), Some(&21), "{alert:?}");
        drop(connect(server.address)); // a connection that is not used is none
        let mut gone = connect(server.address);
        gone.write_all(&client_hello(&tls)[..20]).expect("it succeeds");
        drop(gone);
        eventually("two notes", || server.state.errors().len() == 2);
        let errors = server.state.errors();
        let long = [&b"\x16\x03\x03\xff\xff"[..], &[7; 70_000]].concat();
        let no_tls = [&b"\x01\x02\x03\x04"[..], &[0; 100], b"\x80\x2e\x01\x03\x01", b"\x16\x03\x01\x00\x05hello", &long];
        for (n, bytes) in no_tls.into_iter().enumerate() {
            let mut client = connect(server.address);
            client.write_all(bytes).expect("it succeeds");
            let _ = client.read_to_end(&mut Vec::new());
            eventually("one more note", || server.state.errors().len() == 3 + n);
            assert!(server.state.errors()[2 + n].contains("TLS handshake failed: "), "{bytes:?}");
        }
        let has = |part| errors.iter().filter(|error| error.contains(part)).count() == 1;
        assert!(has("TLS handshake failed: ") && has("handshake is incomplete"), "{errors:?}");
        assert_eq!(TlsClient::connect(server.address, &tls).get("/a").0, 200);
    }

    fn input_that_never_yields_data_ends_the_connection(runtime: Runtime) {
        let tls = self_signed();
        let server = start(runtime, &tls, State::app(), config());
        let mut client = connect(server.address);
        // The largest message of a handshake, in records of one byte.
        let message = [&[1, 0, 0xff, 0xff][..], &[7; 60_000]].concat();
        let records: Vec<u8> = message.iter().flat_map(|byte| [0x16, 3, 1, 0, 1, *byte]).collect();
        let _ = client.write_all(&records); // it may be cut before its end
        let _ = client.read_to_end(&mut Vec::new());
        eventually("a note", || !server.state.errors().is_empty());
        let errors = server.state.errors();
        assert!(errors[0].contains("TLS handshake failed: too much input without data"), "{errors:?}");
        assert_eq!(TlsClient::connect(server.address, &tls).get("/a").0, 200);
    }

    fn plain_http_on_a_tls_port_gets_a_400_that_says_so(runtime: Runtime) {
        let tls = self_signed();
        let server = start(runtime, &tls, State::app(), config());
        let mut client = Client::connect(server.address.port());
        let response = client.request("GET", "/a", &[]);
        assert_eq!(response.status, 400);
        let page = String::from_utf8(response.body).expect("it succeeds");
        assert!(page.contains("This port speaks HTTPS"), "{page}");
        assert_eq!(client.read_to_end(), b"");
        let entry = server.state.entry();
        assert_eq!((entry.line.as_str(), entry.status, entry.tls), ("GET /a HTTP/1.1", 400, None));
    }

    fn an_incomplete_response_ends_without_close_notify(runtime: Runtime) {
        let tls = self_signed();
        let server = start(runtime, &tls, State::app(), config());
        for (path, is_complete) in [("/stream", true), ("/test/endless", false)] {
            let mut client = TlsClient::connect(server.address, &tls);
            client.send(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes());
            let end = client.read_to_end();
            assert_eq!(end.is_ok(), is_complete, "{path}: {end:?}");
        }
    }

    fn a_certificate_is_read_again_when_it_has_changed(runtime: Runtime) {
        let files = Files::new();
        let reports = Arc::new(Mutex::new(Vec::new()));
        let seen = reports.clone();
        let tls = TlsSettings::from_files(&files.certificate, Some(files.key.clone()), None).expect("it succeeds");
        let tls = tls.with_check_interval(Duration::ZERO);
        let tls = Arc::new(tls.with_report(move |level, line| {
            seen.lock().expect("no test has failed").push(format!("{level:?}: {line}"));
        }));
        let server = start(runtime, &tls, State::app(), config());
        let first = tls.certificate();
        let mut kept = TlsClient::connect(server.address, &tls);
        files.renew();
        let mut old = client(&tls, rustls::ALL_VERSIONS);
        let refused = old.complete_io(&mut connect(server.address));
        assert!(refused.is_err(), "another certificate is in use");
        assert_ne!(tls.certificate(), first);
        assert_eq!(TlsClient::connect(server.address, &tls).get("/a").0, 200);
        assert_eq!(kept.get("/a").0, 200);

        fs::write(&files.certificate, "no certificate").expect("there is room");
        let second = tls.certificate();
        for _ in 0..2 {
            assert_eq!(TlsClient::connect(server.address, &tls).get("/a").0, 200);
        }
        assert!(tls.reload().is_err());
        assert_eq!(tls.certificate(), second);
        files.renew();
        tls.reload().expect("it succeeds");
        assert_ne!(tls.certificate(), second);
        let reports = reports.lock().expect("no test has failed");
        let levels: Vec<_> = reports.iter().map(|line| line.split("reloaded").next()).collect();
        let (done, stays) = (Some("Info: TLS certificate "), Some("Error: TLS certificate not "));
        assert_eq!(levels, [done, stays, stays, done], "{reports:?}");
    }

    fn b_286_idle_and_stalled_tls_connections_are_evicted(runtime: Runtime) {
        let tls = self_signed();
        let config = with(config(), |c| {
            c.max_connections = NonZeroUsize::new(2);
            c.eviction_grace = Duration::from_millis(50);
            c.first_request_grace = Duration::from_millis(50);
        });
        let server = start(runtime, &tls, State::app(), config);
        let mut idle = TlsClient::connect(server.address, &tls);
        assert_eq!(idle.get("/a").0, 200);
        let mut stalled = connect(server.address);
        stalled.write_all(&client_hello(&tls)[..20]).expect("it succeeds");
        let mut fresh: Vec<_> =
            (0..2).map(|_| TlsClient::connect(server.address, &tls)).collect();
        for client in &mut fresh {
            assert_eq!(client.get("/b").0, 200);
        }
        assert_eq!(idle.read_to_end().expect("it ends with close_notify"), b"", "with close_notify");
        let mut end = Vec::new();
        let _ = stalled.read_to_end(&mut end);
        assert_eq!(server.state.errors(), Vec::<String>::new());
    }

    fn b_282_a_stop_completes_responses_and_sends_close_notify(runtime: Runtime) {
        let tls = self_signed();
        let config = with(config(), |c| c.lame_duck = Duration::from_secs(1));
        let server = start(runtime, &tls, State::app(), config);
        let mut kept = TlsClient::connect(server.address, &tls);
        assert_eq!(kept.get("/a").0, 200);
        let mut slow = TlsClient::connect(server.address, &tls);
        slow.send(b"GET /test/wait HTTP/1.1\r\nHost: a\r\n\r\n");
        server.state.wait_until_blocked(1);
        let mut stalled = connect(server.address);
        stalled.write_all(&client_hello(&tls)[..20]).expect("it succeeds");
        server.stop();
        assert_eq!(kept.get("/b").0, 200);
        server.state.release(1);
        assert_eq!(slow.response(), (200, b"waited\n".to_vec()));
        for client in [&mut kept, &mut slow] {
            assert_eq!(client.read_to_end().expect("it ends with close_notify"), b"");
        }
        server.wait_until_stopped();
        assert_eq!(server.state.errors(), Vec::<String>::new());
    }

    fn a_handshake_waits_for_room_to_send(runtime: ShippedRuntime) {
        let files = Files::new();
        let leaf = fs::read_to_string(&files.certificate).expect("it succeeds");
        fs::write(&files.certificate, leaf.repeat(60)).expect("there is room"); // as a long chain: 30 KB
        let tls = TlsSettings::from_files(&files.certificate, Some(files.key.clone()), None).expect("it succeeds");
        let (server, peer) = UnixStream::pair().expect("it succeeds");
        socket2::SockRef::from(&server).set_send_buffer_size(4096).expect("it succeeds");
        let stream = tls.accept(Stream::unix(server)).expect("it succeeds");
        let state = State::app();
        thread::scope(|scope| {
            scope.spawn(|| {
                peer.set_read_timeout(Some(Duration::from_secs(10))).expect("it succeeds");
                let mut client = TlsClient { tls: client(&tls, rustls::ALL_VERSIONS), stream: peer };
                while client.tls.wants_write() {
                    client.tls.write_tls(&mut client.stream).expect("it succeeds");
                }
                thread::sleep(Duration::from_millis(100)); // most likely the server cannot send more
                assert_eq!(client.get("/a"), (200, b"GET /a\n".to_vec()));
            });
            let config = with(config(), |c| c.handshake_timeout = Duration::from_secs(600));
            runtime.serve_stream(&state, &config, stream).expect("it succeeds");
        });
        assert_eq!(state.entry().status, 200);
    }

    fn an_encrypted_connection_is_not_upgraded(runtime: Runtime) {
        let tls = self_signed();
        let server = start(runtime, &tls, State::app(), config());
        let mut client = TlsClient::connect(server.address, &tls);
        client.send(b"GET /switch HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
        assert_eq!(client.response(), (200, b"GET /switch\n".to_vec()), "and not a 101");
    }

    fn plain_requests_are_redirected_to_https(runtime: Runtime) {
        let config = with(config(), |c| c.https_redirect = Some(8443));
        let server = runtime.start_with(State::app(), config);
        let mut client = server.client();
        for (method, target, host, status, location) in [
            ("GET", "/a%20b?c=d#e", "h:8080", 301, Some("https://h:8443/a%20b?c=d")),
            ("GET", r"/\a\b?c\d", "h", 301, Some(r"https://h:8443/%5Ca%5Cb?c\d")),
            ("HEAD", "//a", "[::1]:80", 301, Some("https://[::1]:8443/a")),
            ("POST", "http://other/x", "h", 308, Some("https://other:8443/x")),
            ("OPTIONS", "*", "h", 308, Some("https://h:8443/")),
            ("CONNECT", "h:443", "h:443", 405, None),
        ] {
            client.send(format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
            let response = client.response(method == "HEAD");
            assert_eq!((response.status, response.header("Location")), (status, location), "{target}");
        }
        client.send(b"GET /a HTTP/1.0\r\n\r\n");
        assert_eq!(client.response(false).header("Location"), Some("https://127.0.0.1:8443/a"));
        let mut client = server.client();
        client.send(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n");
        assert_eq!(client.response(false).status, 400);
    }

    fn a_redirect_to_https_keeps_the_prefix(runtime: Runtime) {
        let config = with(config(), |c| (c.https_redirect, c.prefix) = (Some(8443), "/docs".into()));
        let server = runtime.start_with(State::app(), config);
        let response = server.client().request("GET", "/docs/a?b", &[]);
        assert_eq!(response.header("Location"), Some("https://test:8443/docs/a?b"));
    }

    fn what_is_wrong_with_a_certificate_is_an_error(_runtime: Runtime) {
        let (files, other) = (Files::new(), Files::new());
        let read = |key: &Path| {
            TlsSettings::from_files(&files.certificate, Some(key.to_owned()), None).expect_err("it is wrong")
        };
        assert!(matches!(read(&other.key), TlsError::Mismatch(..)));
        assert!(matches!(read(&files.certificate), TlsError::NoKey(_)));
        assert!(matches!(read(Path::new("/nowhere")), TlsError::Read(..)));
        for (from, until) in [(2000, 2020), (4000, 4001)] {
            let (from, until) =
                (rcgen::date_time_ymd(from, 1, 1), rcgen::date_time_ymd(until, 1, 1));
            files.write(|params| (params.not_before, params.not_after) = (from, until));
            let error = read(&files.key);
            assert!(matches!(error, TlsError::Expired(..) | TlsError::NotYetValid(..)), "{error}");
        }
    }
}

/// Serves with TLS on a free port.
fn start(
    runtime: Runtime,
    tls: &Arc<TlsSettings>,
    state: Arc<State>,
    config: Config,
) -> TestServer {
    let listeners = listener().into_iter();
    let listeners =
        listeners.map(|socket| Listener::from(socket).with_tls(tls.clone())).collect::<Vec<_>>();
    runtime.start_on(listeners, state, config)
}

fn self_signed() -> Arc<TlsSettings> {
    Arc::new(TlsSettings::self_signed(["localhost"]).expect("a certificate can be made"))
}

/// The first message of a client.
fn client_hello(settings: &TlsSettings) -> Vec<u8> {
    let mut hello = Vec::new();
    client(settings, rustls::ALL_VERSIONS).write_tls(&mut hello).expect("it is written to memory");
    hello
}

/// Sends each byte in a packet of its own.
struct Dribble(TcpStream);

impl Write for Dribble {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(&bytes[..bytes.len().min(1)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Dribble {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Peer for TlsClient {
    fn close_write(&mut self) {
        self.tls.send_close_notify();
        let _ = self.flush();
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    fn set_nonblocking(&self, enabled: bool) {
        self.stream.set_nonblocking(enabled).expect("a socket can do that");
    }
}
