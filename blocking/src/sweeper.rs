//! The thread that wakes connections whose deadline has passed ([`Connections::sweep`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::{io, mem};

use doorstep_driver::Config;
use doorstep_driver::connections::Connections;
use doorstep_driver::event_listener::Listener;

/// A thread that checks all deadlines at an interval, until it is dropped. It sleeps while there is
/// no connection.
#[derive(Debug)]
pub(crate) struct Sweeper {
    connections: Arc<Connections>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sweeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// Returns an error if the system has no thread for it.
    pub(crate) fn start(connections: Arc<Connections>, config: &Config) -> io::Result<Self> {
        let ended = Arc::new(AtomicBool::new(false));
        let (theirs, end, config) = (connections.clone(), ended.clone(), config.clone());
        let interval = Connections::interval(&config);
        let sweep = move || {
            let heartbeat = theirs.heartbeat();
            loop {
                let (registered, probed) = (theirs.listen_register(), heartbeat.listen()); // before looking
                heartbeat.report();
                if end.load(Ordering::SeqCst) {
                    return;
                }
                if theirs.is_empty() {
                    registered.wait();
                }
                probed.wait_timeout(interval);
                theirs.sweep(&config);
            }
        };
        let thread = Some(thread::Builder::new().name("sweeper".into()).spawn(sweep)?);
        Ok(Self { connections, ended, thread })
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        self.connections.wake_sweeper();
        if let Some(thread) = mem::take(&mut self.thread) {
            let _ = thread.join();
        }
    }
}
