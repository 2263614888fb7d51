//! What the command prints on stdout: the addresses it serves on, and that it was interrupted.
//!
//! The first line is that of `http.server`, byte for byte, for programs that look for it. Only the URL
//! of a link-local address also has its zone, without which it cannot be opened. It names the first TCP
//! address; if there are only Unix sockets, `unix:` and the path of the first one. Each text is flushed
//! at once (B-279). Write errors are ignored: a server whose stdout is closed still serves.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;

use doorstep_core::log;
use doorstep_driver::Observer;
use doorstep_driver::net::{self, ListenerAddr};

/// What is printed when Ctrl-C was received, as by `http.server`.
pub(crate) const INTERRUPTED: &str = "\nKeyboard interrupt received, exiting.\n";

/// When the server has started, prints the banner for the first of these addresses, then every other
/// URL and Unix socket on a line of its own.
#[derive(Debug, Default)]
pub(crate) struct Banner {
    pub(crate) addresses: Vec<ListenerAddr>,
    pub(crate) is_https: bool,
    /// The addresses on which HTTP is redirected to HTTPS.
    pub(crate) redirects: Vec<SocketAddr>,
    /// The SHA-256 fingerprint of a self-signed certificate.
    pub(crate) fingerprint: Option<String>,
    /// What follows the first slash of every URL: the prefix, and the name of a single file.
    pub(crate) path: String,
    /// On a terminal: the lines that follow the banner line in place of the other ones.
    pub(crate) details: Option<Vec<String>>,
    /// The lines of the QR code.
    pub(crate) qr: Vec<String>,
}

impl Banner {
    /// The TCP addresses.
    pub(crate) fn tcp(&self) -> Vec<SocketAddr> {
        let tcp = self.addresses.iter().filter_map(|address| match address {
            ListenerAddr::Tcp(address) => Some(*address),
            _ => None,
        });
        tcp.collect()
    }

    /// The Unix sockets.
    pub(crate) fn unix(&self) -> impl Iterator<Item = String> {
        let is_tcp = |address: &ListenerAddr| matches!(address, ListenerAddr::Tcp(_));
        self.addresses.iter().filter(move |it| !is_tcp(it)).map(ToString::to_string)
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.is_https { "https" } else { "http" }
    }

    /// The URLs of plain HTTP that are redirected.
    pub(crate) fn redirect_urls(&self) -> impl Iterator<Item = String> {
        net::urls(&self.redirects, "http").into_iter().map(|url| url + &self.path)
    }

    fn text(&self) -> String {
        let (tcp, scheme) = (self.tcp(), self.scheme());
        let unix: Vec<String> = self.unix().map(|address| escape(&address)).collect();
        let mut text = banner(scheme, &tcp, &net::urls(&tcp, scheme), &unix, &self.path);
        for url in self.redirect_urls() {
            text.push_str(&format!("  {url} is redirected to HTTPS\n"));
        }
        if let Some(fingerprint) = &self.fingerprint {
            text.push_str(&format!("  Self-signed certificate, SHA-256 {fingerprint}\n"));
        }
        text
    }
}

impl Observer for Banner {
    fn on_start(&self) {
        let text = self.text();
        let text = match &self.details {
            Some(_) => text.split_inclusive('\n').next().unwrap_or_default(),
            None => &text,
        };
        print(text);
        // These have escape sequences of their own.
        let mut stdout = io::stdout().lock();
        let mut details = self.details.iter().flatten().chain(&self.qr);
        let written = details.try_for_each(|line| writeln!(stdout, "{line}"));
        let _ = written.and_then(|()| stdout.flush());
    }
    fn wants_timing(&self) -> bool {
        false
    }
}

/// The banner for TCP addresses with these URLs, which `path` completes, and for Unix sockets. A Unix
/// socket is not encrypted.
fn banner(
    scheme: &str,
    tcp: &[SocketAddr],
    urls: &[String],
    unix: &[String],
    path: &str,
) -> String {
    let url = tcp.first().map(|first| net::url(*first, scheme) + path);
    let urls: Vec<String> = urls.iter().map(|url| format!("{url}{path}")).collect();
    let protocol = scheme.to_ascii_uppercase();
    let mut others: Vec<&String> =
        urls.iter().filter(|other| Some(*other) != url.as_ref()).collect();
    let mut text = match (tcp, unix) {
        ([first, ..], _) => {
            others.extend(unix);
            let url = url.unwrap_or_default();
            format!("Serving {protocol} on {} port {} ({url}) ...\n", first.ip(), first.port())
        }
        ([], [first, rest @ ..]) => {
            others.extend(rest);
            format!("Serving HTTP on {first} ...\n")
        }
        ([], []) => String::new(),
    };
    for other in others {
        text.push_str("  ");
        text.push_str(other);
        text.push('\n');
    }
    text
}

/// A name for the terminal.
pub(crate) fn escape(text: &str) -> String {
    let mut out = Vec::new();
    log::escape_controls(&mut out, text.as_bytes());
    String::from_utf8_lossy(&out).into_owned()
}

/// Prints `text`, whose lines may have any names in them.
pub(crate) fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(&escaped(text)).and_then(|()| stdout.flush());
}

/// Whether to use colours on stderr.
pub(crate) fn stderr_has_colors() -> bool {
    has_colors(&io::stderr())
}

/// Whether to use colours on `out`, by the environment variables that Python obeys (B-109), and those
/// that the help text obeys.
pub(crate) fn has_colors(out: &impl IsTerminal) -> bool {
    let forced = env::var_os("FORCE_COLOR").is_some_and(|value| !value.is_empty());
    if anstyle_query::no_color() {
        false
    } else if forced || anstyle_query::clicolor_force() {
        true
    } else {
        out.is_terminal()
            && anstyle_query::clicolor().unwrap_or(true)
            && anstyle_query::term_supports_color()
    }
}

/// The lines of a text, safe to show whatever the names in them.
fn escaped(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for (n, line) in text.split('\n').enumerate() {
        if n > 0 {
            out.push(b'\n');
        }
        log::escape_controls(&mut out, line.as_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banner_of(address: &str, urls: &[&str]) -> String {
        let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
        banner("http", &[address.parse().unwrap()], &urls, &[], "")
    }

    #[test]
    fn unix_sockets_follow_or_stand_first_if_there_is_nothing_else() {
        let unix = ["unix:/run/a.sock".to_owned(), "unix:@b".to_owned()];
        let (tcp, url) = (["127.0.0.1:80".parse().unwrap()], ["http://127.0.0.1:80/".to_owned()]);
        assert_eq!(
            banner("http", &tcp, &url, &unix, ""),
            "Serving HTTP on 127.0.0.1 port 80 (http://127.0.0.1:80/) ...\n  unix:/run/a.sock\n  \
             unix:@b\n"
        );
        assert_eq!(
            banner("http", &[], &[], &unix, ""),
            "Serving HTTP on unix:/run/a.sock ...\n  unix:@b\n"
        );
        assert!(!escape("unix:/run/a\nb").contains('\n'));
    }

    #[test]
    fn every_url_of_a_single_file_has_its_name() {
        let (tcp, urls) = (["0.0.0.0:80".parse().unwrap()], ["http://127.0.0.1:80/".to_owned()]);
        assert_eq!(
            banner("http", &tcp, &urls, &["unix:@b".into()], "a%20b.pdf"),
            "Serving HTTP on 0.0.0.0 port 80 (http://0.0.0.0:80/a%20b.pdf) ...\n  \
             http://127.0.0.1:80/a%20b.pdf\n  unix:@b\n"
        );
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
    fn r_14_only_line_ends_reach_the_terminal_as_they_are() {
        let text = escaped("a\u{202e}b\x1b[31m\n  é\u{2066}\n");
        assert_eq!(text, "a\\xe2\\x80\\xaeb\\x1b[31m\n  é\\xe2\\x81\\xa6\n".as_bytes());
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
