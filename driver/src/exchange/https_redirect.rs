//! The redirect of a request that is not encrypted to HTTPS (`Config::https_redirect`).
//!
//! The host is that of the request, whose syntax the core has checked (RFC 9112 §3.2); without one it
//! is the address that the client has connected to. It is not compared with a list: a client gets
//! what it has sent itself, and `Vary` is not needed, as Host is part of what a cache looks for.

use std::io;

use doorstep_core::path;

use super::ExchangeState;

/// The port that a URL of HTTPS need not have (RFC 9110 §4.2.2).
const DEFAULT_PORT: u16 = 443;

impl ExchangeState<'_> {
    /// Responds with a redirect to the same host and path on `port`: 301 to GET and HEAD, and 308 to
    /// other methods, so that they are not changed to GET (RFC 9110 §15.4.2, §15.4.9). CONNECT, whose
    /// target has no path, gets a 405.
    pub(super) fn redirect_to_https(&mut self, port: u16) -> io::Result<()> {
        let head = self.head();
        let mut location = b"https://".to_vec();
        match head.host().unwrap_or_default() {
            b"" => {
                let address = self.local_addr()?;
                location.extend_from_slice(
                    match address {
                        std::net::SocketAddr::V4(_) => address.ip().to_string(),
                        std::net::SocketAddr::V6(_) => format!("[{}]", address.ip()),
                    }
                    .as_bytes(),
                );
            }
            host => location.extend_from_slice(without_port(host)),
        }
        if port != DEFAULT_PORT {
            location.extend_from_slice(format!(":{port}").as_bytes());
        }
        match (head.method(), head.path()) {
            (b"CONNECT", _) => {
                return self.respond(405).header("Allow", "GET, HEAD").error_page("");
            }
            (_, b"*") => location.push(b'/'),
            (_, path) => {
                path::encode_backslashes(&mut location, path);
                if let Some(query) = head.query() {
                    location.push(b'?');
                    location.extend_from_slice(query);
                }
            }
        }
        let status = if matches!(head.method(), b"GET" | b"HEAD") { 301 } else { 308 };
        self.respond(status).header("Location", location).body("")
    }
}

/// A host without its port; an IPv6 address keeps its brackets.
fn without_port(host: &[u8]) -> &[u8] {
    let name = host.iter().position(|&b| b == b']').map_or(0, |bracket| bracket + 1);
    let colon = host[name..].iter().position(|&b| b == b':');
    &host[..colon.map_or(host.len(), |colon| name + colon)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_port_is_removed() {
        for (host, name) in [
            ("a", "a"),
            ("a:80", "a"),
            ("a:", "a"),
            ("[::1]", "[::1]"),
            ("[::1]:8000", "[::1]"),
            ("1.2.3.4:80", "1.2.3.4"),
        ] {
            assert_eq!(without_port(host.as_bytes()), name.as_bytes(), "{host}");
        }
    }
}
