//! Local redirects of CGI scripts (RFC 3875 §6.2.2).
//!
//! A script may respond with a path on this server. The client then receives the response for that
//! path, without a redirect of its own. [`request_head`] writes the head of the request for that
//! path. A new [`Connection`](crate::http1::Connection) parses it, so that it passes the same
//! checks as any other request. The caller must bound the number of local redirects per request.
//!
//! ```
//! use doorstep_core::cgi::local_redirect;
//! use doorstep_core::http1::{Connection, Event, Limits};
//!
//! let asked = b"POST /cgi-bin/form HTTP/1.1\r\nHost: here\r\nAccept: */*\r\nContent-Length: 2\r\n\r\n";
//! let Ok((_, Event::Request(head))) = Connection::new(Limits::default()).advance(asked) else { panic!() };
//! let redirected = local_redirect::request_head(&head, b"/thanks.html?to=you");
//! assert_eq!(redirected, b"GET /thanks.html?to=you HTTP/1.1\r\nHost: here\r\nAccept: */*\r\n\r\n");
//! ```

use alloc::vec::Vec;

use crate::http1::{Head, Version};

/// The bytes of the head: a GET of `target` (HEAD if `head` is one) without a body, with the same
/// version (HTTP/1.0 for HTTP/0.9), host and headers. Preconditions and ranges are kept only if
/// `head` is a GET or HEAD: for other methods they have another meaning (RFC 9110 §13.1, §14.2).
/// `target` is that of a [`Reply::LocalRedirect`](super::output::Reply::LocalRedirect).
#[must_use]
pub fn request_head(head: &Head<'_>, target: &[u8]) -> Vec<u8> {
    let method: &[u8] = if head.is_head() { b"HEAD " } else { b"GET " };
    let version: &[u8] = match head.version() {
        Version::Http11 => b" HTTP/1.1\r\n",
        Version::Http10 | Version::Http09 => b" HTTP/1.0\r\n",
    };
    let mut out = [method, target, version].concat();
    // The authority of an absolute-form target takes precedence over Host (RFC 9112 §3.2.2).
    let host = head.host().map(|host| (&b"Host"[..], host));
    let reads = head.method() == b"GET" || head.is_head();
    let others = head
        .headers()
        .filter(|(name, _)| !is_not_forwarded(name) && (reads || !is_conditional_or_range(name)));
    for (name, value) in host.into_iter().chain(others) {
        for part in [name, b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Whether a header concerns the body or the connection, or is Host, and so is not forwarded.
fn is_not_forwarded(name: &[u8]) -> bool {
    const NAMES: [&str; 10] = [
        "connection",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let body = name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-"));
    body || NAMES.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes()))
}

/// Whether a header is a precondition or a range.
fn is_conditional_or_range(name: &[u8]) -> bool {
    let condition = name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"if-"));
    condition || name.eq_ignore_ascii_case(b"range")
}

#[cfg(test)]
mod tests {
    use super::request_head;
    use crate::http1::{Connection, Event, Head, Limits, Version};

    /// The head that a new connection parses from `bytes`, which hold nothing else.
    fn parse(bytes: &[u8]) -> Head<'_> {
        match Connection::new(Limits::default()).advance(bytes) {
            Ok((used, Event::Request(head))) if used == bytes.len() => head,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn rfc_9110_14_2_a_post_loses_its_ranges_and_preconditions() {
        for (method, fields) in [("GET", 4), ("HEAD", 4), ("POST", 2), ("PUT", 2)] {
            let asked = format!(
                "{method} /cgi-bin/x HTTP/1.1\r\nHost: a\r\nRange: bytes=1-2\r\nIF-None-Match: *\r\n\
                X-If-Match: *\r\n\r\n"
            );
            assert_eq!(
                parse(&request_head(&parse(asked.as_bytes()), b"/")).headers().count(),
                fields
            );
        }
    }

    #[test]
    fn rfc_3875_6_2_2_the_request_is_well_formed_and_has_no_body() {
        let asked = "PUT /cgi-bin/x?y HTTP/1.1\r\nAccept: a\r\nhOST: here:80\r\nCookie: c=d\r\n\
            Content-Type: t\r\ncontent-md5: m\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\
            Connection: upgrade, close\r\nUpgrade: h2c\r\nHTTP2-Settings: s\r\nTE: trailers\r\n\
            Trailer: x\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\nAccept: ü\r\nEmpty:\r\n\r\n";
        let bytes = request_head(&parse(asked.as_bytes()), b"//a%20b/?c=/d");
        let again = parse(&bytes);
        assert_eq!((again.method(), again.version()), (&b"GET"[..], Version::Http11));
        assert_eq!((again.path(), again.query()), (&b"/a%20b/"[..], Some(&b"c=/d"[..])));
        assert_eq!(again.host(), Some(&b"here:80"[..]));
        let fields: Vec<_> =
            again.headers().map(|(name, _)| str::from_utf8(name).unwrap()).collect();
        assert_eq!(fields, ["Host", "Accept", "Cookie", "Accept", "Empty"]);
    }

    #[test]
    fn rfc_3875_6_2_2_head_version_and_host_are_kept() {
        for (asked, wanted) in [
            ("HEAD / HTTP/1.0\r\n\r\n", "HEAD /x HTTP/1.0\r\n\r\n"),
            ("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("GET /\r\n", "GET /x HTTP/1.0\r\n\r\n"),
            ("GET / HTTP/1.7\r\nHost:\r\n\r\n", "GET /x HTTP/1.1\r\nHost: \r\n\r\n"),
            (
                "GET http://b:1/y HTTP/1.1\r\nHost: a\r\n\r\n",
                "GET /x HTTP/1.1\r\nHost: b:1\r\n\r\n",
            ),
            ("OPTIONS * HTTP/1.1\r\nHost: [::1]\r\n\r\n", "GET /x HTTP/1.1\r\nHost: [::1]\r\n\r\n"),
        ] {
            let bytes = request_head(&parse(asked.as_bytes()), b"/x");
            assert_eq!(str::from_utf8(&bytes).unwrap(), wanted);
            parse(&bytes);
        }
    }
}
