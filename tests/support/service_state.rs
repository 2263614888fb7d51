//! What a test and its application share: what is served, and what the server has reported.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorstep::blocking::{CgiSettings, Record, ShutdownReport};
use doorstep::core::site::Site;
use doorstep::driver::Ending;
use doorstep::driver::upload::UploadSettings;

use super::TestObserver;

/// What a test and its application share.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) root: Option<PathBuf>,
    pub(super) site: Site,
    pub(super) scripts: Option<CgiSettings>,
    pub(super) uploads: Option<UploadSettings>,
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Seen {
    entries: Vec<LogEntry>,
    endings: Vec<Ending>,
    errors: Vec<String>,
    /// The number of requests that have reached [`Step::Wait`].
    waited: usize,
    /// The number of connections that a shutdown has aborted, once it is over.
    aborted: Option<usize>,
    /// The number of them that may go on.
    permits: usize,
}

/// An owned [`Record`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogEntry {
    pub(crate) line: String,
    pub(crate) status: u16,
    pub(crate) bytes: Option<u64>,
    pub(crate) aborted: bool,
    pub(crate) error: Option<String>,
    pub(crate) tls: Option<String>,
}

/// Every wait ends long before this, unless there is a fault.
const NEVER: Duration = Duration::from_secs(10);

impl State {
    pub(crate) fn files(root: impl Into<PathBuf>) -> Arc<Self> {
        Self::site(root, Site::default())
    }

    pub(crate) fn site(root: impl Into<PathBuf>, site: Site) -> Arc<Self> {
        Arc::new(Self { root: Some(root.into()), site, ..Self::default() })
    }

    #[allow(dead_code, reason = "scripts have a test binary of their own")]
    pub(crate) fn scripts(root: impl Into<PathBuf>, scripts: CgiSettings) -> Arc<Self> {
        Arc::new(Self { root: Some(root.into()), scripts: Some(scripts), ..Self::default() })
    }

    /// Files that clients may store, and scripts in `cgi-bin` if `has_scripts`.
    #[allow(dead_code, reason = "for one test binary")]
    pub(crate) fn uploads(
        root: impl Into<PathBuf>,
        uploads: UploadSettings,
        has_scripts: bool,
    ) -> Arc<Self> {
        let scripts = has_scripts.then(CgiSettings::default);
        Arc::new(Self {
            root: Some(root.into()),
            uploads: Some(uploads),
            scripts,
            ..Self::default()
        })
    }

    /// Files that clients may store.
    #[allow(dead_code, reason = "for one test binary")]
    pub(crate) fn uploads_of(
        root: impl Into<PathBuf>,
        uploads: UploadSettings,
        site: Site,
    ) -> Arc<Self> {
        Arc::new(Self { root: Some(root.into()), uploads: Some(uploads), site, ..Self::default() })
    }

    pub(crate) fn app() -> Arc<Self> {
        Arc::default()
    }

    /// [`Step::Wait`]: waits until the test calls [`State::release`].
    pub(crate) fn wait(&self) {
        let mut seen = self.seen();
        seen.waited += 1;
        self.changed.notify_all();
        let seen = self.changed.wait_while(seen, |seen| seen.permits == 0);
        let mut seen = seen.unwrap_or_else(PoisonError::into_inner);
        seen.permits -= 1;
    }

    /// Lets `n` waiting requests, or later ones, go on.
    pub(crate) fn release(&self, n: usize) {
        let mut seen = self.seen();
        seen.permits = seen.permits.saturating_add(n);
        self.changed.notify_all();
    }

    /// Returns when `n` requests have reached [`Step::Wait`].
    pub(crate) fn wait_until_blocked(&self, n: usize) {
        drop(self.until(|seen| seen.waited >= n));
    }

    /// The log, when it has `n` entries.
    pub(crate) fn log(&self, n: usize) -> Vec<LogEntry> {
        self.until(|seen| seen.entries.len() >= n).entries.clone()
    }

    /// The log's only entry.
    pub(crate) fn entry(&self) -> LogEntry {
        let mut log = self.log(1);
        assert_eq!(log.len(), 1, "{log:?}");
        log.remove(0)
    }

    /// The messages of [`Observer::on_error`].
    pub(crate) fn errors(&self) -> Vec<String> {
        self.seen().errors.clone()
    }

    pub(crate) fn record(&self, record: &Record<'_>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut seen = self.seen();
        seen.endings.push(record.ending);
        seen.entries.push(LogEntry {
            line: text(record.request_line),
            status: record.status,
            bytes: record.body_bytes_sent,
            aborted: record.is_aborted(),
            error: record.error_message.map(text),
            tls: record.tls_version.map(str::to_owned),
        });
        drop(seen);
        self.changed.notify_all();
    }

    /// How the responses of the log have ended.
    #[allow(dead_code, reason = "each test binary uses its part of it")]
    pub(crate) fn endings(&self) -> Vec<Ending> {
        self.seen().endings.clone()
    }

    pub(crate) fn record_error(&self, message: &str) {
        self.seen().errors.push(message.into());
        self.changed.notify_all();
    }

    /// An observer for other handlers, which records what it receives.
    #[allow(dead_code, reason = "scripts have a test binary of their own")]
    pub(crate) fn observer(self: &Arc<Self>) -> TestObserver {
        TestObserver { state: self.clone(), cgi: None }
    }

    pub(crate) fn stopped(&self, how: &ShutdownReport) {
        let before = self.seen().aborted.replace(how.aborted);
        assert_eq!(before, None, "it is called once");
    }

    /// The number of connections that the shutdown has aborted.
    #[allow(dead_code, reason = "scripts have a test binary of their own")]
    pub(crate) fn aborted(&self) -> usize {
        self.until(|seen| seen.aborted.is_some()).aborted.unwrap_or(0)
    }

    fn until(&self, done: impl Fn(&Seen) -> bool) -> MutexGuard<'_, Seen> {
        let waited = self.changed.wait_timeout_while(self.seen(), NEVER, |seen| !done(seen));
        let (seen, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "it never happened; seen: {seen:?}");
        seen
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
