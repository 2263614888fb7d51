//! How many may be in at once, and who waits to be: a door for processes.
//!
//! At most so many have a [`Place`]; at most so many others have a [`Ticket`] and wait for one, first
//! come first served, however often they look; everybody else is turned away at once. Who waits does so
//! on a thread or in a task. Places and tickets are given back when they are dropped.
//!
//! ```
//! use doorstep_driver::semaphore::Places;
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

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_listener::{Event, EventListener, Listener};
use rustix::process::{Pid, Signal};

use crate::os::{Stopwatch, signal_group};

/// How long a start is waited for whose process is to be killed, and the end of one that was.
const KILL: Duration = Duration::from_millis(500);

/// The door. Shared by reference.
#[derive(Debug)]
pub struct Places {
    most: usize,
    longest: usize,
    crowd: Mutex<Crowd>,
    /// One more has left, or one more of those who are in is known.
    settled: Event,
}

#[derive(Debug, Default)]
struct Crowd {
    inside: usize,
    /// Who waits, in the order they came, each to be told when it is their turn.
    waiting: VecDeque<Arc<Event>>,
    /// The process groups that are in, none of them reaped.
    groups: Vec<Pid>,
    /// How many of those inside have told their group, gone or not.
    met: usize,
    /// Nobody comes in any more.
    closed: bool,
    /// Nobody stays either.
    killed: bool,
}

/// The right to be in.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    group: Option<Pid>,
    has_group: bool,
}

/// The right to wait for a place.
#[derive(Debug)]
pub struct Ticket {
    places: Arc<Places>,
    turn: Arc<Event>,
}

impl Places {
    /// `most` may be in, at least one; `longest` others may wait.
    #[must_use]
    pub fn new(most: usize, longest: usize) -> Arc<Self> {
        Arc::new(Self {
            most: most.max(1),
            longest,
            crowd: Mutex::default(),
            settled: Event::new(),
        })
    }

    /// A place, when one is free and nobody waits for it.
    #[must_use]
    pub fn take(self: &Arc<Self>) -> Option<Place> {
        let mut crowd = self.crowd();
        (crowd.waiting.is_empty() && self.admit(&mut crowd)).then(|| Place::new(self))
    }

    /// A ticket, when not too many have one.
    #[must_use]
    pub fn queue(self: &Arc<Self>) -> Option<Ticket> {
        let mut crowd = self.crowd();
        if crowd.waiting.len() >= self.longest || crowd.closed {
            return None;
        }
        let turn = Arc::new(Event::new());
        crowd.waiting.push_back(turn.clone());
        Some(Ticket { places: self.clone(), turn })
    }

    /// Whether a newcomer would be turned away.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let crowd = self.crowd();
        crowd.inside >= self.most && crowd.waiting.len() >= self.longest
    }

    /// Lets nobody in from now on, and wakes everybody who waits to be. Who is in should leave.
    pub fn close(&self) {
        let mut crowd = self.crowd();
        crowd.closed = true;
        for turn in &crowd.waiting {
            turn.notify(1);
        }
    }

    /// Waits until nobody is in, for `most` at most; whether that is so.
    pub fn wait_empty(&self, most: Duration) -> bool {
        self.wait_while(most, |crowd| crowd.inside > 0)
    }

    /// Waits in a task until nobody is in.
    pub async fn empty(&self) {
        loop {
            let settled = self.settled.listen();
            if self.crowd().inside == 0 {
                return;
            }
            settled.await;
        }
    }

    /// Lets nobody in, and waits until nobody is; who still is after `most` is killed.
    pub fn end(&self, most: Duration) {
        self.close();
        if !self.wait_empty(most) {
            self.kill_all();
            self.wait_empty(KILL);
        }
    }

    /// Lets nobody in, and kills every process group that is in or is being started: it waits a moment
    /// for those. For a program that ends at once: who is killed still wants to be reaped.
    pub fn kill(&self) {
        self.kill_all();
        self.wait_while(KILL, |crowd| crowd.inside > crowd.met);
    }

    /// The same without the wait: who is being started is killed as soon as he was.
    pub fn kill_all(&self) {
        self.close();
        let mut crowd = self.crowd();
        crowd.killed = true;
        for &group in &crowd.groups {
            signal_group(group, Signal::KILL);
        }
    }

    fn wait_while(&self, most: Duration, waits: impl Fn(&Crowd) -> bool) -> bool {
        let mut waited = Stopwatch::default();
        loop {
            let settled = self.settled.listen();
            if !waits(&self.crowd()) {
                return true;
            }
            let Some(step) = waited.next_step(most) else { return false };
            let _ = settled.wait_timeout(step);
        }
    }

    fn admit(&self, crowd: &mut Crowd) -> bool {
        let fits = crowd.inside < self.most && !crowd.closed;
        crowd.inside += usize::from(fits);
        fits
    }

    /// Tells whoever is next that there is a place.
    fn call(&self, crowd: &Crowd) {
        if crowd.inside < self.most
            && let Some(turn) = crowd.waiting.front()
        {
            turn.notify(1);
        }
    }

    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn new(places: &Arc<Places>) -> Self {
        Self { places: places.clone(), group: None, has_group: false }
    }

    /// Takes in a process group.
    pub(crate) fn take_in(&mut self, group: Pid) {
        (self.group, self.has_group) = (Some(group), true);
        let mut crowd = self.places.crowd();
        crowd.groups.push(group);
        crowd.met += 1;
        if crowd.killed {
            signal_group(group, Signal::KILL);
        }
        self.places.settled.notify(usize::MAX);
    }

    /// Whether the door was closed meanwhile.
    pub(crate) fn is_over(&self) -> bool {
        self.places.crowd().closed
    }

    /// The group is about to be reaped; from here on its id may be anybody's.
    pub(crate) fn let_out(&mut self) {
        if let Some(group) = self.group.take() {
            self.places.crowd().groups.retain(|other| *other != group);
        }
    }
}

impl Ticket {
    /// A place, when one is free and nobody came before. Listen first, then look: else a moment is
    /// missed.
    #[must_use]
    pub fn take(&self) -> Option<Place> {
        let mut crowd = self.places.crowd();
        let is_next = crowd.waiting.front().is_some_and(|turn| Arc::ptr_eq(turn, &self.turn));
        (is_next && self.places.admit(&mut crowd)).then(|| Place::new(&self.places))
    }

    /// Whether waiting is of no use any more.
    #[must_use]
    pub fn is_void(&self) -> bool {
        self.places.crowd().closed
    }

    /// Is told when it is this one's turn, or when it never will be.
    #[must_use]
    pub fn listen(&self) -> EventListener {
        self.turn.listen()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.let_out();
        let mut crowd = self.places.crowd();
        crowd.inside -= 1;
        crowd.met -= usize::from(self.has_group);
        self.places.settled.notify(usize::MAX);
        self.places.call(&crowd);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut crowd = self.places.crowd();
        crowd.waiting.retain(|turn| !Arc::ptr_eq(turn, &self.turn));
        self.places.call(&crowd);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn b_256_nobody_overtakes_who_waits() {
        let places = Places::new(1, 2);
        let first = places.take().unwrap();
        let (one, two) = (places.queue().unwrap(), places.queue().unwrap());
        assert!(places.is_full() && places.queue().is_none());
        let (late, early) = (two.listen(), one.listen());
        drop(first);
        assert!(places.take().is_none(), "a newcomer does not push in");
        assert!(two.take().is_none(), "nor does who came later");
        early.wait();
        let place = one.take().unwrap();
        drop((one, place));
        late.wait();
        drop(two.take().unwrap());
        drop(two);
        assert!(places.take().is_some());
    }

    #[test]
    fn b_256_who_leaves_the_queue_lets_the_next_one_on() {
        let places = Places::new(1, 2);
        let first = places.take().unwrap();
        let (one, two) = (places.queue().unwrap(), places.queue().unwrap());
        let listener = two.listen();
        drop(first); // it is the turn of one who does not look any more
        drop(one);
        listener.wait();
        assert!(two.take().is_some());
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
