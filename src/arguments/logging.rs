//! The options for logs.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use doorstep_driver::Format;

/// The options under "Logging", besides `--quiet`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Logging")]
pub(crate) struct LogOptions {
    /// Format of the access log and of errors
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Python)]
    log_format: LogFormat,

    /// Write the access log to a file [default: stderr]
    ///
    /// The file is appended to, and opened again at SIGHUP and when it was renamed or removed, for
    /// logrotate and similar programs. "-" is stderr.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    access_log: Option<PathBuf>,

    /// Write errors to a file [default: stderr]
    ///
    /// In the same way as the access log. "-" is stderr.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    error_log: Option<PathBuf>,
}

/// The formats by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// As python -m http.server
    Python,
    /// Combined log format of Apache and nginx: with referer and user agent
    Combined,
    /// A JSON object for each line
    Json,
}

/// Where logs go, and their format. `None` is stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogTargets {
    pub(crate) format: Format,
    pub(crate) access: Option<PathBuf>,
    pub(crate) error: Option<PathBuf>,
}

impl LogOptions {
    /// What clap does not check.
    pub(super) fn check(&self, is_quiet: bool) -> Result<(), String> {
        match is_quiet && self.access_log.is_some() {
            true => {
                Err("--quiet disables the access log, which --access-log writes to a file: omit \
                         one of them; with --access-log, nothing of it is on stderr"
                    .into())
            }
            false => Ok(()),
        }
    }

    pub(crate) fn targets(self) -> LogTargets {
        let format = match self.log_format {
            LogFormat::Python => Format::Python,
            LogFormat::Combined => Format::Combined,
            LogFormat::Json => Format::Json,
        };
        let file = |path: Option<PathBuf>| path.filter(|path| path.as_os_str() != "-");
        LogTargets { format, access: file(self.access_log), error: file(self.error_log) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;
    use clap::Parser;
    use clap::error::ErrorKind;

    fn targets(words: &[&str]) -> Result<LogTargets, ErrorKind> {
        let arguments = Arguments::try_parse_from([&["doorstep"], words].concat());
        arguments.map(|arguments| arguments.logs.targets()).map_err(|error| error.kind())
    }

    #[test]
    fn b_100_logs_are_as_pythons_on_stderr_by_default() {
        let default = LogTargets { format: Format::Python, access: None, error: None };
        for words in [&[][..], &["--access-log=-", "--error-log=-"], &["--log-format", "python"]] {
            assert_eq!(targets(words).unwrap(), default);
        }
    }

    #[test]
    fn every_format_and_file_can_be_chosen() {
        let chosen = targets(&["--log-format=json", "--access-log", "a", "--error-log", "./-"]);
        let (access, error) = (Some("a".into()), Some("./-".into()));
        assert_eq!(chosen.unwrap(), LogTargets { format: Format::Json, access, error });
        assert_eq!(targets(&["--log-format", "combined"]).unwrap().format, Format::Combined);
    }

    #[test]
    fn what_is_contradictory_or_unknown_is_a_usage_error() {
        assert_eq!(targets(&["--log-format=xml"]).unwrap_err(), ErrorKind::InvalidValue);
        assert_eq!(targets(&["--access-log="]).unwrap_err(), ErrorKind::InvalidValue);
        assert!(targets(&["--quiet", "--error-log", "a"]).is_ok());
    }
}
