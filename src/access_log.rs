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
use doorstep_driver::cgi::ProcessLimit;
use doorstep_driver::os::{self, Clock, Log};
use doorstep_driver::{Observer, Record, ShutdownReport};

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

    /// Writes the line that `format` appends, given the local time.
    fn write_line(&self, format: impl FnOnce(&mut Vec<u8>, &Civil)) {
        let mut line = Vec::with_capacity(128);
        format(&mut line, &self.clock.civil(os::now()));
        self.log.write(&line);
    }
}

impl<H: blocking::Handler + Observer> blocking::Handler for AccessLog<H> {
    fn handle(&self, exchange: &mut blocking::Exchange<'_>) -> io::Result<()> {
        self.handler.handle(exchange)
    }
    fn expect(&self, exchange: &mut blocking::Exchange<'_>) -> io::Result<()> {
        self.handler.expect(exchange)
    }
    fn observer(&self) -> &dyn Observer {
        self
    }
}

impl<H: smol::Handler + Observer> smol::Handler for AccessLog<H> {
    async fn handle(&self, exchange: &mut smol::Exchange<'_>) -> io::Result<()> {
        self.handler.handle(exchange).await
    }
    async fn expect(&self, exchange: &mut smol::Exchange<'_>) -> io::Result<()> {
        self.handler.expect(exchange).await
    }
    fn observer(&self) -> &dyn Observer {
        self
    }
}

impl<H: Observer> Observer for AccessLog<H> {
    fn log(&self, record: &Record<'_>) {
        if self.log_requests {
            self.write_line(|out, at| log::write(out, record, at));
        }
    }
    fn on_error(&self, peer: IpAddr, message: &str) {
        self.log.log_message(peer, message);
    }
    fn on_start(&self) {
        (self.on_started)();
    }
    fn on_grace_expired(&self) {
        self.handler.on_grace_expired();
    }
    fn on_stopped(&self, report: &ShutdownReport) {
        let message = match report.aborted {
            0 => return,
            1 => "graceful shutdown timed out: 1 connection aborted".into(),
            aborted => format!("graceful shutdown timed out: {aborted} connections aborted"),
        };
        self.write_line(|out, at| log::write_server_message(out, at, message.as_bytes()));
    }
    fn processes(&self) -> Option<&ProcessLimit> {
        self.handler.processes()
    }
}
