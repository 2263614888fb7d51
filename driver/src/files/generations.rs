//! A bounded cache of two generations.
//!
//! New entries are added to the young generation. When it is full, it becomes the old one, and what
//! was in the old one is evicted. An entry of the old generation that is used is to be inserted
//! again. So evicted is what was not used for a while, and a lookup changes nothing: it needs no
//! more than a shared lock.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::mem;

/// What a cached value takes, or what all of them may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Weight {
    /// Bytes of content.
    pub(super) bytes: u64,
    /// Open descriptors.
    pub(super) descriptors: usize,
}

/// A value that may be cached.
pub(super) trait Weighed {
    /// What it takes, apart from being an entry.
    fn weight(&self) -> Weight {
        Weight::default()
    }
}

/// A cache of values `V` by keys `K`.
#[derive(Debug)]
pub(super) struct Generations<K, V> {
    young: Generation<K, V>,
    old: Generation<K, V>,
    /// The bounds of each generation.
    max_entries: usize,
    max_weight: Weight,
}

#[derive(Debug)]
struct Generation<K, V> {
    entries: HashMap<K, V>,
    weight: Weight,
}

impl<K: Eq + Hash, V: Weighed> Generations<K, V> {
    /// A cache of at most `max_entries` entries, which take at most `max_weight` in all.
    pub(super) fn new(max_entries: usize, max_weight: Weight) -> Self {
        let Weight { bytes, descriptors } = max_weight;
        Self {
            young: Generation::default(),
            old: Generation::default(),
            max_entries: max_entries / 2,
            max_weight: Weight { bytes: bytes / 2, descriptors: descriptors / 2 },
        }
    }

    /// The value of `key`, and whether it is in the old generation.
    pub(super) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<(&V, bool)>
    where
        K: Borrow<Q>,
    {
        let young = self.young.entries.get(key).map(|value| (value, false));
        young.or_else(|| self.old.entries.get(key).map(|value| (value, true)))
    }

    /// Caches `value`, unless it alone exceeds the bounds of a generation. Returns what was evicted.
    #[must_use = "dropping it may take long"]
    pub(super) fn insert(&mut self, key: K, value: V) -> HashMap<K, V> {
        let weight = value.weight();
        let mut evicted = HashMap::new();
        if self.max_entries == 0 || weight.exceeds(self.max_weight) {
            return evicted;
        }
        let is_full = self.young.entries.len() >= self.max_entries;
        if is_full || self.young.weight.plus(weight).exceeds(self.max_weight) {
            evicted = mem::replace(&mut self.old, mem::take(&mut self.young)).entries;
        }
        self.young.weight = self.young.weight.plus(weight);
        if let Some(replaced) = self.young.entries.insert(key, value) {
            self.young.weight = self.young.weight.minus(replaced.weight());
        }
        evicted
    }

    /// Whether the next entry may be cached at the cost of another one.
    pub(super) fn has_evicted(&self) -> bool {
        !self.old.entries.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.young.entries.is_empty() && self.old.entries.is_empty()
    }

    /// Removes all entries, and returns them.
    #[must_use]
    pub(super) fn take(&mut self) -> Self {
        let (young, old) = (mem::take(&mut self.young), mem::take(&mut self.old));
        Self { young, old, ..*self }
    }
}

impl<K, V> Default for Generation<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), weight: Weight::default() }
    }
}

impl Weight {
    fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            descriptors: self.descriptors + other.descriptors,
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            descriptors: self.descriptors.saturating_sub(other.descriptors),
        }
    }

    fn exceeds(self, limit: Self) -> bool {
        self.bytes > limit.bytes || self.descriptors > limit.descriptors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weighed for Weight {
        fn weight(&self) -> Weight {
            *self
        }
    }

    const BYTE: Weight = Weight { bytes: 1, descriptors: 0 };
    const DESCRIPTOR: Weight = Weight { bytes: 0, descriptors: 1 };

    fn cached(cache: &Generations<u32, Weight>) -> Vec<u32> {
        (0..1000).filter(|key| cache.get(key).is_some()).collect()
    }

    #[test]
    fn each_bound_is_kept_and_the_oldest_entries_are_evicted() {
        let max_weight = Weight { bytes: 6, descriptors: 4 };
        for (weight, most) in [(BYTE, 6), (DESCRIPTOR, 4), (Weight::default(), 10)] {
            let mut cache = Generations::new(10, max_weight);
            for key in 0..100 {
                let _ = cache.insert(key, weight);
                let keys = cached(&cache);
                assert!(keys.len() <= most && keys.contains(&key), "{weight:?}: {keys:?}");
            }
            assert!(cached(&cache).iter().all(|key| *key >= 100 - most as u32));
        }
    }

    #[test]
    fn an_entry_that_is_inserted_again_when_it_is_old_stays() {
        let mut cache = Generations::new(8, BYTE);
        for key in 1..100 {
            if cache.get(&0).is_none_or(|(_, is_old)| is_old) {
                let _ = cache.insert(0, Weight::default());
            }
            let _ = cache.insert(key, Weight::default());
        }
        assert!(cache.get(&0).is_some());
    }

    #[test]
    fn nothing_is_cached_that_exceeds_the_bounds_alone() {
        let mut cache = Generations::new(10, Weight { bytes: 10, descriptors: 0 });
        let _ = cache.insert(1, Weight { bytes: 6, descriptors: 0 });
        let _ = cache.insert(2, DESCRIPTOR);
        assert!(cache.is_empty());
        let mut cache = Generations::new(0, Weight { bytes: 10, descriptors: 10 });
        let _ = cache.insert(1, Weight::default());
        assert!(cache.is_empty());
    }

    #[test]
    fn a_replaced_value_takes_nothing_any_more() {
        let mut cache = Generations::new(10, Weight { bytes: 4, descriptors: 0 });
        for _ in 0..100 {
            let _ = cache.insert(1, BYTE);
        }
        let _ = cache.insert(2, BYTE);
        assert!(!cache.take().is_empty() && cache.is_empty());
    }
}
