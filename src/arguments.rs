//! What the command line says, word for word; [`crate::config`] makes out what it means.
//!
//! The names and defaults are those of `python -m http.server`, but for the protocol, which is
//! HTTP/1.1. This one definition is also the help text. Nothing is looked up here: a name that does
//! not resolve or a directory that is not there is found later, a port above 65535 is refused now.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, ValueEnum};
use doorstep_core::log;

use crate::policies::Policies;
use crate::scripts::{self, Scripts};
use crate::timeouts::{self, Deadlines};

/// Serve a directory over HTTP.
#[derive(Debug, Parser)]
#[command(name = "doorstep", version, infer_long_args = true)]
pub(crate) struct Arguments {
    /// Port to listen on; 0 takes a free one and names it
    #[arg(default_value_t = 8000)]
    pub(crate) port: u16,

    /// Listen on this address or host name only, not on all of this machine's addresses
    #[arg(short, long, value_name = "ADDRESS")]
    pub(crate) bind: Option<String>,

    /// Serve this directory
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub(crate) directory: PathBuf,

    /// HTTP version to speak
    // Python's abbreviations stay Python's, whatever else begins so.
    #[arg(short, long, value_enum, value_name = "VERSION", default_value_t = Protocol::Http11)]
    #[arg(aliases = ["p", "pr"])]
    pub(crate) protocol: Protocol,

    /// Driver that does the serving
    #[arg(long, value_enum, value_name = "NAME", default_value_t = Runtime::Blocking)]
    pub(crate) runtime: Runtime,

    /// Do not log requests on stderr, only what goes wrong
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Maximum number of concurrent connections [default: 1024, with --runtime smol 10000]; at the
    /// limit slow and idle ones are evicted for new ones, which wait in the backlog
    #[arg(long, value_name = "N")]
    pub(crate) max_connections: Option<NonZeroUsize>,

    /// Largest body of a request; beyond it 413
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = scripts::size)]
    pub(crate) max_body: u64,

    /// Time limit of a graceful shutdown (SIGTERM, Ctrl-C); then connections are cut
    #[arg(long, value_name = "TIME", value_parser = timeouts::duration_or_zero, default_value = "8s")]
    pub(crate) grace: Duration,

    #[command(flatten)]
    pub(crate) deadlines: Deadlines,

    #[command(flatten)]
    pub(crate) policies: Policies,

    #[command(flatten)]
    pub(crate) scripts: Scripts,
}

impl Arguments {
    /// This process's arguments. After help (exit code 0) or a usage error (2) it does not return.
    pub(crate) fn read() -> Self {
        let checked = |said: Self| match said.policies.check() {
            Ok(()) => Ok(said),
            Err(why) => Err(Self::command().error(ErrorKind::ValueValidation, why)),
        };
        Self::try_parse().and_then(checked).unwrap_or_else(|mut error| {
            // Every error shows the usage, as in Python; clap leaves it out for a wrong value.
            if error.use_stderr() && error.get(ContextKind::Usage).is_none() {
                let usage = Self::command().render_usage();
                error.insert(ContextKind::Usage, ContextValue::StyledStr(usage));
            }
            make_printable(&mut error);
            error.exit()
        })
    }
}

/// Escapes the arguments that an error quotes: they may be another's, as the names of files are.
fn make_printable(error: &mut clap::Error) {
    let safe = |text: &String| {
        let mut out = Vec::new();
        log::escape_controls(&mut out, text.as_bytes());
        String::from_utf8_lossy(&out).into_owned()
    };
    let quoted = error.context().filter_map(|(kind, value)| match value {
        ContextValue::String(text) => Some((kind, ContextValue::String(safe(text)))),
        ContextValue::Strings(all) => {
            Some((kind, ContextValue::Strings(all.iter().map(safe).collect())))
        }
        _ => None,
    });
    for (kind, value) in quoted.collect::<Vec<_>>() {
        if error.insert(kind, value.clone()).is_some_and(|before| before != value) {
            error.remove(ContextKind::Suggested); // which quotes it as well
        }
    }
}

/// The version in our status lines; `HTTP/1.0` closes after each answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    #[value(name = "HTTP/1.0")]
    Http10,
    #[value(name = "HTTP/1.1")]
    Http11,
}

/// The drivers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Runtime {
    /// A bounded set of threads
    Blocking,
    /// An event loop, for very many connections
    Smol,
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorstep_core::http1::Limits;
    use doorstep_driver::Config as Settings;

    fn parse(words: &[&str]) -> Result<Arguments, ErrorKind> {
        Arguments::try_parse_from([&["doorstep"], words].concat()).map_err(|error| error.kind())
    }

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn b_270_272_281_defaults() {
        let arguments = parse(&[]).unwrap();
        assert_eq!(arguments.port, 8000);
        assert_eq!(arguments.bind, None);
        assert_eq!(arguments.directory, PathBuf::from("."));
        assert_eq!(arguments.protocol, Protocol::Http11);
        assert_eq!(arguments.runtime, Runtime::Blocking);
        assert!(!arguments.quiet);
        assert_eq!(arguments.max_body, Limits::default().body);
        assert_eq!(arguments.grace, Settings::default().grace);
    }

    #[test]
    fn b_271_every_spelling_of_an_option() {
        for words in [
            &["-d", "x"][..],
            &["-dx"],
            &["--directory", "x"],
            &["--directory=x"],
            &["--dir", "x"],
            &["--d", "x"],
            &["--di=x"],
        ] {
            assert_eq!(parse(words).unwrap().directory, PathBuf::from("x"), "{words:?}");
        }
        for name in ["--b", "--bi"] {
            assert_eq!(parse(&[name, "::1"]).unwrap().bind.as_deref(), Some("::1"), "{name}");
        }
        for name in ["--p", "--pr", "--pro"] {
            assert_eq!(parse(&[name, "HTTP/1.0"]).unwrap().protocol, Protocol::Http10, "{name}");
        }
    }

    #[test]
    fn b_272_one_port_in_any_place() {
        assert_eq!(parse(&["8001"]).unwrap().port, 8001);
        assert_eq!(parse(&["-q", "0", "-d", "x"]).unwrap().port, 0);
        assert_eq!(parse(&["8000", "8001"]).unwrap_err(), ErrorKind::UnknownArgument);
    }

    #[test]
    fn b_275_a_port_is_16_bits() {
        assert_eq!(parse(&["65535"]).unwrap().port, 65535);
        for word in ["65536", "99999", "http", ""] {
            assert_eq!(parse(&[word]).unwrap_err(), ErrorKind::ValueValidation, "{word:?}");
        }
        assert_eq!(parse(&["-1"]).unwrap_err(), ErrorKind::UnknownArgument);
    }

    #[test]
    fn b_281_two_protocols_and_no_other() {
        assert_eq!(parse(&["-p", "HTTP/1.0"]).unwrap().protocol, Protocol::Http10);
        assert_eq!(parse(&["--protocol=HTTP/1.1"]).unwrap().protocol, Protocol::Http11);
        for word in ["HTTP/2", "http/1.1", "banana"] {
            assert_eq!(parse(&["-p", word]).unwrap_err(), ErrorKind::InvalidValue, "{word:?}");
        }
    }

    #[test]
    fn r_14_a_usage_error_cannot_speak_to_the_terminal() {
        for word in ["--x\u{202e}\x1b[31m", "80\u{202e}\x1b[31m", "--runtime=\u{202e}\x1b[31m"] {
            let mut error = Arguments::try_parse_from(["doorstep", word]).unwrap_err();
            make_printable(&mut error);
            let text = error.render().ansi().to_string();
            assert!(text.contains(r"\xe2\x80\xae\x1b[31m") && !text.contains('\u{202e}'), "{text}");
        }
    }

    #[test]
    fn b_286_at_least_one_connection() {
        assert_eq!(
            parse(&["--max-connections", "3"]).unwrap().max_connections,
            NonZeroUsize::new(3)
        );
        assert_eq!(parse(&["--max-connections", "0"]).unwrap_err(), ErrorKind::ValueValidation);
    }
}
