//! Which worker serves a new connection.
//!
//! All workers accept from the same listeners. A new connection wakes one that is idle, and nearly
//! always the same one: so it would have all long-lived connections of a server with little to do,
//! and be the only one that works when they become busy. A connection that a worker accepts while it
//! has many more than another is assigned to the other.

use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use doorstep_driver::connections::Registration;
use doorstep_driver::event_listener::{Event, EventListener};

/// The load of each worker, by its index.
pub(crate) struct Balance<'s>(Vec<WorkerLoad<'s>>);

#[derive(Default)]
struct WorkerLoad<'s> {
    /// How many connections it serves.
    open: AtomicUsize,
    /// The connections that it does not serve yet.
    assigned: Mutex<Vec<Registration<'s>>>,
    /// A connection was assigned to it.
    assigned_event: Event,
}

impl<'s> Balance<'s> {
    pub(crate) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| WorkerLoad::default()).collect())
    }

    /// Assigns a connection that worker `acceptor` has accepted to a worker that has fewer. Returns it
    /// if there is none.
    pub(crate) fn assign(
        &self,
        connection: Registration<'s>,
        acceptor: usize,
    ) -> Option<Registration<'s>> {
        let open = |load: &WorkerLoad<'_>| load.open.load(Ordering::Relaxed);
        let Some(least) = self.0.iter().min_by_key(|load| open(load)) else {
            return Some(connection);
        };
        // To wake another worker costs more than a small difference.
        let (own, others) = (self.0.get(acceptor).map_or(0, open), open(least));
        if own <= others + others / 8 + 1 {
            return Some(connection);
        }
        least.assigned.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        least.assigned_event.notify(usize::MAX);
        None
    }

    /// A listener that is notified when a connection is assigned to `worker`. To miss none, listen before
    /// looking.
    pub(crate) fn listen(&self, worker: usize) -> EventListener {
        self.0[worker].assigned_event.listen()
    }

    /// The connections that were assigned to `worker` since the last call.
    pub(crate) fn take_assigned(&self, worker: usize) -> Vec<Registration<'s>> {
        mem::take(&mut *self.0[worker].assigned.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// `worker` serves one more connection, until the result is dropped.
    pub(crate) fn opened(&self, worker: usize) -> OpenCount<'_> {
        let open = &self.0[worker].open;
        open.fetch_add(1, Ordering::Relaxed);
        OpenCount(open)
    }
}

/// A connection that counts as one of its worker's.
pub(crate) struct OpenCount<'b>(&'b AtomicUsize);

impl Drop for OpenCount<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
