//! Whether to look for the next request before waiting for it.
//!
//! To be told by the reactor that a socket is readable costs system calls of its own. On a busy worker
//! the next request is often there once everybody else has had their turn, and a look finds it; on a
//! quiet one a look finds nothing and was made in vain. So a worker remembers how its looks came out:
//! it looks as long as they pay, and otherwise now and then, to learn whether they do again.

use std::sync::atomic::{AtomicU32, Ordering};

/// A worker's experience. One thread at a time uses it: what another may see late is but a guess.
#[derive(Debug, Default)]
pub(crate) struct EagerRead {
    /// Rises with a look that finds something, falls with one that does not.
    score: AtomicU32,
    /// Requests so far.
    requests: AtomicU32,
}

/// Where the score ends, and from where on looks pay.
const MAX_SCORE: u32 = 64;
const MIN_SCORE: u32 = 16;
/// One request in so many is followed by a look whatever the score is.
const TRIAL_INTERVAL: u32 = 16;

impl EagerRead {
    /// Whether to look, after a request.
    pub(crate) fn should_try(&self) -> bool {
        let requests = self.requests.load(Ordering::Relaxed).wrapping_add(1);
        self.requests.store(requests, Ordering::Relaxed);
        self.score.load(Ordering::Relaxed) >= MIN_SCORE || requests.is_multiple_of(TRIAL_INTERVAL)
    }

    /// How a look came out.
    pub(crate) fn record(&self, found: bool) {
        let score = self.score.load(Ordering::Relaxed);
        let score = if found { (score + 1).min(MAX_SCORE) } else { score.saturating_sub(1) };
        self.score.store(score, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(haste: &EagerRead) -> usize {
        (0..160).filter(|_| haste.should_try()).count()
    }

    #[test]
    fn it_looks_while_that_pays_and_sometimes_to_learn_whether_it_does() {
        let haste = EagerRead::default();
        assert_eq!(looks(&haste), 10);
        (0..MIN_SCORE).for_each(|_| haste.record(true));
        assert_eq!(looks(&haste), 160);
        haste.record(false);
        assert_eq!(looks(&haste), 10);
    }

    #[test]
    fn what_was_learnt_is_unlearnt_as_fast() {
        let haste = EagerRead::default();
        (0..10_000).for_each(|_| haste.record(true));
        (0..MAX_SCORE).for_each(|_| haste.record(false));
        (0..10_000).for_each(|_| haste.record(false));
        assert_eq!(looks(&haste), 10);
        (0..MIN_SCORE).for_each(|_| haste.record(true));
        assert_eq!(looks(&haste), 160);
    }
}
