//! The server's life: bind, say so, serve until a signal, stop.

use std::io;
use std::net::IpAddr;

use doorstep::blocking::host::{self, Clock, Log};
use doorstep::blocking::{self, Exchange, Files, Handler, Record, Server};
use doorstep::core::http1::Version;
use doorstep::core::log;

use crate::arguments::{Protocol, Runtime};
use crate::banner;
use crate::config::Config;
use crate::failure::Failure;
use crate::signals::Signals;

/// Serves as `config` says until Ctrl-C or SIGTERM. Coming back without a failure is success.
pub(crate) fn serve(config: &Config) -> Result<(), Failure> {
    let signals = Signals::catch().map_err(Failure::Serve)?;
    let files =
        Files::new(&config.root).map_err(|error| Failure::Directory(config.root.clone(), error))?;
    let listeners = host::bind(config.host.as_deref(), config.port)
        .map_err(|error| Failure::Bind { host: config.host.clone(), port: config.port, error })?;
    let logged = Logged {
        files,
        clock: Clock::new(),
        log: Log::stderr().map_err(Failure::Serve)?,
        access: config.access_log,
    };
    match config.runtime {
        Runtime::Blocking => {
            let server = Server::on(listeners).map_err(Failure::Serve)?.with(settings(config));
            let urls = host::urls(server.addresses(), "http");
            banner::serving(server.addresses()[0], &urls);
            let stopper = server.stopper();
            signals.then(move || stopper.stop()).map_err(Failure::Serve)?;
            server.serve(logged).map_err(Failure::Serve)
        }
    }
}

fn settings(config: &Config) -> blocking::Config {
    blocking::Config {
        protocol: match config.protocol {
            Protocol::Http10 => Version::Http10,
            Protocol::Http11 => Version::Http11,
        },
        max_connections: config.max_connections.get(),
        ..blocking::Config::default()
    }
}

/// Files, and a line on stderr for each answer.
struct Logged {
    files: Files,
    clock: Clock,
    log: Log,
    access: bool,
}

impl Handler for Logged {
    fn handle(&self, x: &mut Exchange<'_>) -> io::Result<()> {
        self.files.handle(x)
    }

    fn log(&self, record: &Record<'_>) {
        if self.access {
            let mut lines = Vec::with_capacity(128);
            log::write(&mut lines, record, &self.clock.civil(host::now()));
            self.log.write(&lines);
        }
    }

    fn note(&self, peer: IpAddr, message: &str) {
        let mut line = Vec::with_capacity(128);
        log::note(&mut line, peer, &self.clock.civil(host::now()), message.as_bytes());
        self.log.write(&line);
    }
}
