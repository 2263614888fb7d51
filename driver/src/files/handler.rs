//! The handler of files: what front ends call for each request.

use std::io;
use std::path::Path;
use std::sync::Arc;

use doorstep_core::http1::Head;
use doorstep_core::site::Site;

use super::{CacheLimits, Directory, FilesJob};
use crate::cgi::ScriptDirectory;
use crate::observer::Observer;
use crate::os::Symlinks;
use crate::upload::UploadSettings;

/// Serves the files below a directory. Clones share the cache.
///
/// ```
/// use doorstep_driver::Files;
/// use doorstep_driver::core::site::Site;
///
/// let mut site = Site::default();
/// site.cors = true;
/// let files = Files::new(".")?.with_site(site);
/// let job = files.job();
/// # drop(job);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Files {
    directory: Arc<Directory>,
}

impl Files {
    /// Serves `directory`. The name is looked up again at each request, so the directory can be
    /// replaced, rebuilt or mounted over; while there is none, every response is 404. A relative
    /// name is resolved against the current working directory now.
    ///
    /// # Errors
    /// Returns an error if there is no such directory now.
    pub fn new(directory: impl AsRef<Path>) -> io::Result<Self> {
        Self::with_symlinks(directory, Symlinks::default())
    }

    /// Serves `directory`, and follows symbolic links as far as `symlinks` allows.
    ///
    /// # Errors
    /// Returns an error if there is no such directory now.
    pub fn with_symlinks(directory: impl AsRef<Path>, symlinks: Symlinks) -> io::Result<Self> {
        Ok(Self { directory: Arc::new(Directory::new(directory, symlinks)?) })
    }

    /// Uses the settings `site`.
    #[must_use]
    pub fn with_site(mut self, site: Site) -> Self {
        Arc::make_mut(&mut self.directory).set_site(site);
        self
    }

    /// Caches within `limits`. What was cached before is evicted.
    #[must_use]
    pub fn with_cache_limits(mut self, limits: CacheLimits) -> Self {
        Arc::make_mut(&mut self.directory).set_cache_limits(limits);
        self
    }

    /// Lets clients store files, as `settings` allow: by PUT, and by a form that is part of the listings
    /// ([`crate::upload`]). By default, nobody can.
    #[must_use]
    pub fn with_upload(mut self, settings: UploadSettings) -> Self {
        Arc::make_mut(&mut self.directory).set_uploads(settings);
        self
    }

    /// Whether this is a request to store the files of a form.
    pub(crate) fn takes_form(&self, head: &Head<'_>) -> bool {
        self.directory.takes_form(head)
    }

    /// Leaves the directories of `scripts` out of listings.
    pub(crate) fn attach_scripts(mut self, scripts: &mut ScriptDirectory) -> Self {
        Arc::make_mut(&mut self.directory).attach_scripts(scripts);
        self
    }

    /// The response to one request of any method: a [`Job`](crate::Job), to be stepped until it is
    /// done.
    #[must_use]
    pub fn job(&self) -> FilesJob<'_> {
        FilesJob::new(&self.directory)
    }
}

impl Observer for Files {
    fn wants_timing(&self) -> bool {
        false
    }
}
