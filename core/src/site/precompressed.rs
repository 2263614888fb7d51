//! Content codings that a client prefers (RFC 9110 §12.5.3), for precompressed files.
//!
//! Nothing is compressed here: a coding is available if the compressed file is beside the file,
//! such as `page.html.br`. [`preferred_codings`] returns the codings worth looking for, best first:
//! those with at least the weight of the uncompressed file, by weight and then in the order of
//! [`Coding`]. If no coding is acceptable, the uncompressed file is sent nevertheless, which
//! §12.5.3 allows.
//!
//! ```
//! use doorstep_core::site::precompressed::{Coding, preferred_codings};
//!
//! let browser = [&b"gzip"[..], b"deflate", b"br;q=0.9"];
//! let codings: Vec<_> = preferred_codings(browser).collect();
//! assert_eq!(codings, [Coding::Gzip, Coding::Brotli]);
//! assert_eq!(preferred_codings([&b"identity"[..], b"gzip;q=0.5"]).next(), None);
//! ```

use std::cmp::Reverse;

use super::accept::{Member, Weight};

/// A content coding of precompressed files. The first one is preferred at equal weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Coding {
    /// Brotli (RFC 7932).
    Brotli,
    /// Zstandard (RFC 8878).
    Zstandard,
    /// gzip (RFC 1952), also accepted as `x-gzip`.
    Gzip,
}

impl Coding {
    /// Every coding.
    pub const ALL: [Self; 3] = [Self::Brotli, Self::Zstandard, Self::Gzip];

    /// Its name in Accept-Encoding and Content-Encoding.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstandard => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// The suffix of a precompressed file's name.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Zstandard => ".zst",
            Self::Gzip => ".gz",
        }
    }
}

/// Codings in the order in which to look for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Codings([Option<Coding>; 3]);

impl Iterator for Codings {
    type Item = Coding;

    fn next(&mut self) -> Option<Coding> {
        self.0.iter_mut().find_map(Option::take)
    }
}

/// The codings to look for, from the members of Accept-Encoding. Malformed members are ignored.
pub fn preferred_codings(members: impl IntoIterator<Item: AsRef<[u8]>>) -> Codings {
    let (mut named, mut identity, mut star) = ([None; 3], None, None);
    for member in members {
        let Some(member) = Member::parse(member.as_ref()) else { continue };
        if member.has_parameters {
            continue; // codings have none
        }
        let is = |known: &str| member.name.eq_ignore_ascii_case(known.as_bytes());
        let place = match member.name {
            b"*" => &mut star,
            _ if is("identity") => &mut identity,
            _ if is("x-gzip") => &mut named[2],
            _ => match Coding::ALL.iter().position(|coding| is(coding.name())) {
                Some(n) => &mut named[n],
                None => continue,
            },
        };
        *place = Some(member.weight.max(place.unwrap_or_default()));
    }
    // Unless it is named, the uncompressed file is acceptable, and every other coding is preferred.
    let least = identity.unwrap_or_default().max(Weight::MIN_ACCEPTABLE);
    let weight = |n: usize| named[n].or(star).unwrap_or_default();
    let mut order = [0, 1, 2];
    order.sort_unstable_by_key(|&n| (Reverse(weight(n)), n));
    Codings(order.map(|n| (weight(n) >= least).then_some(Coding::ALL[n])))
}

#[cfg(test)]
mod tests {
    use super::preferred_codings;

    fn order(field: &str) -> String {
        let members = field.as_bytes().split(|&b| b == b',').map(<[u8]>::trim_ascii);
        preferred_codings(members).map(|coding| format!("{} ", coding.name())).collect()
    }

    #[test]
    fn rfc_9110_12_5_3_by_q_value_then_by_our_own_order() {
        let cases = [
            ("", ""),
            ("gzip, deflate, br, zstd", "br zstd gzip "),
            ("zstd;q=0.5, gzip;q=1.0, br;q=0.8", "gzip br zstd "),
            ("gzip", "gzip "),
            ("GZIP;Q=0.5", "gzip "),
            ("x-gzip", "gzip "),
            ("compress, deflate", ""),
            ("*", "br zstd gzip "),
            ("*;q=0.5, gzip", "gzip br zstd "),
            ("*, br;q=0", "zstd gzip "),
            ("*;q=0", ""),
            ("gzip;q=0", ""),
            ("gzip;q=0.000, br;q=0.001", "br "),
            ("br ; q=0.7 , gzip ;q=0.8", "gzip br "),
        ];
        for (field, expected) in cases {
            assert_eq!(order(field), expected, "{field}");
        }
    }

    #[test]
    fn rfc_9110_12_5_3_a_coding_needs_the_weight_of_identity() {
        let cases = [
            ("identity", ""),
            ("identity, gzip", "gzip "),
            ("identity;q=0.5, gzip;q=0.5, br;q=0.4", "gzip "),
            ("identity;q=0.8, gzip;q=0.5", ""),
            ("identity;q=0, gzip", "gzip "),
            ("identity;q=0", ""),
            ("*;q=0, gzip;q=0.1", "gzip "),
        ];
        for (field, expected) in cases {
            assert_eq!(order(field), expected, "{field}");
        }
    }

    #[test]
    fn malformed_members_are_ignored() {
        for member in [
            "gzip;q",
            "gzip;q=",
            "gzip;q=2",
            "gzip;q=1.001",
            "gzip;q=0.1234",
            "gzip;q=-1",
            "gzip;q=.5",
            "gzip;q=0.x",
            "gzip;q=0,5",
            "gzip;level=1",
            ";q=1",
            "gzip q=1",
            "\u{ff}",
        ] {
            let field = format!("{member}, br");
            let order = order(&field);
            assert!(order == "br " || member == "gzip;q=0,5", "{member}: {order}");
        }
    }
}
