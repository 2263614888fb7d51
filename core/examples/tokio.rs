//! The core on tokio: one task for each client, one loop, and one place where it waits.
//!
//! [`Connection::waiting_for`] decides whether to send or to receive, and [`Timeouts::remaining`] how
//! long that may take. The body of a POST is sent back as it arrives; nothing is read from a client
//! that does not read the response (backpressure).
//!
//! Run with: `cargo run -p doorstep-core --example tokio -- 127.0.0.1:8000`

#![allow(clippy::disallowed_types, reason = "the loop has the sockets and the clock")]

use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::time::Duration;

use doorstep_core::http1::{
    Connection, Event, GrowableBuffer, Inbox, Limits, Outbox, Reject, ResponseDue, Timeouts,
    WaitingFor,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

struct Client {
    stream: TcpStream,
    connection: Connection,
    inbox: Inbox<GrowableBuffer>,
    outbox: Outbox,
    waiting: WaitingFor,
    /// When the reason to wait last changed, when a byte was last transferred, and how many were
    /// since the change.
    since: Instant,
    quiet: Instant,
    moved: u64,
}

impl Client {
    fn new(stream: TcpStream) -> Self {
        let connection = Connection::new(Limits::default());
        let inbox = Inbox::new(GrowableBuffer::new(4 << 10, 144 << 10));
        let (outbox, waiting, now) = (Outbox::new("tokio"), WaitingFor::Request, Instant::now());
        Self { stream, connection, inbox, outbox, waiting, since: now, quiet: now, moved: 0 }
    }

    async fn serve(mut self) -> io::Result<()> {
        loop {
            match self.connection.next(&mut self.inbox) {
                Ok(Event::Request(head)) => {
                    self.waiting = WaitingFor::Response;
                    let response = self.connection.respond(200, &mut self.outbox);
                    match head.method() {
                        b"POST" => response.streamed_body()?,
                        _ => response.body(head.path())?,
                    }
                }
                Ok(Event::Body(part))
                    if self.connection.response_due() == Some(ResponseDue::Stream) =>
                {
                    self.connection.send(part, &mut self.outbox)?;
                }
                Ok(Event::ResponseDue(_)) => self.connection.end(&mut self.outbox)?,
                Ok(Event::Body(_) | Event::End(_)) => {} // of a request other than POST
                Ok(Event::Closed | Event::SwitchedProtocol) if self.outbox.is_empty() => {
                    return self.linger().await;
                }
                Ok(Event::NeedData | Event::Closed | Event::SwitchedProtocol) => match self
                    .wait()
                    .await
                {
                    Err(error) if error.kind() == ErrorKind::TimedOut && self.awaits_request() => {
                        let slow = Reject::RequestTimeout;
                        self.connection.refuse(slow, self.inbox.unread(), &mut self.outbox);
                    }
                    done => done?,
                },
                Err(reject) => {
                    self.connection.refuse(reject, self.inbox.unread(), &mut self.outbox);
                }
            }
        }
    }

    /// Sends or receives once, whichever it waits for. When that changes, the deadline restarts.
    async fn wait(&mut self) -> io::Result<()> {
        let (waiting_for, now) = (self.connection.waiting_for(&self.outbox), Instant::now());
        if waiting_for != self.waiting {
            (self.waiting, self.since, self.quiet, self.moved) = (waiting_for, now, now, 0);
        }
        let (since, quiet) = (now - self.since, now - self.quiet);
        let left = Timeouts::default()
            .remaining(waiting_for, since, quiet, self.moved)
            .unwrap_or(Duration::MAX);
        let n = if waiting_for == WaitingFor::Writable {
            let n = timeout(left, self.stream.write(self.outbox.unsent())).await??;
            self.outbox.sent(n);
            n
        } else {
            let n = timeout(left, self.stream.read(self.inbox.space())).await??;
            self.inbox.filled(n);
            n
        };
        self.moved += n as u64;
        self.quiet = Instant::now();
        Ok(())
    }

    /// Lingering close: half-closes and reads until the peer closes, so that no response is lost.
    async fn linger(&mut self) -> io::Result<()> {
        while self.connection.should_linger() && !self.inbox.is_eof() {
            let _ = self.stream.shutdown().await;
            self.inbox.consume(self.inbox.unread().len());
            self.wait().await?;
        }
        Ok(())
    }

    fn awaits_request(&self) -> bool {
        matches!(self.waiting, WaitingFor::Head | WaitingFor::Body)
    }
}

/// Serves as long as the future is polled.
pub async fn run(listener: TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(Client::new(stream).serve());
    }
}

#[allow(dead_code, reason = "the test that drives this file calls `run`")]
fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(TcpListener::bind(address)?))
}
