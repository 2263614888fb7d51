//! Buffers for the connections of a front end that are busy: an idle connection has none.
//!
//! So many idle connections hold a few buffers, and those that are served use the buffers that were
//! used last, which are in the processor's caches.
//!
//! ```
//! use doorstep_driver::{BufferPool, Config};
//!
//! let (pool, config) = (BufferPool::default(), Config::default());
//! let mut buffers = pool.take(&config);
//! buffers.inbox.fill(&mut &b"GET / HTTP/1.1\r\n"[..])?;
//! pool.put(buffers, &config);
//! assert!(pool.take(&config).inbox.unread().is_empty());
//! # Ok::<(), std::io::Error>(())
//! ```

use std::sync::{Mutex, MutexGuard, PoisonError};

use doorstep_core::http1::{GrowableBuffer, Inbox, Outbox};

use crate::config::Config;

/// Buffers that are not in use.
#[derive(Debug)]
pub struct BufferPool {
    spare: Mutex<Spare>,
    /// How many pools share [`Config::max_spare_buffers`].
    pools: usize,
}

/// The only pool of a front end or of a worker.
impl Default for BufferPool {
    fn default() -> Self {
        Self::one_of(1)
    }
}

/// Boxed, since they are moved for each request.
type Spare = Vec<Box<Buffers>>;

/// What a connection needs while it is busy.
#[derive(Debug)]
pub struct Buffers {
    /// What was received.
    pub inbox: Inbox<GrowableBuffer>,
    /// What is to be sent.
    pub outbox: Outbox,
}

impl Buffers {
    /// New buffers of the sizes that `config` says.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { inbox: config.inbox(), outbox: config.outbox() }
    }

    /// These buffers for another connection: with nothing in them, and no larger than most connections
    /// need.
    #[must_use]
    pub fn emptied(mut self: Box<Self>, config: &Config) -> Box<Self> {
        if !self.inbox.unread().is_empty() || self.inbox.is_eof() {
            let Self { inbox, outbox } = *self;
            let (storage, _) = inbox.into_parts();
            self = Box::new(Self { inbox: Inbox::new(storage), outbox });
        }
        self.outbox.clear();
        self.outbox.shrink_to(2 * config.flush_threshold);
        self
    }
}

impl BufferPool {
    /// One of several pools, among which the threads of a front end are divided, so that they seldom
    /// wait for each other. Each keeps its part of [`Config::max_spare_buffers`], rounded up.
    #[must_use]
    pub fn one_of(pools: usize) -> Self {
        Self { spare: Mutex::default(), pools: pools.max(1) }
    }

    /// Buffers with nothing in them.
    pub fn take(&self, config: &Config) -> Box<Buffers> {
        let spare = self.spare().pop();
        spare.unwrap_or_else(|| Box::new(Buffers::new(config)))
    }

    /// Takes buffers back, whatever is in them. At most [`Config::max_spare_buffers`] are kept.
    pub fn put(&self, buffers: Box<Buffers>, config: &Config) {
        let buffers = buffers.emptied(config);
        let mut spare = self.spare();
        if spare.len() < config.max_spare_buffers.div_ceil(self.pools) {
            spare.push(buffers);
        }
    }

    fn spare(&self) -> MutexGuard<'_, Spare> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

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
        let config = Config { max_spare_buffers: 4, ..Config::default() };
        for (pool, kept) in [(BufferPool::default(), 4), (BufferPool::one_of(3), 2)] {
            let taken: Vec<_> = (0..5).map(|_| pool.take(&config)).collect();
            taken.into_iter().for_each(|buffers| pool.put(buffers, &config));
            assert_eq!(pool.spare().len(), kept);
        }
    }
}
