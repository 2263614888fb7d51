//! A connection's socket as the reactor holds it: it keeps its seat, and gives it back.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use doorstep_blocking::registry::{Registry, Seat};

/// A connection in its seat, which it gives back when it is dropped: at any wait.
pub(crate) struct Guest<'l> {
    pub(crate) registry: &'l Registry,
    pub(crate) seat: Arc<Seat>,
}

impl AsFd for Guest<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.seat.as_fd()
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        self.registry.leave(&self.seat);
    }
}
