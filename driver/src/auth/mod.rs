//! HTTP basic authentication (RFC 7617): who may have a response, decided before the handler is called.
//!
//! [`Auth`] has the users: those of a file in the format of Apache's `htpasswd`, or one that the
//! program gives. A front end's `Handler::with_auth` makes a handler of it and of another one: a request
//! without the name and the password of a user gets a 401, and the other handler is not called.
//!
//! ```
//! use doorstep_driver::auth::Auth;
//!
//! let auth = Auth::from_user("alice", "correct horse")?.with_realm("Staff")?.with_open_path("/health");
//! assert_eq!(auth.user_count(), 1);
//! # Ok::<(), doorstep_driver::auth::AuthError>(())
//! ```
//!
//! What it promises:
//! - Nothing of the body of a refused request is read, no `100 Continue` is sent for it.
//! - A user that does not exist costs the same work as one with a wrong password, and comparisons take
//!   constant time.
//! - Passwords are hashed where waiting is allowed, a few at a time ([`AuthSettings::max_hashing`]):
//!   beyond the queue for that, requests get a 503. A verified pair of user and password is remembered
//!   for a while, as a tag under a random key.
//! - The file is read again when it has changed. One that is missing or not valid changes nothing, and
//!   is reported once.
//! - No password and no hash is in a log, in an error or in `Debug` output.
//!
//! What it refuses: passwords in plain text or as DES crypt, files with a line that is not valid,
//! requests with several Authorization headers.
//!
//! Basic authentication sends the password with each request, readable to everyone on the way unless
//! the connection is encrypted.

mod apr1;
mod error;
mod htpasswd;
mod job;
#[cfg(test)]
mod job_tests;
mod key;
mod password_hash;
mod settings;
mod table;
#[cfg(test)]
mod table_tests;
mod users;
mod with_auth;

pub use error::AuthError;
pub use job::AuthJob;
pub use settings::AuthSettings;
pub use with_auth::WithAuth;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use doorstep_core::http1::Head;
use doorstep_core::site::cors;

use crate::semaphore::Semaphore;
use error::Reason;
use key::Key;
use table::UserTable;

/// Whether a request needs no password.
type Predicate = dyn Fn(&Head<'_>) -> bool + Send + Sync;

/// The realm unless another one is given.
const DEFAULT_REALM: &str = "Restricted";

/// Users with their passwords, and for which requests they are asked for. Clones share the users.
#[derive(Clone)]
pub struct Auth {
    key: Key,
    table: Arc<UserTable>,
    settings: AuthSettings,
    /// The value of WWW-Authenticate.
    challenge: String,
    open_paths: Vec<Vec<u8>>,
    is_open: Option<Arc<Predicate>>,
    allows_preflight: bool,
    /// The permits to hash.
    hashing: Arc<Semaphore>,
    /// How many passwords were hashed.
    hashed: Arc<AtomicU64>,
}

impl Auth {
    /// The users of a file, as `htpasswd` writes it: bcrypt (`$2y$`, `$2a$`, `$2b$`), `$apr1$`,
    /// SHA crypt (`$5$`, `$6$`) and `{SHA}`. A relative path is resolved against the current working
    /// directory now.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, if a line is not valid (with its number), if it
    /// has no users, and if the system has no random numbers.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, AuthError> {
        Self::from_file_with(path, AuthSettings::default())
    }

    /// The users of a file, within the bounds `settings`.
    ///
    /// # Errors
    /// As for [`Auth::from_file`].
    pub fn from_file_with(
        path: impl AsRef<Path>,
        settings: AuthSettings,
    ) -> Result<Self, AuthError> {
        let path = path.as_ref();
        let absolute = std::path::absolute(path);
        let absolute = absolute.map_err(|error| AuthError::file(path, Reason::Io(error)))?;
        let auth = Self::new(Some(absolute))?.with_settings(settings);
        auth.table.reload(&auth.settings)?;
        Ok(auth)
    }

    /// One user, without a file. The password is not kept, but a tag of it.
    ///
    /// # Errors
    /// Returns an error if the name is empty, contains a `:` or a control character, if the password
    /// is empty or contains a control character, and if the system has no random numbers.
    pub fn from_user(user: &str, password: &str) -> Result<Self, AuthError> {
        Self::new(None)?.with_user(user, password)
    }

    fn new(path: Option<PathBuf>) -> Result<Self, AuthError> {
        let settings = AuthSettings::default();
        Ok(Self {
            key: Key::random().map_err(Reason::Random)?,
            table: Arc::new(UserTable::new(path)),
            hashing: Semaphore::new(settings.max_hashing, settings.max_queued),
            settings,
            challenge: challenge(DEFAULT_REALM),
            open_paths: Vec::new(),
            is_open: None,
            allows_preflight: false,
            hashed: Arc::default(),
        })
    }

    /// Adds a user that is in no file. Clones have it, too.
    ///
    /// # Errors
    /// As for [`Auth::from_user`]; also returns an error if there is a user of this name.
    pub fn with_user(self, user: &str, password: &str) -> Result<Self, AuthError> {
        self.table.add(&self.key, user, password)?;
        Ok(self)
    }

    /// Asks for passwords for `realm`, which clients show to their users (RFC 9110 §11.5). Default:
    /// `Restricted`.
    ///
    /// # Errors
    /// Returns an error if it is not printable ASCII.
    pub fn with_realm(mut self, realm: &str) -> Result<Self, AuthError> {
        if !realm.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
            return Err(Reason::Realm.into());
        }
        self.challenge = challenge(realm);
        Ok(self)
    }

    /// Uses the bounds `settings`.
    #[must_use]
    pub fn with_settings(mut self, settings: AuthSettings) -> Self {
        self.hashing = Semaphore::new(settings.max_hashing, settings.max_queued);
        self.settings = settings;
        self
    }

    /// Asks for no password for this path, such as `/health`. It is compared with [`Head::path`]: the
    /// path as it was sent, without its query. Nothing below it is open, nor another spelling of it.
    #[must_use]
    pub fn with_open_path(mut self, path: impl AsRef<[u8]>) -> Self {
        self.open_paths.push(path.as_ref().to_vec());
        self
    }

    /// Asks for no password for requests of which `is_open` returns true, besides those of
    /// [`Auth::with_open_path`]. [`Head::path`] is the path as it was sent: before its beginning is
    /// compared, it has to be normalized as the handler does ([`doorstep_core::path`]), or
    /// `/public/../private` is open.
    #[must_use]
    pub fn with_open(
        mut self,
        is_open: impl Fn(&Head<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.is_open = Some(Arc::new(is_open));
        self
    }

    /// Asks for no password for CORS preflight requests, which browsers send without one (Fetch
    /// standard). Only for a handler that responds to them without doing anything else: the head of a
    /// preflight request can be sent by everyone. [`Files`](crate::Files) do so, and
    /// [`Cgi`](crate::Cgi) with [`CgiSettings::cors`](crate::cgi::CgiSettings::cors).
    #[must_use]
    pub fn with_open_preflight(mut self) -> Self {
        self.allows_preflight = true;
        self
    }

    /// Reads the file again, whether it has changed or not, and returns the number of users. It may wait
    /// for a disk. Requests that are being verified are verified against the former users.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or is not valid. The users then stay as they are.
    pub fn reload(&self) -> Result<usize, AuthError> {
        self.table.reload(&self.settings)?;
        Ok(self.user_count())
    }

    /// The bounds.
    #[must_use]
    pub fn settings(&self) -> &AuthSettings {
        &self.settings
    }

    /// The file of users, if there is one: an absolute path.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.table.path()
    }

    /// The number of users.
    #[must_use]
    pub fn user_count(&self) -> usize {
        self.table.users().len()
    }

    /// How many passwords were hashed so far: one for each request whose pair of user and password was
    /// not remembered, whether the user exists or not.
    #[must_use]
    pub fn hash_count(&self) -> u64 {
        self.hashed.load(Ordering::Relaxed)
    }

    /// The decision about one request: a [`Job`](crate::Job), to be stepped until it has ended. It ends in
    /// [`JobStep::Declined`](crate::JobStep::Declined) if the request is to be handled, and in
    /// [`JobStep::Done`](crate::JobStep::Done) if it was refused by a 401 or a 503.
    #[must_use]
    pub fn job(&self) -> AuthJob<'_> {
        AuthJob::new(self)
    }

    fn is_open(&self, head: &Head<'_>) -> bool {
        self.open_paths.iter().any(|path| path == head.path())
            || self.allows_preflight && cors::is_preflight(head)
            || self.is_open.as_ref().is_some_and(|is_open| is_open(head))
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("path", &self.path())
            .field("users", &self.user_count())
            .field("challenge", &self.challenge)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// The value of WWW-Authenticate (RFC 7617 §2, §2.1).
fn challenge(realm: &str) -> String {
    let quoted = realm.replace('\\', "\\\\").replace('"', "\\\"");
    format!("Basic realm=\"{quoted}\", charset=\"UTF-8\"")
}
