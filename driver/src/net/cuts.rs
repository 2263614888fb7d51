//! Which responses are cut in the middle of their bodies, and where: chosen by a seed, the same each
//! time.
//!
//! The choice depends on the seed, the method, the request target, and how many times these were
//! requested before. So it does not depend on the order in which concurrent requests for other targets
//! arrive: a page whose parts a browser loads on six connections loses the same ones each time. The
//! method of choice is part of the interface: the same seed cuts the same responses in every version.
//!
//! A response without a body is never cut.
//!
//! ```
//! use doorstep_driver::net::Cuts;
//!
//! let (cuts, same) = (Cuts::new(50.0, 7), Cuts::new(50.0, 7));
//! let (cuts, same) = (cuts.expect("it is a percentage"), same.expect("it is a percentage"));
//! for _ in 0..10 {
//!     assert_eq!(cuts.next(b"GET", b"/a.zip"), same.next(b"GET", b"/a.zip"));
//! }
//! assert!(Cuts::new(101.0, 7).is_none());
//! ```

use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest, Sha256};

use super::shaping::ClosedBy;

/// The number of counters of requests, which all targets share.
const COUNTERS: usize = 4096;
/// The share of all responses.
const WHOLE_SHARE: u32 = 1_000_000;
/// Where the body of a response may be cut whose length is not known: within so many bytes.
const STREAM_RANGE: u64 = 16 << 10;

/// A share of all responses, to be cut.
#[derive(Debug)]
pub struct Cuts {
    /// Of a million.
    share: u32,
    seed: u64,
    counters: Box<[AtomicU32]>,
}

/// Where a response is cut, and how its connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    position: u64,
    /// By the end of input (FIN) or by a reset (RST).
    pub closed_by: ClosedBy,
}

impl Cuts {
    /// Cuts `percent` of all responses, from 0 to 100, chosen by `seed`. Differences of a millionth count.
    /// Returns `None` if it is not a percentage.
    #[must_use]
    pub fn new(percent: f64, seed: u64) -> Option<Self> {
        if !(0.0..=100.0).contains(&percent) {
            return None;
        }
        let counters = (0..COUNTERS).map(|_| AtomicU32::new(0)).collect();
        Some(Self {
            share: (percent * f64::from(WHOLE_SHARE) / 100.0).round() as u32,
            seed,
            counters,
        })
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The percentage.
    #[must_use]
    pub fn percent(&self) -> f64 {
        f64::from(self.share) * 100.0 / f64::from(WHOLE_SHARE)
    }

    /// Whether the next response to this request is cut. Each call is a request.
    pub fn next(&self, method: &[u8], target: &[u8]) -> Option<Cut> {
        let request = Sha256::new().chain_update(method).chain_update(b" ").chain_update(target);
        let request = request.finalize();
        let counter = number(&request, 0) as usize % COUNTERS;
        let count = self.counters.get(counter)?.fetch_add(1, Ordering::Relaxed);
        let choice = Sha256::new().chain_update(self.seed.to_le_bytes());
        let choice = choice.chain_update(count.to_le_bytes()).chain_update(request).finalize();
        let chance = scaled(number(&choice, 0), WHOLE_SHARE.into());
        (chance < self.share.into()).then(|| Cut {
            position: number(&choice, 1),
            closed_by: if number(&choice, 2).is_multiple_of(2) {
                ClosedBy::Fin
            } else {
                ClosedBy::Reset
            },
        })
    }
}

impl Cut {
    /// How many bytes are sent of a body of `length` bytes: fewer than that, or 0 if
    /// `length` is 0.
    /// If the length is not known, a number below 16,384.
    #[must_use]
    pub fn offset(&self, length: Option<u64>) -> u64 {
        scaled(self.position, length.unwrap_or(STREAM_RANGE))
    }
}

/// One of the 64-bit numbers that a digest consists of.
fn number(digest: &[u8], index: usize) -> u64 {
    let bytes = digest.iter().skip(index * 8).take(8);
    bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A random number below `range`, which is 0 if the range is.
fn scaled(random: u64, range: u64) -> u64 {
    ((u128::from(random) * u128::from(range)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cuts(percent: f64, seed: u64) -> Cuts {
        Cuts::new(percent, seed).unwrap()
    }

    fn sequence(cuts: &Cuts, target: &str, n: usize) -> Vec<Option<Cut>> {
        (0..n).map(|_| cuts.next(b"GET", target.as_bytes())).collect()
    }

    #[test]
    fn the_seed_decides_and_other_targets_do_not() {
        let expected = sequence(&cuts(30.0, 5), "/a", 100);
        let mixed = cuts(30.0, 5);
        let mixed: Vec<_> = (0..100)
            .map(|_| {
                mixed.next(b"GET", b"/b");
                mixed.next(b"HEAD", b"/a");
                mixed.next(b"GET", b"/a")
            })
            .collect();
        assert_eq!(mixed, expected);
        assert_ne!(sequence(&cuts(30.0, 6), "/a", 100), expected);
        assert_ne!(sequence(&cuts(30.0, 5), "/c", 100), expected);
    }

    #[test]
    fn the_same_seed_cuts_the_same_in_every_version() {
        let cuts = cuts(50.0, 7);
        let seen = sequence(&cuts, "/file", 8).into_iter();
        let seen: Vec<_> =
            seen.map(|cut| cut.map(|cut| (cut.offset(Some(1000)), cut.closed_by))).collect();
        assert_eq!(
            seen,
            [
                Some((947, ClosedBy::Reset)),
                None,
                None,
                Some((672, ClosedBy::Fin)),
                Some((426, ClosedBy::Reset)),
                None,
                None,
                Some((781, ClosedBy::Fin)),
            ]
        );
    }

    #[test]
    fn the_share_is_what_was_asked_for() {
        for (percent, range) in [
            (0.0, 0..=0),
            (0.5, 20..=90),
            (5.0, 400..=600),
            (99.5, 9900..=9990),
            (100.0, 10_000..=10_000),
        ] {
            let cut = sequence(&cuts(percent, 1), "/", 10_000).iter().flatten().count();
            assert!(range.contains(&cut), "{percent}: {cut}");
            assert!((cuts(percent, 1).percent() - percent).abs() < 1e-9);
        }
        let all = sequence(&cuts(100.0, 1), "/", 1000);
        let resets = all.iter().flatten().filter(|cut| cut.closed_by == ClosedBy::Reset).count();
        assert!((400..=600).contains(&resets), "{resets}");
    }

    #[test]
    fn only_percentages_are_accepted() {
        for percent in [-0.1, 100.1, f64::NAN, f64::INFINITY] {
            assert!(Cuts::new(percent, 0).is_none(), "{percent}");
        }
    }

    #[test]
    fn at_least_one_byte_is_missing() {
        let cuts = cuts(100.0, 3);
        for cut in sequence(&cuts, "/", 1000).into_iter().flatten() {
            assert_eq!((cut.offset(Some(0)), cut.offset(Some(1))), (0, 0));
            assert!(cut.offset(Some(10)) < 10 && cut.offset(None) < STREAM_RANGE);
            assert!(cut.offset(Some(u64::MAX)) < u64::MAX);
        }
        let offsets: Vec<_> = sequence(&cuts, "/x", 500)
            .into_iter()
            .flatten()
            .map(|cut| cut.offset(Some(10)))
            .collect();
        assert!((0..10).all(|n| offsets.contains(&n)), "every place is possible");
    }
}
