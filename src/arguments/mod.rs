//! The command line, as clap reads it. [`crate::config`] checks what can only be checked against
//! the system.
//!
//! The names and defaults are those of `python -m http.server`, except for the protocol, which is
//! HTTP/1.1 by default. These definitions are also the help text. A single value that is invalid is
//! a usage error. No file is opened and no name is resolved here.

mod auth;
mod cgi;
mod containment;
mod files;
mod foreign_options;
mod limits;
mod logging;
mod mistaken_path;
mod network;
mod positional;
mod proxies;
mod sharing;
mod sockets;
mod subcommand;
mod terminal;
#[cfg(feature = "tls")]
mod tls;
mod upload;
mod usage_error;
mod values;

use std::env;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgAction, Command, CommandFactory, FromArgMatches, Parser, ValueEnum, ValueHint};

pub(crate) use auth::AuthOptions;
use cgi::CgiOptions;
pub(crate) use containment::{ContainmentOptions, SandboxMode};
use files::FileOptions;
use limits::LimitOptions;
use logging::LogOptions;
pub(crate) use logging::LogTargets;
pub(crate) use mistaken_path::hint as hint_for_missing_path;
pub(crate) use network::NetworkOptions;
pub(crate) use positional::Positionals;
use proxies::ProxyOptions;
pub(crate) use sharing::SharingOptions;
pub(crate) use sockets::BindAddress;
use sockets::SocketOptions;
pub(crate) use subcommand::{Action, CheckOptions, ReportFormat};
pub(crate) use terminal::TerminalOptions;
#[cfg(feature = "tls")]
pub(crate) use tls::TlsOptions;
use upload::UploadOptions;

const MORE_HELP: &str = "\
More options, and what each does: doorstep --help, or the manual: doorstep man | man -l -";

const UNITS_AND_EXAMPLES: &str = "\
Units:
  SIZE  bytes, or K, M, G, T in steps of 1024: 64K, 1.5G
  TIME  seconds, or with a unit: 90, 500ms, 5m, 2h;
        \"none\" for no limit

Examples:
  doorstep
      Serve the current directory on port 8000
  doorstep 8080 site -b 127.0.0.1
      Serve the directory \"site\" to this machine only
  doorstep report.pdf --count 1
      Serve one file, and exit when it was downloaded
  doorstep -b unix:/run/site.sock
      Serve on a Unix socket, behind a reverse proxy
  doorstep -d dist --spa index.html --precompressed
      Serve a single-page application from \"dist\"
  doorstep --cgi --cgi-time 30s
      Run the CGI scripts in cgi-bin, each for 30 seconds at most
  doorstep check site
      Report what serving \"site\" would expose";

/// The width at which the help is wrapped if the terminal is wider, in columns.
const MAX_COLUMNS: usize = 100;

/// Serve a directory over HTTP, as python -m http.server does
#[derive(Debug, Parser)]
#[command(name = "doorstep", version, infer_long_args = true, max_term_width = MAX_COLUMNS)]
#[command(after_help = MORE_HELP, after_long_help = UNITS_AND_EXAMPLES)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    /// What to do in place of serving.
    #[command(subcommand)]
    pub(crate) action: Option<Action>,

    #[command(flatten)]
    pub(crate) positionals: Positionals,

    /// Address, host name or unix:PATH to listen on [default: all addresses]
    ///
    /// The default is IPv4 and IPv6. 127.0.0.1 serves this machine only. A host name stands for all
    /// of its addresses. The option may be repeated. unix:PATH is a Unix socket, unix:@NAME an
    /// abstract one. Without PORT and this option, sockets that a service manager passes
    /// (LISTEN_FDS) are used.
    #[arg(short, long, value_name = "ADDRESS", value_parser = sockets::bind_address)]
    pub(crate) bind: Vec<BindAddress>,

    /// Directory to serve, as PATH [default: .]
    ///
    /// A file 404.html in it is the custom 404 page.
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) directory: Option<PathBuf>,

    /// HTTP protocol version of the responses; HTTP/1.0 disables keep-alive
    // Python's abbreviations keep their meaning, although other options begin with the same letters.
    #[arg(short, long, value_enum, value_name = "VERSION", default_value_t = Protocol::Http11)]
    #[arg(aliases = ["p", "pr", "pro"])]
    pub(crate) protocol: Protocol,

    /// Concurrency: event loops (async), or a thread for each connection
    #[arg(long, value_enum, value_name = "NAME", default_value_t = Runtime::Smol)]
    pub(crate) runtime: Runtime,

    /// Worker threads (event loops) [default: one for each processor]
    ///
    /// The blocking runtime has a thread for each connection: --max-connections limits them.
    #[arg(long, value_name = "N", value_parser = values::at_least_one::<NonZeroUsize>)]
    pub(crate) threads: Option<NonZeroUsize>,

    /// Path of a health check for load balancers, such as /healthz [default: none]
    ///
    /// GET and HEAD of it are responded with 200. During a shutdown it is 503, on connections that
    /// were open before; new ones are refused. It hides a file of that name, and is below --prefix.
    #[arg(long, value_name = "PATH", value_parser = values::request_path)]
    pub(crate) health: Option<String>,

    #[command(flatten)]
    pub(crate) sockets: SocketOptions,

    #[command(flatten)]
    pub(crate) files: FileOptions,

    #[command(flatten)]
    pub(crate) upload: UploadOptions,

    #[command(flatten)]
    pub(crate) sharing: SharingOptions,

    #[command(flatten)]
    pub(crate) cgi: CgiOptions,

    #[command(flatten)]
    pub(crate) auth: AuthOptions,

    #[command(flatten)]
    pub(crate) limits: LimitOptions,

    #[command(flatten)]
    pub(crate) containment: ContainmentOptions,

    #[command(flatten)]
    pub(crate) proxies: ProxyOptions,

    #[cfg(feature = "tls")]
    #[command(flatten)]
    pub(crate) tls: TlsOptions,

    #[command(flatten)]
    pub(crate) network: NetworkOptions,

    /// Disable the access log: log errors only, not requests
    ///
    /// The access log has a line on stderr for each request, as python -m http.server writes it.
    /// The line of an incomplete response is marked, for example if the client disconnected;
    /// this option hides it, too.
    #[arg(short, long, help_heading = "Logging")]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) logs: LogOptions,

    #[command(flatten)]
    pub(crate) terminal: TerminalOptions,
}

impl Arguments {
    /// Parses this process's arguments. Exits after `--help` and `--version` (code 0) and after a
    /// usage error (code 2).
    pub(crate) fn parse_or_exit() -> Self {
        let words: Vec<_> = env::args_os().collect();
        Self::parse(&words).unwrap_or_else(|error| error.exit())
    }

    /// What clap does not check.
    fn check(&self) -> Result<(), String> {
        if let Some(Action::Check(options)) = &self.action {
            return options.files.check();
        }
        if self.threads.is_some() && self.runtime == Runtime::Blocking {
            return Err("--threads is for --runtime smol; the blocking runtime has a thread for \
                        each connection: limit them by --max-connections"
                .into());
        }
        let port = self.positionals.port();
        self.positionals.check(self.directory.as_deref())?;
        self.sharing.check(self.sockets.inetd)?;
        self.sockets.check(port, &self.bind)?;
        self.auth.check()?;
        self.logs.check(self.quiet)?;
        #[cfg(feature = "tls")]
        self.tls.check(port, &self.bind, self.sockets.inetd)?;
        self.files.check()
    }

    /// What clap parses, and what the help, the manual and the completions are made of.
    pub(crate) fn definition() -> Command {
        let command = subcommand::shorten_help(Self::command());
        last_counts(command).mut_subcommands(last_counts)
    }

    /// Parses `words`, the first of which is the command. The error is `--help`, `--version` or a
    /// usage error.
    fn parse(words: &[OsString]) -> Result<Self, clap::Error> {
        let check = |arguments: Self| match arguments.check() {
            Ok(()) => Ok(arguments),
            Err(message) => {
                let message = usage_error::with_upload_hint(message, words);
                Err(usage_error::command_of(words).error(ErrorKind::ValueValidation, message))
            }
        };
        let matches = Self::definition().try_get_matches_from(words);
        let parsed = matches.and_then(|matches| Self::from_arg_matches(&matches)).and_then(check);
        parsed.map_err(|error| usage_error::explain(error, words))
    }
}

/// Of an option that is repeated, the last one counts, as with argparse; those of several values collect
/// them. A word too many stays an error.
fn last_counts(command: Command) -> Command {
    command.mut_args(|arg| {
        let has_one_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::SetTrue);
        let itself = Some(arg.get_id().clone()).filter(|_| has_one_value && !arg.is_positional());
        arg.overrides_with_all(itself)
    })
}

/// The protocol version of responses (B-281).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    #[value(name = "HTTP/1.0")]
    Http10,
    #[value(name = "HTTP/1.1")]
    Http11,
}

/// The runtimes by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Runtime {
    /// A thread pool, with a thread for each connection: for slow disks and network file systems
    Blocking,
    /// Asynchronous event loops, for thousands of connections
    Smol,
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorstep_core::http1::Limits;
    use doorstep_driver::Config;

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
        assert_eq!(arguments.positionals.port(), None);
        assert_eq!(arguments.bind, []);
        assert_eq!((arguments.directory, arguments.positionals.path()), (None, None));
        assert_eq!(arguments.protocol, Protocol::Http11);
        assert_eq!(arguments.runtime, Runtime::Smol);
        assert!(!arguments.quiet);
        assert_eq!(arguments.limits.max_body(false), Limits::default().body);
        assert_eq!(arguments.limits.grace, Config::default().shutdown_grace);
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
            assert_eq!(parse(words).unwrap().directory, Some("x".into()), "{words:?}");
        }
        for name in ["--b", "--bi"] {
            let bind = parse(&[name, "::1"]).unwrap().bind;
            assert_eq!(bind, [BindAddress::Host("::1".into())], "{name}");
        }
        for name in ["--p", "--pr", "--pro"] {
            assert_eq!(parse(&[name, "HTTP/1.0"]).unwrap().protocol, Protocol::Http10, "{name}");
        }
    }

    #[test]
    fn b_271_of_a_repeated_option_the_last_one_counts() {
        let parse = |words: &[&str]| {
            let words: Vec<_> = ["doorstep"].iter().chain(words).map(OsString::from).collect();
            Arguments::parse(&words)
        };
        let words = "-d a -d b --dir=c -p HTTP/1.1 -p HTTP/1.0 --cgi --cgi -q -q --threads 2 \
                     --threads 3 --upload --upload=in --cgi-time 1 --cgi-time 2 --runtime blocking \
                     --runtime smol --index x.html --index y.html -b ::1 -b 127.0.0.1 -H A b -H C d \
                     --cgi-env=A --cgi-env=B --trusted-proxy ::1 --trusted-proxy unix: \
                     --immutable a --immutable b --cgi-dir a --cgi-dir b";
        let arguments = parse(&words.split_whitespace().collect::<Vec<_>>()).unwrap();
        assert_eq!((arguments.directory, arguments.quiet), (Some("c".into()), true));
        assert_eq!((arguments.protocol, arguments.runtime), (Protocol::Http10, Runtime::Smol));
        assert_eq!(arguments.threads, NonZeroUsize::new(3));
        assert_eq!(arguments.upload.settings().unwrap().directory, b"in");
        // Options of several values have all of them.
        assert_eq!(arguments.bind, ["::1", "127.0.0.1"].map(|it| BindAddress::Host(it.into())));
        assert_eq!(arguments.proxies.trusted().to_string(), "::1/128,unix:");
        let headers = arguments.files.headers();
        assert_eq!(headers, [("A", "b"), ("C", "d")].map(|(n, v)| (n.to_owned(), v.to_owned())));
        let site = arguments.files.site().unwrap();
        assert_eq!((site.index, site.immutable.len()), (vec!["x.html".into(), "y.html".into()], 2));
        assert!(parse(&["check", "--hidden", "--hidden", "a"]).is_ok());
        assert!(parse(&["check", "a", "b"]).is_err() && parse(&["80", "a", "b"]).is_err());
    }

    #[test]
    fn b_272_one_port_in_any_position() {
        let port = |words: &[&str]| parse(words).unwrap().positionals.port();
        assert_eq!(port(&["8001"]), Some(8001));
        assert_eq!(port(&["-q", "0", "-d", "x"]), Some(0));
        assert_eq!(parse(&["8000", "8001", "8002"]).unwrap_err(), ErrorKind::ArgumentConflict);
    }

    #[test]
    fn b_275_a_port_is_16_bits() {
        assert_eq!(parse(&["65535"]).unwrap().positionals.port(), Some(65535));
        for word in ["65536", "99999", "99999999999999999999", ""] {
            assert_eq!(parse(&[word]).unwrap_err(), ErrorKind::ValueValidation, "{word:?}");
        }
        assert_eq!(parse(&["-1"]).unwrap_err(), ErrorKind::UnknownArgument);
    }

    #[test]
    fn b_281_two_protocol_versions_are_accepted() {
        assert_eq!(parse(&["-p", "HTTP/1.0"]).unwrap().protocol, Protocol::Http10);
        assert_eq!(parse(&["--protocol=HTTP/1.1"]).unwrap().protocol, Protocol::Http11);
        for word in ["HTTP/2", "http/1.1", "banana"] {
            assert_eq!(parse(&["-p", word]).unwrap_err(), ErrorKind::InvalidValue, "{word:?}");
        }
    }

    #[test]
    fn threads_are_for_the_event_loop() {
        let parse = |words: &[&str]| {
            let words = ["doorstep"].iter().chain(words).map(OsString::from).collect::<Vec<_>>();
            Arguments::parse(&words).map_err(|error| error.to_string())
        };
        let threads = |words: &[&str]| parse(words).unwrap().threads.map(NonZeroUsize::get);
        assert_eq!(threads(&["--runtime", "smol"]), None);
        assert_eq!(threads(&["--threads", "3"]), Some(3));
        assert_eq!(threads(&["--threads", "3", "--runtime", "smol"]), Some(3));
        let error = parse(&["--runtime", "smol", "--threads", "0"]).unwrap_err();
        assert!(error.contains("must be at least 1"), "{error}");
        let error = parse(&["--runtime", "blocking", "--threads", "2"]).unwrap_err();
        assert!(error.contains("limit them by --max-connections"), "{error}");
        assert!(error.contains("Usage: doorstep "), "{error}");
    }

    #[test]
    fn b_286_at_least_one_connection() {
        assert_eq!(
            parse(&["--max-connections", "3"]).unwrap().limits.max_connections,
            NonZeroUsize::new(3)
        );
        assert_eq!(parse(&["--max-connections", "0"]).unwrap_err(), ErrorKind::ValueValidation);
    }
}
