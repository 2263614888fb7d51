//! Ctrl-C and SIGTERM: the first asks the server to stop, the second ends the process at once.

use std::io;
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::emulate_default_handler;

use crate::banner;

/// The signals that mean "stop", caught from the moment this exists.
pub(crate) struct Signals(signal_hook::iterator::Signals);

impl Signals {
    /// Catches them.
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self(signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?))
    }

    /// Calls `stop` at the first signal, from a thread of its own, and `last` at the second, which
    /// then does what it does to everybody, so that whoever waits for us sees which signal it was.
    pub(crate) fn then(
        mut self,
        stop: impl FnOnce() + Send + 'static,
        last: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        thread::Builder::new().name("signals".into()).spawn(move || {
            let mut signals = self.0.forever();
            if signals.next() == Some(SIGINT) {
                banner::interrupted();
            }
            stop();
            if let Some(second) = signals.next() {
                last();
                let _ = emulate_default_handler(second);
            }
        })?;
        Ok(())
    }
}
