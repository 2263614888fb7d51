//! CGI/1.1 (RFC 3875): scripts below a directory.
//!
//! A [`CgiJob`] responds to one request. In this order: the script is looked up, or the request is
//! refused; the request's body is received completely; a permit is acquired, which bounds the
//! number of concurrent scripts; and then a process is started, whose output becomes the response.
//! The decisions are made here and in [`doorstep_core::cgi`]; the waiting is done by the front end.
//!
//! A script is never run as root. Its environment has only the variables that it is given, and its
//! stdin is an ordinary file. After its timeout, on shutdown and when its client disconnects, it is
//! ended with its process group, and it is always reaped: there are no zombies.
//!
//! ```
//! use doorstep_driver::Cgi;
//! use doorstep_driver::cgi::CgiSettings;
//!
//! let mut settings = CgiSettings::default();
//! settings.max_processes = 8;
//! let cgi = Cgi::new(".", settings)?;
//! assert!(!cgi.process_limit().is_full());
//! # Ok::<(), std::io::Error>(())
//! ```

mod handler;
mod job;
mod refuse;
mod request_body;
mod response;
mod run;
mod script_job;
mod settings;
mod stderr;

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use doorstep_core::cgi::environment::{self, Context};
use doorstep_core::cgi::route::{Found, Route, RouteError, Script};
use doorstep_core::http1::{Connection, Event, HeadOffsets, Limits};
use doorstep_core::site::cors;

use crate::config::Config;
use crate::exchange::ExchangeState;
use crate::os::{
    self, Command, Credentials, Opened, Process, ProcessPermit, Root, SpawnError, SpawnStage,
};
use crate::permit_wait::{NoPermit, PermitTimeouts, PermitWait};
use refuse::{respond_denied, respond_preflight, respond_unavailable, start_hint};
use request_body::RequestBody;
use run::ScriptRun;

pub use crate::process_limit::ProcessLimit;
pub use handler::Cgi;
pub use job::CgiJob;
pub use settings::CgiSettings;

/// The scripts below a directory.
#[derive(Debug, Clone)]
pub(crate) struct ScriptDirectory {
    root: Arc<Root>,
    /// Its absolute path. Scripts are started by it, and it is their `DOCUMENT_ROOT`.
    path: PathBuf,
    settings: CgiSettings,
    /// The user that they run as, or why there is none.
    credentials: Result<Credentials, String>,
    process_limit: ProcessLimit,
}

/// The result of looking up the script of a request.
#[derive(Debug)]
enum Resolution {
    /// The request is not for a script.
    NotScript,
    /// The request was responded to: by an error, or as a CORS preflight.
    Responded,
    /// A script.
    Script(Script),
}

/// A script that is ready to be started.
#[derive(Debug)]
struct PreparedScript {
    command: Result<Command, SpawnError>,
    body: Option<RequestBody>,
}

impl ScriptDirectory {
    /// The scripts in [`CgiSettings::directories`] of the directory that has the name `root` at the
    /// time of each request.
    ///
    /// # Errors
    /// Returns an error if there is no such directory now, or `NotFound` or `PermissionDenied` if
    /// scripts cannot run as [`CgiSettings::user`].
    fn new(root: &Path, settings: CgiSettings) -> io::Result<Self> {
        let path = std::path::absolute(root)?;
        let credentials = Credentials::for_user(settings.user.as_deref());
        if settings.user.is_some() {
            credentials
                .as_ref()
                .map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
        }
        os::set_inherited_cloexec();
        Ok(Self {
            root: Arc::new(Root::new(root, settings.symlinks)?),
            path,
            credentials: credentials.map_err(|error| os::describe_error(&error)),
            process_limit: ProcessLimit::new(settings.max_processes, settings.max_queued),
            settings,
        })
    }

    /// Shares the root of files that are served from the same directory.
    pub(crate) fn share(&mut self, root: &Arc<Root>) {
        if self.root.is_equivalent(root) {
            self.root = root.clone();
        }
    }

    #[must_use]
    pub(crate) fn settings(&self) -> &CgiSettings {
        &self.settings
    }

    fn process_limit(&self) -> &ProcessLimit {
        &self.process_limit
    }

    /// Looks up the script of a request, and refuses requests before their body is received if that
    /// is possible.
    ///
    /// # Errors
    /// Returns the error of responding.
    fn resolve(&self, exchange: &mut ExchangeState<'_>) -> io::Result<Resolution> {
        let is_preflight = self.settings.cors && cors::is_preflight(&exchange.head());
        let mut route = match self.route(exchange) {
            Ok(None) => return Ok(Resolution::NotScript),
            Err(error) if error.status() == 400 => return respond_denied(exchange, &error),
            // Whether there is a script that can be run is found by the request itself.
            _ if is_preflight => return respond_preflight(exchange),
            Ok(Some(route)) => route,
            Err(error) => return respond_denied(exchange, &error),
        };
        let script = loop {
            let found = match self.root.inspect(route.path()) {
                Opened::File(executable, _) => Found::File { executable },
                Opened::Directory(_) => Found::Directory,
                Opened::Special => Found::Other,
                Opened::NotFound => Found::Nothing,
                Opened::Denied(error) => {
                    let path = String::from_utf8_lossy(route.path());
                    exchange.log_error(format!("/{path}: {}", os::describe_error(&error)));
                    Found::Nothing
                }
                Opened::Exhausted(error) | Opened::Failed(error) => {
                    let path = String::from_utf8_lossy(route.path());
                    exchange.log_error(format!("/{path}: {}", os::describe_error(&error)));
                    return exchange.respond_503().map(|()| Resolution::Responded);
                }
            };
            match route.found(found) {
                Ok(Some(script)) => break script,
                Ok(None) => {}
                Err(error) => return respond_denied(exchange, &error),
            }
        };
        if let Err(why) = &self.credentials {
            exchange.log_error(format!("{}: not run: {why}", script_name(&script)));
            return exchange.respond(403).error_page("").map(|()| Resolution::Responded);
        }
        if self.process_limit.is_full() {
            return respond_unavailable(exchange, &script, NoPermit::Full)
                .map(|()| Resolution::Responded);
        }
        Ok(Resolution::Script(script))
    }

    /// Waits for a permit, after [`ProcessLimit::try_acquire`].
    fn queue(&self, config: &Config) -> PermitWait {
        self.process_limit.queue(PermitTimeouts {
            timeout: self.settings.timeout,
            half_close_timeout: self.settings.half_close_timeout,
            check_interval: config.disconnect_check_interval,
        })
    }

    /// Prepares the start of `script` for a request to the address `local`. `body` is the body that
    /// was received.
    fn prepare_script(
        &self,
        exchange: &ExchangeState<'_>,
        script: &Script,
        local: SocketAddr,
        body: Option<RequestBody>,
    ) -> PreparedScript {
        let root = self.path.as_os_str().as_bytes();
        let mut context =
            Context::new(exchange.head(), script, root, local, exchange.client_addr());
        context.server_software = &self.settings.software;
        context.secure = exchange.is_https();
        context.content_length = body.as_ref().map(RequestBody::length);
        context.user = exchange.identity().remote_user();
        let command = match &self.credentials {
            // It is started by its path, and the request may have waited: check again.
            _ if !matches!(self.root.inspect(script.file()), Opened::File(true, _)) => {
                Err(prepare(io::Error::other("it was replaced after the request arrived")))
            }
            Ok(credentials) => {
                let command = self.build_command(&context, *credentials);
                let with_id = |command| with_request_id(command, exchange);
                command.and_then(with_id).map_err(prepare)
            }
            Err(why) => Err(SpawnError {
                stage: SpawnStage::Privileges,
                error: io::Error::other(why.clone()),
            }),
        };
        PreparedScript { command, body }
    }

    fn build_command(
        &self,
        context: &Context<'_>,
        credentials: Credentials,
    ) -> io::Result<Command> {
        let mut command = Command::new(&self.path.join(OsStr::from_bytes(context.script.file())))?;
        command.confine(credentials, self.settings.rlimits);
        command.kill_delay(self.settings.kill_delay);
        for (name, value) in &self.settings.variables {
            command.env(name.as_bytes(), value.as_bytes())?;
        }
        let mut set = Ok(());
        environment::variables(context, |name, value| {
            if set.is_ok() {
                set = command.env(name.as_bytes(), value);
            }
        });
        set?;
        for argument in environment::arguments(&context.head) {
            command.arg(&argument)?;
        }
        Ok(command)
    }

    /// Begins the run of a script that was started, or responds if it could not be, and returns
    /// `None`.
    ///
    /// # Errors
    /// Returns the error of responding.
    fn started(
        &self,
        exchange: &mut ExchangeState<'_>,
        script: &Script,
        started: Result<Process, SpawnError>,
    ) -> io::Result<Option<ScriptRun>> {
        let failure = match started {
            Ok(process) => {
                let run = ScriptRun::new(process, script, &self.settings, exchange.config());
                return Ok(Some(run));
            }
            Err(failure) => failure,
        };
        exchange.log_error(format!("{}: {failure}{}", script_name(script), start_hint(&failure)));
        match failure.stage {
            SpawnStage::Privileges => exchange.respond(403).error_page("")?,
            SpawnStage::Prepare => exchange.respond_503()?,
            _ if os::is_exhausted(&failure.error) => exchange.respond_503()?,
            _ if failure.error.kind() == ErrorKind::PermissionDenied => {
                let error = RouteError::NotExecutable(script.name().to_vec());
                exchange.respond(403).reason(&error.reason()).error_page("")?;
            }
            _ => exchange.respond(502).error_page("")?,
        }
        Ok(None)
    }

    fn route(&self, exchange: &ExchangeState<'_>) -> Result<Option<Route>, RouteError> {
        Route::new(&self.settings.directories, self.settings.hidden, exchange.head().path())
    }
}

impl PreparedScript {
    /// Starts it. Blocks for as long as the system takes, about half a millisecond.
    ///
    /// # Errors
    /// Returns the errors of [`Command::spawn`] and [`RequestBody::finish`].
    fn start(self, permit: ProcessPermit) -> Result<Process, SpawnError> {
        let command = self.command?;
        let stdin = self
            .body
            .map_or_else(request_body::empty_stdin, RequestBody::finish)
            .map_err(prepare)?;
        command.spawn(&stdin, permit)
    }
}

fn prepare(error: io::Error) -> SpawnError {
    SpawnError { stage: SpawnStage::Prepare, error }
}

/// Parses the head of the request that a local redirect is replaced by (RFC 3875 §6.2.2), and takes
/// the prefix off its path ([`Config::prefix`]). `None` if it is invalid or not below the prefix.
fn parse_head(head: &[u8], prefix: &str) -> Option<HeadOffsets> {
    match Connection::new(Limits::default()).advance(head) {
        Ok((_, Event::Request(head))) => {
            head.without_prefix(prefix.as_bytes()).map(|head| head.offsets())
        }
        _ => None,
    }
}

/// The name of a script in the log: its path in the URL.
fn script_name(script: &Script) -> String {
    String::from_utf8_lossy(script.name()).into_owned()
}

/// Adds the variable `UNIQUE_ID`, as Apache's mod_unique_id does, if requests have an id in the log.
fn with_request_id(mut command: Command, exchange: &ExchangeState<'_>) -> io::Result<Command> {
    if let Some(id) = exchange.request_id() {
        command.env(b"UNIQUE_ID", id.to_string().as_bytes())?;
    }
    Ok(command)
}
