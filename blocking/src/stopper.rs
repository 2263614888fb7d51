//! What stops a server, of either driver, from anywhere.

use std::sync::Arc;

use crate::host::Acceptor;
use crate::registry::Registry;

/// Stops a server from anywhere.
#[derive(Debug, Clone)]
pub struct Stopper {
    /// Where newcomers come from.
    pub acceptor: Arc<Acceptor>,
    /// Who is being served.
    pub registry: Arc<Registry>,
}

impl Stopper {
    /// No new connections; those that are idle close now, the others after their answer.
    pub fn stop(&self) {
        self.acceptor.stop();
        self.registry.close_up();
    }

    /// Whether [`Stopper::stop`] was said.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.acceptor.is_stopped()
    }
}
