//! The same note again and again: the first few are written, the rest is counted (B-111).
//!
//! A flood of connections that break off, or a disk that is full, must not fill the log. Notes are
//! the same when their words are, whoever the client is. Of each [`BURST`] are written in an
//! [`INTERVAL`]; what came beyond that is told in one line when the interval is over, or at the
//! end. Memory is bounded: of more than [`MAX_TRACKED`] different notes in an interval, the oldest is
//! told and forgotten. Time is an argument, so tests need no waiting.

use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long the same notes are counted together.
const INTERVAL: Duration = Duration::from_secs(10);

/// How many of the same notes are written as they come in each interval, a number.
pub(super) const BURST: u64 = 8;

/// How many different notes are told apart at the same time, a number.
const MAX_TRACKED: usize = 64;

/// The notes of this moment.
#[derive(Debug)]
pub(super) struct RepeatFilter {
    interval: Duration,
    /// In the order of their first coming.
    recent: Vec<RecentMessage>,
}

#[derive(Debug)]
struct RecentMessage {
    message: String,
    first_at: Instant,
    count: u64,
    last_peer: IpAddr,
}

/// How often a note came beyond those that were written, and from whom it came last.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) last_peer: IpAddr,
    pub(super) text: String,
}

impl Default for RepeatFilter {
    fn default() -> Self {
        Self { interval: INTERVAL, recent: Vec::new() }
    }
}

impl RepeatFilter {
    /// For tests, which do not want to wait.
    #[cfg(test)]
    pub(super) fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// Counts a note; whether it is to be written. Say [`RepeatFilter::take_due`] before.
    pub(super) fn should_log(&mut self, peer: IpAddr, message: &str, now: Instant) -> bool {
        let Some(recent) = self.recent.iter_mut().find(|recent| recent.message == message) else {
            self.recent.push(RecentMessage {
                message: message.into(),
                first_at: now,
                count: 1,
                last_peer: peer,
            });
            return true;
        };
        recent.count += 1;
        recent.last_peer = peer;
        recent.count <= BURST
    }

    /// Takes what is to be told at `now`: of intervals that are over, and of the oldest notes when
    /// there are too many to tell apart.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Summary> {
        let expired =
            self.recent.iter().filter(|recent| now >= recent.first_at + self.interval).count();
        let excess = self.recent.len().saturating_sub(MAX_TRACKED - 1);
        self.drain_first(expired.max(excess), now)
    }

    /// Takes all there is to tell.
    pub(super) fn take_all(&mut self, now: Instant) -> Vec<Summary> {
        self.drain_first(self.recent.len(), now)
    }

    /// When something is next to be told; `None` while there is nothing.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let counted = self.recent.iter().find(|recent| recent.count > BURST);
        counted.map(|recent| recent.first_at + self.interval)
    }

    /// The oldest are in front.
    fn drain_first(&mut self, first: usize, now: Instant) -> Vec<Summary> {
        let taken = self.recent.drain(..first);
        taken.filter_map(|recent| recent.summary(now)).collect()
    }
}

impl RecentMessage {
    fn summary(self, now: Instant) -> Option<Summary> {
        let more = self.count.checked_sub(BURST).filter(|&more| more > 0)?;
        let seconds = (now - self.first_at).as_secs().max(1);
        let text = format!("{} (\u{d7}{more} more in {seconds} s)", self.message);
        Some(Summary { last_peer: self.last_peer, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn peer(last: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, last).into()
    }

    #[test]
    fn b_111_the_same_note_is_counted_and_told_once() {
        let (mut filter, start) = (RepeatFilter::default(), Instant::now());
        let written = (0..100).filter(|_| filter.should_log(peer(1), "lost", start)).count();
        assert_eq!(written as u64, BURST);
        assert!(filter.should_log(peer(2), "another", start));
        assert!(!filter.should_log(peer(3), "lost", start));
        assert_eq!(filter.take_due(start + INTERVAL / 2), []);
        assert_eq!(filter.next_due(), Some(start + INTERVAL));
        let summaries = filter.take_due(start + INTERVAL);
        let text = "lost (\u{d7}93 more in 10 s)".to_owned();
        assert_eq!(summaries, [Summary { last_peer: peer(3), text }]);
        assert_eq!((filter.next_due(), filter.take_all(start + INTERVAL)), (None, Vec::new()));
        assert!(filter.should_log(peer(1), "lost", start + INTERVAL), "a new interval");
    }

    #[test]
    fn b_111_different_notes_take_bounded_memory_and_none_is_lost() {
        let (mut filter, start) = (RepeatFilter::default(), Instant::now());
        let (mut written, mut summaries) = (0, Vec::new());
        for n in 0..100_000 {
            summaries.extend(filter.take_due(start));
            written += u64::from(filter.should_log(peer(1), &format!("note {}", n / 10), start));
            assert!(filter.recent.len() <= MAX_TRACKED);
        }
        summaries.extend(filter.take_all(start));
        assert_eq!((written, summaries.len()), (BURST * 10_000, 10_000));
        assert!(summaries.iter().all(|summary| summary.text.contains("\u{d7}2 more")));
    }
}
