//! Ctrl-C and SIGTERM: the first asks the server to stop, the second ends the process at once. So does
//! a SIGHUP, when the terminal is closed, and a SIGQUIT. Scripts are taken along.

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

/// A signal that comes again so soon is the same one: `timeout` and others send it to the process and
/// to its group.
const ECHO: Duration = Duration::from_millis(100);

/// The signals that mean "stop", caught from the moment this exists.
pub(crate) struct Signals(signal_hook::iterator::Signals);

impl Signals {
    /// Catches them. A SIGHUP or SIGQUIT ignored from the start stays so (`nohup`), a SIGCHLD does not:
    /// nobody would know how scripts end. A file that may not grow is an error and no reason to die.
    pub(crate) fn catch() -> io::Result<Self> {
        let ignored = ignored();
        flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        if ignored(SIGCHLD) {
            flag::register(SIGCHLD, Arc::new(AtomicBool::new(false)))?;
        }
        let ends = [SIGHUP, SIGQUIT].into_iter().filter(|&signal| !ignored(signal));
        Ok(Self(signal_hook::iterator::Signals::new([SIGINT, SIGTERM].into_iter().chain(ends))?))
    }

    /// On a thread of its own: calls `stop` at the first SIGINT or SIGTERM, with whether it was
    /// SIGINT; and `last` at the second, or at any other signal, which then has its default effect,
    /// so that a parent process sees which signal it was.
    pub(crate) fn then(
        mut self,
        stop: impl FnOnce(bool) + Send + 'static,
        last: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        thread::Builder::new().name("signals".into()).spawn(move || {
            let mut signals = self.0.forever();
            let mut signal = signals.next();
            if matches!(signal, Some(SIGINT | SIGTERM)) {
                if signal == Some(SIGINT) {
                    banner::interrupted();
                }
                stop(signal == Some(SIGINT));
                let (first, since) = (signal, Instant::now());
                signal = signals.find(|&next| Some(next) != first || since.elapsed() > ECHO);
            }
            if let Some(signal) = signal {
                last();
                let _ = emulate_default_handler(signal);
            }
        })?;
        Ok(())
    }
}

/// Which signals were ignored when this program began, all of them where the system does not tell.
fn ignored() -> impl Fn(i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(u64::MAX);
    move |signal| mask >> (signal - 1) & 1 == 1
}
