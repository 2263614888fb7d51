//! Which worker serves a new connection.
//!
//! All workers accept from the same listeners. A new connection wakes one that is idle, and nearly
//! always the same one: so it would have all long-lived connections of a server with little to do,
//! and be the only one that works when they become busy. A worker that has many more connections
//! than another gives it the new one.

use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use doorstep_driver::connections::Registration;
use doorstep_driver::event_listener::{Event, EventListener};

/// The number of connections of each worker, and those that are given to it.
pub(crate) struct Balance<'s>(Vec<Share<'s>>);

#[derive(Default)]
struct Share<'s> {
    open: AtomicUsize,
    given: Mutex<Vec<Registration<'s>>>,
    came: Event,
}

impl<'s> Balance<'s> {
    pub(crate) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Share::default()).collect())
    }

    /// Gives a connection that worker `from` has accepted to one that has fewer. Returns it if there
    /// is none.
    pub(crate) fn hand_over(
        &self,
        connection: Registration<'s>,
        from: usize,
    ) -> Option<Registration<'s>> {
        let open = |share: &Share<'_>| share.open.load(Ordering::Relaxed);
        let Some(least) = self.0.iter().min_by_key(|share| open(share)) else {
            return Some(connection);
        };
        // To wake another worker costs more than a small difference.
        let (own, others) = (self.0.get(from).map_or(0, open), open(least));
        if own <= others + others / 8 + 1 {
            return Some(connection);
        }
        least.given.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        least.came.notify(usize::MAX);
        None
    }

    /// A listener that is notified when worker `to` is given a connection. To miss none, listen before
    /// looking.
    pub(crate) fn listen(&self, to: usize) -> EventListener {
        self.0[to].came.listen()
    }

    /// The connections that worker `to` was given since the last call.
    pub(crate) fn take_given(&self, to: usize) -> Vec<Registration<'s>> {
        mem::take(&mut *self.0[to].given.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Worker `at` serves one more connection, until the result is dropped.
    pub(crate) fn opened(&self, at: usize) -> Open<'_> {
        let open = &self.0[at].open;
        open.fetch_add(1, Ordering::Relaxed);
        Open(open)
    }
}

/// A connection that counts as one of its worker's.
pub(crate) struct Open<'b>(&'b AtomicUsize);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
