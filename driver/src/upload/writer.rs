//! One file that is being stored: written within the free space, and named when it is complete.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, PoisonError};

use doorstep_core::site::Stat;
use doorstep_core::site::precompressed::Coding;
use doorstep_core::site::upload::Refusal;
use doorstep_core::site::upload::name::NameError;
use rustix::io::Errno;

use super::Uploads;
use super::interrupted::{Owner, Part};
use crate::os::{Existing, PublishError, TemporaryFile, UploadDir};

/// Why a file is not stored, and the error of the system for the log.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) refusal: Refusal,
    pub(super) cause: Option<io::Error>,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, cause: None }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let refusal = match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NOTDIR) => Refusal::NoDirectory,
            Some(Errno::LOOP) => Refusal::Link,
            Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => Refusal::NotWritable,
            Some(Errno::NOSPC | Errno::DQUOT) => Refusal::NoSpace,
            Some(Errno::FBIG) => Refusal::TooLarge,
            Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS) => Refusal::Exhausted,
            Some(Errno::NAMETOOLONG) => Refusal::Name(NameError::TooLong(255)),
            Some(Errno::INVAL | Errno::ILSEQ) => Refusal::Name(NameError::Control),
            Some(Errno::ISDIR) => Refusal::Directory,
            _ => match error.kind() {
                ErrorKind::NotFound => Refusal::NoDirectory,
                ErrorKind::PermissionDenied => Refusal::NotWritable,
                _ => Refusal::Failed,
            },
        };
        Self { refusal, cause: Some(error) }
    }
}

/// Where files are stored.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) directory: UploadDir,
    /// Its clean path.
    pub(super) path: Vec<u8>,
    /// Whether `name.gz` and the like are sent in place of `name`.
    pub(super) has_precompressed: bool,
}

/// Whether the preconditions of a request hold for what has the name now, if it is a file.
pub(super) type Preconditions<'p> = dyn Fn(Option<&Stat>) -> bool + 'p;

/// A file that is being stored.
#[derive(Debug)]
pub(super) struct FileWriter {
    uploads: Arc<Uploads>,
    directory: UploadDir,
    /// The clean path of the file.
    path: Vec<u8>,
    pub(super) name: String,
    /// What had the name when the upload began.
    found: Existing,
    /// Whether the request has preconditions: then `found` must not have changed when this gets the name.
    is_conditional: bool,
    /// `None` until something is written.
    file: Option<TemporaryFile>,
    /// The bytes in it.
    pub(super) size: u64,
}

/// A file that was stored.
#[derive(Debug)]
pub(super) struct StoredFile {
    pub(super) size: u64,
    pub(super) stat: Stat,
    /// Whether it has replaced another one.
    pub(super) has_replaced: bool,
}

impl FileWriter {
    /// A file of this name in a directory. `is_allowed` evaluates the preconditions of the request, if it
    /// has any.
    pub(super) fn new(
        uploads: &Arc<Uploads>,
        place: &Place,
        name: &str,
        is_allowed: Option<&Preconditions<'_>>,
    ) -> Result<Self, Failure> {
        let Place { directory, path, has_precompressed } = place;
        let existing = directory.existing(name)?;
        match (existing, is_allowed) {
            (Existing::Directory, _) => return Err(Refusal::Directory.into()),
            (Existing::Symlink, _) => return Err(Refusal::Link.into()),
            (Existing::Special, _) => return Err(Refusal::Special.into()),
            (Existing::File(stat), Some(allow)) if !allow(Some(&stat)) => {
                return Err(Refusal::Precondition.into());
            }
            (Existing::Nothing, Some(allow)) if !allow(None) => {
                return Err(Refusal::Precondition.into());
            }
            (Existing::File(_), _) if !uploads.settings.overwrite => {
                return Err(Refusal::Exists.into());
            }
            _ => {}
        }
        if *has_precompressed && !uploads.settings.overwrite {
            let original = Coding::ALL.iter().find_map(|coding| name.strip_suffix(coding.suffix()));
            if original
                .is_some_and(|it| directory.existing(it).is_ok_and(|it| it != Existing::Nothing))
            {
                return Err(Refusal::Exists.into()); // it would be sent in place of the other one
            }
        }
        let separator: &[u8] = if path.is_empty() { b"" } else { b"/" };
        Ok(Self {
            uploads: uploads.clone(),
            directory: directory.clone(),
            path: [path, separator, name.as_bytes()].concat(),
            name: name.into(),
            found: existing,
            is_conditional: is_allowed.is_some(),
            file: None,
            size: 0,
        })
    }

    /// Goes on with a part of `size` bytes, if it is in the same directory.
    pub(super) fn resume(&mut self, file: TemporaryFile, size: u64) -> Result<(), Failure> {
        if !file.directory().is_same(&self.directory) {
            return Err(Refusal::NoPart.into());
        }
        (self.file, self.size) = (Some(file), size);
        Ok(())
    }

    /// Appends `bytes`. Blocks for as long as the disk takes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.uploads.make_space(&self.directory, bytes.len() as u64)?;
        let file = self.file()?;
        file.write_all_at(bytes, self.size)?;
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// The file, which is created if it does not exist.
    pub(super) fn file(&mut self) -> Result<Arc<File>, Failure> {
        let file = match &mut self.file {
            Some(file) => file,
            empty => empty.insert(self.directory.create()?),
        };
        Ok(file.file.clone())
    }

    /// The part of a file of `total` bytes that was written, to be continued by `owner`. `None` if there is
    /// nothing to continue, or if what has the name is not what had it when the upload began.
    pub(super) fn into_part(self, owner: Owner, total: u64) -> Option<Part> {
        let Self { path, name, found, size, .. } = self;
        let file = self.file.filter(|_| size > 0 && size < total)?;
        let device = file.directory().device().ok()?;
        let part = Part { path, name, found, owner, total, size, device, file };
        (!part.is_superseded()).then_some(part)
    }

    /// Gives the file its name. Blocks until it is on the disk.
    pub(super) fn publish(mut self) -> Result<StoredFile, Failure> {
        let settings = &self.uploads.settings;
        let (sync, overwrite) = (settings.sync, settings.overwrite);
        let file = self.file()?;
        if sync {
            file.sync_all()?;
        }
        let Some(temporary) = self.file.take() else { return Err(Refusal::Failed.into()) };
        let published = {
            let _naming = self.uploads.naming.lock().unwrap_or_else(PoisonError::into_inner);
            let existing = self.directory.existing(&self.name)?;
            if self.is_conditional && self.found != existing {
                return Err(Refusal::Precondition.into());
            }
            let has_replaced = match existing {
                Existing::Nothing => false,
                Existing::File(_) if overwrite => true,
                Existing::File(_) => return Err(Refusal::Exists.into()),
                Existing::Directory => return Err(Refusal::Directory.into()),
                Existing::Symlink => return Err(Refusal::Link.into()),
                Existing::Special => return Err(Refusal::Special.into()),
            };
            temporary.publish(&self.name, has_replaced).map(|stat| (stat, has_replaced))
        };
        if published.is_ok() {
            drop(self.uploads.interrupted.forget(&self.path)); // they are parts of other files now
        }
        let (stat, has_replaced) = match published {
            Ok(published) => published,
            Err(PublishError::Exists) if self.is_conditional => {
                return Err(Refusal::Precondition.into());
            }
            Err(PublishError::Exists) => return Err(Refusal::Exists.into()),
            Err(PublishError::Io(error)) => return Err(error.into()),
        };
        if sync {
            self.directory.sync()?;
        }
        Ok(StoredFile { size: self.size, stat, has_replaced })
    }
}
