//! The networks of proxies whose reports about their clients are believed.
//!
//! ```
//! use doorstep_driver::net::TrustedProxies;
//!
//! let trusted: TrustedProxies = "10.0.0.0/8, 2001:db8::1, unix:".parse()?;
//! assert!(trusted.contains([10, 1, 2, 3].into()));
//! assert!(!trusted.contains([192, 0, 2, 7].into()));
//! assert_eq!(trusted.to_string(), "10.0.0.0/8,2001:db8::1/128,unix:");
//!
//! let error = "10.1.2.3/8".parse::<TrustedProxies>().unwrap_err();
//! assert_eq!(error.to_string(), "10.1.2.3/8 has bits outside of its network: write 10.0.0.0/8");
//! # Ok::<(), doorstep_driver::net::ParseTrustedProxiesError>(())
//! ```

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use doorstep_core::log::UNIX_PEER;
use ipnet::{IpNet, Ipv4Net};

/// A set of networks, in CIDR notation or as single addresses, and perhaps the peers of Unix
/// sockets (`unix:`). Default: none.
///
/// It is parsed from a list that is separated by commas. A connection over IPv6 from an IPv4-mapped
/// address counts as IPv4. `0.0.0.0/0` and `::/0` do not contain the peers of Unix sockets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    unix: bool,
}

/// The reason why a list of networks is invalid, with the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseTrustedProxiesError(String);

impl fmt::Display for ParseTrustedProxiesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for ParseTrustedProxiesError {}

impl TrustedProxies {
    /// Whether no network is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    /// Whether a peer with this address is a trusted proxy; [`UNIX_PEER`](super::UNIX_PEER) stands for
    /// all peers of Unix sockets. The time is proportional to the number of networks.
    #[must_use]
    pub fn contains(&self, peer: IpAddr) -> bool {
        match peer.to_canonical() {
            UNIX_PEER => self.unix,
            peer => self.networks.iter().any(|network| network.contains(&peer)),
        }
    }

    /// Adds the networks of `other`.
    pub fn extend(&mut self, other: Self) {
        self.networks.extend(other.networks);
        self.unix |= other.unix;
    }
}

impl FromStr for TrustedProxies {
    type Err = ParseTrustedProxiesError;

    fn from_str(list: &str) -> Result<Self, Self::Err> {
        let mut trusted = Self::default();
        for word in list.split(',').map(str::trim) {
            match word {
                "unix:" => trusted.unix = true,
                _ => trusted.networks.push(parse_network(word)?),
            }
        }
        Ok(trusted)
    }
}

/// A network, or an address, which is a network of its own.
fn parse_network(word: &str) -> Result<IpNet, ParseTrustedProxiesError> {
    let network = match word.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address.to_canonical()),
        Err(_) => word.parse::<IpNet>().map_err(|_| {
            let message = "must be an address, a network such as 10.0.0.0/8, or unix:";
            ParseTrustedProxiesError(match word {
                "" => message.into(),
                _ => format!("{}: {message}", word.escape_debug()),
            })
        })?,
    };
    if network.addr() != network.network() {
        let message = format!("{word} has bits outside of its network: write {}", network.trunc());
        return Err(ParseTrustedProxiesError(message));
    }
    Ok(match network {
        // Addresses are compared as IPv4.
        IpNet::V6(v6) => match (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(96)) {
            (Some(v4), Some(length)) => Ipv4Net::new(v4, length).map_or(network, IpNet::V4),
            _ => network,
        },
        IpNet::V4(_) => network,
    })
}

impl fmt::Display for TrustedProxies {
    /// The list, in the form that can be parsed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let networks = self.networks.iter().map(ToString::to_string);
        let words = networks.chain(self.unix.then(|| "unix:".to_owned()));
        f.write_str(&words.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusts(list: &str, peer: &str) -> bool {
        let peer = if peer == "unix:" { UNIX_PEER } else { peer.parse().unwrap() };
        list.parse::<TrustedProxies>().unwrap().contains(peer)
    }

    #[test]
    fn networks_addresses_and_unix_sockets_are_trusted() {
        for (list, peer, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("::ffff:10.0.0.0/104", "10.0.0.1", true),
            ("::ffff:10.0.0.1", "10.0.0.1", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::1,127.0.0.0/8", "127.0.0.1", true),
            (" ::1 , 127.0.0.1 ", "::1", true),
            ("0.0.0.0/0", "192.0.2.7", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "::1", true),
            ("::/0", "192.0.2.7", false),
            ("0.0.0.0/0,::/0", "unix:", false),
            ("unix:", "unix:", true),
            ("unix:", "::1", false),
        ] {
            assert_eq!(trusts(list, peer), expected, "{list}: {peer}");
        }
        assert!(TrustedProxies::default().is_empty());
        assert!(!TrustedProxies::default().contains([127, 0, 0, 1].into()));
        assert!(!"unix:".parse::<TrustedProxies>().unwrap().is_empty());
    }

    #[test]
    fn what_is_no_network_is_an_error_that_names_it() {
        for list in ["", ",", "10.0.0.0/8,", "10.0.0.0/33", "10.0/8", "localhost", "unix", "::1%1"]
        {
            let error = list.parse::<TrustedProxies>().unwrap_err().to_string();
            assert!(error.contains("must be an address, a network"), "{list}: {error}");
        }
        for (list, remedy) in [("10.0.0.1/8", "10.0.0.0/8"), ("2001:db8::1/64", "2001:db8::/64")] {
            let error = list.parse::<TrustedProxies>().unwrap_err().to_string();
            assert!(error.ends_with(&format!("write {remedy}")), "{error}");
        }
    }

    #[test]
    fn sets_are_added() {
        let mut trusted: TrustedProxies = "10.0.0.0/8".parse().unwrap();
        trusted.extend("unix:,::1".parse().unwrap());
        assert_eq!(trusted.to_string(), "10.0.0.0/8,::1/128,unix:");
        assert_eq!(trusted.to_string().parse(), Ok(trusted));
    }
}
