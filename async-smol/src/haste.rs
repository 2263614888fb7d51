//! Whether to look for the next request before waiting for it.
//!
//! To be told by the reactor that a socket is readable costs system calls of its own. On a busy lane
//! the next request is often there once everybody else has had their turn, and a look finds it; on a
//! quiet one a look finds nothing and was made in vain. So a lane remembers how its looks came out:
//! it looks as long as they pay, and otherwise now and then, to learn whether they do again.

use std::sync::atomic::{AtomicU32, Ordering};

/// A lane's experience. One thread at a time uses it: what another may see late is but a guess.
#[derive(Debug, Default)]
pub(crate) struct Haste {
    /// Rises with a look that finds something, falls with one that does not.
    score: AtomicU32,
    /// Requests so far.
    requests: AtomicU32,
}

/// Where the score ends, and from where on looks pay.
const MOST: u32 = 64;
const ENOUGH: u32 = 16;
/// One request in so many is followed by a look whatever the score is.
const TRIAL: u32 = 16;

impl Haste {
    /// Whether to look, after a request.
    pub(crate) fn pays(&self) -> bool {
        let requests = self.requests.load(Ordering::Relaxed).wrapping_add(1);
        self.requests.store(requests, Ordering::Relaxed);
        self.score.load(Ordering::Relaxed) >= ENOUGH || requests.is_multiple_of(TRIAL)
    }

    /// How a look came out.
    pub(crate) fn learn(&self, found: bool) {
        let score = self.score.load(Ordering::Relaxed);
        let score = if found { (score + 1).min(MOST) } else { score.saturating_sub(1) };
        self.score.store(score, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(haste: &Haste) -> usize {
        (0..160).filter(|_| haste.pays()).count()
    }

    #[test]
    fn it_looks_while_that_pays_and_sometimes_to_learn_whether_it_does() {
        let haste = Haste::default();
        assert_eq!(looks(&haste), 10);
        (0..ENOUGH).for_each(|_| haste.learn(true));
        assert_eq!(looks(&haste), 160);
        haste.learn(false);
        assert_eq!(looks(&haste), 10);
    }

    #[test]
    fn what_was_learnt_is_unlearnt_as_fast() {
        let haste = Haste::default();
        (0..10_000).for_each(|_| haste.learn(true));
        (0..MOST).for_each(|_| haste.learn(false));
        (0..10_000).for_each(|_| haste.learn(false));
        assert_eq!(looks(&haste), 10);
        (0..ENOUGH).for_each(|_| haste.learn(true));
        assert_eq!(looks(&haste), 160);
    }
}
