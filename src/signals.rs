//! Signals. The first SIGINT (Ctrl-C) or SIGTERM shuts the server down gracefully. A second one ends
//! the process and its scripts at once; so does SIGHUP, when the terminal is closed, and SIGQUIT.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::low_level::emulate_default_handler;

use crate::banner;

/// The same signal within this time is a duplicate: `timeout` and others send it to the process and
/// to its process group.
const DUPLICATE_WINDOW: Duration = Duration::from_millis(100);

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
    /// whether it was SIGINT. The second one, or any other signal, calls `before_exit` and then has
    /// its default effect, so that the parent process sees which signal it was.
    pub(crate) fn handle(
        mut self,
        shut_down: impl FnOnce(bool) + Send + 'static,
        before_exit: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        thread::Builder::new().name("signals".into()).spawn(move || {
            let mut signals = self.0.forever();
            let mut signal = signals.next();
            if matches!(signal, Some(SIGINT | SIGTERM)) {
                if signal == Some(SIGINT) {
                    banner::print_interrupted();
                }
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

/// Returns which signals were ignored when the process started. All of them count as ignored if the
/// system does not report it.
fn ignored() -> impl Fn(i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(u64::MAX);
    move |signal| mask >> (signal - 1) & 1 == 1
}
