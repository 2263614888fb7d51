//! The server's life: bind, say so, serve until a signal, stop.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use doorstep_async_smol as smol;
use doorstep_blocking as blocking;
use doorstep_blocking::host::{self, Log};

use crate::arguments::Runtime;
use crate::banner;
use crate::config::Config;
use crate::failure::Failure;
use crate::logged::Logged;
use crate::signals::Signals;

/// How long the last lines of the log may take to be read.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Serves as `config` says until Ctrl-C or SIGTERM. Coming back without a failure is success.
pub(crate) fn serve(config: &Config) -> Result<(), Failure> {
    // Caught before the banner: whoever has read that may send one.
    let signals = Signals::catch().map_err(Failure::Serve)?;
    let no_root = |error| Failure::Directory(config.root.clone(), error);
    let defaults = blocking::Config::default();
    let settings = blocking::Config {
        protocol: config.protocol,
        max_connections: config.max_connections.get(),
        server: config.server.clone().unwrap_or(defaults.server),
        fields: config.fields.clone(),
        ..blocking::Config::default()
    };
    let log = Arc::new(Log::stderr().map_err(Failure::Serve)?);
    let served = match config.runtime {
        Runtime::Blocking => {
            let files = blocking::Files::linked(&config.root, config.symlinks).map_err(no_root)?;
            let files = files.with(config.site.clone());
            let server = listen(config, blocking::Server::on)?.with(settings);
            let handler = Logged::new(files, log.clone(), config.access_log);
            let stopper = server.stopper();
            announce(server.addresses(), signals, move || stopper.stop())?;
            server.serve(handler).map_err(Failure::Serve)
        }
        Runtime::Smol => {
            let files = smol::Files::linked(&config.root, config.symlinks).map_err(no_root)?;
            let files = files.with(config.site.clone());
            let server = listen(config, smol::Server::on)?.with(settings);
            let handler = Logged::new(files, log.clone(), config.access_log);
            let stopper = server.stopper();
            announce(server.addresses(), signals, move || stopper.stop())?;
            server.run(handler, NonZeroUsize::MIN).map_err(Failure::Serve)
        }
    };
    let _ = log.flush(LAST_LINES); // a reader that is stuck does not keep us
    served
}

fn listen<S>(
    config: &Config,
    server: impl FnOnce(Vec<TcpListener>) -> io::Result<S>,
) -> Result<S, Failure> {
    host::bind(config.host.as_deref(), config.port)
        .and_then(server)
        .map_err(|error| Failure::Bind { host: config.host.clone(), port: config.port, error })
}

/// Says where we serve; from here on a signal stops it.
fn announce(
    addresses: &[SocketAddr],
    signals: Signals,
    stop: impl FnOnce() + Send + 'static,
) -> Result<(), Failure> {
    banner::serving(addresses[0], &host::urls(addresses, "http"));
    signals.then(stop).map_err(Failure::Serve)
}
