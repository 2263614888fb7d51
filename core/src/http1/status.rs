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
//! assert_eq!(explain(404), "Nothing is found at this address.");
//! assert_eq!(reason(999), "");
//! ```

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

/// The table: reason phrase and explanation.
#[rustfmt::skip] // one row, one line or two
const fn entry(code: u16) -> (&'static str, &'static str) {
    match code {
        100 => ("Continue", "The server is ready for the body of the request."),
        101 => ("Switching Protocols", "The connection goes on in another protocol."),
        102 => ("Processing", "The server is still working on the request."),
        103 => ("Early Hints", "These header fields are likely to be part of the answer."),

        200 => ("OK", "The request succeeded."),
        201 => ("Created", "The request made something new."),
        202 => ("Accepted", "The request was taken and will be acted on later."),
        203 => ("Non-Authoritative Information", "The answer was changed on its way from the origin."),
        204 => ("No Content", "The request succeeded and there is nothing to show for it."),
        205 => ("Reset Content", "The request succeeded: clear the form it came from."),
        206 => ("Partial Content", "This is the part that was asked for."),
        207 => ("Multi-Status", "The answer holds a status for each of several resources."),
        208 => ("Already Reported", "This resource was listed earlier in the same answer."),
        226 => ("IM Used", "The answer is a change against what the client has."),

        300 => ("Multiple Choices", "There are several versions to choose from."),
        301 => ("Moved Permanently", "This has a new address for good."),
        302 => ("Found", "This is at another address for now."),
        303 => ("See Other", "The answer is to be had at another address."),
        304 => ("Not Modified", "The copy that the client has is still good."),
        305 => ("Use Proxy", "This is to be reached through a proxy."),
        307 => ("Temporary Redirect", "Repeat the same request at another address, this time."),
        308 => ("Permanent Redirect", "Repeat the same request at another address, from now on."),

        400 => ("Bad Request", "The request could not be understood."),
        401 => ("Unauthorized", "This needs a name and a password, or another proof of who asks."),
        402 => ("Payment Required", "This has to be paid for first."),
        403 => ("Forbidden", "The request was understood, and it is refused."),
        404 => ("Not Found", "Nothing is found at this address."),
        405 => ("Method Not Allowed", "This method cannot be used at this address."),
        406 => ("Not Acceptable", "There is no version of this that the client would accept."),
        407 => ("Proxy Authentication Required", "The proxy needs to know who asks."),
        408 => ("Request Timeout", "The request took too long to arrive."),
        409 => ("Conflict", "The request contradicts the present state of this resource."),
        410 => ("Gone", "What was at this address is gone and will not come back."),
        411 => ("Length Required", "The request has to say how long its body is."),
        412 => ("Precondition Failed", "A condition that the request made is not met."),
        413 => ("Content Too Large", "The request body is larger than this server takes."),
        414 => ("URI Too Long", "The address is longer than this server reads."),
        415 => ("Unsupported Media Type", "The request body is in a format that is not taken here."),
        416 => ("Range Not Satisfiable", "None of the parts asked for lies within this resource."),
        417 => ("Expectation Failed", "What the request expects of the server cannot be met."),
        421 => ("Misdirected Request", "This server does not answer for the host that was asked for."),
        422 => ("Unprocessable Content", "The request body is well formed but makes no sense here."),
        423 => ("Locked", "This resource is locked."),
        424 => ("Failed Dependency", "Another request that this one depends on has failed."),
        425 => ("Too Early", "The request might be a replay, so it is not acted on yet."),
        426 => ("Upgrade Required", "This needs another protocol."),
        428 => ("Precondition Required", "The request has to make a condition, lest it undo another's work."),
        429 => ("Too Many Requests", "There were too many requests in too short a time."),
        431 => ("Request Header Fields Too Large", "The header fields are larger than this server reads."),
        451 => ("Unavailable For Legal Reasons", "The law forbids showing this."),

        500 => ("Internal Server Error", "Something went wrong in the server."),
        501 => ("Not Implemented", "The server cannot do what the request asks for."),
        502 => ("Bad Gateway", "The program behind the server gave no valid answer."),
        503 => ("Service Unavailable", "The server cannot answer now: try again later."),
        504 => ("Gateway Timeout", "The program behind the server did not answer in time."),
        505 => ("HTTP Version Not Supported", "The server does not speak this version of HTTP."),
        506 => ("Variant Also Negotiates", "The server's choice between versions leads in a circle."),
        507 => ("Insufficient Storage", "There is no room left to store this."),
        508 => ("Loop Detected", "The server went in a circle while working on the request."),
        510 => ("Not Extended", "The request needs an extension that it does not name."),
        511 => ("Network Authentication Required", "This network wants to know who uses it first."),
        _ => ("", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::{explain, reason};

    #[test]
    fn b_061_an_unknown_code_has_no_words() {
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
    fn every_reason_comes_with_one_sentence() {
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
