//! CGI/1.1 (RFC 3875) below a directory.
//!
//! A [`CgiJob`] is the response to one request. In order: the script is looked up, and refused if
//! need be; the request's body is received whole; a permit among the running scripts is taken or
//! waited for; and only then a process is started, whose output becomes the response. The decisions
//! are made here and in [`doorstep_core::cgi`]; the waiting is the front end's.
//!
//! A script is never started as root, sees nothing of the server's environment but what it is given,
//! has an ordinary file as stdin, and is ended when its time is over, together with the processes it
//! started.

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

use crate::exchange::ExchangeState;
use crate::os::{
    self, Command, Credentials, Opened, Process, ProcessPermit, Root, SpawnError, SpawnStage,
};
use crate::permit_wait::{NoPermit, PermitWait};
use refuse::{respond_503, respond_denied, respond_preflight, respond_unavailable, start_hint};
use request_body::RequestBody;
use run::ScriptRun;

pub use crate::process_limit::{KILL_WAIT, ProcessLimit};
pub use handler::Cgi;
pub use job::CgiJob;
pub use settings::CgiSettings;

/// How many local redirects of one request are followed (RFC 3875 §6.2.2); then 502.
const MAX_LOCAL_REDIRECTS: usize = 10;

/// The scripts below a directory.
#[derive(Debug, Clone)]
pub(crate) struct ScriptDirectory {
    root: Arc<Root>,
    /// Its name, absolute: scripts are started by it, and are told it.
    path: PathBuf,
    settings: CgiSettings,
    /// Who they run as, or why nobody can be found for it.
    credentials: Result<Credentials, String>,
    process_limit: ProcessLimit,
}

/// What a path means.
#[derive(Debug)]
enum Resolution {
    /// No script: it is for somebody else to answer.
    NotScript,
    /// A script that cannot be run, and that was answered.
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
    /// The scripts below what stands under the name `root` when they are asked for, where
    /// [`CgiSettings::directories`] are.
    ///
    /// # Errors
    /// When there is no such directory now; `NotFound` and `PermissionDenied` when [`CgiSettings::user`] cannot be
    /// had.
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
            credentials: credentials.map_err(|error| error.to_string()),
            process_limit: ProcessLimit::new(settings.max_processes, settings.max_queued),
            settings,
        })
    }

    /// Has one root with files that are served by the same name.
    pub(crate) fn share(&mut self, root: &Arc<Root>) {
        if self.root.is_equivalent(root) {
            self.root = root.clone();
        }
    }

    /// How they are run.
    #[must_use]
    pub(crate) fn settings(&self) -> &CgiSettings {
        &self.settings
    }

    /// Who is running.
    fn process_limit(&self) -> &ProcessLimit {
        &self.process_limit
    }

    /// Finds the script that a request is for, and refuses what can be refused before its body has
    /// come.
    ///
    /// # Errors
    /// Those of answering.
    fn resolve(&self, exchange: &mut ExchangeState<'_>) -> io::Result<Resolution> {
        let asks = self.settings.cors && cors::is_preflight(&exchange.head());
        let mut route = match self.route(exchange) {
            Ok(None) => return Ok(Resolution::NotScript),
            Err(denial) if denial.status() == 400 => return respond_denied(exchange, &denial),
            // Whether there is a script that can be run, the request itself will show.
            _ if asks => return respond_preflight(exchange),
            Ok(Some(route)) => route,
            Err(denial) => return respond_denied(exchange, &denial),
        };
        let script = loop {
            let found = match self.root.inspect(route.path()) {
                Opened::File(executable, _) => Found::File { executable },
                Opened::Directory(_) => Found::Directory,
                Opened::Special => Found::Other,
                Opened::NotFound => Found::Nothing,
                Opened::Denied(error) => {
                    let path = String::from_utf8_lossy(route.path());
                    exchange.log_error(format!("/{path}: {error}"));
                    Found::Nothing
                }
                Opened::Exhausted(error) | Opened::Failed(error) => {
                    exchange.log_error(error.to_string());
                    return respond_503(exchange).map(|()| Resolution::Responded);
                }
            };
            match route.found(found) {
                Ok(Some(script)) => break script,
                Ok(None) => {}
                Err(denial) => return respond_denied(exchange, &denial),
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

    /// Waits for a permit, if [`ProcessLimit::try_acquire`] has none.
    fn queue(&self) -> PermitWait {
        let settings = &self.settings;
        self.process_limit.queue(settings.timeout, settings.half_close_timeout)
    }

    /// Prepares the start of `script` for a request that came in on `local`. `body` is what was
    /// received with it.
    fn prepare_script(
        &self,
        exchange: &ExchangeState<'_>,
        script: &Script,
        local: SocketAddr,
        body: Option<RequestBody>,
    ) -> PreparedScript {
        let context = Context {
            head: exchange.head(),
            script,
            document_root: self.path.as_os_str().as_bytes(),
            server_software: &self.settings.software,
            local_addr: local,
            remote_addr: exchange.peer_addr(),
            content_length: body.as_ref().map(RequestBody::length),
            secure: false,
        };
        let command = match &self.credentials {
            // It is started by its name, and may have waited: it must still be what was found.
            _ if !matches!(self.root.inspect(script.file()), Opened::File(true, _)) => {
                Err(prepare(io::Error::other("it was replaced since its request came")))
            }
            Ok(credentials) => self.build_command(&context, *credentials).map_err(prepare),
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

    /// Begins to listen to what `PreparedScript::start` started, or answers that it could not; `None` then.
    ///
    /// # Errors
    /// Those of answering.
    fn started(
        &self,
        exchange: &mut ExchangeState<'_>,
        script: &Script,
        started: Result<Process, SpawnError>,
    ) -> io::Result<Option<ScriptRun>> {
        let failure = match started {
            Ok(process) => return Ok(Some(ScriptRun::new(process, script, &self.settings))),
            Err(failure) => failure,
        };
        exchange.log_error(format!("{}: {failure}{}", script_name(script), start_hint(&failure)));
        match failure.stage {
            SpawnStage::Privileges => exchange.respond(403).error_page("")?,
            SpawnStage::Prepare => respond_503(exchange)?,
            _ if os::is_exhausted(&failure.error) => respond_503(exchange)?,
            _ if failure.error.kind() == ErrorKind::PermissionDenied => {
                let denial = RouteError::NotExecutable(script.name().to_vec());
                exchange.respond(403).reason(&denial.reason()).error_page("")?;
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
    /// Starts it. Takes as long as the system needs for that, half a millisecond or so.
    ///
    /// # Errors
    /// Those of [`Command::spawn`] and of [`RequestBody::finish`].
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

/// The request that a script's local redirect stands for, read as any other; `None` when it is none.
fn parse_head(head: &[u8]) -> Option<HeadOffsets> {
    match Connection::new(Limits::default()).advance(head) {
        Ok((_, Event::Request(head))) => Some(head.offsets()),
        _ => None,
    }
}

/// What the log calls a script.
fn script_name(script: &Script) -> String {
    String::from_utf8_lossy(script.name()).into_owned()
}
