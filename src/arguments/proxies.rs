//! The options for a server behind a reverse proxy. docs/proxies.md describes them.

use clap::Args;
use doorstep_driver::Config;
use doorstep_driver::net::TrustedProxies;

/// The options under "Reverse proxies".
#[derive(Debug, Args)]
#[command(next_help_heading = "Reverse proxies")]
pub(crate) struct ProxyOptions {
    /// Reverse proxy (load balancer) in front of this server; repeatable [default: none]
    ///
    /// An address, a network in CIDR notation such as 10.0.0.0/8, or unix: for the peers of Unix
    /// sockets; or several, separated by commas. From there, Forwarded, X-Forwarded-For and
    /// X-Forwarded-Proto are believed: the client's address in the log and for CGI scripts
    /// (REMOTE_ADDR), and HTTPS. From everywhere else they are ignored.
    #[arg(long, value_name = "NETWORK", value_parser = networks)]
    trusted_proxy: Vec<TrustedProxies>,

    /// PROXY protocol (v1, v2; HAProxy's send-proxy): required on connections of --trusted-proxy
    ///
    /// A connection from there that does not begin with a valid header is closed. Other connections
    /// are plain HTTP.
    #[arg(long, requires = "trusted_proxy")]
    pub(crate) proxy_protocol: bool,

    /// URL path below which a proxy serves this server, such as /docs [default: none]
    ///
    /// A request for /docs/a.txt is for a.txt in the served directory; other paths are 404.
    #[arg(long, value_name = "PATH", value_parser = prefix)]
    prefix: Option<String>,
}

impl ProxyOptions {
    /// All trusted proxies.
    pub(crate) fn trusted(&self) -> TrustedProxies {
        let mut trusted = TrustedProxies::default();
        self.trusted_proxy.iter().for_each(|some| trusted.extend(some.clone()));
        trusted
    }

    /// The prefix, without a slash at its end; empty if there is none.
    pub(crate) fn prefix(&self) -> String {
        self.prefix.clone().unwrap_or_default()
    }
}

/// A list of networks.
fn networks(word: &str) -> Result<TrustedProxies, String> {
    word.parse().map_err(|error: doorstep_driver::net::ParseTrustedProxiesError| error.to_string())
}

/// A path. A slash at its end makes no difference.
fn prefix(word: &str) -> Result<String, &'static str> {
    let mut config = Config::default();
    config.prefix = word.strip_suffix('/').unwrap_or(word).into();
    match config.check() {
        Ok(()) if !word.is_empty() => Ok(config.prefix),
        _ => Err("must be a path such as /docs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;
    use clap::Parser;

    fn parse(words: &[&str]) -> Result<ProxyOptions, String> {
        let arguments = Arguments::try_parse_from([&["doorstep"], words].concat());
        arguments.map(|arguments| arguments.proxies).map_err(|error| error.to_string())
    }

    #[test]
    fn trusted_proxies_are_repeated_or_separated_by_commas() {
        let none = parse(&[]).unwrap();
        assert!(none.trusted().is_empty() && !none.proxy_protocol && none.prefix().is_empty());
        let words =
            ["--trusted-proxy", "10.0.0.0/8,unix:", "--trusted-proxy=::1", "--proxy-protocol"];
        let options = parse(&words).unwrap();
        assert_eq!(options.trusted().to_string(), "10.0.0.0/8,::1/128,unix:");
        assert!(options.proxy_protocol);
    }

    #[test]
    fn bad_values_are_usage_errors_that_say_what_to_do() {
        for (words, remedy) in [
            (&["--trusted-proxy", "10.0.0.1/8"][..], "write 10.0.0.0/8"),
            (&["--trusted-proxy", "proxy.example"], "a network such as 10.0.0.0/8"),
            (&["--trusted-proxy", ""], "a network such as 10.0.0.0/8"),
            (&["--proxy-protocol"], "--trusted-proxy <NETWORK>"),
            (&["--prefix", "docs"], "a path such as /docs"),
            (&["--prefix", ""], "a path such as /docs"),
            (&["--prefix", "/a//b"], "a path such as /docs"),
            (&["--prefix", "/a/../b"], "a path such as /docs"),
            (&["--prefix", "/a?b"], "a path such as /docs"),
            (&["--prefix", "/a b"], "a path such as /docs"),
            (&["--prefix", "/\u{e9}"], "a path such as /docs"),
        ] {
            let error = parse(words).unwrap_err();
            assert!(error.contains(remedy), "{words:?}: {error}");
        }
    }

    #[test]
    fn a_prefix_is_a_path() {
        for (word, prefix) in
            [("/docs", "/docs"), ("/docs/v1/", "/docs/v1"), ("/", ""), ("/%C3%A9", "/%C3%A9")]
        {
            assert_eq!(parse(&["--prefix", word]).unwrap().prefix(), prefix, "{word}");
        }
    }
}
