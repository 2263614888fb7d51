//! A filter of repeated messages: the first few are written, further ones are counted (B-111).
//!
//! A flood of connections that are lost, or a disk that is full, must not fill the log. Messages
//! are the same if their text is, whatever the client. Of each, [`LogSettings::max_repeats`] are
//! written in a [`LogSettings::repeat_interval`]; the number of further ones is written in one line
//! when the interval is over, or at the end. Memory is bounded: of more than
//! [`LogSettings::max_counted_messages`] different messages in an interval, the oldest is written
//! with its count and forgotten. The time is an argument, so that tests need not wait.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::LogSettings;

/// The messages of the current intervals.
#[derive(Debug)]
pub(super) struct RepeatFilter {
    max_repeats: u64,
    interval: Duration,
    max_counted: usize,
    /// In the order in which they first occurred.
    recent: Vec<RecentMessage>,
}

#[derive(Debug)]
struct RecentMessage {
    message: String,
    first_at: Instant,
    count: u64,
    last_peer: IpAddr,
}

/// The line about the messages that were counted, and the peer of the last one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) last_peer: IpAddr,
    pub(super) text: String,
}

impl RepeatFilter {
    pub(super) fn new(settings: &LogSettings) -> Self {
        Self {
            max_repeats: settings.max_repeats,
            interval: settings.repeat_interval,
            max_counted: settings.max_counted_messages.max(1),
            recent: Vec::new(),
        }
    }

    /// Counts a message, and returns whether to write it. To be called after
    /// [`RepeatFilter::take_due`].
    pub(super) fn should_log(&mut self, peer: IpAddr, message: &str, now: Instant) -> bool {
        let Some(recent) = self.recent.iter_mut().find(|recent| recent.message == message) else {
            self.recent.push(RecentMessage {
                message: message.into(),
                first_at: now,
                count: 1,
                last_peer: peer,
            });
            return self.max_repeats > 0;
        };
        recent.count += 1;
        recent.last_peer = peer;
        recent.count <= self.max_repeats
    }

    /// Takes the counts to be written at `now`: those of intervals that are over, and of the oldest
    /// messages if there are too many.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Summary> {
        let is_due = |recent: &&RecentMessage| {
            now.saturating_duration_since(recent.first_at) >= self.interval
        };
        let expired = self.recent.iter().filter(is_due).count();
        let excess = self.recent.len().saturating_sub(self.max_counted - 1);
        self.drain_first(expired.max(excess), now)
    }

    /// Takes all counts.
    pub(super) fn take_all(&mut self, now: Instant) -> Vec<Summary> {
        self.drain_first(self.recent.len(), now)
    }

    /// When the next count is to be written; `None` if there is none, or never.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let counted = self.recent.iter().find(|recent| recent.count > self.max_repeats);
        counted.and_then(|recent| recent.first_at.checked_add(self.interval))
    }

    /// Takes the counts of the `first` oldest messages.
    fn drain_first(&mut self, first: usize, now: Instant) -> Vec<Summary> {
        let max_repeats = self.max_repeats;
        let taken = self.recent.drain(..first);
        taken.filter_map(|recent| recent.summary(now, max_repeats)).collect()
    }
}

impl RecentMessage {
    fn summary(self, now: Instant, max_repeats: u64) -> Option<Summary> {
        let more = self.count.checked_sub(max_repeats).filter(|&more| more > 0)?;
        let seconds = (now - self.first_at).as_secs().max(1);
        let text = format!("{} (\u{d7}{more} more in {seconds} s)", self.message);
        Some(Summary { last_peer: self.last_peer, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const INTERVAL: Duration = Duration::from_secs(10);

    fn filter() -> RepeatFilter {
        RepeatFilter::new(&LogSettings::default())
    }

    fn peer(last: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, last).into()
    }

    #[test]
    fn b_111_a_repeated_message_is_counted_and_the_count_is_written_once() {
        let (mut filter, start) = (filter(), Instant::now());
        let written = (0..100).filter(|_| filter.should_log(peer(1), "lost", start)).count();
        assert_eq!(written, 8);
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
    fn an_interval_without_an_end_is_never_over() {
        let mut settings = LogSettings::default();
        (settings.repeat_interval, settings.max_repeats) = (Duration::MAX, 1);
        let (mut filter, start) = (RepeatFilter::new(&settings), Instant::now());
        assert!(filter.should_log(peer(1), "lost", start));
        assert!(!filter.should_log(peer(1), "lost", start));
        assert_eq!((filter.next_due(), filter.take_due(start + INTERVAL)), (None, Vec::new()));
        assert_eq!(filter.take_all(start).len(), 1);
    }

    #[test]
    fn b_111_different_messages_take_bounded_memory_and_no_count_is_lost() {
        let (mut filter, start) = (filter(), Instant::now());
        let (mut written, mut summaries) = (0, Vec::new());
        for n in 0..100_000 {
            summaries.extend(filter.take_due(start));
            written += u64::from(filter.should_log(peer(1), &format!("message {}", n / 10), start));
            assert!(filter.recent.len() <= 64);
        }
        summaries.extend(filter.take_all(start));
        assert_eq!((written, summaries.len()), (8 * 10_000, 10_000));
        assert!(summaries.iter().all(|summary| summary.text.contains("\u{d7}2 more")));
    }
}
