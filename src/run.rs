//! The server's life: bind, say so, serve until a signal, stop.

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use doorstep_async_smol as smol;
use doorstep_blocking as blocking;
use doorstep_core::http1::Limits;
use doorstep_driver::ShutdownHandle;
use doorstep_driver::net;
use doorstep_driver::os::{self, Log};
use doorstep_driver::semaphore::Semaphore;

use crate::arguments::Runtime;
use crate::banner;
use crate::config::Config;
use crate::failure::Failure;
use crate::logged::{Logged, Started};
use crate::signals::Signals;

/// Memory that must be there at the start, in bytes: for the threads' stacks above all. With less,
/// a later allocation would abort the process.
const MEMORY: usize = 16 << 20;
/// How long the last lines of the log may take to be read.
const LAST_LINES: Duration = Duration::from_millis(500);

/// Serves as `config` says until Ctrl-C or SIGTERM. Coming back without a failure is success.
pub(crate) fn serve(config: &Config) -> Result<(), Failure> {
    os::can_allocate(MEMORY).map_err(Failure::Serve)?;
    // Caught before the banner: whoever has read that may send one.
    let signals = Signals::catch().map_err(Failure::Serve)?;
    let no_root = |error| match os::is_exhausted(&error) {
        true => Failure::Serve(error),
        false => Failure::Directory(config.root.clone(), error),
    };
    let log = Arc::new(Log::stderr().map_err(Failure::Serve)?);
    let served = match config.runtime {
        Runtime::Blocking => {
            let files =
                blocking::Files::with_symlinks(&config.root, config.symlinks).map_err(no_root)?;
            let files = files.with_site(config.site.clone());
            let scripts = config.scripts.clone().map(|how| blocking::Cgi::new(&config.root, how));
            let scripts = scripts.transpose().map_err(no_root)?;
            let server =
                blocking::Server::from_listeners(listen(config)?).map_err(Failure::Serve)?;
            let server = server.with_config(settings(config));
            server.raise_descriptor_limit();
            let stopper = server.shutdown_handle();
            let running = scripts.as_ref().map(blocking::Cgi::process_limit);
            let (log, access) = (log.clone(), config.access_log);
            let say = announce(server.addresses(), signals, stopper, running)?;
            match scripts {
                None => server.serve(Logged::new(files, log, access, say)),
                Some(scripts) => {
                    server.serve(Logged::new(scripts.with_fallback(files), log, access, say))
                }
            }
        }
        Runtime::Smol => {
            let files =
                smol::Files::with_symlinks(&config.root, config.symlinks).map_err(no_root)?;
            let files = files.with_site(config.site.clone());
            let scripts = config.scripts.clone().map(|how| smol::Cgi::new(&config.root, how));
            let scripts = scripts.transpose().map_err(no_root)?;
            let server = smol::Server::from_listeners(listen(config)?).map_err(Failure::Serve)?;
            let server = server.with_config(settings(config));
            server.raise_descriptor_limit();
            let stopper = server.shutdown_handle();
            let running = scripts.as_ref().map(smol::Cgi::process_limit);
            let (log, access, one) = (log.clone(), config.access_log, NonZeroUsize::MIN);
            let say = announce(server.addresses(), signals, stopper, running)?;
            match scripts {
                None => server.run(Logged::new(files, log, access, say), one),
                Some(scripts) => {
                    server.run(Logged::new(scripts.with_fallback(files), log, access, say), one)
                }
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
        headers: config.fields.clone(),
        shutdown_grace: config.grace,
        ..blocking::Config::default()
    }
}

fn listen(config: &Config) -> Result<Vec<TcpListener>, Failure> {
    net::bind(config.host.as_deref(), config.port).map_err(|error| match os::is_exhausted(&error) {
        true => Failure::Serve(error),
        false => Failure::Bind { host: config.host.clone(), port: config.port, error },
    })
}

/// From here on a signal stops the server, and a second one kills what is `running`. What comes
/// back says where we serve, to be called when we do.
fn announce(
    addresses: &[SocketAddr],
    signals: Signals,
    stopper: ShutdownHandle,
    running: Option<Arc<Semaphore>>,
) -> Result<Started, Failure> {
    let stop = move |interactive: bool| {
        stopper.stop();
        if interactive {
            stopper.close_idle(); // a person waits
        }
    };
    let kill = move || running.iter().for_each(|scripts| scripts.kill());
    signals.then(stop, kill).map_err(Failure::Serve)?;
    let addresses = addresses.to_vec();
    Ok(Box::new(move || banner::serving(&addresses)))
}
