//! The handler of scripts: what front ends call for each request.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{CgiJob, CgiSettings, ProcessLimit, ScriptDirectory};
use crate::files::Files;
use crate::observer::Observer;

/// Runs the scripts below a directory: CGI/1.1 (RFC 3875). Every other request is 404, unless there
/// are files to fall back to. Clones share the limit of running scripts.
///
/// ```
/// use doorstep_driver::cgi::CgiSettings;
/// use doorstep_driver::{Cgi, Files};
///
/// let scripts = Cgi::new(".", CgiSettings::default())?.with_fallback(Files::new(".")?);
/// let job = scripts.job();
/// # drop(job);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Cgi {
    service: Arc<Service>,
}

/// Scripts, and the files that are served beside them.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) scripts: ScriptDirectory,
    pub(super) files: Option<Files>,
}

impl Cgi {
    /// Runs the scripts below `root` as configured by `settings`.
    ///
    /// # Errors
    /// Returns an error if there is no directory `root` now; `NotFound` or `PermissionDenied` if
    /// the server cannot run scripts as the user that the settings name.
    pub fn new(root: impl AsRef<Path>, settings: CgiSettings) -> io::Result<Self> {
        let scripts = ScriptDirectory::new(root.as_ref(), settings)?;
        Ok(Self { service: Arc::new(Service { scripts, files: None }) })
    }

    /// Serves `files` for every path that is not that of a script. Listings leave out the
    /// directories of scripts. A POST to a file is 501 (B-232).
    #[must_use]
    pub fn with_fallback(mut self, files: Files) -> Self {
        let service = Arc::make_mut(&mut self.service);
        service.files = Some(files.attach_scripts(&mut service.scripts));
        self
    }

    /// The limit of concurrent scripts, by which a program can end those that are running.
    #[must_use]
    pub fn process_limit(&self) -> &ProcessLimit {
        self.service.scripts.process_limit()
    }

    /// The response to one request of any method: a [`Job`](crate::Job), to be stepped until it is
    /// done.
    #[must_use]
    pub fn job(&self) -> CgiJob<'_> {
        CgiJob::new(&self.service)
    }
}

impl Observer for Cgi {
    fn wants_timing(&self) -> bool {
        false
    }
    fn on_grace_expired(&self) {
        self.process_limit().close();
    }
    fn processes(&self) -> Option<&ProcessLimit> {
        Some(self.process_limit())
    }
}
