//! The wait of a connection, in one byte, which the thread that serves it writes and the sweep
//! reads.
//!
//! It contains no time, so that a request does not read the clock: the sweep counts how long a wait
//! has lasted. A wait goes on when the connection waits for the same thing again, until
//! [`Wait::end`]; the time in which the server works between them does not count. The wait for a body
//! and the one for the peer to receive may alternate: each of them goes on where it was.

use std::sync::atomic::{AtomicU8, Ordering};

use doorstep_core::http1::WaitingFor;

/// The bits that hold the kind of the wait.
const KIND: u8 = 7;
/// The peer is waited for at this moment.
const ACTIVE: u8 = 8;
/// The sweep has not seen this wait since it began or went on after the one it alternates with.
const UNSEEN: u8 = 16;
/// The sweep has seen neither this wait nor one that it alternates with.
const NEW: u8 = 32;

/// One connection's wait.
#[derive(Debug, Default)]
pub(super) struct Wait(AtomicU8);

impl Wait {
    /// Begins a wait, or goes on with it.
    pub(super) fn begin(&self, waiting: WaitingFor) {
        let kind = code(waiting);
        let before = self.0.load(Ordering::Relaxed);
        if before & KIND == kind {
            self.0.fetch_or(ACTIVE, Ordering::SeqCst);
        } else {
            let alternates = is_transfer(before & KIND) && is_transfer(kind);
            let new = if alternates { before & NEW } else { NEW };
            self.0.store(kind | ACTIVE | UNSEEN | new, Ordering::SeqCst);
        }
    }

    /// Pauses the wait while the server works.
    pub(super) fn pause(&self) {
        // A plain store, which is many times cheaper than an exchange, and is made for each request. If
        // the sweep has seen a new wait in this moment, that is undone, and the wait counts from the
        // next sweep.
        let word = self.0.load(Ordering::Relaxed);
        if word & ACTIVE != 0 {
            self.0.store(word & !ACTIVE, Ordering::Release);
        }
    }

    /// Ends the wait: the next one is another, even if it is for the same thing.
    pub(super) fn end(&self) {
        self.0.store(0, Ordering::Release);
    }

    /// The current wait, if the sweep has seen it before.
    pub(super) fn seen(&self) -> Option<WaitingFor> {
        let word = self.0.load(Ordering::SeqCst);
        if word & (ACTIVE | UNSEEN) == ACTIVE { waiting(word & KIND) } else { None }
    }

    /// Whether `waiting` is the current wait.
    pub(super) fn is(&self, waiting: WaitingFor) -> bool {
        self.0.load(Ordering::SeqCst) & (ACTIVE | KIND) == ACTIVE | code(waiting)
    }

    /// For the sweep: the current wait, and whether it is new. If not, it goes on, or the one that it
    /// alternates with was seen before. From then on [`Wait::seen`] returns it.
    pub(super) fn observe_for_sweep(&self) -> Option<(WaitingFor, bool)> {
        let word = self.0.load(Ordering::SeqCst);
        let kind = waiting(word & KIND).filter(|_| word & ACTIVE != 0)?;
        if word & UNSEEN != 0 {
            // If another one has begun meanwhile, the next sweep finds it.
            let (old, new) = (Ordering::SeqCst, Ordering::SeqCst);
            self.0.compare_exchange(word, word & !(UNSEEN | NEW), old, new).ok()?;
        }
        Some((kind, word & NEW != 0))
    }
}

/// The code of a kind of wait; 0 for those without a deadline. Whether a response has begun makes
/// no difference to the deadline of a body.
fn code(waiting: WaitingFor) -> u8 {
    match waiting {
        WaitingFor::Request => 1,
        WaitingFor::Head => 2,
        WaitingFor::Body | WaitingFor::BodyOrResponse => 3,
        WaitingFor::Writable => 4,
        WaitingFor::Drain => 5,
        WaitingFor::Linger => 6,
        WaitingFor::Response | WaitingFor::Nothing => 0,
    }
}

/// Whether it is the code of one of the two waits that may alternate within an exchange.
fn is_transfer(code: u8) -> bool {
    matches!(waiting(code), Some(WaitingFor::Body | WaitingFor::Writable))
}

fn waiting(code: u8) -> Option<WaitingFor> {
    KINDS.get(usize::from(code).checked_sub(1)?).copied()
}

/// The kinds of waits, in the order of their codes.
const KINDS: [WaitingFor; 6] = [
    WaitingFor::Request,
    WaitingFor::Head,
    WaitingFor::Body,
    WaitingFor::Writable,
    WaitingFor::Drain,
    WaitingFor::Linger,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_goes_on_after_work_until_it_ends() {
        let wait = Wait::default();
        assert_eq!(wait.observe_for_sweep(), None);
        wait.begin(WaitingFor::Body);
        assert_eq!(wait.seen(), None);
        assert_eq!(wait.observe_for_sweep(), Some((WaitingFor::Body, true)));
        assert_eq!(wait.seen(), Some(WaitingFor::Body));
        wait.pause();
        assert_eq!((wait.observe_for_sweep(), wait.seen()), (None, None));
        wait.begin(WaitingFor::Body);
        assert_eq!(wait.observe_for_sweep(), Some((WaitingFor::Body, false)), "the same wait");
        wait.end();
        wait.begin(WaitingFor::Body);
        assert_eq!(wait.observe_for_sweep(), Some((WaitingFor::Body, true)), "the next one");
        wait.begin(WaitingFor::Writable);
        assert_eq!(wait.observe_for_sweep(), Some((WaitingFor::Writable, false)), "they alternate");
        for kind in KINDS {
            wait.begin(kind);
            assert!(
                wait.is(kind) && wait.observe_for_sweep().is_some_and(|(seen, _)| seen == kind)
            );
        }
        wait.begin(WaitingFor::BodyOrResponse);
        assert!(wait.is(WaitingFor::Body), "they have the same deadline");
        wait.begin(WaitingFor::Response);
        assert_eq!(wait.observe_for_sweep(), None, "the application has no deadline");
    }

    #[test]
    fn the_waits_of_one_exchange_alternate_and_others_are_new() {
        let wait = Wait::default();
        wait.begin(WaitingFor::Body);
        wait.begin(WaitingFor::Writable);
        assert_eq!(wait.observe_for_sweep(), Some((WaitingFor::Writable, true)), "the first seen");
        wait.begin(WaitingFor::BodyOrResponse);
        assert_eq!(wait.seen(), None);
        assert_eq!(wait.observe_for_sweep(), Some((WaitingFor::Body, false)));
        assert_eq!(wait.seen(), Some(WaitingFor::Body));
        wait.pause();
        wait.begin(WaitingFor::Writable);
        wait.begin(WaitingFor::Body);
        assert_eq!(wait.observe_for_sweep(), Some((WaitingFor::Body, false)));
        wait.end();
        wait.begin(WaitingFor::Body);
        wait.begin(WaitingFor::Writable);
        assert_eq!(wait.observe_for_sweep(), Some((WaitingFor::Writable, true)));
        for next in [WaitingFor::Drain, WaitingFor::Writable, WaitingFor::Linger] {
            wait.begin(next);
            assert_eq!(wait.observe_for_sweep(), Some((next, true)));
        }
    }
}
