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
    /// How long a connection may be idle between requests; then it is closed
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "60s")]
    #[arg(alias = "timeout-idle")]
    timeout_keep_alive: Duration,

    /// How long a request's header may take to arrive; then 408
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    timeout_header: Duration,

    /// How long a client may pause while it sends a request's body; then 408
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    timeout_body: Duration,

    /// How long a client may pause while it is sent a response, as a paused video does; then the
    /// connection is cut
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "60s")]
    timeout_send: Duration,

    /// How long a client may pause while it still sends after the last response; then the
    /// connection is closed
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5s")]
    timeout_linger: Duration,
}

impl Deadlines {
    /// What the library takes; the rate is its own.
    pub(crate) fn timeouts(&self) -> Timeouts {
        Timeouts {
            idle: self.timeout_keep_alive,
            head: self.timeout_header,
            body: self.timeout_body,
            send: self.timeout_send,
            linger: self.timeout_linger,
            ..Timeouts::default()
        }
    }
}

/// A time: `90` or `90s`, `500ms`, `5m`, `2h`, `1h 30m`; `none` for no limit.
pub(crate) fn duration_or_zero(word: &str) -> Result<Duration, &'static str> {
    let seconds = || word.parse().map(Duration::from_secs);
    match word {
        "none" => Ok(Duration::MAX),
        _ => seconds()
            .or_else(|_| humantime::parse_duration(word))
            .map_err(|_| "must be a time such as 90s, 5m or 2h; \"none\" means no limit"),
    }
}

/// The same, but zero is an error.
fn duration(word: &str) -> Result<Duration, &'static str> {
    match duration_or_zero(word)? {
        Duration::ZERO => Err("must be longer than 0; \"none\" means no limit"),
        time => Ok(time),
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
            send: Duration::from_secs(4 * 3600),
            linger: Duration::from_millis(500),
            ..Timeouts::default()
        };
        assert_eq!(timeouts(&all).unwrap(), expected);
        assert_eq!(timeouts(&["--timeout-send", "none"]).unwrap().send, Duration::MAX);
        assert_eq!(timeouts(&["--timeout-send", "1h 30m"]).unwrap().send.as_secs(), 5400);
    }

    #[test]
    fn r_29_a_word_that_is_not_a_time_is_an_error() {
        for word in
            ["0", "0s", "", "soon", "-1", "1.5", "5 parsecs", "None", "99999999999999999999"]
        {
            assert!(timeouts(&["--timeout-send", word]).is_err(), "{word:?}");
        }
    }
}
