//! The core behind TLS: rustls without I/O between the socket and the core, one thread for each
//! client.
//!
//! Bytes from the socket go through `read_tls` and `reader` into the [`Inbox`]; the [`Outbox`] goes
//! through `writer` and `write_tls` to the socket. What TLS itself has to send, in the handshake for
//! example, is waited for as [`WaitingFor::Writable`]. A response that only the end of the connection
//! ends is complete if the close alert of TLS follows it, and that is sent in no other case. The
//! application is in `app`. The certificate is made at start and signed by itself.
//!
//! Run with: `cargo run -p doorstep-core --example rustls -- 127.0.0.1:8443`, then
//! `curl --insecure https://127.0.0.1:8443/`

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the loop has the sockets, the threads and the clock"
)]

mod app;

use std::io::{self, ErrorKind, Write};
use std::mem;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use app::App;
use doorstep_core::http1::{
    Connection, Event, GrowableBuffer, Inbox, Limits, Outbox, Timeouts, WaitClock, WaitingFor,
};
use rustix::net::sockopt::set_socket_linger;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

/// One connection, until it is over or fails.
fn serve(
    stream: &mut TcpStream,
    tls: &mut ServerConnection,
    connection: &mut Connection,
    outbox: &mut Outbox,
    timeouts: &Timeouts,
) -> io::Result<()> {
    let mut inbox = Inbox::new(GrowableBuffer::new(4 << 10, 144 << 10));
    let (start, mut clock) = (Instant::now(), WaitClock::new(Duration::ZERO));
    let (mut app, mut encrypted, mut ended) = (App::default(), 0, false);
    loop {
        match connection.next(&mut inbox) {
            Ok(Event::NeedData | Event::Closed | Event::SwitchedProtocol) => {
                outbox.set_date(SystemTime::now());
                let waiting = clock.observe(connection, outbox, start.elapsed());
                let left = clock.remaining(timeouts, start.elapsed());
                if left == Some(Duration::ZERO) && tls.wants_write() {
                    return Err(ErrorKind::TimedOut.into());
                } else if left == Some(Duration::ZERO) {
                    connection.timed_out(inbox.unread(), outbox);
                    continue;
                }
                stream.set_read_timeout(left)?;
                stream.set_write_timeout(left)?;
                let transferred = match waiting {
                    _ if tls.wants_write() => tls.write_tls(stream),
                    WaitingFor::Writable => {
                        outbox.sent(encrypted); // it has left: nothing more wants to be written
                        encrypted = tls.writer().write(outbox.unsent())?;
                        Ok(0)
                    }
                    WaitingFor::Linger | WaitingFor::Nothing
                        if !mem::replace(&mut ended, true) && !connection.should_reset() =>
                    {
                        tls.send_close_notify();
                        Ok(0)
                    }
                    WaitingFor::Nothing => return Ok(()),
                    WaitingFor::Linger => stream
                        .shutdown(Shutdown::Write)
                        .and_then(|()| receive(stream, tls, &mut inbox)),
                    _ => receive(stream, tls, &mut inbox),
                };
                match transferred {
                    Ok(n) => clock.moved(n, start.elapsed()),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {} // it is late
                    Err(error) => return Err(error),
                }
            }
            Ok(event) => app.handle(&event, connection, outbox)?,
            Err(reject) => _ = connection.refuse(reject, inbox.unread(), outbox),
        }
    }
}

/// Receives once, into TLS or out of it.
fn receive(
    stream: &mut TcpStream,
    tls: &mut ServerConnection,
    inbox: &mut Inbox<GrowableBuffer>,
) -> io::Result<usize> {
    match inbox.fill(&mut tls.reader()) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            let n = tls.read_tls(stream)?;
            if let Err(error) = tls.process_new_packets() {
                let _ = tls.write_tls(stream); // the alert
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
            Ok(n)
        }
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            inbox.filled(0); // whether the request is complete is seen by its framing
            Ok(0)
        }
        received => received,
    }
}

/// Serves until the loop itself fails.
pub fn run(
    listener: &TcpListener,
    timeouts: &Timeouts,
    config: &Arc<ServerConfig>,
) -> io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept()?;
        let (timeouts, config) = (*timeouts, config.clone());
        thread::spawn(move || {
            let Ok(mut tls) = ServerConnection::new(config) else { return };
            let mut connection = Connection::new(Limits::default());
            let mut outbox = Outbox::new("rustls");
            let _ = serve(&mut stream, &mut tls, &mut connection, &mut outbox, &timeouts);
            if connection.reset_on_close(&outbox) {
                let _ = set_socket_linger(&stream, Some(Duration::ZERO));
            }
        });
    }
}

/// A certificate for `localhost` that is signed by itself, and a server that has it.
pub fn certificate() -> io::Result<(CertificateDer<'static>, Arc<ServerConfig>)> {
    let made =
        rcgen::generate_simple_self_signed(["localhost".into()]).map_err(io::Error::other)?;
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .map_err(io::Error::other)?;
    Ok((certificate, Arc::new(config)))
}

#[allow(dead_code, reason = "the test that drives this file calls `run`")]
fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8443".into());
    let (_, config) = certificate()?;
    run(&TcpListener::bind(address)?, &Timeouts::default(), &config)
}
