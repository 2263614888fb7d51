//! A handler that logs what another one does: a line on stderr for each request.
//!
//! The lines are those of `http.server`, in local time. Logging never delays a response. `--quiet`
//! omits the lines of requests. Errors are logged all the same, and a repeated one is counted.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use doorstep_async_smol as smol;
use doorstep_blocking as blocking;
use doorstep_core::http1::date::Civil;
use doorstep_core::log;
use doorstep_driver::os::{self, Clock, Log};
use doorstep_driver::{Record, Stopped};

/// Serves as `handler` does, and logs.
pub(crate) struct AccessLog<H> {
    handler: H,
    log: Arc<Log>,
    clock: Clock,
    log_requests: bool,
    on_started: OnStarted,
}

/// Called when the server has started to serve.
pub(crate) type OnStarted = Box<dyn Fn() + Send + Sync>;

impl<H> AccessLog<H> {
    /// Logs to `log`: requests only if `log_requests`, errors always.
    pub(crate) fn new(
        handler: H,
        log: Arc<Log>,
        log_requests: bool,
        on_started: OnStarted,
    ) -> Self {
        Self { handler, log, clock: Clock::new(), log_requests, on_started }
    }

    fn log_request(&self, record: &Record<'_>) {
        if self.log_requests {
            self.write_line(|out, at| log::write(out, record, at));
        }
    }

    fn log_shutdown(&self, how: &Stopped) {
        let message = match how.cut {
            0 => return,
            1 => "graceful shutdown timed out: 1 connection aborted".into(),
            aborted => format!("graceful shutdown timed out: {aborted} connections aborted"),
        };
        self.write_line(|out, at| log::notice(out, at, message.as_bytes()));
    }

    /// Writes the line that `format` appends, given the local time.
    fn write_line(&self, format: impl FnOnce(&mut Vec<u8>, &Civil)) {
        let mut line = Vec::with_capacity(128);
        format(&mut line, &self.clock.civil(os::now()));
        self.log.write(&line);
    }
}

impl<H: blocking::Handler> blocking::Handler for AccessLog<H> {
    fn handle(&self, x: &mut blocking::Exchange<'_>) -> io::Result<()> {
        self.handler.handle(x)
    }
    fn expect(&self, x: &mut blocking::Exchange<'_>) -> io::Result<()> {
        self.handler.expect(x)
    }
    fn log(&self, record: &Record<'_>) {
        self.log_request(record);
    }
    fn note(&self, peer: IpAddr, message: &str) {
        self.log.note(peer, message);
    }
    fn started(&self) {
        (self.on_started)();
    }
    fn hurry(&self) {
        self.handler.hurry();
    }
    fn stopped(&self, how: &Stopped) {
        self.log_shutdown(how);
        self.handler.stopped(how);
    }
}

impl<H: smol::Handler> smol::Handler for AccessLog<H> {
    async fn handle(&self, x: &mut smol::Exchange<'_>) -> io::Result<()> {
        self.handler.handle(x).await
    }
    async fn expect(&self, x: &mut smol::Exchange<'_>) -> io::Result<()> {
        self.handler.expect(x).await
    }
    fn log(&self, record: &Record<'_>) {
        self.log_request(record);
    }
    fn note(&self, peer: IpAddr, message: &str) {
        self.log.note(peer, message);
    }
    fn started(&self) {
        (self.on_started)();
    }
    fn hurry(&self) {
        self.handler.hurry();
    }
    async fn stopped(&self, how: &Stopped) {
        self.log_shutdown(how);
        self.handler.stopped(how).await;
    }
}
