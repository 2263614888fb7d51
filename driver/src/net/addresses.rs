//! The URLs at which a bound server can be reached (B-294).
//!
//! An address that was bound has one URL; a wildcard address has those of every address of the
//! machine. Loopback addresses come first, IPv6 addresses last. An IPv6 link-local address is
//! incomplete without its zone, the interface (RFC 6874). A URL with a zone can be used by programs
//! such as curl, on this machine only, and not by browsers: so the URLs of a wildcard address do
//! not include it.

use std::net::{IpAddr, SocketAddr};

use doorstep_core::path;

/// The URL of a server that listens on `bound`, such as `http://127.0.0.1:8000/` for the scheme
/// `http`. The zone of a link-local address is written as in `http://[fe80::1%25eth0]:8000/`.
#[must_use]
pub fn url(bound: SocketAddr, scheme: &str) -> String {
    format_url(bound, scheme, &interface)
}

/// The URLs of a server that listens on `bound`, each once; a wildcard address has those of all
/// addresses of the machine that the system reports.
///
/// ```
/// let urls = doorstep_driver::net::urls(&["127.0.0.1:8000".parse()?], "http");
/// assert_eq!(urls, ["http://127.0.0.1:8000/"]);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[must_use]
pub fn urls(bound: &[SocketAddr], scheme: &str) -> Vec<String> {
    let mut urls = Vec::new();
    for address in reachable(bound) {
        let url = url(address, scheme);
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    urls
}

/// The addresses at which a server that listens on `bound` can be reached, in the order of [`urls`]; a
/// wildcard address has all addresses of the machine that the system reports.
#[must_use]
pub fn reachable(bound: &[SocketAddr]) -> Vec<SocketAddr> {
    let local_ips = if bound.iter().any(|address| address.ip().is_unspecified()) {
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
        interfaces.iter().map(if_addrs::Interface::ip).collect()
    } else {
        Vec::new()
    };
    expand(bound, &local_ips)
}

fn expand(bound: &[SocketAddr], local_ips: &[IpAddr]) -> Vec<SocketAddr> {
    let mut reached: Vec<SocketAddr> = Vec::new();
    for &address in bound {
        let ip = address.ip();
        if !ip.is_unspecified() {
            reached.push(address);
            continue;
        }
        // The IPv6 wildcard address accepts both families.
        let matching = local_ips.iter().filter(|own| ip.is_ipv6() || own.is_ipv4());
        let matching = matching.filter(|own| !is_link_local(own));
        reached.extend(matching.map(|&own| SocketAddr::new(own, address.port())));
    }
    reached.sort_by_key(|address| (!address.ip().is_loopback(), address.is_ipv6()));
    reached
}

fn format_url(
    address: SocketAddr,
    scheme: &str,
    interface: &dyn Fn(u32) -> Option<String>,
) -> String {
    let SocketAddr::V6(v6) = address else { return format!("{scheme}://{address}/") };
    let mut zone = Vec::new();
    if v6.scope_id() != 0 {
        zone.extend_from_slice(b"%25");
        let name = interface(v6.scope_id()).unwrap_or_else(|| v6.scope_id().to_string());
        path::encode(&mut zone, name.as_bytes());
    }
    let zone = String::from_utf8_lossy(&zone);
    format!("{scheme}://[{}{zone}]:{}/", v6.ip(), v6.port())
}

/// The name of the interface with this index. If there is none, the index can be used as the zone.
#[cfg(target_os = "linux")]
fn interface(index: u32) -> Option<String> {
    use rustix::net::{AddressFamily, SocketType, netdevice, socket};

    let any = socket(AddressFamily::INET6, SocketType::DGRAM, None).ok()?;
    netdevice::index_to_name(any, index).ok()
}

#[cfg(not(target_os = "linux"))]
fn interface(_: u32) -> Option<String> {
    None
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
        let reached = expand(&bound, &MACHINE.map(|text| text.parse().unwrap()));
        let interface = |index| [None, None, Some("eth0.1~ %".to_owned())][index as usize].clone();
        let mut urls: Vec<_> =
            reached.into_iter().map(|address| format_url(address, "http", &interface)).collect();
        urls.dedup();
        urls
    }

    #[test]
    fn b_294_a_wildcard_has_the_urls_of_all_addresses() {
        let four = ["http://127.0.0.1:80/", "http://192.168.1.5:80/"];
        assert_eq!(of(&["0.0.0.0:80"]), four);
        let both = [four[0], "http://[::1]:80/", four[1], "http://[2001:db8::1]:80/"];
        assert_eq!(of(&["[::]:80"]), both);
        assert_eq!(of(&["[::]:80", "0.0.0.0:80"]), both);
    }

    #[test]
    fn b_294_an_address_has_one_url() {
        assert_eq!(of(&["[fe80::1%1]:8000"]), ["http://[fe80::1%251]:8000/"], "R-30");
        assert_eq!(of(&["[fe80::1%2]:8000"]), ["http://[fe80::1%25eth0.1~%20%25]:8000/"], "R-30");
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
