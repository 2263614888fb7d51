//! The users at one moment, and whose passwords were verified lately.
//!
//! [`Users`] never change: when the file has changed, others replace them, and with them goes all
//! that was remembered. What is remembered are tags of pairs of user and password ([`Key`]), never
//! passwords; wrong ones are not remembered at all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::AuthSettings;
use super::htpasswd::User;
use super::key::{Key, Tag};
use super::password_hash::PasswordHash;

/// Users by name, and the pairs that were verified.
#[derive(Debug, Default)]
pub(super) struct Users {
    by_name: HashMap<Arc<[u8]>, usize>,
    users: Vec<User>,
    verified: Mutex<HashMap<Tag, Verified>>,
}

#[derive(Debug)]
struct Verified {
    since: Instant,
    user: Arc<[u8]>,
}

/// Whose password is to be hashed.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    users: Arc<Users>,
    number: usize,
    /// Whether it is the user of that name. Otherwise it is one whose hash takes the time.
    exists: bool,
}

impl Users {
    /// The users must have different names.
    pub(super) fn new(users: Vec<User>) -> Self {
        let names = users.iter().enumerate().map(|(number, user)| (user.name.clone(), number));
        Self { by_name: names.collect(), users, verified: Mutex::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.users.len()
    }

    /// The user of this name; or else one of the others, always the same for one name: a password for a
    /// user that does not exist is verified, too, against a hash of the kinds that are in use, and the
    /// time tells nobody who exists. `None` if there are no users.
    pub(super) fn candidate(self: &Arc<Self>, key: &Key, name: &[u8]) -> Option<Candidate> {
        let other = key.user_number(name).checked_rem(self.users.len())?;
        let found = self.by_name.get(name).copied();
        Some(Candidate {
            users: self.clone(),
            number: found.unwrap_or(other),
            exists: found.is_some(),
        })
    }

    /// The user of a pair that was verified not longer ago than [`AuthSettings::cache_timeout`].
    pub(super) fn verified(
        &self,
        pair: &Tag,
        now: Instant,
        settings: &AuthSettings,
    ) -> Option<Arc<[u8]>> {
        let verified = self.lock();
        let entry = verified.get(pair)?;
        let age = now.saturating_duration_since(entry.since);
        (age < settings.cache_timeout).then(|| entry.user.clone())
    }

    /// Remembers a pair. If there are too many, those whose time is over are forgotten, or else the
    /// oldest.
    pub(super) fn remember(
        &self,
        pair: Tag,
        user: Arc<[u8]>,
        now: Instant,
        settings: &AuthSettings,
    ) {
        if settings.max_cached == 0 {
            return;
        }
        let mut verified = self.lock();
        if verified.len() >= settings.max_cached {
            verified.retain(|_, entry| {
                now.saturating_duration_since(entry.since) < settings.cache_timeout
            });
        }
        while verified.len() >= settings.max_cached {
            let oldest = verified.iter().min_by_key(|(_, entry)| entry.since).map(|(tag, _)| *tag);
            let Some(oldest) = oldest else { break };
            verified.remove(&oldest);
        }
        verified.insert(pair, Verified { since: now, user });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Tag, Verified>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Candidate {
    /// Hashes the password once, whoever it is for. Returns the user whose password it is.
    pub(super) fn verify(&self, key: &Key, password: &[u8]) -> Option<Arc<[u8]>> {
        let user: &User = self.users.users.get(self.number)?;
        let is_right = PasswordHash::verify(&user.hash, key, password);
        (is_right && self.exists).then(|| user.name.clone())
    }

    /// The users that it is one of.
    pub(super) fn users(&self) -> &Users {
        &self.users
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn users(key: &Key, names: &[&str]) -> Arc<Users> {
        let user = |name: &&str| User {
            name: name.as_bytes().into(),
            hash: PasswordHash::Keyed(key.password_tag(b"secret")),
        };
        Arc::new(Users::new(names.iter().map(user).collect()))
    }

    #[test]
    fn a_user_that_does_not_exist_is_verified_against_another_one_in_vain() {
        let key = Key::random().unwrap();
        let users = users(&key, &["alice", "bob"]);
        let verify = |name: &[u8], password: &[u8]| {
            let candidate = users.candidate(&key, name).expect("a hash is computed");
            candidate.verify(&key, password)
        };
        assert_eq!(verify(b"alice", b"secret").as_deref(), Some(&b"alice"[..]));
        assert_eq!(verify(b"alice", b"wrong"), None);
        for name in [&b"carol"[..], b"", b"Alice", b"alice "] {
            assert_eq!(verify(name, b"secret"), None, "{}", name.escape_ascii());
        }
        let number = |name: &[u8]| users.candidate(&key, name).map(|candidate| candidate.number);
        assert_eq!(number(b"carol"), number(b"carol"));
        assert!((0..200_u8).any(|n| number(&[n]) == Some(0)), "either of them");
        assert!((0..200_u8).any(|n| number(&[n]) == Some(1)));
        assert!(Arc::new(Users::default()).candidate(&key, b"alice").is_none());
    }

    #[test]
    fn what_is_remembered_is_bounded_in_time_and_number() {
        let key = Key::random().unwrap();
        let users = users(&key, &["alice"]);
        let alice: Arc<[u8]> = b"alice"[..].into();
        let mut settings = AuthSettings::default();
        (settings.max_cached, settings.cache_timeout) = (2, Duration::from_secs(10));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let pair = |n: u8| key.pair_tag(b"alice", &[n]);
        let is_known =
            |n, seconds, settings: &_| users.verified(&pair(n), at(seconds), settings).is_some();

        users.remember(pair(1), alice.clone(), at(0), &settings);
        users.remember(pair(2), alice.clone(), at(5), &settings);
        assert!(
            is_known(1, 9, &settings) && !is_known(1, 10, &settings) && !is_known(3, 0, &settings)
        );
        users.remember(pair(3), alice.clone(), at(6), &settings);
        assert!(!is_known(1, 6, &settings), "the oldest");
        assert!(is_known(2, 6, &settings) && is_known(3, 6, &settings));
        users.remember(pair(4), alice.clone(), at(30), &settings);
        assert_eq!(users.lock().len(), 1, "those whose time is over");
        settings.max_cached = 0;
        users.remember(pair(5), alice, at(30), &settings);
        assert!(!is_known(5, 30, &settings));
    }
}
