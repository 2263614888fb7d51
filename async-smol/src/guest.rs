//! A connection in its seat, which it gives back.

use std::sync::Arc;

use doorstep_driver::Config;
use doorstep_driver::connections::{Registry, Seat};

use crate::thread_pool::ThreadPool;

/// What all connections of a lane share. They have one reference to it, since each byte of theirs is
/// there ten thousand times.
pub(crate) struct Home<'l> {
    pub(crate) registry: &'l Registry,
    pub(crate) config: &'l Config,
    pub(crate) pool: &'l ThreadPool,
}

/// A connection in its seat, which it gives back when it is dropped: at any wait.
pub(crate) struct Guest<'l> {
    pub(crate) home: &'l Home<'l>,
    pub(crate) seat: Arc<Seat>,
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        self.home.registry.leave(self.seat.clone());
    }
}
