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
    /// Returns an error if there is no such directory now. Its text names the directory, and
    /// [`os::without_path`](crate::os::without_path) is the error of the system alone.
    pub fn new(directory: impl AsRef<Path>) -> io::Result<Self> {
        Self::with_symlinks(directory, Symlinks::default())
    }

    /// Serves `directory`, and follows symbolic links as far as `symlinks` allows.
    ///
    /// # Errors
    /// Returns an error if there is no such directory now. Its text names the directory, and
    /// [`os::without_path`](crate::os::without_path) is the error of the system alone.
    pub fn with_symlinks(directory: impl AsRef<Path>, symlinks: Symlinks) -> io::Result<Self> {
        Ok(Self { directory: Arc::new(Directory::new(directory, symlinks)?) })
    }

    /// Serves one file at the path `/` and its name; `/` redirects to it, and everything else is 404. The
    /// name is looked up again at each request, so the file can be replaced. A symbolic link is followed,
    /// wherever it leads, and a hidden file is served: it was named.
    ///
    /// ```
    /// use doorstep_driver::Files;
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("a report.pdf");
    /// # std::fs::write(&path, "")?;
    ///
    /// let files = Files::file(&path)?;
    /// assert_eq!(files.start_path(), "/a%20report.pdf");
    /// assert_eq!(Files::file(dir.path()).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if there is no such file now, if it cannot be read, or
    /// [`io::ErrorKind::InvalidInput`] if it is not a regular file. Its text names the file, and
    /// [`os::without_path`](crate::os::without_path) is the error of the system alone.
    pub fn file(path: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self { directory: Arc::new(Directory::file(path)?) })
    }

    /// The path of the URL to begin with: `/`, or that of the only file, percent-encoded.
    #[must_use]
    pub fn start_path(&self) -> &str {
        self.directory.start_path()
    }

    /// Uses the settings `site`. For a single file those about other files have no effect: index pages,
    /// listings, hidden names, the page of a 404 and of a single-page application.
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
