//! CGI but for the waiting: what both drivers' `Cgi` handlers have in common.
//!
//! [`Scripts`] finds the script that a path means and prepares its start; a [`Run`] reads what it
//! writes, answers with that, and knows when it has been enough. What is decided here, and in
//! [`doorstep_core::cgi`]; which thread or task waits, in the drivers. In order: the script is looked
//! up and refused if need be, the request's body is received whole ([`Upload`]), a place among the
//! running scripts is taken or waited for ([`Queue`]), and only then a process is started
//! ([`Launch`]).
//!
//! It promises that a script is never started as root, sees nothing of the server's environment but
//! what it is given, has an ordinary file as stdin, and is gone when its time is over, together with
//! the processes it started.

mod job;
mod queue;
mod refuse;
mod request_body;
mod response;
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

use crate::exchange::Turn;
use crate::os::{self, Failure, Identity, Opened, Process, Root, Start, Step};
use crate::semaphore::{Place, Places};
use refuse::{allow, deny, hint, later};

pub use job::{Next, Run};
pub use queue::{Admission, Dismissal, Queue};
pub use refuse::{is_for_scripts, refuse_again, refuse_elsewhere, turn_away};
pub use request_body::Upload;
pub use settings::Settings;

/// How often one request may be answered by another one's answer (RFC 3875 §6.2.2); then 502.
pub const MOST_AGAIN: usize = 10;

/// The scripts below a directory.
#[derive(Debug)]
pub struct Scripts {
    root: Arc<Root>,
    /// Its name, absolute: scripts are started by it, and are told it.
    path: PathBuf,
    settings: Settings,
    /// Who they run as, or why nobody can be found for it.
    identity: Result<Identity, String>,
    places: Arc<Places>,
}

/// What a path means.
#[derive(Debug)]
pub enum Meaning {
    /// No script: it is for somebody else to answer.
    Elsewhere,
    /// A script that cannot be run, and that was answered.
    Answered,
    /// A script.
    Script(Script),
}

/// What came of a request.
#[derive(Debug)]
pub enum Came {
    /// Nothing: it is for somebody else to answer.
    Elsewhere,
    /// An answer.
    Answered,
    /// The head of a request to answer instead.
    Again(Vec<u8>),
}

/// A script that is ready to be started.
#[derive(Debug)]
pub struct Launch {
    start: Result<Start, Failure>,
    body: Option<Upload>,
}

impl Scripts {
    /// The scripts below what stands under the name `root` when they are asked for, where
    /// [`Settings::directories`] are.
    ///
    /// # Errors
    /// When there is no such directory now; `NotFound` and `PermissionDenied` when [`Settings::user`] cannot be
    /// had.
    pub fn new(root: &Path, settings: Settings) -> io::Result<Self> {
        let path = std::path::absolute(root)?;
        let identity = Identity::of(settings.user.as_deref());
        if settings.user.is_some() {
            identity.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
        }
        os::keep_descriptors();
        Ok(Self {
            root: Arc::new(Root::new(root, settings.symlinks)?),
            path,
            identity: identity.map_err(|error| error.to_string()),
            places: Places::new(settings.at_once, settings.queue),
            settings,
        })
    }

    /// Has one root with files that are served by the same name.
    pub(crate) fn share(&mut self, root: &Arc<Root>) {
        if self.root.is_like(root) {
            self.root = root.clone();
        }
    }

    /// How they are run.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Who is running.
    #[must_use]
    pub fn places(&self) -> &Arc<Places> {
        &self.places
    }

    /// Finds the script that a request is for, and refuses what can be refused before its body has
    /// come.
    ///
    /// # Errors
    /// Those of answering.
    pub fn find(&self, turn: &mut Turn<'_>) -> io::Result<Meaning> {
        let asks = self.settings.cors && cors::is_preflight(&turn.head());
        let mut route = match self.route(turn) {
            Ok(None) => return Ok(Meaning::Elsewhere),
            Err(denial) if denial.status() == 400 => return deny(turn, &denial),
            // Whether there is a script that can be run, the request itself will show.
            _ if asks => return allow(turn),
            Ok(Some(route)) => route,
            Err(denial) => return deny(turn, &denial),
        };
        let script = loop {
            let found = match self.root.look(route.path()) {
                Opened::File(executable, _) => Found::File { executable },
                Opened::Directory(_) => Found::Directory,
                Opened::Other => Found::Other,
                Opened::Nothing => Found::Nothing,
                Opened::Refused(error) => {
                    let path = String::from_utf8_lossy(route.path());
                    turn.note(format!("/{path}: {error}"));
                    Found::Nothing
                }
                Opened::Exhausted(error) | Opened::Failed(error) => {
                    turn.note(error.to_string());
                    return later(turn).map(|()| Meaning::Answered);
                }
            };
            match route.found(found) {
                Ok(Some(script)) => break script,
                Ok(None) => {}
                Err(denial) => return deny(turn, &denial),
            }
        };
        if let Err(why) = &self.identity {
            turn.note(format!("{}: not run: {why}", name(&script)));
            return turn.respond(403).page("").map(|()| Meaning::Answered);
        }
        if self.places.is_full() {
            return turn_away(turn, &script, Dismissal::Full).map(|()| Meaning::Answered);
        }
        Ok(Meaning::Script(script))
    }

    /// A place in the queue, for when [`Places::take`] has none among those who run.
    ///
    /// # Errors
    /// [`Dismissal::Full`].
    pub fn queue(&self) -> Result<Queue, Dismissal> {
        let ticket = self.places.queue().ok_or(Dismissal::Full)?;
        Ok(Queue::new(ticket, self.settings.time, self.settings.patience))
    }

    /// Prepares the start of `script` for a request that came in on `local`. `body` is what was
    /// received with it.
    #[must_use]
    pub fn launch(
        &self,
        turn: &Turn<'_>,
        script: &Script,
        local: SocketAddr,
        body: Option<Upload>,
    ) -> Launch {
        let context = Context {
            head: turn.head(),
            script,
            document_root: self.path.as_os_str().as_bytes(),
            server_software: &self.settings.software,
            local_addr: local,
            remote_addr: turn.peer(),
            content_length: body.as_ref().map(Upload::length),
            secure: false,
        };
        let start = match &self.identity {
            // It is started by its name, and may have waited: it must still be what was found.
            _ if !matches!(self.root.look(script.file()), Opened::File(true, _)) => {
                Err(prepare(io::Error::other("it was replaced since its request came")))
            }
            Ok(identity) => self.start(&context, *identity).map_err(prepare),
            Err(why) => Err(Failure { step: Step::Rights, error: io::Error::other(why.clone()) }),
        };
        Launch { start, body }
    }

    fn start(&self, context: &Context<'_>, identity: Identity) -> io::Result<Start> {
        let mut start = Start::new(&self.path.join(OsStr::from_bytes(context.script.file())))?;
        start.confine(identity, self.settings.rlimits);
        for (name, value) in &self.settings.variables {
            start.variable(name.as_bytes(), value.as_bytes())?;
        }
        let mut set = Ok(());
        environment::variables(context, |name, value| {
            if set.is_ok() {
                set = start.variable(name.as_bytes(), value);
            }
        });
        set?;
        for argument in environment::arguments(&context.head) {
            start.argument(&argument)?;
        }
        Ok(start)
    }

    /// Begins to listen to what [`Launch::start`] started, or answers that it could not; `None` then.
    ///
    /// # Errors
    /// Those of answering.
    pub fn listen(
        &self,
        turn: &mut Turn<'_>,
        script: &Script,
        started: Result<Process, Failure>,
    ) -> io::Result<Option<Run>> {
        let failure = match started {
            Ok(process) => return Ok(Some(Run::new(process, script, &self.settings))),
            Err(failure) => failure,
        };
        turn.note(format!("{}: {failure}{}", name(script), hint(&failure)));
        match failure.step {
            Step::Rights => turn.respond(403).page("")?,
            Step::Prepare => later(turn)?,
            _ if os::is_exhausted(&failure.error) => later(turn)?,
            _ if failure.error.kind() == ErrorKind::PermissionDenied => {
                let denial = RouteError::NotExecutable(script.name().to_vec());
                turn.respond(403).reason(&denial.reason()).page("")?;
            }
            _ => turn.respond(502).page("")?,
        }
        Ok(None)
    }

    fn route(&self, turn: &Turn<'_>) -> Result<Option<Route>, RouteError> {
        Route::new(&self.settings.directories, self.settings.hidden, turn.head().path())
    }
}

impl Launch {
    /// Starts it. Takes as long as the system needs for that, half a millisecond or so.
    ///
    /// # Errors
    /// Those of [`Start::go`] and of [`Upload::finish`].
    pub fn start(self, place: Place) -> Result<Process, Failure> {
        let start = self.start?;
        let stdin =
            self.body.map_or_else(request_body::nothing, Upload::finish).map_err(prepare)?;
        start.go(&stdin, place)
    }
}

fn prepare(error: io::Error) -> Failure {
    Failure { step: Step::Prepare, error }
}

/// The request that a script's local redirect stands for, read as any other; `None` when it is none.
#[must_use]
pub fn spans(head: &[u8]) -> Option<HeadOffsets> {
    match Connection::new(Limits::default()).advance(head) {
        Ok((_, Event::Request(head))) => Some(head.offsets()),
        _ => None,
    }
}

/// What the log calls a script.
fn name(script: &Script) -> String {
    String::from_utf8_lossy(script.name()).into_owned()
}
