//! A client of HTTPS, and certificates in files.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use doorstep::driver::net::TlsSettings;
use doorstep::driver::net::tls::rustls;
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;

/// A client that trusts one certificate.
pub(crate) struct TlsClient<S = TcpStream> {
    pub(crate) tls: ClientConnection,
    pub(crate) stream: S,
}

impl TlsClient {
    pub(crate) fn connect(address: SocketAddr, settings: &TlsSettings) -> Self {
        Self::with(address, settings, rustls::ALL_VERSIONS)
    }

    pub(crate) fn with(
        address: SocketAddr,
        settings: &TlsSettings,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let mut client = Self { tls: client(settings, versions), stream: connect_tcp(address) };
        client.tls.complete_io(&mut client.stream).expect("the handshake is completed");
        client
    }
}

/// The state of a client that trusts the certificate of `settings`.
pub(crate) fn client(
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
    pub(crate) fn get(&mut self, target: &str) -> (u16, Vec<u8>) {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        self.response()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.write_all(bytes).expect("the server reads");
    }

    /// The next response, which has a Content-Length.
    pub(crate) fn response(&mut self) -> (u16, Vec<u8>) {
        let (status, head) = self.head();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().expect("it is a number"))];
        self.read_exact(&mut body).expect("the response is complete");
        (status, body)
    }

    pub(crate) fn head(&mut self) -> (u16, String) {
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
    pub(crate) fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
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

/// A certificate and its key in files.
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    _directory: TempDir,
}

impl Files {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("there is room");
        let [certificate, key] = ["cert.pem", "key.pem"].map(|name| directory.path().join(name));
        let files = Self { certificate, key, _directory: directory };
        files.renew();
        files
    }

    /// Replaces both.
    pub(crate) fn renew(&self) {
        self.write(|_| ());
    }

    pub(crate) fn write(&self, change: impl FnOnce(&mut CertificateParams)) {
        let key = KeyPair::generate().expect("there is entropy");
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("it is a name");
        change(&mut params);
        let certificate = params.self_signed(&key).expect("a certificate can be made");
        for (path, text) in
            [(&self.key, key.serialize_pem()), (&self.certificate, certificate.pem())]
        {
            let new = path.with_extension("new");
            fs::write(&new, text).expect("there is room");
            fs::rename(new, path).expect("it can be replaced");
        }
    }
}

fn connect_tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_nodelay(true).expect("TCP can do that");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("10 s is a timeout");
    stream
}
