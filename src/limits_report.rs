//! `--limits`: every bound of the server that the options make, and the memory that follows from them.
//!
//! The bounds are those of the driver crate ([`doorstep_driver::bounds`]); here are the options that
//! set them. A line has the name of the field in the library, its value, the option, and what happens
//! beyond it.

use std::env;
use std::fmt::{self, Display, Formatter};
use std::num::NonZeroUsize;
use std::thread;

use doorstep_async_smol as smol;
use doorstep_blocking as blocking;
use doorstep_driver::bounds::{self, Bound, BoundValue, MemoryBounds, THREAD_STACK};
use doorstep_driver::cgi::CgiSettings;
use doorstep_driver::files::CacheLimits;
use doorstep_driver::net::BindOptions;
use doorstep_driver::os::{self, LogSettings};
use doorstep_driver::upload::UploadSettings;
use doorstep_driver::{Config, ShutdownSchedule};

use crate::arguments::Runtime;
use crate::config::CommandConfig;
use crate::failure::Failure;
use crate::run;
use crate::stdout;

/// The fields that have an option, and the option.
const OPTIONS: [(&str, &str); 16] = [
    ("limits.body", "--max-body"),
    ("timeouts.idle", "--timeout-keep-alive"),
    ("timeouts.head", "--timeout-header"),
    ("timeouts.body", "--timeout-body"),
    ("timeouts.send", "--timeout-send"),
    ("timeouts.linger", "--timeout-linger"),
    ("config.max_connections", "--max-connections"),
    ("config.shutdown_grace", "--grace"),
    ("upload.min_free_space", "--upload-min-free"),
    ("cgi.timeout", "--cgi-time"),
    ("cgi.max_output", "--cgi-output"),
    ("cgi.max_processes", "--cgi-processes"),
    ("cgi.max_queued", "--cgi-queue"),
    ("cgi.rlimits.cpu", "--cgi-cpu"),
    ("cgi.rlimits.memory", "--cgi-memory"),
    ("cgi.rlimits.files", "--cgi-files"),
];

/// Prints the report.
pub(crate) fn print(config: &CommandConfig) -> Result<(), Failure> {
    stdout::print(Report::new(config).to_string().as_bytes())
}

/// What is printed.
struct Report<'c> {
    command: &'c CommandConfig,
    config: Config,
    /// The number of connections of the runtime, if no option sets it.
    default_max: NonZeroUsize,
    cache: CacheLimits,
    log: LogSettings,
}

impl<'c> Report<'c> {
    fn new(command: &'c CommandConfig) -> Self {
        let default_max = match command.runtime {
            Runtime::Blocking => blocking::Server::DEFAULT_MAX_CONNECTIONS,
            Runtime::Smol => smol::Server::DEFAULT_MAX_CONNECTIONS,
        };
        Self {
            command,
            config: run::server_config(command),
            default_max,
            cache: CacheLimits::default(),
            log: LogSettings::default(),
        }
    }

    /// The sections with bounds, each with its heading.
    fn sections(&self) -> Vec<(&'static str, Vec<Bound>)> {
        let uploads = self.command.uploads.as_ref();
        let (scripts, users) = (self.command.cgi.as_ref(), self.command.auth.as_ref());
        vec![
            ("Requests and connections", self.config.bounds(self.default_max)),
            ("Listening sockets", BindOptions::default().bounds()),
            ("Files and directory listings", bounds::of_site(&self.command.site)),
            ("Cached files", self.cache.bounds()),
            ("Uploads", uploads.map(UploadSettings::bounds).unwrap_or_default()),
            ("Scripts", scripts.map(CgiSettings::bounds).unwrap_or_default()),
            ("Users and passwords", users.map(|auth| auth.settings().bounds()).unwrap_or_default()),
            ("Log", self.log.bounds()),
            ("A stop (SIGTERM, Ctrl-C), from its start", self.stop()),
        ]
    }

    /// The times of a stop. `--grace` scales all of them.
    fn stop(&self) -> Vec<Bound> {
        let steps = ShutdownSchedule::new(&self.config);
        let at = |name, time, beyond| Bound { name, value: BoundValue::Time(time), beyond };
        let log = run::log_flush_timeout(&self.config);
        vec![
            at("stop.close_idle", steps.close_idle, "idle connections are closed"),
            at("stop.grace_expired", steps.grace_expired, "scripts are sent SIGTERM"),
            at("stop.abort", steps.abort, "connections are aborted"),
            at("stop.end", steps.end, "scripts are sent SIGKILL"),
            at("stop.killed", steps.killed, "killed scripts are not waited for any more"),
            at("stop.exit", steps.killed.saturating_add(log), "the process has exited"),
        ]
    }

    fn max_connections(&self) -> usize {
        let wanted = self.command.max_connections.unwrap_or(self.default_max);
        os::raise_descriptor_limit(wanted); // as serving does
        os::max_connections(wanted).get()
    }

    fn memory(&self) -> MemoryBounds {
        let connections = self.max_connections();
        let mut memory = self.config.memory_bounds(connections);
        let stack = env::var("RUST_MIN_STACK").ok().and_then(|size| size.parse().ok());
        let stack = stack.unwrap_or(THREAD_STACK);
        let processors = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let serving = match self.command.runtime {
            Runtime::Blocking => {
                memory.add_per_connection("stack of its thread (address space)", stack);
                connections
            }
            Runtime::Smol => self.command.threads.unwrap_or_else(processors).get(),
        };
        memory.add_files(&self.command.site, &self.cache, &self.config, serving);
        #[cfg(feature = "tls")]
        if self.command.tls.is_some() {
            memory.add_tls();
        }
        if let Some(settings) = &self.command.uploads {
            memory.add_uploads(settings);
        }
        if let Some(settings) = &self.command.cgi {
            memory.add_scripts(settings, &self.config);
        }
        memory.add_log(&self.log);
        // For signals, the log, deadlines, and those that reap scripts.
        let scripts = self.command.cgi.as_ref().map_or(0, |settings| settings.max_processes);
        let others = match self.command.runtime {
            Runtime::Blocking => scripts.saturating_add(3),
            Runtime::Smol => scripts.saturating_add(3 + serving + self.config.pool_threads),
        };
        memory.add("stack of another thread (address space)", stack, others as u64);
        memory
    }
}

impl Display for Report<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let runtime = match self.command.runtime {
            Runtime::Blocking => "blocking",
            Runtime::Smol => "smol",
        };
        writeln!(f, "Limits of doorstep --runtime {runtime} with these options.")?;
        writeln!(
            f,
            "Each line: name, value, the option that sets it, and what happens beyond it."
        )?;
        for (heading, bounds) in self.sections() {
            if !bounds.is_empty() {
                writeln!(f, "\n{heading}")?;
            }
            for Bound { name, value, beyond } in bounds {
                let option = OPTIONS.iter().find(|(field, _)| *field == name);
                let option = option.map_or("-", |(_, option)| option);
                writeln!(f, "  {name:<34} {value:>9}  {option:<20}  {beyond}")?;
            }
        }
        let memory = self.memory();
        writeln!(f, "\nMemory, worst case: one, how many at once, and all of them")?;
        for part in memory.parts() {
            let (bytes, total) = (BoundValue::Bytes(part.bytes), BoundValue::Bytes(part.total()));
            let each = if part.per_connection { "connection" } else { "server" };
            writeln!(f, "  {:<42} {bytes:>9} {:>7} {total:>9}  {each}", part.name, part.count)?;
        }
        let one = BoundValue::Bytes(memory.per_connection());
        writeln!(f, "  {:<42} {one:>9}", "one connection")?;
        let all = BoundValue::Bytes(memory.total());
        writeln!(f, "  {:<42} {all:>9} {:>7} {all:>9}", "the whole server", 1)?;
        let (root, cgi) = (&self.command.served.root, self.command.cgi.as_ref());
        let sandbox = self.command.containment.sandbox(root, cgi);
        writeln!(f, "\nSandbox, held by the kernel")?;
        match sandbox.map(|sandbox| sandbox.probe()) {
            None => writeln!(f, "  nothing: --sandbox off"),
            Some(report) => report.to_string().lines().try_for_each(|line| writeln!(f, "  {line}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;
    use clap::{CommandFactory, Parser};

    fn report(words: &[&str], check: impl FnOnce(&Report<'_>)) {
        let arguments = Arguments::parse_from([&["doorstep"], words].concat());
        check(&Report::new(&CommandConfig::from_arguments(arguments).unwrap()));
    }

    #[test]
    fn every_option_exists_and_sets_its_bound() {
        let command = Arguments::command();
        let values = |words: &[&str]| {
            let mut all = Vec::new();
            report(&[&["--cgi", "--upload"], words].concat(), |report| {
                all.extend(report.sections().into_iter().flat_map(|(_, bounds)| bounds));
            });
            all
        };
        let before = values(&[]);
        for (field, option) in OPTIONS {
            let name = option.trim_start_matches("--");
            assert!(command.get_arguments().any(|it| it.get_long() == Some(name)), "{option}");
            let after = values(&[option, "13"]);
            let changed = before.iter().zip(&after).filter(|(a, b)| a.value != b.value);
            let changed: Vec<_> = changed.map(|(bound, _)| bound.name).collect();
            let expected = |name: &&str| **name == *field || name.starts_with("stop.");
            assert!(changed.contains(&field) && changed.iter().all(expected), "{changed:?}");
        }
    }

    #[test]
    fn what_is_switched_off_takes_no_memory() {
        let parts = |words: &[&str]| {
            let mut names = String::new();
            report(words, |report| {
                names = report.memory().parts().iter().map(|part| part.name).collect();
            });
            names
        };
        assert!(parts(&[]).contains("listing") && !parts(&[]).contains("script,"));
        assert!(!parts(&["--no-listing"]).contains("listing"));
        assert!(parts(&["--cgi"]).contains("script,"));
    }
}
