//! Uploads that were interrupted, kept so that they can be continued.
//!
//! A part is continued only by the client that has sent it: the same user, or the same address if users
//! need not authenticate. The whole file must have the same size. So two clients that send different
//! files under one name never make one file of them. A part is given up when a file is stored under its
//! name, and when what has the name is no longer what had it when the upload began: the client would
//! continue an earlier version of the file. One is also given up for a new part beyond the maximum, that
//! of the client with the most parts; and for an upload that needs the space.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use doorstep_core::site::upload::Refusal;

use crate::exchange::ExchangeView;
use crate::os::{Existing, TemporaryFile};

/// Who has sent an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    User(Arc<[u8]>),
    Address(IpAddr),
}

impl Owner {
    pub(super) fn of(exchange: &ExchangeView<'_>) -> Self {
        match exchange.user() {
            Some(user) => Self::User(user.into()),
            None => Self::Address(exchange.client_addr().ip()),
        }
    }
}

/// The part of a file that has come.
#[derive(Debug)]
pub(super) struct Part {
    /// The clean path of the file.
    pub(super) path: Vec<u8>,
    /// Its last component.
    pub(super) name: String,
    /// What had the name when the upload began.
    pub(super) found: Existing,
    pub(super) owner: Owner,
    /// The size of the whole file.
    pub(super) total: u64,
    /// The size of the part.
    pub(super) size: u64,
    /// The device that it is on.
    pub(super) device: u64,
    pub(super) file: TemporaryFile,
}

impl Part {
    /// Whether what has its name has changed since the upload began.
    pub(super) fn is_superseded(&self) -> bool {
        self.file.directory().existing(&self.name).ok() != Some(self.found)
    }
}

/// The parts that are kept.
#[derive(Debug)]
pub(super) struct Interrupted {
    max: usize,
    timeout: Duration,
    /// In the order of their time.
    parts: Mutex<Vec<(Instant, Part)>>,
}

/// Parts that were given up. Dropping them may wait for the disk.
pub(super) type GivenUp = Vec<(Instant, Part)>;

impl Interrupted {
    pub(super) fn new(max: usize, timeout: Duration) -> Self {
        Self { max, timeout, parts: Mutex::default() }
    }

    /// Keeps a part, in place of another one of the same client and path.
    #[must_use]
    pub(super) fn keep(&self, part: Part, now: Instant) -> GivenUp {
        let mut parts = self.parts();
        let mut given_up = remove(&mut parts, |_, other| is_same(other, &part.path, &part.owner));
        parts.push((now, part));
        while parts.len() > self.max {
            let at = oldest_of_the_most(&parts);
            given_up.push(parts.remove(at));
        }
        given_up
    }

    /// How much space the parts on a device have, except for that of this path and client, in bytes.
    pub(super) fn space(&self, device: u64, except: Option<(&[u8], &Owner)>) -> u64 {
        let is_meant =
            |part: &Part| !except.is_some_and(|(path, owner)| is_same(part, path, owner));
        space_on(device, &self.parts(), is_meant)
    }

    /// The oldest parts on a device, removed, that together have at least `space` bytes. If all have less,
    /// they stay, and there are none.
    #[must_use]
    pub(super) fn make_space(&self, device: u64, space: u64) -> GivenUp {
        let mut parts = self.parts();
        if space_on(device, &parts, |_| true) < space {
            return Vec::new();
        }
        let mut missing = space;
        remove(&mut parts, |_, part| {
            let is_meant = part.device == device && missing > 0;
            if is_meant {
                missing = missing.saturating_sub(part.size);
            }
            is_meant
        })
    }

    /// Takes the part of a file of `total` bytes that is continued at `first`.
    pub(super) fn take(
        &self,
        (path, owner): (&[u8], &Owner),
        (first, total): (u64, u64),
        now: Instant,
    ) -> Result<Part, Refusal> {
        let mut parts = self.parts();
        let is_kept = |(since, part): &(Instant, Part)| {
            !self.is_over(*since, now) && part.total == total && is_same(part, path, owner)
        };
        let at = parts.iter().position(is_kept).ok_or(Refusal::NoPart)?;
        match parts[at].1.size {
            size if size == first => Ok(parts.remove(at).1),
            size => Err(Refusal::OtherOffset(size)),
        }
    }

    /// The size of the part of a file that this client can continue.
    pub(super) fn size(&self, path: &[u8], owner: &Owner, now: Instant) -> Option<u64> {
        let parts = self.parts();
        let is_kept = |(since, part): &&(Instant, Part)| {
            !self.is_over(*since, now) && is_same(part, path, owner)
        };
        parts.iter().find(is_kept).map(|(_, part)| part.size)
    }

    /// Whether there are no parts.
    pub(super) fn is_empty(&self) -> bool {
        self.parts().is_empty()
    }

    /// Whether parts were kept for their time, or parts of this path are superseded.
    pub(super) fn is_due(&self, path: Option<&[u8]>, now: Instant) -> bool {
        self.parts().iter().any(|(since, part)| self.is_to_be_given_up(*since, part, path, now))
    }

    /// The parts that were kept for their time, and the superseded ones of this path, removed.
    #[must_use]
    pub(super) fn expire(&self, path: Option<&[u8]>, now: Instant) -> GivenUp {
        remove(&mut self.parts(), |since, part| self.is_to_be_given_up(since, part, path, now))
    }

    /// All parts of this path, of every client, removed.
    #[must_use]
    pub(super) fn forget(&self, path: &[u8]) -> GivenUp {
        remove(&mut self.parts(), |_, part| part.path == path)
    }

    fn is_to_be_given_up(
        &self,
        since: Instant,
        part: &Part,
        path: Option<&[u8]>,
        now: Instant,
    ) -> bool {
        self.is_over(since, now) || (path == Some(&part.path) && part.is_superseded())
    }

    fn is_over(&self, since: Instant, now: Instant) -> bool {
        now.saturating_duration_since(since) >= self.timeout
    }

    fn parts(&self) -> MutexGuard<'_, Vec<(Instant, Part)>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The index of the oldest part of the client that has the most.
fn oldest_of_the_most(parts: &[(Instant, Part)]) -> usize {
    let number = |owner: &Owner| parts.iter().filter(|(_, part)| part.owner == *owner).count();
    let numbers: Vec<_> = parts.iter().map(|(_, part)| number(&part.owner)).collect();
    let most = numbers.iter().max();
    numbers.iter().position(|number| Some(number) == most).unwrap_or_default()
}

fn is_same(part: &Part, path: &[u8], owner: &Owner) -> bool {
    part.path == path && part.owner == *owner
}

/// The sum of the sizes of those parts on a device that are meant.
fn space_on(device: u64, parts: &[(Instant, Part)], is_meant: impl Fn(&Part) -> bool) -> u64 {
    let meant = parts.iter().filter(|(_, part)| part.device == device && is_meant(part));
    meant.map(|(_, part)| part.size).sum()
}

fn remove(
    parts: &mut Vec<(Instant, Part)>,
    mut is_meant: impl FnMut(Instant, &Part) -> bool,
) -> GivenUp {
    parts.extract_if(.., |(since, part)| is_meant(*since, part)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::{Root, Symlinks};

    fn part(path: &str, user: &str, size: u64, total: u64) -> Part {
        let root = tempfile::tempdir().unwrap();
        let root_dir = Root::new(root.path(), Symlinks::Deny).unwrap().open_dir().unwrap();
        let file = root_dir.open_upload_dir(b"").unwrap().create().unwrap();
        let (name, found) = (path.into(), Existing::Nothing);
        Part { path: path.into(), name, found, owner: user_of(user), total, size, device: 1, file }
    }

    fn user_of(name: &str) -> Owner {
        Owner::User(name.as_bytes().into())
    }

    #[test]
    fn a_part_is_continued_by_its_client_at_its_end() {
        let (kept, now) = (Interrupted::new(9, Duration::from_secs(60)), Instant::now());
        assert!(kept.keep(part("a", "x", 3, 10), now).is_empty());
        assert_eq!(kept.keep(part("a", "x", 4, 10), now).len(), 1, "in its place");
        assert!(kept.keep(part("a", "y", 5, 10), now).is_empty());
        assert_eq!(kept.size(b"a", &user_of("x"), now), Some(4));
        assert_eq!(kept.size(b"a", &user_of("z"), now), None);
        let take = |path: &str, user, first, total| {
            let taken = kept.take((path.as_bytes(), &user_of(user)), (first, total), now);
            taken.map(|part| part.size)
        };
        assert_eq!(take("b", "x", 4, 10), Err(Refusal::NoPart));
        assert_eq!(take("a", "z", 4, 10), Err(Refusal::NoPart));
        assert_eq!(take("a", "x", 4, 11), Err(Refusal::NoPart));
        assert_eq!(take("a", "x", 3, 10), Err(Refusal::OtherOffset(4)));
        assert_eq!(take("a", "x", 4, 10), Ok(4));
        assert_eq!(take("a", "x", 4, 10), Err(Refusal::NoPart), "it was taken");
        assert_eq!(take("a", "y", 5, 10), Ok(5));
    }

    #[test]
    fn parts_are_bounded_in_number_and_time() {
        let (kept, now) = (Interrupted::new(2, Duration::from_secs(60)), Instant::now());
        let later = now + Duration::from_secs(30);
        assert!(kept.keep(part("a", "x", 1, 10), now).is_empty());
        assert!(kept.keep(part("b", "x", 1, 10), now).is_empty());
        let given_up = kept.keep(part("c", "x", 1, 10), later);
        assert_eq!(given_up[0].1.path, b"a");
        let end = now + Duration::from_secs(60);
        assert_eq!(kept.size(b"b", &user_of("x"), end), None);
        assert_eq!(kept.expire(None, end).len(), 1);
        assert_eq!(kept.size(b"c", &user_of("x"), end), Some(1));
        assert!(!kept.is_due(Some(b"d"), end) && !kept.is_empty());
        assert_eq!(kept.forget(b"c").len(), 1);
        assert!(kept.is_empty());
        assert_eq!(Interrupted::new(0, Duration::MAX).keep(part("a", "x", 1, 2), now).len(), 1);
    }

    #[test]
    fn a_client_with_many_parts_does_not_displace_those_of_others() {
        let (kept, now) = (Interrupted::new(3, Duration::from_secs(60)), Instant::now());
        assert!(kept.keep(part("a", "x", 1, 10), now).is_empty());
        for path in ["b", "c"] {
            assert!(kept.keep(part(path, "y", 1, 10), now).is_empty());
        }
        for (path, oldest) in [("d", b"b"), ("e", b"c"), ("f", b"d")] {
            let given_up = kept.keep(part(path, "y", 1, 10), now);
            assert_eq!(given_up.iter().map(|(_, part)| &*part.path).collect::<Vec<_>>(), [oldest]);
        }
        assert_eq!(kept.size(b"a", &user_of("x"), now), Some(1));
    }

    #[test]
    fn the_oldest_parts_of_a_device_make_space_if_that_is_enough() {
        let (kept, now) = (Interrupted::new(9, Duration::from_secs(60)), Instant::now());
        let make_space = |device, space| {
            let given_up = kept.make_space(device, space).into_iter();
            given_up.map(|(_, part)| part.path).collect::<Vec<_>>()
        };
        assert!(make_space(1, 1).is_empty());
        for (path, size, device) in [("a", 3, 1), ("x", 9, 2), ("b", 4, 1), ("c", 5, 1)] {
            let part = Part { device, ..part(path, "x", size, 10) };
            assert!(kept.keep(part, now).is_empty());
        }
        assert_eq!([1, 2, 3].map(|device| kept.space(device, None)), [12, 9, 0]);
        assert_eq!(kept.space(1, Some((b"b", &user_of("x")))), 8);
        assert_eq!(kept.space(1, Some((b"b", &user_of("y")))), 12);
        assert!(make_space(1, 13).is_empty());
        assert_eq!(make_space(1, 4), [b"a", b"b"]);
        assert_eq!(make_space(1, 5), [b"c"]);
        assert_eq!(make_space(2, 1), [b"x"]);
        assert!(kept.is_empty());
    }
}
