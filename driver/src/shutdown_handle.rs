//! What stops a server, of either driver, from anywhere.

use std::sync::Arc;

use crate::connections::Connections;
use crate::net::Acceptor;

/// Stops a server from anywhere.
#[derive(Debug, Clone)]
pub struct ShutdownHandle {
    /// Where new connections come from.
    pub acceptor: Arc<Acceptor>,
    /// Who is being served.
    pub connections: Arc<Connections>,
}

impl ShutdownHandle {
    /// Begins a graceful shutdown: no new connections but those that wait in the backlog, and each
    /// closes with its next response, which says so. What happens when is in [`ShutdownSchedule`]. Takes
    /// about a millisecond.
    ///
    /// [`ShutdownSchedule`]: crate::ShutdownSchedule
    pub fn stop(&self) {
        self.acceptor.stop(); // first: who was told to close may connect again at once
        self.connections.begin_shutdown();
    }

    /// After [`ShutdownHandle::stop`]: closes idle connections now, whatever [`Config::lame_duck`] is. For
    /// a person who waits for the end, and where no proxy is about to send on them.
    ///
    /// [`Config::lame_duck`]: crate::Config::lame_duck
    pub fn close_idle(&self) {
        self.connections.close_idle();
    }

    /// Whether [`ShutdownHandle::stop`] was called.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.acceptor.is_stopped()
    }
}
