//! The count of transfers and requests: plain numbers, no lock and no clock.

use std::collections::HashSet;
use std::num::NonZeroU64;
use std::time::Instant;

use super::{MAX_REMEMBERED_CUTS, TransferRefused, TransferReport};

/// Whether a transfer counts when it is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransferKind {
    /// A file with its last byte, or another body: it counts.
    Whole,
    /// A part of a file without its last byte.
    Part,
}

/// How a transfer has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransferEnd {
    Complete,
    /// An upload that was responded to with an error: nothing was promised.
    Refused,
    Cut,
}

/// What is counted.
#[derive(Debug)]
pub(super) struct Tally {
    count: Option<NonZeroU64>,
    completed: u64,
    /// The number of transfers in progress that count when they are complete.
    whole: u64,
    /// The number of parts of files in progress.
    parts: u64,
    /// Hashes of the clients and paths of transfers that were cut.
    cut: HashSet<u64>,
    /// Those that are not in `cut`.
    more_cut: u64,
    /// The number of requests in progress.
    requests: u64,
    /// When the last request has ended.
    idle_since: Instant,
}

impl Tally {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            count: None,
            completed: 0,
            whole: 0,
            parts: 0,
            cut: HashSet::new(),
            more_cut: 0,
            requests: 0,
            idle_since: now,
        }
    }

    pub(super) fn set_count(&mut self, count: NonZeroU64) {
        self.count = Some(count);
    }

    pub(super) fn report(&self) -> TransferReport {
        let cut = (self.cut.len() as u64).saturating_add(self.more_cut);
        let in_progress = self.whole.saturating_add(self.parts);
        TransferReport { count: self.count, completed: self.completed, in_progress, cut }
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests
    }

    pub(super) fn idle_since(&self) -> Option<Instant> {
        (self.requests == 0).then_some(self.idle_since)
    }

    pub(super) fn begin_request(&mut self) {
        self.requests += 1;
    }

    /// Returns whether no other request is in progress.
    pub(super) fn end_request(&mut self, now: Instant) -> bool {
        self.requests = self.requests.saturating_sub(1);
        self.idle_since = now;
        self.requests == 0
    }

    pub(super) fn begin_transfer(&mut self, transfer: TransferKind) -> Result<(), TransferRefused> {
        if self.report().is_count_reached() {
            return Err(TransferRefused::CountReached);
        }
        match (transfer, self.count) {
            (TransferKind::Part, _) => self.parts += 1,
            (TransferKind::Whole, Some(count)) if self.completed + self.whole >= count.get() => {
                return Err(TransferRefused::AllTaken);
            }
            (TransferKind::Whole, _) => self.whole += 1,
        }
        Ok(())
    }

    /// `key` is the hash of the client and the path. Returns whether the server is to be stopped.
    pub(super) fn end_transfer(
        &mut self,
        transfer: TransferKind,
        end: TransferEnd,
        key: u64,
    ) -> bool {
        match transfer {
            TransferKind::Whole => self.whole = self.whole.saturating_sub(1),
            TransferKind::Part => self.parts = self.parts.saturating_sub(1),
        }
        match (transfer, end) {
            (TransferKind::Whole, TransferEnd::Complete) => {
                self.completed = self.completed.saturating_add(1);
                self.cut.remove(&key);
            }
            (_, TransferEnd::Cut) if self.cut.len() < MAX_REMEMBERED_CUTS => {
                _ = self.cut.insert(key);
            }
            (_, TransferEnd::Cut) if self.cut.contains(&key) => {}
            (_, TransferEnd::Cut) => self.more_cut = self.more_cut.saturating_add(1),
            _ => {}
        }
        // Those that count begin only until the count is reached, so only parts can be left.
        self.report().is_count_reached() && self.parts == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(count: u64) -> Tally {
        let mut tally = Tally::new(Instant::now());
        tally.set_count(NonZeroU64::new(count).unwrap());
        tally
    }

    #[test]
    fn no_more_transfers_begin_than_may_be_completed() {
        let mut tally = tally(2);
        assert_eq!(tally.begin_transfer(TransferKind::Whole), Ok(()));
        assert_eq!(tally.begin_transfer(TransferKind::Whole), Ok(()));
        assert_eq!(tally.begin_transfer(TransferKind::Whole), Err(TransferRefused::AllTaken));
        assert!(!tally.end_transfer(TransferKind::Whole, TransferEnd::Cut, 1));
        assert_eq!(tally.begin_transfer(TransferKind::Whole), Ok(()), "the other one was cut");
        assert!(!tally.end_transfer(TransferKind::Whole, TransferEnd::Complete, 1));
        assert_eq!(tally.report().cut, 0, "it was made good");
        assert!(tally.end_transfer(TransferKind::Whole, TransferEnd::Complete, 2));
        for transfer in [TransferKind::Whole, TransferKind::Part] {
            assert_eq!(tally.begin_transfer(transfer), Err(TransferRefused::CountReached));
        }
        assert_eq!((tally.report().completed, tally.report().is_count_reached()), (2, true));
        assert!(tally.report().is_complete());
    }

    #[test]
    fn parts_need_no_place_and_are_waited_for() {
        let mut tally = tally(1);
        assert_eq!(tally.begin_transfer(TransferKind::Part), Ok(()));
        assert_eq!(tally.begin_transfer(TransferKind::Whole), Ok(()));
        assert_eq!(tally.begin_transfer(TransferKind::Part), Ok(()));
        assert!(!tally.end_transfer(TransferKind::Part, TransferEnd::Complete, 1));
        assert!(!tally.end_transfer(TransferKind::Whole, TransferEnd::Complete, 1));
        assert!(tally.end_transfer(TransferKind::Part, TransferEnd::Cut, 1));
        assert_eq!(tally.report().cut, 1);
    }

    #[test]
    fn without_a_count_nothing_is_refused_and_nothing_stops() {
        let mut tally = Tally::new(Instant::now());
        for _ in 0..3 {
            assert_eq!(tally.begin_transfer(TransferKind::Whole), Ok(()));
        }
        assert_eq!((tally.report().in_progress, tally.report().is_complete()), (3, false));
        for end in [TransferEnd::Complete, TransferEnd::Refused, TransferEnd::Cut] {
            assert!(!tally.end_transfer(TransferKind::Whole, end, 7));
        }
        let report = tally.report();
        assert_eq!((report.completed, report.cut, report.is_count_reached()), (1, 1, false));
        assert_eq!((report.in_progress, report.is_complete()), (0, false));
        tally.begin_transfer(TransferKind::Whole).unwrap();
        tally.end_transfer(TransferKind::Whole, TransferEnd::Complete, 7);
        assert!(tally.report().is_complete());
    }

    #[test]
    fn what_was_cut_is_remembered_in_bounded_memory() {
        let mut tally = Tally::new(Instant::now());
        let all = MAX_REMEMBERED_CUTS as u64 + 10;
        for key in (0..all).chain([0, 1]) {
            tally.end_transfer(TransferKind::Whole, TransferEnd::Cut, key);
        }
        assert_eq!((tally.report().cut, tally.cut.len()), (all, MAX_REMEMBERED_CUTS));
        tally.end_transfer(TransferKind::Whole, TransferEnd::Complete, 0);
        tally.end_transfer(TransferKind::Whole, TransferEnd::Complete, all - 1); // not remembered
        assert_eq!(tally.report().cut, all - 1);
    }
}
