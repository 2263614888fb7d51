//! The settings of scripts: one plain struct, shared by all front ends.

use std::env;
use std::ffi::OsString;
use std::time::Duration;

use doorstep_core::cgi::route::ScriptDirectories;
#[cfg(doc)]
use doorstep_core::site::cors;

use crate::os::{Rlimits, Symlinks};

/// Where scripts are, what environment they have, and the bounds of what they may use (B-256). The
/// bound of a request's body is [`Limits::body`](doorstep_core::http1::Limits::body).
///
/// ```
/// use doorstep_driver::cgi::CgiSettings;
/// use std::time::Duration;
///
/// let mut settings = CgiSettings::default();
/// settings.timeout = Duration::from_secs(5);
/// assert_eq!(settings.max_processes, 32);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CgiSettings {
    /// The directories that scripts are in (B-221). Default: `/cgi-bin` and `/htbin`.
    pub directories: ScriptDirectories,
    /// Whether scripts whose names begin with a dot are run. Default: false.
    pub hidden: bool,
    /// Which symbolic links to scripts are followed. Default: [`Symlinks::Beneath`].
    pub symlinks: Symlinks,
    /// Whether the response to a CORS preflight has [`SCRIPT_PREFLIGHT_HEADERS`](doorstep_core::site::cors::SCRIPT_PREFLIGHT_HEADERS), without
    /// running a script. If not, a preflight runs the script like any other request.
    /// Default: false.
    pub cors: bool,
    /// Environment variables that every script has besides those of CGI (B-237). Default:
    /// [`CgiSettings::inherited`].
    pub variables: Vec<(OsString, OsString)>,
    /// The value of `SERVER_SOFTWARE` (RFC 3875 §4.1.17). Default: `doorstep/` and the first two
    /// numbers of the version, as for [`Config::server`](crate::Config::server).
    pub software: String,
    /// The user that scripts run as, by name or number. `None` is the server's user, or `nobody` if
    /// that is root (B-246). Default: none.
    pub user: Option<String>,

    /// The longest time a script may run, and the longest time a request waits for a permit. Then
    /// the response is a 504 (503 if no script was run), or is aborted if it has begun. The time in
    /// which the client receives the response does not count. Default: 60 s.
    pub timeout: Duration,
    /// How long a script goes on after its client has closed its half of the connection: the client
    /// may wait for the response, or have disconnected. Then the response is a 504, or is aborted.
    /// A script whose client has closed the connection is ended at the next check. Default: 5 s.
    pub half_close_timeout: Duration,
    /// The longest time between two checks of a running script: whether it has exited while another
    /// process holds its stdout open, whether its client has disconnected, and whether the server
    /// stops. The first check comes after 20 ms. At least 1 ms. Default: 250 ms.
    pub check_interval: Duration,
    /// How long a script has to exit after invalid output; the response is a 502 already.
    /// Default: 1 s.
    pub exit_timeout: Duration,
    /// How long a script that is ended has to exit after SIGTERM, before SIGKILL is sent to its
    /// process group. Default: 1 s.
    pub kill_delay: Duration,

    /// The most bytes that a script may write to stdout. Then the response is a 502, or is aborted
    /// if it has begun. Default: 1 GiB.
    pub max_output: u64,
    /// The most bytes of the header block of a script's output. Then the response is a 502.
    /// Default: 64 KiB.
    pub max_header: usize,
    /// The most bytes of a script's stderr that are logged, with about 64 for each line. The rest
    /// is read and discarded. Default: 64 KiB.
    pub max_stderr: usize,
    /// The most bytes of one line of stderr. A longer line is logged in parts. At least 1.
    /// Default: 1 KiB.
    pub max_stderr_line: usize,
    /// The most local redirects (RFC 3875 §6.2.2) that are followed for one request. Then the
    /// response is a 502. Default: 10.
    pub max_local_redirects: usize,
    /// The most concurrent scripts, at least one. Further requests wait for a permit. Default: 32.
    pub max_processes: usize,
    /// The most requests that wait for a permit. Further ones get a 503. Default: 256.
    pub max_queued: usize,
    /// Bytes of a request's body that are held in memory; a longer body is written to a temporary
    /// file. At least 4 KiB. Default: 64 KiB.
    pub body_buffer: usize,
    /// The resource limits of each process of a script. Default: no limits.
    pub rlimits: Rlimits,
}

impl Default for CgiSettings {
    fn default() -> Self {
        Self {
            directories: ScriptDirectories::default(),
            hidden: false,
            symlinks: Symlinks::default(),
            cors: false,
            variables: Self::inherited(),
            software: crate::Config::default().server,
            user: None,
            timeout: Duration::from_secs(60),
            half_close_timeout: Duration::from_secs(5),
            check_interval: Duration::from_millis(250),
            exit_timeout: Duration::from_secs(1),
            kill_delay: Duration::from_secs(1),
            max_output: 1 << 30,
            max_header: 64 << 10,
            max_stderr: 64 << 10,
            max_stderr_line: 1 << 10,
            max_local_redirects: 10,
            max_processes: 32,
            max_queued: 256,
            body_buffer: 64 << 10,
            rlimits: Rlimits::default(),
        }
    }
}

impl CgiSettings {
    /// The variables of this process's environment that scripts inherit: PATH, LANG, LC_* and TZ
    /// (B-237).
    #[must_use]
    pub fn inherited() -> Vec<(OsString, OsString)> {
        let passes = |name: &OsString| {
            let name = name.to_str().unwrap_or("");
            matches!(name, "PATH" | "LANG" | "TZ") || name.starts_with("LC_")
        };
        env::vars_os().filter(|(name, _)| passes(name)).collect()
    }
}
