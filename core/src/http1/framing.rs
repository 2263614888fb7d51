//! Framing of a request's body (RFC 9112 §6.3): from the headers alone, never from the method.
//!
//! Request smuggling exploits messages that two implementations frame differently. All of them are
//! refused. The numbers in the code are the steps of §6.3 that concern requests.

use super::error::Reject;
use super::head::{Head, KnownHeader, Version};
use crate::bytes::{is_token, list_members, parse_decimal};

/// How a request's body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(u64),
    Chunked,
}

/// The framing of the body of `head`. `max_body` is [`Limits::body`](super::Limits::body).
pub(super) fn request_framing(head: &Head<'_>, max_body: u64) -> Result<Framing, Reject> {
    let coded = head.has(KnownHeader::TransferEncoding);
    let length = head.known_header(KnownHeader::ContentLength);

    // 1, 2: for responses only.
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

/// Accepts exactly `chunked`, once, in any letter case. Other codings decide the status.
fn check_transfer_encoding(head: &Head<'_>) -> Result<(), Reject> {
    let mut last_is_chunked = false;
    let mut unknown = false;
    for coding in head.header_values("transfer-encoding").flat_map(list_members) {
        if last_is_chunked || !is_token(coding) {
            return Err(Reject::BadTransferEncoding); // chunked twice, or not last
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
