//! How many may be in at once, and who waits to be: a door for processes.
//!
//! At most so many have a [`Permit`]; at most so many others have a [`Waiter`] and wait for one, first
//! come first served, however often they look; everybody else is turned away at once. Who waits does so
//! on a thread or in a task. Places and waiters are given back when they are dropped.
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
use rustix::process::{Pid, Signal};

use crate::os::{Stopwatch, signal_group};

/// How long a start is waited for whose process is to be killed, and the end of one that was.
const KILL_WAIT: Duration = Duration::from_millis(500);

/// The door. Shared by reference.
#[derive(Debug)]
pub struct Semaphore {
    max_permits: usize,
    max_waiting: usize,
    state: Mutex<State>,
    /// One more has left, or one more of those who are in is known.
    changed: Event,
}

#[derive(Debug, Default)]
struct State {
    held: usize,
    /// Who waits, in the order they came, each to be told when it is their exchange.
    waiting: VecDeque<Arc<Event>>,
    /// The process groups that are in, none of them reaped.
    groups: Vec<Pid>,
    /// How many of those inside have told their group, gone or not.
    with_group: usize,
    /// Nobody comes in any more.
    closed: bool,
    /// Nobody stays either.
    killed: bool,
}

/// The right to be in.
#[derive(Debug)]
pub struct Permit {
    semaphore: Arc<Semaphore>,
    group: Option<Pid>,
    has_group: bool,
}

/// The right to wait for a permit.
#[derive(Debug)]
pub struct Waiter {
    semaphore: Arc<Semaphore>,
    notified: Arc<Event>,
}

impl Semaphore {
    /// `most` may be in, at least one; `longest` others may wait.
    #[must_use]
    pub fn new(most: usize, longest: usize) -> Arc<Self> {
        Arc::new(Self {
            max_permits: most.max(1),
            max_waiting: longest,
            state: Mutex::default(),
            changed: Event::new(),
        })
    }

    /// A permit, when one is free and nobody waits for it.
    #[must_use]
    pub fn try_acquire(self: &Arc<Self>) -> Option<Permit> {
        let mut crowd = self.state();
        (crowd.waiting.is_empty() && self.grant(&mut crowd)).then(|| Permit::new(self))
    }

    /// A waiter, when not too many have one.
    #[must_use]
    pub fn enqueue(self: &Arc<Self>) -> Option<Waiter> {
        let mut crowd = self.state();
        if crowd.waiting.len() >= self.max_waiting || crowd.closed {
            return None;
        }
        let exchange = Arc::new(Event::new());
        crowd.waiting.push_back(exchange.clone());
        Some(Waiter { semaphore: self.clone(), notified: exchange })
    }

    /// Whether a newcomer would be turned away.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let crowd = self.state();
        crowd.held >= self.max_permits && crowd.waiting.len() >= self.max_waiting
    }

    /// Lets nobody in from now on, and wakes everybody who waits to be. Who is in should leave.
    pub fn close(&self) {
        let mut crowd = self.state();
        crowd.closed = true;
        for exchange in &crowd.waiting {
            exchange.notify(1);
        }
    }

    /// Waits until nobody is in, for `most` at most; whether that is so.
    pub fn wait_idle(&self, most: Duration) -> bool {
        self.wait_while(most, |crowd| crowd.held > 0)
    }

    /// Waits in a task until nobody is in.
    pub async fn idle(&self) {
        loop {
            let settled = self.changed.listen();
            if self.state().held == 0 {
                return;
            }
            settled.await;
        }
    }

    /// Lets nobody in, and waits until nobody is; who still is after `most` is killed.
    pub fn drain(&self, most: Duration) {
        self.close();
        if !self.wait_idle(most) {
            self.kill_all();
            self.wait_idle(KILL_WAIT);
        }
    }

    /// Lets nobody in, and kills every process group that is in or is being started: it waits a moment
    /// for those. For a program that ends at once: who is killed still wants to be reaped.
    pub fn kill(&self) {
        self.kill_all();
        self.wait_while(KILL_WAIT, |crowd| crowd.held > crowd.with_group);
    }

    /// The same without the wait: who is being started is killed as soon as he was.
    pub fn kill_all(&self) {
        self.close();
        let mut crowd = self.state();
        crowd.killed = true;
        for &group in &crowd.groups {
            signal_group(group, Signal::KILL);
        }
    }

    fn wait_while(&self, most: Duration, waits: impl Fn(&State) -> bool) -> bool {
        let mut waited = Stopwatch::default();
        loop {
            let settled = self.changed.listen();
            if !waits(&self.state()) {
                return true;
            }
            let Some(step) = waited.next_step(most) else { return false };
            let _ = settled.wait_timeout(step);
        }
    }

    fn grant(&self, crowd: &mut State) -> bool {
        let fits = crowd.held < self.max_permits && !crowd.closed;
        crowd.held += usize::from(fits);
        fits
    }

    /// Tells whoever is next that there is a permit.
    fn notify_first(&self, crowd: &State) {
        if crowd.held < self.max_permits
            && let Some(exchange) = crowd.waiting.front()
        {
            exchange.notify(1);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    fn new(places: &Arc<Semaphore>) -> Self {
        Self { semaphore: places.clone(), group: None, has_group: false }
    }

    /// Takes in a process group.
    pub(crate) fn add_group(&mut self, group: Pid) {
        (self.group, self.has_group) = (Some(group), true);
        let mut crowd = self.semaphore.state();
        crowd.groups.push(group);
        crowd.with_group += 1;
        if crowd.killed {
            signal_group(group, Signal::KILL);
        }
        self.semaphore.changed.notify(usize::MAX);
    }

    /// Whether the door was closed meanwhile.
    pub(crate) fn is_closed(&self) -> bool {
        self.semaphore.state().closed
    }

    /// The group is about to be reaped; from here on its id may be anybody's.
    pub(crate) fn remove_group(&mut self) {
        if let Some(group) = self.group.take() {
            self.semaphore.state().groups.retain(|other| *other != group);
        }
    }
}

impl Waiter {
    /// A permit, when one is free and nobody came before. Listen first, then look: else a moment is
    /// missed.
    #[must_use]
    pub fn try_acquire(&self) -> Option<Permit> {
        let mut crowd = self.semaphore.state();
        let is_next =
            crowd.waiting.front().is_some_and(|exchange| Arc::ptr_eq(exchange, &self.notified));
        (is_next && self.semaphore.grant(&mut crowd)).then(|| Permit::new(&self.semaphore))
    }

    /// Whether waiting is of no use any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.semaphore.state().closed
    }

    /// Is told when it is this one's exchange, or when it never will be.
    #[must_use]
    pub fn listen(&self) -> EventListener {
        self.notified.listen()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.remove_group();
        let mut crowd = self.semaphore.state();
        crowd.held -= 1;
        crowd.with_group -= usize::from(self.has_group);
        self.semaphore.changed.notify(usize::MAX);
        self.semaphore.notify_first(&crowd);
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut crowd = self.semaphore.state();
        crowd.waiting.retain(|exchange| !Arc::ptr_eq(exchange, &self.notified));
        self.semaphore.notify_first(&crowd);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn b_256_nobody_overtakes_who_waits() {
        let places = Semaphore::new(1, 2);
        let first = places.try_acquire().unwrap();
        let (one, two) = (places.enqueue().unwrap(), places.enqueue().unwrap());
        assert!(places.is_full() && places.enqueue().is_none());
        let (late, early) = (two.listen(), one.listen());
        drop(first);
        assert!(places.try_acquire().is_none(), "a newcomer does not push in");
        assert!(two.try_acquire().is_none(), "nor does who came later");
        early.wait();
        let permit = one.try_acquire().unwrap();
        drop((one, permit));
        late.wait();
        drop(two.try_acquire().unwrap());
        drop(two);
        assert!(places.try_acquire().is_some());
    }

    #[test]
    fn b_256_who_leaves_the_queue_lets_the_next_one_on() {
        let places = Semaphore::new(1, 2);
        let first = places.try_acquire().unwrap();
        let (one, two) = (places.enqueue().unwrap(), places.enqueue().unwrap());
        let listener = two.listen();
        drop(first); // it is the exchange of one who does not look any more
        drop(one);
        listener.wait();
        assert!(two.try_acquire().is_some());
    }

    #[test]
    fn b_256_a_closed_door_stays_closed_and_who_waits_is_told() {
        let places = Semaphore::new(1, 2);
        let permit = places.try_acquire().unwrap();
        let waiter = places.enqueue().unwrap();
        let listener = waiter.listen();
        places.close();
        listener.wait();
        drop(permit);
        assert!(waiter.is_closed() && waiter.try_acquire().is_none());
        assert!(places.try_acquire().is_none() && places.enqueue().is_none());
    }

    #[test]
    fn b_256_emptiness_can_be_waited_for() {
        let places = Semaphore::new(2, 0);
        assert!(places.wait_idle(Duration::ZERO));
        let permit = places.try_acquire().unwrap();
        assert!(!places.wait_idle(Duration::ZERO));
        let waiting = places.clone();
        let waiter = thread::spawn(move || waiting.wait_idle(Duration::from_secs(10)));
        drop(permit);
        assert!(waiter.join().unwrap());
    }
}
