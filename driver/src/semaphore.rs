//! A counting semaphore with a bounded queue.
//!
//! A [`Semaphore`] has a number of permits, and a queue of bounded length. A [`Permit`] is held
//! until it is dropped. A [`Waiter`] is an entry of the queue: waiters get permits in the order in
//! which they were enqueued (FIFO), and wait on a thread or in a task. When the queue is full, no
//! further waiter is enqueued. The semaphore can be closed, so that no further permit is granted.
//!
//! ```
//! use doorstep_driver::semaphore::Semaphore;
//!
//! let semaphore = Semaphore::new(1, 1);
//! let first = semaphore.try_acquire().expect("it is free");
//! assert!(semaphore.try_acquire().is_none());
//! let waiter = semaphore.enqueue().expect("the queue is empty");
//! assert!(semaphore.enqueue().is_none());
//! drop(first);
//! let second = waiter.try_acquire().expect("it is free again");
//! # drop(second);
//! ```

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_listener::{Event, EventListener, Listener};

use crate::os::Stopwatch;

/// A number of permits, and the queue for them.
#[derive(Debug)]
pub struct Semaphore {
    max_permits: usize,
    max_waiting: usize,
    state: Mutex<State>,
    /// A permit was released.
    released: Event,
}

#[derive(Debug, Default)]
struct State {
    held: usize,
    /// The queue, in order. Each waiter is notified when there is a permit for it.
    waiting: VecDeque<Arc<Event>>,
    closed: bool,
}

/// One of a semaphore's permits. Dropping it releases the permit.
#[derive(Debug)]
pub struct Permit {
    semaphore: Arc<Semaphore>,
}

/// An entry of the queue for a permit. Dropping it removes the entry.
#[derive(Debug)]
pub struct Waiter {
    semaphore: Arc<Semaphore>,
    notified: Arc<Event>,
}

impl Semaphore {
    /// A semaphore with `max_permits` permits, at least one, and at most `max_waiting` waiters.
    #[must_use]
    pub fn new(max_permits: usize, max_waiting: usize) -> Arc<Self> {
        Arc::new(Self {
            max_permits: max_permits.max(1),
            max_waiting,
            state: Mutex::default(),
            released: Event::new(),
        })
    }

    /// Acquires a permit, if one is free and there is no waiter.
    #[must_use]
    pub fn try_acquire(self: &Arc<Self>) -> Option<Permit> {
        let mut state = self.state();
        (state.waiting.is_empty() && self.grant(&mut state)).then(|| Permit::new(self))
    }

    /// Enqueues a waiter. Returns `None` if the queue is full or the semaphore is closed.
    #[must_use]
    pub fn enqueue(self: &Arc<Self>) -> Option<Waiter> {
        let mut state = self.state();
        if state.waiting.len() >= self.max_waiting || state.closed {
            return None;
        }
        let notified = Arc::new(Event::new());
        state.waiting.push_back(notified.clone());
        Some(Waiter { semaphore: self.clone(), notified })
    }

    /// Whether all permits are held and the queue is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let state = self.state();
        state.held >= self.max_permits && state.waiting.len() >= self.max_waiting
    }

    /// Grants no permit from now on, and notifies all waiters. Permits that are held stay valid.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        for notified in &state.waiting {
            notified.notify(1);
        }
    }

    /// Waits until no permit is held, at most for `timeout`. Returns whether that is so.
    pub fn wait_idle(&self, timeout: Duration) -> bool {
        let mut waited = Stopwatch::default();
        loop {
            let released = self.released.listen();
            if self.is_idle() {
                return true;
            }
            let Some(step) = waited.next_wait(timeout) else { return false };
            let _ = released.wait_timeout(step);
        }
    }

    /// Waits in a task until no permit is held.
    pub async fn idle(&self) {
        loop {
            let released = self.released.listen();
            if self.is_idle() {
                return;
            }
            released.await;
        }
    }

    fn is_idle(&self) -> bool {
        self.state().held == 0
    }

    fn grant(&self, state: &mut State) -> bool {
        let fits = state.held < self.max_permits && !state.closed;
        state.held += usize::from(fits);
        fits
    }

    /// Notifies the first waiter if there is a permit for it.
    fn notify_first(&self, state: &State) {
        if state.held < self.max_permits
            && let Some(notified) = state.waiting.front()
        {
            notified.notify(1);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    fn new(semaphore: &Arc<Semaphore>) -> Self {
        Self { semaphore: semaphore.clone() }
    }

    /// Whether the semaphore was closed meanwhile.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.semaphore.state().closed
    }
}

impl Waiter {
    /// Acquires a permit, if one is free and this waiter is the first. To miss no notification,
    /// call [`Waiter::listen`] before.
    #[must_use]
    pub fn try_acquire(&self) -> Option<Permit> {
        let mut state = self.semaphore.state();
        let is_first =
            state.waiting.front().is_some_and(|first| Arc::ptr_eq(first, &self.notified));
        (is_first && self.semaphore.grant(&mut state)).then(|| Permit::new(&self.semaphore))
    }

    /// Whether the semaphore was closed, so that there will be no permit.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.semaphore.state().closed
    }

    /// A listener that is notified when there is a permit for this waiter, or when the semaphore is
    /// closed.
    #[must_use]
    pub fn listen(&self) -> EventListener {
        self.notified.listen()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.semaphore.state();
        state.held -= 1;
        self.semaphore.released.notify(usize::MAX);
        self.semaphore.notify_first(&state);
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut state = self.semaphore.state();
        state.waiting.retain(|other| !Arc::ptr_eq(other, &self.notified));
        self.semaphore.notify_first(&state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn b_256_waiters_are_served_in_order() {
        let semaphore = Semaphore::new(1, 2);
        let first = semaphore.try_acquire().unwrap();
        let (one, two) = (semaphore.enqueue().unwrap(), semaphore.enqueue().unwrap());
        assert!(semaphore.is_full() && semaphore.enqueue().is_none());
        let (late, early) = (two.listen(), one.listen());
        drop(first);
        assert!(semaphore.try_acquire().is_none(), "the waiters come first");
        assert!(two.try_acquire().is_none(), "it came later");
        early.wait();
        let permit = one.try_acquire().unwrap();
        drop((one, permit));
        late.wait();
        drop(two.try_acquire().unwrap());
        drop(two);
        assert!(semaphore.try_acquire().is_some());
    }

    #[test]
    fn b_256_if_a_waiter_is_dropped_the_next_one_is_notified() {
        let semaphore = Semaphore::new(1, 2);
        let first = semaphore.try_acquire().unwrap();
        let (one, two) = (semaphore.enqueue().unwrap(), semaphore.enqueue().unwrap());
        let listener = two.listen();
        drop(first); // the first waiter is notified, and does not try
        drop(one);
        listener.wait();
        assert!(two.try_acquire().is_some());
    }

    #[test]
    fn b_256_a_closed_semaphore_stays_closed_and_waiters_are_notified() {
        let semaphore = Semaphore::new(1, 2);
        let permit = semaphore.try_acquire().unwrap();
        let waiter = semaphore.enqueue().unwrap();
        let listener = waiter.listen();
        semaphore.close();
        listener.wait();
        drop(permit);
        assert!(waiter.is_closed() && waiter.try_acquire().is_none());
        assert!(semaphore.try_acquire().is_none() && semaphore.enqueue().is_none());
    }

    #[test]
    fn b_256_the_last_release_can_be_waited_for() {
        let semaphore = Semaphore::new(2, 0);
        assert!(semaphore.wait_idle(Duration::ZERO));
        let permit = semaphore.try_acquire().unwrap();
        assert!(!semaphore.wait_idle(Duration::ZERO));
        let waiting = semaphore.clone();
        let waiter = thread::spawn(move || waiting.wait_idle(Duration::from_secs(10)));
        drop(permit);
        assert!(waiter.join().unwrap());
    }
}
