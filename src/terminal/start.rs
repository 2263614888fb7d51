//! The start-up screen: where the server can be reached, what it serves and to whom, and what may be wrong
//! with that.
//!
//! It is text for people, on a terminal only, behind the banner line of `http.server`. Lines are wrapped at
//! words.

use std::net::{IpAddr, UdpSocket};

use doorstep_driver::net;
use doorstep_driver::os::Symlinks;
use unicode_width::UnicodeWidthStr;

use super::{format, warnings};
use crate::arguments::SharingOptions;
use crate::banner::{Banner, escape};
use crate::config::CommandConfig;

/// The columns of labels.
const LABEL: usize = 16;
/// The widest text, in columns.
const MAX_WIDTH: usize = 100;
/// The URLs of a kind that are shown.
const MAX_URLS: usize = 6;

/// What the screen shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StartScreen {
    /// Labels, and their texts.
    fields: Vec<(String, String)>,
    warnings: Vec<String>,
}

/// The URLs of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Urls {
    /// Those that only this machine can use.
    pub(super) local: Vec<String>,
    /// Those that others can use, the best one first.
    pub(super) network: Vec<String>,
}

impl Urls {
    /// The URLs of a server with this banner.
    pub(super) fn new(banner: &Banner) -> Self {
        let mut reachable = net::reachable(&banner.tcp());
        let route = default_route();
        reachable.sort_by_key(|address| rank(address.ip(), route));
        let (mut local, mut network) = (Vec::new(), Vec::new());
        for address in reachable {
            let url = net::url(address, banner.scheme()) + &banner.path;
            let urls = match address.ip().to_canonical().is_loopback() {
                true => &mut local,
                false => &mut network,
            };
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        Self { local, network }
    }

    /// The one for a browser on this machine.
    pub(super) fn first(&self) -> Option<&String> {
        self.local.first().or(self.network.first())
    }
}

/// The address from which this machine reaches the network; no packet is sent.
fn default_route() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect((IpAddr::from([192, 0, 2, 1]), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// The order of addresses: that of the default route first, IPv4 before IPv6.
fn rank(ip: IpAddr, route: Option<IpAddr>) -> (bool, bool) {
    (Some(ip.to_canonical()) != route, ip.to_canonical().is_ipv6())
}

impl StartScreen {
    /// The screen for a server with these URLs.
    pub(super) fn new(config: &CommandConfig, banner: &Banner, urls: &Urls) -> Self {
        let mut screen = Self::default();
        screen.add_urls("This machine", &urls.local);
        screen.add_urls("Network", &urls.network);
        for address in banner.unix() {
            screen.add("Unix socket", address);
        }
        for url in banner.redirect_urls() {
            screen.add("Redirect", format!("{url} to HTTPS"));
        }
        if let Some(fingerprint) = &banner.fingerprint {
            let half = fingerprint.len() / 2 + 1; // behind a colon
            let (begin, end) = fingerprint.split_at_checked(half).unwrap_or((fingerprint, ""));
            screen.add("Certificate", "self-signed, with this SHA-256 fingerprint:".into());
            screen.add("Certificate", format!("{begin} {end}"));
        }
        screen.add("", String::new());
        let label = if config.served.file.is_some() { "File" } else { "Directory" };
        screen.add(label, config.served.as_path().display().to_string());
        for option in served(config) {
            screen.add("Options", option);
        }
        screen.add("Access", access(config, banner, urls));
        if let Some(end) = end(&config.sharing) {
            screen.add("Ends", end);
        }
        let is_exposed = !urls.network.is_empty() && config.auth.is_none();
        if config.served.file.is_none() {
            let root = &config.served.root;
            screen.warnings = warnings::warnings(root, config.site.hidden, is_exposed);
        }
        screen
    }

    fn add_urls(&mut self, label: &str, urls: &[String]) {
        for url in urls.iter().take(MAX_URLS) {
            self.add(label, url.clone());
        }
        let more = urls.len().saturating_sub(MAX_URLS);
        if more > 0 {
            self.add(label, format!("and {more} more"));
        }
    }

    fn add(&mut self, label: &str, text: String) {
        self.fields.push((label.into(), text));
    }

    /// The lines in a terminal with so many columns.
    pub(crate) fn lines(&self, columns: usize, colors: bool) -> Vec<String> {
        let width = columns.saturating_sub(1).clamp(LABEL + 20, MAX_WIDTH) - LABEL;
        let mut lines = vec![String::new()];
        let mut before = "";
        for (label, text) in &self.fields {
            let shown = if label == before { "" } else { label };
            field(&mut lines, shown, text, width, colors.then_some("\x1b[1m"));
            before = label;
        }
        if !self.warnings.is_empty() {
            lines.push(String::new());
        }
        for warning in &self.warnings {
            field(&mut lines, "Warning", warning, width, colors.then_some("\x1b[1;31m"));
        }
        lines.extend([String::new(), "  Ctrl-C stops the server.".into(), String::new()]);
        lines
    }
}

/// Adds a label and its text, which is wrapped at `width` columns.
fn field(lines: &mut Vec<String>, label: &str, text: &str, width: usize, color: Option<&str>) {
    let label_width = LABEL - 2;
    let padded = format!("{label:label_width$}");
    let colored = match color.filter(|_| !label.is_empty()) {
        Some(color) => format!("  {color}{padded}\x1b[0m"),
        None => format!("  {padded}"),
    };
    let mut line = colored;
    for (n, part) in wrap(&escape(text), width).into_iter().enumerate() {
        if n > 0 {
            lines.push(std::mem::replace(&mut line, " ".repeat(LABEL)));
        }
        line.push_str(&part);
    }
    lines.push(line.trim_end().into());
}

/// The words of `text` in lines of at most `width` columns. A longer word has a line of its own.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(last) = lines.last_mut() else { break };
        if last.is_empty() {
            last.push_str(word);
        } else if last.width() + 1 + word.width() <= width {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.into());
        }
    }
    lines
}

/// What is served other than usual, each as a sentence's part. Options that add something to the served
/// directory belong here.
fn served(config: &CommandConfig) -> Vec<String> {
    let site = &config.site;
    let mut all = Vec::new();
    if site.hidden {
        all.push("hidden names (dotfiles) are served".into());
    }
    match config.symlinks {
        Symlinks::Follow => all.push("symbolic links that leave the directory are followed".into()),
        Symlinks::Deny => all.push("symbolic links are not followed".into()),
        _ => {}
    }
    if let Some(uploads) = &config.uploads {
        let directory = String::from_utf8_lossy(&uploads.directory);
        let replaced = if uploads.overwrite { ", and may replace files" } else { "" };
        all.push(format!("uploads are stored in /{directory}{replaced}"));
    }
    if !site.listing {
        all.push("directories are not listed".into());
    }
    if let Some(page) = &site.spa {
        all.push(format!("single-page application: {page} in place of missing pages"));
    }
    if let Some(network) = &config.network {
        all.push(network.to_string());
    }
    if let Some(cgi) = &config.cgi {
        let directories = cgi.directories.paths();
        let directories: Vec<_> =
            directories.map(|path| String::from_utf8_lossy(&path).into_owned()).collect();
        all.push(format!("CGI scripts run: {}", directories.join(", ")));
    }
    all
}

/// Who can have responses.
fn access(config: &CommandConfig, banner: &Banner, urls: &Urls) -> String {
    let encrypted = if banner.is_https { "encrypted" } else { "not encrypted" };
    let whose = match (urls.network.is_empty(), urls.local.is_empty()) {
        (false, _) => "who can reach this machine",
        (true, false) => "on this machine",
        (true, true) => "who may use the socket",
    };
    match config.auth {
        Some(_) => format!("users with a password {whose}, {encrypted}"),
        None if urls.network.is_empty() => format!("everyone {whose}"),
        None => format!("everyone {whose}, without a password, {encrypted}"),
    }
}

/// When the server ends by itself, if it does.
fn end(sharing: &SharingOptions) -> Option<String> {
    let count = sharing.count.map(|n| format!("after {}", format::count(n.get(), "transfer")));
    let lifetime = sharing.lifetime().map(|time| format!("after {}", format::words(time)));
    let idle = sharing.idle_exit();
    let idle = idle.map(|time| format!("after {} without a request", format::words(time)));
    let all: Vec<_> = [count, lifetime, idle].into_iter().flatten().collect();
    let (last, others) = all.split_last()?;
    Some(match others.is_empty() {
        true => last.clone(),
        false => format!("{} or {last}", others.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;
    use clap::Parser;

    fn screen(words: &[&str], urls: &Urls) -> StartScreen {
        let arguments = Arguments::parse_from([&["doorstep", "-d", "src"], words].concat());
        let config = CommandConfig::from_arguments(arguments).unwrap();
        let mut screen = StartScreen::new(&config, &Banner::default(), urls);
        let root = screen.fields.iter_mut().find(|(label, _)| label == "Directory").unwrap();
        root.1 = "/srv/src".into();
        screen
    }

    fn urls(local: &[&str], network: &[&str]) -> Urls {
        let own = |urls: &[&str]| urls.iter().map(|url| (*url).to_owned()).collect();
        Urls { local: own(local), network: own(network) }
    }

    #[test]
    fn the_screen_says_where_what_and_to_whom() {
        let network =
            urls(&["http://127.0.0.1:8000/", "http://[::1]:8000/"], &["http://192.0.2.1:8000/"]);
        assert_eq!(
            screen(&[], &network).lines(80, false),
            [
                "",
                "  This machine  http://127.0.0.1:8000/",
                "                http://[::1]:8000/",
                "  Network       http://192.0.2.1:8000/",
                "",
                "  Directory     /srv/src",
                "  Access        everyone who can reach this machine, without a password, not",
                "                encrypted",
                "",
                "  Ctrl-C stops the server.",
                "",
            ]
        );
    }

    #[test]
    fn options_that_matter_and_warnings_are_shown() {
        let local = urls(&["http://127.0.0.1:8000/"], &[]);
        let mut screen = screen(&["--hidden", "--symlinks", "follow", "--no-listing"], &local);
        screen.warnings = vec!["clients can read .git; leave out --hidden".into()];
        assert_eq!(
            screen.lines(60, false)[1..],
            [
                "  This machine  http://127.0.0.1:8000/",
                "",
                "  Directory     /srv/src",
                "  Options       hidden names (dotfiles) are served",
                "                symbolic links that leave the directory are",
                "                followed",
                "                directories are not listed",
                "  Access        everyone on this machine",
                "",
                "  Warning       clients can read .git; leave out --hidden",
                "",
                "  Ctrl-C stops the server.",
                "",
            ]
        );
        assert!(screen.lines(60, true).iter().any(|line| line.contains("\x1b[1;31mWarning")));
    }

    #[test]
    fn the_screen_says_when_the_server_ends() {
        let local = urls(&["http://127.0.0.1:8000/"], &[]);
        let ends = |words: &[&str]| {
            let lines = screen(words, &local).lines(100, false);
            lines.iter().find_map(|line| line.strip_prefix("  Ends          ")).map(str::to_owned)
        };
        assert_eq!(ends(&["--count", "1"]).unwrap(), "after 1 transfer");
        assert_eq!(
            ends(&["--count", "3", "--for", "1m", "--idle-exit", "90s"]).unwrap(),
            "after 3 transfers, after 1 minute or after 90 seconds without a request"
        );
        assert_eq!((ends(&[]), ends(&["--for", "none"])), (None, None));
    }

    #[test]
    fn many_urls_are_counted() {
        let all: Vec<_> = (1..=9).map(|n| format!("http://192.0.2.{n}:80/")).collect();
        let all: Vec<_> = all.iter().map(String::as_str).collect();
        let lines = screen(&[], &urls(&[], &all)).lines(80, false);
        assert_eq!(lines[MAX_URLS + 1], "                and 3 more");
    }

    #[test]
    fn the_address_of_the_default_route_is_the_best() {
        let ips =
            ["2001:db8::1", "172.17.0.1", "192.168.1.5"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let best = |route: Option<IpAddr>| {
            let mut ips = ips;
            ips.sort_by_key(|ip| rank(*ip, route));
            ips[0].to_string()
        };
        assert_eq!(best(Some(ips[2])), "192.168.1.5");
        assert_eq!(best(None), "172.17.0.1");
    }

    #[test]
    fn the_path_is_a_part_of_every_url() {
        let mut banner = Banner::default();
        banner.addresses.push(net::ListenerAddr::Tcp(([127, 0, 0, 1], 80).into()));
        assert_eq!(Urls::new(&banner).local, ["http://127.0.0.1:80/"]);
        banner.path = "docs/new/".into();
        assert_eq!(Urls::new(&banner).local, ["http://127.0.0.1:80/docs/new/"]);
    }
}
