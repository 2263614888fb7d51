//! A connection in its seat, which it gives back.

use std::sync::Arc;

use doorstep_blocking::registry::{Registry, Seat};

/// A connection in its seat, which it gives back when it is dropped: at any wait.
pub(crate) struct Guest<'l> {
    pub(crate) registry: &'l Registry,
    pub(crate) seat: Arc<Seat>,
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        self.registry.leave(self.seat.clone());
    }
}
