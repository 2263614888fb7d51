//! The options for CGI scripts.
//!
//! Without `--cgi` no script is run, and every other option here is a usage error (B-220). The
//! defaults are the library's. docs/cgi.md describes each limit and the response beyond it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::num::{NonZeroU64, NonZeroUsize};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueHint};
use doorstep_core::cgi::route::ScriptDirectories;
use doorstep_core::path;
use doorstep_driver::cgi::CgiSettings;
use doorstep_driver::os::Credentials;

use super::values;
use crate::failure::Failure;

/// The options under "Scripts (CGI)".
#[derive(Debug, Args)]
#[command(next_help_heading = "Scripts (CGI)")]
pub(crate) struct CgiOptions {
    /// Run the programs in cgi-bin and htbin as CGI scripts
    ///
    /// CGI/1.1 (RFC 3875). By default they are served as files. The other options of this section
    /// need this one.
    // Python's abbreviations keep their meaning, although other options begin with the same letters.
    #[arg(long, aliases = ["c", "cg"])]
    cgi: bool,

    /// Directory of scripts; repeatable [default: cgi-bin, htbin]
    ///
    /// A path from the served directory.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, requires = "cgi")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    cgi_dir: Vec<String>,

    /// Environment variable of scripts; repeatable [default: only PATH, LANG, LC_* and TZ]
    ///
    /// NAME without a value passes on the server's own variable.
    #[arg(long, value_name = "NAME[=VALUE]", requires = "cgi", value_parser = variable)]
    cgi_env: Vec<(String, Option<String>)>,

    /// Drop privileges: run scripts as this user, if the server is root [default: nobody]
    ///
    /// Scripts never run as root. If the server is not root, they run as its own user.
    #[arg(long, value_name = "USER", requires = "cgi")]
    cgi_user: Option<String>,

    /// Script timeout: how long a script may run, and how long a request waits in the queue
    ///
    /// Then the script is terminated. The client gets 504, or an aborted response if it has begun.
    #[arg(long, value_name = "TIME", requires = "cgi", default_value = "60s")]
    #[arg(value_parser = values::duration)]
    cgi_time: Duration,

    /// Maximum output of a script, in bytes
    ///
    /// Then the script is terminated. The client gets 502, or an aborted response if it has begun.
    #[arg(long, value_name = "SIZE", requires = "cgi", default_value = "1G")]
    #[arg(value_parser = values::size)]
    cgi_output: u64,

    /// Maximum number of concurrent scripts; further requests are queued
    #[arg(long, value_name = "N", requires = "cgi", default_value = "32")]
    #[arg(value_parser = values::at_least_one::<NonZeroUsize>)]
    cgi_processes: NonZeroUsize,

    /// Maximum length of the queue for scripts, in requests; further requests get 503
    #[arg(long, value_name = "N", requires = "cgi", default_value = "256")]
    #[arg(value_parser = values::number)]
    cgi_queue: usize,

    /// CPU time limit of each process, in whole seconds (ulimit -t) [default: no limit]
    #[arg(long, value_name = "TIME", requires = "cgi", value_parser = values::duration)]
    cgi_cpu: Option<Duration>,

    /// Memory limit of each process: address space, in bytes (ulimit -v) [default: no limit]
    #[arg(long, value_name = "SIZE", requires = "cgi", value_parser = values::size)]
    cgi_memory: Option<u64>,

    /// Maximum number of open files of each process (ulimit -n) [default: the server's]
    #[arg(long, value_name = "N", requires = "cgi")]
    #[arg(value_parser = values::at_least_one::<NonZeroU64>)]
    cgi_files: Option<NonZeroU64>,
}

impl CgiOptions {
    /// How scripts below `root` are run; `None` without `--cgi`. What scripts share with files is
    /// left at its default.
    pub(crate) fn settings(self, root: &Path) -> Result<Option<CgiSettings>, Failure> {
        if !self.cgi {
            return Ok(None);
        }
        if let Some(user) = &self.cgi_user {
            Credentials::for_user(Some(user))
                .map_err(|error| Failure::User(user.clone(), error))?;
        }
        let mut settings = CgiSettings::default();
        settings.user = self.cgi_user;
        settings.timeout = self.cgi_time;
        settings.max_output = self.cgi_output;
        settings.max_processes = self.cgi_processes.get();
        settings.max_queued = self.cgi_queue;
        settings.rlimits.cpu = self.cgi_cpu.and_then(values::whole_seconds);
        settings.rlimits.memory = self.cgi_memory;
        settings.rlimits.files = self.cgi_files.map(NonZeroU64::get);
        if let Some(dir) = self.cgi_dir.iter().find(|dir| !is_directory_below(root, dir)) {
            return Err(Failure::ScriptDirectory(dir.clone()));
        }
        if !self.cgi_dir.is_empty() {
            settings.directories =
                ScriptDirectories::new(&self.cgi_dir).expect("each was resolved a moment ago");
        }
        for (name, value) in self.cgi_env {
            if let Some(value) = value.map(OsString::from).or_else(|| env::var_os(&name)) {
                settings.variables.push((name.into(), value));
            }
        }
        Ok(Some(settings))
    }
}

/// Whether `dir`, read as the path of a URL, is a directory below `root`, or `root` itself. Requests
/// for scripts are matched with the same reading of it (B-255).
fn is_directory_below(root: &Path, dir: &str) -> bool {
    let mut clean = Vec::new();
    let resolved = path::normalize_strict(dir.as_bytes(), &mut clean);
    matches!(resolved, Ok(Some(_))) && root.join(OsStr::from_bytes(&clean)).is_dir()
}

fn variable(word: &str) -> Result<(String, Option<String>), &'static str> {
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (word, None),
    };
    if name.is_empty() { Err("must be NAME or NAME=VALUE") } else { Ok((name.to_owned(), value)) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::arguments::Arguments;
    use crate::config::CommandConfig;
    use clap::Parser;
    use clap::error::ErrorKind;
    use doorstep_driver::os::Symlinks;

    fn check(words: &[&str]) -> Result<CommandConfig, Failure> {
        CommandConfig::from_arguments(Arguments::parse_from([&["doorstep"], words].concat()))
    }

    fn settings(words: &[&str]) -> CgiSettings {
        check(&[&["--cgi"], words].concat()).unwrap().cgi.unwrap()
    }

    fn refused(words: &[&str]) -> Option<ErrorKind> {
        let arguments = Arguments::try_parse_from([&["doorstep"], words].concat());
        arguments.err().map(|error| error.kind())
    }

    #[test]
    fn b_220_scripts_are_not_run_by_default() {
        assert_eq!(check(&[]).unwrap().cgi, None);
    }

    #[test]
    fn b_271_the_abbreviations_of_pythons_option_are_its_own() {
        for name in ["--c", "--cg", "--cgi"] {
            assert!(check(&[name]).unwrap().cgi.is_some(), "{name}");
        }
    }

    #[test]
    fn b_221_256_the_default_settings_are_the_librarys() {
        assert_eq!(settings(&[]), CgiSettings::default());
    }

    #[test]
    fn b_220_every_other_option_needs_cgi() {
        for words in [
            &["--cgi-dir", "src"][..],
            &["--cgi-env", "A"],
            &["--cgi-user", "nobody"],
            &["--cgi-time", "1"],
            &["--cgi-output", "1"],
            &["--cgi-processes", "1"],
            &["--cgi-queue", "1"],
            &["--cgi-cpu", "1"],
            &["--cgi-memory", "1G"],
            &["--cgi-files", "9"],
        ] {
            assert_eq!(refused(words), Some(ErrorKind::MissingRequiredArgument), "{words:?}");
            assert_eq!(refused(&[&["--cgi"], words].concat()), None, "{words:?}");
        }
    }

    #[test]
    fn b_256_every_limit_has_an_option() {
        let settings = settings(&[
            "--cgi-time=5",
            "--cgi-output=10K",
            "--cgi-processes=2",
            "--cgi-queue=0",
            "--cgi-cpu=3",
            "--cgi-memory=1G",
            "--cgi-files=20",
        ]);
        assert_eq!(settings.timeout, Duration::from_secs(5));
        assert_eq!(settings.max_output, 10 << 10);
        assert_eq!((settings.max_processes, settings.max_queued), (2, 0));
        let rlimits = settings.rlimits;
        assert_eq!((rlimits.cpu, rlimits.memory), (Some(3), Some(1 << 30)));
        assert_eq!(rlimits.files, Some(20));
    }

    #[test]
    fn b_256_times_are_seconds_or_have_a_unit() {
        for (word, expected) in [
            ("90", Duration::from_secs(90)),
            ("90s", Duration::from_secs(90)),
            ("5m", Duration::from_secs(300)),
            ("500ms", Duration::from_millis(500)),
            ("none", Duration::MAX),
        ] {
            assert_eq!(settings(&["--cgi-time", word]).timeout, expected, "{word}");
        }
        for (word, expected) in
            [("90", Some(90)), ("2m", Some(120)), ("1500ms", Some(2)), ("none", None)]
        {
            assert_eq!(settings(&["--cgi-cpu", word]).rlimits.cpu, expected, "{word}");
        }
        for word in ["0", "0s", "soon", "1.5", "-1"] {
            assert!(refused(&["--cgi", "--cgi-time", word]).is_some(), "{word}");
            assert!(refused(&["--cgi", "--cgi-cpu", word]).is_some(), "{word}");
        }
    }

    #[test]
    fn b_256_limits_that_are_zero_or_no_number_are_usage_errors() {
        assert_eq!(check(&["--max-body", "10m"]).unwrap().max_body, 10 << 20);
        for words in [["--cgi-time", "0"], ["--cgi-processes", "0"], ["--cgi-output", "some"]] {
            assert!(refused(&[&["--cgi"], &words[..]].concat()).is_some(), "{words:?}");
        }
    }

    #[test]
    fn b_221_script_directories_are_below_the_served_one() {
        let src = ScriptDirectories::new(["src"]).unwrap();
        for word in ["src", "/src", "/src/", "./src", "%73rc"] {
            assert_eq!(settings(&["--cgi-dir", word]).directories, src, "{word}");
        }
        assert_eq!(
            settings(&["--cgi-dir", "/"]).directories,
            ScriptDirectories::new([""]).unwrap()
        );
        let two = settings(&["--cgi-dir", "src", "--cgi-dir", "src/arguments"]).directories;
        assert_eq!(two, ScriptDirectories::new(["src", "src/arguments"]).unwrap());
        let here = fs::canonicalize(".").unwrap();
        for word in ["nowhere", "Cargo.toml", "../src", "%00", here.to_str().unwrap()] {
            let failure = check(&["--cgi", "--cgi-dir", "src", "--cgi-dir", word]).unwrap_err();
            assert!(matches!(failure, Failure::ScriptDirectory(ref dir) if dir == word), "{word}");
        }
        assert!(refused(&["--cgi", "--cgi-dir", ""]).is_some());
    }

    #[test]
    fn b_237_variables_are_set_or_passed_on() {
        let inherited = CgiSettings::inherited();
        let settings = settings(&[
            "--cgi-env=A=b=c",
            "--cgi-env",
            "B=",
            "--cgi-env=CARGO_PKG_NAME",
            "--cgi-env=NO_SUCH_VARIABLE",
        ]);
        let added = [("A", "b=c"), ("B", ""), ("CARGO_PKG_NAME", "doorstep")];
        let added = added.map(|(name, value)| (name.into(), value.into()));
        assert_eq!(settings.variables, [&inherited[..], &added].concat());
        assert!(refused(&["--cgi", "--cgi-env", "=b"]).is_some());
        assert!(refused(&["--cgi", "--cgi-env", ""]).is_some());
    }

    #[test]
    fn b_246_a_user_that_scripts_cannot_run_as_is_an_error() {
        for user in ["nosuchuser", "root", "0"] {
            let failure = check(&["--cgi", "--cgi-user", user]).unwrap_err();
            assert!(matches!(failure, Failure::User(ref name, _) if name == user), "{user}");
        }
    }

    #[test]
    fn b_063_130_131_settings_that_files_and_scripts_share() {
        let settings = settings(&["--hidden", "--symlinks=deny", "--server-header", "mine/1"]);
        assert!(settings.hidden);
        assert_eq!(settings.symlinks, Symlinks::Deny);
        assert_eq!(settings.software, "mine/1");
    }
}
