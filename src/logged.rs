//! A handler with the terminal's view of it: a line on stderr for every answer.
//!
//! It promises `http.server`'s lines, in local time, and that a log nobody reads delays no answer.
//! Quiet leaves out the answers; what went wrong is told all the same, and counted when it goes
//! wrong again and again.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use doorstep_async_smol as smol;
use doorstep_blocking as blocking;
use doorstep_core::http1::date::Civil;
use doorstep_core::log;
use doorstep_driver::os::{self, Clock, Log};
use doorstep_driver::{Record, Stopped};

/// Serves what `handler` does, and writes to the log; tells when it begins.
pub(crate) struct Logged<H> {
    handler: H,
    log: Arc<Log>,
    clock: Clock,
    access: bool,
    started: Started,
}

/// Called when the server serves.
pub(crate) type Started = Box<dyn Fn() + Send + Sync>;

impl<H> Logged<H> {
    /// Logs to `log`; answers only with `access`.
    pub(crate) fn new(handler: H, log: Arc<Log>, access: bool, started: Started) -> Self {
        Self { handler, log, clock: Clock::new(), access, started }
    }

    fn record(&self, record: &Record<'_>) {
        if self.access {
            self.line(|out, at| log::write(out, record, at));
        }
    }

    fn report(&self, how: &Stopped) {
        let message = match how.cut {
            0 => return,
            1 => "graceful shutdown timed out: 1 connection was cut".into(),
            cut => format!("graceful shutdown timed out: {cut} connections were cut"),
        };
        self.line(|out, at| log::write_server_message(out, at, message.as_bytes()));
    }

    /// Logs what `write` makes of the time.
    fn line(&self, write: impl FnOnce(&mut Vec<u8>, &Civil)) {
        let mut line = Vec::with_capacity(128);
        write(&mut line, &self.clock.civil(os::now()));
        self.log.write(&line);
    }
}

impl<H: blocking::Handler> blocking::Handler for Logged<H> {
    fn handle(&self, x: &mut blocking::Exchange<'_>) -> io::Result<()> {
        self.handler.handle(x)
    }
    fn expect(&self, x: &mut blocking::Exchange<'_>) -> io::Result<()> {
        self.handler.expect(x)
    }
    fn log(&self, record: &Record<'_>) {
        self.record(record);
    }
    fn note(&self, peer: IpAddr, message: &str) {
        self.log.note(peer, message);
    }
    fn started(&self) {
        (self.started)();
    }
    fn hurry(&self) {
        self.handler.hurry();
    }
    fn stopped(&self, how: &Stopped) {
        self.report(how);
        self.handler.stopped(how);
    }
}

impl<H: smol::Handler> smol::Handler for Logged<H> {
    async fn handle(&self, x: &mut smol::Exchange<'_>) -> io::Result<()> {
        self.handler.handle(x).await
    }
    async fn expect(&self, x: &mut smol::Exchange<'_>) -> io::Result<()> {
        self.handler.expect(x).await
    }
    fn log(&self, record: &Record<'_>) {
        self.record(record);
    }
    fn note(&self, peer: IpAddr, message: &str) {
        self.log.note(peer, message);
    }
    fn started(&self) {
        (self.started)();
    }
    fn hurry(&self) {
        self.handler.hurry();
    }
    async fn stopped(&self, how: &Stopped) {
        self.report(how);
        self.handler.stopped(how).await;
    }
}
