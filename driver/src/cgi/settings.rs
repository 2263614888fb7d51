//! How scripts are run: one plain struct, shared by both drivers.

use std::env;
use std::ffi::OsString;
use std::time::Duration;

use doorstep_core::cgi::route::ScriptDirectories;
#[cfg(doc)]
use doorstep_core::site::cors;

use crate::os::{Rlimits, Symlinks};

/// Where scripts are, what they are told, and what they may cost. Every bound has a number (B-256);
/// that of a request's body is [`doorstep_core::http1::Limits::body`].
///
/// ```
/// use doorstep_driver::cgi::Settings;
/// use std::time::Duration;
///
/// let settings = Settings { time: Duration::from_secs(5), ..Settings::default() };
/// assert_eq!(settings.at_once, 32);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where scripts live (B-221).
    pub directories: ScriptDirectories,
    /// Whether names with a leading dot are run.
    pub hidden: bool,
    /// How far symbolic links to scripts are followed.
    pub symlinks: Symlinks,
    /// Whether a CORS preflight is answered with [`cors::SCRIPT_PREFLIGHT_HEADERS`] without running a
    /// script; if not, it runs the script like any other request.
    pub cors: bool,
    /// Variables that every script gets beside those of CGI (B-237).
    pub variables: Vec<(OsString, OsString)>,
    /// What SERVER_SOFTWARE says.
    pub software: String,
    /// Who scripts run as; `None`: who the server runs as, and `nobody` when that is root (B-246).
    pub user: Option<String>,
    /// How long a script may take; then 504, or a visible abort of an answer that has begun. The
    /// time its client takes to receive is not counted.
    pub time: Duration,
    /// How long a script goes on for a client that will send nothing more: it may wait for its
    /// answer, or have gone. One that has certainly gone is not waited for.
    pub patience: Duration,
    /// What a script may write on stdout, in bytes; then a visible abort.
    pub output: u64,
    /// The header block of an output, in bytes; then 502.
    pub head: usize,
    /// Scripts at once, a number.
    pub at_once: usize,
    /// Requests that wait for one of those to end, a number; beyond it 503. So it is after
    /// [`Settings::time`] of waiting.
    pub queue: usize,
    /// How much of a request's body is held in memory before it goes to a temporary file, in bytes.
    pub memory: usize,
    /// What the system grants each process of a script.
    pub rlimits: Rlimits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            directories: ScriptDirectories::default(),
            hidden: false,
            symlinks: Symlinks::default(),
            cors: false,
            variables: Self::inherited(),
            software: crate::Config::default().server,
            user: None,
            time: Duration::from_secs(60),
            patience: Duration::from_secs(5),
            output: 1 << 30,
            head: 64 << 10,
            at_once: 32,
            queue: 256,
            memory: 64 << 10,
            rlimits: Rlimits::default(),
        }
    }
}

impl Settings {
    /// What scripts may see of this process's own variables: PATH, LANG, LC_* and TZ (B-237).
    #[must_use]
    pub fn inherited() -> Vec<(OsString, OsString)> {
        let passes = |name: &OsString| {
            let name = name.to_str().unwrap_or("");
            matches!(name, "PATH" | "LANG" | "TZ") || name.starts_with("LC_")
        };
        env::vars_os().filter(|(name, _)| passes(name)).collect()
    }
}
