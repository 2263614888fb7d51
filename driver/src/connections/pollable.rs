//! A connection as the thing that a reactor polls.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::ConnectionHandle;

/// A connection whose stream has a descriptor, for a reactor that owns what it polls. It keeps the
/// stream open.
#[derive(Debug, Clone)]
pub struct Pollable(Arc<ConnectionHandle>);

impl ConnectionHandle {
    /// Its descriptor, to be polled until it is readable or writable; `None` for a connection in
    /// memory, which never has to be waited for.
    #[must_use]
    pub fn pollable(self: &Arc<Self>) -> Option<Pollable> {
        self.stream().fd().is_some().then(|| Pollable(self.clone()))
    }
}

impl AsFd for Pollable {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let Some(fd) = self.0.stream().fd() else {
            unreachable!(
                "`ConnectionHandle::pollable` has checked it, and a stream stays what it is"
            )
        };
        fd
    }
}
