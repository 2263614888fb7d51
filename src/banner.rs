//! What the command prints on stdout: the addresses it serves on, and that it was interrupted.
//!
//! The first line is that of `http.server`, byte for byte, for programs that look for it. Only the URL
//! of a link-local address also has its zone, without which it cannot be opened. Each text is flushed
//! at once (B-279). Write errors are ignored: a server whose stdout is closed still serves.

use std::io::{self, Write};
use std::net::SocketAddr;

use doorstep_driver::{Observer, net};

/// When the server has started, prints the banner for the first of these addresses, then every other
/// URL on a line of its own.
#[derive(Debug, Default)]
pub(crate) struct Banner {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) is_https: bool,
    /// Those on which HTTP is redirected to HTTPS.
    pub(crate) redirects: Vec<SocketAddr>,
    /// The SHA-256 fingerprint of a self-signed certificate.
    pub(crate) fingerprint: Option<String>,
}

impl Banner {
    fn text(&self) -> Option<String> {
        let &first = self.addresses.first()?;
        let scheme = if self.is_https { "https" } else { "http" };
        let urls = net::urls(&self.addresses, scheme);
        let mut text = banner(first, &net::url(first, scheme), &urls);
        for url in net::urls(&self.redirects, "http") {
            text.push_str(&format!("  {url} is redirected to HTTPS\n"));
        }
        if let Some(fingerprint) = &self.fingerprint {
            text.push_str(&format!("  Self-signed certificate, SHA-256 {fingerprint}\n"));
        }
        Some(text)
    }
}

impl Observer for Banner {
    fn on_start(&self) {
        if let Some(text) = self.text() {
            print(&text);
        }
    }
    fn wants_timing(&self) -> bool {
        false
    }
}

/// Prints that Ctrl-C was received.
pub(crate) fn print_interrupted() {
    print("\nKeyboard interrupt received, exiting.\n");
}

/// The banner for one listening address and its URL, followed by the other `urls`.
fn banner(address: SocketAddr, url: &str, urls: &[String]) -> String {
    let protocol = if url.starts_with("https:") { "HTTPS" } else { "HTTP" };
    let (ip, port) = (address.ip(), address.port());
    let mut text = format!("Serving {protocol} on {ip} port {port} ({url}) ...\n");
    for other in urls.iter().filter(|other| *other != url) {
        text.push_str("  ");
        text.push_str(other);
        text.push('\n');
    }
    text
}

fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banner_of(address: &str, urls: &[&str]) -> String {
        let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
        let address = address.parse().unwrap();
        banner(address, &net::url(address, "http"), &urls)
    }

    #[test]
    fn b_278_the_host_is_bracketed_in_the_url_only() {
        assert_eq!(
            banner_of("127.0.0.1:8000", &[]),
            "Serving HTTP on 127.0.0.1 port 8000 (http://127.0.0.1:8000/) ...\n"
        );
        assert_eq!(
            banner_of("[::]:8000", &[]),
            "Serving HTTP on :: port 8000 (http://[::]:8000/) ...\n"
        );
        assert_eq!(
            banner_of("[fe80::1%4000000000]:80", &[]), // no interface has this number
            "Serving HTTP on fe80::1 port 80 (http://[fe80::1%254000000000]:80/) ...\n"
        );
    }

    #[test]
    fn b_294_only_urls_that_add_something_follow() {
        assert_eq!(
            banner_of("127.0.0.1:80", &["http://127.0.0.1:80/"]),
            "Serving HTTP on 127.0.0.1 port 80 (http://127.0.0.1:80/) ...\n"
        );
        assert_eq!(
            banner_of("0.0.0.0:80", &["http://127.0.0.1:80/", "http://192.168.1.5:80/"]),
            "Serving HTTP on 0.0.0.0 port 80 (http://0.0.0.0:80/) ...\n  \
             http://127.0.0.1:80/\n  http://192.168.1.5:80/\n"
        );
    }
}
