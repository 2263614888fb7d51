//! How many may be in at once, and who waits to be: a door for processes.
//!
//! At most so many have a [`Place`]; at most so many others have a [`Ticket`] and wait for one, first
//! come first served; everybody else is turned away at once. Who waits does so on a thread or in a
//! task. Places and tickets are given back when they are dropped.
//!
//! ```
//! use doorstep_blocking::host::Places;
//!
//! let places = Places::new(1, 1);
//! let first = places.take().expect("it is free");
//! assert!(places.take().is_none());
//! let ticket = places.queue().expect("nobody else waits");
//! assert!(places.queue().is_none());
//! drop(first);
//! let second = ticket.take().expect("it is free again");
//! # drop(second);
//! ```

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_listener::{Event, EventListener};
use rustix::process::{Pid, Signal, kill_process_group};

/// The door. Shared by reference.
#[derive(Debug)]
pub struct Places {
    most: usize,
    longest: usize,
    crowd: Mutex<Crowd>,
    /// A place was given back.
    freed: Event,
    /// All are.
    empty: Condvar,
}

#[derive(Debug, Default)]
struct Crowd {
    inside: usize,
    waiting: usize,
    /// The process groups that are in, none of them reaped.
    groups: Vec<Pid>,
    /// Nobody comes in any more.
    closed: bool,
}

/// The right to be in.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    group: Option<Pid>,
}

/// The right to wait for a place.
#[derive(Debug)]
pub struct Ticket(Arc<Places>);

impl Places {
    /// `most` may be in, at least one; `longest` others may wait.
    #[must_use]
    pub fn new(most: usize, longest: usize) -> Arc<Self> {
        Arc::new(Self {
            most: most.max(1),
            longest,
            crowd: Mutex::default(),
            freed: Event::new(),
            empty: Condvar::new(),
        })
    }

    /// A place, when one is free and nobody waits for it.
    #[must_use]
    pub fn take(self: &Arc<Self>) -> Option<Place> {
        let mut crowd = self.crowd();
        (crowd.waiting == 0 && self.admit(&mut crowd)).then(|| Place::new(self))
    }

    /// A ticket, when not too many have one.
    #[must_use]
    pub fn queue(self: &Arc<Self>) -> Option<Ticket> {
        let mut crowd = self.crowd();
        let fits = crowd.waiting < self.longest && !crowd.closed;
        crowd.waiting += usize::from(fits);
        fits.then(|| Ticket(self.clone()))
    }

    /// Whether a newcomer would be turned away.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let crowd = self.crowd();
        crowd.inside >= self.most && crowd.waiting >= self.longest
    }

    /// Lets nobody in from now on, and wakes everybody who waits to be.
    pub fn close(&self) {
        self.crowd().closed = true;
        self.freed.notify(usize::MAX);
    }

    /// Waits until nobody is in, for `most` at most; whether that is so.
    pub fn wait_empty(&self, most: Duration) -> bool {
        let waiting = self.empty.wait_timeout_while(self.crowd(), most, |crowd| crowd.inside > 0);
        waiting.unwrap_or_else(PoisonError::into_inner).0.inside == 0
    }

    /// Kills every process group that is in. For a program that ends at once: who is killed still
    /// wants to be reaped.
    pub fn kill(&self) {
        for &group in &self.crowd().groups {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    fn admit(&self, crowd: &mut Crowd) -> bool {
        let fits = crowd.inside < self.most && !crowd.closed;
        crowd.inside += usize::from(fits);
        fits
    }

    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn new(places: &Arc<Places>) -> Self {
        Self { places: places.clone(), group: None }
    }

    /// Takes in a process group.
    pub(super) fn take_in(&mut self, group: Pid) {
        self.group = Some(group);
        self.places.crowd().groups.push(group);
    }

    /// The group is about to be reaped; from here on its id may be anybody's.
    pub(super) fn let_out(&mut self) {
        if let Some(group) = self.group.take() {
            self.places.crowd().groups.retain(|other| *other != group);
        }
    }
}

impl Ticket {
    /// A place, when one is free. Listen first, then look: else a moment is missed.
    #[must_use]
    pub fn take(&self) -> Option<Place> {
        self.0.admit(&mut self.0.crowd()).then(|| Place::new(&self.0))
    }

    /// Whether waiting is of no use any more.
    #[must_use]
    pub fn is_void(&self) -> bool {
        self.0.crowd().closed
    }

    /// Wakes whoever has waited longest when a place becomes free, and all when none will.
    #[must_use]
    pub fn listen(&self) -> EventListener {
        self.0.freed.listen()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.let_out();
        let mut crowd = self.places.crowd();
        crowd.inside -= 1;
        if crowd.inside == 0 {
            self.places.empty.notify_all();
        }
        drop(crowd);
        self.places.freed.notify(1);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.crowd().waiting -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_listener::Listener;
    use std::thread;

    #[test]
    fn b_256_nobody_overtakes_who_waits() {
        let places = Places::new(1, 2);
        let first = places.take().unwrap();
        let (one, two) = (places.queue().unwrap(), places.queue().unwrap());
        assert!(places.is_full() && places.queue().is_none());
        let (early, late) = (one.listen(), two.listen());
        drop(first);
        assert!(places.take().is_none(), "a newcomer does not push in");
        early.wait();
        let place = one.take().unwrap();
        assert!(two.take().is_none());
        drop((one, place));
        late.wait();
        drop(two.take().unwrap());
        drop(two);
        assert!(places.take().is_some());
    }

    #[test]
    fn b_256_a_closed_door_stays_closed_and_who_waits_is_told() {
        let places = Places::new(1, 2);
        let place = places.take().unwrap();
        let ticket = places.queue().unwrap();
        let listener = ticket.listen();
        places.close();
        listener.wait();
        drop(place);
        assert!(ticket.is_void() && ticket.take().is_none());
        assert!(places.take().is_none() && places.queue().is_none());
    }

    #[test]
    fn b_256_emptiness_can_be_waited_for() {
        let places = Places::new(2, 0);
        assert!(places.wait_empty(Duration::ZERO));
        let place = places.take().unwrap();
        assert!(!places.wait_empty(Duration::ZERO));
        let waiting = places.clone();
        let waiter = thread::spawn(move || waiting.wait_empty(Duration::from_secs(10)));
        drop(place);
        assert!(waiter.join().unwrap());
    }
}
