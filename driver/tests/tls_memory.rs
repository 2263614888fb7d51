//! The memory of an idle TLS connection, by a counting allocator.
#![cfg(feature = "tls")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

use doorstep_driver::net::tls::rustls;
use doorstep_driver::net::{Stream, TlsSettings};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};

/// The most heap that an idle connection may have, in bytes.
const MAX_IDLE: i64 = 4096;

#[test]
fn an_idle_connection_has_no_buffers() {
    let settings = TlsSettings::self_signed(["localhost"]).unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (server, peer) = UnixStream::pair().unwrap();
        let mut tls = client(&settings, version);
        let talking = thread::spawn(move || {
            let mut peer = peer;
            let mut stream = rustls::Stream::new(&mut tls, &mut peer);
            stream.write_all(&[b'x'; 10_000]).unwrap();
            stream.read_exact(&mut [0; 10_000]).unwrap();
            peer
        });
        // Counted on this thread only; the client has its own.
        let mut stream = None;
        let counted = allocation_counter::measure(|| {
            let encrypted = settings.accept(Stream::unix(server)).unwrap();
            let (mut buffer, mut received) = ([0; 4096], 0);
            while received < 10_000 {
                received += encrypted.read(&mut buffer).unwrap();
            }
            assert_eq!(encrypted.send(&[b'y'; 10_000], false).unwrap(), 10_000);
            stream = Some(encrypted);
        });
        let idle = counted.bytes_current;
        let version = stream.as_ref().and_then(Stream::tls_version);
        assert!((1..=MAX_IDLE).contains(&idle), "{version:?}: {idle} bytes");

        drop(talking.join().unwrap());
    }
}

fn client(settings: &TlsSettings, version: &'static SupportedProtocolVersion) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(settings.certificate().expect("it has one")))
        .expect("it is valid");
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(&[version]).expect("it is supported");
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let name = "localhost".try_into().expect("it is a name");
    ClientConnection::new(Arc::new(config), name).expect("the configuration is valid")
}
