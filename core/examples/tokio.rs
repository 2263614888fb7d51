//! The core on tokio: one task for each client, one loop, and one place where it waits.
//!
//! [`Connection::waiting_for`] decides whether to receive or to send, and [`WaitClock::remaining`]
//! how long that may take. The application is in `app`. Nothing is received from a client that does
//! not receive its response (backpressure).
//!
//! Run with: `cargo run -p doorstep-core --example tokio -- 127.0.0.1:8000`

#![allow(clippy::disallowed_types, reason = "the loop has the sockets and the clock")]

mod app;

use std::io;
use std::net::TcpListener;
use std::time::{Duration, Instant, SystemTime};

use app::App;
use doorstep_core::http1::{
    Connection, Event, GrowableBuffer, Inbox, Limits, Outbox, Timeouts, WaitClock, WaitingFor,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

// loop begin
/// One connection, until it is over or fails.
async fn serve(
    stream: &mut TcpStream,
    connection: &mut Connection,
    outbox: &mut Outbox,
    timeouts: &Timeouts,
) -> io::Result<()> {
    let mut inbox = Inbox::new(GrowableBuffer::new(4 << 10, 144 << 10));
    let (start, mut clock) = (Instant::now(), WaitClock::new(Duration::ZERO));
    let mut app = App::default();
    loop {
        match connection.next(&mut inbox) {
            Ok(Event::NeedData | Event::Closed | Event::SwitchedProtocol) => {
                let waiting = clock.observe(connection, outbox, start.elapsed());
                if waiting == WaitingFor::Nothing {
                    return Ok(());
                }
                let left = clock.remaining(timeouts, start.elapsed()).unwrap_or(Duration::MAX);
                let transfer = async {
                    if waiting == WaitingFor::Writable {
                        let n = stream.write(outbox.unsent()).await?;
                        outbox.sent(n);
                        return io::Result::Ok(n);
                    } else if waiting == WaitingFor::Linger {
                        let _ = stream.shutdown().await;
                    }
                    let n = stream.read(inbox.space()).await?;
                    inbox.filled(n);
                    Ok(n)
                };
                match timeout(left, transfer).await {
                    Ok(n) => clock.moved(n?, start.elapsed()),
                    Err(_elapsed) => connection.timed_out(inbox.unread(), outbox),
                }
                outbox.set_date(SystemTime::now());
            }
            Ok(event) => app.handle(&event, connection, outbox)?,
            Err(reject) => _ = connection.refuse(reject, inbox.unread(), outbox),
        }
    }
}

/// Accepts connections, and serves each by a task of its own.
async fn accept(listener: TcpListener, timeouts: Timeouts) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut connection = Connection::new(Limits::default());
            let mut outbox = Outbox::new("tokio");
            let _ = serve(&mut stream, &mut connection, &mut outbox, &timeouts).await;
            if connection.reset_on_close(&outbox) {
                let _ = stream.set_zero_linger();
            }
        });
    }
}
// loop end

/// Serves until the loop itself fails.
pub fn run(listener: &TcpListener, timeouts: &Timeouts) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(accept(listener.try_clone()?, *timeouts))
}

#[allow(dead_code, reason = "the test that drives this file calls `run`")]
fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    run(&TcpListener::bind(address)?, &Timeouts::default())
}
