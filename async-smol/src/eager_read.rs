//! Whether to try to read the next request before waiting for it.
//!
//! To be notified by the reactor that a socket is readable costs system calls. On a busy worker the
//! next request has often arrived once the other connections were served, and reading at once finds
//! it; on a quiet worker such a read returns `WouldBlock` and was made for nothing. So a worker keeps
//! a score: it reads eagerly as long as that pays, and otherwise now and then, to learn whether it
//! pays again.

use std::sync::atomic::{AtomicU32, Ordering};

/// A worker's score. One thread at a time uses it, so relaxed atomics suffice.
#[derive(Debug, Default)]
pub(crate) struct EagerRead {
    /// Rises with a read that finds data, falls with one that does not.
    score: AtomicU32,
    /// The number of requests so far.
    requests: AtomicU32,
}

/// The highest score, and the lowest with which reading eagerly pays.
const MAX_SCORE: u32 = 64;
const MIN_SCORE: u32 = 16;
/// Of this number of requests, one is followed by a read whatever the score is.
const TRIAL_INTERVAL: u32 = 16;

impl EagerRead {
    /// Whether to read before waiting, after a request.
    pub(crate) fn should_try(&self) -> bool {
        let requests = self.requests.load(Ordering::Relaxed).wrapping_add(1);
        self.requests.store(requests, Ordering::Relaxed);
        self.score.load(Ordering::Relaxed) >= MIN_SCORE || requests.is_multiple_of(TRIAL_INTERVAL)
    }

    /// Records whether a read has found data.
    pub(crate) fn record(&self, found: bool) {
        let score = self.score.load(Ordering::Relaxed);
        let score = if found { (score + 1).min(MAX_SCORE) } else { score.saturating_sub(1) };
        self.score.store(score, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(eager_read: &EagerRead) -> usize {
        (0..160).filter(|_| eager_read.should_try()).count()
    }

    #[test]
    fn it_reads_while_that_pays_and_sometimes_to_learn_whether_it_does() {
        let eager_read = EagerRead::default();
        assert_eq!(reads(&eager_read), 10);
        (0..MIN_SCORE).for_each(|_| eager_read.record(true));
        assert_eq!(reads(&eager_read), 160);
        eager_read.record(false);
        assert_eq!(reads(&eager_read), 10);
    }

    #[test]
    fn what_was_learnt_is_unlearnt_as_fast() {
        let eager_read = EagerRead::default();
        (0..10_000).for_each(|_| eager_read.record(true));
        (0..MAX_SCORE).for_each(|_| eager_read.record(false));
        (0..10_000).for_each(|_| eager_read.record(false));
        assert_eq!(reads(&eager_read), 10);
        (0..MIN_SCORE).for_each(|_| eager_read.record(true));
        assert_eq!(reads(&eager_read), 160);
    }
}
