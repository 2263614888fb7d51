//! The life of the server: bind, print the banner, serve until a signal, shut down.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use doorstep_async_smol as smol;
use doorstep_blocking as blocking;
use doorstep_driver::cgi::ProcessLimit;
use doorstep_driver::net::{Listener, ListenerAddr};
use doorstep_driver::os::{self, Log};
use doorstep_driver::{AccessLog, Cgi, Config, Files, ShutdownHandle, WithObserver, net};

use crate::arguments::Runtime;
use crate::banner::Banner;
use crate::config::CommandConfig;
use crate::failure::Failure;
use crate::runtime::RuntimeServer;
use crate::signals::Signals;

/// Memory that must be available at the start, in bytes, mostly for the stacks of threads. With less,
/// a later allocation would abort the process.
const MIN_MEMORY: usize = 16 << 20;
/// How long the exit waits for the reader of stderr to take the last lines.
const LOG_FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// Serves until Ctrl-C or SIGTERM. Returning without a failure is success.
pub(crate) fn serve(config: &CommandConfig) -> Result<(), Failure> {
    os::can_allocate(MIN_MEMORY).map_err(Failure::Serve)?;
    // Caught before the banner is printed: a program that has read it may send a signal at once.
    let signals = Signals::catch().map_err(Failure::Serve)?;
    let log = Arc::new(Log::stderr().map_err(Failure::Serve)?);
    let served = match config.runtime {
        Runtime::Blocking => serve_on::<blocking::Server>(config, signals, log.clone()),
        Runtime::Smol => serve_on::<smol::Server>(config, signals, log.clone()),
    };
    let _ = log.flush(LOG_FLUSH_TIMEOUT); // a stuck reader does not delay the exit any longer
    served
}

fn serve_on<S: RuntimeServer>(
    config: &CommandConfig,
    signals: Signals,
    log: Arc<Log>,
) -> Result<(), Failure> {
    let no_directory = |error| Failure::directory(&config.root, error);
    let files = Files::with_symlinks(&config.root, config.symlinks).map_err(no_directory)?;
    let files = files.with_site(config.site.clone());
    let cgi = config.cgi.clone().map(|settings| Cgi::new(&config.root, settings));
    let cgi = cgi.transpose().map_err(no_directory)?;
    let mut server_config = server_config(config);
    let kill_wait = server_config.kill_wait;
    let listening = listen(config, &log)?;
    server_config.https_redirect = listening.https_redirect;
    let server = S::new(listening.listeners, server_config).map_err(Failure::Serve)?;
    let processes = cgi.as_ref().map(Cgi::process_limit).cloned();
    handle_signals(signals, server.shutdown_handle(), processes, kill_wait)?;
    let banner = listening.banner;
    let access_log = AccessLog::new(log);
    let access_log = if config.access_log { access_log } else { access_log.quiet() };
    let observer = WithObserver::new(banner, |banner| banner, access_log);
    let processors = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let workers = config.threads.unwrap_or_else(processors);
    let served = match cgi {
        None => server.serve(WithObserver::new(files, |files| files, observer), workers),
        Some(cgi) => {
            let cgi = cgi.with_fallback(files);
            server.serve(WithObserver::new(cgi, |cgi| cgi, observer), workers)
        }
    };
    served.map_err(Failure::Serve)
}

/// The configuration of the server, for either runtime.
fn server_config(config: &CommandConfig) -> Config {
    let mut server = Config::default();
    server.limits.body = config.max_body;
    server.timeouts = config.timeouts;
    server.protocol = config.protocol;
    server.max_connections = config.max_connections;
    if let Some(header) = &config.server_header {
        server.server.clone_from(header);
    }
    server.headers.clone_from(&config.headers);
    server.shutdown_grace = config.grace;
    server
}

/// What the server listens on.
struct Listening {
    listeners: Vec<Listener>,
    banner: Banner,
    /// The port of HTTPS, if plain HTTP is redirected to it.
    https_redirect: Option<u16>,
}

fn listen(config: &CommandConfig, log: &Arc<Log>) -> Result<Listening, Failure> {
    let mut listeners = bind(config, config.port)?;
    let mut banner = Banner { addresses: addresses(&listeners), ..Banner::default() };
    let mut https_redirect = None;
    #[cfg(not(feature = "tls"))]
    let _ = log;
    #[cfg(feature = "tls")]
    if let Some(tls) = &config.tls {
        let settings = tls.settings(config.bind.as_deref(), &banner.addresses, log.clone())?;
        if matches!(tls, crate::tls::TlsConfig::SelfSigned) {
            banner.fingerprint = Some(settings.fingerprint());
        }
        banner.is_https = true;
        let encrypted = listeners.into_iter().map(|listener| listener.with_tls(settings.clone()));
        listeners = encrypted.collect();
    }
    if let (Some(port), Some(https)) = (config.https_redirect, banner.addresses.first()) {
        https_redirect = Some(https.port());
        let plain = bind(config, port)?;
        banner.redirects = addresses(&plain);
        listeners.extend(plain);
    }
    Ok(Listening { listeners, banner, https_redirect })
}

fn bind(config: &CommandConfig, port: u16) -> Result<Vec<Listener>, Failure> {
    let bound = net::bind(config.bind.as_deref(), port);
    let bound = bound.map_err(|error| match os::is_exhausted(&error) {
        true => Failure::Serve(error),
        false => Failure::Bind { address: config.bind.clone(), port, error },
    })?;
    Ok(bound.into_iter().map(Listener::from).collect())
}

/// The addresses of the TCP listeners.
fn addresses(listeners: &[Listener]) -> Vec<SocketAddr> {
    let addresses = listeners.iter().filter_map(|listener| match listener.addr() {
        ListenerAddr::Tcp(address) => Some(address),
        _ => None,
    });
    addresses.collect()
}

/// From here on the first signal shuts the server down, and the second one kills the `processes`.
fn handle_signals(
    signals: Signals,
    shutdown: ShutdownHandle,
    processes: Option<ProcessLimit>,
    kill_wait: Duration,
) -> Result<(), Failure> {
    let shut_down = move |is_interrupt: bool| {
        shutdown.stop();
        if is_interrupt {
            shutdown.close_idle(); // without the time for one more request on kept connections
        }
    };
    let kill = move || processes.iter().for_each(|limit| limit.kill(kill_wait));
    signals.handle(shut_down, kill).map_err(Failure::Serve)
}
