//! The loop: each operation owns its buffer until it completes, and nothing is copied for that.
//!
//! To receive, the inbox is taken apart, the operation fills the rest of its storage, and the inbox
//! is put together again. To send, [`Outbox::begin_send`] moves the bytes out, and
//! [`Outbox::end_send`] returns what was not sent. [`WaitClock::remaining`] is how long an operation
//! may take; a storage that was lost with a receive operation is replaced by another.
//!
//! All of it is safe code: compio owns the buffers and the completion queue. It works with a system
//! that has no `io_uring`, too, but [`run`] refuses that.

#![allow(clippy::disallowed_types, reason = "the loop has the sockets and the clock")]

#[path = "../app/mod.rs"]
mod app;

use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::time::{Duration, Instant, SystemTime};

use app::App;
use compio::BufResult;
use compio::buf::{IntoInner, IoBuf};
use compio::io::{AsyncRead, AsyncWrite};
use compio::net::TcpStream;
use compio::time::timeout;
use doorstep_core::http1::{
    Connection, Event, Inbox, Limits, Outbox, Timeouts, WaitClock, WaitingFor,
};

/// Instead of no deadline.
const FOREVER: Duration = Duration::from_secs(1 << 30);

/// The memory of an inbox.
fn storage() -> Box<[u8]> {
    vec![0; 16 << 10].into()
}

/// The error of a send operation that took too long.
fn late(_: compio::time::Elapsed) -> io::Error {
    ErrorKind::TimedOut.into()
}

// loop begin
/// One connection, until it is over or fails.
async fn serve(
    stream: &mut TcpStream,
    connection: &mut Connection,
    outbox: &mut Outbox,
    timeouts: &Timeouts,
) -> io::Result<()> {
    let mut inbox = Inbox::new(storage());
    let (start, mut clock) = (Instant::now(), WaitClock::new(Duration::ZERO));
    let mut app = App::default();
    loop {
        match connection.next(&mut inbox) {
            Ok(Event::NeedData | Event::Closed | Event::SwitchedProtocol) => {
                let waiting = clock.observe(connection, outbox, start.elapsed());
                let left = clock.remaining(timeouts, start.elapsed()).unwrap_or(FOREVER);
                let closes = waiting == WaitingFor::Linger && stream.shutdown().await.is_err();
                if waiting == WaitingFor::Nothing || closes {
                    return Ok(());
                } else if waiting == WaitingFor::Writable {
                    let write = stream.write(outbox.begin_send().unwrap_or_default());
                    let BufResult(sent, buffer) = timeout(left, write).await.map_err(late)?;
                    outbox.end_send(buffer, *sent.as_ref().unwrap_or(&0))?;
                    clock.moved(sent?, start.elapsed());
                } else {
                    inbox.space();
                    let (bytes, position) = inbox.into_parts();
                    let space = bytes.slice(position.unread().end..);
                    if let Ok(BufResult(n, space)) = timeout(left, stream.read(space)).await {
                        inbox = Inbox::from_parts(space.into_inner(), position);
                        let n = n?;
                        inbox.filled(n);
                        clock.moved(n, start.elapsed());
                    } else {
                        inbox = Inbox::new(storage()); // the old one is lost, and not needed
                        connection.timed_out(b"", outbox);
                    }
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
    let listener = compio::net::TcpListener::from_std(listener)?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        compio::runtime::spawn(async move {
            let mut connection = Connection::new(Limits::default());
            let mut outbox = Outbox::new("io_uring");
            let _ = serve(&mut stream, &mut connection, &mut outbox, &timeouts).await;
            if connection.reset_on_close(&outbox) {
                let _ = stream.set_zero_linger();
            }
        })
        .detach();
    }
}
// loop end

/// Serves until the loop itself fails.
///
/// # Errors
/// Returns an error of kind `Unsupported` if the system refuses `io_uring`.
pub(crate) fn run(listener: &TcpListener, timeouts: &Timeouts) -> io::Result<()> {
    let runtime = compio::runtime::Runtime::new()?;
    if !runtime.driver_type().is_iouring() {
        return Err(ErrorKind::Unsupported.into());
    }
    runtime.block_on(accept(listener.try_clone()?, *timeouts))
}
