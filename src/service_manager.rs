//! Notifications of a service manager (`sd_notify`): that the server is ready, that it stops, and, for its
//! watchdog, that it makes progress.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use doorstep_driver::os::{self, ServiceManager};
use doorstep_driver::{Observer, ShutdownHandle};

use crate::failure::Failure;
use crate::signals::Reload;

/// The service manager, if one has started this process; none by default.
#[derive(Debug, Default)]
pub(crate) struct Manager(Option<Arc<ServiceManager>>);

impl Manager {
    /// That of the environment. One that cannot be reached is reported, and is no reason not to serve.
    pub(crate) fn from_env() -> Self {
        let manager = ServiceManager::from_env().unwrap_or_else(|error| {
            let _ = writeln!(
                io::stderr(),
                "doorstep: cannot notify the service manager (NOTIFY_SOCKET): {}; serving all \
                 the same",
                os::describe_error(&error)
            );
            None
        });
        Self(manager.map(Arc::new))
    }

    /// What SIGHUP does under a service manager if there is nothing to reload: nothing, since its command
    /// to reload must not end the server.
    pub(crate) fn reload(&self) -> Option<Reload> {
        self.0.as_ref()?;
        Some(Box::new(|| {}))
    }

    /// Starts the thread that sends `WATCHDOG=1` as long as the server makes progress, if the service
    /// manager expects it.
    pub(crate) fn watch(&self, shutdown: ShutdownHandle) -> Result<(), Failure> {
        let Some(manager) = self.0.clone() else { return Ok(()) };
        let Some(interval) = manager.watchdog_interval() else { return Ok(()) };
        let watch = move || watchdog(&manager, &shutdown, interval);
        let thread = thread::Builder::new().name("watchdog".into()).spawn(watch);
        thread.map(drop).map_err(Failure::Serve)
    }
}

impl Observer for Manager {
    fn on_start(&self) {
        self.0.iter().for_each(|manager| manager.on_start());
    }
    fn on_shutdown(&self) {
        self.0.iter().for_each(|manager| manager.on_shutdown());
    }
    fn wants_timing(&self) -> bool {
        false
    }
}

/// Sends `WATCHDOG=1` at every interval in which each loop of the server has had a turn.
fn watchdog(manager: &ServiceManager, shutdown: &ShutdownHandle, interval: Duration) {
    loop {
        let begin = Instant::now();
        if shutdown.is_alive(interval) {
            let _ = manager.alive();
        }
        thread::sleep(interval.saturating_sub(begin.elapsed()).max(MIN_PAUSE));
    }
}

/// So that a watchdog of microseconds does not keep a processor busy.
const MIN_PAUSE: Duration = Duration::from_millis(1);
