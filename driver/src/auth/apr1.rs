//! Apache's variant of MD5 crypt, `$apr1$`: what `htpasswd` writes unless it is asked for another kind.
//!
//! It is a thousand rounds of MD5, which is weak by today's standards: a file that leaks is soon
//! cracked. No well-kept crate has it. The hash function is that of the crate md-5, and the steps are
//! those of `apr_md5_encode`.

use md5::{Digest, Md5};

const PREFIX: &[u8] = b"$apr1$";
const ROUNDS: usize = 1000;
const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Which bytes of the digest make four digits.
const TRIPLES: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];

/// The number of digits of a hash.
pub(super) const LENGTH: usize = 22;
/// The maximum length of a salt, in bytes.
pub(super) const MAX_SALT: usize = 8;

/// Whether this is a digit of a salt or a hash.
pub(super) fn is_digit(byte: u8) -> bool {
    DIGITS.contains(&byte)
}

/// The hash of `password` with `salt`, as its digits.
pub(super) fn hash(password: &[u8], salt: &[u8]) -> [u8; LENGTH] {
    let mut inner: [u8; 16] = digest(&[password, salt, password]);
    let mut outer = Md5::new();
    for part in [password, PREFIX, salt] {
        outer.update(part);
    }
    for offset in (0..password.len()).step_by(inner.len()) {
        outer.update(&inner[..inner.len().min(password.len() - offset)]);
    }
    let mut bits = password.len();
    while bits > 0 {
        let first = password.first().copied().unwrap_or(0);
        outer.update([if bits & 1 == 1 { 0 } else { first }]);
        bits >>= 1;
    }
    inner = outer.finalize().into();
    for round in 0..ROUNDS {
        let (first, last) =
            if round % 2 == 1 { (password, &inner[..]) } else { (&inner[..], password) };
        let salt = if round % 3 == 0 { &[] } else { salt };
        let middle = if round % 7 == 0 { &[] } else { password };
        inner = digest(&[first, salt, middle, last]);
    }
    encode(&inner)
}

fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(part);
    }
    md5.finalize().into()
}

fn encode(digest: &[u8; 16]) -> [u8; LENGTH] {
    let mut out = [0; LENGTH];
    let words = TRIPLES
        .map(|bytes| bytes.iter().fold(0, |word, &index| word << 8 | usize::from(digest[index])));
    let words = words.into_iter().chain([usize::from(digest[11])]);
    for (digits, mut word) in out.chunks_mut(4).zip(words) {
        for digit in digits {
            *digit = DIGITS[word & 63];
            word >>= 6;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `openssl passwd -apr1 -salt SALT PASSWORD` prints them.
    #[test]
    fn hashes_are_those_of_other_programs() {
        for (password, salt, expected) in [
            ("password", "lZL6V/ci", "eIMz/iKDkbtys/uU7LEK00"),
            ("password", "RandSalt", "PgCXHRrkpSt4cbyC2C6bm/"),
            ("", "abcdefgh", "L.PT565ESX4Tp2bqNs7Ie."),
            ("0123456789abcdefX", "ab", "UiACOBJAMDCCrcC85cKEn1"),
            (
                "käse\u{1f9c0} with a long password of more than two blocks",
                "12345678",
                "TCOw9QxmCmwi.v/8QLBw9.",
            ),
        ] {
            let hash = hash(password.as_bytes(), salt.as_bytes());
            assert_eq!(str::from_utf8(&hash).unwrap(), expected, "{password}");
        }
    }
}
