//! The options that make a slow or broken network. docs/network.md describes them.

use std::time::Duration;

use clap::Args;
use doorstep_driver::net::NetworkSettings;

use super::values;

/// The options under "Slow network".
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Slow or broken network, to test clients")]
pub(crate) struct NetworkOptions {
    /// Bandwidth in bytes per second, for all clients together [default: no limit]
    ///
    /// In each direction, as on one line that all clients share, such as 200K. TLS and headers count.
    #[arg(long, value_name = "SIZE", value_parser = rate)]
    rate: Option<u64>,

    /// Round-trip time that is added, such as 150ms; half of it in each direction [default: none]
    ///
    /// A new connection takes one more of them, as a TCP handshake does.
    #[arg(long, value_name = "TIME", value_parser = latency)]
    latency: Option<Duration>,

    /// Percentage of responses to cut in the middle, such as 5, 5% or 0.5 [default: none]
    ///
    /// A random part of the body is sent, and then the connection is closed or reset. The log says
    /// "cut on purpose".
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    cut: Option<f64>,

    /// Number that chooses the responses of --cut, the same ones each time [default: random,
    /// printed]
    #[arg(long, value_name = "N", requires = "cut", value_parser = seed)]
    seed: Option<u64>,
}

impl NetworkOptions {
    /// Rate and latency, if there are any.
    pub(crate) fn settings(&self) -> Option<NetworkSettings> {
        let latency = self.latency.unwrap_or_default();
        let settings = NetworkSettings::new(self.rate, latency)?; // they were checked
        (settings != NetworkSettings::default()).then_some(settings)
    }

    /// The percentage of responses to cut, and the seed.
    pub(crate) fn cut(&self) -> Option<(f64, Option<u64>)> {
        self.cut.map(|percent| (percent, self.seed))
    }
}

/// A rate in bytes per second.
fn rate(word: &str) -> Result<u64, &'static str> {
    const EXPECTED: &str = "must be a number of bytes per second such as 200K or 1M";
    let word = word.trim_end_matches("/s");
    match values::size(word).map_err(|_| EXPECTED)? {
        0 => Err("must be at least 1 byte per second; for no limit, leave the option out"),
        rate => Ok(rate),
    }
}

/// The time of a round trip.
fn latency(word: &str) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "must be a time from 0 to 10s, such as 150ms";
    let is_number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && word != "0" {
        return Err("needs a unit, such as 150ms or 2s"); // milliseconds are meant as often as seconds
    }
    let time = values::duration_or_zero(word).map_err(|_| EXPECTED)?;
    if time > NetworkSettings::MAX_LATENCY { Err(EXPECTED) } else { Ok(time) }
}

/// A percentage; `5%` is the same as `5`.
fn percent(word: &str) -> Result<f64, &'static str> {
    match word.strip_suffix('%').unwrap_or(word).parse() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("must be a percentage from 0 to 100, such as 5 or 0.5"),
    }
}

fn seed(word: &str) -> Result<u64, &'static str> {
    word.parse().map_err(|_| "must be a whole number from 0 to 18446744073709551615")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;
    use clap::Parser;

    fn parse(words: &[&str]) -> Result<NetworkOptions, String> {
        let arguments = Arguments::try_parse_from([&["doorstep"], words].concat());
        arguments.map(|arguments| arguments.network).map_err(|error| error.to_string())
    }

    #[test]
    fn without_options_the_network_is_as_it_is() {
        for words in [&[][..], &["--latency", "0"], &["--latency=0ms"]] {
            let options = parse(words).unwrap();
            assert_eq!((options.settings(), options.cut()), (None, None), "{words:?}");
        }
    }

    #[test]
    fn rates_latencies_and_percentages() {
        let settings = |words: &[&str]| parse(words).unwrap().settings().unwrap();
        for word in ["200K", "204800", "200KiB", "200k/s"] {
            assert_eq!(settings(&["--rate", word]).rate(), Some(200 << 10), "{word}");
        }
        let slow = settings(&["--rate", "1", "--latency", "1.5s"]);
        assert_eq!((slow.rate(), slow.latency()), (Some(1), Duration::from_millis(1500)));
        assert_eq!(settings(&["--latency", "10s"]).rate(), None);
        for (word, percent) in [("5", 5.0), ("0.5", 0.5), ("100%", 100.0), ("0", 0.0)] {
            assert_eq!(parse(&["--cut", word]).unwrap().cut(), Some((percent, None)), "{word}");
        }
        let seeded = parse(&["--cut", "1", "--seed", "18446744073709551615"]).unwrap();
        assert_eq!(seeded.cut(), Some((1.0, Some(u64::MAX))));
    }

    #[test]
    fn bad_values_are_usage_errors_that_say_what_to_do() {
        for (words, remedy) in [
            (&["--rate", "0"][..], "for no limit, leave the option out"),
            (&["--rate", "fast"], "such as 200K or 1M"),
            (&["--rate=-1"], "such as 200K or 1M"),
            (&["--rate", "none"], "such as 200K or 1M"),
            (&["--latency", "11s"], "from 0 to 10s, such as 150ms"),
            (&["--latency", "none"], "from 0 to 10s, such as 150ms"),
            (&["--latency", "150"], "needs a unit, such as 150ms or 2s"),
            (&["--latency", ""], "from 0 to 10s, such as 150ms"),
            (&["--cut", "101"], "from 0 to 100, such as 5 or 0.5"),
            (&["--cut=-1"], "from 0 to 100, such as 5 or 0.5"),
            (&["--cut", "NaN"], "from 0 to 100, such as 5 or 0.5"),
            (&["--cut", "often"], "from 0 to 100, such as 5 or 0.5"),
            (&["--seed", "1"], "--cut <PERCENT>"),
            (&["--seed", "1", "--rate", "1K"], "--cut <PERCENT>"),
            (&["--cut", "1", "--seed", "x"], "a whole number from 0 to"),
        ] {
            let error = parse(words).unwrap_err();
            assert!(error.contains(remedy), "{words:?}: {error}");
        }
    }
}
