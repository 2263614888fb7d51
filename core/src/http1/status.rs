//! Status codes: the registered reason phrase, and one sentence for the error page.
//!
//! The phrases are those of the IANA registry (RFC 9110 §15), without temporary and unused
//! registrations. A code that is not in the table has the empty string for both; the status line
//! keeps the space after the code (B-061).
//!
//! ```
//! use doorstep_core::http1::status::{explain, reason};
//!
//! assert_eq!(reason(404), "Not Found");
//! assert_eq!(explain(404), "There is nothing at this address.");
//! assert_eq!(reason(999), "");
//! ```

use alloc::vec::Vec;

use super::error::quote;

/// The reason phrase that is registered for `code`, or the empty string.
#[must_use]
pub const fn reason(code: u16) -> &'static str {
    entry(code).0
}

/// One sentence that explains `code` on an error page, or the empty string.
#[must_use]
pub const fn explain(code: u16) -> &'static str {
    entry(code).1
}

/// The reason phrase of a 501 for a method that is not supported, as that of `http.server` (B-022). The
/// method is quoted as in the phrases of [`Reject::write_reason`](super::Reject::write_reason): at most
/// 200 bytes of it.
///
/// ```
/// use doorstep_core::http1::status::unsupported_method;
///
/// assert_eq!(unsupported_method(b"SPAM"), b"Unsupported method ('SPAM')");
/// assert!(unsupported_method(&[b'A'; 60_000]).len() < 300);
/// ```
#[must_use]
pub fn unsupported_method(method: &[u8]) -> Vec<u8> {
    let mut phrase = b"Unsupported method".to_vec();
    quote(method, &mut phrase);
    phrase
}

/// The table: reason phrase and explanation.
#[rustfmt::skip] // one row, one line or two
const fn entry(code: u16) -> (&'static str, &'static str) {
    match code {
        100 => ("Continue", "The server is ready for the body of the request."),
        101 => ("Switching Protocols", "The connection switches to another protocol."),
        102 => ("Processing", "The server is still working on the request."),
        103 => ("Early Hints", "These headers are likely to be part of the final response."),

        200 => ("OK", "The request succeeded."),
        201 => ("Created", "The request created something new."),
        202 => ("Accepted", "The request was accepted and will be processed later."),
        203 => ("Non-Authoritative Information", "A proxy changed the response of the server."),
        204 => ("No Content", "The request succeeded and the response has no content."),
        205 => ("Reset Content", "The request succeeded: reset the form that it came from."),
        206 => ("Partial Content", "This is the requested part."),
        207 => ("Multi-Status", "The response has a status for each of several resources."),
        208 => ("Already Reported", "This resource was listed earlier in the same response."),
        226 => ("IM Used", "The response is the difference to the client's copy."),

        300 => ("Multiple Choices", "There are several versions to choose from."),
        301 => ("Moved Permanently", "This has a new permanent address."),
        302 => ("Found", "This is at another address for now."),
        303 => ("See Other", "The response is at another address."),
        304 => ("Not Modified", "The client's copy is still current."),
        305 => ("Use Proxy", "This must be requested through a proxy."),
        307 => ("Temporary Redirect", "Repeat the request at another address this time."),
        308 => ("Permanent Redirect", "Repeat the request at another address from now on."),

        400 => ("Bad Request", "The request could not be understood."),
        401 => ("Unauthorized", "This requires a user name and a password, or other credentials."),
        402 => ("Payment Required", "This requires a payment."),
        403 => ("Forbidden", "The request was understood and refused."),
        404 => ("Not Found", "There is nothing at this address."),
        405 => ("Method Not Allowed", "This method cannot be used at this address."),
        406 => ("Not Acceptable", "There is no version of this that the client would accept."),
        407 => ("Proxy Authentication Required", "The proxy requires credentials."),
        408 => ("Request Timeout", "The request took too long to arrive."),
        409 => ("Conflict", "The request conflicts with the current state of this resource."),
        410 => ("Gone", "This address is no longer in use."),
        411 => ("Length Required", "The request must have a Content-Length."),
        412 => ("Precondition Failed", "A precondition of the request does not hold."),
        413 => ("Content Too Large", "The request body is larger than this server accepts."),
        414 => ("URI Too Long", "The address is longer than this server reads."),
        415 => ("Unsupported Media Type", "The request body is in a format that is not accepted here."),
        416 => ("Range Not Satisfiable", "None of the requested ranges is within this resource."),
        417 => ("Expectation Failed", "The server cannot meet the expectation of the request."),
        421 => ("Misdirected Request", "This server is not responsible for the requested host."),
        422 => ("Unprocessable Content", "The request body is well formed but cannot be processed."),
        423 => ("Locked", "This resource is locked."),
        424 => ("Failed Dependency", "Another request that this one depends on has failed."),
        425 => ("Too Early", "The request may be a replay, so it is not processed yet."),
        426 => ("Upgrade Required", "This requires another protocol."),
        428 => ("Precondition Required", "The request must have a precondition, to avoid overwriting other changes."),
        429 => ("Too Many Requests", "There were too many requests in a short time."),
        431 => ("Request Header Fields Too Large", "The headers are larger than this server reads."),
        451 => ("Unavailable For Legal Reasons", "Access is denied for legal reasons."),

        500 => ("Internal Server Error", "Something went wrong in the server."),
        501 => ("Not Implemented", "The server cannot do what the request asks for."),
        502 => ("Bad Gateway", "The program behind the server sent no valid response."),
        503 => ("Service Unavailable", "The server cannot respond now: try again later."),
        504 => ("Gateway Timeout", "The program behind the server did not respond in time."),
        505 => ("HTTP Version Not Supported", "The server does not support this version of HTTP."),
        506 => ("Variant Also Negotiates", "The negotiation between versions leads to itself."),
        507 => ("Insufficient Storage", "There is not enough space to store this."),
        508 => ("Loop Detected", "The server found an infinite loop in the request."),
        510 => ("Not Extended", "The request requires an extension that it does not name."),
        511 => ("Network Authentication Required", "This network requires authentication."),
        _ => ("", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::{explain, reason};

    #[test]
    fn b_061_an_unknown_code_has_empty_strings() {
        for code in [0, 99, 104, 306, 418, 599, 999, u16::MAX] {
            assert_eq!((reason(code), explain(code)), ("", ""), "{code}");
        }
    }

    #[test]
    fn b_061_the_registered_names_are_the_current_ones() {
        assert_eq!(reason(200), "OK");
        assert_eq!(reason(301), "Moved Permanently");
        assert_eq!(reason(413), "Content Too Large");
        assert_eq!(reason(414), "URI Too Long");
        assert_eq!(reason(416), "Range Not Satisfiable");
        assert_eq!(reason(422), "Unprocessable Content");
    }

    #[test]
    fn every_code_has_one_sentence() {
        let known: Vec<u16> = (0..=999).filter(|&code| !reason(code).is_empty()).collect();
        assert_eq!(known.len(), 61);
        for code in known {
            let sentence = explain(code);
            assert!(sentence.starts_with(|c: char| c.is_ascii_uppercase()), "{code}: {sentence}");
            assert_eq!(sentence.matches('.').count(), 1, "{code}: {sentence}");
            assert!(sentence.ends_with('.') && sentence.is_ascii(), "{code}: {sentence}");
        }
    }
}
