//! A front end of one's own on the driver crate: a directory, served by one thread, one connection
//! at a time.
//!
//! The driver crate decides everything; what is here waits. Between two looks at the socket the
//! thread checks deadlines, evicts the connection for one that waits, and takes the steps of a
//! shutdown. So a slow client is bounded as on the other front ends.
//!
//! Run with: `cargo run -p doorstep-driver --example minimal -- 127.0.0.1:8000`

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, Read};
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use doorstep_driver::connections::ConnectionHandle;
use doorstep_driver::core::http1::{Outbox, WaitingFor};
use doorstep_driver::event_listener::Listener;
use doorstep_driver::exchange::{ExchangeState, Session, Step};
use doorstep_driver::net::Acceptor;
use doorstep_driver::{
    Admission, Config, Files, GracefulShutdown, Job, JobStep, Observer, ShutdownHandle,
    notify_observer,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How often deadlines and the shutdown are looked at, in milliseconds.
const TICK: u16 = 50;

/// Serves `files` until `handle` stops it.
pub fn serve(
    handle: &ShutdownHandle,
    config: &Config,
    files: &Files,
    observer: &dyn Observer,
) -> io::Result<()> {
    let server = Server {
        handle,
        config,
        files,
        observer,
        admission: Admission::new(handle, config, NonZeroUsize::MIN),
        shutdown: RefCell::new(GracefulShutdown::new(handle, config)),
        next_step: Cell::new(Duration::ZERO),
    };
    notify_observer(|| observer.on_start());
    while !(handle.is_stopping() && handle.all_closed()) {
        match handle.acceptor.try_accept() {
            Ok(Some(stream)) => {
                let registration = handle.connections.register_stream(stream);
                let _ = server.connection(&registration); // a lost connection is the client's affair
            }
            Ok(None) => drop(handle.acceptor.wait_readable(Duration::from_millis(TICK.into()))?),
            Err(error) => thread::sleep(server.admission.accept_failed(observer, &error)),
        }
    }
    server.shutdown.into_inner().finish(observer);
    Ok(())
}

struct Server<'s> {
    handle: &'s ShutdownHandle,
    config: &'s Config,
    files: &'s Files,
    observer: &'s dyn Observer,
    admission: Admission,
    shutdown: RefCell<GracefulShutdown<'s>>,
    /// When the shutdown's next step is due, as the time since its begin.
    next_step: Cell<Duration>,
}

impl Server<'_> {
    /// One connection, from its first byte to its last.
    fn connection(&self, connection: &Arc<ConnectionHandle>) -> io::Result<()> {
        let (mut inbox, mut outbox) = (self.config.inbox(), self.config.outbox());
        let mut session = Session::new(self.config, connection, self.observer, false);
        loop {
            match session.step(&mut inbox, &mut outbox) {
                Step::Handle(head) => {
                    let mut exchange = session.exchange(head, &mut inbox, &mut outbox);
                    let handled = self.respond(&mut exchange);
                    let position = exchange.finish(Ok(handled));
                    inbox.rejoin(position);
                }
                Step::Flush => {
                    let flushed = self.flush(connection, &mut outbox, false);
                    session.flushed(&inbox, &mut outbox, flushed)?;
                }
                Step::Fill(waiting) => {
                    let read = || connection.read(waiting, |stream| inbox.fill(stream));
                    let filled = self.wait(connection, waiting, read);
                    session.filled(&inbox, &mut outbox, filled)?;
                }
                Step::Discard => {
                    let mut buffer = [0; 4096];
                    let waiting = WaitingFor::Linger;
                    let read = || connection.read(waiting, |stream| stream.read(&mut buffer));
                    session.discarded(self.wait(connection, waiting, read));
                }
                Step::Close | Step::Upgraded => return Ok(()),
            }
        }
    }

    /// The response to one request. `Files` waits for less than a script does.
    fn respond(&self, exchange: &mut ExchangeState<'_>) -> io::Result<()> {
        let (mut job, connection) = (self.files.job(), exchange.connection());
        loop {
            match job.step(exchange)? {
                JobStep::Flush => {
                    let flushed = self.flush(connection, exchange.to_send(), false);
                    exchange.record_flush(flushed)?;
                }
                JobStep::SendFile(file, offset, count) => {
                    let Some(mut transfer) = exchange.begin_file(&file, offset, count)? else {
                        continue; // it was small, and is in the outbox
                    };
                    let flushed = self.flush(connection, exchange.to_send(), true);
                    exchange.record_flush(flushed)?;
                    let sent = self.wait(connection, WaitingFor::Writable, || {
                        while !transfer.is_done() {
                            connection.send(|stream| transfer.send(stream))?;
                        }
                        Ok(())
                    });
                    exchange.file_sent(transfer.sent(), sent)?;
                }
                JobStep::Evict => {} // there is no other connection
                JobStep::Block(work) => work(),
                JobStep::Wait(listener, timeout) => drop(listener.wait_timeout(timeout)),
                JobStep::ReadBody | JobStep::WaitProcess(_) => {
                    return Err(ErrorKind::Unsupported.into());
                }
                JobStep::Declined | JobStep::Done => return Ok(()),
            }
        }
    }

    /// Sends everything that is in the outbox; `more` says that a file follows at once.
    fn flush(
        &self,
        connection: &ConnectionHandle,
        outbox: &mut Outbox,
        more: bool,
    ) -> io::Result<()> {
        self.wait(connection, WaitingFor::Writable, || connection.flush(outbox, more))
    }

    /// Repeats `call`, which never waits, until it has a result. Meanwhile the clock runs.
    fn wait<T>(
        &self,
        connection: &ConnectionHandle,
        waiting: WaitingFor,
        mut call: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        let writes = waiting == WaitingFor::Writable;
        let interest = if writes { PollFlags::OUT } else { PollFlags::IN };
        let tick = Timespec { tv_sec: 0, tv_nsec: (u32::from(TICK) * 1_000_000).into() };
        connection.begin_wait(waiting);
        let result = loop {
            match call() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => break result,
            }
            if let Some(fd) = connection.stream().fd() {
                let _ = poll(&mut [PollFd::from_borrowed_fd(fd, interest)], Some(&tick));
            }
            self.tick();
        };
        connection.pause_wait();
        result
    }

    /// Everything that is due while a client is waited for.
    fn tick(&self) {
        self.handle.connections.sweep(self.config);
        if self.handle.acceptor.wait_readable(Duration::ZERO).unwrap_or(false) {
            let _ = self.admission.evict(); // this connection: it is the only one
        }
        if self.handle.is_stopping() && self.handle.next_wait(self.next_step.get()).is_none() {
            let step = self.shutdown.borrow_mut().step(self.observer, false);
            self.next_step.set(step.unwrap_or(Duration::MAX));
        }
    }
}

#[allow(dead_code, reason = "the test that drives this file calls `serve`")]
fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let acceptor = Acceptor::nonblocking(vec![TcpListener::bind(address)?])?;
    let handle = ShutdownHandle::new(Arc::new(acceptor));
    serve(&handle, &Config::default(), &Files::new(".")?, &())
}
