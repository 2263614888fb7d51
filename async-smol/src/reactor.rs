//! Starts async-io's reactor before serving, so that a failure is an error and not a panic.
//!
//! There is one reactor in a process. It starts a thread and opens descriptors for epoll when the
//! first future needs it, and panics if the system refuses them. So they are probed first.

use std::io;
use std::panic;
use std::sync::OnceLock;
use std::time::Duration;

use async_io::Timer;
use doorstep_driver::os;
use smol::future;

/// Descriptors that the reactor opens, and one for a first connection.
const REACTOR_DESCRIPTORS: usize = 4;
/// Any time that does not pass while the timer is polled.
const FAR_FUTURE: Duration = Duration::from_secs(60);

/// Starts the reactor, unless it has been started.
///
/// # Errors
/// Returns an error if the system has no thread or no descriptor for it.
pub(crate) fn start() -> io::Result<()> {
    static STARTED: OnceLock<()> = OnceLock::new();
    if STARTED.get().is_some() {
        return Ok(());
    }
    os::can_open_descriptors(REACTOR_DESCRIPTORS)?;
    os::can_create_poller()?;
    os::can_start_thread()?;
    // Other processes may have taken what was there a moment ago.
    let started = panic::catch_unwind(|| {
        future::block_on(future::poll_once(Timer::after(FAR_FUTURE)));
    });
    started.map_err(|_| io::Error::other("the reactor could not be started"))?;
    STARTED.get_or_init(|| ());
    Ok(())
}
