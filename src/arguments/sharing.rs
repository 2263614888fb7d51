//! The options that end the server by itself (docs/sharing.md).

use std::num::NonZeroU64;
use std::time::Duration;

use clap::Args;

use super::values;

/// The options under "Sharing".
#[derive(Debug, Args)]
#[command(next_help_heading = "Sharing")]
pub(crate) struct SharingOptions {
    /// Exit after N completed downloads or uploads [default: no limit]
    ///
    /// A file that is sent to its end, or resumed to its end, is a download; a PUT or POST that
    /// succeeds is an upload. At most N are in progress; others get 503. The exit code is 0 after N
    /// of them, and 3 if the server ends before that. That the client has received the last bytes is
    /// likely, but not proven: docs/sharing.md says when.
    #[arg(long, value_name = "N", value_parser = values::at_least_one::<NonZeroU64>)]
    pub(crate) count: Option<NonZeroU64>,

    /// Exit after this time [default: no limit]
    ///
    /// Requests in progress may finish, as long as --grace allows. The exit code is 3 if a transfer
    /// was cut and not repeated, or if there were fewer than --count. A suspended machine does not
    /// use up the time.
    #[arg(long = "for", value_name = "TIME", value_parser = values::duration)]
    lifetime: Option<Duration>,

    /// Exit when no request was in progress for this time [default: no limit]
    ///
    /// A download in progress is a request; an open connection alone is not. With sockets that a service
    /// manager passes (LISTEN_FDS), the service runs only while it is used. The exit code is that
    /// of --for.
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    idle_exit: Option<Duration>,
}

impl SharingOptions {
    /// The time after which the server ends, if it does.
    pub(crate) fn lifetime(&self) -> Option<Duration> {
        self.lifetime.filter(|time| *time != Duration::MAX)
    }

    /// The time without requests after which the server ends, if it does.
    pub(crate) fn idle_exit(&self) -> Option<Duration> {
        self.idle_exit.filter(|time| *time != Duration::MAX)
    }

    /// Whether the server ends by itself.
    pub(crate) fn is_any(&self) -> bool {
        self.count.is_some() || self.lifetime().is_some() || self.idle_exit().is_some()
    }

    /// What clap does not check.
    pub(super) fn check(&self, is_inetd: bool) -> Result<(), String> {
        match is_inetd && self.is_any() {
            true => Err("--inetd serves one connection and ends with it: omit --count, --for and \
                         --idle-exit"
                .into()),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;
    use std::ffi::OsString;

    fn parse(words: &[&str]) -> Result<SharingOptions, String> {
        let words: Vec<OsString> = [&["doorstep"], words].concat().iter().map(Into::into).collect();
        Arguments::parse(&words)
            .map(|arguments| arguments.sharing)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn counts_and_times() {
        let options = parse(&["--count=3", "--for", "10m", "--idle-exit=90"]).unwrap();
        assert_eq!(options.count, NonZeroU64::new(3));
        assert_eq!(options.lifetime(), Some(Duration::from_secs(600)));
        assert_eq!(options.idle_exit(), Some(Duration::from_secs(90)));
        assert!(options.is_any());
        let options = parse(&["--for=none", "--idle-exit=none"]).unwrap();
        assert!(!options.is_any() && !parse(&[]).unwrap().is_any());
        assert!(parse(&["--for=18446744073709551615"]).is_ok());
    }

    #[test]
    fn a_count_or_a_time_that_makes_no_sense_is_a_usage_error() {
        for (words, expected) in [
            (&["--count", "0"][..], "must be at least 1"),
            (&["--count=-1"], "must be a whole number, at least 1"),
            (&["--count", "many"], "must be a whole number, at least 1"),
            (&["--count", "1.5"], "must be a whole number, at least 1"),
            (&["--count", "99999999999999999999999"], "is too large"),
            (&["--for", "0"], "must be longer than 0; \"none\" means no limit"),
            (&["--for=-5m"], "must be a time such as 90s, 5m or 2h"),
            (&["--for", "soon"], "must be a time such as 90s, 5m or 2h"),
            (&["--for", "99999999999999999999h"], "must be a time such as 90s, 5m or 2h"),
            (&["--idle-exit", "0s"], "must be longer than 0"),
            (&["--idle-exit", ""], "must be a time such as 90s, 5m or 2h"),
            (&["--inetd", "--count", "1"], "omit --count, --for and --idle-exit"),
        ] {
            let error = parse(words).unwrap_err();
            assert!(error.contains(expected) && error.contains("Usage: "), "{words:?}: {error}");
        }
    }
}
