//! How long a client may take, as the command line says it and as the library takes it.
//!
//! The names are those that other servers have for the same deadlines; the defaults are the
//! library's.

use std::time::Duration;

use clap::Args;
use doorstep_core::http1::Timeouts;

/// The options about deadlines.
#[derive(Debug, Args)]
#[command(next_help_heading = "Timeouts")]
pub(crate) struct Deadlines {
    /// How long a connection may be idle between requests; then it is closed [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout_keep_alive: Option<Duration>,

    /// How long a request's header may take to arrive; then 408 [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout_header: Option<Duration>,

    /// How long a client may pause while it sends a request's body; then 408 [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout_body: Option<Duration>,

    /// How long a client may pause while it is sent a response, as a paused video does; then the
    /// connection is cut [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout_send: Option<Duration>,

    /// How long to read on after the last response, so that the client can read that [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout_linger: Option<Duration>,
}

impl Deadlines {
    /// The library's, but for those that were asked for.
    pub(crate) fn timeouts(&self) -> Timeouts {
        let defaults = Timeouts::default();
        Timeouts {
            idle: self.timeout_keep_alive.unwrap_or(defaults.idle),
            head: self.timeout_header.unwrap_or(defaults.head),
            body: self.timeout_body.unwrap_or(defaults.body),
            peer: self.timeout_send.unwrap_or(defaults.peer),
            drain: self.timeout_linger.unwrap_or(defaults.drain),
            ..defaults
        }
    }
}

/// A time: `90` or `90s`, `500ms`, `5m`, `2h`, `1h 30m`; `none` for no limit. Zero would serve nobody.
fn duration(word: &str) -> Result<Duration, &'static str> {
    let seconds = || word.parse().map(Duration::from_secs);
    match word {
        "none" => Ok(Duration::MAX),
        _ => match seconds().or_else(|_| humantime::parse_duration(word)) {
            Ok(time) if !time.is_zero() => Ok(time),
            Ok(_) => Err("it is longer than 0; \"none\" is no limit"),
            Err(_) => Err("a time is written as 90s, 5m or 2h; \"none\" is no limit"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;
    use clap::Parser;

    fn timeouts(words: &[&str]) -> Result<Timeouts, clap::Error> {
        let said = Arguments::try_parse_from([&["doorstep"], words].concat());
        said.map(|said| said.deadlines.timeouts())
    }

    #[test]
    fn r_29_unless_told_deadlines_are_as_the_library_has_them() {
        assert_eq!(timeouts(&[]).unwrap(), Timeouts::default());
        let help = <Arguments as clap::CommandFactory>::command().render_long_help().to_string();
        let Timeouts { idle, head, body, peer, drain, .. } = Timeouts::default();
        for (name, default) in [
            ("keep-alive", idle),
            ("header", head),
            ("body", body),
            ("send", peer),
            ("linger", drain),
        ] {
            let (_, text) = help.split_once(&format!("--timeout-{name} <TIME>")).unwrap();
            let (_, text) = text.split_once("[default: ").unwrap();
            let (shown, _) = text.split_once(']').unwrap();
            assert_eq!(duration(shown), Ok(default), "{name}");
        }
    }

    #[test]
    fn r_29_every_deadline_is_settable() {
        let all = [
            "--timeout-keep-alive=1",
            "--timeout-header=2s",
            "--timeout-body=3m",
            "--timeout-send=4h",
            "--timeout-linger=500ms",
        ];
        let expected = Timeouts {
            idle: Duration::from_secs(1),
            head: Duration::from_secs(2),
            body: Duration::from_secs(180),
            peer: Duration::from_secs(4 * 3600),
            drain: Duration::from_millis(500),
            ..Timeouts::default()
        };
        assert_eq!(timeouts(&all).unwrap(), expected);
        assert_eq!(timeouts(&["--timeout-send", "none"]).unwrap().peer, Duration::MAX);
        assert_eq!(timeouts(&["--timeout-send", "1h 30m"]).unwrap().peer.as_secs(), 5400);
    }

    #[test]
    fn r_29_what_is_no_time_is_a_usage_error() {
        for word in
            ["0", "0s", "", "soon", "-1", "1.5", "5 parsecs", "None", "99999999999999999999"]
        {
            assert!(timeouts(&["--timeout-send", word]).is_err(), "{word:?}");
        }
    }
}
