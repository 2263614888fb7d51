//! The life of the server: bind, print the banner, serve until a signal, shut down.

use std::io;
use std::num::NonZeroUsize;
use std::thread;
use std::time::{Duration, Instant};

use doorstep_async_smol as smol;
use doorstep_blocking as blocking;
use doorstep_driver::cgi::ProcessLimit;
use doorstep_driver::net::{self, Listener, Stream};
use doorstep_driver::os::{self, Stopwatch};
use doorstep_driver::{
    Cgi, Config, Files, Health, Observer, ShutdownHandle, ShutdownSchedule, WithObserver,
};

use crate::arguments::Runtime;
use crate::auth;
use crate::banner::{self, Banner};
use crate::config::CommandConfig;
use crate::failure::{Failure, INCOMPLETE};
use crate::listen;
use crate::logs::Logs;
use crate::reports::Reports;
use crate::runtime::{RuntimeServer, Served};
use crate::service_manager::Manager;
use crate::sharing::Sharing;
use crate::signals::{Reload, Signals};
use crate::terminal::{Screen, Terminal};
use crate::uploads;

/// Memory that must be available at the start, in bytes, mostly for the stacks of threads. With less,
/// a later allocation would abort the process.
const MIN_MEMORY: usize = 16 << 20;
/// The longest time that the exit waits for the reader of stderr to take the last lines; less if
/// killed scripts are waited for less ([`ShutdownSchedule`]), so that `--grace` scales all of a stop.
const LOG_FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// How long after the end of a shutdown the process is ended, if a thread hangs.
const EXIT_DELAY: Duration = Duration::from_millis(250);

/// Serves until Ctrl-C or SIGTERM, or until the server ends by itself. Returning without a failure is
/// success.
pub(crate) fn serve(config: &CommandConfig) -> Result<(), Failure> {
    os::can_allocate(MIN_MEMORY).map_err(Failure::Serve)?;
    let inherited = listen::inherited(config)?; // before there are other descriptors, and threads
    if config.inetd {
        return serve_stdin(config);
    }
    serve_source(config, Source::Listen(inherited))
}

/// Serves the connection on standard input. Signals have their default effect, and there is no
/// banner.
fn serve_stdin(config: &CommandConfig) -> Result<(), Failure> {
    serve_source(config, Source::Connection(net::stdin_stream().map_err(Failure::Inetd)?))
}

fn serve_source(config: &CommandConfig, source: Source) -> Result<(), Failure> {
    match config.runtime {
        Runtime::Blocking => serve_on::<blocking::Server>(config, source),
        Runtime::Smol => serve_on::<smol::Server>(config, source),
    }
}

/// Where connections come from.
enum Source {
    /// The listeners that were inherited, if there are any, or those of the configuration.
    Listen(Vec<Listener>),
    Connection(Stream),
}

/// First everything that needs privileges: ports are bound. Then they are given up. No thread is
/// started before that: it would keep them.
fn serve_on<S: RuntimeServer>(config: &CommandConfig, source: Source) -> Result<(), Failure> {
    let mut server_config = server_config(config);
    let (kill_wait, log_timeout) = (server_config.kill_wait, log_flush_timeout(&server_config));
    let exit_time = ShutdownSchedule::new(&server_config).killed.saturating_add(log_timeout);
    let (mut banner, reports): (Banner, Reports);
    let mut reload = Vec::new();
    let (mut manager, mut terminal) = (Manager::default(), Terminal::default());
    let mut sharing = None;
    let (server, signals) = match source {
        Source::Listen(inherited) => {
            let listening = listen::listen(config, inherited)?;
            // Not while a name was looked up, since nothing would act on a signal then; but before the
            // banner is printed: a program that has read it may send a signal at once.
            let signals = Signals::catch().map_err(Failure::Serve)?;
            (banner, reports) = (listening.banner, listening.reports);
            reload.extend(listening.reload);
            server_config.https_redirect = listening.https_redirect;
            manager = Manager::from_env();
            banner.path = config.url_path();
            terminal = Terminal::new(config);
            server_config.transfers = terminal.transfers();
            terminal.open_browser(config, &banner);
            let server = S::new(listening.listeners, server_config).map_err(Failure::Serve)?;
            let takes_uploads = config.uploads.is_some() || config.cgi.is_some();
            sharing = Sharing::new(&config.sharing, takes_uploads, server.shutdown_handle());
            (Served::Listeners(server), Some(signals))
        }
        Source::Connection(stream) => {
            let connection = listen::connection(config, stream)?;
            (banner, reports) = (connection.banner, connection.reports);
            (Served::Connection(Box::new((connection.stream, server_config))), None)
        }
    };
    let processors = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let workers = config.threads.unwrap_or_else(processors); // it reads files
    config.containment.drop_privileges()?;
    let (files, cgi) = open_handlers(config)?;
    config.containment.enter(&config.served.root, config.cgi.as_ref())?;

    let logs = Logs::open(config, &terminal)?;
    let relay = config.network.as_ref().map(|network| network.start(config, &logs)).transpose()?;
    reports.go_to(logs.reporter());
    terminal.complete(config, &mut banner);
    terminal.start(logs.error_reporter())?;
    if let (Some(signals), Served::Listeners(server)) = (signals, &server) {
        let processes = cgi.as_ref().map(Cgi::process_limit).cloned();
        reload.extend(logs.reload(config));
        reload.extend(manager.reload());
        reload.extend(config.auth.as_ref().and_then(|it| auth::reload(it, logs.error_reporter())));
        let screen = terminal.screen();
        let exit =
            ExitTimer { after: exit_time, processes, kill_wait, sharing: sharing.clone(), screen };
        if let Some(sharing) = &sharing {
            let exit = exit.clone();
            sharing.start(server.shutdown_handle(), move || exit.start())?;
        }
        handle_signals(signals, server.shutdown_handle(), reload, exit)?;
        manager.watch(server.shutdown_handle())?;
    }
    log_warnings(config, &banner, &logs);
    let shutdown = match &server {
        Served::Listeners(server) => Some(server.shutdown_handle()),
        Served::Connection(_) => None,
    };
    let observer = WithObserver::new(
        banner,
        |banner| banner,
        logs.observer(config, &terminal, sharing.clone()),
    );
    let observer = WithObserver::new(manager, |manager| manager, observer);
    let served = match cgi {
        None => serve_until_end(server, files, config, observer, workers, sharing.as_ref()),
        Some(cgi) => {
            let scripts = cgi.with_fallback(files);
            serve_until_end(server, scripts, config, observer, workers, sharing.as_ref())
        }
    };
    if let Some(relay) = relay {
        // Within the grace, too.
        let elapsed = shutdown.map_or(Duration::ZERO, |it| it.connections.shutdown_elapsed());
        relay.finish(config.grace.saturating_sub(elapsed));
    }
    let is_flushed = logs.close(log_timeout); // a stuck reader does not delay the exit any longer
    terminal.close(is_flushed);
    served.map_err(Failure::Serve)?;
    sharing.map_or(Ok(()), |sharing| sharing.result())
}

/// The files and scripts, opened by the user that the server is now.
fn open_handlers(config: &CommandConfig) -> Result<(Files, Option<Cgi>), Failure> {
    let root = &config.served.root;
    let no_directory = |error| Failure::directory(root, error);
    let files = match &config.served.file {
        None => Files::with_symlinks(root, config.symlinks).map_err(no_directory)?,
        Some(file) => Files::file(file).map_err(|error| Failure::path(file, error))?,
    };
    let mut files = files.with_site(config.site.clone());
    if let Some(settings) = &config.uploads {
        uploads::check(root, settings)?;
        files = files.with_upload(settings.clone());
    }
    let cgi = config.cgi.clone().map(|settings| Cgi::new(root, settings));
    Ok((files, cgi.transpose().map_err(no_directory)?))
}

/// Warns of passwords that are not encrypted, and of uploads from everyone.
fn log_warnings(config: &CommandConfig, banner: &Banner, logs: &Logs) {
    let warning = match (&config.auth, &config.uploads) {
        (Some(_), _) => auth::plaintext_warning(banner.is_https, &banner.addresses),
        (None, Some(_)) => uploads::open_warning(&banner.addresses),
        (None, None) => None,
    };
    if let Some(warning) = warning {
        logs.warn(&warning);
    }
}

/// Serves `handler`, and watches its requests if the server is to end by itself.
fn serve_until_end<S: RuntimeServer, H: blocking::Handler + smol::Handler>(
    server: Served<S>,
    handler: H,
    config: &CommandConfig,
    observer: impl Observer + 'static,
    workers: NonZeroUsize,
    sharing: Option<&Sharing>,
) -> io::Result<()> {
    let Some(sharing) = sharing else {
        return serve_handler(server, handler, config, observer, workers);
    };
    let conditions = sharing.conditions().clone();
    let handler = blocking::Handler::with_stop_conditions(handler, conditions);
    serve_handler(server, handler, config, observer, workers)
}

/// Serves `handler`, to the users of the configuration or to everyone, behind the health check.
fn serve_handler<S: RuntimeServer, H: blocking::Handler + smol::Handler>(
    server: Served<S>,
    handler: H,
    config: &CommandConfig,
    observer: impl Observer + 'static,
    workers: NonZeroUsize,
) -> io::Result<()> {
    let health = config.health.as_deref().unwrap_or_default();
    match config.auth.clone() {
        None => {
            let handler = WithObserver::new(handler, blocking::Handler::observer, observer);
            server.serve(Health::new(health, handler), workers)
        }
        Some(auth) => {
            let handler = blocking::Handler::with_auth(handler, auth);
            let handler = WithObserver::new(handler, blocking::Handler::observer, observer);
            server.serve(Health::new(health, handler), workers)
        }
    }
}

/// How long the exit waits for the reader of stderr.
pub(crate) fn log_flush_timeout(config: &Config) -> Duration {
    let schedule = ShutdownSchedule::new(config);
    schedule.killed.saturating_sub(schedule.end).min(LOG_FLUSH_TIMEOUT)
}

/// The configuration of the server, for either runtime.
pub(crate) fn server_config(config: &CommandConfig) -> Config {
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
    server.trusted_proxies.clone_from(&config.trusted_proxies);
    server.prefix.clone_from(&config.prefix);
    server
}

/// Ends the process if a shutdown has not ended it in time: a thread may hang in a call of the file
/// system, on a disk or a server that does not respond.
#[derive(Clone)]
struct ExitTimer {
    after: Duration,
    processes: Option<ProcessLimit>,
    kill_wait: Duration,
    /// What decides about the exit code.
    sharing: Option<Sharing>,
    /// What is left tidy.
    screen: Screen,
}

impl ExitTimer {
    fn start(self) {
        let run = move || {
            // Time in which the process is suspended does not count, as in the shutdown itself.
            let (mut time, limit) = (Stopwatch::default(), self.after.saturating_add(EXIT_DELAY));
            while time.tick(Instant::now(), os::POLL_INTERVAL) < limit {
                thread::sleep(os::POLL_INTERVAL);
            }
            self.processes.iter().for_each(|limit| limit.kill(self.kill_wait));
            self.screen.close();
            let failure = self.sharing.and_then(|sharing| sharing.result().err());
            std::process::exit(failure.map_or(0, |_| INCOMPLETE.into()));
        };
        let _ = thread::Builder::new().name("exit".into()).spawn(run); // without it, it may take longer
    }
}

/// From here on the first signal shuts the server down, and the second one kills the processes of `exit`.
/// SIGHUP calls `reload`.
fn handle_signals(
    signals: Signals,
    shutdown: ShutdownHandle,
    reload: Vec<Reload>,
    exit: ExitTimer,
) -> Result<(), Failure> {
    let (processes, kill_wait) = (exit.processes.clone(), exit.kill_wait);
    let (screen, closed) = (exit.screen.clone(), exit.screen.clone());
    let shut_down = move |is_interrupt: bool| {
        if is_interrupt {
            screen.print(banner::INTERRUPTED);
        }
        exit.start();
        let stopping = shutdown.clone();
        // The next signal ends the process, and must not wait until the listeners are closed.
        shutdown.stop_on_thread(move || {
            if is_interrupt {
                stopping.close_idle(); // without the time for one more request on kept connections
            }
        });
    };
    let kill = move || {
        processes.iter().for_each(|limit| limit.kill(kill_wait));
        closed.close();
    };
    signals.handle(shut_down, kill, reload).map_err(Failure::Serve)
}
