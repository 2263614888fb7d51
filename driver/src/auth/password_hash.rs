//! The hashes of passwords: bcrypt, Apache's MD5, SHA crypt and `{SHA}`.
//!
//! A hash is checked when it is read, so that verifying cannot fail. What is refused, with the
//! reason: plain text and DES crypt, which `htpasswd` still writes when asked to, and every kind that
//! is not known. Comparisons take constant time. No text of an error contains a hash or a password.

use std::fmt;

use data_encoding::BASE64;
use sha_crypt::{PasswordVerifier, ShaCrypt};
use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

use super::apr1;
use super::key::{Key, Tag};

/// The maximum cost of bcrypt: `htpasswd -C` accepts the same. One hash of it takes ten seconds.
const MAX_BCRYPT_COST: u32 = 17;
/// The maximum number of rounds of SHA crypt: a few seconds.
const MAX_SHA_CRYPT_ROUNDS: u32 = 5_000_000;
/// The maximum length of a salt of SHA crypt, in bytes.
const MAX_SHA_CRYPT_SALT: usize = 16;

/// The hash of a password, of a kind that is accepted.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum PasswordHash {
    /// `$2y$`, `$2a$`, `$2b$`.
    Bcrypt(Box<str>),
    /// `$apr1$`: salt and digits.
    Apr1(Box<[u8]>, [u8; apr1::LENGTH]),
    /// `$5$`, `$6$`.
    ShaCrypt(Box<str>),
    /// `{SHA}`: without a salt.
    Sha1([u8; 20]),
    /// Of a password that was not in a file: keyed by this process.
    Keyed(Tag),
}

impl PasswordHash {
    /// Parses the second field of a line.
    ///
    /// # Errors
    /// Returns what is wrong with it, and what to do.
    pub(super) fn parse(text: &[u8]) -> Result<Self, &'static str> {
        let Ok(text) = str::from_utf8(text) else { return Err(PLAIN_TEXT) };
        if let Some(digest) = text.strip_prefix("{SHA}") {
            let digest = BASE64.decode(digest.as_bytes()).ok();
            let digest = digest.and_then(|digest| digest.try_into().ok());
            return digest.map(Self::Sha1).ok_or("its {SHA} hash is malformed");
        }
        let Some((kind, rest)) = text.strip_prefix('$').and_then(|rest| rest.split_once('$'))
        else {
            return Err(PLAIN_TEXT);
        };
        match kind {
            "2y" | "2a" | "2b" => parse_bcrypt(text),
            "apr1" => parse_apr1(rest).ok_or("its $apr1$ hash is malformed"),
            "5" => parse_sha_crypt(text, rest, 43),
            "6" => parse_sha_crypt(text, rest, 86),
            _ => Err(
                "its hash is of a kind that is not supported; hash the password with htpasswd -B",
            ),
        }
    }

    /// Whether this is the hash of `password`. It takes the time that the hash was made to take.
    pub(super) fn verify(&self, key: &Key, password: &[u8]) -> bool {
        match self {
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Self::Apr1(salt, digits) => apr1::hash(password, salt).ct_eq(digits).into(),
            Self::ShaCrypt(hash) => ShaCrypt::default().verify_password(password, &**hash).is_ok(),
            Self::Sha1(digest) => Sha1::digest(password).as_slice().ct_eq(digest).into(),
            Self::Keyed(tag) => key.password_tag(password).ct_eq(tag).into(),
        }
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bcrypt(_) => "Bcrypt(..)",
            Self::Apr1(..) => "Apr1(..)",
            Self::ShaCrypt(_) => "ShaCrypt(..)",
            Self::Sha1(_) => "Sha1(..)",
            Self::Keyed(_) => "Keyed(..)",
        })
    }
}

const PLAIN_TEXT: &str =
    "its password is plain text or a DES crypt hash, which are refused; hash it with htpasswd -B";

fn parse_bcrypt(text: &str) -> Result<PasswordHash, &'static str> {
    let parts: bcrypt::HashParts = text.parse().map_err(|_| "its bcrypt hash is malformed")?;
    match parts.get_cost() {
        4..=MAX_BCRYPT_COST => Ok(PasswordHash::Bcrypt(text.into())),
        _ => Err(
            "the cost of its bcrypt hash is not from 4 to 17; hash the password with htpasswd -B",
        ),
    }
}

fn parse_apr1(rest: &str) -> Option<PasswordHash> {
    let (salt, digits) = rest.split_once('$')?;
    let is_valid = salt.len() <= apr1::MAX_SALT && digits.bytes().all(apr1::is_digit);
    let digits = digits.as_bytes().try_into().ok().filter(|_| is_valid)?;
    Some(PasswordHash::Apr1(salt.as_bytes().into(), digits))
}

fn parse_sha_crypt(text: &str, rest: &str, length: usize) -> Result<PasswordHash, &'static str> {
    const MALFORMED: &str = "its SHA crypt hash is malformed";
    let fields: Vec<_> = rest.split('$').collect();
    let (rounds, salt, digits) = match fields[..] {
        [salt, digits] => (None, salt, digits),
        [rounds, salt, digits] => (Some(rounds), salt, digits),
        _ => return Err(MALFORMED),
    };
    if let Some(rounds) = rounds {
        let rounds = rounds.strip_prefix("rounds=").and_then(|rounds| rounds.parse().ok());
        if !rounds.is_some_and(|rounds: u32| (1000..=MAX_SHA_CRYPT_ROUNDS).contains(&rounds)) {
            return Err("the rounds of its SHA crypt hash are not from 1000 to 5000000");
        }
    }
    let is_valid = digits.len() == length
        && digits.bytes().all(apr1::is_digit)
        && (1..=MAX_SHA_CRYPT_SALT).contains(&salt.len())
        && salt.bytes().all(apr1::is_digit);
    is_valid.then(|| PasswordHash::ShaCrypt(text.into())).ok_or(MALFORMED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Of "secret", as `htpasswd` and `openssl passwd` print them.
    const HASHES: [&str; 8] = [
        "$2y$04$DiSyr.ccLc2OUxg2d.r6M.pwQAPAQAp2RQiQbig0Fy14Ji1MTODmW",
        "$2a$04$DiSyr.ccLc2OUxg2d.r6M.pwQAPAQAp2RQiQbig0Fy14Ji1MTODmW",
        "$2b$04$DiSyr.ccLc2OUxg2d.r6M.pwQAPAQAp2RQiQbig0Fy14Ji1MTODmW",
        "$apr1$RgeM6Qgb$BrXSwakIGUQL8plt.tewd/",
        "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
        "$5$ewELrZujRCwpFu0Q$AH8uvuBLGCW75TCBM7lOY2disW/l/l6EAC.KwSsIpq6",
        "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1",
        "$6$rounds=1000$abcdefgh$nhYjN017qxiYztzyUpZtPnUQcnLy62KsunSLHNeLahp2EHPlAKmFFlrjEwSXGo2kgY5hR2.peKEg2VGUqIJJu1",
    ];

    #[test]
    fn hashes_of_htpasswd_and_openssl_are_verified() {
        let key = Key::random().unwrap();
        for text in HASHES {
            let hash = PasswordHash::parse(text.as_bytes()).unwrap();
            for (password, is_right) in [
                ("secret", true),
                ("Secret", false),
                ("secret ", false),
                ("secre", false),
                ("", false),
            ] {
                assert_eq!(hash.verify(&key, password.as_bytes()), is_right, "{text} {password:?}");
            }
            assert!(format!("{hash:?}").ends_with("(..)"));
        }
    }

    #[test]
    fn a_password_that_was_given_is_verified_by_its_tag() {
        let (key, other) = (Key::random().unwrap(), Key::random().unwrap());
        let hash = PasswordHash::Keyed(key.password_tag(b"secret"));
        assert!(hash.verify(&key, b"secret") && !hash.verify(&key, b"Secret"));
        assert!(!hash.verify(&other, b"secret"));
    }

    #[test]
    fn plain_text_and_des_crypt_are_refused_with_the_remedy() {
        for text in ["secret", "QIXMwtjrGsrZw", "", "$", "$secret", "{SSHA}x", "\u{e4}"] {
            assert_eq!(PasswordHash::parse(text.as_bytes()), Err(PLAIN_TEXT), "{text}");
        }
        assert_eq!(PasswordHash::parse(b"\xff"), Err(PLAIN_TEXT));
        for text in ["$1$abcdefgh$x", "$y$j9T$x$y", "$argon2id$v=19$x", "$2x$04$x", "$$", "$7$"] {
            let why = PasswordHash::parse(text.as_bytes()).unwrap_err();
            assert!(why.contains("not supported"), "{text}: {why}");
        }
    }

    #[test]
    fn malformed_and_excessive_hashes_are_refused() {
        for text in HASHES {
            for text in [
                &text[..text.len() - 1],
                &format!("{text}x"),
                &text.replace('c', " "),
                &text.replace('b', "$"),
            ] {
                let (parsed, is_same) =
                    (PasswordHash::parse(text.as_bytes()), HASHES.contains(&text));
                assert!(parsed.is_err() || is_same, "{text}: {parsed:?}");
            }
        }
        let bcrypt = HASHES[0];
        for (from, to) in [("$04$", "$03$"), ("$04$", "$18$"), ("$04$", "$31$"), ("$04$", "$xx$")] {
            assert!(PasswordHash::parse(bcrypt.replace(from, to).as_bytes()).is_err(), "{to}");
        }
        for rounds in ["999", "5000001", "", "-1", "99999999999"] {
            let text = HASHES[5].replacen("$5$", &format!("$5$rounds={rounds}$"), 1);
            assert!(PasswordHash::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_what_it_accepts_can_be_verified(
            text in r"(\$(2y|apr1|5|6)\$)?(04\$|rounds=1000\$)?[a-z.$/{}=\x00é]{0,70}",
        ) {
            if let Ok(hash) = PasswordHash::parse(text.as_bytes()) {
                hash.verify(&Key::random().unwrap(), b"secret");
            }
        }
    }
}
