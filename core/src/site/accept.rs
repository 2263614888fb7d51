//! Weighted lists: Accept and Accept-Encoding (RFC 9110 §12.4.2, §12.5).
//!
//! [`Member`] is one member of such a list, with its quality value (`q`) as a [`Weight`].
//! [`Preference`] is the result of a whole Accept header for one media type: of the media ranges
//! that match it, the most specific one counts. A member whose weight is malformed is ignored,
//! as if it were not in the list.
//!
//! ```
//! use doorstep_core::site::accept::{Member, Preference, Weight};
//!
//! let member = Member::parse(b"gzip;q=0.5").unwrap();
//! assert_eq!((member.name, member.weight), (&b"gzip"[..], Weight::from_thousandths(500)));
//! assert!(Member::parse(b"gzip;q=2").is_none());
//!
//! let html = Preference::new("text/html", [&b"text/html;q=0"[..], b"*/*"]);
//! assert!(html.is_named() && !html.is_acceptable());
//! ```

use crate::bytes::trim_ows;

/// A quality value: 0 (not acceptable) to 1 (preferred, and the default), in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Weight(u16);

impl Weight {
    /// `q=0`: not acceptable.
    pub const ZERO: Self = Self(0);
    /// `q=0.001`: the smallest weight that is acceptable.
    pub const MIN_ACCEPTABLE: Self = Self(1);
    /// `q=1`: the weight of a member without a `q`.
    pub const ONE: Self = Self(1_000);

    /// A weight in thousandths; more than 1,000 counts as 1,000.
    #[must_use]
    pub const fn from_thousandths(n: u16) -> Self {
        if n < Self::ONE.0 { Self(n) } else { Self::ONE }
    }

    /// Reads a `qvalue`: `0` or `1`, with up to three decimals. `None` if it is malformed or
    /// greater than 1.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (whole, decimals) = match text {
            [whole] => (whole, &b""[..]),
            [whole, b'.', decimals @ ..] => (whole, decimals),
            _ => return None,
        };
        let is_well_formed = matches!(whole, b'0' | b'1')
            && decimals.len() <= 3
            && decimals.iter().all(u8::is_ascii_digit);
        if !is_well_formed {
            return None;
        }
        let digits = decimals.iter().chain(b"000").take(3);
        let value =
            digits.fold(u16::from(whole - b'0'), |n, digit| n * 10 + u16::from(digit - b'0'));
        (value <= Self::ONE.0).then_some(Self(value))
    }
}

/// One member of a weighted list: `text/html;level=1;q=0.5`, `gzip;q=0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// What stands before the first `;`, as the client spelled it: a media range or a coding.
    pub name: &'a [u8],
    /// The weight; without a `q` parameter, 1.
    pub weight: Weight,
    /// Whether there are parameters other than the first `q`. Their values are not kept.
    pub has_parameters: bool,
}

impl<'a> Member<'a> {
    /// Reads one member of a list. `None` if it has no name, or if its weight is malformed.
    #[must_use]
    pub fn parse(member: &'a [u8]) -> Option<Self> {
        let mut parts = member.split(|&b| b == b';').map(trim_ows);
        let name = parts.next().filter(|name| !name.is_empty())?;
        let (mut weight, mut has_parameters) = (None, false);
        for parameter in parts {
            let equals = parameter.iter().position(|&b| b == b'=').unwrap_or(parameter.len());
            let (key, value) = parameter.split_at(equals);
            if weight.is_none() && trim_ows(key).eq_ignore_ascii_case(b"q") {
                weight = Some(Weight::parse(value.strip_prefix(b"=")?)?);
            } else {
                has_parameters = true;
            }
        }
        Some(Self { name, weight: weight.unwrap_or(Weight::ONE), has_parameters })
    }
}

/// How acceptable one media type is (RFC 9110 §12.5.1). Parameters of media ranges, such as
/// `charset`, are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Preference {
    // The order of the headers is that of the comparison in `add`.
    specificity: Specificity,
    weight: Weight,
}

/// How exactly a media range names a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Specificity {
    /// No range matches.
    #[default]
    None,
    /// `*/*`
    Any,
    /// `text/*`
    Type,
    /// `text/html`
    Subtype,
}

impl Preference {
    /// The preference for `essence` (such as `text/html`) that the members of Accept express.
    pub fn new(essence: &str, accept: impl IntoIterator<Item: AsRef<[u8]>>) -> Self {
        let mut preference = Self::default();
        for member in accept {
            if let Some(member) = Member::parse(member.as_ref()) {
                preference.add(essence, &member);
            }
        }
        preference
    }

    /// Takes another member of Accept into account. Of the ranges that match `essence`, the most
    /// specific one counts; of equally specific ones, that with the greatest weight.
    pub fn add(&mut self, essence: &str, member: &Member<'_>) {
        let specificity = match member.name {
            b"*/*" => Specificity::Any,
            name if name.eq_ignore_ascii_case(essence.as_bytes()) => Specificity::Subtype,
            [kind @ .., b'/', b'*'] => {
                let own_kind = essence.split('/').next().unwrap_or_default();
                match kind.eq_ignore_ascii_case(own_kind.as_bytes()) {
                    true => Specificity::Type,
                    false => return,
                }
            }
            _ => return,
        };
        *self = (*self).max(Self { specificity, weight: member.weight });
    }

    /// Whether a range matches the type and its weight is not 0.
    #[must_use]
    pub fn is_acceptable(&self) -> bool {
        self.weight > Weight::ZERO
    }

    /// Whether the type itself is in the list, and not only a range such as `*/*`.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.specificity == Specificity::Subtype
    }

    /// Whether this type is preferred to another: by weight, and at equal weights by how exactly
    /// the list names it.
    #[must_use]
    pub fn is_preferred_to(&self, other: &Self) -> bool {
        (self.weight, self.specificity) > (other.weight, other.specificity)
    }
}

#[cfg(test)]
mod tests {
    use super::{Member, Preference, Weight};

    #[test]
    fn rfc_9110_12_4_2_a_weight_has_up_to_three_decimals() {
        for (text, thousandths) in
            [("0", 0), ("1", 1_000), ("0.", 0), ("1.", 1_000), ("0.5", 500), ("0.05", 50)]
        {
            assert_eq!(
                Weight::parse(text.as_bytes()),
                Some(Weight::from_thousandths(thousandths)),
                "{text}"
            );
        }
        assert_eq!(Weight::parse(b"1.000"), Some(Weight::ONE));
        assert_eq!(Weight::parse(b"0.001"), Some(Weight::MIN_ACCEPTABLE));
        for bad in
            ["", "2", "1.001", "1.1", "0.1234", "-1", ".5", "0,5", "0.x", "00", "1 ", "\u{661}"]
        {
            assert_eq!(Weight::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_member_has_a_name_a_weight_and_perhaps_parameters() {
        let parse = |text: &'static str| {
            let member = Member::parse(text.as_bytes())?;
            Some((str::from_utf8(member.name).unwrap(), member.weight.0, member.has_parameters))
        };
        assert_eq!(parse("gzip"), Some(("gzip", 1_000, false)));
        assert_eq!(parse("gzip\t; Q=0.25"), Some(("gzip", 250, false)));
        assert_eq!(parse("text/html;level=1;q=0"), Some(("text/html", 0, true)));
        assert_eq!(parse("text/html;q=0;q=1"), Some(("text/html", 0, true)), "the first counts");
        assert_eq!(parse("gzip;"), Some(("gzip", 1_000, true)));
        for bad in ["", ";q=1", "gzip;q", "gzip;q=", "gzip;q =0.x", "gzip;q=2"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn rfc_9110_12_5_1_the_most_specific_range_counts() {
        for (accept, acceptable, named) in [
            ("", false, false),
            ("*/*", true, false),
            ("TEXT/*", true, false),
            ("image/*", false, false),
            ("Text/Html", true, true),
            ("*/*, text/*;q=0", false, false),
            ("text/html;q=0, text/*, */*", false, true),
            ("*/*;q=0, text/html;q=0.1", true, true),
            ("text/html;q=7, */*;q=0.1", true, false),
        ] {
            let html = Preference::new("text/html", accept.split(','));
            assert_eq!((html.is_acceptable(), html.is_named()), (acceptable, named), "{accept}");
        }
    }
}
