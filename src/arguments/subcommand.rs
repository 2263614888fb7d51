//! The subcommands: what the command does in place of serving.
//!
//! A subcommand is the first word and is written in full: `doorstep check site`. Its name takes
//! precedence over a path; a file or directory of that name is written `./check`.

use std::path::PathBuf;

use clap::{Args, Command, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use super::cgi::CgiOptions;
use super::files::FileOptions;

/// What the command does in place of serving.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Report what a directory would expose, and what would surprise its visitors
    ///
    /// Takes the file options that it is served with. Nothing is served or changed.
    /// Warnings are what visitors should not get, or would miss; notes are what may be intended.
    /// Exit code: 0 without warnings, 1 with warnings, 2 if the directory or an option is invalid.
    Check(Box<CheckOptions>),

    /// Print the completion script of a shell
    ///
    /// For bash: doorstep completions bash > ~/.local/share/bash-completion/completions/doorstep
    Completions {
        /// Shell to print it for
        #[arg(value_enum)]
        shell: Shell,
    },

    /// Print the manual page, in the format of man (roff)
    ///
    /// To read it: doorstep man | man -l -
    Man,
}

/// The arguments of `doorstep check`.
#[derive(Debug, Args)]
pub(crate) struct CheckOptions {
    /// Directory to check
    #[arg(value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) directory: PathBuf,

    /// Format of the report
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,

    #[command(flatten)]
    pub(crate) files: FileOptions,

    #[command(flatten)]
    pub(crate) cgi: CgiOptions,
}

/// The formats of the report of `doorstep check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people: findings by kind, with what to do
    Text,
    /// For programs: one JSON object
    Json,
}

/// The options that `-h` shows, by their long names. `--help` shows all.
const EVERYDAY: [&str; 30] = [
    "access-log",
    "auth-file",
    "bind",
    "cache",
    "cgi",
    "cors",
    "count",
    "directory",
    "for",
    "header",
    "help",
    "hidden",
    "index",
    "isolate",
    "limits",
    "max-body",
    "no-listing",
    "open",
    "overwrite",
    "precompressed",
    "qr",
    "quiet",
    "rate",
    "readme",
    "spa",
    "tls-cert",
    "tls-key",
    "tls-self-signed",
    "upload",
    "version",
];

/// The same of `doorstep check`.
const EVERYDAY_CHECK: [&str; 9] = [
    "cgi",
    "cgi-dir",
    "content-type",
    "format",
    "help",
    "hidden",
    "index",
    "mime-types",
    "precompressed",
];

/// Hides from `-h` the options that few people need, in `command` and in its subcommands.
pub(super) fn shorten_help(command: Command) -> Command {
    let hide = |command: Command, shown: &'static [&str]| {
        command.mut_args(move |option| {
            let is_shown = option.get_long().is_none_or(|long| shown.contains(&long));
            option.hide_short_help(!is_shown)
        })
    };
    hide(command, &EVERYDAY).mut_subcommand("check", |check| hide(check, &EVERYDAY_CHECK))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;

    #[test]
    fn every_option_of_the_short_help_exists() {
        let mut command = Arguments::definition();
        command.build();
        let check = command.find_subcommand("check").unwrap();
        for (command, names) in [(&command, &EVERYDAY[..]), (check, &EVERYDAY_CHECK)] {
            for name in names {
                let mut longs = command.get_arguments().filter_map(clap::Arg::get_long);
                assert!(longs.any(|long| long == *name), "{name}");
            }
        }
    }

    #[test]
    fn a_subcommand_is_the_first_word_and_not_abbreviated() {
        let parse = |words: &[&str]| {
            let words: Vec<_> = [&["doorstep"], words].concat().iter().map(Into::into).collect();
            Arguments::parse(&words)
        };
        let check = |words: &[&str]| match parse(words).unwrap().action {
            Some(Action::Check(options)) => options,
            action => unreachable!("{action:?}"),
        };
        assert_eq!(check(&["check"]).directory, PathBuf::from("."));
        let options = check(&["check", "site", "--hid", "--form=json", "--cgi"]);
        assert_eq!(options.directory, PathBuf::from("site"));
        assert_eq!((options.files.hidden, options.format), (true, ReportFormat::Json));
        assert!(parse(&["check", "a", "b"]).is_err());
        for words in [&["chec"][..], &["-q", "check"], &["8000", "check"], &["./check"]] {
            let arguments = parse(words).unwrap();
            assert!(
                arguments.action.is_none() && arguments.positionals.path().is_some(),
                "{words:?}"
            );
        }
        assert!(parse(&["8000", "-d", "check"]).unwrap().action.is_none());
        let error = parse(&["check", "-H", "Date", "now"]).unwrap_err().to_string();
        assert!(error.contains("doorstep sets this header itself"), "{error}");
        assert!(error.contains("Usage: doorstep check "), "{error}");
    }
}
