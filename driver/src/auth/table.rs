//! The users now: those of a file, which is read again when it changes, and those that were added.
//!
//! The file is looked at by one `stat`, at requests, every [`AuthSettings::check_interval`]. A change
//! shows in its identity, size or times. A file that changed less than [`TIMESTAMP_GRANULARITY`]
//! before it was read may change again without showing it, so it is read once more. If the file is
//! missing or not valid, the users stay as they are.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest, Sha256};

use super::AuthSettings;
use super::error::{AuthError, Reason};
use super::htpasswd::{self, User};
use super::key::Key;
use super::password_hash::PasswordHash;
use super::users::Users;

/// How long after its last change a file is certain to show another one in its times: the coarsest
/// granularity of timestamps of a file system in use.
const TIMESTAMP_GRANULARITY: Duration = Duration::from_secs(2);

/// Where users come from, and the users.
#[derive(Debug)]
pub(super) struct UserTable {
    path: Option<PathBuf>,
    sources: Mutex<Sources>,
    users: RwLock<Arc<Users>>,
    created: Instant,
    /// When the file is to be looked at, in milliseconds since `created`.
    next_check: AtomicU64,
}

#[derive(Debug, Default)]
struct Sources {
    /// Users that are in no file.
    added: Vec<User>,
    from_file: Vec<User>,
    /// What the file was when it was read, or could not be; `None` if it was missing.
    version: Option<FileVersion>,
    /// Whether another change of it would show.
    is_old_enough: bool,
    /// The digest of its contents.
    contents: Option<[u8; 32]>,
}

/// What shows that a file has changed.
#[derive(Debug, PartialEq, Eq)]
struct FileVersion {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl UserTable {
    /// No users. Those of the file are read by [`UserTable::reload`].
    pub(super) fn new(path: Option<PathBuf>) -> Self {
        Self {
            path,
            sources: Mutex::default(),
            users: RwLock::default(),
            created: Instant::now(),
            next_check: AtomicU64::new(0),
        }
    }

    pub(super) fn users(&self) -> Arc<Users> {
        self.users.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Adds a user that is in no file.
    pub(super) fn add(&self, key: &Key, name: &str, password: &str) -> Result<(), AuthError> {
        let name = htpasswd::check_name(name.as_bytes()).map_err(Reason::Credentials)?;
        if password.is_empty() {
            return Err(Reason::Credentials("the password of the user is empty").into());
        }
        if password.bytes().any(|b| b.is_ascii_control()) {
            let text = "the password of the user contains a control character";
            return Err(Reason::Credentials(text).into());
        }
        let mut sources = self.lock();
        if sources.added.iter().chain(&sources.from_file).any(|user| *user.name == *name) {
            return Err(Reason::Credentials("the user is there already").into());
        }
        let hash = PasswordHash::Keyed(key.password_tag(password.as_bytes()));
        sources.added.push(User { name: name.into(), hash });
        self.replace(&sources);
        Ok(())
    }

    /// Whether the file is to be looked at now. Returns true once for each interval, whatever the
    /// number of threads that ask.
    pub(super) fn is_check_due(&self, now: Instant, settings: &AuthSettings) -> bool {
        if self.path.is_none() {
            return false;
        }
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let now = millis(now.saturating_duration_since(self.created));
        let due = self.next_check.load(Ordering::Relaxed);
        let next = now.saturating_add(millis(settings.check_interval));
        let order = Ordering::Relaxed;
        now >= due && self.next_check.compare_exchange(due, next, order, order).is_ok()
    }

    /// Reads the file if it has changed. May wait for a disk.
    ///
    /// # Errors
    /// Returns why the users are still the former ones, once for each change of the file.
    pub(super) fn check(&self, settings: &AuthSettings) -> Result<(), AuthError> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut sources = self.lock();
        let version = fs::metadata(path).ok().map(|metadata| FileVersion::new(&metadata));
        if version == sources.version && sources.is_old_enough {
            return Ok(());
        }
        self.read(path, &mut sources, settings)
    }

    /// Reads the file, whether it has changed or not. May wait for a disk.
    ///
    /// # Errors
    /// Returns why the users are still the former ones.
    pub(super) fn reload(&self, settings: &AuthSettings) -> Result<(), AuthError> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut sources = self.lock();
        sources.contents = None;
        self.read(path, &mut sources, settings)
    }

    fn read(
        &self,
        path: &Path,
        sources: &mut Sources,
        settings: &AuthSettings,
    ) -> Result<(), AuthError> {
        let (version, is_old_enough, contents) = match read_file(path, settings.max_file_size) {
            Ok(read) => read,
            Err(reason) => {
                let error = AuthError::file(path, reason);
                if !error.is_transient() {
                    sources.version =
                        fs::metadata(path).ok().map(|metadata| FileVersion::new(&metadata));
                    (sources.is_old_enough, sources.contents) = (true, None);
                }
                return Err(error);
            }
        };
        (sources.version, sources.is_old_enough) = (Some(version), is_old_enough);
        let digest = Some(Sha256::digest(&contents).into());
        if std::mem::replace(&mut sources.contents, digest) == digest {
            return Ok(());
        }
        let users = htpasswd::parse(&contents)
            .map_err(|error| AuthError::file(path, Reason::Line(error)))?;
        if users.is_empty() {
            return Err(AuthError::file(path, Reason::NoUsers));
        }
        let is_added = |user: &User| sources.added.iter().any(|added| added.name == user.name);
        if users.iter().any(is_added) {
            let text = "a user is there who was given without a file, too";
            return Err(AuthError::file(path, Reason::Credentials(text)));
        }
        sources.from_file = users;
        self.replace(sources);
        Ok(())
    }

    /// Makes the users those of `sources`; what was remembered is forgotten.
    fn replace(&self, sources: &Sources) {
        let all = sources.added.iter().chain(&sources.from_file).cloned().collect();
        *self.users.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Users::new(all));
    }

    fn lock(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FileVersion {
    fn new(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// The file's version, whether another change of it would show, and its contents.
fn read_file(path: &Path, max_size: u64) -> Result<(FileVersion, bool, Vec<u8>), Reason> {
    if !fs::metadata(path).map_err(Reason::Io)?.is_file() {
        return Err(Reason::NotAFile); // before it is opened: a FIFO would wait for a writer
    }
    let file = File::open(path).map_err(Reason::Io)?;
    let metadata = file.metadata().map_err(Reason::Io)?;
    let mut contents = Vec::new();
    let read = file.take(max_size.saturating_add(1)).read_to_end(&mut contents);
    let read = read.map_err(Reason::Io)?;
    if read as u64 > max_size {
        return Err(Reason::TooLarge(max_size));
    }
    Ok((FileVersion::new(&metadata), is_old_enough(&metadata).unwrap_or(false), contents))
}

fn is_old_enough(metadata: &Metadata) -> io::Result<bool> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(io::Error::other)?;
    let changed = u64::try_from(metadata.ctime()).map_err(io::Error::other)?;
    Ok(now.saturating_sub(Duration::from_secs(changed)) > TIMESTAMP_GRANULARITY)
}
