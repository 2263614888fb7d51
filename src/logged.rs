//! Files with the terminal's view of them: a line on stderr for every answer.
//!
//! It promises `http.server`'s lines, in local time, and that a log nobody reads delays no answer.
//! Quiet leaves out the answers; what went wrong is told all the same.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use doorstep_async_smol as smol;
use doorstep_blocking::host::{self, Clock, Log};
use doorstep_blocking::{self as blocking, Record};
use doorstep_core::http1::date::Civil;
use doorstep_core::log;

/// Serves `files`, and writes to the log.
pub(crate) struct Logged<F> {
    files: F,
    log: Arc<Log>,
    clock: Clock,
    access: bool,
}

impl<F> Logged<F> {
    /// Logs to `log`; answers only with `access`.
    pub(crate) fn new(files: F, log: Arc<Log>, access: bool) -> Self {
        Self { files, log, clock: Clock::new(), access }
    }

    fn record(&self, record: &Record<'_>) {
        if self.access {
            self.line(|out, at| log::write(out, record, at));
        }
    }

    fn remark(&self, peer: IpAddr, message: &str) {
        self.line(|out, at| log::note(out, peer, at, message.as_bytes()));
    }

    /// Logs what `write` makes of the time.
    fn line(&self, write: impl FnOnce(&mut Vec<u8>, &Civil)) {
        let mut line = Vec::with_capacity(128);
        write(&mut line, &self.clock.civil(host::now()));
        self.log.write(&line);
    }
}

impl blocking::Handler for Logged<blocking::Files> {
    fn handle(&self, x: &mut blocking::Exchange<'_>) -> io::Result<()> {
        self.files.handle(x)
    }
    fn log(&self, record: &Record<'_>) {
        self.record(record);
    }
    fn note(&self, peer: IpAddr, message: &str) {
        self.remark(peer, message);
    }
}

impl smol::Handler for Logged<smol::Files> {
    async fn handle(&self, x: &mut smol::Exchange<'_>) -> io::Result<()> {
        self.files.handle(x).await
    }
    fn log(&self, record: &Record<'_>) {
        self.record(record);
    }
    fn note(&self, peer: IpAddr, message: &str) {
        self.remark(peer, message);
    }
}
