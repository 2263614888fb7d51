//! Usage errors: messages for common mistakes where clap's own do not help, and escaping.

use std::ffi::OsString;
use std::path::Path;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use doorstep_core::log;

use super::{Arguments, files, foreign_options};

/// The error to print for `error`, which clap has found in `words`, the command line.
pub(super) fn explain(error: clap::Error, words: &[OsString]) -> clap::Error {
    let mut command = command_of(words);
    let mut error = match better_message(&error, &command, words) {
        Some(message) => command.error(error.kind(), message),
        None => error,
    };
    if error.kind() == ErrorKind::UnknownArgument {
        correct_tips(&mut error, &mut command);
    }
    // Every error shows the usage, as in Python (B-273). clap omits it for an invalid value.
    if error.use_stderr() && error.get(ContextKind::Usage).is_none() {
        show_usage(&mut error, &mut command);
    }
    escape_quoted(&mut error);
    error
}

/// The command that `words` are the arguments of: the whole one, or that of a subcommand.
pub(super) fn command_of(words: &[OsString]) -> Command {
    let mut command = Arguments::definition();
    command.build(); // adds --help and --version
    let name = words.get(1).and_then(|word| word.to_str());
    let subcommand = name.and_then(|name| command.find_subcommand(name)).cloned();
    subcommand.unwrap_or(command)
}

/// The message for a mistake that clap does not explain.
fn better_message(error: &clap::Error, command: &Command, words: &[OsString]) -> Option<String> {
    if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand)
        && command.find_subcommand(word).is_none()
    {
        return Some(format!("unexpected argument {word:?}")); // one word too many
    }
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    match error.kind() {
        ErrorKind::ValueValidation if matches!(&**option, "[PORT]" | "[PATH]") => {
            let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidValue) else {
                return None;
            };
            (!word.is_empty() && Path::new(word).exists()).then(|| {
                format!(
                    "invalid value {word:?} for '{option}': must be a number from 0 to 65535; to serve \
                     the file or directory of that name: ./{word}"
                )
            })
        }
        ErrorKind::UnknownArgument if command.get_name() != "doorstep" => {
            let is_for_serving = is_option(&Arguments::definition(), option)
                || is_port(option)
                || foreign_options::replacement(option).is_some();
            let name = command.get_name();
            is_for_serving.then(|| {
                format!(
                    "unexpected option {option}: doorstep {name} serves nothing; omit it; to serve a \
                     file or directory of the name {name}: doorstep ./{name}"
                )
            })
        }
        ErrorKind::UnknownArgument if is_port(option) => Some(format!(
            "unexpected option {option}; give the port without an option: doorstep 8000"
        )),
        ErrorKind::InvalidValue if option.starts_with("--protocol ") => {
            let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidValue) else {
                return None;
            };
            word.parse::<u16>().is_ok().then(|| {
                format!(
                    "invalid value {word:?} for '{option}': it is HTTP/1.0 or HTTP/1.1; give the port \
                     without an option: doorstep {word}"
                )
            })
        }
        ErrorKind::UnknownArgument => {
            if let Some(tip) = foreign_options::replacement(option) {
                return Some(format!("unexpected option {option}: {tip}"));
            }
            let prefix = option.strip_prefix("--")?;
            let longs = visible_options(command).filter(|long| long.starts_with(prefix));
            let longs: Vec<_> = longs.map(|long| format!("--{long}")).collect();
            // In argparse's words.
            (longs.len() > 1)
                .then(|| format!("ambiguous option: {option} could match {}", longs.join(", ")))
        }
        ErrorKind::WrongNumberOfValues if option.starts_with("--header ") => {
            values_of_header(words).find_map(|word| files::header_in_one_argument(word, ""))
        }
        _ => None,
    }
}

fn is_port(option: &str) -> bool {
    matches!(option, "--port" | "-P")
}

/// Whether `command` has an option of this name, which has its dashes.
fn is_option(command: &Command, name: &str) -> bool {
    command.get_arguments().any(|option| match name.strip_prefix("--") {
        Some(long) => option.get_long() == Some(long),
        None => option
            .get_short()
            .is_some_and(|short| name.strip_prefix('-') == Some(short.encode_utf8(&mut [0; 4]))),
    })
}

/// The options that the help shows, without the dashes.
fn visible_options(command: &Command) -> impl Iterator<Item = &str> {
    command
        .get_arguments()
        .filter(|option| !option.is_hide_set())
        .filter_map(|option| option.get_long())
}

/// The first value of each `--header` in `words`.
fn values_of_header(words: &[OsString]) -> impl Iterator<Item = &str> {
    let following = words.iter().skip(1).map(Some).chain([None]);
    words.iter().zip(following).filter_map(|(word, following)| match word.to_str()? {
        "-H" | "--header" => following?.to_str(),
        word => word.strip_prefix("--header=").or_else(|| word.strip_prefix("-H")),
    })
}

/// Removes tips that name what the help does not show: an abbreviation, which is a hidden alias, or
/// the unknown option as a port. Another alias is replaced by its option.
fn correct_tips(error: &mut clap::Error, command: &mut Command) {
    error.remove(ContextKind::Suggested);
    let Some(ContextValue::String(tip)) = error.get(ContextKind::SuggestedArg) else { return };
    let alias = tip.trim_start_matches('-');
    if visible_options(command).any(|long| long == alias) {
        return;
    }
    let has_alias = |option: &&clap::Arg| {
        option.get_all_aliases().is_some_and(|aliases| aliases.contains(&alias))
    };
    let option = command.get_arguments().find(has_alias).and_then(|option| option.get_long());
    match option.filter(|long| !long.starts_with(alias)).map(|long| format!("--{long}")) {
        Some(option) => _ = error.insert(ContextKind::SuggestedArg, ContextValue::String(option)),
        None => {
            error.remove(ContextKind::SuggestedArg);
            show_usage(error, command); // it has named the option
        }
    }
}

fn show_usage(error: &mut clap::Error, command: &mut Command) {
    error.insert(ContextKind::Usage, ContextValue::StyledStr(command.render_usage()));
}

/// Escapes the arguments that an error message quotes. They may be file names that somebody else
/// chose, with control characters for the terminal.
fn escape_quoted(error: &mut clap::Error) {
    let escape = |text: &String| {
        let mut out = Vec::new();
        log::escape_controls(&mut out, text.as_bytes());
        String::from_utf8_lossy(&out).into_owned()
    };
    let escaped = error.context().filter_map(|(kind, value)| match value {
        ContextValue::String(text) => Some((kind, ContextValue::String(escape(text)))),
        ContextValue::Strings(all) => {
            Some((kind, ContextValue::Strings(all.iter().map(escape).collect())))
        }
        _ => None,
    });
    for (kind, value) in escaped.collect::<Vec<_>>() {
        if error.insert(kind, value.clone()).is_some_and(|before| before != value) {
            error.remove(ContextKind::Suggested); // it quotes the argument as well
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(words: &[&str]) -> String {
        let words: Vec<_> = [&["doorstep"], words].concat().iter().map(OsString::from).collect();
        let error = Arguments::parse(&words).expect_err("it is a usage error");
        error.render().ansi().to_string()
    }

    fn plain(words: &[&str]) -> String {
        let words: Vec<_> = [&["doorstep"], words].concat().iter().map(OsString::from).collect();
        Arguments::parse(&words).expect_err("it is a usage error").to_string()
    }

    #[test]
    fn b_272_a_port_as_an_option() {
        for words in [&["--port", "8000"][..], &["--port=8000"], &["-P", "8000"], &["-P8000"]] {
            let text = plain(words);
            assert!(text.contains("give the port without an option: doorstep 8000\n"), "{text}");
            assert!(text.contains("Usage: doorstep [OPTIONS] [PORT] [PATH]"), "{text}");
        }
    }

    #[test]
    fn a_port_after_the_option_of_the_protocol() {
        let text = plain(&["-p", "8080"]);
        assert!(text.contains("give the port without an option: doorstep 8080\n"), "{text}");
        assert!(plain(&["-p", "HTTP/2"]).contains("possible values: HTTP/1.0, HTTP/1.1"));
    }

    #[test]
    fn an_option_for_serving_is_none_of_a_subcommand() {
        for (words, option) in [
            (&["check", "site", "--port", "3"][..], "--port"),
            (&["check", "-b", "127.0.0.1"], "-b"),
            (&["check", "--upload"], "--upload"),
            (&["check", "--host", "a"], "--host"),
        ] {
            let text = plain(words);
            let expected =
                format!("unexpected option {option}: doorstep check serves nothing; omit it; ");
            assert!(text.contains(&expected), "{text}");
            assert!(text.contains("of the name check: doorstep ./check\n"), "{text}");
            assert!(!text.contains("without an option"), "{text}");
            assert!(text.contains("Usage: doorstep check "), "{text}");
        }
        assert!(plain(&["check", "--nonsense"]).contains("unexpected argument '--nonsense'"));
    }

    #[test]
    fn a_quiet_access_log_is_refused_with_the_reason() {
        for words in [&["-q", "--access-log", "a"][..], &["--access-log=a", "--quiet"]] {
            let text = plain(words);
            assert!(text.contains("--quiet disables the access log, which --access-log"), "{text}");
        }
    }

    #[test]
    fn options_of_uploads_need_the_option_for_them() {
        for words in [&["--overwrite"][..], &["--upload-min-free", "1G"]] {
            let text = plain(words);
            assert!(text.contains("required") && text.contains("--upload[=<DIR>]"), "{text}");
        }
    }

    #[test]
    fn b_272_one_word_too_many() {
        let text = plain(&["8000", "a", "80\x1b[31m"]);
        assert!(text.starts_with("error: unexpected argument \"80\\u{1b}[31m\"\n"), "{text}");
        assert!(text.contains("Usage: doorstep [OPTIONS] [PORT] [PATH]"), "{text}");
    }

    #[test]
    fn b_275_a_number_out_of_range_is_a_port() {
        let text = plain(&["99999"]);
        assert!(text.contains("'[PORT]': must be a number from 0 to 65535\n"), "{text}");
    }

    #[test]
    fn b_271_an_ambiguous_prefix_names_all_options() {
        let text = plain(&["--timeout", "nonsense"]);
        let expected = "ambiguous option: --timeout could match --timeout-keep-alive, \
                        --timeout-header, --timeout-body, --timeout-send, --timeout-linger\n";
        assert!(text.contains(expected), "{text}");
        let text = plain(&["--h=1"]);
        assert!(
            text.contains(
                "--h could match --health, --hidden, --header, --https-redirect, --help\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn b_271_tips_name_only_options_that_the_help_shows() {
        let shown =
            visible_options(&Arguments::definition()).map(str::to_owned).collect::<Vec<_>>();
        for word in ["--pot", "--pp", "--cgg", "--prt", "--xyz", "--timeout-idel", "--hiden", "--x"]
        {
            let text = plain(&[word]);
            let mut tips = text.lines().filter(|line| line.contains("tip:"));
            assert!(text.contains("Usage: doorstep "), "{text}");
            assert!(
                tips.all(|tip| shown.iter().any(|long| tip.contains(&format!("'--{long}'")))),
                "{text}"
            );
        }
        assert!(plain(&["--hiden"]).contains("'--hidden'"));
        assert!(plain(&["--timeout-idel"]).contains("'--timeout-keep-alive'"));
    }

    #[test]
    fn b_293_a_header_in_one_argument() {
        for words in [
            &["-H", "X-A: b"][..],
            &["-H", "X-A: b", "-q"],
            &["-H", "X-A: b", "8000"],
            &["-H", "X-A:", "b"],
            &["-HX-A: b"],
            &["--header=X-A:b"],
            &["-H", "X-B", "c:d", "--header", "X-A: b"],
        ] {
            let text = plain(words);
            let expected = "write name and value as two arguments: -H X-A b\n";
            assert!(text.contains(expected), "{words:?}: {text}");
        }
        let text = message(&["-H", "X-A: b\u{202e}\x1b[31m"]);
        assert!(text.contains(r#"-H X-A "b\u{202e}\u{1b}[31m""#), "{text}");
        let text = plain(&["-H", "X-A"]);
        assert!(text.contains("2 values required for '--header <NAME> <VALUE>'"), "{text}");
    }

    #[test]
    fn r_14_a_usage_error_is_escaped_for_the_terminal() {
        for word in
            ["--x\u{202e}\x1b[31m", "--count=80\u{202e}\x1b[31m", "--runtime=\u{202e}\x1b[31m"]
        {
            let text = message(&[word]);
            assert!(text.contains(r"\xe2\x80\xae\x1b[31m") && !text.contains('\u{202e}'), "{text}");
        }
    }
}
