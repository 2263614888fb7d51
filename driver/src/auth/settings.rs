//! The bounds of authentication.

use std::time::Duration;

/// The bounds of [`Auth`](super::Auth): how many passwords are hashed at once, how long a verified one is
/// remembered, and how often the file of users is looked at.
///
/// ```
/// use doorstep_driver::auth::AuthSettings;
/// use std::time::Duration;
///
/// let mut settings = AuthSettings::default();
/// settings.cache_timeout = Duration::from_secs(60);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuthSettings {
    /// The maximum number of passwords that are hashed at once, at least one. Each takes a processor
    /// for as long as the hash in the file was made to take: from a fraction of a millisecond to
    /// seconds. Default: 2.
    pub max_hashing: usize,
    /// The maximum number of requests that wait for others' passwords to be hashed. A request beyond
    /// it gets a 503. Default: 64.
    pub max_queued: usize,
    /// The longest wait of such a request; then it gets a 503. Default: 10 s.
    pub queue_timeout: Duration,
    /// The maximum number of verified pairs of user and password that are remembered, so that their
    /// next requests need no hash. 0 remembers none. Default: 1,024.
    pub max_cached: usize,
    /// How long a verified pair is remembered. All are forgotten when the file changes. Default:
    /// 600 s.
    pub cache_timeout: Duration,
    /// The time between two looks at the file of users, at requests: if it has changed, it is read
    /// again. Default: 5 s.
    pub check_interval: Duration,
    /// The maximum length of a password, in bytes. A longer one is wrong, and is not hashed: some
    /// hashes take a time that grows with the square of it. Default: 512 B.
    pub max_password: usize,
    /// The maximum size of the file of users, in bytes; a larger one is an error. Default: 1 MiB.
    pub max_file_size: u64,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            max_hashing: 2,
            max_queued: 64,
            queue_timeout: Duration::from_secs(10),
            max_cached: 1024,
            cache_timeout: Duration::from_secs(600),
            check_interval: Duration::from_secs(5),
            max_password: 512,
            max_file_size: 1 << 20,
        }
    }
}
