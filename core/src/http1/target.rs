//! The four forms of a request target (RFC 9112 §3.2), and the syntax of a host.

use core::net::Ipv6Addr;

use super::error::Reject;
use super::head::Span;
use super::scan::path_len;
use crate::bytes::{byte_set, is_decimal};

/// The position of path, query and authority in a head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) path: Span,
    /// The length of query and fragment, which follow the path.
    pub(super) query_and_fragment_len: u32,
    pub(super) authority: Option<Span>,
}

/// Parses a target. `at` is its offset in the head. Bytes other than printable ASCII without spaces are
/// refused first (B-002).
pub(super) fn parse(method: &[u8], target: &[u8], at: usize) -> Result<Target, Reject> {
    let whole = Span { at: at as u32, len: target.len() as u32 };
    if method != b"CONNECT" && target.first() == Some(&b'/') {
        return parse_origin_form(target, at, None);
    }
    if !target.iter().all(u8::is_ascii_graphic) {
        return Err(Reject::BadSyntax);
    }
    match (method, target) {
        (b"CONNECT", _) if has_port(target) && is_host(target) => {
            Ok(Target { path: whole, authority: Some(whole), ..Target::default() })
        }
        (b"CONNECT", _) => Err(Reject::BadTarget),
        (b"OPTIONS", b"*") => Ok(Target { path: whole, ..Target::default() }),
        _ => parse_absolute_form(target, at),
    }
}

/// Origin-form: the path ends before the first `?` or `#`; its leading slashes are collapsed into
/// one (B-024, B-120).
#[inline]
fn parse_origin_form(target: &[u8], at: usize, authority: Option<Span>) -> Result<Target, Reject> {
    let end = path_len(target);
    if !target[end..].iter().all(u8::is_ascii_graphic) {
        return Err(Reject::BadSyntax);
    }
    let slashes = target[..end].iter().take_while(|&&b| b == b'/').count();
    let start = slashes.saturating_sub(1);
    Ok(Target {
        path: Span { at: (at + start) as u32, len: (end - start) as u32 },
        query_and_fragment_len: (target.len() - end) as u32,
        authority,
    })
}

/// Absolute-form: its authority replaces Host, the rest is parsed as origin-form (B-026).
fn parse_absolute_form(target: &[u8], at: usize) -> Result<Target, Reject> {
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| starts_with_ignore_case(target, scheme))
        .ok_or(Reject::BadTarget)?
        .len();
    let rest = &target[scheme..];
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    if authority.is_empty() || !is_host(authority) {
        return Err(Reject::BadTarget);
    }
    let authority = Span { at: (at + scheme) as u32, len: authority.len() as u32 };
    parse_origin_form(rest, at + scheme + end, Some(authority))
}

fn starts_with_ignore_case(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn has_port(authority: &[u8]) -> bool {
    let colon = authority.iter().rposition(|&b| b == b':');
    colon.is_some_and(|colon| is_decimal(&authority[colon + 1..]))
}

/// Whether this is a host with or without a port (RFC 9110 §7.2, RFC 3986 §3.2.2): an IP-literal in
/// brackets or a registered name, without user information. The host may be empty. An IPv6 zone is
/// not allowed: it has no meaning on another machine, and clients leave it out (RFC 9844 §6.1).
pub(super) fn is_host(value: &[u8]) -> bool {
    // The usual form, a name or an IPv4 address without percent-escapes, in one pass.
    let plain = value.iter().position(|&b| !REG_NAME[usize::from(b)]).unwrap_or(value.len());
    match &value[plain..] {
        [] => return true,
        [b':', port @ ..] => return is_port(port),
        _ => {}
    }
    let (host, port) = match value {
        [b'[', ..] => {
            let Some(end) = value.iter().position(|&b| b == b']') else {
                return false;
            };
            if !is_ip_literal(&value[1..end]) {
                return false;
            }
            (&b""[..], &value[end + 1..])
        }
        _ => value.split_at(value.iter().position(|&b| b == b':').unwrap_or(value.len())),
    };
    let port_fits = match port {
        [] => true,
        [b':', digits @ ..] => is_port(digits),
        _ => false,
    };
    port_fits && is_registered_name(host)
}

/// Whether this may follow the colon of a host; it may be empty.
fn is_port(digits: &[u8]) -> bool {
    digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit)
}

/// Whether this may be in brackets: an IPv6 address, or an IPvFuture address.
fn is_ip_literal(text: &[u8]) -> bool {
    if let [b'v' | b'V', future @ ..] = text {
        let dot = future.iter().position(|&b| b == b'.').unwrap_or(future.len());
        let (version, address) = future.split_at(dot);
        let fits = |&b: &u8| b == b':' || REG_NAME[usize::from(b)];
        return !version.is_empty()
            && version.iter().all(u8::is_ascii_hexdigit)
            && address.len() > 1
            && address[1..].iter().all(fits);
    }
    str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// Whether these are the bytes of a registered name, in which each `%` begins a percent-escape.
fn is_registered_name(name: &[u8]) -> bool {
    let mut parts = name.split(|&b| b == b'%');
    let plain = |part: &[u8]| part.iter().all(|&b| REG_NAME[usize::from(b)]);
    parts.next().is_none_or(plain)
        && parts.all(|part| match part {
            [a, b, rest @ ..] => a.is_ascii_hexdigit() && b.is_ascii_hexdigit() && plain(rest),
            _ => false,
        })
}

/// `unreserved` and `sub-delims` (RFC 3986 §2).
static REG_NAME: [bool; 256] = byte_set(b"-._~!$&'()*+,;=");

#[cfg(test)]
mod tests {
    use super::*;

    fn parts<'t>(method: &str, target: &'t str) -> Option<(&'t str, &'t str, Option<&'t str>)> {
        let found = parse(method.as_bytes(), target.as_bytes(), 0).ok()?;
        let text = |span: Span| str::from_utf8(span.slice_of(target.as_bytes())).unwrap();
        let query = Span { at: found.path.at + found.path.len, len: found.query_and_fragment_len };
        Some((text(found.path), text(query), found.authority.map(text)))
    }

    #[test]
    fn b_024_b_120_origin_form() {
        assert_eq!(parts("GET", "///a//b?q//?#f"), Some(("/a//b", "?q//?#f", None)));
        assert_eq!(parts("GET", "/sub#f?q"), Some(("/sub", "#f?q", None)));
        assert_eq!(parts("GET", "/"), Some(("/", "", None)));
        assert_eq!(parts("GET", "//"), Some(("/", "", None)));
    }

    #[test]
    fn b_025_other_forms_require_their_method() {
        assert_eq!(parts("GET", "*"), None);
        assert_eq!(parts("GET", "a.txt"), None);
        assert_eq!(parts("OPTIONS", "*"), Some(("*", "", None)));
        assert_eq!(parts("CONNECT", "h:443"), Some(("h:443", "", Some("h:443"))));
        assert_eq!(parts("CONNECT", "/x"), None);
        assert_eq!(parts("CONNECT", "h"), None);
    }

    #[test]
    fn b_026_absolute_form() {
        assert_eq!(parts("GET", "HTTP://h:80//x?q"), Some(("/x", "?q", Some("h:80"))));
        assert_eq!(parts("GET", "http://h"), Some(("", "", Some("h"))));
        assert_eq!(parts("GET", "http://h?q"), Some(("", "?q", Some("h"))));
        assert_eq!(parts("GET", "http:///x"), None);
        assert_eq!(parts("GET", "http://u@h/x"), None);
        assert_eq!(parts("GET", "ftp://h/x"), None);
    }

    #[test]
    fn b_027_hosts() {
        for good in ["", "a", "a:80", "a:", "a_b.example", "127.0.0.1:1", "a%20B%c3", "a,b", "1.2"]
        {
            assert!(is_host(good.as_bytes()), "{good:?}");
        }
        for bad in ["a b", "a/b", "a:b", "a@b", "a:1:2", "a,b:x", "a:123456", "a%", "%2", "%g0"] {
            assert!(!is_host(bad.as_bytes()), "{bad:?}");
        }
    }

    #[test]
    fn r_11_an_ip_literal_is_an_address() {
        for good in [
            "[::1]",
            "[::1]:8000",
            "[::]",
            "[2001:DB8::0f]:",
            "[1:2:3:4:5:6:7:8]",
            "[1::8]",
            "[::ffff:192.0.2.1]:80",
            "[64:ff9b::192.0.2.1]",
            "[v1.fe80::a+en1]:80",
            "[VfF.x]",
        ] {
            assert!(is_host(good.as_bytes()), "{good:?}");
        }
        for bad in [
            "[::::::]",
            "[1.2.3.4]",
            "[]",
            "[g]",
            "[::1",
            "[::1]]",
            "[::1]x",
            "[[::1]]",
            "::1",
            "[:]",
            "[:::]",
            "[.]",
            "[1]",
            "[1:2:3:4:5:6:7]",
            "[1:2:3:4:5:6:7:8:9]",
            "[1::2::3]",
            "[12345::]",
            "[::1.2.3]",
            "[::256.0.0.1]",
            "[ ::1]",
            "[::1%eth0]",
            "[fe80::1%25eth0]",
            "[v1]",
            "[v.x]",
            "[v1.]",
            "[vg.x]",
            "[v1.a/b]",
            "[v1.%20]",
            "[w1.x]",
            "[::1]:123456",
            "[::\u{661}]",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad:?}");
            if !bad.contains(' ') {
                assert_eq!(parts("GET", &format!("http://{bad}/")), None, "{bad:?}");
                assert_eq!(parts("CONNECT", &format!("{bad}:80")), None, "{bad:?}");
            }
        }
        assert!(parts("GET", "http://[::1]:80/x").is_some());
    }
}
