//! The server's life: bind, say so, serve until a signal, stop.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use doorstep_async_smol as smol;
use doorstep_blocking as blocking;
use doorstep_blocking::host::{self, Log, Places};
use doorstep_core::http1::Limits;

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
    let log = Arc::new(Log::stderr().map_err(Failure::Serve)?);
    let served = match config.runtime {
        Runtime::Blocking => {
            let files = blocking::Files::linked(&config.root, config.symlinks).map_err(no_root)?;
            let files = files.with(config.site.clone());
            let scripts = config.scripts.clone().map(|how| blocking::Cgi::new(&config.root, how));
            let scripts = scripts.transpose().map_err(no_root)?;
            let server = listen(config, blocking::Server::on)?.with(settings(config));
            let stopper = server.stopper();
            let running = scripts.as_ref().map(blocking::Cgi::places);
            announce(server.addresses(), signals, move || stopper.stop(), running)?;
            let (log, access) = (log.clone(), config.access_log);
            match scripts {
                None => server.serve(Logged::new(files, log, access)),
                Some(scripts) => server.serve(Logged::new(scripts.around(files), log, access)),
            }
        }
        Runtime::Smol => {
            let files = smol::Files::linked(&config.root, config.symlinks).map_err(no_root)?;
            let files = files.with(config.site.clone());
            let scripts = config.scripts.clone().map(|how| smol::Cgi::new(&config.root, how));
            let scripts = scripts.transpose().map_err(no_root)?;
            let server = listen(config, smol::Server::on)?.with(settings(config));
            let stopper = server.stopper();
            let running = scripts.as_ref().map(smol::Cgi::places);
            announce(server.addresses(), signals, move || stopper.stop(), running)?;
            let (log, access, one) = (log.clone(), config.access_log, NonZeroUsize::MIN);
            match scripts {
                None => server.run(Logged::new(files, log, access), one),
                Some(scripts) => server.run(Logged::new(scripts.around(files), log, access), one),
            }
        }
    };
    let _ = log.flush(LAST_LINES); // a reader that is stuck does not keep us
    served.map_err(Failure::Serve)
}

/// What both drivers are told.
fn settings(config: &Config) -> blocking::Config {
    let defaults = blocking::Config::default();
    blocking::Config {
        limits: Limits { body: config.max_body, ..defaults.limits },
        timeouts: config.timeouts,
        protocol: config.protocol,
        max_connections: config.max_connections,
        server: config.server.clone().unwrap_or(defaults.server),
        fields: config.fields.clone(),
        ..blocking::Config::default()
    }
}

fn listen<S>(
    config: &Config,
    server: impl FnOnce(Vec<TcpListener>) -> io::Result<S>,
) -> Result<S, Failure> {
    host::bind(config.host.as_deref(), config.port)
        .and_then(server)
        .map_err(|error| Failure::Bind { host: config.host.clone(), port: config.port, error })
}

/// Says where we serve; from here on a signal stops it, and a second one kills what is `running`.
fn announce(
    addresses: &[SocketAddr],
    signals: Signals,
    stop: impl FnOnce() + Send + 'static,
    running: Option<Arc<Places>>,
) -> Result<(), Failure> {
    banner::serving(addresses[0], &host::urls(addresses, "http"));
    let kill = move || running.iter().for_each(|scripts| scripts.kill());
    signals.then(stop, kill).map_err(Failure::Serve)
}
