//! A random key of this process, and tags of what must not be kept in the clear.
//!
//! A [`Tag`] is an HMAC-SHA-256. Whoever reads it in a dump of memory without the key learns nothing,
//! and who chooses what is tagged cannot make two tags equal.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A key that exists in this process only.
#[derive(Clone)]
pub(super) struct Key(Hmac<Sha256>);

/// The tag of something under a [`Key`].
pub(super) type Tag = [u8; 32];

impl Key {
    /// A new one.
    ///
    /// # Errors
    /// Returns an error if the system has no random numbers.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 64]; // the block size of SHA-256
        getrandom::fill(&mut bytes)?;
        Ok(Self(Hmac::new(&bytes.into())))
    }

    /// The tag of a pair of user and password.
    pub(super) fn pair_tag(&self, user: &[u8], password: &[u8]) -> Tag {
        self.tag(b"pair", &[&(user.len() as u64).to_le_bytes(), user, password])
    }

    /// The tag of a password.
    pub(super) fn password_tag(&self, password: &[u8]) -> Tag {
        self.tag(b"pass", &[password])
    }

    /// A number that nobody can foretell, always the same for one user name.
    pub(super) fn user_number(&self, user: &[u8]) -> usize {
        let tag = self.tag(b"user", &[user]);
        tag.iter().take(size_of::<usize>()).fold(0, |number, &byte| number << 8 | usize::from(byte))
    }

    fn tag(&self, purpose: &[u8; 4], parts: &[&[u8]]) -> Tag {
        let mut mac = self.0.clone();
        mac.update(purpose);
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn tags_differ_by_key_purpose_and_where_the_user_ends() {
        let (key, other) = (Key::random().unwrap(), Key::random().unwrap());
        let tags = [
            key.pair_tag(b"ab", b"c"),
            key.pair_tag(b"a", b"bc"),
            key.pair_tag(b"", b"abc"),
            key.password_tag(b"abc"),
            other.pair_tag(b"ab", b"c"),
        ];
        for (n, tag) in tags.iter().enumerate() {
            assert!(!tags[..n].contains(tag), "{n}");
        }
        assert_eq!(key.pair_tag(b"ab", b"c"), tags[0]);
        assert_eq!(key.user_number(b"ab"), key.user_number(b"ab"));
    }
}
