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
pub(crate) struct BufferPool(Mutex<Spare>);

/// Boxed, since they are moved for each request.
type Spare = Vec<Box<Buffers>>;

/// What a connection needs while it is busy. It is boxed where it is moved.
pub(crate) struct Buffers {
    pub(crate) inbox: Inbox<GrowableBuffer>,
    pub(crate) outbox: Outbox,
}

impl BufferPool {
    /// Buffers with nothing in them.
    pub(crate) fn take(&self, config: &Config) -> Box<Buffers> {
        let spare = self.spare().pop();
        let new = || Buffers { inbox: config.inbox(), outbox: config.outbox() };
        spare.unwrap_or_else(|| Box::new(new()))
    }

    /// Takes buffers back. At most [`Config::max_spare_buffers`] are kept.
    pub(crate) fn put(&self, mut buffers: Box<Buffers>, config: &Config) {
        if !buffers.inbox.unread().is_empty() || buffers.inbox.is_eof() {
            let Buffers { inbox, outbox } = *buffers;
            let (storage, _) = inbox.into_parts();
            buffers = Box::new(Buffers { inbox: Inbox::new(storage), outbox });
        }
        buffers.outbox.clear();
        buffers.outbox.shrink_to(2 * config.flush_threshold);
        let mut spare = self.spare();
        if spare.len() < config.max_spare_buffers {
            spare.push(buffers);
        }
    }

    /// Waits for the next request without `buffers`, which are empty. Then they are there again, with
    /// its first bytes. Returns the number of bytes, 0 at the end of input.
    #[inline(never)] // its array would stand below everything else on the stack
    pub(crate) fn wait_for_request<'b>(
        &self,
        buffers: &'b mut Option<Box<Buffers>>,
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

    fn spare(&self) -> MutexGuard<'_, Spare> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_empty_whatever_was_left_in_them() {
        let (pool, config) = (BufferPool::default(), Config::default());
        for input in [&b"GET / HT"[..], b""] {
            let mut buffers = pool.take(&config);
            buffers.inbox.fill(&mut &*input).unwrap(); // unread bytes; the end of input
            buffers.outbox.append_with(3, |space| Ok::<_, io::Error>(space.len())).unwrap();
            pool.put(buffers, &config);
            let buffers = pool.take(&config);
            assert!(pool.spare().is_empty(), "they were kept");
            assert!(buffers.inbox.unread().is_empty() && !buffers.inbox.is_eof());
            assert!(buffers.outbox.is_empty());
            pool.put(buffers, &config);
        }
    }

    #[test]
    fn no_more_are_kept_than_configured() {
        let mut config = Config::default();
        config.max_spare_buffers = 2;
        let pool = BufferPool::default();
        let taken: Vec<_> = (0..5).map(|_| pool.take(&config)).collect();
        taken.into_iter().for_each(|buffers| pool.put(buffers, &config));
        assert_eq!(pool.spare().len(), 2);
    }
}
