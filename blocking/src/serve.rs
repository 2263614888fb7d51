//! One connection from its first byte to its last.
//!
//! [`Session`] decides what is done next; here it is done, and waited for where it has to be.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use doorstep_core::http1::{GrowableBuffer, HeadOffsets, Inbox, Outbox, Position, WaitingFor};
use doorstep_driver::connections::Connections;
use doorstep_driver::exchange::{Session, Step, log_connection_error};
use doorstep_driver::net::Stream;
use doorstep_driver::{BufferPool, Buffers, Config, Observer};

use crate::exchange::Exchange;
use crate::handler::Handler;
use crate::socket::Socket;
use crate::sweeper::Sweeper;

/// The most bytes of a request that are received before it has a buffer. Most heads fit in it.
const FIRST_READ: usize = 2 << 10;

/// Serves one accepted connection until it ends, on this thread: for a program that accepts
/// connections itself, or that inetd starts. Errors of the connection and of the handler are
/// reported to the observer.
///
/// Deadlines apply, and a thread watches them, except for a [`MemoryStream`], which never waits:
///
/// ```
/// use doorstep_blocking::{Config, Exchange, MemoryStream, serve_stream};
///
/// let handler = |exchange: &mut Exchange<'_>| exchange.respond(200).body(vec![b'x'; 1 << 20]);
/// let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
/// let client = MemoryStream::new(request).disconnect_after(1000);
/// serve_stream(&handler, &Config::default(), client.clone())?;
/// assert_eq!(client.take_output().len(), 1000);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// [`MemoryStream`]: crate::MemoryStream
///
/// # Errors
/// Returns an error if the system has no thread for the deadlines, or the socket cannot be set to
/// blocking.
pub fn serve_stream<H: Handler>(
    handler: &H,
    config: &Config,
    stream: impl Into<Stream>,
) -> io::Result<()> {
    let stream = stream.into();
    stream.set_nonblocking(false)?;
    let connections = Arc::<Connections>::default();
    let waits = stream.fd().is_some();
    let _sweeper = waits.then(|| Sweeper::start(connections.clone(), config)).transpose()?;
    let socket = Socket::new(connections.register_stream(stream), config);
    if let Err(error) = connection(handler, config, &socket, &BufferPool::default(), false) {
        log_connection_error(handler.observer(), socket.connection(), &error);
    }
    Ok(())
}

/// Serves a connection until it ends; with `once`, one request of it.
#[inline(never)]
pub(crate) fn connection<H: Handler>(
    handler: &H,
    config: &Config,
    socket: &Socket<'_>,
    pool: &BufferPool,
    once: bool,
) -> io::Result<()> {
    let mut buffers = None;
    let mut session = new_session(config, socket, handler.observer(), once);
    loop {
        let Buffers { inbox, outbox } = &mut **buffers.get_or_insert_with(|| pool.take(config));
        match session.step(inbox, outbox) {
            Step::Handle(head) => {
                let end = handle(handler, &mut session, head, inbox, outbox, socket);
                inbox.rejoin(end);
            }
            Step::Flush => {
                let flushed = socket.flush(outbox, false);
                session.flushed(inbox, outbox, flushed)?;
            }
            Step::Fill(WaitingFor::Request) if inbox.unread().is_empty() => {
                let (filled, next) = wait_for_request(pool, &mut buffers, socket, config);
                session.filled(&next.inbox, &mut next.outbox, filled)?;
            }
            Step::Fill(waiting) => {
                let filled = socket.fill(inbox, waiting);
                session.filled(inbox, outbox, filled)?;
            }
            Step::Discard => session.discarded(socket.discard()),
            Step::Close | Step::Upgraded => break,
        }
    }
    if let Some(buffers) = buffers {
        pool.put(buffers, config);
    }
    Ok(())
}

/// On the heap, so that there is less on the stack of a thread that waits.
#[inline(never)] // it is made on the stack, and moved
fn new_session<'c>(
    config: &'c Config,
    socket: &'c Socket<'_>,
    observer: &'c dyn Observer,
    once: bool,
) -> Box<Session<'c>> {
    Box::new(Session::new(config, socket.connection(), observer, once))
}

/// Waits for the next request without `buffers`, which are empty. Then they are there again, with
/// its first bytes. Returns the number of bytes, 0 at the end of input.
#[inline(never)] // its array would stand below everything else on the stack
fn wait_for_request<'b>(
    pool: &BufferPool,
    buffers: &'b mut Option<Box<Buffers>>,
    socket: &Socket<'_>,
    config: &Config,
) -> (io::Result<usize>, &'b mut Buffers) {
    if let Some(empty) = buffers.take() {
        pool.put(empty, config);
    }
    let mut first = [0; FIRST_READ];
    let received = socket.read_into(&mut first, WaitingFor::Request);
    let buffers = buffers.insert(pool.take(config));
    let received = received.and_then(|n| {
        let space = buffers.inbox.space().get_mut(..n).ok_or(io::ErrorKind::StorageFull)?;
        space.copy_from_slice(&first[..n]);
        buffers.inbox.filled(n);
        Ok(n)
    });
    (received, buffers)
}

/// Calls the handler, and completes the response. Returns where the next request begins.
#[inline(never)] // what it needs on the stack is not needed below the state machine, too
fn handle<H: Handler>(
    handler: &H,
    session: &mut Session<'_>,
    head: HeadOffsets,
    inbox: &mut Inbox<GrowableBuffer>,
    outbox: &mut Outbox,
    socket: &Socket<'_>,
) -> Position {
    let mut exchange = new_exchange(session, head, inbox, outbox, socket);
    let outcome = catch_unwind(AssertUnwindSafe(|| handler.handle(&mut exchange)));
    exchange.state().finish_in_place(outcome)
}

#[inline(never)] // an exchange is large, and moved here: below the handler it stands once
fn new_exchange<'x>(
    session: &'x mut Session<'_>,
    head: HeadOffsets,
    inbox: &'x mut Inbox<GrowableBuffer>,
    outbox: &'x mut Outbox,
    socket: &'x Socket<'x>,
) -> Exchange<'x> {
    Exchange::new(session.exchange(head, inbox, outbox), socket)
}
