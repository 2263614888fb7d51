//! Uploads: files that clients store, by PUT (RFC 9110 §9.3.4) or by a form with files (RFC 7578).
//!
//! [`Files::with_upload`](crate::Files::with_upload) allows them. A file appears under its name in one
//! step, when all of it has come and is on the disk; an upload that fails leaves nothing behind. A PUT
//! that was interrupted can be continued (`Content-Range`) by the client that sent it: what has come is
//! kept for a while, in a file without a name where the system supports that.
//!
//! Nothing is stored outside of the root, through a symbolic link, under a hidden name, in the place of
//! what is not a file, or in a directory of scripts. What can be refused is refused before the body is
//! received.
//!
//! ```
//! use doorstep_driver::Files;
//! use doorstep_driver::upload::UploadSettings;
//!
//! let files = Files::new(".")?.with_upload(UploadSettings::default());
//! # drop(files);
//! # Ok::<(), std::io::Error>(())
//! ```

mod begin;
mod form;
mod interrupted;
mod job;
mod put;
mod respond;
mod settings;
mod writer;

pub(crate) use begin::UploadStart;
pub(crate) use job::UploadJob;
pub use settings::UploadSettings;

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use doorstep_core::http1::Head;
use doorstep_core::site::upload::Refusal;
use doorstep_core::site::upload::request::{self, Target};

use crate::job::JobStep;
use crate::os::{self, Root, Symlinks, UploadDir};
use crate::semaphore::Semaphore;
use interrupted::{Interrupted, Owner};
use writer::Failure;

/// Checks that files can be stored in the directory of `settings` beneath `root` now, for a program that
/// wants to know it at its start.
///
/// # Errors
/// Returns an error if there is no such directory, if a symbolic link is part of its path, or if this
/// process may not write in it; [`ErrorKind::InvalidInput`] if [`UploadSettings::directory`] is not a
/// clean path. Its text names the directory, and [`os::without_path`] is the error of the system alone.
///
/// ```
/// use std::io::ErrorKind;
/// use doorstep_driver::upload::{UploadSettings, check_directory};
///
/// # let root = tempfile::tempdir()?;
/// let mut settings = UploadSettings::default();
/// check_directory(root.path(), &settings)?;
/// settings.directory = b"missing".to_vec();
/// let error = check_directory(root.path(), &settings).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::NotFound);
/// assert!(error.to_string().contains("/missing\": "));
/// settings.directory = b"../x".to_vec();
/// assert_eq!(check_directory(root.path(), &settings).unwrap_err().kind(), ErrorKind::InvalidInput);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn check_directory(root: impl AsRef<Path>, settings: &UploadSettings) -> io::Result<()> {
    let path = root.as_ref();
    let named = |what| move |error| os::with_path(what, path, error);
    let root = Root::new(path, Symlinks::Deny).map_err(named("directory"))?;
    let directory = Path::new(OsStr::from_bytes(&settings.directory));
    if !settings.has_clean_directory() {
        let rule = "not a clean path from the served directory, without hidden names, such as a/b";
        let error = io::Error::new(ErrorKind::InvalidInput, rule);
        return Err(os::with_path("directory of uploads", directory, error));
    }
    let path: PathBuf = path.components().chain(directory.components()).collect();
    let checked = check_writable(&root, settings);
    checked.map_err(|error| os::with_path("directory of uploads", &path, error))
}

fn check_writable(root: &Root, settings: &UploadSettings) -> io::Result<()> {
    match root.open_dir()?.open_upload_dir(&settings.directory)?.is_writable() {
        true => Ok(()),
        false => Err(io::Error::new(ErrorKind::PermissionDenied, "no permission to write in it")),
    }
}

/// The settings, and what uploads share.
#[derive(Debug)]
pub(crate) struct Uploads {
    settings: UploadSettings,
    permits: Arc<Semaphore>,
    interrupted: Interrupted,
    /// Held while a file gets its name, so that the preconditions of two uploads cannot both hold.
    naming: Mutex<()>,
}

impl Uploads {
    pub(crate) fn new(settings: UploadSettings) -> Arc<Self> {
        Arc::new(Self {
            permits: Semaphore::new(settings.max_uploads, 0),
            interrupted: Interrupted::new(settings.max_interrupted, settings.interrupted_timeout),
            settings,
            naming: Mutex::default(),
        })
    }

    pub(crate) fn settings(&self) -> &UploadSettings {
        &self.settings
    }

    /// The work that gives up interrupted uploads, if there are any: those that were kept for their time,
    /// and those of the path of this request, if something else has their name now.
    pub(crate) fn expire(self: &Arc<Self>, head: &Head<'_>) -> Option<JobStep> {
        if self.interrupted.is_empty() {
            return None;
        }
        let now = Instant::now();
        let path = Target::from_head(head).ok().map(|target| target.path);
        self.interrupted.is_due(path.as_deref(), now).then(|| {
            let uploads = self.clone();
            let expire = move || drop(uploads.interrupted.expire(path.as_deref(), now));
            JobStep::Block(Box::new(expire))
        })
    }

    /// Checks that `directory` can have space for `more` bytes, beside that which is to be left free:
    /// interrupted uploads count as free, except for the one that is continued.
    fn check_space(
        &self,
        directory: &UploadDir,
        more: u64,
        continued: Option<(&[u8], &Owner)>,
    ) -> Result<(), Failure> {
        match self.missing_space(directory, more)? {
            0 => Ok(()),
            missing if missing <= self.interrupted.space(directory.device()?, continued) => Ok(()),
            _ => Err(Refusal::NoSpace.into()),
        }
    }

    /// Gives up interrupted uploads, if that makes enough space for `more` bytes. Blocks for as long as the
    /// disk takes.
    fn make_space(&self, directory: &UploadDir, more: u64) -> Result<(), Failure> {
        let missing = self.missing_space(directory, more)?;
        if missing > 0 {
            let given_up = self.interrupted.make_space(directory.device()?, missing);
            if given_up.is_empty() {
                return Err(Refusal::NoSpace.into());
            }
        }
        Ok(())
    }

    fn missing_space(&self, directory: &UploadDir, more: u64) -> io::Result<u64> {
        let needed = more.saturating_add(self.settings.min_free_space);
        Ok(needed.saturating_sub(directory.free_space()?))
    }

    /// Whether files may be stored in the directory at this clean path, one of `scripts` excepted.
    pub(crate) fn allows(&self, directory: &[u8], scripts: &[Vec<u8>]) -> bool {
        request::is_beneath(&self.settings.directory, directory)
            && !scripts.iter().any(|scripts| request::may_be_beneath(scripts, directory))
    }

    /// Whether this is a request to store the files of a form.
    pub(crate) fn takes_form(&self, head: &Head<'_>, scripts: &[Vec<u8>]) -> bool {
        head.method() == b"POST"
            && Target::from_head(head)
                .is_ok_and(|target| target.is_directory && self.allows(&target.path, scripts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_not_a_clean_path_is_refused() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("abs/.hidden")).unwrap();
        let outside = root.path().join("abs");
        let check = |root: &Path, directory: &[u8]| {
            let settings = UploadSettings { directory: directory.to_vec(), ..Default::default() };
            check_directory(root, &settings).map_err(|error| (error.kind(), error.to_string()))
        };
        for directory in [
            &b"/abs/"[..],
            b"/abs",
            b"abs/",
            b"../x",
            b"abs/../abs",
            b".",
            b"abs//x",
            b"abs/.hidden",
        ] {
            let (kind, text) = check(root.path(), directory).unwrap_err();
            assert_eq!(kind, ErrorKind::InvalidInput, "{text}");
            assert!(text.contains(&format!("{:?}", str::from_utf8(directory).unwrap())), "{text}");
        }
        assert_eq!(check(root.path(), b"abs"), Ok(()));
        let (kind, text) = check(&outside.join("missing"), b"").unwrap_err();
        assert_eq!(kind, ErrorKind::NotFound);
        assert!(text.starts_with("directory \"") && text.contains("abs/missing"), "{text}");
    }
}
