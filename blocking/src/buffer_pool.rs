//! Buffers for connections that are busy. An idle connection has none.
//!
//! A thread that waits for a request receives the first bytes of it on its own stack, which is there
//! anyway, and takes buffers from the pool when they have come. So a thousand idle connections hold
//! a few buffers, and the connections that are served use those that were used last, which are in
//! the processor's caches.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use doorstep_core::http1::{GrowableBuffer, Inbox, Outbox, WaitingFor};
use doorstep_driver::Config;

use crate::socket::Socket;

/// The most bytes of a request, in bytes, that are received before it has a buffer. Most heads fit in
/// it.
const FIRST_READ: usize = 2 << 10;

/// Buffers that are not in use.
#[derive(Default)]
pub(crate) struct BufferPool(Mutex<Vec<Buffers>>);

/// What a connection needs while it is busy.
pub(crate) struct Buffers {
    pub(crate) inbox: Inbox<GrowableBuffer>,
    pub(crate) outbox: Outbox,
}

impl BufferPool {
    /// Buffers with nothing in them.
    #[inline(never)]
    pub(crate) fn take(&self, config: &Config) -> Buffers {
        let spare = self.spare().pop();
        spare.unwrap_or_else(|| Buffers { inbox: config.inbox(), outbox: config.outbox() })
    }

    /// Takes buffers back. At most [`Config::max_spare_buffers`] are kept.
    pub(crate) fn put(&self, buffers: Buffers, config: &Config) {
        let Buffers { inbox, mut outbox } = buffers;
        let Some(storage) = inbox.into_storage() else { return }; // something is unread
        outbox.clear();
        outbox.shrink_to(2 * config.flush_threshold);
        let mut spare = self.spare();
        if spare.len() < config.max_spare_buffers {
            spare.push(Buffers { inbox: Inbox::new(storage), outbox });
        }
    }

    /// Waits for the next request without `buffers`, which are empty. Then they are there again, with
    /// its first bytes. Returns the number of bytes, 0 at the end of input.
    #[inline(never)] // its array would stand below everything else on the stack
    pub(crate) fn wait_for_request<'b>(
        &self,
        buffers: &'b mut Option<Buffers>,
        socket: &Socket<'_>,
        config: &Config,
    ) -> (io::Result<usize>, &'b mut Buffers) {
        if let Some(empty) = buffers.take() {
            self.put(empty, config);
        }
        let mut first = [0; FIRST_READ];
        let received = socket.read_into(&mut first, WaitingFor::Request);
        let buffers = buffers.insert(self.take(config));
        let received = received.and_then(|n| {
            let space = buffers.inbox.space().get_mut(..n).ok_or(io::ErrorKind::StorageFull)?;
            space.copy_from_slice(&first[..n]);
            buffers.inbox.filled(n);
            Ok(n)
        });
        (received, buffers)
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Buffers>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
