//! TLS: what a client sees over an encrypted connection is what it sees over any other.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use doorstep::blocking::Config;
use doorstep::driver::net::tls::rustls;
use doorstep::driver::net::{Listener, Stream, TlsError, TlsSettings};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::{
    ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, SupportedProtocolVersion,
};

use super::wire::{Peer, Pieces, connect, play, transcripts};
use crate::runtimes::{Runtime, ShippedRuntime, TestServer, config, eventually, listener, with};
use crate::service::{LARGE, State};
use crate::support::client::Client;

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
            assert_eq!(client.read_to_end().unwrap(), b"");
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

/// A client that trusts one certificate.
struct TlsClient<S = TcpStream> {
    tls: ClientConnection,
    stream: S,
}

impl TlsClient {
    fn connect(address: SocketAddr, settings: &TlsSettings) -> Self {
        Self::with(address, settings, rustls::ALL_VERSIONS)
    }

    fn with(
        address: SocketAddr,
        settings: &TlsSettings,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let mut client = Self { tls: client(settings, versions), stream: connect(address) };
        client.tls.complete_io(&mut client.stream).expect("the handshake is completed");
        client
    }
}

/// The state of a client that trusts the certificate of `settings`.
fn client(
    settings: &TlsSettings,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    let certificate = settings.certificate().expect("it has one");
    roots.add(CertificateDer::from(certificate)).expect("it is valid");
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("they are supported");
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = "localhost".try_into().expect("it is a name");
    ClientConnection::new(Arc::new(config), name).expect("the configuration is valid")
}

impl<S: Read + Write> TlsClient<S> {
    /// The status and the body of the response to a GET.
    fn get(&mut self, target: &str) -> (u16, Vec<u8>) {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        self.response()
    }

    fn send(&mut self, bytes: &[u8]) {
        self.write_all(bytes).expect("the server reads");
    }

    /// The next response, which has a Content-Length.
    fn response(&mut self) -> (u16, Vec<u8>) {
        let (status, head) = self.head();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().expect("it is a number"))];
        self.read_exact(&mut body).expect("the response is complete");
        (status, body)
    }

    fn head(&mut self) -> (u16, String) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.read_exact(&mut byte).expect("the head is complete");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("it is ASCII");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("it has a status"), head)
    }

    /// Everything until the server closes.
    fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        Read::read_to_end(self, &mut bytes)?;
        Ok(bytes)
    }
}

impl<S: Read + Write> Read for TlsClient<S> {
    /// Also what has arrived before the server closed, so that writing fails.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
            while self.tls.wants_write() && self.tls.write_tls(&mut self.stream).is_ok() {}
            self.tls.read_tls(&mut self.stream)?;
            let processed = self.tls.process_new_packets();
            processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
    }
}

impl<S: Read + Write> Write for TlsClient<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        rustls::Stream::new(&mut self.tls, &mut self.stream).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        rustls::Stream::new(&mut self.tls, &mut self.stream).flush()
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
