//! The URLs a bound server can be reached at (B-294).
//!
//! An address that was bound is its own URL; a wildcard stands for every address of the machine.
//! Loopback comes first, IPv6 last; IPv6 link-local addresses are left out, since no URL can name
//! the interface they belong to.

use std::net::{IpAddr, SocketAddr};

/// The URLs of a server that listens on `bound`, such as `http://127.0.0.1:8000/` for the scheme
/// `http`, each once. Addresses the system does not tell are missing.
///
/// ```
/// let urls = doorstep_blocking::host::urls(&["127.0.0.1:8000".parse()?], "http");
/// assert_eq!(urls, ["http://127.0.0.1:8000/"]);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[must_use]
pub fn urls(bound: &[SocketAddr], scheme: &str) -> Vec<String> {
    let machine = if bound.iter().any(|address| address.ip().is_unspecified()) {
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
        interfaces.iter().map(if_addrs::Interface::ip).collect()
    } else {
        Vec::new()
    };
    expand(bound, &machine, scheme)
}

fn expand(bound: &[SocketAddr], machine: &[IpAddr], scheme: &str) -> Vec<String> {
    let mut reached: Vec<(IpAddr, u16)> = Vec::new();
    for address in bound {
        let (ip, port) = (address.ip(), address.port());
        if !ip.is_unspecified() {
            reached.push((ip, port));
            continue;
        }
        // The IPv6 wildcard hears both families.
        let heard = machine.iter().filter(|own| ip.is_ipv6() || own.is_ipv4());
        reached.extend(heard.filter(|own| !is_link_local(own)).map(|&own| (own, port)));
    }
    reached.sort_by_key(|(ip, _)| (!ip.is_loopback(), ip.is_ipv6()));

    let mut urls = Vec::new();
    for (ip, port) in reached {
        // Made anew: without an IPv6 scope, with brackets.
        let url = format!("{scheme}://{}/", SocketAddr::new(ip, port));
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    urls
}

fn is_link_local(ip: &IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: [&str; 6] =
        ["2001:db8::1", "192.168.1.5", "fe80::1", "::1", "127.0.0.1", "192.168.1.5"];

    fn of(bound: &[&str]) -> Vec<String> {
        let bound: Vec<_> = bound.iter().map(|text| text.parse().unwrap()).collect();
        expand(&bound, &MACHINE.map(|text| text.parse().unwrap()), "http")
    }

    #[test]
    fn b_294_a_wildcard_stands_for_the_machine() {
        let four = ["http://127.0.0.1:80/", "http://192.168.1.5:80/"];
        assert_eq!(of(&["0.0.0.0:80"]), four);
        let both = [four[0], "http://[::1]:80/", four[1], "http://[2001:db8::1]:80/"];
        assert_eq!(of(&["[::]:80"]), both);
        assert_eq!(of(&["[::]:80", "0.0.0.0:80"]), both);
    }

    #[test]
    fn b_294_an_address_stands_for_itself() {
        assert_eq!(of(&["[fe80::1%2]:8000"]), ["http://[fe80::1]:8000/"]);
        assert_eq!(
            of(&["[::1]:8000", "127.0.0.1:8000", "192.168.1.5:8000"]),
            ["http://127.0.0.1:8000/", "http://[::1]:8000/", "http://192.168.1.5:8000/"]
        );
        assert!(of(&[]).is_empty());
    }

    #[test]
    fn b_294_this_machine_has_a_loopback_address() {
        let urls = urls(&["0.0.0.0:1".parse().unwrap()], "https");
        assert!(urls.contains(&"https://127.0.0.1:1/".to_owned()), "{urls:?}");
    }
}
