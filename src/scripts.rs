//! Whether scripts are run and what they may cost, as the command line says it and as the library
//! takes it.
//!
//! Without `--cgi` nothing is run, and no other option of these is understood (B-220). The defaults
//! are the library's; docs/cgi.md says what each bound is for and what is answered beyond it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use doorstep_core::cgi::route::ScriptDirectories;
use doorstep_core::path;
use doorstep_driver::cgi::Settings;
use doorstep_driver::os::{Identity, Rlimits};

use crate::failure::Failure;

/// The options about scripts.
#[derive(Debug, Args)]
#[command(next_help_heading = "Scripts")]
pub(crate) struct Scripts {
    /// Run what is in cgi-bin and htbin, as CGI/1.1
    // Python's abbreviations stay Python's, whatever else begins so.
    #[arg(long, aliases = ["c", "cg"])]
    cgi: bool,

    /// Directory of scripts, instead of cgi-bin and htbin; a path below the one that is served;
    /// repeatable
    #[arg(long, value_name = "DIR", requires = "cgi")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    cgi_dir: Vec<String>,

    /// Variable that every script gets; without a value, the server's own; repeatable
    #[arg(long, value_name = "NAME[=VALUE]", requires = "cgi", value_parser = variable)]
    cgi_env: Vec<(String, Option<String>)>,

    /// Who scripts run as, when the server is root [default: nobody]
    #[arg(long, value_name = "USER", requires = "cgi")]
    cgi_user: Option<String>,

    /// How long one script may take
    #[arg(long, value_name = "SECONDS", requires = "cgi", default_value = "60")]
    cgi_time: NonZeroU32,

    /// What one script may write
    #[arg(long, value_name = "SIZE", requires = "cgi", default_value = "1G", value_parser = size)]
    cgi_output: u64,

    /// Scripts at once
    #[arg(long, value_name = "N", requires = "cgi", default_value = "32")]
    cgi_processes: NonZeroUsize,

    /// Requests that wait for one of those to end
    #[arg(long, value_name = "N", requires = "cgi", default_value = "256")]
    cgi_queue: usize,

    /// Processor time of each process
    #[arg(long, value_name = "SECONDS", requires = "cgi")]
    cgi_cpu: Option<NonZeroU64>,

    /// Address space of each process
    #[arg(long, value_name = "SIZE", requires = "cgi", value_parser = size)]
    cgi_memory: Option<u64>,

    /// Open files of each process
    #[arg(long, value_name = "N", requires = "cgi")]
    cgi_files: Option<NonZeroU64>,
}

impl Scripts {
    /// How scripts below `root` are run; `None`: not at all. What they share with files is left as
    /// it is by default.
    pub(crate) fn settings(self, root: &Path) -> Result<Option<Settings>, Failure> {
        if !self.cgi {
            return Ok(None);
        }
        if let Some(user) = &self.cgi_user {
            Identity::of(Some(user)).map_err(|error| Failure::User(user.clone(), error))?;
        }
        let mut settings = Settings {
            user: self.cgi_user,
            time: Duration::from_secs(self.cgi_time.get().into()),
            output: self.cgi_output,
            at_once: self.cgi_processes.get(),
            queue: self.cgi_queue,
            rlimits: Rlimits {
                cpu: self.cgi_cpu.map(NonZeroU64::get),
                memory: self.cgi_memory,
                files: self.cgi_files.map(NonZeroU64::get),
            },
            ..Settings::default()
        };
        if let Some(none) = self.cgi_dir.iter().find(|dir| !is_below(root, dir)) {
            return Err(Failure::ScriptDirectory(none.clone()));
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

/// Whether the path of a URL means a directory below `root`, or `root` itself. The same reading of
/// it decides later what is a script (B-255).
fn is_below(root: &Path, dir: &str) -> bool {
    let mut clean = Vec::new();
    let resolved = path::normalize_strict(dir.as_bytes(), &mut clean);
    matches!(resolved, Ok(Some(_))) && root.join(OsStr::from_bytes(&clean)).is_dir()
}

/// A number of bytes: `4096`, `64K`, `10M`, `1G`, in steps of 1024.
pub(crate) fn size(word: &str) -> Result<u64, parse_size::Error> {
    parse_size::Config::new().with_binary().parse_size(word)
}

fn variable(word: &str) -> Result<(String, Option<String>), &'static str> {
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (word, None),
    };
    if name.is_empty() { Err("a name is wanted") } else { Ok((name.to_owned(), value)) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::arguments::Arguments;
    use crate::config::Config;
    use clap::Parser;
    use clap::error::ErrorKind;
    use doorstep_driver::os::Symlinks;

    fn check(words: &[&str]) -> Result<Config, Failure> {
        Config::check(Arguments::parse_from([&["doorstep"], words].concat()))
    }

    fn settings(words: &[&str]) -> Settings {
        check(&[&["--cgi"], words].concat()).unwrap().scripts.unwrap()
    }

    fn refused(words: &[&str]) -> Option<ErrorKind> {
        let said = Arguments::try_parse_from([&["doorstep"], words].concat());
        said.err().map(|error| error.kind())
    }

    #[test]
    fn b_220_nothing_is_run_unless_told() {
        assert_eq!(check(&[]).unwrap().scripts, None);
    }

    #[test]
    fn b_271_the_abbreviations_of_pythons_option_are_its_own() {
        for name in ["--c", "--cg", "--cgi"] {
            assert!(check(&[name]).unwrap().scripts.is_some(), "{name}");
        }
    }

    #[test]
    fn b_221_256_unless_told_scripts_are_as_the_library_has_them() {
        assert_eq!(settings(&[]), Settings::default());
    }

    #[test]
    fn b_220_no_other_option_without_it() {
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
    fn b_256_every_bound_is_settable() {
        let settings = settings(&[
            "--cgi-time=5",
            "--cgi-output=10K",
            "--cgi-processes=2",
            "--cgi-queue=0",
            "--cgi-cpu=3",
            "--cgi-memory=1G",
            "--cgi-files=20",
        ]);
        assert_eq!(settings.time, Duration::from_secs(5));
        assert_eq!(settings.output, 10 << 10);
        assert_eq!((settings.at_once, settings.queue), (2, 0));
        let rlimits = Rlimits { cpu: Some(3), memory: Some(1 << 30), files: Some(20) };
        assert_eq!(settings.rlimits, rlimits);
    }

    #[test]
    fn b_256_a_size_is_in_bytes_or_in_steps_of_1024() {
        for (word, bytes) in [("0", 0), ("4096", 4096), ("64K", 1 << 16), ("10m", 10 << 20)] {
            assert_eq!(size(word).ok(), Some(bytes), "{word}");
            assert_eq!(check(&["--max-body", word]).unwrap().max_body, bytes);
        }
        assert_eq!(size("1G").ok(), Some(1 << 30));
        for word in ["", "K", "-1", "1X", "20000000000G"] {
            assert!(size(word).is_err(), "{word}");
        }
        for words in [["--cgi-time", "0"], ["--cgi-processes", "0"], ["--cgi-output", "some"]] {
            assert!(refused(&[&["--cgi"], &words[..]].concat()).is_some(), "{words:?}");
        }
    }

    #[test]
    fn b_221_directories_of_scripts_are_below_the_one_that_is_served() {
        let src = ScriptDirectories::new(["src"]).unwrap();
        for word in ["src", "/src", "/src/", "./src", "%73rc"] {
            assert_eq!(settings(&["--cgi-dir", word]).directories, src, "{word}");
        }
        assert_eq!(
            settings(&["--cgi-dir", "/"]).directories,
            ScriptDirectories::new([""]).unwrap()
        );
        let two = settings(&["--cgi-dir", "src", "--cgi-dir", "core/src"]).directories;
        assert_eq!(two, ScriptDirectories::new(["src", "core/src"]).unwrap());
        let here = fs::canonicalize(".").unwrap();
        for word in ["nowhere", "Cargo.toml", "../src", "%00", here.to_str().unwrap()] {
            let failure = check(&["--cgi", "--cgi-dir", "src", "--cgi-dir", word]).unwrap_err();
            assert!(matches!(failure, Failure::ScriptDirectory(ref dir) if dir == word), "{word}");
        }
        assert!(refused(&["--cgi", "--cgi-dir", ""]).is_some());
    }

    #[test]
    fn b_237_variables_are_given_or_passed_on() {
        let inherited = Settings::inherited();
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
    fn b_246_a_user_that_scripts_cannot_run_as_is_found_at_start() {
        for user in ["nosuchuser", "root", "0"] {
            let failure = check(&["--cgi", "--cgi-user", user]).unwrap_err();
            assert!(matches!(failure, Failure::User(ref name, _) if name == user), "{user}");
        }
    }

    #[test]
    fn b_063_130_131_what_files_and_scripts_share() {
        let settings = settings(&["--hidden", "--symlinks=deny", "--server-header", "mine/1"]);
        assert!(settings.hidden);
        assert_eq!(settings.symlinks, Symlinks::Deny);
        assert_eq!(settings.software, "mine/1");
    }
}
