//! A connection in its connection, which it gives back.

use std::sync::Arc;

use doorstep_driver::Config;
use doorstep_driver::connections::{ConnectionHandle, Connections};

use crate::thread_pool::ThreadPool;

/// What all connections of a worker share. They have one reference to it, since each byte of theirs is
/// there ten thousand times.
pub(crate) struct Shared<'l> {
    pub(crate) connections: &'l Connections,
    pub(crate) config: &'l Config,
    pub(crate) pool: &'l ThreadPool,
}

/// A connection in its connection, which it gives back when it is dropped: at any wait.
pub(crate) struct ConnectionGuard<'l> {
    pub(crate) shared: &'l Shared<'l>,
    pub(crate) connection: Arc<ConnectionHandle>,
}

impl Drop for ConnectionGuard<'_> {
    fn drop(&mut self) {
        self.shared.connections.unregister(self.connection.clone());
    }
}
