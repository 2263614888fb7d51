//! Signals. The first SIGINT (Ctrl-C) or SIGTERM shuts the server down gracefully. A second one ends
//! the process and its scripts at once, and so does SIGQUIT.
//!
//! SIGHUP reloads what can be reloaded, such as log files. If there is nothing, it ends the process:
//! then it says that the terminal was closed.

use std::fs;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::low_level::emulate_default_handler;

/// The same signal within this time is a duplicate: `timeout` and others send it to the process and
/// to its process group.
const DUPLICATE_WINDOW: Duration = Duration::from_millis(100);

/// Reloads something at SIGHUP: opens a log file again, for example. It must not wait for long, and
/// reports its errors itself.
pub(crate) type Reload = Box<dyn Fn() + Send>;

/// The signals that stop the server, caught as soon as this exists.
pub(crate) struct Signals(signal_hook::iterator::Signals);

impl Signals {
    /// Catches the signals. SIGHUP and SIGQUIT stay ignored if they were (`nohup`). SIGCHLD does not,
    /// because the exit status of scripts would be lost. SIGXFSZ is caught so that a write above the
    /// file size limit is an error and does not end the process.
    pub(crate) fn catch() -> io::Result<Self> {
        let ignored = ignored();
        flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        if ignored(SIGCHLD) {
            flag::register(SIGCHLD, Arc::new(AtomicBool::new(false)))?;
        }
        let caught = [SIGHUP, SIGQUIT].into_iter().filter(|&signal| !ignored(signal));
        Ok(Self(signal_hook::iterator::Signals::new([SIGINT, SIGTERM].into_iter().chain(caught))?))
    }

    /// Starts a thread that handles the signals. The first SIGINT or SIGTERM calls `shut_down` with
    /// whether it was SIGINT. SIGHUP calls each of `reload`, if there are any, also if the signal was
    /// ignored (`nohup`). The second SIGINT or SIGTERM, or any other signal, calls `before_exit` and
    /// then has its default effect, so that the parent process sees which signal it was.
    pub(crate) fn handle(
        mut self,
        shut_down: impl FnOnce(bool) + Send + 'static,
        before_exit: impl FnOnce() + Send + 'static,
        reload: Vec<Reload>,
    ) -> io::Result<()> {
        if !reload.is_empty() {
            self.0.add_signal(SIGHUP)?;
        }
        thread::Builder::new().name("signals".into()).spawn(move || {
            let mut signals = self.0.forever().filter(|&signal| {
                let reloads = signal == SIGHUP && !reload.is_empty();
                if reloads {
                    reload_all(&reload);
                }
                !reloads
            });
            let mut signal = signals.next();
            if matches!(signal, Some(SIGINT | SIGTERM)) {
                shut_down(signal == Some(SIGINT));
                let (first, since) = (signal, Instant::now());
                let is_duplicate =
                    |next| Some(next) == first && since.elapsed() <= DUPLICATE_WINDOW;
                signal = signals.find(|&next| !is_duplicate(next));
            }
            if let Some(signal) = signal {
                before_exit();
                let _ = emulate_default_handler(signal);
            }
        })?;
        Ok(())
    }
}

/// Calls each function. A panic ends there: the signals after it must have their effects.
fn reload_all(reload: &[Reload]) {
    for reload in reload {
        let _ = panic::catch_unwind(AssertUnwindSafe(reload));
    }
}

/// Returns which signals were ignored when the process started. All of them count as ignored if the
/// system does not report it.
pub(crate) fn ignored() -> impl Fn(i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(u64::MAX);
    move |signal| mask >> (signal - 1) & 1 == 1
}
