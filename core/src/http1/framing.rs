//! How long a request's body is: RFC 9112 §6.3, from the header fields alone, never the method.
//!
//! Everything that two implementations could frame differently is refused. The numbers in the
//! code are the steps of §6.3 that concern a request.

use super::error::Reject;
use super::head::{Head, KnownHeader, Version, list_members};

/// What frames a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(u64),
    Chunked,
}

/// The framing of `head`'s body, which may have `max_body` bytes.
pub(super) fn request_framing(head: &Head<'_>, max_body: u64) -> Result<Framing, Reject> {
    let coded = head.known_header(KnownHeader::TransferEncoding).is_some();
    let length = head.known_header(KnownHeader::ContentLength);

    // 1, 2: about responses only.
    // 3. Both: "ought to be handled as an error".
    if coded && length.is_some() {
        return Err(Reject::LengthAndTransferEncoding);
    }
    // 4. A transfer coding must end in chunked; here it must be chunked.
    if coded {
        if head.version() < Version::Http11 {
            return Err(Reject::TransferEncodingBefore11);
        }
        return check_transfer_encoding(head).map(|()| Framing::Chunked);
    }
    match length {
        // 7. Neither: there is no body.
        None => Ok(Framing::None),
        // 5. Not one decimal number: an unrecoverable error.
        Some(_) if head.is_repeated(KnownHeader::ContentLength) => Err(Reject::BadContentLength),
        Some(value) => match parse_decimal(value).ok_or(Reject::BadContentLength)? {
            // 6. The length of the body.
            0 => Ok(Framing::None),
            n if n > max_body => Err(Reject::BodyTooLarge),
            n => Ok(Framing::Length(n)),
        },
    }
}

/// Only `chunked`, once, however it is cased; what else there is decides the status.
fn check_transfer_encoding(head: &Head<'_>) -> Result<(), Reject> {
    let mut last_is_chunked = false;
    let mut unknown = false;
    for coding in head.header_values("transfer-encoding").flat_map(list_members) {
        if last_is_chunked || !coding.iter().all(|&b| super::parse::is_token(b)) {
            return Err(Reject::BadTransferEncoding); // chunked twice, or not at the end
        }
        last_is_chunked = coding.eq_ignore_ascii_case(b"chunked");
        unknown |= !last_is_chunked;
    }
    match (last_is_chunked, unknown) {
        (_, true) => Err(Reject::UnsupportedTransferCoding),
        (true, false) => Ok(()),
        (false, false) => Err(Reject::BadTransferEncoding), // an empty list
    }
}

/// Decimal digits and nothing else, within 64 bits.
fn parse_decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    digits
        .iter()
        .try_fold(0u64, |n, &digit| n.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_digits_within_64_bits() {
        assert_eq!(parse_decimal(b"0"), Some(0));
        assert_eq!(parse_decimal(b"007"), Some(7));
        assert_eq!(parse_decimal(b"18446744073709551615"), Some(u64::MAX));
        for bad in ["", "18446744073709551616", "+1", "-1", "1 ", "1,1", "0x1", "1_0", "\u{663}"] {
            assert_eq!(parse_decimal(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
